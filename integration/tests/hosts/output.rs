//! What detached jobs write on a host arrives here as it is written, each byte once.

use std::{fs::OpenOptions, io::Write, path::Path};

use integration::{begin, finish};

use crate::cluster::{Cluster, until};

/// Submits a script to h1; the job's number.
#[track_caller]
fn submit(cluster: &Cluster, script: &str) -> String {
    let job = cluster.session().ask(["submit", "--host", "h1", "--", "sh", "-c", script]);
    job.expect_success("submit").text().trim().to_owned()
}

/// Waits until a job reads from the pipe, and gives it something to read.
fn let_go(fifo: &Path) {
    let mut fifo = OpenOptions::new().write(true).open(fifo).expect("the job reads it");
    fifo.write_all(b"go\n").expect("the job reads it");
}

fn fifo(cluster: &Cluster) -> std::path::PathBuf {
    let fifo = cluster.session().directory().join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).expect("a new name");
    fifo
}

#[test]
fn followed_through_a_lost_link_and_a_killed_gateway() {
    let Some(cluster) = Cluster::start(1, "") else { return };
    cluster.wait_until_up(&["h1"]);
    let fifo = fifo(&cluster);
    let script = "seq 1 100000; read go <fifo; seq 100001 200000; read go <fifo; seq 200001 300000; \
                  echo the end >&2; exit 3";
    let job = submit(&cluster, script);
    let follower = begin(&mut cluster.session().redirector(["logs", "-f", &job]));
    cluster.lab.kill_sessions("h1");
    let_go(&fifo);
    cluster.session().gateway().kill();
    let_go(&fifo);
    cluster.lab.kill_sessions("h1");
    let followed = follower.finish();
    let lines: Vec<String> = (1..=300_000).map(|number| number.to_string()).collect();
    let expected = lines.join("\n") + "\n";
    assert!(followed.text() == expected, "{} bytes of {}", followed.stdout.len(), expected.len());
    assert_eq!(followed.complaint(), "the end\n");
    let again = finish(&mut cluster.session().redirector(["logs", "--stdout", &job]));
    assert!(again.text() == expected, "the gateway's own copy");
    let waited = cluster.session().ask(["wait", &job]);
    assert_eq!(waited.status.code(), Some(3), "{waited}");
    until("the agent has let go of it", || {
        let output = "/tmp/redirector-*/*/output";
        let script = format!("find {output} -type f 2>/dev/null | wc -l");
        cluster.lab.on("h1", "sh", &["-c", &script]).text().trim() == "0"
    });
}

/// The job is told, as it would be here, and what it could write arrives.
#[test]
fn a_disk_that_fills_up_under_a_detached_job() {
    use integration::{HostFiles, HostSettings, Lab};
    let Some(lab) = Lab::with_space(1, HostFiles::Private, "64m") else { return };
    let cluster = Cluster::of(lab, "", &HostSettings::default());
    cluster.wait_until_up(&["h1"]);
    let submitted = cluster.session().ask([
        "submit",
        "--host",
        "h1",
        "--",
        "sh",
        "-c",
        "cd /; echo before; cat /dev/zero >/tmp/ballast 2>/dev/null; dd if=/dev/zero bs=64k count=64; \
         echo status $? >&2; rm /tmp/ballast; echo after",
    ]);
    let job = submitted.expect_success("submit").text().trim().to_owned();
    cluster.session().ask(["wait", &job]).expect_success("the script's last command");
    let logs = finish(&mut cluster.session().redirector(["logs", &job]));
    assert!(logs.text().starts_with("before\n") && logs.text().ends_with("after\n"), "{logs}");
}

/// Lines of jobs on two hosts, of one on this computer, and what they logged, by one command.
#[test]
fn all_that_a_run_says_in_one_place() {
    let whitelist = "probe *1 host=h1\nprobe *2 host=h2\n";
    let Some(cluster) = Cluster::start(2, whitelist) else { return };
    cluster.wait_until_up(&["h1", "h2"]);
    let session = cluster.session();
    let probe = session.directory().join("bin");
    std::fs::create_dir_all(&probe).expect("the session's directory is writable");
    crate::cluster::write_script(
        &probe.join("probe"),
        "#!/bin/sh\necho to the client\n\"${REDIRECTOR_BIN:-redirector}\" log --level warn \
         --field n=$1 low on beads || exit 9\nexit $1\n",
    );
    let script = format!("PATH={}:$PATH; probe 1; probe 2; true", probe.display());
    let ran = session.bash(integration::Way::Run, &script).expect_success("the run");
    assert_eq!(ran.text(), "to the client\nto the client\n", "{ran}");
    let runs: Vec<_> = session.jobs().into_iter().filter(|it| it.spawned_by.is_none()).collect();
    let run = runs.last().expect("there is a run").id.to_string();
    let logs = session.ask(["logs", &run]).expect_success("logs").text();
    for (number, job) in [(1, "2"), (2, "3")] {
        let own: Vec<_> = logs
            .lines()
            .filter_map(|line| line.strip_prefix(&format!("h{number}.{job} ")))
            .collect();
        let expected = [
            "[started]".to_owned(),
            format!("[warn] low on beads n={number}"),
            format!("[ended: exited({number})]"),
        ];
        assert_eq!(own, expected, "{logs}");
    }
    let followed = session.ask(["logs", "--follow", &run]).expect_success("logs --follow").text();
    assert_eq!(followed.lines().count(), logs.lines().count(), "{followed}");
}

/// Jobs that start while somebody follows their run, through a gateway that is killed.
#[test]
fn a_run_that_is_followed() {
    let Some(cluster) = Cluster::start(1, "") else { return };
    cluster.wait_until_up(&["h1"]);
    let session = cluster.session();
    let fifo = fifo(&cluster);
    let job = submit(&cluster, "echo one; printf half; read go <fifo; echo ' line' >&2; echo two");
    let follower = begin(&mut session.redirector(["logs", "--lines", "-f", &job]));
    session.gateway().kill();
    let_go(&fifo);
    let followed = follower.finish().expect_success("logs").text();
    let head = format!("h1.{job} ");
    let mut lines: Vec<_> =
        followed.lines().map(|line| line.strip_prefix(&head).unwrap_or(line)).collect();
    assert_eq!((lines[0], lines[lines.len() - 1]), ("[started]", "[ended: exited(0)]"));
    lines.sort_unstable();
    assert_eq!(lines, [" line", "[ended: exited(0)]", "[started]", "halftwo", "one"], "{followed}");
}

#[test]
fn what_may_not_be_logged() {
    let Some(cluster) = Cluster::start(1, "") else { return };
    cluster.wait_until_up(&["h1"]);
    let script = "REDIRECTOR_TOKEN=1.0 $REDIRECTOR_BIN log x; echo $?; $REDIRECTOR_BIN log \
                  \"$(head -c 100000 /dev/zero | tr '\\0' x)\"; echo $?";
    let job = submit(&cluster, script);
    cluster.session().ask(["wait", &job]).expect_success("wait");
    let logs = finish(&mut cluster.session().redirector(["logs", &job]));
    assert_eq!(logs.text(), "125\n125\n", "{logs}");
    assert!(logs.complaint().contains("$REDIRECTOR_TOKEN"), "{logs}");
    assert!(logs.complaint().contains("the record cannot be read"), "{logs}");
}
