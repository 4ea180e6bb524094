//! The clock of another computer, which may be wrong.
//!
//! What an agent says carries its own clock's time. How far that is from this computer's is known from
//! its greeting, to within the time that the greeting took.

use crate::{agent::protocol::Ended, model::Timestamp};

/// See the module.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Clock {
    /// In milliseconds.
    ahead: i64,
}

impl Clock {
    /// One that says `theirs` while this computer's says `ours`.
    pub(super) fn that_says(theirs: Timestamp, ours: Timestamp) -> Self {
        Self { ahead: theirs.0.cast_signed().wrapping_sub(ours.0.cast_signed()) }
    }

    /// What this computer's clock said when that one said `theirs`.
    pub(super) fn translate(self, theirs: Timestamp) -> Timestamp {
        Timestamp(theirs.0.saturating_add_signed(self.ahead.saturating_neg()))
    }

    /// `ended` by this computer's clock.
    pub(super) fn correct(self, ended: &mut Ended) {
        ended.started = self.translate(ended.started);
        ended.at = self.translate(ended.at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_translated_whichever_clock_is_ahead() {
        for (theirs, ours) in [(3_600_000, 5_000), (5_000, 3_600_000), (7, 7), (0, u64::MAX)] {
            let clock = Clock::that_says(Timestamp(theirs), Timestamp(ours));
            if ours != u64::MAX {
                assert_eq!(clock.translate(Timestamp(theirs + 20)), Timestamp(ours + 20));
            }
        }
        assert_eq!(Clock::default().translate(Timestamp(5)), Timestamp(5));
    }
}
