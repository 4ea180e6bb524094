//! What an agent does all day: orders come in, attempts end, reports go out.
//!
//! ```text
//!   gateway ══ Connection ══► Order ─┐                       ┌─► Shepherds: tasks
//!   shepherds ── Event ──────────────┼─► [`Agent`] ──────────┤
//!   memory is to be looked at ───────┘   owns the Attempts   └─► Report ══► gateway
//! ```
//!
//! One gateway at a time: the next one's connection is taken from the listener's queue when
//! the one before has been read to its end.

use std::{collections::HashMap, fmt, io, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::UnixListener,
    signal::unix::{SignalKind, signal},
    sync::mpsc::UnboundedReceiver,
    task::JoinHandle,
    time::{Instant, sleep, sleep_until, timeout},
};

use super::{
    attempts::{Attempts, Running},
    job_processes,
    protocol::{Assignment, AttemptId, Ended, Order, Report},
    shepherd::task::{Cause, Said, Task},
    shepherds::{Event, ShepherdId, Shepherds},
    watch::Watch,
    wire::{Connection, Progress},
};
use crate::{
    client::start_gateway,
    model::{Outcome, Text, Timestamp, Usage},
    place::StateDirectory,
    random,
};

/// How long an agent waits for the gateway that started it.
const FIRST_GATEWAY: Duration = Duration::from_secs(30);

/// From SIGTERM to SIGKILL for the jobs of an agent that was told by a signal to end.
const GRACE: Duration = Duration::from_secs(10);

/// How long the gateway may take to acknowledge the ends of those jobs, and shepherds
/// without a job to leave.
const FAREWELL: Duration = Duration::from_secs(5);

/// How long an agent that cannot accept a connection waits before it tries again.
const ACCEPT_AGAIN: Duration = Duration::from_secs(1);

/// The most events that are handled before reports are written.
const BATCH: usize = 256;

/// Why an agent leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// There is no gateway, and nothing to be done or told.
    NothingToDo,
    /// The gateway said so.
    Told,
    /// A signal said so.
    Signal,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NothingToDo => "no gateway is there, and nothing is to be done",
            Self::Told => "the gateway said so",
            Self::Signal => "a signal said so",
        })
    }
}

/// Serves the gateways that connect to `listener`.
pub(super) async fn serve(
    state: &StateDirectory,
    listener: UnixListener,
    shepherds: Shepherds,
    events: UnboundedReceiver<Event>,
) -> Reason {
    let next = async || {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => return Connection::new(stream),
                Err(error) => {
                    // Out of descriptors, most likely; what runs goes on meanwhile.
                    tracing::error!("cannot accept a connection: {error}");
                    sleep(ACCEPT_AGAIN).await;
                }
            }
        }
    };
    Agent::new(state, shepherds).serve(next, events).await
}

struct Agent<'a> {
    state: &'a StateDirectory,
    instance: String,
    attempts: Attempts,
    shepherds: Shepherds,
    /// Those that came over the present connection.
    environments: HashMap<String, Vec<Text>>,
    watch: Watch,
    leaving: Option<Reason>,
    gateway_start: Option<JoinHandle<()>>,
}

impl<'a> Agent<'a> {
    fn new(state: &'a StateDirectory, shepherds: Shepherds) -> Self {
        Self {
            state,
            instance: random::hex(&random::bytes::<8>()),
            attempts: Attempts::default(),
            shepherds,
            environments: HashMap::new(),
            watch: Watch::default(),
            leaving: None,
            gateway_start: None,
        }
    }

    /// Serves connection after connection that `next` gives.
    async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
        mut self,
        next: impl AsyncFn() -> Connection<S>,
        mut events: UnboundedReceiver<Event>,
    ) -> Reason {
        let mut terminate = signal(SignalKind::terminate()).ok();
        let mut connection: Option<Connection<S>> = None;
        let mut batch = Vec::with_capacity(BATCH);
        let patience = Instant::now() + FIRST_GATEWAY;
        let mut had_a_gateway = false;
        let reason = loop {
            if let Some(reason) = self.may_leave(connection.is_some(), had_a_gateway) {
                break reason;
            }
            tokio::select! {
                progress = exchange(&mut connection) => {
                    if let Some(open) = &mut connection
                        && !self.heard(open, progress)
                    {
                        connection = None;
                        self.lost_the_gateway();
                    }
                }
                accepted = next(), if connection.is_none() => {
                    had_a_gateway = true;
                    self.environments.clear();
                    self.greet(connection.insert(accepted));
                }
                _ = events.recv_many(&mut batch, BATCH) => {
                    for event in batch.drain(..) {
                        self.happened(event, &mut connection);
                    }
                    if connection.is_none() {
                        self.lost_the_gateway();
                    }
                }
                () = self.watch.is_due() => {
                    for (attempt, used) in self.watch.look(&mut self.attempts, &self.shepherds) {
                        self.end(attempt, Cause::Memory(used), Duration::ZERO);
                    }
                }
                () = gateway_started(&mut self.gateway_start) => self.gateway_start = None,
                () = terminated(&mut terminate) => self.terminate(),
                () = sleep_until(patience), if !had_a_gateway => had_a_gateway = true,
            }
        };
        self.take_leave(connection, reason).await;
        reason
    }

    fn may_leave(&self, has_gateway: bool, had_a_gateway: bool) -> Option<Reason> {
        match self.leaving {
            Some(Reason::Signal) if self.attempts.none_runs() => Some(Reason::Signal),
            Some(reason) if self.attempts.is_empty() => Some(reason),
            None if !has_gateway && had_a_gateway && self.attempts.is_empty() => {
                Some(Reason::NothingToDo)
            }
            _ => None,
        }
    }

    /// Says the last words; the gateway has some time to acknowledge them.
    async fn take_leave<S: AsyncRead + AsyncWrite + Unpin>(
        mut self,
        connection: Option<Connection<S>>,
        reason: Reason,
    ) {
        if let Some(mut open) = connection
            && reason != Reason::NothingToDo
        {
            let acknowledged = async {
                while !self.attempts.is_empty() {
                    let progress = open.exchange().await;
                    if !self.heard(&mut open, progress) {
                        break;
                    }
                }
                open.flush().await;
            };
            if timeout(FAREWELL, acknowledged).await.is_err() {
                tracing::warn!("leaving although the gateway has not acknowledged all");
            }
        }
        if timeout(FAREWELL, self.shepherds.dismiss_idle()).await.is_err() {
            tracing::warn!("leaving although some shepherds are still there");
        }
    }

    fn greet<S: AsyncRead + AsyncWrite + Unpin>(&self, connection: &mut Connection<S>) {
        let hello =
            Report::Hello { instance: self.instance.clone(), running: self.attempts.known() };
        say(connection, &hello);
        for ended in self.attempts.unacknowledged() {
            say(connection, &Report::Ended(Box::new(ended.clone())));
        }
    }

    /// Follows the orders that came in; whether there may be more.
    fn heard<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        connection: &mut Connection<S>,
        progress: io::Result<Progress>,
    ) -> bool {
        loop {
            match connection.hear() {
                Ok(Some(order)) => self.follow(order, connection),
                Ok(None) => break,
                Err(error) => {
                    tracing::error!("an order that cannot be understood: {error}");
                    return false;
                }
            }
        }
        match progress {
            Ok(progress) => progress == Progress::Read,
            Err(error) => {
                tracing::error!("the connection to the gateway failed: {error}");
                false
            }
        }
    }

    fn follow<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        order: Order,
        connection: &mut Connection<S>,
    ) {
        match order {
            Order::Environment { digest, entries } => {
                self.environments.insert(digest, entries);
            }
            Order::Start(assignment) => {
                let attempt = assignment.attempt;
                if self.attempts.contains(attempt) {
                    return;
                }
                if let Err(reason) = self.start(assignment) {
                    tracing::error!(job = %attempt.job, attempt = attempt.number, "{reason}");
                    self.report(Box::new(lost(attempt, reason)), Some(connection));
                }
            }
            Order::End { attempt, grace } => {
                self.end(attempt, Cause::Ordered, Duration::from_millis(grace));
            }
            Order::Acknowledge { attempt } => self.attempts.acknowledge(attempt),
            Order::Leave => self.leaving = self.leaving.or(Some(Reason::Told)),
        }
    }

    /// Starts an attempt; an error is why that is not possible.
    fn start(&mut self, assignment: Box<Assignment>) -> Result<(), String> {
        if self.leaving == Some(Reason::Signal) {
            return Err("the agent was told to end".to_owned());
        }
        let attempt = assignment.attempt;
        let digest = assignment.environment.clone();
        let Some(environment) = self.environments.get(&digest) else {
            return Err(format!("the gateway named an environment that it never gave: {digest}"));
        };
        let token = token(&assignment, environment);
        let watched_limit =
            (assignment.mem > 0 && !self.shepherds.limit_memory()).then_some(assignment.mem);
        let shepherd = self
            .shepherds
            .give(Task::Run(assignment), &digest, || Task::Environment(environment.clone()))
            .map_err(|error| format!("cannot start a process to watch over it: {error}"))?;
        self.attempts.run(attempt, Running { shepherd, token, peak: 0, watched_limit });
        if let Some(limit) = watched_limit {
            self.watch.started(limit);
        }
        Ok(())
    }

    fn end(&self, attempt: AttemptId, cause: Cause, grace: Duration) {
        if let Some(running) = self.attempts.running(attempt) {
            let grace = grace.as_millis() as u64;
            self.shepherds.tell(running.shepherd, Task::End { attempt, cause, grace });
        }
    }

    fn terminate(&mut self) {
        self.leaving = Some(Reason::Signal);
        let running: Vec<_> = self.attempts.all_running().map(|(attempt, _)| attempt).collect();
        tracing::info!(jobs = running.len(), "ending all jobs: told to by a signal");
        for attempt in running {
            self.end(attempt, Cause::AgentLeaves, GRACE);
        }
    }

    fn happened<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        event: Event,
        connection: &mut Option<Connection<S>>,
    ) {
        match event {
            Event::Said(shepherd, Said { ended, is_all_gone }) => {
                if is_all_gone {
                    self.shepherds.take_back(shepherd);
                } else {
                    tracing::error!(
                        job = %ended.attempt.job,
                        "some of its processes hang in the kernel and are left behind"
                    );
                    self.shepherds.forget(shepherd);
                }
                self.report(ended, connection.as_mut());
            }
            Event::Gone(shepherd, reason) => {
                if let Some(ended) = self.clear_up_after(shepherd, reason) {
                    self.report(Box::new(ended), connection.as_mut());
                }
            }
        }
    }

    /// A shepherd was killed. The main process of its attempt died with it; what else there
    /// was of the attempt is recognised by its token.
    fn clear_up_after(&mut self, shepherd: ShepherdId, reason: Option<io::Error>) -> Option<Ended> {
        self.shepherds.forget(shepherd);
        let attempt = self.attempts.of(shepherd)?;
        if let Some(token) = self.attempts.running(attempt)?.token.as_deref() {
            job_processes::kill_all(token);
        }
        let reason = reason.map_or_else(
            || "the process that watched over it was killed".to_owned(),
            |error| format!("the process that watched over it failed: {error}"),
        );
        tracing::error!(job = %attempt.job, attempt = attempt.number, "{reason}");
        Some(lost(attempt, reason))
    }

    fn report<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        ended: Box<Ended>,
        connection: Option<&mut Connection<S>>,
    ) {
        let attempt = ended.attempt;
        self.attempts.end(ended);
        if let (Some(open), Some(ended)) = (connection, self.attempts.ended(attempt)) {
            say(open, &Report::Ended(Box::new(ended.clone())));
        }
    }

    /// Nobody else may be there to start a gateway for what waits behind the attempts.
    fn lost_the_gateway(&mut self) {
        if self.attempts.is_empty() || self.leaving.is_some() || self.gateway_start.is_some() {
            return;
        }
        let state = self.state.clone();
        self.gateway_start = Some(tokio::task::spawn_blocking(move || {
            match start_gateway::ensure_gateway(&state) {
                Ok(()) => tracing::info!("a gateway is there again"),
                Err(error) => tracing::error!("{error}"),
            }
        }));
    }
}

fn say<S: AsyncRead + AsyncWrite + Unpin>(connection: &mut Connection<S>, report: &Report) {
    if let Err(error) = connection.say(report) {
        tracing::error!("a report that cannot be written: {error}");
    }
}

fn lost(attempt: AttemptId, reason: String) -> Ended {
    let (outcome, usage, now) = (Outcome::Lost { reason }, Usage::default(), Timestamp::now());
    Ended { attempt, outcome, usage, started: now, at: now }
}

fn token(assignment: &Assignment, environment: &[Text]) -> Option<String> {
    const NAME: &str = "REDIRECTOR_TOKEN";
    let variable = assignment.variables.iter().find(|(name, _)| name.as_bytes() == NAME.as_bytes());
    let value = |entry: &Text| {
        let value = entry.as_bytes().strip_prefix(NAME.as_bytes())?.strip_prefix(b"=")?;
        Some(String::from_utf8_lossy(value).into_owned())
    };
    variable
        .map(|(_, value)| value.to_string_lossy().into_owned())
        .or_else(|| environment.iter().find_map(value))
}

async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(
    connection: &mut Option<Connection<S>>,
) -> io::Result<Progress> {
    match connection {
        Some(open) => open.exchange().await,
        None => std::future::pending().await,
    }
}

async fn gateway_started(start: &mut Option<JoinHandle<()>>) {
    match start {
        // An error means that it panicked, which ends this process anyway.
        Some(start) => drop(start.await),
        None => std::future::pending().await,
    }
}

async fn terminated(signals: &mut Option<tokio::signal::unix::Signal>) {
    if let Some(signals) = signals {
        signals.recv().await;
    } else {
        std::future::pending::<()>().await;
    }
}
