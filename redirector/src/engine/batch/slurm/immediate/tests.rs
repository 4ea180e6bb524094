//! A salloc that is a script here.

use std::path::Path;

use super::*;
use crate::engine::batch::{
    request::tests::small,
    tools::tests::{before_others, pretend},
};

#[test]
fn salloc_runs_srun_which_runs_the_script() {
    let mut request = small();
    request.cpus = 2;
    request.output = "/tmp/50%/out".into();
    let words: Vec<_> =
        arguments(&request).into_iter().map(|word| word.into_string().unwrap()).collect();
    assert_eq!(words[..3], ["--quiet", "--immediate", "--job-name=run.rule"]);
    let shell = words.iter().position(|word| word == LAUNCHER).unwrap();
    assert_eq!(words[shell + 1..shell + 3], ["sh", "/tmp/50%/out"]);
    for word in ["--output=/tmp/50%%/out", "--chdir=/tmp", "--cpus-per-task=2"] {
        assert!(words[shell..].contains(&word.to_owned()), "{word} in {words:?}");
    }
    assert_eq!(words[words.len() - 2..], ["-c", "#!/bin/sh\n"]);
}

#[test]
fn what_is_set_for_sbatch_counts_and_nothing_else() {
    let all = [
        ("SBATCH_PARTITION", Some("long")),
        ("SALLOC_PARTITION", Some("interactive")),
        ("SALLOC_ACCOUNT", Some("a")),
        ("SBATCH_QOS", Some("early")),
        ("SBATCH_QOS", None),
        ("HOME", Some("/root")),
    ];
    let all = all.map(|(name, value)| (name.into(), value.map(OsString::from)));
    let expected =
        [("SALLOC_ACCOUNT", None), ("SALLOC_PARTITION", Some("long")), ("SALLOC_QOS", None)];
    let expected = expected.map(|(name, value)| (name.into(), value.map(OsString::from)));
    assert_eq!(variables(all), BTreeMap::from(expected));
}

#[tokio::test]
async fn the_id_is_found_among_what_a_site_prints() {
    let id = told(Some(&b"Welcome\nredirector-allocation 12\n"[..])).await;
    assert_eq!(id, Some(EngineJobId("12".to_owned())));
    assert_eq!(told(Some(&b"Welcome\nredirector-allocation \n"[..])).await, None);
}

/// With a `salloc` that is this script.
async fn start(
    immediate: &Immediate,
    directory: &Path,
    script: &str,
) -> Result<Option<EngineJobId>, Refusal> {
    pretend(directory, "salloc", script);
    let tools = Tools::new(&before_others(directory), "install it");
    let request = Request { immediate: true, ..small() };
    immediate.start(&tools, &request).await
}

fn impatient() -> Immediate {
    Immediate { patience: Duration::from_millis(300), ..Immediate::new() }
}

#[tokio::test]
async fn what_salloc_does_not_answer_in_time_is_left_to_sbatch() {
    let directory = tempfile::tempdir().unwrap();
    let immediate = impatient();
    let slow = "echo 'salloc: Waiting for resource configuration' >&2; exec sleep 1000";
    assert_eq!(start(&immediate, directory.path(), slow).await, Ok(None));
    assert!(immediate.shared.rests(""));
}

#[tokio::test]
async fn a_salloc_that_does_not_end_may_get_something() {
    let directory = tempfile::tempdir().unwrap();
    let immediate = impatient();
    // Until the directory is removed.
    let stubborn = format!(
        "trap '' TERM; echo 'salloc: Pending' >&2; while test -e '{}'; do sleep 0.1; done",
        directory.path().join("salloc").display()
    );
    let refused = start(&immediate, directory.path(), &stubborn).await;
    let Err(Refusal::Unsure(said)) = refused else { panic!("{refused:?}") };
    assert!(said.contains("kill -KILL") && said.contains("salloc: Pending"), "{said}");
    assert!(immediate.shared.rests(""));
}

#[tokio::test]
async fn a_salloc_that_would_sleep_and_try_again_is_ended() {
    let directory = tempfile::tempdir().unwrap();
    let immediate = Immediate::new();
    let said = "salloc: error: Slurm job queue full, sleeping and retrying";
    let full = format!("echo '{said}' >&2; exec sleep 1000");
    let refused = start(&immediate, directory.path(), &full).await;
    assert_eq!(refused, Err(Refusal::Temporary(said.to_owned())));
    assert!(immediate.shared.rests(""));
}

#[tokio::test]
async fn a_salloc_that_never_stops_waiting_is_ended() {
    let directory = tempfile::tempdir().unwrap();
    let immediate = Immediate { cpu_seconds: 1, ..Immediate::new() };
    let spins = "echo redirector-allocation 12; while :; do :; done";
    assert!(start(&immediate, directory.path(), spins).await.unwrap().is_some());
    drop(immediate.turns.acquire_many(MOST as u32).await.unwrap());
}

#[tokio::test]
async fn what_salloc_runs_has_the_processor_time_of_this_process() {
    let directory = tempfile::tempdir().unwrap();
    pretend(directory.path(), "srun", "ulimit -S -t >\"$1\"");
    let limit = directory.path().join("limit");
    let guarded = format!("{GUARD} && exit 1").replace("exec salloc", "exec /bin/sh -c");
    let tools = Tools::new(&before_others(directory.path()), "install it");
    let words = ["-c", &guarded, "sh", "7", LAUNCHER, "sh", "/dev/null"].map(OsString::from);
    let mut command = tools.command("/bin/sh", words.into_iter().chain([limit.clone().into()]));
    assert!(command.status().await.unwrap().success());
    let own = std::process::Command::new("/bin/sh").args(["-c", "ulimit -H -t"]).output().unwrap();
    assert_eq!(std::fs::read(limit).unwrap(), own.stdout);
}

#[tokio::test]
async fn what_srun_could_not_begin_says_why() {
    let directory = tempfile::tempdir().unwrap();
    let immediate = Immediate::new();
    let broken = "echo redirector-allocation 12; echo 'srun: error: no steps' >&2; exit 1";
    let id = start(&immediate, directory.path(), broken).await.unwrap().unwrap();
    while immediate.shared.unbegun(&id).is_none() {
        tokio::task::yield_now().await;
    }
    let judged = immediate.judge(&id, Status::Ended(End::Done(1)));
    let Status::Ended(End::NotBegun(said)) = judged else { panic!("{judged:?}") };
    assert!(said.contains("srun: error: no steps") && said.contains("left to sbatch"), "{said}");
    let other = EngineJobId("13".to_owned());
    let judged = immediate.judge(&other, Status::Ended(End::Done(1)));
    assert_eq!(judged, Status::Ended(End::Done(1)));
}
