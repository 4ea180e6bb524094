//! `redirector exec`: stands in a pipeline where the command was, and behaves as it would.
//!
//! ```text
//!   connect ─► Submit ─► Accepted ─► Granted ─► run the command ─► Finished ─► Recorded ─► end like it
//!      │          │          └──────────┬─────────────┴───────────────┘
//!      │          │                     └ connection lost: reconnect by job id, never run it again
//!      └──────────┴ no gateway takes it: on_failure decides (run it here, or fail)
//! ```
//!
//! From the submission on it is [`Client`]'s.

use std::io::{self, Write};

use super::{
    about::About,
    dry_run,
    job::{self, Client},
    link::Link,
    settings::{self, Settings},
    submission::{self, Decision},
    watcher::Watcher,
};
use crate::{
    agent::{ending, invocation::Invocation, signals::Catcher},
    config::{Mode, OnFailure},
    model::{Kind, Text, file_name},
    place::{self, StateDirectory},
    preload,
    protocol::{ClientMessage, Submission},
};

/// Runs what libshim.so intercepted: as a job if the whitelist still says so, else here.
pub fn intercepted(invocation: Invocation) -> ! {
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
            let additions = Additions::of(&decision);
            let submission = submission::submission(&invocation, Some(decision), &whitelists);
            as_job(invocation, submission, additions)
        }
        _ => run_here(&invocation),
    }
}

/// What the client adds to the environment that the pipeline made for the command.
#[derive(Clone, Debug, Default)]
pub struct Additions {
    /// Variables that the rule sets; nothing goes over them.
    pub variables: Vec<(Text, Text)>,
    /// Cpus were asked for by name, so that numbers of threads are set to what was granted.
    pub threads: bool,
}

impl Additions {
    /// What `decision` says of it.
    pub fn of(decision: &Decision) -> Self {
        Self { variables: decision.variables.clone(), threads: decision.names_cpus }
    }
}

/// Runs `invocation` as the job that `submission` describes, and ends like it; in a dry run,
/// says what it would have been and runs it here.
pub fn as_job(mut invocation: Invocation, mut submission: Submission, additions: Additions) -> ! {
    match settings::mode() {
        Mode::Local => {}
        Mode::Sequential => submission.sequential = true,
        Mode::DryRun => {
            dry_run::record(&submission.spec);
            if submission.spec.kind == Kind::Command {
                // Nor would those that it starts have been jobs.
                preload::remove_shim(&mut invocation);
            }
            run_here(&invocation)
        }
    }
    submit(invocation, submission, additions, Watcher::default())
}

/// Runs `invocation` as the job that `submission` describes, whatever the mode; `watcher` shows
/// a person what comes out of it.
pub(super) fn submit(
    mut invocation: Invocation,
    mut submission: Submission,
    additions: Additions,
    watcher: Watcher,
) -> ! {
    for (name, value) in &additions.variables {
        invocation.set(name, value.as_bytes());
    }
    submission.environment = invocation.environment_texts();
    let about = About::new(file_name(invocation.program.as_bytes()), &submission.spec);
    let state = match StateDirectory::locate() {
        Ok(state) => state,
        Err(error) => not_accepted(&invocation, None, &about, &error.to_string()),
    };
    let catcher = match Catcher::start() {
        Ok(catcher) => catcher,
        Err(error) => {
            not_accepted(&invocation, None, &about, &format!("cannot catch signals: {error}"))
        }
    };
    let pipes = submission.pipes.clone();
    let scratch = state.path().to_owned();
    let beginning = job::beginning_elsewhere(&submission, &invocation, &additions);
    let submission = ClientMessage::Submit(Box::new(submission));
    match Link::submit(state, catcher, submission, beginning, pipes) {
        Ok(link) => Client::new(link, invocation, additions, about, scratch, watcher).run(),
        Err(failed) => {
            let (error, catcher) = *failed;
            not_accepted(&invocation, Some(&catcher), &about, &error.to_string())
        }
    }
}

/// One line for the person; standard error may be closed or full.
pub fn say(line: &str) {
    drop(writeln!(io::stderr(), "redirector: {line}"));
}

/// No gateway has the job, so it may run here, if the person wants that.
pub(super) fn not_accepted(
    invocation: &Invocation,
    catcher: Option<&Catcher>,
    about: &About,
    reason: &str,
) -> ! {
    let name = &about.name;
    match about.without_gateway(Settings::load().on_failure) {
        (OnFailure::Fail, why) => {
            say(&format!("'{name}' was not run: {reason} ({why})"));
            ending::exit(ending::SYSTEM_FAILURE)
        }
        (OnFailure::RunHere, _) => {
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
