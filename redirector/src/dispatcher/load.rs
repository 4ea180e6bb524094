//! What a running job takes from a node, in a form that is cheap to copy and to compare.
//!
//! Jobs and nodes name their pools; in here a pool is a position in an array. Which one is written
//! in the table of [`Pools`], which gets an entry when a node declares a pool for the first time:
//!
//! ```text
//!   slot      0      1     2      3         4 … 7
//!   pool    cpus    mem   gpus   licences     –
//! ```

use crate::model::{Amount, Pool, PoolName, Resources};

/// The most pools there can be: cpus, memory and six that nodes declare.
const POOLS: usize = 8;

/// The slot of the cpus.
pub(super) const CPUS: usize = 0;

/// The slot of the memory.
pub(super) const MEM: usize = 1;

/// An amount of every pool, together with a number of job slots and of places for supervisors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Load {
    amounts: [u64; POOLS],
    pub(super) slots: u32,
    /// Whole pipelines, each of which starts others and waits for them.
    pub(super) supervisors: u32,
}

impl Load {
    pub(super) const NONE: Self = Self { amounts: [0; POOLS], slots: 0, supervisors: 0 };

    /// More than any node has.
    pub(super) const MOST: Self =
        Self { amounts: [u64::MAX; POOLS], slots: u32::MAX, supervisors: u32::MAX };

    /// The same amounts for one job.
    #[must_use]
    pub(super) const fn of_one_job(self) -> Self {
        Self { slots: 1, ..self }
    }

    /// The same amounts on a node that takes so many jobs and pipelines.
    #[must_use]
    pub(super) fn of_node(self, max_jobs: Option<u32>, max_supervisors: Option<u32>) -> Self {
        Self {
            slots: max_jobs.unwrap_or(u32::MAX),
            supervisors: max_supervisors.unwrap_or(u32::MAX),
            ..self
        }
    }

    /// These with a place for a supervisor.
    #[must_use]
    pub(super) const fn and_supervisor(self) -> Self {
        Self { supervisors: 1, ..self }
    }

    /// What a job keeps that lends everything else: its place among the supervisors.
    #[must_use]
    pub(super) const fn kept_by_lender(&self) -> Self {
        Self { supervisors: self.supervisors, ..Self::NONE }
    }

    pub(super) fn plus(self, other: Self) -> Self {
        self.combine(&other, u64::saturating_add, u32::saturating_add)
    }

    pub(super) fn minus(self, other: Self) -> Self {
        self.combine(&other, u64::saturating_sub, u32::saturating_sub)
    }

    pub(super) fn min(self, other: Self) -> Self {
        self.combine(&other, u64::min, u32::min)
    }

    pub(super) fn max(self, other: Self) -> Self {
        self.combine(&other, u64::max, u32::max)
    }

    /// As `==`, which calls a function that compares memory of any length.
    #[inline]
    pub(super) fn is(&self, other: &Self) -> bool {
        let amounts = self.amounts.iter().zip(&other.amounts);
        let differences = amounts.fold(0, |sum, (a, b)| sum | (a ^ b));
        differences == 0 && self.slots == other.slots && self.supervisors == other.supervisors
    }

    #[inline]
    pub(super) fn fits_in(&self, room: &Self) -> bool {
        self.slots <= room.slots
            && self.supervisors <= room.supervisors
            && self.amounts_fit_in(room)
    }

    /// As [`Load::fits_in`], whatever the number of jobs and supervisors.
    pub(super) fn amounts_fit_in(&self, room: &Self) -> bool {
        // Without a way out: the processor compares several at once.
        let amounts = self.amounts.iter().zip(&room.amounts);
        amounts.filter(|(asked, there)| asked > there).count() == 0
    }

    /// The first pool of which `room` has less, by its slot in the table.
    pub(super) fn first_short(&self, room: &Self) -> Option<usize> {
        self.amounts.iter().zip(&room.amounts).position(|(asked, there)| asked > there)
    }

    /// The amount in this slot of the table, in the pool's own unit.
    pub(super) const fn amount(&self, slot: usize) -> u64 {
        self.amounts[slot]
    }

    /// How much of these is not free, as the sum of the missing share of each in millionths.
    pub(super) fn missing(&self, free: &Self) -> u64 {
        let share = |asked: u64, free: u64| {
            let missing = u128::from(asked.saturating_sub(free)) * 1_000_000;
            missing.checked_div(u128::from(asked)).unwrap_or(0) as u64
        };
        let amounts = self.amounts.iter().zip(&free.amounts);
        amounts.map(|(&asked, &free)| share(asked, free)).sum::<u64>()
            + share(self.slots.into(), free.slots.into())
            + share(self.supervisors.into(), free.supervisors.into())
    }

    /// How much of what `largest` has these are, in 1/65 536: the share of the pool of which it is
    /// most. Never nothing.
    pub(super) fn dominant_share(&self, largest: &Self) -> u64 {
        let amounts = self.amounts.iter().zip(&largest.amounts);
        let asked = amounts.filter(|(asked, _)| **asked > 0);
        let shares = asked.map(|(asked, largest)| asked.saturating_mul(1 << 16) / largest.max(&1));
        shares.max().unwrap_or(0).max(1)
    }

    /// What both ask for as members of one gang. Pipelines that are joined by pipes are one
    /// pipeline to whoever counts them: they take one supervisor's place to start.
    #[must_use]
    pub(super) fn joined_with(self, other: Self) -> Self {
        let supervisors = self.supervisors.max(other.supervisors);
        Self { supervisors, ..self.plus(other) }
    }

    fn combine(
        &self,
        other: &Self,
        amounts: impl Fn(u64, u64) -> u64,
        counts: impl Fn(u32, u32) -> u32,
    ) -> Self {
        Self {
            amounts: std::array::from_fn(|slot| amounts(self.amounts[slot], other.amounts[slot])),
            slots: counts(self.slots, other.slots),
            supervisors: counts(self.supervisors, other.supervisors),
        }
    }
}

/// Which pool has which slot.
#[derive(Debug)]
pub(super) struct Pools {
    names: Vec<Pool>,
}

impl Default for Pools {
    fn default() -> Self {
        Self { names: vec![Pool::Cpus, Pool::Mem] }
    }
}

impl Pools {
    /// The slot of a pool, if it has one.
    pub(super) fn slot(&self, name: &PoolName) -> Option<usize> {
        self.names.iter().position(|pool| matches!(pool, Pool::Other(known) if known == name))
    }

    /// Every pool there is, in the order of their slots.
    pub(super) fn names(&self) -> &[Pool] {
        &self.names
    }

    /// Gives each pool of `resources` a slot, as long as there are any left.
    pub(super) fn allot(&mut self, resources: &Resources) {
        for name in resources.others.keys() {
            if self.names.len() < POOLS && self.slot(name).is_none() {
                self.names.push(Pool::Other(name.clone()));
            }
        }
    }

    /// The amounts by slot, or the pool that has none.
    pub(super) fn load(&self, resources: &Resources) -> Result<Load, Pool> {
        self.load_of_known(resources, Err)
    }

    /// The amounts by slot; pools that have none are not counted.
    pub(super) fn known_load(&self, resources: &Resources) -> Load {
        self.load_of_known::<std::convert::Infallible>(resources, |_| Ok(())).unwrap_or_default()
    }

    fn load_of_known<E>(
        &self,
        resources: &Resources,
        unknown: impl Fn(Pool) -> Result<(), E>,
    ) -> Result<Load, E> {
        let mut load = Load::NONE;
        load.amounts[CPUS] = resources.cpus.0;
        load.amounts[MEM] = resources.mem;
        for (name, amount) in resources.others.iter().filter(|(_, amount)| amount.0 > 0) {
            match self.slot(name) {
                Some(slot) => load.amounts[slot] = amount.0,
                None => unknown(Pool::Other(name.clone()))?,
            }
        }
        Ok(load)
    }

    /// The amounts by name.
    pub(super) fn resources(&self, load: &Load) -> Resources {
        let mut resources = Resources::NONE;
        for (pool, &amount) in self.names.iter().zip(&load.amounts) {
            match pool {
                Pool::Cpus => resources.cpus = Amount(amount),
                Pool::Mem => resources.mem = amount,
                Pool::Other(_) if amount == 0 => {}
                Pool::Other(name) => {
                    resources.others.insert(name.clone(), Amount(amount));
                }
            }
        }
        resources
    }
}
