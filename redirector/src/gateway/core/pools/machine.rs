//! What allocations there are to be: a machine without clock, engine or files.
//!
//! ```text
//!   what happens ([`Happened`]) ─► note ─┐
//!                                        ├─► decide ─► what is to be done ([`Order`])
//!   the moment, once for each batch ─────┘
//! ```
//!
//! * `per_job`: each queued job has an allocation of its own, which is given back when the job has
//!   ended; another attempt has another one.
//! * `pilot`: so many that not more work waits for each than the pool's backlog, between the
//!   fewest and the most. One that is idle for too long is given back, and one whose end is near
//!   takes no more jobs.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    allocation::{Allocation, Ask, Claim, Stage},
    demand::{Demand, never},
    doubts::{Doubt, Seems},
};
use crate::{
    config::Pool,
    engine::batch::{End, EngineJobId, Refusal, Status},
    model::{JobId, NodeName, Outcome},
};

/// An allocation that was told to leave and is still there after this long is stopped, and what the
/// engine has not stopped is stopped again.
pub(super) const LEAVE: Duration = Duration::from_secs(30);

/// What has happened.
#[derive(Debug)]
pub(super) enum Happened {
    /// A job waits for a node of its pool.
    Queued { job: JobId, ask: Box<Ask> },
    /// A job runs on a node of its pool.
    Started { job: JobId, node: NodeName },
    /// A job needs nothing of its pool any more, or its attempt has ended.
    Ended { job: JobId },
    /// The engine was asked for an allocation.
    Submitted { node: NodeName, result: Result<EngineJobId, Refusal> },
    /// The engine was asked what has become of one that has run for `ran`, and whose own output
    /// ends with these words.
    Told {
        node: NodeName,
        status: Status,
        ran: Option<Duration>,
        last_words: Option<String>,
        asked: Instant,
    },
    /// The engine has ended one, or never will.
    Stopped { node: NodeName, id: EngineJobId },
    /// A job's attempt there is over, and the engine is to say why.
    Doubted { job: JobId, node: NodeName, seems: Seems },
    /// An allocation's agent is connected.
    Up { node: NodeName },
    /// … and is not any more.
    Down { node: NodeName },
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Ask the engine for this allocation.
    Submit(Claim),
    /// Remember what the engine calls it.
    Keep(Claim),
    /// Have the engine end it.
    Stop(NodeName, EngineJobId),
    /// Have its agent leave.
    Leave(NodeName),
    /// Start no more jobs there.
    Drain(NodeName),
    /// Ask engines soon, and not only when it is time to.
    Hasten,
    /// A job has ended as its agent said.
    Believe(JobId),
    /// It has ended so: that is the end of the jobs that ran there, if it explains theirs.
    Judge(Claim, End),
    /// It is gone; whatever runs there still is lost, for this reason.
    Forget { node: NodeName, reason: String, keeps_log: bool },
    /// A job gets no node.
    Conclude(JobId, Outcome),
}

/// A job of a pool.
#[derive(Debug)]
pub(super) struct Wish {
    pub ask: Ask,
    runs: bool,
    /// The allocation that is for it alone.
    pub own: Option<NodeName>,
}

/// All pools.
#[derive(Debug, Default)]
pub(super) struct Machine {
    pub(super) pools: BTreeMap<String, Demand>,
    pub(super) allocations: BTreeMap<NodeName, Allocation>,
    pub(super) jobs: BTreeMap<JobId, Wish>,
    pub(super) doubts: BTreeMap<JobId, Doubt>,
    /// Allocations that nobody here knows any more and that the engine is to end, and when it is
    /// told so again.
    pub(super) dying: BTreeMap<(NodeName, EngineJobId), Instant>,
    /// The number of the latest allocation.
    pub last: u64,
    pub(super) orders: Vec<Order>,
}

impl Machine {
    pub(super) fn new(pools: impl IntoIterator<Item = Arc<Pool>>, last: u64) -> Self {
        let pools = pools.into_iter().map(|pool| (pool.name.clone(), Demand::none(pool))).collect();
        Self { pools, last, ..Self::default() }
    }

    /// Takes over what an earlier gateway had asked for.
    pub(super) fn adopt(&mut self, claim: Claim) {
        let mut allocation = Allocation::new(claim);
        if allocation.claim.id.is_some() {
            allocation.stage = Stage::Granted;
        }
        self.allocations.insert(allocation.claim.node.clone(), allocation);
    }

    /// Parts with what an earlier gateway has asked for and no attempt waits for any more.
    pub(super) fn part_with_all_but(&mut self, is_wanted: impl Fn(JobId, &Claim) -> bool) {
        for allocation in self.allocations.values_mut() {
            let job = allocation.claim.job;
            allocation.is_spent |= job.is_some_and(|job| !is_wanted(job, &allocation.claim));
        }
    }

    pub(super) fn pool(&self, name: &str) -> Option<&Arc<Pool>> {
        self.pools.get(name).map(|demand| &demand.pool)
    }

    /// Whether the engine is being asked for some.
    pub(super) fn is_submitting(&self) -> bool {
        self.allocations.values().any(|it| it.stage == Stage::Submitting)
    }

    /// The nodes of a pool on which a job may be started now or when their agents come.
    pub(super) fn nodes_for(&self, job: JobId, pool: &str, now: Instant) -> Vec<NodeName> {
        let wish = self.jobs.get(&job);
        let limit = wish.and_then(|wish| wish.ask.time_limit);
        let own = wish.and_then(|wish| wish.own.as_ref());
        let is_for_it = |it: &&Allocation| {
            it.claim.pool == pool
                && it.claim.job.is_none_or(|only| only == job && !it.is_spent)
                && !it.is_leaving()
                && !it.is_draining
                && it.has_time_for(limit, now)
        };
        let name = |it: &Allocation| it.claim.node.clone();
        match own {
            Some(own) => {
                self.allocations.get(own).filter(is_for_it).map(name).into_iter().collect()
            }
            None => self.allocations.values().filter(is_for_it).map(name).collect(),
        }
    }

    pub(super) fn allocation(&self, node: &NodeName) -> Option<&Allocation> {
        self.allocations.get(node)
    }

    pub(super) fn allocations(&self) -> impl Iterator<Item = &Allocation> {
        self.allocations.values()
    }

    /// Jobs that have a time limit and wait: the time that is left for them gets shorter.
    pub(super) fn waiting_with_limit(&self) -> Vec<JobId> {
        let has_limit = |(_, wish): &(&JobId, &Wish)| !wish.runs && wish.ask.time_limit.is_some();
        self.jobs.iter().filter(has_limit).map(|(job, _)| *job).collect()
    }

    /// Jobs that wait for a node of this pool.
    pub(super) fn waiting(&self, pool: &str) -> Vec<JobId> {
        self.pools.get(pool).map_or_else(Vec::new, |it| it.waiting.iter().copied().collect())
    }

    pub(super) fn note(&mut self, happened: Happened, now: Instant) {
        match happened {
            Happened::Queued { job, ask } => self.queued(job, *ask),
            Happened::Started { job, node } => self.started(job, &node),
            Happened::Ended { job } => self.ended(job),
            Happened::Submitted { node, result } => self.submitted(&node, result, now),
            Happened::Stopped { node, id } => drop(self.dying.remove(&(node, id))),
            Happened::Doubted { job, node, seems } => self.doubted(job, node, seems, now),
            Happened::Told { node, status, ran, last_words, asked } => {
                if let Some(allocation) = self.allocations.get_mut(&node) {
                    allocation.last_words = last_words;
                }
                self.weigh(&node, &status, asked, now);
                self.told(&node, status, ran, now);
            }
            Happened::Up { node } => {
                let Some(allocation) = self.allocations.get_mut(&node) else { return };
                (allocation.is_up, allocation.has_joined) = (true, true);
                allocation.word = None;
                allocation.runs(Duration::ZERO, now);
                if let Some(demand) = self.pools.get_mut(&allocation.claim.pool) {
                    demand.failures = 0;
                }
            }
            Happened::Down { node } => {
                if self.is_in_use(&node) {
                    self.orders.push(Order::Hasten);
                }
                if let Some(allocation) = self.allocations.get_mut(&node) {
                    allocation.is_up = false;
                }
            }
        }
    }

    fn queued(&mut self, job: JobId, ask: Ask) {
        let Some(demand) = self.pools.get_mut(&ask.pool) else { return };
        if self.jobs.get(&job).is_some_and(|wish| !wish.runs) {
            return;
        }
        if let Some(reason) = never(&demand.pool, &ask) {
            self.orders.push(Order::Conclude(job, Outcome::Refused { reason }));
            return;
        }
        for allocation in self.allocations.values_mut() {
            allocation.jobs.remove(&job);
            // It began with another pool of its list, or with an attempt that is over, when there
            // was another gateway.
            let claim = &allocation.claim;
            allocation.is_spent |= claim.job == Some(job)
                && !(claim.pool == ask.pool && claim.is_for(job, ask.attempt));
        }
        demand.joins(job, &ask);
        let is_own =
            |it: &&Allocation| it.claim.job == Some(job) && !it.is_leaving() && !it.is_spent;
        let own = self.allocations.values().find(is_own).map(|it| it.claim.node.clone());
        if own.is_none() {
            demand.unserved.insert(job);
        }
        self.jobs.insert(job, Wish { ask, runs: false, own });
    }

    /// No longer counts a job among those that wait.
    fn unqueue(&mut self, job: JobId) {
        let Some(wish) = self.jobs.get(&job).filter(|wish| !wish.runs) else { return };
        let Some(demand) = self.pools.get_mut(&wish.ask.pool) else { return };
        demand.leaves(job, &wish.ask);
    }

    fn started(&mut self, job: JobId, node: &NodeName) {
        self.unqueue(job);
        if let Some(wish) = self.jobs.get_mut(&job) {
            wish.runs = true;
        }
        if let Some(allocation) = self.allocations.get_mut(node) {
            allocation.jobs.insert(job);
            allocation.idle_since = None;
        }
    }

    fn ended(&mut self, job: JobId) {
        self.unqueue(job);
        self.jobs.remove(&job);
        self.doubts.remove(&job);
        for allocation in self.allocations.values_mut() {
            allocation.jobs.remove(&job);
            allocation.is_spent |= allocation.claim.job == Some(job);
        }
    }

    fn submitted(&mut self, node: &NodeName, result: Result<EngineJobId, Refusal>, now: Instant) {
        let Some(allocation) = self.allocations.get_mut(node) else { return };
        let Some(demand) = self.pools.get_mut(&allocation.claim.pool) else { return };
        match result {
            Ok(id) => {
                allocation.claim.id = Some(id);
                allocation.word = None;
                if !allocation.is_leaving() {
                    allocation.stage = Stage::Granted;
                }
                self.orders.push(Order::Keep(allocation.claim.clone()));
            }
            Err(Refusal::Temporary(reason) | Refusal::Unsure(reason)) => {
                allocation.word = Some(reason);
                allocation.stage = Stage::Refused;
                demand.busy_until = Some(now + demand.pool.interval);
            }
            Err(Refusal::Permanent(reason)) => {
                demand.pause_until = Some(now + demand.pool.interval * 6);
                let own = allocation.claim.job;
                let jobs = own.map_or_else(|| demand.waiting.clone(), |own| BTreeSet::from([own]));
                let waiting = jobs.intersection(&demand.waiting);
                for job in waiting {
                    let outcome = Outcome::Refused { reason: reason.clone() };
                    self.orders.push(Order::Conclude(*job, outcome));
                }
                let reason = format!("pool '{}' gives no node: {reason}", demand.pool.name);
                tracing::warn!(target: "node", %node, "{reason}");
                self.forget(node, reason);
            }
        }
    }
}
