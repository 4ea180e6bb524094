//! What the agent and a shepherd say to each other: lines of JSON on the shepherd's
//! standard input, which is a socket.

use serde::{Deserialize, Serialize};

use crate::{
    agent::protocol::{Assignment, AttemptId, Ended},
    model::Text,
};

/// From the agent.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::agent) enum Task {
    /// The environment of the attempts to come.
    Environment(Vec<Text>),
    /// Run this, as soon as the attempts have ended that came before.
    Run(Box<Assignment>),
    /// Run this, whose descriptors are attached to those of a process elsewhere. As above.
    RunAttached {
        /// The attempt.
        assignment: Box<Assignment>,
        /// What the command's descriptors are to be.
        ends: Vec<CommandEnd>,
    },
    /// Send the attempt a signal, if it runs still.
    Signal {
        /// Which one.
        attempt: AttemptId,
        /// The signal.
        signal: i32,
        /// Send it to the whole process group.
        to_group: bool,
    },
    /// Do not run this, unless it runs already or has ended.
    Withdraw {
        /// Which one.
        attempt: AttemptId,
    },
    /// End the attempt, if it runs still.
    End {
        /// Which one: it may have ended by itself meanwhile.
        attempt: AttemptId,
        /// Why.
        cause: Cause,
        /// From SIGTERM to SIGKILL, in milliseconds; 0: SIGKILL at once.
        grace: u64,
    },
}

/// A descriptor of a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::agent) struct CommandEnd {
    /// The number that the command knows it by.
    pub number: i32,
    /// What is to be opened.
    pub path: Text,
    /// It is opened for reading.
    pub reads: bool,
    /// It is opened for writing.
    pub writes: bool,
}

/// Why an attempt is ended before its time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::agent) enum Cause {
    /// The gateway ordered it.
    Ordered,
    /// The agent leaves.
    AgentLeaves,
    /// It runs for as long as it may.
    Time,
    /// Its processes have taken so much memory, in bytes.
    Memory(u64),
}

/// From a shepherd.
///
/// An attempt that waited for this one runs from now on, whether it was there in time or is yet to
/// be read: it was not withdrawn, or that would have been said before.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::agent) enum Said {
    /// The command of an attached attempt runs, and has its descriptors.
    Started(AttemptId),
    /// Its attempt ended.
    Ended {
        /// How.
        ended: Box<Ended>,
        /// Whether everything of the attempt is gone, so that the shepherd can have another one.
        is_all_gone: bool,
    },
    /// An attempt that waited is forgotten.
    Withdrawn {
        /// Which one.
        attempt: AttemptId,
    },
}
