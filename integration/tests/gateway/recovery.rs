//! A gateway that is killed: running jobs go on, waiting ones run once, and all is recorded.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use integration::{
    DEADLINE, Listener, Missing, Random, Running, Session, Watched, Way, begin, find_program,
    finish, skip,
};
use nix::sys::signal::{Signal, kill};

use crate::support::{
    ONE_CPU, assert_says, line_command, lines, next_gateway, only_command, queue_line,
    start_witness, until, write_script,
};

#[test]
fn a_running_job_goes_on_without_its_gateway() {
    let session = Session::new("witness\n");
    let (client, mut witness) = start_witness(&session, "socket", &[]);
    let first = session.gateway();
    first.kill();
    witness.order("ping");
    assert_eq!(witness.next_report().as_deref(), Some("pong"), "the job goes on");
    let second = next_gateway(&session, &first);
    witness.order("exit 7");
    let finished = client.finish();
    assert_eq!(finished.status.code(), Some(7), "{finished}");
    assert!(finished.stderr.is_empty(), "the pipeline sees nothing of it: {finished}");

    let job = only_command(&session);
    assert_eq!(job.ending(), "exited(7)", "{job:?}");
    assert_eq!(job.attempts.len(), 1, "{job:?}");
    assert_eq!(session.gateway().pid(), second.pid(), "one client starts one gateway");
}

/// The outcome is known to the client alone when there is no gateway at that moment.
#[test]
fn a_job_that_ends_while_there_is_no_gateway() {
    let session = Session::new("witness\n");
    let (client, mut witness) = start_witness(&session, "socket", &[]);
    let first = session.gateway();
    // Neither does the client find out that the gateway died before the job ended.
    kill(client.pid(), Signal::SIGSTOP).expect("the client is there");
    first.kill();
    witness.order("exit 9");
    assert_eq!(witness.next_report(), None, "the job has ended");
    kill(client.pid(), Signal::SIGCONT).expect("the client is there");
    let finished = client.finish();
    assert_eq!(finished.status.code(), Some(9), "{finished}");
    let job = only_command(&session);
    assert_eq!((job.ending().as_str(), job.attempts.len()), ("exited(9)", 1), "{job:?}");
}

/// The socket that a client is connected by.
fn connection(client: &Running) -> Option<PathBuf> {
    let entries = fs::read_dir(format!("/proc/{}/fd", client.pid())).expect("the client lives");
    // Entries vanish while the client closes what they stand for.
    let mut targets = entries.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    targets.find(|target| target.to_string_lossy().starts_with("socket:"))
}

/// Also when their clients find the new gateway in another order.
#[test]
fn jobs_that_wait_keep_their_place() {
    const WAITING: usize = 5;
    let session = Session::with_settings("witness cpus=1\nsh cpus=1\n", ONE_CPU);
    let (running, mut witness) = start_witness(&session, "socket", &[]);
    let waiting: Vec<_> = (0..WAITING).map(|line| queue_line(&session, line)).collect();
    let before: Vec<_> = waiting.iter().map(connection).collect();
    let send = |client: &Running, signal| kill(client.pid(), signal).expect("it is there");
    for client in &waiting {
        send(client, Signal::SIGSTOP);
    }
    let first = session.gateway();
    first.kill();
    next_gateway(&session, &first);
    for (client, before) in waiting.iter().zip(&before).rev() {
        send(client, Signal::SIGCONT);
        until("the client is connected anew", || {
            let now = connection(client);
            now.is_some() && now != *before
        });
    }
    witness.order("exit 0");
    for client in [running].into_iter().chain(waiting) {
        let finished = client.finish().expect_success("a client");
        assert!(finished.stderr.is_empty(), "{finished}");
    }
    assert_eq!(lines(&session), (0..WAITING).collect::<Vec<_>>(), "once each, in their order");
    for job in session.commands() {
        let job = session.show(&job);
        assert_eq!((job.ending().as_str(), job.attempts.len()), ("exited(0)", 1), "{job:?}");
    }
}

/// A job still holds its cpus after a restart: what waits must go on waiting.
#[test]
fn a_new_gateway_knows_what_running_jobs_hold() {
    let session = Session::with_settings("witness cpus=1\nsh cpus=1\n", ONE_CPU);
    let (running, mut witness) = start_witness(&session, "socket", &[]);
    let first = session.gateway();
    first.kill();
    next_gateway(&session, &first);
    let waiting = queue_line(&session, 1);
    assert!(lines(&session).is_empty(), "there is one cpu, and it is taken");
    witness.order("exit 0");
    running.finish().expect_success("the job from before");
    waiting.finish().expect_success("the job that waited");
    assert_eq!(lines(&session), [1]);
}

/// The run goes on under the new gateway, and what it starts there still belongs to it.
#[test]
fn a_run_that_survives_its_gateway() {
    for way in Way::REDIRECTED {
        let session = Session::new("witness\nend *\n");
        let listener = Listener::new(&session.directory(), "socket");
        let script = "env witness \"$1\"; env end exit 4; env end exit 5";
        let arguments = ["-c", script, "pipeline", listener.path()];
        let pipeline = begin(&mut session.command(way, "bash", arguments));
        let mut witness = listener.accept();
        session.gateway().kill();
        witness.order("exit 0");
        let finished = pipeline.finish();
        assert_eq!(finished.status.code(), Some(5), "{way:?}: {finished}");
        assert!(finished.stderr.is_empty(), "{way:?}: {finished}");

        until("the gateway has seen the end of the run", || {
            session.jobs().iter().all(|job| job.state == "finished")
        });
        let jobs = session.jobs();
        let endings: Vec<_> = jobs.iter().rev().map(integration::Job::ending).collect();
        let of_the_run = if way == Way::Run { "exited(5)" } else { "ended" };
        assert_eq!(endings, [of_the_run, "exited(0)", "exited(4)", "exited(5)"], "{way:?}");
        let run = jobs.last().expect("there are four");
        for job in &jobs {
            assert_eq!(job.run.as_ref(), Some(&run.id), "{way:?}: {job:?}");
        }
    }
}

/// A client that never reaches a gateway again reports that, and ends as its job did.
#[test]
fn a_gateway_that_does_not_come_back() {
    let session = Session::new("witness\n");
    let listener = Listener::new(&session.directory(), "socket");
    let mut command = session.command(Way::Preloaded, "env", ["witness", listener.path()]);
    let client = begin(command.env("REDIRECTOR_RECONNECT", "1s"));
    let mut witness = listener.accept();
    let gateway = session.gateway();
    kill(client.pid(), Signal::SIGSTOP).expect("the client is there");
    gateway.kill();
    let away = session.directory().join("away");
    fs::rename(session.state(), &away).expect("nobody uses it");
    // Neither can it be made again.
    fs::write(session.state(), "").expect("the name is free");
    kill(client.pid(), Signal::SIGCONT).expect("the client is there");
    witness.order("exit 8");
    let finished = client.finish();
    assert_eq!(finished.status.code(), Some(8), "{finished}");
    assert_says(&finished, &["exited(8)", "'witness'", "not journalled"]);
    fs::remove_file(session.state()).expect("made above");
    fs::rename(&away, session.state()).expect("the name is free again");
    let job = only_command(&session);
    assert_eq!(job.ending(), "lost", "{job:?}");
}

#[test]
fn a_gateway_and_its_client_killed_together() {
    let session = Session::new("job.sh *\n");
    let script = session.directory().join("job.sh");
    // A second process, in a session of its own: no signal to a group reaches it.
    let content = "#!/bin/sh\necho >>starts\nsetsid witness \"$1\" &\nexec witness \"$2\"\n";
    write_script(&script, content);
    let listeners = ["child", "command"].map(|name| Listener::new(&session.directory(), name));
    let script = script.to_str().expect("plain").to_owned();
    let arguments = [&script, listeners[0].path(), listeners[1].path()];
    let client = begin(&mut session.command(Way::Preloaded, "env", arguments));
    let [mut child, mut command] = listeners.each_ref().map(Listener::accept);

    let gateway = session.gateway();
    gateway.signal(Signal::SIGKILL);
    kill(client.pid(), Signal::SIGKILL).expect("the client is there");
    gateway.wait_for_end();
    assert_eq!(command.next_report(), None, "the command ends with its client");

    // Whoever looks next starts the gateway that finds out.
    let job = only_command(&session);
    assert!(["lost", "cancelled"].contains(&job.ending().as_str()), "{job:?}");
    assert!(job.reason.is_some(), "says why: {job:?}");
    assert_eq!(child.next_report(), None, "what the job had started is ended, too");
    client.finish();

    session.ask(["stop"]).expect_success("stop");
    assert_eq!(session.commands().len(), 1);
    let starts = fs::read_to_string(session.directory().join("starts")).expect("it ran");
    assert_eq!(starts.lines().count(), 1, "nothing runs it again");
}

/// Has the kernel end the gateway when it is about to answer the next client: what it answers is
/// journalled by then. False where that cannot be arranged.
#[track_caller]
fn kill_before_next_answer(session: &Session) -> bool {
    let Some(strace) = find_program("strace") else {
        skip("a gateway that dies before it answers", "strace", Missing::Skip);
        return false;
    };
    let gateway = session.gateway().pid().to_string();
    let answers = "inject=write,writev,sendto,sendmsg:error=EPIPE:signal=SIGKILL";
    let mut strace = Command::new(strace);
    strace.args(["-qq", "-o", "/dev/null", "-e", answers, "-p", &gateway]).stdin(Stdio::null());
    let mut tracer = strace.spawn().expect("strace starts");
    until("the gateway is traced, or cannot be", || {
        let status = fs::read_to_string(format!("/proc/{gateway}/status")).unwrap_or_default();
        let traced = status
            .lines()
            .any(|line| line.strip_prefix("TracerPid:").is_some_and(|tracer| tracer.trim() != "0"));
        traced || tracer.try_wait().expect("our child").is_some()
    });
    if tracer.try_wait().expect("our child").is_some() {
        skip(
            "a gateway that dies before it answers",
            "the right to trace processes",
            Missing::Skip,
        );
        return false;
    }
    // It ends with the gateway that it traces.
    std::thread::spawn(move || tracer.wait());
    true
}

/// Its client asks again, and it is still the same job.
#[test]
fn a_job_that_was_journalled_and_never_accepted() {
    for busy in [false, true] {
        let session = Session::with_settings("witness cpus=1\nsh cpus=1\n", ONE_CPU);
        let (running, mut witness) = start_witness(&session, "socket", &[]);
        let mut running = Some(running);
        if !busy {
            witness.order("exit 0");
            running.take().expect("just started").finish().expect_success("the first job");
        }
        let gateway = session.gateway();
        if !kill_before_next_answer(&session) {
            return;
        }
        let client = begin(&mut line_command(&session, 1));
        gateway.wait_for_end();
        let process = Watched::new(client.pid().as_raw()).expect("not waited for yet");
        if let Some(running) = running {
            witness.order("exit 0");
            running.finish().expect_success("the job that keeps the node busy");
        }
        let ends = process.ends_within_seconds(10);
        if !ends {
            process.signal(Signal::SIGKILL);
        }
        let finished = client.finish();
        assert!(ends, "busy: {busy}: its client waits for ever: {finished}");
        finished.expect_success("its client");
        assert_eq!(lines(&session), [1], "busy: {busy}: once");
        let jobs: Vec<_> =
            session.commands().into_iter().filter(|job| job.program() == "sh").collect();
        assert_eq!(jobs.len(), 1, "busy: {busy}: {jobs:?}");
        assert_eq!(jobs[0].ending(), "exited(0)", "busy: {busy}");
    }
}

/// Kills at moments that a client cannot choose: before, while and after it is answered.
#[test]
fn many_kills_under_load() {
    const JOBS: usize = 30;
    const AT_ONCE: usize = 6;
    for seed in 1..=8 {
        let session = Session::new("sh cpus=1\n");
        let mut random = Random::new(seed);
        let finished = std::thread::scope(|scope| {
            let (done, all_done) = mpsc::channel::<()>();
            let session = &session;
            scope.spawn(move || {
                let deadline = Instant::now() + DEADLINE / 2;
                // The moment is what is random, so this waits for a time and not for an event.
                let mut pause = || Duration::from_micros(random.below(40_000));
                while all_done.recv_timeout(pause()) == Err(mpsc::RecvTimeoutError::Timeout) {
                    if Instant::now() < deadline
                        && let Some(gateway) = session.gateway_if_running()
                    {
                        // It may have ended on its own, or for the last kill, just now.
                        kill(gateway.pid(), Signal::SIGKILL).ok();
                        gateway.wait_for_end();
                    }
                }
            });
            let workers: Vec<_> = (0..AT_ONCE)
                .map(|first| {
                    scope.spawn(move || {
                        let numbers = (first..JOBS).step_by(AT_ONCE);
                        numbers
                            .map(|number| finish(&mut line_command(session, number)))
                            .collect::<Vec<_>>()
                    })
                })
                .collect();
            let finished: Vec<_> =
                workers.into_iter().flat_map(|worker| worker.join().expect("a worker")).collect();
            drop(done);
            finished
        });
        // Who gets no answer from several gateways in a row may run its command itself, and says so.
        let mut ran_here = 0;
        for client in finished {
            let client = client.expect_success(&format!("seed {seed}: a client"));
            ran_here += client.complaint().matches("running 'sh' here").count();
        }
        let mut found = lines(&session);
        found.sort_unstable();
        assert_eq!(found, (0..JOBS).collect::<Vec<_>>(), "seed {seed}: once each");
        let mut succeeded = 0;
        for job in session.commands() {
            let job = session.show(&job);
            assert_eq!(job.state, "finished", "seed {seed}: {job:?}");
            assert!(job.attempts.len() <= 1, "seed {seed}: {job:?}");
            succeeded += usize::from(job.ending() == "exited(0)");
        }
        assert_eq!(succeeded + ran_here, JOBS, "seed {seed}: each is recorded or ran by itself");
    }
}
