//! One job, from the client's side: waits for its grant, runs the command, reports its end.
//!
//! ```text
//!  ┌─► wait_for_grant ─► prepare_environment ─► run_command ─► report ─► Recorded: end like it
//!  │                                └─► [`remote`]: on another node ───► Ended: end like it
//!  └────────────── put back what it read and wrote ◄───────────── Retry
//! ```

use std::{io, path::PathBuf};

use super::{
    about::About,
    exec::{Additions, not_accepted, say},
    foreground::follow,
    group::Group,
    link::{Event, Fate, Link},
    remote,
    streams::Streams,
    threads,
    watcher::Watcher,
};
use crate::{
    agent::{
        ending,
        invocation::Invocation,
        process::{Command, CpuSet, Process},
        signals::bit,
    },
    model::{JobId, Kind, NodeName, Outcome, Placement, Usage},
    node::before,
    preload,
    protocol::{Beginning, GatewayMessage, Grant, Stage, Submission},
};

/// What the gateway makes of an attempt's end.
enum Answer {
    /// It is the job's.
    Over(Outcome),
    /// The job is tried again, for this reason.
    Retry(String),
}

/// Stands in for one command.
pub(super) struct Client {
    link: Link,
    invocation: Invocation,
    additions: Additions,
    about: About,
    /// Where a core file of this process may be left.
    scratch: PathBuf,
    token: String,
    watcher: Watcher,
}

impl Client {
    /// For the job that `link` has submitted.
    pub(super) fn new(
        link: Link,
        invocation: Invocation,
        additions: Additions,
        about: About,
        scratch: PathBuf,
        watcher: Watcher,
    ) -> Self {
        Self { link, invocation, additions, about, scratch, token: String::new(), watcher }
    }

    /// Runs the command when it is granted, as often as it is, and ends like it.
    pub(super) fn run(mut self) -> ! {
        loop {
            // While the gateway thinks, so that it costs no time.
            self.link.group.watch();
            let (job, node, grant) = self.wait_for_grant();
            self.prepare_environment(job, &grant);
            let streams = self.about.may_be_retried.then(Streams::note);
            self.link.stage = Stage::Running;
            let answer = match node {
                None => self.run_here(job, &grant),
                Some(node) => self.run_elsewhere(job, node, &grant),
            };
            match answer {
                Answer::Over(outcome) => {
                    self.watcher.end();
                    self.link.group = Group::default();
                    ending::end_like(&outcome, &self.scratch)
                }
                Answer::Retry(reason) => {
                    if let Some(streams) = streams {
                        streams.put_back();
                    }
                    say(&format!("job {job} ('{}') is tried again: {reason}", self.about.name));
                    self.link.wait_again();
                    self.link.group = Group::default();
                }
            }
        }
    }

    fn run_here(&mut self, job: JobId, grant: &Grant) -> Answer {
        let (outcome, usage) = self.run_command(job, grant);
        self.link.group.dismiss();
        self.report(job, outcome, usage)
    }

    fn run_elsewhere(&mut self, job: JobId, node: NodeName, grant: &Grant) -> Answer {
        let placement = remote::Placement {
            job,
            attempt: grant.attempt,
            node,
            about: &self.about,
            token: &self.token,
            invocation: &self.invocation,
        };
        match remote::run(&placement, &mut self.link) {
            remote::End::Over(outcome) => Answer::Over(outcome),
            remote::End::Retry(reason) => Answer::Retry(reason),
            remote::End::Unknown(reason) => {
                let remote::Placement { node, about, .. } = placement;
                let name = &about.name;
                say(&format!("nobody can tell how job {job} ('{name}') on {node} ends: {reason}"));
                ending::exit(ending::SYSTEM_FAILURE)
            }
        }
    }

    /// Waits until the job may run; on which node, if it is not this one.
    fn wait_for_grant(&mut self) -> (JobId, Option<NodeName>, Grant) {
        loop {
            match self.link.next() {
                Event::Message(GatewayMessage::Accepted { token, warnings, .. }) => {
                    self.token = token;
                    for warning in warnings {
                        say(&warning);
                    }
                }
                Event::Message(GatewayMessage::Granted(grant)) => {
                    if let Some(job) = self.link.job() {
                        self.watcher.start(job);
                        return (job, None, grant);
                    }
                }
                Event::Message(GatewayMessage::Placed { node, grant }) => {
                    if let Some(job) = self.link.job() {
                        self.watcher.start(job);
                        return (job, Some(node), grant);
                    }
                }
                Event::Message(GatewayMessage::Refused { reason }) => {
                    say(&self.about.refusal(self.link.job(), &reason));
                    ending::exit(ending::SYSTEM_FAILURE);
                }
                Event::Message(GatewayMessage::Signal { reason, .. }) => {
                    say(&format!("{} did not run: {reason}", self.label()));
                    ending::end_like(&Outcome::Cancelled { reason }, &self.scratch);
                }
                Event::Message(GatewayMessage::Warning { text }) => say(&text),
                Event::Message(
                    GatewayMessage::Recorded
                    | GatewayMessage::Retry { .. }
                    | GatewayMessage::Ended { .. },
                )
                | Event::Other => {}
                Event::Signal(received) => {
                    if let Some(end) = default_action(received.signal) {
                        ending::end_like(&end, &self.scratch);
                    }
                }
                Event::NotAccepted(error) => {
                    // The command must not find a child that it has not made.
                    self.link.group = Group::default();
                    not_accepted(
                        &self.invocation,
                        Some(self.link.catcher()),
                        &self.about,
                        &error.to_string(),
                    )
                }
                Event::GivenUp(error) => {
                    say(&format!(
                        "{} was accepted but its gateway is gone ({error}); it was not run. \
                         'redirector status' tells what became of the gateway",
                        self.label()
                    ));
                    ending::exit(ending::SYSTEM_FAILURE);
                }
            }
        }
    }

    /// What the command finds in its environment: as the pipeline made it, but for
    /// the job's own number and token, and what tells it what it was given.
    fn prepare_environment(&mut self, job: JobId, grant: &Grant) {
        let invocation = &mut self.invocation;
        leave_the_run(invocation, self.about.kind);
        invocation.set("REDIRECTOR_JOB", job.to_string().as_bytes());
        invocation.set("REDIRECTOR_TOKEN", self.token.as_bytes());
        let rule = &self.additions.variables;
        for (name, value) in &grant.variables {
            if rule.iter().any(|(by_rule, _)| by_rule == name) {
                continue;
            }
            let (kept, before) =
                before::kept(name.as_bytes(), invocation.variable(name.as_bytes()));
            // What is kept already is from before an outer job, or an earlier attempt.
            if invocation.variable(&kept).is_none() {
                invocation.set(kept, &before);
            }
            invocation.set(name, value.as_bytes());
        }
        if self.additions.threads && self.about.kind == Kind::Command {
            threads::set(invocation, grant.resources.cpus);
        }
    }

    fn run_command(&mut self, job: JobId, grant: &Grant) -> (Outcome, Usage) {
        // What a whole pipeline starts would be kept to the same cpus.
        let cpus = if self.about.kind == Kind::Command { CpuSet::own(&grant.cpus) } else { None };
        let mut told = String::new();
        let command = Command {
            program: &self.invocation.program,
            arguments: self.invocation.argument_pointers(),
            environment: self.invocation.environment_pointers(),
            cpus,
        };
        // To the group or not: the command is not in it yet, and this process stands for it.
        while self.link.catcher().pending() != 0
            && let Some(received) = self.link.next_signal()
        {
            if let Some(end) = default_action(received.signal) {
                return (end, Usage::default());
            }
        }
        let process = match Process::start(&command, self.link.catcher()) {
            Ok(process) => process,
            Err(error) => return (self.could_not_start(&error), Usage::default()),
        };
        // Those to the group came before the command was in it.
        let mut missed = process.missed();
        loop {
            match self.link.next() {
                Event::Signal(received) if received.signal == libc::SIGCHLD => {
                    if let Some(end) = follow(&process) {
                        return end;
                    }
                }
                Event::Signal(received) => {
                    let was_missed = missed & bit(received.signal) != 0;
                    missed &= !bit(received.signal);
                    if was_missed || !received.reached_group {
                        process.signal(received.signal);
                    }
                }
                Event::Message(GatewayMessage::Signal { signal, reason }) => {
                    if told != reason {
                        say(&format!("job {job} ('{}') is being ended: {reason}", self.about.name));
                        told = reason;
                    }
                    process.signal(signal);
                    process.signal(libc::SIGCONT);
                }
                Event::Message(GatewayMessage::Warning { text }) => say(&text),
                Event::Message(_) | Event::Other => {}
                Event::NotAccepted(error) | Event::GivenUp(error) => {
                    say(&format!("{} runs on without its gateway: {error}", self.label()));
                }
            }
        }
    }

    fn could_not_start(&self, error: &io::Error) -> Outcome {
        say(&format!("cannot run {}: {error}", self.invocation.program.to_string_lossy()));
        // As shells tell these two apart (POSIX, 2.8.2).
        let exit_code = if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 };
        Outcome::Exited { exit_code }
    }

    fn report(&mut self, job: JobId, outcome: Outcome, usage: Usage) -> Answer {
        let not_journalled = |reason: &str| {
            say(&format!(
                "the outcome {outcome} of job {job} ('{}') is not journalled: {reason}",
                self.about.name
            ));
            Answer::Over(outcome.clone())
        };
        match self.link.fate() {
            Fate::Live => {}
            Fate::Recorded => return Answer::Over(outcome),
            Fate::GivenUp(reason) => return not_journalled(reason),
        }
        self.link.report(outcome.clone(), usage);
        loop {
            match self.link.next() {
                Event::Message(GatewayMessage::Recorded) => return Answer::Over(outcome),
                Event::Message(GatewayMessage::Retry { reason }) => return Answer::Retry(reason),
                Event::Message(GatewayMessage::Warning { text }) => say(&text),
                // The command is over; what was meant for it comes too late.
                Event::Message(_) | Event::Signal(_) | Event::Other => {}
                Event::NotAccepted(error) | Event::GivenUp(error) => {
                    return not_journalled(&error.to_string());
                }
            }
        }
    }

    fn label(&self) -> String {
        self.about.label(self.link.job())
    }
}

/// What goes along with the submission of a job that asks for certain nodes, so that it can begin there
/// without being asked.
pub(super) fn beginning_elsewhere(
    submission: &Submission,
    invocation: &Invocation,
    additions: &Additions,
) -> Option<Beginning> {
    let spec = &submission.spec;
    let Placement { host, pool, tags, .. } = &spec.placement;
    let names_nodes = host.is_some() || pool.is_some() || !tags.is_empty();
    // How many cpus a sequential job gets is the gateway's to say.
    if !names_nodes || spec.kind != Kind::Command || submission.sequential {
        return None;
    }
    let mut invocation = invocation.clone();
    leave_the_run(&mut invocation, spec.kind);
    if additions.threads {
        threads::set(&mut invocation, spec.resources.cpus);
    }
    Some(remote::first_beginning(&invocation))
}

/// A command's children are not intercepted.
fn leave_the_run(invocation: &mut Invocation, kind: Kind) {
    if kind == Kind::Command {
        preload::remove_shim(invocation);
        for name in ["REDIRECTOR_RUN", "REDIRECTOR_WHITELIST"] {
            invocation.remove(name.as_bytes());
        }
    }
}

/// Does what `signal` does to a process that has nothing to say about it; the end that it is to
/// come to, if that is it.
fn default_action(signal: i32) -> Option<Outcome> {
    match signal {
        libc::SIGCHLD | libc::SIGCONT | libc::SIGURG | libc::SIGWINCH => None,
        libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU => {
            ending::stop_by(signal);
            None
        }
        _ => Some(Outcome::Signaled { signal, core_dumped: false }),
    }
}
