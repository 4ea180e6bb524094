//! An attempt that runs on another node, from the client's side: as if it ran here.
//!
//! ```text
//!   Placed ─► Begin ─► the node's agent runs the command
//!      └────► pump ══ attach ══ agent       its descriptors, and signals for it
//!   Ended ─► all output is written ─► end like it
//! ```
//!
//! The command cannot tell, but for these: a terminal is none for it, only the descriptors are
//! there that are standard or that an argument names, and from a pipe or a terminal more is read
//! than the command may read in the end, up to [`crate::stdio::WINDOW`] and what a pipe holds.

mod attach;
mod attachment;
mod descriptors;
mod pump;
mod shared;
mod sink;
mod source;
mod waker;

#[cfg(test)]
mod tests;

use std::{os::fd::AsFd, time::Duration};

use nix::sys::{
    signal::{SigSet, Signal as Number},
    stat::{Mode, umask},
};

use self::{
    attach::Attach,
    descriptors::Own,
    pump::{Progress, Pump},
};
use super::{
    about::About,
    exec::say,
    link::{Error, Event, Link},
    settings::Settings,
};
use crate::{
    agent::{ending, invocation::Invocation, process::share_one_heap},
    model::{JobId, NodeName, Outcome, Text},
    protocol::{Beginning, GatewayMessage},
    stdio::Signal,
};

/// How long a signal that stops this process may take to reach the command before.
const BEFORE_A_STOP: Duration = Duration::from_secs(1);

/// How long it may take to tell the agent that all has arrived; it would find out by itself.
const FAREWELL: Duration = Duration::from_secs(1);

/// How an attempt on another node ended.
pub(super) enum End {
    /// This is the job's outcome.
    Over(Outcome),
    /// The job is tried again, for this reason.
    Retry(String),
    /// Nobody can tell, for this reason.
    Unknown(String),
}

/// An attempt that was placed.
pub(super) struct Placement<'a> {
    pub job: JobId,
    pub attempt: u32,
    pub node: NodeName,
    /// What the person is told of it.
    pub about: &'a About,
    pub token: &'a str,
    pub invocation: &'a Invocation,
}

/// Has the attempt run where it was placed, and waits for its end.
pub(super) fn run(placement: &Placement, link: &mut Link) -> End {
    let &Placement { job, attempt, about, invocation, .. } = placement;
    let name = &about.name;
    let descriptors = descriptors::gather(invocation.arguments());
    if !link.has_begun() {
        // The command is on its way while the threads start.
        link.begin(beginning(invocation, attempt, &descriptors));
    }
    let attach =
        Attach { state: link.state().clone(), job, attempt, token: placement.token.to_owned() };
    share_one_heap();
    let pump = match Pump::start(descriptors, attach, || Settings::load().reconnect) {
        Ok(pump) => pump,
        Err(error) => {
            return End::Unknown(format!("cannot connect its descriptors: {error}"));
        }
    };
    let mut told = String::new();
    let mut outcome: Option<Outcome> = None;
    loop {
        if let Some(ended @ Outcome::Lost { .. }) = &outcome {
            // What there was of its output went down with it.
            pump.finish(Duration::ZERO);
            explain(placement, ended, &told);
            return End::Over(ended.clone());
        }
        if let Some(ended) = &outcome {
            match pump.progress() {
                Progress::Going => {}
                Progress::Done => {
                    let ended = ended.clone();
                    pump.finish(FAREWELL);
                    explain(placement, &ended, &told);
                    return End::Over(ended);
                }
                Progress::Hopeless(reason) => {
                    let ended = output_lost(placement, ended, &reason);
                    pump.finish(Duration::ZERO);
                    explain(placement, &ended, &told);
                    return End::Over(ended);
                }
            }
        }
        match link.next_or(Some(pump.as_fd())) {
            Event::Message(GatewayMessage::Ended { attempt: which, outcome: ended, .. }) => {
                if which == attempt {
                    outcome = Some(ended);
                    pump.is_over();
                }
            }
            Event::Message(GatewayMessage::Retry { reason }) => {
                pump.stop();
                return End::Retry(reason);
            }
            Event::Message(GatewayMessage::Signal { reason, .. }) => {
                // The agent ends it.
                if told != reason {
                    say(&format!("job {job} ('{name}') is being ended: {reason}"));
                    told = reason;
                }
            }
            Event::Message(GatewayMessage::Refused { reason }) => {
                pump.stop();
                say(&about.refusal(Some(job), &reason));
                return End::Over(Outcome::Refused { reason });
            }
            Event::Message(GatewayMessage::Warning { text }) => say(&text),
            Event::Message(_) => {}
            Event::Signal(received) => {
                pass_on(&pump, received.signal, received.reached_group);
            }
            Event::Other => pump.rest(),
            Event::NotAccepted(error) | Event::GivenUp(error) => {
                return End::Unknown(gateway_lost(&error));
            }
        }
    }
}

/// What an agent must know for the first attempt at the command `invocation`, whose environment is
/// as the command is to have it.
pub(super) fn first_beginning(invocation: &Invocation) -> Beginning {
    beginning(invocation, 1, &descriptors::gather(invocation.arguments()))
}

fn beginning(invocation: &Invocation, attempt: u32, descriptors: &[Own]) -> Beginning {
    let own_umask = umask(Mode::empty());
    umask(own_umask);
    Beginning {
        attempt,
        environment: environment(invocation),
        umask: own_umask.bits(),
        descriptors: descriptors.iter().map(|own| own.attached()).collect(),
    }
}

/// What is the same for all jobs of a pipeline, so that the agent has it already: of the job itself the
/// gateway tells.
fn environment(invocation: &Invocation) -> Vec<Text> {
    let is_of_the_job = |entry: &Text| {
        [b"REDIRECTOR_JOB=".as_slice(), b"REDIRECTOR_TOKEN="]
            .iter()
            .any(|name| entry.as_bytes().starts_with(name))
    };
    let mut entries = invocation.environment_texts();
    entries.retain(|entry| !is_of_the_job(entry));
    entries
}

fn pass_on(pump: &Pump, signal: i32, to_group: bool) {
    if signal == libc::SIGCHLD {
        return;
    }
    pump.signal(Signal { signal, to_group });
    match signal {
        libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU => {
            // As a command that runs here would be stopped together with this process.
            pump.wait_for_signals(BEFORE_A_STOP);
            ending::stop_by(signal);
        }
        libc::SIGCONT => pump.look_at_terminals(),
        _ => {}
    }
}

/// What is to be made of an attempt whose output is not all there.
fn output_lost(placement: &Placement, ended: &Outcome, reason: &str) -> Outcome {
    let Placement { job, about: About { name, .. }, node, .. } = placement;
    let Outcome::Exited { .. } = ended else { return ended.clone() };
    let reason = format!("the last of its output, on {node}, cannot be had: {reason}");
    say(&format!("job {job} ('{name}') had ended with {ended}"));
    Outcome::Lost { reason }
}

/// Tells the person about an end that is not the command's own, unless they were `told`.
fn explain(placement: &Placement, ended: &Outcome, told: &str) {
    let Placement { job, about: About { name, .. }, node, .. } = placement;
    let is_own = matches!(ended, Outcome::Exited { .. } | Outcome::Signaled { .. });
    if is_own || !told.is_empty() {
        return;
    }
    let reason = ended.reason().map_or_else(String::new, |reason| format!(": {reason}"));
    say(&format!("job {job} ('{name}') on {node} is {ended}{reason}"));
}

fn gateway_lost(error: &Error) -> String {
    format!("its gateway is gone: {error}; 'redirector status' tells what became of it")
}

/// Makes writing to a pipe that nobody reads an error like any other, for the calling thread:
/// whether the command gets a signal for it is decided where it runs.
fn block_broken_pipes() {
    // Fails for signals that do not exist.
    _ = SigSet::from(Number::SIGPIPE).thread_block();
}
