//! `redirector.toml`: defaults, then the file, then the computer's own file beside
//! it, then the environment; every value knows where it came from.
//!
//! ```toml
//! [gateway]
//! idle_timeout = "10m"       # leave after this long without jobs
//! durability   = "process"   # or "full": sync every batch to the disk
//!
//! [node]
//! cpus = 8                   # found out where not given
//! mem  = "32G"
//!
//! [client]
//! on_failure = "run-here"    # or "fail"
//! reconnect  = "1h"
//! ```

mod value;

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;

use crate::{model::Amount, place, store::Durability};

pub use crate::units::{format_bytes, format_duration, parse_bytes, parse_cpus, parse_duration};
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

/// All settings.
#[derive(Clone, Debug)]
pub struct Config {
    /// `[gateway]`
    pub gateway: Gateway,
    /// `[node]`
    pub node: Node,
    /// `[client]`
    pub client: Client,
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
}

/// `[node]`: what this computer has for jobs.
#[derive(Clone, Debug)]
pub struct Node {
    /// Cpus; `None`: as many as this process may use.
    pub cpus: Setting<Option<Amount>>,
    /// Memory in bytes; `None`: as much as the computer or its control group has.
    pub mem: Setting<Option<u64>>,
}

/// `[client]`: the processes that stand in for commands.
#[derive(Clone, Debug)]
pub struct Client {
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
            },
            node: Node { cpus: Setting::default_of(None), mem: Setting::default_of(None) },
            client: Client {
                on_failure: Setting::default_of(OnFailure::RunHere),
                reconnect: Setting::default_of(Duration::from_hours(1)),
            },
            files: Vec::new(),
        }
    }
}

impl Config {
    /// The configuration that counts here and now.
    pub fn load() -> Result<Self, Error> {
        let mut config = Self::default();
        if let Some(file) = place::configuration() {
            config.read(&file)?;
            let own = file.with_file_name(format!("redirector.{}.toml", place::host_name()));
            if own.exists() {
                config.read(&own)?;
            }
        }
        config.read_environment()?;
        Ok(config)
    }

    fn read(&mut self, path: &Path) -> Result<(), Error> {
        let text = fs::read_to_string(path)
            .map_err(|cause| Error::Unreadable { path: path.to_owned(), cause })?;
        let malformed = |reason: String| Error::Malformed { path: path.to_owned(), reason };
        let file: value::File =
            toml::from_str(&text).map_err(|error| malformed(error.to_string()))?;
        let origin = path.display().to_string();
        self.gateway
            .idle_timeout
            .override_with(file.gateway.idle_timeout.map(|value| value.0), &origin);
        self.gateway.durability.override_with(file.gateway.durability, &origin);
        self.node.cpus.override_with(file.node.cpus.map(|value| Some(value.0)), &origin);
        self.node.mem.override_with(file.node.mem.map(|value| Some(value.0)), &origin);
        self.client.on_failure.override_with(file.client.on_failure, &origin);
        self.client.reconnect.override_with(file.client.reconnect.map(|value| value.0), &origin);
        self.files.push(path.to_owned());
        Ok(())
    }

    fn read_environment(&mut self) -> Result<(), Error> {
        let on_failure = |text: &str| match text {
            "run-here" => Ok(OnFailure::RunHere),
            "fail" => Ok(OnFailure::Fail),
            _ => Err("expected run-here or fail".to_owned()),
        };
        let durability = |text: &str| match text {
            "process" => Ok(Durability::Process),
            "full" => Ok(Durability::Full),
            _ => Err("expected process or full".to_owned()),
        };
        from_environment(
            &mut self.gateway.idle_timeout,
            "REDIRECTOR_IDLE_TIMEOUT",
            parse_duration,
        )?;
        from_environment(&mut self.gateway.durability, "REDIRECTOR_DURABILITY", durability)?;
        from_environment(&mut self.node.cpus, "REDIRECTOR_CPUS", |text| {
            parse_cpus(text).map(Some)
        })?;
        from_environment(&mut self.node.mem, "REDIRECTOR_MEM", |text| parse_bytes(text).map(Some))?;
        from_environment(&mut self.client.on_failure, "REDIRECTOR_ON_FAILURE", on_failure)?;
        from_environment(&mut self.client.reconnect, "REDIRECTOR_RECONNECT", parse_duration)
    }
}

fn from_environment<T>(
    setting: &mut Setting<T>,
    variable: &'static str,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<(), Error> {
    let Some(value) = env::var(variable).ok().filter(|value| !value.is_empty()) else {
        return Ok(());
    };
    match parse(&value) {
        Ok(parsed) => {
            setting.override_with(Some(parsed), variable);
            Ok(())
        }
        Err(reason) => Err(Error::Variable { variable, value, reason }),
    }
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
