//! The connection to a host is lost in the middle of a stream: no byte is lost or doubled, and the
//! pipeline sees nothing of it.

use std::{thread, time::Duration};

use integration::{Listener, Watched, Way, finish};

use crate::{
    cluster::{Cluster, until},
    stream::pass_through,
};

const WHITELIST: &str = "cat tags=lab\nwitness * tags=lab\nseq * tags=lab\n";

/// 16 MiB before a fault, and as many after it.
const CHUNKS: usize = 256;

/// One stream through one job, which has to be tried only once whatever happens.
#[track_caller]
fn stream_during(cluster: &Cluster, fault: impl FnOnce() + Send) {
    let mut command = cluster.session().command(Way::Preloaded, "env", ["cat"]);
    pass_through(&mut command, CHUNKS, fault);
    let jobs = cluster.session().commands();
    let job = cluster.session().show(&jobs[0]);
    assert_eq!((job.ending().as_str(), job.attempts.len()), ("exited(0)", 1), "{job:?}");
    cluster.lab.assert_no_jobs_left();
}

#[test]
fn a_stream_without_faults() {
    let Some(cluster) = Cluster::start(1, WHITELIST) else { return };
    stream_during(&cluster, || ());
}

#[test]
fn sessions_of_sshd_killed() {
    let Some(cluster) = Cluster::start(1, WHITELIST) else { return };
    stream_during(&cluster, || cluster.lab.kill_sessions("h1"));
    stream_during(&cluster, || {
        cluster.lab.kill_sshd("h1");
        cluster.lab.kill_sessions("h1");
        cluster.lab.start_sshd("h1", &[]);
    });
}

#[test]
fn gateway_killed() {
    let Some(cluster) = Cluster::start(1, WHITELIST) else { return };
    for _ in 0..2 {
        stream_during(&cluster, || cluster.session().gateway().kill());
    }
}

/// The ssh of the gateway, which is its child.
fn ssh_of(gateway: &Watched) -> Option<Watched> {
    let pid = gateway.pid();
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    let is_ssh = |pid: &&str| {
        std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "ssh")
    };
    children.split_whitespace().find(is_ssh).and_then(|pid| Watched::new(pid.parse().ok()?))
}

#[test]
fn ssh_killed() {
    let Some(cluster) = Cluster::start(1, WHITELIST) else { return };
    stream_during(&cluster, || {
        let ssh = ssh_of(&cluster.session().gateway()).expect("a host is reached by ssh");
        let environment = std::fs::read(format!("/proc/{}/environ", ssh.pid())).expect("it lives");
        let environment = String::from_utf8_lossy(&environment);
        assert!(!environment.contains("GLIBC_TUNABLES"), "the gateway's own: {environment}");
        ssh.kill();
    });
}

/// Shorter than anybody's patience: TCP sends again what was lost.
#[test]
fn cable_cut_for_a_moment() {
    let Some(cluster) = Cluster::start(1, WHITELIST) else { return };
    stream_during(&cluster, || {
        cluster.lab.cut("h1");
        thread::sleep(Duration::from_secs(2));
        cluster.lab.heal("h1");
    });
}

/// Longer than the time after which a connection counts as dead.
#[test]
fn cable_cut_for_half_a_minute() {
    let Some(cluster) = Cluster::start(2, WHITELIST) else { return };
    cluster.wait_until_up(&["h1", "h2"]);
    let hosts = ["h1", "h2"];
    stream_during(&cluster, || {
        for host in hosts {
            cluster.lab.cut(host);
        }
        thread::sleep(Duration::from_secs(30));
        for host in hosts {
            cluster.lab.heal(host);
        }
    });
}

/// Its end is not known to anybody until the host can be reached again.
#[test]
fn a_job_that_ends_while_its_host_is_out_of_reach() {
    let Some(cluster) = Cluster::start(1, WHITELIST) else { return };
    let (client, mut witness) = cluster.start_witness("socket", &[]);
    cluster.lab.kill_sshd("h1");
    cluster.lab.kill_sessions("h1");
    witness.order("exit 7");
    assert_eq!(witness.next_report(), None, "the job has ended");
    until("the link is known to be lost", || {
        cluster.session().nodes().iter().any(|node| node.node == "h1" && !node.is_up())
    });
    cluster.lab.start_sshd("h1", &[]);
    let ended = client.finish();
    assert_eq!(ended.status.code(), Some(7), "{ended}");
    assert!(ended.stderr.is_empty(), "the pipeline sees nothing of it: {ended}");
}

/// Nobody waits for it, and its output is fetched by whichever gateway comes next.
#[test]
fn a_detached_job_that_ends_without_a_gateway() {
    let Some(cluster) = Cluster::start(1, WHITELIST) else { return };
    let session = cluster.session();
    cluster.wait_until_up(&["h1"]);
    let listener = Listener::new(&session.directory(), "socket");
    let script = "echo started; witness \"$0\"; seq 100000";
    let submission = ["submit", "--host", "h1", "--", "sh", "-c", script, listener.path()];
    let job = session.ask(submission).expect_success("submit").text().trim().to_owned();
    let mut witness = listener.accept();
    session.gateway().kill();
    witness.order("exit 0");
    session.ask(["wait", &job]).expect_success("wait");
    let logs = finish(&mut session.redirector(["logs", &job])).expect_success("logs").text();
    let lines: Vec<_> = logs.lines().collect();
    assert_eq!((lines.len(), lines[0], lines[100_000]), (100_001, "started", "100000"));
}
