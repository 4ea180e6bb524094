//! Signals reach a job on another computer, and whatever ends it leaves nothing there.

use std::os::unix::process::ExitStatusExt;

use integration::{Listener, Terminal, Way};
use nix::sys::signal::{Signal, kill};

use crate::cluster::{Cluster, assert_says};

const WHITELIST: &str = "witness * tags=lab\nwitness tags=lab\n";

fn name(signal: Signal) -> &'static str {
    signal.as_str().trim_start_matches("SIG")
}

#[test]
fn each_signal_reaches_the_job_once() {
    let Some(cluster) = Cluster::start(1, WHITELIST) else { return };
    let (client, mut witness) = cluster.start_witness("socket", &[]);
    for signal in
        [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM, Signal::SIGUSR2]
    {
        for round in 1..=5 {
            kill(client.pid(), signal).expect("the client is there");
            assert_eq!(witness.next_report().as_deref(), Some(name(signal)), "round {round}");
            // A second delivery of the first would be reported before this.
            kill(client.pid(), Signal::SIGUSR1).expect("the client is there");
            assert_eq!(witness.next_report().as_deref(), Some("USR1"), "{signal}, round {round}");
        }
    }
    witness.order("exit 9");
    assert_eq!(client.finish().status.code(), Some(9));
}

#[test]
fn a_job_that_catches_nothing_dies_of_it() {
    let Some(cluster) = Cluster::start(1, WHITELIST) else { return };
    for signal in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM, Signal::SIGUSR1] {
        let (client, mut witness) = cluster.start_witness(signal.as_str(), &["--default"]);
        kill(client.pid(), signal).expect("the client is there");
        assert_eq!(witness.next_report(), None, "dead of {signal}");
        let ended = client.finish();
        assert_eq!(ended.status.signal(), Some(signal as i32), "{ended}");
    }
}

/// Keys at the terminal in whose foreground the client is.
#[test]
fn an_interrupt_from_the_keyboard() {
    let Some(cluster) = Cluster::start(1, WHITELIST) else { return };
    let listener = Listener::new(&cluster.session().directory(), "socket");
    let arguments = ["witness", listener.path(), "--default"];
    let mut command = cluster.session().command(Way::Preloaded, "env", arguments);
    let (mut terminal, mut client) = Terminal::start(&mut command);
    let mut witness = listener.accept();
    terminal.press("\x03");
    assert_eq!(witness.next_report(), None, "the job has ended");
    assert_eq!(client.wait().expect("our child").signal(), Some(libc::SIGINT));
}

#[test]
fn a_killed_client_takes_its_job_along() {
    let Some(cluster) = Cluster::start(1, WHITELIST) else { return };
    let (client, mut witness) = cluster.start_witness("socket", &[]);
    kill(client.pid(), Signal::SIGKILL).expect("the client is there");
    let reports: Vec<_> = std::iter::from_fn(|| witness.next_report()).collect();
    assert!(reports.iter().all(|report| report == "TERM"), "asked, then made to: {reports:?}");
    client.finish();
}

#[test]
fn a_cancelled_job() {
    let Some(cluster) = Cluster::start(1, WHITELIST) else { return };
    let (client, mut witness) = cluster.start_witness("socket", &["--default"]);
    let job = cluster.only_command().id.to_string();
    let cancelled = cluster.session().ask(["cancel", "--reason", "wrong data", &job]);
    cancelled.expect_success("cancel");
    assert_eq!(witness.next_report(), None, "the job has ended");
    let ended = client.finish();
    assert_eq!(ended.status.signal(), Some(libc::SIGTERM), "{ended}");
    assert_says(&ended, &["wrong data"]);
    assert_eq!(cluster.only_command().ending(), "cancelled");
}

#[test]
fn a_job_whose_time_is_over() {
    let Some(cluster) = Cluster::start(1, "witness * tags=lab time=1s\n") else { return };
    let (client, mut witness) = cluster.start_witness("socket", &["--default"]);
    assert_eq!(witness.next_report(), None, "the job has ended");
    assert!(!client.finish().status.success());
    assert_eq!(cluster.only_command().ending(), "timed_out");
}
