//! Changes to the journal, and how each is written.

use std::sync::Arc;

use rusqlite::{Connection, params};
use serde::Serialize;

use crate::model::{Given, JobId, NodeName, Outcome, Spec, State, Text, Timestamp, Usage, secret};

/// One change to the journal.
#[derive(Clone, Debug)]
pub enum Write {
    /// A submission of one or more detached jobs, whose [`Write::Insert`]s follow.
    Submission {
        /// What makes a repeated submission the same.
        key: String,
        /// Its first job.
        first: JobId,
        /// Its last job.
        last: JobId,
    },
    /// A new job.
    Insert(Box<NewJob>),
    /// It was held or released, or waits no longer for other jobs.
    Move {
        /// The job.
        job: JobId,
        /// Its new state.
        state: State,
    },
    /// Its resources were granted.
    Start {
        /// The job.
        job: JobId,
        /// Where it runs.
        node: NodeName,
        /// The agent that runs it, if one does.
        agent: Option<String>,
        /// What it has of the node for itself.
        given: Given,
        /// When.
        at: Timestamp,
    },
    /// It was started and has ended: [`Write::Start`] and [`Write::Finish`] in one.
    Run {
        /// The job.
        job: JobId,
        /// Where it ran.
        node: NodeName,
        /// The agent that ran it, if one did.
        agent: Option<String>,
        /// What it had of the node for itself.
        given: Given,
        /// When it started.
        started: Timestamp,
        /// How it ended.
        outcome: Outcome,
        /// What it used.
        usage: Option<Usage>,
        /// When it ended.
        at: Timestamp,
    },
    /// An agent starts it as soon as another job has ended, or does not any more; it stays queued.
    Promise {
        /// The job.
        job: JobId,
        /// That agent.
        agent: Option<String>,
        /// What it will have of the node for itself.
        given: Given,
    },
    /// An attempt failed, and the job is queued for another one.
    Retry {
        /// The job.
        job: JobId,
        /// How the attempt ended.
        outcome: Outcome,
        /// What it used.
        usage: Option<Usage>,
        /// When.
        at: Timestamp,
    },
    /// Its outcome is known.
    Finish {
        /// The job.
        job: JobId,
        /// How it ended.
        outcome: Outcome,
        /// What it used, if it ran.
        usage: Option<Usage>,
        /// When.
        at: Timestamp,
    },
    /// A finished job is queued again, because somebody wants it tried once more.
    Reopen {
        /// The job.
        job: JobId,
    },
}

impl Write {
    /// The job that it is about.
    pub fn job(&self) -> JobId {
        match self {
            Self::Insert(new) => new.id,
            Self::Submission { first: job, .. }
            | Self::Move { job, .. }
            | Self::Start { job, .. }
            | Self::Run { job, .. }
            | Self::Promise { job, .. }
            | Self::Retry { job, .. }
            | Self::Finish { job, .. }
            | Self::Reopen { job } => *job,
        }
    }

    /// A [`Write::Start`] becomes a [`Write::Run`]; others stay what they are.
    pub fn finish(&mut self, outcome: Outcome, usage: Option<Usage>, at: Timestamp) {
        if let Self::Start { job, node, agent, given, at: started } = self {
            let (job, node, started) = (*job, node.clone(), *started);
            let (agent, given) = (agent.take(), std::mem::take(given));
            *self = Self::Run { job, node, agent, given, started, outcome, usage, at };
        }
    }
}

/// A job as it enters the journal.
#[derive(Clone, Debug)]
pub struct NewJob {
    /// Its number.
    pub id: JobId,
    /// What makes a repeated submission the same job; empty for a detached one.
    pub key: String,
    /// The job that submitted it.
    pub spawned_by: Option<JobId>,
    /// The run it belongs to.
    pub run: JobId,
    /// What was asked.
    pub spec: Spec,
    /// In what environment.
    pub environment: Environment,
    /// How far it is if it has not been started.
    pub state: State,
    /// When.
    pub submitted: Timestamp,
    /// The process that waits for it; 0 if none does.
    pub client_pid: i32,
    /// Where and since when it runs and with what, if it does not have to wait.
    pub started: Option<(NodeName, Timestamp, Given)>,
}

/// `NAME=VALUE` entries, shared by all jobs of one submission.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// The entries.
    pub entries: Arc<Vec<Text>>,
    /// Values that look secret are kept too, until the job has ended: it will be
    /// started from the journal.
    pub whole: bool,
}

impl From<Vec<Text>> for Environment {
    fn from(entries: Vec<Text>) -> Self {
        Self { entries: Arc::new(entries), whole: false }
    }
}

/// The environment that was written last, which the next job most likely shares.
pub(super) struct Kept {
    entries: Arc<Vec<Text>>,
    digest: blake3::Hash,
    whole: Option<blake3::Hash>,
}

impl Kept {
    fn is_for(&self, environment: &Environment) -> bool {
        environment.whole == self.whole.is_some()
            && (Arc::ptr_eq(&self.entries, &environment.entries)
                || self.entries == environment.entries)
    }
}

/// Writes one change.
pub(super) fn apply(
    connection: &Connection,
    write: &Write,
    kept: &mut Option<Kept>,
) -> rusqlite::Result<()> {
    match write {
        Write::Submission { key, first, last } => connection
            .prepare_cached("INSERT INTO submissions (key, first, last) VALUES (?1, ?2, ?3)")?
            .execute(params![key, first.0, last.0])
            .map(drop),
        Write::Insert(job) => insert(connection, job, kept),
        Write::Move { job, state } => connection
            .prepare_cached("UPDATE jobs SET state = ?2 WHERE id = ?1")?
            .execute(params![job.0, state.word()])
            .map(drop),
        Write::Start { job, node, agent, given, at } => connection
            .prepare_cached(
                "UPDATE jobs SET state = 'running', node = ?2, agent = ?3, started = ?4, given = ?5
                 WHERE id = ?1",
            )?
            .execute(params![job.0, node.0, agent, at.0, optional(given)?])
            .map(drop),
        Write::Run { job, node, agent, given, started, outcome, usage, at } => {
            let usage = usage.as_ref().map(json).transpose()?;
            connection
                .prepare_cached(
                    "UPDATE jobs SET state = 'finished', node = ?2, agent = ?3, started = ?4, given = ?5,
                                     outcome = ?6, usage = ?7, ended = ?8
                     WHERE id = ?1",
                )?
                .execute(params![
                    job.0,
                    node.0,
                    agent,
                    started.0,
                    optional(given)?,
                    json(outcome)?,
                    usage,
                    at.0
                ])
                .map(drop)
        }
        Write::Promise { job, agent, given } => connection
            .prepare_cached("UPDATE jobs SET agent = ?2, given = ?3 WHERE id = ?1")?
            .execute(params![job.0, agent, optional(given)?])
            .map(drop),
        Write::Retry { job, outcome, usage, at } => {
            finish(connection, *job, outcome, usage.as_ref(), *at)?;
            reopen(connection, *job)
        }
        Write::Finish { job, outcome, usage, at } => {
            finish(connection, *job, outcome, usage.as_ref(), *at)
        }
        Write::Reopen { job } => reopen(connection, *job),
    }
}

fn json<T: Serialize>(value: &T) -> rusqlite::Result<String> {
    serde_json::to_string(value)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
}

fn optional(given: &Given) -> rusqlite::Result<Option<String>> {
    (!given.is_nothing()).then(|| json(given)).transpose()
}

fn insert(connection: &Connection, job: &NewJob, kept: &mut Option<Kept>) -> rusqlite::Result<()> {
    let (digest, whole) = match kept {
        Some(kept) if kept.is_for(&job.environment) => (kept.digest, kept.whole),
        _ => {
            let written = keep(connection, &job.environment)?;
            let digests = (written.digest, written.whole);
            *kept = Some(written);
            digests
        }
    };
    let state = if job.started.is_some() { State::Running } else { job.state };
    let started = job.started.as_ref();
    let given = started.map(|(_, _, given)| optional(given)).transpose()?.flatten();
    let (node, started) = started.map(|(node, at, _)| (&node.0, at.0)).unzip();
    connection
        .prepare_cached(
            "INSERT INTO jobs (id, key, spawned_by, run, kind, name, spec, environment, state, submitted, started,
                               node, client_pid, whole_environment, given)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
        )?
        .execute(params![
            job.id.0,
            job.key,
            job.spawned_by.map(|parent| parent.0),
            job.run.0,
            job.spec.kind.word(),
            job.spec.name,
            json(&job.spec)?,
            digest.as_bytes(),
            state.word(),
            job.submitted.0,
            started,
            node,
            job.client_pid,
            whole.as_ref().map(blake3::Hash::as_bytes),
            given,
        ])?;
    Ok(())
}

fn keep(connection: &Connection, environment: &Environment) -> rusqlite::Result<Kept> {
    let entries = json(&secret::redact(environment.entries.to_vec()))?;
    let digest = blake3::hash(entries.as_bytes());
    connection
        .prepare_cached("INSERT OR IGNORE INTO environments (digest, entries) VALUES (?1, ?2)")?
        .execute(params![digest.as_bytes(), entries])?;
    let whole = if environment.whole {
        let entries = json(&*environment.entries)?;
        let digest = blake3::hash(entries.as_bytes());
        connection
            .prepare_cached(
                "INSERT OR IGNORE INTO whole_environments (digest, entries) VALUES (?1, ?2)",
            )?
            .execute(params![digest.as_bytes(), entries])?;
        Some(digest)
    } else {
        None
    };
    Ok(Kept { entries: Arc::clone(&environment.entries), digest, whole })
}

fn finish(
    connection: &Connection,
    job: JobId,
    outcome: &Outcome,
    usage: Option<&Usage>,
    at: Timestamp,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE jobs SET state = 'finished', outcome = ?2, usage = ?3, ended = ?4 WHERE id = ?1",
        )?
        .execute(params![job.0, json(outcome)?, usage.map(json).transpose()?, at.0])?;
    Ok(())
}

/// Sets the last attempt of a finished job down among those before it.
fn reopen(connection: &Connection, job: JobId) -> rusqlite::Result<()> {
    let tried = connection
        .prepare_cached(
            "INSERT INTO attempts (job, number, node, started, ended, outcome, usage)
             SELECT id, attempt, node, started, ended, outcome, usage FROM jobs
             WHERE id = ?1 AND started IS NOT NULL AND node IS NOT NULL",
        )?
        .execute([job.0])?;
    connection
        .prepare_cached(
            "UPDATE jobs SET state = 'queued', attempt = attempt + ?2, node = NULL, agent = NULL, started = NULL,
                             ended = NULL, outcome = NULL, usage = NULL
             WHERE id = ?1",
        )?
        .execute(params![job.0, tried])?;
    Ok(())
}
