//! Jobs that take more memory than they asked for.

use serde_json::json;

use crate::support::Agent;

const LIMIT: u64 = 64 << 20;

#[test]
fn a_job_that_takes_too_much_is_ended_and_says_what_it_had() {
    let agent = Agent::start();
    // Not the job's own process takes it, but the last one of a pipeline in another session.
    let script = "setsid sh -c 'head -c 1G /dev/zero | tail -c 1G' >/dev/null; exit 0";
    let ended = agent.run(&["sh", "-c", script], &json!({"mem": LIMIT}));
    assert_eq!(ended["outcome"], "out_of_memory", "{ended}");
    assert_eq!(ended["mem_limit"], LIMIT, "{ended}");
    let used = ended["mem_used"].as_u64().expect("a number of bytes");
    assert!(used > LIMIT, "{ended}");
    assert!(ended["usage"]["max_rss"].as_u64() >= Some(used), "{ended}");
}

#[test]
fn a_job_within_its_limit_is_left_alone() {
    let agent = Agent::start();
    let script = "head -c 16M /dev/zero | tail -c 16M >/dev/null; exit 8";
    let ended = agent.run(&["sh", "-c", script], &json!({"mem": LIMIT}));
    assert_eq!(ended["exit_code"], 8, "{ended}");
}

#[test]
fn only_the_one_that_takes_too_much_is_ended() {
    let agent = Agent::start();
    let listener = integration::Listener::new(agent.directory(), "socket");
    let mut link = agent.connect();
    let limit = json!({"mem": LIMIT});
    let quiet = agent.assignment(1, &["witness", listener.path()]);
    link.start(&crate::support::with(quiet, &limit));
    let mut witness = listener.accept();
    let hog = agent.assignment(2, &["sh", "-c", "head -c 1G /dev/zero | tail -c 1G >/dev/null"]);
    link.start(&crate::support::with(hog, &limit));
    let ended = link.ended();
    assert_eq!((&ended["job"], &ended["outcome"]), (&json!(2), &json!("out_of_memory")));
    witness.order("exit 0");
    assert_eq!(link.ended()["exit_code"], 0);
}
