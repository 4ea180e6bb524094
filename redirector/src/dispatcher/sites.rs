//! Where jobs may run, in a form that is cheap to copy and to compare.
//!
//! [`Candidates`](super::Candidates) have names; in here nodes are positions, and each different
//! set of several nodes is kept once and counted:
//!
//! ```text
//!   Any ───────────────────────────────▶ Site::Any
//!   One(b) ────────────────────────────▶ Site::One(1)
//!   Among([a, c]) ──▶ set 0: nodes 0, 2 ─▶ Site::Among(0)      node 0 is in sets 0, 1
//!   Among([a, b]) ──▶ set 1: nodes 0, 1 ─▶ Site::Among(1)      node 1 is in set 1
//! ```

use std::{
    cell::{Ref, RefCell},
    sync::Arc,
};

use super::{
    hasher::FastMap,
    nodes::NodeIndex,
    rooms::{Patience, Rooms},
    set_rooms::{Changes, Offer, SetRooms},
};
use crate::model::NodeName;

/// So many nodes are looked at in vain without a second thought.
const FEW: usize = 16;

/// Where a job may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Site {
    /// On one node alone.
    One(NodeIndex),
    /// On the nodes of a set.
    Among(SetIndex),
    /// Anywhere.
    Any,
}

/// A set by its position in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct SetIndex(u32);

/// The table of sets.
#[derive(Debug, Default)]
pub(super) struct Sets {
    entries: Vec<Entry>,
    unused: Vec<SetIndex>,
    by_nodes: FastMap<Arc<[NodeIndex]>, SetIndex>,
    /// By where the list of names is in memory that an entry keeps: jobs share lists, and a list
    /// of all hosts is long.
    by_address: FastMap<usize, SetIndex>,
    at: FastMap<NodeIndex, Vec<SetIndex>>,
    changes: Changes,
}

#[derive(Debug)]
struct Entry {
    /// In ascending order.
    nodes: Arc<[NodeIndex]>,
    /// The list that the set was first asked for with.
    names: Arc<[NodeName]>,
    /// Updated by searches, which change nothing else.
    rooms: RefCell<SetRooms>,
    jobs: u32,
}

fn address(names: &Arc<[NodeName]>) -> usize {
    Arc::as_ptr(names).addr()
}

impl std::ops::Index<SetIndex> for Sets {
    type Output = [NodeIndex];

    fn index(&self, index: SetIndex) -> &[NodeIndex] {
        &self.entries[index.0 as usize].nodes
    }
}

impl Sets {
    /// One job more asks for these nodes. `resolve` is asked which they are, unless the same list
    /// was seen before.
    pub(super) fn add(
        &mut self,
        names: &Arc<[NodeName]>,
        resolve: impl FnOnce() -> Vec<NodeIndex>,
    ) -> SetIndex {
        let seen = self.by_address.get(&address(names)).copied();
        let index = seen.unwrap_or_else(|| {
            let mut nodes = resolve();
            nodes.sort_unstable();
            nodes.dedup();
            let known = self.by_nodes.get(nodes.as_slice()).copied();
            known.unwrap_or_else(|| self.add_set(nodes.into(), names))
        });
        self.entries[index.0 as usize].jobs += 1;
        index
    }

    /// One job less asks for them.
    pub(super) fn remove(&mut self, index: SetIndex) {
        let entry = &mut self.entries[index.0 as usize];
        entry.jobs -= 1;
        if entry.jobs > 0 {
            return;
        }
        let nodes = std::mem::take(&mut entry.nodes);
        let names = std::mem::take(&mut entry.names);
        entry.rooms = RefCell::default();
        self.by_nodes.remove(&nodes);
        self.by_address.remove(&address(&names));
        for node in &*nodes {
            if let Some(sets) = self.at.get_mut(node) {
                sets.retain(|&set| set != index);
                if sets.is_empty() {
                    self.at.remove(node);
                }
            }
        }
        self.unused.push(index);
    }

    /// The sets to which a node belongs.
    pub(super) fn at(&self, node: NodeIndex) -> &[SetIndex] {
        self.at.get(&node).map_or(&[], Vec::as_slice)
    }

    /// Whether a node belongs to a set.
    pub(super) fn contain(&self, index: SetIndex, node: NodeIndex) -> bool {
        self[index].binary_search(&node).is_ok()
    }

    /// A node has something else to offer than before.
    pub(super) fn note_change(&mut self, node: NodeIndex) {
        if !self.by_nodes.is_empty() {
            self.changes.push(node);
        }
    }

    /// How long to look for a node of a set in the tree over all nodes: the longer, the more work
    /// it would be to bring the set's own up to date, but a part of that only. Once that is done,
    /// the next searches need no patience.
    pub(super) fn patience(&self, index: SetIndex) -> Patience {
        let Entry { nodes, rooms, .. } = &self.entries[index.0 as usize];
        let lag = rooms.borrow().lag(nodes, &self.changes);
        Patience::Refusals((lag / 8).max(FEW) as u32)
    }

    /// The tree over the nodes of a set, brought up to date, and the nodes in the order in which
    /// they stand in it.
    pub(super) fn rooms(
        &self,
        index: SetIndex,
        offer: impl Fn(NodeIndex) -> Offer,
    ) -> (Ref<'_, Rooms>, &[NodeIndex]) {
        let Entry { nodes, rooms, .. } = &self.entries[index.0 as usize];
        rooms.borrow_mut().update(nodes, &self.changes, offer);
        (Ref::map(rooms.borrow(), SetRooms::tree), nodes)
    }

    fn add_set(&mut self, nodes: Arc<[NodeIndex]>, names: &Arc<[NodeName]>) -> SetIndex {
        let entry = Entry {
            nodes: Arc::clone(&nodes),
            names: Arc::clone(names),
            rooms: RefCell::default(),
            jobs: 0,
        };
        let index = if let Some(index) = self.unused.pop() {
            self.entries[index.0 as usize] = entry;
            index
        } else {
            self.entries.push(entry);
            SetIndex(self.entries.len() as u32 - 1)
        };
        for &node in &*nodes {
            self.at.entry(node).or_default().push(index);
        }
        self.by_address.insert(address(names), index);
        self.by_nodes.insert(nodes, index);
        index
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.by_nodes.is_empty() && self.by_address.is_empty() && self.at.is_empty()
    }
}
