//! One connection of a client to its attempt.

use std::io;

use hyper::body::Bytes;
use tokio::sync::mpsc::UnboundedSender;

use super::{Phase, Stdio};
use crate::{
    agent::shepherds::Event,
    engine::{ByteStream, Giver, Taker, halves},
    stdio::{ConnectionId, Decoder, Effect, Outbox},
};

/// Serves the connection to its end, until the client comes by another one, or until nobody
/// wants anything of the attempt. Calls `delivered` when the client has everything.
pub(super) async fn serve(
    stdio: &Stdio,
    stream: ByteStream,
    events: &UnboundedSender<Event>,
    delivered: impl Fn(),
) -> io::Result<()> {
    let id = stdio.session().connect();
    let mut connections = stdio.connections.subscribe();
    stdio.connections.send_modify(|count| *count += 1);
    connections.mark_unchanged();
    let (reader, writer) = halves(stream);
    let speaking = async {
        drop(speak(stdio, id, writer).await);
        // A client that is gone may have said before that it has everything.
        std::future::pending::<()>().await;
    };
    tokio::select! {
        heard = listen(stdio, id, reader, events, delivered) => heard,
        () = speaking => Ok(()),
        _ = connections.changed() => Err(io::Error::other("the client came by another one")),
        () = stdio.reached(Phase::Forgotten) => Ok(()),
    }
}

async fn listen(
    stdio: &Stdio,
    id: ConnectionId,
    mut reader: Taker,
    events: &UnboundedSender<Event>,
    delivered: impl Fn(),
) -> io::Result<()> {
    let mut decoder = Decoder::default();
    loop {
        let count = reader.read(decoder.space()).await?;
        if count == 0 {
            return Ok(());
        }
        decoder.advance(count);
        let mut has_delivered = false;
        while let Some(arrived) = decoder.next().map_err(io::Error::other)? {
            let mut session = stdio.session();
            match session.receive(id, arrived).map_err(io::Error::other)? {
                Effect::Stream(number) => {
                    if let Some(news) = stdio.streams.get(&number) {
                        news.notify_one();
                    }
                }
                // Fails when the agent leaves.
                Effect::Signal(signal) => drop(events.send(Event::Signal(stdio.attempt, signal))),
                Effect::Delivered => has_delivered = true,
                Effect::None | Effect::Gone => {}
            }
        }
        // What it said may have to be answered, or allow for more to be sent.
        stdio.to_send.notify_one();
        if has_delivered {
            delivered();
        }
    }
}

async fn speak(stdio: &Stdio, id: ConnectionId, mut writer: Giver) -> io::Result<()> {
    let mut outbox = Outbox::default();
    loop {
        let is_current = {
            let mut session = stdio.session();
            session.fill(id, &mut outbox);
            session.is_current(id)
        };
        if !is_current {
            // The word was for the newer one.
            stdio.to_send.notify_one();
            return Err(io::Error::other("the client came by another one"));
        }
        if outbox.is_empty() {
            stdio.to_send.notified().await;
            continue;
        }
        while let Some(chunk) = outbox.pop() {
            writer.give(Bytes::from_owner(chunk)).await?;
        }
    }
}
