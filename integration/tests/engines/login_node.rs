//! A login node that ends what goes on in the background: a pipeline's command says so soon, what to
//! do about it, and is not run there instead.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    time::{Duration, Instant},
};

use integration::{EngineLab, Session, Way, finish};

use crate::{
    pools::{PER_JOB, assert_nothing_left},
    pools_faults::wait_until,
};

/// Within so long somebody who waits still thinks of what he did.
const SOON: Duration = Duration::from_secs(20);

/// How often the node looks for what it ends.
const LOOKS: Duration = Duration::from_millis(200);

#[track_caller]
fn assert_explained(done: &integration::Finished, begun: Instant) {
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    assert_eq!(done.status.code(), Some(125), "{done}");
    let said = done.complaint();
    for part in ["gone as soon as", "'redirector serve'", "REDIRECTOR_STATE_DIR", "batch job"] {
        assert!(said.contains(part), "no {part:?} in {said}");
    }
}

#[test]
fn where_each_gateway_is_ended_as_soon_as_it_runs() {
    let Some(lab) = EngineLab::slurm(1, &[]) else { return };
    let session = Session::on_engine(&lab, "touch pool=p\n", PER_JOB);
    // The program that starts gateways ends them, too.
    let programs = session.directory().join("programs");
    fs::create_dir(&programs).expect("a directory of this test");
    let real = &session.artefacts().redirector;
    let ends = format!(
        "#!/bin/sh\n'{}' \"$@\"\nlock=$REDIRECTOR_STATE_DIR/gateway.lock\n\
         until kill -KILL \"$(cat \"$lock\")\" 2>/dev/null; do :; done 2>/dev/null\n",
        real.display()
    );
    let program = programs.join("redirector");
    fs::write(&program, ends).expect("just made its directory");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("just written");
    fs::copy(real, programs.join("redirector-exec")).expect("it is built");
    let shim = programs.join("libshim.so");
    fs::copy(&session.artefacts().libshim, &shim).expect("it is built");
    let mut command = session.command(Way::Preloaded, "/bin/bash", ["-c", "/bin/touch made"]);
    let begun = Instant::now();
    let done = finish(command.env("LD_PRELOAD", &shim));
    assert_explained(&done, begun);
    assert!(done.complaint().contains("it is for pool 'p'"), "{done}");
    assert!(!session.directory().join("made").exists(), "it ran here");
    assert_nothing_left(&lab);
}

#[test]
fn where_gateways_are_ended_again_and_again() {
    let Some(lab) = EngineLab::slurm(1, &[]) else { return };
    let session = Session::on_engine(&lab, "sleep pool=p\n", PER_JOB);
    std::thread::scope(|scope| {
        let begun = Instant::now();
        let runs = scope.spawn(|| session.bash(Way::Preloaded, "/bin/sleep 600"));
        while !runs.is_finished() {
            if let Some(gateway) = session.gateway_if_running() {
                gateway.kill();
            }
            std::thread::sleep(LOOKS);
        }
        assert_explained(&runs.join().expect("a shell"), begun);
    });
    // The next gateway sees that nobody waits for the job.
    wait_until(|| session.commands()[0].ending() == "cancelled");
    assert_nothing_left(&lab);
}
