//! How allocations end: what their engine says of them, and what that is for the jobs that wait.

use std::time::{Duration, Instant};

use super::machine::{LEAVE, Machine, Order};
use crate::{
    engine::batch::{End, EngineJobId, Status},
    model::{NodeName, Outcome},
};

/// So many allocations in a row may end before their agents have come.
const MOST_FAILURES: u32 = 3;

impl Machine {
    /// An engine has said what has become of an allocation.
    pub(super) fn told(
        &mut self,
        node: &NodeName,
        status: Status,
        ran: Option<Duration>,
        now: Instant,
    ) {
        let awaits_ends = self.awaits_ends(node);
        let Some(allocation) = self.allocations.get_mut(node) else { return };
        let was_missed = std::mem::take(&mut allocation.is_missed);
        match status {
            Status::Pending { reason } | Status::Unknown { reason } => {
                allocation.word = Some(reason).filter(|reason| !reason.is_empty());
            }
            Status::Running { .. } => {
                allocation.word = None;
                allocation.runs(ran.unwrap_or_default(), now);
            }
            Status::Ending => allocation.word = Some("it is ending".to_owned()),
            Status::Ended(end) => {
                // The engine may still have it, held or to be begun once more.
                if matches!(end, End::Requeued | End::Failed(_)) {
                    self.have_ended(node, now);
                }
                // The last words of its agent may be under way.
                if awaits_ends && !was_missed {
                    self.miss(node);
                } else {
                    self.gone(node, &end, now);
                }
            }
            Status::Forgotten if allocation.is_up && !allocation.is_leaving() => {
                allocation.word = Some("the engine does not list it".to_owned());
            }
            // It may have ended just now, and be in the accounts only in a while.
            Status::Forgotten if was_missed || allocation.is_leaving() => {
                // What an engine does not list it may have, as a partition that it hides.
                self.have_ended(node, now);
                let end = End::Failed("the engine knows nothing of it any more".to_owned());
                self.gone(node, &end, now);
            }
            Status::Forgotten => allocation.is_missed = true,
        }
    }

    fn miss(&mut self, node: &NodeName) {
        if let Some(allocation) = self.allocations.get_mut(node) {
            allocation.is_missed = true;
        }
    }

    /// Has the engine end what it calls an allocation, until it says that it has.
    fn have_ended(&mut self, node: &NodeName, now: Instant) {
        if let Some(id) = self.allocations.get(node).and_then(|it| it.claim.id.clone()) {
            self.end_stranger(node.clone(), id, now);
        }
    }

    /// Has the engine end what nobody here knows.
    pub(super) fn end_stranger(&mut self, node: NodeName, id: EngineJobId, now: Instant) {
        self.dying.insert((node.clone(), id.clone()), now + LEAVE);
        self.orders.push(Order::Stop(node, id));
    }

    /// An allocation is no more.
    fn gone(&mut self, node: &NodeName, end: &End, now: Instant) {
        let Some(allocation) = self.allocations.get(node) else { return };
        let Some(demand) = self.pools.get_mut(&allocation.claim.pool) else { return };
        let engine = demand.pool.engine.word();
        let id = allocation.claim.id.as_ref().map_or_else(String::new, ToString::to_string);
        let is_own_doing = allocation.is_leaving() || allocation.has_joined || allocation.is_spent;
        let words = allocation.last_words.as_ref().filter(|_| !is_own_doing);
        let words = words.map_or_else(String::new, |words| format!("; it said: {words}"));
        let reason = format!("allocation {node} ({engine} job {id}) {end}{words}");
        // One that is spent is followed by another one already, or its job waits elsewhere.
        let own = allocation.claim.job.filter(|_| !allocation.is_spent);
        let own = own.filter(|job| demand.waiting.contains(job));
        let is_used = !allocation.jobs.is_empty();
        let judged = is_used.then(|| Order::Judge(allocation.claim.clone(), end.clone()));
        if !is_own_doing {
            demand.failures += 1;
            demand.pause_until = Some(now + demand.pool.interval * 6);
        }
        let says_nothing_of_others =
            matches!(end, End::NodeFailure | End::Preempted | End::Requeued | End::NotBegun(_));
        let is_worth_another = says_nothing_of_others && demand.failures < MOST_FAILURES;
        match own {
            Some(job) if is_own_doing || is_worth_another => drop(demand.unserved.insert(job)),
            Some(job) => {
                let reason = format!("{reason} before the job could start");
                self.orders.push(Order::Conclude(job, without_start(end, reason)));
            }
            None if is_own_doing || demand.failures < MOST_FAILURES => {}
            None => {
                for job in &demand.waiting {
                    let reason = format!(
                        "{MOST_FAILURES} allocations of pool '{}' in a row ended before their agents \
                         came; the latest: {reason}",
                        demand.pool.name
                    );
                    self.orders.push(Order::Conclude(*job, without_start(end, reason)));
                }
                demand.failures = 0;
            }
        }
        self.orders.extend(judged);
        self.allocations.remove(node);
        let forgotten = Order::Forget { node: node.clone(), reason, keeps_log: !is_own_doing };
        self.orders.push(forgotten);
    }

    pub(super) fn forget(&mut self, node: &NodeName, reason: String) {
        self.allocations.remove(node);
        self.orders.push(Order::Forget { node: node.clone(), reason, keeps_log: false });
    }
}

/// How a job ends whose allocation ended before it could start.
fn without_start(end: &End, reason: String) -> Outcome {
    match end {
        End::Cancelled { .. } => Outcome::Cancelled { reason },
        _ => Outcome::Refused { reason },
    }
}
