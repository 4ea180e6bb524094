//! The agent's side: finds the gateway that has invited it, again and again.

use std::{
    io,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use tokio::{net::TcpStream, task::JoinSet, time::timeout};

use super::{
    Error,
    handshake::{self, Greeted, Key, Word},
    invitation::Invitation,
};
use crate::{model::NodeName, random};

/// How long it may take until what another computer has written is seen here: network file
/// systems keep what they know of a directory for up to a minute (nfs(5), `acdirmax`).
const LAG: Duration = Duration::from_mins(1);

/// Between two looks for the file: a network file system tells nobody of it.
const LOOK: Duration = Duration::from_millis(500);

/// How long an address may take to answer: a lost first packet is sent again after 1 s and 3 s (RFC
/// 6298), and only when all have failed is the file read again.
const PATIENCE: Duration = Duration::from_secs(5);

/// An agent that was invited.
pub struct Caller {
    file: PathBuf,
    /// What it calls itself, as long as it lives.
    agent: Word,
    key: Key,
    node: NodeName,
    directory: String,
    grace: Duration,
}

/// There is no connection to the gateway.
#[derive(Debug, thiserror::Error)]
pub enum NoGateway {
    /// It wants none.
    #[error("the gateway has taken its invitation {file} back")]
    Withdrawn {
        /// The file that is gone.
        file: PathBuf,
    },
    /// Nobody answers; or it is not the gateway.
    #[error("the gateway cannot be reached: {0}")]
    Unreachable(String),
}

impl Caller {
    /// The one that `file` invites, which is waited for if it cannot be seen here yet.
    ///
    /// # Errors
    /// If it cannot be read, or does not invite anybody any more.
    pub fn begin(file: &Path) -> Result<Self, Error> {
        let unreadable = |cause| Error::Unreadable { file: file.to_owned(), cause };
        let invitation = wait_for(file).map_err(unreadable)?;
        let Some(secret) = invitation.secret else {
            return Err(Error::Used { file: file.to_owned() });
        };
        let secret = secret.word().map_err(unreadable)?;
        let agent = random::bytes();
        Ok(Self {
            file: file.to_owned(),
            key: Key::new(&secret, &agent, &invitation.node),
            agent,
            node: invitation.node,
            directory: invitation.directory,
            grace: Duration::from_millis(invitation.grace),
        })
    }

    /// The name of the agent's own directory on this computer.
    pub fn directory(&self) -> &str {
        &self.directory
    }

    /// How long it keeps its jobs without the gateway.
    pub fn grace(&self) -> Duration {
        self.grace
    }

    /// Connects to wherever the gateway is by now. What comes next on the stream is its HTTP/2.
    ///
    /// # Errors
    /// If it is not there, or does not expect this agent.
    pub async fn call(&self) -> Result<TcpStream, NoGateway> {
        let invitation = Invitation::read(&self.file).map_err(|error| {
            let file = self.file.clone();
            match error.kind() {
                io::ErrorKind::NotFound => NoGateway::Withdrawn { file },
                _ => NoGateway::Unreachable(format!("{}: {error}", file.display())),
            }
        })?;
        let mut calls = JoinSet::new();
        for address in invitation.addresses {
            let (node, agent, key) = (self.node.clone(), self.agent, self.key.clone());
            let port = invitation.port;
            calls.spawn(async move {
                let greeted = timeout(PATIENCE, greet(&address, port, &node, &agent, &key)).await;
                let reason = match greeted {
                    Ok(Ok(greeted)) => return Ok(greeted),
                    Ok(Err(error)) => error.to_string(),
                    Err(_) => format!("no answer within {} s", PATIENCE.as_secs()),
                };
                Err(format!("{address} port {port}: {reason}"))
            });
        }
        let mut reasons = Vec::new();
        while let Some(called) = calls.join_next().await {
            let reason = match called {
                Ok(Ok(greeted)) => match timeout(PATIENCE, greeted.enter()).await {
                    Ok(Ok(stream)) => return Ok(stream),
                    Ok(Err(error)) => format!("it did not let this agent in: {error}"),
                    Err(_) => "it did not let this agent in".to_owned(),
                },
                Ok(Err(reason)) => reason,
                Err(error) => error.to_string(),
            };
            reasons.push(reason);
        }
        Err(NoGateway::Unreachable(reasons.join("; ")))
    }
}

async fn greet(
    address: &str,
    port: u16,
    node: &NodeName,
    agent: &Word,
    key: &Key,
) -> Result<Greeted<TcpStream>, handshake::Error> {
    let stream = TcpStream::connect((address, port)).await?;
    // Reports are short, and each is waited for.
    stream.set_nodelay(true)?;
    handshake::greet(stream, node, agent, key).await
}

fn wait_for(file: &Path) -> io::Result<Invitation> {
    let begin = Instant::now();
    let mut is_told = false;
    loop {
        match Invitation::read(file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && begin.elapsed() < LAG => {
                if !std::mem::replace(&mut is_told, true) {
                    tracing::info!("waiting for {} to be seen on this computer", file.display());
                }
                thread::sleep(LOOK);
            }
            read => return read,
        }
    }
}
