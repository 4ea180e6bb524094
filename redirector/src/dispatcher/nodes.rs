//! The nodes: what each has, how much of it is held, and which of them take jobs.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{load::Load, rooms::Rooms};
use crate::model::{JobId, NodeName};

/// A node by its position in joining order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct NodeIndex(u32);

impl NodeIndex {
    pub(super) const fn new(position: usize) -> Self {
        Self(position as u32)
    }

    pub(super) const fn get(self) -> usize {
        self.0 as usize
    }
}

/// Whether a node takes jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    /// It does.
    Open,
    /// It finishes what it runs.
    Draining,
    /// It is expected to come (back).
    Away,
    /// It is not expected any more.
    Removed,
}

/// One node.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) name: NodeName,
    pub(super) presence: Presence,
    /// `None` until it joins for the first time: a job may be recovered before its node is back.
    pub(super) capacity: Option<Load>,
    /// What its jobs hold: more than the capacity while the node is in debt.
    pub(super) used: Load,
    /// Every job that runs there, whether it holds anything or not.
    pub(super) running: BTreeSet<JobId>,
    /// How many of them hold something and need nothing from the queue in order to end.
    pub(super) independent: u32,
}

impl Node {
    pub(super) fn is_open(&self) -> bool {
        self.presence == Presence::Open
    }

    pub(super) fn capacity(&self) -> Load {
        self.capacity.unwrap_or_default()
    }

    pub(super) fn free(&self) -> Load {
        self.capacity().minus(self.used)
    }
}

/// All nodes.
#[derive(Debug, Default)]
pub(super) struct Nodes {
    table: Vec<Node>,
    by_name: HashMap<NodeName, NodeIndex>,
    rooms: Rooms,
    /// Open nodes by what they have: far fewer entries than nodes, so "is any large enough?" is
    /// answered from here.
    open_by_capacity: BTreeMap<Load, BTreeSet<NodeIndex>>,
    /// Nodes that have not been removed, by what they have, when that is known.
    expected_by_capacity: BTreeMap<Load, BTreeSet<NodeIndex>>,
}

impl std::ops::Index<NodeIndex> for Nodes {
    type Output = Node;

    fn index(&self, index: NodeIndex) -> &Node {
        &self.table[index.get()]
    }
}

impl Nodes {
    /// The node of that name, which becomes an expected one if it was unknown or removed.
    pub(super) fn expect(&mut self, name: NodeName) -> NodeIndex {
        let index = *self.by_name.entry(name).or_insert_with_key(|name| {
            let index = NodeIndex::new(self.table.len());
            self.table.push(Node {
                name: name.clone(),
                presence: Presence::Away,
                capacity: None,
                used: Load::NONE,
                running: BTreeSet::new(),
                independent: 0,
            });
            index
        });
        if self[index].presence == Presence::Removed {
            self.change(index, |node| {
                node.presence = Presence::Away;
                node.capacity = None;
            });
        }
        index
    }

    /// The node of that name, unless it is unknown or removed.
    pub(super) fn find(&self, name: &NodeName) -> Option<NodeIndex> {
        let index = *self.by_name.get(name)?;
        (self[index].presence != Presence::Removed).then_some(index)
    }

    pub(super) fn set_capacity(&mut self, index: NodeIndex, capacity: Load) {
        self.change(index, |node| node.capacity = Some(capacity));
    }

    pub(super) fn set_presence(&mut self, index: NodeIndex, presence: Presence) {
        self.change(index, |node| node.presence = presence);
    }

    /// Replaces what one job holds.
    pub(super) fn recharge(&mut self, index: NodeIndex, before: Load, after: Load) {
        let node = &mut self.table[index.get()];
        node.used = node.used.minus(before).plus(after);
        self.publish(index);
    }

    pub(super) fn add_running(&mut self, index: NodeIndex, job: JobId) {
        self.table[index.get()].running.insert(job);
    }

    pub(super) fn remove_running(&mut self, index: NodeIndex, job: JobId) {
        self.table[index.get()].running.remove(&job);
    }

    /// Counts one independent job more or less.
    pub(super) fn count_independent(&mut self, index: NodeIndex, is_more: bool) {
        let count = &mut self.table[index.get()].independent;
        *count = if is_more { *count + 1 } else { *count - 1 };
    }

    /// The first open node with that much free.
    pub(super) fn first_with_room(
        &self,
        load: Load,
        accept: impl FnMut(NodeIndex) -> bool,
    ) -> Option<NodeIndex> {
        self.rooms.first(load, accept)
    }

    /// The open node, large enough, on which the least is missing.
    pub(super) fn closest(
        &self,
        load: Load,
        accept: impl FnMut(NodeIndex) -> bool,
    ) -> Option<NodeIndex> {
        self.rooms.closest(load, accept)
    }

    /// The largest capacity of an open node that can hold `load`.
    pub(super) fn roomiest(&self, load: Load) -> Option<Load> {
        self.open_by_capacity.keys().rev().copied().find(|&capacity| load.fits_in(&capacity))
    }

    /// Whether an open node, or this open node, is large enough.
    pub(super) fn can_hold(&self, load: Load, pin: Option<NodeIndex>) -> bool {
        match pin {
            Some(pin) => self[pin].is_open() && load.fits_in(&self[pin].capacity()),
            None => self.roomiest(load).is_some(),
        }
    }

    /// Whether a node is expected, or this one is, of which it is not known what it has.
    pub(super) fn may_have_any_pool(&self, pin: Option<NodeIndex>) -> bool {
        pin.map_or(self.expected_by_capacity.is_empty(), |pin| self[pin].capacity.is_none())
    }

    /// Whether a node that is there or expected, or this one, is large enough for `load` or not
    /// yet known to be too small. Slots are not looked at: their number is changed at will.
    pub(super) fn may_ever_hold(&self, load: Load, pin: Option<NodeIndex>) -> bool {
        let fits = |capacity: &Load| load.amounts_fit_in(capacity);
        match pin {
            Some(pin) => {
                self[pin].presence != Presence::Removed
                    && self[pin].capacity.as_ref().is_none_or(fits)
            }
            None => {
                self.expected_by_capacity.is_empty() || self.expected_by_capacity.keys().any(fits)
            }
        }
    }

    /// The expected node that comes closest to being large enough.
    pub(super) fn least_too_small(&self, load: Load) -> Option<NodeIndex> {
        let by_capacity = self.expected_by_capacity.iter();
        let (_, nodes) = by_capacity.min_by_key(|(capacity, _)| load.missing(capacity))?;
        nodes.first().copied()
    }

    fn change(&mut self, index: NodeIndex, change: impl FnOnce(&mut Node)) {
        self.list(index, false);
        change(&mut self.table[index.get()]);
        self.list(index, true);
        self.publish(index);
    }

    /// Enters the node in the lists by capacity to which it belongs, or takes it out of them.
    fn list(&mut self, index: NodeIndex, is_listed: bool) {
        let node = &self.table[index.get()];
        let Some(capacity) = node.capacity else { return };
        let lists = [
            (node.presence == Presence::Open, &mut self.open_by_capacity),
            (node.presence != Presence::Removed, &mut self.expected_by_capacity),
        ];
        for (_, list) in lists.into_iter().filter(|(belongs, _)| *belongs) {
            let nodes = list.entry(capacity).or_default();
            if is_listed {
                nodes.insert(index);
            } else {
                nodes.remove(&index);
            }
            if nodes.is_empty() {
                list.remove(&capacity);
            }
        }
    }

    fn publish(&mut self, index: NodeIndex) {
        let node = &self.table[index.get()];
        if node.is_open() {
            self.rooms.open(index, node.free(), node.capacity());
        } else {
            self.rooms.close(index);
        }
    }

    #[cfg(test)]
    pub(super) fn all(&self) -> impl Iterator<Item = (NodeIndex, &Node)> {
        self.table.iter().enumerate().map(|(position, node)| (NodeIndex::new(position), node))
    }
}
