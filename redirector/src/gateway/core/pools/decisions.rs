//! What is to be done at a moment: ask engines once more, give back what is needless, ask for more.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Instant,
};

use super::{
    allocation::{Allocation, Claim, Size, Stage},
    demand::{Demand, blocks},
    lists::once_for_each_job,
    machine::{LEAVE, Machine, Order},
};
use crate::{
    config::{Pool, PoolMode},
    model::{Amount, EngineOptions, JobId, NodeName, Resources},
};

/// Requests that an engine has refused before and that are repeated at the same time.
const AGAIN_AT_ONCE: usize = 8;

impl Machine {
    /// What is to be done at this moment. `serves` tells of nodes that still have output for
    /// somebody.
    pub(super) fn decide(
        &mut self,
        now: Instant,
        serves: impl Fn(&NodeName) -> bool,
    ) -> Vec<Order> {
        self.end_doubts(now);
        self.end_again(now);
        self.ask_again(now);
        self.give_back(now, serves);
        for name in self.pools.keys().cloned().collect::<Vec<_>>() {
            self.ask_for_more(&name, now);
        }
        once_for_each_job(std::mem::take(&mut self.orders))
    }

    /// Repeats what the engine was told of allocations that are known no more.
    fn end_again(&mut self, now: Instant) {
        for ((node, id), again) in &mut self.dying {
            if *again <= now {
                *again = now + LEAVE;
                self.orders.push(Order::Stop(node.clone(), id.clone()));
            }
        }
    }

    /// Asks for what the engine did not take: the oldest first, so that none is overtaken for ever, and
    /// few at a time, because the engine has said that it has too much to do.
    fn ask_again(&mut self, now: Instant) {
        for (pool, demand) in &self.pools {
            if demand.busy_until.is_some_and(|until| now < until) {
                continue;
            }
            let of_pool = self.allocations.values_mut().filter(|it| it.claim.pool == *pool);
            let (mut refused, mut under_way) = (Vec::new(), 0);
            for allocation in of_pool {
                match allocation.stage {
                    // One whose agent has come was taken, whatever the engine said.
                    Stage::Refused if !allocation.is_spent && !allocation.is_up => {
                        refused.push(allocation);
                    }
                    Stage::Submitting => under_way += 1,
                    _ => {}
                }
            }
            refused.sort_by_key(|allocation| allocation.claim.number());
            for allocation in refused.into_iter().take(AGAIN_AT_ONCE.saturating_sub(under_way)) {
                allocation.stage = Stage::Submitting;
                self.orders.push(Order::Submit(allocation.claim.clone()));
            }
        }
    }

    /// Parts with what is no longer needed.
    fn give_back(&mut self, now: Instant, serves: impl Fn(&NodeName) -> bool) {
        for demand in self.pools.values_mut() {
            let is_quiet = demand.waiting.is_empty();
            demand.quiet_since = is_quiet.then(|| demand.quiet_since.unwrap_or(now));
        }
        let mut counts = self.counts();
        let starved = self.starved(now);
        let mut never_taken = Vec::new();
        for (node, allocation) in &mut self.allocations {
            let Some(demand) = self.pools.get(&allocation.claim.pool) else { continue };
            if let Stage::Leaving { stop_at } = &mut allocation.stage {
                match &allocation.claim.id {
                    Some(id) if *stop_at <= now => {
                        *stop_at = now + LEAVE;
                        self.orders.push(Order::Stop(node.clone(), id.clone()));
                    }
                    None if !allocation.is_up => never_taken.push(node.clone()),
                    Some(_) | None => {}
                }
                continue;
            }
            if !allocation.jobs.is_empty() || serves(node) {
                allocation.idle_since = None;
            } else {
                allocation.idle_since.get_or_insert(now);
            }
            let is_needless = match &demand.pool.mode {
                PoolMode::PerJob => allocation.is_spent,
                PoolMode::Pilot(pilot) => {
                    let is_near_end = allocation.drains_at().is_some_and(|at| at <= now);
                    let count = counts.entry(demand.pool.name.clone()).or_default();
                    // Another one in its place has the time that somebody asks for.
                    let is_in_the_way = starved.contains(&demand.pool.name)
                        && *count >= pilot.max_blocks
                        && allocation.idle_since.is_some();
                    if (is_near_end || is_in_the_way) && !allocation.is_draining {
                        *count -= u32::from(is_in_the_way);
                        allocation.is_draining = true;
                        self.orders.push(Order::Drain(node.clone()));
                    }
                    let has_passed = |since: Option<Instant>| {
                        since.is_some_and(|since| since + pilot.idle_timeout <= now)
                    };
                    let is_unused =
                        has_passed(demand.quiet_since) && has_passed(allocation.idle_since);
                    let is_left_over = is_unused && *count > pilot.min_blocks;
                    *count -= u32::from(is_left_over);
                    allocation.is_draining || is_left_over
                }
            };
            if !is_needless || allocation.idle_since.is_none() {
                continue;
            }
            match (allocation.stage, &allocation.claim.id) {
                // The engine's answer will come.
                (Stage::Submitting, _) => {}
                _ if allocation.is_up => {
                    allocation.stage = Stage::Leaving { stop_at: now + LEAVE };
                    self.orders.push(Order::Leave(node.clone()));
                }
                (_, None) => never_taken.push(node.clone()),
                (_, Some(id)) => {
                    allocation.stage = Stage::Leaving { stop_at: now + LEAVE };
                    self.orders.push(Order::Stop(node.clone(), id.clone()));
                }
            }
        }
        for node in never_taken {
            self.forget(&node, "it is no longer needed".to_owned());
        }
    }

    /// How many allocations of each pool take jobs, now or when they come.
    fn counts(&self) -> BTreeMap<String, u32> {
        let mut counts = BTreeMap::new();
        let all = self.allocations.values();
        for allocation in all.filter(|it| !it.is_leaving() && !it.is_draining) {
            *counts.entry(allocation.claim.pool.clone()).or_default() += 1;
        }
        counts
    }

    /// Pools of which no allocation lasts long enough for some job that waits.
    fn starved(&self, now: Instant) -> BTreeSet<String> {
        let is_starved = |(name, demand): &(&String, &Demand)| {
            let longest = demand.longest();
            let lasts = |it: &Allocation| {
                it.claim.pool == **name
                    && !it.is_leaving()
                    && !it.is_draining
                    && it.has_time_for(longest, now)
            };
            longest.is_some() && !self.allocations.values().any(lasts)
        };
        self.pools.iter().filter(is_starved).map(|(name, _)| name.clone()).collect()
    }

    fn ask_for_more(&mut self, name: &str, now: Instant) {
        let usable = self.counts().remove(name).unwrap_or_default();
        let mut is_starved = self.starved(now).contains(name);
        let Some(demand) = self.pools.get_mut(name) else { return };
        let is_paused = demand.pause_until.is_some_and(|until| now < until);
        let pool = Arc::clone(&demand.pool);
        match &pool.mode {
            PoolMode::PerJob => {
                for job in std::mem::take(&mut demand.unserved) {
                    let Some(ask) = self.jobs.get(&job).map(|wish| &wish.ask) else { continue };
                    let size = Size::of_job(ask, pool.walltime);
                    let (name, options) = (ask.name.clone(), ask.options.clone());
                    let only = Some((job, ask.attempt));
                    let node = self.submit(&pool, Some(name), only, size, options);
                    if let Some(wish) = self.jobs.get_mut(&job) {
                        wish.own = Some(node);
                    }
                }
            }
            PoolMode::Pilot(pilot) => {
                demand.unserved.clear();
                let (waits, mut usable) = (!demand.waiting.is_empty(), usable);
                let backlog = blocks(&demand.load, pilot);
                if is_paused && !waits {
                    return;
                }
                let of_pool = |it: &&Allocation| it.claim.pool == name;
                let mut all = self.allocations.values().filter(of_pool).count() as u32;
                let share = pilot.backlog.0 as f64 / Amount::ONE.0 as f64;
                while all < pilot.max_blocks
                    && (usable < pilot.min_blocks
                        || waits && (usable == 0 || backlog > share * f64::from(usable))
                        || is_starved)
                {
                    is_starved = false;
                    let size = Size {
                        cpus: pilot.cpus,
                        mem: pilot.mem,
                        gpus: pilot.gpus,
                        others: Resources::NONE,
                        walltime: Some(pilot.walltime),
                    };
                    self.submit(&pool, None, None, size, EngineOptions::default());
                    (all, usable) = (all + 1, usable + 1);
                }
            }
        }
    }

    fn submit(
        &mut self,
        pool: &Pool,
        name: Option<String>,
        only: Option<(JobId, u32)>,
        size: Size,
        options: EngineOptions,
    ) -> NodeName {
        self.last += 1;
        let node = NodeName(format!("{}-{}", pool.name, self.last));
        let name = name.unwrap_or_else(|| format!("{node}.pilot"));
        let (job, attempt) = only.unzip();
        let attempt = attempt.unwrap_or_default();
        let pool = pool.name.clone();
        let claim = Claim { node: node.clone(), pool, name, job, attempt, size, options, id: None };
        self.allocations.insert(node.clone(), Allocation::new(claim.clone()));
        self.orders.push(Order::Submit(claim));
        node
    }

    /// When something is to be decided although nothing happens.
    pub(super) fn next(&self, now: Instant) -> Option<Instant> {
        let of_allocations = self.allocations.values().flat_map(|allocation| {
            let demand = self.pools.get(&allocation.claim.pool);
            let staged = match allocation.stage {
                Stage::Refused => demand.and_then(|demand| demand.busy_until),
                Stage::Leaving { stop_at } => Some(stop_at),
                Stage::Submitting | Stage::Granted => None,
            };
            let pilot = demand.and_then(|demand| match &demand.pool.mode {
                PoolMode::Pilot(pilot) => Some((demand, pilot)),
                PoolMode::PerJob => None,
            });
            let idle = pilot.and_then(|(demand, pilot)| {
                Some(demand.quiet_since?.max(allocation.idle_since?) + pilot.idle_timeout)
            });
            let drains = pilot.and_then(|_| allocation.drains_at());
            [staged, idle, drains].into_iter().flatten()
        });
        let pauses = self.pools.values().filter_map(|demand| demand.pause_until);
        let doubts = self.doubts.values().map(|doubt| doubt.until);
        let again = self.dying.values().copied();
        of_allocations.chain(pauses).chain(doubts).chain(again).filter(|at| *at > now).min()
    }
}
