//! After each event: start all that can start, first come first served.
//!
//! Between two events nothing that waits could start. So after one only this can have changed:
//! nodes on which something was freed (`freed`), units that are new in the queue (`fresh`), and
//! what the first unit in the queue may do that others may not.

use std::{cmp::Reverse, sync::Arc};

use super::{
    Action, Dispatcher, Timestamp,
    job::{Holding, Standing, State},
    nodes::NodeIndex,
    placement::{Rank, Wanted, feasible},
    queue::{LineIndex, Place, Urgency},
};
use crate::model::{JobId, Pool, PoolName};

impl Dispatcher {
    /// Starts everything that can start.
    pub(super) fn settle(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        loop {
            if std::mem::take(&mut self.nodes.supervisors_changed) {
                let (nodes, lines) = (&self.nodes, self.queue.choosy());
                self.queue.refresh(&lines, |asks| feasible(nodes, asks));
            } else if let Some(Reverse(node)) = self.freed.pop() {
                while self.freed.peek() == Some(&Reverse(node)) {
                    self.freed.pop();
                }
                self.fill(node, now, actions);
            } else if let Some(Reverse(unit)) = self.fresh.pop() {
                self.try_fresh(unit, now, actions);
            } else if self.reservation_is_stale() {
                self.release_reservation();
            } else if !self.try_first(now, actions) {
                break;
            }
        }
    }

    /// Offers a node to those who wait, in their order.
    fn fill(&mut self, node: NodeIndex, now: Timestamp, actions: &mut Vec<Action>) {
        if self.reservation_is_stale() {
            // What is kept for one that is not the first any more would be kept from it, too.
            self.release_reservation();
        }
        // The first is not bound to what is left beside it, and as a gang it makes do with less
        // than it needs to be together.
        while self.nodes[node].is_open()
            && let Some((unit, line)) = self.queue.head()
            && (unit.urgency == Urgency::JoinsRunning
                || self.queue[line].least().fits_in(&self.nodes[node].free()))
            && self.try_start(unit, line, Some(node), now, actions)
        {}
        let mut after = None;
        while self.nodes[node].is_open()
            && let room = self.room(node)
            && let sets = self.nodes.sets.at(node)
            && let Some((unit, line)) = self.queue.next_for(node, sets, &room, after)
        {
            after = Some(unit);
            self.try_start(unit, line, Some(node), now, actions);
        }
    }

    /// Offers all nodes to a unit that is new in the queue. Behind others of its line it need not
    /// be tried: they ask for the same and could not start. Where one can start that a running job
    /// needs depends on that job, too.
    fn try_fresh(&mut self, unit: Place, now: Timestamp, actions: &mut Vec<Action>) {
        let Some(job) = self.jobs.get(unit.job) else { return };
        let State::Queued { leader, line } = job.state else { return };
        let may_start =
            unit.urgency == Urgency::JoinsRunning || self.queue.leads_its_line(unit, line);
        if leader == unit.job && job.place == unit && may_start {
            self.try_start(unit, line, None, now, actions);
        }
    }

    /// Offers all nodes to the first in the queue, if it may do there what others may not: as a
    /// gang take a whole node, or go into debt where nothing would end without it. Once is enough,
    /// until somebody else is the first or what it was refused for has changed.
    fn try_first(&mut self, now: Timestamp, actions: &mut Vec<Action>) -> bool {
        let Some((unit, line)) = self.queue.head() else { return false };
        let is_known = self.considered == Some(unit) && !self.reconsider_first;
        self.considered = Some(unit);
        self.reconsider_first = false;
        !is_known
            && (self.dependents > 0 || self.queue[line].asks.len() > 1)
            && self.try_start(unit, line, None, now, actions)
    }

    fn try_start(
        &mut self,
        unit: Place,
        line: LineIndex,
        only: Option<NodeIndex>,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) -> bool {
        let asks = Arc::clone(&self.queue[line].asks);
        let near = self.near(unit, line);
        let wanted = Wanted { asks: &asks, near: &near, only };
        let nodes = if unit.urgency == Urgency::JoinsRunning {
            self.place_joiner(unit.job, &asks[0]).map(|node| vec![node])
        } else if !self.queue[line].is_feasible() {
            None
        } else if self.queue.head() == Some((unit, line)) {
            self.find_room(&wanted, Rank::First, now).or_else(|| self.room_of_last_resort())
        } else {
            self.reserve_for_first();
            self.find_room(&wanted, Rank::Behind, now)
        };
        let Some(nodes) = nodes else { return false };
        self.start(unit, line, &nodes, now, actions);
        true
    }

    /// The homes of the first unit in the queue, if each has room for its share or nothing runs
    /// there that would end without this unit or one behind it.
    fn room_of_last_resort(&mut self) -> Option<Vec<NodeIndex>> {
        let (_, line) = self.queue.head()?;
        if self.dependents == 0 && self.queue[line].asks.len() == 1 {
            return None;
        }
        self.reserve_for_first();
        let reservation = self.reservation.as_ref()?;
        let asks = &self.queue[line].asks;
        let is_ready = reservation.shares.iter().all(|(&index, share)| {
            let node = &self.nodes[index];
            let here = reservation.homes.iter().zip(&**asks).filter(|(home, _)| **home == index);
            let fits = share.fits_in(&node.free())
                && (node.pieces.are_idle_for(share)
                    || node.pieces.fit(here.map(|(_, ask)| ask.load)));
            fits || node.independent == 0 && self.nodes.has_place(share, index)
        });
        is_ready.then(|| reservation.homes.clone())
    }

    fn start(
        &mut self,
        unit: Place,
        line: LineIndex,
        nodes: &[NodeIndex],
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        let single = [unit.job];
        let gang = (nodes.len() > 1).then(|| self.members(unit.job));
        let members = gang.as_deref().unwrap_or(&single);
        self.dequeue(unit, line);
        for (&id, &node) in members.iter().zip(nodes) {
            let job = &self.jobs[id];
            let ask = self.asks[job.ask];
            let (place, share) = (job.place, job.share);
            let cost = ask.load.dominant_share(self.nodes.largest());
            self.fair_share.serve(place.priority.0, share, place.tag, cost);
            self.note_overtaker(id, &ask, node, now);
            self.begin(id, node, now);
            actions.push(Action::Start {
                job: id,
                node: self.nodes[node].name.clone(),
                resources: self.pools.resources(&ask.load),
                indices: self.named_indices(id),
            });
        }
        for &job in members {
            self.refresh_standings(job);
        }
        // Those that were passed over at its pipes may be needed now: it had no place when they
        // were looked at, or it was about to start only when somebody else had.
        for &job in members {
            let ends = self.jobs[job].ends.clone();
            if !ends.is_empty() {
                self.regroup_at(&ends);
            }
        }
    }

    /// Makes a job a running one, which holds all it asked for.
    pub(super) fn begin(&mut self, id: JobId, node: NodeIndex, now: Timestamp) {
        self.nodes.add_running(node, id);
        let Some(job) = self.jobs.get_mut(id) else { return };
        if job.indices.is_empty() {
            job.indices = self.nodes[node].pieces.pick_in_debt(&self.asks[job.ask].load);
        }
        job.state = State::Running { node, standing: Standing::NONE };
        job.since = now;
        self.set_standing(id, Standing { holding: Holding::All, independent: true });
    }

    /// The pieces that a job was given, by the names of their pools.
    fn named_indices(&self, id: JobId) -> Vec<(PoolName, Vec<u32>)> {
        let indices = self.jobs[id].indices.iter();
        let named = indices.filter_map(|(slot, pieces)| match &self.pools.names()[*slot] {
            Pool::Other(name) => Some((name.clone(), pieces.clone())),
            Pool::Cpus | Pool::Mem => None,
        });
        named.collect()
    }
}
