//! `redirector stop`

use anyhow::bail;

use super::{Outcome, SUCCESS, talk};
use crate::{
    client::api::{Client, Error},
    place::StateDirectory,
};

/// End the gateway; its journal stays
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Also if jobs are queued or running: cancels them all
    #[arg(long)]
    force: bool,
}

pub(super) fn main(arguments: &Arguments) -> Outcome {
    let state = StateDirectory::locate()?;
    let stopped = talk(
        async |client| match client.stop(arguments.force).await {
            Err(Error::NotRunning { .. }) => Ok(false),
            answer => answer.map(|()| true),
        },
        Client::new(&state)?,
    )?;
    if stopped {
        state.wait_until_left()?;
    } else if let Some(pid) = state.gateway() {
        bail!(
            "the gateway (process {pid}) does not listen: its socket was removed; 'kill {pid}' ends it, and its jobs go on"
        );
    } else {
        println!("no gateway is running for {}", state.path().display());
    }
    Ok(SUCCESS)
}
