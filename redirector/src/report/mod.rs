//! What became of a run: figures per rule, a page to look at, a trace to zoom into.
//!
//! Pure functions of the run's records, whoever fetched them:
//!
//! ```text
//!   Vec<Job> ──► Report::new ──► figures per rule ──► text (command line), JSON
//!       │             └──────────────┐
//!       └─► timeline::Timeline ──────┴──► html::page          one file, nothing fetched
//!           (who ran where, in lanes) ──► trace::events       chrome://tracing, Perfetto
//! ```

pub mod html;
pub mod lanes;
pub mod timeline;
pub mod trace;

use serde::Serialize;

use crate::model::{Amount, Job, JobId, Timestamp, shell_line};

/// Figures of one run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The run's number.
    pub run: JobId,
    /// Its name.
    pub name: String,
    /// Its command, as a shell would take it.
    pub command: String,
    /// Its working directory.
    pub directory: String,
    /// How it ended, or its state while it has not.
    pub outcome: String,
    /// Whether it ended without success.
    pub is_failed: bool,
    /// When it was submitted.
    pub submitted: Timestamp,
    /// When it ended; none: it is live.
    pub ended: Option<Timestamp>,
    /// From its submission to its end, or to now, in milliseconds.
    pub wall_ms: u64,
    /// All its jobs.
    pub total: Figures,
    /// Its jobs by name, in the order of their first submission.
    pub rules: Vec<RuleFigures>,
    /// Jobs that did not succeed, oldest first.
    pub failed: Vec<FailedJob>,
}

/// The jobs of one name.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RuleFigures {
    /// The name.
    pub name: String,
    /// What they add up to.
    #[serde(flatten)]
    pub figures: Figures,
}

/// What some jobs add up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Figures {
    /// How many there are.
    pub jobs: u64,
    /// Ended without success.
    pub failed: u64,
    /// Not ended yet.
    pub live: u64,
    /// Tries after the first.
    pub retries: u64,
    /// In the queue, all together, in milliseconds.
    pub waited_ms: u64,
    /// Running, all together, in milliseconds.
    pub wall_ms: u64,
    /// The one that ran longest, in milliseconds.
    pub longest_ms: u64,
    /// Processor time, in milliseconds.
    pub cpu_ms: u64,
    /// Wall time multiplied by the cpus held, of jobs whose processor time is known, in milliseconds.
    pub held_cpu_ms: u64,
    /// The most memory that one of them asked for, in bytes; 0: none did.
    pub mem_asked: u64,
    /// The largest resident set, in bytes; 0: not known of any.
    pub mem_used: u64,
}

/// A job that did not succeed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FailedJob {
    /// Its number.
    pub id: JobId,
    /// Its name.
    pub name: String,
    /// How it ended.
    pub outcome: String,
    /// Why, where that is not the command's own doing.
    pub reason: Option<String>,
    /// Its command, as a shell would take it.
    pub command: String,
}

impl Figures {
    /// Processor time for each that was held: 1 is all of it. None: not known.
    pub fn efficiency(&self) -> Option<f64> {
        (self.held_cpu_ms > 0).then(|| self.cpu_ms as f64 / self.held_cpu_ms as f64)
    }

    fn add(&mut self, job: &Job, now: Timestamp) {
        self.jobs += 1;
        match &job.outcome {
            None => self.live += 1,
            Some(outcome) => self.failed += u64::from(!outcome.is_success()),
        }
        self.retries += job.attempts.len().saturating_sub(1) as u64;
        let left_queue = job.started.or(job.ended).unwrap_or(now);
        self.waited_ms += left_queue.since(job.submitted).as_millis() as u64;
        self.mem_asked = self.mem_asked.max(job.spec.resources.mem);
        let Some(started) = job.started else { return };
        let wall_ms = job.ended.unwrap_or(now).since(started).as_millis() as u64;
        self.wall_ms += wall_ms;
        self.longest_ms = self.longest_ms.max(wall_ms);
        if let Some(usage) = &job.usage {
            self.cpu_ms += usage.cpu().as_millis() as u64;
            let cpus = job.spec.resources.cpus.0;
            self.held_cpu_ms +=
                (u128::from(wall_ms) * u128::from(cpus) / u128::from(Amount::ONE.0)) as u64;
            self.mem_used = self.mem_used.max(usage.max_rss);
        }
    }
}

impl Report {
    /// Of `run`, whose jobs are among `jobs`, in whatever order. What is live is counted up to `now`.
    pub fn new(run: &Job, jobs: &[Job], now: Timestamp) -> Self {
        let mut report = Self {
            run: run.id,
            name: run.spec.name.clone(),
            command: shell_line(&run.spec.argv),
            directory: run.spec.directory.to_string_lossy().into_owned(),
            outcome: run
                .outcome
                .as_ref()
                .map_or_else(|| run.state.word().to_owned(), ToString::to_string),
            is_failed: run.outcome.as_ref().is_some_and(|outcome| !outcome.is_success()),
            submitted: run.submitted,
            ended: run.ended,
            wall_ms: run.ended.unwrap_or(now).since(run.submitted).as_millis() as u64,
            total: Figures::default(),
            rules: Vec::new(),
            failed: Vec::new(),
        };
        for job in jobs_of(run, jobs) {
            report.add(job, now);
        }
        report
    }

    fn add(&mut self, job: &Job, now: Timestamp) {
        self.total.add(job, now);
        let known = self.rules.iter().position(|rule| rule.name == job.spec.name);
        let rule = known.unwrap_or_else(|| {
            let (name, figures) = (job.spec.name.clone(), Figures::default());
            self.rules.push(RuleFigures { name, figures });
            self.rules.len() - 1
        });
        self.rules[rule].figures.add(job, now);
        if let Some(outcome) = job.outcome.as_ref().filter(|outcome| !outcome.is_success()) {
            self.failed.push(FailedJob {
                id: job.id,
                name: job.spec.name.clone(),
                outcome: outcome.to_string(),
                reason: outcome.reason(),
                command: shell_line(&job.spec.argv),
            });
        }
    }
}

/// The jobs that came out of `run`, oldest first; the run itself only where it is a command and
/// not what starts commands.
pub fn jobs_of<'a>(run: &Job, jobs: &'a [Job]) -> Vec<&'a Job> {
    let mut found: Vec<_> = jobs
        .iter()
        .filter(|job| job.run == run.id)
        .filter(|job| job.id != run.id || !job.spec.kind.is_whole_pipeline())
        .collect();
    found.sort_unstable_by_key(|job| job.id);
    found
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
