//! Streams to an agent beside its orders, many over one connection.

use std::{
    fmt, io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use hyper::body::{Buf, Bytes};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, UnixStream},
};

/// Bytes that are read at once from what does not give whole pieces.
const PIECE: usize = 64 << 10;

/// Both directions of a stream.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {
    /// As `poll_read`, in the piece in which it came; an empty one at the end.
    ///
    /// # Errors
    /// As `poll_read` has.
    fn poll_take(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        let mut space = vec![0; PIECE];
        let mut buffer = ReadBuf::new(&mut space);
        ready!(self.poll_read(context, &mut buffer))?;
        let count = buffer.filled().len();
        space.truncate(count);
        Poll::Ready(Ok(space.into()))
    }

    /// As `poll_write`, of bytes that need not be copied; what is sent is taken from `bytes`.
    ///
    /// # Errors
    /// As `poll_write` has.
    fn poll_give(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &mut Bytes,
    ) -> Poll<io::Result<()>> {
        match ready!(self.poll_write(context, bytes))? {
            0 => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            count => {
                bytes.advance(count);
                Poll::Ready(Ok(()))
            }
        }
    }
}

impl Duplex for TcpStream {}
impl Duplex for UnixStream {}
#[cfg(test)]
impl Duplex for tokio::io::DuplexStream {}

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
