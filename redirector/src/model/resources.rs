//! What jobs ask for and nodes have: amounts over pools.
//!
//! Every node has cpus and memory. Other pools have the names that nodes declare them under; a job
//! may ask for any of them:
//!
//! ```
//! # use redirector::model::{Amount, PoolName, Resources};
//! let gpus = PoolName::new("gpus")?;
//! let node = Resources::new(Amount::whole(4), 8 << 30).with(gpus.clone(), Amount::whole(2));
//! let job = Resources::new(Amount::ONE, 2 << 30).with(gpus, Amount(5_000));
//! assert!(job.fits_in(&node));
//! # Ok::<(), redirector::model::InvalidPoolName>(())
//! ```

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Pool, PoolName};

/// An amount in 1/10 000 of one, as of one cpu: fractions add up without rounding.
///
/// In JSON it is a decimal number: `4`, `0.25`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount(pub u64);

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_multiple_of(Self::ONE.0) {
            return serializer.serialize_u64(self.0 / Self::ONE.0);
        }
        serializer.serialize_f64(self.0 as f64 / Self::ONE.0 as f64)
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = f64::deserialize(deserializer)?;
        if number < 0.0 {
            let error = format!("an amount is not less than 0, and this is {number}");
            return Err(serde::de::Error::custom(error));
        }
        Ok(Self((number * Self::ONE.0 as f64).round() as u64))
    }
}

impl Amount {
    /// One whole unit.
    pub const ONE: Self = Self(10_000);

    /// `count` whole units.
    pub const fn whole(count: u64) -> Self {
        Self(count.saturating_mul(Self::ONE.0))
    }
}

impl fmt::Display for Amount {
    /// Decimal without trailing zeros: `4`, `0.25`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / Self::ONE.0, self.0 % Self::ONE.0);
        if rest == 0 {
            return write!(f, "{whole}");
        }
        write!(f, "{whole}.{}", format!("{rest:04}").trim_end_matches('0'))
    }
}

/// Amounts of everything that is counted.
///
/// In JSON all pools stand side by side: `{"cpus":1,"mem":0,"gpus":0.5}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Resources {
    /// Cpus, in 1/10 000.
    pub cpus: Amount,
    /// Memory in bytes.
    pub mem: u64,
    /// Amounts of other pools, in 1/10 000. A pool that is missing here is the same as none of it;
    /// what JSON says of zero amounts is not kept.
    #[serde(flatten, with = "without_zeros")]
    pub others: BTreeMap<PoolName, Amount>,
}

impl Resources {
    /// Nothing at all.
    pub const NONE: Self = Self { cpus: Amount(0), mem: 0, others: BTreeMap::new() };

    /// Cpus and bytes of memory, and nothing else.
    pub const fn new(cpus: Amount, mem: u64) -> Self {
        Self { cpus, mem, others: BTreeMap::new() }
    }

    /// These and so much of another pool.
    #[must_use]
    pub fn with(mut self, pool: PoolName, amount: Amount) -> Self {
        self.others.insert(pool, amount);
        self
    }

    /// The amount of this pool, in the pool's own unit.
    pub fn of(&self, pool: &Pool) -> u64 {
        match pool {
            Pool::Cpus => self.cpus.0,
            Pool::Mem => self.mem,
            Pool::Other(name) => self.others.get(name).map_or(0, |amount| amount.0),
        }
    }

    /// Every pool that has a name here, with its amount in the pool's own unit.
    pub fn amounts(&self) -> impl Iterator<Item = (Pool, u64)> {
        let others = self.others.iter();
        [(Pool::Cpus, self.cpus.0), (Pool::Mem, self.mem)]
            .into_iter()
            .chain(others.map(|(name, amount)| (Pool::Other(name.clone()), amount.0)))
    }

    /// The first pool of which `room` has less than these ask for.
    pub fn first_short(&self, room: &Self) -> Option<Pool> {
        self.amounts().find(|(pool, asked)| *asked > room.of(pool)).map(|(pool, _)| pool)
    }

    /// Whether no pool has less in `room` than these ask for.
    pub fn fits_in(&self, room: &Self) -> bool {
        self.first_short(room).is_none()
    }
}

impl fmt::Display for Resources {
    /// `2 cpus, 8G of memory, 0.5 gpus`; what there is none of is left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let some = self.amounts().filter(|(_, amount)| *amount > 0);
        let words = some.map(|(pool, amount)| pool.describe(amount)).collect::<Vec<_>>();
        if words.is_empty() {
            return f.pad("nothing");
        }
        f.pad(&words.join(", "))
    }
}

/// A map of amounts in which there is no difference between zero and not being there.
mod without_zeros {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serializer};

    use super::{Amount, PoolName};

    pub(super) fn serialize<S: Serializer>(
        amounts: &BTreeMap<PoolName, Amount>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_map(amounts.iter().filter(|(_, amount)| amount.0 > 0))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<PoolName, Amount>, D::Error> {
        let mut amounts = BTreeMap::<PoolName, Amount>::deserialize(deserializer)?;
        amounts.retain(|_, amount| amount.0 > 0);
        Ok(amounts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gpus() -> PoolName {
        PoolName::new("gpus").unwrap()
    }

    #[test]
    fn amounts_read_as_people_write_them() {
        assert_eq!(Amount::whole(4).to_string(), "4");
        assert_eq!(Amount(2_500).to_string(), "0.25");
        let job = Resources::new(Amount::whole(2), 8 << 30).with(gpus(), Amount(5_000));
        assert_eq!(job.to_string(), "2 cpus, 8G of memory, 0.5 gpus");
        assert_eq!(Resources::NONE.to_string(), "nothing");
    }

    #[test]
    fn amounts_survive_json() {
        for amount in [Amount(0), Amount(1), Amount(2_500), Amount(33_333), Amount::whole(1 << 20)]
        {
            let json = serde_json::to_string(&amount).unwrap();
            assert_eq!(serde_json::from_str::<Amount>(&json).unwrap(), amount, "{json}");
        }
    }

    #[test]
    fn pools_stand_side_by_side_in_json() {
        let tape = PoolName::new("tape").unwrap();
        let job = Resources::new(Amount::ONE, 0).with(gpus(), Amount(5_000));
        let json = serde_json::to_string(&job.clone().with(tape, Amount(0))).unwrap();
        assert_eq!(json, r#"{"cpus":1,"mem":0,"gpus":0.5}"#);
        assert_eq!(serde_json::from_str::<Resources>(&json).unwrap(), job);
        let with_zero = r#"{"cpus":1,"mem":0,"tape":0,"gpus":0.5}"#;
        assert_eq!(serde_json::from_str::<Resources>(with_zero).unwrap(), job);
        assert!(serde_json::from_str::<Resources>(r#"{"cpus":1,"mem":0,"GPU":1}"#).is_err());
    }

    #[test]
    fn what_fits_is_at_most_the_room_in_every_pool() {
        let room = Resources::new(Amount::ONE, 10);
        let more_memory = Resources::new(Amount::ONE, 11);
        let with_gpus = room.clone().with(gpus(), Amount(1));
        assert!(room.fits_in(&room) && room.fits_in(&with_gpus));
        assert!(!more_memory.fits_in(&room));
        assert_eq!(more_memory.first_short(&room), Some(Pool::Mem));
        assert_eq!(with_gpus.first_short(&room), Some(Pool::Other(gpus())));
    }
}
