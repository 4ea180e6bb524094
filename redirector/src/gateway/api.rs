//! Everything but leases: listing, showing, waiting, cancelling, stopping.

use std::time::Duration;

use axum::{
    Json,
    extract::{Path, Query, State},
};
use serde::Deserialize;

use super::{
    message::{Failure, Message},
    service::Service,
};
use crate::{
    model::{Job, JobId, Timestamp},
    protocol::{
        Cancellation, DetachedSubmission, Explained, LogEntry, PAGE, Progress, Purge, Purged,
        Status, Stop, Submitted,
    },
    store::{EndedBetween, Filter, Retention},
};

/// `?wait=true`
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Show {
    wait: bool,
}

pub(super) async fn status(State(service): State<Service>) -> Result<Json<Status>, Failure> {
    service.ask(|reply| Message::Status { reply }).await.map(Json)
}

pub(super) async fn stop(
    State(service): State<Service>,
    Json(body): Json<Stop>,
) -> Result<Json<()>, Failure> {
    service.ask(|reply| Message::Stop { force: body.force, reply }).await?.map(Json)
}

pub(super) async fn jobs(
    State(service): State<Service>,
    Query(mut filter): Query<Filter>,
) -> Result<Json<Vec<Job>>, Failure> {
    filter.limit = Some(filter.limit.unwrap_or(PAGE).min(PAGE));
    service.ask(|reply| Message::List { filter, reply }).await?.map(Json)
}

/// `?first=ID&last=ID`
#[derive(Debug, Deserialize)]
pub(super) struct Span {
    first: JobId,
    last: JobId,
}

pub(super) async fn ended_between(
    State(service): State<Service>,
    Query(Span { first, last }): Query<Span>,
) -> Result<Json<EndedBetween>, Failure> {
    service.ask(|reply| Message::EndedBetween { first, last, reply }).await?.map(Json)
}

pub(super) async fn job(
    State(service): State<Service>,
    Path(job): Path<u64>,
    Query(show): Query<Show>,
) -> Result<Json<Job>, Failure> {
    let job = JobId(job);
    service.ask(|reply| Message::Show { job, when_finished: show.wait, reply }).await?.map(Json)
}

pub(super) async fn cancel(
    State(service): State<Service>,
    Path(job): Path<u64>,
    Json(body): Json<Cancellation>,
) -> Result<Json<Vec<JobId>>, Failure> {
    let job = JobId(job);
    service.ask(|reply| Message::Cancel { job, reason: body.reason, reply }).await?.map(Json)
}

/// `?seen=VERSION`
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Seen {
    seen: Option<u64>,
}

/// Changes to a run are gathered for this long: nobody reads more than five pictures a second.
const GATHER: Duration = Duration::from_millis(200);

pub(super) async fn progress(
    State(service): State<Service>,
    Path(run): Path<u64>,
    Query(Seen { seen }): Query<Seen>,
) -> Result<Json<Progress>, Failure> {
    let run = JobId(run);
    let look = || service.ask(|reply| Message::Progress { run, reply });
    let (mut progress, mut version) = look().await??;
    let Some(seen) = seen else { return Ok(Json(progress)) };
    while progress.version == seen && !progress.finished {
        // Closed: counted anew, under another version.
        let _changed = version.changed().await;
        (progress, version) = look().await??;
    }
    if !progress.finished {
        tokio::time::sleep(GATHER).await;
        (progress, _) = look().await??;
    }
    Ok(Json(progress))
}

pub(super) async fn submit(
    State(service): State<Service>,
    Json(submission): Json<DetachedSubmission>,
) -> Result<Json<Submitted>, Failure> {
    let submission = Box::new(submission);
    service.ask(|reply| Message::Detach { submission, reply }).await?.map(Json)
}

pub(super) async fn hold(
    State(service): State<Service>,
    Path(job): Path<u64>,
) -> Result<Json<Vec<JobId>>, Failure> {
    let job = JobId(job);
    service.ask(|reply| Message::Hold { job, reply }).await?.map(Json)
}

pub(super) async fn release(
    State(service): State<Service>,
    Path(job): Path<u64>,
) -> Result<Json<Vec<JobId>>, Failure> {
    let job = JobId(job);
    service.ask(|reply| Message::Release { job, reply }).await?.map(Json)
}

pub(super) async fn retry(
    State(service): State<Service>,
    Path(job): Path<u64>,
) -> Result<Json<Vec<JobId>>, Failure> {
    let job = JobId(job);
    service.ask(|reply| Message::Retry { job, reply }).await?.map(Json)
}

pub(super) async fn explain(
    State(service): State<Service>,
    Path(job): Path<u64>,
) -> Result<Json<Explained>, Failure> {
    let job = JobId(job);
    service.ask(|reply| Message::Explain { job, reply }).await?.map(Json)
}

pub(super) async fn purge(
    State(service): State<Service>,
    Json(body): Json<Purge>,
) -> Result<Json<Purged>, Failure> {
    let before = |age| Timestamp(Timestamp::now().0.saturating_sub(age));
    let retention = Retention { ended_before: body.older_than_ms.map(before), keep: body.keep };
    service.ask(|reply| Message::Purge { retention, reply: Some(reply) }).await?.map(Json)
}

/// `?token=…`
#[derive(Debug, Deserialize)]
pub(super) struct ByToken {
    token: String,
}

pub(super) async fn log(
    State(service): State<Service>,
    Query(ByToken { token }): Query<ByToken>,
    Json(entry): Json<LogEntry>,
) -> Result<Json<()>, Failure> {
    let record = entry.into_record();
    service.ask(|reply| Message::Log { token, record, reply }).await?.map(Json)
}
