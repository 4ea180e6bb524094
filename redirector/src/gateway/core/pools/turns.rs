//! When an engine is asked: once in each interval, however much waits.
//!
//! If there is a reason, the query of the next interval is brought forward. Then the one after it
//! comes that much later, so that there are never more queries than intervals:
//!
//! ```text
//!   interval   |    1    |    2    |    3    |
//!   query      1   2               3
//!                  └ brought forward, because an agent was lost
//! ```

use std::time::{Duration, Instant};

/// What has just happened to an allocation takes an engine this long to see.
const SOON: Duration = Duration::from_secs(1);

/// One engine's turns.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn {
    interval: Duration,
    /// When to ask; `None`: there is nothing to ask.
    next: Option<Instant>,
    /// The end of the latest interval whose query has been made.
    spent_until: Instant,
    /// The engine is being asked.
    is_asked: bool,
}

impl Turn {
    /// The first is at once.
    pub(super) fn new(interval: Duration, now: Instant) -> Self {
        Self { interval, next: Some(now), spent_until: now, is_asked: false }
    }

    /// When to ask, unless the engine is being asked.
    pub(super) fn due(&self) -> Option<Instant> {
        self.next.filter(|_| !self.is_asked)
    }

    /// There is something to ask.
    pub(super) fn want(&mut self, now: Instant) {
        self.next.get_or_insert(self.spent_until.max(now + self.interval));
    }

    /// There is a reason to ask soon, if something is to be asked at all.
    pub(super) fn hasten(&mut self, now: Instant) {
        let soon = now + SOON;
        if self.spent_until <= now + self.interval {
            self.next = self.next.map(|next| next.min(soon));
        }
    }

    /// The engine is asked.
    pub(super) fn begin(&mut self, now: Instant) {
        self.is_asked = true;
        self.spent_until = self.spent_until.max(now) + self.interval;
        self.next = Some(self.spent_until);
    }

    /// It has answered.
    pub(super) fn answered(&mut self) {
        self.is_asked = false;
    }

    /// There is nothing to ask.
    pub(super) fn rest(&mut self) {
        self.next = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(10);

    fn asked_once(now: Instant) -> Turn {
        let mut turn = Turn::new(INTERVAL, now);
        assert_eq!(turn.due(), Some(now));
        turn.begin(now);
        assert_eq!(turn.due(), None, "it is being asked");
        turn.answered();
        turn
    }

    #[test]
    fn one_query_in_each_interval() {
        let now = Instant::now();
        let mut turn = asked_once(now);
        assert_eq!(turn.due(), Some(now + INTERVAL));
        turn.want(now + SOON);
        assert_eq!(turn.due(), Some(now + INTERVAL));
        turn.rest();
        assert_eq!(turn.due(), None, "there was nothing to ask");
        turn.hasten(now + INTERVAL);
        assert_eq!(turn.due(), None);
        turn.want(now + INTERVAL * 5);
        assert_eq!(turn.due(), Some(now + INTERVAL * 6));
    }

    #[test]
    fn what_is_brought_forward_is_not_asked_again() {
        let now = Instant::now();
        let mut turn = asked_once(now);
        turn.hasten(now + SOON);
        assert_eq!(turn.due(), Some(now + SOON * 2));
        turn.hasten(now + SOON * 2);
        assert_eq!(turn.due(), Some(now + SOON * 2), "it is not put off");
        turn.begin(now + SOON * 2);
        turn.answered();
        assert_eq!(turn.due(), Some(now + INTERVAL * 2));
        turn.hasten(now + SOON * 3);
        assert_eq!(turn.due(), Some(now + INTERVAL * 2), "only that of one interval ahead");
        turn.hasten(now + INTERVAL);
        assert_eq!(turn.due(), Some(now + INTERVAL + SOON));
    }

    #[test]
    fn never_more_queries_than_intervals_however_often_there_is_a_reason() {
        let now = Instant::now();
        let mut turn = Turn::new(INTERVAL, now);
        let mut queries = 0;
        for second in 0..1000 {
            let now = now + Duration::from_secs(second);
            if turn.due().is_some_and(|at| at <= now) {
                turn.begin(now);
                turn.answered();
                queries += 1;
            }
            turn.hasten(now);
        }
        // Those of 100 intervals, and the one that was brought forward last.
        assert_eq!(queries, 101);
    }
}
