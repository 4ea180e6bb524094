//! What becomes of jobs and allocations when somebody cancels one, an engine refuses one, or the
//! gateway is killed.

use std::{
    fs,
    time::{Duration, Instant},
};

use integration::{EngineLab, Running, Session, Way, begin};

use crate::pools::{PER_JOB, PILOT, assert_nothing_left, listed};

const PATIENCE: Duration = Duration::from_mins(1);

#[test]
fn what_the_engine_never_gives_is_refused_in_its_own_words() {
    let Some(lab) = EngineLab::slurm(1, &[]) else { return };
    for mode in [PER_JOB, PILOT] {
        let settings = format!("{mode}\npartition = \"nowhere\"");
        let session = Session::on_engine(&lab, "true pool=p\n", &settings);
        let done = session.bash(Way::Preloaded, "/bin/true");
        let said = done.complaint();
        assert!(said.contains("invalid partition") && said.contains("pool 'p'"), "{said}");
        assert_eq!(session.commands()[0].ending(), "refused");
    }
    assert_nothing_left(&lab);
}

#[test]
fn allocations_that_never_begin_are_given_up_with_the_reason() {
    let Some(lab) = EngineLab::slurm(1, &[]) else { return };
    // One is asked for at the moment at which another one is found to have failed.
    let nowhere = "min_blocks = 1\npath_map = { \"/\" = \"/nowhere\" }";
    let session = Session::on_engine(&lab, "true pool=p\n", &format!("{PILOT}\n{nowhere}"));
    let said = session.bash(Way::Preloaded, "/bin/true").complaint();
    assert!(said.contains("3 allocations of pool 'p' in a row"), "{said}");
    assert!(said.contains("Slurm could not start the script there"), "{said}");
    assert_eq!(session.commands()[0].ending(), "refused");
}

#[test]
fn a_job_whose_allocation_somebody_cancels_ends_with_that() {
    let Some(lab) = EngineLab::slurm(1, &["--cpus", "1"]) else { return };
    let session = Session::on_engine(&lab, "sleep pool=p\n", PER_JOB);
    let runs = begin_script(&session, "sleep 600");
    wait_for(&lab, "RUNNING", 1);
    wait_until(|| session.commands().iter().any(|job| job.state == "running"));
    let waits = begin_script(&session, "sleep 601");
    wait_for(&lab, "PENDING", 1);
    let job = |seconds| {
        let mut jobs = session.commands().into_iter();
        jobs.find(|job| job.argv[1] == seconds).expect("it was submitted")
    };
    let explained = session.ask(["explain", &job("601").id.to_string()]).text();
    assert!(explained.contains("allocation p-2 (slurm job"), "{explained}");

    let ids: Vec<String> =
        listed(&lab).lines().filter_map(|line| line.split(' ').next().map(str::to_owned)).collect();
    for id in &ids {
        lab.client("scancel", &[id]);
    }
    for running in [runs, waits] {
        assert!(!running.finish().status.success());
    }
    let (ran, waited) = (job("600"), job("601"));
    assert_eq!(ran.ending(), "cancelled", "{ran:?}");
    assert_eq!(waited.ending(), "cancelled", "{waited:?}");
    assert_nothing_left(&lab);
}

#[test]
fn a_cancelled_job_gives_its_allocation_back() {
    let Some(lab) = EngineLab::slurm(1, &["--cpus", "1"]) else { return };
    let session = Session::on_engine(&lab, "sleep pool=p\n", PER_JOB);
    let runs = begin_script(&session, "sleep 600");
    wait_for(&lab, "RUNNING", 1);
    let waits = begin_script(&session, "sleep 601");
    wait_for(&lab, "PENDING", 1);
    for job in session.commands() {
        session.ask(["cancel", &job.id.to_string()]).expect_success("cancel");
    }
    for running in [runs, waits] {
        assert!(!running.finish().status.success());
    }
    assert_nothing_left(&lab);
}

#[test]
fn a_killed_gateway_loses_no_job_and_leaves_no_allocation() {
    let Some(lab) = EngineLab::slurm(1, &["--cpus", "2"]) else { return };
    let session = Session::on_engine(&lab, "tee pool=p\n", PER_JOB);
    let count = 6;
    let command =
        |number| format!("/usr/bin/tee -a {number}.out >/dev/null < <(sleep 4; echo {number}) &");
    let script: String = (0..count).map(command).collect();
    let runs = begin_script(&session, &format!("{script} wait"));
    wait_for(&lab, "RUNNING", 2);
    wait_for(&lab, "PENDING", 2);
    session.gateway().kill();
    let done = runs.finish();
    assert!(done.status.success(), "{done}");
    for number in 0..count {
        let written = fs::read_to_string(session.directory().join(format!("{number}.out")));
        assert_eq!(written.expect("tee wrote it"), format!("{number}\n"), "once");
    }
    for job in session.commands() {
        assert_eq!(job.ending(), "exited(0)", "{job:?}");
    }
    assert_nothing_left(&lab);
}

#[test]
fn an_idle_pilot_outlives_its_gateway_and_not_its_session() {
    let Some(lab) = EngineLab::slurm(1, &["--cpus", "2"]) else { return };
    let settings = PILOT.replace("\"5s\"", "\"10m\"");
    let session = Session::on_engine(&lab, "seq pool=p\n", &settings);
    for _ in 0..2 {
        session.bash(Way::Preloaded, "seq 3").expect_success("seq");
        session.gateway().kill();
    }
    session.bash(Way::Preloaded, "seq 3").expect_success("seq");
    for job in session.commands() {
        assert_eq!(job.node.as_deref(), Some("p-1"), "{job:?}");
    }
    assert_eq!(listed(&lab).lines().count(), 1);
    session.ask(["stop"]).expect_success("stop");
    assert_nothing_left(&lab);
}

#[test]
fn an_allocation_that_nobody_knows_any_more_is_stopped() {
    let Some(lab) = EngineLab::slurm(1, &["--cpus", "2"]) else { return };
    let settings = PILOT.replace("\"5s\"", "\"10m\"");
    let session = Session::on_engine(&lab, "seq pool=p\ntrue\n", &settings);
    session.bash(Way::Preloaded, "seq 3").expect_success("seq");
    session.gateway().kill();
    fs::remove_dir_all(session.state().join("allocations")).expect("the gateway made it");
    session.bash(Way::Preloaded, "/bin/true").expect_success("true");
    assert_nothing_left(&lab);
}

pub(crate) fn begin_script(session: &Session, script: &str) -> Running {
    begin(&mut session.command(Way::Preloaded, "/bin/bash", ["-c", script]))
}

/// Waits until the engine lists so many in that state; it can only be asked.
#[track_caller]
pub(crate) fn wait_for(lab: &EngineLab, state: &str, count: usize) {
    wait_until(|| listed(lab).lines().filter(|line| line.contains(state)).count() >= count);
}

#[track_caller]
pub(crate) fn wait_until(is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "it did not come to that");
        std::thread::sleep(Duration::from_millis(100));
    }
}
