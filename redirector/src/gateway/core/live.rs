//! A job that has no outcome yet.

use std::sync::Arc;

use super::{sites::Need, staged::Staging};
use crate::{
    agent::protocol::Ended,
    dispatcher::{End, Request},
    gateway::message::{Failure, Lease, Reply},
    model::{Cause, Given, Job, JobId, Kind, NodeName, Outcome, Retries, State},
    protocol::{Beginning, Finished},
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
    /// What it needs of a node, if it may run on several.
    pub need: Option<Arc<Need>>,
    /// Where it was granted its resources.
    pub node: Option<NodeName>,
    /// What has lost its last attempt: any other node is better.
    pub avoided: Option<NodeName>,
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
    /// How its attempt ended on another computer, while its output is still being fetched.
    pub fetching: Option<Fetching>,
    /// What of its files is where, if its node does not have those of this computer.
    pub staging: Option<Staging>,
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
        /// The agent that runs the command in the client's stead, on another node.
        placed: Option<Placed>,
        /// What the client has inherited, once it has said so for an attempt.
        beginning: Option<Box<Beginning>>,
    },
    /// A process that knows nothing of it: the root of a session.
    Root { process: i32 },
    /// The agent with this name, once it was told to.
    Agent { instance: Option<String> },
}

/// The output of a detached job on another computer.
#[derive(Debug)]
pub(super) enum Fetching {
    /// It is being fetched.
    Output,
    /// … and the attempt has ended so.
    Ended(Box<Ended>),
    /// All of it is here.
    Done,
}

/// A command that an agent runs for a client.
pub(super) struct Placed {
    /// The agent.
    pub agent: String,
    /// The agent was told to run it, or a gateway before this one may have told it.
    pub may_run: bool,
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
            need: None,
            node: None,
            avoided: None,
            attempt: 1,
            retries: Retries::default(),
            is_sequential: false,
            leaders: 0,
            given: Given::default(),
            fetching: None,
            staging: None,
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

    /// The agent that runs it, or is to run it.
    pub(super) fn agent(&self) -> Option<&str> {
        match &self.runner {
            Runner::Agent { instance } => instance.as_deref(),
            Runner::Client { placed: Some(placed), .. } => Some(&placed.agent),
            Runner::Client { .. } | Runner::Root { .. } => None,
        }
    }

    /// An agent is to run it, or none any more.
    pub(super) fn set_agent(&mut self, agent: Option<String>) {
        match &mut self.runner {
            Runner::Agent { instance } => *instance = agent,
            Runner::Client { placed, .. } => {
                *placed = agent.map(|agent| Placed { agent, may_run: false });
            }
            Runner::Root { .. } => {}
        }
    }

    /// Its client is there, on this connection.
    pub(super) fn come_back(&mut self, its_lease: &Lease) {
        match &mut self.runner {
            Runner::Client { process, lease, .. } => {
                (*process, *lease) = (its_lease.client_pid, Some(its_lease.clone()));
            }
            Runner::Root { .. } | Runner::Agent { .. } => {}
        }
    }

    /// What its client has inherited, if an agent is to run it and the client has said so.
    pub(super) fn beginning(&self) -> Option<&Beginning> {
        match &self.runner {
            Runner::Client { placed: Some(_), beginning, .. } => {
                beginning.as_deref().filter(|it| it.attempt == self.attempt)
            }
            _ => None,
        }
    }

    /// Whether something may be gone that it was to read from a pipe, or may be in one that it writes.
    fn may_have_used_pipes(&self) -> bool {
        let pipes = &self.request.pipes;
        match &self.runner {
            // Its client reads ahead for it.
            Runner::Client { placed: Some(Placed { may_run: false, .. }), .. } => {
                pipes.iter().any(|(_, end)| *end == End::Read)
            }
            _ => !pipes.is_empty(),
        }
    }

    /// Whether its agent may have been told to run it for its client.
    pub(super) fn may_run_elsewhere(&self) -> bool {
        match &self.runner {
            Runner::Client { placed, .. } => placed.as_ref().is_some_and(|placed| placed.may_run),
            _ => false,
        }
    }

    /// Its agent is told to run it, or says that it never was.
    pub(super) fn set_may_run(&mut self, may_run: bool) {
        if let Runner::Client { placed: Some(placed), .. } = &mut self.runner {
            placed.may_run = may_run;
        }
    }

    /// Whether its agent is still being given its files.
    pub(super) fn is_being_staged(&self) -> bool {
        matches!(self.staging, Some(Staging::Sending(_)))
    }

    /// Whether everything is known that an agent needs to run it.
    pub(super) fn can_begin(&self) -> bool {
        self.is_detached() || self.beginning().is_some()
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
    /// What a pipe has given or taken is gone: a job between pipes is tried once. It may write to one
    /// as long as it has not begun.
    pub(super) fn cause_to_retry(&self, outcome: &Outcome) -> Option<(Cause, Retries)> {
        if matches!(self.ending, Some(Ending::Cancelled { .. })) || self.may_have_used_pipes() {
            return None;
        }
        let cause = Cause::of(outcome)?;
        Some((cause, self.retries.after(cause)?))
    }
}
