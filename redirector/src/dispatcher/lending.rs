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

use std::cmp::Reverse;

use super::{
    Dispatcher,
    job::{Job, Standing, State},
};
use crate::model::JobId;

impl Dispatcher {
    /// Counts a queued or running child of `parent`.
    pub(super) fn add_child(&mut self, parent: Option<JobId>) {
        let Some(id) = parent else { return };
        let Some(parent) = self.jobs.get_mut(id) else {
            *self.strays.entry(id).or_default() += 1;
            return;
        };
        parent.children += 1;
        if parent.children == 1 {
            self.refresh_standings(id);
        }
    }

    /// Counts a child of `parent` less.
    pub(super) fn remove_child(&mut self, parent: Option<JobId>) {
        let Some(id) = parent else { return };
        let Some(parent) = self.jobs.get_mut(id) else {
            self.remove_stray(id);
            return;
        };
        parent.children -= 1;
        if parent.children == 0 {
            self.refresh_standings(id);
        }
    }

    /// Counts a child less of a job that is not there, or not any more.
    fn remove_stray(&mut self, parent: JobId) {
        if let Some(count) = self.strays.get_mut(&parent) {
            *count -= 1;
            if *count == 0 {
                self.strays.remove(&parent);
            }
        }
    }

    /// Works out anew what a job and those joined to it hold.
    pub(super) fn refresh_standings(&mut self, id: JobId) {
        let Some(job) = self.jobs.get(id) else { return };
        if job.ends.is_empty() {
            if job.is_running() {
                let standing = Standing { holding: job.holding(), independent: job.children == 0 };
                self.set_standing(id, standing);
            }
            return;
        }
        let mut gang = self.gang_of(id);
        gang.retain(|&member| self.jobs[member].is_running());
        let independent = gang.iter().all(|&member| self.jobs[member].children == 0);
        for member in gang {
            let holding = self.jobs[member].holding();
            self.set_standing(member, Standing { holding, independent });
        }
    }

    /// Charges a running job's node with what the job holds from now on.
    pub(super) fn set_standing(&mut self, id: JobId, standing: Standing) {
        let Some(job) = self.jobs.get_mut(id) else { return };
        let Job { state: State::Running { node, standing: current }, .. } = job else { return };
        let (before, node) = (std::mem::replace(current, standing), *node);
        if before == standing {
            return;
        }
        let load = &self.asks[job.ask].load;
        if before.holding != standing.holding {
            let (held, holds) = (before.holding.of(load), standing.holding.of(load));
            self.nodes.recharge(node, &held, &holds, &job.indices);
            if !held.fits_in(&holds) {
                self.freed.push(Reverse(node));
            }
        }
        if before.gives_back(load) != standing.gives_back(load) {
            self.nodes.count_independent(node, standing.gives_back(load));
            self.reconsider_first |= self.nodes[node].independent == 0;
        }
        if before.depends(load) != standing.depends(load) {
            if standing.depends(load) {
                self.dependents += 1;
                self.reconsider_first = true;
            } else {
                self.dependents -= 1;
            }
        }
    }
}
