//! Agents on other computers: connects to one, and passes on what it says.
//!
//! ```text
//!   core ── [`connect`] ──► ssh ──► link ──► "/v1/orders" ──► [`agents::converse`] ──► core
//!        ◄── AgentUp { link: orders, channel } … AgentDown { problem } ──┘
//! ```

use std::{pin::pin, sync::Arc, time::Duration};

use tokio::{sync::mpsc::UnboundedSender, task::AbortHandle, time::timeout};

use super::{agents, message::Message};
use crate::{
    agent::http::ORDERS,
    config::{Host, Ssh},
    engine::{
        multiplex::{self, Ended, KeepAlive},
        ssh,
    },
};

/// How long a link whose orders have ended may take to say why, and the other way round.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Connects once to the agent that the gateway `gateway_id` has on `host`, which is started if
/// there is none, and passes on what it says until it is gone. The last message says why; there
/// is none if the task is aborted, which ends the connection and leaves the agent alone.
pub(super) fn connect(
    host: Arc<Host>,
    ssh: Ssh,
    gateway_id: String,
    core: UnboundedSender<Message>,
) -> AbortHandle {
    let task = tokio::spawn(async move {
        let problem = converse(&host, &ssh, &gateway_id, &core).await;
        // Fails only when the core is gone.
        drop(core.send(Message::AgentDown { node: host.name.clone(), problem }));
    });
    task.abort_handle()
}

/// Why the connection has ended, or there was none; `None` if the agent has left in good order.
async fn converse(
    host: &Host,
    ssh: &Ssh,
    gateway_id: &str,
    core: &UnboundedSender<Message>,
) -> Option<String> {
    let connection = match ssh::connect(host, ssh, gateway_id).await {
        Ok(connection) => connection,
        Err(error) => return Some(error.to_string()),
    };
    let (stream, mut process) = connection.split();
    let failed = |ended: &Ended, complaint: &str| {
        let complaint = complaint.trim().replace(['\n', '\r'], " ");
        let colon = if complaint.is_empty() { "" } else { "; ssh says: " };
        Some(format!("host {} ({}): {ended}{colon}{complaint}", host.name, host.address))
    };
    let (channel, link) = match multiplex::connect(stream, KeepAlive::default()).await {
        Ok(link) => link,
        Err(ended) => {
            process.ended().await;
            return failed(&ended, &process.complaint());
        }
    };
    let orders = async {
        if let Ok(orders) = channel.open(ORDERS).await {
            let (reader, writer) = tokio::io::split(orders);
            agents::converse(&host.name, reader, writer, Some(channel), core).await;
        }
    };
    let (mut link, mut orders) = (pin!(link), pin!(orders));
    let ended = tokio::select! {
        ended = &mut link => {
            // What has come in already is still to be passed on.
            drop(timeout(LAST_WORDS, orders).await);
            ended
        }
        () = &mut orders => timeout(LAST_WORDS, link).await.unwrap_or(Ended::Closed),
    };
    if matches!(ended, Ended::Closed) {
        return None;
    }
    process.ended().await;
    failed(&ended, &process.complaint())
}
