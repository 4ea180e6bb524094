//! One stream of a link.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use h2::{Reason, RecvStream, SendStream, client::ResponseFuture};
use hyper::{
    StatusCode,
    body::{Buf, Bytes},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

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

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
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
                        None => return Poll::Ready(Ok(())),
                    }
                }
                Receiver::Open { body, chunk } => {
                    let count = chunk.len().min(buffer.remaining());
                    buffer.put_slice(&chunk[..count]);
                    chunk.advance(count);
                    // What is read makes room for as much. An error means that the stream has
                    // ended meanwhile.
                    drop(body.flow_control().release_capacity(count));
                    return Poll::Ready(Ok(()));
                }
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
        let sender = &mut self.sender;
        let length = slices.iter().map(|slice| slice.len()).sum();
        sender.reserve_capacity(length);
        while sender.capacity() == 0 && length > 0 {
            match ready!(sender.poll_capacity(context)) {
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(Err(failed(error))),
                None => return Poll::Ready(Err(nobody_reads())),
            }
        }
        let count = length.min(sender.capacity());
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
