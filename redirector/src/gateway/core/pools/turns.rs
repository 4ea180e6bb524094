//! When engines are asked: in turn, and once more between two turns if there is a reason.

use std::time::{Duration, Instant};

/// What has just happened to an allocation takes an engine this long to see.
const SOON: Duration = Duration::from_secs(1);

/// Whether engines can be asked before it is their turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Turns {
    /// The next query is in its turn.
    #[default]
    Kept,
    /// The next query comes before its turn.
    Hastened,
    /// The latest query came before its turn.
    Used,
}

impl Turns {
    /// When to ask, if there is a reason to ask soon and the next turn is `at`.
    pub(super) fn hasten(&mut self, at: Instant, now: Instant) -> Instant {
        let soon = now + SOON;
        if *self != Self::Kept || at <= soon {
            return at;
        }
        *self = Self::Hastened;
        soon
    }

    /// Engines are asked.
    pub(super) fn take(&mut self) {
        *self = if *self == Self::Hastened { Self::Used } else { Self::Kept };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_query_between_two_turns() {
        let (mut turns, now) = (Turns::default(), Instant::now());
        let at = now + Duration::from_secs(10);
        assert_eq!(turns.hasten(now, now), now, "it is asked at once anyway");
        assert_eq!(turns.hasten(at, now), now + SOON);
        let (soon, later) = (now + SOON, now + SOON / 2);
        assert_eq!(turns.hasten(soon, later), soon, "it is not put off");
        turns.take();
        let (at, now) = (soon + Duration::from_secs(10), soon);
        assert_eq!(turns.hasten(at, now), at, "one was hastened already");
        turns.take();
        assert_eq!(turns.hasten(at + SOON * 2, at), at + SOON, "that was the turn");
    }
}
