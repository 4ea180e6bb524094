//! `run --sequential` and `run --dry-run`, and their settings.

use std::{fs, os::unix::process::ExitStatusExt};

use integration::{Finished, Session, Way, assert_same, finish};
use serde_json::json;

use crate::{fake_gateway::FakeGateway, support::assert_says};

fn dry_run(session: &Session, script: &str) -> Finished {
    let mut command = session.redirector(["run", "--dry-run", "--"]);
    finish(command.args(["/bin/bash", "-c", script]))
}

/// The lines of the table that a dry run ends with.
fn rows(finished: &Finished) -> Vec<Vec<String>> {
    let complaint = finished.complaint();
    let lines = complaint.lines().skip_while(|line| !line.starts_with("NAME ")).skip(1);
    let columns = |line: &str| {
        line.split("  ")
            .filter(|part| !part.is_empty())
            .map(|part| part.trim().to_owned())
            .collect()
    };
    lines.map(columns).collect()
}

#[test]
fn a_dry_run_runs_everything_here_and_tells_what_jobs_there_would_be() {
    let session = Session::new("probe cpus=2 mem=1G time=2h retries=oom:2\nsh nested\n# end\n");
    let script = "env probe 1; env sh -c 'env probe 2'; echo done; exit 3";
    let plain = session.bash(Way::Plain, script);
    let dry = dry_run(&session, script);
    assert_eq!(dry.status.code(), Some(3), "{dry}");
    assert_eq!(dry.text(), plain.text());
    let file = session.whitelist();
    let place = |line: u32| format!("{}:{line}", file.display());
    let probe = "2 cpus, 1G of memory, at most 2h00m, retries node:0,oom:2,exit:0";
    assert_eq!(
        rows(&dry),
        [
            ["probe", probe, &place(1), "probe 1"].map(str::to_owned).to_vec(),
            ["sh", "1 cpu, nested", &place(2), "sh -c 'env probe 2'"].map(str::to_owned).to_vec(),
            ["probe", probe, &place(1), "probe 2"].map(str::to_owned).to_vec(),
        ],
        "{dry}"
    );
    assert_says(&dry, &["dry run", "3 commands"]);
    assert!(!session.state().join("gateway.sock").exists(), "no gateway was started");
    let left = fs::read_dir(session.directory().with_file_name("tmp")).expect("a directory");
    assert_eq!(left.count(), 0, "the file with the notes is gone");
}

/// What a job starts is inside that job, and would not be one of its own.
#[test]
fn a_dry_run_does_not_look_into_jobs() {
    let session = Session::new("sh\nprobe\n");
    let dry =
        dry_run(&session, "env sh -c 'env probe 1 >/dev/null'").expect_success("the pipeline");
    assert_eq!(rows(&dry).len(), 1, "{dry}");
    assert_says(&dry, &["dry run", "1 command would"]);
}

#[test]
fn a_dry_run_ends_as_the_pipeline_did() {
    let session = Session::new("probe\n");
    let killed = dry_run(&session, "kill -KILL $$");
    assert_eq!(killed.status.signal(), Some(9), "{killed}");
    assert_says(&killed, &["no command would have become a job"]);
    let mut missing = session.redirector(["run", "--dry-run", "--", "/bin/no-such-program"]);
    assert_eq!(finish(&mut missing).status.code(), Some(125));
}

/// Without `run` around it, each command says on its own standard error what it would be.
#[test]
fn a_dry_run_under_a_bare_preload_tells_at_once() {
    let session = Session::new("end mem=2G\n");
    let mut command = session.command(Way::Preloaded, "env", ["end", "exit", "4"]);
    let ran = finish(command.env("REDIRECTOR_MODE", "dry-run"));
    assert_eq!(ran.status.code(), Some(4), "{ran}");
    assert_says(&ran, &["'end exit 4' would be a job with 1 cpu, 2G of memory", "whitelist:1"]);

    let configuration = fs::read_to_string(session.configuration()).expect("a session has one");
    let configuration = format!("{configuration}\n[client]\nmode = \"dry-run\"\n");
    fs::write(session.configuration(), configuration).expect("it is the test's own");
    let by_file = finish(&mut session.command(Way::Preloaded, "env", ["end", "exit", "4"]));
    assert_same("by variable and by file", &ran, &by_file);

    // The environment goes over the file.
    let mut command = session.command(Way::Preloaded, "env", ["end", "exit", "4"]);
    let job = finish(command.env("REDIRECTOR_MODE", "local"));
    assert_eq!((job.status.code(), job.complaint().as_str()), (Some(4), ""));
    assert_eq!(session.commands().len(), 1);
}

#[test]
fn a_sequential_run_says_so_with_all_its_jobs() {
    let session = Session::new("probe\n");
    let gateway = FakeGateway::listen(&session);
    let mut command = session.redirector(["run", "--sequential", "--"]);
    let client = integration::begin(command.args(["/bin/bash", "-c", "env probe 1"]));
    let mut run = gateway.accept_job();
    assert_eq!(run.first["submit"]["sequential"], true);
    assert_eq!(run.first["submit"]["spec"]["kind"], "run");
    run.grant(1, &json!({}));
    let mut job = gateway.accept_job();
    assert_eq!(job.first["submit"]["sequential"], true);
    for lease in [&mut job, &mut run] {
        if lease.first["submit"]["spec"]["kind"] == "command" {
            lease.grant(1, &json!({}));
        }
        assert_eq!(lease.hear_exit(), (1, 0));
        lease.record();
    }
    client.finish().expect_success("the run");
}

#[test]
fn modes_exclude_each_other_and_unknown_ones_are_reported() {
    let session = Session::new("");
    let both = session.ask(["run", "--dry-run", "--sequential", "--", "true"]);
    assert_eq!(both.status.code(), Some(2), "{both}");
    let mut command = session.redirector(["run", "--", "true"]);
    let unknown = finish(command.env("REDIRECTOR_MODE", "fast")).expect_success("the run");
    assert_says(&unknown, &["REDIRECTOR_MODE=fast", "local, sequential or dry-run"]);
}
