//! The gateway's side: a connection to this computer's agent, which is started if there
//! is none.

use std::{io, os::fd::AsRawFd};

use nix::{
    errno::Errno,
    sys::socket::{MsgFlags, recv},
};
use tokio::{io::Interest, net::UnixStream};

use crate::{
    client::start_gateway::{self, Service},
    place::StateDirectory,
};

/// How often an agent may leave just when it is connected to.
const ATTEMPTS: u32 = 5;

/// There is no agent.
#[derive(Debug, thiserror::Error)]
pub enum Error {
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
}

/// A connection on which the agent has begun to speak: [`super::protocol::Report::Hello`] is
/// the first thing to be read from it. Waits while the agent serves another gateway.
pub async fn connect(state: &StateDirectory) -> Result<UnixStream, Error> {
    let unreachable = |cause| Error::Unreachable {
        socket: state.agent_socket().display().to_string(),
        cause,
        log: state.agent_log().display().to_string(),
    };
    for _ in 0..ATTEMPTS {
        match UnixStream::connect(state.agent_socket()).await {
            Ok(stream) if speaks(&stream).await.map_err(unreachable)? => return Ok(stream),
            // It left without having taken notice of this connection.
            Ok(_) => {}
            Err(error) if is_nobody(&error) => {
                let state = state.clone();
                let started = tokio::task::spawn_blocking(move || {
                    start_gateway::ensure(Service::Agent, &state)
                });
                started.await.map_err(|error| unreachable(error.into()))??;
            }
            Err(error) => return Err(unreachable(error)),
        }
    }
    Err(unreachable(io::Error::other("it leaves as often as it is started")))
}

/// As [`connect`], but `None` where there is no agent.
pub async fn connect_if_there(state: &StateDirectory) -> Option<UnixStream> {
    let stream = UnixStream::connect(state.agent_socket()).await.ok()?;
    speaks(&stream).await.ok()?.then_some(stream)
}

fn is_nobody(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}

/// Returns when something can be read, without reading it; false if nothing ever can.
async fn speaks(stream: &UnixStream) -> io::Result<bool> {
    loop {
        stream.readable().await?;
        let mut byte = [0];
        let look = || Ok(recv(stream.as_raw_fd(), &mut byte, MsgFlags::MSG_PEEK)?);
        match stream.try_io(Interest::READABLE, look) {
            Ok(count) => return Ok(count > 0),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if error.raw_os_error() == Some(Errno::ECONNRESET as i32) => {
                return Ok(false);
            }
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    fn block_on<T>(work: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.unwrap().block_on(work)
    }

    #[test]
    fn what_the_agent_says_first_is_still_to_be_read() {
        let (own, mut its) = std::os::unix::net::UnixStream::pair().unwrap();
        its.write_all(b"hello").unwrap();
        own.set_nonblocking(true).unwrap();
        let mut own = block_on(async {
            let own = UnixStream::from_std(own).unwrap();
            assert!(speaks(&own).await.unwrap());
            own.into_std().unwrap()
        });
        let mut word = [0; 5];
        own.read_exact(&mut word).unwrap();
        assert_eq!(&word, b"hello");
    }

    #[test]
    fn an_agent_that_left_without_a_word_is_told_from_one_that_is_busy() {
        let (own, its) = std::os::unix::net::UnixStream::pair().unwrap();
        own.set_nonblocking(true).unwrap();
        block_on(async {
            let own = UnixStream::from_std(own).unwrap();
            let wait = tokio::time::timeout(std::time::Duration::from_millis(1), speaks(&own));
            assert!(wait.await.is_err(), "it may be serving another gateway");
            drop(its);
            assert!(!speaks(&own).await.unwrap());
        });
    }
}
