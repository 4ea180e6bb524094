//! Jobs with `pool=NAME` run in allocations of a real engine, and what comes out of a pipeline is
//! the same as without a redirector.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use integration::{EngineLab, Pipeline, Session, Way, assert_same_files};

/// An allocation that was told to leave is gone when the engine has noticed.
const PATIENCE: Duration = Duration::from_secs(40);

pub(crate) const PER_JOB: &str = "interval = \"1s\"";

pub(crate) const PILOT: &str = "interval = \"1s\"\nmode = \"pilot\"\ncpus = 2\nmax_blocks = 2\n\
                                walltime = \"20m\"\nidle_timeout = \"5s\"";

#[test]
fn bash_pipeline_with_an_allocation_for_each_job() {
    let Some(lab) = EngineLab::slurm(2, &["--cpus", "2"]) else { return };
    let session = compare(&lab, Pipeline::Bash, PER_JOB);
    let jobs = session.commands();
    let used: BTreeSet<_> = jobs.iter().map(|job| job.node.as_deref()).collect();
    assert_eq!(used.len(), jobs.len(), "each in an allocation of its own");
}

#[test]
fn bash_pipeline_in_pilots() {
    let Some(lab) = EngineLab::slurm(2, &["--cpus", "2"]) else { return };
    let session = compare(&lab, Pipeline::Bash, PILOT);
    let jobs = session.commands();
    let used: BTreeSet<_> = jobs.iter().map(|job| job.node.as_deref()).collect();
    assert!(used.len() < jobs.len(), "many in one allocation: {used:?}");
}

#[test]
fn bash_pipeline_in_a_pilot_of_grid_engine() {
    let Some(lab) = EngineLab::grid_engine(4) else { return };
    compare(&lab, Pipeline::Bash, &format!("{PILOT}\nparallel_environment = \"smp\""));
}

#[test]
fn make_and_snakemake_with_an_allocation_for_each_job() {
    let Some(lab) = EngineLab::slurm(2, &["--cpus", "2"]) else { return };
    for pipeline in [Pipeline::Make, Pipeline::Snakemake] {
        compare(&lab, pipeline, PER_JOB);
    }
}

#[test]
fn make_and_snakemake_in_pilots() {
    let Some(lab) = EngineLab::slurm(2, &["--cpus", "2"]) else { return };
    for pipeline in [Pipeline::Make, Pipeline::Snakemake] {
        compare(&lab, pipeline, PILOT);
    }
}

#[test]
fn make_and_snakemake_in_allocations_of_grid_engine() {
    let Some(lab) = EngineLab::grid_engine(4) else { return };
    compare(&lab, Pipeline::Make, &format!("{PER_JOB}\nparallel_environment = \"smp\""));
    compare(&lab, Pipeline::Snakemake, &format!("{PILOT}\nparallel_environment = \"smp\""));
}

/// Every rule that makes jobs asks for the pool.
pub(crate) fn whitelist() -> String {
    let is_rule = |line: &&str| !line.is_empty() && !line.starts_with(['#', '!']);
    let with_pool = |line: &str| {
        if is_rule(&line) { format!("{line} pool=p\n") } else { format!("{line}\n") }
    };
    Pipeline::whitelist().lines().map(with_pool).collect()
}

pub(crate) fn compare(lab: &EngineLab, pipeline: Pipeline, settings: &str) -> Session {
    compare_in(lab, Session::on_engine(lab, &whitelist(), settings), pipeline)
}

pub(crate) fn compare_in(lab: &EngineLab, session: Session, pipeline: Pipeline) -> Session {
    assert!(pipeline.is_installed(), "{pipeline:?}: integration/setup.sh tests");
    let data = session.directory().join("data");
    Pipeline::make_data(&session, &data);
    let plain = pipeline.run(&session, Way::Plain, &data, &session.directory().join("plain"));
    let way = Way::Preloaded;
    let redirected = pipeline.run(&session, way, &data, &session.directory().join("redirected"));

    assert_same_files("in allocations", &plain.files, &redirected.files);
    assert_eq!(plain.verdict.stdout, redirected.verdict.stdout, "check.sh");
    Pipeline::assert_jobs("in allocations", &session);
    for job in session.commands() {
        let node = job.node.as_deref().unwrap_or_default();
        assert!(node.starts_with("p-"), "not in an allocation: {job:?}");
    }
    assert_nothing_left(lab);
    session
}

#[test]
fn two_commands_of_a_pipe_run_in_two_allocations() {
    let Some(lab) = EngineLab::slurm(2, &["--cpus", "1"]) else { return };
    let session = Session::on_engine(&lab, "seq pool=p\nwc pool=p\n", PER_JOB);
    let done = session.bash(Way::Preloaded, "seq 200000 | wc -c").expect_success("the pipe");
    assert_eq!(done.text(), "1288895\n");
    let used: BTreeSet<_> = session.commands().into_iter().map(|job| job.node).collect();
    assert_eq!(used.len(), 2, "{used:?}");
    assert_nothing_left(&lab);
}

/// What the engine lists of this user.
pub(crate) fn listed(lab: &EngineLab) -> String {
    let (program, arguments): (_, &[&str]) = match lab.engine() {
        "slurm" => ("squeue", &["--noheader", "--format=%i %T %j"]),
        _ => ("qstat", &[]),
    };
    lab.client(program, arguments).text()
}

/// Demands that the engine lists no job any more; it can only be asked.
#[track_caller]
pub(crate) fn assert_nothing_left(lab: &EngineLab) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let listed = listed(lab);
        let is_over = |line: &str| line.contains("COMPLETING");
        if listed.lines().all(is_over) {
            return;
        }
        assert!(Instant::now() < deadline, "left in the queue:\n{listed}");
        std::thread::sleep(Duration::from_millis(200));
    }
}
