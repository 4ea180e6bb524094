//! What `redirector doctor` finds: on hosts that are as they should be, and on others.

use std::{fs, os::unix::process::ExitStatusExt, path::Path};

use integration::{Finished, HostFiles, HostSettings, Lab, begin, finish};
use nix::sys::signal::{Signal, kill};
use serde::Deserialize;

use crate::cluster::{Cluster, until, write_script};

#[derive(Debug, Deserialize)]
struct Checkup {
    computer: String,
    findings: Vec<Finding>,
}

#[derive(Debug, Deserialize)]
struct Finding {
    check: String,
    verdict: String,
    found: String,
    #[serde(default)]
    advice: Option<String>,
}

/// What was found; panics unless the exit status says whether something has failed.
#[track_caller]
fn checkups(finished: &Finished) -> Vec<Checkup> {
    let checkups: Vec<Checkup> = serde_json::from_slice(&finished.stdout)
        .unwrap_or_else(|error| panic!("no findings: {error}: {finished}"));
    let has_failed =
        checkups.iter().flat_map(|it| &it.findings).any(|finding| finding.verdict == "failed");
    assert_eq!(finished.status.code(), Some(i32::from(has_failed)), "{finished}");
    checkups
}

#[track_caller]
fn examine(cluster: &Cluster) -> Vec<Checkup> {
    checkups(&cluster.session().ask(["doctor", "--json"]))
}

#[track_caller]
fn of<'a>(checkups: &'a [Checkup], computer: &str, check: &str) -> &'a Finding {
    let checkup = checkups.iter().find(|it| it.computer == computer);
    let checkup = checkup.unwrap_or_else(|| panic!("nothing on {computer}: {checkups:?}"));
    let finding = checkup.findings.iter().find(|finding| finding.check == check);
    finding.unwrap_or_else(|| panic!("no check '{check}': {checkup:?}"))
}

/// Demands that a check failed, with these words and with something to do.
#[track_caller]
fn assert_failed(finding: &Finding, words: &[&str]) {
    assert_eq!(finding.verdict, "failed", "{finding:?}");
    let text = format!("{} {}", finding.found, finding.advice.as_deref().unwrap_or_default());
    for word in words {
        assert!(text.contains(word), "'{word}': {finding:?}");
    }
}

/// Files by which computers find out about each other.
fn probe_files(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("the directory is there");
    let names = entries.map(|entry| entry.expect("as above").file_name());
    let names = names.map(|name| name.to_string_lossy().into_owned());
    names.filter(|name| name.contains("doctor")).collect()
}

#[test]
fn hosts_that_are_as_they_should_be() {
    let each = "setup = \"export READY=yes\"";
    let settings = HostSettings { each, ..HostSettings::default() };
    let whitelist = "tool tags=lab\nno-such-program x\n*glob\n";
    let Some(cluster) = Cluster::configured(2, whitelist, &settings) else { return };
    let tool = cluster.session().directory().join("tool");
    write_script(&tool, "#!/bin/sh\n[ \"$1\" = --version ] && echo tool 7\n");
    let rule = format!("{}\n", tool.display());
    fs::write(cluster.session().whitelist(), whitelist.to_owned() + &rule).expect("writable");

    let found = checkups(&cluster.session().ask(["doctor", "--json", "--versions"]));
    let bad: Vec<_> =
        found.iter().flat_map(|it| &it.findings).filter(|it| it.verdict == "failed").collect();
    assert!(bad.is_empty(), "{bad:?}");
    let names: Vec<_> = found.iter().map(|it| it.computer.as_str()).collect();
    assert_eq!(names, ["head", "h1", "h2"]);
    for check in ["configuration", "libshim.so", "whitelist", "state directory", "gateway"] {
        assert_eq!(of(&found, "head", check).verdict, "ok", "{check}");
    }
    for host in ["h1", "h2"] {
        for check in ["log-in", "link", "clock", "agent", "directory", "setup"] {
            assert_eq!(of(&found, host, check).verdict, "ok", "{host}: {check}");
        }
        assert!(of(&found, host, "directory").found.contains("seen at once"));
        let program = of(&found, host, "program tool");
        assert!(program.found.contains("says 'tool 7'"), "{program:?}");
        let programs = found.iter().find(|it| it.computer == host).expect("as above");
        assert!(!programs.findings.iter().any(|it| it.check.contains("no-such-program")));
    }
    assert_eq!(probe_files(&cluster.session().directory()), [""; 0], "nothing is left");

    // For people: the same, and what to do below what is not as it should be.
    let told = cluster.session().ask(["doctor", "h2"]).expect_success("doctor");
    let text = told.text();
    assert!(text.starts_with("head ") && text.contains("\nh2\n"), "{text}");
    assert!(!text.contains("\nh1\n"), "{text}");
    // One that nobody has configured.
    let configuration = fs::read_to_string(cluster.session().configuration()).expect("written");
    let without_hosts = configuration.split("[[hosts]]").next().expect("the part before them");
    fs::write(cluster.session().configuration(), without_hosts).expect("writable");
    let found = checkups(&cluster.session().ask(["doctor", "--json", "root@h1"]));
    assert_eq!(of(&found, "h1", "configuration").verdict, "warning");
    assert_eq!(of(&found, "h1", "directory").verdict, "ok");
    let agents = |host| {
        let agents = cluster.lab.agents(host).into_iter();
        agents.filter(|it| it.command_line.contains("--remote")).count()
    };
    until("no agent but the gateway's is left", || agents("h1") == 1 && agents("h2") == 1);
}

#[test]
fn a_host_with_its_own_files() {
    let Some(lab) = Lab::start(2, HostFiles::Private) else { return };
    // The same path as here, and another directory.
    let cluster = Cluster::of(lab, "hostname tags=lab\n", &HostSettings::default());
    let directory = cluster.session().directory();
    let path = directory.to_str().expect("plain");
    cluster.lab.on("h1", "mount", &["-t", "tmpfs", "x", path]);
    cluster.lab.on("h2", "mount", &["-o", "remount,noexec", "/tmp"]);
    let below = directory.join("below");
    fs::create_dir(&below).expect("a new directory");
    let mut command = cluster.session().redirector(["doctor", "--json"]);
    let found = checkups(&finish(command.current_dir(&below)));
    assert_failed(of(&found, "h1", "directory"), &["no directory", "below", "path_map", "stage"]);
    assert_eq!(of(&found, "h2", "directory").verdict, "ok");
    assert_eq!(of(&found, "h1", "/tmp").verdict, "ok");
    assert_eq!(of(&found, "h2", "/tmp").verdict, "warning");

    cluster.lab.on("h1", "mkdir", &[below.to_str().expect("plain")]);
    let mut command = cluster.session().redirector(["doctor", "--json", "h1"]);
    let found = checkups(&finish(command.current_dir(&below)));
    assert_failed(of(&found, "h1", "directory"), &["another directory", "path_map"]);
    assert_eq!(probe_files(&below), [""; 0]);
    let left = cluster.lab.on("h1", "ls", &["-A", below.to_str().expect("plain")]).text();
    assert_eq!(left, "", "nothing is left there either");
}

/// `path_map` says where the directory is, under another name.
#[test]
fn a_directory_with_another_name() {
    let Some(lab) = Lab::start(1, HostFiles::Shared) else { return };
    let elsewhere = "/mnt/elsewhere";
    let each = format!("path_map = {{ \"{}\" = \"{elsewhere}\" }}", lab.directory().display());
    let settings = HostSettings { each: &each, ..HostSettings::default() };
    let shared = lab.directory();
    let cluster = Cluster::of(lab, "hostname tags=lab\n", &settings);
    assert_failed(of(&examine(&cluster), "h1", "directory"), &["no directory", elsewhere]);
    cluster.lab.on("h1", "mount", &["-t", "tmpfs", "x", "/mnt"]);
    cluster.lab.on("h1", "mkdir", &[elsewhere]);
    let from = shared.to_str().expect("plain");
    cluster.lab.on("h1", "mount", &["--bind", from, elsewhere]);
    let found = examine(&cluster);
    let directory = of(&found, "h1", "directory");
    assert_eq!(directory.verdict, "ok", "{directory:?}");
    assert!(directory.found.contains(elsewhere), "{directory:?}");
}

#[test]
fn hosts_that_cannot_be_used() {
    let each = "setup = \"echo no such module >&2; exit 3\"";
    let settings = HostSettings { each, ..HostSettings::default() };
    let Some(cluster) = Cluster::configured(4, "hostname tags=lab\n", &settings) else { return };
    let known = fs::read_to_string(cluster.lab.known_hosts()).expect("the lab wrote it");
    let without_h2: Vec<_> = known.lines().filter(|line| !line.starts_with("h2 ")).collect();
    fs::write(cluster.lab.known_hosts(), without_h2.join("\n") + "\n").expect("writable");
    let password = ["PubkeyAuthentication no", "PasswordAuthentication yes"];
    cluster.lab.start_sshd("h3", &password);
    cluster.lab.kill_sshd("h4");
    let found = examine(&cluster);
    assert_failed(of(&found, "h1", "setup"), &["exit status: 3", "no such module"]);
    assert_eq!(of(&found, "h1", "directory").verdict, "ok", "the rest is looked at all the same");
    assert_failed(of(&found, "h2", "host key"), &["not known", "ssh h2"]);
    assert_failed(of(&found, "h3", "log-in"), &["passwords only", "ssh-copy-id"]);
    assert_failed(of(&found, "h4", "connection"), &["refuses connections", "start sshd"]);
}

#[test]
fn what_is_wrong_on_this_computer() {
    let Some(cluster) = Cluster::start(1, "hostname cpus=many\n") else { return };
    let found = examine(&cluster);
    assert_failed(of(&found, "head", "whitelist"), &["1:15: ", "redirector whitelist check"]);
    cluster.session().append_configuration("[[hosts]]\nnick = \"x\"\n");
    let found = examine(&cluster);
    assert_failed(of(&found, "head", "configuration"), &["nick", "correct it"]);
    assert_eq!(found.len(), 1, "hosts cannot be known");
}

/// A person who waits no longer leaves nothing behind.
#[test]
fn an_interrupted_doctor() {
    let Some(cluster) = Cluster::start(1, "hostname tags=lab\n") else { return };
    let directory = cluster.session().directory();
    cluster.lab.freeze("h1");
    let doctor = begin(&mut cluster.session().redirector(["doctor"]));
    until("the probe file is there", || !probe_files(&directory).is_empty());
    kill(doctor.pid(), Signal::SIGINT).expect("our child");
    let ended = doctor.finish();
    assert_eq!((ended.status.code(), ended.status.signal()), (Some(130), None), "{ended}");
    assert_eq!(probe_files(&directory), [""; 0]);
    cluster.lab.thaw("h1");
}
