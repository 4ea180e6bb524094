//! How an agent comes and goes.

use std::{
    fs,
    os::unix::{fs::PermissionsExt, net::UnixStream},
    process::Command,
};

use integration::{Artefacts, Listener, finish};
use nix::sys::signal::Signal;
use serde_json::json;

use crate::support::{Agent, until};

#[test]
fn it_inherits_nothing_of_the_session_that_started_it() {
    let agent = Agent::start();
    let pid = agent.process().pid();
    let link = |name: &str| fs::read_link(format!("/proc/{pid}/{name}")).expect("it is alive");
    assert_eq!(link("cwd").to_str(), Some("/"));
    assert_eq!(link("fd/0").to_str(), Some("/dev/null"));
    assert_eq!(link("fd/1").to_str(), Some("/dev/null"));
    assert_eq!(link("fd/2"), agent.state().join("agent.log"));
    let state = fs::metadata(agent.state()).expect("it was made").permissions();
    assert_eq!(state.mode() & 0o077, 0, "only its owner gets to its socket");
}

#[test]
fn a_second_agent_is_refused_with_a_word_about_the_first() {
    let agent = Agent::start();
    let mut command = Command::new(Artefacts::find().redirector);
    command.arg("agent").env("HOME", agent.directory()).env("REDIRECTOR_STATE_DIR", agent.state());
    let finished = finish(&mut command);
    assert_eq!(finished.text(), "", "{finished}");
    let complaint = finished.complaint();
    assert!(complaint.contains(&format!("(process {})", agent.process().pid())), "{complaint}");
}

#[test]
fn it_leaves_when_no_gateway_is_there_and_nothing_is_to_be_done() {
    let agent = Agent::start();
    let mut link = agent.connect();
    link.start(&agent.assignment(1, &["true"]));
    let ended = link.ended();
    assert_eq!(ended["exit_code"], 0);
    drop(link);
    let mut link = agent.connect();
    assert_eq!(link.known, [1], "an end that is not acknowledged keeps it");
    link.acknowledge(1);
    drop(link);
    agent.process().wait_for_end();
    assert!(!agent.state().join("agent.sock").exists());
}

#[test]
fn told_to_leave_it_leaves_when_all_has_ended_and_is_acknowledged() {
    let agent = Agent::start();
    let listener = Listener::new(agent.directory(), "socket");
    let mut link = agent.connect();
    link.start(&agent.assignment(1, &["witness", listener.path()]));
    let mut witness = listener.accept();
    link.order(&json!("leave"));
    witness.order("exit 2");
    assert_eq!(link.ended()["exit_code"], 2);
    assert!(!agent.process().has_ended(), "the end is not acknowledged");
    link.acknowledge(1);
    assert_eq!(link.line(), "", "the connection ends");
    agent.process().wait_for_end();
}

#[test]
fn told_by_a_signal_it_ends_its_jobs_first() {
    let agent = Agent::start();
    let listener = Listener::new(agent.directory(), "socket");
    let mut link = agent.connect();
    link.start(&agent.assignment(1, &["witness", listener.path()]));
    let mut witness = listener.accept();
    agent.process().signal(Signal::SIGTERM);
    witness.reports_until("TERM");
    witness.order("exit 0");
    let ended = link.ended();
    assert_eq!(ended["outcome"], "cancelled", "{ended}");
    link.acknowledge(1);
    agent.process().wait_for_end();
}

#[test]
fn without_a_gateway_it_starts_one_for_what_may_be_waiting() {
    let mut agent = Agent::start();
    agent.without_gateway();
    let listener = Listener::new(agent.directory(), "socket");
    let mut link = agent.connect();
    link.start(&agent.assignment(1, &["witness", listener.path()]));
    let _witness = listener.accept();
    drop(link);
    let socket = agent.state().join("gateway.sock");
    until("a gateway listens", || UnixStream::connect(&socket).is_ok());
}

#[test]
fn orders_that_make_no_sense_end_the_connection_and_nothing_else() {
    let agent = Agent::start();
    let listener = Listener::new(agent.directory(), "socket");
    let mut link = agent.connect();
    link.start(&agent.assignment(1, &["witness", listener.path()]));
    let mut witness = listener.accept();
    for nonsense in ["{\"fly\": 1}\n", "\u{0}\n", "{\"start\": {}}\n"] {
        link.send(nonsense.as_bytes());
        assert_eq!(link.line(), "", "{nonsense}");
        link = agent.connect();
        assert_eq!(link.known, [1]);
    }
    witness.order("exit 0");
    assert_eq!(link.ended()["exit_code"], 0);
    let log = fs::read_to_string(agent.state().join("agent.log")).expect("it logs");
    assert!(log.contains("an order that cannot be understood"), "{log}");
}
