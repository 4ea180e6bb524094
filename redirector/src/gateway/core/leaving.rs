//! How the gateway is, whether it is needed, and how it ends.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Core,
    live::{Live, Runner},
};
use crate::{
    gateway::{message::Failure, processes},
    model::State,
    protocol::Status,
};

impl Core {
    pub(super) fn may_leave(&self) -> bool {
        self.setup.idle_timeout.is_some() && self.live.is_empty() && self.commit_at.is_none()
    }

    pub(super) fn idle_deadline(&self) -> Instant {
        self.last_activity + self.setup.idle_timeout.unwrap_or(Duration::MAX / 4)
    }

    pub(super) fn is_idle(&self) -> bool {
        // One is the core's own.
        self.live.is_empty() && Arc::strong_count(&self.setup.connections) <= 2
    }

    fn commands(&self, state: State) -> usize {
        let counts = |live: &&Live| !live.kind.is_whole_pipeline() && live.state == state;
        self.live.values().filter(counts).count()
    }

    pub(super) fn status(&self) -> Status {
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            state_directory: self.setup.state.path().display().to_string(),
            started: self.setup.started,
            embedded: self.setup.idle_timeout.is_some(),
            node: self.fleet.own.to_string(),
            capacity: self.fleet.own().capacity().unwrap_or_default(),
            queued: self.commands(State::Queued),
            running: self.commands(State::Running),
            journal_problem: self.journal.problem(),
        }
    }

    pub(super) fn stop(&mut self, force: bool) -> Result<(), Failure> {
        // A client that was killed may be gone before its connection is seen to be.
        let is_busy = |live: &&Live| match live.runner {
            Runner::Root { .. } => false,
            Runner::Agent { .. } => true,
            Runner::Client { process, .. } => !live.is_abandoned() && processes::is_client(process),
        };
        let busy = self.live.values().filter(is_busy).count();
        if busy > 0 && !force {
            return Err(Failure::new(
                409,
                format!(
                    "{busy} jobs are queued or running; cancel them ('redirector cancel ID'), wait for them, \
                     or stop with --force, which cancels them all"
                ),
            ));
        }
        tracing::info!(jobs = busy, "leaving: told to by 'redirector stop'");
        self.stopping = true;
        // Those that wait go first, lest one be started by the end of another.
        let mut all: Vec<_> =
            self.live.iter().map(|(job, live)| (live.state != State::Queued, *job)).collect();
        all.sort_unstable();
        for (_, job) in all {
            self.end_now(job, "the gateway was stopped");
        }
        Ok(())
    }
}
