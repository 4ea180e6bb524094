//! Why a job waits, and why it never can run: typed for programs, in words for people.

use std::{cmp::Reverse, fmt};

use serde::{Deserialize, Serialize};

use super::{
    Dispatcher, Obstacle, Timestamp,
    asks::Ask,
    job::{Holding, State},
    load::Load,
    nodes::Node,
    queue::{LineIndex, Place, Urgency},
    sites::Site,
};
use crate::model::{JobId, NodeName, Pool};

/// What there is too little of on a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "of", rename_all = "snake_case")]
pub enum Shortage {
    /// A pool of resources.
    Resource {
        /// Which.
        pool: Pool,
        /// How much is asked for, in the pool's unit.
        asked: u64,
        /// How much there is, in the pool's unit.
        available: u64,
    },
    /// Whole pieces of a pool, or pieces with enough left: of the pool as a whole there is enough.
    Pieces {
        /// Which pool.
        pool: Pool,
        /// How much is asked for, in the pool's unit.
        asked: u64,
    },
    /// The number of jobs the node takes at once.
    Jobs {
        /// That number.
        limit: u32,
    },
    /// The number of whole pipelines the node runs at once.
    Supervisors {
        /// That number.
        limit: u32,
    },
}

impl fmt::Display for Shortage {
    /// Follows the name of a node: `… has 1 cpu free, 4 cpus are needed`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resource { pool, asked, available } => {
                let (asked, available) = (pool.describe(*asked), pool.describe(*available));
                write!(f, "has {available} free, needed are {asked}")
            }
            Self::Pieces { pool, asked } => {
                let asked = pool.describe(*asked);
                write!(f, "has enough {pool} free, but not in pieces that make up {asked}")
            }
            Self::Jobs { limit } => write!(f, "takes {limit} jobs at once and runs as many"),
            Self::Supervisors { limit } => {
                write!(f, "runs {limit} pipelines at once and no more")
            }
        }
    }
}

/// Why a job can never run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Refusal {
    /// No node is large enough.
    TooLarge {
        /// The pool that is short on the node that comes closest.
        pool: Pool,
        /// How much the job asks for, in the pool's unit.
        asked: u64,
        /// How much of it that node has, in the pool's unit.
        largest: u64,
        /// That node.
        node: NodeName,
    },
    /// It asks for something that no node has.
    UnknownPool {
        /// That thing.
        pool: Pool,
        /// What nodes have.
        known: Vec<Pool>,
    },
    /// No node has one of the names that it asks for.
    UnknownNodes {
        /// Those names.
        asked: Vec<NodeName>,
        /// The names of the nodes that there are, in order.
        known: Vec<NodeName>,
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { pool, asked, largest, node } => {
                let (asked, largest) = (pool.describe(*asked), pool.describe(*largest));
                write!(
                    f,
                    "it asks for {asked}, and {node}, which comes closest, has {largest}: \
                     ask for less in the whitelist rule, or add a larger node"
                )
            }
            Self::UnknownPool { pool, known } => {
                let known = known.iter().map(Pool::name).collect::<Vec<_>>().join(", ");
                write!(
                    f,
                    "no node has '{pool}'; nodes have {known}: correct the name in the request, \
                     or declare it where a node has it"
                )
            }
            Self::UnknownNodes { asked, .. } if asked.is_empty() => write!(
                f,
                "there is no node that it may run on: install its program on one, or relax what \
                 its whitelist rule asks of nodes"
            ),
            Self::UnknownNodes { asked, known } => {
                let (asked, known) = (one_of(asked, "or"), one_of(known, "and"));
                write!(f, "no node is named {asked}; ")?;
                match &*known {
                    "" => write!(f, "there are none at all")?,
                    known => write!(f, "nodes are {known}")?,
                }
                write!(
                    f,
                    ": correct the name in the request or the whitelist rule, or add the node"
                )
            }
        }
    }
}

impl std::error::Error for Refusal {}

/// So many names are written out.
const SOME: usize = 12;

/// `a, b or c`; of many, the first and how many more there are.
fn one_of(names: &[NodeName], word: &str) -> String {
    let shown = names.iter().take(SOME).map(ToString::to_string).collect::<Vec<_>>();
    match (names.len() - shown.len(), &shown[..]) {
        (0, [first @ .., last]) if !first.is_empty() => {
            format!("{} {word} {last}", first.join(", "))
        }
        (0, _) => shown.join(", "),
        (more, _) => format!("{} {word} {more} others", shown.join(", ")),
    }
}

/// What the dispatcher knows about a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Explanation {
    /// It runs.
    Running {
        /// Where.
        node: NodeName,
        /// Since when.
        since: Timestamp,
        /// It waits for jobs it spawned and has lent them its resources.
        lending: bool,
    },
    /// It waits.
    Waiting {
        /// Since when.
        since: Timestamp,
        /// For what.
        reason: Wait,
        /// The first job in the queue, for which room is being kept, if that is another one.
        behind: Option<JobId>,
        /// If it may run on a few nodes only: what keeps it from each.
        candidates: Vec<Obstacle>,
    },
}

/// What a queued job waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "for", rename_all = "snake_case")]
pub enum Wait {
    /// No node that could run it takes jobs at present.
    Node {
        /// The node it asks for, if it asks for one.
        node: Option<NodeName>,
    },
    /// Too little is free even on the node that comes closest.
    Room {
        /// That node.
        node: NodeName,
        /// What is short there.
        shortage: Shortage,
        /// The jobs that hold most of it there, at most three.
        held_by: Vec<JobId>,
    },
    /// For the end of a job there, whose place it takes.
    Place {
        /// The node.
        node: NodeName,
    },
    /// It would fit, but could delay the first job in the queue, for which the node is kept.
    Turn {
        /// The node.
        node: NodeName,
    },
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node { node: Some(node) } => {
                write!(f, "it waits for {node}, which takes no jobs at present")
            }
            Self::Node { node: None } => {
                write!(f, "no node that is large enough takes jobs at present")
            }
            Self::Room { node, shortage, held_by } => {
                write!(f, "it waits for room: {node} {shortage}")?;
                for (position, job) in held_by.iter().enumerate() {
                    let before = if position == 0 { "; most is held by job" } else { "," };
                    write!(f, "{before} {job}")?;
                }
                Ok(())
            }
            Self::Place { node } => {
                write!(
                    f,
                    "it is the next to start on {node}, in the place of a job that runs there"
                )
            }
            Self::Turn { node } => {
                write!(f, "it fits on {node}, but would delay the first job in the queue there")
            }
        }
    }
}

impl Dispatcher {
    /// Where the job runs or why it waits; `None` if it is not known (any more).
    pub fn explain(&self, id: JobId) -> Option<Explanation> {
        let job = self.jobs.get(id)?;
        match job.state {
            State::Arriving => None,
            State::Running { node, standing } => Some(Explanation::Running {
                node: self.nodes[node].name.clone(),
                since: job.since,
                lending: standing.holding != Holding::All,
            }),
            State::Promised { node } => Some(Explanation::Waiting {
                since: job.since,
                reason: Wait::Place { node: self.nodes[node].name.clone() },
                behind: None,
                candidates: Vec::new(),
            }),
            State::Queued { leader, line } => {
                let unit = self.jobs[leader].place;
                Some(Explanation::Waiting {
                    since: job.since,
                    reason: self.reason_to_wait(unit, line)?,
                    behind: self.first_before(unit),
                    candidates: self.obstacles(unit, &self.asks[job.ask]),
                })
            }
        }
    }

    /// The first job in the queue, unless it is in this unit.
    fn first_before(&self, unit: Place) -> Option<JobId> {
        let (first, _) = self.queue.head()?;
        (first < unit).then_some(first.job)
    }

    fn reason_to_wait(&self, unit: Place, line: LineIndex) -> Option<Wait> {
        let line = &self.queue[line];
        if !line.is_feasible() || unit.urgency == Urgency::JoinsRunning {
            if let Some(wait) = self.wait_for_place(&line.asks) {
                return Some(wait);
            }
            let missing = line.asks.iter().find_map(|ask| match ask.site {
                Site::One(only) => Some(&self.nodes[only]).filter(|node| !node.is_open()),
                Site::Any | Site::Among(_) => None,
            });
            return Some(Wait::Node { node: missing.map(|node| node.name.clone()) });
        }
        let homes = self.homes(&line.asks)?;
        let shares = self.shares(&line.asks, &homes);
        for (&index, share) in &shares {
            let node = &self.nodes[index];
            if let Some(shortage) = self.shortage(share, node) {
                return Some(self.wait_for_room(node, shortage));
            }
        }
        let (node, _) = shares.first_key_value()?;
        Some(Wait::Turn { node: self.nodes[*node].name.clone() })
    }

    /// Where a place for a supervisor is missing, if that is what is missing.
    fn wait_for_place(&self, asks: &[Ask]) -> Option<Wait> {
        let ask = asks.iter().find(|ask| !self.nodes.can_hold(ask))?;
        let node = &self.nodes[self.nodes.closest(&ask.load, ask.site, |_| true)?];
        let limit = node.capacity().supervisors;
        let is_full = node.is_open() && ask.load.supervisors > node.free().supervisors;
        is_full.then(|| self.wait_for_room(node, Shortage::Supervisors { limit }))
    }

    fn wait_for_room(&self, node: &Node, shortage: Shortage) -> Wait {
        let held_by = self.largest_holders(node, &shortage);
        Wait::Room { node: node.name.clone(), shortage, held_by }
    }

    /// The jobs on that node that hold most of what is short.
    fn largest_holders(&self, node: &Node, shortage: &Shortage) -> Vec<JobId> {
        let held = |id: JobId| {
            let job = &self.jobs[id];
            let State::Running { standing, .. } = job.state else { return 0 };
            let held = standing.holding.of(&self.asks[job.ask].load);
            match shortage {
                Shortage::Resource { pool, .. } | Shortage::Pieces { pool, .. } => {
                    let slot = self.pools.names().iter().position(|name| name == pool);
                    slot.map_or(0, |slot| held.amount(slot))
                }
                Shortage::Jobs { .. } => held.slots.into(),
                Shortage::Supervisors { .. } => held.supervisors.into(),
            }
        };
        let running = node.running.iter().map(|&job| (Reverse(held(job)), job));
        let mut holders = running.filter(|(held, _)| held.0 > 0).collect::<Vec<_>>();
        holders.sort_unstable();
        holders.into_iter().map(|(_, job)| job).take(3).collect()
    }

    /// What is too little of what is free there for `load`.
    pub(super) fn shortage(&self, load: &Load, node: &Node) -> Option<Shortage> {
        let free = node.free();
        if load.slots > free.slots {
            return Some(Shortage::Jobs { limit: node.capacity().slots });
        }
        if load.supervisors > free.supervisors {
            return Some(Shortage::Supervisors { limit: node.capacity().supervisors });
        }
        let pool = |slot: usize| self.pools.names()[slot].clone();
        if let Some(slot) = load.first_short(&free) {
            let (asked, available) = (load.amount(slot), free.amount(slot));
            return Some(Shortage::Resource { pool: pool(slot), asked, available });
        }
        let slot = node.pieces.first_short(load)?;
        Some(Shortage::Pieces { pool: pool(slot), asked: load.amount(slot) })
    }
}
