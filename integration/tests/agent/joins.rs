//! `redirector agent --join`: an agent in an allocation, which comes to its gateway by itself.
//! These tests are the gateway.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use integration::{Artefacts, DEADLINE, Listener, Witness, left_in};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use redirector::{
    config::Config,
    engine::{
        ByteStream, Channel,
        join::Joining,
        multiplex::{self, KeepAlive},
    },
    model::NodeName,
    place::StateDirectory,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    runtime::Handle,
    task::AbortHandle,
    time::timeout,
};

use crate::support::{job_of, lines_of};

/// A place for gateways, one after the other.
struct Site {
    directory: TempDir,
    settings: Config,
    /// Names the agent's directory in `/tmp`.
    gateway_id: String,
    runtime: Handle,
}

/// An agent's process. When dropped it is killed.
struct Agent(Child);

/// A gateway's link to an agent; it is cut when this is dropped.
struct Link {
    hello: Value,
    orders: BufReader<ByteStream>,
    runtime: Handle,
    driver: AbortHandle,
    _channel: Channel,
}

impl Site {
    /// One whose agents keep their jobs for half of `lost_after`, if that is short.
    fn new(lost_after: Duration) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("there is room for a runtime");
        let handle = runtime.handle().clone();
        // Until the test's process ends.
        thread::spawn(move || runtime.block_on(std::future::pending::<()>()));
        let mut settings = Config::default();
        settings.ssh.lost_after = lost_after;
        let directory = tempfile::tempdir().expect("$TMPDIR can be written to");
        let name = directory.path().file_name().expect("it has a name").to_string_lossy();
        let gateway_id = name.replace('.', "j");
        Self { directory, settings, gateway_id, runtime: handle }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Where its agent is.
    fn state(&self) -> PathBuf {
        let user = nix::unistd::getuid();
        format!("/tmp/redirector-{user}/{}.{}", self.gateway_id, node()).into()
    }

    fn gateway(&self) -> Joining {
        let _inside = self.runtime.enter();
        let state = StateDirectory::at(self.path());
        Joining::start(&state, &self.gateway_id, &self.settings).expect("any port will do")
    }

    /// Has `gateway` invite an agent, again if it was invited by another one.
    fn invite(gateway: &Joining) -> PathBuf {
        gateway.invite(&node()).expect("the directory can be written to")
    }

    fn agent(&self, invitation: &Path) -> Agent {
        let mut command = Command::new(Artefacts::find().redirector);
        command.args(["agent", "--join"]).arg(invitation);
        command.env_clear().env("HOME", self.path()).env("PATH", "/usr/bin:/bin");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        Agent(command.spawn().expect("the program is there"))
    }

    /// A gateway whose agent runs a job.
    fn with_a_job(&self) -> (Joining, Agent, Link, Witness) {
        let socket = Listener::new(self.path(), "socket");
        let gateway = self.gateway();
        let agent = self.agent(&Self::invite(&gateway));
        let mut link = self.link(&gateway);
        link.order(&self.job(&socket));
        let witness = socket.accept();
        (gateway, agent, link, witness)
    }

    /// Waits for the agent to come to `gateway`.
    fn link(&self, gateway: &Joining) -> Link {
        let linked = async {
            let stream = gateway.arrival(&node()).await;
            let link = multiplex::connect(stream, KeepAlive::default()).await;
            let (channel, driver) = link.expect("an agent has come");
            let driver = tokio::spawn(driver).abort_handle();
            let orders = channel.open("/v1/orders").await.expect("the link is there");
            (channel, driver, BufReader::new(orders))
        };
        let (channel, driver, orders) = self.wait(linked);
        let runtime = self.runtime.clone();
        let mut link = Link { hello: Value::Null, orders, runtime, driver, _channel: channel };
        link.hello = link.hear()["hello"].take();
        link.order(&json!({"environment": {"digest": "e", "entries": ["PATH=/usr/bin:/bin"]}}));
        link
    }

    fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        let in_time = self.runtime.block_on(async { timeout(DEADLINE, future).await });
        in_time.expect("the agent does it in time")
    }

    /// A job that is a witness, and ends when it is told to.
    fn job(&self, socket: &Listener) -> Value {
        let witness = integration::programs_directory().join("witness");
        let file = |name: &str| self.path().join(name);
        json!({"start": {
            "job": 1, "number": 1, "program": witness, "argv": ["witness", socket.path(), "--default"],
            "environment": "e", "directory": self.path(), "umask": 0o022,
            "variables": [["REDIRECTOR_TOKEN", format!("1.{}", self.path().display())]],
            "stdout": file("1.out"), "stderr": file("1.err"),
        }})
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let state = self.state();
        // It has gone with its agent if all went well.
        let is_left = state.exists();
        drop(fs::remove_dir_all(&state));
        if !thread::panicking() {
            assert!(!is_left, "{} is left behind", state.display());
            assert_eq!(left_in(self.path()), [""; 0], "left behind");
        }
    }
}

impl Agent {
    /// Waits for its end: whether it was in good order, and its log.
    fn end(mut self) -> (bool, String) {
        let mut log = String::new();
        let errors = self.0.stderr.as_mut().expect("it is piped");
        // Its end is the end of all that it has started, too.
        errors.read_to_string(&mut log).expect("a log is text");
        let status = self.0.wait().expect("it is a child of this process");
        (status.success(), log)
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.0.id() as i32);
        kill(pid, signal).expect("it is alive");
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It has ended if all went well.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Link {
    fn hear(&mut self) -> Value {
        let mut line = String::new();
        let read = self
            .runtime
            .block_on(async { timeout(DEADLINE, self.orders.read_line(&mut line)).await });
        read.expect("the agent speaks in time").expect("the link is there");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line:?}: {error}"))
    }

    fn ended(&mut self) -> Value {
        let mut report = self.hear();
        while report["log"].is_object() {
            report = self.hear();
        }
        report["ended"].take()
    }

    fn order(&mut self, order: &Value) {
        let line = lines_of(std::slice::from_ref(order));
        let written = self.runtime.block_on(async {
            self.orders.get_mut().write_all(&line).await?;
            self.orders.get_mut().flush().await
        });
        written.expect("the agent listens");
    }

    fn acknowledge(&mut self) {
        self.order(&json!({"acknowledge": {"attempt": {"job": 1, "number": 1}}}));
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

fn node() -> NodeName {
    NodeName("long-7".to_owned())
}

/// Nothing of these tests lasts as long.
const LONG: Duration = Duration::from_mins(10);

#[test]
fn its_jobs_go_on_while_one_gateway_follows_another() {
    let site = Site::new(LONG);
    let socket = Listener::new(site.path(), "socket");
    let first = site.gateway();
    let agent = site.agent(&Site::invite(&first));
    let mut link = site.link(&first);
    assert!(link.hello["facts"].is_object(), "what it has for jobs: {}", link.hello);
    link.order(&site.job(&socket));
    let mut witness = socket.accept();
    let instance = link.hello["instance"].clone();
    drop((link, first));

    let second = site.gateway();
    Site::invite(&second);
    let mut link = site.link(&second);
    assert_eq!(link.hello["instance"], instance);
    assert_eq!(link.hello["running"], json!([{"job": 1, "number": 1}]));
    witness.order("exit 3");
    let ended = link.ended();
    assert_eq!((job_of(&ended), &ended["exit_code"]), (1, &json!(3)));
    link.acknowledge();
    link.order(&json!("leave"));
    let (is_good, log) = agent.end();
    assert!(is_good && log.contains("leaving: the gateway said so"), "{log}");
}

#[test]
fn without_a_gateway_it_ends_its_jobs_after_the_grace() {
    let site = Site::new(Duration::from_secs(4));
    let (gateway, agent, link, _witness) = site.with_a_job();
    let begin = Instant::now();
    drop((link, gateway));
    let (is_good, log) = agent.end();
    let took = begin.elapsed();
    assert!(is_good && log.contains("gone for too long"), "{log}");
    assert!(took >= Duration::from_secs(1), "it waited for the gateway: {took:?}\n{log}");
}

#[test]
fn an_engine_that_wants_its_node_back_has_its_jobs_ended_and_told() {
    let site = Site::new(LONG);
    let (_gateway, agent, mut link, _witness) = site.with_a_job();
    agent.signal(Signal::SIGTERM);
    let ended = link.ended();
    assert_eq!(job_of(&ended), 1, "{ended}");
    link.acknowledge();
    let (is_good, log) = agent.end();
    assert!(is_good && log.contains("leaving: a signal said so"), "{log}");
}

#[test]
fn an_agent_that_is_expected_no_more_ends_its_jobs() {
    let site = Site::new(LONG);
    let (gateway, agent, link, _witness) = site.with_a_job();
    gateway.forget(&node());
    drop(link);
    let (is_good, log) = agent.end();
    assert!(is_good && log.contains("has taken its invitation"), "{log}");
}

#[test]
fn an_allocation_that_is_started_twice_runs_nothing_twice() {
    let site = Site::new(LONG);
    let gateway = site.gateway();
    let invitation = Site::invite(&gateway);
    let agent = site.agent(&invitation);
    let mut link = site.link(&gateway);
    let (is_good, log) = site.agent(&invitation).end();
    assert!(!is_good && log.contains("was used by another agent already"), "{log}");
    link.order(&json!("leave"));
    assert!(agent.end().0);
}
