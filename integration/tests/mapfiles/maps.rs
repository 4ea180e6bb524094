//! `redirector map`

use std::{ffi::OsStr, fs, os::unix::ffi::OsStrExt};

use integration::{Session, finish_with_input};
use serde_json::json;

use crate::{HERE, assert_says, entries, run, write_map};

#[test]
fn a_mapfile_goes_from_form_to_form() {
    let session = Session::new("");
    let map = session.directory().join("a.map");
    fs::write(&map, "lce001=[ /a, '/b c' ] lce002=[ /d ]\n").expect("writable");
    let dictionaries = run(&session, &["map", "read", "--form", "dictionaries", "a.map"]);
    let dictionaries = dictionaries.expect_success("map read").text();
    assert_eq!(
        dictionaries,
        "[{'host': 'lce001', 'file': '/a', 'skip': False},\n \
         {'host': 'lce001', 'file': '/b c', 'skip': False},\n \
         {'host': 'lce002', 'file': '/d', 'skip': False}]\n"
    );
    let mut back = session.redirector(["map", "read", "--form", "parset", "-"]);
    let back = finish_with_input(&mut back, dictionaries.into_bytes()).expect_success("back");
    assert_eq!(back.text(), "lce001=[ /a, '/b c' ]\nlce002=[ /d ]\n");
    let table = run(&session, &["map", "read", "--host", "lce002", "a.map"]).text();
    assert_eq!(table, "ENTRY  HOST    SKIP  FILE\n    1  lce002        /d\n");
}

#[test]
fn what_is_not_a_mapfile_is_said_with_its_place() {
    let session = Session::new("");
    for (text, part) in [
        ("lce001=[ /a", "bad.map:1:8: this '[' is not closed"),
        ("[('a', '/1')]\nprint()", "bad.map:2:1: expected nothing after the list"),
        ("[{'host': 'a', 'fil': '/1'}]", "bad.map:1:16: unknown key 'fil'"),
    ] {
        fs::write(session.directory().join("bad.map"), text).expect("writable");
        for command in
            [&["map", "read", "bad.map"][..], &["scatter", "--map", "bad.map", "--", "true"]]
        {
            let read = run(&session, command);
            assert_eq!(read.status.code(), Some(125), "{read}");
            assert_says(&read, &[part]);
        }
    }
    let missing = run(&session, &["map", "read", "no.map"]);
    assert_says(&missing, &["no.map", "No such file"]);
}

#[test]
fn files_are_given_to_hosts() {
    let session = Session::new("");
    let make =
        |options: &[&str]| run(&session, &[&["map", "make", "--form", "parset"], options].concat());
    let made = make(&["--hosts", "lce001..002", "/1", "/2", "/3"]).expect_success("make").text();
    assert_eq!(made, "lce001=[ /1, /3 ]\nlce002=[ /2 ]\n");
    let clusters = ["--subcluster", "sub1=a,b", "--subcluster", "sub2=c"];
    let files = ["/net/sub1/x", "/net/sub2/x", "/net/sub1/y"];
    let made = make(&[&clusters[..], &files].concat()).expect_success("make").text();
    assert_eq!(made, "a=[ /net/sub1/x ]\nc=[ /net/sub2/x ]\nb=[ /net/sub1/y ]\n");
    let made = make(&["--host-in-path", "/net/sub3/lse007/data/x"]).expect_success("make").text();
    assert_eq!(made, "lse007=[ /data/x ]\n");
    let refused = make(&[&clusters[..], &["/net/sub3/x"]].concat());
    assert_says(&refused, &["/net/sub3/x", "no sub-cluster 'sub3'", "sub1, sub2"]);
    assert_says(&make(&["--hosts", "a"]), &["no files", "--files-from"]);
    assert_says(&make(&["/1"]), &["no hosts are configured", "--hosts"]);
    assert_says(&make(&["--hosts", "a3..1", "/1"]), &["the range 3-1 ends before it begins"]);
    let mut command =
        session.redirector(["map", "make", "--hosts", "a", "--json", "--files-from", "-"]);
    let made = finish_with_input(&mut command, b"/x\n\n/\xff\n".to_vec()).expect_success("make");
    let made: serde_json::Value = serde_json::from_slice(&made.stdout).expect("JSON");
    assert_eq!(made[1]["file"], json!({"base64": "L/8="}), "{made}");
}

#[test]
fn hosts_are_looked_at_for_files() {
    let session = Session::new("");
    let data = session.directory().join("data");
    let names: [&[u8]; 4] = [b"a b.MS", b"it's\n\\.MS", b"\xff.MS", b"note.txt"];
    fs::create_dir(&data).expect("a new directory");
    for name in names {
        fs::write(data.join(OsStr::from_bytes(name)), "").expect("writable");
    }
    let options = ["map", "from-hosts", "--hosts", HERE, "--name", "*.MS", "--output", "found.map"];
    run(&session, &[&options[..], &["data"]].concat()).expect_success("from-hosts");
    let found = entries(&session, "found.map");
    let path = |name: &str| format!("{}/{name}", data.display());
    assert_eq!(found.as_array().map(Vec::len), Some(3), "{found}");
    assert_eq!(found[0], json!({"host": HERE, "file": path("a b.MS"), "skip": false}));
    assert_eq!(found[1]["file"], path("it's\n\\.MS"));
    assert!(found[2]["file"]["base64"].is_string(), "{found}");
    let excluded = run(
        &session,
        &["map", "from-hosts", "--hosts", HERE, "--exclude", "*.MS", "--json", "data"],
    );
    let excluded: serde_json::Value = serde_json::from_slice(&excluded.stdout).expect("JSON");
    assert_eq!(excluded[0]["file"], path("note.txt"), "{excluded}");
    assert_eq!(excluded.as_array().map(Vec::len), Some(1), "{excluded}");
}

#[test]
fn a_host_that_cannot_be_looked_at_is_named() {
    let session = Session::new("");
    let looked = run(&session, &["map", "from-hosts", "--hosts", "localhost", "/no/such"]);
    assert_eq!(looked.status.code(), Some(1), "{looked}");
    assert_says(&looked, &["host localhost", "/no/such", "--keep-going"]);
    assert_eq!(looked.text(), "");
    let options = ["map", "from-hosts", "--keep-going", "--hosts", "localhost", "/no/such"];
    assert_eq!(run(&session, &options).expect_success("--keep-going").text(), "[]\n");
    let unknown = run(&session, &["map", "from-hosts", "--hosts", "nowhere", "/"]);
    assert_eq!(unknown.status.code(), Some(125), "{unknown}");
    assert_says(&unknown, &["'nowhere' is no node here", "nothing was looked at"]);
}

#[test]
fn mapfiles_are_grouped_checked_and_aligned() {
    let session = Session::new("");
    fs::write(session.directory().join("here"), "").expect("writable");
    let here = session.directory().join("here").display().to_string();
    write_map(&session, "in.map", &[&here, &here, "/no/such"]);
    let grouped = run(&session, &["map", "group", "--size", "2", "--json", "in.map"]);
    let grouped: serde_json::Value = serde_json::from_slice(&grouped.stdout).expect("JSON");
    assert_eq!(grouped[0]["files"][1], json!({"file": here, "skip": false}), "{grouped}");
    assert_eq!(grouped[1]["files"][0]["file"], "/no/such", "{grouped}");
    write_map(&session, "short.map", &["/"]);
    let checked = run(&session, &["map", "validate", "in.map", "short.map"]);
    assert_eq!(checked.status.code(), Some(1), "{checked}");
    assert_eq!(
        checked.text(),
        format!(
            "in.map: entry 2: {here} stands in entry 1 already\n\
             in.map: entry 3: /no/such is not here\n\
             short.map: it has 1 entries, the first mapfile has 3\n\
             in.map: 3 entries on 1 hosts\nshort.map: 1 entries on 1 hosts\n"
        )
    );
    run(&session, &["map", "validate", "short.map"]).expect_success("nothing is wrong");
    let refused = run(&session, &["map", "align", "in.map", "short.map"]);
    assert_says(&refused, &["short.map", "has 1 entries", "nothing was changed"]);
    let skipping = format!("[{{'host': '{HERE}', 'file': '/x', 'skip': True}}]");
    fs::write(session.directory().join("out.map"), skipping).expect("writable");
    let aligned = run(&session, &["map", "align", "short.map", "out.map"]).expect_success("align");
    assert_eq!(aligned.text(), "1 of 1 entries are skipped\n");
    assert_eq!(entries(&session, "short.map"), json!([{"host": HERE, "file": "/", "skip": true}]));
}
