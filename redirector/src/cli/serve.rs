//! `redirector serve`

use super::{Outcome, SUCCESS};
use crate::gateway::daemon::{self, Mode};

/// Run a gateway here until stopped (one is also started when it is needed)
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Start a gateway of its own that leaves when idle, as clients do
    #[arg(long)]
    embedded: bool,
    /// Be the gateway that --embedded starts
    #[arg(long, hide = true)]
    detached: bool,
}

pub(super) fn main(arguments: &Arguments) -> Outcome {
    if arguments.embedded {
        daemon::launch()?;
        return Ok(SUCCESS);
    }
    daemon::serve(if arguments.detached { Mode::Detached } else { Mode::Foreground })?;
    Ok(SUCCESS)
}
