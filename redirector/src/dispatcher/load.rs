//! What a running job takes from a node: resources and one of its job slots.

use crate::model::Resources;

/// An amount of resources together with a number of job slots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Load {
    pub(super) resources: Resources,
    pub(super) slots: u32,
}

impl Load {
    /// What is held by a job that lends or supervises.
    pub(super) const NONE: Self = Self { resources: Resources::NONE, slots: 0 };

    /// What one job with these resources holds.
    pub(super) const fn of_one_job(resources: Resources) -> Self {
        Self { resources, slots: 1 }
    }

    /// What a node with this capacity has.
    pub(super) fn capacity(resources: Resources, max_jobs: Option<u32>) -> Self {
        Self { resources, slots: max_jobs.unwrap_or(u32::MAX) }
    }

    pub(super) fn is_none(self) -> bool {
        self == Self::NONE
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            resources: self.resources.plus(other.resources),
            slots: self.slots.saturating_add(other.slots),
        }
    }

    pub(super) fn minus(self, other: Self) -> Self {
        Self {
            resources: self.resources.minus(other.resources),
            slots: self.slots.saturating_sub(other.slots),
        }
    }

    pub(super) fn min(self, other: Self) -> Self {
        Self { resources: self.resources.min(other.resources), slots: self.slots.min(other.slots) }
    }

    pub(super) fn max(self, other: Self) -> Self {
        Self { resources: self.resources.max(other.resources), slots: self.slots.max(other.slots) }
    }

    pub(super) fn fits_in(self, room: Self) -> bool {
        self.slots <= room.slots && self.resources.fits_in(room.resources)
    }

    pub(super) fn sum(loads: impl Iterator<Item = Self>) -> Self {
        loads.fold(Self::NONE, Self::plus)
    }
}
