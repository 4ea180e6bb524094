//! `POST /v1/lease`: one job's conversation ([`crate::protocol`]), translated to and
//! from the core's messages.

use std::{
    convert::Infallible,
    sync::atomic::{AtomicU64, Ordering},
    task::Poll,
};

use axum::{
    Extension,
    body::{Body, Bytes},
    extract::State,
    response::{IntoResponse, Response},
};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use tokio::sync::{mpsc, oneshot};

use super::{
    message::{Failure, Lease, LeaseId, Message},
    service::{Peer, Service},
};
use crate::{
    model::JobId,
    protocol::{Beginning, ClientMessage, GatewayMessage},
};

/// Longest line that a client may send, in bytes: twice the kernel's limit on
/// arguments and environment together, with room for JSON's escapes.
const LONGEST_LINE: usize = 32 << 20;

static LEASES: AtomicU64 = AtomicU64::new(0);

/// Serves one job until it is recorded or its client is gone.
pub(super) async fn lease(
    State(service): State<Service>,
    Extension(peer): Extension<Peer>,
    body: Body,
) -> Result<Response, Failure> {
    let mut lines = Lines { body, buffer: Vec::new() };
    let first =
        lines.next().await?.ok_or_else(|| Failure::new(400, "the request has no message"))?;
    let (sender, receiver) = mpsc::unbounded_channel();
    let id = LeaseId(LEASES.fetch_add(1, Ordering::Relaxed));
    let lease = Lease { id, client_pid: peer.pid, messages: sender };
    let (reply, answer) = oneshot::channel();
    service.tell(match first {
        ClientMessage::Submit(submission) => {
            let beginning = lines.beginning();
            Message::Submit { submission, beginning, lease, reply }
        }
        ClientMessage::Resume(resumption) => Message::Resume { resumption, lease, reply },
        ClientMessage::Finished(_) | ClientMessage::Begin(_) => {
            return Err(Failure::new(400, "a lease begins with submit or resume"));
        }
    })?;
    let job = answer.await.map_err(|_| Service::leaving())??;
    tokio::spawn(listen(service, job, id, lines));
    Ok(Body::new(StreamBody::new(Messages(receiver))).into_response())
}

/// Passes on what the client says; its silence, too.
async fn listen(service: Service, job: JobId, lease: LeaseId, mut lines: Lines) {
    while let Ok(Some(message)) = lines.next().await {
        let message = match message {
            ClientMessage::Finished(finished) => Message::Finished { job, lease, finished },
            ClientMessage::Begin(beginning) => Message::Begin { job, lease, beginning },
            ClientMessage::Submit(_) | ClientMessage::Resume(_) => continue,
        };
        // Fails only when the core is gone, which the client sees by itself.
        drop(service.tell(message));
    }
    drop(service.tell(Message::LeaseClosed { job, lease }));
}

/// The lines of a request body.
struct Lines {
    body: Body,
    buffer: Vec<u8>,
}

impl Lines {
    /// The message that came together with the one before, if it is a `Begin`.
    fn beginning(&mut self) -> Option<Box<Beginning>> {
        let end = self.buffer.iter().position(|byte| *byte == b'\n')?;
        let Ok(ClientMessage::Begin(beginning)) = serde_json::from_slice(&self.buffer[..end])
        else {
            return None;
        };
        self.buffer.drain(..=end);
        Some(beginning)
    }

    async fn next(&mut self) -> Result<Option<ClientMessage>, Failure> {
        let mut searched = 0;
        loop {
            if let Some(end) = self.buffer[searched..].iter().position(|byte| *byte == b'\n') {
                let end = searched + end;
                let message = serde_json::from_slice(&self.buffer[..end]).map_err(|error| {
                    Failure::new(400, format!("a message that does not parse: {error}"))
                });
                self.buffer.drain(..=end);
                return message.map(Some);
            }
            searched = self.buffer.len();
            if searched > LONGEST_LINE {
                return Err(Failure::new(
                    413,
                    format!("a message longer than {LONGEST_LINE} bytes"),
                ));
            }
            match self.body.frame().await {
                None | Some(Err(_)) => return Ok(None),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
            }
        }
    }
}

/// The core's messages as a response body, all that are there in one piece.
struct Messages(mpsc::UnboundedReceiver<GatewayMessage>);

impl futures_core::Stream for Messages {
    type Item = Result<Frame<Bytes>, Infallible>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> Poll<Option<Self::Item>> {
        let mut batch = Vec::new();
        match self.0.poll_recv_many(context, &mut batch, 16) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(0) => Poll::Ready(None),
            Poll::Ready(_) => {
                let mut lines = Vec::with_capacity(128);
                for message in batch {
                    serde_json::to_writer(&mut lines, &message)
                        .expect("messages have string keys only");
                    lines.push(b'\n');
                }
                Poll::Ready(Some(Ok(Frame::data(lines.into()))))
            }
        }
    }
}
