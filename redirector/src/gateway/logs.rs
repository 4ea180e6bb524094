//! `GET /v1/jobs/ID/output`: what a detached job has written, and goes on to write.
//!
//! The agent appends to a file per attempt and stream; this reads it. A follower gets each piece
//! when the kernel tells that the file has grown, and the end when the attempt is over and all of
//! it was sent:
//!
//! ```text
//!   file exists? ── no ──► wait for a new file in its directory ─┐
//!       │ yes ◄──────────────────────────────────────────────────┘
//!       ▼
//!   send all there is ──► wait: it grew ────────────────────────► send more
//!                               the job ended, or its next
//!                               attempt has begun ──────────────► send the rest, end
//!                               the gateway leaves ─────────────► break off
//! ```
//!
//! A stream that is broken off ends with an error, so that its reader knows to ask the next
//! gateway for the rest, by `offset`.

use std::{
    io,
    path::PathBuf,
    task::{Context, Poll},
};

use axum::{
    body::{Body, Bytes},
    extract::{Path, Query, State},
    response::{IntoResponse, Response},
};
use http_body_util::StreamBody;
use hyper::body::Frame;
use serde::Deserialize;
use tokio::sync::{
    mpsc::{self, Receiver, Sender},
    oneshot,
};

use super::{
    message::{Failure, Message},
    service::Service,
};
use crate::{
    growing::{Growing, Reader},
    model::{Job, JobId, State as JobState},
    place::Stream,
};

/// Pieces that are read before the first of them was taken.
const PIECES_AHEAD: usize = 2;

/// What is wanted of a job's output.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    stream: Stream,
    /// Which try at the job; without it the last.
    attempt: Option<u32>,
    /// Go on until the attempt is over.
    #[serde(default)]
    follow: bool,
    /// Leave out that many bytes.
    #[serde(default)]
    offset: u64,
}

pub(super) async fn output(
    State(service): State<Service>,
    Path(job): Path<u64>,
    Query(wanted): Query<Wanted>,
) -> Result<Response, Failure> {
    let id = JobId(job);
    let show = |reply| Message::Show { job: id, when_finished: false, reply };
    let job = service.ask(show).await??;
    let attempt = checked_attempt(&job, &wanted)?;
    let is_over =
        job.state == JobState::Finished || job.attempts.iter().any(|ended| ended.number == attempt);
    let (pieces, receiver) = mpsc::channel(PIECES_AHEAD);
    if wanted.follow && !is_over {
        let follower = Follower::new(&service, id, attempt, &wanted).map_err(|cause| {
            Failure::new(
                503,
                format!(
                    "cannot follow the output of job {id}: {cause}; if there are too many watches, \
                     'sysctl fs.inotify' shows the limits"
                ),
            )
        })?;
        tokio::spawn(async move {
            let followed = tokio::select! {
                followed = follower.send_all(&pieces) => followed,
                () = pieces.closed() => return,
            };
            break_off(&pieces, followed).await;
        });
    } else {
        let path = service.state.output(id, attempt, wanted.stream);
        let reader = Reader::new(path, wanted.offset);
        tokio::spawn(async move {
            let sent = send_rest(reader, &pieces).await;
            break_off(&pieces, sent).await;
        });
    }
    Ok(Body::new(StreamBody::new(Pieces(receiver))).into_response())
}

/// Tells the reader of the stream that it is not whole.
async fn break_off(pieces: &Sender<io::Result<Bytes>>, sent: io::Result<()>) {
    if let Err(error) = sent {
        // Fails when the reader is gone.
        drop(pieces.send(Err(error)).await);
    }
}

/// The number of the attempt that is asked for.
fn checked_attempt(job: &Job, wanted: &Wanted) -> Result<u32, Failure> {
    let id = job.id;
    if !job.spec.detached {
        return Err(Failure::new(
            404,
            format!(
                "job {id} ('{}') has no output of its own: it went to the program that started \
                 the job; only jobs of 'redirector submit' keep theirs",
                job.spec.name
            ),
        ));
    }
    let last = job.last_attempt();
    // Who follows a job that is tried again asks for the attempt to come.
    let latest = last + u32::from(wanted.follow);
    match wanted.attempt {
        None => Ok(last),
        Some(number) if (1..=latest).contains(&number) => Ok(number),
        Some(number) => Err(Failure::new(
            404,
            format!("job {id} has no attempt {number}: its last one is {last}"),
        )),
    }
}

/// Sends what the file has now.
async fn send_rest(mut reader: Reader, pieces: &Sender<io::Result<Bytes>>) -> io::Result<()> {
    while let Some(piece) = reader.next().await? {
        send(pieces, piece).await?;
    }
    Ok(())
}

async fn send(pieces: &Sender<io::Result<Bytes>>, piece: Bytes) -> io::Result<()> {
    pieces.send(Ok(piece)).await.map_err(|_| io::ErrorKind::BrokenPipe.into())
}

/// Sends an attempt's output while it grows.
struct Follower {
    output: Growing,
    /// Appears when the next attempt begins.
    next_attempt: PathBuf,
    job_ended: oneshot::Receiver<Result<Job, Failure>>,
}

impl Follower {
    fn new(service: &Service, job: JobId, attempt: u32, wanted: &Wanted) -> io::Result<Self> {
        let (reply, job_ended) = oneshot::channel();
        let asked = service.tell(Message::Show { job, when_finished: true, reply });
        asked.map_err(|failure| io::Error::other(failure.problem.error))?;
        let path = service.state.output(job, attempt, wanted.stream);
        Ok(Self {
            output: Growing::new(&service.watches, path, wanted.offset)?,
            next_attempt: service.state.output(job, attempt + 1, Stream::Stdout),
            job_ended,
        })
    }

    async fn send_all(mut self, pieces: &Sender<io::Result<Bytes>>) -> io::Result<()> {
        let mut is_over = false;
        loop {
            is_over |= self.next_attempt.exists();
            while let Some(piece) = self.output.next().await? {
                send(pieces, piece).await?;
            }
            if is_over {
                return Ok(());
            }
            tokio::select! {
                () = self.output.changed() => {}
                ended = &mut self.job_ended => match ended {
                    Ok(Ok(_)) => is_over = true,
                    Ok(Err(failure)) => return Err(io::Error::other(failure.problem.error)),
                    Err(_) => return Err(io::Error::other("the gateway leaves")),
                },
            }
        }
    }
}

/// Pieces as a response body.
pub(super) struct Pieces(pub Receiver<io::Result<Bytes>>);

impl futures_core::Stream for Pieces {
    type Item = io::Result<Frame<Bytes>>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(context).map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}

#[cfg(test)]
mod tests;
