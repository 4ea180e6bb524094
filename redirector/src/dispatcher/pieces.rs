//! Pools that come in pieces: the third gpu is another one than the first.
//!
//! ```text
//!   gpus        0      1      2      3
//!   used       0.5    1.0    0.0    0.0
//!
//!   0.5   on 0: a fraction goes where it leaves the least over
//!   2.5   on 2 and 3, and the half on 0
//!   0.75  on 2: it has to fit into one piece
//! ```

use super::load::Load;
use crate::model::Amount;

/// A whole piece.
const WHOLE: u64 = Amount::ONE.0;

/// Which pieces a job was given, by the slot of the pool: whole ones first, then the one of which
/// it has a part. Nearly all jobs have none: so it is a pointer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::box_collection, reason = "one word in the record of each job")]
pub(super) struct Indices(Option<Box<Vec<PoolIndices>>>);

/// A slot, and which pieces of the pool in it.
type PoolIndices = (usize, Vec<u32>);

impl Indices {
    pub(super) fn new(indices: Vec<PoolIndices>) -> Self {
        Self((!indices.is_empty()).then(|| Box::new(indices)))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &PoolIndices> {
        self.0.iter().flat_map(|indices| indices.iter())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }
}

/// The pieces of one node's indexed pools.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Pieces(Vec<Pool>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Pool {
    slot: usize,
    /// What is used of each piece: more than a whole one while the node is in debt.
    used: Vec<u64>,
}

impl Pieces {
    /// So many pieces of the pool in each of these slots.
    pub(super) fn new(counts: impl Iterator<Item = (usize, u32)>) -> Self {
        Self(counts.map(|(slot, count)| Pool { slot, used: vec![0; count as usize] }).collect())
    }

    /// Whether these fit in, the one after the other.
    pub(super) fn fit(&self, loads: impl Iterator<Item = Load>) -> bool {
        if self.0.is_empty() {
            return true;
        }
        let mut pieces = self.clone();
        for load in loads {
            let Some(indices) = pieces.pick(&load) else { return false };
            pieces.charge(&load, &indices);
        }
        true
    }

    /// The slot of the first pool of which no pieces make up what is asked for.
    pub(super) fn first_short(&self, load: &Load) -> Option<usize> {
        let asked = self.0.iter().filter(|pool| load.amount(pool.slot) > 0);
        let mut short = asked.filter(|pool| pool.pick(load.amount(pool.slot)).is_none());
        short.next().map(|pool| pool.slot)
    }

    /// Whether nothing is used of any pool of which `load` has some.
    pub(super) fn are_idle_for(&self, load: &Load) -> bool {
        let asked = self.0.iter().filter(|pool| load.amount(pool.slot) > 0);
        asked.flat_map(|pool| &pool.used).all(|&used| used == 0)
    }

    /// Whether both ask for a pool that comes in pieces.
    pub(super) fn compete(&self, a: &Load, b: &Load) -> bool {
        self.0.iter().any(|pool| a.amount(pool.slot) > 0 && b.amount(pool.slot) > 0)
    }

    /// Pieces for `load`, if there are enough.
    pub(super) fn pick(&self, load: &Load) -> Option<Indices> {
        self.pick_each(load, Pool::pick)
    }

    /// Pieces for `load`; those that are used least, if there are not enough.
    pub(super) fn pick_in_debt(&self, load: &Load) -> Indices {
        self.pick_each(load, |pool, amount| {
            Some(pool.pick(amount).unwrap_or_else(|| pool.least_used(amount)))
        })
        .unwrap_or_default()
    }

    /// Charges pieces with what a job holds of them.
    pub(super) fn charge(&mut self, load: &Load, indices: &Indices) {
        self.change(load, indices, u64::saturating_add);
    }

    /// Takes that back.
    pub(super) fn discharge(&mut self, load: &Load, indices: &Indices) {
        self.change(load, indices, u64::saturating_sub);
    }

    fn pick_each(
        &self,
        load: &Load,
        pick: impl Fn(&Pool, u64) -> Option<Vec<u32>>,
    ) -> Option<Indices> {
        let asked = self.0.iter().filter(|pool| load.amount(pool.slot) > 0);
        let picked = asked.map(|pool| Some((pool.slot, pick(pool, load.amount(pool.slot))?)));
        Some(Indices::new(picked.collect::<Option<_>>()?))
    }

    fn change(&mut self, load: &Load, indices: &Indices, change: impl Fn(u64, u64) -> u64) {
        for (slot, pieces) in indices.iter() {
            let Some(pool) = self.0.iter_mut().find(|pool| pool.slot == *slot) else { continue };
            let mut rest = load.amount(*slot);
            for &piece in pieces {
                let part = rest.min(WHOLE);
                rest -= part;
                // A node may come back with fewer pieces than it had.
                if let Some(used) = pool.used.get_mut(piece as usize) {
                    *used = change(*used, part);
                }
            }
        }
    }
}

impl Pool {
    fn pick(&self, amount: u64) -> Option<Vec<u32>> {
        let (wholes, part) = ((amount / WHOLE) as usize, amount % WHOLE);
        let pieces = || (0..).zip(self.used.iter().copied());
        let shared = (part > 0).then(|| {
            let fitting = pieces().filter(|(_, used)| used + part <= WHOLE);
            fitting.max_by_key(|&(piece, used)| (used, std::cmp::Reverse(piece)))
        });
        let shared = match shared {
            Some(found) => Some(found?.0),
            None => None,
        };
        let unused = pieces().filter(|&(piece, used)| used == 0 && Some(piece) != shared);
        let mut picked = unused.map(|(piece, _)| piece).take(wholes).collect::<Vec<u32>>();
        if picked.len() < wholes {
            return None;
        }
        picked.extend(shared);
        Some(picked)
    }

    fn least_used(&self, amount: u64) -> Vec<u32> {
        let mut pieces = (0..self.used.len() as u32).collect::<Vec<_>>();
        pieces.sort_by_key(|&piece| self.used[piece as usize]);
        pieces.truncate(amount.div_ceil(WHOLE) as usize);
        pieces
    }
}
