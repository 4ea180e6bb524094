//! Gateways that end soon after they were found, one after the other: something on this computer
//! ends programs that go on in the background, as some sites' login nodes do.

use std::time::{Duration, Instant};

/// One that lives for less than this is ended for being there, and not for what it does.
const SOON: Duration = Duration::from_secs(5);

/// So many in a row are no accident.
const MOST: u32 = 15;

/// How gateways have fared that a client was connected to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deaths {
    found: Instant,
    in_a_row: u32,
}

impl Deaths {
    /// A gateway has been found now.
    pub(super) const fn none(now: Instant) -> Self {
        Self { found: now, in_a_row: 0 }
    }

    /// Another one has been found.
    pub(super) const fn found(&mut self, now: Instant) {
        self.found = now;
    }

    /// It is gone; how many in a row were, if that is too often.
    pub(super) fn lost(&mut self, now: Instant) -> Option<u32> {
        let is_soon = now.saturating_duration_since(self.found) < SOON;
        self.in_a_row = if is_soon { self.in_a_row + 1 } else { 0 };
        (self.in_a_row >= MOST).then_some(self.in_a_row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_are_an_accident_and_many_are_not() {
        let mut now = Instant::now();
        let mut deaths = Deaths::none(now);
        for _ in 1..MOST {
            now += Duration::from_millis(100);
            assert_eq!(deaths.lost(now), None);
            deaths.found(now);
        }
        let mut others = deaths;
        assert_eq!(deaths.lost(now), Some(MOST));
        // One that has lived for long makes up for those before it.
        now += SOON;
        assert_eq!(others.lost(now), None);
        others.found(now);
        assert_eq!(others.lost(now), None);
    }
}
