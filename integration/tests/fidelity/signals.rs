//! Signals: a job gets each one once, and only those that its client was meant to get.
//!
//! "Exactly once" is shown by order and not by waiting: after the signal in question another one is
//! sent to the client alone. Once the job has reported that one, a second delivery of the first
//! would have been reported before it. It is [`LAST`], because of several pending signals the
//! kernel delivers the lowest number first.

use std::{
    hint,
    os::unix::process::{CommandExt, ExitStatusExt},
    process::{Child, Command},
    time::{Duration, Instant},
};

use integration::{DEADLINE, Listener, Session, Way, Witness, assert_same, begin, finish};
use nix::{
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};

use crate::situations::{Situation, try_all};

const ROUNDS: usize = 10;

/// No other signal of these tests has a higher number, so none is overtaken by it.
const LAST: Signal = Signal::SIGPWR;

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

/// What the job reports of `deliver`, up to [`LAST`], which goes to the client afterwards.
fn reports_of(client: Pid, witness: &mut Witness, deliver: impl Fn()) -> Vec<String> {
    deliver();
    let mut reports = vec![witness.next_report().expect("the witness catches the signal")];
    reports.extend(rest_of_reports(client, witness));
    reports
}

/// What the job still reports, up to [`LAST`].
fn rest_of_reports(client: Pid, witness: &mut Witness) -> Vec<String> {
    kill(client, LAST).expect("the client is there");
    witness.reports_until(name(LAST))
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
                let reports = reports_of(client, &mut witness, deliver);
                assert_eq!(reports, [name(signal), name(LAST)], "{way:?}, round {round}");
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
                let reports = reports_of(client, &mut witness, deliver);
                assert_eq!(reports, [name(signal), name(LAST)], "{way:?}, round {round}");
            }
        }
        witness.order("exit 9");
        assert_eq!(child.wait().expect("our child").code(), Some(9), "{way:?}");
    }
}

/// The client may take a signal late, so that the next one of its kind comes just then.
#[test]
fn a_signal_to_the_group_may_come_again_at_once() {
    let session = Session::new("witness\n");
    for way in [Way::Plain, Way::Preloaded] {
        let (mut child, client, mut witness) =
            start_with(&session, way, &[], |command| _ = command.process_group(0));
        for signal in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM, Signal::SIGUSR2] {
            for round in 1..=10 * ROUNDS {
                killpg(client, signal).expect("the client leads its group");
                let report = witness.next_report();
                assert_eq!(report.as_deref(), Some(name(signal)), "{way:?}, round {round}");
            }
            let rest = rest_of_reports(client, &mut witness);
            assert_eq!(rest, [name(LAST)], "{way:?}: {signal} more often than sent");
        }
        witness.order("exit 9");
        assert_eq!(child.wait().expect("our child").code(), Some(9), "{way:?}");
    }
}

/// None that goes to the client counts as the group's, nor the other way round.
#[test]
fn signals_to_the_group_and_to_the_client_in_turns() {
    let session = Session::new("witness\n");
    for way in [Way::Plain, Way::Preloaded] {
        let (mut child, client, mut witness) =
            start_with(&session, way, &[], |command| _ = command.process_group(0));
        for (to_group, to_client) in [
            (Signal::SIGTERM, Signal::SIGUSR1),
            (Signal::SIGUSR1, Signal::SIGTERM),
            (Signal::SIGINT, Signal::SIGUSR2),
        ] {
            for round in 1..=10 * ROUNDS {
                killpg(client, to_group).expect("the client leads its group");
                let report = witness.next_report();
                assert_eq!(report.as_deref(), Some(name(to_group)), "{way:?}, round {round}");
                kill(client, to_client).expect("the client is there");
                let report = witness.next_report();
                assert_eq!(report.as_deref(), Some(name(to_client)), "{way:?}, round {round}");
            }
            let rest = rest_of_reports(client, &mut witness);
            assert_eq!(rest, [name(LAST)], "{way:?}: {to_group} or {to_client} too often");
        }
        witness.order("exit 9");
        assert_eq!(child.wait().expect("our child").code(), Some(9), "{way:?}");
    }
}

/// While it waits for its turn, the client takes signals for nobody but itself; what the group got
/// then says nothing of what comes later.
#[test]
fn a_signal_to_the_group_of_a_waiting_client_is_over() {
    let session = Session::new("witness cpus=2\n");
    let (mut first, _, mut first_witness) = start(&session, Way::Preloaded, &[]);
    let listener = Listener::new(&session.directory(), "second.socket");
    let mut command = session.command(Way::Preloaded, "env", ["witness", listener.path()]);
    let mut second = command.process_group(0).spawn().expect("env can be started");
    let client = Pid::from_raw(second.id() as i32);
    let given_up = Instant::now() + DEADLINE;
    while !session.jobs().iter().any(|job| job.state == "queued") {
        assert!(Instant::now() < given_up, "the second job is never queued");
    }
    killpg(client, Signal::SIGWINCH).expect("the client leads its group");
    first_witness.order("exit 0");
    first.wait().expect("our child");
    let mut witness = listener.accept();
    let deliver = || kill(client, Signal::SIGWINCH).expect("the client is there");
    assert_eq!(reports_of(client, &mut witness, deliver), ["WINCH", name(LAST)]);
    witness.order("exit 9");
    assert_eq!(second.wait().expect("our child").code(), Some(9));
}

/// The group may be told to end while its command is just being started: whoever of them is there
/// by then ends.
#[test]
fn a_group_can_be_ended_at_every_moment_of_a_start() {
    /// Longer than a start takes on an idle machine.
    const SWEEP: Duration = Duration::from_millis(4);
    const MOMENTS: u32 = 300;

    let session = Session::new("sleep\n");
    session.bash(Way::Preloaded, "sleep 0").expect_success("the gateway's start");
    for moment in 0..MOMENTS {
        let mut command = session.command(Way::Preloaded, "env", ["sleep", "600"]);
        let running = begin(command.process_group(0));
        let due = Instant::now() + SWEEP * moment / MOMENTS;
        // The moments are to be evenly spread, which a sleeping process cannot do.
        while Instant::now() < due {
            hint::spin_loop();
        }
        killpg(running.pid(), Signal::SIGTERM).expect("it leads its group");
        let status = running.finish().status;
        assert_eq!(status.signal(), Some(Signal::SIGTERM as i32), "moment {moment}: {status}");
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
