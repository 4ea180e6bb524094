//! A job's record: one command with its resources and outcome.

use std::{
    sync::LazyLock,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

use super::{JobId, NodeName, Outcome, PoolName, Spec, State, Text, Usage};

/// Milliseconds since 1970-01-01 UTC.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

/// Names a variable that has a number of milliseconds by which this computer's clock is taken to be wrong:
/// all computers that a test makes have one clock.
pub(crate) const CLOCK_OFFSET: &str = "REDIRECTOR_CLOCK_OFFSET";

impl Timestamp {
    /// The wall clock's time, and [`CLOCK_OFFSET`].
    pub fn now() -> Self {
        static OFFSET: LazyLock<i64> = LazyLock::new(|| {
            let milliseconds = std::env::var(CLOCK_OFFSET).ok().and_then(|text| text.parse().ok());
            milliseconds.unwrap_or(0)
        });
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self((since_1970.as_millis() as u64).saturating_add_signed(*OFFSET))
    }

    /// How long after `earlier`; zero if the clock was set back.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// Everything that is known about a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Its number.
    pub id: JobId,
    /// The job whose process submitted this one; `None` for a run.
    pub spawned_by: Option<JobId>,
    /// The run it belongs to; its own number for a run.
    pub run: JobId,
    /// What was asked.
    #[serde(flatten)]
    pub spec: Spec,
    /// `NAME=VALUE` entries, in their order, without values that look secret.
    pub environment: Vec<Text>,
    /// How far it is.
    pub state: State,
    /// Tries at running it, the last one last.
    pub attempts: Vec<Attempt>,
    /// How it ended.
    #[serde(flatten)]
    pub outcome: Option<Outcome>,
    /// When it was journalled.
    pub submitted: Timestamp,
    /// When its resources were granted.
    pub started: Option<Timestamp>,
    /// When its outcome was known.
    pub ended: Option<Timestamp>,
    /// Where it runs or ran.
    pub node: Option<NodeName>,
    /// What it used.
    pub usage: Option<Usage>,
    /// The process that waits for it: the pipeline's child.
    pub client_pid: i32,
}

/// Which pieces of a node an attempt has for itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Given {
    /// Cpus, by the kernel's numbers; none: it runs on any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cpus: Vec<u32>,
    /// Pieces of other pools, such as graphics processors, numbered from 0.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pieces: Vec<(PoolName, Vec<u32>)>,
}

impl Given {
    /// Nothing of its own.
    pub fn is_nothing(&self) -> bool {
        self.cpus.is_empty() && self.pieces.is_empty()
    }

    /// The pieces of this pool.
    pub fn pieces_of(&self, pool: &str) -> &[u32] {
        self.pieces.iter().find(|(name, _)| name.as_str() == pool).map_or(&[], |(_, pieces)| pieces)
    }
}

impl Job {
    /// The number of the attempt that runs or ran last; 1 for a job that was never tried.
    pub fn last_attempt(&self) -> u32 {
        let ended = self.attempts.last().map_or(0, |attempt| attempt.number);
        match self.state {
            State::Running => ended + 1,
            _ => ended.max(1),
        }
    }
}

/// One try at running a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// From 1.
    pub number: u32,
    /// Where.
    pub node: NodeName,
    /// When its resources were granted.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// How it ended.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// What it used.
    pub usage: Option<Usage>,
}
