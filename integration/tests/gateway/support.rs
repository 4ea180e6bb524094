//! What the tests of the gateway have in common.

use std::{fs, path::Path, time::Instant};

use integration::{
    DEADLINE, Finished, Job, Listener, Running, Session, Settings, Watched, Way, Witness, begin,
};

pub(crate) const ONE_CPU: Settings = Settings { cpus: 1 };

/// Status of a client when the system failed and not its command.
pub(crate) const SYSTEM_FAILURE: Option<i32> = Some(125);

/// Waits for something that nobody reports, by asking again and again.
#[track_caller]
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < deadline, "not within {DEADLINE:?}: {what}");
        std::thread::yield_now();
    }
}

/// Starts a job that lives until it is given an order. The listener's name must be new.
#[track_caller]
pub(crate) fn start_witness(session: &Session, name: &str, options: &[&str]) -> (Running, Witness) {
    let listener = Listener::new(&session.directory(), name);
    let mut command = session.command(Way::Preloaded, "env", ["witness", listener.path()]);
    let client = begin(command.args(options));
    (client, listener.accept())
}

/// Starts a job that adds `line` to the file `lines` and waits until it is queued behind others.
#[track_caller]
pub(crate) fn queue_line(session: &Session, line: usize) -> Running {
    let client = begin(&mut line_command(session, line));
    until("the job is queued", || {
        let this_one = |job: &Job| job.argv.last() == Some(&line_script(line));
        session.jobs().iter().any(|job| this_one(job) && job.state == "queued")
    });
    client
}

/// A job, under the rule `sh`, that adds `line` to the file `lines`.
pub(crate) fn line_command(session: &Session, line: usize) -> std::process::Command {
    session.command(Way::Preloaded, "env", ["sh", "-c", &line_script(line)])
}

fn line_script(line: usize) -> String {
    format!("echo {line} >>lines")
}

/// The lines that jobs of [`line_command`] have added.
pub(crate) fn lines(session: &Session) -> Vec<usize> {
    let text = fs::read_to_string(session.directory().join("lines")).unwrap_or_default();
    text.lines().map(|line| line.parse().expect("jobs add numbers")).collect()
}

/// Waits until another process than `before` is the gateway.
#[track_caller]
pub(crate) fn next_gateway(session: &Session, before: &Watched) -> Watched {
    let mut found = None;
    until("another gateway is there", || {
        found = session.gateway_if_running().filter(|gateway| gateway.pid() != before.pid());
        found.is_some()
    });
    found.expect("the wait is over")
}

/// The only record of a whitelisted command.
#[track_caller]
pub(crate) fn only_command(session: &Session) -> Job {
    let mut commands = session.commands();
    assert_eq!(commands.len(), 1, "{commands:?}");
    session.show(&commands.remove(0))
}

/// The first field of a failed command's message is who complains; it says `parts`, in one line.
#[track_caller]
pub(crate) fn assert_says(finished: &Finished, parts: &[&str]) {
    let complaint = finished.complaint();
    let says = |line: &str| {
        line.starts_with("redirector: ") && parts.iter().all(|part| line.contains(part))
    };
    let count = complaint.lines().filter(|line| says(line)).count();
    assert_eq!(count, 1, "exactly one line of redirector's with {parts:?}: {finished}");
}

/// The log of the session's gateways.
pub(crate) fn log(session: &Session) -> String {
    fs::read_to_string(session.state().join("gateway.log")).unwrap_or_default()
}

/// Makes `content` a script that can be run.
pub(crate) fn write_script(file: &Path, content: &str) {
    use std::os::unix::fs::PermissionsExt;
    fs::write(file, content).expect("the session's directory is writable");
    fs::set_permissions(file, fs::Permissions::from_mode(0o755)).expect("just made");
}
