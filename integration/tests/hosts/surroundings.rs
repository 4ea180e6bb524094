//! What a command on another computer finds of where its client was started.

use std::{
    ffi::{OsStr, OsString},
    fs,
    os::unix::ffi::OsStrExt,
};

use integration::{HostSettings, Way, assert_same, finish};

use crate::cluster::Cluster;

const WHITELIST: &str = "tell * tags=lab\nls * tags=lab\nls tags=lab\n";

#[test]
fn arguments_as_they_are() {
    let Some(cluster) = Cluster::start(1, WHITELIST) else { return };
    let odd: [&[u8]; 10] = [
        b"arguments",
        b"",
        b"a blank",
        b"'quoted' \"twice\"",
        b"two\nlines",
        b"$HOME `id` $(id)",
        b"*",
        b"\\",
        b"\xff\xfe not UTF-8",
        "ü€😀".as_bytes(),
    ];
    let arguments = [OsStr::new("tell")].into_iter().chain(odd.map(OsStr::from_bytes));
    let arguments: Vec<_> = arguments.collect();
    let run = |way| finish(&mut cluster.session().command(way, "env", &arguments));
    assert_same("arguments", &run(Way::Plain), &run(Way::Preloaded));
    let long = "x".repeat(100_000);
    let run =
        |way| finish(&mut cluster.session().command(way, "env", ["tell", "arguments", &long]));
    assert_same("a long argument", &run(Way::Plain), &run(Way::Preloaded));
}

#[test]
fn umask_and_directory() {
    let Some(cluster) = Cluster::start(1, WHITELIST) else { return };
    cluster.assert_same("umask", "umask 027; env tell umask; umask 0; env tell umask", 2);
    cluster.assert_same("directory", "mkdir -p 'a b' && cd 'a b' && env tell directory", 1);
}

#[test]
fn names_that_are_not_text() {
    let Some(cluster) = Cluster::start(1, WHITELIST) else { return };
    for name in [&b"new\nline"[..], b"'\"\\$(x)", b"\xff\xfe", b" "] {
        let directory = cluster.session().directory().join(OsStr::from_bytes(name));
        fs::create_dir(&directory).expect("a new directory");
        fs::write(directory.join(OsStr::from_bytes(name)), "content").expect("just made");
        let run = |way| {
            let mut command = cluster.session().command(way, "env", ["ls", "-b"]);
            finish(command.current_dir(&directory))
        };
        let plain = run(Way::Plain).expect_success("ls");
        assert_same(&format!("{name:?}"), &plain, &run(Way::Preloaded));
    }
}

/// All that a pipeline has set is there, byte for byte; what is of its computer alone is not.
#[test]
fn environment() {
    let Some(cluster) = Cluster::start(1, WHITELIST) else { return };
    let set: [(&str, &[u8]); 4] = [
        ("PIPELINE_WORD", b"word"),
        ("PIPELINE_LINES", b"two\nlines"),
        ("PIPELINE_BYTES", b"\xff\xfe"),
        ("PIPELINE_EMPTY", b""),
    ];
    let mut command = cluster.session().command(Way::Preloaded, "env", ["tell", "environment"]);
    command.envs(set.map(|(name, value)| (name, OsStr::from_bytes(value))));
    command.env("SSH_AUTH_SOCK", "/of/this/computer").env("DISPLAY", ":0");
    let told = finish(&mut command).expect_success("tell");
    let found: Vec<OsString> =
        told.stdout.split(|byte| *byte == 0).map(|it| OsStr::from_bytes(it).into()).collect();
    for (name, value) in set {
        let entry = [name.as_bytes(), b"=", value].concat();
        let count = found.iter().filter(|it| it.as_bytes() == entry).count();
        assert_eq!(count, 1, "{name}: {found:?}");
    }
    for name in ["LD_PRELOAD=", "SSH_AUTH_SOCK=/of/this", "DISPLAY="] {
        let entry = found.iter().find(|it| it.as_bytes().starts_with(name.as_bytes()));
        assert_eq!(entry, None, "what is of one computer only");
    }
}

/// What prepares a host for commands runs before each of them, in its environment.
#[test]
fn setup_lines() {
    let each = "setup = \"export PREPARED=\\\"$(hostname) is ready\\\"\"";
    let settings = HostSettings { each, ..HostSettings::default() };
    let Some(cluster) = Cluster::configured(1, WHITELIST, &settings) else { return };
    let mut command = cluster.session().command(Way::Preloaded, "env", ["tell", "environment"]);
    let told = finish(&mut command).expect_success("tell");
    assert!(told.text().split('\0').any(|it| it == "PREPARED=h1 is ready"), "{told}");
    // By its path, which is all that a shell without 'exec -a' can call it.
    let script = "env \"$(command -v tell)\" arguments 'a  b' '' \"$(printf 'c\\nd')\"";
    cluster.assert_same("arguments", script, 1);
}

/// That is the host's fault and not the command's.
#[test]
fn setup_lines_that_fail() {
    let settings = HostSettings {
        each: "setup = \"echo no such module >&2; exit 1\"",
        ..HostSettings::default()
    };
    let Some(cluster) = Cluster::configured(1, WHITELIST, &settings) else { return };
    let ended = finish(&mut cluster.session().command(Way::Preloaded, "env", ["ls"]));
    assert_eq!(ended.status.code(), Some(125), "{ended}");
    crate::cluster::assert_says(&ended, &["h1", "setup"]);
    assert!(ended.complaint().contains("no such module"), "{ended}");
}
