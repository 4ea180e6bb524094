//! Detached jobs that can never run, and submissions that no command line would make: the gateway
//! says what is wrong with them, accepts nothing, and goes on.

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
};

use integration::{DEADLINE, Session, finish};
use serde_json::{Value, json};

use crate::{
    detached::{submit, submit_command},
    support::{SYSTEM_FAILURE, assert_says},
};

/// The HTTP status and the body of the answer to `body`.
#[track_caller]
fn post(session: &Session, path: &str, body: &str) -> (u16, String) {
    let socket = session.state().join("gateway.sock");
    let mut stream = UnixStream::connect(socket).expect("the gateway listens");
    stream.set_read_timeout(Some(DEADLINE)).expect("a deadline that is not zero");
    let length = body.len();
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: redirector\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).expect("the gateway reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the gateway answers");
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
    (status.expect("a status line"), body.expect("an empty line"))
}

/// A submission that is accepted.
fn submission() -> Value {
    json!({
        "key": "a key",
        "spec": {
            "kind": "command", "name": "true", "argv": ["true"], "program": "/bin/true",
            "directory": "/", "resources": {"cpus": 1, "mem": 0},
        },
        "environment": [],
        "umask": 18,
    })
}

#[test]
fn submissions_that_no_command_line_would_make() {
    let session = Session::new("");
    submit(&session, &["--wait", "--", "true"]);
    let range = |first: u64, last: u64, step: u64| json!({"range": {"first": first, "last": last, "step": step}});
    for (place, value, part) in [
        ("/key", json!(""), "key"),
        ("/elements", range(1, 10_000_000, 1), "10000000 elements"),
        ("/elements", range(0, u64::MAX, 1), "at most 100000"),
        ("/elements", range(1, 5, 0), "step"),
        ("/elements", range(5, 1, 1), "no elements"),
        ("/elements", json!({"lines": []}), "no elements"),
        ("/spec/argv", json!([]), "program"),
        ("/spec/program", json!(""), "program"),
        ("/spec/kind", json!("run"), "kind"),
        ("/spec/kind", json!("unheard-of"), "unheard-of"),
        ("/spec/resources/cpus", json!(-1), "not less than 0"),
        ("/spec/resources/cpus", json!("many"), ""),
        ("/spec/after", json!([{"job": 0, "on": "ok"}]), "no job 0"),
        // Its own number, and one that is to come.
        ("/spec/after", json!([{"job": 2, "on": "ok"}]), "no job 2"),
        ("/spec/after", json!([{"job": 3, "on": "any"}]), "no job 3"),
        ("/spec/after", json!([{"job": u64::MAX, "on": "any"}]), "no job"),
        ("/token", json!("7.of-somebody-else"), "REDIRECTOR_TOKEN"),
    ] {
        let mut wrong = submission();
        let (parent, name) = place.rsplit_once('/').expect("it begins with one");
        wrong.pointer_mut(parent).expect("it is there")[name] = value;
        let (status, answer) = post(&session, "/v1/jobs", &wrong.to_string());
        assert!((400..500).contains(&status), "{wrong}: {status} {answer}");
        assert!(answer.contains(part), "{part} of {wrong}: {status} {answer}");
    }
    for wrong in ["", "{", "[]", "null", "{\"key\": 7}"] {
        let (status, answer) = post(&session, "/v1/jobs", wrong);
        assert!((400..500).contains(&status) && !answer.is_empty(), "{wrong}: {status} {answer}");
    }
    assert_eq!(session.jobs().len(), 1, "nothing was accepted");
    // Twice under one key, it is the same job.
    for _ in 0..2 {
        let (status, answer) = post(&session, "/v1/jobs", &submission().to_string());
        let expected = json!({"first": 2, "last": 2});
        assert_eq!((status, serde_json::from_str(&answer).ok()), (200, Some(expected)), "{answer}");
    }
    session.ask(["wait", "2"]).expect_success("the job");
}

/// The request is refused at once, although others run, and so is what follows it.
#[test]
fn requests_that_can_never_be_met() {
    let session = Session::new("");
    for (options, parts) in [
        (&["--cpus", "64"][..], ["64 cpus", "2 cpus"]),
        (&["--mem", "900G"], ["900G", "4G"]),
        (&["--gpus", "1"], ["'gpus'", "declare"]),
        (&["--resource", "licences=0.5"], ["'licences'", "declare"]),
    ] {
        let options = [options, &["--array", "1-2", "--", "true"]].concat();
        let ids = submit(&session, &options);
        let (first, last) = ids.split_once('-').expect("two of them");
        for id in [first, last] {
            let waited = session.ask(["wait", id]);
            assert_eq!(waited.status.code(), SYSTEM_FAILURE, "{waited}");
            assert_says(&waited, &[&format!("job {id}"), "refused"]);
            for part in parts {
                assert!(waited.complaint().contains(part), "{part}: {waited}");
            }
            assert!(session.records(id)[0].attempts.is_empty());
        }
        let after = ["--after", first, "--wait", "--", "true"];
        let follower = finish(&mut submit_command(&session, &after));
        assert_says(&follower, &["cancelled", &format!("job {first}"), "refused"]);
    }
}

#[test]
fn retries_of_what_cannot_be_tried_again() {
    let session = Session::new("false\n");
    let done = submit(&session, &["--", "true"]);
    session.ask(["wait", &done]).expect_success("a job");
    session.bash(integration::Way::Preloaded, "env false");
    let leased = session.commands()[0].id.to_string();
    for (id, parts) in [(&*done, "has succeeded"), (&leased, "pipeline"), ("99", "no job 99")] {
        let refused = session.ask(["retry", id]);
        assert_eq!(refused.status.code(), SYSTEM_FAILURE, "{refused}");
        assert_says(&refused, &[&format!("job {id}"), parts]);
        let held = session.ask(["hold", id]);
        assert_eq!(held.status.code(), SYSTEM_FAILURE, "{held}");
        assert_says(&held, &[&format!("job {id}")]);
    }
}
