//! What is needed to start a detached job: read when it is started, because a
//! hundred thousand of them may wait.

use rusqlite::{OptionalExtension, params};

use super::{Error, Store};
use crate::model::{JobId, Spec, Text};

/// A detached job as the journal has it.
#[derive(Debug)]
pub struct Recipe {
    /// What was asked.
    pub spec: Spec,
    /// Names its environment.
    pub environment: Vec<u8>,
}

/// The environment of detached jobs, nothing left out.
pub type WholeEnvironment = Vec<Text>;

impl Store {
    /// How to start `job`; `None` if it is no detached job.
    pub fn recipe(&self, job: JobId) -> Result<Option<Recipe>, Error> {
        let row: Option<(String, Option<Vec<u8>>)> = self
            .connection
            .prepare_cached("SELECT spec, whole_environment FROM jobs WHERE id = ?1")
            .and_then(|mut statement| {
                statement.query_row([job.0], |row| Ok((row.get(0)?, row.get(1)?))).optional()
            })
            .map_err(|cause| self.error(cause))?;
        let Some((spec, Some(environment))) = row else { return Ok(None) };
        let spec = serde_json::from_str(&spec).map_err(|cause| Error::Record { job, cause })?;
        Ok(Some(Recipe { spec, environment }))
    }

    /// What was asked for as `job`; `None` if there is no such job.
    pub fn spec(&self, job: JobId) -> Result<Option<Spec>, Error> {
        let spec: Option<String> = self
            .connection
            .prepare_cached("SELECT spec FROM jobs WHERE id = ?1")
            .and_then(|mut statement| statement.query_row([job.0], |row| row.get(0)).optional())
            .map_err(|cause| self.error(cause))?;
        spec.map(|spec| serde_json::from_str(&spec).map_err(|cause| Error::Record { job, cause }))
            .transpose()
    }

    /// The environment that [`Recipe::environment`] names. `None` once all its jobs had ended.
    pub fn whole_environment(
        &self,
        job: JobId,
        digest: &[u8],
    ) -> Result<Option<WholeEnvironment>, Error> {
        let entries: Option<String> = self
            .connection
            .prepare_cached("SELECT entries FROM whole_environments WHERE digest = ?1")
            .and_then(|mut statement| statement.query_row([digest], |row| row.get(0)).optional())
            .map_err(|cause| self.error(cause))?;
        entries
            .map(|entries| {
                serde_json::from_str(&entries).map_err(|cause| Error::Record { job, cause })
            })
            .transpose()
    }

    /// Forgets environments that no unfinished job needs.
    pub fn forget_environments(&mut self) -> Result<(), Error> {
        // Its row may go.
        self.last_environment = None;
        self.connection
            .execute(
                "DELETE FROM whole_environments WHERE digest NOT IN
                 (SELECT whole_environment FROM jobs
                  WHERE state <> 'finished' AND whole_environment IS NOT NULL)",
                [],
            )
            .map(drop)
            .map_err(|cause| self.error(cause))
    }

    /// The jobs of the submission that came under this key.
    pub fn submission(&self, key: &str) -> Result<Option<(JobId, JobId)>, Error> {
        self.connection
            .prepare_cached("SELECT first, last FROM submissions WHERE key = ?1")
            .and_then(|mut statement| {
                statement
                    .query_row(params![key], |row| Ok((JobId(row.get(0)?), JobId(row.get(1)?))))
                    .optional()
            })
            .map_err(|cause| self.error(cause))
    }
}
