//! What jobs ask for and nodes have: amounts over pools.
//!
//! They are added and compared here and nowhere else, so that a further pool is one more field
//! and one more line in [`Resources::pool_by_pool`]:
//!
//! ```
//! # use redirector::model::{Amount, Resources};
//! let node = Resources { cpus: Amount::whole(4), mem: 8 << 30 };
//! let job = Resources { cpus: Amount::whole(1), mem: 2 << 30 };
//! assert!(job.fits_in(node.minus(job)));
//! ```

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An amount of cpus in 1/10 000 of a cpu: fractions add up without rounding.
///
/// In JSON it is a decimal number of cpus: `4`, `0.25`.
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
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Resources {
    /// Cpus, in 1/10 000.
    pub cpus: Amount,
    /// Memory in bytes.
    pub mem: u64,
}

impl Resources {
    /// Nothing at all.
    pub const NONE: Self = Self { cpus: Amount(0), mem: 0 };

    /// Both together. Amounts stop at `u64::MAX`.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        self.pool_by_pool(other, u64::saturating_add)
    }

    /// What is left of these after `other` is taken away, never less than nothing.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        self.pool_by_pool(other, u64::saturating_sub)
    }

    /// The smaller amount of each pool.
    #[must_use]
    pub fn min(self, other: Self) -> Self {
        self.pool_by_pool(other, u64::min)
    }

    /// The larger amount of each pool.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        self.pool_by_pool(other, u64::max)
    }

    /// Whether no pool has less in `room` than these ask for.
    pub fn fits_in(self, room: Self) -> bool {
        self.min(room) == self
    }

    fn pool_by_pool(self, other: Self, combine: impl Fn(u64, u64) -> u64) -> Self {
        Self { cpus: Amount(combine(self.cpus.0, other.cpus.0)), mem: combine(self.mem, other.mem) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_read_as_people_write_them() {
        assert_eq!(Amount::whole(4).to_string(), "4");
        assert_eq!(Amount(2_500).to_string(), "0.25");
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
    fn what_fits_is_at_most_the_room_in_every_pool() {
        let room = Resources { cpus: Amount::ONE, mem: 10 };
        let more_memory = Resources { cpus: Amount::ONE, mem: 11 };
        assert!(room.fits_in(room));
        assert!(!more_memory.fits_in(room));
        assert_eq!(more_memory.minus(room), Resources { cpus: Amount(0), mem: 1 });
        assert_eq!(room.plus(more_memory), Resources { cpus: Amount::whole(2), mem: 21 });
    }
}
