//! A client's connection to its gateway, which outlives gateways.
//!
//! [`Link::next`] is the one place where a client waits: for the gateway, for
//! signals, and, while the gateway is lost, for the next attempt to reach it.

use std::{
    os::fd::{AsFd, BorrowedFd},
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};

use super::{
    deaths::Deaths,
    group::{Group, Received},
    settings::Settings,
    start_gateway::{self, ensure_gateway},
    wire::{self, Lease},
};
use crate::{
    agent::signals::Catcher,
    model::{JobId, Outcome, Usage},
    place::StateDirectory,
    protocol::{Beginning, ClientMessage, Finished, GatewayMessage, PipeEnd, Resumption, Stage},
};

/// Pause between attempts to reach a lost gateway; each is a connection, and the
/// start of a gateway if nobody listens.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// The gateway cannot be reached, or does not take the job.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// None could be started.
    #[error(transparent)]
    Start(#[from] start_gateway::Error),
    /// It listens, but does not talk.
    #[error(transparent)]
    Wire(#[from] wire::Error),
    /// Each that was started was gone at once.
    #[error(
        "{count} gateways in a row were gone as soon as they ran ({cause}); their log is {log}; {WHERE_ALLOWED}"
    )]
    Ended {
        /// How many.
        count: u32,
        /// What became of the latest one.
        cause: Box<Self>,
        /// Where they log.
        log: String,
    },
}

/// What to do where programs do not live for long.
const WHERE_ALLOWED: &str = "if this computer ends programs in the background, keep 'redirector serve' running where \
                             it may stay (in a terminal or a service of its own, with the same \
                             REDIRECTOR_STATE_DIR), or start all of this in a batch job";

/// What a client waits for.
pub(super) enum Event {
    /// The gateway said something.
    Message(GatewayMessage),
    /// A signal came.
    Signal(Received),
    /// The gateway did not accept the job.
    NotAccepted(Error),
    /// The gateway of an accepted job did not come back in time.
    GivenUp(Error),
    /// There is something to be read from the other descriptor that was waited for.
    Other,
}

/// What ended a wait.
enum Woken {
    Signal(Received),
    /// The gateway, if anything.
    Gateway,
    Other,
}

/// A connection on behalf of one job.
pub(super) struct Link {
    state: StateDirectory,
    catcher: Catcher,
    /// Tells signals to this process from those to its group.
    pub group: Group,
    submission: ClientMessage,
    pipes: Vec<PipeEnd>,
    lease: Option<Lease>,
    accepted: Option<(JobId, String)>,
    /// How far the client is; said when it comes back to the gateway.
    pub stage: Stage,
    /// The attempt that was granted last, from 1.
    attempt: u32,
    /// What the gateway must know of the attempt. Said again when the client comes back.
    beginning: Option<ClientMessage>,
    /// Said again when the client comes back, until it was answered.
    report: Option<ClientMessage>,
    lost: Option<Lost>,
    deaths: Deaths,
    fate: Fate,
}

/// What the gateway still wants to hear of the job.
pub(super) enum Fate {
    /// How it ends.
    Live,
    /// Nothing: its outcome is recorded.
    Recorded,
    /// Nobody is there to hear it, for this reason.
    GivenUp(String),
}

struct Lost {
    since: Instant,
    next_attempt: Instant,
    error: Error,
}

/// How often an unanswered submission is sent, under the same key, before the job
/// counts as not accepted: a gateway may leave just when a client connects.
const ATTEMPTS: u32 = 5;

impl Link {
    /// Submits, starting a gateway if none listens; with `beginning` if the job may be placed on
    /// another node at once.
    pub(super) fn submit(
        state: StateDirectory,
        catcher: Catcher,
        submission: ClientMessage,
        beginning: Option<Beginning>,
        pipes: Vec<PipeEnd>,
    ) -> Result<Self, Box<(Error, Catcher)>> {
        let beginning = beginning.map(Box::new).map(ClientMessage::Begin);
        match open(&state, &first(&submission, beginning.as_ref())) {
            Ok(lease) => Ok(Self {
                state,
                catcher,
                group: Group::default(),
                submission,
                pipes,
                lease: Some(lease),
                accepted: None,
                stage: Stage::Waiting,
                attempt: 0,
                beginning,
                report: None,
                lost: None,
                deaths: Deaths::none(Instant::now()),
                fate: Fate::Live,
            }),
            Err(error) => Err(Box::new((error, catcher))),
        }
    }

    /// What this process's signals were when it was started.
    pub(super) fn catcher(&self) -> &Catcher {
        &self.catcher
    }

    /// The job, once it was accepted.
    pub(super) fn job(&self) -> Option<JobId> {
        self.accepted.as_ref().map(|(job, _)| *job)
    }

    /// What the gateway still wants to hear of the job.
    pub(super) fn fate(&self) -> &Fate {
        &self.fate
    }

    /// Says how the attempt ended, now or when the gateway is back.
    pub(super) fn report(&mut self, outcome: Outcome, usage: Usage) {
        let report = ClientMessage::Finished(Finished { outcome, usage, attempt: self.attempt });
        if let Some(lease) = &mut self.lease
            && let Err(error) = lease.send(&report)
        {
            self.lose(error.into());
        }
        self.report = Some(report);
    }

    /// Whether the gateway knows, or will when it is back, all that the attempt needs to begin on
    /// the node where it was placed.
    pub(super) fn has_begun(&self) -> bool {
        let attempt = self.attempt;
        matches!(&self.beginning, Some(ClientMessage::Begin(said)) if said.attempt == attempt)
    }

    /// Has the attempt begin on the node where it was placed, now or when the gateway is back.
    pub(super) fn begin(&mut self, beginning: Beginning) {
        let beginning = ClientMessage::Begin(Box::new(beginning));
        if let Some(lease) = &mut self.lease
            && let Err(error) = lease.send(&beginning)
        {
            self.lose(error.into());
        }
        self.beginning = Some(beginning);
    }

    /// Where the gateway is.
    pub(super) fn state(&self) -> &StateDirectory {
        &self.state
    }

    /// The attempt that was reported is over, and another one is to be granted.
    pub(super) fn wait_again(&mut self) {
        (self.beginning, self.report) = (None, None);
        self.stage = Stage::Waiting;
    }

    /// Waits for the next event.
    pub(super) fn next(&mut self) -> Event {
        self.next_or(None)
    }

    /// Waits for the next event, or until there is something to be read from `other`.
    pub(super) fn next_or(&mut self, other: Option<BorrowedFd>) -> Event {
        let mut unanswered = 0;
        loop {
            match self.lease.as_mut().map(Lease::arrived) {
                None | Some(Ok(None)) => {}
                Some(Ok(Some(message))) => {
                    match &message {
                        GatewayMessage::Accepted { job, token, .. } => {
                            self.accepted = Some((*job, token.clone()));
                        }
                        GatewayMessage::Granted(grant) | GatewayMessage::Placed { grant, .. } => {
                            self.attempt = grant.attempt;
                        }
                        GatewayMessage::Recorded | GatewayMessage::Ended { .. } => {
                            self.fate = Fate::Recorded;
                        }
                        _ => {}
                    }
                    return Event::Message(message);
                }
                Some(Err(_)) if matches!(self.fate, Fate::Recorded) => self.lease = None,
                Some(Err(error)) if self.accepted.is_some() => {
                    if error.is_final() {
                        return self.give_up(error.into());
                    }
                    self.lose(error.into());
                }
                Some(Err(error)) if !error.is_final() && unanswered < ATTEMPTS => {
                    unanswered += 1;
                    match open(&self.state, &first(&self.submission, self.beginning.as_ref())) {
                        Ok(lease) => self.lease = Some(lease),
                        Err(ended @ Error::Ended { .. }) => return Event::NotAccepted(ended),
                        Err(_) => return Event::NotAccepted(error.into()),
                    }
                }
                Some(Err(error @ wire::Error::Connection(_))) => {
                    return Event::NotAccepted(ended(&self.state, unanswered, error.into()));
                }
                Some(Err(error)) => return Event::NotAccepted(error.into()),
            }
            if let Some(event) = self.reconnect_if_due() {
                return event;
            }
            match self.wait(other) {
                Woken::Signal(signal) => return Event::Signal(signal),
                Woken::Other => return Event::Other,
                Woken::Gateway => {}
            }
        }
    }

    /// The next signal, if one is there; does not wait.
    pub(super) fn next_signal(&mut self) -> Option<Received> {
        self.group.next(&self.catcher)
    }

    /// Waits for the gateway's bytes, a signal, the next attempt, or `other`.
    fn wait(&mut self, other: Option<BorrowedFd>) -> Woken {
        let signals = self.catcher.as_fd();
        // In place of those that there are not, the signals once more.
        let gateway = self.lease.as_ref().map_or(signals, Lease::as_fd);
        let mut descriptors = [signals, gateway, other.unwrap_or(signals)]
            .map(|descriptor| PollFd::new(descriptor, PollFlags::POLLIN));
        let timeout = self.lost.as_ref().map_or(PollTimeout::NONE, |lost| {
            let left = lost.next_attempt.saturating_duration_since(Instant::now());
            PollTimeout::try_from(left.as_millis() + 1).unwrap_or(PollTimeout::MAX)
        });
        match poll(&mut descriptors, timeout) {
            Ok(_) | Err(Errno::EINTR | Errno::EAGAIN) => {}
            Err(error) => panic!("poll on own descriptors: {error}"),
        }
        let [signal, gateway, is_other] =
            descriptors.map(|descriptor| descriptor.any().unwrap_or(false));
        if signal && let Some(received) = self.next_signal() {
            return Woken::Signal(received);
        }
        if gateway && let Some(lease) = &mut self.lease {
            lease.fill();
            return Woken::Gateway;
        }
        if is_other && other.is_some() { Woken::Other } else { Woken::Gateway }
    }

    fn lose(&mut self, error: Error) {
        self.lease = None;
        let now = Instant::now();
        if let Some(lost) = &mut self.lost {
            lost.error = error;
            return;
        }
        let error = match self.deaths.lost(now) {
            Some(count) => ended(&self.state, count, error),
            None => error,
        };
        self.lost = Some(Lost { since: now, next_attempt: now, error });
    }

    fn give_up(&mut self, error: Error) -> Event {
        (self.lease, self.lost) = (None, None);
        self.fate = Fate::GivenUp(error.to_string());
        Event::GivenUp(error)
    }

    fn reconnect_if_due(&mut self) -> Option<Event> {
        let lost = self.lost.as_mut()?;
        if matches!(lost.error, Error::Ended { .. }) {
            let lost = self.lost.take()?;
            return Some(self.give_up(lost.error));
        }
        if Instant::now() < lost.next_attempt {
            return None;
        }
        let (job, token) = self.accepted.clone()?;
        let (stage, attempt, pipes) = (self.stage, self.attempt, self.pipes.clone());
        let resumption = Resumption { job, token, stage, attempt, pipes };
        match open(&self.state, &[&ClientMessage::Resume(resumption)]) {
            Ok(mut lease) => {
                let mut news = self.beginning.iter().chain(&self.report);
                let said = news.try_for_each(|message| lease.send(message));
                self.lost = None;
                self.deaths.found(Instant::now());
                match said {
                    Ok(()) => self.lease = Some(lease),
                    Err(error) => self.lose(error.into()),
                }
                None
            }
            Err(error) => {
                if lost.since.elapsed() > Settings::load().reconnect {
                    return Some(self.give_up(error));
                }
                lost.next_attempt = Instant::now() + RETRY_PAUSE;
                lost.error = error;
                None
            }
        }
    }
}

/// What a submission is said with.
fn first<'a>(
    submission: &'a ClientMessage,
    beginning: Option<&'a ClientMessage>,
) -> Vec<&'a ClientMessage> {
    [submission].into_iter().chain(beginning).collect()
}

fn ended(state: &StateDirectory, count: u32, cause: Error) -> Error {
    let log = state.log().display().to_string();
    Error::Ended { count, cause: Box::new(cause), log }
}

/// Connects and says `first`; if nobody listens, starts a gateway before. More than
/// once, because a gateway may leave just when it is found.
fn open(state: &StateDirectory, first: &[&ClientMessage]) -> Result<Lease, Error> {
    let mut attempt = 1;
    loop {
        match Lease::open(&state.socket(), first) {
            Err(error @ wire::Error::Connection(_)) if attempt == ATTEMPTS => {
                return Err(ended(state, attempt, error.into()));
            }
            Err(wire::Error::Connection(_)) => {
                attempt += 1;
                match ensure_gateway(state) {
                    // Killed at its start; the next one may live longer.
                    Err(start_gateway::Error::Vanished { .. }) if attempt < ATTEMPTS => {}
                    Err(error @ start_gateway::Error::Vanished { .. }) => {
                        return Err(ended(state, attempt, error.into()));
                    }
                    started => started?,
                }
            }
            answer => return Ok(answer?),
        }
    }
}
