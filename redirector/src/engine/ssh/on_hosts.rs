//! Links to agents on real hosts, `h1` and `h2`, which `$REDIRECTOR_TEST_SSH` (a command like
//! `ssh -F FILE`) logs in to; `$REDIRECTOR_TEST_PROGRAM` is the program that is copied there.

use std::{
    env,
    process::Command,
    time::{Duration, Instant},
};

use tokio::io::{AsyncBufReadExt, BufReader};

use super::*;
use crate::{
    agent::{
        self,
        http::ORDERS,
        protocol::{Assignment, AttemptId, Order, Report},
    },
    engine::{
        ByteStream, Channel,
        multiplex::{self, KeepAlive},
    },
    model::{JobId, NodeName, Text},
};

const LIMIT: Duration = Duration::from_mins(1);

fn ssh_command() -> Vec<String> {
    let command = env::var("REDIRECTOR_TEST_SSH").expect("REDIRECTOR_TEST_SSH reaches the hosts");
    command.split_whitespace().map(str::to_owned).collect()
}

fn on_host(host: &str, command: &str) -> String {
    let words = ssh_command();
    let output = Command::new(&words[0]).args(&words[1..]).args([host, command]).output().unwrap();
    // Start-up files may print before it does.
    String::from_utf8_lossy(&output.stdout).lines().last().unwrap_or_default().to_owned()
}

type IsRight = fn(&Problem) -> bool;

struct Gateway {
    id: String,
    host: Host,
    ssh: Ssh,
    program: Program,
}

struct Link {
    _channel: Channel,
    process: connection::Process,
    instance: String,
    running: Vec<AttemptId>,
    predecessors: Vec<String>,
    /// Where orders go and reports come from.
    orders: tokio::io::Lines<BufReader<ByteStream>>,
    has_facts: bool,
    took: Duration,
}

impl Gateway {
    fn new(id: &str, host: &str) -> Self {
        let program = Program::at(env::var_os("REDIRECTOR_TEST_PROGRAM").unwrap()).unwrap();
        let id = format!("{id}{}", std::process::id());
        let host = Host {
            name: NodeName(host.to_owned()),
            address: host.to_owned(),
            cpus: None,
            mem: None,
            gpus: None,
            pools: [].into(),
            max_per_node: None,
            setup: None,
            path_map: [].into(),
            env: [].into(),
            tags: Vec::new(),
            stage: false,
        };
        Self { id, host, ssh: Ssh { command: ssh_command(), ..Ssh::default() }, program }
    }

    /// Connects, and hears the agent's Hello.
    async fn connect(&self) -> Link {
        let begin = Instant::now();
        let connected = connect_by(&self.program, &self.host, &self.ssh, &self.id).await;
        let (stream, process) = connected.unwrap_or_else(|error| panic!("{error}")).split();
        let (channel, driver) = multiplex::connect(stream, KeepAlive::default()).await.unwrap();
        tokio::spawn(driver);
        let orders = channel.open(ORDERS).await.unwrap();
        let mut lines = BufReader::new(orders).lines();
        let line = lines.next_line().await.unwrap().unwrap();
        let Report::Hello { instance, facts, running, predecessors, .. } =
            serde_json::from_str(&line).unwrap()
        else {
            panic!("no Hello: {line}");
        };
        let (has_facts, took) = (facts.is_some(), begin.elapsed());
        Link {
            _channel: channel,
            process,
            instance,
            running,
            predecessors,
            orders: lines,
            has_facts,
            took,
        }
    }
}

fn block_on(work: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(LIMIT, work).await.unwrap() });
}

#[test]
#[ignore = "needs hosts"]
fn an_agent_is_copied_started_and_found_again() {
    block_on(async {
        let gateway = Gateway::new("found", "h1");
        on_host("h1", "rm -rf ~/.cache/redirector-*");
        let cold = gateway.connect().await;
        assert!(cold.has_facts);
        let agent = cold.instance.clone();
        let cold = cold.took;
        let mut warm = Vec::new();
        for _ in 0..10 {
            let link = gateway.connect().await;
            assert_eq!(link.instance, agent, "it survives the ssh that is killed");
            warm.push(link.took);
        }
        let other = Gateway::new("other", "h1").connect().await;
        assert_ne!(other.instance, agent, "each gateway has its own");
        warm.sort();
        println!("copied {:?}; copied before {:?}; warm {:?}", cold, other.took, warm);
    });
}

#[test]
#[ignore = "needs hosts"]
fn a_later_link_ends_the_earlier_one() {
    block_on(async {
        let gateway = Gateway::new("later", "h1");
        let mut earlier = gateway.connect().await;
        let later = gateway.connect().await;
        assert_eq!(earlier.instance, later.instance);
        assert!(earlier.process.ended().await.is_some(), "ssh ends with what it ran");
    });
}

/// The agent runs here, by way of something that looks like ssh.
fn without_ssh(mut gateway: Gateway) -> Gateway {
    let words = ["sh", "-c", "for last; do :; done; eval \"$last\"", "ssh"];
    gateway.ssh.command = words.map(str::to_owned).to_vec();
    gateway
}

/// A job that says its process's number in `file` and then does nothing, as orders.
fn sleeper(file: &std::path::Path) -> String {
    let script = format!("echo $$ >{}; exec sleep 600", file.display());
    let assignment = Assignment {
        attempt: AttemptId { job: JobId(1), number: 1 },
        program: "/bin/sh".into(),
        argv: vec!["sh".into(), "-c".into(), Text::from(&*script)],
        environment: "e".to_owned(),
        directory: "/".into(),
        stdout: "/dev/null".into(),
        stderr: "/dev/null".into(),
        ..Assignment::default()
    };
    let environment = Order::Environment { digest: "e".to_owned(), entries: Vec::new() };
    let start = Order::Start(Box::new(assignment));
    [environment, start].map(|order| serde_json::to_string(&order).unwrap() + "\n").concat()
}

/// The number that a job writes into `file`.
async fn number_in(file: &std::path::Path) -> i32 {
    loop {
        match std::fs::read_to_string(file) {
            Ok(text) if text.ends_with('\n') => return text.trim().parse().unwrap(),
            _ => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

#[test]
#[ignore = "needs the program"]
fn an_agent_of_another_build_makes_way_when_it_has_nothing_to_do() {
    block_on(async {
        let directory = tempfile::tempdir().unwrap();
        let first = without_ssh(Gateway::new("builds", "here"));
        let copy = directory.path().join("other");
        let mut bytes = first.program.bytes().unwrap();
        bytes.push(0);
        std::fs::write(&copy, bytes).unwrap();
        let mut second = without_ssh(Gateway::new("builds", "here"));
        second.program = Program::at(copy).unwrap();

        let earlier = first.connect().await.instance;
        let mut link = second.connect().await;
        assert_ne!(link.instance, earlier);
        assert_eq!(link.predecessors, [earlier], "it left in good order");

        let file = directory.path().join("pid");
        link.orders.get_mut().write_all(sleeper(&file).as_bytes()).await.unwrap();
        let pid = number_in(&file).await;
        let instance = link.instance.clone();
        drop(link);
        let mut link = first.connect().await;
        assert_eq!(link.instance, instance, "it has a job, and stays");
        let attempt = AttemptId { job: JobId(1), number: 1 };
        for order in [Order::Abandon { attempt }, Order::Leave] {
            let line = serde_json::to_string(&order).unwrap() + "\n";
            link.orders.get_mut().write_all(line.as_bytes()).await.unwrap();
        }
        assert!(agent::process_ended(pid).await);
        let last = link.orders.next_line().await;
        assert!(!matches!(last, Ok(Some(_))), "it leaves: {last:?}");
        assert!(link.process.ended().await.is_some(), "and lets go of the connection");
    });
}

#[test]
#[ignore = "needs the program"]
fn jobs_outlive_a_link_but_not_the_grace() {
    block_on(async {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("pid");
        let mut gateway = without_ssh(Gateway::new("grace", "here"));
        gateway.ssh.lost_after = Duration::from_secs(6);
        let mut link = gateway.connect().await;
        link.orders.get_mut().write_all(sleeper(&file).as_bytes()).await.unwrap();
        let pid = number_in(&file).await;
        drop(link);
        let link = gateway.connect().await;
        assert_eq!(link.running, [AttemptId { job: JobId(1), number: 1 }]);
        let lost = Instant::now();
        drop(link);
        assert!(agent::process_ended(pid).await);
        let took = lost.elapsed();
        assert!(took >= Duration::from_secs(2) && took < gateway.ssh.lost_after, "{took:?}");
    });
}

#[test]
#[ignore = "needs hosts"]
fn any_login_shell_will_do() {
    block_on(async {
        for shell in ["dash", "tcsh", "fish", "zsh", "mksh", "bash"] {
            let path = on_host("h2", &format!("sh -c 'command -v {shell}'"));
            if path.is_empty() {
                continue;
            }
            // Written over, not renamed, because another file system may be mounted there.
            let change = format!(
                "sed \"s#^\\(root:.*\\):[^:]*\\$#\\1:{path}#\" /etc/passwd >/tmp/passwd; \
                 cat /tmp/passwd >/etc/passwd; \
                 for file in .bashrc .zshrc .tcshrc .mkshrc; do echo echo Welcome >~/$file; done; \
                 rm -rf ~/.cache/redirector-*"
            );
            on_host("h2", &format!("sh -c '{change}'"));
            assert_eq!(on_host("h2", "sh -c 'echo $SHELL'"), path);
            let link = Gateway::new(shell, "h2").connect().await;
            println!("{shell} ({path}): {:?}", link.took);
        }
    });
}

#[test]
#[ignore = "needs hosts"]
fn what_is_wrong_is_said_within_seconds() {
    let cases: [(&str, &[&str], IsRight); 4] = [
        ("h1", &["-oPubkeyAuthentication=no"], |problem| matches!(problem, Problem::Denied { .. })),
        ("h1", &["-oUserKnownHostsFile=/dev/null"], |problem| {
            matches!(problem, Problem::UnknownKey(_))
        }),
        ("nowhere.invalid", &[], |problem| matches!(problem, Problem::Unresolved(_))),
        ("127.0.0.1:1", &["-oProxyCommand=none"], |problem| matches!(problem, Problem::Refused(_))),
    ];
    block_on(async {
        for (address, options, is_right) in &cases {
            let mut gateway = Gateway::new("wrong", "h1");
            gateway.host.address = (*address).to_owned();
            gateway.ssh.command.splice(1..1, options.iter().map(|word| (*word).to_owned()));
            let begin = Instant::now();
            let connected =
                connect_by(&gateway.program, &gateway.host, &gateway.ssh, &gateway.id).await;
            let error = connected.err().unwrap();
            println!("{:?} {error}", begin.elapsed());
            assert!(is_right(&error.problem), "{error:?}");
        }
    });
}
