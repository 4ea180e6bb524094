//! Signals: a job gets each one once, and only those that its client was meant to get.
//!
//! "Exactly once" is shown by order and not by waiting: after the signal in question another one is
//! sent to the client alone. Once the job has reported that one, a second delivery of the first
//! would have been reported before it.

use std::{
    os::unix::process::CommandExt,
    process::{Child, Command},
};

use integration::{Listener, Session, Way, Witness, assert_same, finish};
use nix::{
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};

use crate::situations::{Situation, try_all};

const ROUNDS: usize = 10;

#[test]
fn masks_and_dispositions() {
    let session = Session::new("tell\nyes\n");
    try_all(
        &session,
        &[
            Situation { name: "as they are", jobs: 1, script: "tell signals" },
            Situation {
                name: "ignored",
                jobs: 1,
                script: "trap '' HUP INT USR1 PIPE TSTP; tell signals",
            },
            Situation { name: "nohup", jobs: 1, script: "nohup tell signals" },
            Situation {
                name: "blocked",
                jobs: 1,
                script: "env --block-signal=INT,TERM,USR2,CHLD tell signals",
            },
            Situation { name: "background", jobs: 1, script: "tell signals & wait" },
            Situation {
                name: "the reader of a pipe leaves",
                jobs: 1,
                script: "yes | head -n 1; echo ${PIPESTATUS[*]}",
            },
            Situation {
                name: "the reader of a pipe leaves, SIGPIPE ignored",
                jobs: 1,
                script: "trap '' PIPE; yes 2>&1 | head -n 1; echo ${PIPESTATUS[*]}",
            },
        ],
    );
}

/// Starts `witness` by `env`, which replaces itself: the child is the client.
fn start(session: &Session, way: Way, options: &[&str]) -> (Child, Pid, Witness) {
    start_with(session, way, options, |_| ())
}

fn start_with(
    session: &Session,
    way: Way,
    options: &[&str],
    prepare: impl FnOnce(&mut Command),
) -> (Child, Pid, Witness) {
    let listener = Listener::new(&session.directory(), &format!("{way:?}.socket"));
    let mut command = session.command(way, "env", ["witness", listener.path()]);
    prepare(command.args(options));
    let child = command.spawn().expect("env can be started");
    let client = Pid::from_raw(child.id() as i32);
    (child, client, listener.accept())
}

/// What the job reports of `deliver`, up to a signal that goes to the client afterwards.
fn reports_of(
    client: Pid,
    witness: &mut Witness,
    afterwards: Signal,
    deliver: impl Fn(),
) -> Vec<String> {
    deliver();
    let mut reports = vec![witness.next_report().expect("the witness catches the signal")];
    kill(client, afterwards).expect("the client is there");
    reports.extend(witness.reports_until(name(afterwards)));
    reports
}

fn name(signal: Signal) -> &'static str {
    signal.as_str().trim_start_matches("SIG")
}

#[test]
fn kill_of_the_client_reaches_the_job_once() {
    let session = Session::new("witness\n");
    for way in [Way::Plain, Way::Preloaded] {
        let (mut child, client, mut witness) = start(&session, way, &[]);
        for signal in [
            Signal::SIGHUP,
            Signal::SIGINT,
            Signal::SIGQUIT,
            Signal::SIGTERM,
            Signal::SIGUSR2,
            Signal::SIGWINCH,
            Signal::SIGCONT,
        ] {
            for round in 1..=ROUNDS {
                let deliver = || kill(client, signal).expect("the client is there");
                let reports = reports_of(client, &mut witness, Signal::SIGUSR1, deliver);
                assert_eq!(reports, [name(signal), "USR1"], "{way:?}, round {round}");
            }
        }
        witness.order("exit 9");
        assert_eq!(child.wait().expect("our child").code(), Some(9), "{way:?}");
    }
}

#[test]
fn kill_of_the_group_reaches_the_job_once() {
    let session = Session::new("witness\n");
    for way in [Way::Plain, Way::Preloaded] {
        let (mut child, client, mut witness) =
            start_with(&session, way, &[], |command| _ = command.process_group(0));
        for signal in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM, Signal::SIGUSR2] {
            for round in 1..=ROUNDS {
                let deliver = || killpg(client, signal).expect("the client leads its group");
                let reports = reports_of(client, &mut witness, Signal::SIGUSR1, deliver);
                assert_eq!(reports, [name(signal), "USR1"], "{way:?}, round {round}");
            }
        }
        witness.order("exit 9");
        assert_eq!(child.wait().expect("our child").code(), Some(9), "{way:?}");
    }
}

#[test]
fn a_job_that_catches_nothing_dies_of_what_its_client_gets() {
    let session = Session::new("witness\n");
    for signal in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM, Signal::SIGUSR1] {
        let status = |way| {
            let (mut child, client, mut witness) = start(&session, way, &["--default"]);
            kill(client, signal).expect("the client is there");
            assert_eq!(witness.next_report(), None, "{way:?}: dead of {signal}");
            std::fs::remove_file(session.directory().join(format!("{way:?}.socket")))
                .expect("made by start");
            child.wait().expect("our child")
        };
        assert_eq!(status(Way::Plain), status(Way::Preloaded), "killed by {signal}");
    }
}

/// `nohup job &` and a hang-up.
#[test]
fn an_ignored_hang_up_stays_ignored() {
    let session = Session::new("witness\n");
    for way in [Way::Plain, Way::Preloaded] {
        let listener = Listener::new(&session.directory(), &format!("{way:?}.socket"));
        let arguments = ["witness", listener.path(), "--default"];
        let mut child = session.command(way, "nohup", arguments).spawn().expect("nohup starts");
        let client = Pid::from_raw(child.id() as i32);
        let mut witness = listener.accept();
        kill(client, Signal::SIGHUP).expect("the client is there");
        kill(witness.pid(), Signal::SIGHUP).expect("the job is there");
        witness.order("ping");
        assert_eq!(witness.next_report().as_deref(), Some("pong"), "{way:?}");
        witness.order("exit 4");
        assert_eq!(child.wait().expect("our child").code(), Some(4), "{way:?}");
    }
}

#[test]
fn a_killed_client_takes_its_job_along() {
    let session = Session::new("witness\n");
    let (mut child, client, mut witness) = start(&session, Way::Preloaded, &[]);
    kill(client, Signal::SIGKILL).expect("the client is there");
    let mut reports = Vec::new();
    // The job may be asked to end before it is made to.
    while let Some(report) = witness.next_report() {
        reports.push(report);
    }
    assert!(reports.iter().all(|report| report == "TERM"), "{reports:?}");
    child.wait().expect("our child");
}

/// A shell's trap runs for a signal that comes while a job is its foreground command, once.
#[test]
fn traps_of_the_shell_around_a_job() {
    let session = Session::new("end *\n");
    let script = "trap 'echo trapped; exit 5' TERM; kill -TERM $$; end exit 0; echo not reached";
    let run = |way| finish(&mut session.command(way, "bash", ["-c", script]));
    assert_same("a trap in the shell", &run(Way::Plain), &run(Way::Preloaded));
}
