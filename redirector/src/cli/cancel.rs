//! `redirector cancel`

use super::{Outcome, SUCCESS, read};
use crate::model::JobId;

/// Cancel jobs and everything that came out of them
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The jobs' numbers; a run's number cancels the whole run
    #[arg(required = true, value_name = "ID")]
    ids: Vec<JobId>,
    /// Why, for those who wait for the jobs
    #[arg(long, default_value = "it was cancelled")]
    reason: String,
}

pub(super) fn main(arguments: &Arguments) -> Outcome {
    read(async |client| {
        for id in &arguments.ids {
            let cancelled = client.cancel(*id, &arguments.reason).await?;
            match cancelled.len() {
                0 => eprintln!("redirector: job {id} has ended already"),
                1 => println!("cancelled job {}", cancelled[0]),
                count => println!("cancelled {count} jobs"),
            }
        }
        Ok(())
    })?;
    Ok(SUCCESS)
}
