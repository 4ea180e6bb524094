//! Attempts that are ended before their time: by an order, by their time limit.

use std::time::Instant;

use integration::Listener;
use serde_json::json;

use crate::support::{Agent, with};

/// Long enough for every test that does not wait for its end.
const LONG: u64 = 600_000;

#[test]
fn an_order_to_end_is_a_sigterm_to_the_whole_group() {
    let agent = Agent::start();
    let listeners = ["a", "b"].map(|name| Listener::new(agent.directory(), name));
    let script = format!("witness {} & witness {}; wait", listeners[0].path(), listeners[1].path());
    let mut link = agent.connect();
    link.start(&agent.assignment(1, &["sh", "-c", &script]));
    let mut witnesses = listeners.map(|listener| listener.accept());
    link.end(1, LONG);
    for witness in &mut witnesses {
        witness.reports_until("TERM");
        witness.order("exit 0");
    }
    let ended = link.ended();
    assert_eq!(ended["outcome"], "cancelled", "{ended}");
    agent.assert_nothing_left();
}

#[test]
fn a_job_that_ignores_sigterm_is_killed_when_its_grace_is_over() {
    let agent = Agent::start();
    let listener = Listener::new(agent.directory(), "socket");
    let mut link = agent.connect();
    link.start(&agent.assignment(1, &["witness", listener.path()]));
    let mut witness = listener.accept();
    let told = Instant::now();
    link.end(1, 200);
    witness.reports_until("TERM");
    let ended = link.ended();
    assert!(told.elapsed().as_millis() >= 200, "it was killed after {:?}", told.elapsed());
    assert_eq!(ended["outcome"], "cancelled", "{ended}");
    agent.assert_nothing_left();
}

#[test]
fn without_grace_it_is_killed_at_once_even_if_it_is_stopped() {
    let agent = Agent::start();
    let listener = Listener::new(agent.directory(), "socket");
    let mut link = agent.connect();
    link.start(&agent.assignment(1, &["witness", listener.path()]));
    let mut witness = listener.accept();
    nix::sys::signal::kill(witness.pid(), nix::sys::signal::Signal::SIGSTOP).expect("it runs");
    link.end(1, 0);
    assert_eq!(link.ended()["outcome"], "cancelled");
    assert_eq!(witness.next_report(), None);
}

#[test]
fn a_stopped_job_goes_on_to_end_in_good_order() {
    let agent = Agent::start();
    let listener = Listener::new(agent.directory(), "socket");
    let mut link = agent.connect();
    link.start(&agent.assignment(1, &["witness", listener.path()]));
    let mut witness = listener.accept();
    nix::sys::signal::kill(witness.pid(), nix::sys::signal::Signal::SIGSTOP).expect("it runs");
    link.end(1, LONG);
    witness.reports_until("TERM");
    witness.order("exit 0");
    assert_eq!(link.ended()["outcome"], "cancelled");
}

#[test]
fn a_second_order_can_shorten_the_grace() {
    let agent = Agent::start();
    let listener = Listener::new(agent.directory(), "socket");
    let mut link = agent.connect();
    link.start(&agent.assignment(1, &["witness", listener.path()]));
    let mut witness = listener.accept();
    link.end(1, LONG);
    witness.reports_until("TERM");
    link.end(1, 0);
    assert_eq!(link.ended()["outcome"], "cancelled");
}

#[test]
fn a_job_whose_time_is_over_is_told_so_and_then_killed() {
    let agent = Agent::start();
    let listener = Listener::new(agent.directory(), "socket");
    let mut link = agent.connect();
    let limits = json!({"time_limit": 300, "grace": 100});
    let started = Instant::now();
    link.start(&with(agent.assignment(1, &["witness", listener.path()]), &limits));
    let mut witness = listener.accept();
    witness.reports_until("TERM");
    let ended = link.ended();
    assert!(started.elapsed().as_millis() >= 400, "{:?}", started.elapsed());
    assert_eq!((&ended["outcome"], &ended["timed_out_after"]), (&json!("timed_out"), &json!(300)));
    agent.assert_nothing_left();
}

#[test]
fn a_job_within_its_time_ends_as_it_wants() {
    let agent = Agent::start();
    let ended = agent.run(&["sh", "-c", "exit 5"], &json!({"time_limit": LONG, "grace": LONG}));
    assert_eq!(ended["exit_code"], 5, "{ended}");
}

#[test]
fn an_order_to_end_what_has_ended_or_never_was_changes_nothing() {
    let agent = Agent::start();
    let mut link = agent.connect();
    link.start(&agent.assignment(1, &["true"]));
    let ended = link.ended();
    link.end(1, 0);
    link.end(99, 0);
    link.start(&agent.assignment(2, &["sh", "-c", "exit 6"]));
    assert_eq!((&ended["exit_code"], &link.ended()["exit_code"]), (&json!(0), &json!(6)));
}
