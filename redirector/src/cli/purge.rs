//! `redirector purge`

use std::time::Duration;

use super::{Outcome, SUCCESS, read};
use crate::{
    config::{format_bytes, parse_duration},
    protocol::Purge,
};

/// Forget finished runs, with their jobs and output
///
/// What has not ended is never forgotten. With both options, only what neither keeps goes.
#[derive(clap::Args)]
#[group(required = true, multiple = true)]
pub(super) struct Arguments {
    /// Those that ended longer ago than this, such as 12h or 30d
    #[arg(long, value_parser = parse_duration, value_name = "TIME")]
    older_than: Option<Duration>,
    /// All but the latest so many
    #[arg(long, value_name = "COUNT")]
    keep: Option<u64>,
}

pub(super) fn main(arguments: &Arguments) -> Outcome {
    let request = Purge {
        older_than_ms: arguments.older_than.map(|age| age.as_millis() as u64),
        keep: arguments.keep,
    };
    let purged = read(async |client| client.purge(&request).await)?;
    let jobs = if purged.jobs == 1 { "job" } else { "jobs" };
    println!("purged {} {jobs}, {} of output", purged.jobs, format_bytes(purged.bytes));
    Ok(SUCCESS)
}
