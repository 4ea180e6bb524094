//! How long jobs run that ended lately, on whose account they ran: short ones are worth being
//! handed over ahead of time.

use std::{collections::HashMap, time::Duration};

use crate::model::JobId;

/// Below this, the time in which nobody runs between two jobs is worth saving.
const SHORT: Duration = Duration::from_millis(50);

/// Jobs of so much time together are handed over at once.
const WORTH: Duration = Duration::from_millis(20);

/// No more than this: what is bound to one place cannot start in another.
const MOST_AHEAD: usize = 32;

/// No less than this, so that a shepherd is woken for several jobs at once.
const FEWEST_AHEAD: usize = 4;

/// The weight of the job that ended last, in the mean.
const WEIGHT: f64 = 0.25;

/// Accounts beyond these are forgotten, all at once: each needs one job to be known again.
const MOST: usize = 256;

/// Running means, in milliseconds.
#[derive(Debug, Default)]
pub(super) struct Paces {
    /// By the run or the array.
    by_share: HashMap<JobId, f64>,
    /// Of all together: what is expected of an account of which nothing is known.
    of_all: Option<f64>,
}

impl Paces {
    /// A job has ended that ran for `time` on account of `share`.
    pub(super) fn note(&mut self, share: Option<JobId>, time: Duration) {
        let milliseconds = time.as_secs_f64() * 1_000.0;
        let after = |mean: f64| mean + WEIGHT * (milliseconds - mean);
        self.of_all = Some(self.of_all.map_or(milliseconds, after));
        let Some(share) = share else { return };
        if self.by_share.len() >= MOST && !self.by_share.contains_key(&share) {
            self.by_share.clear();
        }
        let mean = self.by_share.entry(share).or_insert(milliseconds);
        *mean = after(*mean);
    }

    /// How many jobs are worth being handed over ahead of time in the place of one on account of
    /// `share`: none, unless it is expected to end soon.
    pub(super) fn worth_promising(&self, share: Option<JobId>) -> usize {
        let known = share.and_then(|share| self.by_share.get(&share).copied());
        match known.or(self.of_all) {
            Some(mean) if mean < SHORT.as_secs_f64() * 1_000.0 => {
                let jobs = WORTH.as_secs_f64() * 1_000.0 / mean;
                // Of jobs that take no time at all, any number.
                (jobs as usize).clamp(FEWEST_AHEAD, MOST_AHEAD)
            }
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUICK: Option<JobId> = Some(JobId(1));
    const SLOW: Option<JobId> = Some(JobId(2));

    #[test]
    fn an_account_is_as_quick_as_its_last_jobs() {
        let mut paces = Paces::default();
        assert_eq!(paces.worth_promising(QUICK), 0, "nothing is known");
        paces.note(QUICK, Duration::from_millis(1));
        assert_eq!(paces.worth_promising(QUICK), 20);
        assert_eq!(paces.worth_promising(SLOW), 20, "as others are");
        paces.note(SLOW, Duration::from_secs(1));
        assert_eq!(paces.worth_promising(QUICK), 20);
        assert_eq!(paces.worth_promising(SLOW), 0);
        let unknown = Some(JobId(3));
        assert_eq!(paces.worth_promising(unknown), 0, "on the whole, jobs take longer now");
        for _ in 0..20 {
            paces.note(SLOW, Duration::ZERO);
        }
        assert!(paces.worth_promising(SLOW) > 0);
    }

    #[test]
    fn neither_one_nor_all_are_handed_over() {
        for (milliseconds, jobs) in [(0, MOST_AHEAD), (2, 10), (5, 4), (49, FEWEST_AHEAD), (50, 0)]
        {
            let mut paces = Paces::default();
            paces.note(QUICK, Duration::from_millis(milliseconds));
            assert_eq!(paces.worth_promising(QUICK), jobs, "of {milliseconds} ms each");
        }
    }

    #[test]
    fn accounts_do_not_pile_up() {
        let mut paces = Paces::default();
        for share in 0..10_000 {
            paces.note(Some(JobId(share)), Duration::from_secs(1));
        }
        assert!(paces.by_share.len() <= MOST);
    }
}
