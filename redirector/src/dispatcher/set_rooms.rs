//! The tree over what the nodes of one set have.
//!
//! Where many nodes have room that a job may not use, a search through the tree over all nodes
//! comes by each of them, in vain. Then the set gets a tree of its own. Nodes belong to any number
//! of sets, so a set's tree is not told of each job that starts or ends: it catches up when it is
//! asked.
//!
//! ```text
//!   changes    … node 4   node 2   node 4   node 9
//!                      ▲                          ▲
//!               set 1 has seen these        set 0 has seen all
//! ```

use super::{load::Load, nodes::NodeIndex, rooms::Rooms};

/// So many changes are remembered; a tree that is further behind is planted anew.
const MEMORY: usize = 4096;

/// What is free on a node, and what it has, while it takes jobs.
pub(super) type Offer = Option<(Load, Load)>;

/// Which nodes have changed, one after the other.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// How many are not remembered any more.
    forgotten: u64,
    nodes: Vec<NodeIndex>,
}

impl Changes {
    pub(super) fn push(&mut self, node: NodeIndex) {
        if self.nodes.len() == MEMORY {
            self.nodes.drain(..MEMORY / 2);
            self.forgotten += MEMORY as u64 / 2;
        }
        self.nodes.push(node);
    }

    /// How many there have been.
    fn count(&self) -> u64 {
        self.forgotten + self.nodes.len() as u64
    }

    /// Those after the first `seen`, if they are remembered.
    fn since(&self, seen: u64) -> Option<&[NodeIndex]> {
        self.nodes.get(usize::try_from(seen.checked_sub(self.forgotten)?).ok()?..)
    }
}

/// The tree, planted when it is asked for the first time.
#[derive(Debug, Default)]
pub(super) struct SetRooms {
    tree: Rooms,
    /// How many changes it has seen.
    seen: Option<u64>,
}

impl SetRooms {
    /// The tree as it was at the last update.
    pub(super) fn tree(&self) -> &Rooms {
        &self.tree
    }

    /// About how much work it would be to update the tree: so many nodes would be looked at.
    pub(super) fn lag(&self, nodes: &[NodeIndex], changes: &Changes) -> usize {
        let news = self.seen.and_then(|seen| changes.since(seen));
        news.map_or(nodes.len(), |news| news.len().min(nodes.len()))
    }

    /// Sees to it that the tree says what these nodes, in ascending order, have now.
    pub(super) fn update(
        &mut self,
        nodes: &[NodeIndex],
        changes: &Changes,
        offer: impl Fn(NodeIndex) -> Offer,
    ) {
        let news = self.seen.and_then(|seen| changes.since(seen));
        if let Some(news) = news.filter(|news| news.len() < nodes.len()) {
            let positions = news.iter().filter_map(|node| nodes.binary_search(node).ok());
            positions.for_each(|position| self.enter(position, offer(nodes[position])));
        } else {
            self.tree = Rooms::with_space_for(nodes.len());
            let all = nodes.iter().enumerate();
            all.for_each(|(position, &node)| self.enter(position, offer(node)));
        }
        self.seen = Some(changes.count());
    }

    fn enter(&mut self, position: usize, offer: Offer) {
        let position = NodeIndex::new(position);
        match offer {
            Some((free, capacity)) => self.tree.open(position, free, capacity),
            None => self.tree.close(position),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::{
        dispatcher::{
            Candidates,
            load::{Load, Pools},
            nodes::{NodeIndex, Nodes, Presence},
            pieces::Indices,
            rooms::Usage,
        },
        model::{Amount, NodeName, Resources},
    };

    /// So many that a search for one of a few comes by many others.
    const NODES: usize = 64;

    fn load(cpus: u64) -> Load {
        Pools::default().known_load(&Resources::new(Amount(cpus), 0))
    }

    fn name(node: usize) -> NodeName {
        NodeName(format!("node{node}"))
    }

    proptest! {
        #[test]
        fn searches_in_sets_agree_with_looking_at_every_node(
            sets in prop::collection::vec(prop::collection::vec(any::<bool>(), NODES), 1..4),
            steps in prop::collection::vec((0..NODES, 0..9_u64, 0..8_u8, 0..4_usize), 1..200),
        ) {
            let mut nodes = Nodes::default();
            let indices = (0..NODES).map(|node| nodes.expect(name(node))).collect::<Vec<_>>();
            for &node in &indices {
                nodes.set_capacity(node, load(8));
                nodes.set_presence(node, Presence::Open);
            }
            let mut sites = Vec::new();
            for set in &sets {
                let members = (0..NODES).filter(|&node| node < 2 || set[node]).map(name);
                sites.push(nodes.add_site(&Candidates::among(members)).expect("they are there"));
            }
            for (node, cpus, presence, set) in steps {
                let node = indices[node];
                let presence = if presence == 0 { Presence::Draining } else { Presence::Open };
                nodes.set_presence(node, presence);
                let used = nodes[node].used;
                nodes.recharge(node, &used, &load(cpus), &Indices::default());
                let (site, ask) = (sites[set % sites.len()], load(9 - cpus));
                // Every third is refused for other reasons.
                let accept = |node: NodeIndex| !node.get().is_multiple_of(3);
                let may = |node: &NodeIndex| nodes.allows(site, *node) && accept(*node);
                let open = || indices.iter().copied().filter(may).filter(|&node| nodes[node].is_open());
                let with_room = open()
                    .filter(|&node| ask.fits_in(&nodes[node].free()))
                    .min_by_key(|&node| {
                        (Usage::new(&nodes[node].free(), &nodes[node].capacity()), node)
                    });
                prop_assert_eq!(nodes.with_room(&ask, site, accept), with_room);
                let closest = open()
                    .filter(|&node| ask.fits_in(&nodes[node].capacity()))
                    .min_by_key(|&node| (ask.missing(&nodes[node].free()), node));
                prop_assert_eq!(nodes.closest(&ask, site, accept), closest);
            }
        }
    }
}
