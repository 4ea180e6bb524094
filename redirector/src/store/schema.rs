//! The journal's schema and its migrations.

use rusqlite::{Connection, Result};

/// One script per version; a journal of version `n` has run the first `n`.
/// A script that was released is never edited: changes are a new script.
pub(super) const MIGRATIONS: &[&str] = &[
    "
    CREATE TABLE meta (
        name  TEXT PRIMARY KEY,
        value BLOB NOT NULL
    ) WITHOUT ROWID;

    -- Jobs of one run share their environment but for a few entries a rule:
    -- kept once, by digest.
    CREATE TABLE environments (
        digest  BLOB PRIMARY KEY,
        entries TEXT NOT NULL
    ) WITHOUT ROWID;

    CREATE TABLE jobs (
        id          INTEGER PRIMARY KEY,
        key         TEXT NOT NULL,
        spawned_by  INTEGER REFERENCES jobs (id),
        run         INTEGER NOT NULL,
        kind        TEXT NOT NULL,
        name        TEXT NOT NULL,
        spec        TEXT NOT NULL,
        environment BLOB REFERENCES environments (digest),
        state       TEXT NOT NULL,
        outcome     TEXT,
        submitted   INTEGER NOT NULL,
        started     INTEGER,
        ended       INTEGER,
        node        TEXT,
        usage       TEXT,
        client_pid  INTEGER NOT NULL
    );
    CREATE INDEX jobs_by_run ON jobs (run);
    CREATE INDEX sessions_by_key ON jobs (key) WHERE kind = 'session';
    CREATE INDEX jobs_runs ON jobs (id) WHERE spawned_by IS NULL;
    CREATE INDEX jobs_unfinished ON jobs (id) WHERE state <> 'finished';
",
    "
    -- The row of a job tells of its last attempt, those before it are here: a job
    -- that succeeds at once, as nearly all do, needs no second row.
    ALTER TABLE jobs ADD COLUMN attempt INTEGER NOT NULL DEFAULT 1;
    CREATE TABLE attempts (
        job     INTEGER NOT NULL REFERENCES jobs (id),
        number  INTEGER NOT NULL,
        node    TEXT NOT NULL,
        started INTEGER NOT NULL,
        ended   INTEGER NOT NULL,
        outcome TEXT NOT NULL,
        usage   TEXT,
        PRIMARY KEY (job, number)
    ) WITHOUT ROWID;

    -- The process that runs the last attempt of a detached job: another one cannot
    -- know how it ended.
    ALTER TABLE jobs ADD COLUMN agent TEXT;

    -- The cpus and other pieces of the node that the last attempt has for itself.
    ALTER TABLE jobs ADD COLUMN given TEXT;

    -- A detached job may start long after its client has gone, so its environment is
    -- kept as it is, until all jobs that need it have ended.
    ALTER TABLE jobs ADD COLUMN whole_environment BLOB;
    CREATE TABLE whole_environments (
        digest  BLOB PRIMARY KEY,
        entries TEXT NOT NULL
    ) WITHOUT ROWID;

    -- A submission whose answer was lost is sent again.
    CREATE TABLE submissions (
        key   TEXT PRIMARY KEY,
        first INTEGER NOT NULL,
        last  INTEGER NOT NULL
    ) WITHOUT ROWID;

    CREATE INDEX runs_by_end ON jobs (ended) WHERE spawned_by IS NULL AND state = 'finished';
",
];

/// The version this program writes.
pub(super) const VERSION: u32 = MIGRATIONS.len() as u32;

/// The version of an open journal; 0 if it is new.
pub(super) fn version(connection: &Connection) -> Result<u32> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}

/// Brings an open journal to [`VERSION`], each step in a transaction of its own.
pub(super) fn migrate(connection: &mut Connection) -> Result<()> {
    let from = version(connection)? as usize;
    for (index, script) in MIGRATIONS.iter().enumerate().skip(from) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(script)?;
        transaction.pragma_update(None, "user_version", index + 1)?;
        transaction.commit()?;
    }
    Ok(())
}
