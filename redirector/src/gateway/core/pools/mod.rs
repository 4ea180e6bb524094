//! Pools of a batch engine: allocations become nodes.
//!
//! ```text
//!   queued job with `pool=long` ─► [`machine`] ─► Submit ─► [`engines`] ─► sbatch … agent --join
//!                                     ▲                                         │
//!                                     │ Up                                      ▼ TCP
//!                               agent_up ◄── agents::converse ◄── joins ◄── engine::join
//! ```
//!
//! An allocation is a node from the moment at which it is asked for, named `<pool>-<number>`. Its
//! agent, which the engine starts, connects to this gateway; from there on it is as any host's.
//! Only jobs whose rule names the pool run there, and with `per_job` only the one job for which
//! it was asked.
//!
//! What has to outlive this gateway is in files ([`kept`]). After a restart the engine is asked
//! which of its jobs carry this gateway's mark; those that nobody knows are stopped.

mod allocation;
mod answers;
mod decisions;
mod demand;
mod doubts;
mod endings;
mod engines;
mod kept;
mod lists;
mod machine;
mod orders;
mod start;
mod testimony;
#[cfg(test)]
mod tests;
mod turns;
mod verdicts;
mod words;

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
    time::{Duration, Instant},
};

pub(in crate::gateway) use self::engines::Answer;
pub(super) use self::lists::{Next, Refused};
use self::{
    allocation::Ask,
    engines::Engines,
    kept::Kept,
    machine::{Happened, Machine},
    testimony::Testimony,
    turns::Turn,
};
use super::{Core, sites::Need};
use crate::{
    engine::{batch::Refusal, join::Joining},
    model::{JobId, NodeName, Outcome, Text},
};

/// What the core has of the pools of its configuration, if there are any.
pub(super) struct Pools {
    machine: Machine,
    engines: Engines,
    /// Pools whose settings make no engine.
    troubles: BTreeMap<String, Refusal>,
    kept: Kept,
    testimony: Testimony,
    /// `None`: it could not be started, so that no pool can be used.
    joining: Option<Joining>,
    /// Allocations that the engine may have taken already.
    unsure: BTreeSet<NodeName>,
    /// Engines that have yet to say which of their jobs are this gateway's.
    unsearched: BTreeSet<usize>,
    /// When each engine is asked.
    turns: Vec<Turn>,
    wake: Option<Instant>,
}

impl Core {
    /// Whether a job's pool is one of the configuration's, so that nodes come when they are needed.
    pub(super) fn has_pool(&self, need: &Need) -> bool {
        self.pools.as_ref().is_some_and(|pools| pools.asked_by(need).is_some())
    }

    /// Whether a job cannot just run here, because it names a pool of the configuration, or several
    /// of which one may be.
    pub(super) fn may_need_pool(&self, need: &Need) -> bool {
        self.pools.is_some() && need.has_list() || self.has_pool(need)
    }

    /// Why none of the nodes that are here anyway stands in for the pool of a list whose turn it
    /// is, if that has to be said.
    pub(super) fn why_not_this_pool(&self, need: &Need) -> Option<String> {
        let pool = need.pool().filter(|_| need.has_list())?;
        if need.is_bound {
            return Some("what comes out of it can only run on the gateway's node".to_owned());
        }
        let has_tag = |tags: &[String]| tags.contains(pool);
        let mut nodes = self.fleet.all().map(|(_, node)| node);
        let is_tag = nodes.any(|node| match &node.host {
            Some(remote) => has_tag(&remote.host.tags),
            None => node.facts.as_ref().is_some_and(|facts| has_tag(&facts.tags)),
        });
        (!is_tag).then(|| {
            "redirector.toml has no pool of this name that is enabled, and no node has it among its \
             tags"
                .to_owned()
        })
    }

    fn note(&mut self, happened: Happened) {
        if let Some(pools) = &mut self.pools {
            pools.machine.note(happened, Instant::now());
        }
    }

    /// A job is queued: it may be one that needs a node of a pool.
    /// `Break`: that is not so any more, because its pool refuses all.
    pub(super) fn wish_for_node(&mut self, job: JobId) -> ControlFlow<()> {
        let asked = || {
            let (pools, live) = (self.pools.as_ref()?, self.live.get(&job)?);
            let need = live.need.as_ref()?;
            Some((pools, live, need, pools.asked_by(need)?))
        };
        let Some((pools, live, need, pool)) = asked() else { return ControlFlow::Continue(()) };
        if let Some(trouble) = pools.troubles.get(pool) {
            let reason = format!("it cannot be used: {trouble}");
            self.conclude_unplaced(job, Outcome::Refused { reason });
            return ControlFlow::Break(());
        }
        let what = need.rule.as_ref().map_or(&need.program, |rule| &rule.pattern);
        let ask = Ask {
            pool: pool.to_owned(),
            name: format!("run{}.{}", live.run, last_of_path(what)),
            attempt: live.attempt,
            resources: live.request.resources.clone(),
            time_limit: live.request.time_limit.map(Duration::from_millis),
            options: need.placement.options.clone(),
        };
        self.note(Happened::Queued { job, ask: Box::new(ask) });
        ControlFlow::Continue(())
    }

    /// All jobs that an earlier gateway has left are known: what it has asked for others is given
    /// back.
    pub(super) fn part_with_old_allocations(&mut self) {
        let Some(pools) = &mut self.pools else { return };
        let live = &self.live;
        pools.machine.part_with_all_but(|job, claim| {
            live.get(&job).is_some_and(|live| claim.is_for(job, live.attempt))
        });
    }

    /// A job has begun on a node, which may be an allocation.
    pub(super) fn note_start(&mut self, job: JobId, node: &NodeName) {
        if self.pools.is_some() {
            self.note(Happened::Started { job, node: node.clone() });
        }
    }

    /// A job's attempt is over, or it is not to have one now.
    pub(super) fn note_end(&mut self, job: JobId) {
        self.forget_testimony(job);
        self.note(Happened::Ended { job });
    }

    /// A node's agent has come or gone.
    pub(super) fn note_link(&mut self, node: &NodeName, is_up: bool) {
        let node = node.clone();
        self.note(if is_up { Happened::Up { node } } else { Happened::Down { node } });
    }

    /// The nodes of which a job of a pool may have one, at this moment; `None`: it is no such job.
    pub(super) fn lent_to(&self, job: JobId, need: &Need) -> Option<Vec<NodeName>> {
        let pools = self.pools.as_ref()?;
        let pool = pools.asked_by(need)?;
        Some(pools.machine.nodes_for(job, pool, Instant::now()))
    }

    /// Jobs for which a node was asked for, if it is an allocation.
    pub(super) fn borrowers(&self, node: &NodeName) -> Option<Vec<JobId>> {
        let machine = &self.pools.as_ref()?.machine;
        let claim = &machine.allocation(node)?.claim;
        Some(claim.job.map_or_else(|| machine.waiting(&claim.pool), |job| vec![job]))
    }

    /// When there is something to be done for pools.
    pub(super) fn next_of_pools(&self) -> Option<Instant> {
        self.pools.as_ref().and_then(|pools| pools.wake)
    }

    /// Does what has to be done for pools.
    pub(super) fn tend_pools(&mut self) {
        let now = Instant::now();
        while let Some(pools) = &mut self.pools {
            let serving: BTreeSet<_> = self.served.values().map(|(node, _)| node).collect();
            let orders = pools.machine.decide(now, |node| serving.contains(node));
            if orders.is_empty() {
                break;
            }
            for order in orders {
                self.carry_out(order);
            }
        }
        let Some(pools) = &mut self.pools else { return };
        let is_asked = pools.ask(&self.setup.gateway_id, now);
        pools.wake = pools.machine.next(now).into_iter().chain(pools.due()).min();
        if is_asked {
            // There is less time left for them than before.
            let limited = pools.machine.waiting_with_limit();
            self.unsettled.reconsider(limited);
            self.settle_all();
        }
    }
}

/// `/opt/bin/bwa mem` as people know it: `bwa mem`.
fn last_of_path(program: &Text) -> String {
    let text = String::from_utf8_lossy(program.as_bytes()).into_owned();
    let (first, rest) = text.split_once(' ').map_or((&*text, None), |(it, rest)| (it, Some(rest)));
    let last = first.rsplit('/').next().unwrap_or(first);
    rest.map_or_else(|| last.to_owned(), |rest| format!("{last} {rest}"))
}
