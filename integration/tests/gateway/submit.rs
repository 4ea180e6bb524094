//! `redirector submit`: what runs, with which arguments, environment and place, and what is said
//! of what cannot run.

use std::fs;

use integration::{Finished, Session, Settings, Way, finish, finish_with_input};
use serde_json::Value;

use crate::{
    detached::{record, submit, submit_command},
    support::{SYSTEM_FAILURE, assert_says, write_script},
};

#[test]
fn a_job_runs_where_and_as_it_was_submitted() {
    let session = Session::new("");
    let script = "pwd; echo \"$1 $MARK $(umask)\"; echo trouble >&2; exit 3";
    let mut command = session.command(Way::Plain, "sh", ["-c"]);
    let submission = "umask 027; exec \"$0\" submit -- sh -c \"$1\" name argument";
    let redirector = session.artefacts().redirector.to_str().expect("plain");
    command.args([submission, redirector, script]).env("MARK", "a mark");
    let id = finish(session.add_session(&mut command)).expect_success("submit").text();
    let id = id.trim();
    let waited = session.ask(["wait", id]);
    assert_eq!(waited.status.code(), Some(3), "{waited}");
    assert_says(&waited, &["job 1", "'sh'", "exited(3)"]);
    let logs = session.ask(["logs", id]).expect_success("logs");
    let directory = session.directory();
    let expected = format!("{}\nargument a mark 0027\n", directory.display());
    assert_eq!(logs.text(), expected);
    assert_eq!(logs.complaint(), "trouble\n");
    let job = record(&session, id);
    assert_eq!(job["detached"], true, "{job}");
    assert_eq!(job["exit_code"], 3, "{job}");
}

#[test]
fn options_are_in_the_record() {
    let session = Session::new("probe * cpus=2 name=ruled priority=3\n");
    let id = submit(&session, &["--hold", "--", "probe", "x"]);
    let job = record(&session, &id);
    assert_eq!(job["name"], "ruled", "{job}");
    assert_eq!(job["resources"]["cpus"], 2, "{job}");
    assert_eq!(job["priority"], 3, "{job}");
    assert_eq!(job["rule"]["line"], 1, "{job}");
    assert_eq!(job["state"], "held", "{job}");
    let options = [
        "--hold",
        "--name",
        "own",
        "--cpus",
        "0.5",
        "--mem",
        "1G",
        "--time",
        "2m",
        "--priority",
        "-4",
        "--retries",
        "node:3,oom:2",
        "--after",
        &id,
        "--after",
        "1:any",
        "--directory",
        "/",
        "--",
        "probe",
        "x",
    ];
    let id = submit(&session, &options);
    let job = record(&session, &id);
    assert_eq!(job["name"], "own", "{job}");
    assert_eq!(job["resources"]["cpus"], 0.5, "{job}");
    assert_eq!(job["resources"]["mem"], 1_u64 << 30, "{job}");
    assert_eq!(job["time_limit"], 120_000, "{job}");
    assert_eq!(job["priority"], -4, "{job}");
    assert_eq!(job["retries"]["oom"], 2, "{job}");
    assert_eq!(job["after"], serde_json::json!([{"job": 1, "on": "ok"}]), "{job}");
    assert_eq!(job["directory"], "/", "{job}");
    session.ask(["cancel", "1-2"]).expect_success("cancel");
}

#[test]
fn an_array_of_numbers() {
    let session = Session::new("");
    let script = "echo \"$REDIRECTOR_ELEMENT $1\" >\"out.$REDIRECTOR_ELEMENT\"";
    let command = ["--array", "10-30:10", "--name", "number {}", "--wait", "--"];
    let mut command = submit_command(&session, &command);
    let submitted = finish(command.args(["sh", "-c", script, "name", "-n{}"]));
    assert_eq!(submitted.expect_success("submit --wait").text(), "1-3\n");
    for value in [10, 20, 30] {
        let written = fs::read_to_string(session.directory().join(format!("out.{value}")));
        assert_eq!(written.expect("the element ran"), format!("{value} -n{value}\n"));
    }
    let job = record(&session, "2");
    assert_eq!(job["name"], "number 20", "{job}");
    assert_eq!(job["element"], serde_json::json!({"first": 1, "value": "20"}), "{job}");
    let shown = session.ask(["show", "1-3"]).expect_success("show").text();
    assert!(shown.contains("20 (of array 1)"), "{shown}");
}

#[test]
fn a_job_for_each_line() {
    let session = Session::new("");
    let file = session.directory().join("samples.txt");
    fs::write(&file, "one\r\n\ntwo words\n$(touch trap)").expect("writable");
    let each = ["--each", "samples.txt", "--wait", "--", "printf", "<%s>"];
    let mut command = submit_command(&session, &each);
    assert_eq!(finish(&mut command).expect_success("submit").text(), "1-3\n");
    let logs = session.ask(["logs", "1-3"]).expect_success("logs").text();
    assert_eq!(
        logs,
        "==> job 1 stdout <==\n<one>\n==> job 2 stdout <==\n<two words>\n\
         ==> job 3 stdout <==\n<$(touch trap)>"
    );
    let mut command = submit_command(&session, &["--each", "-", "--wait", "--", "echo", "a{}b"]);
    let submitted = finish_with_input(&mut command, b"1\n2\n".to_vec()).expect_success("submit");
    assert_eq!(submitted.text(), "4-5\n");
    assert_eq!(session.ask(["logs", "4"]).text(), "a1b\n");
    assert!(!session.directory().join("trap").exists(), "a value is no script");
}

/// One run per line, each the parent of the jobs that come out of it.
#[test]
fn pipelines_have_their_jobs_below_them() {
    let session = Session::new("end *\n");
    let script = session.directory().join("pipeline.sh");
    write_script(&script, "#!/bin/sh\nenv end exit 0; env end exit \"$1\"; exit 0\n");
    let options = ["--array", "4-5", "--wait", "--", "./pipeline.sh", "{}"];
    finish(&mut submit_command(&session, &options)).expect_success("the pipelines");
    let jobs = session.jobs();
    for (run, status) in [("1", 4), ("2", 5)] {
        let below: Vec<_> = jobs
            .iter()
            .filter(|job| job.spawned_by.as_ref().is_some_and(|id| id.to_string() == run))
            .collect();
        let mut endings: Vec<_> = below.iter().map(|job| job.ending()).collect();
        endings.sort();
        assert_eq!(endings, ["exited(0)".to_owned(), format!("exited({status})")], "{jobs:?}");
        assert!(below.iter().all(|job| job.rule.is_some()), "{below:?}");
    }
    let tree = session.ask(["jobs", "--tree"]).expect_success("jobs --tree").text();
    assert_eq!(tree.lines().count(), 6, "{tree}");
}

/// A job that submits: the new job is its child, and is cancelled with it.
#[test]
fn a_job_that_submits() {
    let session = Session::new("");
    let redirector = session.artefacts().redirector.to_str().expect("plain");
    let script = "\"$0\" submit --hold -- true";
    let id = submit(&session, &["--", "sh", "-c", script, redirector]);
    session.ask(["wait", &id]).expect_success("the job that submits");
    let child = session.ask(["logs", &id]).expect_success("logs").text();
    let child = record(&session, child.trim());
    assert_eq!(child["spawned_by"].to_string(), id, "{child}");
    let cancelled = session.ask(["cancel", &id]).expect_success("cancel");
    assert!(cancelled.text().contains(&child["id"].to_string()), "{cancelled}");
}

#[test]
fn json_for_scripts() {
    let session = Session::new("");
    let parsed = |finished: Finished| -> Value {
        serde_json::from_slice(&finished.stdout).unwrap_or_else(|_| panic!("JSON: {finished}"))
    };
    let mut command = submit_command(&session, &["--json", "--array", "1-2", "--", "true"]);
    let answer = parsed(finish(&mut command));
    assert_eq!(answer, serde_json::json!({"first": 1, "last": 2}));
    let mut command = submit_command(&session, &["--json", "--wait", "--", "false"]);
    let finished = finish(&mut command);
    assert_eq!(finished.status.code(), Some(1), "{finished}");
    let records = parsed(finished);
    assert_eq!(records[0]["exit_code"], 1, "{records}");
    assert_eq!(records[0]["attempts"].as_array().map(Vec::len), Some(1), "{records}");
    session.ask(["wait", "1-2"]).expect_success("the array");
}

/// One at a time, in the order of submission.
#[test]
fn sequential() {
    let session = Session::with_settings("", Settings { cpus: 4 });
    let script = "mkdir running || exit 1; echo \"$REDIRECTOR_ELEMENT\" >>order; rmdir running";
    let options = ["--sequential", "--array", "1-20", "--wait", "--", "sh", "-c", script];
    finish(&mut submit_command(&session, &options)).expect_success("no two at a time");
    let order = fs::read_to_string(session.directory().join("order")).expect("they ran");
    let expected: Vec<_> = (1..=20).map(|number| number.to_string()).collect();
    assert_eq!(order.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn what_cannot_be_submitted() {
    let session = Session::new("");
    let file = |name: &str, content: &str| {
        fs::write(session.directory().join(name), content).expect("writable");
    };
    file("empty", "");
    file("zero", "a\nb\0c\n");
    for (options, status, parts) in [
        (&["--array", "1-10000000", "--", "true"][..], 2, &["at most 100000"][..]),
        (&["--array", "5-1", "--", "true"], 2, &["1-5"]),
        (&["--array", "1-5:0", "--", "true"], 2, &["step of 0"]),
        (&["--array", "", "--", "true"], 2, &["1-1000"]),
        (&["--array", "1-2", "--each", "empty", "--", "true"], 2, &["--array", "--each"]),
        (&["--after", "1:never", "--", "true"], 2, &["ok, any or fail"]),
        (&["--time", "0", "--", "true"], 2, &["leave the option out"]),
        (&["--resource", "licences", "--", "true"], 2, &["licences=2"]),
        (&["--retries", "disk:1", "--", "true"], 2, &["node:3"]),
        (&["true"], 2, &["--"]),
        (&["--each", "missing", "--", "true"], 125, &["missing", "nothing was submitted"]),
        (&["--each", "empty", "--", "true"], 125, &["empty", "nothing was submitted"]),
        (&["--each", "zero", "--", "true"], 125, &["zero:2", "nothing was submitted"]),
        (&["--after", "1", "--after", "1:fail", "--", "true"], 125, &["job 1"]),
        (&["--array", "1-2", "--", "./{}"], 125, &["'env'", "nothing was submitted"]),
        (&["--directory", "missing", "--", "true"], 125, &["missing", "nothing was submitted"]),
        (&["--directory", "empty", "--", "true"], 125, &["empty", "not a directory"]),
        (&["--", "no-such-program"], 125, &["no-such-program", "PATH"]),
    ] {
        let refused = finish(&mut submit_command(&session, options));
        assert_eq!(refused.status.code(), Some(status), "{options:?}: {refused}");
        assert!(refused.stdout.is_empty(), "{options:?}: {refused}");
        for part in parts {
            assert!(refused.complaint().contains(part), "{part} of {options:?}: {refused}");
        }
    }
    assert!(session.gateway_if_running().is_none(), "nothing is started only to say so");
}

#[test]
fn what_the_gateway_refuses() {
    let session = Session::new("");
    for (options, part) in
        [(&["--after", "1", "--", "true"][..], "1"), (&["--after", "99:any", "--", "true"], "99")]
    {
        let refused = finish(&mut submit_command(&session, options));
        assert_eq!(refused.status.code(), SYSTEM_FAILURE, "{options:?}: {refused}");
        assert_says(&refused, &[part]);
    }
    assert!(session.jobs().is_empty(), "nothing was submitted");
    for (options, part) in [
        (&["--resource", "licences=1", "--wait", "--", "true"][..], "licences"),
        (&["--cpus", "64", "--wait", "--", "true"], "64 cpus"),
    ] {
        let refused = finish(&mut submit_command(&session, options));
        assert_eq!(refused.status.code(), SYSTEM_FAILURE, "{options:?}: {refused}");
        assert!(refused.complaint().contains(part), "{options:?}: {refused}");
    }
}
