//! Ending jobs before their time.

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{
    Core,
    agents::GRACE,
    live::{Ending, Runner},
};
use crate::{
    gateway::message::{Failure, Message},
    model::{JobId, Outcome, State, Timestamp, Usage},
    protocol::GatewayMessage,
};

impl Core {
    /// Cancels `job` and everything that came out of it; answers with those that were live.
    pub(super) fn cancel(&mut self, job: JobId, reason: &str) -> Result<Vec<JobId>, Failure> {
        let run = match self.live.get(&job) {
            Some(live) => live.run,
            None => self.journal.store().job(job)?.ok_or_else(|| Failure::no_such_job(job))?.run,
        };
        let of_the_run = self.live.iter().filter(|(_, live)| live.run == run);
        let mut affected = Vec::new();
        for candidate in of_the_run.map(|(job, _)| *job).collect::<Vec<_>>() {
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
        let ending = Ending::Cancelled { reason: reason.to_owned() };
        match live.runner {
            Runner::Agent { .. } => self.end_assigned(job, ending, GRACE),
            Runner::Client { .. } => self.end_lease(job, ending),
            Runner::Root { process } => {
                live.ending = Some(ending);
                // Its end is journalled when it happens.
                let _gone_already = kill(Pid::from_raw(process), Signal::SIGTERM);
                self.give_grace(job);
            }
        }
    }

    /// Ends a leased job: SIGTERM, grace, SIGKILL.
    pub(super) fn end_lease(&mut self, job: JobId, ending: Ending) {
        let is_elsewhere = self.is_elsewhere(job);
        let Some(live) = self.live.get_mut(&job) else { return };
        let (reason, outcome) = (ending.reason(), ending.outcome());
        if is_elsewhere {
            self.say(job, GatewayMessage::Signal { signal: libc::SIGTERM, reason });
            return self.end_assigned(job, ending, GRACE);
        }
        live.ending = Some(ending);
        let is_queued = live.state == State::Queued;
        self.say(job, GatewayMessage::Signal { signal: libc::SIGTERM, reason });
        if is_queued {
            self.conclude(job, outcome, None, Timestamp::now());
        } else {
            self.give_grace(job);
        }
    }

    fn give_grace(&self, job: JobId) {
        let messages = self.setup.messages.clone();
        tokio::spawn(async move {
            tokio::time::sleep(GRACE).await;
            // Fails only when the core is gone.
            drop(messages.send(Message::GraceOver { job }));
        });
    }

    /// A job that is being ended and still runs has had its time.
    pub(super) fn grace_over(&mut self, job: JobId) {
        let Some(live) = self.live.get(&job) else { return };
        // Another attempt may run by now.
        let Some(ending) = &live.ending else { return };
        if let Runner::Root { process } = live.runner {
            let _gone_already = kill(Pid::from_raw(process), Signal::SIGKILL);
            return;
        }
        let reason = ending.reason();
        self.say(job, GatewayMessage::Signal { signal: libc::SIGKILL, reason });
        self.end_leftovers(job);
    }

    /// Ends a job without grace, because the gateway ends.
    pub(super) fn end_now(&mut self, job: JobId, reason: &str) {
        let Some(live) = self.live.get(&job) else { return };
        let (reason, state, at) = (reason.to_owned(), live.state, Timestamp::now());
        let live_attempt = live.attempt;
        match live.runner {
            Runner::Root { .. } => {
                // The pipeline itself goes on; its next job starts another gateway.
                self.conclude(job, Outcome::Ended, None, at);
                return;
            }
            Runner::Agent { .. } => self.abandon_attempt(job),
            Runner::Client { placed: Some(_), .. } => {
                self.abandon_attempt(job);
                self.say(
                    job,
                    GatewayMessage::Signal { signal: libc::SIGKILL, reason: reason.clone() },
                );
                let (attempt, usage) = (live_attempt, Usage::default());
                let outcome = Outcome::Cancelled { reason: reason.clone() };
                self.say(job, GatewayMessage::Ended { attempt, outcome, usage });
            }
            Runner::Client { .. } => {
                let signal = libc::SIGKILL;
                self.say(job, GatewayMessage::Signal { signal, reason: reason.clone() });
                if state == State::Running {
                    crate::gateway::job_processes::kill_all(&self.tokens.of(job));
                }
                // Nobody will be there to hear how it ends.
                self.say(job, GatewayMessage::Recorded);
            }
        }
        self.conclude(job, Outcome::Cancelled { reason }, None, at);
    }
}
