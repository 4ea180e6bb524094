//! A job that has no outcome yet.

use crate::{
    dispatcher::Request,
    gateway::message::{Failure, Lease, Reply},
    model::{Job, JobId, Kind, State},
    protocol::Finished,
};

/// What the core knows of a live job beyond the journal.
pub(super) struct Live {
    pub key: String,
    pub kind: Kind,
    pub spawned_by: Option<JobId>,
    pub run: JobId,
    pub state: State,
    /// What the dispatcher was, or is to be, asked.
    pub request: Request,
    /// The client's connection, if there is one.
    pub lease: Option<Lease>,
    /// The process on which the job depends: its client, or a session's root.
    pub process: i32,
    /// Why it is to end before its time.
    pub cancelled: Option<String>,
    /// How it ended, while what it left behind is being ended.
    pub finished: Option<Finished>,
    /// Whoever wants its record when it has ended.
    pub waiters: Vec<Reply<Result<Job, Failure>>>,
}

impl Live {
    /// Whether its client is gone, so that only its processes are left to be ended.
    pub(super) fn is_abandoned(&self) -> bool {
        self.cancelled.is_some() && self.lease.is_none()
    }
}
