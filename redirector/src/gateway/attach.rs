//! `POST /v1/jobs/ID/attach`: the way from a client to the agent that runs its job.
//!
//! The gateway takes no part in what is said ([`crate::stdio`]): it passes bytes on in both
//! directions until one side closes, and is as good as any other gateway for the next connection.

use axum::{
    extract::{Path, Query, Request, State},
    response::{IntoResponse, Response},
};
use hyper::{
    StatusCode,
    header::{CONNECTION, UPGRADE},
};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufReader, copy_buf};

use super::{
    message::{Failure, Message},
    service::Service,
};
use crate::{engine::ByteStream, model::JobId, protocol::ATTACH_PROTOCOL};

/// Bytes that are passed on at once.
const BUFFER: usize = 256 << 10;

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
            Ok(client) => relay(job, Box::new(TokioIo::new(client)), agent).await,
            Err(error) => tracing::debug!(%job, "a client that would attach is gone: {error}"),
        }
    });
    let headers = [(CONNECTION, "upgrade"), (UPGRADE, ATTACH_PROTOCOL)];
    Ok((StatusCode::SWITCHING_PROTOCOLS, headers).into_response())
}

async fn relay(job: JobId, client: ByteStream, agent: ByteStream) {
    let (client_reads, client_writes) = tokio::io::split(client);
    let (agent_reads, agent_writes) = tokio::io::split(agent);
    // A direction that fails ends alone: what a client that is gone has said last is still to
    // be passed on.
    tokio::join!(
        pass_on(job, client_reads, agent_writes),
        pass_on(job, agent_reads, client_writes),
    );
}

/// Passes on what comes from one side, and then its end.
async fn pass_on(job: JobId, from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) {
    let mut from = BufReader::with_capacity(BUFFER, from);
    let passed = copy_buf(&mut from, &mut to).await;
    // Fails when that side is gone, too.
    drop(to.shutdown().await);
    if let Err(error) = passed {
        // The client comes back if it has more to say.
        tracing::debug!(%job, "a client's connection to its agent ended: {error}");
    }
}
