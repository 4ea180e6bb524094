//! How far the jobs of a run are, for whoever watches it.
//!
//! A run that nobody watches costs nothing. The first question about one counts its jobs in the
//! journal; from then on its [`Tally`] follows each change, so that no later question reads
//! anything:
//!
//! ```text
//!   GET /v1/runs/7/progress ──► tally of run 7? ── no ──► counted in the journal once
//!                                    │                               │
//!   submitted, started, ended ───────┴──► version + 1 ──► wakes who has seen less
//! ```

use std::collections::HashMap;

use tokio::sync::watch;

use super::{Core, tally::Tally};
use crate::{
    gateway::message::Failure,
    model::{JobId, Outcome, Timestamp},
    protocol::Progress,
    store::RunCounts,
};

/// How far a run is, and what tells that this changed. It closes when the run has to be asked
/// about anew.
pub(in crate::gateway) type Watching = (Progress, watch::Receiver<u64>);

/// All runs that are watched.
#[derive(Default)]
pub(super) struct Watches {
    runs: HashMap<JobId, Watch>,
}

struct Watch {
    tally: Tally,
    version: watch::Sender<u64>,
}

impl Watches {
    /// A job of `run` was added.
    pub(super) fn submitted(&mut self, run: JobId, job: JobId, name: &str) {
        if run != job {
            self.change(run, |tally| tally.queue(job, name, Timestamp::now()));
        }
    }

    /// A job of `run` was given its resources.
    pub(super) fn started(&mut self, run: JobId, job: JobId) {
        self.change(run, |tally| tally.start(job, Timestamp::now()));
    }

    /// A job of `run` is back in the queue.
    pub(super) fn requeued(&mut self, run: JobId, job: JobId) {
        self.change(run, |tally| tally.requeue(job));
    }

    /// A job of `run`, or the run itself, has an outcome.
    pub(super) fn ended(&mut self, run: JobId, job: JobId, outcome: &Outcome) {
        self.change(run, |tally| {
            if run == job {
                tally.finished = true;
            } else {
                tally.end(job, outcome.is_success(), Timestamp::now());
            }
        });
    }

    /// The journal is not as it was told here: everything is counted anew.
    pub(super) fn forget_all(&mut self) {
        self.runs.clear();
    }

    fn change(&mut self, run: JobId, change: impl FnOnce(&mut Tally)) {
        if let Some(watch) = self.runs.get_mut(&run) {
            change(&mut watch.tally);
            watch.version.send_modify(|version| *version += 1);
        }
    }

    fn answer(&self, run: JobId) -> Option<Watching> {
        let watch = self.runs.get(&run)?;
        let version = *watch.version.borrow();
        Some((watch.tally.progress(version, Timestamp::now()), watch.version.subscribe()))
    }

    /// Watches `run` from here on, and no longer those that ended and that nobody looks at.
    fn watch(&mut self, run: JobId, counts: RunCounts) {
        self.runs.retain(|_, watch| !watch.tally.finished || watch.version.receiver_count() > 0);
        // Versions of different gateways must differ.
        let (version, _) = watch::channel(Timestamp::now().0);
        self.runs.insert(run, Watch { tally: Tally::from(counts), version });
    }
}

impl Core {
    /// How far the jobs of `run` are.
    pub(super) fn progress_of(&mut self, run: JobId) -> Result<Watching, Failure> {
        if let Some(answer) = self.progress.answer(run) {
            return Ok(answer);
        }
        // What this batch changed is in the journal only after its commit.
        self.commit();
        if let Some(problem) = self.journal.problem() {
            return Err(Failure::new(503, format!("the journal cannot be written: {problem}")));
        }
        let counts = self.journal.store().run_counts(run)?.ok_or_else(|| {
            Failure::new(
                404,
                format!("there is no run {run}; 'redirector jobs' lists those there are"),
            )
        })?;
        self.progress.watch(run, counts);
        self.progress.answer(run).ok_or_else(|| Failure::no_such_job(run))
    }
}
