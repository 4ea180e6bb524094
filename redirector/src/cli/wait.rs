//! `redirector wait`

use std::{cell::RefCell, collections::BTreeMap};

use super::{
    Outcome, SUCCESS,
    ids::{self, IdRange},
    output,
    progress::Bar,
    read,
};
use crate::{
    agent::ending::SYSTEM_FAILURE,
    client::{
        api::{Client, Error},
        spans::spans,
    },
    model::{Job, JobId, Outcome as JobOutcome},
};

/// Wait until jobs have ended; ends with the exit status of the first that failed
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The jobs' numbers, such as 7 or 7-12
    #[arg(required = true, value_name = "ID")]
    ids: Vec<IdRange>,
    /// A JSON array of their records
    #[arg(long)]
    json: bool,
}

pub(super) fn main(arguments: &Arguments) -> Outcome {
    wait_for(&ids::all(&arguments.ids)?, arguments.json)
}

/// Waits for all of `ids`; the exit status of the first one, as they are given, that failed.
pub(super) fn wait_for(ids: &[JobId], json: bool) -> Outcome {
    let ended = RefCell::new(Ended::new(ids.len()));
    let failed = RefCell::new(None);
    read(async |client| {
        // Records are what is asked for.
        if !json {
            skim(&client, ids, &ended).await?;
        }
        let left = ended.borrow().left(ids);
        for id in left {
            let job = client.job(id, true).await?;
            ended.borrow_mut().add_record(job, json);
        }
        let first = ended.borrow().first_failed(ids);
        if let Some(first) = first {
            let job = client.job(first, true).await?;
            failed.replace(Some(job));
        }
        Ok(())
    })?;
    let Ended { jobs: ended, bar } = ended.into_inner();
    drop(bar);
    if json {
        let records: Vec<_> = ids.iter().filter_map(|id| ended.get(id)?.record.as_ref()).collect();
        output::json(&records)?;
    }
    Ok(failed.take().map_or(SUCCESS, |job| tell_failure(&job)))
}

/// Jobs that have ended.
struct Ended {
    jobs: BTreeMap<JobId, End>,
    bar: Bar,
}

struct End {
    is_success: bool,
    record: Option<Job>,
}

impl Ended {
    fn new(count: usize) -> Self {
        Self { jobs: BTreeMap::new(), bar: Bar::new(count as u64) }
    }

    fn add(&mut self, id: JobId, is_success: bool, record: Option<Job>) {
        if !self.jobs.contains_key(&id) {
            self.bar.ended(is_success);
        }
        self.jobs.insert(id, End { is_success, record });
    }

    /// An array has 100 000: records are kept only if they are wanted.
    fn add_record(&mut self, job: Job, is_wanted: bool) {
        let is_success = job.outcome.as_ref().is_some_and(JobOutcome::is_success);
        self.add(job.id, is_success, is_wanted.then_some(job));
    }

    /// Those of `ids` that are not known to have ended.
    fn left(&self, ids: &[JobId]) -> Vec<JobId> {
        ids.iter().copied().filter(|id| !self.jobs.contains_key(id)).collect()
    }

    fn first_failed(&self, ids: &[JobId]) -> Option<JobId> {
        let has_failed = |id: &JobId| self.jobs.get(id).is_some_and(|end| !end.is_success);
        ids.iter().copied().find(has_failed)
    }
}

/// So many jobs are waited for one by one.
const FEW: usize = 16;

/// Takes jobs that have ended from listings until few are left. A question for each of an
/// array's jobs would cost more than many of them run.
async fn skim(client: &Client, ids: &[JobId], ended: &RefCell<Ended>) -> Result<(), Error> {
    loop {
        let mut left = ended.borrow().left(ids);
        if left.len() <= FEW {
            return Ok(());
        }
        left.sort_unstable();
        // The one that was submitted last ends among the last, most likely.
        let last = client.job(left[left.len() - 1], true).await?;
        ended.borrow_mut().add_record(last, false);
        for (first, last) in spans(&left) {
            let found = client.ended_between(first, last).await?;
            let mut ended = ended.borrow_mut();
            found.succeeded.into_iter().for_each(|id| ended.add(id, true, None));
            found.failed.into_iter().for_each(|id| ended.add(id, false, None));
        }
    }
}

/// Says how `job` failed; the exit status that tells it.
fn tell_failure(job: &Job) -> i32 {
    let outcome = job.outcome.as_ref();
    let shown = outcome.map_or_else(|| job.state.word().to_owned(), ToString::to_string);
    let reason = outcome.and_then(JobOutcome::reason).map(|reason| format!(": {reason}"));
    let reason = reason.unwrap_or_default();
    eprintln!("redirector: job {} ('{}') ended as {shown}{reason}", job.id, job.spec.name);
    match outcome {
        Some(JobOutcome::Exited { exit_code }) => *exit_code,
        // As a shell tells a signal.
        Some(JobOutcome::Signaled { signal, .. }) => 128 + signal,
        _ => SYSTEM_FAILURE,
    }
}
