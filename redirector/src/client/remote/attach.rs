//! Asks the gateway for the way to the agent: `POST /v1/jobs/ID/attach`, with an upgrade.

use std::{
    io::{self, Read, Write},
    os::{fd::OwnedFd, unix::net::UnixStream},
};

use nix::sys::socket::{setsockopt, sockopt};

use super::attachment::Connect;
use crate::{
    agent::above_standard,
    client::{
        chunked::{Answer, Decoder},
        start_gateway::ensure_gateway,
        wire::Error,
    },
    model::JobId,
    place::StateDirectory,
    protocol::{ATTACH_PROTOCOL, Problem, attach_path},
    stdio::LARGEST_PIECE,
};

/// The head of the answer that is hoped for.
const UPGRADED: &[u8] = b"HTTP/1.1 101 ";

/// An attempt that is to be attached to.
pub(super) struct Attach {
    pub state: StateDirectory,
    pub job: JobId,
    pub attempt: u32,
    pub token: String,
}

impl Connect for Attach {
    fn connect(&mut self) -> Result<(UnixStream, Vec<u8>), Error> {
        match self.ask() {
            Err(error @ Error::Connection(_)) => {
                // Its own failure is told by whoever keeps the lease.
                drop(ensure_gateway(&self.state));
                Err(error)
            }
            answer => answer,
        }
    }
}

impl Attach {
    fn ask(&self) -> Result<(UnixStream, Vec<u8>), Error> {
        let stream = OwnedFd::from(UnixStream::connect(self.state.socket())?);
        let mut stream = UnixStream::from(above_standard(stream)?);
        // With less room, a piece takes several turns of the two ends. Less works as well.
        let _room = setsockopt(&stream, sockopt::SndBuf, &LARGEST_PIECE);
        let (path, attempt, token) = (attach_path(self.job), self.attempt, &self.token);
        let request = format!(
            "POST {path}?attempt={attempt}&token={token} HTTP/1.1\r\nHost: redirector\r\n\
             Connection: upgrade\r\nUpgrade: {ATTACH_PROTOCOL}\r\nContent-Length: 0\r\n\r\n"
        );
        stream.write_all(request.as_bytes())?;
        let ahead = read_answer(&mut stream)?;
        Ok((stream, ahead))
    }
}

/// What came after the answer, if it is the one that is hoped for.
fn read_answer(stream: &mut impl Read) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            let reason = "the gateway closed the connection";
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, reason).into());
        }
        bytes.extend_from_slice(&buffer[..count]);
        if bytes.len() < UPGRADED.len() {
            continue;
        }
        if bytes.starts_with(UPGRADED) {
            let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
            if let Some(end) = end {
                return Ok(bytes.split_off(end + 4));
            }
            continue;
        }
        let mut decoder = Decoder::default();
        decoder.feed(&bytes);
        match decoder.next_answer() {
            None => {}
            Some(Answer::Error { status, body }) => return Err(refusal(status, &body)),
            Some(Answer::Line(_) | Answer::End) => {
                return Err(Error::Nonsense("it does not upgrade".to_owned()));
            }
            Some(Answer::Malformed(what)) => return Err(Error::Nonsense(what.to_owned())),
        }
    }
}

fn refusal(status: u16, body: &[u8]) -> Error {
    serde_json::from_slice::<Problem>(body).map_or_else(
        |_| Error::Nonsense(format!("HTTP status {status}")),
        |problem| Error::Refused { status, problem },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives its bytes one by one.
    struct Slowly<'a>(&'a [u8]);

    impl Read for Slowly<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            (&mut self.0).take(1).read(buffer)
        }
    }

    #[test]
    fn what_follows_the_answer_is_kept() {
        let mut whole = &b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n\x01ab"[..];
        assert_eq!(read_answer(&mut whole).unwrap(), b"\x01ab");
        let mut slow = Slowly(b"HTTP/1.1 101 X\r\n\r\n");
        assert_eq!(read_answer(&mut slow).unwrap(), b"");
    }

    #[test]
    fn a_refusal_is_told_whether_it_is_final() {
        let answer = |status| {
            let body = r#"{"error":"why"}"#;
            let length = body.len();
            format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n\r\n{body}")
        };
        let error = |status| read_answer(&mut Slowly(answer(status).as_bytes())).unwrap_err();
        assert_eq!(error(410).to_string(), "why");
        assert!(error(410).is_final() && !error(503).is_final());
        let cut = read_answer(&mut Slowly(b"HTTP/1.1 101 X\r\n")).unwrap_err();
        assert!(!cut.is_final());
    }
}
