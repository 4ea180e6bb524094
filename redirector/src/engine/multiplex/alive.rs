//! Tells a dead link from one on which nobody has anything to say.
//!
//! A cut link says nothing, and TCP waits for a quarter of an hour before it does. So each side
//! sends a ping every [`KeepAlive::interval`], whatever else is under way: where one direction is
//! full of bulk data, the pings of the other one still arrive. A side that has heard nothing at
//! all for [`KeepAlive::limit`] gives the link up.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use h2::{Ping, PingPong};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, interval_at, sleep_until},
};

/// How a dead link is noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepAlive {
    /// From ping to ping.
    pub interval: Duration,
    /// The longest silence of the other side.
    pub limit: Duration,
}

impl Default for KeepAlive {
    fn default() -> Self {
        Self { interval: Duration::from_secs(10), limit: Duration::from_secs(30) }
    }
}

/// When something was heard from the other side last.
#[derive(Clone, Debug)]
pub struct Heard(Arc<Mutex<Instant>>);

impl Heard {
    /// Now.
    pub fn now() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    /// When it was.
    pub fn last(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn again(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }
}

/// Sends pings until nothing has been heard for as long as the limit, which is the answer.
pub(super) async fn silence(mut pings: PingPong, heard: Heard, settings: KeepAlive) -> Duration {
    let KeepAlive { interval, limit } = settings;
    let mut ticks = interval_at(Instant::now() + interval, interval);
    let mut is_answer_due = false;
    loop {
        tokio::select! {
            _ = ticks.tick(), if !is_answer_due => {
                // Fails when the connection ends, which it tells itself.
                is_answer_due = pings.send_ping(Ping::opaque()).is_ok();
            }
            _ = poll_fn(|context| pings.poll_pong(context)), if is_answer_due => {
                is_answer_due = false;
            }
            () = sleep_until(heard.last() + limit) => {
                if heard.last().elapsed() >= limit {
                    return limit;
                }
            }
        }
    }
}

/// A stream that notes when something is read from it.
#[derive(Debug)]
pub(super) struct Heeding<T> {
    pub(super) stream: T,
    pub(super) heard: Heard,
}

impl<T: AsyncRead + Unpin> AsyncRead for Heeding<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        if buffer.filled().len() > before {
            self.heard.again();
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Heeding<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
