//! `redirector status`

use super::{FAILURE, Outcome, SUCCESS, output, talk};
use crate::{
    client::api::{Client, Error},
    config::{format_bytes, format_duration},
    model::Timestamp,
    place::StateDirectory,
};

/// Show whether a gateway runs, and what it has and does
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// A JSON object; `null` if no gateway runs
    #[arg(long)]
    json: bool,
}

pub(super) fn main(arguments: &Arguments) -> Outcome {
    let state = StateDirectory::locate()?;
    let status = talk(
        async |client| match client.status().await {
            Ok(status) => Ok(Some(status)),
            Err(Error::NotRunning { .. }) => Ok(None),
            Err(error) => Err(error),
        },
        Client::new(&state)?,
    )?;
    if arguments.json {
        output::json(&status)?;
        return Ok(if status.is_some() { SUCCESS } else { FAILURE });
    }
    let Some(status) = status else {
        println!(
            "no gateway is running for {}; the next redirected command starts one",
            state.path().display()
        );
        return Ok(FAILURE);
    };
    let since = format_duration(Timestamp::now().since(status.started));
    let how = if status.embedded { "leaves when idle" } else { "stays until stopped" };
    println!("gateway  process {}, version {}, up for {since}, {how}", status.pid, status.version);
    println!("state    {}", status.state_directory);
    let (cpus, mem) = (status.capacity.cpus, format_bytes(status.capacity.mem));
    println!("node     {}: {cpus} cpus, {mem} memory", status.node);
    println!("jobs     {} running, {} queued", status.running, status.queued);
    if let Some(problem) = status.journal_problem {
        println!("problem  {problem}");
        return Ok(FAILURE);
    }
    Ok(SUCCESS)
}
