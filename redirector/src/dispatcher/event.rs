//! The dispatcher's vocabulary: what it is told ([`Event`]) and what it decides ([`Action`]).

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{Candidates, Refusal};
use crate::model::{JobId, NodeName, PoolName, Resources};

/// Milliseconds since any fixed moment; the caller's clock, which never runs backwards.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// This moment and `milliseconds` more.
    #[must_use]
    pub const fn after(self, milliseconds: u64) -> Self {
        Self(self.0.saturating_add(milliseconds))
    }
}

/// What happened. Events about jobs and nodes that are not known are ignored, so an event that
/// is delivered twice does no harm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A node takes jobs from now on: for the first time, again after [`Event::NodeDraining`],
    /// [`Event::NodeSuspended`] or [`Event::NodeLost`], or with another capacity than before.
    NodeJoined {
        /// Its name.
        node: NodeName,
        /// What it has for jobs.
        capacity: Resources,
        /// How many jobs may hold resources there at once, whoever submitted them. Those that
        /// supervise or lend hold none. As with resources, a node goes into debt where waiting
        /// could last for ever: for one that a running job needs at the other end of a pipe, or
        /// for a gang that has nowhere else to go.
        max_jobs: Option<u32>,
        /// How many whole pipelines may run there at once: jobs that lend or supervise and were
        /// not spawned by a job. They count for as long as they live.
        max_supervisors: Option<u32>,
        /// Pools that come in pieces, and in how many: a job that asks for less than one gets a
        /// part of one piece, and one that asks for 2.5 gets two whole ones and half of another.
        /// This is the pool's capacity, whatever `capacity` says of it.
        indexed: BTreeMap<PoolName, u32>,
    },
    /// The node starts no more jobs; those that run there go on.
    NodeDraining {
        /// Its name.
        node: NodeName,
    },
    /// The node cannot be reached at present: nothing starts there, not even jobs that others need
    /// at the other ends of their pipes; those that run there go on and hold what they hold. Jobs
    /// that only this node can run wait.
    NodeSuspended {
        /// Its name.
        node: NodeName,
    },
    /// The node is reached again: it is what it was before [`Event::NodeSuspended`], or has been
    /// told to be meanwhile.
    NodeResumed {
        /// Its name.
        node: NodeName,
    },
    /// The node and all that ran there are gone. Jobs that only this node can run wait for its
    /// return.
    NodeLost {
        /// Its name.
        node: NodeName,
    },
    /// The node will not come back: as [`Event::NodeLost`], and jobs that only this node could
    /// run are refused.
    NodeRemoved {
        /// Its name.
        node: NodeName,
    },
    /// A job wants to run.
    Submitted {
        /// Its id: the order of ids is the order of submission.
        job: JobId,
        /// What it needs.
        request: Request,
    },
    /// A job was found running when the gateway came back: it holds what it asked for, even if
    /// that is more than the node has.
    Recovered {
        /// Its id.
        job: JobId,
        /// What it was given.
        request: Request,
        /// Where it runs.
        node: NodeName,
        /// The pieces it was given, as [`Action::Start`] had them.
        indices: Vec<(PoolName, Vec<u32>)>,
    },
    /// Other nodes than before may run a job that waits: one has joined, or was found to lack the
    /// program. The job keeps its turn. Nothing changes for a job that runs.
    Candidates {
        /// Which job.
        job: JobId,
        /// All the nodes that may run it.
        candidates: Candidates,
    },
    /// Two jobs were found to be joined by pipes through processes that are not jobs.
    PipesLinked {
        /// One of them.
        a: JobId,
        /// The other.
        b: JobId,
    },
    /// Nobody wants the job any more. A queued one is forgotten; a running one keeps its
    /// resources until [`Event::Ended`].
    Cancelled {
        /// Its id.
        job: JobId,
    },
    /// A job has ended, however it ended. A queued one is forgotten too.
    Ended {
        /// Its id.
        job: JobId,
    },
    /// A job that waits, as [`Dispatcher::successor`](super::Dispatcher::successor) named it, is
    /// bound to the place of one that runs: it is not started elsewhere.
    Promised {
        /// Its id.
        job: JobId,
        /// The job that runs in that place.
        after: JobId,
    },
    /// A job is bound to no place any more and has not started: it waits as before.
    Withdrawn {
        /// Its id.
        job: JobId,
    },
    /// A job has ended, and one that waited, bound to its place or not, has been started there.
    Followed {
        /// The one that ended.
        ended: JobId,
        /// The one that holds what that one held, from now on.
        started: JobId,
    },
}

/// What a job needs in order to run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// How much it holds while it runs.
    pub resources: Resources,
    /// The nodes it may run on.
    pub candidates: Candidates,
    /// The nodes it had best run on, for instance because its files are there: it starts on one of
    /// those of its candidates that have room when it is its turn, and else where it would without.
    pub near: Option<Arc<[NodeName]>>,
    /// The job that spawned it.
    pub parent: Option<JobId>,
    /// When it holds its resources.
    pub holds: Holds,
    /// Higher goes first.
    pub priority: i32,
    /// The run or array on whose account it waits: of the same priority, each account gets the
    /// same share of the nodes. Jobs without one have an account together.
    pub share: Option<JobId>,
    /// It has been started before and is tried once more: it waited for its turn once, and goes
    /// before those of its priority that have not had theirs.
    pub again: bool,
    /// The pipes among its open files.
    pub pipes: Vec<(PipeId, End)>,
    /// The longest it may run, in milliseconds.
    pub time_limit: Option<u64>,
}

/// When a running job holds what it asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Holds {
    /// From start to end.
    #[default]
    Worker,
    /// Only while no job it spawned is queued or running: while it waits for them it lends them
    /// everything, and takes it back, if need be into debt, when the last of them ends.
    Lends,
    /// Never: it only starts others and waits (`redirector run`).
    Supervisor,
}

/// A pipe as the kernel knows it. Inode numbers are used again, so a pipe is forgotten with the
/// last job that had it open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PipeId {
    /// `st_dev`.
    pub device: u64,
    /// `st_ino`.
    pub inode: u64,
}

/// Which end of a pipe a job has open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum End {
    /// It reads.
    Read,
    /// It writes.
    Write,
}

impl End {
    /// The other end of the same pipe.
    pub(super) const fn other(self) -> Self {
        match self {
            Self::Read => Self::Write,
            Self::Write => Self::Read,
        }
    }
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Start the job there. It holds its resources already.
    Start {
        /// Which job.
        job: JobId,
        /// Where.
        node: NodeName,
        /// What it was granted: its request, or nothing for a supervisor.
        resources: Resources,
        /// Which pieces of its node's indexed pools it was granted: whole ones first, then the one
        /// of which it has a part.
        indices: Vec<(PoolName, Vec<u32>)>,
    },
    /// The job can never run. It is forgotten.
    Refuse {
        /// Which job.
        job: JobId,
        /// Why.
        reason: Refusal,
    },
    /// The job ran on a node that is gone. It is forgotten, and may be submitted again.
    Lost {
        /// Which job.
        job: JobId,
        /// Where it ran.
        node: NodeName,
    },
}
