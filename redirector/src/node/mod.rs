//! What this computer has for jobs, and how jobs are kept to what they were given.
//!
//! ```text
//! redirector.toml ─► REDIRECTOR_… ─┐ overrides
//!                                  ▼
//! affinity, control groups ─► [cpus]   ─┐
//! /proc/meminfo, control groups ─► [memory] ─┼─► Facts ─► the dispatcher's node,
//! *_VISIBLE_DEVICES, /dev ─► [gpus]    ─┘          'redirector nodes', [pins], [variables]
//! ```
//!
//! Settings have one order everywhere: the environment goes over the files, options of the
//! command line go over both, and what nobody has set is found out.

pub mod before;
mod computer;
mod control_groups;
mod cpus;
mod gpus;
pub mod mapping;
mod memory;
pub mod pins;
pub mod variables;

use std::{collections::BTreeMap, path::Path};

use serde::{Deserialize, Serialize};

pub use gpus::{Gpus, Vendor};

use self::{computer::Computer, pins::Pins};
use crate::{
    config,
    model::{Amount, PoolName, Resources},
    protocol::PoolStatus,
};

/// Fewest pipelines that may run at once, however few cpus there are: a pipeline holds no
/// cpus, and a person may well look at one while another one runs.
const FEWEST_SUPERVISORS: u32 = 4;

/// How much there is of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Capacity {
    /// Pieces: cpus, graphics processors, licences.
    Count(Amount),
    /// Bytes.
    Bytes(u64),
}

impl Capacity {
    /// In the pool's unit: pieces or bytes.
    pub fn as_number(self) -> f64 {
        match self {
            Self::Count(amount) => amount.0 as f64 / Amount::ONE.0 as f64,
            Self::Bytes(bytes) => bytes as f64,
        }
    }
}

/// One thing that jobs use up, and who says how much of it there is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// `cpus`, `mem`, `gpus`, or a name from `[node.pools]`.
    pub name: String,
    /// How much there is.
    pub capacity: Capacity,
    /// For people: a file, a variable, a system call.
    pub origin: String,
}

/// All that is known of this computer as a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// `cpus` and `mem` first, then `gpus` if there are any, then the others by name.
    pub pools: Vec<Pool>,
    /// The cpus that jobs may be pinned to, by the kernel's numbers, neighbours beside each
    /// other; none if jobs are not to be pinned.
    pub cpu_ids: Vec<u32>,
    /// The graphics processors, by the names that their libraries know them by.
    pub gpus: Gpus,
    /// Whether jobs are ended that take more memory than they asked for.
    pub enforce_memory: bool,
    /// Most jobs at a time; `None`: as many as fit.
    pub max_jobs: Option<u32>,
    /// Most pipelines at a time that are jobs themselves and hold nothing.
    pub max_supervisors: u32,
    /// What rules may ask for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
}

impl Facts {
    /// As configured, else as found.
    pub fn detect(settings: &config::Node) -> Self {
        let environment = |name: &str| std::env::var(name).ok();
        let computer = Computer {
            root: Path::new("/"),
            environment: &environment,
            affinity: computer::affinity(),
        };
        Self::of(&computer, settings)
    }

    fn of(computer: &Computer, settings: &config::Node) -> Self {
        let (cpus, cpus_origin) = match settings.cpus.value {
            Some(amount) => (amount, settings.cpus.origin.clone()),
            None => cpus::amount(computer),
        };
        let (mem, mem_origin) = match settings.mem.value {
            Some(bytes) => (bytes, settings.mem.origin.clone()),
            None => memory::amount(computer),
        };
        let mut gpus = gpus::detect(computer);
        if let Some(count) = settings.gpus.value {
            gpus.set_count(count, &settings.gpus.origin);
        }
        let counted = |name: &str, amount: Amount, origin: &str| Pool {
            name: name.to_owned(),
            capacity: Capacity::Count(amount),
            origin: origin.to_owned(),
        };
        let mut pools = vec![
            counted("cpus", cpus, &cpus_origin),
            Pool { name: "mem".to_owned(), capacity: Capacity::Bytes(mem), origin: mem_origin },
        ];
        if !gpus.names.is_empty() {
            pools.push(counted("gpus", Amount::whole(gpus.names.len() as u64), &gpus.origin));
        }
        pools.extend(
            settings
                .pools
                .iter()
                .map(|(name, pool)| counted(name.as_str(), pool.value, &pool.origin)),
        );
        let whole_cpus = u32::try_from(cpus.0 / Amount::ONE.0).unwrap_or(u32::MAX);
        Self {
            pools,
            cpu_ids: if settings.pin.value { cpus::ids(computer) } else { Vec::new() },
            gpus,
            enforce_memory: settings.enforce_memory.value,
            max_jobs: settings.max_jobs.value,
            max_supervisors: settings
                .max_supervisors
                .value
                .unwrap_or(whole_cpus.max(FEWEST_SUPERVISORS)),
            tags: settings.tags.value.clone(),
        }
    }

    /// What the dispatcher counts.
    pub fn resources(&self) -> Resources {
        let mut resources = Resources::NONE;
        for pool in &self.pools {
            match (pool.name.as_str(), pool.capacity) {
                ("cpus", Capacity::Count(amount)) => resources.cpus = amount,
                ("mem", Capacity::Bytes(bytes)) => resources.mem = bytes,
                (name, Capacity::Count(amount)) => {
                    if let Ok(name) = PoolName::new(name) {
                        resources.others.insert(name, amount);
                    }
                }
                (_, Capacity::Bytes(_)) => {}
            }
        }
        resources
    }

    /// What a person says of a host goes over what was found there.
    pub fn override_with(&mut self, host: &config::Host) {
        const ORIGIN: &str = "redirector.toml";
        let counted = |name: &str, amount| Pool {
            name: name.to_owned(),
            capacity: Capacity::Count(amount),
            origin: ORIGIN.to_owned(),
        };
        if let Some(cpus) = host.cpus {
            self.set(counted("cpus", cpus));
        }
        if let Some(mem) = host.mem {
            let (capacity, origin) = (Capacity::Bytes(mem), ORIGIN.to_owned());
            self.set(Pool { name: "mem".to_owned(), capacity, origin });
        }
        if let Some(count) = host.gpus {
            self.gpus.set_count(count, ORIGIN);
            self.set(counted("gpus", Amount::whole(count.into())));
        }
        for (name, amount) in &host.pools {
            self.set(counted(name.as_str(), *amount));
        }
        self.max_jobs = host.max_per_node.or(self.max_jobs);
        self.tags.clone_from(&host.tags);
    }

    fn set(&mut self, pool: Pool) {
        match self.pools.iter_mut().find(|other| other.name == pool.name) {
            Some(other) => *other = pool,
            None => self.pools.push(pool),
        }
    }

    /// The pools that come in pieces of which each job is told which it has, and how many.
    pub fn indexed(&self) -> BTreeMap<PoolName, u32> {
        let count = self.gpus.names.len() as u32;
        let gpus = PoolName::new("gpus").ok().filter(|_| count > 0);
        gpus.map(|gpus| (gpus, count)).into_iter().collect()
    }

    /// For `GET /v1/nodes`; `used` says how much of a pool jobs hold, in the pool's unit.
    pub fn pool_statuses(&self, used: impl Fn(&str) -> f64) -> Vec<PoolStatus> {
        let status = |pool: &Pool| PoolStatus {
            pool: pool.name.clone(),
            capacity: pool.capacity.as_number(),
            used: used(&pool.name),
            origin: pool.origin.clone(),
        };
        self.pools.iter().map(status).collect()
    }

    /// All cpus that jobs may be pinned to, free.
    pub fn pins(&self) -> Pins {
        Pins::new(self.cpu_ids.clone())
    }
}

#[cfg(test)]
mod tests;
