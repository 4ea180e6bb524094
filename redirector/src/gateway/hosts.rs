//! Agents on other computers: connects to one, and passes on what it says.
//!
//! ```text
//!   core ── [`connect`] ──► ssh ──► [`links::converse`] ──► AgentUp … AgentDown { problem } ──► core
//! ```

use std::sync::Arc;

use tokio::{sync::mpsc::UnboundedSender, task::AbortHandle};

use super::{links, message::Message};
use crate::{
    config::{Host, Ssh},
    engine::{multiplex::Ended, ssh},
};

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
    let ended = links::converse(&host.name, stream, core).await;
    if matches!(ended, Ended::Closed) {
        return None;
    }
    process.ended().await;
    failed(&ended, &process.complaint())
}
