//! What goes wrong while files are copied to a host or back: nothing is lost or damaged, and what
//! cannot be done is said.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use integration::{Attempt, HostFiles, HostSettings, Lab, Running, Way, begin};
use nix::sys::signal::{Signal, kill};

use crate::{
    agent::agent,
    cluster::{Cluster, assert_says, until},
    staging::{noise, received},
};

/// Takes so long that something can be done in the middle of it.
const LARGE: usize = 96 << 20;

/// A part of it.
const SOME: u64 = 8 << 20;

const WHITELIST: &str = "sh * host=h1 stage=on\n";

fn start() -> Option<Cluster> {
    let cluster = Cluster::without_files(1, WHITELIST, &HostSettings::default())?;
    cluster.wait_until_up(&["h1"]);
    Some(cluster)
}

/// A job that copies `large` to `copy`.
fn begin_copying(cluster: &Cluster) -> (Running, PathBuf) {
    let directory = cluster.session().directory();
    fs::write(directory.join("large"), noise(LARGE)).expect("room");
    // Only time makes it possible to be in the middle of something.
    cluster.lab.delay("h1", 1);
    let arguments = ["sh", "-c", "cat \"$1\" >\"$2\"", "job", "large", "copy"];
    (begin(&mut cluster.session().command(Way::Preloaded, "env", arguments)), directory)
}

/// Demands that the job ended well, in one attempt, and that the copy is one.
#[track_caller]
fn assert_copied(cluster: &Cluster, client: Running, directory: &Path) {
    let ended = client.finish().expect_success("the job");
    assert!(ended.stderr.is_empty(), "the pipeline sees nothing of it: {ended}");
    let [large, copy] =
        ["large", "copy"].map(|name| fs::read(directory.join(name)).expect("it is here"));
    assert!(large == copy, "{} bytes of {}", copy.len(), large.len());
    let job = cluster.only_command();
    assert_eq!((job.ending().as_str(), job.attempts.len()), ("exited(0)", 1), "{job:?}");
    let left: Vec<_> = fs::read_dir(directory)
        .expect("readable")
        .map(|entry| entry.expect("nobody changes it").file_name())
        .collect();
    assert_eq!(left.len(), 2, "nothing else is left: {left:?}");
}

/// The input is on its way.
fn until_some_is_there(cluster: &Cluster) {
    let script = "cat /tmp/redirector-*/cache/blobs/*.part 2>/dev/null | wc -c";
    until("a part of the input is there", || {
        let there = cluster.lab.on("h1", "sh", &["-c", script]).text();
        there.trim().parse::<u64>().expect("a number") > SOME
    });
}

/// The output is on its way.
fn until_some_is_here(directory: &Path) {
    until("a part of the output is here", || {
        let mut entries = fs::read_dir(directory).expect("readable").filter_map(Result::ok);
        entries.any(|entry| {
            let is_part = entry.file_name().to_string_lossy().starts_with(".redirector-");
            is_part && entry.metadata().is_ok_and(|found| found.size() > SOME)
        })
    });
}

#[test]
fn the_link_is_lost_in_both_directions() {
    let Some(cluster) = start() else { return };
    let before = received(&cluster, "h1");
    let (client, directory) = begin_copying(&cluster);
    until_some_is_there(&cluster);
    cluster.lab.kill_sessions("h1");
    until_some_is_here(&directory);
    cluster.lab.kill_sessions("h1");
    assert_copied(&cluster, client, &directory);
    // What was there was not sent again.
    let sent = received(&cluster, "h1") - before;
    let most = LARGE as u64 * 5 / 4;
    assert!(sent < most, "{sent} bytes for {LARGE}");
}

#[test]
fn the_cable_is_cut_for_half_a_minute() {
    let Some(cluster) = start() else { return };
    let (client, directory) = begin_copying(&cluster);
    until_some_is_there(&cluster);
    cluster.lab.cut("h1");
    std::thread::sleep(std::time::Duration::from_secs(30));
    cluster.lab.heal("h1");
    assert_copied(&cluster, client, &directory);
}

#[test]
fn the_gateway_is_killed_in_both_directions() {
    let Some(cluster) = start() else { return };
    let (client, directory) = begin_copying(&cluster);
    until_some_is_there(&cluster);
    cluster.session().gateway().kill();
    until_some_is_here(&directory);
    cluster.session().gateway().kill();
    assert_copied(&cluster, client, &directory);
}

/// Says which host, which file, and what is wrong; the job runs on another host if it may.
#[test]
fn the_hosts_disk_is_full() {
    let whitelist = "sh ... one host=h1 stage=on\nsh ... other tags=lab stage=on retries=node:2\n\
                     sleep host=h2 stage=on\n";
    let Some(lab) = Lab::with_space(2, HostFiles::Private, "96m") else { return };
    let cluster = Cluster::without_files_on(lab, whitelist, &HostSettings::default());
    cluster.wait_until_up(&["h1", "h2"]);
    let fill = "head -c 70m /dev/zero >/tmp/ballast";
    cluster.lab.on("h1", "sh", &["-c", fill]);
    let directory = cluster.session().directory();
    fs::write(directory.join("large input"), noise(40 << 20)).expect("room");
    let run = |word| {
        let script = "cksum <\"$1\" >sum";
        let arguments = ["sh", "-c", script, "job", "large input", word];
        begin(&mut cluster.session().command(Way::Preloaded, "env", arguments)).finish()
    };
    let failed = run("one");
    assert_eq!(failed.status.code(), Some(125), "{failed}");
    assert_says(&failed, &["h1", "large input", "No space left on device"]);
    let job = cluster.only_command();
    assert_eq!(job.ending(), "lost", "{job:?}");

    // It begins on the host that has less to do, and as nothing was written into its pipes yet, it may
    // be tried again.
    let busy = begin(&mut cluster.session().command(Way::Preloaded, "env", ["sleep", "600"]));
    until("the other host has something to do", || {
        cluster.session().commands().iter().any(|job| job.name == "sleep" && job.state == "running")
    });
    let ended = run("other");
    kill(busy.pid(), Signal::SIGTERM).expect("it waits");
    busy.finish();
    let jobs = cluster.session().commands();
    let job = jobs.iter().find(|job| job.argv.last().is_some_and(|it| it == "other"));
    let job = cluster.session().show(job.expect("it was a job"));
    assert!(ended.status.success(), "{ended}\n{job:?}");
    assert_says(&ended, &["is tried again", "No space left on device"]);
    let endings: Vec<_> = job.attempts.iter().map(Attempt::ending).collect();
    assert_eq!(endings, ["lost", "exited(0)"], "{job:?}");
    assert_eq!(job.node.as_deref(), Some("h2"), "{job:?}");
    assert!(directory.join("sum").is_file());
}

/// Nobody knows any more what it has made.
#[test]
fn the_agent_is_killed() {
    let Some(cluster) = start() else { return };
    let (client, directory) = begin_copying(&cluster);
    until_some_is_here(&directory);
    agent(&cluster, "h1").kill();
    let ended = client.finish();
    assert_eq!(ended.status.code(), Some(125), "{ended}");
    assert_says(&ended, &["h1"]);
    assert!(!directory.join("copy").exists(), "no half of a file under its name");
    let trees = "ls -d /tmp/redirector-*/*/jobs/*.* 2>/dev/null | wc -l";
    until("what was copied there is removed", || {
        cluster.lab.on("h1", "sh", &["-c", trees]).text().trim() == "0"
    });
}
