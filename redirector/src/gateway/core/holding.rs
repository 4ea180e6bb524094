//! Keeping jobs back, letting them go, and trying finished ones once more.

use std::sync::Arc;

use super::{
    Core,
    live::{Live, Runner},
    sites::Need,
};
use crate::{
    dispatcher::Event,
    gateway::message::Failure,
    model::{JobId, Outcome, State, secret},
    store::Write,
};

impl Core {
    /// Keeps a job back that has not started.
    pub(super) fn hold(&mut self, job: JobId) -> Result<Vec<JobId>, Failure> {
        self.must_exist(job)?;
        let Some(live) = self.live.get_mut(&job) else {
            return Err(Failure::new(
                409,
                format!("job {job} has ended; there is nothing to hold"),
            ));
        };
        if !live.is_detached() {
            let error = format!(
                "job {job} is part of a running pipeline, which waits for it; only detached jobs \
                 ('redirector submit') can be held"
            );
            return Err(Failure::new(409, error));
        }
        let before = live.state;
        match before {
            State::Held => return Ok(Vec::new()),
            State::Waiting | State::Queued => {}
            State::Running | State::Finished => {
                let error = format!(
                    "job {job} runs already; 'redirector cancel {job}' ends it, and nothing can stop it halfway"
                );
                return Err(Failure::new(409, error));
            }
        }
        live.state = State::Held;
        self.journal.write(Write::Move { job, state: State::Held });
        if before == State::Queued {
            self.unsettled.forget(job);
            self.note_end(job);
            self.dispatch(Event::Cancelled { job });
        }
        Ok(vec![job])
    }

    /// Lets a held job go.
    pub(super) fn release(&mut self, job: JobId) -> Result<Vec<JobId>, Failure> {
        self.must_exist(job)?;
        let Some(live) = self.live.get_mut(&job) else { return Ok(Vec::new()) };
        if live.state != State::Held {
            return Ok(Vec::new());
        }
        if live.leaders > 0 {
            live.state = State::Waiting;
            self.journal.write(Write::Move { job, state: State::Waiting });
        } else {
            self.enqueue(job);
        }
        Ok(vec![job])
    }

    /// Queues a finished job for another attempt.
    pub(super) fn retry(&mut self, job: JobId) -> Result<Vec<JobId>, Failure> {
        let conflict = |error: String| Err(Failure::new(409, error));
        if self.live.contains_key(&job) {
            return conflict(format!(
                "job {job} has not ended; 'redirector cancel {job}' ends it first"
            ));
        }
        if self.unjournalled.contains_key(&job) {
            // Its record has yet to tell how it ended.
            self.commit();
            if let Some(problem) = self.journal.problem() {
                return Err(Failure::new(503, problem));
            }
        }
        let record = self.journal.store().job(job)?.ok_or_else(|| Failure::no_such_job(job))?;
        let spec = &record.spec;
        if !spec.detached {
            return conflict(format!(
                "job {job} was part of a pipeline, which has heard how it ended; start the pipeline again"
            ));
        }
        if record.outcome.as_ref().is_some_and(Outcome::is_success) {
            return conflict(format!("job {job} has succeeded; submit its command again instead"));
        }
        let unknown: Vec<_> = record
            .environment
            .iter()
            .filter_map(|entry| secret::redacted_name(entry))
            .map(|name| String::from_utf8_lossy(name).into_owned())
            .collect();
        let has_environment = match self.journal.store().recipe(job)? {
            Some(recipe) => {
                self.journal.store().whole_environment(job, &recipe.environment)?.is_some()
            }
            None => false,
        };
        if !unknown.is_empty() && !has_environment {
            return conflict(format!(
                "job {job} cannot be tried again: the values of {} look secret and were forgotten when it ended; \
                 submit its command again instead",
                unknown.join(", ")
            ));
        }
        let number = record.attempts.last().map_or(1, |attempt| attempt.number + 1);
        let request = self.request_of_detached(&record);
        self.live.insert(
            job,
            Live {
                kind: spec.kind,
                spawned_by: record.spawned_by,
                run: record.run,
                state: State::Queued,
                retries: spec.retries,
                is_sequential: spec.sequential,
                attempt: number,
                need: Some(Arc::new(Need::of(spec))),
                ..Live::new(request, Runner::Agent { instance: None }, job)
            },
        );
        // It was counted among those that failed.
        self.progress.forget_all();
        self.journal.write(Write::Reopen { job });
        self.submit_to_dispatcher(job);
        Ok(vec![job])
    }

    fn must_exist(&self, job: JobId) -> Result<(), Failure> {
        if self.live.contains_key(&job) || self.journal.store().job(job)?.is_some() {
            return Ok(());
        }
        Err(Failure::no_such_job(job))
    }
}
