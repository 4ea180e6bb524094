//! One allocation: what was asked for, and how far it is.
//!
//! ```text
//!   Submitting ──► Granted ──► (its agent joins, jobs run) ──► Leaving ──► ended, forgotten
//!     │    ▲
//!     ▼    │ in a while
//!   Refused
//! ```

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use crate::{
    engine::batch::EngineJobId,
    model::{Amount, EngineOptions, JobId, NodeName, Resources},
};

/// What an allocation, or a job of a pool, takes of an engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::gateway::core) struct Size {
    /// Whole cpus, all on one node.
    pub cpus: u32,
    /// Bytes; `None`: what the engine gives.
    pub mem: Option<u64>,
    pub gpus: u32,
    /// Whatever else jobs use up there, which engines know nothing of.
    pub others: Resources,
    /// `None`: the engine's default.
    pub walltime: Option<Duration>,
}

/// What a job asks of its pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::gateway::core) struct Ask {
    pub pool: String,
    /// What people are to see in the engine's listings: its run, and its rule or program.
    pub name: String,
    /// The number of the attempt for which a node is asked.
    pub attempt: u32,
    pub resources: Resources,
    pub time_limit: Option<Duration>,
    /// Those of its rule.
    pub options: EngineOptions,
}

/// What has to be known of an allocation by the next gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::gateway::core) struct Claim {
    pub node: NodeName,
    pub pool: String,
    /// What people see in the engine's listings.
    pub name: String,
    /// The only job that runs there; `None`: many do.
    pub job: Option<JobId>,
    /// … and the number of its attempt; 0: not known.
    #[serde(default)]
    pub attempt: u32,
    pub size: Size,
    /// What the rule of its only job asks for, over what the pool does.
    #[serde(default, skip_serializing_if = "EngineOptions::is_empty")]
    pub options: EngineOptions,
    /// What the engine calls it, once it has taken it.
    pub id: Option<EngineJobId>,
}

impl Claim {
    /// Whether it is for this attempt at a job.
    pub(super) fn is_for(&self, job: JobId, attempt: u32) -> bool {
        self.job == Some(job) && [0, attempt].contains(&self.attempt)
    }

    /// The end of its node's name: those that were asked for later have larger ones.
    pub(super) fn number(&self) -> u64 {
        self.node.0.rsplit('-').next().and_then(|number| number.parse().ok()).unwrap_or(u64::MAX)
    }
}

/// The pool of an allocation, which its name begins with: one that has ended is known no more, and
/// may still have to be stopped.
pub(super) fn pool_of(node: &NodeName) -> &str {
    node.0.rsplit_once('-').map_or(&*node.0, |(pool, _)| pool)
}

/// An allocation that was asked for and is not known to have ended.
#[derive(Debug)]
pub(super) struct Allocation {
    pub claim: Claim,
    pub stage: Stage,
    /// What the engine has said last, if it does not run.
    pub word: Option<String>,
    /// What its own output ended with when the engine was asked last.
    pub last_words: Option<String>,
    /// The only job that runs there has ended.
    pub is_spent: bool,
    /// Its agent is connected.
    pub is_up: bool,
    /// Its agent has been connected at some time.
    pub has_joined: bool,
    /// Jobs that run there.
    pub jobs: BTreeSet<JobId>,
    /// Since when no job runs there.
    pub idle_since: Option<Instant>,
    /// When the engine ends it.
    pub ends: Option<Instant>,
    /// It takes no more jobs, because its end is near.
    pub is_draining: bool,
    /// The engine has said that it is gone, or no longer knew of it.
    pub is_missed: bool,
}

/// How far an allocation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The engine is being asked.
    Submitting,
    /// The engine did not take it, or did not say so, and is asked again.
    Refused,
    /// The engine has it.
    Granted,
    /// It is no longer needed; the engine is told so, and told again then.
    Leaving { stop_at: Instant },
}

/// For jobs that take no time to speak of, and for the agent to come and to go.
const MARGIN: Duration = Duration::from_mins(1);

impl Size {
    /// Of an allocation for one job.
    pub(super) fn of_job(ask: &Ask, walltime: Option<Duration>) -> Self {
        let mut others = ask.resources.others.clone();
        let gpus = others
            .extract_if(.., |name, _| name.as_str() == "gpus")
            .map(|(_, amount)| amount.0)
            .sum::<u64>();
        Self {
            cpus: whole(ask.resources.cpus.0).max(1),
            mem: Some(ask.resources.mem).filter(|mem| *mem > 0),
            gpus: whole(gpus),
            others: Resources { others, ..Resources::NONE },
            walltime: ask.time_limit.map(|limit| limit + MARGIN).or(walltime),
        }
    }
}

fn whole(amount: u64) -> u32 {
    u32::try_from(amount.div_ceil(Amount::ONE.0)).unwrap_or(u32::MAX)
}

impl Allocation {
    pub(super) fn new(claim: Claim) -> Self {
        Self {
            claim,
            stage: Stage::Submitting,
            word: None,
            last_words: None,
            is_spent: false,
            is_up: false,
            has_joined: false,
            jobs: BTreeSet::new(),
            idle_since: None,
            ends: None,
            is_draining: false,
            is_missed: false,
        }
    }

    pub(super) fn is_leaving(&self) -> bool {
        matches!(self.stage, Stage::Leaving { .. })
    }

    /// It runs for `ran` already.
    pub(super) fn runs(&mut self, ran: Duration, now: Instant) {
        if let Some(walltime) = self.claim.size.walltime {
            let ends = now + walltime.saturating_sub(ran);
            self.ends = Some(self.ends.map_or(ends, |known| known.min(ends)));
        }
    }

    /// When one for many jobs begins to drain.
    pub(super) fn drains_at(&self) -> Option<Instant> {
        let (ends, walltime) = (self.ends?, self.claim.size.walltime?);
        ends.checked_sub((walltime / 10).min(Duration::from_mins(5)))
    }

    /// Whether a job that may take so long still ends in time there.
    pub(super) fn has_time_for(&self, limit: Option<Duration>, now: Instant) -> bool {
        match (limit, self.ends, self.claim.job) {
            (Some(limit), Some(ends), None) => now + limit + MARGIN <= ends,
            _ => true,
        }
    }

    /// How far it is, for the person.
    pub(super) fn describe(&self, engine: &str) -> String {
        let node = &self.claim.node;
        let id =
            self.claim.id.as_ref().map_or_else(String::new, |id| format!(" ({engine} job {id})"));
        let word = self.word.as_ref().map_or_else(String::new, |word| format!(": {word}"));
        let state = match self.stage {
            Stage::Submitting => "is being asked for",
            Stage::Refused => "was not taken, and is asked for again",
            Stage::Leaving { .. } => "is being given back",
            Stage::Granted if self.is_up && self.is_draining => {
                "takes no more jobs, its end is near"
            }
            Stage::Granted if self.is_up => "is there",
            Stage::Granted if self.word.is_none() && self.ends.is_some() => "starts its agent",
            Stage::Granted => "waits",
        };
        format!("allocation {node}{id} {state}{word}")
    }
}

/// Whether a job that may take so long could ever end in time in a whole allocation.
pub(super) fn fits_in_time(limit: Option<Duration>, walltime: Duration) -> bool {
    limit.is_none_or(|limit| limit + MARGIN <= walltime)
}
