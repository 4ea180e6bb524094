//! Gateways that come and go: nothing is done twice and no end is lost.

use std::collections::{BTreeMap, BTreeSet};

use integration::Listener;
use serde_json::json;

use crate::support::{Agent, job_of, lines_of};

#[test]
fn an_attempt_that_is_known_is_not_started_again() {
    let agent = Agent::start();
    let listener = Listener::new(agent.directory(), "socket");
    let script = format!("echo once >>lines; witness {}", listener.path());
    let assignment = agent.assignment(1, &["sh", "-c", &script]);
    let mut link = agent.connect();
    link.start(&assignment);
    let mut witness = listener.accept();
    link.start(&assignment);
    drop(link);
    let mut link = agent.connect();
    assert_eq!(link.known, [1]);
    link.start(&assignment);
    witness.order("exit 3");
    assert_eq!(link.ended()["exit_code"], 3);
    link.start(&assignment);
    drop(link);

    let mut link = agent.connect();
    assert_eq!(link.known, [1], "its end is not acknowledged");
    assert_eq!(link.ended()["exit_code"], 3, "so it is repeated");
    link.start(&assignment);
    link.acknowledge(1);
    link.start(&agent.assignment(2, &["true"]));
    assert_eq!(job_of(&link.ended()), 2);
    assert_eq!(agent.text("lines"), "once\n");
}

#[test]
fn the_next_gateway_is_greeted_when_all_that_the_last_one_ordered_is_read() {
    let agent = Agent::start();
    let mut first = agent.connect();
    let listener = Listener::new(agent.directory(), "socket");
    for job in 1..=100 {
        first.start(&agent.assignment(job, &["witness", listener.path()]));
    }
    // Connects while the first one still talks.
    let second = std::thread::scope(|scope| {
        let second = scope.spawn(|| agent.connect());
        for job in 101..=200 {
            first.start(&agent.assignment(job, &["true"]));
        }
        drop(first);
        second.join().expect("the second gateway is greeted")
    });
    assert_eq!(second.known, (1..=200).collect::<Vec<u64>>());
}

/// Numbers that look random and are the same in every test run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}

/// A gateway that is killed anywhere: between two orders, within one, before it has read a
/// report, before it has acknowledged one.
#[test]
fn every_attempt_runs_once_however_often_the_connection_is_cut() {
    const ROUNDS: u64 = 50;
    const JOBS_A_ROUND: u64 = 6;
    let agent = Agent::start();
    let line = |job: u64| {
        let script = format!("echo {job} >>lines; exit {}", job % 7);
        agent.assignment(job, &["sh", "-c", &script])
    };
    // Without anything to do, the agent would rightly leave between two gateways.
    let listener = Listener::new(agent.directory(), "socket");
    agent
        .connect()
        .start(&agent.assignment(ROUNDS * JOBS_A_ROUND + 1, &["witness", listener.path()]));
    let _witness = listener.accept();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut unfinished = BTreeSet::new();
    let mut outcomes = BTreeMap::new();
    let mut note = |ended: &serde_json::Value, unfinished: &mut BTreeSet<u64>| {
        let job = job_of(ended);
        unfinished.remove(&job);
        let before = outcomes.insert(job, ended["exit_code"].clone());
        assert!(before.is_none_or(|before| before == ended["exit_code"]), "two ends of {job}");
        job
    };
    for round in 0..ROUNDS {
        unfinished.extend((1..=JOBS_A_ROUND).map(|job| round * JOBS_A_ROUND + job));
        let mut link = agent.connect();
        let orders: Vec<_> = unfinished.iter().map(|job| json!({"start": line(*job)})).collect();
        let orders = lines_of(&orders);
        let whole = random.below(3) > 0;
        let cut = if whole { orders.len() } else { random.below(orders.len()) };
        link.send(&orders[..cut]);
        if whole {
            for _ in 0..random.below(JOBS_A_ROUND as usize) {
                let job = note(&link.ended(), &mut unfinished);
                if random.below(2) == 0 {
                    link.acknowledge(job);
                }
            }
        }
    }
    let mut link = agent.connect();
    for job in unfinished.clone() {
        link.start(&line(job));
    }
    while !unfinished.is_empty() {
        let job = note(&link.ended(), &mut unfinished);
        link.acknowledge(job);
    }
    let expected: BTreeMap<u64, serde_json::Value> =
        (1..=ROUNDS * JOBS_A_ROUND).map(|job| (job, json!(job % 7))).collect();
    assert_eq!(outcomes, expected);
    let text = agent.text("lines");
    let mut lines: Vec<u64> = text.lines().map(|line| line.parse().expect("a number")).collect();
    lines.sort_unstable();
    assert_eq!(lines, expected.keys().copied().collect::<Vec<_>>(), "each ran once");
}
