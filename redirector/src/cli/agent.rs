//! `redirector agent`

use std::{
    ffi::OsString,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use super::{Outcome, SUCCESS};
use crate::{
    agent::{
        attach::{Attachment, attach},
        daemon::{self, Gateways},
        shepherd,
        stage::view,
    },
    client::exec::say,
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
    /// Be the agent that the gateway has invited with this file, in the foreground
    #[arg(long, hide = true, value_name = "FILE")]
    join: Option<PathBuf>,
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
    /// Become a command that sees its copied files where they are on the gateway's computer: these
    /// are of the job in this directory
    #[arg(long, hide = true, requires = "command")]
    enter: Option<PathBuf>,
    /// The program, and its arguments with their zeroth
    #[arg(last = true, hide = true)]
    command: Vec<OsString>,
    /// Say which build of this program this is
    #[arg(long, hide = true)]
    digest: bool,
}

pub(super) fn main(arguments: Arguments) -> Outcome {
    let gateways = if arguments.remote { Gateways::Elsewhere } else { Gateways::Here };
    if let (Some(job), [program, argv @ ..]) = (&arguments.enter, &arguments.command[..]) {
        view::enter(job)?;
        return Ok(become_program(Path::new(program), argv));
    }
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
    } else if let Some(file) = &arguments.join {
        daemon::join(file)?;
    } else if arguments.detached {
        daemon::serve(gateways)?;
    } else {
        daemon::launch(gateways)?;
    }
    Ok(SUCCESS)
}

/// Returns only with the status of a command that cannot be started.
fn become_program(program: &Path, argv: &[OsString]) -> i32 {
    let mut command = Command::new(program);
    if let [name, arguments @ ..] = argv {
        command.arg0(name).args(arguments);
    }
    let (status, complaint) = shepherd::cannot_run(program, &command.exec());
    let job = std::env::var("REDIRECTOR_JOB").unwrap_or_default();
    say(&format!("job {job}: {complaint}"));
    status
}
