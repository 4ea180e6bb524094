//! Room is kept for the first unit in the queue, so that small jobs cannot starve a large one.
//!
//! ```text
//!   node of 4 cpus                       now      promise
//!   ┌──────────────────────┐              │          │
//!   │ old job, 3 cpus      ├──────────────┼──────────┤
//!   └──────────────────────┘              │          ├──────────────────────┐
//!                                         │          │ first unit, 3 cpus   │
//!                                         │          ├──────────────────────┘
//!                                         ├──────────┼───── a, 1 cpu: passes, 1 + 3 fit in 4
//!                                         └──────────┼───── b, 1 cpu: waits, 1 + 1 + 3 do not
//! ```
//!
//! Others may overtake it on the reserved node only beside its whole request and beside all who
//! have overtaken it so far: then it can start, at the latest, when the jobs have ended that ran
//! there when room was first kept. Or they must end, by their time limit, before the time limits
//! of running jobs make room for it. On other nodes they start freely.
//!
//! A reservation is made only when somebody is about to overtake; while all that wait ask for the
//! same, nobody does.

use std::{cmp::Reverse, collections::BTreeMap};

use super::{
    Dispatcher, Timestamp,
    asks::Ask,
    hasher::FastMap,
    job::{Holding, State},
    load::Load,
    nodes::NodeIndex,
    queue::{Place, Room},
};
use crate::model::JobId;

/// The nodes that are kept for the first unit in the queue.
#[derive(Debug)]
pub(super) struct Reservation {
    pub(super) unit: Place,
    /// For each of its members, in the order of what they ask for.
    pub(super) homes: Vec<NodeIndex>,
    /// How much is kept on each node.
    pub(super) shares: BTreeMap<NodeIndex, Load>,
    /// They are to have more than all of a node: with another node there may be a better place.
    pub(super) is_cramped: bool,
    /// The jobs that have overtaken it on its nodes, with what they asked for.
    overtakers: FastMap<JobId, (NodeIndex, Load)>,
    /// The sum of that on each node.
    overtaken: FastMap<NodeIndex, Load>,
}

impl Reservation {
    /// What is not for others on that node: its share, and what has been given to overtakers.
    fn kept(&self, node: NodeIndex) -> Option<Load> {
        let share = self.shares.get(&node)?;
        Some(share.plus(self.overtaken.get(&node).copied().unwrap_or_default()))
    }
}

impl Dispatcher {
    /// Sees to it that room is kept for the first unit in the queue.
    pub(super) fn reserve_for_first(&mut self) {
        let Some((unit, line)) = self.queue.head() else { return };
        if self.reservation.as_ref().is_some_and(|reservation| reservation.unit == unit) {
            return;
        }
        self.release_reservation();
        let asks = &self.queue[line].asks;
        if let Some(homes) = self.homes(asks) {
            let shares = self.shares(asks, &homes);
            let is_cramped = !shares.iter().all(|(&node, share)| {
                let here = homes.iter().zip(&**asks).filter(|(home, _)| **home == node);
                let asked = here.map(|(_, ask)| ask.load).reduce(Load::joined_with);
                asked.is_none_or(|asked| asked.fits_in(share))
            });
            let (overtakers, overtaken) = (FastMap::default(), FastMap::default());
            let reservation =
                Reservation { unit, homes, shares, is_cramped, overtakers, overtaken };
            self.reservation = Some(reservation);
        }
    }

    /// Gives the kept nodes free for everybody.
    pub(super) fn release_reservation(&mut self) {
        if let Some(reservation) = self.reservation.take() {
            self.freed.extend(reservation.shares.into_keys().map(Reverse));
            self.reconsider_first = true;
        }
    }

    /// Whether room is kept for a unit that is not the first in the queue any more, or where
    /// somebody joined to a running job has taken the last place for a supervisor.
    pub(super) fn reservation_is_stale(&self) -> bool {
        let Some(reservation) = &self.reservation else { return false };
        let is_first = self.queue.head().is_some_and(|(unit, _)| reservation.unit == unit);
        let mut shares = reservation.shares.iter();
        !is_first || !shares.all(|(&node, share)| self.nodes.has_place(share, node))
    }

    /// Whether room is kept on that node.
    pub(super) fn is_reserved(&self, node: NodeIndex) -> bool {
        self.reservation.as_ref().is_some_and(|kept| kept.shares.contains_key(&node))
    }

    /// What a node has to offer: where room is kept, those without a time limit may take no more
    /// than is left beside it.
    pub(super) fn room(&self, node: NodeIndex) -> Room {
        let free = self.nodes[node].free();
        let kept = self.reservation.as_ref().and_then(|reservation| reservation.kept(node));
        let to_overtake =
            kept.map_or(free, |kept| free.min(self.nodes[node].capacity().minus(kept)));
        Room { free, to_overtake }
    }

    /// Whether what is asked for may start there before the first unit in the queue.
    pub(super) fn may_overtake(&self, ask: &Ask, node: NodeIndex, now: Timestamp) -> bool {
        let Some(reservation) = &self.reservation else { return true };
        let Some(&share) = reservation.shares.get(&node) else { return true };
        let kept = reservation.kept(node).unwrap_or_default();
        // Enough may be free and yet in pieces too small: nobody overtakes on those.
        let fits = kept.plus(ask.load).fits_in(&self.nodes[node].capacity())
            && !self.nodes[node].pieces.compete(&share, &ask.load);
        fits || self.ends_in_time(ask, node, share, now)
    }

    /// Remembers a job that starts before the first unit in the queue on one of its nodes.
    pub(super) fn note_overtaker(
        &mut self,
        job: JobId,
        ask: &Ask,
        node: NodeIndex,
        now: Timestamp,
    ) {
        let Some(share) = self.reservation.as_ref().and_then(|kept| kept.shares.get(&node)) else {
            return;
        };
        if self.ends_in_time(ask, node, *share, now) {
            return;
        }
        if let Some(reservation) = &mut self.reservation {
            reservation.overtakers.insert(job, (node, ask.load));
            let sum = reservation.overtaken.entry(node).or_default();
            *sum = sum.plus(ask.load);
        }
    }

    /// An overtaker has ended.
    pub(super) fn forget_overtaker(&mut self, job: JobId) {
        if let Some(reservation) = &mut self.reservation
            && let Some((node, load)) = reservation.overtakers.remove(&job)
            && let Some(sum) = reservation.overtaken.get_mut(&node)
        {
            *sum = sum.minus(load);
        }
    }

    /// Whether it would end before there is room for `share`, as far as time limits tell.
    fn ends_in_time(&self, ask: &Ask, node: NodeIndex, share: Load, now: Timestamp) -> bool {
        let Some(limit) = ask.time_limit else { return false };
        self.promise(node, share, now).is_some_and(|promise| now.after(limit) <= promise)
    }

    /// When the time limits of the jobs on that node will have made room for `share`. Unknown if
    /// jobs without a limit stand in the way, or a job may take back what it has lent.
    fn promise(&self, node: NodeIndex, share: Load, now: Timestamp) -> Option<Timestamp> {
        let node = &self.nodes[node];
        let mut ends = Vec::new();
        for job in &node.running {
            let job = &self.jobs[*job];
            let State::Running { standing, .. } = job.state else { continue };
            if standing.holding != Holding::All {
                return None;
            }
            let ask = &self.asks[job.ask];
            if let Some(limit) = ask.time_limit {
                ends.push((job.since.after(limit).max(now), ask.load));
            }
        }
        ends.sort_unstable();
        let mut used = node.used;
        ends.into_iter().find_map(|(end, held)| {
            used = used.minus(held);
            used.plus(share).fits_in(&node.capacity()).then_some(end)
        })
    }
}
