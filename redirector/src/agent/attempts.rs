//! The attempts that an agent knows: those that run, and those whose end the gateway has
//! not acknowledged. A pure table, so that "nothing twice, nothing lost" can be read off it.
//!
//! ```text
//!            Start                    ended                Acknowledge
//!  unknown ─────────► running ─────────────────► ended ─────────────────► unknown
//! ```
//!
//! An attempt that was abandoned goes from running to unknown.

use std::collections::BTreeMap;

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
}

#[derive(Debug)]
enum Attempt {
    Running(Running),
    Ended(Box<Ended>),
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    known: BTreeMap<AttemptId, Attempt>,
    running: usize,
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

    /// An attempt ended, or could not be started.
    pub(super) fn end(&mut self, mut ended: Box<Ended>) {
        let attempt = ended.attempt;
        let mut is_abandoned = false;
        if let Some(running) = self.running(attempt) {
            ended.usage.max_rss = ended.usage.max_rss.max(running.peak);
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
            Attempt::Running(_) => None,
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
            _ => self.acknowledge(attempt),
        }
    }

    /// The attempt, if it runs.
    pub(super) fn running(&self, attempt: AttemptId) -> Option<&Running> {
        match self.known.get(&attempt)? {
            Attempt::Running(running) => Some(running),
            Attempt::Ended(_) => None,
        }
    }

    /// The attempt, if it runs.
    pub(super) fn running_mut(&mut self, attempt: AttemptId) -> Option<&mut Running> {
        match self.known.get_mut(&attempt)? {
            Attempt::Running(running) => Some(running),
            Attempt::Ended(_) => None,
        }
    }

    /// All that run.
    pub(super) fn all_running(&self) -> impl Iterator<Item = (AttemptId, &Running)> {
        self.known.iter().filter_map(|(attempt, state)| match state {
            Attempt::Running(running) => Some((*attempt, running)),
            Attempt::Ended(_) => None,
        })
    }

    /// The attempt that `shepherd` runs.
    pub(super) fn of(&self, shepherd: ShepherdId) -> Option<AttemptId> {
        self.all_running().find(|(_, running)| running.shepherd == shepherd).map(|(id, _)| id)
    }

    /// Those whose end is not acknowledged.
    pub(super) fn unacknowledged(&self) -> impl Iterator<Item = &Ended> {
        self.known.values().filter_map(|state| match state {
            Attempt::Running(_) => None,
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
mod tests {
    use super::*;
    use crate::{
        agent::shepherds::ShepherdId,
        model::{JobId, Outcome, Timestamp, Usage},
    };

    const FIRST: AttemptId = AttemptId { job: JobId(7), number: 1 };

    fn running() -> Running {
        let shepherd = ShepherdId::for_test(3);
        let (token, watched_limit) = (None, None);
        let (is_nested, is_abandoned) = (false, false);
        Running { shepherd, token, peak: 500, is_nested, is_abandoned, watched_limit }
    }

    fn ended() -> Ended {
        let (outcome, at) = (Outcome::Exited { exit_code: 0 }, Timestamp(1));
        let usage = Usage { max_rss: 300, ..Usage::default() };
        Ended { attempt: FIRST, outcome, usage, started: at, at }
    }

    #[test]
    fn an_attempt_is_known_until_its_end_is_acknowledged() {
        let mut attempts = Attempts::default();
        attempts.run(FIRST, running());
        attempts.acknowledge(FIRST);
        assert!(attempts.contains(FIRST), "one that runs cannot be acknowledged");
        assert_eq!(attempts.of(running().shepherd), Some(FIRST));

        attempts.end(Box::new(ended()));
        assert!(attempts.none_runs() && attempts.contains(FIRST));
        assert_eq!(attempts.unacknowledged().count(), 1);
        assert_eq!(attempts.of(running().shepherd), None);

        attempts.acknowledge(FIRST);
        assert!(attempts.is_empty() && attempts.ended(FIRST).is_none());
    }

    #[test]
    fn an_abandoned_attempt_is_forgotten_when_it_ends() {
        let mut attempts = Attempts::default();
        attempts.run(FIRST, running());
        attempts.abandon(FIRST);
        assert!(attempts.contains(FIRST), "its processes are still there");
        attempts.end(Box::new(ended()));
        assert!(attempts.is_empty());
    }

    #[test]
    fn the_larger_of_the_two_accounts_of_memory_counts() {
        let mut attempts = Attempts::default();
        attempts.run(FIRST, running());
        attempts.end(Box::new(ended()));
        assert_eq!(attempts.ended(FIRST).unwrap().usage.max_rss, 500);
    }
}
