//! The lease's HTTP exchange over the gateway's Unix socket.
//!
//! Written by hand because it runs once per redirected command: a general HTTP
//! client in its place costs each call a quarter of a plain program start, more
//! than there is to spare (docs/decisions/exec-http.md). It speaks just what [`crate::protocol`] needs:
//! one POST with a chunked body in each direction.

use std::{
    io::{self, Read, Write},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
    path::Path,
};

use super::chunked::{Answer, Decoder};
use crate::{
    agent,
    protocol::{ClientMessage, GatewayMessage, LEASE_PATH, Problem},
};

/// The gateway cannot be talked to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody listens, or the connection broke.
    #[error("{0}")]
    Connection(#[from] io::Error),
    /// The gateway said no.
    #[error("{problem}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// Why.
        problem: Problem,
    },
    /// What came is not what a gateway says.
    #[error(
        "the gateway's answer makes no sense ({0}): is another program or version listening on its socket?"
    )]
    Nonsense(String),
}

impl Error {
    /// Whether asking again would give the same answer. A gateway that is leaving, or
    /// cannot write its journal just now, answers 503.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Connection(_) => false,
            Self::Refused { status, .. } => *status != 503,
            Self::Nonsense(_) => true,
        }
    }
}

/// A connection on which one job is leased.
pub struct Lease {
    stream: UnixStream,
    decoder: Decoder,
    broken: Option<io::Error>,
}

impl Lease {
    /// Connects to the gateway at `socket` and says `first`, all at once.
    pub fn open(socket: &Path, first: &[&ClientMessage]) -> Result<Self, Error> {
        let stream = OwnedFd::from(UnixStream::connect(socket)?);
        let mut stream = UnixStream::from(agent::above_standard(stream)?);
        let mut request = format!(
            "POST {LEASE_PATH} HTTP/1.1\r\nHost: redirector\r\nContent-Type: application/x-ndjson\r\n\
             Transfer-Encoding: chunked\r\n\r\n"
        )
        .into_bytes();
        append_chunk(&mut request, first);
        stream.write_all(&request)?;
        Ok(Self { stream, decoder: Decoder::default(), broken: None })
    }

    /// Says `message`.
    pub fn send(&mut self, message: &ClientMessage) -> Result<(), Error> {
        let mut chunk = Vec::with_capacity(256);
        append_chunk(&mut chunk, &[message]);
        Ok(self.stream.write_all(&chunk)?)
    }

    /// The next message that has arrived already; `None` if there is none yet. A
    /// broken connection is reported once all that had arrived before was taken.
    pub fn arrived(&mut self) -> Result<Option<GatewayMessage>, Error> {
        match self.decoder.next_answer() {
            None => self.broken.take().map_or(Ok(None), |error| Err(error.into())),
            Some(Answer::Line(line)) => serde_json::from_slice(&line)
                .map(Some)
                .map_err(|error| Error::Nonsense(error.to_string())),
            Some(Answer::Error { status, body }) => Err(serde_json::from_slice(&body).map_or_else(
                |_| Error::Nonsense(format!("HTTP status {status}")),
                |problem| Error::Refused { status, problem },
            )),
            Some(Answer::End) => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            Some(Answer::Malformed(what)) => Err(Error::Nonsense(what.to_owned())),
        }
    }

    /// Waits for bytes from the gateway, or for the end of the connection.
    pub fn fill(&mut self) {
        let mut buffer = [0; 4096];
        match self.stream.read(&mut buffer) {
            Ok(0) => {
                let reason = "the gateway closed the connection";
                self.broken = Some(io::Error::new(io::ErrorKind::UnexpectedEof, reason));
            }
            Ok(count) => self.decoder.feed(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => self.broken = Some(error),
        }
    }
}

impl AsFd for Lease {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

fn append_chunk(request: &mut Vec<u8>, messages: &[&ClientMessage]) {
    let mut lines = Vec::with_capacity(4096);
    for message in messages {
        serde_json::to_writer(&mut lines, message).expect("messages have string keys only");
        lines.push(b'\n');
    }
    request.extend_from_slice(format!("{:x}\r\n", lines.len()).as_bytes());
    request.extend_from_slice(&lines);
    request.extend_from_slice(b"\r\n");
}
