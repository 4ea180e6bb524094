//! Reading the journal back.

use rusqlite::{OptionalExtension, Row, ToSql, types::Type};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{Error, Store};
use crate::model::{Attempt, Given, Job, JobId, NodeName, State, Timestamp};

/// Which jobs a listing wants.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Filter {
    /// Also jobs that other jobs submitted, not runs only.
    pub all: bool,
    /// Only jobs of this run.
    pub run: Option<JobId>,
    /// Only jobs in this state.
    pub state: Option<State>,
    /// Only jobs with this outcome's word.
    pub outcome: Option<String>,
    /// Only jobs that did not succeed.
    pub failed: bool,
    /// Only jobs whose name contains this.
    pub name: Option<String>,
    /// Only jobs with smaller numbers: the next page of a listing, newest first.
    pub before: Option<JobId>,
    /// At most this many.
    pub limit: Option<u32>,
}

/// Jobs of a span that have ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedBetween {
    /// Those that succeeded.
    pub succeeded: Vec<JobId>,
    /// Those that did not.
    pub failed: Vec<JobId>,
}

/// A job that a gateway before this one left unfinished.
#[derive(Clone, Debug)]
pub struct Unfinished {
    /// Its record.
    pub job: Job,
    /// What makes a repeated submission the same job.
    pub key: String,
    /// The number of the attempt that runs or comes next.
    pub attempt: u32,
    /// The agent that runs it, if one does.
    pub agent: Option<String>,
    /// What it has of the node for itself.
    pub given: Given,
}

const COLUMNS: &str = "jobs.id, spawned_by, run, spec, entries, state, outcome, submitted, started, ended, node, usage, \
                       client_pid, key, attempt, agent, given";
const FROM: &str = "FROM jobs LEFT JOIN environments ON digest = environment";

impl Store {
    /// The largest number that a job has; 0 in a new journal.
    pub fn last_id(&self) -> Result<JobId, Error> {
        self.connection
            .query_row(
                // A purge may have taken the job with the largest number.
                "SELECT MAX(COALESCE((SELECT MAX(id) FROM jobs), 0),
                            COALESCE((SELECT value FROM meta WHERE name = 'last_id'), 0))",
                [],
                |row| row.get(0).map(JobId),
            )
            .map_err(|cause| self.error(cause))
    }

    /// The job with this number, whole.
    pub fn job(&self, id: JobId) -> Result<Option<Job>, Error> {
        let job = self
            .connection
            .prepare_cached(&format!("SELECT {COLUMNS} {FROM} WHERE jobs.id = ?1"))
            .and_then(|mut statement| statement.query_row([id.0], read_job).optional())
            .map_err(|cause| self.error(cause))?;
        job.map(|found| self.with_attempts(found)).transpose()
    }

    /// The job with its attempts: those that are in a table of their own, and the last
    /// one, of which the job's row tells.
    fn with_attempts(&self, found: Unfinished) -> Result<Job, Error> {
        let Unfinished { mut job, attempt: number, .. } = found;
        if number > 1 {
            job.attempts = self.attempts(job.id)?;
        }
        if let (Some(node), Some(started), Some(ended), Some(outcome)) =
            (&job.node, job.started, job.ended, &job.outcome)
        {
            let (node, outcome) = (node.clone(), outcome.clone());
            job.attempts.push(Attempt { number, node, started, ended, outcome, usage: job.usage });
        }
        Ok(job)
    }

    /// The attempts at a job before its last one.
    pub fn attempts(&self, job: JobId) -> Result<Vec<Attempt>, Error> {
        self.connection
            .prepare_cached(
                "SELECT number, node, started, ended, outcome, usage FROM attempts
                 WHERE job = ?1 ORDER BY number",
            )
            .and_then(|mut statement| {
                let attempts = statement.query_map([job.0], |row| {
                    Ok(Attempt {
                        number: row.get(0)?,
                        node: NodeName(row.get(1)?),
                        started: Timestamp(row.get(2)?),
                        ended: Timestamp(row.get(3)?),
                        outcome: read_json(row, 4)?,
                        usage: read_optional_json(row, 5)?,
                    })
                })?;
                attempts.collect()
            })
            .map_err(|cause| self.error(cause))
    }

    /// The session that stands for the run with this key.
    pub fn session(&self, key: &str) -> Result<Option<JobId>, Error> {
        self.connection
            .prepare_cached("SELECT id FROM jobs WHERE key = ?1 AND kind = 'session'")
            .and_then(|mut statement| {
                statement.query_row([key], |row| row.get(0).map(JobId)).optional()
            })
            .map_err(|cause| self.error(cause))
    }

    /// Jobs that have no outcome yet, oldest first.
    pub fn unfinished(&self) -> Result<Vec<Unfinished>, Error> {
        self.connection
            .prepare_cached(&format!(
                "SELECT {COLUMNS} {FROM} WHERE state <> 'finished' ORDER BY jobs.id"
            ))
            .and_then(|mut statement| statement.query_map([], read_job)?.collect())
            .map_err(|cause| self.error(cause))
    }

    /// Which of the jobs from `first` to `last` have ended, and how.
    pub fn ended_between(&self, first: JobId, last: JobId) -> Result<EndedBetween, Error> {
        let mut ended = EndedBetween::default();
        self.connection
            .prepare_cached(
                "SELECT id, json_extract(outcome, '$.outcome') = 'ended'
                            OR json_extract(outcome, '$.exit_code') = 0
                 FROM jobs WHERE id BETWEEN ?1 AND ?2 AND state = 'finished' ORDER BY id",
            )
            .and_then(|mut statement| {
                let mut rows = statement.query([first.0, last.0])?;
                while let Some(row) = rows.next()? {
                    let is_success = row.get::<_, Option<bool>>(1)? == Some(true);
                    let list = if is_success { &mut ended.succeeded } else { &mut ended.failed };
                    list.push(JobId(row.get(0)?));
                }
                Ok(())
            })
            .map_err(|cause| self.error(cause))?;
        Ok(ended)
    }

    /// Jobs that `filter` lets through, newest first, without their attempts.
    pub fn jobs(&self, filter: &Filter) -> Result<Vec<Job>, Error> {
        let mut conditions = vec!["1"];
        let mut values: Vec<(&str, &dyn ToSql)> = Vec::new();
        if !filter.all && filter.run.is_none() {
            conditions.push("spawned_by IS NULL");
        }
        let run = filter.run.map(|run| run.0);
        let before = filter.before.map(|before| before.0);
        let state = filter.state.map(State::word);
        if run.is_some() {
            conditions.push("run = :run");
            values.push((":run", &run));
        }
        if state.is_some() {
            if filter.state != Some(State::Finished) {
                // In the words of the index over what is not finished: the few, not the many.
                conditions.push("state <> 'finished'");
            }
            conditions.push("state = :state");
            values.push((":state", &state));
        }
        if filter.outcome.is_some() {
            conditions.push("json_extract(outcome, '$.outcome') = :outcome");
            values.push((":outcome", &filter.outcome));
        }
        if filter.failed {
            conditions.push(
                "json_extract(outcome, '$.outcome') <> 'ended'
                 AND json_extract(outcome, '$.exit_code') IS NOT 0",
            );
        }
        if filter.name.is_some() {
            conditions.push("instr(jobs.name, :name) > 0");
            values.push((":name", &filter.name));
        }
        if before.is_some() {
            conditions.push("jobs.id < :before");
            values.push((":before", &before));
        }
        let limit = filter.limit.unwrap_or(u32::MAX);
        values.push((":limit", &limit));
        let sql = format!(
            "SELECT {COLUMNS} {FROM} WHERE {} ORDER BY jobs.id DESC LIMIT :limit",
            conditions.join(" AND ")
        );
        self.connection
            .prepare_cached(&sql)
            .and_then(|mut statement| {
                statement
                    .query_map(&values[..], |row| read_job(row).map(|found| found.job))?
                    .collect()
            })
            .map_err(|cause| self.error(cause))
    }
}

fn read_job(row: &Row) -> rusqlite::Result<Unfinished> {
    let state: String = row.get(5)?;
    let state = State::from_word(&state).ok_or_else(|| {
        rusqlite::Error::FromSqlConversionFailure(
            5,
            Type::Text,
            format!("unknown state '{state}'").into(),
        )
    })?;
    let job = Job {
        id: JobId(row.get(0)?),
        spawned_by: row.get::<_, Option<u64>>(1)?.map(JobId),
        run: JobId(row.get(2)?),
        spec: read_json(row, 3)?,
        environment: read_optional_json(row, 4)?.unwrap_or_default(),
        state,
        attempts: Vec::new(),
        outcome: read_optional_json(row, 6)?,
        submitted: Timestamp(row.get(7)?),
        started: row.get::<_, Option<u64>>(8)?.map(Timestamp),
        ended: row.get::<_, Option<u64>>(9)?.map(Timestamp),
        node: row.get::<_, Option<String>>(10)?.map(NodeName),
        usage: read_optional_json(row, 11)?,
        client_pid: row.get(12)?,
    };
    Ok(Unfinished {
        job,
        key: row.get(13)?,
        attempt: row.get(14)?,
        agent: row.get(15)?,
        given: read_optional_json(row, 16)?.unwrap_or_default(),
    })
}

fn read_json<T: DeserializeOwned>(row: &Row, column: usize) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    from_json(&text, column)
}

fn read_optional_json<T: DeserializeOwned>(
    row: &Row,
    column: usize,
) -> rusqlite::Result<Option<T>> {
    let text: Option<String> = row.get(column)?;
    text.map(|text| from_json(&text, column)).transpose()
}

fn from_json<T: DeserializeOwned>(text: &str, column: usize) -> rusqlite::Result<T> {
    serde_json::from_str(text).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column, Type::Text, error.into())
    })
}
