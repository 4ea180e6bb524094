//! An agent that is killed while it runs jobs.

use std::sync::atomic::AtomicBool;

use integration::{Random, Session, finish};

use crate::{
    check::{all_records, lines},
    killer::{Victim, kill_again_and_again},
};

const SEEDS: u64 = 5;

/// As often as a job may be tried again.
const KILLS: usize = 5;

/// Holds a lock for as long as anything of it lives, so that two attempts at a time show.
const SCRIPT: &str = "exec 9>\"lock.$0\"; flock -n 9 || echo \"$0\" >>overlaps; \
                      echo \"$0\" >>started; sleep 0.02; echo \"$0\" >>ended";

#[test]
fn an_agent_that_is_killed_under_load() {
    for seed in 1..=SEEDS {
        let session = Session::new("");
        let over = AtomicBool::new(false);
        let submit = |options: &[&str], tag| {
            let mut command = session.redirector(["submit"]);
            command.args(options).args(["--", "sh", "-c", SCRIPT, tag]);
            finish(&mut command).expect_success("submit").text().trim().to_owned()
        };
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut random = Random::new(seed);
                kill_again_and_again(&session, Victim::Agent, KILLS, &mut random, &over);
            });
            let patient = submit(&["--array", "1-40", "--retries", "node:5"], "patient.{}");
            let brittle = submit(&["--array", "1-40"], "brittle.{}");
            let waited = session.ask(["wait", &patient]);
            assert!(waited.status.success(), "seed {seed}: {waited}");
            session.ask(["wait", &brittle]);
            over.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        let overlaps = lines(&session, "overlaps");
        assert!(overlaps.is_empty(), "seed {seed}: two attempts at a time: {overlaps:?}");
        let (started, ended) = (lines(&session, "started"), lines(&session, "ended"));
        let mut lost_attempts = 0;
        for job in all_records(&session) {
            let tag = job.argv.last().expect("a tag");
            let count = |lines: &std::collections::HashMap<String, usize>| {
                lines.get(tag).copied().unwrap_or_default()
            };
            assert!(count(&started) <= job.attempts.len(), "seed {seed}: {job:?}");
            let (last, earlier) = job.attempts.split_last().expect("each was tried");
            lost_attempts += earlier.len();
            assert!(earlier.iter().all(|it| it.ending() == "lost"), "seed {seed}: {job:?}");
            if tag.starts_with("patient") || last.ending() != "lost" {
                assert_eq!(last.ending(), "exited(0)", "seed {seed}: {job:?}");
                assert!(count(&ended) >= 1, "seed {seed}: it ran: {job:?}");
            } else {
                lost_attempts += 1;
                assert_eq!(job.attempts.len(), 1, "seed {seed}: {job:?}");
                let reason = last.reason.as_deref().unwrap_or_default();
                assert!(reason.contains("agent"), "seed {seed}: says why: {job:?}");
            }
        }
        assert!(lost_attempts > 0, "seed {seed}: no kill met a job");
    }
}
