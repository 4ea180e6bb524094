//! `redirector agent --attach`: what a gateway runs on this computer by way of ssh.
//!
//! ```text
//!  sshd ═ stdin, stdout ═► redirector agent --attach ── [`handover`] ──► agent, started if
//!    ╚═══════════════════ HTTP/2, from the handover on ═════════════════╝    there is none
//! ```
//!
//! What is wrong is said on standard output, marked, where the gateway reads it.

use std::{
    io::{self, Write},
    os::{fd::AsFd, unix::net::UnixStream},
    time::Duration,
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};

use super::handover::{self, Answer, PROTOCOL, Receiver, Request};
use crate::{
    client::start_gateway::{self, Service},
    place::{self, StateDirectory},
};

/// How often an agent may leave just when it is connected to.
const ATTEMPTS: u32 = 5;

/// How long an agent may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is attached to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// What the gateway calls the agent.
    pub name: String,
    /// Begins lines on standard output that are not start-up files'.
    pub mark: String,
    /// The gateway's build of this program.
    pub build: String,
    /// How long the agent keeps its jobs when the gateway is gone.
    pub grace: Duration,
}

/// The agent cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its directory cannot be used.
    #[error(transparent)]
    Place(#[from] place::Error),
    /// None could be started.
    #[error(transparent)]
    Start(#[from] start_gateway::Error),
    /// It does not answer.
    #[error("cannot reach the agent at {socket}: {cause}; its log is {log}")]
    Unreachable {
        /// Its socket.
        socket: String,
        /// The system's reason.
        cause: io::Error,
        /// Where it logs.
        log: String,
    },
    /// It is there, and cannot serve this gateway.
    #[error("{0}")]
    Refused(String),
}

/// Hands this process's standard input and output to the agent, and returns when it has let go
/// of them, or ssh has. An error has been told to the gateway.
pub fn attach(attachment: &Attachment) -> Result<(), Error> {
    hand_over(attachment).inspect_err(|error| {
        let reason = error.to_string().replace('\n', " ");
        // Lost if ssh is gone.
        drop(writeln!(io::stdout(), "\n{} agent {reason}", attachment.mark));
    })
}

fn hand_over(attachment: &Attachment) -> Result<(), Error> {
    let state = StateDirectory::of_agent(&attachment.name)?;
    let unreachable = |cause| Error::Unreachable {
        socket: state.agent_socket().display().to_string(),
        cause,
        log: state.agent_log().display().to_string(),
    };
    let request = Request {
        protocol: PROTOCOL,
        build: attachment.build.clone(),
        mark: attachment.mark.clone(),
        grace: attachment.grace.as_millis() as u64,
    };
    for _ in 0..ATTEMPTS {
        let socket = match UnixStream::connect(state.agent_socket()) {
            Ok(socket) => socket,
            Err(error) if is_nobody(&error) => {
                start_gateway::ensure(Service::RemoteAgent, &state)?;
                continue;
            }
            Err(error) => return Err(unreachable(error)),
        };
        match ask(&socket, &request).map_err(unreachable)? {
            Some(Answer::Attached) => return wait(&socket).map_err(unreachable),
            Some(Answer::Refused { reason }) => return Err(Error::Refused(reason)),
            Some(Answer::Leaves) => wait(&socket).map_err(unreachable)?,
            // It left without having taken notice of this connection.
            None => {}
        }
    }
    Err(unreachable(io::Error::other("it leaves as often as it is started")))
}

fn is_nobody(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}

/// What the agent says to `request`; `None` if it is gone.
fn ask(socket: &UnixStream, request: &Request) -> io::Result<Option<Answer>> {
    socket.set_read_timeout(Some(PATIENCE))?;
    let asked = handover::send(socket, request, &[libc::STDIN_FILENO, libc::STDOUT_FILENO]);
    let mut receiver = Receiver::default();
    let answer = asked.and_then(|()| {
        loop {
            match receiver.receive(socket) {
                Ok(None) => {}
                Ok(Some((answer, _))) => return Ok(answer),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    });
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) => match error.kind() {
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionReset => Ok(None),
            io::ErrorKind::WouldBlock => Err(io::Error::other(format!(
                "it has not answered for {} s; is it stopped?",
                PATIENCE.as_secs()
            ))),
            _ => Err(error),
        },
    }
}

/// Returns when the agent closes `socket`, or ssh's side of the standard descriptors is gone.
fn wait(socket: &UnixStream) -> io::Result<()> {
    let (stdin, stdout) = (io::stdin(), io::stdout());
    loop {
        let mut watched = [
            PollFd::new(socket.as_fd(), PollFlags::POLLIN),
            // Nothing but hang-ups: what comes in is the agent's to read.
            PollFd::new(stdin.as_fd(), PollFlags::empty()),
            PollFd::new(stdout.as_fd(), PollFlags::empty()),
        ];
        match poll(&mut watched, PollTimeout::NONE) {
            Ok(_) => return Ok(()),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}
