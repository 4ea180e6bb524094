//! What an agent does all day: orders come in, attempts end, reports go out.
//!
//! ```text
//!   gateway ══ Connection ══► Order ─┐                       ┌─► Shepherds: tasks
//!   shepherds ── Event ──────────────┼─► [`Supervisor`] ─────┤
//!   memory is to be looked at ───────┘   owns the Attempts   └─► Report ══► gateway
//! ```
//!
//! One gateway at a time: the next one's connection is taken from the listener's queue when
//! the one before has been read to its end.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::UnixListener,
    signal::unix::{SignalKind, signal},
    sync::mpsc::UnboundedReceiver,
    task::JoinHandle,
    time::{Instant, sleep, sleep_until, timeout},
};

use super::{
    predecessors,
    protocol::Report,
    shepherds::{Event, Shepherds},
    supervisor::{Reason, Supervisor},
    wire::{Connection, Progress},
};
use crate::{client::start_gateway, place::StateDirectory};

/// How long an agent waits for the gateway that started it.
const FIRST_GATEWAY: Duration = Duration::from_secs(30);

/// How long the gateway may take to acknowledge the ends of those jobs, and shepherds
/// without a job to leave.
const FAREWELL: Duration = Duration::from_secs(5);

/// How long an agent that cannot accept a connection waits before it tries again.
const ACCEPT_AGAIN: Duration = Duration::from_secs(1);

/// The most events that are handled before reports are written.
const BATCH: usize = 256;

/// Serves the gateways that connect to `listener`; the one that started this agent will if it
/// is still there.
pub(super) async fn serve(
    state: &StateDirectory,
    listener: UnixListener,
    shepherds: Shepherds,
    events: UnboundedReceiver<Event>,
    has_starter: bool,
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
    let supervisor = Supervisor::new(shepherds, predecessors::read(&state.agents_left()));
    Server { state, supervisor, gateway_start: None }.serve(next, events, has_starter).await
}

struct Server<'a> {
    state: &'a StateDirectory,
    supervisor: Supervisor,
    gateway_start: Option<JoinHandle<()>>,
}

impl Server<'_> {
    /// Serves connection after connection that `next` gives.
    async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
        mut self,
        next: impl AsyncFn() -> Connection<S>,
        mut events: UnboundedReceiver<Event>,
        has_starter: bool,
    ) -> Reason {
        let mut terminate = signal(SignalKind::terminate()).ok();
        let mut connection: Option<Connection<S>> = None;
        let mut batch = Vec::with_capacity(BATCH);
        let patience = Instant::now() + FIRST_GATEWAY;
        let mut is_awaited = has_starter;
        let reason = loop {
            if let Some(reason) = self.supervisor.may_leave(connection.is_some(), is_awaited) {
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
                    is_awaited = false;
                    let open = connection.insert(accepted);
                    say(open, self.supervisor.greeting());
                }
                _ = events.recv_many(&mut batch, BATCH) => {
                    for event in batch.drain(..) {
                        let report = self.supervisor.happened(event);
                        if let Some(open) = &mut connection {
                            say(open, report);
                        }
                    }
                    if connection.is_none() {
                        self.lost_the_gateway();
                    }
                }
                () = self.supervisor.look_is_due() => self.supervisor.look(),
                () = gateway_started(&mut self.gateway_start) => self.gateway_start = None,
                () = terminated(&mut terminate) => self.supervisor.terminate(),
                () = sleep_until(patience), if is_awaited => is_awaited = false,
            }
        };
        self.take_leave(connection, reason).await;
        reason
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
                while !self.supervisor.is_done() {
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
        if let Some((earlier, instance)) = self.supervisor.leaves_in_good_order() {
            let file = self.state.agents_left();
            if let Err(error) = predecessors::add(&file, earlier, instance) {
                tracing::error!("cannot write {}: {error}", file.display());
            }
        }
        if timeout(FAREWELL, self.supervisor.dismiss_shepherds()).await.is_err() {
            tracing::warn!("leaving although some shepherds are still there");
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
                Ok(Some(order)) => say(connection, self.supervisor.follow(order)),
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

    /// Nobody else may be there to start a gateway for what waits behind the attempts.
    fn lost_the_gateway(&mut self) {
        if self.gateway_start.is_some() || !self.supervisor.needs_a_gateway() {
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

fn say<S: AsyncRead + AsyncWrite + Unpin>(
    connection: &mut Connection<S>,
    reports: impl IntoIterator<Item = Report>,
) {
    for report in reports {
        if let Err(error) = connection.say(&report) {
            tracing::error!("a report that cannot be written: {error}");
        }
    }
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
