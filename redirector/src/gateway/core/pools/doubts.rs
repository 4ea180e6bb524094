//! Jobs that something outside has ended, as it seems: the engine is to say whether that was the end
//! of their allocation.
//!
//! ```text
//!   ended by SIGTERM or SIGKILL, or by   ┌─ it has ended so ───► Judge: the engine's reason counts
//!   an agent that had to leave ─► Doubt ─┼─ it runs ───────────► Believe: the agent's word counts
//!                                        └─ nothing, for long ─► Believe
//! ```
//!
//! An engine that says that an allocation is about to end is given more time to say how.

use std::time::{Duration, Instant};

use super::machine::{Machine, Order};
use crate::{
    engine::batch::Status,
    model::{JobId, NodeName},
};

/// The engine has this long to say something, and three intervals at least.
const PATIENCE: Duration = Duration::from_mins(1);

/// … and this long to say how an allocation has ended that it says is about to.
const MOST_PATIENCE: Duration = Duration::from_mins(10);

/// How a job's end looks that the engine is to explain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seems {
    /// A signal ended its command.
    Killed,
    /// Its agent ended it, because it had to leave or was being killed itself.
    Abandoned,
}

/// A job whose end the engine is to explain.
#[derive(Debug)]
pub(super) struct Doubt {
    node: NodeName,
    seems: Seems,
    since: Instant,
    /// From then on the agent's word counts.
    pub until: Instant,
    patience: Duration,
}

impl Machine {
    /// A job on an allocation has ended in such a way.
    pub(super) fn doubted(&mut self, job: JobId, node: NodeName, seems: Seems, now: Instant) {
        let allocation = self.allocations.get(&node);
        let Some(demand) = allocation.and_then(|it| self.pools.get(&it.claim.pool)) else {
            return self.orders.push(Order::Believe(job));
        };
        let patience = PATIENCE.max(demand.pool.interval * 3);
        let doubt = Doubt { node, seems, since: now, until: now + patience, patience };
        self.doubts.insert(job, doubt);
        self.orders.push(Order::Hasten);
    }

    /// Until when the engine may say why a job has ended.
    pub(super) fn doubts_until(&self, job: JobId) -> Option<Instant> {
        self.doubts.get(&job).map(|doubt| doubt.until)
    }

    /// Whether jobs run there whose ends are yet to be heard.
    pub(super) fn awaits_ends(&self, node: &NodeName) -> bool {
        self.allocations.get(node).is_some_and(|allocation| {
            allocation.is_up && allocation.jobs.iter().any(|job| !self.doubts.contains_key(job))
        })
    }

    /// Whether something still runs there, or its end is to be explained.
    pub(super) fn is_in_use(&self, node: &NodeName) -> bool {
        self.allocations.get(node).is_some_and(|it| !it.is_leaving() && !it.jobs.is_empty())
    }

    /// The engine was asked at `asked`, and says that an allocation runs, or is about to end.
    pub(super) fn weigh(&mut self, node: &NodeName, status: &Status, asked: Instant, now: Instant) {
        let is_up = self.allocations.get(node).is_some_and(|it| it.is_up);
        let of_node = |doubt: &&mut Doubt| doubt.node == *node;
        match status {
            Status::Ending => {
                for doubt in self.doubts.values_mut().filter(of_node) {
                    doubt.until = (now + doubt.patience).min(doubt.since + MOST_PATIENCE);
                }
            }
            // One without its agent ends sooner than some engines hear of it.
            Status::Running { .. } if is_up => {
                let mut all = self.doubts.values().filter(|doubt| doubt.node == *node);
                if all.all(|doubt| doubt.seems == Seems::Killed) {
                    self.believe(|doubt| doubt.node == *node && doubt.since <= asked);
                }
            }
            _ => {}
        }
    }

    /// The engine has said nothing for too long.
    pub(super) fn end_doubts(&mut self, now: Instant) {
        self.believe(|doubt| doubt.until <= now);
    }

    fn believe(&mut self, is_it: impl Fn(&Doubt) -> bool) {
        let believed = self.doubts.extract_if(.., |_, doubt| is_it(doubt));
        self.orders.extend(believed.map(|(job, _)| Order::Believe(job)));
    }
}
