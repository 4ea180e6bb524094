//! How a job gets out: it has ended, is cancelled or refused, or was lost with its node.

use super::{
    Dispatcher, End,
    job::{Standing, State},
    pipes::{self, Joint},
};
use crate::model::JobId;

impl Dispatcher {
    /// Removes a job from everything that knows it.
    pub(super) fn forget(&mut self, id: JobId) {
        let Some(job) = self.jobs.get_mut(id) else { return };
        let ends = std::mem::take(&mut job.ends);
        let state = job.state;
        let partners = if ends.is_empty() { Vec::new() } else { self.partners(&ends) };
        self.pipes.detach(id, &ends);
        let mut unit = Vec::new();
        match state {
            // A promised one was charged as if it had started.
            State::Arriving | State::Promised { .. } => {}
            State::Queued { .. } => {
                unit = self.take_from_queue(id);
                self.withdraw(id);
            }
            State::Running { node, .. } => {
                self.set_standing(id, Standing::NONE);
                self.nodes.remove_running(node, id);
                self.forget_overtaker(id);
            }
        }
        let Some(job) = self.jobs.remove(id) else { return };
        self.nodes.remove_site(self.asks[job.ask].site);
        self.asks.remove(job.ask);
        if job.children > 0 {
            self.strays.insert(id, job.children);
        }
        unit.retain(|&member| member != id);
        if !unit.is_empty() {
            self.regroup(unit);
        }
        if !ends.is_empty() {
            self.regroup_at(&ends);
            for partner in partners {
                self.refresh_standings(partner);
            }
        }
        self.remove_child(job.parent);
    }

    /// Takes the unit of a queued job out of the queue and returns its members, which are to get
    /// into it again.
    pub(super) fn take_from_queue(&mut self, id: JobId) -> Vec<JobId> {
        let State::Queued { leader, line } = self.jobs[id].state else { return Vec::new() };
        let unit = self.members(leader);
        self.dequeue(self.jobs[leader].place, line);
        for &member in &unit {
            if let Some(job) = self.jobs.get_mut(member) {
                job.state = State::Arriving;
            }
        }
        unit
    }

    /// A queued job gives its place up.
    fn withdraw(&mut self, id: JobId) {
        let job = &self.jobs[id];
        let cost = self.asks[job.ask].load.dominant_share(self.nodes.largest());
        self.fair_share.withdraw(job.place.priority.0, job.share, cost);
    }

    /// The jobs that these pipes join.
    fn partners(&self, ends: &[(Joint, End)]) -> Vec<JobId> {
        let joints = ends.iter().filter_map(|(joint, _)| self.pipes.joined(*joint));
        let mut partners = joints.flat_map(pipes::Members::all).collect::<Vec<_>>();
        partners.sort_unstable();
        partners.dedup();
        partners
    }
}
