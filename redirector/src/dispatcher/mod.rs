//! Decides which job starts when and where: a pure state machine, without clock, threads or I/O.
//!
//! ```text
//!  Submitted ──▶ fits nowhere, ever? ──────────────────────────────────▶ Refuse
//!                      │ no
//!                      ▼
//!      pipes     ┌───────────┐   lines of units that ask for the same,
//!   join jobs ──▶│   queue   │   by priority, fair share, submission
//!   into gangs   └─────┬─────┘
//!                      │ first: room is kept for it where it will start (reservation)
//!                      │ others: may overtake where that does not delay it
//!                      ▼
//!                ┌───────────┐   of its candidates that have room (eligibility) one that is
//!                │ placement │   near, or the one that is used least, found in a tree over all
//!                └─────┬─────┘   nodes (rooms) or its own (set_rooms); with pieces that fit (pieces)
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

mod arrival;
mod asks;
mod blocks;
mod candidates;
mod departure;
mod eligibility;
mod event;
mod explain;
mod fair_share;
mod gang;
mod hasher;
mod heads;
mod job;
mod lending;
mod load;
mod membership;
mod nodes;
mod obstacles;
mod pieces;
mod pipes;
mod placement;
mod queue;
mod reservation;
mod rooms;
mod schedule;
mod set_rooms;
mod sites;
mod successor;
#[cfg(test)]
mod tests;

use std::{cmp::Reverse, collections::BinaryHeap};

pub use candidates::Candidates;
pub use event::{Action, End, Event, Holds, PipeId, Request, Timestamp};
pub use explain::{Explanation, Refusal, Shortage, Wait};
pub use obstacles::{Because, Obstacle};

use self::{
    asks::Asks,
    fair_share::FairShare,
    hasher::FastMap,
    job::Jobs,
    load::Pools,
    nodes::{NodeIndex, Nodes, Presence},
    pipes::Pipes,
    queue::{Place, Queue},
    reservation::Reservation,
};
use crate::model::JobId;

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
            Event::NodeJoined { node, capacity, max_jobs, max_supervisors, indexed } => {
                let node = self.join(node, capacity, (max_jobs, max_supervisors), &indexed);
                self.nodes_changed(node, actions);
            }
            Event::NodeDraining { node } => self.drain(&node, actions),
            Event::NodeSuspended { node } => self.suspend(&node, true, actions),
            Event::NodeResumed { node } => self.suspend(&node, false, actions),
            Event::NodeLost { node } => self.leave(&node, Presence::Away, actions),
            Event::NodeRemoved { node } => self.leave(&node, Presence::Removed, actions),
            Event::Submitted { job, request } => self.submit(job, request, now, actions),
            Event::Recovered { job, request, node, indices } => {
                self.recover(job, request, node, indices, now);
            }
            Event::Candidates { job, candidates } => {
                self.change_candidates(job, &candidates, actions);
            }
            Event::PipesLinked { a, b } => self.link(a, b),
            Event::Cancelled { job } => {
                if self.jobs.get(job).is_some_and(|job| !job.is_running()) {
                    self.forget(job);
                }
            }
            Event::Ended { job } => self.forget(job),
            Event::Promised { job, after } => self.bind(job, after),
            Event::Withdrawn { job } => self.withdraw_promise(job, actions),
            Event::Followed { ended, started } => self.follow(ended, started, now),
        }
        self.settle(now, actions);
    }

    /// How many jobs are queued or run.
    pub fn job_count(&self) -> usize {
        self.jobs.len()
    }
}
