//! `POST /v1/jobs/ID/attach`: the way from a client to the agent that runs its job.
//!
//! The gateway takes no part in what is said ([`crate::stdio`]): it passes bytes on in both
//! directions until one side closes, and is as good as any other gateway for the next connection.

use std::{
    collections::VecDeque,
    future::poll_fn,
    io::{self, IoSlice},
    task::Poll,
};

use axum::{
    extract::{Path, Query, Request, State},
    response::{IntoResponse, Response},
};
use bytes::BytesMut;
use hyper::{
    StatusCode,
    body::{Buf, Bytes},
    header::{CONNECTION, UPGRADE},
    upgrade::{Parts, Upgraded},
};
use hyper_util::rt::TokioIo;
use nix::sys::socket::{setsockopt, sockopt};
use serde::Deserialize;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
};

use super::{
    message::{Failure, Message},
    service::Service,
};
use crate::{
    engine::{ByteStream, Giver, Taker, halves},
    model::JobId,
    protocol::ATTACH_PROTOCOL,
    stdio::LARGEST_PIECE,
};

/// With less room than this, in bytes, reading from a client is worth a new buffer.
const LEAST: usize = 64 << 10;

/// Most pieces that are written to a client at once.
const PIECES: usize = 8;

/// `?attempt=1&token=…`
#[derive(Deserialize)]
pub(super) struct Which {
    attempt: u32,
    token: String,
}

pub(super) async fn attach(
    State(service): State<Service>,
    Path(job): Path<u64>,
    Query(Which { attempt, token }): Query<Which>,
    mut request: Request,
) -> Result<Response, Failure> {
    let asked = request.headers().get(UPGRADE).and_then(|name| name.to_str().ok());
    if !asked.is_some_and(|name| name.eq_ignore_ascii_case(ATTACH_PROTOCOL)) {
        let reason = format!("attaching to a job takes an upgrade to '{ATTACH_PROTOCOL}'");
        return Err(Failure::new(426, reason));
    }
    let job = JobId(job);
    let channel = service.ask(|reply| Message::Attach { job, attempt, token, reply }).await??;
    let path = format!("/v1/attempts/{job}.{attempt}/attach");
    let agent = channel.open(path).await.map_err(|error| {
        let reason = format!("the agent that runs job {job} cannot be reached: {error}");
        Failure::new(503, reason)
    })?;
    let client = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        match client.await {
            Ok(client) => relay(job, client, agent).await,
            Err(error) => tracing::debug!(%job, "a client that would attach is gone: {error}"),
        }
    });
    let headers = [(CONNECTION, "upgrade"), (UPGRADE, ATTACH_PROTOCOL)];
    Ok((StatusCode::SWITCHING_PROTOCOLS, headers).into_response())
}

async fn relay(job: JobId, client: Upgraded, agent: ByteStream) {
    // The gateway serves no connections but such.
    let Ok(Parts { io, read_buf, .. }) = client.downcast::<TokioIo<UnixStream>>() else { return };
    let client = io.into_inner();
    // With less room, a piece takes several turns of the two ends. Less works as well.
    let _room = setsockopt(&client, sockopt::SndBuf, &LARGEST_PIECE);
    let (client_reads, client_writes) = client.into_split();
    let (agent_gives, agent_takes) = halves(agent);
    // A direction that fails ends alone: what a client that is gone has said last is still to
    // be passed on.
    let (up, down) = tokio::join!(
        to_agent(client_reads, read_buf, agent_takes),
        to_client(agent_gives, client_writes),
    );
    for passed in [up, down] {
        if let Err(error) = passed {
            // The client comes back if it has more to say.
            tracing::debug!(%job, "a client's connection to its agent ended: {error}");
        }
    }
}

/// Passes on `ahead` and what comes from the client, and then its end.
async fn to_agent(mut from: OwnedReadHalf, ahead: Bytes, mut to: Giver) -> io::Result<()> {
    let pass_on = async {
        to.give(ahead).await?;
        let mut space = BytesMut::new();
        loop {
            if space.capacity() < LEAST {
                space.reserve(LARGEST_PIECE);
            }
            if from.read_buf(&mut space).await? == 0 {
                return Ok(());
            }
            to.give(space.split().freeze()).await?;
        }
    };
    let passed = pass_on.await;
    // Fails when that side is gone, too.
    drop(to.end().await);
    passed
}

/// Passes on what comes from the agent, and then its end.
async fn to_client(mut from: Taker, mut to: OwnedWriteHalf) -> io::Result<()> {
    let pass_on = async {
        loop {
            let mut pieces = VecDeque::from([from.take().await?]);
            let is_end = gather(&mut from, &mut pieces).await?;
            while let Some(first) = pieces.front_mut() {
                if first.is_empty() {
                    pieces.pop_front();
                    continue;
                }
                let slices: Vec<IoSlice> = pieces.iter().map(|it| IoSlice::new(it)).collect();
                let mut written = to.write_vectored(&slices).await?;
                for piece in &mut pieces {
                    let count = written.min(piece.len());
                    piece.advance(count);
                    written -= count;
                }
            }
            if is_end {
                return Ok(());
            }
        }
    };
    let passed = pass_on.await;
    // Fails when that side is gone, too.
    drop(to.shutdown().await);
    passed
}

/// Adds to `pieces`, of which there is one, what else is there already; whether the end is.
async fn gather(from: &mut Taker, pieces: &mut VecDeque<Bytes>) -> io::Result<bool> {
    poll_fn(|context| {
        while pieces.len() < PIECES && !pieces.back().is_some_and(Bytes::is_empty) {
            match from.poll_take(context) {
                Poll::Ready(Ok(piece)) => pieces.push_back(piece),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => break,
            }
        }
        Poll::Ready(Ok(pieces.back().is_some_and(Bytes::is_empty)))
    })
    .await
}
