//! Jobs joined by pipes start together.
//!
//! ```text
//!   a ──pipe──▶ b ──pipe──▶ c        all queued: one unit, all or nothing
//!   A ──pipe──▶ b                    A runs: b starts at once, in debt if need be, because A
//!                                    stops as soon as the pipe is full
//! ```

use std::collections::BTreeSet;

use super::{
    Dispatcher,
    job::State,
    nodes::{NodeIndex, Presence},
    queue::{Ask, LineIndex, Place, Urgency},
};
use crate::model::JobId;

impl Dispatcher {
    /// `job` and all jobs joined to it by pipes.
    pub(super) fn gang_of(&self, job: JobId) -> BTreeSet<JobId> {
        self.pipes.gang(job, |member| Some(&self.jobs.get(&member)?.ends))
    }

    /// The jobs of the unit that stands in `place`.
    pub(super) fn members(&self, place: Place) -> Vec<JobId> {
        self.gangs.get(&place.job).cloned().unwrap_or_else(|| vec![place.job])
    }

    /// Puts jobs, joined by pipes if they are several, into the queue as one unit.
    pub(super) fn enqueue(&mut self, members: impl IntoIterator<Item = JobId>, urgency: Urgency) {
        let mut members = members.into_iter().collect::<Vec<_>>();
        // Members that are bound to a node come first: the others are placed around them.
        members.sort_by_key(|job| {
            let ask = self.jobs[job].ask;
            (ask.pin.is_none(), ask, *job)
        });
        let asks = members.iter().map(|job| self.jobs[job].ask).collect::<Vec<_>>();
        let Some(first) = members.iter().map(|job| self.jobs[job].place).min() else { return };
        let unit = Place { urgency, ..first };
        let nodes = &self.nodes;
        let line = self.queue.insert(unit, &asks, || super::placement::feasible(nodes, &asks));
        for job in &members {
            if let Some(job) = self.jobs.get_mut(job) {
                job.state = State::Queued { unit, line };
            }
        }
        if members.len() > 1 {
            self.gangs.insert(unit.job, members);
        }
        self.fresh.insert(unit);
    }

    /// Takes a unit out of the queue; its members' states are for the caller to set. Room that is
    /// kept for it is not kept any longer: it starts, or a gang with other members follows it.
    pub(super) fn dequeue(&mut self, unit: Place, line: LineIndex) {
        if self.reservation.as_ref().is_some_and(|reservation| reservation.unit == unit) {
            self.release_reservation();
        }
        self.queue.remove(unit, line);
        self.gangs.remove(&unit.job);
    }

    /// Regroups the queue after `job` was found to have the pipes it has.
    pub(super) fn join_gang(&mut self, job: JobId) {
        let gang = self.gang_of(job);
        if gang.len() > 1 {
            self.regroup(&gang);
            self.refresh_standings(gang);
        }
    }

    /// Forms anew the units of the queued ones of `jobs`, which are whole units.
    pub(super) fn regroup(&mut self, jobs: &BTreeSet<JobId>) {
        let mut queued = BTreeSet::new();
        for &job in jobs {
            let Some(State::Queued { unit, line }) = self.jobs.get(&job).map(|job| job.state)
            else {
                continue;
            };
            if unit.job == job {
                self.dequeue(unit, line);
            }
            queued.insert(job);
        }
        self.form_units(queued);
    }

    /// Queues jobs that are in no unit: gangs as one unit each, and those at once whose partners
    /// run.
    pub(super) fn form_units(&mut self, mut jobs: BTreeSet<JobId>) {
        while let Some(&first) = jobs.first() {
            let mut gang = self.gang_of(first);
            jobs.retain(|job| !gang.contains(job));
            let size = gang.len();
            gang.retain(|job| !self.jobs[job].is_running());
            if gang.len() == size {
                self.enqueue(gang, Urgency::Waits);
            } else {
                for member in gang {
                    self.enqueue([member], Urgency::JoinsRunning);
                }
            }
        }
    }

    /// Where a job starts that running jobs may be blocked on: beside them if possible, and even
    /// where nothing is free.
    pub(super) fn place_joiner(&self, job: JobId, ask: Ask) -> Option<NodeIndex> {
        if let Some(pin) = ask.pin {
            let is_there = matches!(self.nodes[pin].presence, Presence::Open | Presence::Draining);
            return is_there.then_some(pin);
        }
        let partners = self.gang_of(job).into_iter().filter_map(|member| {
            match self.jobs.get(&member)?.state {
                State::Running { node, .. } => Some(node),
                State::Arriving | State::Queued { .. } => None,
            }
        });
        let large_enough = partners.filter(|&node| ask.load.fits_in(&self.nodes[node].capacity()));
        let beside = large_enough.collect::<BTreeSet<_>>();
        let open = beside.iter().copied().find(|&node| self.nodes[node].is_open());
        open.or_else(|| self.nodes.first_with_room(ask.load, |_| true))
            .or_else(|| self.nodes.closest(ask.load, |_| true))
            .or_else(|| {
                let draining = |node: &NodeIndex| self.nodes[*node].presence == Presence::Draining;
                beside.into_iter().find(draining)
            })
    }
}
