//! A request with two descriptors, from `redirector agent --attach` to the agent: one line of
//! JSON each way over the agent's socket, the descriptors beside it (unix(7), `SCM_RIGHTS`).
//!
//! The agent has both descriptors from the request on, so that bulk data does not pass through
//! one more process. Whoever handed them over waits for the end of the connection: sshd ends a
//! session when its process does.

use std::{
    io::{self, ErrorKind::InvalidData, IoSlice, IoSliceMut},
    os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
};

use nix::{
    cmsg_space,
    sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::wire;

/// Version of what is said over a link to an agent on another computer. An agent that runs jobs
/// is not replaced, so a change of what orders and reports mean, or of what goes beside them,
/// needs another number.
pub(super) const PROTOCOL: u32 = 1;

/// Longer than any message, in bytes.
const LONGEST: usize = 4 << 10;

/// Has the agent serve a gateway over the descriptors that come with this.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Request {
    /// What the gateway speaks.
    pub protocol: u32,
    /// Which build of this program it is.
    pub build: String,
    /// What the agent is to write before anything else, so that the gateway knows where the
    /// noise of start-up files ends.
    pub mark: String,
    /// How long jobs are kept when the gateway is gone, in milliseconds.
    pub grace: u64,
}

/// What the agent does about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Answer {
    /// It serves.
    Attached,
    /// It is of another build and has nothing to do: it leaves, and another one is to be started.
    Leaves,
    /// It cannot.
    Refused {
        /// Why.
        reason: String,
    },
}

/// Sends `message` over `socket`, and copies of `descriptors` with it. It is short enough for
/// the socket's buffer, so this does not wait.
pub(super) fn send(
    socket: &impl AsRawFd,
    message: &impl Serialize,
    descriptors: &[RawFd],
) -> io::Result<()> {
    let mut line = Vec::new();
    wire::append(&mut line, message)?;
    let rights = [ControlMessage::ScmRights(descriptors)];
    let rights = if descriptors.is_empty() { &rights[..0] } else { &rights[..] };
    let sent = sendmsg::<()>(
        socket.as_raw_fd(),
        &[IoSlice::new(&line)],
        rights,
        MsgFlags::MSG_NOSIGNAL,
        None,
    )?;
    if sent < line.len() {
        return Err(io::Error::new(io::ErrorKind::WriteZero, "only a part of it could be sent"));
    }
    Ok(())
}

/// A message that comes in.
#[derive(Debug, Default)]
pub(super) struct Receiver {
    line: Vec<u8>,
    descriptors: Vec<OwnedFd>,
}

impl Receiver {
    /// Reads once; the message and its descriptors when it is complete.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] if the other side is gone, [`InvalidData`] for what is
    /// no such message.
    pub(super) fn receive<T: DeserializeOwned>(
        &mut self,
        socket: &impl AsRawFd,
    ) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
        let mut bytes = [0; LONGEST];
        let mut space = cmsg_space!([RawFd; 4]);
        let mut slices = [IoSliceMut::new(&mut bytes)];
        let flags = MsgFlags::MSG_CMSG_CLOEXEC;
        let message = recvmsg::<()>(socket.as_raw_fd(), &mut slices, Some(&mut space), flags)?;
        let count = message.bytes;
        for control in message.cmsgs()? {
            if let ControlMessageOwned::ScmRights(numbers) = control {
                // SAFETY: the kernel has just made these descriptors for this process.
                let owned = numbers.iter().map(|number| unsafe { OwnedFd::from_raw_fd(*number) });
                self.descriptors.extend(owned);
            }
        }
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.line.extend_from_slice(&bytes[..count]);
        let Some(line) = self.line.strip_suffix(b"\n") else {
            let is_too_long = self.line.len() > LONGEST;
            return if is_too_long { Err(InvalidData.into()) } else { Ok(None) };
        };
        let message = serde_json::from_slice(line);
        let message = message.map_err(|error| io::Error::new(InvalidData, error))?;
        Ok(Some((message, std::mem::take(&mut self.descriptors))))
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        io::{Read, Write},
        os::unix::net::UnixStream,
    };

    use super::*;

    fn request() -> Request {
        let (build, mark) = ("b1".to_owned(), "f00d".to_owned());
        Request { protocol: PROTOCOL, build, mark, grace: 270_000 }
    }

    #[test]
    fn descriptors_come_with_the_request() {
        let (here, there) = UnixStream::pair().unwrap();
        let (mut reader, writer) = std::io::pipe().unwrap();
        send(&here, &request(), &[writer.as_raw_fd()]).unwrap();
        drop(writer);
        let (received, descriptors): (Request, _) =
            Receiver::default().receive(&there).unwrap().unwrap();
        assert_eq!(received, request());
        for descriptor in descriptors {
            File::from(descriptor).write_all(b"here").unwrap();
        }
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "here");
    }

    #[test]
    fn what_is_no_request_is_refused() {
        let (mut here, there) = UnixStream::pair().unwrap();
        here.write_all(b"{\"hello\":").unwrap();
        let mut receiver = Receiver::default();
        assert!(receiver.receive::<Request>(&there).unwrap().is_none(), "more may come");
        here.write_all(b"1}\n").unwrap();
        let error = receiver.receive::<Request>(&there).unwrap_err();
        assert_eq!(error.kind(), InvalidData);
        drop(here);
        let error = Receiver::default().receive::<Request>(&there).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
