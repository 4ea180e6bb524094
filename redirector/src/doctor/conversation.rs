//! What is asked of the agent on a host.

use std::time::{Duration, Instant};

use serde::{Serialize, de::DeserializeOwned};
use tokio::{
    io::{BufReader, Lines, ReadHalf, WriteHalf, split},
    task::JoinHandle,
    time::timeout,
};

use super::link::Ping;
use crate::{
    agent::{
        examine::{Computer, EXAMINE, Question, Ran, now},
        http::ORDERS,
        protocol::{Order, Probe, Probed, Report},
    },
    config::{Host, Ssh},
    engine::{
        ByteStream,
        multiplex::{self, Ended, KeepAlive},
        ssh,
    },
    model::Text,
    node,
    stage::transfer::{expect, say},
};

/// How long an agent may take for an answer that only its disks can hold up.
const PATIENCE: Duration = Duration::from_secs(15);

/// How long it may take to run a setup: somewhat longer than it gives it itself.
const PATIENCE_FOR_SETUP: Duration = Duration::from_secs(75);

/// How long the agent may take to leave.
const FAREWELL: Duration = Duration::from_secs(2);

/// Round trips that are measured.
const PINGS: usize = 10;

/// A link to the agent on a host.
pub(super) struct Conversation {
    reports: Lines<BufReader<ReadHalf<ByteStream>>>,
    orders: WriteHalf<ByteStream>,
    questions: BufReader<ByteStream>,
    link: JoinHandle<Ended>,
    /// ssh, which ends with this.
    _process: ssh::Process,
}

/// What is known as soon as the agent is there.
pub(super) struct Greeting {
    /// From the start of ssh to the agent's first word.
    pub took: Duration,
    /// Where this program was copied to, if it had to be.
    pub copied_to: Option<String>,
    /// What the computer has for jobs.
    pub facts: Option<node::Facts>,
}

/// There is no conversation.
pub(super) enum Error {
    /// The host cannot be used.
    LogIn(ssh::Problem),
    /// The agent there does not say what it should.
    Agent(String),
}

impl Conversation {
    /// Logs in to `host`, where the agent is called `name`.
    pub(super) async fn begin(
        host: &Host,
        ssh: &Ssh,
        name: &str,
    ) -> Result<(Self, Greeting), Error> {
        let start = Instant::now();
        let connected = ssh::connect(host, ssh, name).await;
        let connection = connected.map_err(|error| Error::LogIn(error.problem))?;
        let copied_to = connection.copied_to().map(str::to_owned);
        let (stream, process) = connection.split();
        let failed = |reason: String| Error::Agent(reason);
        let connected = multiplex::connect(stream, KeepAlive::default()).await;
        let (channel, link) = connected.map_err(|ended| failed(ended.to_string()))?;
        let link = tokio::spawn(link);
        let open = async |path| channel.open(path).await.map_err(|it| failed(it.to_string()));
        let (reader, orders) = split(open(ORDERS).await?);
        let questions = BufReader::new(open(EXAMINE).await?);
        let reports = tokio::io::AsyncBufReadExt::lines(BufReader::new(reader));
        let mut own = Self { reports, orders, questions, link, _process: process };
        let facts = own.until(|report| match report {
            Report::Hello { facts, .. } => Some(facts),
            _ => None,
        });
        let facts = facts.await.map_err(failed)?.map(|facts| *facts);
        Ok((own, Greeting { took: start.elapsed(), copied_to, facts }))
    }

    /// The first report that is `wanted`.
    async fn until<T>(&mut self, wanted: impl Fn(Report) -> Option<T>) -> Result<T, String> {
        let heard = async {
            loop {
                let line = self.reports.next_line().await.map_err(|error| error.to_string())?;
                let line = line.ok_or("the agent has left")?;
                let report = serde_json::from_str(&line).map_err(|error| error.to_string())?;
                if let Some(found) = wanted(report) {
                    return Ok(found);
                }
            }
        };
        timeout(PATIENCE, heard).await.unwrap_or_else(|_| Err(silence(PATIENCE)))
    }

    /// Looks for programs and directories as a gateway does.
    pub(super) async fn probe(&mut self, probe: Probe) -> Result<Probed, String> {
        let order = Order::Probe(probe);
        say(&mut self.orders, &order).await.map_err(|error| error.to_string())?;
        let answer = |report| match report {
            Report::Probed(probed) => Some(probed),
            _ => None,
        };
        self.until(answer).await
    }

    async fn ask<T: DeserializeOwned>(
        &mut self,
        question: &(impl Serialize + Sync),
        patience: Duration,
    ) -> Result<T, String> {
        let answered = async {
            say(&mut self.questions, question).await?;
            expect::<Result<T, String>>(&mut self.questions).await
        };
        match timeout(patience, answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => Err(format!("the link broke: {error}")),
            Err(_) => Err(silence(patience)),
        }
    }

    /// Measures the way there and back, and looks at the clock there.
    pub(super) async fn ping(&mut self) -> Result<Vec<Ping>, String> {
        let mut pings = Vec::with_capacity(PINGS);
        for _ in 0..PINGS {
            let (asked, start) = (now(), Instant::now());
            let answered = self.ask(&Question::Time, PATIENCE).await?;
            pings.push(Ping { asked, answered, round_trip: start.elapsed() });
        }
        Ok(pings)
    }

    /// What the computer is like.
    pub(super) async fn computer(&mut self, directory: Text) -> Result<Computer, String> {
        self.ask(&Question::Computer { directory }, PATIENCE).await
    }

    /// What is in a file.
    pub(super) async fn read(&mut self, file: Text) -> Result<Option<String>, String> {
        self.ask(&Question::Read { file }, PATIENCE).await
    }

    /// Makes a file that is there as long as this conversation.
    pub(super) async fn make(&mut self, file: Text, content: String) -> Result<(), String> {
        self.ask(&Question::Make { file, content }, PATIENCE).await
    }

    /// Runs the setup of the host.
    pub(super) async fn setup(
        &mut self,
        lines: String,
        directory: Text,
        environment: Vec<Text>,
    ) -> Result<Ran, String> {
        let question = Question::Setup { lines, directory, environment };
        self.ask(&question, PATIENCE_FOR_SETUP).await
    }

    /// Runs `PROGRAM --version`.
    pub(super) async fn version(
        &mut self,
        program: Text,
        environment: Vec<Text>,
    ) -> Result<Ran, String> {
        self.ask(&Question::Version { program, environment }, PATIENCE).await
    }

    /// Has the agent leave.
    pub(super) async fn end(mut self) {
        // If it does not hear this, it leaves by itself a little later.
        if say(&mut self.orders, &Order::Leave).await.is_ok() {
            drop(self.questions);
            drop(timeout(FAREWELL, &mut self.link).await);
        }
        self.link.abort();
    }
}

fn silence(patience: Duration) -> String {
    format!(
        "the agent has not answered for {} s; one of its file systems may hang",
        patience.as_secs()
    )
}
