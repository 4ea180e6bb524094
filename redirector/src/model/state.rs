//! How far a job is and how it ended.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use crate::units::{format_bytes, format_duration};

/// How far a job is: `[held →] [waiting →] queued → running → finished`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Kept back by a person, until it is released.
    Held,
    /// Waits for the end of the jobs that it is to follow.
    Waiting,
    /// Waits for resources.
    Queued,
    /// Holds its resources; the command runs or is about to.
    Running,
    /// Has an [`Outcome`].
    Finished,
}

impl State {
    /// The word for it, as in JSON and on the command line.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Waiting => "waiting",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Finished => "finished",
        }
    }

    /// All of them, in the order in which a job goes through them.
    pub const ALL: [Self; 5] =
        [Self::Held, Self::Waiting, Self::Queued, Self::Running, Self::Finished];

    /// The state that `word` names.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word() == word)
    }
}

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum Outcome {
    /// The command ended by itself.
    Exited {
        /// Its exit status, 0–255.
        exit_code: i32,
    },
    /// A signal ended the command.
    Signaled {
        /// The signal's number.
        signal: i32,
        /// Whether the kernel wrote a core file.
        core_dumped: bool,
    },
    /// It was ended because it ran for as long as it may.
    TimedOut {
        /// Its time limit, in milliseconds. In JSON it stands beside what was asked for, which
        /// has a `time_limit` of its own.
        #[serde(rename = "timed_out_after")]
        time_limit: u64,
    },
    /// It was ended because it took more memory than it had asked for.
    OutOfMemory {
        /// What it had, in bytes; 0: an engine gave it, and does not say how much.
        mem_limit: u64,
        /// What it had taken when it was ended, in bytes; 0: an engine ended it, and does not say.
        mem_used: u64,
    },
    /// Somebody cancelled the job, or the program that waited for it died.
    Cancelled {
        /// Who or what did it.
        reason: String,
    },
    /// It could never have run here.
    Refused {
        /// Which resource is missing, and how much of it there is.
        reason: String,
    },
    /// Nobody is left who knows how it ended.
    Lost {
        /// What is known.
        reason: String,
    },
    /// A run that was not started through `redirector run`: its last process is
    /// gone, and its exit status went to its own parent.
    Ended,
}

impl Outcome {
    /// The word for it, as in JSON and in listings.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Exited { .. } => "exited",
            Self::Signaled { .. } => "signaled",
            Self::TimedOut { .. } => "timed_out",
            Self::OutOfMemory { .. } => "out_of_memory",
            Self::Cancelled { .. } => "cancelled",
            Self::Refused { .. } => "refused",
            Self::Lost { .. } => "lost",
            Self::Ended => "ended",
        }
    }

    /// Why, where it is not the command's own doing.
    pub fn reason(&self) -> Option<String> {
        match self {
            Self::Cancelled { reason } | Self::Refused { reason } | Self::Lost { reason } => {
                Some(reason.clone())
            }
            Self::TimedOut { time_limit } => Some(format!(
                "it ran for as long as it may, {}; a longer time is given by 'time='",
                format_duration(Duration::from_millis(*time_limit))
            )),
            Self::OutOfMemory { mem_limit: 0, .. } | Self::OutOfMemory { mem_used: 0, .. } => {
                Some("it took more memory than it had; more is given by 'mem='".to_owned())
            }
            Self::OutOfMemory { mem_limit, mem_used } => Some(format!(
                "it had {} of memory and took {}; more is given by 'mem='",
                format_bytes(*mem_limit),
                format_bytes(*mem_used)
            )),
            Self::Exited { .. } | Self::Signaled { .. } | Self::Ended => None,
        }
    }

    /// Whether the command did what was asked.
    pub const fn is_success(&self) -> bool {
        matches!(self, Self::Exited { exit_code: 0 } | Self::Ended)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited { exit_code } => write!(f, "exited({exit_code})"),
            Self::Signaled { signal, core_dumped: true } => write!(f, "signaled({signal}, core)"),
            Self::Signaled { signal, core_dumped: false } => write!(f, "signaled({signal})"),
            other => f.write_str(other.word()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Condition, Dependency, Element, JobId, Retries, Rule, Spec, Text};

    /// A job's record has both side by side in one JSON object.
    #[test]
    fn what_was_asked_and_how_it_ended_have_no_field_in_common() {
        let keys = |value: serde_json::Value| -> Vec<String> {
            value.as_object().expect("an object").keys().cloned().collect()
        };
        let asked = keys(
            serde_json::to_value(Spec {
                time_limit: Some(1),
                retries: Retries { node: 1, oom: 1, exit: 1 },
                detached: true,
                element: Some(Element { first: JobId(1), value: Text::default() }),
                after: vec![Dependency { job: JobId(1), on: Condition::Any }],
                rule: Some(Rule { file: Text::default(), line: 1, pattern: Text::default() }),
                ..Spec::default()
            })
            .unwrap(),
        );
        let reason = String::new;
        for outcome in [
            Outcome::Exited { exit_code: 1 },
            Outcome::Signaled { signal: 9, core_dumped: true },
            Outcome::TimedOut { time_limit: 1 },
            Outcome::OutOfMemory { mem_limit: 1, mem_used: 2 },
            Outcome::Cancelled { reason: reason() },
            Outcome::Refused { reason: reason() },
            Outcome::Lost { reason: reason() },
            Outcome::Ended,
        ] {
            let told = keys(serde_json::to_value(&outcome).unwrap());
            assert!(told.iter().all(|key| !asked.contains(key)), "{outcome:?}: {told:?} {asked:?}");
        }
    }
}
