//! Finds a node with room without looking at every node.
//!
//! A binary tree over the nodes in joining order; each branch knows, pool by pool, the most that
//! any node below it has, and how much is in use on the node that is used least. A search goes
//! down the branch that is used less first, and skips those whose most is too little or that are
//! used more than what was found already:
//!
//! ```text
//!                  free 4                     looking for 3:
//!                 used 1/5                    down the right branch first, which is used least,
//!            ┌───────┴───────┐                to node 3;
//!          free 3          free 4             the left branch's least is 1/4, more than 1/5:
//!         used 1/4        used 1/5            node 3 is the answer
//!        ┌───┴───┐       ┌───┴───┐
//!      node 0  node 1  node 2  node 3
//!      free 0  free 3  free 1  free 4
//!        all    1/4      1/2     1/5
//! ```
//!
//! So jobs are spread: each has more of a computer's caches, memory and network to itself, and one
//! that is lost takes few jobs along. Among nodes used alike the one that joined first is taken:
//! the gateway's own computer is the first, and nothing has to travel to it.

use super::{
    load::{CPUS, Load, MEM},
    nodes::NodeIndex,
};

/// How many branches a search looks at. It stops there with the best one found, if there is one:
/// where thousands of nodes are about the same, it matters little which of them it is.
const ENOUGH: u32 = 256;

/// How much of a node is in use; less goes first. The order of placement is decided by the order of
/// these fields and nowhere else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Usage {
    /// The share of its cpus, in 2⁻²⁴.
    cpus: u32,
    /// The share of its memory.
    mem: u32,
    jobs: u32,
}

impl Usage {
    pub(super) fn new(free: &Load, capacity: &Load) -> Self {
        let share = |slot| {
            let (free, capacity) = (free.amount(slot), capacity.amount(slot));
            let used = u128::from(capacity.saturating_sub(free)) << 24;
            used.checked_div(capacity.into()).unwrap_or(0) as u32
        };
        let jobs = capacity.slots.saturating_sub(free.slots);
        Self { cpus: share(CPUS), mem: share(MEM), jobs }
    }

    const fn is(self, other: Self) -> bool {
        self.cpus == other.cpus && self.mem == other.mem && self.jobs == other.jobs
    }
}

/// What one node has free, or the most that any node of a branch has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Room {
    free: Load,
    /// Of the node that is used least.
    usage: Usage,
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
        Self::with_space_for(1)
    }
}

impl Rooms {
    /// So many nodes, of which none is open.
    pub(super) fn with_space_for(nodes: usize) -> Self {
        let leaves = nodes.max(1).next_power_of_two();
        let (free, capacities) = (vec![Room::default(); 2 * leaves], vec![Load::NONE; 2 * leaves]);
        Self { free, capacities, leaves }
    }

    /// Records what an open node has.
    pub(super) fn open(&mut self, node: NodeIndex, free: Load, capacity: Load) {
        self.set_capacity(node, capacity);
        self.set_free(node, free);
    }

    /// Records what an open node has free.
    pub(super) fn set_free(&mut self, node: NodeIndex, free: Load) {
        let capacity = &self.capacities[self.leaves + node.get()];
        let usage = Usage::new(&free, capacity);
        self.set_room(node, Room { free, usage, open: true });
    }

    /// Takes a node out of all searches.
    pub(super) fn close(&mut self, node: NodeIndex) {
        self.set_capacity(node, Load::NONE);
        self.set_room(node, Room::default());
    }

    /// The most of each pool that any open node has.
    pub(super) fn largest(&self) -> &Load {
        &self.capacities[1]
    }

    /// Of the open nodes with `load` free that `accept` agrees to, the one that is used least.
    pub(super) fn least_used(
        &self,
        load: &Load,
        patience: Patience,
        mut accept: impl FnMut(NodeIndex) -> bool,
    ) -> Result<Option<NodeIndex>, GaveUp> {
        let mut search = Search::new(patience);
        self.least_used_below(1, load, &mut accept, &mut search);
        search.result()
    }

    /// The open node, large enough for `load`, on which the least is missing at present.
    pub(super) fn closest(
        &self,
        load: &Load,
        patience: Patience,
        mut accept: impl FnMut(NodeIndex) -> bool,
    ) -> Result<Option<NodeIndex>, GaveUp> {
        let mut search = Search::new(patience);
        self.closest_below(1, load, &mut accept, &mut search);
        search.result()
    }

    fn least_used_below(
        &self,
        at: usize,
        load: &Load,
        accept: &mut impl FnMut(NodeIndex) -> bool,
        search: &mut Search<Usage>,
    ) {
        search.left = search.left.saturating_sub(1);
        let room = &self.free[at];
        if search.gave_up() || !room.open || !load.fits_in(&room.free) {
            return;
        }
        if search.best.is_some_and(|(least, node)| {
            search.left == 0 || (room.usage, self.first_node_below(at)) >= (least, node)
        }) {
            return;
        }
        if at >= self.leaves {
            search.settle(accept(self.node(at)), room.usage, self.node(at));
            return;
        }
        let (left, right) = (&self.free[2 * at], &self.free[2 * at + 1]);
        let right_is_used_less = usize::from(right.open && right.usage < left.usage);
        self.least_used_below(2 * at + right_is_used_less, load, accept, search);
        self.least_used_below(2 * at + 1 - right_is_used_less, load, accept, search);
    }

    fn closest_below(
        &self,
        at: usize,
        load: &Load,
        accept: &mut impl FnMut(NodeIndex) -> bool,
        search: &mut Search<u64>,
    ) {
        search.left = search.left.saturating_sub(1);
        if search.gave_up() || !self.free[at].open || !load.fits_in(&self.capacities[at]) {
            return;
        }
        let missing = load.missing(&self.free[at].free);
        if search.best.is_some_and(|(least, node)| {
            search.left == 0 || (missing, self.first_node_below(at)) >= (least, node)
        }) {
            return;
        }
        if at >= self.leaves {
            search.settle(accept(self.node(at)), missing, self.node(at));
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
            let usage = match (left.open, right.open) {
                (true, true) => left.usage.min(right.usage),
                (true, false) => left.usage,
                (false, _) => right.usage,
            };
            let open = left.open || right.open;
            let most = Room { free: left.free.max(right.free), usage, open };
            let before = &self.free[at];
            if before.open == open && before.usage.is(usage) && before.free.is(&most.free) {
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
            let most = self.capacities[2 * at].max(self.capacities[2 * at + 1]);
            if self.capacities[at].is(&most) {
                break;
            }
            self.capacities[at] = most;
        }
    }

    fn double(&mut self) {
        let rooms = self.free[self.leaves..].to_vec();
        let capacities = self.capacities[self.leaves..].to_vec();
        *self = Self::with_space_for(2 * self.leaves);
        for (position, (room, capacity)) in rooms.into_iter().zip(capacities).enumerate() {
            self.set_room(NodeIndex::new(position), room);
            self.set_capacity(NodeIndex::new(position), capacity);
        }
    }
}

/// How long a search goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    /// Until it is known which node it is, or that there is none.
    Endless,
    /// Until so many nodes were refused.
    Refusals(u32),
}

/// A search was given up, since too many nodes were refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct GaveUp;

/// What a search has found so far, in an order where less is better.
struct Search<Order> {
    /// How much is missing, or used, and where.
    best: Option<(Order, NodeIndex)>,
    /// How many branches are still to be looked at.
    left: u32,
    patience: Patience,
}

impl<Order> Search<Order> {
    fn new(patience: Patience) -> Self {
        Self { best: None, left: ENOUGH, patience }
    }

    fn gave_up(&self) -> bool {
        self.patience == Patience::Refusals(0)
    }

    /// This node was found, and accepted or refused.
    fn settle(&mut self, is_accepted: bool, order: Order, node: NodeIndex) {
        if is_accepted {
            self.best = Some((order, node));
        } else if let Patience::Refusals(left) = &mut self.patience {
            *left -= 1;
        }
    }

    fn result(self) -> Result<Option<NodeIndex>, GaveUp> {
        if self.gave_up() { Err(GaveUp) } else { Ok(self.best.map(|(_, node)| node)) }
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
            refused in 2..6_usize,
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
            let accept = |node: NodeIndex| !node.get().is_multiple_of(refused);
            let least_used = open
                .iter()
                .filter(|(node, free, _)| ask.fits_in(free) && accept(*node))
                .min_by_key(|(_, free, capacity)| Usage::new(free, capacity))
                .map(|found| found.0);
            prop_assert_eq!(rooms.least_used(&ask, Patience::Endless, accept), Ok(least_used));
            let closest = open
                .iter()
                .filter(|(_, _, capacity)| ask.fits_in(capacity))
                .min_by_key(|(_, free, _)| ask.missing(free))
                .map(|found| found.0);
            prop_assert_eq!(rooms.closest(&ask, Patience::Endless, |_| true), Ok(closest));
        }
    }
}
