//! `redirector cancel`: a job, and everything that came out of it.

use std::os::unix::process::ExitStatusExt;

use integration::{Listener, Session, Watched, Way, begin};

use crate::support::{
    ONE_CPU, assert_says, lines, only_command, queue_line, start_witness, write_script,
};

#[test]
fn a_running_job() {
    let session = Session::new("witness\n");
    let (client, mut witness) = start_witness(&session, "socket", &["--default"]);
    let job = only_command(&session);
    let cancelled = session.ask(["cancel", "--reason", "the data is wrong", &job.id.to_string()]);
    let cancelled = cancelled.expect_success("cancel");
    assert!(cancelled.text().contains(&job.id.to_string()), "{cancelled}");
    assert_eq!(witness.next_report(), None, "the job has ended");
    let finished = client.finish();
    assert_eq!(finished.status.signal(), Some(libc::SIGTERM), "{finished}");
    assert_says(&finished, &["the data is wrong"]);
    let job = only_command(&session);
    assert_eq!(job.ending(), "cancelled");
    assert_eq!(job.reason.as_deref(), Some("the data is wrong"));

    let again = session.ask(["cancel", &job.id.to_string()]).expect_success("cancel it again");
    assert_says(&again, &["ended already"]);
}

#[test]
fn a_job_that_waits() {
    let session = Session::with_settings("witness cpus=1\nsh cpus=1\n", ONE_CPU);
    let (running, mut witness) = start_witness(&session, "socket", &[]);
    let waiting = queue_line(&session, 1);
    let jobs = session.commands();
    let job = jobs.iter().find(|job| job.state == "queued").expect("queued above");
    session.ask(["cancel", &job.id.to_string()]).expect_success("cancel");
    let finished = waiting.finish();
    assert!(!finished.status.success(), "{finished}");
    assert_says(&finished, &["did not run", "cancelled"]);
    witness.order("exit 0");
    running.finish().expect_success("the other job");
    assert!(lines(&session).is_empty(), "it did not run");
}

/// The run, the jobs in it and what they started, in whatever session they are.
#[test]
fn a_whole_run() {
    let session = Session::new("job.sh *\n");
    let script = "#!/bin/sh\nsetsid witness \"$1\" --default &\nexec witness \"$2\" --default\n";
    write_script(&session.directory().join("job.sh"), script);
    let names = ["child of one", "one", "child of two", "two"];
    let listeners = names.map(|name| Listener::new(&session.directory(), name));
    let [a, b, c, d] = listeners.each_ref().map(Listener::path);
    let pipeline = "./job.sh \"$1\" \"$2\" & ./job.sh \"$3\" \"$4\" & wait";
    let arguments = ["-c", pipeline, "pipeline", a, b, c, d];
    let client = begin(&mut session.command(Way::Run, "bash", arguments));
    let mut witnesses = listeners.each_ref().map(Listener::accept);

    let jobs = session.jobs();
    let run = jobs.iter().find(|job| job.spawned_by.is_none()).expect("the run");
    session.ask(["cancel", &run.id.to_string()]).expect_success("cancel");
    for (name, witness) in names.iter().zip(&mut witnesses) {
        assert_eq!(witness.next_report(), None, "{name} has ended");
    }
    let finished = client.finish();
    assert!(!finished.status.success(), "{finished}");
    // What a job has left behind is ended before the job is, which may be after its run.
    for job in session.jobs() {
        session.ask(["wait", &job.id.to_string()]);
    }
    for job in session.jobs() {
        assert_eq!(job.ending(), "cancelled", "{job:?}");
    }
}

/// A tool that ends by itself when it is asked to, as most do, with something left in its background.
#[test]
fn a_job_that_catches_the_signal_and_leaves_a_process_behind() {
    let session = Session::new("job.sh *\n");
    let script = "#!/bin/bash\ntrap 'exit 3' TERM\nsetsid witness \"$1\" >/dev/null 2>&1 &\nwait\n";
    write_script(&session.directory().join("job.sh"), script);
    let listener = Listener::new(&session.directory(), "socket");
    let arguments = ["./job.sh", listener.path()];
    let client = begin(&mut session.command(Way::Preloaded, "env", arguments));
    let mut left_behind = listener.accept();
    let job = only_command(&session);
    session.ask(["cancel", &job.id.to_string()]).expect_success("cancel");
    assert_eq!(client.finish().status.code(), Some(3), "its own status");
    let process = Watched::new(left_behind.pid().as_raw());
    let ended = process.is_none_or(|process| process.ends_within_seconds(5));
    if !ended {
        left_behind.order("exit 0");
    }
    assert!(ended, "a process of a cancelled job is alive after the job's end");
}

/// A listing that is filtered still tells which job is meant: a cancelled one failed.
#[test]
fn wait_says_that_a_job_was_cancelled() {
    let session = Session::new("witness\n");
    let (client, _witness) = start_witness(&session, "socket", &["--default"]);
    let job = only_command(&session);
    let waiting = begin(&mut session.redirector(["wait", &job.id.to_string()]));
    session.ask(["cancel", &job.id.to_string()]).expect_success("cancel");
    let waited = waiting.finish();
    assert!(!waited.status.success(), "{waited}");
    assert_says(&waited, &["cancelled"]);
    client.finish();
}
