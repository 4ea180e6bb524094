//! Which nodes may run what, which of them could, and which of these is to.

use super::{
    Candidates, Refusal,
    asks::Ask,
    load::Load,
    nodes::{Node, NodeIndex, Nodes, Presence},
    rooms::{GaveUp, Patience, Usage},
    set_rooms::Offer,
    sites::Site,
};
use crate::model::NodeName;

impl Nodes {
    /// Where a job with these candidates may run, unless no node has any of their names.
    pub(super) fn add_site(&mut self, candidates: &Candidates) -> Result<Site, Refusal> {
        let names = candidates.names();
        let is_known = |name| self.find(name).is_some();
        if !matches!(candidates, Candidates::Any) && !names.iter().any(is_known) {
            return Err(self.unknown(names.to_vec()));
        }
        Ok(match candidates {
            Candidates::Any => Site::Any,
            Candidates::One(name) => Site::One(self.name(name.clone())),
            Candidates::Among(names) => {
                let mut sets = std::mem::take(&mut self.sets);
                let resolve = || names.iter().map(|name| self.name(name.clone())).collect();
                let site = Site::Among(sets.add(names, resolve));
                self.sets = sets;
                site
            }
        })
    }

    /// What a node has for jobs.
    fn offer(&self, node: NodeIndex) -> Offer {
        let node = &self[node];
        node.is_open().then(|| (node.free(), node.capacity()))
    }

    /// One job less may run there.
    pub(super) fn remove_site(&mut self, site: Site) {
        if let Site::Among(set) = site {
            self.sets.remove(set);
        }
    }

    /// Whether a job that may run at `site` may run on that node.
    pub(super) fn allows(&self, site: Site, node: NodeIndex) -> bool {
        match site {
            Site::Any => true,
            Site::One(only) => node == only,
            Site::Among(set) => self.sets.contain(set, node),
        }
    }

    /// Between how many nodes there is a choice.
    pub(super) fn freedom(&self, site: Site) -> usize {
        self.listed(&site).map_or(usize::MAX, <[_]>::len)
    }

    /// The nodes of a site, unless it is everywhere.
    pub(super) fn listed<'a>(&'a self, site: &'a Site) -> Option<&'a [NodeIndex]> {
        match site {
            Site::Any => None,
            Site::One(node) => Some(std::slice::from_ref(node)),
            Site::Among(set) => Some(&self.sets[*set]),
        }
    }

    /// The names of a site's nodes, in their order; none if it is everywhere.
    pub(super) fn named(&self, site: Site) -> Vec<NodeName> {
        let nodes = self.listed(&site).unwrap_or_default().iter();
        let mut names = nodes.map(|&node| self[node].name.clone()).collect::<Vec<_>>();
        names.sort_unstable();
        names
    }

    /// The refusal of a job of whose candidates no node has the name.
    pub(super) fn unknown(&self, asked: Vec<NodeName>) -> Refusal {
        let nodes = self.all().filter(|(_, node)| node.presence != Presence::Removed);
        let mut known = nodes.map(|(_, node)| node.name.clone()).collect::<Vec<_>>();
        known.sort_unstable();
        Refusal::UnknownNodes { asked, known }
    }

    /// Of the open nodes of a site with that much free, the one that is used least.
    pub(super) fn with_room(
        &self,
        load: &Load,
        site: Site,
        mut accept: impl FnMut(NodeIndex) -> bool,
    ) -> Option<NodeIndex> {
        let found = match site {
            Site::Any => self.rooms.least_used(load, Patience::Endless, accept),
            Site::One(node) => Ok(self.with_room_of(std::iter::once(node), load, accept)),
            Site::Among(set) => {
                let may = |node| self.sets.contain(set, node) && accept(node);
                self.rooms.least_used(load, self.sets.patience(set), may).or_else(|GaveUp| {
                    let (rooms, nodes) = self.sets.rooms(set, |node| self.offer(node));
                    let may = |position: NodeIndex| accept(nodes[position.get()]);
                    let found = rooms.least_used(load, Patience::Endless, may);
                    found.map(|found| found.map(|position| nodes[position.get()]))
                })
            }
        };
        found.unwrap_or_default()
    }

    /// Of the open nodes of these with that much free, the one that is used least.
    pub(super) fn with_room_of(
        &self,
        nodes: impl Iterator<Item = NodeIndex>,
        load: &Load,
        mut accept: impl FnMut(NodeIndex) -> bool,
    ) -> Option<NodeIndex> {
        let has_room = |&node: &NodeIndex| {
            self[node].is_open() && load.fits_in(&self[node].free()) && accept(node)
        };
        let usage = |node| (Usage::new(&self[node].free(), &self[node].capacity()), node);
        nodes.filter(has_room).min_by_key(|&node| usage(node))
    }

    /// The open node of a site, large enough, on which the least is missing.
    pub(super) fn closest(
        &self,
        load: &Load,
        site: Site,
        mut accept: impl FnMut(NodeIndex) -> bool,
    ) -> Option<NodeIndex> {
        let found = match site {
            Site::Any => self.rooms.closest(load, Patience::Endless, accept),
            Site::One(node) => {
                let is_large_enough =
                    self[node].is_open() && load.fits_in(&self[node].capacity()) && accept(node);
                Ok(is_large_enough.then_some(node))
            }
            Site::Among(set) => {
                let may = |node| self.sets.contain(set, node) && accept(node);
                self.rooms.closest(load, self.sets.patience(set), may).or_else(|GaveUp| {
                    let (rooms, nodes) = self.sets.rooms(set, |node| self.offer(node));
                    let may = |position: NodeIndex| accept(nodes[position.get()]);
                    let found = rooms.closest(load, Patience::Endless, may);
                    found.map(|found| found.map(|position| nodes[position.get()]))
                })
            }
        };
        found.unwrap_or_default()
    }

    /// The largest capacity of an open node of a site that can hold `load`.
    pub(super) fn roomiest(&self, load: &Load, site: Site) -> Option<Load> {
        let Some(nodes) = self.listed(&site) else {
            let capacities = self.open_by_capacity.keys().rev().copied();
            return capacities.into_iter().find(|capacity| load.fits_in(capacity));
        };
        let open = nodes.iter().map(|&node| &self[node]).filter(|node| node.is_open());
        open.map(Node::capacity).filter(|capacity| load.fits_in(capacity)).max()
    }

    /// Whether an open node that may is large enough and has a place for a supervisor, if one is
    /// asked for.
    ///
    /// Whoever waits for such a place is passed over meanwhile, as if there were no node: those
    /// who have them may be waiting for jobs further back in the queue.
    pub(super) fn can_hold(&self, ask: &Ask) -> bool {
        if ask.site == Site::Any && ask.load.supervisors == 0 {
            return self.roomiest(&ask.load, ask.site).is_some();
        }
        self.closest(&ask.load, ask.site, |node| self.has_place(&ask.load, node)).is_some()
    }

    /// Whether nothing is known yet of what a node has that may be asked.
    pub(super) fn may_have_any_pool(&self, site: Site) -> bool {
        let is_expected = |node: NodeIndex| self[node].presence != Presence::Removed;
        self.listed(&site).map_or(self.expected_by_capacity.is_empty(), |nodes| {
            let is_unknown = |&node: &NodeIndex| is_expected(node) && self[node].capacity.is_none();
            self.unknown_count > 0 && nodes.iter().any(is_unknown)
        })
    }

    /// Whether a node that may run this and is there or expected is large enough, or not yet known
    /// to be too small. Slots are not looked at: their number is changed at will.
    pub(super) fn may_ever_hold(&self, ask: &Ask) -> bool {
        let fits = |capacity: &Load| ask.load.amounts_fit_in(capacity);
        let Some(nodes) = self.listed(&ask.site) else {
            let expected = &self.expected_by_capacity;
            return expected.is_empty() || expected.keys().any(fits);
        };
        let mut expected = nodes.iter().filter(|&&node| self[node].presence != Presence::Removed);
        expected.any(|&node| self[node].capacity.as_ref().is_none_or(fits))
    }

    /// The expected node that may run this and comes closest to being large enough.
    pub(super) fn least_too_small(&self, ask: &Ask) -> Option<NodeIndex> {
        let Some(nodes) = self.listed(&ask.site) else {
            let by_capacity = self.expected_by_capacity.iter();
            let (_, nodes) = by_capacity.min_by_key(|(capacity, _)| ask.load.missing(capacity))?;
            return nodes.first().copied();
        };
        let nodes = nodes.iter().copied();
        let expected = nodes.filter(|&node| self[node].presence != Presence::Removed);
        expected.min_by_key(|&node| ask.load.missing(&self[node].capacity()))
    }
}
