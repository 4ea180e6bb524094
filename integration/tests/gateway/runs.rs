//! What one person's command started is one run.

use std::{fs, os::unix::process::ExitStatusExt};

use integration::{Finished, Id, Job, Session, Way, finish};

fn by_program<'jobs>(jobs: &'jobs [Job], program: &str) -> Vec<&'jobs Job> {
    jobs.iter().filter(|job| job.program() == program).collect()
}

#[test]
fn a_preload_alone_makes_one_run() {
    let session = Session::new("probe *\n");
    let script =
        "env probe 1; (env probe 2; bash -c 'env probe 3'); env -i \"$(command -v probe)\" 4";
    session.bash(Way::Preloaded, script).expect_success("the pipeline");
    let jobs = session.jobs();
    let runs: Vec<_> = jobs.iter().filter(|job| job.spawned_by.is_none()).collect();
    assert_eq!(runs.len(), 1, "{jobs:?}");
    assert_eq!(runs[0].name, "bash");
    assert_eq!(runs[0].argv, ["/bin/bash", "-c", script], "named after the root's command line");
    let commands = by_program(&jobs, "probe");
    assert_eq!(commands.len(), 4, "{jobs:?}");
    for job in commands {
        assert_eq!(job.spawned_by.as_ref(), Some(&runs[0].id), "{job:?}");
        assert_eq!(job.run.as_ref(), Some(&runs[0].id), "{job:?}");
    }
}

/// The jobs that there are; none before the first.
fn known_jobs(session: &Session) -> Vec<Id> {
    let has_run = session.state().join("journal.sqlite").exists();
    if has_run { session.jobs().into_iter().map(|job| job.id).collect() } else { Vec::new() }
}

#[test]
fn two_runs_at_once_stay_apart() {
    let session = Session::new("probe *\n");
    for way in Way::REDIRECTED {
        let earlier: Vec<_> = known_jobs(&session);
        std::thread::scope(|scope| {
            for name in ["left", "right"] {
                let session = &session;
                scope.spawn(move || {
                    let script =
                        format!("for number in {{1..10}}; do env probe {name} >/dev/null; done");
                    session.bash(way, &script).expect_success("a pipeline");
                });
            }
        });
        let jobs = session.jobs();
        let new: Vec<_> = jobs.iter().filter(|job| !earlier.contains(&job.id)).collect();
        let runs: Vec<_> = new.iter().filter(|job| job.spawned_by.is_none()).collect();
        assert_eq!(runs.len(), 2, "{way:?}: {new:?}");
        for run in runs {
            let below: Vec<_> = new
                .iter()
                .filter(|job| job.run.as_ref() == Some(&run.id) && job.id != run.id)
                .collect();
            assert_eq!(below.len(), 10, "{way:?}: {below:?}");
            for job in below {
                let script = run.argv.last().expect("a script");
                assert!(script.contains(&format!("probe {}", job.argv[1])), "{way:?}: {job:?}");
            }
        }
    }
}

#[test]
fn a_run_ends_as_its_command_did() {
    let session = Session::new("");
    let run = |arguments: &[&str]| -> Finished {
        finish(&mut session.command(Way::Run, "end", arguments))
    };
    for code in [0, 1, 42, 255] {
        assert_eq!(run(&["exit", &code.to_string()]).status.code(), Some(code));
    }
    let killed = run(&["signal", "9"]);
    assert_eq!(killed.status.signal(), Some(9), "{killed}");
    let mut jobs = session.jobs();
    jobs.reverse();
    let endings: Vec<_> = jobs.iter().map(Job::ending).collect();
    assert_eq!(endings, ["exited(0)", "exited(1)", "exited(42)", "exited(255)", "signaled(9)"]);
}

#[test]
fn a_run_has_its_times() {
    let session = Session::new("");
    finish(&mut session.command(Way::Run, "sleep", ["0.3"])).expect_success("the run");
    let jobs = session.jobs();
    assert_eq!(jobs.len(), 1);
    let (started, ended) = (jobs[0].started.expect("it ran"), jobs[0].ended.expect("it ended"));
    assert!(ended - started >= 300, "{:?}", jobs[0]);
    assert!(ended - started < 30_000, "{:?}", jobs[0]);
}

/// A run under a bare preload ends when its root does.
#[test]
fn a_preloaded_run_ends_with_its_root() {
    let session = Session::new("probe *\n");
    session.bash(Way::Preloaded, "env probe 1").expect_success("the pipeline");
    let mut run = None;
    crate::support::until("the gateway has seen the end", || {
        run = session.jobs().into_iter().find(|job| job.spawned_by.is_none());
        run.as_ref().is_some_and(|run| run.state == "finished")
    });
    let run = run.expect("the wait is over");
    assert_eq!(run.ending(), "ended", "{run:?}");
}

#[test]
fn a_run_can_have_a_name() {
    let session = Session::new("");
    let mut command = session.redirector(["run", "--name", "nightly", "--"]);
    finish(command.args(["end", "exit", "0"])).expect_success("the run");
    assert_eq!(session.jobs()[0].name, "nightly");
}

#[test]
fn secrets_are_not_stored() {
    let session = Session::new("tell *\n");
    let mut command = session.command(Way::Preloaded, "env", ["tell", "environment"]);
    command
        .env("MY_TOKEN", "abc-secret-1")
        .env("DB_PASSWORD", "abc-secret-2")
        .env("INNOCENT", "postgres://me:abc-secret-3@host/db")
        .env("PLAIN", "to be seen");
    let finished = finish(&mut command).expect_success("a job");
    assert!(finished.text().contains("MY_TOKEN=abc-secret-1"), "the job itself has it: {finished}");

    let job = crate::support::only_command(&session);
    let id = job.id.to_string();
    let shown = session.ask(["show", "--environment", &id]).expect_success("show").text();
    assert!(shown.contains("PLAIN=to be seen") && shown.contains("MY_TOKEN="), "{shown}");
    let json = session.ask(["show", "--json", &id]).expect_success("show --json").text();
    assert!(!shown.contains("abc-secret") && !json.contains("abc-secret"), "{shown}{json}");

    session.ask(["stop"]).expect_success("stop");
    for entry in fs::read_dir(session.state()).expect("a state directory") {
        let path = entry.expect("readable").path();
        let bytes = fs::read(&path).expect("readable");
        let found = bytes.windows(10).any(|window| window == b"abc-secret");
        assert!(!found, "a secret is in {}", path.display());
    }
}

/// What a rule sets goes over what the pipeline had set, in the job and nowhere else.
#[test]
fn a_rule_sets_variables() {
    let session = Session::new("probe * env='PROBE_MARK=from the rule'\n");
    let ran = session.bash(Way::Preloaded, "env probe x; echo $PROBE_MARK").expect_success("a job");
    assert!(ran.text().contains("PROBE_MARK=from the rule\n"), "{ran}");
    assert!(ran.text().ends_with("a mark\n"), "{ran}");
}
