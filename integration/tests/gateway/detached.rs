//! Jobs nobody waits for, once they are there: their output, their order, and what a person does
//! to them.

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use integration::{Listener, Session, Way, Witness, begin, finish};
use serde_json::Value;

use crate::support::{ONE_CPU, SYSTEM_FAILURE, assert_says, next_gateway, until};

/// `redirector submit OPTIONS`
pub(crate) fn submit_command(session: &Session, options: &[&str]) -> Command {
    let mut command = session.redirector(["submit"]);
    command.args(options);
    command
}

/// The number, or numbers, of what was submitted.
#[track_caller]
pub(crate) fn submit(session: &Session, options: &[&str]) -> String {
    let submitted = finish(&mut submit_command(session, options)).expect_success("submit");
    submitted.text().trim().to_owned()
}

/// A job's whole record.
#[track_caller]
pub(crate) fn record(session: &Session, id: &str) -> Value {
    let shown = session.ask(["show", "--json", id]).expect_success("show");
    let records: Value = serde_json::from_slice(&shown.stdout).expect("JSON");
    records[0].clone()
}

/// Submits a job that lives until it is given an order; the listener's name must be new.
#[track_caller]
pub(crate) fn submit_witness(session: &Session, name: &str, options: &[&str]) -> (String, Witness) {
    let listener = Listener::new(&session.directory(), name);
    let id = submit(session, &[options, &["--", "witness", listener.path()]].concat());
    (id, listener.accept())
}

#[track_caller]
fn state(session: &Session, id: &str) -> String {
    record(session, id)["state"].as_str().expect("text").to_owned()
}

#[test]
fn output_is_streamed_while_the_job_runs() {
    let session = Session::new("");
    let go = session.directory().join("go");
    nix::unistd::mkfifo(&go, nix::sys::stat::Mode::S_IRWXU).expect("a new name");
    let script = "echo one; read line <go; echo two; echo three >&2; exit 7";
    let id = submit(&session, &["--", "sh", "-c", script]);
    let mut command = session.redirector(["logs", "--follow", "--stdout", &id]);
    let mut follower = command.stdout(Stdio::piped()).spawn().expect("it is built");
    let mut lines = BufReader::new(follower.stdout.take().expect("piped")).lines();
    let mut next = || lines.next().map(|line| line.expect("text"));
    assert_eq!(next().as_deref(), Some("one"), "before the job has ended");
    fs::write(&go, "\n").expect("the job reads it");
    assert_eq!(next().as_deref(), Some("two"));
    assert_eq!(next(), None, "the end");
    assert!(follower.wait().expect("our child").success());
    let logs = session.ask(["logs", &id]).expect_success("logs");
    assert_eq!((&*logs.text(), &*logs.complaint()), ("one\ntwo\n", "three\n"));
    let logs = session.ask(["logs", "--stderr", &id]).expect_success("logs --stderr");
    assert_eq!((&*logs.text(), &*logs.complaint()), ("", "three\n"));
}

/// From before a job starts to its end, through a gateway that is killed.
#[test]
fn a_follower_outlives_the_gateway() {
    let session = Session::with_settings("", ONE_CPU);
    let (first, mut witness) = submit_witness(&session, "first", &[]);
    let script = "echo started; read line <go; echo done";
    let go = session.directory().join("go");
    nix::unistd::mkfifo(&go, nix::sys::stat::Mode::S_IRWXU).expect("a new name");
    let second = submit(&session, &["--", "sh", "-c", script]);
    let mut command = session.redirector(["logs", "-f", &second]);
    let mut follower = command.stdout(Stdio::piped()).spawn().expect("it is built");
    let mut lines = BufReader::new(follower.stdout.take().expect("piped")).lines();
    let mut next = || lines.next().map(|line| line.expect("text"));
    witness.order("exit 0");
    assert_eq!(next().as_deref(), Some("started"));
    let before = session.gateway();
    before.kill();
    next_gateway(&session, &before);
    fs::write(&go, "\n").expect("the job reads it");
    assert_eq!(next().as_deref(), Some("done"), "each line once");
    assert_eq!(next(), None);
    assert!(follower.wait().expect("our child").success());
    session.ask(["wait", &first, &second]).expect_success("both jobs");
}

#[test]
fn who_waits_outlives_gateways_that_are_killed() {
    let session = Session::new("");
    let (id, mut witness) = submit_witness(&session, "first", &[]);
    let waiting = begin(&mut session.redirector(["wait", &id]));
    let follower = begin(&mut session.redirector(["logs", "-f", &id]));
    for _ in 0..10 {
        let before = session.gateway();
        before.kill();
        next_gateway(&session, &before);
    }
    witness.order("exit 7");
    let waited = waiting.finish();
    assert_eq!(waited.status.code(), Some(7), "{waited}");
    follower.finish().expect_success("logs -f");
}

/// As any tool, and not as a failure of its own.
#[test]
fn a_reader_of_logs_that_leaves() {
    let session = Session::new("");
    let id = submit(&session, &["--wait", "--", "seq", "100000"]);
    let id = id.lines().next().expect("a number");
    let redirector = session.artefacts().redirector.to_str().expect("plain");
    let script = "\"$0\" logs \"$1\" | head -n 1; echo ${PIPESTATUS[0]}";
    let mut command = session.command(Way::Plain, "bash", ["-c", script, redirector, id]);
    let finished = finish(session.add_session(&mut command)).expect_success("head");
    assert_eq!(finished.text(), "1\n141\n", "{finished}");
    assert!(finished.stderr.is_empty(), "{finished}");
}

#[test]
fn logs_that_there_are_not() {
    let session = Session::new("end *\n");
    finish(&mut session.command(Way::Preloaded, "env", ["end", "exit", "0"]))
        .expect_success("a leased job");
    let id = submit(&session, &["--wait", "--", "true"]);
    let leased = session.ask(["logs", "2"]);
    assert_eq!(leased.status.code(), SYSTEM_FAILURE, "{leased}");
    assert_says(&leased, &["job 2", "redirector submit"]);
    let missing = session.ask(["logs", "-f", "99", &id]);
    assert_eq!(missing.status.code(), SYSTEM_FAILURE, "{missing}");
    assert_says(&missing, &["no job 99"]);
    let attempt = session.ask(["logs", "--attempt", "2", &id]);
    assert_eq!(attempt.status.code(), SYSTEM_FAILURE, "{attempt}");
    assert_says(&attempt, &["no attempt 2"]);
    let wrong = session.ask(["logs", "--attempt", "0", &id]);
    assert_eq!(wrong.status.code(), Some(2), "{wrong}");
}

#[test]
fn what_follows_a_job_starts_by_how_that_ends() {
    let session = Session::with_settings("", ONE_CPU);
    let (first, mut witness) = submit_witness(&session, "first", &[]);
    let after = |condition: &str| {
        let after = format!("{first}{condition}");
        submit(&session, &["--after", &after, "--", "true"])
    };
    let (ok, any, fail) = (after(""), after(":any"), after(":fail"));
    let last = submit(&session, &["--after", &ok, "--", "true"]);
    for id in [&ok, &any, &fail, &last] {
        assert_eq!(state(&session, id), "waiting");
    }
    witness.order("exit 4");
    session.ask(["wait", &any, &fail]).expect_success("they may start");
    for id in [&ok, &last] {
        let waited = session.ask(["wait", id]);
        assert_eq!(waited.status.code(), SYSTEM_FAILURE, "{waited}");
        let job = record(&session, id);
        assert_eq!(job["started"], Value::Null, "{job}");
        let explained = session.ask(["explain", id]).expect_success("explain").text();
        assert!(explained.lines().count() > 1, "{explained}");
    }
}

#[test]
fn hold_and_release() {
    let session = Session::with_settings("", ONE_CPU);
    let (first, mut witness) = submit_witness(&session, "first", &[]);
    let array = submit(&session, &["--array", "1-3", "--", "true"]);
    let held = session.ask(["hold", &array]).expect_success("hold");
    assert_eq!(held.text(), "held 3 jobs\n");
    let again = session.ask(["hold", "2"]).expect_success("hold it again");
    assert_says(&again, &["job 2", "is held already"]);
    witness.order("exit 0");
    session.ask(["wait", &first]).expect_success("the first");
    assert_eq!(state(&session, "3"), "held");
    let listed = session.ask(["jobs", "--state", "held"]).expect_success("jobs").text();
    assert_eq!(listed.lines().count(), 4, "{listed}");
    let released = session.ask(["release", &array]).expect_success("release");
    assert_eq!(released.text(), "released 3 jobs\n");
    session.ask(["wait", &array]).expect_success("the array");
}

#[test]
fn what_runs_cannot_be_held() {
    let session = Session::new("");
    let (id, mut witness) = submit_witness(&session, "first", &[]);
    let held = session.ask(["hold", &id, "99"]);
    assert_eq!(held.status.code(), SYSTEM_FAILURE, "{held}");
    assert_says(&held, &[&format!("job {id}"), "runs"]);
    assert_says(&held, &["no job 99"]);
    let retried = session.ask(["retry", &id]);
    assert_eq!(retried.status.code(), SYSTEM_FAILURE, "{retried}");
    assert_says(&retried, &[&format!("job {id}"), "not"]);
    witness.order("exit 0");
    session.ask(["wait", &id]).expect_success("the job");
    let retried = session.ask(["retry", &id]);
    assert_eq!(retried.status.code(), SYSTEM_FAILURE, "{retried}");
    assert_says(&retried, &[&format!("job {id}")]);
}

#[test]
fn a_failed_job_is_tried_once_more() {
    let session = Session::new("");
    let script = "echo try; test -e good";
    let id = submit(&session, &["--", "sh", "-c", script]);
    assert_eq!(session.ask(["wait", &id]).status.code(), Some(1));
    fs::write(session.directory().join("good"), "").expect("writable");
    let retried = session.ask(["retry", &id]).expect_success("retry");
    assert_eq!(retried.text(), format!("queued once more: job {id}\n"));
    session.ask(["wait", &id]).expect_success("it is good now");
    let job = record(&session, &id);
    assert_eq!(job["attempts"].as_array().map(Vec::len), Some(2), "{job}");
    for attempt in ["1", "2"] {
        let logs = session.ask(["logs", "--attempt", attempt, &id]).expect_success("logs");
        assert_eq!(logs.text(), "try\n");
    }
    let shown = session.ask(["show", &id]).expect_success("show").text();
    assert!(shown.contains("1 on ") && shown.contains("2 on "), "{shown}");
}

/// `logs -f` goes from one attempt to the next.
#[test]
fn retries_are_followed() {
    let session = Session::new("");
    let script = "echo try; mkdir first && exit 1; exit 0";
    let id = submit(&session, &["--hold", "--retries", "exit:1", "--", "sh", "-c", script]);
    let follower = begin(&mut session.redirector(["logs", "-f", &id]));
    session.ask(["release", &id]).expect_success("release");
    assert_eq!(follower.finish().expect_success("logs -f").text(), "try\ntry\n");
}

#[test]
fn a_whole_array_is_waited_for() {
    let session = Session::new("");
    let options = ["--array", "0-99", "--", "sh", "-c", "exit $((REDIRECTOR_ELEMENT == 41))"];
    let array = submit(&session, &options);
    let waited = session.ask(["wait", &array]);
    assert_eq!(waited.status.code(), Some(1), "{waited}");
    assert_says(&waited, &["job 42", "exited(1)"]);
    let missing = session.ask(["wait", "90-200"]);
    assert_eq!(missing.status.code(), SYSTEM_FAILURE, "{missing}");
    assert_says(&missing, &["no job 200"]);
    let huge = session.ask(["cancel", "1-1000000000"]);
    assert_eq!(huge.status.code(), Some(2), "{huge}");
    assert!(huge.complaint().contains("at most 100000"), "{huge}");
}

#[test]
fn a_cancelled_array_leaves_nothing() {
    let session = Session::new("");
    let array = submit(&session, &["--array", "1-6", "--", "sleep", "1000"]);
    let cancelled = session.ask(["cancel", &array]).expect_success("cancel");
    assert_eq!(cancelled.text(), "cancelled 6 jobs\n");
    let waited = session.ask(["wait", &array]);
    assert_eq!(waited.status.code(), SYSTEM_FAILURE, "{waited}");
    let jobs = session.jobs();
    assert!(jobs.iter().all(|job| job.ending() == "cancelled"), "{jobs:?}");
}

#[test]
fn a_job_that_waits_is_explained() {
    let session = Session::with_settings("", ONE_CPU);
    let (first, mut witness) = submit_witness(&session, "first", &[]);
    let second = submit(&session, &["--", "true"]);
    let explained = session.ask(["explain", &second]).expect_success("explain").text();
    assert!(explained.starts_with(&format!("job {second} (true): queued\n")), "{explained}");
    assert!(explained.contains("cpu"), "names what is short: {explained}");
    witness.order("exit 0");
    session.ask(["wait", &first, &second]).expect_success("both");
    let missing = session.ask(["explain", "99"]);
    assert_says(&missing, &["no job 99"]);
}

#[test]
fn nodes_tell_where_their_resources_are_known_from() {
    let session = Session::new("");
    let text = session.ask(["nodes", "--pools"]).expect_success("nodes --pools").text();
    let configuration = session.configuration();
    for (pool, amount) in [("cpus", "2"), ("mem", "4G")] {
        let line = text.lines().find(|line| line.contains(pool)).expect("each pool has a line");
        assert!(line.contains(amount), "{text}");
        assert!(line.ends_with(configuration.to_str().expect("plain")), "{text}");
    }
    let json = session.ask(["nodes", "--json"]).expect_success("nodes --json");
    let nodes: Value = serde_json::from_slice(&json.stdout).expect("JSON");
    assert_eq!(nodes[0]["state"], "up", "{nodes}");
    let rows = session.ask(["nodes"]).expect_success("nodes").text();
    let row = rows.lines().nth(1).expect("a row under the header");
    assert!(row.contains("  up  ") && row.contains("  0/2  ") && row.contains("0B/4G"), "{rows}");
}

#[test]
fn purged_jobs_are_gone_with_their_output() {
    let session = Session::new("");
    let array = submit(&session, &["--array", "1-5", "--wait", "--", "echo", "12345"]);
    let (running, mut witness) = submit_witness(&session, "first", &[]);
    let unsure = session.ask(["purge"]);
    assert_eq!(unsure.status.code(), Some(2), "{unsure}");
    let recent = session.ask(["purge", "--older-than", "30d"]).expect_success("purge");
    assert_eq!(recent.text(), "purged 0 jobs, 0B of output\n");
    let purged = session.ask(["purge", "--keep", "0"]).expect_success("purge");
    assert_eq!(purged.text(), "purged 5 jobs, 30B of output\n");
    let gone = session.ask(["logs", &array]);
    assert_says(&gone, &["no job 1;"]);
    assert_eq!(state(&session, &running), "running");
    witness.order("exit 0");
    session.ask(["wait", &running]).expect_success("the job that ran");
}

/// However much else the gateway has to do meanwhile.
#[test]
fn an_agent_that_cannot_be_started_is_tried_again() {
    let session = Session::new("");
    let obstacle = session.state().join("agent.log");
    fs::create_dir(&obstacle).expect("a new name");
    let id = submit(&session, &["--", "true"]);
    let explained = || session.ask(["explain", &id]).expect_success("explain").text();
    until("it is said that there is no agent", || explained().contains("no agent can run"));
    fs::remove_dir(&obstacle).expect("it is empty");
    // Each question is something for the gateway to do.
    until("the job has run", || state(&session, &id) == "finished");
    assert_eq!(record(&session, &id)["exit_code"], 0);
}

/// On the gateway's own computer the records go the other way, and end the same.
#[test]
fn records_of_jobs_are_kept_beside_their_output() {
    let session = Session::new("");
    let redirector = session.artefacts().redirector.display().to_string();
    let script = format!("echo out; {redirector} log --field n=3 low on beads; exit 4");
    let submitted = session.ask(["submit", "--", "sh", "-c", &script]).expect_success("submit");
    let id = submitted.text().trim().to_owned();
    session.ask(["wait", &id]);
    let lines = session.ask(["logs", "--lines", &id]).expect_success("logs --lines").text();
    let mut lines: Vec<_> =
        lines.lines().map(|line| line.split_once(' ').expect("a head").1).collect();
    assert_eq!((lines[0], lines[3]), ("[started]", "[ended: exited(4)]"), "{lines:?}");
    lines.sort_unstable();
    assert_eq!(lines[1..3], ["[info] low on beads n=3", "[started]"], "{lines:?}");
    let records = session.state().join(format!("output/0/{id}.1.log"));
    assert!(records.exists());
    session.ask(["purge", "--keep", "0"]).expect_success("purge");
    assert!(!records.exists(), "purged with the output");
    let outside = session.ask(["log", "x"]);
    assert_eq!(outside.status.code(), Some(125), "{outside}");
    assert!(outside.complaint().contains("$REDIRECTOR_TOKEN is not set"), "{outside}");
}
