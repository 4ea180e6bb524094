//! The hosts that these tests run on are what they seem.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    os::unix::fs::PermissionsExt,
    process::Stdio,
    time::Instant,
};

use integration::{DEADLINE, Finished, HostFiles, Lab, begin, finish};

fn ssh(lab: &Lab, host: &str, script: &str) -> Finished {
    finish(&mut lab.ssh(&[], host, script))
}

/// ssh gives up at once.
fn assert_unreachable(lab: &Lab, host: &str) {
    let failed = finish(&mut lab.ssh(&["-o", "ConnectTimeout=1"], host, "true"));
    assert_eq!(failed.status.code(), Some(255), "{failed}");
    assert!(
        failed.complaint().starts_with("ssh: connect") || failed.complaint().contains("timed out"),
        "{failed}"
    );
}

#[test]
fn hosts_have_names_and_files_of_their_own() {
    for (files, home_is_shared) in [(HostFiles::Shared, true), (HostFiles::Private, false)] {
        let Some(lab) = Lab::start(2, files) else { return };
        for host in ["h1", "h2"] {
            let told = ssh(&lab, host, "hostname; cat /etc/hostname; echo $HOME");
            let told = told.expect_success(host).text();
            let told: Vec<_> = told.lines().collect();
            assert_eq!(told[..3], [host, host, "/root"], "{files:?}");
        }
        let shared = lab.directory().join("file");
        let script =
            format!("hostname | tee ~/name >/tmp/name; mv /tmp/name {0}", shared.display());
        ssh(&lab, "h1", &script).expect_success("files are written");
        assert_eq!(fs::read_to_string(&shared).expect("h1 made it"), "h1\n", "{files:?}");
        let seen = ssh(&lab, "h2", "cat ~/name");
        assert_eq!(seen.status.success(), home_is_shared, "{files:?}: {seen}");
    }
}

#[test]
fn a_cut_cable_hangs_until_it_is_healed() {
    let Some(lab) = Lab::start(1, HostFiles::Shared) else { return };
    let mut session = lab.ssh(&[], "h1", "echo here; read go; echo $go");
    session.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut session = session.spawn().expect("ssh starts");
    let mut input = session.stdin.take().expect("piped above");
    let mut output = BufReader::new(session.stdout.take().expect("piped above")).lines();
    let mut next_line = || output.next().expect("a line").expect("a pipe that can be read");
    assert_eq!(next_line(), "here");
    lab.cut("h1");
    assert_unreachable(&lab, "h1");
    input.write_all(b"gone on\n").expect("ssh reads it");
    lab.heal("h1");
    assert_eq!(next_line(), "gone on");
    assert!(session.wait().expect("our child").success());
}

#[test]
fn faults_of_sshd_and_of_processes() {
    let Some(lab) = Lab::start(1, HostFiles::Shared) else { return };
    lab.kill_sshd("h1");
    let refused = ssh(&lab, "h1", "true");
    assert!(refused.complaint().contains("Connection refused"), "{refused}");
    lab.start_sshd("h1", &["PubkeyAuthentication no", "PasswordAuthentication yes"]);
    let denied = ssh(&lab, "h1", "true");
    assert!(denied.complaint().contains("Permission denied (password)"), "{denied}");
    lab.start_sshd("h1", &[]);
    ssh(&lab, "h1", "true").expect_success("sshd as it was");

    lab.forbid_processes("h1");
    assert_eq!(ssh(&lab, "h1", "true").status.code(), Some(255), "no process for the session");
    lab.allow_processes("h1");
    ssh(&lab, "h1", "true").expect_success("processes as before");

    lab.freeze("h1");
    // The kernel takes the connection, and nobody says anything.
    assert_unreachable(&lab, "h1");
    lab.thaw("h1");
    ssh(&lab, "h1", "true").expect_success("sshd goes on");

    let sleeping = begin(&mut lab.ssh(&[], "h1", "exec sleep 600"));
    let deadline = Instant::now() + DEADLINE;
    while !lab.processes("h1").iter().any(|it| it.command_line.contains("sleep 600")) {
        assert!(Instant::now() < deadline, "the session has not started");
    }
    lab.kill_sessions("h1");
    assert_eq!(sleeping.finish().status.code(), Some(255), "its connection is gone");
    let left = lab.processes("h1");
    assert_eq!(left.len(), 1, "what ran in it goes on");
    assert_eq!(lab.host_of(left[0].process.pid()), Some("h1"));
}

#[test]
fn a_host_that_crashes_or_is_halted_comes_back_without_its_memory() {
    let Some(lab) = Lab::start(1, HostFiles::Shared) else { return };
    for end in [Lab::crash, Lab::halt] {
        ssh(&lab, "h1", "touch /tmp/here").expect_success("the host is up");
        end(&lab, "h1");
        assert!(lab.processes("h1").is_empty());
        assert_unreachable(&lab, "h1");
        lab.boot("h1");
        ssh(&lab, "h1", "test ! -e /tmp/here").expect_success("the host is up again");
    }
}

#[test]
fn a_delayed_cable_is_late_in_both_directions() {
    let Some(lab) = Lab::start(1, HostFiles::Shared) else { return };
    lab.delay("h1", 50);
    let start = Instant::now();
    ssh(&lab, "h1", "true").expect_success("a slow host");
    // TCP's handshake, the versions, the keys and the command: four round trips at least.
    assert!(start.elapsed().as_millis() >= 400, "{:?}", start.elapsed());
    let (mut here, mut there) = lab.connect("h1");
    let start = Instant::now();
    here.write_all(b"x").expect("the host reads");
    there.read_exact(&mut [0]).expect("the head has written");
    there.write_all(b"y").expect("the head reads");
    here.read_exact(&mut [0]).expect("the host has written");
    assert!(start.elapsed().as_millis() >= 100, "{:?}", start.elapsed());
    lab.undelay("h1");
    ssh(&lab, "h1", "true").expect_success("a host as before");
}

#[test]
fn a_file_can_be_put_over_another() {
    let Some(lab) = Lab::start(1, HostFiles::Shared) else { return };
    let script = lab.directory().join("uname");
    fs::write(&script, "#!/bin/sh\necho something else\n")
        .expect("the lab's directory is writable");
    fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).expect("just made");
    lab.put_over("h1", &script, "/usr/bin/uname");
    assert_eq!(ssh(&lab, "h1", "uname").text(), "something else\n");
}
