//! An agent of one's own for one test, and the gateway's side of the conversation.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Mutex,
    time::Instant,
};

use integration::{Artefacts, DEADLINE, Watched, finish, left_in, programs_directory};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

/// The environment that every attempt of these tests refers to.
const ENVIRONMENT: &str = "digest";

/// A running agent with a state directory of its own.
///
/// When dropped it is killed, and the test fails if anything of its jobs is alive then.
pub(crate) struct Agent {
    directory: TempDir,
    /// Where an agent looks for a gateway: it starts none while somebody listens there.
    gateway: Option<UnixListener>,
    process: Watched,
    /// Of [`Self::run`].
    connection: Mutex<Option<Link>>,
}

impl Agent {
    /// Starts one. This test is the gateway.
    #[track_caller]
    pub(crate) fn start() -> Self {
        // Not below $TMPDIR: a Unix socket's path must stay below 108 bytes.
        let directory = tempfile::Builder::new().prefix("rdtest-").tempdir_in("/tmp");
        let directory = directory.expect("/tmp can be written to");
        fs::create_dir(state(&directory)).expect("just made its parent");
        let gateway = UnixListener::bind(state(&directory).join("gateway.sock"));
        let process = launch(&directory);
        let gateway = Some(gateway.expect("nobody else listens there"));
        Self { directory, gateway, process, connection: Mutex::default() }
    }

    /// Stops being the gateway that the agent finds.
    pub(crate) fn without_gateway(&mut self) {
        self.gateway = None;
        fs::remove_file(self.state().join("gateway.sock")).expect("it was made at the start");
    }

    /// Starts another one where the last one was, which must have ended.
    #[track_caller]
    pub(crate) fn start_again(&mut self) {
        self.process = launch(&self.directory);
    }

    /// Working directory of all jobs.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn state(&self) -> PathBuf {
        state(&self.directory)
    }

    pub(crate) fn process(&self) -> &Watched {
        &self.process
    }

    /// The text of a file of this test's directory; empty if there is none.
    pub(crate) fn text(&self, file: &str) -> String {
        fs::read_to_string(self.directory().join(file)).unwrap_or_default()
    }

    /// Connects and hears who is there.
    #[track_caller]
    pub(crate) fn connect(&self) -> Link {
        let stream =
            UnixStream::connect(self.state().join("agent.sock")).expect("the agent listens");
        stream.set_read_timeout(Some(DEADLINE)).expect("a deadline that is not zero");
        let mut link =
            Link { reports: BufReader::new(stream), known: Vec::new(), promised: Vec::new() };
        let hello = link.hear();
        let attempts = |which: &str| {
            let listed = hello["hello"][which].as_array().expect("the first report is a hello");
            listed.iter().map(job_of).collect::<Vec<_>>()
        };
        link.known = [attempts("running"), attempts("ended")].concat();
        link.known.sort_unstable();
        link.promised = attempts("promised");
        let path = format!("PATH={}:/usr/bin:/bin", programs_directory().display());
        let home = format!("HOME={}", self.directory().display());
        link.order(&json!({"environment": {"digest": ENVIRONMENT, "entries": [path, home]}}));
        link
    }

    /// An attempt at `argv` as job `job`, whose output files are `JOB.out` and `JOB.err`.
    pub(crate) fn assignment(&self, job: u64, argv: &[&str]) -> Value {
        let file = |name: String| self.directory().join(name).display().to_string();
        json!({
            "job": job,
            "number": 1,
            "program": program(argv[0]),
            "argv": argv,
            "environment": ENVIRONMENT,
            "variables": [["REDIRECTOR_TOKEN", format!("{job}.{}", self.directory().display())]],
            "directory": self.directory().display().to_string(),
            "umask": 0o022,
            "stdout": file(format!("{job}.out")),
            "stderr": file(format!("{job}.err")),
        })
    }

    /// Runs job 1 to its end, with `more` set over its assignment: how it ended.
    #[track_caller]
    pub(crate) fn run(&self, argv: &[&str], more: &Value) -> Value {
        let mut connection = self.connection.lock().expect("no test panics in it");
        // Kept: an agent without a gateway and without jobs leaves.
        let link = connection.get_or_insert_with(|| self.connect());
        link.start(&with(self.assignment(1, argv), more));
        let ended = link.ended();
        assert_eq!(job_of(&ended), 1);
        self.assert_nothing_left();
        link.acknowledge(1);
        ended
    }

    /// Demands that of all processes here only the agent and its shepherds are alive.
    #[track_caller]
    pub(crate) fn assert_nothing_left(&self) {
        let mut left = left_in(self.directory());
        left.retain(|command| {
            !command.contains("redirector agent") && !command.contains("agent --")
        });
        assert!(left.is_empty(), "jobs left behind: {left:?}");
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if !self.process.has_ended() {
            self.process.kill();
        }
        if let Some(gateway) = holder(&self.state().join("gateway.lock")) {
            gateway.signal(Signal::SIGTERM);
            gateway.wait_for_end();
        }
        // The lock is free when the last shepherd has cleared up.
        let lock = fs::File::open(self.state().join("agent.lock")).expect("it was locked");
        let lock = nix::fcntl::Flock::lock(lock, nix::fcntl::FlockArg::LockShared);
        let left = left_in(self.directory());
        if !std::thread::panicking() {
            assert!(lock.is_ok() && left.is_empty(), "left behind: {left:?}");
        }
    }
}

fn state(directory: &TempDir) -> PathBuf {
    directory.path().join("state")
}

#[track_caller]
fn launch(directory: &TempDir) -> Watched {
    let mut command = Command::new(Artefacts::find().redirector);
    command.arg("agent").env_clear();
    command.env("HOME", directory.path()).env("REDIRECTOR_STATE_DIR", state(directory));
    let finished = finish(command.stdin(Stdio::null()));
    assert_eq!(finished.text(), "ready\n", "{finished}");
    holder(&state(directory).join("agent.lock")).expect("the agent that said so")
}

/// The process that a lock file names, if it is alive.
pub(crate) fn holder(lock: &Path) -> Option<Watched> {
    let pid = fs::read_to_string(lock).ok()?.trim().parse().ok()?;
    Watched::new(pid).filter(|process| !process.has_ended())
}

/// The parent of a process that is alive.
#[track_caller]
pub(crate) fn parent_of(pid: i32) -> i32 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it is alive");
    let line = status.lines().find_map(|line| line.strip_prefix("PPid:"));
    line.and_then(|pid| pid.trim().parse().ok()).expect("every process has a parent")
}

/// `value` with the fields of `more` set.
pub(crate) fn with(mut value: Value, more: &Value) -> Value {
    let fields = value.as_object_mut().expect("an assignment is an object");
    fields.extend(more.as_object().cloned().unwrap_or_default());
    value
}

/// The program's path, as a client resolves it.
fn program(name: &str) -> String {
    let found = integration::find_program(name).unwrap_or_else(|| name.into());
    found.display().to_string()
}

/// `orders` as an agent reads them.
pub(crate) fn lines_of(orders: &[Value]) -> Vec<u8> {
    let mut lines = Vec::new();
    for order in orders {
        writeln!(lines, "{order}").expect("memory can be written to");
    }
    lines
}

pub(crate) fn job_of(attempt: &Value) -> u64 {
    attempt["job"].as_u64().expect("an attempt has a job")
}

/// A gateway's connection to an agent.
pub(crate) struct Link {
    reports: BufReader<UnixStream>,
    /// The jobs whose attempts the agent knew when it was greeted.
    pub(crate) known: Vec<u64>,
    /// The jobs whose attempts were to follow others when it was greeted.
    pub(crate) promised: Vec<u64>,
}

impl Link {
    /// The next report.
    #[track_caller]
    pub(crate) fn hear(&mut self) -> Value {
        let line = self.line();
        assert!(!line.is_empty(), "the agent closed the connection");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line:?}: {error}"))
    }

    /// The next report's line, empty at the end.
    #[track_caller]
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.reports.read_line(&mut line).unwrap_or_else(|error| panic!("no report: {error}"));
        line
    }

    /// The next report but for records of a log, which is of an attempt's end.
    #[track_caller]
    pub(crate) fn ended(&mut self) -> Value {
        let mut report = self.hear();
        while report["log"].is_object() {
            report = self.hear();
        }
        let ended = &report["ended"];
        assert!(ended.is_object(), "{report}");
        ended.clone()
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.reports.get_mut().write_all(bytes).expect("the agent reads");
    }

    pub(crate) fn order(&mut self, order: &Value) {
        self.send(&lines_of(std::slice::from_ref(order)));
    }

    pub(crate) fn start(&mut self, assignment: &Value) {
        self.order(&json!({"start": assignment}));
    }

    pub(crate) fn end(&mut self, job: u64, grace: u64) {
        self.order(&json!({"end": {"attempt": {"job": job, "number": 1}, "grace": grace}}));
    }

    pub(crate) fn acknowledge(&mut self, job: u64) {
        self.order(&json!({"acknowledge": {"attempt": {"job": job, "number": 1}}}));
    }
}

/// Waits for something that nobody reports, by asking again and again.
#[track_caller]
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < deadline, "not within {DEADLINE:?}: {what}");
        std::thread::yield_now();
    }
}
