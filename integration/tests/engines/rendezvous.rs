//! Nodes that cannot reach the gateway's computer: their agents come through files.

use std::{collections::BTreeSet, fs, path::Path};

use integration::{EngineLab, Job, Pipeline, Session, Way};

use crate::{
    pools::{PER_JOB, PILOT, assert_nothing_left, compare},
    pools_faults::{begin_script, wait_until},
};

/// The labs have no way to it (RFC 5737).
const NO_WAY: &str = "[gateway]\naddress = \"192.0.2.1\"";

const NO_PORT: &str = "[gateway]\nrendezvous = \"always\"";

/// That the agents' ends and the gateway's are all over; the gateway tells nobody when it has
/// cleared up.
#[track_caller]
fn assert_nothing_left_of(session: &Session) {
    let is_empty = |directory: &Path| {
        fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_none())
    };
    for name in ["rendezvous", "invitations"] {
        wait_until(|| is_empty(&session.state().join(name)));
    }
}

#[test]
fn streams_signals_ends_and_a_killed_gateway_go_through_the_directory() {
    let Some(lab) = EngineLab::slurm(1, &["--cpus", "2"]) else { return };
    let settings = format!("{}\n{NO_WAY}", PILOT.replace("\"5s\"", "\"10m\""));
    let whitelist = "tr pool=p\nsh pool=p\nsleep pool=p\ntee pool=p\n";
    let session = Session::on_engine(&lab, whitelist, &settings);
    let run = |script: &str| session.bash(Way::Preloaded, script);

    let streams = "head -c 4000000 /dev/urandom >in; cat in | tr a-z n-za-m | cat >out; \
                   tr n-za-m a-z <out | cmp - in";
    run(streams).expect_success("bytes of both directions");
    assert_eq!(run("sh -c 'exit 7'").status.code(), Some(7));
    run("sh -c 'kill -TERM $$'");
    run("timeout --signal=INT 1 sleep 600");
    let endings: Vec<_> = session.commands().iter().map(Job::ending).collect();
    // The latest comes first.
    assert_eq!(endings[..3], ["signaled(2)", "signaled(15)", "exited(7)"]);

    let runs = begin_script(&session, "tee -a late >/dev/null < <(/bin/sleep 3; echo once)");
    wait_until(|| session.commands().iter().any(|job| job.state == "running"));
    session.gateway().kill();
    let done = runs.finish();
    assert!(done.status.success(), "{done}");
    let written = fs::read_to_string(session.directory().join("late"));
    assert_eq!(written.expect("tee wrote it"), "once\n");

    let place = session.state().join("rendezvous").display().to_string();
    for log in [session.state().join("gateway.log"), session.state().join("allocations/p-1.log")] {
        let said = fs::read_to_string(&log).expect("it is written to");
        let is_way = |line: &&str| {
            line.contains(&format!("through the directory {place}"))
                && line.contains("no address of the gateway could be reached (192.0.2.1 port ")
        };
        assert_eq!(said.lines().filter(is_way).count(), 2, "one of each gateway:\n{said}");
    }
    for job in session.commands() {
        assert_eq!(job.node.as_deref(), Some("p-1"), "{job:?}");
    }
    session.ask(["stop"]).expect_success("stop");
    assert_nothing_left(&lab);
    assert_nothing_left_of(&session);
}

#[test]
fn agents_that_call_at_once_are_all_met() {
    const COUNT: usize = 8;
    let Some(lab) = EngineLab::slurm(2, &["--cpus", "4"]) else { return };
    let session = Session::on_engine(&lab, "wc pool=p\n", &format!("{PER_JOB}\n{NO_PORT}"));
    let script =
        format!("for i in $(seq {COUNT}); do seq $i | wc -l >$i.out & done; wait; cat *.out");
    let done = session.bash(Way::Preloaded, &script).expect_success("the jobs");
    let counted: Vec<_> = done.text().lines().map(str::to_owned).collect();
    let expected: Vec<_> = (1..=COUNT).map(|number| number.to_string()).collect();
    assert_eq!(counted, expected);
    let used: BTreeSet<_> = session.commands().into_iter().map(|job| job.node).collect();
    assert_eq!(used.len(), COUNT, "{used:?}");
    let said = fs::read_to_string(session.state().join("gateway.log")).expect("it is written to");
    assert!(!said.contains("listening for agents"), "no port is opened:\n{said}");
    assert_nothing_left(&lab);
    assert_nothing_left_of(&session);
}

#[test]
fn bash_pipeline_without_any_port() {
    let Some(lab) = EngineLab::slurm(2, &["--cpus", "2"]) else { return };
    let session = compare(&lab, Pipeline::Bash, &format!("{PILOT}\n{NO_PORT}"));
    let shown = session.ask(["config"]).text();
    let mut shown = shown.lines().filter(|line| line.starts_with("gateway.rendezvous"));
    let shown = shown.next().expect("a setting");
    assert!(shown.contains("always") && shown.contains("redirector.toml"), "{shown}");
    assert_nothing_left_of(&session);
}
