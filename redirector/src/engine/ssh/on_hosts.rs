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
    agent::{http::ORDERS, protocol::Report},
    engine::{
        Channel,
        multiplex::{self, KeepAlive},
    },
    model::NodeName,
};

const LIMIT: Duration = Duration::from_secs(60);

fn ssh_command() -> Vec<String> {
    let command = env::var("REDIRECTOR_TEST_SSH").expect("REDIRECTOR_TEST_SSH reaches the hosts");
    command.split_whitespace().map(str::to_owned).collect()
}

fn on_host(host: &str, command: &str) -> String {
    let words = ssh_command();
    let output = Command::new(&words[0]).args(&words[1..]).args([host, command]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

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
        // Kept open until the link is dropped.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let Report::Hello { instance, facts, .. } = serde_json::from_str(&line).unwrap() else {
            panic!("no Hello: {line}");
        };
        let (has_facts, took) = (facts.is_some(), begin.elapsed());
        Link { _channel: channel, process, instance, has_facts, took }
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

#[test]
#[ignore = "needs hosts"]
fn any_login_shell_will_do() {
    block_on(async {
        for shell in ["dash", "tcsh", "fish", "zsh", "mksh", "bash"] {
            let path = on_host("h2", &format!("command -v {shell}"));
            if path.is_empty() {
                continue;
            }
            on_host(
                "h2",
                &format!(
                    "cp /etc/passwd /tmp/passwd.{shell}; \
                sed -i \"s#^\\(root:.*\\):[^:]*\\$#\\1:{path}#\" /etc/passwd; \
                for file in ~/.bashrc ~/.zshrc ~/.tcshrc; do echo echo Welcome >$file; done; \
                rm -rf ~/.cache/redirector-*"
                ),
            );
            let link = Gateway::new(shell, "h2").connect().await;
            println!("{shell} ({path}): {:?}", link.took);
        }
    });
}

#[test]
#[ignore = "needs hosts"]
fn what_is_wrong_is_said_within_seconds() {
    let cases: [(&str, &[&str], fn(&Problem) -> bool); 4] = [
        ("h1", &["-oIdentityFile=/dev/null", "-oIdentityAgent=none"], |problem| {
            matches!(problem, Problem::Denied { .. })
        }),
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
