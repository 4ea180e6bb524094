//! An allocation for one job begins at once where Slurm has room for it, and by sbatch where that
//! is not possible.

use std::{fs, os::unix::fs::PermissionsExt};

use integration::{EngineLab, Finished, Session, Way, begin};

use crate::{
    pools::{PER_JOB, assert_nothing_left},
    pools_faults::{begin_script, wait_for},
};

/// What bash makes of `command` where `program` is this script instead of Slurm's.
fn with_another(
    lab: &EngineLab,
    session: &Session,
    (program, script): (&str, &str),
    command: &str,
) -> Finished {
    let directory = lab.directory().join("others");
    fs::create_dir(&directory).expect("a directory of this test");
    let path = directory.join(program);
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("as above");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("as above");
    let path = std::env::var("PATH").expect("there is one");
    let mut command = session.command(Way::Preloaded, "/bin/bash", ["-c", command]);
    begin(command.env("PATH", format!("{}:{path}", directory.display()))).finish()
}

#[test]
fn what_is_free_is_given_without_sbatch() {
    let Some(lab) = EngineLab::slurm(1, &["--cpus", "4"]) else { return };
    let session = Session::on_engine(&lab, "sh pool=p cpus=2 mem=300M time=1h\n", PER_JOB);
    // A job may have steps of its own.
    let script = "srun hostname </dev/null; scontrol show job $SLURM_JOB_ID; cat; exit 3";
    let command = format!("echo in | sh -c '{script}'");
    let useless = ("sbatch", "echo not needed >&2; exit 1");
    let done = with_another(&lab, &session, useless, &command);
    assert_eq!(done.status.code(), Some(3), "{:?}", done.status);
    let said = done.text();
    assert!(said.starts_with("n1\n") && said.ends_with("in\n"), "{said}{}", done.complaint());
    let job = &session.commands()[0];
    let run = job.run.as_ref().expect("what a pipeline starts has one");
    let (name, comment) = (format!("JobName=run{run}.sh"), format!("/p-1/job-{}", job.id));
    for word in ["NumCPUs=2", "TimeLimit=01:01:00", "MinMemoryNode=300M", &name, &comment] {
        assert!(said.contains(word), "{word} in {said}");
    }
    assert_nothing_left(&lab);
}

#[test]
fn where_nothing_is_free_or_salloc_is_forbidden_sbatch_does_it() {
    let Some(lab) = EngineLab::slurm(1, &["--cpus", "1"]) else { return };
    let session = Session::on_engine(&lab, "true pool=p\ncat pool=p\n", PER_JOB);
    let forbidden = ("salloc", "echo salloc: error: interactive jobs are not allowed >&2; exit 1");
    with_another(&lab, &session, forbidden, "/bin/true").expect_success("without salloc");

    let session = Session::on_engine(&lab, "true pool=p\ncat pool=p\n", PER_JOB);
    session.bash(Way::Plain, "mkfifo go").expect_success("mkfifo");
    let holds = begin_script(&session, "cat go");
    wait_for(&lab, "RUNNING", 1);
    let waits = begin_script(&session, "/bin/true");
    wait_for(&lab, "PENDING", 1);
    session.bash(Way::Plain, "echo >go").expect_success("go");
    for running in [holds, waits] {
        running.finish().expect_success("one after the other");
    }
    assert_nothing_left(&lab);
}

#[test]
fn where_srun_fails_the_job_is_begun_by_sbatch() {
    let Some(lab) = EngineLab::slurm(1, &[]) else { return };
    let session = Session::on_engine(&lab, "true pool=p\n", PER_JOB);
    let broken = ("srun", "echo srun: error: no steps here >&2; exit 1");
    with_another(&lab, &session, broken, "/bin/true").expect_success("by sbatch");
    let job = &session.commands()[0];
    assert_eq!((&*job.ending(), job.node.as_deref()), ("exited(0)", Some("p-2")));
    assert_nothing_left(&lab);
}
