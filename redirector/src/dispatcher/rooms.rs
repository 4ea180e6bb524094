//! Finds a node with room without looking at every node.
//!
//! A binary tree over the nodes in joining order; each branch knows, pool by pool, the most that
//! any node below it has. A search skips every branch whose most is too little:
//!
//! ```text
//!                  free 4                     looking for 3:
//!            ┌───────┴───────┐                down the left branch? its most is 2, skip it;
//!          free 2          free 4             down the right one, to the first leaf that has 3
//!        ┌───┴───┐       ┌───┴───┐
//!      node 0  node 1  node 2  node 3
//!      free 0  free 2  free 1  free 4
//! ```
//!
//! Taking the *first* node that fits fills nodes in joining order. The gateway's own machine joins
//! first and its leases cost least; nodes that joined last stay whole for large jobs and become
//! idle first when there is little to do.

use super::{load::Load, nodes::NodeIndex};

/// What one node has, or the most that any node of a branch has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Room {
    free: Load,
    capacity: Load,
    /// At least one node here takes jobs: a node without any capacity still runs supervisors.
    open: bool,
}

impl Room {
    fn or(self, other: Self) -> Self {
        Self {
            free: self.free.max(other.free),
            capacity: self.capacity.max(other.capacity),
            open: self.open || other.open,
        }
    }
}

/// The tree, stored level by level as in a binary heap: the children of `i` are `2i` and `2i + 1`.
#[derive(Clone, Debug)]
pub(super) struct Rooms {
    tree: Vec<Room>,
    leaves: usize,
}

impl Default for Rooms {
    fn default() -> Self {
        Self { tree: vec![Room::default(); 2], leaves: 1 }
    }
}

impl Rooms {
    /// Records what an open node has.
    pub(super) fn open(&mut self, node: NodeIndex, free: Load, capacity: Load) {
        self.set(node, Room { free, capacity, open: true });
    }

    /// Takes a node out of all searches.
    pub(super) fn close(&mut self, node: NodeIndex) {
        self.set(node, Room::default());
    }

    /// The first open node with `load` free that `accept` agrees to.
    pub(super) fn first(
        &self,
        load: Load,
        mut accept: impl FnMut(NodeIndex) -> bool,
    ) -> Option<NodeIndex> {
        self.first_below(1, load, &mut accept)
    }

    /// The open node, large enough for `load`, on which the least is missing at present.
    pub(super) fn closest(
        &self,
        load: Load,
        mut accept: impl FnMut(NodeIndex) -> bool,
    ) -> Option<NodeIndex> {
        let mut best = None;
        self.closest_below(1, load, &mut accept, &mut best);
        best.map(|(_, node)| node)
    }

    fn first_below(
        &self,
        at: usize,
        load: Load,
        accept: &mut impl FnMut(NodeIndex) -> bool,
    ) -> Option<NodeIndex> {
        let room = &self.tree[at];
        if !room.open || !load.fits_in(&room.free) {
            return None;
        }
        if at >= self.leaves {
            return Some(NodeIndex::new(at - self.leaves)).filter(|&node| accept(node));
        }
        self.first_below(2 * at, load, accept)
            .or_else(|| self.first_below(2 * at + 1, load, accept))
    }

    fn closest_below(
        &self,
        at: usize,
        load: Load,
        accept: &mut impl FnMut(NodeIndex) -> bool,
        best: &mut Option<(u64, NodeIndex)>,
    ) {
        let room = &self.tree[at];
        if !room.open || !load.fits_in(&room.capacity) {
            return;
        }
        let missing = load.missing(&room.free);
        if best.is_some_and(|(least, _)| least <= missing) {
            return;
        }
        if at < self.leaves {
            self.closest_below(2 * at, load, accept, best);
            self.closest_below(2 * at + 1, load, accept, best);
        } else if accept(NodeIndex::new(at - self.leaves)) {
            *best = Some((missing, NodeIndex::new(at - self.leaves)));
        }
    }

    fn set(&mut self, node: NodeIndex, room: Room) {
        while node.get() >= self.leaves {
            self.double();
        }
        let mut at = self.leaves + node.get();
        self.tree[at] = room;
        while at > 1 {
            at /= 2;
            let most = self.tree[2 * at].or(self.tree[2 * at + 1]);
            if self.tree[at] == most {
                break;
            }
            self.tree[at] = most;
        }
    }

    fn double(&mut self) {
        let leaves = self.tree[self.leaves..].to_vec();
        self.leaves *= 2;
        self.tree = vec![Room::default(); 2 * self.leaves];
        for (position, leaf) in leaves.into_iter().enumerate() {
            self.set(NodeIndex::new(position), leaf);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        dispatcher::load::Pools,
        model::{Amount, Resources},
    };

    fn load(cpus: u64, mem: u64) -> Load {
        Pools::default().known_load(&Resources::new(Amount(cpus), mem))
    }

    proptest! {
        #[test]
        fn searches_agree_with_looking_at_every_node(
            nodes in prop::collection::vec((0..6_u64, 0..6_u64, 0..6_u64, 0..6_u64, 0..5_u8), 1..40),
            cpus in 0..8_u64,
            mem in 0..8_u64,
        ) {
            let mut rooms = Rooms::default();
            let mut open = Vec::new();
            for (position, &(cpus, mem, used_cpus, used_mem, closed)) in nodes.iter().enumerate() {
                let node = NodeIndex::new(position);
                let capacity = load(cpus, mem);
                let free = capacity.minus(load(used_cpus, used_mem));
                rooms.open(node, free, capacity);
                if closed == 0 {
                    rooms.close(node);
                } else {
                    open.push((node, free, capacity));
                }
            }
            let ask = load(cpus, mem);
            let first = open.iter().find(|(_, free, _)| ask.fits_in(free)).map(|found| found.0);
            prop_assert_eq!(rooms.first(ask, |_| true), first);
            let closest = open
                .iter()
                .filter(|(_, _, capacity)| ask.fits_in(capacity))
                .min_by_key(|(_, free, _)| ask.missing(free))
                .map(|found| found.0);
            prop_assert_eq!(rooms.closest(ask, |_| true), closest);
        }
    }
}
