//! Mapfiles of what hosts have on disks of their own, and commands on each of those files.

use std::{ffi::OsStr, fs, os::unix::ffi::OsStrExt};

use integration::{Finished, HostFiles, HostSettings, Lab, finish};
use serde_json::{Value, json};

use crate::cluster::{Cluster, assert_says};

/// Where each host has its files; this computer has none there.
const DATA: &str = "/srv/data";

const ODD: [&[u8]; 5] = [b"a b", b"it's \"1\"", b"line\nend", b"\xff\xfe", b"{} $HOME;*"];

/// Hosts that have a file each, and h1 those with odd names.
fn start(hosts: usize, settings: &HostSettings) -> Option<Cluster> {
    let lab = Lab::start(hosts, HostFiles::Private)?;
    for host in lab.hosts() {
        lab.on(host, "sh", &["-c", &format!("mkdir {DATA}; echo {host} >{DATA}/{host}.ms")]);
    }
    let octal = |name: &&[u8]| {
        let digits: Vec<_> = name.iter().map(|byte| format!("\\{byte:03o}")).collect();
        format!("echo odd >\"$(printf '{}')\"", digits.concat())
    };
    let script = ODD.iter().map(octal).collect::<Vec<_>>().join("; ");
    lab.on("h1", "bash", &["-c", &format!("cd {DATA}; {script}")]);
    Some(Cluster::without_files_on(lab, "cat\n", settings))
}

fn run(cluster: &Cluster, arguments: &[&str]) -> Finished {
    finish(&mut cluster.session().redirector(arguments))
}

#[track_caller]
fn entries(cluster: &Cluster, map: &str) -> Vec<Value> {
    let read = run(cluster, &["map", "read", "--json", map]).expect_success("map read");
    serde_json::from_slice(&read.stdout).expect("a list")
}

#[test]
fn what_hosts_have_is_found_and_worked_on_there() {
    // The files of a mapfile are the hosts', even where all else is copied.
    for each in ["", "stage = true"] {
        let settings = HostSettings { each, ..HostSettings::default() };
        let Some(cluster) = start(3, &settings) else { return };
        let found = ["map", "from-hosts", "--hosts", "h1..3", "--output", "in.map", DATA];
        run(&cluster, &found).expect_success("map from-hosts");
        assert_eq!(entries(&cluster, "in.map").len(), 3 + ODD.len());

        let script = "test -e \"$1\" && { hostname; cat \"$1\"; } >\"$2\"";
        let options = ["scatter", "--map", "in.map", "--output", "out.map", "--product", "{}.done"];
        let command = ["--directory", "/", "--", "sh", "-c", script, "job", "{}", "{}.done"];
        let done = run(&cluster, &[&options[..], &command].concat());
        done.expect_success("scatter");
        for host in cluster.lab.hosts() {
            let made = cluster.lab.on(host, "cat", &[&format!("{DATA}/{host}.ms.done")]);
            assert_eq!(made.text(), format!("{host}\n{host}\n"));
        }
        let made = cluster.lab.on("h1", "sh", &["-c", &format!("cat {DATA}/*.done | grep -c odd")]);
        assert_eq!(made.text(), format!("{}\n", ODD.len()));
        assert!(!fs::exists(DATA).expect("/srv can be looked at"), "nothing was done here");

        // What was made of them is the next step's input, and so on.
        let next = ["scatter", "--map", "out.map", "--directory", "/", "--", "test", "-s"];
        run(&cluster, &next).expect_success("the next step");
    }
}

#[test]
fn what_fails_on_its_host_is_skipped_from_then_on() {
    let Some(cluster) = start(2, &HostSettings::default()) else { return };
    let found = ["map", "from-hosts", "--hosts", "h1,h2", "--name", "*.ms", "--output", "in.map"];
    run(&cluster, &[&found[..], &[DATA]].concat()).expect_success("map from-hosts");
    let rest = ["--output", "out.map", "--directory", "/", "--", "grep", "-q", "h2"];
    let some = run(&cluster, &[&["scatter", "--map", "in.map"], &rest[..]].concat());
    assert_eq!(some.status.code(), Some(1), "{some}");
    assert_says(&some, &["h1.ms on h1", "exited(1)"]);
    let entry =
        |host: &str, skip| json!({"host": host, "file": format!("{DATA}/{host}.ms"), "skip": skip});
    assert_eq!(entries(&cluster, "out.map"), [entry("h1", true), entry("h2", false)]);
    let rest = run(&cluster, &[&["scatter", "--map", "out.map"], &rest[..]].concat());
    rest.expect_success("without what has failed");
}

/// The session's directory is not on the hosts.
#[test]
fn a_working_directory_that_hosts_do_not_have() {
    let Some(cluster) = start(1, &HostSettings::default()) else { return };
    let found =
        ["map", "from-hosts", "--hosts", "h1", "--name", "h1.ms", "--output", "in.map", DATA];
    run(&cluster, &found).expect_success("map from-hosts");
    let failed = run(&cluster, &["scatter", "--map", "in.map", "--", "test", "-e"]);
    assert_eq!(failed.status.code(), Some(1), "{failed}");
    let directory = cluster.session().directory();
    let directory = directory.to_str().expect("plain");
    assert_says(&failed, &["h1.ms on h1", "no directory", directory, "can start in /"]);
}

#[test]
fn hosts_that_cannot_be_reached() {
    let settings = HostSettings { ssh: "lost_after = \"3s\"", ..HostSettings::default() };
    let Some(cluster) = start(2, &settings) else { return };
    cluster.wait_until_up(&["h1", "h2"]);
    let found = ["map", "from-hosts", "--hosts", "h1,h2", "--name", "*.ms", "--output", "in.map"];
    run(&cluster, &[&found[..], &[DATA]].concat()).expect_success("map from-hosts");
    cluster.lab.halt("h2");
    let options = ["scatter", "--map", "in.map", "--output", "out.map", "--directory", "/"];
    let some = run(&cluster, &[&options[..], &["--", "test", "-e"]].concat());
    assert_eq!(some.status.code(), Some(1), "{some}");
    assert_says(&some, &["h2.ms on h2"]);
    let skips: Vec<_> =
        entries(&cluster, "out.map").iter().map(|entry| entry["skip"].clone()).collect();
    assert_eq!(skips, [json!(false), json!(true)]);

    fs::remove_file(cluster.session().directory().join("in.map")).expect("it was made above");
    let found = [&found[..], &[DATA]].concat();
    let failed = run(&cluster, &found);
    assert_eq!(failed.status.code(), Some(1), "{failed}");
    assert_says(&failed, &["cannot look on host h2"]);
    assert!(!cluster.session().directory().join("in.map").exists());
    run(&cluster, &[&["map", "from-hosts", "--keep-going"], &found[2..]].concat())
        .expect_success("with what h1 has");
    assert_eq!(entries(&cluster, "in.map").len(), 1);
}

#[test]
fn a_mapfile_with_names_of_any_kind() {
    let Some(cluster) = start(1, &HostSettings::default()) else { return };
    let found =
        ["map", "from-hosts", "--hosts", "h1", "--exclude", "*.ms", "--output", "in.map", DATA];
    run(&cluster, &found).expect_success("map from-hosts");
    let map = fs::read(cluster.session().directory().join("in.map")).expect("it was written");
    assert!(map.is_ascii(), "any Python reads it");
    let options = ["scatter", "--json", "--map", "in.map", "--directory", "/"];
    let done = run(&cluster, &[&options[..], &["--", "cat"]].concat()).expect_success("scatter");
    let told: Vec<Value> = serde_json::from_slice(&done.stdout).expect("JSON");
    let mut names: Vec<_> =
        ODD.map(|name| format!("{DATA}/{}", OsStr::from_bytes(name).display())).into();
    names.retain(|name| !name.contains('\u{fffd}'));
    for name in &names {
        assert!(told.iter().any(|entry| entry["file"] == **name), "{name}: {told:?}");
    }
    assert_eq!((told.len(), names.len()), (ODD.len(), ODD.len() - 1));
}

/// A job that may run anywhere goes where its file is.
#[test]
fn a_job_near_its_file() {
    let Some(cluster) = start(3, &HostSettings::default()) else { return };
    let found = ["map", "from-hosts", "--hosts", "h1..3", "--name", "*.ms", "--output", "in.map"];
    run(&cluster, &[&found[..], &[DATA]].concat()).expect_success("map from-hosts");
    for host in ["h3", "h1", "h2"] {
        let file = format!("{DATA}/{host}.ms");
        let options = ["submit", "--wait", "--directory", "/", "--near-map", "in.map"];
        let done = run(&cluster, &[&options[..], &["--", "cat", &file]].concat());
        done.expect_success(host);
    }
}
