//! How long jobs run that ended lately, on whose account they ran: short ones are worth being
//! handed over ahead of time.

use std::{collections::HashMap, time::Duration};

use crate::model::JobId;

/// Below this, the time in which nobody runs between two jobs is worth saving.
const SHORT: Duration = Duration::from_millis(50);

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

    /// Whether a job that runs on account of `share` is expected to end soon.
    pub(super) fn is_short(&self, share: Option<JobId>) -> bool {
        let known = share.and_then(|share| self.by_share.get(&share).copied());
        known.or(self.of_all).is_some_and(|mean| mean < SHORT.as_secs_f64() * 1_000.0)
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
        assert!(!paces.is_short(QUICK), "nothing is known");
        paces.note(QUICK, Duration::from_millis(1));
        assert!(paces.is_short(QUICK) && paces.is_short(SLOW), "as others are");
        paces.note(SLOW, Duration::from_secs(1));
        assert!(paces.is_short(QUICK) && !paces.is_short(SLOW));
        assert!(!paces.is_short(Some(JobId(3))), "on the whole, jobs take longer now");
        for _ in 0..20 {
            paces.note(SLOW, Duration::ZERO);
        }
        assert!(paces.is_short(SLOW));
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
