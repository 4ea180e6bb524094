//! Mapfiles, and commands that are run on each of their files.

mod maps;
mod scatter;

use integration::{Finished, Session, finish};

/// `redirector ARGUMENTS`, in the session's directory.
fn run(session: &Session, arguments: &[&str]) -> Finished {
    finish(session.redirector(arguments.iter().copied()).current_dir(session.directory()))
}

/// Checks that each of `parts` was said on standard error.
#[track_caller]
fn assert_says(finished: &Finished, parts: &[&str]) {
    let complaint = finished.complaint();
    for part in parts {
        assert!(complaint.contains(part), "'{part}' is missing:\n{finished}");
    }
}

/// The gateway's own computer, as mapfiles may call it.
const HERE: &str = "localhost";

/// A mapfile at `name` with these files on this computer.
fn write_map(session: &Session, name: &str, files: &[&str]) {
    let entry = |file: &&str| format!("{{'host': '{HERE}', 'file': '{file}', 'skip': False}}");
    let entries: Vec<_> = files.iter().map(entry).collect();
    let path = session.directory().join(name);
    std::fs::write(path, format!("[{}]", entries.join(", "))).expect("the directory is writable");
}

/// The entries of the mapfile at `name`, as JSON.
#[track_caller]
fn entries(session: &Session, name: &str) -> serde_json::Value {
    let read = run(session, &["map", "read", "--json", name]).expect_success("map read");
    serde_json::from_slice(&read.stdout).expect("JSON")
}
