//! Takes over jobs that a gateway before this one left unfinished.

use std::{sync::Arc, time::Duration};

use super::{
    Core, attempts,
    live::{Live, Placed, Runner},
    sites::Need,
};
use crate::{
    dispatcher::{Event, Request},
    gateway::processes,
    model::{Cause, Given, Job, JobId, Kind, Outcome, Retries, State, Timestamp},
    store::{self, Unfinished},
};

impl Core {
    /// Running jobs hold their resources from now on, and waiting ones have their places
    /// in the queue. What becomes of a job is for its client to say, which comes back
    /// by itself (a client that has ended cannot), or for its agent.
    pub(super) fn recover(&mut self, mut unfinished: Vec<Unfinished>) -> Result<(), store::Error> {
        // What runs holds its resources before anybody is given some.
        unfinished.sort_by_key(|left| (left.job.state != State::Running, left.job.id));
        let mut kept_back = Vec::new();
        for left in unfinished {
            if left.attempt > 1 {
                let attempts = self.journal.store().attempts(left.job.id)?;
                self.take_over(
                    left,
                    &attempts.iter().map(|it| it.outcome.clone()).collect::<Vec<_>>(),
                    &mut kept_back,
                );
            } else {
                self.take_over(left, &[], &mut kept_back);
            }
        }
        // All that they may follow are known by now.
        for record in kept_back {
            self.keep_back(&record);
        }
        self.settle_followers();
        let own = self.fleet.own.clone();
        if self.needs_own_agent() {
            self.connect_agent(&own);
        } else {
            self.connect_own_agent_if_there();
        }
        Ok(())
    }

    fn take_over(&mut self, left: Unfinished, failures: &[Outcome], kept_back: &mut Vec<Job>) {
        let Unfinished { job: record, key, attempt, agent, given } = left;
        let (job, kind) = (record.id, record.spec.kind);
        let is_detached = record.spec.detached;
        let mut request = if is_detached {
            self.request_of_detached(&record)
        } else {
            self.request(&record.spec, record.spawned_by, &[], record.run)
        };
        request.again = attempt > 1;
        let retries = retries_left(record.spec.retries, failures);
        for _ in failures.iter().filter(|it| Cause::of(it) == Some(Cause::Memory)) {
            let mem = attempts::grown(request.resources.mem);
            request.resources.mem = mem.min(self.fleet.most_memory());
        }
        let process = record.client_pid;
        let is_promised = agent.is_some();
        let runner = match kind {
            _ if is_detached => Runner::Agent { instance: agent },
            Kind::Session => Runner::Root { process },
            _ => {
                let placed = agent.map(|agent| Placed { agent, may_run: true });
                Runner::Client { process, lease: None, placed, beginning: None }
            }
        };
        let need = match kind {
            Kind::Command | Kind::Nested if is_detached => Some(Arc::new(Need::of(&record.spec))),
            _ => self.need_of(&record.spec),
        };
        let node = record.node.clone().filter(|_| record.state == State::Running);
        self.live.insert(
            job,
            Live {
                key: key.clone(),
                kind,
                spawned_by: record.spawned_by,
                run: record.run,
                state: record.state,
                attempt,
                retries,
                is_sequential: record.spec.sequential,
                need,
                node,
                ..Live::new(request.clone(), runner, record.run)
            },
        );
        let gone = self.live.get(&job).and_then(|live| live.node.clone());
        if let Some(gone) = gone.filter(|node| self.fleet.get(node).is_none()) {
            let reason = format!(
                "{gone}, which ran it, is no node of this gateway any more; 'redirector nodes add' or \
                 [[hosts]] in redirector.toml names those there are"
            );
            self.keys.insert(key, job);
            self.conclude(job, Outcome::Lost { reason }, None, Timestamp::now());
            return;
        }
        if is_detached {
            match record.state {
                State::Held | State::Waiting => kept_back.push(record),
                State::Running => self.take_back(job, request, given),
                State::Queued if is_promised => self.recover_promise(job, given),
                State::Queued | State::Finished => self.submit_to_dispatcher(job),
            }
            return;
        }
        self.keys.insert(key, job);
        if kind == Kind::Session {
            self.watch(job, process);
            return;
        }
        let has_client = processes::is_client(process);
        if record.state == State::Running {
            self.take_back(job, request, given);
        } else if has_client {
            // In its old place: not when its client comes back, but now.
            self.submit_to_dispatcher(job);
        }
        if has_client {
            tracing::info!(%job, client = process, "waiting for a job's client to come back");
            self.watch(job, process);
            if record.state == State::Running && !self.is_elsewhere(job) {
                let ran = record.started.map_or(Duration::ZERO, |at| Timestamp::now().since(at));
                self.limit_lease(job, ran);
            }
        } else {
            tracing::warn!(%job, client = process, "a job's client ended while there was no gateway");
            self.lose(job);
        }
    }

    /// A job that runs holds what it was given.
    fn take_back(&mut self, job: JobId, request: Request, given: Given) {
        let node = self.live.get(&job).and_then(|live| live.node.clone());
        let node = node.unwrap_or_else(|| self.fleet.own.clone());
        let indices = given.pieces.clone();
        self.adopt(job, given);
        self.note_start(job, &node);
        self.stands_in_list(job, &node);
        self.dispatch(Event::Recovered { job, request, node, indices });
    }

    fn keep_back(&mut self, record: &Job) {
        let job = record.id;
        match self.leaders(&record.spec.after) {
            Ok(leaders) => {
                if let Some(reason) = leaders.broken {
                    let outcome = Outcome::Cancelled { reason };
                    self.conclude(job, outcome, None, Timestamp::now());
                    return;
                }
                self.follow(job, &leaders.live);
                if leaders.live.is_empty() && record.state == State::Waiting {
                    self.enqueue(job);
                }
            }
            Err(failure) => {
                let reason = failure.problem.error;
                let outcome = Outcome::Cancelled { reason };
                self.conclude(job, outcome, None, Timestamp::now());
            }
        }
    }

    /// What the dispatcher is asked for a detached job that is in the journal.
    pub(super) fn request_of_detached(&self, record: &Job) -> Request {
        let share = record.spec.element.as_ref().map_or(record.run, |element| element.first);
        self.request(&record.spec, record.spawned_by, &[], share)
    }
}

/// What is left of `retries` after these failures.
fn retries_left(retries: Retries, failures: &[Outcome]) -> Retries {
    failures
        .iter()
        .filter_map(Cause::of)
        .fold(retries, |left, cause| left.after(cause).unwrap_or_default())
}
