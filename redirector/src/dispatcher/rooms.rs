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

/// How many branches a search for the closest node looks at. It stops there with the best one found:
/// where thousands of nodes lack about the same, it matters little which of them it is.
const ENOUGH: u32 = 256;

/// What one node has free, or the most that any node of a branch has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Room {
    free: Load,
    /// At least one node here takes jobs: a node without any capacity still runs supervisors.
    open: bool,
}

/// The tree, stored level by level as in a binary heap: the children of `i` are `2i` and `2i + 1`.
/// What nodes have altogether changes seldom and stands apart, so that more of what is free is in
/// the processor's caches.
#[derive(Clone, Debug)]
pub(super) struct Rooms {
    free: Vec<Room>,
    capacities: Vec<Load>,
    leaves: usize,
}

impl Default for Rooms {
    fn default() -> Self {
        Self { free: vec![Room::default(); 2], capacities: vec![Load::NONE; 2], leaves: 1 }
    }
}

impl Rooms {
    /// Records what an open node has.
    pub(super) fn open(&mut self, node: NodeIndex, free: Load, capacity: Load) {
        self.set_capacity(node, capacity);
        self.set_free(node, free);
    }

    /// Records what an open node has free.
    pub(super) fn set_free(&mut self, node: NodeIndex, free: Load) {
        self.set_room(node, Room { free, open: true });
    }

    /// Takes a node out of all searches.
    pub(super) fn close(&mut self, node: NodeIndex) {
        self.set_capacity(node, Load::NONE);
        self.set_room(node, Room::default());
    }

    /// How many nodes there is space for.
    pub(super) fn len(&self) -> usize {
        self.leaves
    }

    /// The most of each pool that any open node has.
    pub(super) fn largest(&self) -> &Load {
        &self.capacities[1]
    }

    /// The first open node with `load` free that `accept` agrees to.
    pub(super) fn first(
        &self,
        load: &Load,
        mut accept: impl FnMut(NodeIndex) -> bool,
    ) -> Option<NodeIndex> {
        self.first_below(1, load, &mut accept)
    }

    /// The open node, large enough for `load`, on which the least is missing at present.
    pub(super) fn closest(
        &self,
        load: &Load,
        mut accept: impl FnMut(NodeIndex) -> bool,
    ) -> Option<NodeIndex> {
        let mut search = Search { best: None, left: ENOUGH };
        self.closest_below(1, load, &mut accept, &mut search);
        search.best.map(|(_, node)| node)
    }

    fn first_below(
        &self,
        at: usize,
        load: &Load,
        accept: &mut impl FnMut(NodeIndex) -> bool,
    ) -> Option<NodeIndex> {
        let room = &self.free[at];
        if !room.open || !load.fits_in(&room.free) {
            return None;
        }
        if at >= self.leaves {
            return Some(self.node(at)).filter(|&node| accept(node));
        }
        self.first_below(2 * at, load, accept)
            .or_else(|| self.first_below(2 * at + 1, load, accept))
    }

    fn closest_below(
        &self,
        at: usize,
        load: &Load,
        accept: &mut impl FnMut(NodeIndex) -> bool,
        search: &mut Search,
    ) {
        search.left = search.left.saturating_sub(1);
        if !self.free[at].open || !load.fits_in(&self.capacities[at]) {
            return;
        }
        let missing = load.missing(&self.free[at].free);
        if search.best.is_some_and(|(least, node)| {
            search.left == 0 || (missing, self.first_node_below(at)) >= (least, node)
        }) {
            return;
        }
        if at >= self.leaves {
            if accept(self.node(at)) {
                search.best = Some((missing, self.node(at)));
            }
            return;
        }
        let lacks = |child: usize| load.missing(&self.free[child].free);
        let right_is_closer = usize::from(lacks(2 * at + 1) < lacks(2 * at));
        self.closest_below(2 * at + right_is_closer, load, accept, search);
        self.closest_below(2 * at + 1 - right_is_closer, load, accept, search);
    }

    fn node(&self, leaf: usize) -> NodeIndex {
        NodeIndex::new(leaf - self.leaves)
    }

    fn first_node_below(&self, mut at: usize) -> NodeIndex {
        while at < self.leaves {
            at *= 2;
        }
        self.node(at)
    }

    fn set_room(&mut self, node: NodeIndex, room: Room) {
        while node.get() >= self.leaves {
            self.double();
        }
        let mut at = self.leaves + node.get();
        self.free[at] = room;
        while at > 1 {
            at /= 2;
            let (left, right) = (&self.free[2 * at], &self.free[2 * at + 1]);
            let most = Room { free: left.free.max(right.free), open: left.open || right.open };
            if self.free[at].open == most.open && self.free[at].free.is(&most.free) {
                break;
            }
            self.free[at] = most;
        }
    }

    fn set_capacity(&mut self, node: NodeIndex, capacity: Load) {
        while node.get() >= self.leaves {
            self.double();
        }
        let mut at = self.leaves + node.get();
        self.capacities[at] = capacity;
        while at > 1 {
            at /= 2;
            self.capacities[at] = self.capacities[2 * at].max(self.capacities[2 * at + 1]);
        }
    }

    fn double(&mut self) {
        let rooms = self.free[self.leaves..].to_vec();
        let capacities = self.capacities[self.leaves..].to_vec();
        self.leaves *= 2;
        self.free = vec![Room::default(); 2 * self.leaves];
        self.capacities = vec![Load::NONE; 2 * self.leaves];
        for (position, (room, capacity)) in rooms.into_iter().zip(capacities).enumerate() {
            self.set_room(NodeIndex::new(position), room);
            self.set_capacity(NodeIndex::new(position), capacity);
        }
    }
}

/// What a search for the closest node has found so far.
struct Search {
    /// How much is missing, and where.
    best: Option<(u64, NodeIndex)>,
    /// How many branches are still to be looked at.
    left: u32,
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
            prop_assert_eq!(rooms.first(&ask, |_| true), first);
            let closest = open
                .iter()
                .filter(|(_, _, capacity)| ask.fits_in(capacity))
                .min_by_key(|(_, free, _)| ask.missing(free))
                .map(|found| found.0);
            prop_assert_eq!(rooms.closest(&ask, |_| true), closest);
        }
    }
}
