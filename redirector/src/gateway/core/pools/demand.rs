//! What waits for a pool, and how much of the pool that is.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use super::allocation::{Ask, fits_in_time};
use crate::{
    config::{Pilot, Pool, PoolMode},
    model::{Amount, JobId, PoolName, Resources},
    units::format_duration,
};

/// A pool, and what waits for it.
#[derive(Debug)]
pub(super) struct Demand {
    pub pool: Arc<Pool>,
    /// Jobs that wait for a node.
    pub waiting: BTreeSet<JobId>,
    /// What they ask for together.
    pub load: Resources,
    /// The longest times of those that have one, and of how many jobs each is.
    limits: BTreeMap<Duration, usize>,
    /// Jobs that have yet to get an allocation of their own.
    pub unserved: BTreeSet<JobId>,
    /// Since when none waits.
    pub quiet_since: Option<Instant>,
    /// Allocations in a row that ended before their agents came.
    pub failures: u32,
    /// What the engine did not take for now is not asked for again before then.
    pub busy_until: Option<Instant>,
    /// Nothing is asked for before then, unless a job waits.
    pub pause_until: Option<Instant>,
}

impl Demand {
    /// Nothing waits for `pool`.
    pub(super) fn none(pool: Arc<Pool>) -> Self {
        Self {
            pool,
            waiting: BTreeSet::new(),
            load: Resources::NONE,
            limits: BTreeMap::new(),
            unserved: BTreeSet::new(),
            quiet_since: None,
            failures: 0,
            busy_until: None,
            pause_until: None,
        }
    }

    /// A job waits from now on.
    pub(super) fn joins(&mut self, job: JobId, ask: &Ask) {
        if self.waiting.insert(job) {
            add(&mut self.load, &ask.resources);
            if let Some(limit) = ask.time_limit {
                *self.limits.entry(limit).or_default() += 1;
            }
        }
    }

    /// … and does not any more.
    pub(super) fn leaves(&mut self, job: JobId, ask: &Ask) {
        self.unserved.remove(&job);
        if !self.waiting.remove(&job) {
            return;
        }
        subtract(&mut self.load, &ask.resources);
        if let Some(limit) = ask.time_limit
            && let Some(count) = self.limits.get_mut(&limit)
        {
            *count -= 1;
            if *count == 0 {
                self.limits.remove(&limit);
            }
        }
    }

    /// The longest that a job may take that waits, of those that say so.
    pub(super) fn longest(&self) -> Option<Duration> {
        self.limits.last_key_value().map(|(limit, _)| *limit)
    }
}

/// Why a job never gets a node of a pool, if so.
pub(super) fn never(pool: &Pool, ask: &Ask) -> Option<String> {
    if let Some(reason) = pool.why_not(&ask.options) {
        return Some(reason);
    }
    let PoolMode::Pilot(pilot) = &pool.mode else { return None };
    let most = Resources {
        cpus: Amount::whole(pilot.cpus.into()),
        mem: pilot.mem.unwrap_or(u64::MAX),
        others: PoolName::new("gpus")
            .map(|gpus| [(gpus, Amount::whole(pilot.gpus.into()))].into())
            .unwrap_or_default(),
    };
    if let Some(short) = ask.resources.first_short(&most) {
        let (wants, has) = (ask.resources.of(&short), most.of(&short));
        return Some(format!(
            "it asks for {}, and each allocation of pool '{}' has {}",
            short.describe(wants),
            pool.name,
            short.describe(has),
        ));
    }
    (!fits_in_time(ask.time_limit, pilot.walltime)).then(|| {
        format!(
            "it may take {}, and allocations of pool '{}' last {}, a minute of which is for coming and going",
            format_duration(ask.time_limit.unwrap_or_default()),
            pool.name,
            format_duration(pilot.walltime)
        )
    })
}

/// How many allocations hold so much.
pub(super) fn blocks(load: &Resources, pilot: &Pilot) -> f64 {
    let cpus = load.cpus.0 as f64 / Amount::whole(pilot.cpus.into()).0 as f64;
    let mem = pilot.mem.map_or(0.0, |mem| load.mem as f64 / mem as f64);
    let gpus = load.others.iter().find(|(name, _)| name.as_str() == "gpus");
    let gpus = gpus
        .filter(|_| pilot.gpus > 0)
        .map_or(0.0, |(_, amount)| amount.0 as f64 / Amount::whole(pilot.gpus.into()).0 as f64);
    cpus.max(mem).max(gpus)
}

fn add(sum: &mut Resources, part: &Resources) {
    sum.cpus.0 += part.cpus.0;
    sum.mem = sum.mem.saturating_add(part.mem);
    for (name, amount) in &part.others {
        sum.others.entry(name.clone()).or_insert(Amount(0)).0 += amount.0;
    }
}

fn subtract(sum: &mut Resources, part: &Resources) {
    sum.cpus.0 = sum.cpus.0.saturating_sub(part.cpus.0);
    sum.mem = sum.mem.saturating_sub(part.mem);
    for (name, amount) in &part.others {
        if let Some(sum) = sum.others.get_mut(name) {
            sum.0 = sum.0.saturating_sub(amount.0);
        }
    }
}
