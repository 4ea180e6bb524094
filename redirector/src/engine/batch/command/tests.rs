//! Commands of a site, which are scripts here.

use std::{collections::BTreeMap, path::Path};

use proptest::prelude::*;

use super::*;
use crate::{
    config::{Engine, EngineOptions, PoolMode, StateWord},
    engine::batch::{End, request::tests::small},
};

fn templates(submit: &str, status: &str, cancel: &str) -> Templates {
    let words = |text: &str| shell_words::split(text).unwrap();
    Templates {
        submit: words(submit),
        status: words(status),
        cancel: words(cancel),
        id_pattern: None,
        status_pattern: None,
        states: BTreeMap::new(),
    }
}

fn engine(templates: &Templates) -> Result<Command, Refusal> {
    let pool = Pool::minimal("site", Engine::Command(templates.clone()), PoolMode::PerJob);
    Command::new(&pool, templates)
}

fn id(id: &str) -> EngineJobId {
    EngineJobId(id.to_owned())
}

fn in_directory(directory: &Path) -> Request {
    Request { output: directory.join("out put"), directory: directory.to_owned(), ..small() }
}

#[tokio::test]
async fn a_script_is_a_file_or_standard_input() {
    let directory = tempfile::tempdir().unwrap();
    let mut request = in_directory(directory.path());
    request.script = "#!/bin/sh\necho told\n".to_owned();
    request.options = EngineOptions { partition: Some("long".to_owned()), ..Default::default() };
    for (submit, expected) in [
        ("sh -c 'echo $1; cat' sh {queue}", "told"),
        ("sh -c 'echo 1$2.pbs' sh {script} {cpus}", "11.pbs"),
        ("sh -c '\"$1\"' sh {script}", "told"),
    ] {
        let engine = engine(&templates(submit, "true", "true")).unwrap();
        assert_eq!(engine.start(&request).await, Ok(id(expected)), "{submit}");
    }
}

#[tokio::test]
async fn states_of_all_jobs_come_from_one_command() {
    let directory = tempfile::tempdir().unwrap();
    let calls = directory.path().join("calls");
    let script = format!(
        "echo call >>{}; echo 'Job id  S'; echo '1 Q'; echo '2 R'; echo '3 C 3'; echo '4 C 137'",
        calls.display()
    );
    let status = shell_words::join(["sh", "-c", &script, "sh", "{ids}"]);
    let engine = engine(&templates("true", &status, "true")).unwrap();
    let jobs = ["1", "2", "3", "4", "5"].map(id);
    let states: Vec<_> = engine.status(&jobs).await.into_iter().map(|(_, status)| status).collect();
    assert_eq!(
        states,
        [
            Status::Pending { reason: String::new() },
            Status::Running { host: None, started: None },
            Status::Ended(End::Done(3)),
            Status::Ended(End::Signal(9)),
            Status::Forgotten
        ]
    );
    assert_eq!(fs::read_to_string(calls).unwrap(), "call\n");
}

#[tokio::test]
async fn patterns_find_what_is_printed_in_another_order() {
    let mut templates = templates(
        "echo 'Job <42> is submitted to queue <normal>.'",
        "printf '%s\\n' '42 ann ZOMBI normal node7 9' '43 ann PEND normal - 0'",
        "true",
    );
    templates.id_pattern = Some("<([0-9]+)>".to_owned());
    templates.status_pattern =
        Some(r"^(?<id>\d+) \S+ (?<state>\S+) \S+ (?<host>\S+) (?<exit>\d+)".to_owned());
    templates.states.insert("zombi".to_owned(), StateWord::NodeFailure);
    let engine = engine(&templates).unwrap();
    assert_eq!(engine.start(&small()).await, Ok(id("42")));
    let states = engine.status(&[id("42")]).await;
    assert_eq!(states, [(id("42"), Status::Ended(End::NodeFailure))]);
    assert!(engine.explain(&id("43")).await.starts_with("it waits"));
}

#[tokio::test]
async fn complaints_reach_the_person_whole() {
    let submit = |script: &str| templates(&shell_words::join(["sh", "-c", script]), "true", "true");
    let no_queue = engine(&submit("echo no such queue >&2; exit 1")).unwrap();
    assert_eq!(
        no_queue.start(&small()).await,
        Err(Refusal::Permanent("pool site: no such queue".to_owned()))
    );
    let busy = engine(&submit("echo later >&2; exit 75")).unwrap();
    assert!(matches!(busy.start(&small()).await, Err(Refusal::Temporary(_))));
    let silent = engine(&submit("true")).unwrap();
    assert!(matches!(silent.start(&small()).await, Err(Refusal::Unsure(_))));
    let missing = engine(&templates("no-such-program", "no-such-program", "true")).unwrap();
    let Err(Refusal::Permanent(said)) = missing.start(&small()).await else { panic!() };
    assert!(said.contains("'no-such-program'") && said.contains("engine_env"), "{said}");
    let states = missing.status(&[id("1")]).await;
    assert!(matches!(&states[0].1, Status::Unknown { .. }), "{states:?}");
}

#[tokio::test]
async fn what_could_not_be_cancelled_is_still_there() {
    let script = |script: &str| shell_words::join(["sh", "-c", script, "sh", "{ids}"]);
    let down = script("echo 'qdel: cannot connect to server' >&2; exit 1");
    let done = script("true");
    // One of them has ended, and that is all that is wrong.
    let gone = script(
        "echo 'qdel: Unknown Job Id 2.pbs' >&2; echo 'qdel: Job has finished 3' >&2; exit 1",
    );
    let silent = script("exit 0; echo");
    let list = |lines: &str| script(&format!("printf '{lines}'"));
    let no_list = script("echo 'qstat: cannot connect to server' >&2; exit 1");
    let unknown = script("echo 'qstat: Unknown Job Id 1' >&2; exit 1");
    for (cancel, status, left) in [
        (&down, &no_list, &["1", "2", "cannot connect"][..]),
        (&down, &list("1 R\\n2 Q\\n"), &["1 (runs)", "2 (waits)", "qdel: cannot connect"]),
        (&down, &list("1 C\\n2 C\\n"), &[]),
        (&down, &unknown, &[]),
        (&done, &list("1 R\\n2 C\\n"), &[]),
        (&done, &list("1 R\\n2 Q\\n"), &["2 (waits)"]),
        // A word that is not known, of one that is about to end.
        (&done, &list("1 COMPLETING\\n"), &[]),
        (&down, &list("1 COMPLETING\\n"), &["1 ('COMPLETING'", "qdel: cannot connect"]),
        (&done, &no_list, &["1 (", "2 (", "qstat: cannot connect"]),
        (&done, &unknown, &[]),
        (&gone, &list("1 R\\n"), &[]),
        (&silent, &list(""), &[]),
    ] {
        let engine = engine(&templates("true", status, cancel)).unwrap();
        let stopped = engine.stop(&["1", "2"].map(id)).await;
        if left.is_empty() {
            assert_eq!(stopped, Ok(()), "{cancel} {status}");
            continue;
        }
        let Err(Refusal::Temporary(said)) = stopped else {
            panic!("{cancel} {status}: {stopped:?}")
        };
        for part in left {
            assert!(said.contains(part), "{part} in {said}");
        }
    }
}

#[tokio::test]
async fn a_name_without_a_value_is_not_taken_for_none() {
    let engine = engine(&templates("qsub -l walltime={time}", "true", "true")).unwrap();
    let Err(Refusal::Permanent(said)) = engine.start(&small()).await else { panic!() };
    for part in ["pool site", "{time}", "'walltime'", "'time='"] {
        assert!(said.contains(part), "{part} in {said}");
    }
}

#[tokio::test]
async fn the_doctor_finds_missing_programs() {
    let missing = engine(&templates("nosuchqsub x", "sh", "/nowhere/qdel {ids}")).unwrap();
    let said = missing.version().await.unwrap_err().to_string();
    for part in ["'nosuchqsub' of 'submit'", "'/nowhere/qdel' of 'cancel'", "engine_env"] {
        assert!(said.contains(part), "{part} in {said}");
    }
    assert!(!said.contains("'status'"), "{said}");
    let complete = engine(&templates("sh x", "/bin/sh", "sh")).unwrap();
    assert_eq!(
        complete.version().await.unwrap(),
        "commands: submit 'sh', status '/bin/sh', cancel 'sh'"
    );
}

#[test]
fn patterns_that_cannot_be_used_are_named() {
    for (id_pattern, status_pattern, part) in [
        (Some("("), None, "id_pattern"),
        (Some("[0-9]+"), None, "put ( )"),
        (None, Some("(?<id>x)"), "(?<state>"),
    ] {
        let mut templates = templates("true", "true", "true");
        templates.id_pattern = id_pattern.map(str::to_owned);
        templates.status_pattern = status_pattern.map(str::to_owned);
        let Err(refusal) = engine(&templates) else { panic!("{part}") };
        assert!(refusal.to_string().contains(part), "{refusal}");
    }
}

proptest! {
    #[test]
    fn no_text_is_too_strange(text in "\\PC{0,80}") {
        let engine = engine(&templates("true", "true", "true")).unwrap();
        engine.reading.jobs(&text);
        engine.reading.id(&text);
    }
}
