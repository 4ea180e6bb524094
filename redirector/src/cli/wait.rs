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
    let ended = RefCell::new(Ended::new(ids.len(), json));
    read(async |client| {
        // Records in listings leave out the attempts.
        if !json {
            skim(&client, ids, &ended).await?;
        }
        let left = ended.borrow().left(ids);
        for id in left {
            let job = client.job(id, true).await?;
            ended.borrow_mut().add(job);
        }
        Ok(())
    })?;
    let ended = ended.into_inner();
    let Ended { jobs: ended, bar, .. } = ended;
    drop(bar);
    let jobs: Vec<_> = ids.iter().filter_map(|id| ended.get(id)?.as_ref()).collect();
    if json {
        output::json(&jobs)?;
    }
    Ok(jobs.into_iter().find(|job| !is_success(job)).map_or(SUCCESS, tell_failure))
}

/// Jobs that have ended. Of those with success only that is kept, unless more is wanted: an
/// array has 100 000.
struct Ended {
    jobs: BTreeMap<JobId, Option<Job>>,
    keeps_all: bool,
    bar: Bar,
}

impl Ended {
    fn new(count: usize, keeps_all: bool) -> Self {
        Self { jobs: BTreeMap::new(), keeps_all, bar: Bar::new(count as u64) }
    }

    fn add(&mut self, job: Job) {
        if !self.jobs.contains_key(&job.id) {
            self.bar.ended(is_success(&job));
        }
        self.jobs.insert(job.id, (self.keeps_all || !is_success(&job)).then_some(job));
    }

    /// Those of `ids` that are not known to have ended.
    fn left(&self, ids: &[JobId]) -> Vec<JobId> {
        ids.iter().copied().filter(|id| !self.jobs.contains_key(id)).collect()
    }
}

fn is_success(job: &Job) -> bool {
    job.outcome.as_ref().is_some_and(JobOutcome::is_success)
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
        ended.borrow_mut().add(last);
        for (first, last) in spans(&left) {
            for job in client.finished_between(first, last).await? {
                ended.borrow_mut().add(job);
            }
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
