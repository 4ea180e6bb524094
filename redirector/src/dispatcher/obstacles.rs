//! What keeps a job from each of its candidates, in words for people.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{
    Dispatcher, Shortage,
    asks::Ask,
    load::Load,
    nodes::{NodeIndex, Presence},
    queue::Place,
    sites::Site,
};
use crate::model::{JobId, NodeName, Pool};

/// Of more candidates than these, none is listed.
const FEW: usize = 16;

/// Why a job does not start on one of its candidates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Obstacle {
    /// That candidate.
    pub node: NodeName,
    /// Why.
    pub because: Because,
}

/// What is the matter with a candidate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "because", rename_all = "snake_case")]
pub enum Because {
    /// No node of that name is known.
    Unknown,
    /// It is known and has not joined, or was lost.
    Away,
    /// It cannot be reached at present.
    Unreachable,
    /// It finishes what it runs and takes no more jobs.
    Draining,
    /// It has less of something than the job asks for, even when it is idle.
    TooSmall {
        /// Of what.
        pool: Pool,
        /// How much is asked for, in the pool's unit.
        asked: u64,
        /// How much it has, in the pool's unit.
        capacity: u64,
    },
    /// Too little is free.
    Busy {
        /// Of what.
        shortage: Shortage,
    },
    /// It has room, which is kept for the first job in the queue.
    Kept {
        /// That job.
        first: JobId,
    },
    /// It has room for the job, but not for all that are joined to it by pipes.
    Joined,
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { node, because } = self;
        match because {
            Because::Unknown => write!(f, "no node is named {node}: correct the name, or add it"),
            Because::Away => write!(f, "{node} is not there: it has not joined, or was lost"),
            Because::Unreachable => write!(f, "{node} cannot be reached at present"),
            Because::Draining => write!(f, "{node} is being drained and takes no more jobs"),
            Because::TooSmall { pool, asked, capacity } => {
                let (asked, capacity) = (pool.describe(*asked), pool.describe(*capacity));
                write!(f, "{node} is too small: it has {capacity}, needed are {asked}")
            }
            Because::Busy { shortage } => write!(f, "{node} {shortage}"),
            Because::Kept { first } => {
                write!(f, "{node} is kept for job {first}, the first in the queue")
            }
            Because::Joined => {
                write!(f, "{node} has room for it, but not for all it is joined to by pipes")
            }
        }
    }
}

impl Dispatcher {
    /// What keeps the jobs of a unit from each node that one of them may run on, if these are few.
    pub(super) fn obstacles(&self, unit: Place, ask: &Ask) -> Vec<Obstacle> {
        let Site::Among(set) = ask.site else { return Vec::new() };
        let nodes = Some(&self.nodes.sets[set]).filter(|nodes| nodes.len() <= FEW);
        let nodes = nodes.into_iter().flatten();
        let obstacle = |&node: &NodeIndex| Obstacle {
            node: self.nodes[node].name.clone(),
            because: self.because(unit, &ask.load, node),
        };
        let mut obstacles = nodes.map(obstacle).collect::<Vec<_>>();
        obstacles.sort_unstable_by(|a, b| a.node.cmp(&b.node));
        obstacles
    }

    fn because(&self, unit: Place, load: &Load, index: NodeIndex) -> Because {
        let node = &self.nodes[index];
        match node.presence {
            Presence::Removed => return Because::Unknown,
            Presence::Away => return Because::Away,
            _ if node.is_suspended => return Because::Unreachable,
            Presence::Draining => return Because::Draining,
            Presence::Open => {}
        }
        let capacity = node.capacity();
        if let Some(slot) = load.first_short(&capacity) {
            return Because::TooSmall {
                pool: self.pools.names()[slot].clone(),
                asked: load.amount(slot),
                capacity: capacity.amount(slot),
            };
        }
        if let Some(shortage) = self.shortage(load, node) {
            return Because::Busy { shortage };
        }
        match &self.reservation {
            Some(kept) if kept.unit != unit && kept.shares.contains_key(&index) => {
                Because::Kept { first: kept.unit.job }
            }
            _ => Because::Joined,
        }
    }
}
