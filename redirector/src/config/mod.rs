//! `redirector.toml`: defaults, then the file, then the computer's own file beside
//! it, then the environment; every value knows where it came from.
//!
//! ```toml
//! [gateway]
//! idle_timeout = "10m"       # leave after this long without jobs
//! durability   = "process"   # or "full": sync every batch to the disk
//! keep_for     = "90d"       # forget runs that ended longer ago, but
//! keep         = 1000        # not the latest so many; both unset: forget nothing
//! address      = "login2:7007"   # where agents of pools reach it; else wherever they can
//! rendezvous   = "auto"      # or "always", "never": whether they come through a directory instead
//!
//! [node]
//! cpus = 8                   # cpus, mem and gpus are found out where not given
//! mem  = "32G"
//! gpus = 2
//! pin  = true                # jobs with whole cpus keep to cpus of their own
//! enforce_memory = true      # jobs that take more memory than they asked for are ended
//! max_jobs = 100             # at a time; as many as fit where not given
//! max_supervisors = 8        # pipelines at a time; one per cpu where not given, at least 4
//! tags = ["big"]             # what rules may ask for
//!
//! [node.pools]               # whatever else jobs use up
//! licence = 2
//!
//! [client]
//! mode       = "local"       # or "sequential", "dry-run"
//! on_failure = "run-here"    # or "fail"
//! reconnect  = "1h"
//!
//! [ssh]
//! hosts      = ["4/node7", "ann@node[08-12]"]     # hosts without further settings
//! command    = "ssh"         # or a list: ["ssh", "-F", "/a file"]
//! lost_after = "5m"          # a host without a connection is given up after this long
//! cache_size = "50G"         # what a host keeps of inputs (stage=on); else at most half its disk
//!
//! [[hosts]]                  # all but the name may be left out
//! name = "big"               # or several: "big[1-4]"
//! address = "ann@{}.example.org:2222"             # {} is the name
//! cpus = 8
//! mem  = "32G"
//! max_per_node = 4           # jobs at a time
//! setup = "module load bwa"  # lines for /bin/sh
//! tags = ["fast"]
//! stage = true               # no shared file system
//! enabled = true             # false leaves it out
//! pools = { licence = 2 }
//! path_map = { "/data" = "/mnt/data" }
//! env = { PATH = "/opt/bin:$PATH", PYTHONPATH = false }   # false takes it away
//!
//! [[pools]]                  # nodes that a batch engine lends: docs/engines.md has all settings
//! name      = "long"
//! engine    = "slurm"        # or "gridengine", "command"
//! mode      = "pilot"        # or "per_job": one allocation for each job
//! partition = "main"
//! cpus      = 16             # of each allocation, as mem, gpus and walltime
//! walltime  = "4h"
//! ```

mod address;
mod environment;
mod host_list;
mod hosts;
mod pools;
mod value;
mod written_hosts;
mod written_pools;

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use self::written_hosts::Collected;
use crate::{
    model::{Amount, PoolName},
    place,
    store::Durability,
};

pub use crate::{
    model::EngineOptions,
    units::{format_bytes, format_duration, parse_bytes, parse_cpus, parse_duration},
};
pub use address::Address;
pub use environment::{GATEWAY_VARIABLES, MODE_VARIABLE};
pub use host_list::{ListedHost, parse_host_list, parse_host_names, parse_node_name};
pub use hosts::{Host, Ssh, check_tag};
pub use pools::{Engine, Pilot, Pool, PoolMode, RestAddress, StateWord, Templates};
pub use value::Setting;

/// The configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file is there, but cannot be read.
    #[error("cannot read {path}: {cause}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        cause: io::Error,
    },
    /// It is not what a configuration looks like.
    #[error("{path}: {reason}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Place and expectation.
        reason: String,
    },
    /// A variable's value is wrong.
    #[error("{variable}={value}: {reason}")]
    Variable {
        /// Its name.
        variable: &'static str,
        /// Its value.
        value: String,
        /// What was expected.
        reason: String,
    },
    /// The gateway's computer is among the hosts.
    #[error(
        "{origin}: the host '{name}' is this computer, which is a node without being listed: take \
         it out, or, if other computers read the same file, write '[[hosts]]', 'name = \
         \"{name}\"', 'enabled = false' in redirector.{name}.toml beside it; what jobs may have \
         here stands under [node]"
    )]
    OwnNode {
        /// The file or variable that lists it.
        origin: String,
        /// What it is called.
        name: String,
    },
}

/// When no gateway takes a job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// The command runs as if nothing had been intercepted.
    #[default]
    RunHere,
    /// The command fails with status 125.
    Fail,
}

/// What becomes of whitelisted commands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// They are jobs, as many at a time as there is room for.
    #[default]
    Local,
    /// They are jobs, one at a time and in the order of their submission.
    Sequential,
    /// They run as if there were no redirector, and it is told what they would have asked for.
    DryRun,
}

/// Whether agents of pools come to the gateway through files of its state directory, instead of by
/// TCP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rendezvous {
    /// Those that cannot connect to any address.
    #[default]
    Auto,
    /// All of them; no port is opened.
    Always,
    /// None.
    Never,
}

/// All settings.
#[derive(Clone, Debug)]
pub struct Config {
    /// `[gateway]`
    pub gateway: Gateway,
    /// `[node]`
    pub node: Node,
    /// `[client]`
    pub client: Client,
    /// `[ssh]`
    pub ssh: Ssh,
    /// `[[hosts]]` and those of `ssh.hosts`, in their order.
    pub hosts: Vec<Host>,
    /// `[[pools]]`, in their order.
    pub pools: Vec<Pool>,
    /// Where the settings of pools come from that are not defaults: `pools.long.walltime`.
    pub pool_origins: BTreeMap<String, String>,
    /// Where the settings of `ssh` and `hosts` come from that are not defaults, by their
    /// names: `ssh.command`, `hosts.node7.cpus`.
    pub host_origins: BTreeMap<String, String>,
    /// The files that were read.
    pub files: Vec<PathBuf>,
}

/// `[gateway]`: the process that keeps the journal and gives out resources.
#[derive(Clone, Debug)]
pub struct Gateway {
    /// An embedded gateway leaves after this long without jobs and connections.
    pub idle_timeout: Setting<Duration>,
    /// What the journal survives.
    pub durability: Setting<Durability>,
    /// Runs that ended longer ago than this are forgotten.
    pub keep_for: Setting<Option<Duration>>,
    /// The latest so many finished runs are not; with this alone, all others are.
    pub keep: Setting<Option<u64>>,
    /// Where agents of pools reach it; `None`: at any address that this computer has, at any port.
    pub address: Setting<Option<Address>>,
    /// Whether they come through a directory instead.
    pub rendezvous: Setting<Rendezvous>,
}

/// `[node]`: what this computer has for jobs.
#[derive(Clone, Debug)]
pub struct Node {
    /// Cpus; `None`: as many as this process may use.
    pub cpus: Setting<Option<Amount>>,
    /// Memory in bytes; `None`: as much as the computer or its control group has.
    pub mem: Setting<Option<u64>>,
    /// Graphics processors; `None`: those that this process may use.
    pub gpus: Setting<Option<u32>>,
    /// Whether jobs with whole cpus are kept to cpus of their own.
    pub pin: Setting<bool>,
    /// Whether jobs are ended that take more memory than they asked for.
    pub enforce_memory: Setting<bool>,
    /// Most jobs at a time; `None`: as many as fit.
    pub max_jobs: Setting<Option<u32>>,
    /// Most pipelines at a time; `None`: one per cpu, but at least 4.
    pub max_supervisors: Setting<Option<u32>>,
    /// Whatever else jobs use up, by name.
    pub pools: BTreeMap<PoolName, Setting<Amount>>,
    /// What rules may ask for.
    pub tags: Setting<Vec<String>>,
}

/// `[client]`: the processes that stand in for commands.
#[derive(Clone, Debug)]
pub struct Client {
    /// What becomes of whitelisted commands.
    pub mode: Setting<Mode>,
    /// When no gateway takes a job.
    pub on_failure: Setting<OnFailure>,
    /// How long to look for a gateway that has taken a job and is gone.
    pub reconnect: Setting<Duration>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            gateway: Gateway {
                idle_timeout: Setting::default_of(Duration::from_mins(10)),
                durability: Setting::default_of(Durability::Process),
                keep_for: Setting::default_of(None),
                keep: Setting::default_of(None),
                address: Setting::default_of(None),
                rendezvous: Setting::default_of(Rendezvous::Auto),
            },
            node: Node {
                cpus: Setting::default_of(None),
                mem: Setting::default_of(None),
                gpus: Setting::default_of(None),
                pin: Setting::default_of(true),
                enforce_memory: Setting::default_of(true),
                max_jobs: Setting::default_of(None),
                max_supervisors: Setting::default_of(None),
                pools: BTreeMap::new(),
                tags: Setting::default_of(Vec::new()),
            },
            client: Client {
                mode: Setting::default_of(Mode::Local),
                on_failure: Setting::default_of(OnFailure::RunHere),
                reconnect: Setting::default_of(Duration::from_hours(1)),
            },
            ssh: Ssh::default(),
            hosts: Vec::new(),
            pools: Vec::new(),
            pool_origins: BTreeMap::new(),
            host_origins: BTreeMap::new(),
            files: Vec::new(),
        }
    }
}

impl Config {
    /// The configuration that counts here and now.
    pub fn load() -> Result<Self, Error> {
        Self::of(place::configuration().as_deref())
    }

    /// As in `file`, the computer's own file beside it, and the environment.
    fn of(file: Option<&Path>) -> Result<Self, Error> {
        let mut config = Self::default();
        let mut collected = Collected::default();
        for file in file.map(with_own).unwrap_or_default() {
            config.read(&file, &mut collected)?;
        }
        config.read_environment(&mut collected)?;
        config.settle(collected, &place::host_name())?;
        Ok(config)
    }

    /// Whether a file that counts here and now may set `name`. Looking for the word costs a
    /// command much less than having all of the file understood.
    pub fn may_set(name: &str) -> bool {
        let files = files_here();
        files.iter().any(|file| fs::read(file).is_ok_and(|text| may_name(&text, name)))
    }

    fn settle(&mut self, mut collected: Collected, own_name: &str) -> Result<(), Error> {
        self.hosts = collected
            .finish(own_name)
            .map_err(|origin| Error::OwnNode { origin, name: own_name.to_owned() })?;
        self.ssh = collected.ssh;
        self.pools = collected.pools.finish();
        self.pool_origins = collected.pools.origins;
        self.host_origins = collected.origins;
        Ok(())
    }

    fn read(&mut self, path: &Path, collected: &mut Collected) -> Result<(), Error> {
        let text = fs::read_to_string(path)
            .map_err(|cause| Error::Unreadable { path: path.to_owned(), cause })?;
        let malformed = |reason: String| Error::Malformed { path: path.to_owned(), reason };
        let file: value::File =
            toml::from_str(&text).map_err(|error| malformed(error.to_string()))?;
        let origin = path.display().to_string();
        let value::File { gateway, node, client, ssh, hosts, pools } = file;
        self.gateway.idle_timeout.override_with(gateway.idle_timeout.map(|value| value.0), &origin);
        self.gateway.durability.override_with(gateway.durability, &origin);
        self.gateway.keep_for.override_with(gateway.keep_for.map(|value| Some(value.0)), &origin);
        self.gateway.keep.override_with(gateway.keep.map(Some), &origin);
        self.gateway.address.override_with(gateway.address.map(Some), &origin);
        self.gateway.rendezvous.override_with(gateway.rendezvous, &origin);
        self.node.cpus.override_with(node.cpus.map(|value| Some(value.0)), &origin);
        self.node.mem.override_with(node.mem.map(|value| Some(value.0)), &origin);
        self.node.gpus.override_with(node.gpus.map(Some), &origin);
        self.node.pin.override_with(node.pin, &origin);
        self.node.enforce_memory.override_with(node.enforce_memory, &origin);
        self.node.max_jobs.override_with(node.max_jobs.map(Some), &origin);
        self.node.max_supervisors.override_with(node.max_supervisors.map(Some), &origin);
        if let Some(tag) = node.tags.iter().flatten().find_map(|tag| check_tag(tag).err()) {
            return Err(malformed(format!("node.tags: {tag}")));
        }
        self.node.tags.override_with(node.tags, &origin);
        for (name, amount) in node.pools {
            let name = value::parse_pool_name(&name).map_err(malformed)?;
            let pool = Setting { value: amount.0, origin: origin.clone() };
            self.node.pools.insert(name, pool);
        }
        self.client.mode.override_with(client.mode, &origin);
        self.client.on_failure.override_with(client.on_failure, &origin);
        self.client.reconnect.override_with(client.reconnect.map(|value| value.0), &origin);
        collected.read(ssh, &hosts, &origin, &text).map_err(malformed)?;
        collected.pools.read(pools, &origin, &text).map_err(malformed)?;
        self.files.push(path.to_owned());
        Ok(())
    }
}

/// The file that counts here and now, and the computer's own beside it.
fn files_here() -> Vec<PathBuf> {
    place::configuration().as_deref().map(with_own).unwrap_or_default()
}

/// `file`, and the computer's own beside it.
fn with_own(file: &Path) -> Vec<PathBuf> {
    let own = file.with_file_name(format!("redirector.{}.toml", place::host_name()));
    if own.exists() { vec![file.to_owned(), own] } else { vec![file.to_owned()] }
}

/// Whether the key `name` may be in `text`; keys can be written with escapes (TOML 1.0, "Keys").
fn may_name(text: &[u8], name: &str) -> bool {
    text.contains(&b'\\') || text.windows(name.len()).any(|part| part == name.as_bytes())
}

impl OnFailure {
    /// The word for it, as in the file.
    pub const fn word(self) -> &'static str {
        match self {
            Self::RunHere => "run-here",
            Self::Fail => "fail",
        }
    }
}

impl Rendezvous {
    /// The word for it, as in the file.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Always => "always",
            Self::Never => "never",
        }
    }

    /// The choice that `word` names.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Auto, Self::Always, Self::Never].into_iter().find(|choice| choice.word() == word)
    }
}

impl Mode {
    /// The word for it, as in the file.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Sequential => "sequential",
            Self::DryRun => "dry-run",
        }
    }

    /// The mode that `word` names.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Local, Self::Sequential, Self::DryRun].into_iter().find(|mode| mode.word() == word)
    }
}

#[cfg(test)]
mod tests;
