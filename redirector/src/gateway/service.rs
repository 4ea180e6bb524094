//! What request handlers share, and how they fail.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use hyper::StatusCode;
use tokio::sync::{mpsc::UnboundedSender, oneshot};

use super::message::{Failure, Message, Reply};
use crate::{growing::Watches, place::StateDirectory};

/// What request handlers share.
#[derive(Clone)]
pub(super) struct Service {
    pub core: UnboundedSender<Message>,
    /// Where the output of detached jobs is.
    pub state: StateDirectory,
    /// Tells when that output grows.
    pub watches: Watches,
}

impl Service {
    /// Passes a message to the core.
    pub(super) fn tell(&self, message: Message) -> Result<(), Failure> {
        self.core.send(message).map_err(|_| Self::leaving())
    }

    /// Passes a question to the core and waits for its answer.
    pub(super) async fn ask<T>(
        &self,
        question: impl FnOnce(Reply<T>) -> Message,
    ) -> Result<T, Failure> {
        let (reply, answer) = oneshot::channel();
        self.tell(question(reply))?;
        answer.await.map_err(|_| Self::leaving())
    }

    /// The core has ended before it could answer.
    pub(super) fn leaving() -> Failure {
        Failure::new(503, "the gateway is leaving; try again")
    }
}

/// The process at the other end of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer {
    pub pid: i32,
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, Json(self.problem)).into_response()
    }
}
