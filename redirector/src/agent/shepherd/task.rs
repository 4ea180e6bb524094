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
    /// Run this. Comes only when the attempt before has ended.
    Run(Box<Assignment>),
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

/// From a shepherd: its attempt ended.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::agent) struct Said {
    /// How.
    pub ended: Box<Ended>,
    /// Whether everything of the attempt is gone, so that the shepherd can have another one.
    pub is_all_gone: bool,
}
