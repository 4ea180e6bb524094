//! What is remembered about one job, from its submission to its end.

use super::{
    Holds, Timestamp,
    load::Load,
    nodes::NodeIndex,
    pipes::Ends,
    queue::{Ask, LineIndex, Place},
};
use crate::model::JobId;

/// One job.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) ask: Ask,
    /// Its own place in the queue; that of its unit may be an earlier one.
    pub(super) place: Place,
    pub(super) parent: Option<JobId>,
    pub(super) holds: Holds,
    pub(super) ends: Ends,
    /// When it got into its state.
    pub(super) since: Timestamp,
    pub(super) state: State,
}

/// Where a job is on its way.
#[derive(Clone, Copy, Debug)]
pub(super) enum State {
    /// Just heard of; within the handling of one event it gets into the queue or onto a node.
    Arriving,
    /// In the queue, in this line, as a member of the unit that stands in this place.
    Queued { unit: Place, line: LineIndex },
    /// On a node.
    Running { node: NodeIndex, standing: Standing },
}

/// What a running job means for its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    /// What it holds now.
    pub(super) held: Load,
    /// Neither it nor a job it is joined to by pipes waits for jobs it spawned, so it needs
    /// nothing from the queue in order to end.
    pub(super) independent: bool,
}

impl Standing {
    /// Before it holds anything, and when it has given everything back.
    pub(super) const NONE: Self = Self { held: Load::NONE, independent: true };

    /// It holds something and will give it back by itself.
    pub(super) fn gives_back(self) -> bool {
        !self.held.is_none() && self.independent
    }

    /// It holds something and gives it back only once other jobs have run.
    pub(super) fn depends(self) -> bool {
        !self.held.is_none() && !self.independent
    }
}

impl Job {
    pub(super) fn is_running(&self) -> bool {
        matches!(self.state, State::Running { .. })
    }

    /// What it holds while it runs and has, or has not, live children.
    pub(super) fn holds_with(&self, has_children: bool) -> Load {
        match self.holds {
            Holds::Lends if has_children => Load::NONE,
            Holds::Worker | Holds::Lends | Holds::Supervisor => self.ask.load,
        }
    }

    /// When its time limit ends it, if it runs and has one.
    pub(super) fn ends_by(&self) -> Option<Timestamp> {
        Some(self.since.after(self.ask.time_limit?))
    }
}
