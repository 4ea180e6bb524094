//! Tells those who follow a run when its jobs start and end, once that is journalled. Costs nothing
//! as long as nobody follows any.

use tokio::sync::broadcast;

use super::Core;
use crate::model::{JobId, NodeName, Outcome, Timestamp};

/// Happenings that a follower may be behind before it has to look at all jobs anew.
const BEHIND: usize = 4096;

/// What happened to a job.
#[derive(Clone, Debug)]
pub(in crate::gateway) struct Happening {
    pub run: JobId,
    pub job: JobId,
    pub attempt: u32,
    pub node: Option<NodeName>,
    /// Whether its output is kept.
    pub is_detached: bool,
    pub at: Timestamp,
    pub what: What,
}

/// See [`Happening`].
#[derive(Clone, Debug)]
pub(in crate::gateway) enum What {
    /// An attempt has its resources.
    Started,
    /// An attempt has ended, or a job before it could start.
    Ended {
        /// How.
        outcome: Outcome,
        /// Another attempt follows.
        is_tried_again: bool,
    },
}

/// Those who follow.
pub(super) struct Happenings(broadcast::Sender<Happening>);

impl Happenings {
    pub(super) fn new() -> Self {
        Self(broadcast::Sender::new(BEHIND))
    }

    /// All that happens from now on.
    pub(super) fn follow(&self) -> broadcast::Receiver<Happening> {
        self.0.subscribe()
    }
}

impl Core {
    /// Tells that something happened to the present attempt at a live job.
    pub(super) fn tell_followers(
        &mut self,
        job: JobId,
        at: Timestamp,
        what: impl FnOnce() -> What,
    ) {
        if self.happenings.0.receiver_count() == 0 {
            return;
        }
        let Some(live) = self.live.get(&job) else { return };
        let happening = Happening {
            run: live.run,
            job,
            attempt: live.attempt,
            node: live.node.clone(),
            is_detached: live.is_detached(),
            at,
            what: what(),
        };
        let followers = self.happenings.0.clone();
        // Fails when the last one has gone meanwhile.
        self.journal.after_commit(move || drop(followers.send(happening)));
    }
}
