//! One stream of a link.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use h2::{Reason, RecvStream, SendStream, client::ResponseFuture};
use hyper::{StatusCode, body::Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::engine::Duplex;

/// Most of a refusal's reason that is read, in bytes.
const REASON: usize = 4 << 10;

/// See the module. Dropped before both directions have ended, it tells the other side so.
pub(super) struct Stream {
    sender: SendStream<Bytes>,
    receiver: Receiver,
}

enum Receiver {
    /// The other side has not answered yet.
    Awaited(ResponseFuture),
    /// `chunk` is what came in and was not read yet.
    Open { body: RecvStream, chunk: Bytes },
    /// It refused; why comes in.
    Refused { status: StatusCode, body: RecvStream, reason: Vec<u8> },
}

impl Stream {
    /// One that was opened here.
    pub(super) const fn opened(sender: SendStream<Bytes>, response: ResponseFuture) -> Self {
        Self { sender, receiver: Receiver::Awaited(response) }
    }

    /// One that was opened by the other side.
    pub(super) const fn accepted(sender: SendStream<Bytes>, body: RecvStream) -> Self {
        Self { sender, receiver: Receiver::Open { body, chunk: Bytes::new() } }
    }
}

impl Stream {
    /// Waits for bytes that were not read yet; there are none at the end.
    fn poll_arrived(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Unread<'_>>> {
        loop {
            match &mut self.receiver {
                Receiver::Awaited(response) => {
                    let (head, body) =
                        ready!(Pin::new(response).poll(context)).map_err(failed)?.into_parts();
                    self.receiver = match head.status {
                        StatusCode::OK => Receiver::Open { body, chunk: Bytes::new() },
                        status => Receiver::Refused { status, body, reason: Vec::new() },
                    };
                }
                Receiver::Open { body, chunk } if chunk.is_empty() => {
                    match ready!(body.poll_data(context)) {
                        Some(Ok(bytes)) => *chunk = bytes,
                        Some(Err(error)) => return Poll::Ready(Err(failed(error))),
                        None => break,
                    }
                }
                Receiver::Open { .. } => break,
                Receiver::Refused { status, body, reason } => {
                    if let Some(bytes) = ready!(body.poll_data(context))
                        && reason.len() < REASON
                    {
                        reason.extend_from_slice(&bytes.map_err(failed)?);
                        continue;
                    }
                    let kind = match *status {
                        StatusCode::NOT_FOUND => io::ErrorKind::NotFound,
                        _ => io::ErrorKind::Other,
                    };
                    let reason = String::from_utf8_lossy(reason);
                    return Poll::Ready(Err(io::Error::new(kind, reason)));
                }
            }
        }
        match &mut self.receiver {
            Receiver::Open { body, chunk } => Poll::Ready(Ok(Unread { body, chunk })),
            Receiver::Awaited(_) | Receiver::Refused { .. } => Poll::Pending,
        }
    }

    /// How many of `wanted` bytes can be sent now: at least one, unless none is wanted.
    fn poll_room(&mut self, context: &mut Context<'_>, wanted: usize) -> Poll<io::Result<usize>> {
        let sender = &mut self.sender;
        sender.reserve_capacity(wanted);
        while sender.capacity() == 0 && wanted > 0 {
            match ready!(sender.poll_capacity(context)) {
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(Err(failed(error))),
                None => return Poll::Ready(Err(nobody_reads())),
            }
        }
        Poll::Ready(Ok(wanted.min(sender.capacity())))
    }
}

/// What came in and was not read yet.
struct Unread<'a> {
    body: &'a mut RecvStream,
    chunk: &'a mut Bytes,
}

impl Unread<'_> {
    /// The first bytes, at most `most`.
    fn take(self, most: usize) -> Bytes {
        let bytes = self.chunk.split_to(self.chunk.len().min(most));
        // What is read makes room for as much. An error means that the stream has ended
        // meanwhile.
        drop(self.body.flow_control().release_capacity(bytes.len()));
        bytes
    }
}

impl Duplex for Stream {
    fn poll_take(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        self.poll_arrived(context).map_ok(|unread| unread.take(usize::MAX))
    }

    fn poll_give(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &mut Bytes,
    ) -> Poll<io::Result<()>> {
        let count = ready!(self.poll_room(context, bytes.len()))?;
        Poll::Ready(self.sender.send_data(bytes.split_to(count), false).map_err(failed))
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let unread = ready!(self.poll_arrived(context))?;
        buffer.put_slice(&unread.take(buffer.remaining()));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let length = slices.iter().map(|slice| slice.len()).sum();
        let count = ready!(self.poll_room(context, length))?;
        let sender = &mut self.sender;
        if count > 0 {
            let mut bytes = Vec::with_capacity(count);
            for slice in slices {
                bytes.extend_from_slice(&slice[..slice.len().min(count - bytes.len())]);
            }
            sender.send_data(bytes.into(), false).map_err(failed)?;
        }
        Poll::Ready(Ok(count))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Whoever drives the link writes as soon as it can.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.sender.send_data(Bytes::new(), true).map_err(failed))
    }
}

fn nobody_reads() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "the other side has dropped the stream")
}

fn failed(error: h2::Error) -> io::Error {
    match error.reason() {
        Some(Reason::CANCEL | Reason::NO_ERROR) if error.is_reset() => nobody_reads(),
        _ if error.is_io() => error.into_io().unwrap_or_else(nobody_reads),
        _ => io::Error::new(io::ErrorKind::ConnectionReset, error),
    }
}
