//! Jobs that start after others: `redirector submit --after 7:ok`.
//!
//! A job may only follow jobs that were submitted before it, so no two can wait for each other.
//! When it is submitted (and again when a gateway takes over), each job that it follows has ended,
//! which decides at once, or is live, which is noted in [`Followers`]:
//!
//! ```text
//!   leader ends ─► condition met ─ the last one? ─► the follower is queued
//!                └ not met ─► the follower is cancelled, and those that follow it hear of that
//! ```

use std::collections::HashMap;

use super::Core;
use crate::{
    gateway::message::Failure,
    model::{Dependency, JobId, Outcome, State, Timestamp},
    store::Write,
};

/// Who waits for whom.
#[derive(Debug, Default)]
pub(super) struct Followers(HashMap<JobId, Vec<(JobId, Dependency)>>);

impl Followers {
    fn add(&mut self, follower: JobId, dependency: Dependency) {
        self.0.entry(dependency.job).or_default().push((follower, dependency));
    }

    fn of(&mut self, leader: JobId) -> Vec<(JobId, Dependency)> {
        self.0.remove(&leader).unwrap_or_default()
    }
}

/// How the jobs that a job follows stand.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Leaders {
    /// Those that have not ended yet.
    pub live: Vec<Dependency>,
    /// Why it can never start.
    pub broken: Option<String>,
}

impl Core {
    /// How those stand that a new job is to follow.
    pub(super) fn leaders(&self, after: &[Dependency]) -> Result<Leaders, Failure> {
        let mut leaders = Leaders::default();
        for &dependency in after {
            let job = dependency.job;
            if self.live.contains_key(&job) {
                leaders.live.push(dependency);
                continue;
            }
            if job.0 == 0 || job >= self.next_id {
                let error = format!(
                    "there is no job {job} to follow: '--after' takes jobs that were submitted before"
                );
                return Err(Failure::new(404, error));
            }
            let outcome = match self.unjournalled.get(&job) {
                Some(outcome) => Some(outcome.clone()),
                None => self.journal.store().job(job)?.and_then(|record| record.outcome),
            };
            match outcome {
                Some(outcome) => {
                    if let Some(reason) = unmet(dependency, &outcome) {
                        leaders.broken.get_or_insert(reason);
                    }
                }
                // Whoever takes any end takes that of a job whose record is gone.
                None if dependency.on == crate::model::Condition::Any => {}
                None => {
                    let error = format!(
                        "how job {job} ended is not known any more, because it was purged; \
                         '--after {job}:any' follows it however that was"
                    );
                    return Err(Failure::new(410, error));
                }
            }
        }
        Ok(leaders)
    }

    /// Has `job` wait for its leaders.
    pub(super) fn follow(&mut self, job: JobId, leaders: &[Dependency]) {
        for &dependency in leaders {
            self.followers.add(job, dependency);
        }
        if let Some(live) = self.live.get_mut(&job) {
            live.leaders = leaders.len() as u32;
        }
    }

    /// Lets jobs go, or never start, that follow those that have ended.
    pub(super) fn settle_followers(&mut self) {
        while let Some((leader, outcome)) = self.ended.pop() {
            for (follower, dependency) in self.followers.of(leader) {
                let Some(live) = self.live.get_mut(&follower) else { continue };
                if let Some(reason) = unmet(dependency, &outcome) {
                    let outcome = Outcome::Cancelled { reason };
                    self.conclude(follower, outcome, None, Timestamp::now());
                    continue;
                }
                live.leaders -= 1;
                if live.leaders == 0 && live.state == State::Waiting {
                    self.enqueue(follower);
                }
            }
        }
    }

    /// Hands a job that was kept back to the dispatcher.
    pub(super) fn enqueue(&mut self, job: JobId) {
        let Some(live) = self.live.get_mut(&job) else { return };
        live.state = State::Queued;
        self.journal.write(Write::Move { job, state: State::Queued });
        self.submit_to_dispatcher(job);
    }
}

/// Why a job that follows another one cannot start, if so.
fn unmet(dependency: Dependency, outcome: &Outcome) -> Option<String> {
    if dependency.on.is_met_by(outcome) {
        return None;
    }
    let wanted = match dependency.on {
        crate::model::Condition::Fail => "fail",
        _ => "succeed",
    };
    let leader = dependency.job;
    Some(format!("job {leader}, which was to {wanted} before it, ended as {outcome}"))
}
