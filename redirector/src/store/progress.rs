//! How far a run's jobs are, counted by the database.

use rusqlite::OptionalExtension;

use super::{Error, Store};
use crate::model::{JobId, State, Timestamp};

/// The jobs of one run, without the run itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunCounts {
    /// Those that ended, by name.
    pub ended: Vec<EndedJobs>,
    /// Those that did not, oldest first.
    pub live: Vec<LiveJob>,
    /// When the last one was added; none was: when the run was.
    pub last_added: Timestamp,
    /// Whether the run has ended.
    pub finished: bool,
}

/// Jobs of one name that ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndedJobs {
    /// The name.
    pub name: String,
    /// The oldest.
    pub first: JobId,
    /// How many succeeded.
    pub succeeded: u64,
    /// How many did not.
    pub failed: u64,
    /// How many had been started.
    pub ran: u64,
    /// For how long, all together, in milliseconds.
    pub ran_ms: u64,
}

/// A job without an outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveJob {
    /// Its number.
    pub id: JobId,
    /// Its name.
    pub name: String,
    /// Since when it runs, if it does.
    pub started: Option<Timestamp>,
}

impl Store {
    /// Counts the jobs of `run`; `None` if no run has that number.
    pub fn run_counts(&self, run: JobId) -> Result<Option<RunCounts>, Error> {
        self.count(run).map_err(|cause| self.error(cause))
    }

    fn count(&self, run: JobId) -> rusqlite::Result<Option<RunCounts>> {
        let known = self
            .connection
            .prepare_cached("SELECT state FROM jobs WHERE id = ?1 AND run = ?1")?
            .query_row([run.0], |row| row.get::<_, String>(0))
            .optional()?;
        let Some(state) = known else { return Ok(None) };
        let last_added = self
            .connection
            .prepare_cached("SELECT MAX(submitted) FROM jobs WHERE run = ?1")?
            .query_row([run.0], |row| row.get(0).map(Timestamp))?;
        let ended = self
            .connection
            .prepare_cached(
                "SELECT name, MIN(id), SUM(success), SUM(NOT success), COUNT(started),
                        COALESCE(SUM(MAX(ended - started, 0)), 0)
                 FROM (SELECT name, id, started, ended,
                              COALESCE(json_extract(outcome, '$.outcome') = 'ended'
                                       OR json_extract(outcome, '$.exit_code') = 0, 0) AS success
                       FROM jobs WHERE run = ?1 AND id <> ?1 AND state = 'finished')
                 GROUP BY name",
            )?
            .query_map([run.0], |row| {
                Ok(EndedJobs {
                    name: row.get(0)?,
                    first: JobId(row.get(1)?),
                    succeeded: row.get(2)?,
                    failed: row.get(3)?,
                    ran: row.get(4)?,
                    ran_ms: row.get(5)?,
                })
            })?
            .collect::<rusqlite::Result<_>>()?;
        let live = self
            .connection
            .prepare_cached(
                "SELECT id, name, CASE state WHEN 'running' THEN started END FROM jobs
                 WHERE run = ?1 AND id <> ?1 AND state <> 'finished' ORDER BY id",
            )?
            .query_map([run.0], |row| {
                Ok(LiveJob {
                    id: JobId(row.get(0)?),
                    name: row.get(1)?,
                    started: row.get::<_, Option<u64>>(2)?.map(Timestamp),
                })
            })?
            .collect::<rusqlite::Result<_>>()?;
        let finished = state == State::Finished.word();
        Ok(Some(RunCounts { ended, live, last_added, finished }))
    }
}
