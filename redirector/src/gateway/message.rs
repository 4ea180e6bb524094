//! What the core is told, and what it answers.

use tokio::sync::{broadcast, mpsc::UnboundedSender, oneshot};

use super::{
    core::{Happening, pools::Answer, progress::Watching},
    stage::{self, Staged},
};
use crate::{
    agent::protocol::{AttemptId, Ended, LogRecord, Order, Probed},
    config::{Host, Ssh},
    engine::Channel,
    model::{Job, JobId, NodeName},
    node,
    protocol::{
        Beginning, DetachedSubmission, Explained, Finished, GatewayMessage, NodeStatus, Problem,
        Purged, Resumption, Status, Submission, Submitted,
    },
    store::{self, EndedBetween, Filter, Retention},
};

/// Numbers a lease's connection: a job may come back on another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct LeaseId(pub u64);

/// The gateway's side of a lease.
#[derive(Clone, Debug)]
pub(super) struct Lease {
    pub id: LeaseId,
    pub client_pid: i32,
    pub messages: UnboundedSender<GatewayMessage>,
}

/// The agent's first message: which process it is, and which attempts it knows.
#[derive(Debug)]
pub(super) struct AgentHello {
    /// The node that it is on.
    pub node: NodeName,
    pub instance: String,
    /// Agents that left in good order before it came.
    pub predecessors: Vec<String>,
    pub running: Vec<AttemptId>,
    /// Ended and not acknowledged; how is told in messages that follow.
    pub ended: Vec<AttemptId>,
    /// Those that wait for the end of others; `None` from an agent that takes no such orders.
    pub promised: Option<Vec<AttemptId>>,
    /// What its node has for jobs, if it is not the gateway's own computer.
    pub facts: Option<Box<node::Facts>>,
}

/// What the core has of a connection to an agent.
#[derive(Clone, Debug)]
pub(super) struct AgentLink {
    pub orders: UnboundedSender<Order>,
    /// For streams beside the orders, if the agent is on another computer.
    pub channel: Option<Channel>,
}

/// Where an answer goes; whoever asked may have gone.
pub(super) type Reply<T> = oneshot::Sender<T>;

/// An HTTP status with its [`Problem`].
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub status: u16,
    pub problem: Problem,
}

impl Failure {
    pub(super) fn new(status: u16, error: impl Into<String>) -> Self {
        Self { status, problem: Problem { error: error.into() } }
    }

    pub(super) fn no_such_job(id: JobId) -> Self {
        Self::new(
            404,
            format!("there is no job {id}; 'redirector jobs --all' lists those there are"),
        )
    }
}

impl From<store::Error> for Failure {
    fn from(error: store::Error) -> Self {
        Self::new(503, error.to_string())
    }
}

/// Everything that can happen.
pub(super) enum Message {
    /// A client asks for a lease. Answered once the job is journalled.
    Submit {
        submission: Box<Submission>,
        /// What the client has said already for the case that it is placed elsewhere.
        beginning: Option<Box<Beginning>>,
        lease: Lease,
        reply: Reply<Result<JobId, Failure>>,
    },
    /// A client is back.
    Resume { resumption: Resumption, lease: Lease, reply: Reply<Result<JobId, Failure>> },
    /// A leased command ended.
    Finished { job: JobId, lease: LeaseId, finished: Finished },
    /// A lease's connection is gone.
    LeaseClosed { job: JobId, lease: LeaseId },
    /// The process that a job or session depends on is gone.
    ProcessEnded { job: JobId },
    /// Nothing is left of the processes of a job that was cut off.
    LeftoversEnded { job: JobId },
    /// The grace of a cancelled job is over.
    GraceOver { job: JobId },
    /// What a look at all processes has shown: jobs that are joined by pipes, and, if
    /// all that runs is asleep, after how much processor time in clock ticks.
    Looked { links: Vec<(JobId, JobId)>, time: Option<u64> },
    /// Somebody cancels a job and all that came out of it.
    Cancel { job: JobId, reason: String, reply: Reply<Result<Vec<JobId>, Failure>> },
    /// Somebody wants a job's record, now or when it has ended.
    Show { job: JobId, when_finished: bool, reply: Reply<Result<Job, Failure>> },
    /// Somebody lists jobs.
    List { filter: Filter, reply: Reply<Result<Vec<Job>, Failure>> },
    /// Which jobs from the first to the last have ended.
    EndedBetween { first: JobId, last: JobId, reply: Reply<Result<EndedBetween, Failure>> },
    /// Somebody submits jobs for which nobody waits.
    Detach { submission: Box<DetachedSubmission>, reply: Reply<Result<Submitted, Failure>> },
    /// Somebody keeps a job back.
    Hold { job: JobId, reply: Reply<Result<Vec<JobId>, Failure>> },
    /// Somebody lets a held job go.
    Release { job: JobId, reply: Reply<Result<Vec<JobId>, Failure>> },
    /// Somebody wants a finished job tried once more.
    Retry { job: JobId, reply: Reply<Result<Vec<JobId>, Failure>> },
    /// Somebody wants to know why a job waits, or ended as it did.
    Explain { job: JobId, reply: Reply<Result<Explained, Failure>> },
    /// Somebody wants to know what nodes there are.
    Nodes { reply: Reply<Vec<NodeStatus>> },
    /// Somebody adds a host.
    AddNode { host: Box<Host>, reply: Reply<Result<(), Failure>> },
    /// Somebody keeps jobs away from a node, or lets them back.
    DrainNode { node: NodeName, drain: bool, reply: Reply<Result<(), Failure>> },
    /// Somebody removes a host.
    RemoveNode { node: NodeName, force: bool, reply: Reply<Result<(), Failure>> },
    /// The configuration was read again.
    ReloadNodes { hosts: Vec<Host>, ssh: Ssh, reply: Reply<Vec<String>> },
    /// Old jobs are to be forgotten.
    Purge { retention: Retention, reply: Option<Reply<Result<Purged, Failure>>> },
    /// It is time to forget what is old.
    KeepHouse,
    /// A batch engine has answered.
    Engine(Answer),
    /// An agent has said what it runs.
    AgentUp { hello: AgentHello, link: AgentLink },
    /// An attempt that was promised to an agent was not started, and will not be.
    AttemptWithdrawn { attempt: AttemptId },
    /// An attempt that an agent ran has ended.
    AgentEnded { node: NodeName, ended: Box<Ended> },
    /// All that an attempt on another computer has written is in its log files here.
    OutputFetched { attempt: AttemptId },
    /// What a command needs on another computer is there, or cannot be.
    Staged { attempt: AttemptId, result: Result<Staged, stage::Problem> },
    /// What an attempt has made on another computer is here, but for these problems.
    Landed { attempt: AttemptId, problems: Vec<String> },
    /// An agent has looked for what jobs need.
    AgentProbed { node: NodeName, probed: Probed },
    /// An agent, or a program on its node, has something to say.
    AgentLog { node: NodeName, record: LogRecord },
    /// A program that runs as a job of this computer has something to say.
    Log { token: String, record: LogRecord, reply: Reply<Result<(), Failure>> },
    /// Somebody wants to know when jobs start and end.
    Happenings { reply: Reply<broadcast::Receiver<Happening>> },
    /// The connection to the agent is gone, or there never was one.
    AgentDown { node: NodeName, problem: Option<String> },
    /// The client of a job that was placed on another node says what it has inherited.
    Begin { job: JobId, lease: LeaseId, beginning: Box<Beginning> },
    /// A client wants the bytes of its job's descriptors, by the job's token.
    Attach { job: JobId, attempt: u32, token: String, reply: Reply<Result<Channel, Failure>> },
    /// Nothing is left of attempts that an agent ran which was killed.
    AttemptsLost { attempts: Vec<AttemptId> },
    /// A leased job has run for as long as it may.
    TimeOver { job: JobId, attempt: u32 },
    /// How much memory leased jobs have.
    Measured { jobs: Vec<(JobId, u64)> },
    /// Somebody watches a run.
    Progress { run: JobId, reply: Reply<Result<Watching, Failure>> },
    /// Somebody asks how the gateway is.
    Status { reply: Reply<Status> },
    /// The gateway is to end.
    Stop { force: bool, reply: Reply<Result<(), Failure>> },
}
