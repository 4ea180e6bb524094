//! Lines of JSON over any byte stream, many to a system call.
//!
//! ```text
//!   say ─► outbox ─┐              ┌─► inbox ─► hear
//!                  └─ exchange() ─┘
//! ```
//!
//! [`Connection::exchange`] is the only thing that waits. Nothing is lost when it is
//! dropped half-way, so it can stand in a `select!`.

use std::{
    future::poll_fn,
    io::{
        self,
        ErrorKind::{BrokenPipe, ConnectionReset, InvalidData},
        Read,
    },
    pin::Pin,
    task::{Context, Poll, ready},
};

use serde::{Serialize, de::DeserializeOwned};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that are read at once, at most.
const CHUNK: usize = 16 * 1024;

/// A line longer than this is no message, in bytes: an argument list and an environment
/// have at most 6 MiB (execve(2)), and JSON makes six bytes of one at worst.
const LONGEST: usize = 64 << 20;

/// Bytes that came in, of which whole lines are taken as messages.
#[derive(Debug, Default)]
pub struct Inbox {
    bytes: Vec<u8>,
    /// Up to here, messages have been taken.
    taken: usize,
    /// Up to here, there is no end of a line that was not taken.
    searched: usize,
}

impl Inbox {
    /// The next message; `None` if its line is not complete yet. Empty lines are none.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] for a line that is no such message.
    pub fn take<T: DeserializeOwned>(&mut self) -> io::Result<Option<T>> {
        loop {
            let Some(length) = self.bytes[self.searched..].iter().position(|byte| *byte == b'\n')
            else {
                self.searched = self.bytes.len();
                if self.searched - self.taken > LONGEST {
                    let what = format!("a message of more than {LONGEST} bytes");
                    return Err(io::Error::new(InvalidData, what));
                }
                return Ok(None);
            };
            let line = self.taken..self.searched + length;
            self.taken = line.end + 1;
            self.searched = self.taken;
            if !line.is_empty() {
                let message = serde_json::from_slice(&self.bytes[line]);
                return message.map(Some).map_err(|error| io::Error::new(InvalidData, error));
            }
        }
    }

    /// Reads once; the number of bytes, 0 at the end.
    pub fn read_from(&mut self, mut stream: impl Read) -> io::Result<usize> {
        let mut chunk = [0; CHUNK];
        let count = stream.read(&mut chunk)?;
        self.add(&chunk[..count]);
        Ok(count)
    }

    fn add(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.taken);
        self.searched -= self.taken;
        self.taken = 0;
        self.bytes.extend_from_slice(bytes);
    }
}

/// Adds `message` to `bytes` as one line.
pub fn append(bytes: &mut Vec<u8>, message: &impl Serialize) -> io::Result<()> {
    let before = bytes.len();
    if let Err(error) = serde_json::to_writer(&mut *bytes, message) {
        bytes.truncate(before);
        return Err(error.into());
    }
    bytes.push(b'\n');
    Ok(())
}

/// What [`Connection::exchange`] waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Something came in; messages may be complete.
    Read,
    /// Nothing will come in any more.
    End,
}

/// Both directions of a stream.
#[derive(Debug)]
pub struct Connection<S> {
    stream: S,
    inbox: Inbox,
    outbox: Vec<u8>,
    written: usize,
    chunk: Box<[u8]>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// A connection over `stream`.
    pub fn new(stream: S) -> Self {
        let chunk = vec![0; CHUNK].into_boxed_slice();
        Self { stream, inbox: Inbox::default(), outbox: Vec::new(), written: 0, chunk }
    }

    /// Adds a message to what [`Self::exchange`] writes.
    pub fn say(&mut self, message: &impl Serialize) -> io::Result<()> {
        append(&mut self.outbox, message)
    }

    /// The next message of those that came in.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] for a line that is no such message.
    pub fn hear<T: DeserializeOwned>(&mut self) -> io::Result<Option<T>> {
        self.inbox.take()
    }

    /// Writes what was said, and returns when something was read or nothing will be.
    /// What cannot be written because the other side is gone is dropped: what it sent
    /// before is still to be read.
    pub async fn exchange(&mut self) -> io::Result<Progress> {
        poll_fn(|context| {
            let _pending_or_not = self.poll_write(context);
            self.poll_read(context)
        })
        .await
    }

    /// Says nothing more. Returns when everything that was said is written or cannot be; then
    /// this can be dropped, which may undo what was written to a stream that has no end.
    pub async fn finish(&mut self) {
        poll_fn(|context| self.poll_write(context)).await;
        // Fails when the other side is gone.
        drop(poll_fn(|context| Pin::new(&mut self.stream).poll_shutdown(context)).await);
    }

    fn poll_write(&mut self, context: &mut Context) -> Poll<()> {
        while self.written < self.outbox.len() {
            let rest = &self.outbox[self.written..];
            match ready!(Pin::new(&mut self.stream).poll_write(context, rest)) {
                Ok(count) if count > 0 => self.written += count,
                _ => break,
            }
        }
        self.outbox.clear();
        self.written = 0;
        Poll::Ready(())
    }

    fn poll_read(&mut self, context: &mut Context) -> Poll<io::Result<Progress>> {
        let mut buffer = ReadBuf::new(&mut self.chunk);
        Poll::Ready(match ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer)) {
            Ok(()) if buffer.filled().is_empty() => Ok(Progress::End),
            Ok(()) => {
                self.inbox.add(buffer.filled());
                Ok(Progress::Read)
            }
            // Closed while something that we wrote was not read, or with the link that it was
            // a stream of.
            Err(error) if matches!(error.kind(), ConnectionReset | BrokenPipe) => Ok(Progress::End),
            Err(error) => Err(error),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::Text;

    proptest! {
        #[test]
        fn messages_survive_any_cuts(
            messages: Vec<Vec<u8>>,
            cuts in proptest::collection::vec(1..40usize, 1..200),
        ) {
            let messages: Vec<Text> = messages.into_iter().map(Text).collect();
            let mut bytes = Vec::new();
            for message in &messages {
                append(&mut bytes, message).unwrap();
            }
            let mut inbox = Inbox::default();
            let mut heard: Vec<Text> = Vec::new();
            let mut rest = &bytes[..];
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (now, later) = rest.split_at(rest.len().min(*cut));
                rest = later;
                inbox.read_from(now).unwrap();
                while let Some(message) = inbox.take().unwrap() {
                    heard.push(message);
                }
            }
            prop_assert_eq!(heard, messages);
        }
    }

    #[test]
    fn what_is_no_message_is_an_error_and_costs_only_its_line() {
        let mut inbox = Inbox::default();
        inbox.read_from(&b"{\n\n7\n"[..]).unwrap();
        let error = inbox.take::<u32>().unwrap_err();
        assert_eq!(error.kind(), InvalidData);
        assert_eq!(inbox.take::<u32>().unwrap(), Some(7));
        assert_eq!(inbox.take::<u32>().unwrap(), None);
    }
}
