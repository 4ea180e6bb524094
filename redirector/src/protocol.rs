//! What a client and the gateway say to each other while a job is leased.
//!
//! One `POST /v1/lease` per job, lines of JSON in both directions at once
//! (chunked request and response bodies), for as long as the job lives:
//!
//! ```text
//! client                               gateway
//!   Submit (or Resume) ───────────────►  journals the job
//!   ◄──────────────────────── Accepted
//!   ◄───────────────────────── Granted   once the job's resources are free
//!   runs the command
//!   ◄────────────────────────── Signal   if the job is cancelled meanwhile
//!   Finished ─────────────────────────►  journals the outcome
//!   ◄──────────────────────── Recorded   or Retry: another Granted will follow
//! ```
//!
//! A job that another node has room for is placed there instead:
//!
//! ```text
//!   ◄────────────────────────── Placed
//!   Begin ────────────────────────────►  the node's agent runs the command
//!   ═══ POST /v1/jobs/ID/attach ═══════  its descriptors' bytes ([`crate::stdio`])
//!   ◄─────────────────────────── Ended   journalled; or Retry
//! ```
//!
//! An attempt is told by its number, so that a client that comes back with an outcome for which
//! it has not heard `Retry` is told so again, and the next attempt is not taken for ended.
//!
//! The lease ends with the connection: when the client dies, the gateway gives
//! its resources back and ends what is left of the job.

use serde::{Deserialize, Serialize};

use crate::{
    agent::protocol::{AttachedDescriptor, LogRecord},
    model::{Job, JobId, NodeName, Outcome, Resources, Spec, Text, Timestamp, Usage},
};

/// Where leases are asked for.
pub const LEASE_PATH: &str = "/v1/lease";

/// Where a client attaches to a job on another node: `POST`, with `Upgrade: redirector-stdio`;
/// the query names the `attempt` and the job's `token`.
pub fn attach_path(job: JobId) -> String {
    format!("/v1/jobs/{job}/attach")
}

/// What a client upgrades to at [`attach_path`].
pub const ATTACH_PROTOCOL: &str = "redirector-stdio";

/// Word that a gateway writes to its standard output when it listens, to whoever
/// started it.
pub const READY: &str = "ready\n";

/// From the client, one JSON line each.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientMessage {
    /// A new job.
    Submit(Box<Submission>),
    /// The client of a job that was accepted earlier is back, after the
    /// connection or the gateway was lost.
    Resume(Resumption),
    /// The command ended.
    Finished(Finished),
    /// The command may be run on the node where it was placed.
    Begin(Box<Beginning>),
}

/// What an agent must know of a command that its client has inherited.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beginning {
    /// The attempt, as its [`Grant`] had it.
    pub attempt: u32,
    /// The whole environment: `NAME=VALUE` entries, in their order.
    pub environment: Vec<Text>,
    /// `umask`.
    pub umask: u32,
    /// The descriptors that it has.
    pub descriptors: Vec<AttachedDescriptor>,
}

/// A new job, and what the gateway must know to place it.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Submission {
    /// Names this submission: sent again under the same key it is the same job.
    pub key: String,
    /// The command.
    pub spec: Spec,
    /// The command's environment: `NAME=VALUE` entries, in their order.
    #[serde(default)]
    pub environment: Vec<Text>,
    /// The run id that libshim.so handed down, if the command comes out of a run.
    #[serde(default)]
    pub run: Option<String>,
    /// The token of the job that submits this one.
    #[serde(default)]
    pub token: Option<String>,
    /// Pipes that the command reads from or writes to.
    #[serde(default)]
    pub pipes: Vec<PipeEnd>,
    /// All that comes out of its run goes one at a time.
    #[serde(default)]
    pub sequential: bool,
    /// The whitelists that count; the gateway has what is wrong with them reported
    /// once a run.
    #[serde(default)]
    pub whitelists: Vec<Text>,
}

/// One end of a pipe that a job holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PipeEnd {
    /// The pipe file system's device.
    pub device: u64,
    /// The pipe's inode number.
    pub inode: u64,
    /// Whether the job writes into it.
    pub writes: bool,
}

/// A client that is back.
#[derive(Debug, Serialize, Deserialize)]
pub struct Resumption {
    /// The job.
    pub job: JobId,
    /// The job's token, as [`GatewayMessage::Accepted`] gave it.
    pub token: String,
    /// How far the client is.
    pub stage: Stage,
    /// The attempt it was granted last, from 1; 0: none yet.
    #[serde(default)]
    pub attempt: u32,
    /// Pipes, as in the submission.
    #[serde(default)]
    pub pipes: Vec<PipeEnd>,
}

/// How far a client is with its job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Nothing was granted yet.
    Waiting,
    /// The command was started, and may have ended.
    Running,
}

/// How the command ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Finished {
    /// Its outcome.
    pub outcome: Outcome,
    /// What it used.
    pub usage: Usage,
    /// The attempt that ended, as its [`Grant`] had it. A client that is back says so again:
    /// an attempt that the gateway has counted already is answered and not counted twice.
    #[serde(default)]
    pub attempt: u32,
}

/// What a job may use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The attempt that this is, from 1.
    #[serde(default)]
    pub attempt: u32,
    /// How much.
    pub resources: Resources,
    /// The cpus to run on, by the kernel's numbers; none: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cpus: Vec<u32>,
    /// Variables to set for the command.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variables: Vec<(Text, Text)>,
}

/// From the gateway, one JSON line each.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GatewayMessage {
    /// The job is journalled: from here on it runs once, and only by its lease.
    Accepted {
        /// Its number.
        job: JobId,
        /// What authorises its submissions and its client's return.
        token: String,
        /// Lines for the person, each sent to one client of a run.
        warnings: Vec<String>,
    },
    /// Run the command now.
    Granted(Grant),
    /// Send this signal to the command. Before the command runs: do not run it.
    Signal {
        /// The signal's number.
        signal: i32,
        /// Why, for the person.
        reason: String,
    },
    /// A line for the person; the job goes on.
    Warning {
        /// What happened and what to do.
        text: String,
    },
    /// It will never run.
    Refused {
        /// Why, for the person.
        reason: String,
    },
    /// The attempt failed for a cause for which the job is tried again: wait to be granted anew.
    Retry {
        /// What happened, for the person.
        reason: String,
    },
    /// The outcome is journalled.
    Recorded,
    /// Another node is to run the command: say [`ClientMessage::Begin`] and attach.
    Placed {
        /// Which.
        node: NodeName,
        /// What it may use there.
        grant: Grant,
    },
    /// The command ended on the node where it was placed, and that is journalled.
    Ended {
        /// The attempt.
        attempt: u32,
        /// How.
        outcome: Outcome,
        /// What it used.
        usage: Usage,
    },
}

/// Body of `POST /v1/jobs`: jobs for which nobody waits.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct DetachedSubmission {
    /// Names this submission: sent again under the same key it is the same jobs.
    pub key: String,
    /// The command, in which `{}` stands for an element's value.
    pub spec: Spec,
    /// What the elements are; none: one job, as `spec` has it.
    #[serde(default)]
    pub elements: Option<Elements>,
    /// The node that each element runs on, in the elements' order; none: as `spec` has it.
    #[serde(default)]
    pub hosts: Vec<NodeName>,
    /// The command's environment: `NAME=VALUE` entries, in their order.
    pub environment: Vec<Text>,
    /// `umask`.
    pub umask: u32,
    /// The token of the job that submits these.
    #[serde(default)]
    pub token: Option<String>,
    /// They wait until they are released.
    #[serde(default)]
    pub held: bool,
    /// All that comes out of them goes one at a time.
    #[serde(default)]
    pub sequential: bool,
}

/// Most elements of one submission.
pub const MOST_ELEMENTS: u64 = 100_000;

/// The elements of an array.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Elements {
    /// Numbers.
    Range {
        /// The first.
        first: u64,
        /// The last, included.
        last: u64,
        /// From one to the next, at least 1.
        step: u64,
    },
    /// One element a line.
    Lines(Vec<Text>),
}

impl Elements {
    /// How many there are.
    pub fn count(&self) -> u64 {
        match self {
            Self::Range { first, last, .. } if last < first => 0,
            Self::Range { first, last, step } => {
                ((last - first) / (*step).max(1)).saturating_add(1)
            }
            Self::Lines(lines) => lines.len() as u64,
        }
    }

    /// The value of the element at `index`, from 0.
    pub fn value(&self, index: u64) -> Option<Text> {
        match self {
            _ if index >= self.count() => None,
            Self::Range { first, step, .. } => {
                Some(Text::from(&*(first + index * step).to_string()))
            }
            Self::Lines(lines) => lines.get(index as usize).cloned(),
        }
    }
}

/// Answer to a [`DetachedSubmission`]: numbers without gaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submitted {
    /// The first job.
    pub first: JobId,
    /// The last job; the first one if there is one only.
    pub last: JobId,
}

/// Body of `POST /v1/purge`: which ended runs are forgotten, with their jobs and output. Those
/// that are not older, or among the newest, are kept, and so is all that has not ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purge {
    /// Only what ended longer ago than this, in milliseconds.
    #[serde(default)]
    pub older_than_ms: Option<u64>,
    /// Not the newest that many runs.
    #[serde(default)]
    pub keep: Option<u64>,
}

/// Answer to a [`Purge`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purged {
    /// Jobs that were forgotten.
    pub jobs: u64,
    /// Bytes of output that were removed.
    pub bytes: u64,
}

/// Answer to `GET /v1/jobs/ID/explain`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Explained {
    /// The job's record.
    pub job: Job,
    /// What the dispatcher knows of it, while it is queued or runs.
    pub dispatcher: Option<crate::dispatcher::Explanation>,
    /// Sentences for the person, one a line.
    pub lines: Vec<String>,
}

/// Answer to `GET /v1/nodes`: a node, and where what is known of it comes from. Hosts are added
/// with `POST /v1/nodes` and a [`Host`](crate::config::Host), changed with
/// `POST /v1/nodes/NAME/drain` and `…/resume`, and removed with `DELETE /v1/nodes/NAME?force=…`;
/// all of these answer with `null`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NodeStatus {
    /// Its name.
    pub node: String,
    /// Whether it takes jobs.
    pub state: NodeState,
    /// What `ssh` is given to reach it; none: the gateway's own computer.
    #[serde(default)]
    pub address: Option<String>,
    /// Why it cannot be reached, for the person.
    #[serde(default)]
    pub problem: Option<String>,
    /// Since when it cannot be.
    #[serde(default)]
    pub since: Option<Timestamp>,
    /// What rules may ask for.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Most jobs at a time; none: as many as fit.
    #[serde(default)]
    pub max_jobs: Option<u32>,
    /// What it has, pool by pool; none while it has not said so.
    pub pools: Vec<PoolStatus>,
    /// Jobs that run there.
    pub running: usize,
}

/// Whether a node takes jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeState {
    /// It does.
    Up,
    /// It is reached for, for the first time.
    Connecting,
    /// It cannot be reached; jobs that run there are waited for.
    Unreachable,
    /// It starts no more jobs, because somebody said so.
    Draining,
    /// It could not be reached for so long that its jobs were given up.
    Lost,
}

impl NodeState {
    /// The word for it, as in JSON.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Connecting => "connecting",
            Self::Unreachable => "unreachable",
            Self::Draining => "draining",
            Self::Lost => "lost",
        }
    }
}

/// Answer to `POST /v1/nodes/reload`: what the gateway has found in its configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloaded {
    /// Sentences for the person, one for each change.
    pub changes: Vec<String>,
}

/// One pool of a node.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PoolStatus {
    /// `cpus`, `mem`, `gpus`, or a name of its own.
    pub pool: String,
    /// How much there is, in the pool's unit (cpus, bytes, pieces).
    pub capacity: f64,
    /// How much of it jobs hold.
    pub used: f64,
    /// How it was found: `REDIRECTOR_CPUS`, a file, `affinity`, `cgroup`, ….
    pub origin: String,
}

/// Answer to `GET /v1/runs/ID/progress?seen=VERSION`: without `seen` at once, else once it
/// differs from what that version was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Grows with every change to a run's jobs.
    pub version: u64,
    /// By the jobs' names, in the order of their first submission. The run itself is not counted.
    pub rules: Vec<RuleProgress>,
    /// For how long no job was added, in milliseconds.
    pub quiet_ms: u64,
    /// Whether the run itself has ended.
    pub finished: bool,
}

/// How far the jobs of one name in a run are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleProgress {
    /// The name.
    pub name: String,
    /// Held, waiting or queued.
    pub queued: u64,
    /// Running.
    pub running: u64,
    /// For how long those have been running, all together, in milliseconds.
    pub running_ms: u64,
    /// Ended with success.
    pub succeeded: u64,
    /// Ended without.
    pub failed: u64,
    /// How many of those that ended had been started.
    pub ran: u64,
    /// For how long those had been running, all together, in milliseconds.
    pub ran_ms: u64,
}

/// Body of an HTTP error answer.
#[derive(Debug, Clone, Serialize, Deserialize, thiserror::Error)]
#[error("{error}")]
pub struct Problem {
    /// What happened and what to do, for the person.
    pub error: String,
}

/// Most jobs in one answer; the next page begins `before` its last one.
pub const PAGE: u32 = 1000;

/// Body of a cancellation.
#[derive(Debug, Serialize, Deserialize)]
pub struct Cancellation {
    /// Why, for whoever waits for the job.
    pub reason: String,
}

/// Body of a request to stop.
#[derive(Debug, Serialize, Deserialize)]
pub struct Stop {
    /// Cancel what is live.
    pub force: bool,
}

/// How the gateway is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    /// Its version.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// Where its state is.
    pub state_directory: String,
    /// Since when it runs.
    pub started: Timestamp,
    /// Whether it leaves by itself when there is nothing to do.
    pub embedded: bool,
    /// This computer's name as a node.
    pub node: String,
    /// What it has for jobs.
    pub capacity: Resources,
    /// Jobs that wait.
    pub queued: usize,
    /// Jobs that run.
    pub running: usize,
    /// What is wrong with the journal at the moment.
    pub journal_problem: Option<String>,
}

/// How serious a record is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Something failed.
    Error,
    /// Something may fail, or has not quite done what it should.
    Warn,
    /// For whoever looks.
    #[default]
    Info,
    /// For whoever looks for a fault.
    Debug,
    /// As above, and very much of it.
    Trace,
}

impl Level {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Error, Self::Warn, Self::Info, Self::Debug, Self::Trace];

    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// Where jobs log, with their token: `?token=…`
pub const LOG_PATH: &str = "/v1/log";

/// What a program that runs as a job logs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogEntry {
    /// How serious it is.
    #[serde(default)]
    pub level: Level,
    /// What is said.
    pub message: String,
    /// Further facts, by name.
    #[serde(default)]
    pub fields: serde_json::Map<String, serde_json::Value>,
}

impl LogEntry {
    /// The record of it, for now.
    pub fn into_record(self) -> LogRecord {
        let Self { level, message, fields } = self;
        let level = level.word().to_owned();
        LogRecord { at: Timestamp::now(), level, job: None, message, fields }
    }
}

/// A line of a run's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// When it was said; of a line of output, when the gateway has read it.
    pub at: Timestamp,
    /// Where the job runs; none if it ended before it was placed.
    pub node: Option<NodeName>,
    /// Which job.
    pub job: JobId,
    /// Which try at it, from 1.
    pub attempt: u32,
    /// What is said.
    #[serde(flatten)]
    pub said: Said,
}

/// What can be said of an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "what")]
pub enum Said {
    /// It has its resources.
    Started,
    /// It wrote a line to its standard output.
    Stdout {
        /// Without its newline. A very long one comes in parts.
        line: Text,
    },
    /// It wrote a line to its standard error.
    Stderr {
        /// As above.
        line: Text,
    },
    /// It, or its node about it, logged a record.
    Log {
        /// How serious it is.
        level: String,
        /// What is said.
        message: String,
        /// Further facts, by name.
        fields: serde_json::Map<String, serde_json::Value>,
    },
    /// It has ended.
    Ended {
        /// How.
        how: Outcome,
    },
}
