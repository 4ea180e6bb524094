//! `redirector exec`: stands in a pipeline where the command was, and behaves as it would.
//!
//! ```text
//!   connect ─► Submit ─► Accepted ─► Granted ─► run the command ─► Finished ─► Recorded ─► end like it
//!      │          │          └──────────┬─────────────┴───────────────┘
//!      │          │                     └ connection lost: reconnect by job id, never run it again
//!      └──────────┴ no gateway takes it: on_failure decides (run it here, or fail)
//! ```

use std::{
    io::{self, Write},
    path::PathBuf,
};

use super::{
    link::{Event, Fate, Link},
    settings::Settings,
    submission,
};
use crate::{
    agent::{
        ending,
        invocation::Invocation,
        process::{Change, Command, Process},
        signals::Catcher,
        witness::Witness,
    },
    config::OnFailure,
    model::{JobId, Kind, Outcome, Usage, file_name},
    place::{self, StateDirectory},
    preload,
    protocol::{ClientMessage, Finished, GatewayMessage, Stage, Submission},
};

/// Runs what libshim.so intercepted: as a job if the whitelist still says so, else here.
pub fn intercepted(mut invocation: Invocation) -> ! {
    let whitelists = place::whitelists().unwrap_or_default();
    let arguments = invocation.argument_texts();
    let decision = submission::decide(&whitelists, invocation.program.as_bytes(), &arguments);
    match decision {
        Some(decision) if decision.redirects => {
            for problem in &decision.problems {
                say(&format!(
                    "{}:{}: {problem}",
                    decision.rule.file.to_string_lossy(),
                    decision.rule.line
                ));
            }
            decision.set_variables(&mut invocation);
            let submission = submission::submission(&invocation, Some(decision), &whitelists);
            as_job(invocation, submission)
        }
        _ => run_here(&invocation),
    }
}

/// Runs `invocation` as the job that `submission` describes, and ends like it.
pub fn as_job(invocation: Invocation, submission: Submission) -> ! {
    let name = file_name(invocation.program.as_bytes());
    let state = match StateDirectory::locate() {
        Ok(state) => state,
        Err(error) => not_accepted(&invocation, None, &name, &error.to_string()),
    };
    let catcher = match Catcher::start() {
        Ok(catcher) => catcher,
        Err(error) => {
            not_accepted(&invocation, None, &name, &format!("cannot catch signals: {error}"))
        }
    };
    let kind = submission.spec.kind;
    let pipes = submission.pipes.clone();
    let scratch = state.path().to_owned();
    match Link::submit(state, catcher, ClientMessage::Submit(Box::new(submission)), pipes) {
        Ok(link) => Client {
            link,
            invocation,
            kind,
            name,
            scratch,
            token: String::new(),
            group: Group::default(),
        }
        .run(),
        Err(failed) => {
            let (error, catcher) = *failed;
            not_accepted(&invocation, Some(&catcher), &name, &error.to_string())
        }
    }
}

/// One line for the person; standard error may be closed or full.
pub fn say(line: &str) {
    drop(writeln!(io::stderr(), "redirector: {line}"));
}

struct Client {
    link: Link,
    invocation: Invocation,
    kind: Kind,
    name: String,
    scratch: PathBuf,
    token: String,
    group: Group,
}

impl Client {
    fn run(mut self) -> ! {
        // While the gateway thinks, so that it costs no time.
        self.group.watch();
        let job = self.wait_for_grant();
        self.prepare_environment(job);
        self.link.stage = Stage::Running;
        let (outcome, usage) = self.run_command(job);
        self.group.dismiss();
        self.report(job, &outcome, usage);
        drop(self.group);
        ending::end_like(&outcome, &self.scratch)
    }

    fn wait_for_grant(&mut self) -> JobId {
        loop {
            match self.link.next() {
                Event::Message(GatewayMessage::Accepted { token, warnings, .. }) => {
                    self.token = token;
                    for warning in warnings {
                        say(&warning);
                    }
                }
                Event::Message(GatewayMessage::Granted(_)) => {
                    if let Some(job) = self.link.job() {
                        return job;
                    }
                }
                Event::Message(GatewayMessage::Refused { reason }) => {
                    say(&format!("'{}' cannot run: {reason}", self.name));
                    ending::exit(ending::SYSTEM_FAILURE);
                }
                Event::Message(GatewayMessage::Signal { reason, .. }) => {
                    say(&format!("'{}' did not run: {reason}", self.name));
                    ending::end_like(&Outcome::Cancelled { reason }, &self.scratch);
                }
                Event::Message(GatewayMessage::Warning { text }) => say(&text),
                Event::Message(GatewayMessage::Recorded | GatewayMessage::Retry { .. }) => {}
                Event::Signal(received) => default_action(received.signal, &self.scratch),
                Event::NotAccepted(error) => {
                    // The command must not find a child that it has not made.
                    self.group = Group::default();
                    not_accepted(
                        &self.invocation,
                        Some(self.link.catcher()),
                        &self.name,
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
    /// the job's own number and token.
    fn prepare_environment(&mut self, job: JobId) {
        let invocation = &mut self.invocation;
        if self.kind == Kind::Command {
            preload::remove_shim(invocation);
            for name in ["REDIRECTOR_RUN", "REDIRECTOR_WHITELIST"] {
                invocation.remove(name.as_bytes());
            }
        }
        invocation.set("REDIRECTOR_JOB", job.to_string().as_bytes());
        invocation.set("REDIRECTOR_TOKEN", self.token.as_bytes());
    }

    fn run_command(&mut self, job: JobId) -> (Outcome, Usage) {
        let command = Command {
            program: &self.invocation.program,
            arguments: self.invocation.argument_pointers(),
            environment: self.invocation.environment_pointers(),
        };
        let process = match Process::start(&command, self.link.catcher().inherited()) {
            Ok(process) => process,
            Err(error) => return (self.could_not_start(&error), Usage::default()),
        };
        loop {
            match self.link.next() {
                Event::Signal(received) if received.signal == libc::SIGCHLD => {
                    if let Some(end) = follow(&process) {
                        return end;
                    }
                }
                Event::Signal(received) => {
                    if !self.group.has_got(received.signal, received.from_kernel) {
                        process.signal(received.signal);
                    }
                }
                Event::Message(GatewayMessage::Signal { signal, reason }) => {
                    if signal == libc::SIGTERM {
                        say(&format!("job {job} ('{}') is being ended: {reason}", self.name));
                    }
                    process.signal(signal);
                    process.signal(libc::SIGCONT);
                }
                Event::Message(GatewayMessage::Warning { text }) => say(&text),
                Event::Message(_) => {}
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

    fn report(&mut self, job: JobId, outcome: &Outcome, usage: Usage) {
        let not_journalled = |reason: &str| {
            say(&format!(
                "the outcome {outcome} of job {job} ('{}') is not journalled: {reason}",
                self.name
            ));
        };
        match self.link.fate() {
            Fate::Live => {}
            Fate::Recorded => return,
            Fate::GivenUp(reason) => return not_journalled(reason),
        }
        self.link.say(ClientMessage::Finished(Finished { outcome: outcome.clone(), usage }));
        loop {
            match self.link.next() {
                Event::Message(GatewayMessage::Recorded) => return,
                Event::Message(GatewayMessage::Warning { text }) => say(&text),
                // The command is over; what was meant for it comes too late.
                Event::Message(_) | Event::Signal(_) => {}
                Event::NotAccepted(error) | Event::GivenUp(error) => {
                    return not_journalled(&error.to_string());
                }
            }
        }
    }

    fn label(&self) -> String {
        self.link.job().map_or_else(
            || format!("'{}'", self.name),
            |job| format!("job {job} ('{}')", self.name),
        )
    }
}

/// Whether the command has got a signal by being in the group.
#[derive(Default)]
struct Group {
    witness: Option<Witness>,
    /// Signals that a witness before this one had seen, bit `n - 1` for signal `n`.
    seen_before: u64,
}

impl Group {
    fn watch(&mut self) {
        self.witness = Witness::start();
    }

    /// Asks the witness to end; it is waited for when this is dropped.
    fn dismiss(&self) {
        if let Some(witness) = &self.witness {
            witness.dismiss();
        }
    }

    fn has_got(&mut self, signal: i32, from_kernel: bool) -> bool {
        // The kernel signals whole groups, except for this process's own timers and
        // limits, which are not the command's.
        let Some(witness) = &self.witness else { return from_kernel };
        let traces = traces(signal);
        let seen_before = self.seen_before & traces != 0;
        self.seen_before &= !traces;
        if witness.pending() & traces == 0 {
            return seen_before || from_kernel;
        }
        // What is pending stays pending: a fresh witness for the next signal. Others
        // may have come before it that this process has yet to read.
        let fresh = Witness::start();
        self.seen_before |= witness.pending() & !traces;
        self.witness = fresh;
        true
    }
}

/// What a signal to the group leaves pending at the witness, bit `n - 1` for signal
/// `n`. Stops and SIGCONT take each other out of the pending set, so that either of
/// them stands for both.
const fn traces(signal: i32) -> u64 {
    const fn bit(signal: i32) -> u64 {
        1 << (signal - 1)
    }
    match signal {
        libc::SIGCONT | libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU => {
            bit(libc::SIGCONT) | bit(libc::SIGTSTP) | bit(libc::SIGTTIN) | bit(libc::SIGTTOU)
        }
        _ => bit(signal),
    }
}

/// Follows the command's stops; its outcome if it ended.
fn follow(process: &Process) -> Option<(Outcome, Usage)> {
    loop {
        match process.poll() {
            Ok(Change::Ended(outcome, usage)) => return Some((outcome, usage)),
            Ok(Change::Stopped(signal)) => ending::stop_by(signal),
            Ok(Change::Continued) => {}
            Ok(Change::None) => return None,
            Err(error) => {
                let reason = format!("cannot wait for process {}: {error}", process.pid());
                return Some((Outcome::Lost { reason }, Usage::default()));
            }
        }
    }
}

/// What `signal` does to a process that has nothing to say about it.
fn default_action(signal: i32, scratch: &std::path::Path) {
    match signal {
        libc::SIGCHLD | libc::SIGCONT | libc::SIGURG | libc::SIGWINCH => {}
        libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU => ending::stop_by(signal),
        _ => ending::end_like(&Outcome::Signaled { signal, core_dumped: false }, scratch),
    }
}

/// No gateway has the job, so it may run here, if the person wants that.
fn not_accepted(invocation: &Invocation, catcher: Option<&Catcher>, name: &str, reason: &str) -> ! {
    match Settings::load().on_failure {
        OnFailure::Fail => {
            say(&format!("'{name}' was not run: {reason} (on_failure = \"fail\")"));
            ending::exit(ending::SYSTEM_FAILURE)
        }
        OnFailure::RunHere => {
            say(&format!("running '{name}' here, not as a job: {reason}"));
            if let Some(catcher) = catcher {
                catcher.stop();
            }
            run_here(invocation)
        }
    }
}

/// Becomes the command, as if nothing had been intercepted.
fn run_here(invocation: &Invocation) -> ! {
    let error = invocation.exec();
    say(&format!("cannot run {}: {error}", invocation.program.to_string_lossy()));
    ending::exit(if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 })
}
