//! The attempts that an agent knows: those that run, and those whose end the gateway has
//! not acknowledged. A pure table, so that "nothing twice, nothing lost" can be read off it.
//!
//! ```text
//!            Start                    ended                Acknowledge
//!  unknown ─────────► running ─────────────────► ended ─────────────────► unknown
//!     ▲ │                ▲
//!     │ │ Start, after   │ the one before it ended
//!     │ └────► promised ─┘
//!     └─ withdrawn ─┘
//! ```
//!
//! An attempt that was abandoned goes from running to unknown.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::{
    protocol::{AttemptId, Ended},
    shepherds::ShepherdId,
};

/// An attempt that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Running {
    /// Who runs it.
    pub shepherd: ShepherdId,
    /// The token in its environment, if it has one.
    pub token: Option<String>,
    /// The most memory that it was seen to have, in bytes.
    pub peak: u64,
    /// What it starts may become jobs of its own.
    pub is_nested: bool,
    /// Nobody wants to hear how it ends.
    pub is_abandoned: bool,
    /// The most that it may have, if the agent itself has to see to that, in bytes.
    pub watched_limit: Option<u64>,
    /// The latest signal that it was sent by whoever waits for it.
    pub passed_on: Option<i32>,
}

/// An attempt that its shepherd starts by itself when those before it have ended.
#[derive(Debug)]
struct Promised {
    /// What it is then.
    running: Running,
    /// It is to be ended then, with this grace in milliseconds.
    ending: Option<u64>,
}

/// An attempt that was started in the place of another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Started {
    /// Which one.
    pub attempt: AttemptId,
    /// It is to be ended at once, with this grace in milliseconds.
    pub ending: Option<u64>,
    /// The most memory that it may have, if the agent itself has to see to that, in bytes.
    pub watched_limit: Option<u64>,
}

#[derive(Debug)]
enum Attempt {
    Promised(Box<Promised>),
    Running(Running),
    Ended(Box<Ended>),
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    known: BTreeMap<AttemptId, Attempt>,
    running: usize,
    /// The promised ones in the order in which they come, by the shepherd that has them.
    queues: HashMap<ShepherdId, VecDeque<AttemptId>>,
}

impl Attempts {
    /// Whether the attempt is one of them: it must not be started.
    pub(super) fn contains(&self, attempt: AttemptId) -> bool {
        self.known.contains_key(&attempt)
    }

    /// An unknown attempt runs.
    pub(super) fn run(&mut self, attempt: AttemptId, running: Running) {
        self.known.insert(attempt, Attempt::Running(running));
        self.running += 1;
    }

    /// The shepherd that has the attempt, if that has not ended.
    pub(super) fn shepherd_of(&self, attempt: AttemptId) -> Option<ShepherdId> {
        match self.known.get(&attempt)? {
            Attempt::Promised(promised) => Some(promised.running.shepherd),
            Attempt::Running(running) => Some(running.shepherd),
            Attempt::Ended(_) => None,
        }
    }

    /// The shepherd that has the attempt, or whatever runs in its place by now.
    pub(super) fn place_of(&self, mut attempt: AttemptId) -> Option<ShepherdId> {
        while let Some(next) = self.ended(attempt).and_then(|ended| ended.followed_by) {
            attempt = next;
        }
        self.shepherd_of(attempt)
    }

    /// An unknown attempt is to run when all have ended that its shepherd has.
    pub(super) fn promise(&mut self, attempt: AttemptId, running: Running) {
        self.queues.entry(running.shepherd).or_default().push_back(attempt);
        let promised = Promised { running, ending: None };
        self.known.insert(attempt, Attempt::Promised(Box::new(promised)));
    }

    /// The attempt that a shepherd had ended: the next one that it has runs.
    pub(super) fn start_next(&mut self, shepherd: ShepherdId) -> Option<Started> {
        let queue = self.queues.get_mut(&shepherd)?;
        let next = queue.pop_front();
        if queue.is_empty() {
            self.queues.remove(&shepherd);
        }
        let attempt = next?;
        let Some(Attempt::Promised(promised)) = self.known.remove(&attempt) else { return None };
        let Promised { running, ending } = *promised;
        let watched_limit = running.watched_limit;
        self.run(attempt, running);
        Some(Started { attempt, ending, watched_limit })
    }

    /// Forgets an attempt that was promised; whether somebody wants to hear of it.
    pub(super) fn withdraw(&mut self, attempt: AttemptId) -> bool {
        let Some(Attempt::Promised(promised)) = self.known.get(&attempt) else { return false };
        let Running { shepherd, is_abandoned, .. } = promised.running;
        if let Some(queue) = self.queues.get_mut(&shepherd) {
            queue.retain(|other| *other != attempt);
            if queue.is_empty() {
                self.queues.remove(&shepherd);
            }
        }
        self.known.remove(&attempt);
        !is_abandoned
    }

    /// Has a promised attempt end as soon as it starts, if it does; whether it is one.
    pub(super) fn end_when_started(&mut self, attempt: AttemptId, grace: u64) -> bool {
        let Some(Attempt::Promised(promised)) = self.known.get_mut(&attempt) else { return false };
        promised.ending = Some(promised.ending.map_or(grace, |earlier| earlier.min(grace)));
        true
    }

    /// Those that a shepherd is to run, the next one first.
    pub(super) fn promised_to(&self, shepherd: ShepherdId) -> Vec<AttemptId> {
        self.queues.get(&shepherd).into_iter().flatten().copied().collect()
    }

    /// All that are promised.
    pub(super) fn all_promised(&self) -> impl Iterator<Item = AttemptId> {
        self.queues.values().flatten().copied()
    }

    /// An attempt ended, or could not be started.
    pub(super) fn end(&mut self, mut ended: Box<Ended>) {
        let attempt = ended.attempt;
        let mut is_abandoned = false;
        if let Some(running) = self.running(attempt) {
            ended.usage.max_rss = ended.usage.max_rss.max(running.peak);
            ended.passed_on = running.passed_on;
            is_abandoned = running.is_abandoned;
            self.running -= 1;
        }
        if is_abandoned {
            self.known.remove(&attempt);
            return;
        }
        self.known.insert(ended.attempt, Attempt::Ended(ended));
    }

    /// How an attempt ended, until that is acknowledged.
    pub(super) fn ended(&self, attempt: AttemptId) -> Option<&Ended> {
        match self.known.get(&attempt)? {
            Attempt::Promised(_) | Attempt::Running(_) => None,
            Attempt::Ended(ended) => Some(ended),
        }
    }

    /// Forgets an attempt that has ended; one that runs is not forgotten.
    pub(super) fn acknowledge(&mut self, attempt: AttemptId) {
        if let Some(Attempt::Ended(_)) = self.known.get(&attempt) {
            self.known.remove(&attempt);
        }
    }

    /// Forgets an attempt as soon as it has ended.
    pub(super) fn abandon(&mut self, attempt: AttemptId) {
        match self.known.get_mut(&attempt) {
            Some(Attempt::Running(running)) => running.is_abandoned = true,
            Some(Attempt::Promised(promised)) => promised.running.is_abandoned = true,
            _ => self.acknowledge(attempt),
        }
    }

    /// The attempt, if it runs.
    pub(super) fn running(&self, attempt: AttemptId) -> Option<&Running> {
        match self.known.get(&attempt)? {
            Attempt::Running(running) => Some(running),
            Attempt::Promised(_) | Attempt::Ended(_) => None,
        }
    }

    /// The attempt, if it runs.
    pub(super) fn running_mut(&mut self, attempt: AttemptId) -> Option<&mut Running> {
        match self.known.get_mut(&attempt)? {
            Attempt::Running(running) => Some(running),
            Attempt::Promised(_) | Attempt::Ended(_) => None,
        }
    }

    /// All that run.
    pub(super) fn all_running(&self) -> impl Iterator<Item = (AttemptId, &Running)> {
        self.known.iter().filter_map(|(attempt, state)| match state {
            Attempt::Running(running) => Some((*attempt, running)),
            Attempt::Promised(_) | Attempt::Ended(_) => None,
        })
    }

    /// The attempt that `shepherd` runs.
    pub(super) fn of(&self, shepherd: ShepherdId) -> Option<AttemptId> {
        self.all_running().find(|(_, running)| running.shepherd == shepherd).map(|(id, _)| id)
    }

    /// The attempt that has this token, if it runs.
    pub(super) fn with_token(&self, token: &str) -> Option<AttemptId> {
        let has_it = |running: &Running| running.token.as_deref() == Some(token);
        self.all_running().find(|(_, running)| has_it(running)).map(|(id, _)| id)
    }

    /// Those whose end is not acknowledged.
    pub(super) fn unacknowledged(&self) -> impl Iterator<Item = &Ended> {
        self.known.values().filter_map(|state| match state {
            Attempt::Promised(_) | Attempt::Running(_) => None,
            Attempt::Ended(ended) => Some(&**ended),
        })
    }

    /// Whether none runs.
    pub(super) fn none_runs(&self) -> bool {
        self.running == 0
    }

    /// How many are known.
    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether none is known.
    pub(super) fn is_empty(&self) -> bool {
        self.known.is_empty()
    }
}

#[cfg(test)]
mod tests;
