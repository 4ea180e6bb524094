//! Where a unit can start now, and where it is to start once there is room.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Dispatcher, Timestamp,
    load::Load,
    nodes::{NodeIndex, Nodes},
    queue::Ask,
};

/// Whether open nodes could run these jobs if nothing else ran.
pub(super) fn feasible(nodes: &Nodes, asks: &[Ask]) -> bool {
    asks.iter().all(|ask| nodes.can_hold(ask.load, ask.pin))
}

/// Whether the unit is the first in the queue, or would overtake the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rank {
    First,
    Behind,
}

impl Dispatcher {
    /// A node for each of `asks`, where they fit now; only on `only` if they are to be together
    /// and that is given. A gang is kept on one node if possible.
    pub(super) fn find_room(
        &mut self,
        asks: &[Ask],
        only: Option<NodeIndex>,
        rank: Rank,
        now: Timestamp,
    ) -> Option<Vec<NodeIndex>> {
        if let [ask] = asks {
            return self.find_node(*ask, only, rank, now).map(|node| vec![node]);
        }
        if let Some(together) = together(asks)
            && let Some(node) = self.find_node(together, only, rank, now)
        {
            return Some(vec![node; asks.len()]);
        }
        self.spread(asks, rank)
    }

    fn find_node(
        &self,
        ask: Ask,
        only: Option<NodeIndex>,
        rank: Rank,
        now: Timestamp,
    ) -> Option<NodeIndex> {
        let may_take = |node| rank == Rank::First || self.may_overtake(ask, node, now);
        match ask.pin.or(only) {
            Some(node) => {
                let fits = self.nodes[node].is_open() && ask.load.fits_in(&self.nodes[node].free());
                (fits && may_take(node)).then_some(node)
            }
            None => self.nodes.first_with_room(ask.load, may_take),
        }
    }

    /// A node for each of `asks`, one by one, the earlier ones counted as held.
    fn spread(&mut self, asks: &[Ask], rank: Rank) -> Option<Vec<NodeIndex>> {
        let mut nodes = Vec::with_capacity(asks.len());
        for ask in asks {
            let usable = |node| {
                ask.pin.is_none_or(|pin| pin == node)
                    && (rank == Rank::First || !self.is_reserved(node))
            };
            let node = match ask.pin {
                Some(pin) => {
                    let fits =
                        self.nodes[pin].is_open() && ask.load.fits_in(&self.nodes[pin].free());
                    (fits && usable(pin)).then_some(pin)
                }
                None => self.nodes.first_with_room(ask.load, usable),
            };
            let Some(node) = node else { break };
            self.nodes.recharge(node, Load::NONE, ask.load);
            nodes.push(node);
        }
        for (&node, ask) in nodes.iter().zip(asks) {
            self.nodes.recharge(node, ask.load, Load::NONE);
        }
        (nodes.len() == asks.len()).then_some(nodes)
    }

    /// A node for each of `asks`, were it idle: the same for all if one can hold each of them, and
    /// the one on which the least is missing at present.
    pub(super) fn homes(&self, asks: &[Ask]) -> Option<Vec<NodeIndex>> {
        if let Some(home) = self.common_home(asks) {
            return Some(vec![home; asks.len()]);
        }
        asks.iter().map(|ask| ask.pin.or_else(|| self.nodes.closest(ask.load, |_| true))).collect()
    }

    fn common_home(&self, asks: &[Ask]) -> Option<NodeIndex> {
        let together = together(asks)?;
        let largest = asks.iter().map(|ask| ask.load).reduce(Load::max)?;
        if let Some(pin) = together.pin {
            return largest.fits_in(&self.nodes[pin].capacity()).then_some(pin);
        }
        // A gang larger than every node gets the whole of the largest.
        self.nodes.closest(together.load, |_| true).or_else(|| {
            let capacity = self.nodes.roomiest(largest)?;
            let is_roomiest = |node| self.nodes[node].capacity() == capacity;
            self.nodes.closest(together.load.min(capacity), is_roomiest)
        })
    }

    /// What the members together ask of each home, at most all it has.
    pub(super) fn shares(&self, asks: &[Ask], homes: &[NodeIndex]) -> BTreeMap<NodeIndex, Load> {
        let mut shares = BTreeMap::<_, Load>::new();
        for (&home, ask) in homes.iter().zip(asks) {
            let share = shares.entry(home).or_default();
            *share = share.plus(ask.load).min(self.nodes[home].capacity());
        }
        shares
    }
}

/// All of these as one, unless they must run on different nodes.
fn together(asks: &[Ask]) -> Option<Ask> {
    let pins = asks.iter().filter_map(|ask| ask.pin).collect::<BTreeSet<_>>();
    if pins.len() > 1 {
        return None;
    }
    Some(Ask {
        load: Load::sum(asks.iter().map(|ask| ask.load)),
        pin: pins.first().copied(),
        time_limit: asks.iter().try_fold(0, |most, ask| Some(ask.time_limit?.max(most))),
    })
}
