//! What the gateway and an agent say to each other, over any byte stream.
//!
//! Lines of JSON in both directions. An agent serves one gateway at a time, and reads a
//! connection to its end before it greets the next one: what a gateway ordered before it was
//! killed is done when the next one hears which attempts there are.
//!
//! ```text
//! gateway                                agent
//!   ◄─────────────────────────── Hello    which attempts run or have ended
//!   Environment ────────────────►         once for each environment
//!   Start ──────────────────────►         runs the command; again: nothing
//!   ◄─────────────────────────── Ended    repeated after each Hello until it is acknowledged
//!   Acknowledge ────────────────►         forgets the attempt
//!   End ────────────────────────►         SIGTERM, grace, SIGKILL to all of it
//!   Probe ──────────────────────►         looks for programs and directories
//!   ◄────────────────────────── Probed
//! ```
//!
//! An attempt for which somebody waits elsewhere has pipes instead of output files
//! ([`Assignment::attached`]); what goes through them travels beside these lines ([`crate::stdio`]).
//!
//! The agent goes on when the connection is cut, and keeps what it knows for the next one.
//!
//! # Ahead of time
//!
//! A `Start` may name the attempt whose place it is to take. The agent starts it by itself as soon
//! as that one has ended, or at once if it has ended already, and says so in the same report. Until
//! then it can be taken back:
//!
//! ```text
//!   Start B after A ────────►             B is promised
//!   Start C after A ────────►             C comes after B
//!   ◄─────────────── Ended A, followed by B
//!   Withdraw C ─────────────►
//!   ◄─────────────────────── Withdrawn C  or, if it has started: Ended B, followed by C
//! ```
//!
//! `Withdraw` is answered by the one or the other, and a `Withdrawn` comes before the end of the
//! attempt whose place it was. So a gateway that hears of the end of A, and has not heard that B
//! is withdrawn, knows that B runs.

use serde::{Deserialize, Serialize};

use crate::{
    model::{JobId, Outcome, Text, Timestamp, Usage},
    node,
};

/// One try at one job: what nothing is done twice for.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct AttemptId {
    /// The job.
    pub job: JobId,
    /// The attempt's number, from 1.
    pub number: u32,
}

/// From the gateway.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// An environment that attempts to come refer to, on this connection.
    Environment {
        /// Names it.
        digest: String,
        /// `NAME=VALUE` entries.
        entries: Vec<Text>,
    },
    /// Environments that came over this connection are not referred to any more.
    ForgetEnvironments,
    /// Run this, unless the attempt is known already.
    Start(Box<Assignment>),
    /// End the attempt before its time.
    End {
        /// Which one.
        attempt: AttemptId,
        /// From SIGTERM to SIGKILL, in milliseconds; 0: SIGKILL at once.
        grace: u64,
    },
    /// Do not start it, if it has not started. Answered by [`Report::Withdrawn`], unless it has.
    Withdraw {
        /// Which one.
        attempt: AttemptId,
    },
    /// Its outcome is journalled: forget it.
    Acknowledge {
        /// Which one.
        attempt: AttemptId,
    },
    /// End it at once and forget it: nobody wants to hear how it ended.
    Abandon {
        /// Which one.
        attempt: AttemptId,
    },
    /// Look for these.
    Probe(Probe),
    /// Go as soon as nothing runs and everything is acknowledged.
    Leave,
}

/// What a job would need to find on a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// Programs, by path or, without a slash, by name.
    #[serde(default)]
    pub programs: Vec<Text>,
    /// Directories.
    #[serde(default)]
    pub directories: Vec<Text>,
}

/// What of a [`Probe`] there is, in the same order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probed {
    /// What was asked.
    pub probe: Probe,
    /// Where each program is; `None`: it is not there, or cannot be run.
    pub programs: Vec<Option<Text>>,
    /// What tells each directory from others; `None`: it is not there.
    pub directories: Vec<Option<Identity>>,
}

/// What a directory has in common on all computers that share its file system, and hardly
/// with one on another file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Its inode number.
    pub inode: u64,
    /// When it was made, in nanoseconds since 1970, where its file system knows that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made: Option<u64>,
}

impl Identity {
    /// Whether it is most likely the same directory, seen from two computers.
    pub fn is_same(self, other: Self) -> bool {
        match (self.made, other.made) {
            (Some(made), Some(made_there)) => self.inode == other.inode && made == made_there,
            // The first numbers of each file system are its root's.
            _ => self.inode == other.inode && self.inode > FIRST_ORDINARY_INODE,
        }
    }
}

/// Directories with larger inode numbers are not the roots of file systems: ext4 has 2 there,
/// xfs 128, btrfs 256.
const FIRST_ORDINARY_INODE: u64 = 256;

/// A descriptor of an attempt that is attached to one of a process elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachedDescriptor {
    /// The number that the command knows it by.
    pub number: i32,
    /// What the command does with it.
    pub direction: Direction,
}

/// What a command does with a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// It reads what is sent to it.
    Reads,
    /// It writes what is fetched from it.
    Writes,
    /// It is `/dev/null` on both sides.
    Null,
    /// It is the same as another one of those that are named, so that what the command writes
    /// to either keeps its order (`2>&1`).
    As(i32),
}

/// All that an agent needs to run one attempt.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignment {
    /// The attempt.
    #[serde(flatten)]
    pub attempt: AttemptId,
    /// The attempt whose place it takes: not to be started before that one has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<AttemptId>,
    /// The program's path.
    pub program: Text,
    /// The arguments, `argv[0]` included.
    pub argv: Vec<Text>,
    /// The digest of its environment.
    pub environment: String,
    /// Variables that are set over the environment.
    #[serde(default)]
    pub variables: Vec<(Text, Text)>,
    /// The working directory.
    pub directory: Text,
    /// `umask`.
    pub umask: u32,
    /// The file to which standard output is appended.
    pub stdout: Text,
    /// The file to which standard error is appended.
    pub stderr: Text,
    /// Its descriptors, if somebody waits for it elsewhere; then it has no output files, and
    /// those of the standard three that are not named here are closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attached: Option<Vec<AttachedDescriptor>>,
    /// Lines for `/bin/sh` that prepare the node for the command (`module load …`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub setup: Option<Text>,
    /// Most memory that its processes may have together, in bytes; 0: any.
    #[serde(default)]
    pub mem: u64,
    /// What it starts may become jobs of its own, with memory of their own.
    #[serde(default)]
    pub nested: bool,
    /// The cpus it may run on, by the kernel's numbers; none: any.
    #[serde(default)]
    pub cpus: Vec<u32>,
    /// The longest it may run, in milliseconds.
    #[serde(default)]
    pub time_limit: Option<u64>,
    /// From SIGTERM to SIGKILL when its time is over, in milliseconds.
    #[serde(default)]
    pub grace: u64,
}

/// From the agent.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Report {
    /// The first message on every connection.
    Hello {
        /// Names this process: another one does not know what this one ran.
        instance: String,
        /// Agents that were here before and left in good order: what they were given and
        /// nothing is known of was never started.
        #[serde(default)]
        predecessors: Vec<String>,
        /// Attempts that it knows: those that run, and those whose [`Report::Ended`] follows.
        running: Vec<AttemptId>,
        /// Attempts that have ended and are not acknowledged; an [`Report::Ended`] follows
        /// for each.
        ended: Vec<AttemptId>,
        /// What its computer has for jobs; an agent on the gateway's own computer does not say.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        facts: Option<Box<node::Facts>>,
        /// Attempts that wait for the end of others. An agent that says nothing of them is of a
        /// version that starts everything at once.
        #[serde(default)]
        promised: Option<Vec<AttemptId>>,
        /// What its clock says; an agent on the gateway's own computer does not say.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        now: Option<Timestamp>,
    },
    /// An attempt that waited for the end of another one is forgotten and was never started.
    Withdrawn {
        /// Which one.
        attempt: AttemptId,
    },
    /// Answer to [`Order::Probe`].
    Probed(Probed),
    /// Something that the agent, or a program on its node, has to say.
    Log(LogRecord),
    /// An attempt ended, and nothing is left of its processes.
    Ended(Box<Ended>),
}

/// A line of a node's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogRecord {
    /// When.
    pub at: Timestamp,
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: String,
    /// The job that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobId>,
    /// What is said.
    pub message: String,
    /// Further facts, by name.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub fields: serde_json::Map<String, serde_json::Value>,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// The attempt.
    #[serde(flatten)]
    pub attempt: AttemptId,
    /// Its outcome; `Cancelled` if an [`Order::End`] ended it.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// What it used.
    pub usage: Usage,
    /// When it was started.
    pub started: Timestamp,
    /// When it ended.
    pub at: Timestamp,
    /// The attempt that was started in its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub followed_by: Option<AttemptId>,
    /// The latest signal that it was sent by whoever waits for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passed_on: Option<i32>,
}
