//! Jobs that end: by themselves, with their client, or unseen.

use std::time::Duration;

use super::{
    Core,
    live::{Ending, Live, Runner},
};
use crate::{
    gateway::{
        job_processes,
        message::{LeaseId, Message},
    },
    model::{JobId, Kind, Outcome, State, Timestamp},
    protocol::{Finished, GatewayMessage},
};

impl Core {
    /// A leased command ended, and its client says how.
    pub(super) fn finished(&mut self, job: JobId, lease: LeaseId, finished: Finished) {
        if !self.live.get(&job).and_then(Live::lease).is_some_and(|own| own.id == lease) {
            // Recorded already; the gateway before this one was killed before it could say so.
            if let Some(messages) = self.after_end.get(&lease).cloned() {
                self.journal.after_commit(move || drop(messages.send(GatewayMessage::Recorded)));
            }
            return;
        }
        let Some(live) = self.live.get_mut(&job) else { return };
        if finished.attempt < live.attempt {
            // Journalled already; that another attempt follows was said when it came back.
            return;
        }
        if live.ending.is_some() {
            // What it left behind goes first.
            live.finished = Some(finished);
            return self.end_leftovers(job);
        }
        self.record(job, finished);
    }

    /// Journals what a client reported, and tells it.
    fn record(&mut self, job: JobId, finished: Finished) {
        let Finished { outcome, usage, .. } = finished;
        let Some(live) = self.attempt_ended(job, outcome, Some(usage), Timestamp::now()) else {
            return;
        };
        if let Runner::Client { lease: Some(client), .. } = live.runner {
            let lease = client.id;
            self.after_end.insert(lease, client.messages.clone());
            self.journal.is_awaited_by(lease);
            self.journal.after_commit(move || drop(client.messages.send(GatewayMessage::Recorded)));
        }
    }

    /// A client's connection is gone, and with it the client.
    pub(super) fn lease_closed(&mut self, job: JobId, lease: LeaseId) {
        self.after_end.remove(&lease);
        self.served(lease);
        let Some(live) = self.live.get_mut(&job) else { return };
        let Runner::Client { process, lease: own, .. } = &mut live.runner else { return };
        if own.as_ref().is_none_or(|own| own.id != lease) {
            return;
        }
        *own = None;
        let reason = format!("process {process}, which waited for it, ended before it");
        let is_placed = live.agent().is_some();
        let ending = live.ending.get_or_insert(Ending::Cancelled { reason });
        if is_placed {
            // As the kernel kills a command here with its client.
            let ending = ending.clone();
            self.end_assigned(job, ending, Duration::ZERO);
        } else if live.state == State::Queued {
            let outcome = ending.outcome();
            self.conclude(job, outcome, None, Timestamp::now());
        } else {
            // The kernel has killed the command with its client. Its resources are
            // free when its own children are gone too.
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
        let Some(ending) = &live.ending else { return };
        let outcome = ending.outcome();
        match live.finished.take() {
            Some(finished) => self.record(job, finished),
            None if live.lease().is_none() => {
                drop(self.conclude(job, outcome, None, Timestamp::now()));
            }
            // Its client has yet to report.
            None => {}
        }
    }

    /// The root of a session, or a client that did not come back, is gone.
    pub(super) fn process_ended(&mut self, job: JobId) {
        let Some(live) = self.live.get_mut(&job) else { return };
        if live.kind == Kind::Session {
            let outcome = live.ending.as_ref().map_or(Outcome::Ended, Ending::outcome);
            self.conclude(job, outcome, None, Timestamp::now());
            return;
        }
        if live.lease().is_some() {
            return;
        }
        if live.agent().is_some() {
            let process = live.process().unwrap_or_default();
            let reason = format!("process {process}, which waited for it, ended before it");
            self.end_assigned(job, Ending::Cancelled { reason }, Duration::ZERO);
            return;
        }
        self.lose(job);
    }

    /// Nobody is left who knows how a job from before this gateway ended.
    pub(super) fn lose(&mut self, job: JobId) {
        let Some(live) = self.live.get(&job) else { return };
        let client = live.process().unwrap_or_default();
        if live.agent().is_some() {
            let reason =
                format!("process {client}, which waited for it, ended while there was no gateway");
            self.end_assigned(job, Ending::Cancelled { reason }, Duration::ZERO);
        } else if live.state == State::Queued {
            let reason =
                format!("process {client}, which waited for it, ended while there was no gateway");
            self.conclude(job, Outcome::Cancelled { reason }, None, Timestamp::now());
        } else {
            let reason = format!(
                "process {client}, which ran it, ended while there was no gateway; how the command ended is not known"
            );
            self.end_leftovers(job);
            self.conclude(job, Outcome::Lost { reason }, None, Timestamp::now());
        }
    }
}
