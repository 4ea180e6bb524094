//! Gateways on other computers come in here: what `redirector agent --attach` hands over
//! becomes a link, whose streams go to [`Services`].
//!
//! One link at a time: a gateway that connects again has given up the link that it had before,
//! whatever that looks like from here.

use std::{io, time::Duration};

use tokio::{
    io::AsyncWriteExt,
    net::{UnixListener, UnixStream},
    sync::{mpsc::UnboundedSender, oneshot, watch},
    task::{AbortHandle, JoinSet},
    time::{sleep, timeout},
};

use super::{
    descriptors::Descriptors,
    handover::{self, Answer, PROTOCOL, Receiver, Request},
    http::Services,
    server::Arrival,
};
use crate::engine::{
    ByteStream,
    multiplex::{self, Heard, KeepAlive},
    program::Program,
};

/// How long somebody who connects may take to say what for.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long an agent that cannot accept a connection waits before it tries again.
const ACCEPT_AGAIN: Duration = Duration::from_secs(1);

/// Serves those who connect to `listener` until `leaving` says so and the last link has ended.
pub(super) async fn serve(
    listener: UnixListener,
    services: Services,
    mut leaving: watch::Receiver<bool>,
) {
    let mut links = JoinSet::new();
    let mut latest: Option<AbortHandle> = None;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = links.join_next() => continue,
            _ = leaving.wait_for(|leaving| *leaving) => break,
        };
        let visit = match accepted {
            Ok((socket, _)) => Visit { socket, services: services.clone() },
            Err(error) => {
                // Out of descriptors, most likely; what runs goes on meanwhile.
                tracing::error!("cannot accept a connection: {error}");
                sleep(ACCEPT_AGAIN).await;
                continue;
            }
        };
        match timeout(PATIENCE, visit.begin()).await {
            Ok(Ok(None)) => {}
            Ok(Ok(Some(link))) => {
                if let Some(earlier) = latest.take() {
                    earlier.abort();
                }
                latest = Some(links.spawn(link.serve(leaving.clone())));
            }
            Ok(Err(error)) => tracing::error!("a gateway could not be attached: {error}"),
            Err(_) => tracing::error!("a process connected to the agent and said nothing"),
        }
    }
    drop(listener);
    while links.join_next().await.is_some() {}
}

/// Somebody who wants a gateway attached.
struct Visit {
    socket: UnixStream,
    services: Services,
}

impl Visit {
    /// Answers the request; the link, if there is to be one.
    async fn begin(self) -> io::Result<Option<Link>> {
        let mut receiver = Receiver::default();
        let (request, descriptors) = loop {
            self.socket.readable().await?;
            let receive = || receiver.receive::<Request>(&self.socket);
            match self.socket.try_io(tokio::io::Interest::READABLE, receive) {
                Ok(Some(received)) => break received,
                Ok(None) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        };
        let mut descriptors = descriptors.into_iter();
        let (Some(input), Some(output)) = (descriptors.next(), descriptors.next()) else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "no descriptors came with it"));
        };
        let stream = match Descriptors::new(input, output) {
            Ok(stream) => stream,
            Err(error) => {
                let reason = format!("standard input and output must be pipes or sockets: {error}");
                handover::send(&self.socket, &Answer::Refused { reason }, &[])?;
                return Ok(None);
            }
        };
        let answer = judge(&request, &self.services.orders).await?;
        handover::send(&self.socket, &answer, &[])?;
        match answer {
            Answer::Attached => Ok(Some(Link {
                stream,
                mark: request.mark,
                grace: Duration::from_millis(request.grace),
                services: self.services,
                _visitor: self.socket,
            })),
            Answer::Leaves => {
                // Seen when this process ends, and its socket and lock are free.
                std::mem::forget(self.socket);
                Ok(None)
            }
            Answer::Refused { .. } => Ok(None),
        }
    }
}

/// An agent of another build makes way if it can, and serves whom it understands.
async fn judge(
    request: &Request,
    orders: &UnboundedSender<Arrival<ByteStream>>,
) -> io::Result<Answer> {
    let own = tokio::task::spawn_blocking(Program::own).await??;
    if own.digest == request.build {
        return Ok(Answer::Attached);
    }
    let (reply, answer) = oneshot::channel();
    // Fails only when the agent leaves, which it then does anyway.
    drop(orders.send(Arrival::Successor(reply)));
    let Ok(Some(jobs)) = answer.await else { return Ok(Answer::Leaves) };
    if request.protocol == PROTOCOL {
        tracing::info!("the gateway is of another version; this agent has {jobs} jobs still");
        return Ok(Answer::Attached);
    }
    Ok(Answer::Refused {
        reason: format!(
            "an agent of another version (process {}, {}) has {jobs} jobs there and does not \
             understand this gateway; wait until they have ended, or end them with 'kill {0}' on \
             that host",
            std::process::id(),
            env!("CARGO_PKG_VERSION"),
        ),
    })
}

/// A connection to a gateway.
struct Link {
    stream: Descriptors,
    mark: String,
    grace: Duration,
    services: Services,
    /// Waits for this to be closed; dropped after the stream.
    _visitor: UnixStream,
}

impl Link {
    async fn serve(mut self, mut leaving: watch::Receiver<bool>) {
        let greeting = format!("\n{} attached\n", self.mark);
        if let Err(error) = self.stream.write_all(greeting.as_bytes()).await {
            tracing::error!("a gateway is gone before it was greeted: {error}");
            return;
        }
        tracing::info!("a gateway is attached");
        let heard = Heard::now();
        let (services, grace) = (self.services, self.grace);
        let ended = multiplex::serve(
            self.stream,
            KeepAlive::default(),
            heard.clone(),
            leaving.wait_for(|leaving| *leaving),
            |offer| services.take(offer, &heard, grace),
        );
        tracing::info!("a gateway is gone: {}", ended.await);
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::unbounded_channel;

    use super::*;

    /// What an agent that has `jobs` answers to a gateway of another build.
    fn answer(protocol: u32, jobs: Option<usize>) -> Answer {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (orders, mut arrivals) = unbounded_channel();
            tokio::spawn(async move {
                if let Some(Arrival::Successor(reply)) = arrivals.recv().await {
                    reply.send(jobs).unwrap();
                }
            });
            let (build, mark) = ("another".to_owned(), String::new());
            judge(&Request { protocol, build, mark, grace: 0 }, &orders).await.unwrap()
        })
    }

    #[test]
    fn an_agent_serves_another_version_that_it_understands_and_makes_way_for_it_if_it_can() {
        assert_eq!(answer(PROTOCOL, Some(3)), Answer::Attached);
        assert_eq!(answer(PROTOCOL, None), Answer::Leaves);
        assert_eq!(answer(PROTOCOL + 1, None), Answer::Leaves);
        let Answer::Refused { reason } = answer(PROTOCOL + 1, Some(3)) else {
            panic!("it does not understand what would be said");
        };
        assert!(reason.contains("3 jobs") && reason.contains("kill"), "{reason}");
    }
}
