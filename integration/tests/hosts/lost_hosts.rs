//! Hosts that go down with jobs on them: those are tried again elsewhere if their rule says so, and
//! a host that comes back takes jobs again.

use integration::{Attempt, HostSettings, Lab, Listener, Running, Way, Witness};

use crate::cluster::{Cluster, assert_says};

/// So that the tests need not wait for five minutes.
const IMPATIENT: HostSettings<'static> =
    HostSettings { cpus: 2, ssh: "lost_after = \"3s\"", each: "" };

fn start(hosts: usize, whitelist: &str) -> Option<(Cluster, Listener)> {
    let cluster = Cluster::configured(hosts, whitelist, &IMPATIENT)?;
    let listener = Listener::new(&cluster.session().directory(), "socket");
    Some((cluster, listener))
}

/// Ends the second attempt well, and demands that the first was lost and nothing else came of it.
#[track_caller]
fn finish_second(cluster: &Cluster, client: Running, mut second: Witness) {
    second.order("exit 3");
    let ended = client.finish();
    assert_eq!(ended.status.code(), Some(3), "{ended}");
    let job = cluster.only_command();
    let endings: Vec<_> = job.attempts.iter().map(Attempt::ending).collect();
    assert_eq!(endings, ["lost", "exited(3)"], "{job:?}");
}

#[test]
fn a_job_is_tried_again_on_another_host() {
    for go_down in [Lab::crash, Lab::halt] {
        let whitelist = "witness * tags=lab retries=node:1\n";
        let Some((cluster, listener)) = start(2, whitelist) else { return };
        cluster.wait_until_up(&["h1", "h2"]);
        let client = cluster.begin_witness(&listener);
        let mut first = listener.accept();
        let host = cluster.host_of(&first).to_owned();
        go_down(&cluster.lab, &host);
        assert_eq!(first.next_report(), None, "the job is gone");
        let second = listener.accept();
        assert_ne!(cluster.host_of(&second), host);
        finish_second(&cluster, client, second);

        cluster.lab.boot(&host);
        cluster.wait_until_up(&[&host]);
    }
}

/// The agent that knew of the job is gone, and the new one says so at once.
#[test]
fn a_host_that_is_back_before_it_is_given_up() {
    let whitelist = "witness * host=h1 retries=node:1\n";
    let Some(cluster) = Cluster::start(1, whitelist) else { return };
    let listener = Listener::new(&cluster.session().directory(), "socket");
    let client = cluster.begin_witness(&listener);
    let mut first = listener.accept();
    cluster.lab.halt("h1");
    assert_eq!(first.next_report(), None, "the job is gone");
    cluster.lab.boot("h1");
    let second = listener.accept();
    assert_eq!(cluster.host_of(&second), "h1");
    finish_second(&cluster, client, second);
}

#[test]
fn a_job_without_retries_is_lost() {
    let Some(cluster) = Cluster::configured(1, "witness * tags=lab\n", &IMPATIENT) else { return };
    let (client, mut witness) = cluster.start_witness("socket", &[]);
    cluster.lab.halt("h1");
    assert_eq!(witness.next_report(), None, "the job is gone");
    let ended = client.finish();
    assert_eq!(ended.status.code(), Some(125), "{ended}");
    assert_says(&ended, &["h1"]);
    assert_eq!(cluster.only_command().ending(), "lost");
}

/// Nothing that runs elsewhere is held up by a host that is down.
#[test]
fn other_hosts_go_on() {
    let whitelist = "witness * host=h1\nhostname host=h2\n";
    let Some((cluster, listener)) = start(2, whitelist) else { return };
    let client = cluster.begin_witness(&listener);
    let _first = listener.accept();
    cluster.lab.crash("h1");
    let told = cluster.session().bash(Way::Preloaded, "for n in 1 2 3; do env hostname; done");
    assert_eq!(told.expect_success("jobs on h2").text(), "h2\n".repeat(3));
    assert!(!client.finish().status.success(), "the other job is lost");
}
