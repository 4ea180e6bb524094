//! Values of settings: where they come from, and `redirector.toml` as it is written.

use std::{collections::BTreeMap, fmt::Display, time::Duration};

use serde::{Deserialize, Deserializer, de::Error as _};

use super::{
    Address, Mode, OnFailure, Rendezvous,
    written_hosts::{HostSection, SshSection},
    written_pools::PoolSection,
};
use crate::{
    model::{Amount, PoolName},
    store::Durability,
    units::{parse_bytes, parse_cpus, parse_duration},
};

/// A value and where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting<T> {
    /// What counts.
    pub value: T,
    /// `default`, a file's path or a variable's name.
    pub origin: String,
}

impl<T> Setting<T> {
    /// A value that nobody has set.
    pub fn default_of(value: T) -> Self {
        Self { value, origin: "default".to_owned() }
    }

    /// What somebody has set.
    pub fn said(self) -> Option<T> {
        (self.origin != "default").then_some(self.value)
    }

    /// Takes `value`, if there is one, as coming from `origin`.
    pub fn override_with(&mut self, value: Option<T>, origin: &str) {
        if let Some(value) = value {
            *self = Self { value, origin: origin.to_owned() };
        }
    }
}

/// `redirector.toml` as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    pub gateway: GatewaySection,
    pub node: NodeSection,
    pub client: ClientSection,
    pub ssh: SshSection,
    pub hosts: Vec<HostSection>,
    pub pools: Vec<PoolSection>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct GatewaySection {
    pub idle_timeout: Option<WrittenDuration>,
    pub durability: Option<Durability>,
    pub keep_for: Option<WrittenDuration>,
    pub keep: Option<u64>,
    pub address: Option<Address>,
    pub rendezvous: Option<Rendezvous>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct NodeSection {
    pub cpus: Option<WrittenCpus>,
    pub mem: Option<WrittenBytes>,
    pub gpus: Option<u32>,
    pub pin: Option<bool>,
    pub enforce_memory: Option<bool>,
    pub max_jobs: Option<u32>,
    pub max_supervisors: Option<u32>,
    pub pools: BTreeMap<String, WrittenCpus>,
    pub tags: Option<Vec<String>>,
}

/// The name of a pool of `[node.pools]` or a host; `gpus` have a setting of their own.
pub(super) fn parse_pool_name(name: &str) -> Result<PoolName, String> {
    if name == "gpus" {
        return Err("'gpus' is not among the pools: it has a setting of its own, such as gpus = 2"
            .to_owned());
    }
    PoolName::new(name).map_err(|error| error.to_string())
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ClientSection {
    pub mode: Option<Mode>,
    pub on_failure: Option<OnFailure>,
    pub reconnect: Option<WrittenDuration>,
}

/// A number, or text with a unit.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Whole(u64),
    Fraction(f64),
    Text(String),
}

impl Display for Written {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Whole(number) => number.fmt(f),
            Self::Fraction(number) => number.fmt(f),
            Self::Text(text) => text.fmt(f),
        }
    }
}

fn parse_written<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<T, D::Error> {
    parse(&Written::deserialize(deserializer)?.to_string()).map_err(D::Error::custom)
}

macro_rules! written {
    ($name:ident, $type:ty, $parse:expr) => {
        #[derive(Clone, Debug)]
        pub(super) struct $name(pub $type);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                parse_written(deserializer, $parse).map(Self)
            }
        }
    };
}

written!(WrittenDuration, Duration, parse_duration);
written!(WrittenBytes, u64, parse_bytes);
written!(WrittenCpus, Amount, parse_cpus);
