//! `GET /v1/runs/ID/log`: what all jobs of a run say, on all nodes, as lines of JSON
//! ([`LogLine`]) in the order in which they arrive here.
//!
//! ```text
//!   core ── started, ended ──► Teller ── one task per attempt ──┬─ stdout ─┐
//!                                                               ├─ stderr ─┼─► lines
//!                                                               └─ records ┘
//! ```
//!
//! What attached jobs write goes to their clients and is not kept: of them, there is when they
//! started and ended, and what they logged. The number of any job stands for that job alone.

mod attempt;
pub(super) mod echo;

use std::{collections::HashMap, io};

use axum::{
    body::{Body, Bytes},
    extract::{Path, Query, State},
    response::{IntoResponse, Response},
};
use http_body_util::StreamBody;
use serde::Deserialize;
use tokio::{
    sync::{
        broadcast::{self, error::RecvError},
        mpsc, watch,
    },
    task::JoinSet,
};

use super::{
    core::{Happening, What},
    logs::Pieces,
    message::{Failure, Message},
    service::Service,
};
use crate::{
    model::{Job, JobId, NodeName, Outcome, State as JobState, Timestamp},
    protocol::{LogLine, PAGE, Said},
    store::Filter,
};
use attempt::{AttemptLog, Phase};

/// Lines that are read before the first of them was taken.
const LINES_AHEAD: usize = 64;

/// `?follow=true`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Wanted {
    /// Go on until the run has ended.
    follow: bool,
}

/// Where lines go.
type Lines = mpsc::Sender<io::Result<Bytes>>;

pub(super) async fn log(
    State(service): State<Service>,
    Path(run): Path<u64>,
    Query(Wanted { follow }): Query<Wanted>,
) -> Result<Response, Failure> {
    let id = JobId(run);
    let happenings = service.ask(|reply| Message::Happenings { reply }).await?;
    let root = show(&service, id).await?;
    let (lines, receiver) = mpsc::channel(LINES_AHEAD);
    let teller = Teller {
        service,
        root: id,
        is_whole_run: root.run == id,
        follow,
        attempts: HashMap::new(),
        is_over: false,
        lines: lines.clone(),
        tasks: JoinSet::new(),
    };
    tokio::spawn(async move {
        let told = tokio::select! {
            told = teller.tell(happenings) => told,
            () = lines.closed() => return,
        };
        if let Err(error) = told {
            // Fails when the reader is gone.
            drop(lines.send(Err(error)).await);
        }
    });
    Ok(Body::new(StreamBody::new(Pieces(receiver))).into_response())
}

async fn show(service: &Service, job: JobId) -> Result<Job, Failure> {
    service.ask(|reply| Message::Show { job, when_finished: false, reply }).await?
}

/// Tells one reader all of a run.
struct Teller {
    service: Service,
    root: JobId,
    is_whole_run: bool,
    follow: bool,
    /// Those that were told of, and what tells that they have ended.
    attempts: HashMap<(JobId, u32), watch::Sender<Phase>>,
    /// The run has ended.
    is_over: bool,
    lines: Lines,
    tasks: JoinSet<io::Result<()>>,
}

impl Teller {
    async fn tell(mut self, mut happenings: broadcast::Receiver<Happening>) -> io::Result<()> {
        self.take_stock().await?;
        while self.follow && !self.is_over {
            tokio::select! {
                happened = happenings.recv() => match happened {
                    Ok(happening) => self.happened(happening),
                    Err(RecvError::Lagged(_)) => self.take_stock().await?,
                    Err(RecvError::Closed) => return Err(io::Error::other("the gateway leaves")),
                },
                Some(told) = self.tasks.join_next() => told??,
            }
        }
        while let Some(told) = self.tasks.join_next().await {
            told??;
        }
        Ok(())
    }

    /// Tells of all that has happened before, and of what was missed.
    async fn take_stock(&mut self) -> io::Result<()> {
        let refused = |failure: Failure| io::Error::other(failure.problem.error);
        let mut ids = Vec::new();
        let mut before = None;
        let mut is_more = self.is_whole_run;
        while is_more {
            let (all, run, limit) = (true, Some(self.root), Some(PAGE));
            let filter = Filter { all, run, before, limit, ..Filter::default() };
            let page = self.service.ask(|reply| Message::List { filter, reply }).await;
            let page = page.and_then(|page| page).map_err(refused)?;
            ids.extend(page.iter().map(|job| job.id));
            before = page.last().map(|job| job.id);
            is_more = page.len() >= PAGE as usize;
        }
        if !self.is_whole_run {
            ids.push(self.root);
        }
        for id in ids.into_iter().rev() {
            match show(&self.service, id).await {
                Ok(job) => self.stands(&job).await?,
                // Purged meanwhile.
                Err(failure) if failure.status == 404 => {}
                Err(failure) => return Err(refused(failure)),
            }
        }
        Ok(())
    }

    /// Tells how a job stands.
    async fn stands(&mut self, job: &Job) -> io::Result<()> {
        for ended in &job.attempts {
            let attempt = (job.id, ended.number);
            let phase = Phase::Ended { at: ended.ended, outcome: ended.outcome.clone() };
            if self.attempts.contains_key(&attempt) {
                self.now_at(attempt, phase);
                continue;
            }
            let log = self.log_of(attempt, Some(ended.node.clone()), job.spec.detached);
            let (told, phases) = watch::channel(phase);
            self.attempts.insert(attempt, told);
            // One after the other: a long run has more files than may be open.
            AttemptLog { started: Some(ended.started), ..log }.tell(phases).await?;
        }
        if job.state == JobState::Running
            && let Some(started) = job.started
        {
            let attempt = (job.id, job.last_attempt());
            self.started(attempt, job.node.clone(), job.spec.detached, started);
            if !self.follow {
                self.now_at(attempt, Phase::Enough);
            }
        }
        if let (Some(outcome), Some(at)) = (&job.outcome, job.ended) {
            let attempt = (job.id, job.last_attempt());
            self.ended(attempt, job.node.clone(), job.spec.detached, at, outcome.clone());
            self.is_over |= job.id == self.root;
        }
        Ok(())
    }

    fn happened(&mut self, happening: Happening) {
        let Happening { run, job, attempt, node, is_detached, at, what } = happening;
        if job != self.root && (run != self.root || !self.is_whole_run) {
            return;
        }
        match what {
            What::Started => self.started((job, attempt), node, is_detached, at),
            What::Ended { outcome, is_tried_again } => {
                self.ended((job, attempt), node, is_detached, at, outcome);
                self.is_over |= job == self.root && !is_tried_again;
            }
        }
    }

    fn started(
        &mut self,
        attempt: (JobId, u32),
        node: Option<NodeName>,
        is_detached: bool,
        at: Timestamp,
    ) {
        if self.attempts.contains_key(&attempt) {
            return;
        }
        let (phase, phases) = watch::channel(Phase::Runs);
        self.attempts.insert(attempt, phase);
        let log = AttemptLog { started: Some(at), ..self.log_of(attempt, node, is_detached) };
        self.tasks.spawn(log.tell(phases));
    }

    fn log_of(
        &self,
        (job, attempt): (JobId, u32),
        node: Option<NodeName>,
        is_detached: bool,
    ) -> AttemptLog {
        let (service, lines) = (self.service.clone(), self.lines.clone());
        AttemptLog { service, job, attempt, node, started: None, is_detached, lines }
    }

    fn ended(
        &mut self,
        attempt: (JobId, u32),
        node: Option<NodeName>,
        is_detached: bool,
        at: Timestamp,
        outcome: Outcome,
    ) {
        let phase = Phase::Ended { at, outcome };
        if self.attempts.contains_key(&attempt) {
            return self.now_at(attempt, phase);
        }
        // It ended before it could start.
        let (told, phases) = watch::channel(phase);
        self.attempts.insert(attempt, told);
        self.tasks.spawn(self.log_of(attempt, node, is_detached).tell(phases));
    }

    fn now_at(&self, attempt: (JobId, u32), phase: Phase) {
        if let Some(now) = self.attempts.get(&attempt) {
            now.send_if_modified(|now| {
                let is_news = matches!(now, Phase::Runs);
                if is_news {
                    *now = phase;
                }
                is_news
            });
        }
    }
}

/// A line as it is sent.
fn to_bytes(line: &LogLine) -> Bytes {
    let mut bytes = serde_json::to_vec(line).expect("lines have string keys only");
    bytes.push(b'\n');
    bytes.into()
}

/// Sends what an attempt said.
async fn send(lines: &Lines, head: (Timestamp, &AttemptLog), said: Said) -> io::Result<()> {
    let (at, log) = head;
    let (node, job, attempt) = (log.node.clone(), log.job, log.attempt);
    let line = LogLine { at, node, job, attempt, said };
    lines.send(Ok(to_bytes(&line))).await.map_err(|_| io::ErrorKind::BrokenPipe.into())
}

#[cfg(test)]
mod tests;
