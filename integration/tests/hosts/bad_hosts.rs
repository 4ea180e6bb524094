//! Hosts that cannot be used: what is wrong is said within seconds, by host and cause, and the
//! others are not held up.

use std::{
    fs,
    time::{Duration, Instant},
};

use integration::{HostFiles, HostSettings, Lab, Way};

use crate::cluster::{Cluster, until, write_script};

/// What there is to be known has to be known by then.
const SECONDS: Duration = Duration::from_secs(30);

/// Each host and words of its problem. The first two have none.
const PROBLEMS: [(&str, &[&str]); 8] = [
    ("h3", &["key is not known"]),
    ("h4", &["key is not the one"]),
    ("h5", &["passwords only"]),
    ("h6", &["refuses connections"]),
    ("h7", &["aarch64"]),
    ("h8", &["logging in", "Which project?"]),
    ("h9", &["This account is closed."]),
    ("nowhere", &["does not resolve"]),
];

#[test]
fn each_is_told_apart_and_the_others_go_on() {
    let Some(lab) = Lab::start(9, HostFiles::Private) else { return };
    // A home directory in which nothing can be written is no reason: the program goes elsewhere.
    lab.on("h2", "mount", &["-o", "remount,ro", "/root"]);
    let known = fs::read_to_string(lab.known_hosts()).expect("the lab wrote it");
    let key_of_h1 = known.lines().next().and_then(|line| line.strip_prefix("h1 "));
    let key_of_h1 = key_of_h1.expect("the first host is the first");
    let wrong: String = known
        .lines()
        .filter_map(|line| match line.split(' ').next()? {
            "h3" => None,
            "h4" => Some(format!("h4 {key_of_h1}\n")),
            _ => Some(format!("{line}\n")),
        })
        .collect();
    fs::write(lab.known_hosts(), wrong).expect("the lab's directory is writable");
    lab.start_sshd("h5", &["PubkeyAuthentication no", "PasswordAuthentication yes"]);
    lab.kill_sshd("h6");
    let uname = lab.directory().join("uname");
    write_script(&uname, "#!/bin/sh\necho Linux aarch64\n");
    lab.put_over("h7", &uname, "/usr/bin/uname");
    // Asks a question whenever somebody logs in, and waits for an answer.
    lab.on("h8", "sh", &["-c", "echo 'echo Which project?; read -r project' >/root/.bashrc"]);
    // Ends every session at once, saying something.
    lab.on("h9", "sh", &["-c", "echo 'echo This account is closed.; exit 1' >/root/.bashrc"]);

    let cluster = Cluster::of(lab, "hostname tags=lab\n", &HostSettings::default());
    cluster
        .session()
        .append_configuration("[[hosts]]\nname = \"nowhere\"\naddress = \"nowhere.invalid\"\n");
    let start = Instant::now();
    let told = cluster.session().bash(Way::Preloaded, "env hostname").expect_success("a job");
    assert!(["h1\n", "h2\n"].contains(&told.text().as_str()), "{told}");
    assert!(start.elapsed() < SECONDS, "held up for {:?}", start.elapsed());
    cluster.wait_until_up(&["h1", "h2"]);
    for (host, words) in PROBLEMS {
        let mut last = None;
        until("the problem is known", || {
            let nodes = cluster.session().nodes();
            last = nodes.into_iter().find(|node| node.node == host).and_then(|it| it.problem);
            last.is_some()
        });
        let problem = last.expect("the wait is over");
        assert!(start.elapsed() < SECONDS, "{host}: known after {:?}", start.elapsed());
        for word in [&[host], words].concat() {
            assert!(problem.contains(word), "{host}: not '{word}': {problem}");
        }
    }
}
