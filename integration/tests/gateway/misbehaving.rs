//! Jobs that take what they did not ask for, do not end, or leave processes behind.

use std::fs;

use integration::{Session, Way, begin, finish, left_in};
use nix::sys::resource::{Resource, getrlimit};

use crate::{
    detached::{submit, submit_command},
    support::{SYSTEM_FAILURE, assert_says, log, only_command, until, write_script},
};

/// Takes 100 MiB, which its third attempt is allowed, and stays until it is ended before that.
const HOG: &str = "#!/usr/bin/env python3
import sys, time
open('tries', 'a').write('x')
taken = [b'x' * (1 << 20) for _ in range(100)]
if len(open('tries').read()) < 3:
    time.sleep(1000)
";

/// Neither it nor what it starts heeds SIGTERM.
const DEAF: &str = "#!/bin/sh
trap '' TERM
sleep 1000 &
echo >>deaf
wait
sleep 1000
";

fn session_with_scripts(whitelist: &str) -> Session {
    let session = Session::new(whitelist);
    for (name, script) in [("hog", HOG), ("deaf", DEAF)] {
        write_script(&session.directory().join(name), script);
    }
    session
}

/// Processes of the session, but for the gateway and the agent.
fn left(session: &Session) -> Vec<String> {
    let state = session.state();
    let root = state.parent().expect("it is in the session's directory");
    let is_ours =
        |line: &String| line.contains("redirector serve") || line.contains("redirector agent");
    left_in(root).into_iter().filter(|line| !is_ours(line)).collect()
}

#[test]
fn a_detached_job_that_takes_too_much_memory() {
    let session = session_with_scripts("");
    let ended = finish(&mut submit_command(&session, &["--mem", "64M", "--wait", "--", "./hog"]));
    assert_eq!(ended.status.code(), SYSTEM_FAILURE, "{ended}");
    assert_says(&ended, &["job 1", "out_of_memory", "64M", "mem"]);
    assert_eq!(left(&session), Vec::<String>::new());
    // 64, 96 and 144 MiB.
    fs::remove_file(session.directory().join("tries")).expect("written by the job");
    let options = ["--mem", "64M", "--retries", "oom:2", "--wait", "--", "./hog"];
    finish(&mut submit_command(&session, &options)).expect_success("with more memory");
    let job = &session.records("2")[0];
    let endings: Vec<_> = job.attempts.iter().map(integration::Attempt::ending).collect();
    assert_eq!(endings, ["out_of_memory", "out_of_memory", "exited(0)"]);
}

#[test]
fn a_leased_job_that_takes_too_much_memory() {
    let session = session_with_scripts("hog mem=64M retries=oom:2\n");
    let ended = session.bash(Way::Preloaded, "./hog >out 2>err; echo $?");
    assert_eq!(ended.text(), "0\n", "{ended}");
    let said = fs::read_to_string(session.directory().join("err")).expect("bash made it");
    assert!(said.contains("64M") && said.contains("tried again"), "{said}");
    let job = only_command(&session);
    let endings: Vec<_> = job.attempts.iter().map(integration::Attempt::ending).collect();
    assert_eq!(endings, ["out_of_memory", "out_of_memory", "exited(0)"], "{job:?}");
}

/// Of a hundred and more processes, half of them in sessions of their own.
#[test]
fn a_fork_bomb_that_is_cancelled() {
    const BOMB: &str = "#!/bin/sh
echo >>forks
[ $1 -gt 0 ] && { ./bomb.sh $(($1 - 1)) & setsid ./bomb.sh $(($1 - 1)) & }
wait
sleep 1000
";
    const ALL: usize = 127;
    for detached in [true, false] {
        let session = Session::new("bomb.sh\n");
        write_script(&session.directory().join("bomb.sh"), BOMB);
        let client = if detached {
            begin(&mut submit_command(&session, &["--wait", "--", "./bomb.sh", "6"]))
        } else {
            begin(&mut session.command(Way::Preloaded, "env", ["./bomb.sh", "6"]))
        };
        let forks = session.directory().join("forks");
        until("all of them run", || {
            fs::read_to_string(&forks).is_ok_and(|text| text.lines().count() == ALL)
        });
        let id = only_command(&session).id.to_string();
        session.ask(["cancel", &id]).expect_success("cancel");
        let ended = client.finish();
        assert!(!ended.status.success(), "detached: {detached}: {ended}");
        assert_eq!(session.records(&id)[0].ending(), "cancelled", "detached: {detached}");
        assert_eq!(left(&session), Vec::<String>::new(), "detached: {detached}");
    }
}

/// Each has ten seconds for its end, so all of them have them at the same time.
#[test]
fn jobs_that_ignore_sigterm() {
    let session = session_with_scripts("deaf\n");
    let cancelled = submit(&session, &["--cpus", "0.1", "--", "./deaf"]);
    let limited = submit(&session, &["--cpus", "0.1", "--time", "1s", "--", "./deaf"]);
    let leased = begin(&mut session.command(Way::Preloaded, "env", ["./deaf"]));
    let deaf = session.directory().join("deaf");
    until("all of them run", || {
        fs::read_to_string(&deaf).is_ok_and(|text| text.ends_with("\n\n\n"))
    });
    let leased_id = session.commands().first().expect("the newest").id.to_string();
    session.ask(["cancel", &cancelled, &leased_id]).expect_success("cancel");
    let ended = leased.finish();
    assert!(!ended.status.success(), "{ended}");
    for (id, ending) in [(&cancelled, "cancelled"), (&limited, "timed_out")] {
        let waited = session.ask(["wait", id]);
        assert_eq!(waited.status.code(), SYSTEM_FAILURE, "{waited}; the leased one: {ended}");
        assert_says(&waited, &[&format!("job {id}"), ending]);
    }
    assert_eq!(session.records(&leased_id)[0].ending(), "cancelled");
    assert_eq!(left(&session), Vec::<String>::new());
}

/// With a double fork, a session of its own and no environment: the job's end is theirs.
#[test]
fn a_detached_job_that_leaves_daemons_behind() {
    let session = Session::new("");
    fs::write(session.directory().join("log"), "").expect("writable");
    let daemons = "(setsid tail -f \"$PWD/log\" &); (env -i setsid tail -f \"$PWD/log\" &); \
                   (setsid sh -c 'trap \"\" TERM HUP; (env -i tail -f \"$PWD/log\" &)' &)";
    for (script, status) in [(daemons.to_owned(), 0), (format!("{daemons}; exit 4"), 4)] {
        let options = ["--wait", "--", "sh", "-c", &script];
        let ended = finish(&mut submit_command(&session, &options));
        assert_eq!(ended.status.code(), Some(status), "{ended}");
        assert_eq!(left(&session), Vec::<String>::new(), "when its end is known");
    }
}

/// The gateway has as many open files as it can get; what it starts has not.
#[test]
fn jobs_may_have_as_many_open_files_as_is_usual() {
    let session = Session::new("");
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("every process has one");
    let redirector = session.artefacts().redirector.to_str().expect("plain").to_owned();
    let script = "ulimit -Sn 300; exec \"$0\" submit --wait -- sh -c 'ulimit -Sn; ulimit -Hn'";
    let mut command = session.command(Way::Plain, "sh", ["-c", script, &redirector]);
    finish(session.add_session(&mut command)).expect_success("submit");
    assert_eq!(session.ask(["logs", "1"]).text(), format!("300\n{hard}\n"));
    let limits = format!("/proc/{}/limits", session.gateway().pid());
    let limits = fs::read_to_string(limits).expect("it runs");
    let line = limits.lines().find(|line| line.starts_with("Max open files")).expect("it is there");
    let soft = line.split_whitespace().nth(3).expect("a number");
    assert_eq!(soft, hard.to_string(), "{line}\n{}", log(&session));
}
