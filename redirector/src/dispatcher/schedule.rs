//! After each event: start all that can start, first come first served.
//!
//! Between two events nothing that waits could start. So after one only this can have changed:
//! nodes on which something was freed (`freed`), units that are new in the queue (`fresh`), and
//! what the first unit in the queue may do that others may not.

use std::sync::Arc;

use super::{
    Action, Dispatcher, Timestamp,
    job::{Standing, State},
    nodes::NodeIndex,
    placement::Rank,
    queue::{LineIndex, Place, Urgency},
};
use crate::model::JobId;

impl Dispatcher {
    /// Starts everything that can start.
    pub(super) fn settle(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        loop {
            if let Some(node) = self.freed.pop_first() {
                self.fill(node, now, actions);
            } else if let Some(unit) = self.fresh.pop_first() {
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
        let mut after = None;
        while self.nodes[node].is_open()
            && let Some((unit, line)) = self.queue.next_for(node, self.nodes[node].free(), after)
        {
            after = Some(unit);
            self.try_start(unit, line, Some(node), now, actions);
        }
    }

    /// Offers all nodes to a unit that is new in the queue. Behind others of its line it need not
    /// be tried: they ask for the same and could not start.
    fn try_fresh(&mut self, unit: Place, now: Timestamp, actions: &mut Vec<Action>) {
        let Some(job) = self.jobs.get(&unit.job) else { return };
        let State::Queued { unit: current, line } = job.state else { return };
        if current == unit && self.queue.leads_its_line(unit, line) {
            self.try_start(unit, line, None, now, actions);
        }
    }

    /// Offers all nodes to the first in the queue, if it may do there what others may not: as a
    /// gang take a whole node, or go into debt where nothing would end without it.
    fn try_first(&mut self, now: Timestamp, actions: &mut Vec<Action>) -> bool {
        let Some((unit, line)) = self.queue.head() else { return false };
        (self.dependents > 0 || self.queue[line].asks.len() > 1)
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
        let nodes = if unit.urgency == Urgency::JoinsRunning {
            self.place_joiner(unit.job, asks[0]).map(|node| vec![node])
        } else if !self.queue[line].is_feasible() {
            None
        } else if self.queue.head() == Some((unit, line)) {
            self.find_room(&asks, only, Rank::First, now).or_else(|| self.room_of_last_resort())
        } else {
            self.reserve_for_first();
            self.find_room(&asks, only, Rank::Behind, now)
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
        let is_ready = reservation.shares.iter().all(|(&node, &share)| {
            let node = &self.nodes[node];
            share.fits_in(&node.free()) || node.independent == 0
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
        let members = self.members(unit);
        self.dequeue(unit, line);
        for (&job, &node) in members.iter().zip(nodes) {
            let ask = self.jobs[&job].ask;
            self.note_overtaker(job, ask, node, now);
            self.begin(job, node, now);
            let name = self.nodes[node].name.clone();
            actions.push(Action::Start {
                job,
                node: name,
                resources: self.pools.resources(&ask.load),
            });
        }
        self.refresh_standings(members.into_iter().collect());
    }

    /// Makes a job a running one. It holds nothing until its standing is refreshed.
    pub(super) fn begin(&mut self, job: JobId, node: NodeIndex, now: Timestamp) {
        self.nodes.add_running(node, job);
        if let Some(job) = self.jobs.get_mut(&job) {
            job.state = State::Running { node, standing: Standing::NONE };
            job.since = now;
        }
    }
}
