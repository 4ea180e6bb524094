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

mod assignment;
mod progress;
mod purge;
mod query;
mod schema;
mod write;

use std::path::{Path, PathBuf};

use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use crate::model::JobId;

pub use assignment::{Recipe, WholeEnvironment};
pub use progress::{EndedJobs, LiveJob, RunCounts};
pub use purge::{Purged, Retention};
pub use query::{EndedBetween, Filter, Unfinished};
pub use write::{Environment, NewJob, Write};

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
    /// A detached job's environment is gone, although it has not ended.
    #[error("journal: the environment of job {job} is missing; submit its command again")]
    NoEnvironment {
        /// The job.
        job: JobId,
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

/// An open journal.
pub struct Store {
    connection: Connection,
    path: PathBuf,
    last_environment: Option<write::Kept>,
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
                 PRAGMA wal_autocheckpoint = 4000; PRAGMA cache_size = -8192; PRAGMA temp_store = MEMORY; PRAGMA foreign_keys = OFF;"
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
            write::apply(connection, write, &mut self.last_environment)?;
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

#[cfg(test)]
mod tests;
