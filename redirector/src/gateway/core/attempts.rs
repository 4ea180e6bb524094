//! What follows from the end of an attempt: the job's outcome, or another attempt.

use super::{
    Core,
    happenings::What,
    live::{Ending, Live},
    pools::Next,
};
use crate::{
    dispatcher::Event,
    model::{Cause, JobId, Outcome, Resources, Retries, State, Timestamp, Usage},
    protocol::GatewayMessage,
    store::Write,
};

/// A job that ran out of memory gets this much more: 3/2.
const GROWTH: (u64, u64) = (3, 2);

/// What a job that ran out of memory asks for next.
pub(super) fn grown(mem: u64) -> u64 {
    mem / GROWTH.1 * GROWTH.0
}

impl Core {
    /// An attempt has ended and nothing is left of its processes.
    pub(super) fn attempt_ended(
        &mut self,
        job: JobId,
        outcome: Outcome,
        usage: Option<Usage>,
        at: Timestamp,
    ) -> Option<Live> {
        let live = self.live.get_mut(&job)?;
        let outcome = match (&live.ending, outcome) {
            // The signal was ours.
            (Some(ending), Outcome::Signaled { .. } | Outcome::Cancelled { .. }) => {
                ending.outcome()
            }
            // Nobody wants to know how it would have ended.
            (Some(ending @ Ending::Cancelled { .. }), Outcome::Lost { .. }) => ending.outcome(),
            (_, outcome) => outcome,
        };
        if let Some((cause, left)) = live.cause_to_retry(&outcome)
            && self.can_grow(job, cause)
        {
            self.try_again(job, cause, left, outcome, usage, at);
            return None;
        }
        self.conclude(job, outcome, usage, at)
    }

    /// Whether another attempt after `cause` could end in another way.
    fn can_grow(&self, job: JobId, cause: Cause) -> bool {
        let Some(live) = self.live.get(&job) else { return false };
        let asked = live.request.resources.mem;
        cause != Cause::Memory || (asked > 0 && asked < self.fleet.most_memory())
    }

    fn try_again(
        &mut self,
        job: JobId,
        cause: Cause,
        left: Retries,
        outcome: Outcome,
        usage: Option<Usage>,
        at: Timestamp,
    ) {
        let most = self.fleet.most_memory();
        let told = || What::Ended { outcome: outcome.clone(), is_tried_again: true };
        self.tell_followers(job, at, told);
        let Some(live) = self.live.get_mut(&job) else { return };
        let number = live.attempt;
        live.attempt += 1;
        live.retries = left;
        live.state = State::Queued;
        live.request.again = true;
        live.ending = None;
        if cause == Cause::Memory {
            let mem = grown(live.request.resources.mem).min(most);
            live.request.resources = Resources { mem, ..live.request.resources.clone() };
        }
        live.set_agent(None);
        // A node that has just lost it may be the least loaded because it loses everything.
        live.avoided = live.node.take().filter(|_| cause == Cause::Node);
        live.fetching = None;
        live.staging = None;
        let why = outcome.reason().unwrap_or_else(|| format!("it ended as {outcome}"));
        let reason = format!("attempt {number} at job {job} failed and it is tried again: {why}");
        tracing::info!("{reason}");
        self.progress.requeued(live.run, job);
        self.journal.write(Write::Retry { job, outcome, usage, at });
        self.say(job, GatewayMessage::Retry { reason });
        self.stop_measuring(job);
        self.give_back(job);
        self.dispatch(Event::Ended { job });
        self.note_end(job);
        self.submit_to_dispatcher(job);
    }

    /// Journals the outcome and gives the resources back.
    pub(super) fn conclude(
        &mut self,
        job: JobId,
        outcome: Outcome,
        usage: Option<Usage>,
        at: Timestamp,
    ) -> Option<Live> {
        let live = self.end(job, outcome, usage, at)?;
        match live.state {
            State::Held | State::Waiting | State::Finished => {}
            State::Queued => self.dispatch(Event::Cancelled { job }),
            State::Running => self.dispatch(Event::Ended { job }),
        }
        Some(live)
    }

    pub(super) fn refuse(&mut self, job: JobId, reason: String) {
        let Next::Refused(reason) = self.refused_by_pool(job, reason) else { return };
        self.say(job, GatewayMessage::Refused { reason: reason.clone() });
        let outcome = Outcome::Refused { reason };
        self.end(job, outcome, None, Timestamp::now());
    }

    /// Journals the outcome of a job that the dispatcher no longer knows, or is about to forget.
    fn end(
        &mut self,
        job: JobId,
        outcome: Outcome,
        usage: Option<Usage>,
        at: Timestamp,
    ) -> Option<Live> {
        let told = || What::Ended { outcome: outcome.clone(), is_tried_again: false };
        self.tell_followers(job, at, told);
        let mut live = self.forget(job)?;
        self.progress.ended(live.run, job, &outcome);
        self.give_back(job);
        self.ended.push((job, outcome.clone()));
        self.unjournalled.insert(job, outcome.clone());
        self.journal.write(Write::Finish { job, outcome, usage, at });
        for waiter in live.waiters.drain(..) {
            self.journal.ask(move |store| drop(waiter.send(super::show(store, job))));
        }
        Some(live)
    }
}
