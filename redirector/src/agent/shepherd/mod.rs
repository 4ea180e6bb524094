//! `redirector agent --shepherd`: a process that runs one attempt at a time, and that has
//! all processes of it below itself.
//!
//! ```text
//!  agent ══ socket ══ shepherd ── the job's main process ── …
//!                        └─────── its orphans, however they became that ([`family`])
//! ```
//!
//! A process of its own, and not a part of the agent, for three reasons. The kernel
//! tells it exactly which processes are the attempt's, with no mark on them that they
//! could remove. When it has no child left it knows, without a look at anything, that the
//! attempt has left nothing behind. And it outlives an agent that is killed: the end of
//! the socket is its order to end the job. Until that is done it keeps the agent's lock,
//! its standard output, so that no other agent starts the job again beside it.
//!
//! It serves attempt after attempt, because starting a process costs more than most of
//! what it does. Those to come may be there before their turn: then nobody has to be woken
//! between the end of the one and the start of the next.

mod child;
mod command;
mod family;
mod outputs;
pub(super) mod setup;
mod streams;
pub(super) mod task;
mod vigil;

use std::{
    fs::OpenOptions,
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd, RawFd},
        unix::net::UnixStream,
    },
    path::{Path, PathBuf},
};

use self::{
    child::{Failure, Plan, Step},
    command::{Command, Environment},
    outputs::Spares,
    setup::Setup,
    streams::Streams,
    task::{CommandEnd, Said, Task},
    vigil::{End, Vigil},
};
use super::{
    above_standard,
    control_group::{ControlGroup, ControlGroups},
    protocol::{Assignment, Ended},
    wire::Inbox,
};
use crate::model::{Outcome, Timestamp, Usage};

/// Exit status of a command that cannot be found, as in shells.
const NOT_FOUND: i32 = 127;

/// Exit status of a command that cannot be started, as in shells.
const NOT_STARTED: i32 = 126;

/// Serves the agent on standard input until the agent closes it.
///
/// `control_groups` is where a control group can be made for an attempt.
///
/// # Errors
/// What kept it from hearing tasks or from answering; no process of a job is left.
pub fn serve(control_groups: Option<PathBuf>) -> io::Result<()> {
    let nothing = OpenOptions::new().read(true).open("/dev/null")?;
    let nothing = above_standard(OwnedFd::from(nothing))?;
    let socket = above_standard(io::stdin().as_fd().try_clone_to_owned()?)?;
    nix::unistd::dup2_stdin(&nothing)?;
    family::adopt_orphans()?;
    family::give_way();
    let mut shepherd = Shepherd {
        vigil: Vigil::new(UnixStream::from(socket), family::watch_children()?),
        nothing,
        environment: Environment::default(),
        control_groups: control_groups.map(ControlGroups::at),
        spares: Spares::default(),
    };
    let mut inbox = Inbox::default();
    while let Some(task) = shepherd.vigil.next_task(&mut inbox)? {
        match task {
            Task::Environment(entries) => shepherd.environment = Environment::new(entries),
            task @ (Task::Run(_) | Task::RunAttached { .. }) => {
                let (assignment, ends) = match &task {
                    Task::Run(assignment) => (assignment, None),
                    Task::RunAttached { assignment, ends } => (assignment, Some(&ends[..])),
                    _ => continue,
                };
                let (ended, is_all_gone) = shepherd.run(assignment, ends, &mut inbox);
                shepherd.vigil.say(&Said::Ended { ended: Box::new(ended), is_all_gone })?;
                if !is_all_gone {
                    // Another attempt must not be held responsible for what is left.
                    return shepherd.vigil.speak();
                }
            }
            // The attempt may have ended by itself meanwhile, or have been started.
            Task::End { .. } | Task::Withdraw { .. } | Task::Signal { .. } => {}
        }
    }
    Ok(())
}

struct Shepherd {
    vigil: Vigil,
    /// `/dev/null`, every job's standard input.
    nothing: OwnedFd,
    environment: Environment,
    control_groups: Option<ControlGroups>,
    spares: Spares,
}

impl Shepherd {
    /// Runs an attempt to its end; how it ended, and whether nothing of it is left.
    fn run(
        &mut self,
        assignment: &Assignment,
        ends: Option<&[CommandEnd]>,
        inbox: &mut Inbox,
    ) -> (Ended, bool) {
        let started = Timestamp::now();
        let end = self.try_to_run(assignment, ends, inbox).unwrap_or_else(|reason| End {
            outcome: Outcome::Lost { reason },
            usage: Usage::default(),
            is_all_gone: true,
        });
        let attempt = assignment.attempt;
        let End { outcome, usage, is_all_gone } = end;
        let (at, followed_by, passed_on) = (Timestamp::now(), None, None);
        (Ended { attempt, outcome, usage, started, at, followed_by, passed_on }, is_all_gone)
    }

    /// An error is the reason why nobody can tell how the command would have ended.
    fn try_to_run(
        &mut self,
        assignment: &Assignment,
        ends: Option<&[CommandEnd]>,
        inbox: &mut Inbox,
    ) -> Result<End, String> {
        let group = self.control_group(assignment)?;
        let mut streams =
            Streams::open(assignment, ends, &mut self.spares).map_err(|error| error.to_string())?;
        let mut descriptors = streams.descriptors(self.nothing.as_fd());
        let setup = match assignment.setup {
            Some(_) => Some(setup_for(&descriptors)?),
            None => None,
        };
        if let Some((number, report)) = setup.as_ref().map(Setup::descriptor) {
            descriptors.push((number, Some(report.as_fd())));
        }
        let command = Command::new(assignment, setup.as_ref(), &self.environment)
            .map_err(|error| error.to_string())?;
        let plan = Plan {
            program: &command.program,
            arguments: &command.argument_pointers(),
            environment: &command.environment_pointers(),
            directory: &command.directory,
            umask: assignment.umask,
            streams: &descriptors,
            cpus: child::cpu_set(&assignment.cpus),
            control_group: group.as_ref().map(ControlGroup::entrance),
        };
        match child::start(&plan) {
            Ok(pid) => {
                if streams.are_attached() {
                    streams.command_has_them();
                    // An agent that is gone is noticed below.
                    drop(self.vigil.say(&Said::Started(assignment.attempt)));
                }
                let mut end = self.vigil.keep(pid, assignment, group.as_ref(), inbox);
                if end.is_all_gone
                    && let Some(spares) = streams.into_spares()
                {
                    self.spares = spares;
                }
                if let Outcome::Exited { .. } | Outcome::Signaled { .. } = end.outcome
                    && let Some(reason) = setup.and_then(|setup| setup.failure(&end.outcome))
                {
                    end.outcome = Outcome::Lost { reason };
                }
                Ok(end)
            }
            Err(failure) => {
                let (status, complaint) = explain(&failure, assignment)?;
                streams.complain(&complaint);
                Ok(End {
                    outcome: Outcome::Exited { exit_code: status },
                    usage: Usage::default(),
                    is_all_gone: true,
                })
            }
        }
    }

    fn control_group(&self, assignment: &Assignment) -> Result<Option<ControlGroup>, String> {
        match &self.control_groups {
            Some(groups) if assignment.mem > 0 && !assignment.nested => groups
                .create(assignment.attempt, assignment.mem)
                .map(Some)
                .map_err(|error| format!("cannot limit its memory: {error}")),
            _ => Ok(None),
        }
    }
}

fn setup_for(descriptors: &[(RawFd, Option<BorrowedFd>)]) -> Result<Setup, String> {
    let used: Vec<_> = descriptors.iter().map(|(number, _)| *number).collect();
    Setup::new(&used).map_err(|error| format!("cannot run the setup of its node: {error}"))
}

/// The exit status that a shell would give for a program that cannot be started, and why.
pub(crate) fn cannot_run(program: &Path, cause: &io::Error) -> (i32, String) {
    let shown = program.display();
    match cause.raw_os_error() {
        Some(libc::ENOENT) if program.exists() => {
            (NOT_FOUND, format!("cannot run {shown}: its interpreter is missing"))
        }
        Some(libc::ENOENT) => (NOT_FOUND, format!("cannot run {shown}: {cause}")),
        _ => (NOT_STARTED, format!("cannot run {shown}: {cause}")),
    }
}

/// The exit status that a shell would give, and a line that says why. An error is for what
/// is not the command's fault.
fn explain(failure: &Failure, assignment: &Assignment) -> Result<(i32, String), String> {
    let Failure { step, cause } = failure;
    let job = assignment.attempt.job;
    let program = assignment.program.as_path();
    let directory = assignment.directory.to_string_lossy();
    match step {
        Step::Program => {
            let (status, complaint) = cannot_run(program, cause);
            Ok((status, format!("job {job}: {complaint}")))
        }
        Step::Directory => Ok((
            NOT_STARTED,
            format!("job {job}: cannot enter its working directory {directory}: {cause}"),
        )),
        Step::Clone => Err(format!("cannot make a process for it: {cause}")),
        Step::ControlGroup => Err(format!("cannot limit its memory: {cause}")),
        Step::Streams => Err(format!("cannot connect its descriptors: {cause}")),
        Step::Cpus => Err(format!("cannot keep it to the cpus {:?}: {cause}", assignment.cpus)),
    }
}
