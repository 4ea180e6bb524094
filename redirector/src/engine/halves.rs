//! The two directions of a stream, for whoever moves many bytes: in the pieces in which they
//! come and go, without copies.
//!
//! ```text
//!   ByteStream ──► halves ──┬─► Taker ── take ──► Bytes
//!                           └─► Giver ◄─ give ─── Bytes
//! ```

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use hyper::body::Bytes;
use tokio::io::ReadBuf;

use super::{ByteStream, Duplex};

/// What comes in.
pub struct Taker(Arc<Mutex<ByteStream>>);

/// What goes out.
pub struct Giver(Arc<Mutex<ByteStream>>);

/// Both directions of `stream`, which is dropped with the latter of them.
pub fn halves(stream: ByteStream) -> (Taker, Giver) {
    let shared = Arc::new(Mutex::new(stream));
    (Taker(Arc::clone(&shared)), Giver(shared))
}

impl Taker {
    /// The next piece, which is empty at the end.
    ///
    /// # Errors
    /// As reading has.
    pub async fn take(&mut self) -> io::Result<Bytes> {
        poll_fn(|context| self.poll_take(context)).await
    }

    /// As [`Self::take`].
    pub fn poll_take(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        Pin::new(&mut **lock(&self.0)).poll_take(context)
    }

    /// Reads to `space`; how many bytes, 0 at the end.
    ///
    /// # Errors
    /// As reading has.
    pub async fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        poll_fn(|context| {
            let mut buffer = ReadBuf::new(space);
            let read = Pin::new(&mut **lock(&self.0)).poll_read(context, &mut buffer);
            read.map_ok(|()| buffer.filled().len())
        })
        .await
    }
}

impl Giver {
    /// Sends `bytes`.
    ///
    /// # Errors
    /// As writing has.
    pub async fn give(&mut self, mut bytes: Bytes) -> io::Result<()> {
        while !bytes.is_empty() {
            poll_fn(|context| {
                let mut stream = lock(&self.0);
                let stream: Pin<&mut dyn Duplex> = Pin::new(&mut **stream);
                stream.poll_give(context, &mut bytes)
            })
            .await?;
        }
        Ok(())
    }

    /// Nothing more is sent.
    ///
    /// # Errors
    /// If the other side is gone.
    pub async fn end(&mut self) -> io::Result<()> {
        poll_fn(|context| Pin::new(&mut **lock(&self.0)).poll_shutdown(context)).await
    }
}

fn lock(stream: &Mutex<ByteStream>) -> MutexGuard<'_, ByteStream> {
    stream.lock().unwrap_or_else(PoisonError::into_inner)
}
