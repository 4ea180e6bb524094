//! The connection to this computer's agent: translates between its lines
//! ([`crate::agent::protocol`]) and the core's messages.

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::mpsc::{self, UnboundedReceiver, UnboundedSender},
};

use super::message::{AgentHello, Message};
use crate::{
    agent::{
        self,
        protocol::{Order, Report},
    },
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

/// Connects to the agent of `state` and passes on what it says until it is gone.
pub(super) fn connect(state: StateDirectory, core: UnboundedSender<Message>, if_none: IfNone) {
    tokio::spawn(async move {
        let connected = match if_none {
            IfNone::Start => agent::start::connect(&state).await.map(Some),
            IfNone::Leave => Ok(agent::start::connect_if_there(&state).await),
        };
        let problem = match connected {
            Ok(Some(stream)) => {
                serve(stream, &core).await;
                None
            }
            Ok(None) => None,
            Err(error) => Some(format!("no agent can run detached jobs: {error}")),
        };
        // Fails only when the core is gone.
        drop(core.send(Message::AgentDown { problem }));
    });
}

async fn serve(stream: UnixStream, core: &UnboundedSender<Message>) {
    let (reader, writer) = stream.into_split();
    let (orders, queue) = mpsc::unbounded_channel();
    tokio::select! {
        () = listen(reader, orders, core) => {}
        () = speak(writer, queue) => {}
    }
}

async fn listen(
    reader: OwnedReadHalf,
    orders: UnboundedSender<Order>,
    core: &UnboundedSender<Message>,
) {
    let mut lines = BufReader::with_capacity(BUFFER, reader).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let message = match serde_json::from_str(&line) {
            Ok(Report::Hello { instance, predecessors, running, ended }) => Message::AgentUp {
                hello: AgentHello { instance, predecessors, running, ended },
                orders: orders.clone(),
            },
            Ok(Report::Ended(ended)) => Message::AgentEnded { ended },
            Err(error) => {
                tracing::error!("the agent said what does not parse ({error}): {line}");
                return;
            }
        };
        if core.send(message).is_err() {
            return;
        }
    }
}

async fn speak(mut writer: OwnedWriteHalf, mut queue: UnboundedReceiver<Order>) {
    let mut batch = Vec::with_capacity(ORDERS);
    let mut lines = Vec::new();
    while queue.recv_many(&mut batch, ORDERS).await > 0 {
        lines.clear();
        for order in batch.drain(..) {
            serde_json::to_writer(&mut lines, &order).expect("orders have string keys only");
            lines.push(b'\n');
        }
        if writer.write_all(&lines).await.is_err() {
            return;
        }
    }
}
