//! The agent of a host: who it is, what becomes of its jobs when it is killed, and when it leaves.

use integration::{Watched, finish};
use nix::sys::signal::Signal;

use crate::cluster::{Cluster, until};

/// The agent itself: the one of its processes that others are children of.
pub(crate) fn agent(cluster: &Cluster, host: &str) -> Watched {
    let mut agents = cluster.lab.agents(host);
    let is_agent = |line: &str| !line.contains("--shepherd") && !line.contains("--attach");
    let index = agents.iter().position(|it| is_agent(&it.command_line)).expect("it runs");
    agents.swap_remove(index).process
}

/// Its jobs are gone with it, to the last process, and are tried again if their rule says so.
#[test]
fn an_agent_that_is_killed() {
    let Some(cluster) = Cluster::start(1, "witness * tags=lab retries=node:1\n") else { return };
    let listener = integration::Listener::new(&cluster.session().directory(), "socket");
    let client = cluster.begin_witness(&listener);
    let mut first = listener.accept();
    agent(&cluster, "h1").signal(Signal::SIGKILL);
    assert_eq!(first.next_report(), None, "the job ends with its agent");
    let mut second = listener.accept();
    second.order("exit 6");
    assert_eq!(client.finish().status.code(), Some(6));
    let job = cluster.only_command();
    let endings: Vec<_> = job.attempts.iter().map(integration::Attempt::ending).collect();
    assert_eq!(endings, ["lost", "exited(6)"], "{job:?}");
}

#[test]
fn an_agent_that_is_killed_under_a_job_without_retries() {
    let Some(cluster) = Cluster::start(1, "witness * tags=lab\n") else { return };
    let (client, mut witness) = cluster.start_witness("socket", &[]);
    agent(&cluster, "h1").signal(Signal::SIGKILL);
    assert_eq!(witness.next_report(), None, "the job ends with its agent");
    let ended = client.finish();
    assert_eq!(ended.status.code(), Some(125), "{ended}");
    crate::cluster::assert_says(&ended, &["h1", "agent"]);
    assert_eq!(cluster.only_command().ending(), "lost");
}

/// One for all gateways to come, and none when the gateway was told to stop.
#[test]
fn an_agent_outlives_its_gateway_but_not_a_stop() {
    let Some(cluster) = Cluster::start(1, "hostname tags=lab\n") else { return };
    let run = || {
        let mut command =
            cluster.session().command(integration::Way::Preloaded, "env", ["hostname"]);
        assert_eq!(finish(&mut command).expect_success("a job").text(), "h1\n");
    };
    run();
    let first = agent(&cluster, "h1");
    // It has seen that the client has gone with everything. One that is killed before leaves the
    // agent waiting for that client.
    cluster.session().ask(["status"]).expect_success("status");
    cluster.session().gateway().kill();
    run();
    cluster.session().ask(["status"]).expect_success("status");
    assert_eq!(agent(&cluster, "h1").pid(), first.pid(), "the next gateway finds it");
    cluster.session().ask(["stop"]).expect_success("stop");
    first.wait_for_end();
    cluster.lab.assert_nothing_left();
}

/// A command that is over before its client has come for its descriptors, of which there are none.
#[test]
fn an_agent_keeps_nothing_for_clients_that_are_gone() {
    let Some(cluster) = Cluster::start(1, "hostname tags=lab\n") else { return };
    let script = "for i in 1 2 3 4 5; do hostname </dev/null >/dev/null 2>&1 || exit; done";
    cluster.session().bash(integration::Way::Preloaded, script).expect_success("five jobs");
    let agent = agent(&cluster, "h1");
    cluster.session().ask(["stop"]).expect_success("stop");
    agent.wait_for_end();
    cluster.lab.assert_nothing_left();
}

/// What was copied to the host is used again.
#[test]
fn the_program_is_copied_once() {
    let Some(cluster) = Cluster::start(1, "hostname tags=lab\n") else { return };
    let copies = || {
        let found = cluster.lab.on(
            "h1",
            "find",
            &["/root", "/tmp", "/var/tmp", "-path", "*/bin/*/redirector", "-printf", "%i %p\n"],
        );
        found.text()
    };
    cluster.wait_until_up(&["h1"]);
    let before = copies();
    assert_eq!(before.lines().count(), 1, "{before}");
    cluster.lab.kill_sessions("h1");
    agent(&cluster, "h1").signal(Signal::SIGKILL);
    until("a new agent is there", || {
        let job = cluster.session().bash(integration::Way::Preloaded, "env hostname");
        job.status.success()
    });
    assert_eq!(copies(), before);
}
