//! `redirector wait`

use super::{Outcome, SUCCESS, output, progress::Bar, read};
use crate::{
    agent::ending::SYSTEM_FAILURE,
    model::{JobId, Outcome as JobOutcome},
};

/// Wait until jobs have ended; ends with the exit status of the first that failed
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The jobs' numbers
    #[arg(required = true, value_name = "ID")]
    ids: Vec<JobId>,
    /// A JSON array of their records
    #[arg(long)]
    json: bool,
}

pub(super) fn main(arguments: &Arguments) -> Outcome {
    let jobs = read(async |client| {
        let bar = Bar::new(arguments.ids.len() as u64);
        let mut jobs = Vec::new();
        for id in &arguments.ids {
            let job = client.job(*id, true).await?;
            bar.ended(job.outcome.as_ref().is_some_and(JobOutcome::is_success));
            jobs.push(job);
        }
        Ok(jobs)
    })?;
    if arguments.json {
        output::json(&jobs)?;
    }
    let failed =
        jobs.iter().find(|job| job.outcome.as_ref().is_none_or(|outcome| !outcome.is_success()));
    let Some(job) = failed else { return Ok(SUCCESS) };
    let outcome = job.outcome.as_ref();
    let shown = outcome.map_or_else(|| job.state.word().to_owned(), ToString::to_string);
    eprintln!("redirector: job {} ('{}') ended as {shown}", job.id, job.spec.name);
    Ok(match outcome {
        Some(JobOutcome::Exited { exit_code }) => *exit_code,
        // As a shell tells a signal.
        Some(JobOutcome::Signaled { signal, .. }) => 128 + signal,
        _ => SYSTEM_FAILURE,
    })
}
