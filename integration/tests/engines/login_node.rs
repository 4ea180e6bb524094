//! A login node that ends what goes on in the background: a pipeline's command says so soon, what to
//! do about it, and is not run there instead.

use std::time::{Duration, Instant};

use integration::{EngineLab, Session, Way};

use crate::{
    pools::{PER_JOB, assert_nothing_left},
    pools_faults::wait_until,
};

/// Within so long somebody who waits still thinks of what he did.
const SOON: Duration = Duration::from_secs(20);

#[track_caller]
fn assert_explained(done: &integration::Finished, begun: Instant) {
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    assert_eq!(done.status.code(), Some(125), "{done}");
    let said = done.complaint();
    for part in ["gone as soon as", "'redirector serve'", "REDIRECTOR_STATE_DIR", "batch job"] {
        assert!(said.contains(part), "no {part:?} in {said}");
    }
}

/// What a shell says that runs `script` while a node looks every so often for gateways, and ends them.
#[track_caller]
fn assert_said_where_gateways_are_ended(session: &Session, every: Duration, script: &str) {
    std::thread::scope(|scope| {
        let begun = Instant::now();
        let runs = scope.spawn(|| session.bash(Way::Preloaded, script));
        while !runs.is_finished() {
            if let Some(gateway) = session.gateway_if_running() {
                gateway.kill();
            }
            std::thread::sleep(every);
        }
        assert_explained(&runs.join().expect("a shell"), begun);
    });
}

#[test]
fn where_each_gateway_is_ended_as_soon_as_it_runs() {
    let Some(lab) = EngineLab::slurm(1, &[]) else { return };
    let session = Session::on_engine(&lab, "touch pool=p\n", PER_JOB);
    let every = Duration::from_millis(1);
    assert_said_where_gateways_are_ended(&session, every, "/bin/touch made");
    assert!(!session.directory().join("made").exists(), "it ran here");
    assert_nothing_left(&lab);
}

#[test]
fn where_gateways_are_ended_again_and_again() {
    let Some(lab) = EngineLab::slurm(1, &[]) else { return };
    let session = Session::on_engine(&lab, "sleep pool=p\n", PER_JOB);
    let every = Duration::from_millis(200);
    assert_said_where_gateways_are_ended(&session, every, "/bin/sleep 600");
    // The next gateway sees that nobody waits for the job.
    wait_until(|| session.commands()[0].ending() == "cancelled");
    assert_nothing_left(&lab);
}
