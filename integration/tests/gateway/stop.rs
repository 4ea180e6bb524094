//! `redirector stop`, with and without live jobs.

use integration::{Session, Way};

use crate::support::{ONE_CPU, SYSTEM_FAILURE, assert_says, lines, queue_line, start_witness};

#[test]
fn without_jobs_it_ends_the_gateway() {
    let session = Session::new("probe *\n");
    session.bash(Way::Preloaded, "env probe x").expect_success("a job");
    let gateway = session.gateway();
    session.ask(["stop"]).expect_success("stop");
    gateway.wait_for_end();
    let again = session.ask(["stop"]).expect_success("stop without a gateway");
    assert!(again.text().contains("no gateway is running"), "{again}");
}

#[test]
fn with_live_jobs_it_refuses() {
    let session = Session::new("witness\n");
    let (client, mut witness) = start_witness(&session, "socket", &[]);
    let stop = session.ask(["stop"]);
    assert_eq!(stop.status.code(), SYSTEM_FAILURE, "{stop}");
    assert_says(&stop, &["1 job", "redirector cancel", "--force"]);
    witness.order("ping");
    assert_eq!(witness.next_report().as_deref(), Some("pong"), "the job goes on");
    witness.order("exit 3");
    assert_eq!(client.finish().status.code(), Some(3));
}

/// The session's end finds what would be left running.
#[test]
fn by_force_it_ends_running_and_queued_jobs() {
    const QUEUED: usize = 5;
    let session = Session::with_settings("witness cpus=1\nsh cpus=1\n", ONE_CPU);
    let (running, mut witness) = start_witness(&session, "socket", &["--default"]);
    let queued: Vec<_> = (0..QUEUED).map(|line| queue_line(&session, line)).collect();
    let gateway = session.gateway();

    let stop = session.ask(["stop", "--force"]).expect_success("stop --force");
    assert!(stop.stderr.is_empty(), "{stop}");
    gateway.wait_for_end();
    assert_eq!(witness.next_report(), None, "the job has ended");
    let ended = running.finish();
    assert!(!ended.status.success(), "{ended}");
    for client in queued {
        let ended = client.finish();
        assert!(!ended.status.success(), "{ended}");
        assert!(ended.complaint().contains("stopped"), "says why: {ended}");
    }
    assert!(
        lines(&session).is_empty(),
        "no job that waited was started while all were being ended"
    );
    let left = session.gateway_if_running().map(|gateway| gateway.pid());
    assert_eq!(left, None, "ending the jobs started another gateway");

    for job in session.commands() {
        assert_eq!(job.ending(), "cancelled", "{job:?}");
    }
}
