//! Grid Engine's programs, some of which are scripts here.

use std::path::Path;

use super::*;
use crate::{
    config::{Engine, PoolMode},
    engine::batch::tools::tests::{before_others, pretend},
};

fn grid_engine(directory: &Path) -> GridEngine {
    let engine = Engine::GridEngine { memory_resource: None, gpu_resource: None };
    let mut pool = Pool::minimal("long", engine, PoolMode::PerJob);
    pool.engine_env = before_others(directory);
    GridEngine::new(&pool, &None, &None)
}

fn ids<const COUNT: usize>(ids: [&str; COUNT]) -> [EngineJobId; COUNT] {
    ids.map(|id| EngineJobId(id.to_owned()))
}

/// What Grid Engine 8.1.9 printed.
fn sample(name: &str) -> String {
    format!("{}/src/engine/batch/gridengine/samples/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn it_is_told_whether_to_try_again() {
    for (said, expected) in [
        (
            "Unable to run job: unable to send message to qmaster using port 27245 on host \
             \"localhost\": got send error\nExiting.",
            Refusal::Temporary as fn(String) -> Refusal,
        ),
        ("Unable to run job: Error reading answer list from qmaster\nExiting.", Refusal::Unsure),
        (
            "Unable to run job: Job was rejected because job requests unknown queue \
             \"nosuch.q\"\nExiting.",
            Refusal::Permanent,
        ),
    ] {
        assert_eq!(refusal(said.to_owned()), expected(said.to_owned()));
    }
}

#[tokio::test]
async fn ends_are_found_of_jobs_that_ran_for_longer_than_a_day() {
    let directory = tempfile::tempdir().unwrap();
    pretend(directory.path(), "qstat", "echo '<job_info></job_info>'");
    let account = |id: &str| {
        format!("echo; echo ====; echo 'jobnumber {id}'; echo 'failed 0'; echo 'exit_status 3'")
    };
    let calls = directory.path().join("calls");
    // By their ends it has four of them, and the last one singly.
    let qacct = format!(
        "echo \"$*\" >>'{}'\ncase \"$*\" in\n'-E -d 1 -o '*) {};;\n'-j 5') {};;\nesac",
        calls.display(),
        ["1", "2", "3", "4"].map(account).join("; "),
        account("5")
    );
    pretend(directory.path(), "qacct", &qacct);
    let engine = grid_engine(directory.path());
    let states = engine.status(&ids(["1", "2", "3", "4", "5", "6"])).await;
    let ended = |status: &Status| *status == Status::Ended(End::Done(3));
    assert!(states[..5].iter().all(|(_, status)| ended(status)), "{states:?}");
    assert_eq!(states[5].1, Status::Forgotten);
    let calls = std::fs::read_to_string(calls).unwrap();
    assert_eq!(calls.lines().count(), 3, "{calls}");
}

#[tokio::test]
async fn a_grid_engine_that_cannot_select_by_end_does_it_by_start() {
    let directory = tempfile::tempdir().unwrap();
    pretend(directory.path(), "qstat", "echo '<job_info></job_info>'");
    let qacct = format!(
        "case \"$*\" in\n-E*|'-j '*) echo 'error: unknown option' >&2; exit 1;;\nesac\nsed \"s/^owner .*/owner \
         {}/\" '{}'",
        user(),
        sample("qacct.txt")
    );
    pretend(directory.path(), "qacct", &qacct);
    let engine = grid_engine(directory.path());
    let states = engine.status(&ids(["2", "3", "4", "10", "11"])).await;
    assert_eq!(states[0].1, Status::Ended(End::Done(3)));
    assert_eq!(states[4].1, Status::Forgotten);
}

#[tokio::test]
async fn a_job_that_could_not_be_started_says_why() {
    let directory = tempfile::tempdir().unwrap();
    let qstat = format!(
        "case \"$*\" in\n'-xml -j 15') cat '{}';;\n*) cat '{}';;\nesac",
        sample("jobs.xml"),
        sample("qstat.xml")
    );
    pretend(directory.path(), "qstat", &qstat);
    let engine = grid_engine(directory.path());
    let states = engine.status(&ids(["15", "14"])).await;
    let Status::Ended(End::Failed(said)) = &states[0].1 else { panic!("{states:?}") };
    assert!(said.contains("could not start it") && said.contains("/nowhere"), "{said}");
    assert!(matches!(states[1].1, Status::Running { .. }));
}

#[tokio::test]
async fn only_ids_are_deleted() {
    let directory = tempfile::tempdir().unwrap();
    let refusal = grid_engine(directory.path()).stop(&ids(["12", "*"])).await.unwrap_err();
    assert_eq!(refusal.to_string(), "'*' is no job id of Grid Engine, and nothing was ended");
}
