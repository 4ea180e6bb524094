//! Where a unit can start now, and where it is to start once there is room.

use std::collections::BTreeMap;

use super::{
    Dispatcher, Timestamp,
    asks::Ask,
    load::Load,
    nodes::{NodeIndex, Nodes},
    pieces::Indices,
    queue::{LineIndex, Place},
};
use crate::model::JobId;

/// Whether open nodes could run these jobs if nothing else ran.
pub(super) fn feasible(nodes: &Nodes, asks: &[Ask]) -> bool {
    asks.iter().all(|ask| nodes.can_hold(ask))
}

/// Whether the unit is the first in the queue, or would overtake the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rank {
    First,
    Behind,
}

/// What a unit looks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    /// What each of its members asks for.
    pub(super) asks: &'a [Ask],
    /// The nodes near each of them; empty if none of them has such.
    pub(super) near: &'a [Vec<NodeIndex>],
    /// The only node to look at, if they are to be together.
    pub(super) only: Option<NodeIndex>,
}

impl Dispatcher {
    /// The nodes near each member of a unit; empty if none of them has such.
    pub(super) fn near(&self, unit: Place, line: LineIndex) -> Vec<Vec<NodeIndex>> {
        let near = |job: &JobId| {
            let names = self.jobs[*job].near.names().into_iter().flatten();
            names.filter_map(|name| self.nodes.find(name)).collect()
        };
        let has_near = |job: &JobId| self.jobs[*job].near.names().is_some();
        let single = [unit.job];
        let is_gang = self.queue[line].is_of_gangs();
        let gang = if is_gang { self.gangs.get(&unit.job) } else { None };
        let members = gang.map_or(&single[..], Vec::as_slice);
        if members.iter().any(has_near) { members.iter().map(near).collect() } else { Vec::new() }
    }

    /// A node for each of those that are wanted, where they fit now.
    ///
    /// A gang is kept on one node, where its pipes cost least. Only the first in the queue is
    /// spread over several: the others would be tried with each bit that becomes free anywhere.
    pub(super) fn find_room(
        &mut self,
        wanted: &Wanted<'_>,
        rank: Rank,
        now: Timestamp,
    ) -> Option<Vec<NodeIndex>> {
        let asks = wanted.asks;
        let together = together(&self.nodes, asks);
        if let Some(together) = &together
            && let Some(node) = self.find_node(wanted, together, rank, now)
        {
            return Some(vec![node; asks.len()]);
        }
        let may_spread = asks.len() > 1 && (rank == Rank::First || together.is_none());
        may_spread.then(|| self.spread(wanted, rank))?
    }

    fn find_node(
        &self,
        wanted: &Wanted<'_>,
        together: &Ask,
        rank: Rank,
        now: Timestamp,
    ) -> Option<NodeIndex> {
        let asks = wanted.asks;
        let may_take = |node| {
            (rank == Rank::First || self.may_overtake(together, node, now))
                && self.nodes[node].has_room_for(asks)
                && asks.iter().all(|ask| self.nodes.allows(ask.site, node))
        };
        let near = wanted.near.iter().flatten().copied();
        if let Some(near) = self.nodes.with_room_of(near, &together.load, may_take) {
            return Some(near);
        }
        match wanted.only {
            Some(node) => (self.nodes[node].is_open() && may_take(node)).then_some(node),
            None => self.nodes.with_room(&together.load, together.site, may_take),
        }
    }

    /// A node for each of `asks`, one by one, the earlier ones counted as held.
    fn spread(&mut self, wanted: &Wanted<'_>, rank: Rank) -> Option<Vec<NodeIndex>> {
        let asks = wanted.asks;
        let mut found = Vec::<(NodeIndex, Indices)>::with_capacity(asks.len());
        for (position, ask) in asks.iter().enumerate() {
            let near = wanted.near.get(position).into_iter().flatten().copied();
            let usable = |node: NodeIndex| {
                (rank == Rank::First || !self.is_reserved(node))
                    && self.nodes[node].has_room_for(std::slice::from_ref(ask))
            };
            let near = near.filter(|&node| self.nodes.allows(ask.site, node));
            let near = self.nodes.with_room_of(near, &ask.load, usable);
            let node = near.or_else(|| self.nodes.with_room(&ask.load, ask.site, usable));
            let Some(node) = node else { break };
            let indices = self.nodes[node].pieces.pick_in_debt(&ask.load);
            self.nodes.recharge(node, &Load::NONE, &ask.load, &indices);
            found.push((node, indices));
        }
        for ((node, indices), ask) in found.iter().zip(asks) {
            self.nodes.recharge(*node, &ask.load, &Load::NONE, indices);
        }
        (found.len() == asks.len()).then(|| found.into_iter().map(|(node, _)| node).collect())
    }

    /// A node for each of `asks`, were it idle: the same for all if one is large enough; else
    /// several that are, together; else the whole of one that can hold each of them. Of these, the
    /// one on which the least is missing at present. None lacks a place for a supervisor now.
    pub(super) fn homes(&self, asks: &[Ask]) -> Option<Vec<NodeIndex>> {
        let together = together(&self.nodes, asks);
        let same = |home| vec![home; asks.len()];
        let common = together.as_ref().and_then(|together| self.common_home(asks, together));
        if let Some(homes) = common.map(same).or_else(|| self.spread_homes(asks)) {
            return Some(homes);
        }
        let whole = together.as_ref().and_then(|together| self.whole_home(asks, together));
        if let Some(home) = whole {
            return Some(same(home));
        }
        let closest = |ask: &Ask| {
            let has_place = |node| self.nodes.has_place(&ask.load, node);
            self.nodes.closest(&ask.load, ask.site, has_place)
        };
        asks.iter().map(closest).collect()
    }

    /// The node that can hold all of them.
    fn common_home(&self, asks: &[Ask], together: &Ask) -> Option<NodeIndex> {
        let may_be = |node| self.may_be_home(asks, together, node);
        self.nodes.closest(&together.load, together.site, may_be)
    }

    /// Nodes that can hold all of them together, each its own: a gang need not be more than what
    /// any node takes, in cpus or in jobs, as long as there are several nodes.
    fn spread_homes(&self, asks: &[Ask]) -> Option<Vec<NodeIndex>> {
        let mut planned = BTreeMap::<NodeIndex, Load>::new();
        let mut homes = Vec::with_capacity(asks.len());
        for ask in asks {
            let with_others =
                |node| planned.get(&node).map_or(ask.load, |others| others.joined_with(ask.load));
            let fits = |node| {
                with_others(node).fits_in(&self.nodes[node].capacity())
                    && self.nodes.has_place(&ask.load, node)
            };
            let home = self.nodes.closest(&ask.load, ask.site, fits)?;
            let share = with_others(home);
            planned.insert(home, share);
            homes.push(home);
        }
        Some(homes)
    }

    /// The largest node on which all of them may run, of which they get the whole.
    fn whole_home(&self, asks: &[Ask], together: &Ask) -> Option<NodeIndex> {
        let largest = asks.iter().map(|ask| ask.load).reduce(Load::max)?;
        let capacity = self.nodes.roomiest(&largest, together.site)?;
        let may_be = |node| {
            self.nodes[node].capacity() == capacity && self.may_be_home(asks, together, node)
        };
        self.nodes.closest(&together.load.min(capacity), together.site, may_be)
    }

    fn may_be_home(&self, asks: &[Ask], together: &Ask, node: NodeIndex) -> bool {
        self.nodes.has_place(&together.load, node)
            && asks.iter().all(|ask| self.nodes.allows(ask.site, node))
    }

    /// What the members together ask of each home, at most all it has.
    pub(super) fn shares(&self, asks: &[Ask], homes: &[NodeIndex]) -> BTreeMap<NodeIndex, Load> {
        let mut shares = BTreeMap::<_, Load>::new();
        for (&home, ask) in homes.iter().zip(asks) {
            let share = shares.entry(home).or_default();
            *share = share.joined_with(ask.load).min(self.nodes[home].capacity());
        }
        shares
    }
}

/// All of these as one, unless they must run on different nodes. Not all nodes of its site need
/// be allowed to each of them, but at least one is.
pub(super) fn together(nodes: &Nodes, asks: &[Ask]) -> Option<Ask> {
    let mut all = *asks.first()?;
    for ask in &asks[1..] {
        all.load = all.load.joined_with(ask.load);
        all.time_limit = all.time_limit.zip(ask.time_limit).map(|(a, b)| a.max(b));
        if nodes.freedom(ask.site) < nodes.freedom(all.site) {
            all.site = ask.site;
        }
    }
    let is_for_all = |&node: &NodeIndex| asks.iter().all(|ask| nodes.allows(ask.site, node));
    let has_common = |nodes: &[NodeIndex]| nodes.iter().any(is_for_all);
    let can_be = asks.len() == 1 || nodes.listed(&all.site).is_none_or(has_common);
    can_be.then_some(all)
}
