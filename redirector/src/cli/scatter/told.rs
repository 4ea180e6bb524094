//! What the person is told of the jobs.

use std::{cell::RefCell, collections::HashMap};

use serde::Serialize;

use super::Result;
use crate::{
    cli::progress::Bar,
    client::{
        exec::say,
        scatter::{Listener, Verdict},
    },
    mapfile::Entry,
    model::{JobId, Outcome},
    protocol::Submitted,
};

/// Failures that are told one by one; more of them are counted.
const TOLD: usize = 10;

/// Prints the jobs' numbers, and draws how many have ended.
pub(super) struct Told {
    jobs: u64,
    is_json: bool,
    bar: RefCell<Option<Bar>>,
}

impl Told {
    pub(super) fn new(jobs: usize, is_json: bool) -> Self {
        Self { jobs: jobs as u64, is_json, bar: RefCell::new(None) }
    }
}

impl Listener for Told {
    fn submitted(&self, jobs: &[Submitted]) {
        for Submitted { first, last } in jobs.iter().filter(|_| !self.is_json) {
            if first == last {
                println!("{first}");
            } else {
                println!("{first}-{last}");
            }
        }
        *self.bar.borrow_mut() = Some(Bar::new(self.jobs));
    }

    fn ended(&self, verdict: &Verdict) {
        if let Some(bar) = &*self.bar.borrow() {
            bar.ended(verdict.is_success());
        }
    }
}

/// Says which jobs failed, and how.
pub(super) fn failures(results: &[Result<'_>], entries: &[Entry]) {
    let failed: Vec<_> =
        results.iter().filter(|(_, verdict)| !super::is_success(*verdict)).collect();
    for (task, verdict) in failed.iter().take(TOLD) {
        let entry = &entries[task.entry];
        let files = super::shown(entry);
        match verdict {
            Some(Verdict { job, name, outcome, .. }) => {
                let reason = outcome.reason().map(|reason| format!(": {reason}"));
                say(&format!(
                    "job {job} ('{name}', {files} on {}) ended as {outcome}{}",
                    entry.host,
                    reason.unwrap_or_default()
                ));
            }
            None => say(&format!("nobody waits for the job on {files} ({})", entry.host)),
        }
    }
    if failed.len() > TOLD {
        say(&format!("… and so for {} more jobs", failed.len() - TOLD));
    }
    if let Some(Verdict { job, .. }) = failed.iter().find_map(|(_, verdict)| *verdict) {
        say(&format!("'redirector logs {job}' prints what the first of them has written"));
    }
}

/// An entry and its job, for scripts.
#[derive(Serialize)]
pub(super) struct Record<'a> {
    #[serde(flatten)]
    entry: &'a Entry,
    job: Option<JobId>,
    #[serde(flatten)]
    outcome: Option<&'a Outcome>,
}

/// All entries, those without a job too.
pub(super) fn records<'a>(entries: &'a [Entry], results: &[Result<'a>]) -> Vec<Record<'a>> {
    let verdicts: HashMap<_, _> =
        results.iter().filter_map(|(task, verdict)| Some((task.entry, (*verdict)?))).collect();
    let record = |(index, entry)| {
        let verdict = verdicts.get(&index);
        Record {
            entry,
            job: verdict.map(|verdict| verdict.job),
            outcome: verdict.map(|verdict| &verdict.outcome),
        }
    };
    entries.iter().enumerate().map(record).collect()
}
