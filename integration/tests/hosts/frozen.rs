//! A host whose kernel answers, but no process.

use std::{thread, time::Duration};

use integration::{Attempt, HostSettings, Listener, Way};

use crate::{cluster::Cluster, stream::pass_through};

#[test]
fn a_short_freeze_is_not_noticed() {
    let Some(cluster) = Cluster::start(2, "cat host=h1\nhostname host=h2\n") else { return };
    let mut command = cluster.session().command(Way::Preloaded, "env", ["cat"]);
    pass_through(&mut command, 256, || {
        cluster.lab.freeze("h1");
        let told = cluster.session().bash(Way::Preloaded, "env hostname");
        assert_eq!(told.expect_success("a job on the other host").text(), "h2\n");
        thread::sleep(Duration::from_secs(2));
        cluster.lab.thaw("h1");
    });
}

/// Its job is tried elsewhere; when the host wakes up, its own try is ended and counts for nothing.
#[test]
fn a_long_freeze_costs_the_job_and_leaves_nothing() {
    let settings = HostSettings { ssh: "lost_after = \"2s\"", ..HostSettings::default() };
    let whitelist = "witness * tags=lab retries=node:1\n";
    let Some(cluster) = Cluster::configured(2, whitelist, &settings) else { return };
    cluster.wait_until_up(&["h1", "h2"]);
    let listener = Listener::new(&cluster.session().directory(), "socket");
    let client = cluster.begin_witness(&listener);
    let mut first = listener.accept();
    let host = cluster.host_of(&first).to_owned();
    cluster.lab.freeze(&host);
    let mut second = listener.accept();
    assert_ne!(cluster.host_of(&second), host);
    second.order("exit 5");
    assert_eq!(client.finish().status.code(), Some(5));

    cluster.lab.thaw(&host);
    let reports: Vec<_> = std::iter::from_fn(|| first.next_report()).collect();
    assert!(reports.iter().all(|it| ["CONT", "TERM"].contains(&it.as_str())), "{reports:?}");
    let job = cluster.only_command();
    let endings: Vec<_> = job.attempts.iter().map(Attempt::ending).collect();
    assert_eq!(endings, ["lost", "exited(5)"], "{job:?}");
    cluster.wait_until_up(&[&host]);
}
