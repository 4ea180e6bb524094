//! What an agent on another computer has at which path.
//!
//! | path | stream |
//! |---|---|
//! | `/v1/orders` | lines of [`Order`] in, lines of [`Report`] out; the latest one counts |
//!
//! [`Order`]: super::protocol::Order
//! [`Report`]: super::protocol::Report

use std::time::Duration;

use hyper::StatusCode;
use tokio::sync::mpsc::UnboundedSender;

use super::{server::Arrival, wire::Connection};
use crate::engine::{
    ByteStream,
    multiplex::{Heard, Offer},
};

/// Where the gateway gives its orders.
pub(crate) const ORDERS: &str = "/v1/orders";

/// Those that streams are for.
#[derive(Clone, Debug)]
pub(super) struct Services {
    pub orders: UnboundedSender<Arrival<ByteStream>>,
}

impl Services {
    /// Gives the stream `offer` of a link to whom it is for. What is wrong is told to the
    /// gateway.
    pub(super) fn take(&self, offer: Offer, heard: &Heard, grace: Duration) {
        let Some(path) = offer.path() else {
            return offer.refuse(StatusCode::METHOD_NOT_ALLOWED, "streams are opened by POST");
        };
        let taken = match path {
            ORDERS => offer.accept().map(|stream| {
                let connection = Connection::new(stream);
                let link = Some((heard.clone(), grace));
                // Fails only when the agent leaves.
                drop(self.orders.send(Arrival::Gateway { connection, link }));
            }),
            _ => {
                let reason = format!("the agent has nothing at {path}");
                return offer.refuse(StatusCode::NOT_FOUND, &reason);
            }
        };
        if let Err(error) = taken {
            tracing::debug!("a stream was given up before it was taken: {error}");
        }
    }
}
