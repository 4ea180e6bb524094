//! What the gateway gives jobs of a node, seen from inside the jobs: cpus, devices, attempts, turns.

use std::fs;

use integration::{Session, Settings, Way, begin, finish};
use nix::{
    sched::{CpuSet, sched_getaffinity},
    unistd::Pid,
};

use crate::support::{next_gateway, only_command, start_witness, until};

/// The cpus of a process, by the kernel's numbers.
fn cpus_of(process: Pid) -> Vec<usize> {
    let set = sched_getaffinity(process).expect("the process runs");
    (0..CpuSet::count()).filter(|cpu| set.is_set(*cpu).expect("within the set")).collect()
}

/// The value of a variable of a running process.
fn variable(process: Pid, name: &str) -> Option<String> {
    let environment = fs::read(format!("/proc/{process}/environ")).expect("the process runs");
    let environment = String::from_utf8_lossy(&environment).into_owned();
    let found =
        environment.split('\0').find_map(|entry| entry.strip_prefix(name)?.strip_prefix('='));
    found.map(str::to_owned)
}

fn add_settings(session: &Session, text: &str) {
    let file = session.configuration();
    let before = fs::read_to_string(&file).expect("a session has one");
    fs::write(file, format!("{before}{text}")).expect("it is the test's own");
}

#[test]
fn jobs_with_whole_cpus_have_them_for_themselves() {
    let all = cpus_of(Pid::from_raw(0));
    if all.len() < 2 {
        println!("skipped: two jobs can be kept apart only on two cpus");
        return;
    }
    let session = Session::new("witness cpus=1\nprobe cpus=0.5\n");
    let (first_client, mut first) = start_witness(&session, "first", &[]);
    let (second_client, mut second) = start_witness(&session, "second", &[]);
    let (its, others) = (cpus_of(first.pid()), cpus_of(second.pid()));
    assert_eq!((its.len(), others.len()), (1, 1), "{its:?} {others:?}");
    assert_ne!(its, others);
    second.order("exit 0");
    second_client.finish().expect_success("the second job");

    // The next gateway knows which cpu the first job is kept to.
    let gateway = session.gateway();
    gateway.kill();
    next_gateway(&session, &gateway);
    let (third_client, mut third) = start_witness(&session, "third", &[]);
    let next = cpus_of(third.pid());
    assert_eq!(next.len(), 1);
    assert_ne!(next, its);
    for (client, witness) in [(first_client, &mut first), (third_client, &mut third)] {
        witness.order("exit 0");
        client.finish().expect_success("a job");
    }
}

#[test]
fn pinning_can_be_switched_off() {
    let session = Session::new("witness cpus=1\n");
    add_settings(&session, "pin = false\n");
    let (client, mut witness) = start_witness(&session, "free", &[]);
    assert_eq!(cpus_of(witness.pid()), cpus_of(Pid::from_raw(0)));
    witness.order("exit 0");
    client.finish().expect_success("the job");
}

#[test]
fn each_job_finds_the_devices_that_it_was_given() {
    let session = Session::new("witness cpus=0.1 gpus=1\ntell cpus=0.1\n");
    add_settings(&session, "gpus = 2\n");
    let (first_client, mut first) = start_witness(&session, "first", &[]);
    let (second_client, mut second) = start_witness(&session, "second", &[]);
    let of = |process| variable(process, "CUDA_VISIBLE_DEVICES").expect("set by the grant");
    let mut devices = [of(first.pid()), of(second.pid())];
    devices.sort_unstable();
    assert_eq!(devices, ["0", "1"]);
    let told = session.bash(Way::Preloaded, "env tell environment").expect_success("a job");
    assert!(told.text().contains("\0CUDA_VISIBLE_DEVICES=\0"), "none were asked for: {told}");
    for (client, witness) in [(first_client, &mut first), (second_client, &mut second)] {
        witness.order("exit 0");
        client.finish().expect_success("a job");
    }
}

#[test]
fn parts_of_a_device_add_up_to_one() {
    let session = Session::new("witness cpus=0.1 gpus=0.5\n");
    add_settings(&session, "gpus = 2\n");
    let started: Vec<_> =
        ["a", "b", "c", "d"].map(|name| start_witness(&session, name, &[])).into();
    let of = |process| variable(process, "CUDA_VISIBLE_DEVICES").expect("set by the grant");
    let mut devices: Vec<_> = started.iter().map(|(_, witness)| of(witness.pid())).collect();
    devices.sort_unstable();
    assert_eq!(devices, ["0", "0", "1", "1"]);
    for (client, mut witness) in started {
        witness.order("exit 0");
        client.finish().expect_success("a job");
    }
}

#[test]
fn a_job_that_fails_is_tried_again_as_often_as_its_rule_says() {
    let session = Session::new("sh retries=exit:2\n");
    let count_to = |last: u32| {
        let script = format!("echo $$; echo x >>tries; [ $(wc -l <tries) = {last} ]");
        let mut command = session.command(Way::Preloaded, "bash", ["-c"]);
        finish(command.arg(format!("env sh -c '{script}' </dev/null >out 2>err")))
    };
    count_to(3).expect_success("the third attempt");
    let output = fs::read_to_string(session.directory().join("out")).expect("written by the job");
    assert_eq!(output.lines().count(), 1, "of the last attempt only: {output}");
    let job = only_command(&session);
    assert_eq!((job.ending().as_str(), job.attempts.len()), ("exited(0)", 3), "{job:?}");

    fs::remove_file(session.directory().join("tries")).expect("written by the job");
    assert_eq!(count_to(4).status.code(), Some(1), "it would succeed at the fourth attempt");
}

#[test]
fn a_job_whose_output_somebody_reads_is_not_tried_again() {
    let session = Session::new("sh retries=2\n");
    let script = "env sh -c 'echo x >>tries; exit 3' | cat; echo ${PIPESTATUS[0]}";
    let ended = session.bash(Way::Preloaded, script);
    assert_eq!(ended.text(), "3\n");
    let tries = fs::read_to_string(session.directory().join("tries")).expect("written by the job");
    assert_eq!(tries, "x\n");
}

#[test]
fn a_job_that_takes_too_long_is_ended() {
    let session = Session::new("sleep time=1\n");
    let ended = session.bash(Way::Preloaded, "env sleep 1000; echo $?");
    assert_eq!(ended.text(), "143\n", "{ended}");
    let job = only_command(&session);
    assert_eq!(job.outcome.as_deref(), Some("timed_out"), "{job:?}");
    assert!(ended.complaint().contains("1.0s"), "{ended}");
}

/// Jobs of a sequential run never meet, although there is room for two.
#[test]
fn jobs_of_a_sequential_run_go_one_at_a_time() {
    let session = Session::with_settings("sh *\n", Settings { cpus: 2 });
    let script =
        "for n in 1 2 3 4; do env sh -c 'mkdir only && sleep 0.05; rmdir only' & done; wait";
    let mut command = session.redirector(["run", "--sequential", "--"]);
    let ran = begin(command.args(["bash", "-c", script])).finish().expect_success("the run");
    assert_eq!(ran.complaint(), "", "mkdir and rmdir complain where jobs meet");
    until("all are recorded", || session.commands().len() == 4);
    for job in session.commands() {
        assert_eq!(job.ending(), "exited(0)", "{job:?}");
    }
}
