//! Why a job waits, or ended as it did.

use super::{Core, live::Live};
use crate::{
    dispatcher::{Explanation, Wait},
    gateway::message::Failure,
    model::{Job, JobId, State, Timestamp},
    protocol::Explained,
    units::format_duration,
};

impl Core {
    /// Answers from the journal as it is before this batch's commit, and from what is live.
    pub(super) fn explain(&self, job: JobId) -> Result<Explained, Failure> {
        let record = self.journal.store().job(job)?.ok_or_else(|| Failure::no_such_job(job))?;
        let dispatcher = self.dispatcher.explain(job);
        let lines = match self.live.get(&job) {
            None => ended(&record),
            Some(live) => self.not_ended(&record, live, dispatcher.as_ref()),
        };
        Ok(Explained { job: record, dispatcher, lines })
    }

    fn not_ended(
        &self,
        record: &Job,
        live: &Live,
        dispatcher: Option<&Explanation>,
    ) -> Vec<String> {
        let mut lines = Vec::new();
        let waits = format_duration(Timestamp::now().since(record.submitted));
        match live.state {
            State::Held => lines.push(format!(
                "it is held, and starts only after 'redirector release {}'",
                record.id
            )),
            State::Waiting => {
                let open = record
                    .spec
                    .after
                    .iter()
                    .filter(|dependency| self.live.contains_key(&dependency.job))
                    .map(|dependency| {
                        let state = self.live[&dependency.job].state.word();
                        format!("{} ({state})", dependency.job)
                    });
                let open: Vec<_> = open.collect();
                lines.push(format!(
                    "it has waited {waits} for the end of job {}",
                    open.join(", job ")
                ));
            }
            State::Queued if self.unsettled.is_kept_back(record.id) => {
                lines.push(format!(
                    "it was queued {waits} ago, and no node is known yet that can run it"
                ));
                let need = live.need.as_deref();
                lines.extend(
                    need.map(|need| self.why_kept_back(record.id, need)).unwrap_or_default(),
                );
            }
            State::Queued => match dispatcher {
                Some(Explanation::Waiting { reason, behind, candidates, .. }) => {
                    lines.push(format!("it was queued {waits} ago: {reason}"));
                    lines.extend(behind.map(|first| turn(first, reason)));
                    lines.extend(candidates.iter().map(ToString::to_string));
                }
                _ => lines.push(format!("it was queued {waits} ago")),
            },
            State::Running if self.is_in_no_hands(record.id) => {
                let node = live.node.as_ref().and_then(|node| self.fleet.get(node));
                let problem = node.and_then(|node| node.problem.as_deref());
                lines.push(format!(
                    "it has its resources and waits for an agent to start: {}",
                    problem.unwrap_or("one is being started")
                ));
            }
            State::Running | State::Finished => {
                let since = record.started.map_or_else(String::new, |started| {
                    format!(" since {}", format_duration(Timestamp::now().since(started)))
                });
                let node =
                    record.node.as_ref().map_or_else(String::new, |node| format!(" on {node}"));
                lines.push(format!("it runs{node}{since}"));
                lines.extend(self.why_doubted(record.id));
                if matches!(dispatcher, Some(Explanation::Running { lending: true, .. })) {
                    lines.push(
                        "it waits for jobs that it submitted, and has lent them its cpus and memory"
                            .to_owned(),
                    );
                }
            }
        }
        lines.extend(live.need.iter().flat_map(|need| need.steps(live.state)));
        if let Some(ending) = &live.ending {
            lines.push(format!("it is being ended: {}", ending.reason()));
        }
        lines.extend(earlier_attempts(record));
        lines
    }
}

/// Who goes before.
fn turn(first: JobId, reason: &Wait) -> String {
    match reason {
        Wait::Turn { .. } => format!(
            "job {first} is the first in the queue; 'redirector explain {first}' says what that one \
             waits for"
        ),
        Wait::Node { .. } | Wait::Room { .. } | Wait::Place { .. } => {
            format!("job {first} is before it in the queue")
        }
    }
}

fn ended(record: &Job) -> Vec<String> {
    let Some(outcome) = &record.outcome else { return Vec::new() };
    let mut lines = vec![match (outcome.reason(), record.started) {
        (Some(reason), Some(_)) => format!("it ended as {outcome}: {reason}"),
        (Some(reason), None) => format!("it never started, and ended as {outcome}: {reason}"),
        (None, _) => format!("it ended as {outcome}, which is the command's own doing"),
    }];
    if record.spec.detached && !outcome.is_success() && record.started.is_some() {
        lines.push(format!("'redirector logs {}' shows what it wrote", record.id));
    }
    let before = record.attempts.len().saturating_sub(1);
    lines.extend(earlier_attempts(record).into_iter().take(before));
    lines
}

fn earlier_attempts(record: &Job) -> Vec<String> {
    let lines = record.attempts.iter().map(|attempt| {
        let reason =
            attempt.outcome.reason().map_or_else(String::new, |reason| format!(": {reason}"));
        format!(
            "attempt {} on {} ended as {}{reason}",
            attempt.number, attempt.node, attempt.outcome
        )
    });
    lines.collect()
}
