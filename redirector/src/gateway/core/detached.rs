//! Jobs for which nobody waits: `redirector submit`.
//!
//! All jobs of one submission get numbers without gaps and are journalled in one transaction, so
//! that a submission is there as a whole or not at all.

use std::{collections::HashMap, sync::Arc};

use super::{
    Core,
    followers::Leaders,
    live::{Live, Runner},
    sites::Need,
};
use crate::{
    gateway::message::{Failure, Reply},
    model::{Element, JobId, Outcome, Spec, State, Text, Timestamp},
    protocol::{DetachedSubmission, MOST_ELEMENTS, Submitted},
    store::{Environment, NewJob, Write},
};

/// What stands for an element's value.
const PLACEHOLDER: &[u8] = b"{}";

impl Core {
    pub(super) fn detach(
        &mut self,
        submission: DetachedSubmission,
        reply: Reply<Result<Submitted, Failure>>,
    ) {
        match self.accept_detached(submission) {
            // Answered when it is journalled.
            Ok(submitted) => self.journal.after_submission(submitted, reply),
            Err(failure) => drop(reply.send(Err(failure))),
        }
    }

    fn accept_detached(&mut self, submission: DetachedSubmission) -> Result<Submitted, Failure> {
        let known = self.submissions.get(&submission.key).copied();
        if let Some(submitted) = known {
            return Ok(submitted);
        }
        if let Some((first, last)) = self.journal.store().submission(&submission.key)? {
            return Ok(Submitted { first, last });
        }
        let count = check(&submission)?;
        let DetachedSubmission {
            key,
            mut spec,
            elements,
            hosts,
            environment,
            umask,
            token,
            held,
            ..
        } = submission;
        let (place, _) = self.place(None, token.as_deref(), 0, &[])?;
        let Leaders { live: leaders, broken } = self.leaders(&spec.after)?;
        spec.detached = true;
        spec.umask = Some(umask);
        spec.sequential |= submission.sequential;
        if spec.priority == 0 {
            spec.priority = place.priority;
        }
        let first = self.next_id;
        let last = JobId(first.0 + count - 1);
        self.next_id = JobId(last.0 + 1);
        let submitted = Submitted { first, last };
        self.submissions.insert(key.clone(), submitted);
        self.journal.write(Write::Submission { key, first, last });
        let environment = Environment { entries: Arc::new(environment), whole: true };
        let state = match () {
            () if held => State::Held,
            () if !leaders.is_empty() => State::Waiting,
            () => State::Queued,
        };
        let at = Timestamp::now();
        let mut need = Arc::new(Need::of(&spec));
        for index in 0..count {
            let job = JobId(first.0 + index);
            let value = elements.as_ref().and_then(|elements| elements.value(index));
            if let Some(host) = hosts.get(index as usize) {
                spec.placement.host = Some(host.clone());
            }
            if need.placement != spec.placement {
                need = Arc::new(Need::of(&spec));
            }
            let spec = match value {
                Some(value) => of_element(&spec, first, &value),
                None => spec.clone(),
            };
            let run = place.run.unwrap_or(job);
            let share = if elements.is_some() { first } else { run };
            let request = self.request(&spec, place.spawned_by, &[], share);
            self.live.insert(
                job,
                Live {
                    kind: spec.kind,
                    spawned_by: place.spawned_by,
                    run,
                    state,
                    retries: spec.retries,
                    is_sequential: spec.sequential,
                    need: Some(Arc::clone(&need)),
                    ..Live::new(request, Runner::Agent { instance: None }, job)
                },
            );
            self.progress.submitted(run, job, &spec.name);
            self.journal.write(Write::Insert(Box::new(NewJob {
                id: job,
                key: String::new(),
                spawned_by: place.spawned_by,
                run,
                spec,
                environment: environment.clone(),
                state,
                submitted: at,
                client_pid: 0,
                started: None,
            })));
        }
        for job in (first.0..=last.0).map(JobId) {
            if let Some(reason) = &broken {
                self.conclude(job, Outcome::Cancelled { reason: reason.clone() }, None, at);
                continue;
            }
            self.follow(job, &leaders);
            if state == State::Queued {
                self.submit_to_dispatcher(job);
            }
        }
        Ok(submitted)
    }
}

/// The number of jobs that are asked for.
fn check(submission: &DetachedSubmission) -> Result<u64, Failure> {
    let bad = |error: String| Failure::new(400, error);
    if submission.key.is_empty() {
        return Err(bad(
            "a submission needs a key, by which it is known when it is repeated".into()
        ));
    }
    if submission.spec.argv.is_empty() || submission.spec.program.as_bytes().is_empty() {
        return Err(bad("a submission needs a program and its arguments".into()));
    }
    if submission.spec.kind.is_whole_pipeline() {
        return Err(bad("a detached job is of kind command or nested".into()));
    }
    let count = submission.elements.as_ref().map_or(1, crate::protocol::Elements::count);
    if !submission.hosts.is_empty() && submission.hosts.len() as u64 != count {
        let hosts = submission.hosts.len();
        return Err(bad(format!("{hosts} hosts were named for {count} jobs")));
    }
    let Some(elements) = &submission.elements else { return Ok(1) };
    if let crate::protocol::Elements::Range { step: 0, .. } = elements {
        return Err(bad("the step of an array is at least 1".into()));
    }
    match elements.count() {
        0 => Err(bad("the array has no elements".into())),
        count if count > MOST_ELEMENTS => Err(bad(format!(
            "the array has {count} elements, at most {MOST_ELEMENTS} go in one submission: \
             split it, or have each job work on several"
        ))),
        count => Ok(count),
    }
}

/// `spec`, with the element's value where its place is held.
fn of_element(spec: &Spec, first: JobId, value: &Text) -> Spec {
    let fill = |text: &Text| Text(replace(text.as_bytes(), value.as_bytes()));
    let name = String::from_utf8_lossy(&replace(spec.name.as_bytes(), value.as_bytes())).into();
    Spec {
        argv: spec.argv.iter().map(fill).collect(),
        name,
        element: Some(Element { first, value: value.clone() }),
        ..spec.clone()
    }
}

fn replace(text: &[u8], value: &[u8]) -> Vec<u8> {
    let mut filled = Vec::with_capacity(text.len() + value.len());
    let mut rest = text;
    while let Some(at) = rest.windows(PLACEHOLDER.len()).position(|window| window == PLACEHOLDER) {
        filled.extend_from_slice(&rest[..at]);
        filled.extend_from_slice(value);
        rest = &rest[at + PLACEHOLDER.len()..];
    }
    filled.extend_from_slice(rest);
    filled
}

/// Submissions of this batch, by their keys.
pub(super) type Submissions = HashMap<String, Submitted>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_stands_wherever_its_place_is_held() {
        for (text, filled) in [
            ("--sample={}", "--sample=a b"),
            ("{}{}", "a ba b"),
            ("{", "{"),
            ("{{}}", "{a b}"),
            ("none", "none"),
        ] {
            assert_eq!(replace(text.as_bytes(), b"a b"), filled.as_bytes(), "{text}");
        }
    }
}
