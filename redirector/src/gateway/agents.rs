//! Connections to agents: translate between their lines
//! ([`crate::agent::protocol`]) and the core's messages.

use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader},
    sync::mpsc::{self, UnboundedReceiver, UnboundedSender},
};

use super::{
    clock::Clock,
    message::{AgentHello, AgentLink, Message},
};
use crate::{
    agent::{
        self,
        protocol::{Order, Report},
    },
    engine::Channel,
    model::{NodeName, Timestamp},
    place::StateDirectory,
};

/// Bytes that are read from an agent at once.
const BUFFER: usize = 64 << 10;

/// Orders that are written to an agent at once.
const ORDERS: usize = 256;

/// Whether an agent is started where there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IfNone {
    Start,
    Leave,
}

/// Connects to the agent of `state` on this computer, the node `node`, and passes on what it
/// says until it is gone.
pub(super) fn connect(
    node: NodeName,
    state: StateDirectory,
    core: UnboundedSender<Message>,
    if_none: IfNone,
) {
    tokio::spawn(async move {
        let connected = match if_none {
            IfNone::Start => agent::start::connect(&state).await.map(Some),
            IfNone::Leave => Ok(agent::start::connect_if_there(&state).await),
        };
        let problem = match connected {
            Ok(Some(stream)) => {
                let (reader, writer) = stream.into_split();
                converse(&node, reader, writer, None, &core).await;
                None
            }
            Ok(None) => None,
            Err(error) => Some(format!("no agent can run detached jobs: {error}")),
        };
        // Fails only when the core is gone.
        drop(core.send(Message::AgentDown { node, problem }));
    });
}

/// Passes on orders and reports until the agent of `node` is gone.
pub(super) async fn converse(
    node: &NodeName,
    reader: impl AsyncRead + Unpin,
    writer: impl AsyncWrite + Unpin,
    channel: Option<Channel>,
    core: &UnboundedSender<Message>,
) {
    let (orders, queue) = mpsc::unbounded_channel();
    tokio::select! {
        () = listen(node, reader, AgentLink { orders, channel }, core) => {}
        () = speak(writer, queue) => {}
    }
}

async fn listen(
    node: &NodeName,
    reader: impl AsyncRead + Unpin,
    link: AgentLink,
    core: &UnboundedSender<Message>,
) {
    let mut lines = BufReader::with_capacity(BUFFER, reader).lines();
    let mut clock = Clock::default();
    while let Ok(Some(line)) = lines.next_line().await {
        let mut report = match serde_json::from_str(&line) {
            Ok(report) => report,
            Err(error) => {
                tracing::error!("the agent of {node} said what does not parse ({error}): {line}");
                return;
            }
        };
        match &mut report {
            Report::Hello { now: Some(now), .. } => {
                clock = Clock::that_says(*now, Timestamp::now());
            }
            Report::Ended(ended) => clock.correct(ended),
            Report::Log(record) => record.at = clock.translate(record.at),
            _ => {}
        }
        if core.send(message(node.clone(), report, &link)).is_err() {
            return;
        }
    }
}

fn message(node: NodeName, report: Report, link: &AgentLink) -> Message {
    match report {
        Report::Hello { instance, predecessors, running, ended, facts, promised, now: _ } => {
            Message::AgentUp {
                hello: AgentHello { node, instance, predecessors, running, ended, promised, facts },
                link: link.clone(),
            }
        }
        Report::Withdrawn { attempt } => Message::AttemptWithdrawn { attempt },
        Report::Ended(ended) => Message::AgentEnded { node, ended },
        Report::Probed(probed) => Message::AgentProbed { node, probed },
        Report::Log(record) => Message::AgentLog { node, record },
    }
}

async fn speak(mut writer: impl AsyncWrite + Unpin, mut queue: UnboundedReceiver<Order>) {
    let mut batch = Vec::with_capacity(ORDERS);
    let mut lines = Vec::new();
    while queue.recv_many(&mut batch, ORDERS).await > 0 {
        lines.clear();
        for order in batch.drain(..) {
            serde_json::to_writer(&mut lines, &order).expect("orders have string keys only");
            lines.push(b'\n');
        }
        if writer.write_all(&lines).await.is_err() || writer.flush().await.is_err() {
            return;
        }
    }
}
