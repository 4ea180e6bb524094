//! What has become of a job of an engine.

use std::fmt;

use super::{EngineJobId, Refusal};
use crate::model::Timestamp;

/// What an engine says of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// It waits.
    Pending {
        /// Why, in the engine's words; empty if it does not tell.
        reason: String,
    },
    /// It has been started and has not ended.
    Running {
        /// Where; the first of several nodes.
        host: Option<String>,
        /// Since when.
        started: Option<Timestamp>,
    },
    /// It is about to end, or has ended, and the engine does not say yet how.
    Ending,
    /// It does not run any more, or never will.
    Ended(End),
    /// The engine answers, and has no such job. So the job does not run, or will be ended by its
    /// node in some seconds, and how it ended must be learnt elsewhere; accounts may show it later (Grid Engine writes them seconds late, and
    /// never for a job that had not begun).
    Forgotten,
    /// The engine does not answer, or not for this job. That says nothing about the job.
    Unknown {
        /// What is in the way.
        reason: String,
    },
}

impl Status {
    /// What is known of `jobs` when the engine does not answer.
    pub(super) fn unknown(jobs: &[EngineJobId], refusal: &Refusal) -> Vec<(EngineJobId, Self)> {
        let reason = refusal.to_string();
        jobs.iter().map(|id| (id.clone(), Self::Unknown { reason: reason.clone() })).collect()
    }
}

/// How a job of an engine has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// By itself, with this exit status.
    Done(i32),
    /// By a signal that the engine has not explained.
    Signal(i32),
    /// It had run for as long as it may.
    TimeLimit,
    /// It had taken more memory than it may.
    OutOfMemory,
    /// Its node went down, or never came up.
    NodeFailure,
    /// It had to make room for another one.
    Preempted,
    /// The engine took it back to the queue. It would be started once more, so it has to be
    /// stopped.
    Requeued,
    /// Somebody ended it.
    Cancelled {
        /// Who did, where the engine tells.
        by: Option<String>,
    },
    /// It was not begun, for a reason that says nothing about another try.
    NotBegun(String),
    /// It could not be run. It may still be in the engine's queue, and has to be stopped.
    Failed(String),
}

impl fmt::Display for End {
    /// For people, after "the allocation".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done(0) => f.write_str("has ended"),
            Self::Done(status) => write!(f, "has ended with exit status {status}"),
            Self::Signal(number) => write!(f, "was ended by signal {number}"),
            Self::TimeLimit => f.write_str("reached its time limit"),
            Self::OutOfMemory => f.write_str("took more memory than it was given"),
            Self::NodeFailure => f.write_str("lost its node"),
            Self::Preempted => f.write_str("had to make room for another one"),
            Self::Requeued => f.write_str("was put back into the queue by the engine"),
            Self::Cancelled { by: None } => f.write_str("was cancelled"),
            Self::Cancelled { by: Some(by) } => write!(f, "was cancelled by {by}"),
            Self::NotBegun(reason) => write!(f, "was not begun: {reason}"),
            Self::Failed(reason) => write!(f, "could not be run: {reason}"),
        }
    }
}
