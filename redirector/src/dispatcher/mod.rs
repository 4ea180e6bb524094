//! Decides which job starts when and where: a pure state machine, without clock, threads or I/O.
//!
//! ```text
//!  Submitted ──▶ fits nowhere, ever? ──────────────────────────────────▶ Refuse
//!                      │ no
//!                      ▼
//!      pipes     ┌───────────┐   lines of units that ask for the same,
//!   join jobs ──▶│   queue   │   by priority, fair share, submission
//!   into gangs   └─────┬─────┘
//!                      │ first: room is kept for it on one node (reservation)
//!                      │ others: may overtake where that does not delay it
//!                      ▼
//!                ┌───────────┐   the first node with enough free,
//!                │ placement │   found in a tree over all nodes (rooms)
//!                └─────┬─────┘   and with pieces that fit (pieces)
//!                      ▼
//!                ┌───────────┐   holds its resources, or lends them
//!                │  running  │   while jobs it spawned are alive  ─────▶ Start
//!                └─────┬─────┘
//!        Ended ──▶ what it held is free: the node is offered to the queue
//!     NodeLost ──▶ its jobs are forgotten ──────────────────────────────▶ Lost
//! ```
//!
//! Nothing starts on a node that has too little free, with four exceptions, each because waiting
//! could last for ever. They put the node into *debt*, and nothing else starts there until what is
//! held fits again:
//!
//! * a job that one that runs needs at the other end of a pipe ([`gang`]);
//! * a gang that is larger than every node and gets the whole of one ([`placement`]);
//! * a job that takes back what it lent ([`lending`]);
//! * the first in the queue, where everything that runs waits for jobs in the queue ([`schedule`]).
//!
//! A job that was found running after a restart of the gateway is charged as it is.
//!
//! A whole pipeline, known by having no parent and children to come, takes one of its node's places
//! for supervisors as long as it lives, also while it lends. What it starts takes none: jobs that a
//! pipeline waits for never wait for another pipeline to end. While there is no such place, those
//! that wait for one are passed over, and nobody goes into debt for one.
//!
//! ```
//! # use redirector::{dispatcher::*, model::*};
//! # let mut dispatcher = Dispatcher::new();
//! # let (node, capacity) = (NodeName("a".into()), Resources::new(Amount::ONE, 1 << 30));
//! let mut actions = Vec::new();
//! dispatcher.handle(
//!     Event::NodeJoined {
//!         node,
//!         capacity: capacity.clone(),
//!         max_jobs: None,
//!         max_supervisors: None,
//!         indexed: Default::default(),
//!     },
//!     Timestamp(0),
//!     &mut actions,
//! );
//! let request = Request { resources: capacity, ..Request::default() };
//! dispatcher.handle(Event::Submitted { job: JobId(1), request }, Timestamp(5), &mut actions);
//! assert!(matches!(actions[..], [Action::Start { job: JobId(1), .. }]));
//! ```

mod asks;
mod event;
mod explain;
mod fair_share;
mod gang;
mod hasher;
mod heads;
mod job;
mod lending;
mod load;
mod nodes;
mod pieces;
mod pipes;
mod placement;
mod queue;
mod reservation;
mod rooms;
mod schedule;
#[cfg(test)]
mod tests;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
};

pub use event::{Action, End, Event, Holds, PipeId, Request, Timestamp};
pub use explain::{Explanation, Refusal, Shortage, Wait};

use self::{
    asks::{Ask, Asks},
    fair_share::FairShare,
    hasher::FastMap,
    job::{Job, Jobs, Standing, State},
    load::{Load, Pools},
    nodes::{NodeIndex, Nodes, Presence},
    pieces::{Indices, Pieces},
    pipes::{Ends, Joint, Pipes},
    placement::feasible,
    queue::{Place, Queue, Urgency},
    reservation::Reservation,
};
use crate::model::{Amount, JobId, NodeName, Pool, PoolName};

/// The state machine. The same events in the same order lead to the same actions.
#[derive(Debug, Default)]
pub struct Dispatcher {
    pools: Pools,
    nodes: Nodes,
    /// Queued and running ones.
    jobs: Jobs,
    /// What they ask for.
    asks: Asks,
    /// How many queued and running children there are of jobs that are neither.
    strays: FastMap<JobId, u32>,
    pipes: Pipes,
    queue: Queue,
    fair_share: FairShare,
    /// The members of the units in the queue that have more than one, by the job of the unit's
    /// place, in the order of what their line asks for.
    gangs: FastMap<JobId, Vec<JobId>>,
    reservation: Option<Reservation>,
    /// How many jobs hold something but depend on the queue.
    dependents: u32,
    /// The first unit in the queue, if it has been offered what only the first is offered.
    considered: Option<Place>,
    /// It is to be offered that once more.
    reconsider_first: bool,
    /// Nodes that have to be offered to the queue again.
    freed: BinaryHeap<Reverse<NodeIndex>>,
    /// Units that have not been offered any node yet.
    fresh: BinaryHeap<Reverse<Place>>,
}

impl Dispatcher {
    /// A dispatcher without nodes and jobs.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes one event in and appends to `actions` what follows from it, in the order in which it
    /// is to be done.
    pub fn handle(&mut self, event: Event, now: Timestamp, actions: &mut Vec<Action>) {
        match event {
            Event::NodeJoined { node, mut capacity, max_jobs, max_supervisors, indexed } => {
                for (pool, &count) in &indexed {
                    capacity.others.insert(pool.clone(), Amount::whole(count.into()));
                }
                self.pools.allot(&capacity);
                let node = self.nodes.expect(node);
                let capacity = self.pools.known_load(&capacity);
                self.nodes.set_capacity(node, capacity.of_node(max_jobs, max_supervisors));
                self.set_pieces(node, &indexed);
                self.nodes.set_presence(node, Presence::Open);
                self.nodes_changed(node, actions);
            }
            Event::NodeDraining { node } => {
                if let Some(node) = self.nodes.find(&node)
                    && self.nodes[node].is_open()
                {
                    self.nodes.set_presence(node, Presence::Draining);
                    self.nodes_changed(node, actions);
                }
            }
            Event::NodeLost { node } => self.leave(&node, Presence::Away, actions),
            Event::NodeRemoved { node } => self.leave(&node, Presence::Removed, actions),
            Event::Submitted { job, request } => self.submit(job, request, now, actions),
            Event::Recovered { job, request, node, indices } => {
                self.recover(job, request, node, indices, now);
            }
            Event::PipesLinked { a, b } => self.link(a, b),
            Event::Cancelled { job } => {
                if self.jobs.get(job).is_some_and(|job| !job.is_running()) {
                    self.forget(job);
                }
            }
            Event::Ended { job } => self.forget(job),
        }
        self.settle(now, actions);
    }

    /// How many jobs are queued or run.
    pub fn job_count(&self) -> usize {
        self.jobs.len()
    }

    fn submit(&mut self, id: JobId, request: Request, now: Timestamp, actions: &mut Vec<Action>) {
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
        if let Some(reason) = self.refusal(&ask) {
            actions.push(Action::Refuse { job: id, reason });
            return;
        }
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

    /// What a new job asks for, in terms of the nodes and pools that there are.
    fn ask(&mut self, request: &Request) -> Result<Ask, Refusal> {
        let pin = match &request.node {
            Some(name) => {
                let unknown = || Refusal::UnknownNode { node: name.clone() };
                Some(self.nodes.find(name).ok_or_else(unknown)?)
            }
            None => None,
        };
        if self.nodes.may_have_any_pool(pin) {
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
        let load = self.load(amounts, request);
        Ok(Ask { load, pin, time_limit: request.time_limit })
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

    fn recover(
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
        let ask = Ask { load, pin: Some(node), time_limit: request.time_limit };
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
        };
        self.jobs.insert(id, job);
    }

    /// The turn that a job has for the sake of its parent, which waits for it.
    fn turn(&self, parent: Option<JobId>) -> Option<(u64, JobId)> {
        let parent = self.jobs.get(parent?)?;
        (parent.holds == Holds::Lends).then_some((parent.place.tag, parent.place.turn))
    }

    fn link(&mut self, a: JobId, b: JobId) {
        let joint = Joint::Link(a.min(b), a.max(b));
        if a == b || !self.jobs.contains(a) || !self.jobs.contains(b) {
            return;
        }
        for (id, end) in [(a, End::Write), (b, End::Read)] {
            if let Some(job) = self.jobs.get_mut(id)
                && !job.ends.iter().any(|(known, _)| *known == joint)
            {
                job.ends.push((joint, end));
                self.pipes.attach(id, &vec![(joint, end)]);
            }
        }
        self.regroup_at(&vec![(joint, End::Write)]);
        self.refresh_standings(a);
    }

    /// Removes a job from everything that knows it.
    fn forget(&mut self, id: JobId) {
        let Some(job) = self.jobs.get_mut(id) else { return };
        let ends = std::mem::take(&mut job.ends);
        let state = job.state;
        let partners = if ends.is_empty() { Vec::new() } else { self.partners(&ends) };
        self.pipes.detach(id, &ends);
        let mut unit = Vec::new();
        match state {
            State::Arriving => {}
            State::Queued { leader, line } => {
                unit = self.members(leader);
                self.dequeue(self.jobs[leader].place, line);
                for &member in &unit {
                    if let Some(job) = self.jobs.get_mut(member) {
                        job.state = State::Arriving;
                    }
                }
                self.withdraw(id);
            }
            State::Running { node, .. } => {
                self.set_standing(id, Standing::NONE);
                self.nodes.remove_running(node, id);
                self.forget_overtaker(id);
            }
        }
        let Some(job) = self.jobs.remove(id) else { return };
        self.asks.remove(job.ask);
        if job.children > 0 {
            self.strays.insert(id, job.children);
        }
        unit.retain(|&member| member != id);
        if !unit.is_empty() {
            self.regroup(unit);
        }
        if !ends.is_empty() {
            self.regroup_at(&ends);
            for partner in partners {
                self.refresh_standings(partner);
            }
        }
        self.remove_child(job.parent);
    }

    /// A queued job gives its place up.
    fn withdraw(&mut self, id: JobId) {
        let job = &self.jobs[id];
        let cost = self.asks[job.ask].load.dominant_share(self.nodes.largest());
        self.fair_share.withdraw(job.place.priority.0, job.share, cost);
    }

    /// The jobs that these pipes join.
    fn partners(&self, ends: &Ends) -> Vec<JobId> {
        let joints = ends.iter().filter_map(|(joint, _)| self.pipes.joined(*joint));
        let mut partners = joints.flat_map(pipes::Members::all).collect::<Vec<_>>();
        partners.sort_unstable();
        partners.dedup();
        partners
    }

    fn leave(&mut self, node: &NodeName, presence: Presence, actions: &mut Vec<Action>) {
        let Some(index) = self.nodes.find(node) else { return };
        self.nodes.set_presence(index, presence);
        let mut lost = self.nodes[index].running.clone();
        lost.sort_unstable();
        for job in lost {
            self.forget(job);
            actions.push(Action::Lost { job, node: node.clone() });
        }
        self.nodes_changed(index, actions);
    }

    /// Gives a node its pieces, of which those are used that its jobs were given.
    fn set_pieces(&mut self, node: NodeIndex, indexed: &BTreeMap<PoolName, u32>) {
        let counts = indexed.iter();
        let counts = counts.filter_map(|(pool, count)| Some((self.pools.slot(pool)?, *count)));
        self.nodes.set_pieces(node, Pieces::new(counts));
        for &job in &self.nodes[node].running.clone() {
            let job = &self.jobs[job];
            if let State::Running { standing, .. } = job.state {
                let held = standing.holding.of(&self.asks[job.ask].load);
                self.nodes.charge_pieces(node, &held, &job.indices);
            }
        }
    }

    /// The pieces that a job was given, by the names of their pools.
    fn named_indices(&self, id: JobId) -> Vec<(PoolName, Vec<u32>)> {
        let indices = self.jobs[id].indices.iter();
        let named = indices.filter_map(|(slot, pieces)| match &self.pools.names()[*slot] {
            Pool::Other(name) => Some((name.clone(), pieces.clone())),
            Pool::Cpus | Pool::Mem => None,
        });
        named.collect()
    }

    /// Draws the conclusions from a node's arrival, departure or change of size.
    fn nodes_changed(&mut self, node: NodeIndex, actions: &mut Vec<Action>) {
        if self.is_reserved(node) {
            self.release_reservation();
        }
        let sizes_changed = std::mem::take(&mut self.nodes.sizes_changed);
        let lines = if sizes_changed { self.queue.all() } else { self.queue.choosy() };
        for (job, reason) in self.newly_impossible(&lines) {
            self.forget(job);
            actions.push(Action::Refuse { job, reason });
        }
        let lines = if sizes_changed { self.queue.all() } else { self.queue.choosy() };
        let nodes = &self.nodes;
        self.queue.refresh(&lines, |asks| feasible(nodes, asks));
        self.freed.push(Reverse(node));
        self.reconsider_first = true;
    }

    /// The jobs in these lines that no node can run any more.
    fn newly_impossible(&self, lines: &[queue::LineIndex]) -> BTreeMap<JobId, Refusal> {
        let is_possible = |ask: &Ask| self.nodes.may_ever_hold(&ask.load, ask.pin);
        let lines = lines.iter().map(|&line| &self.queue[line]);
        let lines = lines.filter(|line| !line.asks.iter().all(is_possible));
        let units = lines.flat_map(queue::Line::units);
        let jobs = units.flat_map(|unit| self.members(unit.job));
        jobs.filter_map(|job| Some((job, self.refusal(&self.asks[self.jobs[job].ask])?))).collect()
    }

    /// Why no node can ever run what is asked for, if that is so.
    fn refusal(&self, ask: &Ask) -> Option<Refusal> {
        if self.nodes.may_ever_hold(&ask.load, ask.pin) {
            return None;
        }
        if let Some(pin) = ask.pin.filter(|&pin| self.nodes[pin].presence == Presence::Removed) {
            return Some(Refusal::UnknownNode { node: self.nodes[pin].name.clone() });
        }
        let node = &self.nodes[ask.pin.or_else(|| self.nodes.least_too_small(&ask.load))?];
        let slot = ask.load.first_short(&node.capacity())?;
        Some(Refusal::TooLarge {
            pool: self.pools.names()[slot].clone(),
            asked: ask.load.amount(slot),
            largest: node.capacity().amount(slot),
            node: node.name.clone(),
        })
    }
}
