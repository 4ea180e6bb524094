//! Runs a command to its end and never longer than a deadline.

use std::{
    fmt,
    io::{Read, Write},
    os::unix::process::ExitStatusExt,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// How long anything in these tests may take before it counts as hanging.
pub const DEADLINE: Duration = Duration::from_mins(1);

/// What a caller sees of a command that ended.
#[derive(Clone, PartialEq, Eq)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// All of its standard output.
    pub stdout: Vec<u8>,
    /// All of its standard error.
    pub stderr: Vec<u8>,
}

impl Finished {
    /// Standard output as text, for messages and for output that is known to be text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard error as text.
    pub fn complaint(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// The same, for commands that must succeed.
    ///
    /// # Panics
    ///
    /// With everything the command said, unless it ended with status 0.
    #[expect(clippy::return_self_not_must_use, reason = "often only the check is wanted")]
    #[track_caller]
    pub fn expect_success(self, what: &str) -> Self {
        assert!(self.status.success(), "{what} failed: {self}");
        self
    }
}

impl fmt::Display for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.status)?;
        write_stream(f, "stdout", &self.stdout)?;
        write_stream(f, "stderr", &self.stderr)
    }
}

impl fmt::Debug for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn write_stream(f: &mut fmt::Formatter<'_>, name: &str, bytes: &[u8]) -> fmt::Result {
    const SHOWN: usize = 4000;
    writeln!(f, "--- {name}, {} bytes", bytes.len())?;
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN)]);
    write!(f, "{text}{}", if text.is_empty() || text.ends_with('\n') { "" } else { "\n" })
}

/// Compares all that a caller sees of two commands.
///
/// # Panics
///
/// When there is a difference; the message shows both.
#[track_caller]
pub fn assert_same(what: &str, plain: &Finished, redirected: &Finished) {
    assert!(
        plain.status.into_raw() == redirected.status.into_raw()
            && plain.stdout == redirected.stdout
            && plain.stderr == redirected.stderr,
        "{what}: plain and redirected differ.\nPlain: {plain}\nRedirected: {redirected}"
    );
}

/// Runs a command to its end with an empty standard input.
///
/// The end is reached when the command ended *and* its output was closed: whoever keeps it open
/// would also keep `command | tee log` from ending.
///
/// # Panics
///
/// When it cannot be started, or has not ended after [`DEADLINE`].
#[track_caller]
pub fn finish(command: &mut Command) -> Finished {
    begin(command).finish()
}

/// Starts a command that [`Running::finish`] then runs to its end, with an empty standard input.
///
/// What it writes before that must fit into a pipe.
///
/// # Panics
///
/// When it cannot be started.
#[track_caller]
pub fn begin(command: &mut Command) -> Running {
    let child = start(command.stdin(Stdio::null()));
    Running { child, command: format!("{command:?}") }
}

/// A command that was started and not yet waited for.
pub struct Running {
    child: Child,
    command: String,
}

impl Running {
    /// Its process.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32)
    }

    /// Waits for its end, as [`finish`] does.
    ///
    /// # Panics
    ///
    /// As [`finish`].
    #[track_caller]
    pub fn finish(self) -> Finished {
        collect(self.child, &self.command)
    }
}

/// As [`finish`], with `input` on the command's standard input.
///
/// # Panics
///
/// As [`finish`].
#[track_caller]
pub fn finish_with_input(command: &mut Command, input: Vec<u8>) -> Finished {
    let mut child = start(command.stdin(Stdio::piped()));
    let mut stdin = child.stdin.take().expect("piped above");
    // A command may end without reading all of it: an error here is not ours to report.
    thread::spawn(move || stdin.write_all(&input).ok());
    collect(child, &format!("{command:?}"))
}

#[track_caller]
fn start(command: &mut Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"))
}

enum Event {
    Stdout(Vec<u8>),
    Stderr(Vec<u8>),
    Ended(ExitStatus),
}

#[track_caller]
fn collect(mut child: Child, command: &str) -> Finished {
    let pid = Pid::from_raw(child.id() as i32);
    let stdout = child.stdout.take().expect("piped by start");
    let stderr = child.stderr.take().expect("piped by start");
    let (events, received) = mpsc::channel();

    let sender = events.clone();
    thread::spawn(move || sender.send(Event::Stdout(read_all(stdout))));
    let sender = events.clone();
    thread::spawn(move || sender.send(Event::Stderr(read_all(stderr))));
    thread::spawn(move || {
        let status = child.wait().expect("nobody else waits for this child");
        events.send(Event::Ended(status))
    });

    let (mut out, mut err, mut ended) = (None, None, None);
    let deadline = Instant::now() + DEADLINE;
    while out.is_none() || err.is_none() || ended.is_none() {
        match received.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(Event::Stdout(bytes)) => out = Some(bytes),
            Ok(Event::Stderr(bytes)) => err = Some(bytes),
            Ok(Event::Ended(status)) => ended = Some(status),
            Err(_) => {
                if ended.is_none() {
                    kill(pid, Signal::SIGKILL).ok();
                }
                panic!(
                    "after {DEADLINE:?} {command} has {}, its stdout is {}, its stderr is {}",
                    ended.map_or("not ended".to_owned(), |status| format!("ended ({status})")),
                    if out.is_some() { "closed" } else { "still open" },
                    if err.is_some() { "closed" } else { "still open" },
                );
            }
        }
    }
    Finished {
        status: ended.expect("the loop ran until it was there"),
        stdout: out.expect("the loop ran until it was there"),
        stderr: err.expect("the loop ran until it was there"),
    }
}

fn read_all(mut stream: impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A read error of a pipe ends the stream as its end does; what came before it is compared.
    stream.read_to_end(&mut bytes).ok();
    bytes
}
