//! How long a run still takes, where that can be said.

use std::time::Duration;

use crate::protocol::Progress;

/// A run to which jobs were added within this time is not known to be complete.
const QUIET: Duration = Duration::from_secs(10);

/// The time that the jobs known so far still take, if as many run at a time as now and each takes
/// as long as those of its name took on average.
///
/// None where that would be a guess: a name of which no job has ended yet, nothing that runs, or a
/// run to which jobs may still be added. Engines add jobs when others end, so that one counts as
/// complete when none was added for as long as a job takes, and for ten seconds at least.
pub(super) fn remaining(progress: &Progress) -> Option<Duration> {
    let (mut work_ms, mut running, mut longest_ms) = (0, 0, QUIET.as_millis() as u64);
    for rule in progress.rules.iter().filter(|rule| rule.queued + rule.running > 0) {
        let mean_ms = rule.ran_ms.checked_div(rule.ran)?;
        work_ms += rule.queued * mean_ms + (rule.running * mean_ms).saturating_sub(rule.running_ms);
        running += rule.running;
        longest_ms = longest_ms.max(mean_ms);
    }
    if progress.quiet_ms < longest_ms {
        return None;
    }
    work_ms.checked_div(running).map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::RuleProgress;

    fn progress() -> Progress {
        let map = RuleProgress {
            name: "map".to_owned(),
            queued: 6,
            running: 2,
            running_ms: 30_000,
            succeeded: 3,
            ran: 3,
            ran_ms: 60_000,
            ..RuleProgress::default()
        };
        Progress { rules: vec![map], quiet_ms: 20_000, ..Progress::default() }
    }

    #[test]
    fn what_is_left_at_the_present_pace() {
        // Six of 20 s, and 10 s left of the two that run; two at a time.
        assert_eq!(remaining(&progress()), Some(Duration::from_secs(65)));
    }

    #[test]
    fn nothing_is_said_that_is_not_known() {
        let mut added = progress();
        added.quiet_ms = 19_999;
        assert_eq!(remaining(&added), None, "jobs may still be added");
        let mut unknown = progress();
        unknown.rules.push(RuleProgress { queued: 1, ..RuleProgress::default() });
        assert_eq!(remaining(&unknown), None, "no job of that name has ended");
        let mut held = progress();
        held.rules[0].running = 0;
        assert_eq!(remaining(&held), None, "nothing runs");
    }
}
