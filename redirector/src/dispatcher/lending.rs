//! What running jobs hold, and whether they can end by themselves.
//!
//! A job that waits for jobs it spawned needs nothing meanwhile, so under [`Holds::Lends`] it
//! lends what it holds; nesting to any depth runs on one cpu:
//!
//! ```text
//!   make           ████░░░░░░░░░░░░░░░░░░████      █ holds   ░ lends
//!     sub-make         ████░░░░░░░░██████
//!       cc                 ████████
//! ```
//!
//! It takes all back the moment its last child ends, even if that puts the node into debt:
//! making it wait would need a way to stop it.
//!
//! Others wait for children without lending: `make | tee` keeps `tee` until `make` ends. Such jobs
//! *depend* on the queue, and a node on which all holders depend would never become free. The
//! count of those that do not, [`Node::independent`](super::nodes::Node), tells when that is so.
//!
//! [`Holds::Lends`]: super::Holds::Lends

use std::collections::BTreeSet;

use super::{
    Dispatcher,
    job::{Standing, State},
};
use crate::model::JobId;

impl Dispatcher {
    /// Counts a queued or running child of `parent`.
    pub(super) fn add_child(&mut self, parent: Option<JobId>) {
        let Some(parent) = parent else { return };
        let count = self.children.entry(parent).or_default();
        *count += 1;
        if *count == 1 {
            self.refresh_standings(BTreeSet::from([parent]));
        }
    }

    /// Counts a child of `parent` less.
    pub(super) fn remove_child(&mut self, parent: Option<JobId>) {
        let Some(parent) = parent else { return };
        let Some(count) = self.children.get_mut(&parent) else { return };
        *count -= 1;
        if *count == 0 {
            self.children.remove(&parent);
            self.refresh_standings(BTreeSet::from([parent]));
        }
    }

    /// Whether jobs it spawned are queued or running.
    pub(super) fn has_children(&self, job: JobId) -> bool {
        self.children.contains_key(&job)
    }

    /// Works out anew what these jobs and those joined to them hold.
    pub(super) fn refresh_standings(&mut self, mut jobs: BTreeSet<JobId>) {
        while let Some(job) = jobs.pop_first() {
            let gang = self.running_gang(job);
            let independent = !gang.iter().any(|&member| self.has_children(member));
            for member in gang {
                jobs.remove(&member);
                let held = self.jobs[&member].holds_with(self.has_children(member));
                self.set_standing(member, Standing { held, independent });
            }
        }
    }

    /// Charges a running job's node with what the job holds from now on.
    pub(super) fn set_standing(&mut self, job: JobId, standing: Standing) {
        let Some(job) = self.jobs.get_mut(&job) else { return };
        let State::Running { node, standing: current } = &mut job.state else { return };
        let before = std::mem::replace(current, standing);
        let node = *node;
        if before.held != standing.held {
            self.nodes.recharge(node, before.held, standing.held);
            if !before.held.fits_in(&standing.held) {
                self.freed.insert(node);
            }
        }
        if before.gives_back() != standing.gives_back() {
            self.nodes.count_independent(node, standing.gives_back());
        }
        self.dependents -= u32::from(before.depends());
        self.dependents += u32::from(standing.depends());
    }

    /// The running jobs among `job` and all that are joined to it by pipes.
    fn running_gang(&self, job: JobId) -> Vec<JobId> {
        let is_running = |job: &JobId| self.jobs.get(job).is_some_and(super::job::Job::is_running);
        match self.jobs.get(&job) {
            Some(alone) if alone.ends.is_empty() => {
                Some(job).into_iter().filter(is_running).collect()
            }
            _ => self.gang_of(job).into_iter().filter(is_running).collect(),
        }
    }
}
