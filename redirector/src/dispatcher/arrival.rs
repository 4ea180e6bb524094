//! How a job gets in: submitted, or found running.

use std::cmp::Reverse;

use super::{
    Action, Candidates, Dispatcher, End, Holds, Refusal, Request, Timestamp,
    asks::Ask,
    job::{Job, Near, State},
    load::Load,
    pieces::Indices,
    pipes::{self, Joint},
    queue::{Place, Urgency},
    sites::Site,
};
use crate::model::{JobId, NodeName, PoolName};

impl Dispatcher {
    /// A job wants to run: it is refused, or gets into the queue.
    pub(super) fn submit(
        &mut self,
        id: JobId,
        request: Request,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        if self.jobs.contains(id) {
            return;
        }
        let ask = match self.ask(&request) {
            Ok(ask) => ask,
            Err(reason) => {
                actions.push(Action::Refuse { job: id, reason });
                return;
            }
        };
        let (parent, is_piped) = (request.parent, !request.pipes.is_empty());
        let cost = ask.load.dominant_share(self.nodes.largest());
        let tag = self.fair_share.arrive(request.priority, request.share, cost, request.again);
        self.add(id, request, ask, tag, now);
        if is_piped {
            self.regroup(vec![id]);
            self.refresh_standings(id);
        } else {
            self.enqueue(vec![id], Urgency::Waits);
        }
        self.add_child(parent);
    }

    /// Other nodes than before may run a job that waits.
    pub(super) fn change_candidates(
        &mut self,
        id: JobId,
        candidates: &Candidates,
        actions: &mut Vec<Action>,
    ) {
        let Some(job) = self.jobs.get(id).filter(|job| !job.is_running()) else { return };
        let before = job.ask;
        let changed = self.nodes.add_site(candidates).and_then(|site| {
            let ask = Ask { site, ..self.asks[before] };
            let refusal = self.refusal(&ask);
            if refusal.is_some() || ask == self.asks[before] {
                self.nodes.remove_site(site);
            }
            refusal.map_or(Ok(ask), Err)
        });
        match changed {
            Ok(ask) if ask == self.asks[before] => {}
            Ok(ask) => {
                let unit = self.take_from_queue(id);
                self.nodes.remove_site(self.asks[before].site);
                let after = self.asks.add(ask);
                self.asks.remove(before);
                if let Some(job) = self.jobs.get_mut(id) {
                    job.ask = after;
                }
                let ends = self.jobs[id].ends.clone();
                self.regroup(unit);
                self.regroup_at(&ends);
            }
            // It may have started there by now.
            Err(_) if matches!(self.jobs[id].state, State::Promised { .. }) => {}
            Err(reason) => {
                self.forget(id);
                actions.push(Action::Refuse { job: id, reason });
            }
        }
    }

    /// What a new job asks for, in terms of the nodes and pools that there are.
    fn ask(&mut self, request: &Request) -> Result<Ask, Refusal> {
        let site = self.nodes.add_site(&request.candidates)?;
        let ask = self.load_of_request(request, site).and_then(|load| {
            let ask = Ask { load, site, time_limit: request.time_limit };
            self.refusal(&ask).map_or(Ok(ask), Err)
        });
        if ask.is_err() {
            self.nodes.remove_site(site);
        }
        ask
    }

    fn load_of_request(&mut self, request: &Request, site: Site) -> Result<Load, Refusal> {
        if self.nodes.may_have_any_pool(site) {
            self.pools.allot(&request.resources);
        }
        let amounts = match request.holds {
            Holds::Worker | Holds::Lends => self.pools.load(&request.resources),
            Holds::Supervisor => Ok(Load::NONE),
        };
        let amounts = amounts.map_err(|pool| {
            let known = self.pools.names().to_vec();
            Refusal::UnknownPool { pool, known }
        })?;
        Ok(self.load(amounts, request))
    }

    /// What a job takes that asks for these amounts.
    fn load(&self, amounts: Load, request: &Request) -> Load {
        let load = match request.holds {
            Holds::Worker | Holds::Lends => amounts.of_one_job(),
            Holds::Supervisor => Load::NONE,
        };
        let has_live_parent = request.parent.is_some_and(|parent| self.jobs.contains(parent));
        match request.holds {
            Holds::Lends | Holds::Supervisor if !has_live_parent => load.and_supervisor(),
            Holds::Lends | Holds::Supervisor | Holds::Worker => load,
        }
    }

    /// Why no node can ever run what is asked for, if that is so.
    pub(super) fn refusal(&self, ask: &Ask) -> Option<Refusal> {
        if self.nodes.may_ever_hold(ask) {
            return None;
        }
        let Some(closest) = self.nodes.least_too_small(ask) else {
            return Some(self.nodes.unknown(self.nodes.named(ask.site)));
        };
        let node = &self.nodes[closest];
        let slot = ask.load.first_short(&node.capacity())?;
        Some(Refusal::TooLarge {
            pool: self.pools.names()[slot].clone(),
            asked: ask.load.amount(slot),
            largest: node.capacity().amount(slot),
            node: node.name.clone(),
        })
    }

    /// A job was found running: it is charged as it is.
    pub(super) fn recover(
        &mut self,
        id: JobId,
        request: Request,
        node: NodeName,
        indices: Vec<(PoolName, Vec<u32>)>,
        now: Timestamp,
    ) {
        if self.jobs.contains(id) {
            return;
        }
        let node = self.nodes.expect(node);
        self.pools.allot(&request.resources);
        let load = self.load(self.pools.known_load(&request.resources), &request);
        let ask = Ask { load, site: Site::One(node), time_limit: request.time_limit };
        let parent = request.parent;
        self.add(id, request, ask, 0, now);
        let slots = indices.into_iter();
        let indices = slots.filter_map(|(pool, pieces)| Some((self.pools.slot(&pool)?, pieces)));
        let indices = Indices::new(indices.collect());
        if let Some(job) = self.jobs.get_mut(id) {
            job.indices = indices;
        }
        self.begin(id, node, now);
        self.refresh_standings(id);
        self.add_child(parent);
        let ends = self.jobs[id].ends.clone();
        self.regroup_at(&ends);
    }

    /// Enters a job everywhere but in the queue and on a node.
    fn add(&mut self, id: JobId, request: Request, ask: Ask, tag: u64, now: Timestamp) {
        let ends = pipes::stream_ends(request.pipes);
        self.pipes.attach(id, &ends);
        let (tag, turn) = self.turn(request.parent).unwrap_or((tag, id));
        let job = Job {
            place: Place {
                urgency: Urgency::Waits,
                priority: Reverse(request.priority),
                tag,
                turn,
                job: id,
            },
            parent: request.parent,
            share: request.share,
            ends,
            indices: Indices::default(),
            since: now,
            state: State::Arriving,
            ask: self.asks.add(ask),
            children: self.strays.remove(&id).unwrap_or(0),
            holds: request.holds,
            near: Near::new(request.near),
        };
        self.jobs.insert(id, job);
    }

    /// The turn that a job has for the sake of its parent, which waits for it.
    fn turn(&self, parent: Option<JobId>) -> Option<(u64, JobId)> {
        let parent = self.jobs.get(parent?)?;
        (parent.holds == Holds::Lends).then_some((parent.place.tag, parent.place.turn))
    }

    /// Two jobs are joined by pipes through processes that are no jobs.
    pub(super) fn link(&mut self, a: JobId, b: JobId) {
        let joint = Joint::Link(a.min(b), a.max(b));
        if a == b || !self.jobs.contains(a) || !self.jobs.contains(b) {
            return;
        }
        for (id, end) in [(a, End::Write), (b, End::Read)] {
            if let Some(job) = self.jobs.get_mut(id)
                && !job.ends.iter().any(|(known, _)| *known == joint)
            {
                job.ends.push(joint, end);
                self.pipes.attach(id, &[(joint, end)]);
            }
        }
        self.regroup_at(&[(joint, End::Write)]);
        self.refresh_standings(a);
    }
}
