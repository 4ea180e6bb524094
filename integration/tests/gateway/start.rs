//! The first client starts the gateway, which has nothing to do with the pipeline from then on.

use std::{
    fs::{self, File},
    io::Write,
    os::unix::net::{UnixListener, UnixStream},
    path::PathBuf,
};

use integration::{Session, Watched, Way, begin, finish};
use nix::{sys::stat::Mode, unistd::mkfifo};

use crate::{
    detached::{submit_command, submit_witness},
    support::{SYSTEM_FAILURE, assert_says, log, until},
};

#[test]
fn fifty_clients_at_once_start_one_gateway() {
    const CLIENTS: usize = 50;
    let session = Session::new("probe *\n");
    let gate = session.directory().join("gate");
    mkfifo(&gate, Mode::S_IRWXU).expect("the session's directory is writable");
    // Open in both directions, so that neither side waits for the other.
    let mut gate = File::options().read(true).write(true).open(gate).expect("just made");

    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let script = format!("read -r <gate; exec probe {number}");
            begin(&mut session.command(Way::Preloaded, "bash", ["-c", &script]))
        })
        .collect();
    gate.write_all("\n".repeat(CLIENTS).as_bytes()).expect("it is open for reading, too");
    for (number, client) in clients.into_iter().enumerate() {
        let finished = client.finish().expect_success("a client");
        assert!(finished.text().contains(&number.to_string()), "{finished}");
        assert!(finished.stderr.is_empty(), "{finished}");
    }

    assert_eq!(session.commands().len(), CLIENTS);
    let starts = log(&session).matches("listening").count();
    assert_eq!(starts, 1, "gateways that were started: {}", log(&session));
}

fn read(process: &Watched, file: &str) -> String {
    let bytes = fs::read(format!("/proc/{}/{file}", process.pid())).expect("the process lives");
    String::from_utf8_lossy(&bytes).into_owned()
}

fn link(process: &Watched, name: &str) -> PathBuf {
    fs::read_link(format!("/proc/{}/{name}", process.pid())).expect("the process lives")
}

/// Fields of `/proc/PID/stat` behind the name, which may hold blanks: the state comes first.
fn status_fields(process: &Watched) -> Vec<i64> {
    let text = read(process, "stat");
    let behind_name = text.rsplit(')').next().expect("a line has an end");
    behind_name.split_whitespace().skip(1).map_while(|field| field.parse().ok()).collect()
}

#[test]
fn the_gateway_inherits_nothing_of_the_pipeline() {
    let session = Session::new("probe *\n");
    // The job is refused for its token; the gateway that says so is started nevertheless.
    let script = "cd /usr; exec 7</dev/zero 9>>$HOME/file 200<.; env probe x";
    let mut pipeline = session.command(Way::Preloaded, "bash", ["-c", script]);
    pipeline.env("REDIRECTOR_JOB", "7").env("REDIRECTOR_TOKEN", "7.of-some-job");
    let pipeline = begin(&mut pipeline);
    let pipeline_pid = i64::from(pipeline.pid().as_raw());
    // Ends although the gateway lives on: it holds neither standard output nor standard error.
    pipeline.finish().expect_success("the pipeline");

    let gateway = session.gateway();
    assert_eq!(link(&gateway, "cwd"), PathBuf::from("/"));

    let [parent, _group, leader, terminal] = status_fields(&gateway)[..4] else {
        panic!("too few fields")
    };
    assert_eq!(leader, i64::from(gateway.pid().as_raw()), "it leads a session of its own");
    assert_eq!(terminal, 0, "it has no terminal");
    assert_ne!(parent, pipeline_pid);
    let parents_environment = fs::read(format!("/proc/{parent}/environ")).unwrap_or_default();
    let of_the_session = session.state();
    assert!(
        !String::from_utf8_lossy(&parents_environment)
            .contains(of_the_session.to_str().expect("plain")),
        "its parent, {parent}, is no process of the pipeline"
    );

    let environment = read(&gateway, "environ");
    for name in
        ["LD_PRELOAD", "REDIRECTOR_JOB", "REDIRECTOR_TOKEN", "REDIRECTOR_RUN", "REDIRECTOR_EXEC"]
    {
        let entry = environment.split('\0').find(|entry| entry.starts_with(&format!("{name}=")));
        assert_eq!(entry, None, "in the gateway's environment");
    }

    // The client that started it keeps signals back for its command.
    let status = read(&gateway, "status");
    let blocked = status.lines().find_map(|line| line.strip_prefix("SigBlk:"));
    assert_eq!(blocked.map(str::trim), Some("0000000000000000"), "'kill' ends it");

    assert_eq!(link(&gateway, "fd/0"), PathBuf::from("/dev/null"));
    assert_eq!(link(&gateway, "fd/1"), PathBuf::from("/dev/null"));
    assert_eq!(link(&gateway, "fd/2"), session.state().join("gateway.log"));
    let descriptors = fs::read_dir(format!("/proc/{}/fd", gateway.pid())).expect("it lives");
    for descriptor in descriptors {
        let target = fs::read_link(descriptor.expect("readable").path()).expect("it stays open");
        let target = target.to_string_lossy().into_owned();
        let foreign = target.starts_with("pipe:")
            || target == "/dev/zero"
            || target.starts_with("/usr")
            || target.starts_with(session.home().to_str().expect("plain"));
        assert!(!foreign, "the gateway holds {target}");
    }
}

/// The values of a variable of processes.
fn large_pages_of(processes: &[&Watched]) -> Vec<Option<String>> {
    let value = |process: &&Watched| {
        let environment = read(process, "environ");
        let value = |entry: &str| entry.strip_prefix("GLIBC_TUNABLES=").map(str::to_owned);
        environment.split('\0').find_map(value)
    };
    processes.iter().map(value).collect()
}

#[test]
fn the_gateway_alone_uses_large_pages() {
    let session = Session::new("");
    let (id, mut job) = submit_witness(&session, "job", &[]);
    let agent = session.agent_if_running().expect("it runs the job");
    let job_process = Watched::new(job.pid().as_raw()).expect("it waits for an order");
    assert_eq!(
        large_pages_of(&[&session.gateway(), &agent, &job_process]),
        [Some("glibc.malloc.hugetlb=1".to_owned()), None, None]
    );
    job.order("exit 0");
    session.ask(["wait", &id]).expect_success("the job");
}

#[test]
fn what_somebody_has_set_for_the_c_library_stays() {
    let session = Session::new("");
    let mut submit = submit_command(&session, &["--", "true"]);
    submit.env("GLIBC_TUNABLES", "glibc.malloc.perturb=0");
    let id = finish(&mut submit).expect_success("submit").text().trim().to_owned();
    session.ask(["wait", &id]).expect_success("the job");
    let set = Some("glibc.malloc.perturb=0".to_owned());
    assert_eq!(large_pages_of(&[&session.gateway()]), [set]);
}

/// One that a person starts begins anew as the same process.
#[test]
fn a_gateway_in_the_foreground_uses_large_pages_too() {
    let session = Session::new("");
    let mut serve = session.redirector(["serve"]);
    let mut serve = serve.spawn().expect("it is built");
    let socket = session.state().join("gateway.sock");
    until("it listens", || UnixStream::connect(&socket).is_ok());
    let gateway = session.gateway();
    assert_eq!(gateway.pid().as_raw().cast_unsigned(), serve.id());
    assert_eq!(large_pages_of(&[&gateway]), [Some("glibc.malloc.hugetlb=1".to_owned())]);
    session.ask(["stop"]).expect_success("stop");
    assert!(serve.wait().expect("it is a child").success());
}

#[test]
fn an_idle_gateway_leaves_and_the_next_client_starts_another() {
    let session = Session::new("probe *\n");
    let run = || {
        let mut command = session.command(Way::Preloaded, "env", ["probe", "x"]);
        finish(command.env("REDIRECTOR_IDLE_TIMEOUT", "1s")).expect_success("a job");
        session.gateway_if_running()
    };
    let first = run().expect("it stays for a second");
    first.wait_for_end();
    assert!(!session.state().join("gateway.sock").exists(), "a gateway that left has no socket");
    let second = run().expect("it stays for a second");
    assert_ne!(first.pid(), second.pid());
    assert_eq!(session.commands().len(), 2, "the second gateway knows the jobs of the first");
}

/// A client that comes just when the gateway leaves is served by the next one.
#[test]
fn clients_of_gateways_that_leave_all_the_time() {
    const CLIENTS: usize = 100;
    let session = Session::new("probe *\n");
    let script =
        format!("for number in {{1..{CLIENTS}}}; do env probe $number >/dev/null || exit; done");
    let mut command = session.command(Way::Preloaded, "bash", ["-c", &script]);
    command.env("REDIRECTOR_IDLE_TIMEOUT", "0.002").env("REDIRECTOR_ON_FAILURE", "fail");
    let finished = finish(&mut command).expect_success("all clients");
    assert!(finished.stderr.is_empty(), "{finished}");
    wait_until_left(&session);
    assert_eq!(session.commands().len(), CLIENTS);
}

fn wait_until_left(session: &Session) {
    if let Some(gateway) = session.gateway_if_running() {
        gateway.wait_for_end();
    }
}

/// The same for the subcommands that ask a gateway.
#[test]
fn questions_to_gateways_that_leave_all_the_time() {
    let session = Session::new("probe *\n");
    session.bash(Way::Preloaded, "env probe x").expect_success("a job");
    session.ask(["stop"]).expect_success("stop");
    for _ in 0..100 {
        let mut jobs = session.redirector(["jobs", "--all"]);
        let listing = finish(jobs.env("REDIRECTOR_IDLE_TIMEOUT", "0.002"));
        wait_until_left(&session);
        let listing = listing.expect_success("jobs");
        assert!(listing.text().contains("probe x"), "{listing}");
    }
}

#[test]
fn a_second_gateway_says_who_runs_already() {
    let session = Session::new("probe *\n");
    session.bash(Way::Preloaded, "env probe x").expect_success("a job");
    let first = session.gateway();
    let second = session.ask(["serve"]);
    assert_eq!(second.status.code(), SYSTEM_FAILURE, "{second}");
    let state = session.state();
    assert_says(
        &second,
        &[&first.pid().to_string(), state.to_str().expect("plain"), "redirector stop"],
    );
    assert!(!first.has_ended());
    session.bash(Way::Preloaded, "env probe x").expect_success("a job after that");
    assert_eq!(session.gateway().pid(), first.pid());
}

#[test]
fn what_a_gateway_left_behind_is_no_obstacle() {
    let session = Session::new("probe *\n");
    let state = session.state();
    drop(UnixListener::bind(state.join("gateway.sock")).expect("nothing is there yet"));
    for lock in ["gateway.lock", "start.lock"] {
        // Larger than any process number that Linux gives.
        fs::write(state.join(lock), "4194305\n").expect("the state directory is writable");
    }
    let finished = session.bash(Way::Preloaded, "env probe x").expect_success("a job");
    assert!(finished.stderr.is_empty(), "{finished}");
    assert_eq!(session.commands().len(), 1);
}

/// A gateway whose socket was removed cannot be reached, and its lock keeps others out.
#[test]
fn a_socket_that_somebody_removed() {
    let session = Session::new("probe *\n");
    session.bash(Way::Preloaded, "env probe x").expect_success("a job");
    let gateway = session.gateway();
    fs::remove_file(session.state().join("gateway.sock")).expect("a gateway listens");

    let finished = session.bash(Way::Preloaded, "env probe x").expect_success("a command");
    assert_says(&finished, &["running 'probe' here", &gateway.pid().to_string()]);
    let stopped = session.redirector(["stop"]);
    let stopped = begin(&mut { stopped });
    let pid = stopped.pid().as_raw();
    let stop = Watched::new(pid).expect("not waited for yet");
    // If 'stop' waits for a gateway that it did not reach, nothing ever ends that wait.
    let ends = stop.ends_within_seconds(15);
    gateway.kill();
    let stopped = stopped.finish();
    assert!(ends, "'redirector stop' hangs: {stopped}");
}

#[test]
fn a_gateway_in_the_foreground_stays_until_told_to_leave() {
    let session = Session::new("probe *\n");
    let mut serve = session.redirector(["serve"]);
    let serve = begin(serve.env("REDIRECTOR_IDLE_TIMEOUT", "0.001"));
    crate::support::until("it listens", || session.state().join("gateway.sock").exists());
    session.bash(Way::Preloaded, "env probe x").expect_success("a job");
    assert_eq!(session.gateway().pid(), serve.pid(), "the client uses the gateway that is there");
    session.gateway().signal(nix::sys::signal::Signal::SIGTERM);
    let served = serve.finish().expect_success("serve, told to leave");
    assert!(served.complaint().contains("listening"), "the log is on standard error: {served}");
    assert!(!session.state().join("gateway.sock").exists());
}
