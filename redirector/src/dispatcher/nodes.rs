//! The nodes: what each has, how much of it is held, and which of them take jobs.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{
    asks::Ask,
    load::Load,
    pieces::{Indices, Pieces},
    rooms::Rooms,
    sites::Sets,
};
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
    /// It cannot be reached at present: nothing starts there.
    pub(super) is_suspended: bool,
    /// `None` until it joins for the first time: a job may be recovered before its node is back.
    pub(super) capacity: Option<Load>,
    /// What its jobs hold: more than the capacity while the node is in debt.
    pub(super) used: Load,
    /// The same for pools that come in pieces.
    pub(super) pieces: Pieces,
    /// Every job that runs there, whether it holds anything or not, in no order.
    pub(super) running: Vec<JobId>,
    /// How many of them hold something and need nothing from the queue in order to end.
    pub(super) independent: u32,
}

impl Node {
    /// It takes any job for which it has room.
    pub(super) fn is_open(&self) -> bool {
        self.presence == Presence::Open && !self.is_suspended
    }

    /// It takes jobs that those which run need at the other ends of their pipes.
    pub(super) fn takes_joiners(&self) -> bool {
        matches!(self.presence, Presence::Open | Presence::Draining) && !self.is_suspended
    }

    pub(super) fn capacity(&self) -> Load {
        self.capacity.unwrap_or_default()
    }

    pub(super) fn free(&self) -> Load {
        self.capacity().minus(self.used)
    }

    /// Whether these can start there together now, without debt.
    pub(super) fn has_room_for(&self, asks: &[Ask]) -> bool {
        let loads = || asks.iter().map(|ask| ask.load);
        loads().reduce(Load::joined_with).is_none_or(|all| all.fits_in(&self.free()))
            && self.pieces.fit(loads())
    }
}

/// All nodes.
#[derive(Debug, Default)]
pub(super) struct Nodes {
    table: Vec<Node>,
    by_name: HashMap<NodeName, NodeIndex>,
    /// The sets of nodes of which some jobs may run on each.
    pub(super) sets: Sets,
    pub(super) rooms: Rooms,
    /// There are nodes of a size of which there were none, or no more nodes of some size.
    pub(super) sizes_changed: bool,
    /// A node has got, or has not any more, a place for a supervisor.
    pub(super) supervisors_changed: bool,
    /// Open nodes by what they have: far fewer entries than nodes, so "is any large enough?" is
    /// answered from here.
    pub(super) open_by_capacity: BTreeMap<Load, BTreeSet<NodeIndex>>,
    /// How many nodes have not been removed and have never joined.
    pub(super) unknown_count: usize,
    /// Nodes that have not been removed, by what they have, when that is known.
    pub(super) expected_by_capacity: BTreeMap<Load, BTreeSet<NodeIndex>>,
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
        let index = self.name(name);
        if self[index].presence == Presence::Removed {
            self.change(index, |node| {
                node.presence = Presence::Away;
                node.capacity = None;
                node.pieces = Pieces::default();
            });
        }
        index
    }

    /// The position of the node of that name, which is as one that was removed if it is unknown.
    pub(super) fn name(&mut self, name: NodeName) -> NodeIndex {
        *self.by_name.entry(name).or_insert_with_key(|name| {
            let index = NodeIndex::new(self.table.len());
            self.table.push(Node {
                name: name.clone(),
                presence: Presence::Removed,
                is_suspended: false,
                capacity: None,
                used: Load::NONE,
                pieces: Pieces::default(),
                running: Vec::new(),
                independent: 0,
            });
            index
        })
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

    pub(super) fn set_suspended(&mut self, index: NodeIndex, is_suspended: bool) {
        self.change(index, |node| node.is_suspended = is_suspended);
    }

    /// The node comes with these pieces, of which nothing is used.
    pub(super) fn set_pieces(&mut self, index: NodeIndex, pieces: Pieces) {
        self.table[index.get()].pieces = pieces;
    }

    /// Charges pieces of a node with what one job holds of them.
    pub(super) fn charge_pieces(&mut self, index: NodeIndex, load: &Load, indices: &Indices) {
        self.table[index.get()].pieces.charge(load, indices);
    }

    /// Replaces what one job holds.
    pub(super) fn recharge(
        &mut self,
        index: NodeIndex,
        before: &Load,
        after: &Load,
        indices: &Indices,
    ) {
        let node = &mut self.table[index.get()];
        let had_place = node.free().supervisors > 0;
        node.used = node.used.minus(*before).plus(*after);
        if !indices.is_empty() {
            node.pieces.discharge(before, indices);
            node.pieces.charge(after, indices);
        }
        self.supervisors_changed |= had_place != (node.free().supervisors > 0);
        if node.is_open() {
            self.rooms.set_free(index, node.free());
            self.sets.note_change(index);
        }
    }

    pub(super) fn add_running(&mut self, index: NodeIndex, job: JobId) {
        self.table[index.get()].running.push(job);
    }

    pub(super) fn remove_running(&mut self, index: NodeIndex, job: JobId) {
        let running = &mut self.table[index.get()].running;
        if let Some(position) = running.iter().position(|&other| other == job) {
            running.swap_remove(position);
        }
    }

    /// Counts one independent job more or less.
    pub(super) fn count_independent(&mut self, index: NodeIndex, is_more: bool) {
        let count = &mut self.table[index.get()].independent;
        *count = if is_more { *count + 1 } else { *count - 1 };
    }

    /// The most of each pool that any open node has.
    pub(super) fn largest(&self) -> &Load {
        self.rooms.largest()
    }

    /// Whether there are as many places for supervisors free there.
    pub(super) fn has_place(&self, load: &Load, index: NodeIndex) -> bool {
        load.supervisors <= self[index].free().supervisors
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
        let Some(capacity) = node.capacity else {
            if node.presence != Presence::Removed {
                self.unknown_count =
                    if is_listed { self.unknown_count + 1 } else { self.unknown_count - 1 };
            }
            return;
        };
        let lists = [
            (node.is_open(), &mut self.open_by_capacity),
            (node.presence != Presence::Removed, &mut self.expected_by_capacity),
        ];
        for (_, list) in lists.into_iter().filter(|(belongs, _)| *belongs) {
            let nodes = list.entry(capacity).or_default();
            self.sizes_changed |= nodes.is_empty();
            if is_listed {
                nodes.insert(index);
            } else {
                nodes.remove(&index);
            }
            if nodes.is_empty() {
                list.remove(&capacity);
                self.sizes_changed = true;
            }
        }
    }

    fn publish(&mut self, index: NodeIndex) {
        self.sets.note_change(index);
        let node = &self.table[index.get()];
        if node.is_open() {
            self.rooms.open(index, node.free(), node.capacity());
        } else {
            self.rooms.close(index);
        }
    }

    /// All there have been.
    pub(super) fn all(&self) -> impl Iterator<Item = (NodeIndex, &Node)> {
        self.table.iter().enumerate().map(|(position, node)| (NodeIndex::new(position), node))
    }
}
