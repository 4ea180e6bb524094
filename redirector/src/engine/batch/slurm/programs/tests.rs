//! Slurm's programs, which are scripts here.

use std::path::Path;

use super::*;
use crate::{
    config::{Engine, PoolMode},
    engine::batch::tools::tests::{before_others, pretend},
};

fn slurm(directory: &Path) -> Programs {
    let mut pool = Pool::minimal("long", Engine::Slurm { rest: None }, PoolMode::PerJob);
    pool.engine_env = before_others(directory);
    Programs::new(&pool)
}

fn id(id: &str) -> EngineJobId {
    EngineJobId(id.to_owned())
}

/// A line of squeue.
fn listed(id: &str, state: &str, reason: &str) -> String {
    format!(
        "{id:<24}{state:<24}{:<12}{:<128}{:<24}{:<24}{:<12}{reason:<256}redirector/g1/{id}",
        0, "n1", "N/A", "N/A", 0
    )
}

#[tokio::test]
async fn jobs_in_hidden_partitions_are_seen() {
    let directory = tempfile::tempdir().unwrap();
    let only_with_all = |text: &str| {
        format!("for word; do [ \"$word\" = --all ] && echo '{text}' && exit; done; exit 0")
    };
    let lines = [listed("7", "RUNNING", "None"), listed("8", "REVOKED", "None")].join("\n");
    pretend(directory.path(), "squeue", &only_with_all(&lines));
    let partitions = "main|up|infinite|1|8|8192|idle\nhidden|up|infinite|1|8|8192|idle";
    let no_partition = "case \"$*\" in *--partition*) exit 1;; esac; ";
    pretend(directory.path(), "sinfo", &format!("{no_partition}{}", only_with_all(partitions)));
    pretend(directory.path(), "sacct", "echo 'Slurm accounting storage is disabled' >&2; exit 1");
    let slurm = slurm(directory.path());
    let states = slurm.status(&[id("7"), id("8")]).await;
    assert!(matches!(states[0].1, Status::Running { .. }), "{states:?}");
    // Another cluster of the federation has it.
    assert_eq!(states[1].1, Status::Forgotten);
    let found = slurm.find("g1").await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(slurm.explain(&id("7")).await, "it runs on n1");
    let options = EngineOptions { partition: Some("hidden".to_owned()), ..Default::default() };
    let lines = slurm.capacity(&options).await.unwrap();
    assert!(lines.len() == 1 && lines[0].contains("partition hidden"), "{lines:?}");
}

#[tokio::test]
async fn only_ids_are_cancelled() {
    let directory = tempfile::tempdir().unwrap();
    let refusal = slurm(directory.path()).stop(&[id("12"), id("--user=ann")]).await.unwrap_err();
    assert_eq!(refusal.to_string(), "'--user=ann' is no job id of Slurm, and nothing was ended");
}

#[tokio::test]
async fn programs_that_are_missing_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let only_here = |directory: &Path| {
        let mut pool = Pool::minimal("long", Engine::Slurm { rest: None }, PoolMode::PerJob);
        let path = directory.to_str().unwrap();
        pool.engine_env.insert("PATH".into(), Some(path.into()));
        Programs::new(&pool)
    };
    for program in ["sbatch", "squeue"] {
        pretend(directory.path(), program, "echo slurm 22.05.8");
    }
    let said = only_here(directory.path()).version().await.unwrap_err().to_string();
    assert!(said.contains("missing: scancel, sinfo;") && said.contains("slurm-client"), "{said}");
    for program in ["scancel", "sinfo", "srun"] {
        pretend(directory.path(), program, "exit 1");
    }
    assert_eq!(
        only_here(directory.path()).version().await.unwrap(),
        "slurm 22.05.8 with sbatch, squeue, scancel, sinfo, srun; without salloc, jobs begin on \
         Slurm's next round only; without sacct, nothing is known of jobs that Slurm has \
         forgotten, nor who cancelled one"
    );
}
