//! Streams to an agent beside its orders, many over one connection.

use std::{fmt, io, pin::Pin, sync::Arc};

use tokio::io::{AsyncRead, AsyncWrite};

/// Both directions of a stream.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A stream of bytes with back-pressure. Dropped before it was shut down, it takes back what the
/// other side has not read yet, and is an error there.
pub type ByteStream = Box<dyn Duplex>;

/// What opens streams.
pub trait Open: Send + Sync {
    /// Opens a stream to what the agent has at `path`.
    fn open(&self, path: String) -> Pin<Box<dyn Future<Output = io::Result<ByteStream>> + Send>>;
}

/// Opens streams to one agent, for as long as its connection lasts.
#[derive(Clone)]
pub struct Channel(Arc<dyn Open>);

impl Channel {
    /// One whose streams `opener` opens.
    pub fn new(opener: impl Open + 'static) -> Self {
        Self(Arc::new(opener))
    }

    /// Opens a stream to what the agent has at `path`, and does not wait for its answer: if the
    /// agent has nothing there, reading fails, and the message says so.
    ///
    /// # Errors
    /// If the connection is gone.
    pub async fn open(&self, path: impl Into<String>) -> io::Result<ByteStream> {
        self.0.open(path.into()).await
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Channel")
    }
}
