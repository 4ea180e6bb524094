//! A job that has no outcome yet.

use crate::{
    dispatcher::Request,
    gateway::message::{Failure, Lease, Reply},
    model::{Cause, Given, Job, JobId, Kind, Outcome, Retries, State},
    protocol::Finished,
};

/// What the core knows of a live job beyond the journal.
pub(super) struct Live {
    /// What makes a repeated submission the same job; empty for a detached one.
    pub key: String,
    pub kind: Kind,
    pub spawned_by: Option<JobId>,
    pub run: JobId,
    pub state: State,
    /// What the dispatcher was, or is to be, asked.
    pub request: Request,
    pub runner: Runner,
    /// The number of the attempt that runs or comes next.
    pub attempt: u32,
    /// How often it may still be tried again.
    pub retries: Retries,
    /// It was asked for alone on its node.
    pub is_sequential: bool,
    /// How many jobs have to end before it is queued.
    pub leaders: u32,
    /// What its attempt has of the node for itself.
    pub given: Given,
    /// Why it is to end before its time.
    pub ending: Option<Ending>,
    /// How it ended, while what it left behind is being ended.
    pub finished: Option<Finished>,
    /// Whoever wants its record when it has ended.
    pub waiters: Vec<Reply<Result<Job, Failure>>>,
}

/// Who runs a job.
pub(super) enum Runner {
    /// The process that waits for it, the pipeline's child.
    Client {
        process: i32,
        /// Its connection, if there is one.
        lease: Option<Lease>,
    },
    /// A process that knows nothing of it: the root of a session.
    Root { process: i32 },
    /// The agent with this name, once it was told to.
    Agent { instance: Option<String> },
}

/// Why a job is ended before its time.
#[derive(Clone, Debug)]
pub(super) enum Ending {
    Cancelled { reason: String },
    TimedOut { time_limit: u64 },
    OutOfMemory { mem_limit: u64, mem_used: u64 },
}

impl Ending {
    /// The outcome that it leads to, if the command did not end by itself first.
    pub(super) fn outcome(&self) -> Outcome {
        match *self {
            Self::Cancelled { ref reason } => Outcome::Cancelled { reason: reason.clone() },
            Self::TimedOut { time_limit } => Outcome::TimedOut { time_limit },
            Self::OutOfMemory { mem_limit, mem_used } => {
                Outcome::OutOfMemory { mem_limit, mem_used }
            }
        }
    }

    /// The reason, for the person.
    pub(super) fn reason(&self) -> String {
        self.outcome().reason().unwrap_or_default()
    }
}

impl Live {
    /// A run of its own, queued for its first attempt.
    pub(super) fn new(request: Request, runner: Runner, run: JobId) -> Self {
        Self {
            key: String::new(),
            kind: Kind::Command,
            spawned_by: None,
            run,
            state: State::Queued,
            request,
            runner,
            attempt: 1,
            retries: Retries::default(),
            is_sequential: false,
            leaders: 0,
            given: Given::default(),
            ending: None,
            finished: None,
            waiters: Vec::new(),
        }
    }

    /// Most memory that its processes may have together, in bytes; 0: any.
    pub(super) fn mem_limit(&self) -> u64 {
        match self.kind {
            Kind::Command | Kind::Nested => self.request.resources.mem,
            Kind::Run | Kind::Session => 0,
        }
    }

    /// Its client's connection, if it has a client and that is connected.
    pub(super) fn lease(&self) -> Option<&Lease> {
        match &self.runner {
            Runner::Client { lease, .. } => lease.as_ref(),
            Runner::Root { .. } | Runner::Agent { .. } => None,
        }
    }

    /// The process on which it depends, unless an agent runs it.
    pub(super) fn process(&self) -> Option<i32> {
        match self.runner {
            Runner::Client { process, .. } | Runner::Root { process } => Some(process),
            Runner::Agent { .. } => None,
        }
    }

    pub(super) fn is_detached(&self) -> bool {
        matches!(self.runner, Runner::Agent { .. })
    }

    /// Whether its client is gone, so that only its processes are left to be ended.
    pub(super) fn is_abandoned(&self) -> bool {
        self.ending.is_some() && matches!(self.runner, Runner::Client { lease: None, .. })
    }

    /// Why it is tried again after `outcome`, if it is.
    ///
    /// What a pipe has given or taken is gone: a job between pipes is tried once.
    pub(super) fn cause_to_retry(&self, outcome: &Outcome) -> Option<(Cause, Retries)> {
        if matches!(self.ending, Some(Ending::Cancelled { .. })) || !self.request.pipes.is_empty() {
            return None;
        }
        let cause = Cause::of(outcome)?;
        Some((cause, self.retries.after(cause)?))
    }
}
