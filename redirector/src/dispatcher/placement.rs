//! Where a unit can start now, and where it is to start once there is room.

use std::collections::BTreeMap;

use super::{
    Dispatcher, Timestamp,
    asks::Ask,
    load::Load,
    nodes::{NodeIndex, Nodes},
    pieces::Indices,
};

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

impl Dispatcher {
    /// A node for each of `asks`, where they fit now; only on `only` if they are to be together
    /// and that is given.
    ///
    /// A gang is kept on one node, where its pipes cost least. Only the first in the queue is
    /// spread over several: the others would be tried with each bit that becomes free anywhere.
    pub(super) fn find_room(
        &mut self,
        asks: &[Ask],
        only: Option<NodeIndex>,
        rank: Rank,
        now: Timestamp,
    ) -> Option<Vec<NodeIndex>> {
        let together = together(asks);
        if let Some(together) = &together
            && let Some(node) = self.find_node(asks, together, only, rank, now)
        {
            return Some(vec![node; asks.len()]);
        }
        let may_spread = asks.len() > 1 && (rank == Rank::First || together.is_none());
        may_spread.then(|| self.spread(asks, rank))?
    }

    fn find_node(
        &self,
        asks: &[Ask],
        together: &Ask,
        only: Option<NodeIndex>,
        rank: Rank,
        now: Timestamp,
    ) -> Option<NodeIndex> {
        let may_take = |node| {
            (rank == Rank::First || self.may_overtake(together, node, now))
                && self.nodes[node].has_room_for(asks)
        };
        match together.pin.or(only) {
            Some(node) => (self.nodes[node].is_open() && may_take(node)).then_some(node),
            None => self.nodes.first_with_room(&together.load, may_take),
        }
    }

    /// A node for each of `asks`, one by one, the earlier ones counted as held.
    fn spread(&mut self, asks: &[Ask], rank: Rank) -> Option<Vec<NodeIndex>> {
        let mut found = Vec::<(NodeIndex, Indices)>::with_capacity(asks.len());
        for ask in asks {
            let usable = |node: NodeIndex| {
                (rank == Rank::First || !self.is_reserved(node))
                    && self.nodes[node].has_room_for(std::slice::from_ref(ask))
            };
            let node = match ask.pin {
                Some(pin) => (self.nodes[pin].is_open() && usable(pin)).then_some(pin),
                None => self.nodes.first_with_room(&ask.load, usable),
            };
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

    /// A node for each of `asks`, were it idle: the same for all if one can hold each of them, and
    /// the one on which the least is missing at present. None of them lacks a place for a
    /// supervisor now.
    pub(super) fn homes(&self, asks: &[Ask]) -> Option<Vec<NodeIndex>> {
        if let Some(home) = self.common_home(asks) {
            return Some(vec![home; asks.len()]);
        }
        let closest =
            |ask: &Ask| self.nodes.closest(&ask.load, |node| self.nodes.has_place(&ask.load, node));
        asks.iter().map(|ask| ask.pin.or_else(|| closest(ask))).collect()
    }

    fn common_home(&self, asks: &[Ask]) -> Option<NodeIndex> {
        let together = together(asks)?;
        let largest = asks.iter().map(|ask| ask.load).reduce(Load::max)?;
        let has_place = |node| self.nodes.has_place(&together.load, node);
        if let Some(pin) = together.pin {
            let fits = largest.fits_in(&self.nodes[pin].capacity()) && has_place(pin);
            return fits.then_some(pin);
        }
        // A gang larger than every node gets the whole of the largest.
        self.nodes.closest(&together.load, has_place).or_else(|| {
            let capacity = self.nodes.roomiest(&largest)?;
            let is_roomiest = |node| self.nodes[node].capacity() == capacity && has_place(node);
            self.nodes.closest(&together.load.min(capacity), is_roomiest)
        })
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

/// All of these as one, unless they must run on different nodes.
pub(super) fn together(asks: &[Ask]) -> Option<Ask> {
    let mut all = *asks.first()?;
    for ask in &asks[1..] {
        if all.pin.zip(ask.pin).is_some_and(|(a, b)| a != b) {
            return None;
        }
        all = Ask {
            load: all.load.joined_with(ask.load),
            pin: all.pin.or(ask.pin),
            time_limit: all.time_limit.zip(ask.time_limit).map(|(a, b)| a.max(b)),
        };
    }
    Some(all)
}
