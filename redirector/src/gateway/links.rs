//! A link to an agent that is not on this computer, however its byte stream was come by.
//!
//! ```text
//!   byte stream ── link ──► "/v1/orders" ──► [`agents::converse`] ──► AgentUp { orders, channel } …
//! ```

use std::{pin::pin, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::mpsc::UnboundedSender,
    time::timeout,
};

use super::{agents, message::Message};
use crate::{
    agent::http::ORDERS,
    engine::multiplex::{self, Ended, KeepAlive},
    model::NodeName,
};

/// How long a link whose orders have ended may take to say why, and the other way round.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Passes on what the agent of `node` on the other side of `stream` says, until the link has ended.
pub(super) async fn converse(
    node: &NodeName,
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    core: &UnboundedSender<Message>,
) -> Ended {
    let (channel, link) = match multiplex::connect(stream, KeepAlive::default()).await {
        Ok(link) => link,
        Err(ended) => return ended,
    };
    let orders = async {
        if let Ok(orders) = channel.open(ORDERS).await {
            let (reader, writer) = tokio::io::split(orders);
            agents::converse(node, reader, writer, Some(channel), core).await;
        }
    };
    let (mut link, mut orders) = (pin!(link), pin!(orders));
    tokio::select! {
        ended = &mut link => {
            // What has come in already is still to be passed on.
            drop(timeout(LAST_WORDS, orders).await);
            ended
        }
        () = &mut orders => timeout(LAST_WORDS, link).await.unwrap_or(Ended::Closed),
    }
}
