//! Forgetting what has ended long ago.

use rusqlite::params;

use super::{Error, Store};
use crate::model::{JobId, Timestamp};

/// Which finished runs may go, with all jobs that came out of them: those of which neither of
/// these says that they stay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Those that ended later stay.
    pub ended_before: Option<Timestamp>,
    /// The latest so many stay.
    pub keep: Option<u64>,
}

/// A part of what was purged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Purged {
    /// The jobs that are gone.
    pub jobs: Vec<JobId>,
    /// Whether more remains to be purged.
    pub more: bool,
}

/// Runs that are purged in one transaction: others wait meanwhile.
const RUNS_AT_ONCE: u32 = 100;

impl Store {
    /// Purges some of the finished runs that `retention` lets go.
    ///
    /// A number is never given to another job, so the largest one is kept.
    pub fn purge(&mut self, retention: Retention) -> Result<Purged, Error> {
        let path = self.path.clone();
        // Its row may go.
        self.last_environment = None;
        self.purge_some(retention).map_err(|cause| Error::Database { path, cause })
    }

    fn purge_some(&mut self, retention: Retention) -> rusqlite::Result<Purged> {
        let transaction = self.connection.transaction()?;
        let oldest_kept = match retention.keep {
            None => u64::MAX >> 1,
            Some(keep) => transaction
                .prepare_cached(
                    "SELECT ended FROM jobs WHERE spawned_by IS NULL AND state = 'finished'
                     ORDER BY ended DESC LIMIT 1 OFFSET ?1",
                )?
                .query_map([keep], |row| row.get::<_, u64>(0))?
                .next()
                .transpose()?
                .map_or(0, |ended| ended + 1),
        };
        let before = retention.ended_before.map_or(u64::MAX >> 1, |at| at.0).min(oldest_kept);
        let runs: Vec<u64> = transaction
            .prepare_cached(
                "SELECT id FROM jobs AS run WHERE spawned_by IS NULL AND state = 'finished' AND ended < ?1
                 AND NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.run = run.id AND state <> 'finished')
                 ORDER BY ended LIMIT ?2",
            )?
            .query_map(params![before, RUNS_AT_ONCE], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        if runs.is_empty() {
            return Ok(Purged::default());
        }
        transaction.execute(
            "INSERT INTO meta (name, value) SELECT 'last_id', MAX(id) FROM jobs WHERE 1
             ON CONFLICT (name) DO UPDATE SET value = MAX(value, excluded.value)",
            [],
        )?;
        let mut jobs = Vec::new();
        for run in &runs {
            transaction
                .prepare_cached(
                    "DELETE FROM attempts WHERE job IN (SELECT id FROM jobs WHERE run = ?1)",
                )?
                .execute([run])?;
            let mut delete =
                transaction.prepare_cached("DELETE FROM jobs WHERE run = ?1 RETURNING id")?;
            for job in delete.query_map([run], |row| row.get(0).map(JobId))? {
                jobs.push(job?);
            }
        }
        let more = runs.len() == RUNS_AT_ONCE as usize;
        if !more {
            transaction.execute_batch(
                "DELETE FROM environments WHERE digest NOT IN
                     (SELECT environment FROM jobs WHERE environment IS NOT NULL);
                 DELETE FROM submissions WHERE NOT EXISTS
                     (SELECT 1 FROM jobs WHERE id BETWEEN submissions.first AND submissions.last);",
            )?;
        }
        transaction.commit()?;
        Ok(Purged { jobs, more })
    }
}
