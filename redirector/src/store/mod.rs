//! The journal: every job from before its id is answered, in one SQLite file.
//!
//! Changes are [`Write`]s; [`Store::commit`] applies a batch of them in one
//! transaction, so that everything that happened at once costs one commit:
//!
//! ```text
//! let store = Store::open(&path, Durability::Process)?;
//! store.commit(&[Write::Insert(new_job), Write::Finish(finish)])?;
//! let job = store.job(JobId(1))?;
//! ```
//!
//! With [`Durability::Process`] a committed batch survives the death of the
//! gateway, because it is in the kernel's page cache; with [`Durability::Full`]
//! it also survives the loss of power.

mod progress;
mod query;
mod schema;

use std::path::{Path, PathBuf};

use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};

use crate::model::{JobId, NodeName, Outcome, Spec, State, Text, Timestamp, Usage, secret};

pub use progress::{EndedJobs, LiveJob, RunCounts};
pub use query::{Filter, Unfinished};

/// What a committed batch survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// The death of the gateway.
    #[default]
    Process,
    /// The loss of power too: each batch is synced to the disk.
    Full,
}

/// The journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A later version of redirector has written it.
    #[error(
        "the journal {path} was written by a newer redirector (version {found}, this one knows {known}): \
         use that one, or set REDIRECTOR_STATE_DIR to another directory"
    )]
    Newer {
        /// The journal.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The version this program writes.
        known: u32,
    },
    /// SQLite refused.
    #[error("journal {path}: {cause}")]
    Database {
        /// The journal.
        path: PathBuf,
        /// SQLite's reason.
        cause: rusqlite::Error,
    },
    /// A record does not read back.
    #[error("journal: job {job} has a damaged record: {cause}")]
    Record {
        /// The job.
        job: JobId,
        /// What does not parse.
        cause: serde_json::Error,
    },
}

impl Error {
    /// Whether the journal's content is damaged (not its disk, not its permissions).
    pub fn is_corruption(&self) -> bool {
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
        matches!(self, Self::Database { cause, .. }
            if matches!(cause.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase)))
    }
}

/// One change to the journal.
#[derive(Clone, Debug)]
pub enum Write {
    /// A new job.
    Insert(Box<NewJob>),
    /// Its resources were granted.
    Start {
        /// The job.
        job: JobId,
        /// Where it runs.
        node: NodeName,
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
}

impl Write {
    /// The job that it is about.
    pub fn job(&self) -> JobId {
        match self {
            Self::Insert(new) => new.id,
            Self::Start { job, .. } | Self::Finish { job, .. } => *job,
        }
    }
}

/// A job as it enters the journal.
#[derive(Clone, Debug)]
pub struct NewJob {
    /// Its number.
    pub id: JobId,
    /// What makes a repeated submission the same job.
    pub key: String,
    /// The job that submitted it.
    pub spawned_by: Option<JobId>,
    /// The run it belongs to.
    pub run: JobId,
    /// What was asked.
    pub spec: Spec,
    /// In what environment.
    pub environment: Vec<Text>,
    /// When.
    pub submitted: Timestamp,
    /// The process that waits for it.
    pub client_pid: i32,
    /// Where and since when it runs, if it does not have to wait.
    pub started: Option<(NodeName, Timestamp)>,
}

/// An open journal.
pub struct Store {
    connection: Connection,
    path: PathBuf,
    last_environment: Option<(Vec<Text>, blake3::Hash)>,
}

impl Store {
    /// Opens the journal at `path`, making or migrating it as needed.
    pub fn open(path: &Path, durability: Durability) -> Result<Self, Error> {
        let database = |cause| Error::Database { path: path.to_owned(), cause };
        let mut connection = Connection::open(path).map_err(database)?;
        let found = schema::version(&connection).map_err(database)?;
        if found > schema::VERSION {
            return Err(Error::Newer { path: path.to_owned(), found, known: schema::VERSION });
        }
        // One process owns the journal (the gateway's lock sees to it). Exclusive
        // locking saves system calls and needs no shared memory, which network
        // file systems lack. NORMAL syncs at checkpoints only.
        let synchronous = match durability {
            Durability::Process => "NORMAL",
            Durability::Full => "FULL",
        };
        connection
            .execute_batch(&format!(
                "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = {synchronous};
                 PRAGMA wal_autocheckpoint = 4000; PRAGMA temp_store = MEMORY; PRAGMA foreign_keys = OFF;"
            ))
            .map_err(database)?;
        schema::migrate(&mut connection).map_err(database)?;
        connection.set_prepared_statement_cache_capacity(32);
        Ok(Self { connection, path: path.to_owned(), last_environment: None })
    }

    /// Applies `writes` in order, all or none.
    pub fn commit(&mut self, writes: &[Write]) -> Result<(), Error> {
        let result = self.apply(writes);
        if result.is_err() {
            self.last_environment = None;
            // Fails where the error has undone the transaction already.
            drop(self.connection.execute_batch("ROLLBACK"));
        }
        result.map_err(|cause| self.error(cause))
    }

    fn apply(&mut self, writes: &[Write]) -> rusqlite::Result<()> {
        let connection = &self.connection;
        // Prepared once, unlike rusqlite's own transactions.
        connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        for write in writes {
            match write {
                Write::Insert(job) => insert(connection, job, &mut self.last_environment)?,
                Write::Start { job, node, at } => start(connection, *job, node, *at)?,
                Write::Finish { job, outcome, usage, at } => {
                    finish(connection, *job, outcome, usage.as_ref(), *at)?;
                }
            }
        }
        connection.prepare_cached("COMMIT")?.execute([]).map(drop)
    }

    /// A secret of this journal's own, made at first use; job tokens derive from it.
    pub fn secret(&mut self) -> Result<[u8; 32], Error> {
        let path = self.path.clone();
        let database = |cause| Error::Database { path: path.clone(), cause };
        let fresh = crate::random::bytes::<32>();
        self.connection
            .execute("INSERT OR IGNORE INTO meta (name, value) VALUES ('secret', ?1)", [&fresh[..]])
            .map_err(database)?;
        self.connection
            .query_row("SELECT value FROM meta WHERE name = 'secret'", [], |row| row.get(0))
            .map_err(database)
    }

    fn error(&self, cause: rusqlite::Error) -> Error {
        Error::Database { path: self.path.clone(), cause }
    }
}

fn json<T: Serialize>(value: &T) -> rusqlite::Result<String> {
    serde_json::to_string(value)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
}

fn insert(
    connection: &Connection,
    job: &NewJob,
    last_environment: &mut Option<(Vec<Text>, blake3::Hash)>,
) -> rusqlite::Result<()> {
    let digest = match last_environment {
        Some((last, digest)) if *last == job.environment => *digest,
        _ => {
            let entries = json(&secret::redact(job.environment.clone()))?;
            let digest = blake3::hash(entries.as_bytes());
            connection
                .prepare_cached(
                    "INSERT OR IGNORE INTO environments (digest, entries) VALUES (?1, ?2)",
                )?
                .execute(params![digest.as_bytes(), entries])?;
            *last_environment = Some((job.environment.clone(), digest));
            digest
        }
    };
    let state = if job.started.is_some() { State::Running } else { State::Queued };
    let (node, started) = job.started.as_ref().map(|(node, at)| (&node.0, at.0)).unzip();
    connection
        .prepare_cached(
            "INSERT INTO jobs (id, key, spawned_by, run, kind, name, spec, environment, state, submitted, started,
                               node, client_pid)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
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
        ])?;
    Ok(())
}

fn start(
    connection: &Connection,
    job: JobId,
    node: &NodeName,
    at: Timestamp,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE jobs SET state = ?2, node = ?3, started = ?4 WHERE id = ?1")?
        .execute(params![job.0, State::Running.word(), node.0, at.0])?;
    Ok(())
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
            "UPDATE jobs SET state = ?2, outcome = ?3, usage = ?4, ended = ?5 WHERE id = ?1",
        )?
        .execute(params![
            job.0,
            State::Finished.word(),
            json(outcome)?,
            usage.map(json).transpose()?,
            at.0
        ])?;
    Ok(())
}

#[cfg(test)]
mod tests;
