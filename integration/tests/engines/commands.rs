//! Slurm once more, by commands of the configuration: what a site with another engine writes.

use std::{collections::BTreeMap, fs};

use integration::{EngineLab, Pipeline, Session};
use redirector::{
    config::{Engine, Pool, Templates},
    engine::batch::{End, EngineJobId, Refusal, Status},
};

use crate::{
    pools::{PER_JOB, PILOT, compare_in, whitelist},
    support::{engine, on_head, pool, request, start, status, wait_for_end, wait_for_start},
};

const SUBMIT: &str =
    "sbatch --no-requeue -J {name} -c {cpus} --mem={mem_mb} -t {time_min} -o /dev/null {script}";
const STATUS: &str = "squeue --noheader --states=all --Format=JobID:20,State:20,exit_code:12";
const CANCEL: &str = "scancel {ids}";
const ID: &str = "Submitted batch job ([0-9]+)";
const STATE: &str = r"^(?<id>\d+) +(?<state>\S+) +(?<exit>\d+)";

fn by_commands(lab: &EngineLab) -> Pool {
    let words = |line: &str| line.split(' ').map(str::to_owned).collect();
    let templates = Templates {
        submit: words(SUBMIT),
        status: words(STATUS),
        cancel: words(CANCEL),
        id_pattern: Some(ID.to_owned()),
        status_pattern: Some(STATE.to_owned()),
        states: BTreeMap::new(),
    };
    pool(lab, Engine::Command(templates))
}

/// As a person writes it.
#[test]
fn bash_pipeline_with_an_engine_of_three_commands() {
    let Some(lab) = EngineLab::slurm(2, &["--cpus", "2"]) else { return };
    // Not all rules of the pipeline ask for memory.
    let submit = SUBMIT.replace("--mem={mem_mb} ", "");
    for mode in [&format!("{PER_JOB}\nwalltime = \"20m\""), PILOT] {
        let settings = format!(
            "{mode}\nsubmit = '{submit}'\nstatus = '{STATUS}'\ncancel = '{CANCEL}'\n\
             id_pattern = '{ID}'\nstatus_pattern = '{STATE}'"
        );
        let session = Session::on_pool(&lab, "command", &whitelist(), &settings);
        compare_in(&lab, session, Pipeline::Bash);
    }
}

#[test]
fn an_engine_is_three_commands() {
    let Some(lab) = EngineLab::slurm(1, &[]) else { return };
    let engine = engine(&by_commands(&lab));
    on_head(&lab, async {
        let marker = lab.directory().join("was here");
        let mut wanted = request(&lab, "a", &format!("touch '{}'", marker.display()));
        wanted.mem = Some(100 << 20);
        wanted.walltime = Some(std::time::Duration::from_mins(1));
        let id = start(&*engine, &wanted).await;
        assert_eq!(wait_for_end(&*engine, &id).await, Status::Ended(End::Done(0)));
        assert!(fs::exists(&marker).expect("a directory of this test"));

        wanted.script = "#!/bin/sh\nexec sleep 600\n".to_owned();
        let sleeps = start(&*engine, &wanted).await;
        wait_for_start(&*engine, &sleeps).await;
        engine.stop(std::slice::from_ref(&sleeps)).await.expect("it is stopped");
        let ended = wait_for_end(&*engine, &sleeps).await;
        assert_eq!(ended, Status::Ended(End::Cancelled { by: None }));
        assert_eq!(status(&*engine, &EngineJobId("4711".to_owned())).await, Status::Forgotten);

        wanted.mem = Some(1 << 50);
        let refused = engine.start(&wanted).await;
        let Err(Refusal::Permanent(said)) = refused else { panic!("{refused:?}") };
        assert!(said.contains("Requested node configuration"), "{said}");
    });
}
