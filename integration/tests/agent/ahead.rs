//! Attempts that are given to an agent before their place is free.

use integration::{Listener, Watched};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::{Agent, Link, job_of, lines_of, parent_of, with};

/// An attempt at `argv` as `job`, to be started when `before` has ended.
fn after(agent: &Agent, job: u64, argv: &[&str], before: u64) -> Value {
    let before = json!({"after": {"job": before, "number": 1}});
    with(agent.assignment(job, argv), &before)
}

/// The job that took the place of one that ended.
fn follower(ended: &Value) -> Option<u64> {
    ended.get("followed_by").map(job_of)
}

fn withdraw(link: &mut Link, job: u64) {
    link.order(&json!({"withdraw": {"attempt": {"job": job, "number": 1}}}));
}

#[track_caller]
fn withdrawn(link: &mut Link) -> u64 {
    let report = link.hear();
    assert!(report["withdrawn"].is_object(), "{report}");
    job_of(&report["withdrawn"]["attempt"])
}

/// The next end is this job's, with this one in its place.
#[track_caller]
fn expect_end(link: &mut Link, job: u64, next: Option<u64>) -> Value {
    let ended = link.ended();
    assert_eq!((job_of(&ended), follower(&ended)), (job, next), "{ended}");
    ended
}

#[test]
fn they_start_in_their_order_and_not_before_their_time() {
    let agent = Agent::start();
    let listener = Listener::new(agent.directory(), "socket");
    let mut link = agent.connect();
    link.start(&agent.assignment(1, &["witness", listener.path()]));
    let mut witness = listener.accept();
    for job in 2..=4 {
        let script = format!("echo {job} >>order");
        link.start(&after(&agent, job, &["sh", "-c", &script], job - 1));
    }
    // Answered when the shepherd has read all that came before.
    link.start(&after(&agent, 5, &["true"], 1));
    withdraw(&mut link, 5);
    assert_eq!(withdrawn(&mut link), 5);
    assert_eq!(agent.text("order"), "");
    witness.order("exit 7");
    assert_eq!(expect_end(&mut link, 1, Some(2))["exit_code"], 7);
    expect_end(&mut link, 2, Some(3));
    expect_end(&mut link, 3, Some(4));
    expect_end(&mut link, 4, None);
    assert_eq!(agent.text("order"), "2\n3\n4\n");
}

#[test]
fn they_follow_however_the_one_before_ends() {
    let agent = Agent::start();
    let listener = Listener::new(agent.directory(), "socket");
    let mut link = agent.connect();
    link.start(&agent.assignment(1, &["witness", listener.path()]));
    let _witness = listener.accept();
    link.start(&after(&agent, 2, &["/no/such/program"], 1));
    link.start(&after(&agent, 3, &["witness", listener.path()], 1));
    link.end(1, 0);
    assert_eq!(expect_end(&mut link, 1, Some(2))["outcome"], "cancelled");
    assert_eq!(expect_end(&mut link, 2, Some(3))["exit_code"], 127);
    let mut witness = listener.accept();
    witness.order("exit 0");
    assert_eq!(expect_end(&mut link, 3, None)["exit_code"], 0);
}

#[test]
fn one_whose_place_is_free_already_starts_at_once() {
    let agent = Agent::start();
    let listener = Listener::new(agent.directory(), "socket");
    let mut link = agent.connect();
    link.start(&agent.assignment(1, &["true"]));
    expect_end(&mut link, 1, None);
    link.start(&after(&agent, 2, &["witness", listener.path()], 1));
    let mut witness = listener.accept();
    // Another one has the place of job 1 by now.
    link.acknowledge(1);
    link.start(&after(&agent, 3, &["true"], 2));
    link.start(&after(&agent, 4, &["true"], 2));
    witness.order("exit 0");
    expect_end(&mut link, 2, Some(3));
    expect_end(&mut link, 3, Some(4));
    expect_end(&mut link, 4, None);
}

#[test]
fn one_whose_place_has_passed_on_waits_for_whoever_has_it() {
    let agent = Agent::start();
    let listener = Listener::new(agent.directory(), "socket");
    let mut link = agent.connect();
    link.start(&agent.assignment(1, &["witness", listener.path()]));
    let mut first = listener.accept();
    link.start(&after(&agent, 2, &["witness", listener.path()], 1));
    first.order("exit 0");
    expect_end(&mut link, 1, Some(2));
    let mut second = listener.accept();
    link.start(&after(&agent, 3, &["true"], 1));
    second.order("exit 0");
    expect_end(&mut link, 2, Some(3));
    expect_end(&mut link, 3, None);
}

#[test]
fn one_that_is_withdrawn_ended_or_abandoned_in_time_never_runs() {
    let agent = Agent::start();
    let listener = Listener::new(agent.directory(), "socket");
    let mut link = agent.connect();
    link.start(&agent.assignment(1, &["witness", listener.path()]));
    let mut witness = listener.accept();
    for job in 2..=5 {
        link.start(&after(&agent, job, &["sh", "-c", &format!("echo {job} >>ran")], 1));
    }
    link.order(&json!({"abandon": {"attempt": {"job": 2, "number": 1}}}));
    link.end(3, 10_000);
    withdraw(&mut link, 4);
    assert_eq!([withdrawn(&mut link), withdrawn(&mut link)], [3, 4]);
    withdraw(&mut link, 4);
    assert_eq!(withdrawn(&mut link), 4, "what it does not know will not start either");
    witness.order("exit 0");
    expect_end(&mut link, 1, Some(5));
    expect_end(&mut link, 5, None);
    withdraw(&mut link, 5);
    drop(link);
    let mut link = agent.connect();
    assert_eq!(link.known, [1, 5], "one that has ended is not withdrawn");
    assert_eq!(job_of(&link.ended()), 1);
    assert_eq!(agent.text("ran"), "5\n");
}

/// The order to withdraw meets the end of the one before.
#[test]
fn one_that_is_withdrawn_has_run_or_is_said_not_to() {
    let agent = Agent::start();
    let mut link = agent.connect();
    let script = |job: u64| format!("echo {job} >>ran");
    for first in (1..300).step_by(3) {
        let [second, third] = [first + 1, first + 2];
        // Read together, so that the first one has not ended meanwhile.
        link.send(&lines_of(&[
            json!({"start": agent.assignment(first, &["true"])}),
            json!({"start": after(&agent, second, &["true"], first)}),
            json!({"start": after(&agent, third, &["sh", "-c", &script(third)], first)}),
        ]));
        expect_end(&mut link, first, Some(second));
        withdraw(&mut link, third);
        let report = link.hear();
        let has_run = report["withdrawn"].is_null();
        if has_run {
            assert_eq!(follower(&report["ended"]), Some(third), "{report}");
            expect_end(&mut link, third, None);
        } else {
            assert_eq!(job_of(&report["withdrawn"]["attempt"]), third);
            expect_end(&mut link, second, None);
        }
        let ran = agent.text("ran").lines().any(|line| line == third.to_string());
        assert_eq!(ran, has_run, "job {third}");
    }
}

#[test]
fn each_has_the_environment_that_it_names() {
    let agent = Agent::start();
    let listener = Listener::new(agent.directory(), "socket");
    let mut link = agent.connect();
    let other = json!({"digest": "other", "entries": ["PATH=/usr/bin:/bin", "WHICH=other"]});
    link.order(&json!({"environment": other}));
    link.start(&agent.assignment(1, &["witness", listener.path()]));
    let mut witness = listener.accept();
    let script = ["sh", "-c", "echo ${WHICH-none} >>which"];
    for (job, digest) in [(2, "other"), (3, "digest"), (4, "other"), (5, "digest")] {
        let environment = json!({"environment": digest});
        link.start(&with(after(&agent, job, &script, 1), &environment));
    }
    withdraw(&mut link, 4);
    assert_eq!(withdrawn(&mut link), 4);
    witness.order("exit 0");
    for (job, next) in [(1, Some(2)), (2, Some(3)), (3, Some(5)), (5, None)] {
        expect_end(&mut link, job, next);
    }
    assert_eq!(agent.text("which"), "other\nnone\nnone\n");
}

#[test]
fn the_next_gateway_hears_who_still_waits() {
    let agent = Agent::start();
    let listener = Listener::new(agent.directory(), "socket");
    let mut link = agent.connect();
    link.start(&agent.assignment(1, &["witness", listener.path()]));
    let mut witness = listener.accept();
    link.start(&after(&agent, 2, &["true"], 1));
    drop(link);
    let mut link = agent.connect();
    assert_eq!((&link.known[..], &link.promised[..]), (&[1][..], &[2][..]));
    witness.order("exit 0");
    expect_end(&mut link, 1, Some(2));
    expect_end(&mut link, 2, None);
    drop(link);
    let link = agent.connect();
    assert_eq!((&link.known[..], &link.promised[..]), (&[1, 2][..], &[][..]));
}

#[test]
fn those_of_a_shepherd_that_is_killed_are_lost_or_never_ran() {
    let agent = Agent::start();
    let listener = Listener::new(agent.directory(), "socket");
    let mut link = agent.connect();
    link.start(&agent.assignment(1, &["witness", listener.path()]));
    let witness = listener.accept();
    for job in 2..=4 {
        link.start(&after(&agent, job, &["sh", "-c", "echo ran >>ran"], 1));
    }
    Watched::new(parent_of(witness.pid().as_raw())).expect("the shepherd is alive").kill();
    assert_eq!([withdrawn(&mut link), withdrawn(&mut link)], [3, 4]);
    assert_eq!(expect_end(&mut link, 1, Some(2))["outcome"], "lost");
    assert_eq!(expect_end(&mut link, 2, None)["outcome"], "lost");
    assert_eq!(agent.text("ran"), "");
}

#[test]
fn an_agent_that_is_told_to_end_starts_none_of_them() {
    let agent = Agent::start();
    let listener = Listener::new(agent.directory(), "socket");
    let mut link = agent.connect();
    link.start(&agent.assignment(1, &["witness", listener.path()]));
    let mut witness = listener.accept();
    link.start(&after(&agent, 2, &["sh", "-c", "echo ran >>ran"], 1));
    agent.process().signal(Signal::SIGTERM);
    assert_eq!(withdrawn(&mut link), 2);
    witness.reports_until("TERM");
    witness.order("exit 0");
    assert_eq!(expect_end(&mut link, 1, None)["outcome"], "cancelled");
    link.acknowledge(1);
    agent.process().wait_for_end();
    assert_eq!(agent.text("ran"), "");
}

#[test]
fn a_memory_limit_holds_for_one_that_follows() {
    let agent = Agent::start();
    let listener = Listener::new(agent.directory(), "socket");
    let mut link = agent.connect();
    link.start(&agent.assignment(1, &["witness", listener.path()]));
    let mut witness = listener.accept();
    let hog = "head -c 1G /dev/zero | tail -c 1G >/dev/null";
    let limited = json!({"mem": 32 << 20});
    link.start(&with(after(&agent, 2, &["sh", "-c", hog], 1), &limited));
    witness.order("exit 0");
    expect_end(&mut link, 1, Some(2));
    assert_eq!(expect_end(&mut link, 2, None)["outcome"], "out_of_memory");
}
