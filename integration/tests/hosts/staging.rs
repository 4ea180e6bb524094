//! Hosts that do not have the session's files: what a command names is copied there, and what it
//! has made is brought back, so that nobody can tell it from one that runs here.

use std::{
    ffi::{OsStr, OsString},
    fs,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::Path,
};

use integration::{
    Files, Finished, HostSettings, Random, Way, assert_same, assert_same_files, finish,
};

use crate::cluster::{Cluster, write_script};

const WHITELIST: &str = "sh * host=h1 stage=on\n";

fn start() -> Option<Cluster> {
    Cluster::without_files(1, WHITELIST, &HostSettings::default())
}

/// So many bytes that no compression makes smaller.
pub(crate) fn noise(size: usize) -> Vec<u8> {
    let mut random = Random::new(size as u64);
    let mut bytes: Vec<u8> =
        (0..size.div_ceil(8)).flat_map(|_| random.below(u64::MAX).to_ne_bytes()).collect();
    bytes.truncate(size);
    bytes
}

/// Runs a command here, and on the host, each time with what `prepare` makes in an empty working
/// directory; demands that it ends the same, and leaves the same files.
#[track_caller]
fn assert_same_there(
    cluster: &Cluster,
    what: &str,
    prepare: impl Fn(&Path),
    arguments: &[impl AsRef<OsStr>],
) -> Finished {
    let directory = cluster.session().directory().join("run");
    let run = |way| {
        fs::create_dir(&directory).expect("a new directory");
        prepare(&directory);
        let mut command = cluster.session().command(way, "env", arguments);
        let finished = finish(command.current_dir(&directory));
        let files = Files::read(&directory, &[]);
        fs::remove_dir_all(&directory).expect("it was made above");
        (finished, files)
    };
    let before = cluster.session().commands().len();
    let ((plain, files), (staged, files_there)) = (run(Way::Plain), run(Way::Preloaded));
    assert_same(what, &plain, &staged);
    assert_same_files(what, &files, &files_there);
    let jobs = cluster.session().commands();
    assert_eq!(jobs.len(), before + 1, "{what}: jobs");
    assert!(jobs.iter().all(|job| job.node.as_deref() == Some("h1")), "{what}: {jobs:?}");
    staged
}

#[test]
fn names_of_any_kind() {
    let Some(cluster) = start() else { return };
    let names: [&[u8]; 6] =
        [b"a b", b"it's \"1\"", b"line\nend", b"\xff\xfe", b"$HOME;*", "ü€😀".as_bytes()];
    let prepare = |directory: &Path| {
        for name in names {
            fs::write(directory.join(OsStr::from_bytes(name)), name).expect("writable");
        }
    };
    let script = "for name; do cat \"$name\" \"$name\" >\"$name.twice\" && pwd; done | wc -l";
    let absolute = cluster.session().directory().join("run");
    let relative = names.map(|name| OsStr::from_bytes(name).to_owned());
    let absolute = names.map(|name| OsString::from(absolute.join(OsStr::from_bytes(name))));
    for names in [relative, absolute] {
        let head = ["sh", "-c", script, "job"].map(OsString::from);
        let told = assert_same_there(&cluster, "odd names", prepare, &[&head[..], &names].concat());
        assert_eq!(told.expect_success("cat").text(), "6\n");
    }
}

/// However it ends, what it has made is there for people to look at.
#[test]
fn commands_that_fail() {
    let Some(cluster) = start() else { return };
    let prepare = |directory: &Path| fs::write(directory.join("in"), "input").expect("writable");
    for end in ["exit 3", "kill -KILL $$", "exec /no/such/program"] {
        let script = format!("cat \"$1\" >half; mkdir -p deep/er; echo x >deep/er/file; {end}");
        let failed = assert_same_there(&cluster, end, prepare, &["sh", "-c", &script, "job", "in"]);
        assert!(!failed.status.success(), "{failed}");
    }
}

#[test]
fn files_that_are_changed_removed_and_renamed() {
    let Some(cluster) = start() else { return };
    let prepare = |directory: &Path| {
        fs::create_dir(directory.join("set")).expect("a new directory");
        for name in ["one", "two", "three", "four", "set/1", "set/2"] {
            fs::write(directory.join(name), name).expect("writable");
        }
        write_script(&directory.join("tool"), "#!/bin/sh\necho tool \"$@\" >made\n");
    };
    let script = "printf more >>\"$1\"; sed -i s/t/T/ \"$2\"; gzip -n \"$3\"; mv \"$4\" five; \
                  cat \"$5\"/* >set/3; chmod 700 set; ls -l set/1 | cut -c 1-10";
    let arguments = ["sh", "-c", script, "job", "one", "two", "three", "four", "set"];
    let done = assert_same_there(&cluster, "changes", prepare, &arguments);
    done.expect_success("the script");
}

/// The files of a store that jobs share are not what it writes into.
#[test]
fn a_large_input_that_is_written_into() {
    let Some(cluster) = start() else { return };
    let content = noise(20 << 20);
    let prepare = |directory: &Path| fs::write(directory.join("large"), &content).expect("room");
    let in_place = "printf x | dd of=\"$1\" bs=1 seek=1000 conv=notrunc status=none";
    let arguments = ["sh", "-c", in_place, "job", "large"];
    assert_same_there(&cluster, "in place", prepare, &arguments).expect_success("dd");
    let arguments = ["sh", "-c", "cksum \"$1\"", "job", "large"];
    assert_same_there(&cluster, "afterwards", prepare, &arguments).expect_success("cksum");
}

/// Bytes that a host was sent since it was started.
pub(crate) fn received(cluster: &Cluster, host: &str) -> u64 {
    let told =
        cluster.lab.on(host, "awk", &["$1 == \"eth0:\" { print $2 }", "/proc/net/dev"]).text();
    told.trim().parse().expect("a number")
}

#[test]
fn a_reference_travels_once_to_each_host() {
    const SIZE: u64 = 24 << 20;
    let whitelist = "sh ... *1 host=h1 stage=on\nsh ... *2 host=h2 stage=on\n";
    let settings = HostSettings { cpus: 4, ..HostSettings::default() };
    let Some(cluster) = Cluster::without_files(2, whitelist, &settings) else { return };
    cluster.wait_until_up(&["h1", "h2"]);
    let directory = cluster.session().directory();
    fs::write(directory.join("ref.fa"), noise(SIZE as usize)).expect("room");
    fs::write(directory.join("ref.fa.bwt"), "index").expect("room");
    let hosts = ["h1", "h2"];
    let before = hosts.map(|host| received(&cluster, host));
    // Three at a time on each host, and then one more that has it under another name.
    let script = "for job in a1 b1 c1 a2 b2 c2; do
            env sh -c 'wc -c <$1 >$2.size; cat $1.bwt >>$2.size' job ref.fa $job &
        done; wait; mv ref.fa copy.fa
        for job in d1 d2; do env sh -c 'wc -c <$1 >$2.size' job copy.fa $job; done";
    cluster.session().bash(Way::Preloaded, script).expect_success("the jobs");
    assert_eq!(cluster.session().commands().len(), 8, "jobs");
    for job in ["a1", "b1", "c1", "a2", "b2", "c2"] {
        let found = fs::read_to_string(directory.join(format!("{job}.size")));
        assert_eq!(found.expect("brought back"), format!("{SIZE}\nindex"), "{job}");
    }
    for (host, before) in hosts.into_iter().zip(before) {
        let sent = received(&cluster, host) - before;
        assert!((SIZE..SIZE * 5 / 4).contains(&sent), "{host} was sent {sent} bytes for {SIZE}");
    }
}

#[test]
fn a_detached_job() {
    let Some(cluster) = start() else { return };
    let session = cluster.session();
    let input = session.directory().join("in");
    fs::write(&input, "input").expect("writable");
    let script = "cat \"$1\"; tr a-z A-Z <\"$1\" >\"$2\"; chmod 750 \"$2\"; exit 5";
    let [input, output] = ["in", "new/out"].map(|name| session.directory().join(name));
    fs::create_dir(session.directory().join("new")).expect("a new directory");
    let [from, to] = [&input, &output].map(|path| path.to_str().expect("plain"));
    let options = ["submit", "--host", "h1", "--stage", "--", "sh", "-c", script, "job", from, to];
    let job = session.ask(options).expect_success("submit").text().trim().to_owned();
    assert_eq!(session.ask(["wait", &job]).status.code(), Some(5));
    assert_eq!(fs::read(&output).expect("it is here when the job has ended"), b"INPUT");
    assert_eq!(fs::metadata(&output).expect("as above").mode() & 0o777, 0o750);
    assert_eq!(session.ask(["logs", &job]).text(), "input");
}
