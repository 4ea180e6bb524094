//! Which host a job runs on, and how many run on one.

use std::collections::BTreeMap;

use integration::{HostSettings, Listener, Way, Witness, begin};

use crate::cluster::{Cluster, until, write_script};

const HOSTS: [&str; 3] = ["h1", "h2", "h3"];

#[test]
fn a_rule_names_the_host() {
    let whitelist = "sh ... one host=h1\nsh ... two host=h2\nsh ... here host=head\n";
    let Some(cluster) = Cluster::start(2, whitelist) else { return };
    for (word, host) in [("one", "h1"), ("two", "h2"), ("here", "head")] {
        let script = format!("env sh -c hostname {word}");
        let told = cluster.session().bash(Way::Preloaded, &script).expect_success(word);
        assert_eq!(told.text(), format!("{host}\n"), "{told}");
    }
}

/// How many of the witnesses run on each host.
fn count_by_host<'a>(
    cluster: &'a Cluster,
    witnesses: impl IntoIterator<Item = &'a Witness>,
) -> BTreeMap<&'a str, usize> {
    let mut counts = BTreeMap::new();
    for witness in witnesses {
        *counts.entry(cluster.host_of(witness)).or_default() += 1;
    }
    counts
}

#[test]
fn jobs_are_spread_over_the_hosts() {
    let Some(cluster) = Cluster::start(3, "witness tags=lab\n") else { return };
    cluster.wait_until_up(&HOSTS);
    let started: Vec<_> =
        (0..3).map(|number| cluster.start_witness(&format!("socket.{number}"), &[])).collect();
    let counts = count_by_host(&cluster, started.iter().map(|(_, witness)| witness));
    assert_eq!(counts, BTreeMap::from(HOSTS.map(|host| (host, 1))));
    for (client, mut witness) in started {
        witness.order("exit 0");
        client.finish().expect_success("a client");
    }
}

/// Room would be for eight on each host, were it not for the limit.
#[test]
fn max_per_node_holds_across_two_pipelines() {
    const LIMIT: usize = 2;
    const JOBS: usize = 12;
    let settings = HostSettings { cpus: 8, each: "max_per_node = 2", ..HostSettings::default() };
    let Some(cluster) = Cluster::configured(3, "witness tags=lab\n", &settings) else { return };
    cluster.wait_until_up(&HOSTS);
    let listener = Listener::new(&cluster.session().directory(), "socket");
    let script = "for job in 1 2 3 4 5 6; do env witness \"$1\" & done; wait";
    let pipelines = Way::REDIRECTED.map(|way| {
        let arguments = ["-c", script, "pipeline", listener.path()];
        begin(&mut cluster.session().command(way, "bash", arguments))
    });

    let mut running: Vec<Witness> = (0..LIMIT * HOSTS.len()).map(|_| listener.accept()).collect();
    let full = BTreeMap::from(HOSTS.map(|host| (host, LIMIT)));
    assert_eq!(count_by_host(&cluster, &running), full, "as many as may run");
    for ended in 0..JOBS - LIMIT * HOSTS.len() {
        // The others have no room anywhere else; had one of them been started too early, it would
        // be the next to report, from a host with too many.
        let mut next = running.remove(ended % running.len());
        next.order("exit 0");
        assert_eq!(next.next_report(), None, "it ends");
        running.push(listener.accept());
        assert_eq!(count_by_host(&cluster, &running), full, "after {ended} more");
    }
    for witness in &mut running {
        witness.order("exit 0");
    }
    for pipeline in pipelines {
        pipeline.finish().expect_success("a pipeline");
    }
    assert_eq!(cluster.session().commands().len(), JOBS);
}

/// The machine's programs are on all hosts; one of them loses this one.
#[test]
fn a_host_without_the_program_is_no_candidate() {
    let Some(cluster) = Cluster::start(2, "tool tags=lab\n") else { return };
    let tool = cluster.session().directory().join("tool");
    write_script(&tool, "#!/bin/sh\nhostname\n");
    cluster.lab.on("h1", "mount", &["--bind", "/dev/null", tool.to_str().expect("plain")]);
    cluster.wait_until_up(&["h1", "h2"]);
    let script = "for job in 1 2 3 4; do env ./tool & done; wait";
    let told = cluster.session().bash(Way::Preloaded, script).expect_success("four jobs");
    assert_eq!(told.text(), "h2\n".repeat(4), "{told}");
}

/// Another directory of the same name is not the working directory.
#[test]
fn a_host_without_the_working_directory_is_no_candidate() {
    let Some(cluster) = Cluster::start(2, "hostname tags=lab\n") else { return };
    let directory = cluster.session().directory();
    cluster.lab.on("h2", "mount", &["-t", "tmpfs", "x", directory.to_str().expect("plain")]);
    cluster.wait_until_up(&["h1", "h2"]);
    let script = "for job in 1 2 3 4; do env hostname & done; wait";
    let told = cluster.session().bash(Way::Preloaded, script).expect_success("four jobs");
    assert_eq!(told.text(), "h1\n".repeat(4), "{told}");
}

/// Tags of hosts are pools of a list as well.
#[test]
fn what_no_host_of_its_pool_can_run_runs_here_where_its_rule_says_so() {
    let Some(cluster) = Cluster::start(1, "tool pool=lab,local\nhostname pool=lab,local\n") else {
        return;
    };
    let tool = cluster.session().directory().join("tool");
    write_script(&tool, "#!/bin/sh\necho here\n");
    cluster.lab.on("h1", "mount", &["--bind", "/dev/null", tool.to_str().expect("plain")]);
    cluster.wait_until_up(&["h1"]);
    let script = "env ./tool; env hostname";
    let told = cluster.session().bash(Way::Preloaded, script).expect_success("both");
    assert_eq!(told.text(), "here\nh1\n", "{told}");
    let said = told.complaint();
    assert_eq!(said.matches("pool 'lab' refused it: no node can run it (").count(), 1, "{said}");
    assert!(said.contains("; it waits for the gateway's own node ('local')"), "{said}");
}

#[test]
fn a_program_that_no_host_has() {
    let Some(cluster) = Cluster::start(2, "tool tags=lab\n") else { return };
    let tool = cluster.session().directory().join("tool");
    write_script(&tool, "#!/bin/sh\n");
    for host in ["h1", "h2"] {
        cluster.lab.on(host, "mount", &["--bind", "/dev/null", tool.to_str().expect("plain")]);
    }
    cluster.wait_until_up(&["h1", "h2"]);
    let client = begin(&mut cluster.session().command(Way::Preloaded, "env", ["./tool"]));
    until("the job has a reason to wait, or not to", || {
        let jobs = cluster.session().commands();
        let Some(job) = jobs.first() else { return false };
        let explained = cluster.session().ask(["explain", &job.id.to_string()]);
        let text = explained.text() + &explained.complaint();
        job.state == "finished" || (text.contains("tool") && text.contains("h1"))
    });
    let jobs = cluster.session().commands();
    cluster.session().ask(["cancel", &jobs[0].id.to_string()]);
    assert!(!client.finish().status.success(), "it cannot have run");
}
