//! What nodes, and programs on them, have to say.
//!
//! ```text
//!   agent ── Report::Log ──┐                ┌─► the gateway's log, as node.HOST.JOB
//!   job ─── POST /v1/log ──┴─► Core::log ───┴─► the job's records, beside its output
//! ```

use super::Core;
use crate::{
    agent::protocol::LogRecord,
    gateway::{message::Failure, records},
    model::{JobId, NodeName, Timestamp},
};

impl Core {
    /// An agent, or a program on its node, has said something.
    pub(super) fn agent_log(&mut self, node: &NodeName, record: &LogRecord) {
        tell(node, record);
        if let Some(job) = record.job
            && let Err(error) = self.keep(job, record)
        {
            tracing::debug!(target: "node", "node.{node}.{job}: {error}");
        }
    }

    /// A job of this computer has said something.
    pub(super) fn job_log(&mut self, token: &str, record: LogRecord) -> Result<(), Failure> {
        let job = self.tokens.job(token).ok_or_else(|| {
            Failure::new(403, "this is not the token of a job; $REDIRECTOR_TOKEN has a job's own")
        })?;
        let node = self.live.get(&job).and_then(|live| live.node.clone());
        let record = LogRecord { job: Some(job), ..record };
        tell(node.as_ref().unwrap_or(&self.fleet.own), &record);
        self.keep(job, &record).map_err(|error| {
            let status = match error {
                records::Error::Full | records::Error::Long => 413,
                records::Error::Unwritten { .. } => 503,
            };
            Failure::new(status, format!("job {job}: {error}"))
        })
    }

    /// Warns of something about a job, in the gateway's log and in that of the job's run.
    pub(super) fn warn_of(&self, job: JobId, message: &str) {
        tracing::warn!("{message}");
        let record = LogRecord {
            at: Timestamp::now(),
            level: "warn".to_owned(),
            job: Some(job),
            message: message.to_owned(),
            fields: serde_json::Map::new(),
        };
        if let Err(error) = self.keep(job, &record) {
            tracing::debug!("the log of job {job} has no record of this: {error}");
        }
    }

    fn keep(&self, job: JobId, record: &LogRecord) -> Result<(), records::Error> {
        let attempt = match self.live.get(&job) {
            Some(live) => live.attempt,
            None => match self.journal.store().job(job) {
                Ok(Some(record)) => record.last_attempt(),
                // It was purged, and its records with it.
                Ok(None) | Err(_) => return Ok(()),
            },
        };
        records::append(&self.setup.state.records(job, attempt), record)
    }
}

/// Into the gateway's own log.
fn tell(node: &NodeName, record: &LogRecord) {
    let name = match record.job {
        Some(job) => format!("node.{node}.{job}"),
        None => format!("node.{node}"),
    };
    let message = &record.message;
    let fields: Vec<_> =
        record.fields.iter().map(|(name, value)| format!(" {name}={value}")).collect();
    let fields = fields.concat();
    match &*record.level {
        "error" => tracing::error!(target: "node", "{name}: {message}{fields}"),
        "warn" => tracing::warn!(target: "node", "{name}: {message}{fields}"),
        "info" => tracing::info!(target: "node", "{name}: {message}{fields}"),
        "debug" => tracing::debug!(target: "node", "{name}: {message}{fields}"),
        _ => tracing::trace!(target: "node", "{name}: {message}{fields}"),
    }
}
