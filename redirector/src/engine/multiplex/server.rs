//! The side to which streams are opened.

use std::{io, pin::pin};

use h2::{
    RecvStream,
    server::{Builder, SendResponse},
};
use hyper::{Method, Request, Response, StatusCode, body::Bytes};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};

use super::{
    Ended, FRAME, Heard, KeepAlive, LINK_WINDOW, NO_ATTACK, SEND_BUFFER, STREAM_WINDOW, STREAMS,
    alive::{Heeding, silence},
    stream::Stream,
};
use crate::engine::ByteStream;

/// A stream that the other side opens. Dropped, it is refused without a reason.
pub struct Offer {
    request: Request<RecvStream>,
    response: SendResponse<Bytes>,
}

impl Offer {
    /// What it is for; `None` for a request that opens no stream.
    pub fn path(&self) -> Option<&str> {
        (self.request.method() == Method::POST).then(|| self.request.uri().path())
    }

    /// What follows the `?` in its path, if something does.
    pub fn query(&self) -> Option<&str> {
        self.request.uri().query()
    }

    /// Takes it.
    ///
    /// # Errors
    /// If it has been given up meanwhile.
    pub fn accept(mut self) -> io::Result<ByteStream> {
        let sender = self.response.send_response(Response::new(()), false);
        let sender = sender.map_err(io::Error::other)?;
        Ok(Box::new(Stream::accepted(sender, self.request.into_body())))
    }

    /// Does not take it.
    pub fn refuse(mut self, status: StatusCode, reason: &str) {
        let mut head = Response::new(());
        *head.status_mut() = status;
        // Errors mean that it has been given up meanwhile.
        if let Ok(mut sender) = self.response.send_response(head, false) {
            drop(sender.send_data(Bytes::copy_from_slice(reason.as_bytes()), true));
        }
    }
}

/// Offers the streams of the link over `stream`, on the other side of which
/// [`super::connect`] is, to `take`, until the link has ended. When `leaving` is ready no more
/// streams are offered, and the link ends when those there are have.
pub async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    keep_alive: KeepAlive,
    heard: Heard,
    leaving: impl Future,
    take: impl Fn(Offer),
) -> Ended {
    let mut settings = Builder::new();
    settings
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(LINK_WINDOW)
        .max_frame_size(FRAME)
        .max_send_buffer_size(SEND_BUFFER)
        .max_concurrent_streams(STREAMS)
        .max_concurrent_reset_streams(NO_ATTACK)
        .max_pending_accept_reset_streams(NO_ATTACK)
        .data_frame_budget(NO_ATTACK);
    let handshake = settings.handshake(Heeding { stream, heard: heard.clone() });
    let mut connection = match timeout(keep_alive.limit, handshake).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(cause)) => return Ended::Failed { cause },
        Err(_) => return Ended::Silent(keep_alive.limit),
    };
    let Some(pings) = connection.ping_pong() else { return Ended::Closed };
    let mut silence = pin!(silence(pings, heard, keep_alive));
    let mut leaving = pin!(leaving);
    let mut is_leaving = false;
    loop {
        tokio::select! {
            offered = connection.accept() => match offered {
                Some(Ok((request, response))) => take(Offer { request, response }),
                Some(Err(cause)) => return Ended::Failed { cause },
                None => return Ended::Closed,
            },
            limit = &mut silence => return Ended::Silent(limit),
            _ = &mut leaving, if !is_leaving => {
                is_leaving = true;
                connection.graceful_shutdown();
            }
        }
    }
}
