//! Jobs whose allocations the engine ends: the outcome is the engine's reason, and not which process
//! its signal reached first.

use std::{
    fs,
    process::Command,
    time::{Duration, Instant},
};

use integration::{EngineLab, Job, Session, Watched, Way, finish};
use nix::sys::signal::Signal;

use crate::{
    pools::{PER_JOB, PILOT, assert_nothing_left, listed},
    pools_faults::{begin_script, wait_for, wait_until},
};

/// Adds a line to `ran` each time that it is started. What writes to a pipe is not tried again.
const LONG: &str = "sh -c 'echo ran >>ran; exec sleep 600' >/dev/null 2>&1";

const MODES: [&str; 2] = [PER_JOB, PILOT];

/// The ids that the engine gave to what it lists.
fn ids(lab: &EngineLab) -> Vec<String> {
    let listed = listed(lab);
    let first = listed.lines().filter_map(|line| line.split_whitespace().next());
    first.filter(|word| word.bytes().all(|byte| byte.is_ascii_digit())).map(str::to_owned).collect()
}

fn runs(session: &Session) -> usize {
    let ran = fs::read_to_string(session.directory().join("ran"));
    ran.map_or(0, |text| text.lines().count())
}

fn the_job(session: &Session) -> Job {
    let mut jobs = session.commands();
    assert_eq!(jobs.len(), 1, "{jobs:?}");
    let job = jobs.remove(0);
    session.show(&job)
}

/// What becomes of a job that runs, if `end` is done to its allocation with this id.
fn ended_by(
    lab: &EngineLab,
    whitelist: &str,
    settings: &str,
    end: impl FnOnce(&Session, &str),
) -> (Session, Job) {
    let session = Session::on_engine(lab, whitelist, settings);
    let running = begin_script(&session, LONG);
    wait_until(|| runs(&session) == 1);
    let ids = ids(lab);
    assert_eq!(ids.len(), 1, "{ids:?}");
    end(&session, &ids[0]);
    let ended = running.finish();
    assert!(!ended.status.success(), "{ended}");
    let job = the_job(&session);
    (session, job)
}

#[test]
fn a_job_whose_allocation_somebody_cancels_is_cancelled() {
    let Some(lab) = EngineLab::slurm(1, &["--cpus", "2"]) else { return };
    for settings in MODES {
        let cancel = |_: &Session, id: &str| drop(lab.client("scancel", &[id]));
        let (session, job) = ended_by(&lab, "sh pool=p\n", settings, cancel);
        assert_eq!(job.ending(), "cancelled", "{job:?}");
        let reason = job.reason.unwrap_or_default();
        assert!(reason.contains("(slurm job ") && reason.contains("was cancelled"), "{reason}");
        assert_eq!(runs(&session), 1, "once");
        assert_nothing_left(&lab);
    }
}

#[test]
fn accounts_tell_who_has_cancelled_it() {
    let Some(lab) = EngineLab::slurm(1, &["--accounting"]) else { return };
    let cancel = |_: &Session, id: &str| drop(lab.client("scancel", &[id]));
    let (_session, job) = ended_by(&lab, "sh pool=p\n", PER_JOB, cancel);
    assert_eq!(job.ending(), "cancelled", "{job:?}");
    let reason = job.reason.unwrap_or_default();
    assert!(reason.contains("was cancelled by root"), "{reason}");
    assert_nothing_left(&lab);
}

/// A minute is the least that Slurm has, so the end is moved.
#[test]
fn a_job_whose_allocation_reaches_its_time_limit_has_timed_out() {
    let Some(lab) = EngineLab::slurm(1, &["--cpus", "2"]) else { return };
    for settings in [&format!("{PER_JOB}\nwalltime = \"20m\""), PILOT] {
        let expire = |_: &Session, id: &str| {
            drop(lab.client("scontrol", &["update", &format!("jobid={id}"), "EndTime=now"]));
        };
        let (session, job) = ended_by(&lab, "sh pool=p\n", settings, expire);
        assert_eq!(job.ending(), "timed_out", "{job:?}");
        assert!(job.reason.is_none_or(|reason| reason.contains("20m")));
        assert_eq!(runs(&session), 1, "once");
        assert_nothing_left(&lab);
    }
}

/// Slurm counts the agent and all jobs of an allocation together.
#[test]
fn a_job_whose_allocation_has_too_much_memory_is_out_of_memory() {
    let options = ["--cpus", "2", "--mem", "256", "--oom-kill"];
    let Some(lab) = EngineLab::slurm(1, &options) else { return };
    for settings in MODES {
        let session = Session::on_engine(&lab, "python3 pool=p\n", settings);
        let takes = "import time; open('ran', 'a').write('ran\\n'); x = bytearray(400 << 20); time.sleep(600)";
        let ended = session.bash(Way::Preloaded, &format!("python3 -c \"{takes}\""));
        assert_eq!(ended.status.code(), Some(125), "{ended}");
        let job = the_job(&session);
        assert_eq!(job.ending(), "out_of_memory", "{job:?}");
        assert_eq!(runs(&session), 1, "once");
        assert_nothing_left(&lab);
    }
}

#[test]
fn a_job_that_loses_its_node_or_has_to_make_room_is_tried_again() {
    let options = ["--cpus", "1", "--set", "PreemptType=preempt/partition_prio"];
    let options = [&options[..], &["--set", "PreemptMode=CANCEL"]].concat();
    let Some(lab) = EngineLab::slurm(2, &options) else { return };
    let again = |session: &Session, whose: &str| {
        wait_until(|| runs(session) == 2);
        let job = the_job(session);
        assert_eq!(job.attempts[0].outcome, "lost", "{job:?}");
        let explained = session.ask(["explain", &job.id.to_string()]).text();
        assert!(explained.contains(whose), "{explained}");
        session.ask(["cancel", &job.id.to_string()]).expect_success("cancel");
    };
    let (session, _) = ended_by(&lab, "sh pool=p retries=1\n", PER_JOB, |session, id| {
        let node = lab.client("squeue", &["-h", "-j", id, "-o", "%N"]).text();
        lab.fault(&["down", node.trim()]);
        again(session, "lost its node");
        lab.fault(&["resume", node.trim()]);
    });
    drop(session);
    assert_nothing_left(&lab);
    lab.client("scontrol", &["create", "PartitionName=urgent", "Nodes=ALL", "PriorityTier=9"]);
    let (_session, _) = ended_by(&lab, "sh pool=p retries=1\n", PER_JOB, |session, _| {
        let all = ["-p", "urgent", "-N2", "-o", "/dev/null", "--wrap", "sleep 1"];
        lab.client("sbatch", &all);
        again(session, "had to make room");
    });
    assert_nothing_left(&lab);
}

/// As an administrator does, who may change what sbatch was told: such a job goes back to the queue.
#[test]
fn a_job_whose_allocation_somebody_requeues_is_lost_and_never_begun_again() {
    let Some(lab) = EngineLab::slurm(1, &["--cpus", "2"]) else { return };
    let settings = format!("{PER_JOB}\nimmediate = false");
    for requeue in ["requeue", "requeuehold"] {
        let (session, job) = ended_by(&lab, "sh pool=p\n", &settings, |_, id| {
            lab.client("scontrol", &["update", &format!("jobid={id}"), "requeue=1"]);
            lab.client("scontrol", &[requeue, id]);
        });
        assert_eq!(job.ending(), "lost", "{requeue}: {job:?}");
        let reason = job.reason.unwrap_or_default();
        assert!(reason.contains("(slurm job ") && reason.contains("queue"), "{requeue}: {reason}");
        assert_nothing_left(&lab);
        assert_eq!(runs(&session), 1, "{requeue}: once");
    }
}

/// A process that goes on when this is dropped.
struct Stopped(Watched);

impl Stopped {
    fn new(process: Watched) -> Self {
        process.signal(Signal::SIGSTOP);
        Self(process)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        self.0.signal(Signal::SIGCONT);
    }
}

/// Were the gateway awake, it would stop the allocation before Slurm begins it again.
#[test]
fn an_allocation_that_slurm_begins_again_while_the_gateway_is_stopped_runs_nothing_twice() {
    let Some(lab) = EngineLab::slurm(1, &["--cpus", "2"]) else { return };
    let settings = format!("{PER_JOB}\nimmediate = false");
    let (session, job) = ended_by(&lab, "sh pool=p\n", &settings, |session, id| {
        let job = format!("jobid={id}");
        let _stopped = Stopped::new(session.gateway());
        lab.client("scontrol", &["update", &job, "requeue=1"]);
        lab.client("scontrol", &["requeue", id]);
        wait_for(&lab, "PENDING", 1);
        // Slurm would wait for two minutes.
        lab.client("scontrol", &["update", &job, "StartTime=now"]);
        let log = session.state().join("allocations/p-1.log");
        wait_until(|| {
            let said = fs::read_to_string(&log).unwrap_or_default();
            said.contains("nothing is run a second time")
        });
    });
    assert_eq!(job.ending(), "lost", "{job:?}");
    assert_nothing_left(&lab);
    assert_eq!(runs(&session), 1, "once");
}

/// Neither what salloc has begun, whatever it may, nor what sbatch was told not to requeue.
#[test]
fn what_slurm_does_not_requeue_runs_on() {
    let Some(lab) = EngineLab::slurm(1, &["--cpus", "2"]) else { return };
    for immediate in [true, false] {
        let settings = format!("{PER_JOB}\nimmediate = {immediate}");
        let session = Session::on_engine(&lab, "sh pool=p\n", &settings);
        session.bash(Way::Plain, "mkfifo go").expect_success("mkfifo");
        let waits = "sh -c 'echo ran >>ran; read -r word <go; exit 3' >/dev/null 2>&1";
        let running = begin_script(&session, waits);
        wait_until(|| runs(&session) == 1);
        let ids = ids(&lab);
        assert_eq!(ids.len(), 1, "{ids:?}");
        if immediate {
            lab.client("scontrol", &["update", &format!("jobid={}", ids[0]), "requeue=1"]);
        }
        for requeue in ["requeue", "requeuehold"] {
            let mut command = Command::new("scontrol");
            command.args([requeue, &ids[0]]).envs(lab.variables()).current_dir("/");
            lab.enter(&mut command);
            let refused = finish(&mut command);
            assert!(!refused.status.success(), "{immediate}: {refused}");
        }
        session.bash(Way::Plain, "echo >go").expect_success("go");
        assert_eq!(running.finish().status.code(), Some(3), "{immediate}");
        assert_eq!(the_job(&session).ending(), "exited(3)");
        assert_eq!(runs(&session), 1, "{immediate}: once");
        assert_nothing_left(&lab);
    }
}

/// Kills itself as soon as there is a file `go`.
const SUICIDE: &str =
    "sh -c 'echo ran >>ran; while [ ! -e go ]; do /bin/sleep 0.1; done; kill -KILL $$'";

#[test]
fn a_killed_command_in_a_healthy_allocation_was_killed() {
    let Some(lab) = EngineLab::slurm(1, &["--cpus", "2"]) else { return };
    let session = Session::on_engine(&lab, "sh pool=p\nsleep pool=p\n", PILOT);
    let beside = begin_script(&session, "/bin/sleep 5");
    wait_until(|| session.commands().iter().any(|job| job.state == "running"));
    fs::write(session.directory().join("go"), "").expect("a directory of this test");
    let ended = session.bash(Way::Preloaded, SUICIDE);
    assert!(!ended.status.success(), "{ended}");
    assert!(beside.finish().status.success());
    let endings: Vec<_> = session.commands().iter().map(Job::ending).collect();
    assert_eq!(endings, ["signaled(9)", "exited(0)"]);
    assert_nothing_left(&lab);
}

#[test]
fn while_an_engine_does_not_answer_it_is_said_what_is_waited_for_also_by_the_next_gateway() {
    let Some(lab) = EngineLab::slurm(1, &["--cpus", "2"]) else { return };
    let session = Session::on_engine(&lab, "sh pool=p\n", PILOT);
    let running = begin_script(&session, SUICIDE);
    wait_until(|| runs(&session) == 1);
    lab.fault(&["stop-controller"]);
    fs::write(session.directory().join("go"), "").expect("a directory of this test");
    let id = the_job(&session).id.to_string();
    let waits = || {
        let explained = session.ask(["explain", &id]).text();
        explained.contains("ended as signaled(9)") && explained.contains("waits for the engine")
    };
    wait_until(waits);
    session.gateway().kill();
    wait_until(waits);
    lab.fault(&["start-controller"]);
    assert!(!running.finish().status.success());
    assert_eq!(the_job(&session).ending(), "signaled(9)");
    assert_eq!(runs(&session), 1, "once");
    assert_nothing_left(&lab);
}

#[test]
fn a_gateway_that_is_killed_just_then_finds_the_reason_all_the_same() {
    let Some(lab) = EngineLab::slurm(1, &["--cpus", "2"]) else { return };
    for settings in MODES {
        let (session, job) = ended_by(&lab, "sh pool=p\n", settings, |session, id| {
            lab.client("scancel", &[id]);
            session.gateway().kill();
        });
        assert_eq!(job.ending(), "cancelled", "{job:?}");
        assert_eq!(runs(&session), 1, "once");
        assert_nothing_left(&lab);
    }
}

/// A signal that came through the command's client is explained already.
#[test]
fn a_command_that_its_own_parent_ends_does_not_wait_for_the_engine() {
    let Some(lab) = EngineLab::slurm(1, &["--cpus", "2"]) else { return };
    let session = Session::on_engine(&lab, "sh pool=p\n", PER_JOB);
    let waits = "while [ ! -e go ]; do /bin/sleep 0.1; done";
    let running = begin_script(&session, &format!("{LONG} & {waits}; kill $!; wait $!"));
    wait_until(|| runs(&session) == 1);
    lab.fault(&["stop-controller"]);
    let begun = Instant::now();
    fs::write(session.directory().join("go"), "").expect("a directory of this test");
    assert!(!running.finish().status.success());
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    assert_eq!(the_job(&session).ending(), "signaled(15)");
    lab.fault(&["start-controller"]);
    assert_nothing_left(&lab);
}

#[test]
fn time_limits_and_deletions_of_grid_engine() {
    let Some(lab) = EngineLab::grid_engine(2) else { return };
    let settings = format!("{PER_JOB}\nwalltime = \"5s\"");
    let (session, job) = ended_by(&lab, "sh pool=p\n", &settings, |_, _| {});
    assert_eq!(job.ending(), "timed_out", "{job:?}");
    assert_eq!(runs(&session), 1, "once");
    // Its accounts have the same entry for a job that somebody has killed.
    let delete = |_: &Session, id: &str| drop(lab.client("qdel", &[id]));
    let (session, job) = ended_by(&lab, "sh pool=p\n", PER_JOB, delete);
    assert_eq!(job.ending(), "lost", "{job:?}");
    let reason = job.reason.unwrap_or_default();
    assert!(reason.contains("gridengine job") && reason.contains("signal 9"), "{reason}");
    assert_eq!(runs(&session), 1, "once");
    assert_nothing_left(&lab);
}
