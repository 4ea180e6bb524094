//! Hosts on which there is no room: for processes, or on the disk.

use integration::{HostFiles, HostSettings, Lab, Listener, Way};

use crate::{
    cluster::{Cluster, until},
    stream::pass_through,
};

const WHITELIST: &str = "witness * tags=lab retries=node:2\ncat host=h1\nhostname host=h2\n";

/// The agent answers, but can start nothing: the job runs elsewhere.
#[test]
fn a_host_that_cannot_start_processes() {
    let Some(cluster) = Cluster::start(2, WHITELIST) else { return };
    cluster.wait_until_up(&["h1", "h2"]);
    cluster.lab.forbid_processes("h1");
    // Two fill h2, so that there would be room on h1 only, were it any good.
    for name in ["one", "two"] {
        let listener = Listener::new(&cluster.session().directory(), name);
        let client = cluster.begin_witness(&listener);
        let mut witness = listener.accept();
        assert_eq!(cluster.host_of(&witness), "h2");
        witness.order("exit 0");
        client.finish().expect_success("the job");
    }
    cluster.lab.allow_processes("h1");
}

#[test]
fn a_job_on_a_host_that_cannot_start_processes() {
    let Some(cluster) = Cluster::start(1, "hostname host=h1\n") else { return };
    cluster.wait_until_up(&["h1"]);
    cluster.lab.forbid_processes("h1");
    let ended = cluster.session().bash(Way::Preloaded, "env hostname");
    assert_eq!(ended.status.code(), Some(125), "{ended}");
    crate::cluster::assert_says(&ended, &["h1"]);
    cluster.lab.allow_processes("h1");
    let told = cluster.session().bash(Way::Preloaded, "env hostname");
    assert_eq!(told.expect_success("as before").text(), "h1\n");
}

/// No room left for the agent's files and copy of the program; h2 is as it should be.
#[test]
fn a_disk_that_is_full_from_the_beginning() {
    let Some(lab) = Lab::with_space(2, HostFiles::Private, "64m") else { return };
    let fill = "for place in /root /tmp /var/tmp /home /run /dev/shm /mnt /srv; do \
                cat /dev/zero >$place/ballast 2>/dev/null; done; true";
    lab.on("h1", "sh", &["-c", fill]);
    let cluster = Cluster::of(lab, WHITELIST, &HostSettings::default());
    cluster.wait_until_up(&["h2"]);
    let mut problem = None;
    until("something is known to be wrong with h1", || {
        let nodes = cluster.session().nodes();
        problem = nodes.into_iter().find(|node| node.node == "h1").and_then(|it| it.problem);
        problem.is_some()
    });
    let problem = problem.expect("the wait is over");
    assert!(problem.contains("h1") && problem.contains("No space left on device"), "{problem}");
    let told = cluster.session().bash(Way::Preloaded, "env hostname");
    assert_eq!(told.expect_success("a job on the other host").text(), "h2\n");
}

/// What is only passed through needs no room.
#[test]
fn a_disk_that_fills_up_under_a_stream() {
    let Some(lab) = Lab::with_space(2, HostFiles::Private, "64m") else { return };
    let cluster = Cluster::of(lab, WHITELIST, &HostSettings::default());
    let mut command = cluster.session().command(Way::Preloaded, "env", ["cat"]);
    pass_through(&mut command, 512, || {
        let fill = "cat /dev/zero >/tmp/ballast 2>/dev/null; true";
        cluster.lab.on("h1", "sh", &["-c", fill]);
    });
    // Neither does a job whose agent is there.
    let told = cluster.session().bash(Way::Preloaded, "printf x | env cat");
    assert_eq!(told.expect_success("a job on a full disk").text(), "x");
}
