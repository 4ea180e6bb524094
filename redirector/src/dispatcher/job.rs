//! What is remembered about one job, from its submission to its end, and the table of all jobs.

use std::sync::Arc;

use super::{
    Holds, Timestamp,
    asks::AskIndex,
    hasher::FastMap,
    load::Load,
    nodes::NodeIndex,
    pieces::Indices,
    pipes::Ends,
    queue::{LineIndex, Place},
};
use crate::model::{JobId, NodeName};

/// One job. Records fill whole lines of the processor's caches, and few of them: one that starts
/// has not been looked at for long.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Job {
    /// Its own place in the queue; that of its unit may be an earlier one.
    pub(super) place: Place,
    pub(super) parent: Option<JobId>,
    /// On whose account it waits.
    pub(super) share: Option<JobId>,
    pub(super) ends: Ends,
    /// Which pieces of its node's indexed pools it was given.
    pub(super) indices: Indices,
    /// When it got into its state.
    pub(super) since: Timestamp,
    pub(super) state: State,
    pub(super) ask: AskIndex,
    /// Where it had best run.
    pub(super) near: Near,
    /// How many jobs it spawned are queued or running.
    pub(super) children: u32,
    pub(super) holds: Holds,
}

const _: () = assert!(size_of::<Option<Job>>() == 128, "two lines of 64 bytes");

/// Names of nodes; mostly none.
#[derive(Debug)]
pub(super) struct Near(Option<Box<Arc<[NodeName]>>>);

impl Near {
    pub(super) fn new(names: Option<Arc<[NodeName]>>) -> Self {
        Self(names.map(Box::new))
    }

    pub(super) fn names(&self) -> Option<&[NodeName]> {
        self.0.as_ref().map(|names| &***names)
    }
}

/// Where a job is on its way.
#[derive(Clone, Copy, Debug)]
pub(super) enum State {
    /// Just heard of; within the handling of one event it gets into the queue or onto a node.
    Arriving,
    /// In the queue, in this line, as a member of the unit that stands in the leader's place.
    Queued { leader: JobId, line: LineIndex },
    /// Not in the queue: it starts on this node as soon as a job there has ended.
    Promised { node: NodeIndex },
    /// On a node.
    Running { node: NodeIndex, standing: Standing },
}

/// How much of what it asked for a running job holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holding {
    /// Nothing: not yet, or not any more.
    Nothing,
    /// What a job keeps while it lends all else: its place among the node's supervisors.
    Kept,
    /// Everything.
    All,
}

impl Holding {
    /// So much of `load`.
    pub(super) fn of(self, load: &Load) -> Load {
        match self {
            Self::Nothing => Load::NONE,
            Self::Kept => load.kept_by_lender(),
            Self::All => *load,
        }
    }
}

/// What a running job means for its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) holding: Holding,
    /// Neither it nor a job it is joined to by pipes waits for jobs it spawned, so it needs
    /// nothing from the queue in order to end.
    pub(super) independent: bool,
}

impl Standing {
    /// Before it holds anything, and when it has given everything back.
    pub(super) const NONE: Self = Self { holding: Holding::Nothing, independent: true };

    /// It holds something of `load` and will give it back by itself.
    pub(super) fn gives_back(self, load: &Load) -> bool {
        self.independent && self.works(load)
    }

    /// It holds something of `load` and gives it back only once other jobs have run.
    pub(super) fn depends(self, load: &Load) -> bool {
        !self.independent && self.works(load)
    }

    /// A place among the supervisors is not looked at: nobody goes into debt for one.
    fn works(self, load: &Load) -> bool {
        self.holding == Holding::All && *load != load.kept_by_lender()
    }
}

impl Job {
    pub(super) fn is_running(&self) -> bool {
        matches!(self.state, State::Running { .. })
    }

    /// How much it holds while it runs.
    pub(super) fn holding(&self) -> Holding {
        match self.holds {
            Holds::Lends if self.children > 0 => Holding::Kept,
            Holds::Worker | Holds::Lends | Holds::Supervisor => Holding::All,
        }
    }
}

/// The jobs of one page.
const PAGE: u64 = 64;

/// All queued and running jobs.
///
/// Their numbers are counted up, and jobs submitted one after the other are often started and
/// ended one after the other: those with neighbouring numbers lie side by side in one page, which
/// the processor's caches make use of, and the map has an entry per page only.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    pages: FastMap<u64, Box<Page>>,
    len: usize,
}

#[derive(Debug)]
struct Page {
    jobs: [Option<Job>; PAGE as usize],
    used: u32,
}

impl Jobs {
    pub(super) fn get(&self, id: JobId) -> Option<&Job> {
        self.pages.get(&(id.0 / PAGE))?.jobs[(id.0 % PAGE) as usize].as_ref()
    }

    pub(super) fn get_mut(&mut self, id: JobId) -> Option<&mut Job> {
        self.pages.get_mut(&(id.0 / PAGE))?.jobs[(id.0 % PAGE) as usize].as_mut()
    }

    pub(super) fn contains(&self, id: JobId) -> bool {
        self.get(id).is_some()
    }

    /// Adds a job that is not there yet.
    pub(super) fn insert(&mut self, id: JobId, job: Job) {
        let page = self
            .pages
            .entry(id.0 / PAGE)
            .or_insert_with(|| Box::new(Page { jobs: [const { None }; PAGE as usize], used: 0 }));
        let before = page.jobs[(id.0 % PAGE) as usize].replace(job);
        debug_assert!(before.is_none(), "{id} was there already");
        page.used += 1;
        self.len += 1;
    }

    pub(super) fn remove(&mut self, id: JobId) -> Option<Job> {
        let page = self.pages.get_mut(&(id.0 / PAGE))?;
        let job = page.jobs[(id.0 % PAGE) as usize].take()?;
        page.used -= 1;
        if page.used == 0 {
            self.pages.remove(&(id.0 / PAGE));
        }
        self.len -= 1;
        Some(job)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }
}

impl std::ops::Index<JobId> for Jobs {
    type Output = Job;

    fn index(&self, id: JobId) -> &Job {
        self.get(id).expect("the job is queued or runs")
    }
}
