//! How many trivial jobs an agent runs in a second, beside `xargs -P2`, and what a job costs.
//!
//! Prints figures and asserts none: they depend on the machine.
//!
//! ```text
//! cargo nextest run --cargo-profile fast -p integration --test agent \
//!     --run-ignored only --no-capture throughput
//! ```

use std::{
    fs,
    process::Command,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::support::{Agent, Link, job_of, lines_of, until, with};

const JOBS: u64 = 1000;

/// `JOBS` jobs, two at a time: the next one is ordered when one has ended.
fn by_agent(agent: &Agent, link: &mut Link, first: u64) -> f64 {
    let mut next = first..first + JOBS;
    let start = |job| json!({"start": agent.assignment(job, &["true"])});
    let started = Instant::now();
    let mut orders: Vec<Value> = next.by_ref().take(2).map(start).collect();
    for _ in 0..JOBS {
        link.send(&lines_of(&orders));
        let job = job_of(&link.ended());
        orders = vec![json!({"acknowledge": {"attempt": {"job": job, "number": 1}}})];
        orders.extend(next.next().map(start));
    }
    JOBS as f64 / started.elapsed().as_secs_f64()
}

fn by_xargs() -> f64 {
    let started = Instant::now();
    let script = format!("seq {JOBS} | xargs -P2 -n1 true");
    let status = Command::new("sh").args(["-c", &script]).status().expect("xargs is there");
    assert!(status.success());
    JOBS as f64 / started.elapsed().as_secs_f64()
}

#[test]
#[ignore = "a measurement"]
fn trivial_jobs() {
    let agent = Agent::start();
    let mut link = agent.connect();
    for round in 0..5 {
        let xargs = by_xargs();
        let rate = by_agent(&agent, &mut link, 1 + round * JOBS);
        println!("agent {rate:.0} jobs/s, xargs -P2 {xargs:.0} jobs/s: {:.2}", rate / xargs);
    }
}

/// Processor time that process `pid` has had, in microseconds.
fn cpu(pid: i32) -> f64 {
    let text = fs::read_to_string(format!("/proc/{pid}/schedstat")).expect("it is alive");
    let nanoseconds = text.split(' ').next().and_then(|time| time.parse::<f64>().ok());
    nanoseconds.expect("the first field is a time") / 1e3
}

fn children(pid: i32) -> Vec<i32> {
    let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let list = list.expect("this kernel lists children");
    list.split_whitespace().map(|pid| pid.parse().expect("a number")).collect()
}

/// Processor time of the agent and of its shepherds for one job, by what the job needs.
#[test]
#[ignore = "a measurement"]
fn cost_of_a_job() {
    let agent = Agent::start();
    let pid = agent.process().pid().as_raw();
    let mut link = agent.connect();
    let null = json!({"stdout": "/dev/null", "stderr": "/dev/null"});
    let no_process = json!({"stdout": "/dev/null", "stderr": "/dev/null", "directory": "/no"});
    let kinds =
        [("words only", no_process), ("and a process", null), ("and two files", Value::Null)];
    let mut job = 0;
    let mut run = |more: &Value| {
        job += 1;
        link.start(&with(agent.assignment(job, &["true"]), more));
        assert_eq!(job_of(&link.ended()), job);
        link.acknowledge(job);
    };
    run(&Value::Null);
    let shepherds = || children(pid).into_iter().map(cpu).sum::<f64>();
    for (kind, more) in kinds {
        let before = (cpu(pid), shepherds());
        for _ in 0..JOBS {
            run(&more);
        }
        let each = |now: f64, before: f64| (now - before) / JOBS as f64;
        println!(
            "{kind}: agent {:.0} us, shepherd {:.0} us a job",
            each(cpu(pid), before.0),
            each(shepherds(), before.1)
        );
    }
}

/// What many jobs cost that do nothing, and whose memory is watched.
#[test]
#[ignore = "a measurement"]
fn many_sleepers() {
    const SLEEPERS: u64 = 400;
    const WATCHED: Duration = Duration::from_secs(6);
    let agent = Agent::start();
    let pid = agent.process().pid().as_raw();
    let mut link = agent.connect();
    for job in 1..=SLEEPERS {
        let sleeper = agent.assignment(job, &["sleep", "1000"]);
        link.start(&with(sleeper, &json!({"mem": 1u64 << 30})));
    }
    until("all sleep", || {
        let shepherds = children(pid);
        shepherds.len() as u64 == SLEEPERS && shepherds.iter().all(|one| !children(*one).is_empty())
    });
    let memory = |pid: i32| {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("it is alive");
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).map(str::trim);
        let number = line.and_then(|line| line.strip_suffix(" kB")).map(str::trim);
        number.and_then(|number| number.parse::<u64>().ok()).expect("a number of kB")
    };
    let shepherds: u64 = children(pid).into_iter().map(memory).sum();
    let before = cpu(pid);
    // Nothing happens that could be waited for: the time itself is what is measured.
    std::thread::sleep(WATCHED);
    println!(
        "{SLEEPERS} sleepers: a shepherd {} kB, the agent {} kB and {:.1} % of a cpu",
        shepherds / SLEEPERS,
        memory(pid),
        (cpu(pid) - before) / WATCHED.as_micros() as f64 * 100.0
    );
    for job in 1..=SLEEPERS {
        link.end(job, 0);
    }
    for _ in 1..=SLEEPERS {
        link.ended();
    }
}
