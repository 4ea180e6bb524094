//! `redirector agent`

use std::{path::PathBuf, time::Duration};

use super::{Outcome, SUCCESS};
use crate::{
    agent::{
        attach::{Attachment, attach},
        daemon::{self, Gateways},
        shepherd,
    },
    engine::program::Program,
};

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
    /// Serve a gateway on another computer
    #[arg(long, hide = true)]
    remote: bool,
    /// Hand standard input and output to the agent for a gateway on another computer
    #[arg(long, hide = true, requires_all = ["name", "mark", "build", "grace_ms"])]
    attach: bool,
    /// What that gateway calls the agent
    #[arg(long, hide = true)]
    name: Option<String>,
    /// What lines for that gateway begin with
    #[arg(long, hide = true)]
    mark: Option<String>,
    /// That gateway's build of this program
    #[arg(long, hide = true)]
    build: Option<String>,
    /// How long the agent keeps jobs without that gateway, in milliseconds
    #[arg(long, hide = true)]
    grace_ms: Option<u64>,
    /// Say which build of this program this is
    #[arg(long, hide = true)]
    digest: bool,
}

pub(super) fn main(arguments: Arguments) -> Outcome {
    let gateways = if arguments.remote { Gateways::Elsewhere } else { Gateways::Here };
    if arguments.shepherd {
        shepherd::serve(arguments.control_groups)?;
    } else if arguments.digest {
        anstream::println!("{}", Program::own()?.digest);
    } else if let Arguments {
        attach: true,
        name: Some(name),
        mark: Some(mark),
        build: Some(build),
        grace_ms: Some(grace),
        ..
    } = arguments
    {
        attach(&Attachment { name, mark, build, grace: Duration::from_millis(grace) })?;
    } else if arguments.detached {
        daemon::serve(gateways)?;
    } else {
        daemon::launch(gateways)?;
    }
    Ok(SUCCESS)
}
