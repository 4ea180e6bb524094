//! Hosts that are reached by the system's OpenSSH: one connection for each, over which this
//! program is copied there if it is missing, and which the agent there is handed.
//!
//! ```text
//!   [`connect`] ── ssh ══ sshd ── login shell ── `bootstrap.sh` ── redirector agent --attach
//!        │                                                             │ descriptors
//!        └─► [`Connection`] ◄════════════ HTTP/2 ═════════════════════ agent, detached
//! ```
//!
//! ```no_run
//! # async fn example(host: &redirector::config::Host, ssh: &redirector::config::Ssh)
//! # -> Result<(), Box<dyn std::error::Error>> {
//! use redirector::engine::{multiplex, ssh};
//! let (stream, process) = ssh::connect(host, ssh, "gateway-7").await?.split();
//! let (channel, link) = multiplex::connect(stream, multiplex::KeepAlive::default()).await?;
//! # Ok(()) }
//! ```
//!
//! ssh is what people have set up already: keys, agents, jump hosts, names. It must never ask
//! anything (`BatchMode`), and whatever it or the host does, there is an answer within seconds.

mod arguments;
mod bootstrap;
mod cipher;
mod connection;
mod problem;

use std::{io, time::Duration};

use tokio::{io::AsyncWriteExt, time::timeout};

pub use connection::{Connection, Process};
pub use problem::{Doing, Error, Problem};

pub(super) use self::bootstrap::agent_name;
use self::{
    bootstrap::Said,
    connection::{Line, Session},
};
use super::program::Program;
use crate::{
    config::{Host, Ssh},
    random,
};

/// The longest that a host may say nothing that gets things on.
const PATIENCE: Duration = Duration::from_secs(20);

/// Bytes of this program that are sent at once.
const CHUNK: usize = 256 << 10;

/// What the agents' grace is shorter than `lost_after`, at most: a dead link is noticed later by
/// one side than by the other, and ending jobs takes time, too.
const MARGIN: Duration = Duration::from_secs(30);

/// Connects to the agent that the gateway `gateway_id` has on `host`; starts it if there is none.
///
/// # Errors
/// If that is not possible within seconds; the message says what to do about it.
pub async fn connect(host: &Host, ssh: &Ssh, gateway_id: &str) -> Result<Connection, Error> {
    // Its file is read in the first call only.
    let program = tokio::task::spawn_blocking(Program::own).await;
    match program.map_err(io::Error::from).flatten() {
        Ok(program) => connect_by(program, host, ssh, gateway_id).await,
        Err(cause) => Err(Error::of(host, Problem::OwnFile(cause))),
    }
}

/// As [`connect`], with `program` on the host instead of the one that is running.
///
/// # Errors
/// As [`connect`] has.
pub async fn connect_by(
    program: &Program,
    host: &Host,
    ssh: &Ssh,
    gateway_id: &str,
) -> Result<Connection, Error> {
    let connected = log_in(program, host, ssh, gateway_id).await;
    connected.map_err(|problem| Error::of(host, problem))
}

async fn log_in(
    program: &Program,
    host: &Host,
    ssh: &Ssh,
    gateway_id: &str,
) -> Result<Connection, Problem> {
    let mark = random::hex(&random::bytes::<8>());
    let name = bootstrap::agent_name(gateway_id, &host.name.0);
    let command = bootstrap::command(&mark, program, &name, grace(ssh.lost_after));
    let words = arguments::of(ssh, &host.address, command).await?;
    let mut session = Session::start(&words, mark)?;
    let (mut doing, mut copied_to) = (Doing::LogIn, None);
    loop {
        let line = timeout(PATIENCE, session.next_line()).await;
        let said = match line {
            Err(_) => return Err(session.too_slow(doing, PATIENCE)),
            Ok(Ok(Line::Said(said))) => said,
            Ok(Ok(Line::Ended)) => return Err(session.diagnose(&host.address).await),
            Ok(Err(problem)) => return Err(problem),
        };
        match said {
            Said::Attached => return Ok(session.into_connection(copied_to)),
            Said::Send { place } => {
                tracing::info!(host = %host.name, "copying this program to {place}");
                send(program, &mut session).await?;
                doing = Doing::Start;
                copied_to = Some(place);
            }
            Said::System(found) => {
                return Err(Problem::System { found, wanted: bootstrap::own_system() });
            }
            Said::NoPlace(tried) => return Err(Problem::NoPlace(tried)),
            Said::NotCopied(reason) => return Err(Problem::NotCopied(reason)),
            Said::NoAgent(reason) => return Err(Problem::NoAgent(reason)),
        }
    }
}

/// Sends the file of `program`, for as long as its bytes are taken.
async fn send(program: &Program, session: &mut Session) -> Result<(), Problem> {
    // It was read a moment ago, so it is in memory.
    let bytes = program.bytes().map_err(Problem::OwnFile)?;
    for chunk in bytes.chunks(CHUNK) {
        match timeout(PATIENCE, session.writer().write_all(chunk)).await {
            Err(_) => return Err(session.too_slow(Doing::Copy, PATIENCE)),
            Ok(Ok(())) => {}
            // Why is said in a moment, or ssh has ended.
            Ok(Err(_)) => break,
        }
    }
    Ok(())
}

/// How long an agent keeps its jobs without a gateway that gives it up after `lost_after`.
pub(super) fn grace(lost_after: Duration) -> Duration {
    lost_after.saturating_sub(MARGIN.min(lost_after / 2))
}

#[cfg(test)]
mod on_hosts;
