//! Compares what ought to have happened with the journal and with what the jobs themselves say.

use std::{collections::HashMap, fs};

use integration::{Job, Session};

/// What is to come of one job.
#[derive(Clone, Debug)]
pub(crate) struct Expected {
    tag: String,
    ending: String,
    attempts: usize,
    /// False for a command that may have run where its client is, not as a job.
    is_recorded: bool,
}

impl Expected {
    pub(crate) fn detached(tag: String, ending: &str, attempts: usize) -> Self {
        Self { tag, ending: ending.to_owned(), attempts, is_recorded: true }
    }

    pub(crate) fn leased(tag: String, ending: &str, attempts: usize, is_recorded: bool) -> Self {
        Self { tag, ending: ending.to_owned(), attempts, is_recorded }
    }
}

/// How often each job says that it was started, by its tag.
pub(crate) fn lines(session: &Session, file: &str) -> HashMap<String, usize> {
    let text = fs::read_to_string(session.directory().join(file)).unwrap_or_default();
    let mut counts = HashMap::new();
    for line in text.lines() {
        *counts.entry(line.to_owned()).or_default() += 1;
    }
    counts
}

/// All records, once every job has ended.
#[track_caller]
pub(crate) fn all_records(session: &Session) -> Vec<Job> {
    let listed = session.jobs();
    let last = listed.iter().map(|job| job.id.to_string().parse::<u64>().expect("a number")).max();
    let ids = format!("1-{}", last.expect("there were jobs"));
    // Ends with the status of the first that failed, of which there are some.
    session.ask(["wait", &ids]);
    session.records(&ids)
}

/// Demands that `expected` is what happened, and nothing else.
#[track_caller]
pub(crate) fn check(session: &Session, seed: u64, expected: &[Expected]) {
    let mut ran = lines(session, "ran");
    let mut records: HashMap<String, Vec<Job>> = HashMap::new();
    for job in all_records(session) {
        assert_eq!(job.state, "finished", "seed {seed}: {job:?}");
        // Runs, sessions and detached shells have no tag of their own.
        if job.rule.is_some() {
            records.entry(job.argv[1].clone()).or_default().push(job);
        }
    }
    for Expected { tag, ending, attempts, is_recorded } in expected {
        let lines = ran.remove(tag).unwrap_or_default();
        assert_eq!(lines, *attempts, "seed {seed}: how often {tag} ran");
        let jobs = records.remove(tag).unwrap_or_default();
        if jobs.is_empty() && !is_recorded {
            continue;
        }
        assert_eq!(jobs.len(), 1, "seed {seed}: {tag}: {jobs:?}");
        let job = &jobs[0];
        assert_eq!(job.ending(), *ending, "seed {seed}: {tag}: {job:?}");
        assert_eq!(job.attempts.len(), *attempts, "seed {seed}: {tag}: {job:?}");
        let successes = job.attempts.iter().filter(|it| it.ending() == "exited(0)").count();
        assert_eq!(successes, usize::from(ending == "exited(0)"), "seed {seed}: {tag}: {job:?}");
    }
    assert!(ran.is_empty(), "seed {seed}: nobody asked for {ran:?}");
    assert!(records.is_empty(), "seed {seed}: nobody asked for {records:?}");
}
