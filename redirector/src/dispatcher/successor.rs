//! Who takes the place of a running job is settled while that job still runs.
//!
//! Between the end of a short job and the start of the next one lies the way to the dispatcher and
//! back, and a cpu has nothing to do meanwhile. So whoever runs jobs may be told ahead of time who
//! comes next in a place:
//!
//! ```text
//!            successor(A)?           Promised                Followed
//!   A runs ───────────────▶ B ──────────────────▶ bound ──────────────────▶ B runs in A's place
//!                           ▲                       │
//!                           └──────── Withdrawn ────┘
//! ```
//!
//! Only the first of all that wait is bound, and only where it asks for exactly what the running
//! job holds: it is the one that would start there in any case. It is not in the queue any more,
//! so that nobody promises it twice, but its place there is kept: a promise that is withdrawn puts
//! it back where it stood. Nothing is bound where room is kept for another job, or in a node that
//! is in debt, or behind a job that has lent what it holds.

use super::{
    Action, Dispatcher, Holds, Timestamp,
    job::{Job, State},
    queue::Urgency,
};
use crate::model::JobId;

impl Dispatcher {
    /// The job that is to start next if `running` ends, and can have exactly what that one holds.
    /// `None` if the first in the queue is another kind of job, or the node has other plans.
    pub fn successor(&self, running: JobId) -> Option<JobId> {
        let job = self.jobs.get(running)?;
        let State::Running { node, .. } = job.state else { return None };
        let (first, _) = self.queue.head()?;
        let next = self.jobs.get(first.job)?;
        let is_plain =
            |job: &Job| job.holds != Holds::Supervisor && job.ends.is_empty() && job.children == 0;
        let (asked, wanted) = (self.asks[job.ask], self.asks[next.ask]);
        let is_match = (asked.load, asked.time_limit) == (wanted.load, wanted.time_limit)
            && self.nodes.allows(wanted.site, node)
            && job.holds == next.holds
            && is_plain(job)
            && is_plain(next);
        let here = &self.nodes[node];
        let is_settled =
            here.is_open() && here.used.fits_in(&here.capacity()) && !self.is_reserved(node);
        (is_match && is_settled && first.urgency == Urgency::Waits).then_some(first.job)
    }

    /// Whether a job to which a place is promised could start elsewhere at once.
    pub fn could_start_elsewhere(&self, promised: JobId) -> bool {
        let Some(job) = self.jobs.get(promised) else { return false };
        let State::Promised { .. } = job.state else { return false };
        let ask = self.asks[job.ask];
        let is_usable = |node| {
            self.nodes[node].has_room_for(std::slice::from_ref(&ask)) && !self.is_reserved(node)
        };
        self.nodes.with_room(&ask.load, ask.site, is_usable).is_some()
    }

    /// A queued job is bound to the place of a running one.
    pub(super) fn bind(&mut self, id: JobId, after: JobId) {
        let Some(State::Running { node, .. }) = self.jobs.get(after).map(|job| job.state) else {
            return;
        };
        if self.leave_queue(id)
            && let Some(job) = self.jobs.get_mut(id)
        {
            job.state = State::Promised { node };
        }
    }

    /// A job that was bound to a place is not any more, and has not started.
    pub(super) fn withdraw_promise(&mut self, id: JobId, actions: &mut Vec<Action>) {
        let Some(job) = self.jobs.get_mut(id) else { return };
        let State::Promised { .. } = job.state else { return };
        job.state = State::Arriving;
        let (place, share, ask) = (job.place, job.share, self.asks[job.ask]);
        let cost = ask.load.dominant_share(self.nodes.largest());
        self.fair_share.come_back(place.priority.0, share, place.tag, cost);
        match self.refusal(&ask) {
            // While it was bound, nobody asked whether it could run anywhere else.
            Some(reason) => {
                self.fair_share.withdraw(place.priority.0, share, cost);
                self.forget(id);
                actions.push(Action::Refuse { job: id, reason });
            }
            None => self.enqueue(vec![id], Urgency::Waits),
        }
    }

    /// A job has ended, and another one has started in its place: all that the one held passes to
    /// the other, and nobody else is offered it.
    pub(super) fn follow(&mut self, ended: JobId, started: JobId, now: Timestamp) {
        let place = self.jobs.get(ended).and_then(|job| match job.state {
            State::Running { node, .. } => {
                Some((node, self.asks[job.ask].load, job.indices.clone()))
            }
            State::Arriving | State::Queued { .. } | State::Promised { .. } => None,
        });
        self.forget(ended);
        let Some((node, load, indices)) = place else { return };
        let is_bound =
            matches!(self.jobs.get(started), Some(Job { state: State::Promised { .. }, .. }));
        if !is_bound && !self.leave_queue(started) {
            return;
        }
        let Some(job) = self.jobs.get_mut(started) else { return };
        let ask = self.asks[job.ask];
        if ask.load == load {
            job.indices = indices;
        }
        self.note_overtaker(started, &ask, node, now);
        self.begin(started, node, now);
        self.refresh_standings(started);
    }

    /// Takes a job that waits alone out of the queue, as if it started; whether it was there.
    fn leave_queue(&mut self, id: JobId) -> bool {
        let Some(job) = self.jobs.get(id) else { return false };
        let State::Queued { leader, line } = job.state else { return false };
        let (place, share, ask) = (job.place, job.share, self.asks[job.ask]);
        if !job.ends.is_empty() || leader != id {
            return false;
        }
        self.dequeue(place, line);
        let cost = ask.load.dominant_share(self.nodes.largest());
        self.fair_share.serve(place.priority.0, share, place.tag, cost);
        if let Some(job) = self.jobs.get_mut(id) {
            job.state = State::Arriving;
        }
        true
    }
}
