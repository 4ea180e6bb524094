//! Counts the jobs of one run, by name, as they are added, started and ended.

use std::collections::HashMap;

use crate::{
    model::{JobId, Timestamp},
    protocol::{Progress, RuleProgress},
    store::RunCounts,
};

/// The jobs of one run, counted by name.
#[derive(Debug, Default)]
pub(super) struct Tally {
    rules: Vec<RuleProgress>,
    by_name: HashMap<String, usize>,
    live: HashMap<JobId, LiveJob>,
    /// When the running ones were started, in milliseconds since 1970, added up by rule.
    starts: Vec<u64>,
    last_added: Timestamp,
    /// Whether the run itself has ended.
    pub(super) finished: bool,
}

#[derive(Debug)]
struct LiveJob {
    rule: usize,
    started: Option<Timestamp>,
}

impl Tally {
    fn rule(&mut self, name: &str) -> usize {
        if let Some(&rule) = self.by_name.get(name) {
            return rule;
        }
        let rule = self.rules.len();
        self.rules.push(RuleProgress { name: name.to_owned(), ..RuleProgress::default() });
        self.starts.push(0);
        self.by_name.insert(name.to_owned(), rule);
        rule
    }

    /// A job was added, or is back in the queue.
    pub(super) fn queue(&mut self, job: JobId, name: &str, at: Timestamp) {
        if self.live.contains_key(&job) {
            self.stop(job);
        } else {
            self.last_added = at;
        }
        let rule = self.rule(name);
        self.rules[rule].queued += 1;
        self.live.insert(job, LiveJob { rule, started: None });
    }

    /// A job waits for another attempt.
    pub(super) fn requeue(&mut self, job: JobId) {
        let Some(live) = self.stop(job) else { return };
        self.rules[live.rule].queued += 1;
        self.live.insert(job, LiveJob { started: None, ..live });
    }

    /// A job was given its resources.
    pub(super) fn start(&mut self, job: JobId, at: Timestamp) {
        let Some(live) = self.live.get_mut(&job) else { return };
        if live.started.is_none() {
            live.started = Some(at);
            let rule = live.rule;
            self.rules[rule].queued -= 1;
            self.rules[rule].running += 1;
            self.starts[rule] += at.0;
        }
    }

    /// A job has an outcome.
    pub(super) fn end(&mut self, job: JobId, success: bool, at: Timestamp) {
        let Some(live) = self.stop(job) else { return };
        let rule = &mut self.rules[live.rule];
        if let Some(started) = live.started {
            rule.ran += 1;
            rule.ran_ms += at.since(started).as_millis() as u64;
        }
        *(if success { &mut rule.succeeded } else { &mut rule.failed }) += 1;
    }

    /// Takes a live job out of the counts.
    fn stop(&mut self, job: JobId) -> Option<LiveJob> {
        let live = self.live.remove(&job)?;
        match live.started {
            Some(started) => {
                self.rules[live.rule].running -= 1;
                self.starts[live.rule] -= started.0;
            }
            None => self.rules[live.rule].queued -= 1,
        }
        Some(live)
    }

    /// How far the jobs are `now`.
    pub(super) fn progress(&self, version: u64, now: Timestamp) -> Progress {
        let rules = self.rules.iter().zip(&self.starts).map(|(rule, starts)| RuleProgress {
            running_ms: (rule.running * now.0).saturating_sub(*starts),
            ..rule.clone()
        });
        Progress {
            version,
            rules: rules.collect(),
            quiet_ms: now.since(self.last_added).as_millis() as u64,
            finished: self.finished,
        }
    }
}

impl From<RunCounts> for Tally {
    fn from(counts: RunCounts) -> Self {
        let ended = counts.ended.iter().map(|ended| (ended.first, &ended.name));
        let live = counts.live.iter().map(|live| (live.id, &live.name));
        let mut names: Vec<_> = ended.chain(live).collect();
        names.sort_unstable();
        let mut tally = Self { finished: counts.finished, ..Self::default() };
        for (_, name) in names {
            tally.rule(name);
        }
        for ended in &counts.ended {
            let rule = tally.rule(&ended.name);
            tally.rules[rule].succeeded = ended.succeeded;
            tally.rules[rule].failed = ended.failed;
            tally.rules[rule].ran = ended.ran;
            tally.rules[rule].ran_ms = ended.ran_ms;
        }
        for live in &counts.live {
            tally.queue(live.id, &live.name, counts.last_added);
            if let Some(started) = live.started {
                tally.start(live.id, started);
            }
        }
        tally.last_added = counts.last_added;
        tally
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::EndedJobs;

    fn counted(tally: &Tally, now: u64) -> Vec<(String, [u64; 7])> {
        let progress = tally.progress(0, Timestamp(now));
        let counts = |rule: RuleProgress| {
            let times = [rule.running_ms, rule.ran, rule.ran_ms];
            let [running_ms, ran, ran_ms] = times;
            let RuleProgress { name, queued, running, succeeded, failed, .. } = rule;
            (name, [queued, running, running_ms, succeeded, failed, ran, ran_ms])
        };
        progress.rules.into_iter().map(counts).collect()
    }

    #[test]
    fn a_job_is_counted_where_it_is() {
        let mut tally = Tally::default();
        for (job, name) in [(2, "map"), (3, "sort"), (4, "map")] {
            tally.queue(JobId(job), name, Timestamp(job * 100));
        }
        assert_eq!(tally.progress(0, Timestamp(1_000)).quiet_ms, 600);
        tally.start(JobId(2), Timestamp(500));
        tally.start(JobId(4), Timestamp(600));
        tally.end(JobId(4), false, Timestamp(900));
        tally.end(JobId(3), false, Timestamp(900));
        assert_eq!(
            counted(&tally, 1_000),
            [
                ("map".to_owned(), [0, 1, 500, 0, 1, 1, 300]),
                ("sort".to_owned(), [0, 0, 0, 0, 1, 0, 0])
            ]
        );
        tally.queue(JobId(2), "map", Timestamp(1_000));
        assert_eq!(counted(&tally, 1_000)[0].1, [1, 0, 0, 0, 1, 1, 300], "tried again");
        assert_eq!(tally.progress(0, Timestamp(1_000)).quiet_ms, 600, "but not added");
    }

    #[test]
    fn what_the_journal_counted_goes_on_being_counted() {
        let ended = EndedJobs {
            name: "sort".to_owned(),
            first: JobId(3),
            succeeded: 4,
            failed: 1,
            ran: 5,
            ran_ms: 70,
        };
        let live = |id, name: &str, started: Option<u64>| crate::store::LiveJob {
            id: JobId(id),
            name: name.to_owned(),
            started: started.map(Timestamp),
        };
        let mut tally = Tally::from(RunCounts {
            ended: vec![ended],
            live: vec![live(2, "map", Some(10)), live(9, "sort", None)],
            last_added: Timestamp(5),
            finished: false,
        });
        tally.start(JobId(9), Timestamp(20));
        tally.end(JobId(9), true, Timestamp(50));
        assert_eq!(
            counted(&tally, 60),
            [
                ("map".to_owned(), [0, 1, 50, 0, 0, 0, 0]),
                ("sort".to_owned(), [0, 0, 0, 5, 1, 6, 100])
            ]
        );
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Queue,
        Start,
        End(bool),
    }

    fn steps() -> impl Strategy<Value = Vec<(u64, Step)>> {
        let step =
            prop_oneof![Just(Step::Queue), Just(Step::Start), any::<bool>().prop_map(Step::End)];
        prop::collection::vec((0..6_u64, step), 0..60)
    }

    proptest! {
        /// Whatever comes in whatever order, no job is counted twice or lost.
        #[test]
        fn every_job_is_counted_once(steps in steps()) {
            let mut tally = Tally::default();
            let (mut live, mut ended) = (std::collections::HashSet::new(), 0);
            for (now, (job, step)) in steps.into_iter().enumerate() {
                let now = Timestamp(now as u64);
                match step {
                    Step::Queue => {
                        tally.queue(JobId(job), if job % 2 == 0 { "even" } else { "odd" }, now);
                        live.insert(job);
                    }
                    Step::Start => tally.start(JobId(job), now),
                    Step::End(success) => {
                        tally.end(JobId(job), success, now);
                        ended += u64::from(live.remove(&job));
                    }
                }
                let sum = |of: fn(&RuleProgress) -> u64| tally.rules.iter().map(of).sum::<u64>();
                prop_assert_eq!(sum(|rule| rule.queued + rule.running), live.len() as u64);
                prop_assert_eq!(sum(|rule| rule.succeeded + rule.failed), ended);
            }
        }
    }
}
