//! Jobs with a list of pools, `pool=long,short,local`: the first that takes one has it.
//!
//! ```text
//!   queued ─► long ─ refuses for good ─► short ─ refuses for good ─► local ─► … ─► refused, with
//!               │ not now: waits           │                           │           all of their
//!               └─► runs                   └─► runs                    └─► runs     messages
//! ```
//!
//! A list is only gone through while the job is queued. What has begun somewhere is tried again
//! there.

use std::{collections::HashSet, sync::Arc};

use super::machine::Order;
use crate::{
    dispatcher::{Candidates, Event},
    gateway::core::{Core, need::Need},
    model::{JobId, NodeName, PoolChoice, PoolList, State},
    protocol::GatewayMessage,
};

/// What one pool of a job's list has said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::gateway::core) struct Refused {
    by: PoolChoice,
    /// In the words of the engine, or of whoever refused.
    reason: String,
}

/// What becomes of a queued job that has been refused.
pub(in crate::gateway::core) enum Next {
    /// It has its turn in the next pool of its list.
    Moved,
    /// It is refused, for this reason.
    Refused(String),
}

impl Core {
    /// What a refusal by the pool whose turn it is, or by all nodes there are, means for a queued
    /// job.
    pub(in crate::gateway::core) fn refused_by_pool(&mut self, job: JobId, reason: String) -> Next {
        let queued = self.live.get(&job).filter(|live| live.state == State::Queued);
        let Some(need) = queued.and_then(|live| live.need.clone()).filter(|it| it.has_list())
        else {
            return Next::Refused(reason);
        };
        match need.after(reason) {
            Err(reason) => Next::Refused(reason),
            Ok(next) => {
                let told = format!("job {job} ({}): {}", next.describe(), next.last_step());
                self.warn_of(job, &told);
                self.say(job, GatewayMessage::Warning { text: told });
                self.move_to(job, next);
                Next::Moved
            }
        }
    }

    /// Takes a queued job from where it waits, and has it wait elsewhere.
    fn move_to(&mut self, job: JobId, need: Need) {
        self.dispatch(Event::Cancelled { job });
        self.unsettled.forget(job);
        // So that an allocation that is for it alone is given back.
        self.note_end(job);
        let own = self.fleet.own.clone();
        let Some(live) = self.live.get_mut(&job) else { return };
        live.need = Some(Arc::new(need));
        (live.request.candidates, live.request.near) = (Candidates::One(own), None);
        self.submit_to_dispatcher(job);
    }

    /// A job that an earlier gateway has started on `node` has its turn there, should it be tried again.
    pub(in crate::gateway::core) fn stands_in_list(&mut self, job: JobId, node: &NodeName) {
        let is_own = *node == self.fleet.own;
        let allocation = self.pools.as_ref().and_then(|pools| pools.machine.allocation(node));
        let pool = allocation.map(|allocation| allocation.claim.pool.clone());
        let is_there = |choice: &PoolChoice| match choice {
            PoolChoice::Named(name) => Some(name) == pool.as_ref(),
            PoolChoice::Local => is_own,
        };
        let Some(live) = self.live.get_mut(&job) else { return };
        let Some(need) = live.need.as_ref().filter(|need| need.has_list()) else { return };
        let list = need.placement.pool.as_ref();
        if let Some(list) = list.and_then(|list| list.from_the_first(is_there)) {
            let mut need = Need::clone(need);
            need.placement.pool = Some(list);
            live.need = Some(Arc::new(need));
        }
    }
}

impl Need {
    /// What it needs when the pool whose turn it is has refused it; without a further pool, the reason
    /// of all of them.
    pub(super) fn after(&self, reason: String) -> Result<Self, String> {
        let Some(by) = self.choice() else { return Err(reason) };
        let mut next = self.clone();
        // Engines say several lines, and there are as many pools as there are in the list.
        let reason = reason.lines().map(str::trim).collect::<Vec<_>>().join(", ");
        next.refused.push(Refused { by: by.clone(), reason });
        if let Some(rest) = self.placement.pool.as_ref().and_then(PoolList::rest) {
            next.placement.pool = Some(rest);
            return Ok(next);
        }
        let all: Vec<_> = next.refused.iter().map(Refused::describe).collect();
        let (job, all) = (self.describe(), all.join("; "));
        Err(format!("no pool of its list takes it ({job}): {all}"))
    }

    /// What the pool before this one has said.
    pub(super) fn last_step(&self) -> String {
        self.steps(State::Queued).pop().unwrap_or_default()
    }

    /// What pools have said of a job in this state, and where it went.
    pub(in crate::gateway::core) fn steps(&self, state: State) -> Vec<String> {
        let next = self.refused.iter().skip(1).map(|refused| &refused.by).chain(self.choice());
        let last = self.refused.len().saturating_sub(1);
        let step = |(place, (refused, next)): (usize, (&Refused, &PoolChoice))| {
            let goes = match next {
                _ if place < last || state != State::Queued => "went to",
                PoolChoice::Named(_) => "waits in",
                PoolChoice::Local => "waits for",
            };
            format!("{}; it {goes} {next}", refused.describe())
        };
        self.refused.iter().zip(next).enumerate().map(step).collect()
    }
}

impl Refused {
    fn describe(&self) -> String {
        format!("{} refused it: {}", self.by, self.reason)
    }
}

/// Orders that were given at one moment, with the first end only of each job: two allocations of a
/// pool may refuse it at the same time, and the second refusal is none of the next pool's.
pub(super) fn once_for_each_job(orders: Vec<Order>) -> Vec<Order> {
    let mut concluded = HashSet::new();
    let is_first = |order: &Order| match order {
        Order::Conclude(job, _) => concluded.insert(*job),
        _ => true,
    };
    let mut is_first = is_first;
    orders.into_iter().filter(|order| is_first(order)).collect()
}
