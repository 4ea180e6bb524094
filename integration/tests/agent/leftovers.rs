//! A job that has ended has left nothing behind.

use std::{fs, io::Read, os::unix::fs::OpenOptionsExt};

use integration::{Listener, Watched, find_program};
use nix::{sys::stat::Mode, unistd::mkfifo};
use serde_json::{Value, json};

use crate::support::{Agent, parent_of};

/// `sleep`, at a path by which a process with an empty environment is still this test's.
fn marked_sleep(agent: &Agent) -> String {
    let copy = agent.directory().join("marked-sleep");
    fs::copy(find_program("sleep").expect("coreutils"), &copy).expect("our directory");
    copy.display().to_string()
}

#[test]
fn a_daemon_ends_with_its_job_whatever_it_has_shed() {
    let agent = Agent::start();
    let sleep = marked_sleep(&agent);
    let ways = [
        format!("{sleep} 1000 &"),
        format!("setsid {sleep} 1000 </dev/null >/dev/null 2>&1 &"),
        // The one in the middle ends first: its child is an orphan when the job ends.
        format!("setsid sh -c '{sleep} 1000 </dev/null >/dev/null 2>&1 & echo $!' | cat >&2;"),
        format!("env -i setsid sh -c 'cd /; exec 0<&- 1<&- 2<&-; {sleep} 1000 & exec true' &"),
    ];
    for way in ways {
        // A look at the daemon before the job ends: it must have been there.
        let script = format!("{way} until pgrep -f {sleep} | grep -v $$ >seen; do :; done; exit 4");
        let ended = agent.run(&["sh", "-c", &script], &Value::Null);
        assert_eq!(ended["exit_code"], 4, "{way}: {ended}");
        assert!(!agent.text("seen").is_empty(), "{way}");
    }
}

/// A named pipe that all processes of a fork bomb hold open. They come and go too fast to be
/// seen in `/proc`, but its reader sees the end only when none is left.
struct Held {
    path: String,
    reader: fs::File,
}

impl Held {
    fn new(agent: &Agent) -> Self {
        let path = agent.directory().join("held");
        mkfifo(&path, Mode::S_IRWXU).expect("our directory");
        let reader = fs::OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(&path);
        Self { path: path.display().to_string(), reader: reader.expect("just made") }
    }

    #[track_caller]
    fn assert_nobody_is_left(mut self) {
        let mut bytes = Vec::new();
        let end = self.reader.read_to_end(&mut bytes);
        assert_eq!(bytes, b"x", "the bomb has begun");
        assert!(end.is_ok(), "somebody holds the pipe open: {end:?}");
    }
}

#[test]
fn a_fork_bomb_ends_with_its_job() {
    let agent = Agent::start();
    let held = Held::new(&agent);
    let ended = agent.run(&["bomb", "40", "20000", &held.path], &Value::Null);
    assert_eq!(ended["exit_code"], 0, "{ended}");
    held.assert_nobody_is_left();
}

#[test]
fn a_fork_bomb_ends_when_it_is_told_to() {
    let agent = Agent::start();
    let held = Held::new(&agent);
    let more = json!({"time_limit": 100, "grace": 0});
    let ended = agent.run(&["bomb", "40", "100000", &held.path, "--stay"], &more);
    assert_eq!(ended["outcome"], "timed_out", "{ended}");
    held.assert_nobody_is_left();
}

#[test]
fn the_jobs_of_an_agent_that_is_killed_end_before_another_one_is_there() {
    let mut agent = Agent::start();
    let sleep = marked_sleep(&agent);
    let listener = Listener::new(agent.directory(), "socket");
    let script = format!(
        "env -i setsid sh -c '{sleep} 1000 & exec true' & setsid {sleep} 1000 & witness {}; :",
        listener.path()
    );
    let mut link = agent.connect();
    link.start(&agent.assignment(1, &["sh", "-c", &script]));
    let mut witness = listener.accept();
    agent.process().kill();
    agent.start_again();
    agent.assert_nothing_left();
    while witness.next_report().is_some() {}
    assert_eq!(agent.connect().known, [0u64; 0], "another agent does not know it");
}

#[test]
fn a_job_whose_shepherd_is_killed_is_lost_and_gone() {
    let agent = Agent::start();
    let sleep = marked_sleep(&agent);
    let listener = Listener::new(agent.directory(), "socket");
    let script = format!("setsid {sleep} 1000 & witness {}; :", listener.path());
    let mut link = agent.connect();
    link.start(&agent.assignment(1, &["sh", "-c", &script]));
    let witness = listener.accept();
    // The witness's parent is the shell, whose parent is the shepherd.
    let shepherd = parent_of(parent_of(witness.pid().as_raw()));
    Watched::new(shepherd).expect("it is alive").kill();
    let ended = link.ended();
    assert_eq!(ended["outcome"], "lost", "{ended}");
    let watched = [witness.pid().as_raw()].map(Watched::new);
    for process in watched.iter().flatten() {
        process.wait_for_end();
    }
    // The next one has another shepherd.
    link.start(&agent.assignment(2, &["true"]));
    assert_eq!(link.ended()["exit_code"], 0);
}
