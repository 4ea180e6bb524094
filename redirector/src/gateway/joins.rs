//! Agents that come by themselves: waits for one, and passes on what it says.
//!
//! ```text
//!   core ── [`connect`] ──► arrival ──► [`links::converse`] ──► AgentUp … AgentDown { problem } ──► core
//! ```

use tokio::{sync::mpsc::UnboundedSender, task::AbortHandle};

use super::{links, message::Message};
use crate::{
    engine::{join::Joining, multiplex::Ended},
    model::NodeName,
};

/// Waits for the agent of `node`, which `joining` expects, and passes on what it says until it is
/// gone. The last message says why; there is none if the task is aborted, which ends the
/// connection and leaves the agent alone.
pub(super) fn connect(
    node: NodeName,
    joining: Joining,
    core: UnboundedSender<Message>,
) -> AbortHandle {
    let task = tokio::spawn(async move {
        let stream = joining.arrival(&node).await;
        let problem = tokio::select! {
            ended = links::converse(&node, stream, &core) => match ended {
                Ended::Closed => None,
                ended => Some(format!("node {node}: {ended}")),
            },
            () = joining.has_arrived(&node) => {
                Some(format!("node {node}: its agent has lost the connection and is back"))
            }
        };
        // Fails only when the core is gone.
        drop(core.send(Message::AgentDown { node, problem }));
    });
    task.abort_handle()
}
