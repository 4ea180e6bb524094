//! Jobs that end: by themselves, with their client, or unseen.

use super::{Core, live::Live, show};
use crate::{
    dispatcher::Event,
    gateway::{
        job_processes,
        message::{LeaseId, Message},
    },
    model::{JobId, Kind, Outcome, State, Timestamp, Usage},
    protocol::{Finished, GatewayMessage},
    store::Write,
};

impl Core {
    /// A leased command ended, and its client says how.
    pub(super) fn finished(&mut self, job: JobId, lease: LeaseId, finished: Finished) {
        if !self
            .live
            .get(&job)
            .is_some_and(|live| live.lease.as_ref().is_some_and(|own| own.id == lease))
        {
            // Recorded already; the gateway before this one was killed before it could say so.
            if let Some(messages) = self.after_end.get(&lease).cloned() {
                self.journal.after_commit(move || drop(messages.send(GatewayMessage::Recorded)));
            }
            return;
        }
        let Some(live) = self.live.get_mut(&job) else { return };
        if live.cancelled.is_some() {
            // What it left behind goes first.
            live.finished = Some(finished);
            return self.end_leftovers(job);
        }
        self.record(job, finished);
    }

    /// Journals what a client reported, and tells it.
    fn record(&mut self, job: JobId, finished: Finished) {
        let Some(live) = self.conclude(job, finished.outcome, Some(finished.usage)) else { return };
        if let Some(client) = live.lease {
            let lease = client.id;
            self.after_end.insert(lease, client.messages.clone());
            self.journal.is_awaited_by(lease);
            self.journal.after_commit(move || drop(client.messages.send(GatewayMessage::Recorded)));
        }
    }

    /// A client's connection is gone, and with it the client.
    pub(super) fn lease_closed(&mut self, job: JobId, lease: LeaseId) {
        self.after_end.remove(&lease);
        let Some(live) = self.live.get_mut(&job) else { return };
        if live.lease.as_ref().is_none_or(|own| own.id != lease) {
            return;
        }
        live.lease = None;
        let reason = live.cancelled.clone().unwrap_or_else(|| {
            format!("process {}, which waited for it, ended before it", live.process)
        });
        if live.state == State::Queued {
            self.conclude(job, Outcome::Cancelled { reason }, None);
        } else {
            // The kernel has killed the command with its client. Its resources are
            // free when its own children are gone too.
            live.cancelled = Some(reason);
            self.end_leftovers(job);
        }
    }

    /// Kills what is left of a job's processes, off this thread, then reports back.
    pub(super) fn end_leftovers(&self, job: JobId) {
        let token = self.tokens.of(job);
        let messages = self.setup.messages.clone();
        tokio::task::spawn_blocking(move || {
            job_processes::kill_all(&token);
            // Fails only when the core is gone.
            drop(messages.send(Message::LeftoversEnded { job }));
        });
    }

    pub(super) fn leftovers_ended(&mut self, job: JobId) {
        let Some(live) = self.live.get_mut(&job) else { return };
        let Some(reason) = live.cancelled.clone() else { return };
        let cancelled = Outcome::Cancelled { reason };
        match live.finished.take() {
            Some(Finished { outcome: Outcome::Signaled { .. }, usage, attempt }) => {
                self.record(job, Finished { outcome: cancelled, usage, attempt });
            }
            Some(finished) => self.record(job, finished),
            None if live.lease.is_none() => drop(self.conclude(job, cancelled, None)),
            // Its client has yet to report.
            None => {}
        }
    }

    /// The root of a session, or a client that did not come back, is gone.
    pub(super) fn process_ended(&mut self, job: JobId) {
        let Some(live) = self.live.get_mut(&job) else { return };
        if live.kind == Kind::Session {
            let outcome = live
                .cancelled
                .clone()
                .map_or(Outcome::Ended, |reason| Outcome::Cancelled { reason });
            self.conclude(job, outcome, None);
            return;
        }
        if live.lease.is_some() {
            return;
        }
        self.lose(job);
    }

    /// Nobody is left who knows how a job from before this gateway ended.
    pub(super) fn lose(&mut self, job: JobId) {
        let Some(live) = self.live.get(&job) else { return };
        let client = live.process;
        if live.state == State::Queued {
            let reason =
                format!("process {client}, which waited for it, ended while there was no gateway");
            self.conclude(job, Outcome::Cancelled { reason }, None);
        } else {
            let reason = format!(
                "process {client}, which ran it, ended while there was no gateway; how the command ended is not known"
            );
            self.end_leftovers(job);
            self.conclude(job, Outcome::Lost { reason }, None);
        }
    }

    pub(super) fn refuse(&mut self, job: JobId, reason: &str) {
        self.say(job, GatewayMessage::Refused { reason: reason.to_owned() });
        self.end(job, Outcome::Refused { reason: reason.to_owned() }, None);
    }

    /// Journals the outcome and gives the resources back.
    pub(super) fn conclude(
        &mut self,
        job: JobId,
        outcome: Outcome,
        usage: Option<Usage>,
    ) -> Option<Live> {
        let live = self.end(job, outcome, usage)?;
        if live.state == State::Queued {
            self.dispatch(Event::Cancelled { job });
        } else {
            self.dispatch(Event::Ended { job });
        }
        Some(live)
    }

    /// Journals the outcome of a job that the dispatcher no longer knows.
    fn end(&mut self, job: JobId, outcome: Outcome, usage: Option<Usage>) -> Option<Live> {
        let mut live = self.forget(job)?;
        self.progress.ended(live.run, job, &outcome);
        self.journal.write(Write::Finish { job, outcome, usage, at: Timestamp::now() });
        for waiter in live.waiters.drain(..) {
            self.journal.ask(move |store| drop(waiter.send(show(store, job))));
        }
        Some(live)
    }
}
