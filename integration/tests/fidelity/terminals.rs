//! A person at a terminal: Ctrl-C, Ctrl-\, Ctrl-Z and a window that changes its size.

use std::{os::unix::process::ExitStatusExt, process::Child};

use integration::{Listener, Session, Terminal, Way, Witness};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

const WAYS: [Way; 3] = [Way::Plain, Way::Preloaded, Way::Run];

/// Starts `env PROGRAM ARGUMENT…` as the leader of a terminal's session.
fn start(session: &Session, way: Way, arguments: &[&str]) -> (Terminal, Child) {
    Terminal::start(&mut session.command(way, "env", arguments))
}

#[test]
fn a_job_has_the_terminal_of_its_caller() {
    let session = Session::new("tell\n");
    let shown = |way| {
        let (terminal, mut child) = start(&session, way, &["tell", "terminal"]);
        let shown = terminal.wait_for_end();
        assert!(child.wait().expect("our child").success(), "{way:?}: {shown}");
        shown
    };
    let plain = shown(Way::Plain);
    assert!(plain.contains("terminals 111") && plain.contains("foreground: yes"), "{plain}");
    for way in Way::REDIRECTED {
        assert_eq!(plain, shown(way), "{way:?}");
    }
    assert_eq!(session.commands().len(), 2);
}

/// Each key makes one signal for the job, however often it is pressed.
#[test]
fn keys_reach_the_job_once() {
    const ROUNDS: usize = 10;
    let session = Session::new("witness\n");
    for way in [Way::Plain, Way::Preloaded] {
        let listener = Listener::new(&session.directory(), &format!("{way:?}.socket"));
        let (mut terminal, mut child) = start(&session, way, &["witness", listener.path()]);
        let client = Pid::from_raw(child.id() as i32);
        let mut witness = listener.accept();
        for (key, signal) in [("\x03", "INT"), ("\x1c", "QUIT")] {
            for round in 1..=ROUNDS {
                terminal.press(key);
                let mut reports = vec![witness.next_report().expect("it catches the signal")];
                // To the client alone: comes after whatever it made of the key.
                kill(client, Signal::SIGUSR1).expect("the client is there");
                reports.extend(witness.reports_until("USR1"));
                assert_eq!(reports, [signal, "USR1"], "{way:?}, round {round}");
            }
        }
        witness.order("exit 6");
        assert_eq!(child.wait().expect("our child").code(), Some(6), "{way:?}");
    }
}

/// A job that counts its Ctrl-Cs, as tools do that want two of them before they stop.
#[test]
fn ctrl_c_once_and_twice() {
    for way in WAYS {
        let session = Session::new("witness\n");
        let listener = Listener::new(&session.directory(), "socket");
        let (mut terminal, mut child) = start(&session, way, &["witness", listener.path()]);
        let mut witness = listener.accept();
        let mut interrupts = Vec::new();
        for _ in 0..2 {
            terminal.press("\x03");
            interrupts.extend(witness.next_report());
        }
        witness.order("ping");
        interrupts.extend(witness.reports_until("pong"));
        assert_eq!(interrupts, ["INT", "INT", "pong"], "{way:?}");
        witness.order("exit 130");
        assert_eq!(child.wait().expect("our child").code(), Some(130), "{way:?}");
    }
}

#[test]
fn ctrl_c_ends_a_job_that_does_not_catch_it() {
    let session = Session::new("witness\n");
    for way in WAYS {
        let listener = Listener::new(&session.directory(), &format!("{way:?}.socket"));
        let arguments = ["witness", listener.path(), "--default"];
        let (mut terminal, mut child) = start(&session, way, &arguments);
        let mut witness: Witness = listener.accept();
        terminal.press("\x03");
        assert_eq!(witness.next_report(), None, "{way:?}: the job is dead");
        let status = child.wait().expect("our child");
        assert_eq!(status.signal(), Some(libc::SIGINT), "{way:?}: {status}");
    }
}

/// Ctrl-Z in an interactive shell stops the job and not only its client; `fg` continues it.
#[test]
fn job_control_of_a_shell() {
    let session = Session::new("witness\n");
    for way in WAYS {
        let listener = Listener::new(&session.directory(), &format!("{way:?}.socket"));
        let mut shell = session.command(way, "bash", ["--norc", "--noprofile", "-i"]);
        let (mut terminal, mut child) = Terminal::start(shell.env("PS1", "prompt> "));
        terminal.wait_for("prompt> ");
        terminal.press(&format!("witness {}\n", listener.path()));
        let mut witness = listener.accept();

        for _ in 0..3 {
            terminal.press("\x1a");
            terminal.wait_for("Stopped");
            terminal.wait_for("prompt> ");
            // A stopped job answers after it was continued, a running one before.
            witness.order("ping");
            terminal.press("fg\n");
            assert_eq!(witness.reports_until("pong"), ["CONT", "pong"], "{way:?}");
        }

        terminal.press("\x1a");
        terminal.wait_for("Stopped");
        terminal.press("bg\n");
        assert_eq!(witness.next_report().as_deref(), Some("CONT"), "{way:?}");
        terminal.wait_for("&");
        terminal.wait_for("prompt> ");
        terminal.press("kill -TERM %1\n");
        assert_eq!(witness.next_report().as_deref(), Some("TERM"), "{way:?}");
        terminal.wait_for("prompt> ");
        terminal.press("fg\n");
        // What was typed, then the command that the shell gives the terminal to.
        terminal.wait_for("fg\r\n");
        terminal.wait_for("witness");
        witness.order("exit 5");
        terminal.wait_for("prompt> ");
        terminal.press("echo status $?; exit\n");
        terminal.wait_for("status 5");
        child.wait().expect("our child");
    }
}

/// The kernel tells the foreground group when a window changes its size.
#[test]
fn window_changes_reach_the_job_once() {
    let session = Session::new("witness\n");
    for way in [Way::Plain, Way::Preloaded] {
        let listener = Listener::new(&session.directory(), &format!("{way:?}.socket"));
        let (mut terminal, mut child) = start(&session, way, &["witness", listener.path()]);
        let client = Pid::from_raw(child.id() as i32);
        let mut witness = listener.accept();
        for columns in 81..=90 {
            terminal.resize(25, columns);
            let mut reports = vec![witness.next_report().expect("it catches the signal")];
            kill(client, Signal::SIGUSR1).expect("the client is there");
            reports.extend(witness.reports_until("USR1"));
            assert_eq!(reports, ["WINCH", "USR1"], "{way:?}, {columns} columns");
        }
        witness.order("exit 0");
        assert!(child.wait().expect("our child").success(), "{way:?}");
    }
}
