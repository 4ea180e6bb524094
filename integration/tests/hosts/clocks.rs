//! Hosts whose clocks are wrong: nothing of a job, and nothing that is told of it, depends on them.
//!
//! All hosts of the lab have one clock, so those of the program are set off on them.

use std::{
    fs,
    time::{SystemTime, UNIX_EPOCH},
};

use integration::{HostFiles, HostSettings, Lab, Way};

use crate::{agent::agent, cluster::Cluster};

const HOUR: i64 = 3_600_000;

/// Milliseconds: how long a host's first word may have been on its way, on a busy machine.
const LATE: u64 = 5_000;

#[test]
fn an_hour_ahead_and_an_hour_behind() {
    let Some(lab) = Lab::start(2, HostFiles::Private) else { return };
    for (host, offset) in [("h1", HOUR), ("h2", -HOUR)] {
        let line = format!("echo export REDIRECTOR_CLOCK_OFFSET={offset} >/root/.bashrc");
        lab.on(host, "sh", &["-c", &line]);
    }
    let whitelist = "sh ... h1 host=h1\nsh ... h2 host=h2 retries=node:1\n";
    let cluster = Cluster::of(lab, whitelist, &HostSettings::default());
    cluster.wait_until_up(&["h1", "h2"]);
    for (host, offset) in [("h1", HOUR), ("h2", -HOUR)] {
        let environment = format!("/proc/{}/environ", agent(&cluster, host).pid());
        let environment = fs::read_to_string(environment).expect("plain text");
        let has_it = |entry: &str| entry == format!("REDIRECTOR_CLOCK_OFFSET={offset}");
        assert!(environment.split('\0').any(has_it), "{host}: {environment}");
    }
    let before = now();
    let script = "for host in h1 h2; do \
                    printf 'in\\0put' | env sh -c 'cat; hostname; exit 3' $host; echo $?; \
                  done";
    let told = cluster.session().bash(Way::Preloaded, script).expect_success("two jobs");
    assert_eq!(told.text(), "in\0puth1\n3\nin\0puth2\n3\n", "{told}");
    let after = now();
    let jobs = cluster.session().commands();
    assert_eq!(jobs.len(), 2);
    for job in jobs {
        assert_eq!(job.ending(), "exited(3)", "{job:?}");
        assert_eq!(cluster.session().show(&job).attempts.len(), 1, "{job:?}");
        let (Some(started), Some(ended)) = (job.started, job.ended) else { panic!("{job:?}") };
        assert!(before <= started && started <= after, "{before} {after}: {job:?}");
        assert!(before <= ended + LATE && ended <= after + LATE, "{before} {after}: {job:?}");
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as u64
}
