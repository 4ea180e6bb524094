//! The agent's side: finds the gateway that has invited it, again and again.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use tokio::time::timeout;

use super::{
    Error,
    dial::dial,
    handshake::{self, Greeted, Key, Word},
    invitation::Invitation,
    rendezvous::{self, Parting, Place, Stream},
};
use crate::{config::Rendezvous, engine::ByteStream, random};

/// How long it may take until what another computer has written is seen here: network file
/// systems keep what they know of a directory for up to a minute (nfs(5), `acdirmax`).
const LAG: Duration = Duration::from_mins(1);

/// Between two looks for the file: a network file system tells nobody of it.
const LOOK: Duration = Duration::from_millis(500);

/// How long a gateway may take to answer in the rendezvous directory. It looks once a second, and
/// what it sees may be old (see [`LAG`]); one that begins meanwhile answers as well.
const ANSWER: Duration = Duration::from_secs(30);

/// An agent that was invited.
pub struct Caller {
    file: PathBuf,
    /// What it calls itself, as long as it lives.
    agent: Word,
    key: Key,
    directory: String,
    grace: Duration,
}

/// A connection to the gateway.
pub struct Called {
    /// What it goes through.
    pub stream: ByteStream,
    /// How it was made, for people.
    pub way: Way,
    /// What is left to be done once the stream was dropped.
    pub parting: Option<Parting>,
}

/// How an agent has come to its gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// By TCP, at this address.
    Address(String),
    /// Through files.
    Directory {
        /// The one in which it has called.
        directory: PathBuf,
        /// Why not by TCP.
        reason: String,
    },
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(f, "at {address}"),
            Self::Directory { directory, reason } => {
                write!(f, "through the directory {}: {reason}", directory.display())
            }
        }
    }
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
    pub async fn call(&self) -> Result<Called, NoGateway> {
        loop {
            let invitation = self.invitation()?;
            let reason = match invitation.rendezvous {
                Rendezvous::Always => "gateway.rendezvous is 'always'".to_owned(),
                Rendezvous::Auto | Rendezvous::Never => {
                    match dial(&invitation, &self.agent, &self.key).await {
                        Ok((address, stream)) => {
                            let way = Way::Address(address);
                            return Ok(Called { stream: Box::new(stream), way, parting: None });
                        }
                        Err(reason) if invitation.rendezvous == Rendezvous::Never => {
                            return Err(NoGateway::Unreachable(reason));
                        }
                        Err(reason) => {
                            format!("no address of the gateway could be reached ({reason})")
                        }
                    }
                }
            };
            let unreachable = |error| NoGateway::Unreachable(format!("{reason}; {error}"));
            let met = self.meet(&invitation, &reason).await.map_err(unreachable)?;
            // A gateway that has begun since then may well be reached; its predecessor, which was
            // dead, could not be.
            let latest = self.invitation()?;
            if latest.gateway == invitation.gateway || latest.rendezvous == Rendezvous::Always {
                return met.enter().await.map_err(unreachable);
            }
        }
    }

    fn invitation(&self) -> Result<Invitation, NoGateway> {
        Invitation::read(&self.file).map_err(|error| {
            let file = self.file.clone();
            match error.kind() {
                io::ErrorKind::NotFound => NoGateway::Withdrawn { file },
                _ => NoGateway::Unreachable(format!("{}: {error}", file.display())),
            }
        })
    }

    /// Has the gateway answer in the rendezvous directory. `reason` is why not by TCP.
    async fn meet(&self, invitation: &Invitation, reason: &str) -> Result<Met, String> {
        let place = Place::beside(&self.file)
            .map_err(|error| format!("{} has no directory: {error}", self.file.display()))?;
        let directory = place.path().to_owned();
        let failed = |error: &dyn fmt::Display| format!("{}: {error}", directory.display());
        let called = rendezvous::call(&place, &invitation.node, reason.to_owned()).await;
        let (stream, parting) = called.map_err(|error| failed(&error))?;
        let greet = handshake::greet(stream, &invitation.node, &self.agent, &self.key);
        match timeout(ANSWER, greet).await {
            Ok(Ok(greeted)) => {
                let way = Way::Directory { directory, reason: reason.to_owned() };
                Ok(Met { greeted, parting, way })
            }
            Ok(Err(error)) => Err(failed(&error)),
            Err(_) => Err(failed(&format_args!("no answer within {} s", ANSWER.as_secs()))),
        }
    }
}

/// A gateway that has answered in the rendezvous directory.
struct Met {
    greeted: Greeted<Stream>,
    parting: Parting,
    way: Way,
}

impl Met {
    async fn enter(self) -> Result<Called, String> {
        match timeout(ANSWER, self.greeted.enter()).await {
            Ok(Ok(stream)) => {
                let (stream, parting) = (Box::new(stream), Some(self.parting));
                Ok(Called { stream, way: self.way, parting })
            }
            Ok(Err(error)) => Err(format!("it did not let this agent in: {error}")),
            Err(_) => Err("it did not let this agent in".to_owned()),
        }
    }
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
