//! The side that opens streams.

use std::{io, pin::Pin};

use h2::client::{Builder, SendRequest};
use hyper::{Method, Request, body::Bytes};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};

use super::{
    Ended, FRAME, Heard, KeepAlive, LINK_WINDOW, NO_ATTACK, SEND_BUFFER, STREAM_WINDOW, STREAMS,
    alive::{Heeding, silence},
    stream::Stream,
};
use crate::engine::{ByteStream, Channel, Open};

/// Makes a link of `stream`, on the other side of which [`super::serve`] is.
///
/// What is returned beside the channel does all the work, and is to be polled until it says why
/// the link has ended. The link ends by itself when the channel and all its streams are dropped.
///
/// # Errors
/// If the other side is gone.
pub async fn connect(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    keep_alive: KeepAlive,
) -> Result<(Channel, impl Future<Output = Ended> + Send), Ended> {
    let heard = Heard::now();
    let mut settings = Builder::new();
    settings
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(LINK_WINDOW)
        .max_frame_size(FRAME)
        .max_send_buffer_size(SEND_BUFFER)
        .initial_max_send_streams(STREAMS as usize)
        .max_concurrent_reset_streams(NO_ATTACK)
        .data_frame_budget(NO_ATTACK)
        .enable_push(false);
    let handshake = settings.handshake(Heeding { stream, heard: heard.clone() });
    let (requests, mut connection) = timeout(keep_alive.limit, handshake)
        .await
        .map_err(|_| Ended::Silent(keep_alive.limit))?
        .map_err(|cause| Ended::Failed { cause })?;
    let pings = connection.ping_pong();
    let driver = async move {
        let silence = async {
            match pings {
                Some(pings) => silence(pings, heard, keep_alive).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            ended = connection => Ended::of(ended),
            limit = silence => Ended::Silent(limit),
        }
    };
    Ok((Channel::new(Opener(requests)), driver))
}

struct Opener(SendRequest<Bytes>);

impl Open for Opener {
    fn open(&self, path: String) -> Pin<Box<dyn Future<Output = io::Result<ByteStream>> + Send>> {
        let requests = self.0.clone();
        Box::pin(async move {
            let gone = |error: h2::Error| io::Error::new(io::ErrorKind::NotConnected, error);
            let mut requests = requests.ready().await.map_err(gone)?;
            let request = Request::builder()
                .method(Method::POST)
                // HTTP/2 wants a whole address; the other side looks at the path only.
                .uri(format!("http://agent{path}"))
                .body(())
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
            let (response, sender) = requests.send_request(request, false).map_err(gone)?;
            Ok(Box::new(Stream::opened(sender, response)) as ByteStream)
        })
    }
}
