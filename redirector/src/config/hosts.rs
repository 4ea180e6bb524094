//! `[[hosts]]`: other computers that jobs may run on.

use std::{collections::BTreeMap, time::Duration};

use crate::model::{Amount, NodeName, PoolName, Text};

/// A computer that is reached by ssh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// What it is called as a node.
    pub name: NodeName,
    /// What `ssh` is given: `[user@]name[:port]`, or a name of its own configuration.
    pub address: String,
    /// Cpus for jobs; `None`: as many as its agent finds.
    pub cpus: Option<Amount>,
    /// Memory for jobs in bytes; `None`: as much as its agent finds.
    pub mem: Option<u64>,
    /// Graphics processors; `None`: those that its agent finds.
    pub gpus: Option<u32>,
    /// Whatever else jobs use up, by name.
    pub pools: BTreeMap<PoolName, Amount>,
    /// Most jobs at a time, of all pipelines together; `None`: as many as fit.
    pub max_per_node: Option<u32>,
    /// Lines for `/bin/sh` that prepare it for a command.
    pub setup: Option<String>,
    /// Directories here and what they are called there; the longest that fits counts.
    pub path_map: BTreeMap<Text, Text>,
    /// Variables that are set there (`Some`) or taken away (`None`).
    pub env: BTreeMap<Text, Option<Text>>,
    /// What rules may ask for.
    pub tags: Vec<String>,
    /// Whether inputs are copied there and outputs back.
    pub stage: bool,
}

/// How hosts are reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ssh {
    /// The program and its first arguments.
    pub command: Vec<String>,
    /// After this long without a connection a host is given up, and so are its jobs; its agent
    /// has ended them by then.
    pub lost_after: Duration,
}

impl Default for Ssh {
    fn default() -> Self {
        Self { command: vec!["ssh".to_owned()], lost_after: Duration::from_mins(5) }
    }
}
