//! The agent's side: finds the gateway that has invited it, again and again.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use super::{
    Error,
    dial::dial,
    handshake::{Key, Word},
    invitation::Invitation,
};
use crate::{engine::ByteStream, random};

/// How long it may take until what another computer has written is seen here: network file
/// systems keep what they know of a directory for up to a minute (nfs(5), `acdirmax`).
const LAG: Duration = Duration::from_mins(1);

/// Between two looks for the file: a network file system tells nobody of it.
const LOOK: Duration = Duration::from_millis(500);

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
}

/// How an agent has come to its gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// By TCP, at this address.
    Address(String),
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(f, "at {address}"),
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
        let invitation = Invitation::read(&self.file).map_err(|error| {
            let file = self.file.clone();
            match error.kind() {
                io::ErrorKind::NotFound => NoGateway::Withdrawn { file },
                _ => NoGateway::Unreachable(format!("{}: {error}", file.display())),
            }
        })?;
        let dialled = dial(&invitation, &self.agent, &self.key).await;
        let (address, stream) = dialled.map_err(NoGateway::Unreachable)?;
        Ok(Called { stream: Box::new(stream), way: Way::Address(address) })
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
