//! The things that are counted, one by one: cpus, memory, and whatever else nodes declare.
//!
//! ```
//! # use redirector::model::{Pool, PoolName};
//! let licences: Pool = "licences".parse()?;
//! assert_eq!(licences, Pool::Other(PoolName::new("licences")?));
//! assert_eq!(licences.describe(15_000), "1.5 licences");
//! # Ok::<(), redirector::model::InvalidPoolName>(())
//! ```

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::Amount;
use crate::config::format_bytes;

/// The name of a pool that is not built in: `gpus`, `licences`.
///
/// A lower-case letter, followed by lower-case letters, digits, `_` and `-`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PoolName(String);

/// Why a pool cannot be called so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPoolName {
    /// It has characters that are not allowed there.
    #[error(
        "'{0}' cannot be the name of a resource: write a lower-case letter, followed by \
         lower-case letters, digits, '_' and '-'"
    )]
    Characters(String),
    /// It is a pool that every node has.
    #[error("'{0}' is a resource that every node has: give another name to this one")]
    BuiltIn(String),
}

impl PoolName {
    /// Checks a name.
    pub fn new(name: impl Into<String>) -> Result<Self, InvalidPoolName> {
        let name = name.into();
        let is_inner =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
        if !name.starts_with(|first: char| first.is_ascii_lowercase())
            || !name.bytes().all(is_inner)
        {
            return Err(InvalidPoolName::Characters(name));
        }
        if Pool::BUILT_IN.iter().any(|pool| pool.name() == name) {
            return Err(InvalidPoolName::BuiltIn(name));
        }
        Ok(Self(name))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for PoolName {
    type Error = InvalidPoolName;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        Self::new(name)
    }
}

impl FromStr for PoolName {
    type Err = InvalidPoolName;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::new(name)
    }
}

impl From<PoolName> for String {
    fn from(name: PoolName) -> Self {
        name.0
    }
}

impl fmt::Display for PoolName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// One of the things that are counted. In JSON it is its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Pool {
    /// Cpus, in 1/10 000.
    Cpus,
    /// Memory, in bytes.
    Mem,
    /// Anything else, in 1/10 000.
    Other(PoolName),
}

impl Pool {
    /// The pools that every node has.
    const BUILT_IN: [Self; 2] = [Self::Cpus, Self::Mem];

    /// What it is called.
    pub fn name(&self) -> &str {
        match self {
            Self::Cpus => "cpus",
            Self::Mem => "mem",
            Self::Other(name) => name.as_str(),
        }
    }

    /// `amount`, given in this pool's own unit, as a person would write it: `2.5 cpus`,
    /// `16G of memory`, `1 gpus`.
    pub fn describe(&self, amount: u64) -> String {
        match self {
            Self::Cpus if amount == Amount::ONE.0 => "1 cpu".to_owned(),
            Self::Cpus => format!("{} cpus", Amount(amount)),
            Self::Mem => format!("{} of memory", format_bytes(amount)),
            Self::Other(name) => format!("{} {name}", Amount(amount)),
        }
    }
}

impl TryFrom<String> for Pool {
    type Error = InvalidPoolName;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        let built_in = Self::BUILT_IN.into_iter().find(|pool| pool.name() == name);
        built_in.map_or_else(|| PoolName::new(name).map(Self::Other), Ok)
    }
}

impl FromStr for Pool {
    type Err = InvalidPoolName;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::try_from(name.to_owned())
    }
}

impl From<Pool> for String {
    fn from(pool: Pool) -> Self {
        match pool {
            Pool::Other(name) => name.into(),
            built_in => built_in.name().to_owned(),
        }
    }
}

impl fmt::Display for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        for good in ["gpus", "a", "licence_2", "tape-drives"] {
            assert_eq!(PoolName::new(good).unwrap().as_str(), good);
        }
        for bad in ["", "Gpus", "2gpus", "gpu s", "gpü", "_x", "-x"] {
            let error = InvalidPoolName::Characters(bad.to_owned());
            assert_eq!(PoolName::new(bad), Err(error));
        }
        assert_eq!(PoolName::new("cpus"), Err(InvalidPoolName::BuiltIn("cpus".to_owned())));
    }

    #[test]
    fn pools_are_their_names_in_json() {
        for name in ["cpus", "mem", "gpus"] {
            let pool: Pool = name.parse().unwrap();
            let json = serde_json::to_string(&pool).unwrap();
            assert_eq!(json, format!("\"{name}\""));
            assert_eq!(serde_json::from_str::<Pool>(&json).unwrap(), pool);
        }
        assert!(serde_json::from_str::<Pool>("\"Not a name\"").is_err());
    }

    #[test]
    fn amounts_read_as_people_write_them() {
        assert_eq!(Pool::Cpus.describe(10_000), "1 cpu");
        assert_eq!(Pool::Cpus.describe(15_000), "1.5 cpus");
        assert_eq!(Pool::Mem.describe(3 << 29), "1.5G of memory");
        assert_eq!("gpus".parse::<Pool>().unwrap().describe(5_000), "0.5 gpus");
    }
}
