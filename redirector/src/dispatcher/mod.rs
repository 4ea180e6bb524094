//! Decides which job starts when and where: a pure state machine, without clock, threads or I/O.
//!
//! ```text
//!  Submitted ──▶ fits nowhere, ever? ──────────────────────────────────▶ Refuse
//!                      │ no
//!                      ▼
//!      pipes     ┌───────────┐   lines of units that ask for the same,
//!   join jobs ──▶│   queue   │   ordered by priority, then submission
//!   into gangs   └─────┬─────┘
//!                      │ first: room is kept for it on one node (reservation)
//!                      │ others: may overtake where that does not delay it
//!                      ▼
//!                ┌───────────┐   the first node with enough free,
//!                │ placement │   found in a tree over all nodes (rooms)
//!                └─────┬─────┘
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
//! * a job joined by pipes to one that runs ([`gang`]);
//! * a gang that is larger than every node and gets the whole of one ([`placement`]);
//! * a job that takes back what it lent ([`lending`]);
//! * the first in the queue, where everything that runs waits for jobs in the queue ([`schedule`]).
//!
//! A job that was found running after a restart of the gateway is charged as it is.
//!
//! ```
//! # use redirector::{dispatcher::*, model::*};
//! # let mut dispatcher = Dispatcher::new();
//! # let (node, capacity) = (NodeName("a".into()), Resources::new(Amount::ONE, 1 << 30));
//! let mut actions = Vec::new();
//! dispatcher.handle(
//!     Event::NodeJoined { node, capacity: capacity.clone(), max_jobs: None },
//!     Timestamp(0),
//!     &mut actions,
//! );
//! let request = Request { resources: capacity, ..Request::default() };
//! dispatcher.handle(Event::Submitted { job: JobId(1), request }, Timestamp(5), &mut actions);
//! assert!(matches!(actions[..], [Action::Start { job: JobId(1), .. }]));
//! ```

mod event;
mod explain;
mod gang;
mod job;
mod lending;
mod load;
mod nodes;
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
    collections::{BTreeMap, BTreeSet, HashMap},
};

pub use event::{Action, End, Event, Holds, PipeId, Request, Timestamp};
pub use explain::{Explanation, Refusal, Shortage, Wait};

use self::{
    job::{Job, Standing, State},
    load::{Load, Pools},
    nodes::{NodeIndex, Nodes, Presence},
    pipes::{Joint, Pipes},
    placement::feasible,
    queue::{Ask, Place, Queue, Urgency},
    reservation::Reservation,
};
use crate::model::{JobId, NodeName};

/// The state machine. The same events in the same order lead to the same actions.
#[derive(Debug, Default)]
pub struct Dispatcher {
    pools: Pools,
    nodes: Nodes,
    /// Queued and running ones.
    jobs: HashMap<JobId, Job>,
    /// How many queued and running children jobs have, where that is not none.
    children: HashMap<JobId, u32>,
    pipes: Pipes,
    queue: Queue,
    /// The members of the units in the queue that have more than one, by the job of the unit's
    /// place, in the order of what their line asks for.
    gangs: HashMap<JobId, Vec<JobId>>,
    reservation: Option<Reservation>,
    /// How many jobs hold something but depend on the queue.
    dependents: u32,
    /// Nodes that have to be offered to the queue again.
    freed: BTreeSet<NodeIndex>,
    /// Units that have not been offered any node yet.
    fresh: BTreeSet<Place>,
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
            Event::NodeJoined { node, capacity, max_jobs } => {
                let node = self.nodes.expect(node);
                self.pools.allot(&capacity);
                let capacity = self.pools.known_load(&capacity).with_most_jobs(max_jobs);
                self.nodes.set_capacity(node, capacity);
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
            Event::Recovered { job, request, node } => self.recover(job, request, node, now),
            Event::PipesLinked { a, b } => self.link(a, b),
            Event::Cancelled { job } => {
                if self.jobs.get(&job).is_some_and(|job| !job.is_running()) {
                    self.forget(job);
                }
            }
            Event::Ended { job } => self.forget(job),
        }
        self.settle(now, actions);
    }

    fn submit(&mut self, id: JobId, request: Request, now: Timestamp, actions: &mut Vec<Action>) {
        if self.jobs.contains_key(&id) {
            return;
        }
        let pin = request.node.as_ref().map(|name| self.nodes.find(name).ok_or(name));
        let pin = match pin.transpose() {
            Ok(pin) => pin,
            Err(name) => {
                let reason = Refusal::UnknownNode { node: name.clone() };
                actions.push(Action::Refuse { job: id, reason });
                return;
            }
        };
        if self.nodes.may_have_any_pool(pin) {
            self.pools.allot(&request.resources);
        }
        let load = match self.pools.load(&request.resources) {
            Ok(load) => load,
            Err(pool) => {
                let reason = Refusal::UnknownPool { pool, known: self.pools.names().to_vec() };
                actions.push(Action::Refuse { job: id, reason });
                return;
            }
        };
        let job = self.new_job(id, request, load, pin, now);
        if let Some(reason) = self.refusal(job.ask) {
            actions.push(Action::Refuse { job: id, reason });
            return;
        }
        self.pipes.attach(id, &job.ends);
        let (parent, is_piped) = (job.parent, !job.ends.is_empty());
        self.jobs.insert(id, job);
        self.enqueue([id], Urgency::Waits);
        self.add_child(parent);
        if is_piped {
            self.join_gang(id);
        }
    }

    fn recover(&mut self, id: JobId, request: Request, node: NodeName, now: Timestamp) {
        if self.jobs.contains_key(&id) {
            return;
        }
        let node = self.nodes.expect(node);
        self.pools.allot(&request.resources);
        let load = self.pools.known_load(&request.resources);
        let job = self.new_job(id, request, load, Some(node), now);
        self.pipes.attach(id, &job.ends);
        let parent = job.parent;
        self.jobs.insert(id, job);
        self.begin(id, node, now);
        self.refresh_standings(BTreeSet::from([id]));
        self.add_child(parent);
        self.join_gang(id);
    }

    fn new_job(
        &self,
        id: JobId,
        request: Request,
        load: Load,
        pin: Option<NodeIndex>,
        now: Timestamp,
    ) -> Job {
        let load = match request.holds {
            Holds::Worker | Holds::Lends => load.of_one_job(),
            Holds::Supervisor => Load::NONE,
        };
        let place = Place {
            urgency: Urgency::Waits,
            priority: Reverse(request.priority),
            turn: self.turn(id, request.parent),
            job: id,
        };
        Job {
            ask: Ask { load, pin, time_limit: request.time_limit },
            place,
            parent: request.parent,
            holds: request.holds,
            ends: pipes::stream_ends(request.pipes),
            since: now,
            state: State::Arriving,
        }
    }

    /// Whose turn a job waits for: its own, or that of the parent that waits for it.
    fn turn(&self, job: JobId, parent: Option<JobId>) -> JobId {
        let parent = parent.and_then(|parent| self.jobs.get(&parent));
        parent.filter(|parent| parent.holds == Holds::Lends).map_or(job, |parent| parent.place.turn)
    }

    fn link(&mut self, a: JobId, b: JobId) {
        let joint = Joint::Link(a.min(b), a.max(b));
        if a == b || !self.jobs.contains_key(&a) || !self.jobs.contains_key(&b) {
            return;
        }
        for (id, end) in [(a, End::Write), (b, End::Read)] {
            if let Some(job) = self.jobs.get_mut(&id)
                && !job.ends.iter().any(|(known, _)| *known == joint)
            {
                job.ends.push((joint, end));
                self.pipes.attach(id, &vec![(joint, end)]);
            }
        }
        self.join_gang(a);
        self.refresh_standings(BTreeSet::from([a]));
    }

    /// Removes a job from everything that knows it.
    fn forget(&mut self, id: JobId) {
        let Some(job) = self.jobs.get(&id) else { return };
        let (state, parent, job_was_running) = (job.state, job.parent, job.is_running());
        let mut gang = if job.ends.is_empty() { BTreeSet::new() } else { self.gang_of(id) };
        gang.remove(&id);
        match state {
            State::Arriving => {}
            State::Queued { unit, line } => {
                gang = self.members(unit).into_iter().filter(|&member| member != id).collect();
                self.dequeue(unit, line);
            }
            State::Running { node, .. } => {
                self.set_standing(id, Standing::NONE);
                self.nodes.remove_running(node, id);
                self.forget_overtaker(id);
            }
        }
        if let Some(job) = self.jobs.remove(&id) {
            self.pipes.detach(id, &job.ends);
        }
        if job_was_running {
            self.regroup(&gang);
            self.refresh_standings(gang);
        } else {
            self.form_units(gang);
        }
        self.remove_child(parent);
    }

    fn leave(&mut self, node: &NodeName, presence: Presence, actions: &mut Vec<Action>) {
        let Some(index) = self.nodes.find(node) else { return };
        self.nodes.set_presence(index, presence);
        for job in self.nodes[index].running.clone() {
            self.forget(job);
            actions.push(Action::Lost { job, node: node.clone() });
        }
        self.nodes_changed(index, actions);
    }

    /// Draws the conclusions from a node's arrival, departure or change of size.
    fn nodes_changed(&mut self, node: NodeIndex, actions: &mut Vec<Action>) {
        if self.is_reserved(node) {
            self.release_reservation();
        }
        for (job, reason) in self.newly_impossible() {
            self.forget(job);
            actions.push(Action::Refuse { job, reason });
        }
        let nodes = &self.nodes;
        self.queue.refresh_feasible(|asks| feasible(nodes, asks));
        self.freed.insert(node);
    }

    /// The queued jobs that no node can run any more.
    fn newly_impossible(&self) -> BTreeMap<JobId, Refusal> {
        let is_possible = |ask: &Ask| self.nodes.may_ever_hold(ask.load, ask.pin);
        let lines = self.queue.lines().filter(|line| !line.asks.iter().all(is_possible));
        let jobs = lines.flat_map(queue::Line::units).flat_map(|unit| self.members(unit));
        jobs.filter_map(|job| Some((job, self.refusal(self.jobs[&job].ask)?))).collect()
    }

    /// Why no node can ever run what is asked for, if that is so.
    fn refusal(&self, ask: Ask) -> Option<Refusal> {
        if self.nodes.may_ever_hold(ask.load, ask.pin) {
            return None;
        }
        if let Some(pin) = ask.pin.filter(|&pin| self.nodes[pin].presence == Presence::Removed) {
            return Some(Refusal::UnknownNode { node: self.nodes[pin].name.clone() });
        }
        let node = &self.nodes[ask.pin.or_else(|| self.nodes.least_too_small(ask.load))?];
        let slot = ask.load.first_short(&node.capacity())?;
        Some(Refusal::TooLarge {
            pool: self.pools.names()[slot].clone(),
            asked: ask.load.amount(slot),
            largest: node.capacity().amount(slot),
            node: node.name.clone(),
        })
    }
}
