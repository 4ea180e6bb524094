//! What an agent does all day: orders come in, attempts end, reports go out.
//!
//! ```text
//!   gateway ══ Connection ══► Order ─┐                       ┌─► Shepherds: tasks
//!   shepherds ── Event ──────────────┼─► [`Supervisor`] ─────┤
//!   memory is to be looked at ───────┘   owns the Attempts   └─► Report ══► gateway
//! ```
//!
//! One gateway at a time. On the gateway's own computer the next one's connection is taken from
//! the listener's queue when the one before has been read to its end. From another computer the
//! next one counts at once: what the one before still says may be on a link that is dead.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{UnixListener, UnixStream},
    signal::unix::{SignalKind, signal},
    sync::{
        mpsc::{UnboundedReceiver, unbounded_channel},
        oneshot, watch,
    },
    time::{sleep, timeout},
};

use super::{
    allocation,
    examine::Examiner,
    http::Services,
    joined, log_socket, predecessors,
    protocol::Report,
    shepherds::{Event, Shepherds},
    solitude::{Change, Solitude},
    spool::Spool,
    stage::Stages,
    supervisor::{Elsewhere, Reason, Supervisor},
    visits,
    wire::{Connection, Progress},
};
use crate::{
    config::Config,
    engine::{ByteStream, join::Caller, multiplex::Heard},
    model::Text,
    node::Facts,
    place::StateDirectory,
};

/// Tells a job on a host where it can log.
pub(crate) const LOG_SOCKET_VARIABLE: &str = "REDIRECTOR_LOG_SOCKET";

/// Tells a job on a host where this program is.
const PROGRAM_VARIABLE: &str = "REDIRECTOR_BIN";

/// How long the gateway may take to acknowledge the ends of those jobs, and shepherds
/// without a job to leave.
const FAREWELL: Duration = Duration::from_secs(5);

/// How long an agent that cannot accept a connection waits before it tries again.
const ACCEPT_AGAIN: Duration = Duration::from_secs(1);

/// The most events that are handled before reports are written.
const BATCH: usize = 256;

/// Somebody who comes to the agent.
#[derive(Debug)]
pub(super) enum Arrival<S> {
    /// A gateway.
    Gateway {
        connection: Connection<S>,
        /// When something was heard of it last, and how long jobs are kept without it; `None`
        /// for one on this computer.
        link: Option<(Heard, Duration)>,
    },
    /// Another build of this program wants to be the agent; it is told how many attempts are in
    /// the way of that, or `None`: this one leaves.
    Successor(oneshot::Sender<Option<usize>>),
    /// The gateway does not want this agent any more.
    Dismissal,
}

/// How a gateway on another computer comes by an agent.
pub(super) enum Way {
    /// Links are handed over to whoever listens here: see [`visits`].
    Visits(UnixListener),
    /// The agent connects to it: see [`joined`].
    Joins(Caller),
}

/// Serves the gateways of this computer that connect to `listener`; the one that started this
/// agent will if it is still there.
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
                Ok((stream, _)) => {
                    let connection = Connection::new(stream);
                    return Arrival::<UnixStream>::Gateway { connection, link: None };
                }
                Err(error) => {
                    // Out of descriptors, most likely; what runs goes on meanwhile.
                    tracing::error!("cannot accept a connection: {error}");
                    sleep(ACCEPT_AGAIN).await;
                }
            }
        }
    };
    let supervisor = Supervisor::new(shepherds, predecessors::read(&state.agents_left()), None);
    let solitude = Solitude::beside_a_gateway(state.clone(), has_starter);
    Server { state, supervisor, solitude }.serve(next, events).await
}

/// Serves a gateway on another computer.
pub(super) async fn serve_remote(
    state: &StateDirectory,
    way: Way,
    shepherds: Shepherds,
    events: UnboundedReceiver<Event>,
) -> Reason {
    let facts = Facts::detect(&Config::default().node);
    let facts = Box::new(Facts { max_jobs: None, ..facts });
    let (orders, mut arrivals) = unbounded_channel();
    let (leave, leaving) = watch::channel(false);

    let next = async || match arrivals.recv().await {
        Some(arrival) => arrival,
        None => std::future::pending::<Arrival<ByteStream>>().await,
    };
    let predecessors = predecessors::read(&state.agents_left());
    let spool = Spool::new(state.clone());
    let mut variables = offer_log(state, &shepherds);
    if matches!(way, Way::Joins(_)) {
        variables.extend(allocation::variables(std::env::vars_os()));
    }
    let elsewhere = Elsewhere { facts, spool: spool.clone(), variables };
    let supervisor = Supervisor::new(shepherds, predecessors, Some(elsewhere));
    let stages = Stages::new(state, std::env::current_exe().ok());
    let examiner = Examiner::new(state);
    let services = Services { orders, stages, examiner, hub: supervisor.hub().clone(), spool };
    let (links, solitude) = match way {
        Way::Visits(listener) => {
            let links = tokio::spawn(visits::serve(listener, services, leaving));
            (links, Solitude::far_from_the_gateway())
        }
        Way::Joins(caller) => {
            let solitude = Solitude::on_the_way_to_the_gateway(caller.grace());
            (tokio::spawn(joined::serve(caller, services, leaving)), solitude)
        }
    };
    let server = Server { state, supervisor, solitude };
    let reason = server.serve(next, events).await;
    // First nobody can find the socket any more; whoever comes now starts another agent.
    drop(std::fs::remove_file(state.agent_socket()));
    drop(std::fs::remove_file(state.agent_log_socket()));
    leave.send_replace(true);
    if timeout(FAREWELL, links).await.is_err() {
        tracing::warn!("leaving although a gateway may not have heard all");
    }
    reason
}

/// Listens for what jobs log; variables by which they find it.
fn offer_log(state: &StateDirectory, shepherds: &Shepherds) -> Vec<(Text, Text)> {
    let socket = state.agent_log_socket();
    let mut variables = Vec::new();
    match log_socket::serve(&socket, shepherds.events()) {
        Ok(()) => variables.push((Text::from(LOG_SOCKET_VARIABLE), Text::from(socket))),
        Err(error) => tracing::error!("jobs cannot log: {}: {error}", socket.display()),
    }
    if let Ok(program) = std::env::current_exe() {
        variables.push((Text::from(PROGRAM_VARIABLE), Text::from(program)));
    }
    variables
}

struct Server<'a> {
    state: &'a StateDirectory,
    supervisor: Supervisor,
    solitude: Solitude,
}

impl Server<'_> {
    /// Serves all that `next` gives.
    async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
        mut self,
        mut next: impl AsyncFnMut() -> Arrival<S>,
        mut events: UnboundedReceiver<Event>,
    ) -> Reason {
        let mut terminate = signal(SignalKind::terminate()).ok();
        let mut connection: Option<Connection<S>> = None;
        let mut batch = Vec::with_capacity(BATCH);
        let reason = loop {
            let is_awaited = self.solitude.is_gateway_awaited();
            if let Some(reason) = self.supervisor.may_leave(connection.is_some(), is_awaited) {
                break reason;
            }
            if let Some(open) = &mut connection {
                say(open, self.supervisor.remarks());
            }
            tokio::select! {
                progress = exchange(&mut connection) => {
                    if let Some(open) = &mut connection
                        && !self.heard(open, progress)
                    {
                        connection = None;
                        self.solitude.begins(&self.supervisor);
                    }
                }
                arrival = next(), if connection.is_none() || self.solitude.ends_at_once() => {
                    match arrival {
                        Arrival::Gateway { connection: accepted, link } => {
                            self.solitude.ends(link);
                            let open = connection.insert(accepted);
                            say(open, self.supervisor.greeting());
                        }
                        // Fails only when whoever asked has gone.
                        Arrival::Successor(reply) => drop(reply.send(self.supervisor.make_way())),
                        Arrival::Dismissal => self.supervisor.terminate(Reason::Dismissed),
                    }
                }
                _ = events.recv_many(&mut batch, BATCH) => {
                    for event in batch.drain(..) {
                        let report = self.supervisor.happened(event);
                        if let Some(open) = &mut connection {
                            say(open, report);
                        }
                    }
                    if connection.is_none() {
                        self.solitude.goes_on(&self.supervisor);
                    }
                }
                () = self.supervisor.look_is_due() => self.supervisor.look(),
                () = terminated(&mut terminate) => self.supervisor.terminate(Reason::Signal),
                change = self.solitude.change() => {
                    if change == Change::Unbearable {
                        self.supervisor.terminate(Reason::Deserted);
                    }
                }
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
                open.finish().await;
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

async fn terminated(signals: &mut Option<tokio::signal::unix::Signal>) {
    if let Some(signals) = signals {
        signals.recv().await;
    } else {
        std::future::pending::<()>().await;
    }
}
