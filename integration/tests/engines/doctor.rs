//! What `redirector doctor` says of pools.

use integration::{EngineLab, Session};

use crate::pools::{PER_JOB, PILOT, assert_nothing_left};

/// What the doctor says of the pool, whether or not it is content with everything else.
fn told(session: &Session) -> String {
    session.ask(["doctor", "p"]).text()
}

#[test]
fn a_pool_that_works_has_run_a_job() {
    let Some(lab) = EngineLab::slurm(2, &["--cpus", "2"]) else { return };
    let session = Session::on_engine(&lab, "", &format!("{PER_JOB}\npartition = \"main\""));
    let told = told(&session);
    for expected in [
        "p  pool of slurm, per_job",
        "slurm-wlm",
        "partition main (up): 2 idle nodes of 2 cpus and 8192 MB, without a time limit",
        "ran on p-1: it waited",
    ] {
        assert!(told.contains(expected), "{expected}:\n{told}");
    }
    assert_nothing_left(&lab);
}

#[test]
fn what_the_engine_refuses_is_told() {
    let Some(lab) = EngineLab::slurm(1, &[]) else { return };
    let settings = format!("{PILOT}\npartition = \"nowhere\"");
    let session = Session::on_engine(&lab, "", &settings);
    let told = told(&session);
    assert!(told.contains("Slurm has no partition 'nowhere'"), "{told}");
    assert!(told.contains("[[pools]] 'p'"), "{told}");
}

#[test]
fn grid_engine_has_queues() {
    let Some(lab) = EngineLab::grid_engine(4) else { return };
    let settings = format!("{PER_JOB}\nparallel_environment = \"smp\"");
    let session = Session::on_engine(&lab, "", &settings);
    let told = told(&session);
    for expected in ["Grid Engine", "4 of 4 slots are free", "ran on p-1: it waited"] {
        assert!(told.contains(expected), "{expected}:\n{told}");
    }
    assert_nothing_left(&lab);
}
