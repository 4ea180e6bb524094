//! `redirector explain`

use super::{Outcome, SUCCESS, output, read};
use crate::model::JobId;

/// Say why a job waits, or why it ended as it did
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The job's number
    #[arg(value_name = "ID")]
    id: JobId,
    /// A JSON object: the job, what the dispatcher knows of it, the sentences
    #[arg(long)]
    json: bool,
}

pub(super) fn main(arguments: &Arguments) -> Outcome {
    let explained = read(async |client| client.explain(arguments.id).await)?;
    if arguments.json {
        output::json(&explained)?;
        return Ok(SUCCESS);
    }
    let job = &explained.job;
    let state = job.outcome.as_ref().map_or(job.state.word().to_owned(), ToString::to_string);
    let head = format!("job {} ({}): {state}\n", job.id, job.spec.name);
    let lines = explained.lines.iter().map(|line| format!("  {line}\n"));
    output::text(&(head + &lines.collect::<String>()))?;
    Ok(SUCCESS)
}
