//! What a client does with what its job was granted: cpus, variables, further attempts.

use std::fs;

use integration::{Finished, Running, Session, Way, begin};
use nix::{
    sched::{CpuSet, sched_getaffinity},
    unistd::Pid,
};
use serde_json::{Value, json};

use crate::{
    fake_gateway::{FakeGateway, Lease},
    support::assert_says,
};

/// Starts the script `line` in a shell under a preload.
fn start(session: &Session, line: &str) -> Running {
    begin(&mut session.command(Way::Preloaded, "bash", ["-c", line]))
}

/// Runs one job to its end: the script `line` makes it.
#[track_caller]
fn run_once(session: &Session, gateway: &FakeGateway, line: &str, grant: &Value) -> Finished {
    let client = start(session, line);
    let mut lease = gateway.accept_job();
    lease.grant(1, grant);
    assert_eq!(lease.hear_exit(), (1, 0));
    lease.record();
    client.finish().expect_success("the job")
}

/// The cpus of this process, by the kernel's numbers.
fn own_cpus() -> Vec<usize> {
    cpus_of(Pid::from_raw(0))
}

fn cpus_of(process: Pid) -> Vec<usize> {
    let set = sched_getaffinity(process).expect("the process runs");
    (0..CpuSet::count()).filter(|cpu| set.is_set(*cpu).expect("within the set")).collect()
}

const SHOW_CPUS: &str = "env grep Cpus_allowed_list /proc/self/status";

#[test]
fn a_command_is_kept_to_its_cpus_and_its_client_is_not() {
    let session = Session::new("grep\n");
    let gateway = FakeGateway::listen(&session);
    let last = *own_cpus().last().expect("this test runs somewhere");
    let pinned = run_once(&session, &gateway, SHOW_CPUS, &json!({"cpus": [last]}));
    assert_eq!(pinned.text(), format!("Cpus_allowed_list:\t{last}\n"));
    let line = format!("{SHOW_CPUS}; cat /proc/self/status | sed -n s/Cpus_allowed_list:.//p");
    let after = run_once(&session, &gateway, &line, &json!({"cpus": [last]}));
    let all = run_once(&session, &gateway, SHOW_CPUS, &json!({}));
    assert_eq!(after.text().lines().nth(1), all.text().trim().split('\t').nth(1));
}

/// What a pipeline inside the command starts would be kept to the same cpus.
#[test]
fn a_command_with_jobs_of_its_own_is_not_pinned() {
    let session = Session::new("grep nested cpus=1\n");
    let gateway = FakeGateway::listen(&session);
    let free = run_once(&session, &gateway, SHOW_CPUS, &json!({}));
    let granted = run_once(&session, &gateway, SHOW_CPUS, &json!({"cpus": [own_cpus()[0]]}));
    assert_eq!(granted.text(), free.text());
}

#[test]
fn a_pipeline_that_was_kept_to_some_cpus_stays_there() {
    let cpus = own_cpus();
    let [first, .., last] = cpus[..] else {
        println!("skipped: a pipeline can be kept to one of two cpus only where there are two");
        return;
    };
    let session = Session::new("grep\n");
    let gateway = FakeGateway::listen(&session);
    let line = format!("taskset -c {first} {SHOW_CPUS}");
    let kept = run_once(&session, &gateway, &line, &json!({"cpus": [last]}));
    assert_eq!(kept.text(), format!("Cpus_allowed_list:\t{first}\n"));
}

/// The value of a variable in what `tell environment` wrote.
fn value<'text>(told: &'text str, name: &str) -> Option<&'text str> {
    told.split('\0').find_map(|entry| entry.strip_prefix(name)?.strip_prefix('='))
}

#[test]
fn granted_variables_are_set_but_not_over_those_of_the_rule() {
    let session = Session::new("tell env='CHOSEN=by the rule'\n");
    let gateway = FakeGateway::listen(&session);
    let variables = json!({"variables": [
        ["CUDA_VISIBLE_DEVICES", "GPU-5"], ["CHOSEN", "by the gateway"], ["EMPTY", ""],
    ]});
    let line = "CUDA_VISIBLE_DEVICES=0,1 env tell environment";
    let told = run_once(&session, &gateway, line, &variables).text();
    assert_eq!(value(&told, "CUDA_VISIBLE_DEVICES"), Some("GPU-5"));
    assert_eq!(value(&told, "CHOSEN"), Some("by the rule"));
    assert_eq!(value(&told, "EMPTY"), Some(""));
    let before = |name: &str| value(&told, &format!("REDIRECTOR_BEFORE_{name}"));
    assert_eq!(before("CUDA_VISIBLE_DEVICES"), Some("=0,1"));
    assert_eq!((before("EMPTY"), before("CHOSEN")), (Some(""), None));
}

/// A gateway goes by what is there outside of the job in which it happens to be started.
#[test]
fn a_gateway_started_inside_a_job_knows_the_whole_node() {
    let session = Session::new("probe\n");
    let first = own_cpus()[0];
    let script = "REDIRECTOR_JOB=1 CUDA_VISIBLE_DEVICES=5 HIP_VISIBLE_DEVICES=1 \
                  REDIRECTOR_BEFORE_CUDA_VISIBLE_DEVICES==2,5 REDIRECTOR_BEFORE_HIP_VISIBLE_DEVICES= ";
    session
        .bash(Way::Preloaded, &format!("{script} taskset -c {first} env probe"))
        .expect_success("the job");
    let gateway = session.gateway().pid();
    let environment =
        fs::read_to_string(format!("/proc/{gateway}/environ")).expect("the gateway runs");
    assert_eq!(value(&environment, "CUDA_VISIBLE_DEVICES"), Some("2,5"));
    assert_eq!(value(&environment, "HIP_VISIBLE_DEVICES"), None);
    let its = cpus_of(gateway);
    assert!(own_cpus().iter().all(|cpu| its.contains(cpu)), "{its:?}");
}

#[test]
fn numbers_of_threads_are_set_where_the_rule_names_cpus() {
    let three = json!({"resources": {"cpus": 3.5, "mem": 0}});
    for (rule, omp, mkl) in [
        ("tell cpus=4", Some("3"), Some("8")),
        ("tell", None, Some("8")),
        ("tell cpus=4 nested", None, Some("8")),
        ("tell cpus=4 env=OMP_NUM_THREADS=5", Some("5"), Some("8")),
    ] {
        let session = Session::new(&format!("{rule}\n"));
        let gateway = FakeGateway::listen(&session);
        let line = "MKL_NUM_THREADS=8 env tell environment";
        let told = run_once(&session, &gateway, line, &three).text();
        let found = (value(&told, "OMP_NUM_THREADS"), value(&told, "MKL_NUM_THREADS"));
        assert_eq!(found, (omp, mkl), "{rule}");
    }
}

/// What the whitelist says reaches the gateway.
#[test]
fn a_submission_says_what_the_rule_asks_for() {
    let session =
        Session::new("probe gpus=0.5 resources=licence:2 time=90s retries=node:3,exit:1\n");
    let gateway = FakeGateway::listen(&session);
    let client = start(&session, "REDIRECTOR_MODE=sequential env probe");
    let mut lease = gateway.accept_job();
    let submission = lease.first["submit"].take();
    let spec = &submission["spec"];
    assert_eq!(spec["resources"], json!({"cpus": 1, "mem": 0, "gpus": 0.5, "licence": 2}));
    assert_eq!(spec["time_limit"], 90_000);
    assert_eq!(spec["retries"], json!({"node": 3, "oom": 0, "exit": 1}));
    assert_eq!(submission["sequential"], true);
    lease.grant(1, &json!({}));
    assert_eq!(lease.hear_exit(), (1, 0));
    lease.record();
    client.finish().expect_success("the job");
}

/// A job that fails once and then succeeds, after reading a line and writing it.
const FAILS_ONCE: &str = "env sh -c 'read line; echo $line; echo x >>tries; \
                          [ $(wc -l <tries) = 2 ]'";

/// Has the job's first attempt repeated.
fn retry(lease: &mut Lease) {
    lease.grant(1, &json!({}));
    assert_eq!(lease.hear_exit(), (1, 1));
    lease.say(&json!({"retry": {"reason": "it ended with status 1"}}));
    lease.grant(2, &json!({}));
    assert_eq!(lease.hear_exit(), (2, 0));
    lease.record();
}

fn write(session: &Session, name: &str, text: &str) {
    fs::write(session.directory().join(name), text).expect("the session's directory is writable");
}

fn read(session: &Session, name: &str) -> String {
    fs::read_to_string(session.directory().join(name)).expect("written by the job")
}

#[test]
fn a_repeated_attempt_finds_files_as_the_first_one_did() {
    let session = Session::new("sh * retries=1\n");
    let gateway = FakeGateway::listen(&session);
    write(&session, "in", "one\ntwo\n");
    let client = start(&session, &format!("{FAILS_ONCE} <in >out"));
    retry(&mut gateway.accept_job());
    let finished = client.finish().expect_success("the job");
    assert_eq!(read(&session, "out"), "one\n", "once, and from the first line on");
    assert_says(&finished, &["job 7", "'sh'", "tried again", "it ended with status 1"]);
}

/// Only what is sure to be this job's own is taken back.
#[test]
fn files_that_others_write_to_are_left_alone() {
    let session = Session::new("sh * retries=1\n");
    let gateway = FakeGateway::listen(&session);
    write(&session, "in", "one\n");
    write(&session, "log", "before\n");
    let client = start(&session, &format!("{FAILS_ONCE} <in >>log"));
    retry(&mut gateway.accept_job());
    client.finish().expect_success("the job");
    assert_eq!(read(&session, "log"), "before\none\none\n", "open for appending");

    write(&session, "tries", "");
    let client = start(&session, &format!("{{ echo head; {FAILS_ONCE} <in; }} >out"));
    let mut lease = gateway.accept_job();
    lease.grant(1, &json!({}));
    assert_eq!(lease.hear_exit(), (1, 1));
    write(&session, "out", "head\none\nsomebody else's\n");
    lease.say(&json!({"retry": {"reason": "it ended with status 1"}}));
    lease.grant(2, &json!({}));
    assert_eq!(lease.hear_exit(), (2, 0));
    lease.record();
    client.finish().expect_success("the job");
    assert!(read(&session, "out").starts_with("head\none\n"), "{}", read(&session, "out"));
    assert!(read(&session, "out").contains("else's"), "{}", read(&session, "out"));
}

/// The answer to an outcome may be lost with the gateway; the next one is told the outcome again,
/// with the attempt that it is of.
#[test]
fn an_outcome_is_repeated_with_its_attempt() {
    let session = Session::new("sh * retries=1\n");
    let gateway = FakeGateway::listen(&session);
    write(&session, "in", "one\n");
    let client = start(&session, &format!("{FAILS_ONCE} <in >out"));
    let mut lease = gateway.accept_job();
    lease.grant(1, &json!({}));
    assert_eq!(lease.hear_exit(), (1, 1));
    drop(lease);

    let mut lease = gateway.accept_job();
    let resumed = lease.first["resume"].take();
    assert_eq!((&resumed["stage"], &resumed["attempt"]), (&json!("running"), &json!(1)));
    assert_eq!(lease.hear_exit(), (1, 1));
    lease.say(&json!({"retry": {"reason": "it ended with status 1"}}));
    drop(lease);

    let mut lease = gateway.accept_job();
    let resumed = lease.first["resume"].take();
    assert_eq!((&resumed["stage"], &resumed["attempt"]), (&json!("waiting"), &json!(1)));
    lease.grant(2, &json!({}));
    assert_eq!(lease.hear_exit(), (2, 0));
    lease.record();
    client.finish().expect_success("the job");
    assert_eq!(read(&session, "out"), "one\n");
}

/// The gateway ends a job whose time is over; the person is told once why.
#[test]
fn the_reason_for_an_end_is_said_once() {
    let session = Session::new("sleep\n");
    let gateway = FakeGateway::listen(&session);
    let client = start(&session, "env sleep 1000; echo $?");
    let mut lease = gateway.accept_job();
    lease.grant(1, &json!({}));
    let reason = "it ran for as long as it may, 1.0s";
    lease.say(&json!({"signal": {"signal": libc::SIGTERM, "reason": reason}}));
    lease.say(&json!({"signal": {"signal": libc::SIGKILL, "reason": reason}}));
    let finished = lease.hear();
    assert_eq!(finished["finished"]["outcome"]["outcome"], "signaled", "{finished}");
    lease.record();
    let ended = client.finish();
    assert_says(&ended, &["job 7", "'sleep'", reason]);
    assert!(["143\n", "137\n"].contains(&&*ended.text()), "{ended}");
}
