//! `[[pools]]`: nodes that a batch engine lends, one allocation for each job or for many.

mod fit;
mod shown;

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use crate::model::{Amount, EngineOptions, Text};

/// Often enough for people, and seldom enough for an engine that others use too.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(10);

/// A named set of nodes that an engine allocates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// What rules call it: `pool=NAME`.
    pub name: String,
    /// What is asked for allocations, and how.
    pub engine: Engine,
    /// How many jobs an allocation serves.
    pub mode: PoolMode,
    /// What every allocation asks for; a rule's options go over them.
    pub options: EngineOptions,
    /// Longest time of an allocation for which no rule names a time; `None`: the engine's default.
    pub walltime: Option<Duration>,
    /// An allocation for one job is started the way that begins soonest (Slurm).
    pub immediate: bool,
    /// The time between two queries for the states of all allocations.
    pub interval: Duration,
    /// Variables of the engine's own programs, such as `SLURM_CONF`; `None` takes one away.
    pub engine_env: BTreeMap<Text, Option<Text>>,
    /// Lines for `/bin/sh` that prepare an allocation's node for a command.
    pub setup: Option<String>,
    /// Directories here and what they are called there; the longest that fits counts.
    pub path_map: BTreeMap<Text, Text>,
    /// Variables that jobs have there (`Some`) or do not have (`None`).
    pub env: BTreeMap<Text, Option<Text>>,
    /// What rules may ask for.
    pub tags: Vec<String>,
}

impl Pool {
    /// One with nothing but defaults.
    pub fn minimal(name: &str, engine: Engine, mode: PoolMode) -> Self {
        Self {
            name: name.to_owned(),
            engine,
            mode,
            options: EngineOptions::default(),
            walltime: None,
            immediate: true,
            interval: DEFAULT_INTERVAL,
            engine_env: BTreeMap::new(),
            setup: None,
            path_map: BTreeMap::new(),
            env: BTreeMap::new(),
            tags: Vec::new(),
        }
    }
}

/// What allocates nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Engine {
    /// Slurm, by its programs or by slurmrestd.
    Slurm {
        /// slurmrestd, where that is to be asked; else `sbatch`, `squeue`, `scancel`.
        rest: Option<RestAddress>,
    },
    /// Grid Engine, by `qsub`, `qstat`, `qdel`, `qacct`.
    GridEngine {
        /// The resource that limits memory for each slot, such as `h_vmem`; without it memory is
        /// not asked for.
        memory_resource: Option<String>,
        /// The resource that counts graphics processors for each slot.
        gpu_resource: Option<String>,
    },
    /// Whatever commands of the configuration start, list and stop.
    Command(Templates),
}

impl Engine {
    /// The word for it, as in the file.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Slurm { .. } => "slurm",
            Self::GridEngine { .. } => "gridengine",
            Self::Command(_) => "command",
        }
    }
}

/// Where slurmrestd answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestAddress {
    /// `http://host:6820`, without the version's path.
    pub url: String,
    /// The version of its interface, such as `v0.0.38`.
    pub version: String,
}

/// What to run, and how to read what it prints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Templates {
    /// Words that hand a script in; a word may have `{script}`, `{cpus}`, … in it.
    pub submit: Vec<String>,
    /// Words that list jobs, `{ids}` all in one call, or `{id}` one in each.
    pub status: Vec<String>,
    /// Words that end jobs, `{ids}` or `{id}`.
    pub cancel: Vec<String>,
    /// Finds the id (its first group) in what `submit` prints; `None`: the last word.
    pub id_pattern: Option<String>,
    /// Finds a job in a line that `status` prints, by the groups `id`, `state` and, where there
    /// are any, `exit`, `host` and `reason`; `None`: words in the order id, state, exit.
    pub status_pattern: Option<String>,
    /// What the words for states mean, over those that are known.
    pub states: BTreeMap<String, StateWord>,
}

/// What a state of another engine means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StateWord {
    /// Waits.
    Pending,
    /// Runs.
    Running,
    /// Has ended; by its exit status, or with success if none is told.
    Done,
    /// Has failed; by its exit status if one is told.
    Failed,
    /// Somebody has ended it.
    Cancelled,
    /// It ran too long.
    TimeLimit,
    /// It took too much memory.
    OutOfMemory,
    /// Its node is gone.
    NodeFailure,
    /// It had to make room.
    Preempted,
}

/// How many jobs an allocation serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PoolMode {
    /// One, with its own cpus, memory and time.
    PerJob,
    /// Many.
    Pilot(Pilot),
}

impl PoolMode {
    /// The word for it, as in the file.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::PerJob => "per_job",
            Self::Pilot(_) => "pilot",
        }
    }
}

/// Allocations that serve many jobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pilot {
    /// Allocations that there always are.
    pub min_blocks: u32,
    /// Most allocations at a time.
    pub max_blocks: u32,
    /// Cpus of each.
    pub cpus: u32,
    /// Memory of each in bytes; `None`: what the engine gives.
    pub mem: Option<u64>,
    /// Graphics processors of each.
    pub gpus: u32,
    /// How long each lasts.
    pub walltime: Duration,
    /// One without jobs for this long is given back.
    pub idle_timeout: Duration,
    /// Further ones are asked for when this much work waits for each that is there, as a share
    /// of what one holds.
    pub backlog: Amount,
}
