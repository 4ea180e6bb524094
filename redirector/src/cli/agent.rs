//! `redirector agent`

use std::path::PathBuf;

use super::{Outcome, SUCCESS};
use crate::agent::{daemon, shepherd};

/// Start the process that runs detached jobs (gateways do, when they need one)
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Be that process
    #[arg(long, hide = true)]
    detached: bool,
    /// Run one of its jobs at a time, as standard input says
    #[arg(long, hide = true)]
    shepherd: bool,
    /// Where a shepherd makes control groups for its jobs
    #[arg(long, hide = true, requires = "shepherd")]
    control_groups: Option<PathBuf>,
}

pub(super) fn main(arguments: Arguments) -> Outcome {
    if arguments.shepherd {
        shepherd::serve(arguments.control_groups)?;
    } else if arguments.detached {
        daemon::serve()?;
    } else {
        daemon::launch()?;
    }
    Ok(SUCCESS)
}
