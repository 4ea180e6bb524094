//! `redirector scatter`

use std::{ffi::OsStr, fs, os::unix::ffi::OsStrExt};

use integration::{Listener, Session, Settings, begin, finish};
use nix::sys::signal::{Signal, kill};
use serde_json::{Value, json};

use crate::{HERE, assert_says, entries, run, write_map};

/// More cpus than any of these tests has jobs.
const ROOMY: Settings = Settings { cpus: 8 };

fn skips(session: &Session, map: &str) -> Vec<bool> {
    let entries = entries(session, map);
    let skip = |entry: &Value| entry["skip"].as_bool().expect("a truth value");
    entries.as_array().expect("a list").iter().map(skip).collect()
}

/// Files with every kind of name: each command gets the very bytes.
#[test]
fn a_job_for_each_file() {
    let session = Session::new("");
    let names: [&[u8]; 5] = [b"plain", b"a b", b"it's \"1\"\\n{}", b"line\nend", b"\xff\xfe"];
    let mut map = b"[".to_vec();
    for name in names {
        let path = session.directory().join(OsStr::from_bytes(name));
        fs::write(&path, name).expect("writable");
        map.extend_from_slice(b"{'host': 'localhost', 'skip': False, 'file': b'");
        for byte in path.as_os_str().as_bytes() {
            map.extend_from_slice(format!("\\x{byte:02x}").as_bytes());
        }
        map.extend_from_slice(b"'},\n");
    }
    map.push(b']');
    fs::write(session.directory().join("in.map"), map).expect("writable");
    let options = ["scatter", "--map", "in.map", "--output", "out.map", "--product", "{}.copy"];
    let command = ["--", "sh", "-c", "cp \"$1\" \"$2\"", "name", "{}", "{}.copy"];
    let done = run(&session, &[&options[..], &command].concat()).expect_success("scatter");
    assert_eq!(done.text(), "1-5\n");
    for name in names {
        let copy = session.directory().join(OsStr::from_bytes(&[name, b".copy"].concat()));
        assert_eq!(fs::read(copy).expect("the job has made it"), name);
    }
    let made = entries(&session, "out.map");
    let copy = format!("{}/plain.copy", session.directory().display());
    assert_eq!(made[0], json!({"host": HERE, "file": copy, "skip": false}));
    assert_eq!(made.as_array().map(Vec::len), Some(5), "{made}");
    // The product of one step is the next one's input.
    let next = run(&session, &["scatter", "--map", "out.map", "--", "test", "-s"]);
    assert_eq!(next.expect_success("the next step").text(), "6-10\n");
}

#[test]
fn what_fails_is_skipped_from_then_on() {
    let session = Session::new("");
    write_map(&session, "in.map", &["/", "/no/such", "/dev"]);
    let scatter = |options: &[&str], map: &str| {
        let rest = ["--", "test", "-d", "{}"];
        run(&session, &[&["scatter", "--map", map, "--output", "out.map"], options, &rest].concat())
    };
    let some = scatter(&[], "in.map");
    assert_eq!(some.status.code(), Some(1), "{some}");
    assert_says(
        &some,
        &[
            "job 2 ('test', /no/such on localhost) ended as exited(1)",
            "'redirector logs 2'",
            "1 of 3 jobs failed",
        ],
    );
    assert_eq!(skips(&session, "out.map"), [false, true, false]);
    for (tolerance, status) in
        [("--error-tolerance", 0), ("--error-tolerance=true", 0), ("--error-tolerance=false", 1)]
    {
        let some = scatter(&[tolerance], "in.map");
        assert_eq!(some.status.code(), Some(status), "{some}");
    }
    let rest = scatter(&["--json"], "out.map").expect_success("without what has failed");
    let told: Value = serde_json::from_slice(&rest.stdout).expect("JSON");
    assert_eq!(told[1], json!({"host": HERE, "file": "/no/such", "skip": true, "job": null}));
    assert_eq!((&told[2]["outcome"], &told[2]["exit_code"]), (&json!("exited"), &json!(0)));
    assert_eq!(skips(&session, "out.map"), [false, true, false]);
    write_map(&session, "bad.map", &["/no/such", "/neither"]);
    let all = scatter(&["--error-tolerance"], "bad.map");
    assert_eq!(all.status.code(), Some(1), "{all}");
    assert_says(&all, &["all 2 jobs failed"]);
    let nothing = scatter(&[], "out.map").expect_success("all are to be skipped");
    assert_says(&nothing, &["all 2 entries are to be skipped"]);
}

#[test]
fn no_more_of_a_host_than_asked_for_at_a_time() {
    let session = Session::with_settings("", ROOMY);
    let listeners = ["1", "2", "3"].map(|name| Listener::new(&session.directory(), name));
    let paths = listeners.each_ref().map(Listener::path);
    write_map(&session, "in.map", &paths);
    let options = ["scatter", "--map", "in.map", "--max-per-node", "1", "--", "witness"];
    let running = begin(session.redirector(options).current_dir(session.directory()));
    for (index, listener) in listeners.iter().enumerate() {
        let mut witness = listener.accept();
        let states: Vec<_> = session.jobs().into_iter().rev().map(|job| job.state).collect();
        let expected = ["finished", "running", "held"];
        for (other, state) in states.iter().enumerate() {
            let expected = expected[(other + 1).saturating_sub(index).min(2)];
            assert_eq!(state, expected, "{index}: {states:?}");
        }
        witness.order("exit 0");
    }
    running.finish().expect_success("scatter");
}

#[test]
fn the_first_failure_may_be_the_end_of_all() {
    let session = Session::with_settings("", ROOMY);
    let listeners = ["1", "2", "3"].map(|name| Listener::new(&session.directory(), name));
    write_map(&session, "in.map", &listeners.each_ref().map(Listener::path));
    let options = [
        "scatter",
        "--map",
        "in.map",
        "--fail-fast",
        "--output",
        "out.map",
        "--",
        "witness",
        "{}",
        "--default",
    ];
    let running = begin(session.redirector(options).current_dir(session.directory()));
    let mut witnesses = listeners.each_ref().map(Listener::accept);
    witnesses[0].order("exit 0");
    assert_eq!(witnesses[0].next_report(), None);
    witnesses[1].order("exit 7");
    let done = running.finish();
    assert_eq!(done.status.code(), Some(1), "{done}");
    assert_says(
        &done,
        &["exited(7)", "cancelled", "job 2 has failed before", "2 of 3 jobs failed"],
    );
    assert_eq!(skips(&session, "out.map"), [false, true, true]);
}

/// What runs and what is still held.
#[test]
fn an_interrupt_cancels_all() {
    let session = Session::with_settings("", ROOMY);
    let listeners = ["1", "2"].map(|name| Listener::new(&session.directory(), name));
    write_map(&session, "in.map", &listeners.each_ref().map(Listener::path));
    let options = [
        "scatter",
        "--map",
        "in.map",
        "--max-per-node",
        "1",
        "--output",
        "out.map",
        "--",
        "witness",
        "{}",
        "--default",
    ];
    let running = begin(session.redirector(options).current_dir(session.directory()));
    let witness = listeners[0].accept();
    kill(running.pid(), Signal::SIGINT).expect("it runs");
    let done = running.finish();
    assert_eq!(done.status.code(), Some(130), "{done}");
    assert_says(&done, &["cancelled", "got SIGINT"]);
    assert_eq!(skips(&session, "out.map"), [true, true]);
    assert!(session.jobs().iter().all(|job| job.state == "finished"));
    drop(witness);
}

#[test]
fn gateways_come_and_go() {
    let session = Session::with_settings("", ROOMY);
    let listeners = ["1", "2", "3"].map(|name| Listener::new(&session.directory(), name));
    write_map(&session, "in.map", &listeners.each_ref().map(Listener::path));
    let options = ["scatter", "--map", "in.map", "--max-per-node", "2", "--", "witness"];
    let running = begin(session.redirector(options).current_dir(session.directory()));
    let mut witnesses = [listeners[0].accept(), listeners[1].accept()];
    session.gateway().kill();
    witnesses[0].order("exit 0");
    let mut last = listeners[2].accept();
    witnesses[1].order("exit 0");
    last.order("exit 0");
    running.finish().expect_success("scatter");
}

#[test]
fn the_files_of_an_entry_are_arguments() {
    let session = Session::new("");
    write_map(&session, "in.map", &["/a b", "/c", "/d"]);
    let grouped = ["map", "group", "--size", "2", "--output", "group.map", "in.map"];
    run(&session, &grouped).expect_success("group");
    let options = ["scatter", "--map", "group.map", "--name", "of {}", "--output", "out.map"];
    let command = ["--", "printf", "<%s>", "-i={}", "end"];
    let done = run(&session, &[&options[..], &command].concat()).expect_success("scatter");
    assert_eq!(done.text(), "1\n2\n");
    assert_eq!(run(&session, &["logs", "1"]).text(), "<-i=/a b><-i=/c><end>");
    assert_eq!(run(&session, &["logs", "2"]).text(), "<-i=/d><end>");
    assert_eq!(entries(&session, "out.map")[0]["files"][1], json!({"file": "/c", "skip": false}));
    assert!(session.jobs().iter().any(|job| job.name == "of /a b"), "{:?}", session.jobs());
}

#[test]
fn nothing_starts_if_something_is_wrong() {
    let session = Session::new("");
    let directory = session.directory();
    fs::write(directory.join("strange.map"), "localhost=[ / ] lce7=[ /data/x ]").expect("writable");
    fs::write(directory.join("empty.map"), "[]").expect("writable");
    write_map(&session, "in.map", &["/"]);
    for (options, parts) in [
        (
            &["--map", "strange.map", "--", "true"][..],
            &["strange.map: entry 2 (/data/x) is on host 'lce7'", "nothing was submitted"][..],
        ),
        (&["--map", "empty.map", "--", "true"], &["empty.map has no entries"]),
        (&["--map", "in.map", "--", "no-such-program"], &["no-such-program: no such program"]),
        (&["--map", "in.map", "--output", "no/out.map", "--", "true"], &["no/out.map", "No such"]),
        (
            &["--map", "in.map", "--output", "o.map", "--product", "x", "--", "true"],
            &["--product has no '{}'"],
        ),
        (&["--map", "in.map", "--", "{}"], &["'env'"]),
    ] {
        let refused = run(&session, &[&["scatter"], options].concat());
        assert_eq!(refused.status.code(), Some(125), "{refused}");
        assert_says(&refused, parts);
    }
    assert!(session.jobs().is_empty());
    let left = fs::read_dir(&directory).expect("readable").count();
    assert_eq!(left, 3, "no drafts of mapfiles are left behind");
    let mut both =
        session.redirector(["scatter", "--map", "in.map", "--fail-fast", "--keep-going"]);
    assert_eq!(finish(both.args(["--", "true"])).status.code(), Some(2));
}
