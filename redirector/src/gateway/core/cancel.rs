//! Ending jobs before their time.

use std::time::Duration;

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::Core;
use crate::{
    gateway::message::{Failure, Message},
    model::{JobId, Kind, Outcome, State},
    protocol::GatewayMessage,
};

/// How long a cancelled command may take to end after SIGTERM.
const GRACE: Duration = Duration::from_secs(10);

impl Core {
    /// Cancels `job` and everything that came out of it; answers with those that were live.
    pub(super) fn cancel(&mut self, job: JobId, reason: &str) -> Result<Vec<JobId>, Failure> {
        if !self.live.contains_key(&job) && self.journal.store().job(job)?.is_none() {
            return Err(Failure::no_such_job(job));
        }
        let mut affected = Vec::new();
        for candidate in self.live.keys().copied().collect::<Vec<_>>() {
            if self.came_out_of(candidate, job)? {
                affected.push(candidate);
            }
        }
        affected.sort_unstable();
        for &job in &affected {
            self.cancel_one(job, reason);
        }
        Ok(affected)
    }

    /// Whether `job` is `ancestor` or was submitted, at whatever remove, by it.
    fn came_out_of(&self, job: JobId, ancestor: JobId) -> Result<bool, Failure> {
        let mut next = Some(job);
        while let Some(job) = next {
            if job == ancestor {
                return Ok(true);
            }
            next = match self.live.get(&job) {
                Some(live) => live.spawned_by,
                None => self.journal.store().job(job)?.and_then(|job| job.spawned_by),
            };
        }
        Ok(false)
    }

    fn cancel_one(&mut self, job: JobId, reason: &str) {
        let Some(live) = self.live.get_mut(&job) else { return };
        live.cancelled = Some(reason.to_owned());
        let (kind, state, process) = (live.kind, live.state, live.process);
        if kind == Kind::Session {
            // Its end is journalled when it happens.
            let _gone_already = kill(Pid::from_raw(process), Signal::SIGTERM);
        } else {
            self.say(
                job,
                GatewayMessage::Signal { signal: libc::SIGTERM, reason: reason.to_owned() },
            );
        }
        if state == State::Queued {
            self.conclude(job, Outcome::Cancelled { reason: reason.to_owned() }, None);
            return;
        }
        let messages = self.setup.messages.clone();
        tokio::spawn(async move {
            tokio::time::sleep(GRACE).await;
            // Fails only when the core is gone.
            drop(messages.send(Message::GraceOver { job }));
        });
    }

    /// A cancelled job that still runs has had its time.
    pub(super) fn grace_over(&mut self, job: JobId) {
        let Some(live) = self.live.get(&job) else { return };
        if live.kind == Kind::Session {
            let _gone_already = kill(Pid::from_raw(live.process), Signal::SIGKILL);
            return;
        }
        let reason = live.cancelled.clone().unwrap_or_default();
        self.say(job, GatewayMessage::Signal { signal: libc::SIGKILL, reason });
        self.end_leftovers(job);
    }

    /// Ends a job without grace, because the gateway ends.
    pub(super) fn end_now(&mut self, job: JobId, reason: &str) {
        let Some(live) = self.live.get(&job) else { return };
        if live.kind == Kind::Session {
            // The pipeline itself goes on; its next job starts another gateway.
            self.conclude(job, Outcome::Ended, None);
            return;
        }
        let (reason, state) = (reason.to_owned(), live.state);
        self.say(job, GatewayMessage::Signal { signal: libc::SIGKILL, reason: reason.clone() });
        if state == State::Running {
            crate::gateway::job_processes::kill_all(&self.tokens.of(job));
        }
        // Nobody will be there to hear how it ends.
        self.say(job, GatewayMessage::Recorded);
        self.conclude(job, Outcome::Cancelled { reason }, None);
    }
}
