//! The pools of [`Resources`] one by one: what a shortage is a shortage of.

use serde::{Deserialize, Serialize};

use crate::model::{Amount, Resources};

/// One of the things that are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pool {
    /// Cpus, in 1/10 000.
    Cpus,
    /// Memory, in bytes.
    Mem,
}

impl Pool {
    /// Every pool, in the order in which shortages are reported.
    pub const ALL: [Self; 2] = [Self::Cpus, Self::Mem];

    /// The amount of this pool in `resources`, in the pool's own unit.
    pub const fn of(self, resources: Resources) -> u64 {
        match self {
            Self::Cpus => resources.cpus.0,
            Self::Mem => resources.mem,
        }
    }

    /// The first pool of which `room` has less than is asked for.
    pub fn first_short(asked: Resources, room: Resources) -> Option<Self> {
        Self::ALL.into_iter().find(|pool| pool.of(asked) > pool.of(room))
    }

    /// `amount`, given in this pool's own unit, as a person would write it: `2.5 cpus`,
    /// `16 GiB of memory`.
    pub fn describe(self, amount: u64) -> String {
        match self {
            Self::Cpus if amount == Amount::ONE.0 => "1 cpu".to_owned(),
            Self::Cpus => format!("{} cpus", Amount(amount)),
            Self::Mem => format!("{} of memory", bytes(amount)),
        }
    }
}

/// The largest binary unit in which `amount` is at least one, with at most one decimal.
fn bytes(amount: u64) -> String {
    const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let unit = if amount == 0 { 0 } else { amount.ilog2() as usize / 10 };
    let tenths = (u128::from(amount) * 10) >> (10 * unit);
    let (whole, tenth) = (tenths / 10, tenths % 10);
    let unit = UNITS[unit];
    if tenth == 0 { format!("{whole} {unit}") } else { format!("{whole}.{tenth} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_read_as_people_write_them() {
        assert_eq!(Pool::Cpus.describe(10_000), "1 cpu");
        assert_eq!(Pool::Cpus.describe(15_000), "1.5 cpus");
        assert_eq!(Pool::Mem.describe(0), "0 B of memory");
        assert_eq!(Pool::Mem.describe(3 << 29), "1.5 GiB of memory");
        assert_eq!(Pool::Mem.describe(u64::MAX), "15.9 EiB of memory");
    }

    #[test]
    fn a_shortage_names_the_first_pool_that_is_short() {
        let room = Resources { cpus: Amount::ONE, mem: 10 };
        assert_eq!(Pool::first_short(room, room), None);
        let asked = Resources { cpus: Amount::ONE, mem: 11 };
        assert_eq!(Pool::first_short(asked, room), Some(Pool::Mem));
    }
}
