//! Jobs in allocations while the engine is busy, restarts, or loses a daemon: each runs once, and no
//! allocation is left.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    time::{Duration, Instant},
};

use integration::{EngineLab, Job, Session, Way, begin};

use crate::{
    pools::{PER_JOB, PILOT, assert_nothing_left},
    pools_faults::{begin_script, wait_for, wait_until},
};

/// A `squeue` before the real one that notes down each time that it is asked.
fn counted_squeue(lab: &EngineLab) -> (String, PathBuf) {
    let directory = lab.directory().join("wrapped");
    let notes = directory.join("asked");
    fs::create_dir(&directory).expect("a directory of this test");
    let real = integration::find_program("squeue").expect("Slurm is installed");
    let script = format!("#!/bin/sh\necho >>{}\nexec {} \"$@\"\n", notes.display(), real.display());
    let wrapper = directory.join("squeue");
    fs::write(&wrapper, script).expect("as above");
    fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).expect("as above");
    let path = std::env::var("PATH").expect("there is one");
    (format!("{}:{path}", directory.display()), notes)
}

#[test]
fn squeue_is_asked_once_in_an_interval_however_many_jobs_wait() {
    const INTERVAL: Duration = Duration::from_secs(1);
    let Some(lab) = EngineLab::slurm(1, &["--cpus", "1"]) else { return };
    let (path, notes) = counted_squeue(&lab);
    let session = Session::on_engine(&lab, "sleep pool=p\n", PER_JOB);
    let script = "for i in $(seq 30); do sleep 600 & done; wait";
    let mut command = session.command(Way::Preloaded, "/bin/bash", ["-c", script]);
    let running = begin(command.env("PATH", path));
    wait_for(&lab, "PENDING", 29);
    let asked = || fs::read_to_string(&notes).map_or(0, |notes| notes.lines().count());
    let (before, begun) = (asked(), Instant::now());
    wait_until(|| asked() >= before + 4);
    let most = begun.elapsed().div_duration_f64(INTERVAL) + 1.0;
    assert!((asked() - before) as f64 <= most, "{} in {:?}", asked() - before, begun.elapsed());
    for job in session.commands() {
        session.ask(["cancel", &job.id.to_string()]).expect_success("cancel");
    }
    running.finish();
    assert_nothing_left(&lab);
}

/// A job for each number from 1, which adds a line to a file of its own.
fn each_once(session: &Session, count: usize) {
    for number in 1..=count {
        let written = fs::read_to_string(session.directory().join(format!("{number}.out")));
        assert_eq!(written.expect("it ran"), format!("{number}\n"), "once");
    }
    for job in session.commands() {
        assert_eq!(job.ending(), "exited(0)", "{job:?}");
    }
}

#[test]
fn fifty_jobs_outlive_their_gateway() {
    const COUNT: usize = 50;
    let Some(lab) = EngineLab::slurm(2, &["--cpus", "8"]) else { return };
    let session = Session::on_engine(&lab, "tee pool=p\n", PER_JOB);
    let script = format!(
        "for i in $(seq {COUNT}); do tee -a $i.out >/dev/null < <(/bin/sleep 3; echo $i) & done; wait"
    );
    let running = begin_script(&session, &script);
    wait_for(&lab, "RUNNING", 10);
    wait_for(&lab, "PENDING", 10);
    session.gateway().kill();
    let done = running.finish();
    assert!(done.status.success(), "{done}");
    each_once(&session, COUNT);
    assert_nothing_left(&lab);
}

#[test]
fn two_hundred_jobs_for_a_controller_that_takes_none_for_now() {
    const COUNT: usize = 200;
    let Some(lab) = EngineLab::slurm(2, &["--cpus", "8"]) else { return };
    let session = Session::on_engine(&lab, "", PER_JOB);
    lab.fault(&["stop-controller"]);
    submit_each(&session, COUNT);
    wait_until(|| session.ask(["explain", "1"]).text().contains("was not taken"));
    lab.fault(&["start-controller"]);
    wait_for_each_once(&session, COUNT);
    assert_nothing_left(&lab);
}

/// Detached jobs with the numbers from 1, each of which adds a line to a file of its own.
fn submit_each(session: &Session, count: usize) {
    let list = session.directory().join("numbers");
    let numbers: Vec<_> = (1..=count).map(|number| number.to_string()).collect();
    fs::write(&list, numbers.join("\n")).expect("a directory of this test");
    let list = list.to_str().expect("UTF-8");
    session
        .ask(["submit", "--pool=p", "--each", list, "--", "sh", "-c", "echo {} >>{}.out"])
        .expect_success("submit");
}

fn wait_for_each_once(session: &Session, count: usize) {
    // None of these waits for as long as all of it takes.
    for last in (1..=count).filter(|last| last % 50 == 0) {
        let range = format!("1-{last}");
        session.ask(["wait", &range]).expect_success(&range);
    }
    for number in 1..=count {
        let written = fs::read_to_string(session.directory().join(format!("{number}.out")));
        assert_eq!(written.expect("it ran"), format!("{number}\n"), "once");
    }
    for job in session.records(&format!("1-{count}")) {
        assert_eq!(job.ending(), "exited(0)", "{job:?}");
    }
}

/// Slurm forgets ended jobs every ten seconds at most, so that there is room for more. Until then
/// its programs say that they are sleeping and retrying.
#[test]
fn two_hundred_jobs_for_a_controller_whose_queue_is_full_again_and_again() {
    const COUNT: usize = 200;
    let options = ["--cpus", "8", "--set", "MaxJobCount=80", "--set", "MinJobAge=2"];
    let Some(lab) = EngineLab::slurm(2, &options) else { return };
    let session = Session::on_engine(&lab, "", PER_JOB);
    submit_each(&session, COUNT);
    let was_full = || {
        let log = fs::read_to_string(lab.state().join("slurmctld.log"));
        log.expect("slurmctld writes it").contains("MaxJobCount")
    };
    wait_until(was_full);
    wait_for_each_once(&session, COUNT);
    assert_nothing_left(&lab);
}

/// Longer than the gateway asks an engine why a job was killed.
const LONG: Duration = Duration::from_secs(65);

/// Notes that it runs, and waits until it is told by a FIFO to go on.
fn told(number: usize, then: &str) -> String {
    format!("sh -c 'echo {number} >>{number}.out; read -r word <{number}.go; {then}'")
}

#[test]
fn a_controller_that_is_down_for_a_minute_loses_no_job_and_changes_no_outcome() {
    let Some(lab) = EngineLab::slurm(1, &["--cpus", "4"]) else { return };
    let session = Session::on_engine(&lab, "sh pool=p\n", PER_JOB);
    session.bash(Way::Plain, "mkfifo {1..6}.go").expect_success("mkfifo");
    let begin = |number, then: &str| begin_script(&session, &told(number, then));
    let go = |number: usize| {
        session.bash(Way::Plain, &format!("echo >{number}.go")).expect_success("go");
    };
    let has_begun = |number: usize| session.directory().join(format!("{number}.out")).exists();

    let (succeeds, fails) = (begin(1, "exit 0"), begin(2, "exit 3"));
    let (killed, stays) = (begin(3, "kill -KILL $$"), begin(4, "exit 4"));
    wait_until(|| (1..=4).all(has_begun));
    let pending = begin(5, "exit 5");
    wait_for(&lab, "PENDING", 1);
    lab.fault(&["stop-controller"]);
    let down = Instant::now();
    let submitted = begin(6, "exit 6");
    (1..=3).for_each(&go);
    assert_eq!(succeeds.finish().status.code(), Some(0), "the agent needs no controller");
    assert_eq!(fails.finish().status.code(), Some(3), "the agent needs no controller");
    // That time passes is what this is about.
    std::thread::sleep(LONG.saturating_sub(down.elapsed()));
    assert!(!has_begun(5) && !has_begun(6), "nobody could have begun it");
    lab.fault(&["start-controller"]);

    (4..=6).for_each(&go);
    for (running, status) in [(stays, Some(4)), (pending, Some(5)), (submitted, Some(6))] {
        assert_eq!(running.finish().status.code(), status);
    }
    killed.finish();
    let mut endings: Vec<_> = session.commands().iter().map(Job::ending).collect();
    endings.sort_unstable();
    let expected = ["exited(0)", "exited(3)", "exited(4)", "exited(5)", "exited(6)", "signaled(9)"];
    assert_eq!(endings, expected);
    for number in 1..=6 {
        let written = fs::read_to_string(session.directory().join(format!("{number}.out")));
        assert_eq!(written.expect("it ran"), format!("{number}\n"), "once");
    }
    assert_nothing_left(&lab);
}

#[test]
fn a_controller_that_is_away_delays_jobs_and_harms_none() {
    let Some(lab) = EngineLab::slurm(1, &["--cpus", "2"]) else { return };
    let session = Session::on_engine(&lab, "tee pool=p\n", PER_JOB);
    let job = |number| format!("tee -a {number}.out >/dev/null < <(/bin/sleep 3; echo {number})");
    let runs = begin_script(&session, &job(1));
    wait_until(|| session.commands().iter().any(|job| job.state == "running"));
    lab.fault(&["stop-controller"]);
    let waits = begin_script(&session, &job(2));
    let ended = runs.finish();
    assert!(ended.status.success(), "the agent needs no controller: {ended}");
    lab.fault(&["start-controller"]);
    let ended = waits.finish();
    assert!(ended.status.success(), "{ended}");
    each_once(&session, 2);
    assert_nothing_left(&lab);
}

#[test]
fn a_killed_slurmd_and_a_drained_node_harm_no_job() {
    let Some(lab) = EngineLab::slurm(2, &["--cpus", "1"]) else { return };
    let session = Session::on_engine(&lab, "tee pool=p\n", PER_JOB);
    let job = |number| format!("tee -a {number}.out >/dev/null < <(/bin/sleep 3; echo {number})");
    let running = begin_script(&session, &format!("{} & {} & wait", job(1), job(2)));
    wait_for(&lab, "RUNNING", 2);
    lab.fault(&["kill-slurmd", "n1"]);
    lab.fault(&["drain", "n2"]);
    let ended = running.finish();
    assert!(ended.status.success(), "{ended}");
    each_once(&session, 2);
    lab.fault(&["start-slurmd", "n1"]);
    lab.fault(&["resume", "n2"]);
    assert_nothing_left(&lab);
}

/// The agent enforces both, so that the outcome is the job's and not the allocation's.
#[test]
fn time_and_memory_of_a_job_in_a_pilot() {
    let Some(lab) = EngineLab::slurm(1, &["--cpus", "2"]) else { return };
    let whitelist = "sleep pool=p time=1s\nhead pool=p mem=64M\n";
    let session = Session::on_engine(&lab, whitelist, PILOT);
    let ended = session.bash(Way::Preloaded, "sleep 600");
    assert!(!ended.status.success(), "{ended}");
    // head keeps all of a line that has no end.
    let ended = session.bash(Way::Preloaded, "head -n -1 /dev/zero >/dev/null");
    assert!(!ended.status.success(), "{ended}");
    let endings: Vec<_> = session.commands().iter().map(Job::ending).collect();
    // The latest comes first.
    assert_eq!(endings, ["out_of_memory", "timed_out"]);
    let used: Vec<_> = session.commands().into_iter().map(|job| job.node).collect();
    assert_eq!(used[0], used[1], "the pilot outlives them");
    assert_nothing_left(&lab);
}
