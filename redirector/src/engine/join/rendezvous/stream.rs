//! A call as a stream of bytes.

use std::{
    convert::Infallible,
    io::{self, ErrorKind::BrokenPipe},
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf},
    sync::oneshot,
};

use crate::engine::Duplex;

/// Why a call has failed, once it has.
pub(super) type Fate = Arc<OnceLock<String>>;

/// See the module. What was written before it is dropped still goes its way.
#[derive(Debug)]
pub(in crate::engine::join) struct Stream {
    inner: DuplexStream,
    fate: Fate,
    /// Goes with it, which the carrier sees.
    _presence: oneshot::Sender<Infallible>,
}

impl Stream {
    pub(super) fn new(
        inner: DuplexStream,
        fate: Fate,
        presence: oneshot::Sender<Infallible>,
    ) -> Self {
        Self { inner, fate, _presence: presence }
    }

    fn explain(&self, error: io::Error) -> io::Error {
        match self.fate.get() {
            Some(reason) => io::Error::new(io::ErrorKind::ConnectionReset, &**reason),
            None => error,
        }
    }
}

impl Duplex for Stream {}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(context, buffer))?;
        let is_end = buffer.filled().len() == before && buffer.remaining() > 0;
        if is_end && self.fate.get().is_some() {
            return Poll::Ready(Err(self.explain(BrokenPipe.into())));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.inner).poll_write(context, bytes));
        Poll::Ready(written.map_err(|error| self.explain(error)))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The carrier takes it as soon as it can.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}
