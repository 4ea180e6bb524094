//! The files of an invitation, which are in the gateway's state directory and are read by nobody
//! but their owner.
//!
//! | file | written | has |
//! |---|---|---|
//! | `invitations/NODE.json` | by each gateway | where it is; the secret, until somebody has come with it |
//! | `invitations/NODE.key` | when somebody has come | who that was, and the key |

use std::{
    fs::{self, OpenOptions},
    io::{self, ErrorKind::InvalidData, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use blake3::Hash;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::handshake::{Key, Word};
use crate::{config::Rendezvous, model::NodeName, random};

/// What an agent has to know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Invitation {
    /// Names the agent's directory on its computer.
    pub directory: String,
    /// What it is to be.
    pub node: NodeName,
    /// Tells the gateway that has written it from those before.
    #[serde(default)]
    pub gateway: String,
    /// Whether it may, or has to, call through the rendezvous directory.
    #[serde(default)]
    pub rendezvous: Rendezvous,
    /// Names and addresses of the gateway's computer.
    pub addresses: Vec<String>,
    /// Where it listens at all of them.
    pub port: u16,
    /// How long it keeps its jobs without the gateway, in milliseconds.
    pub grace: u64,
    /// Serves once.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub secret: Option<Hexadecimal>,
}

impl Invitation {
    /// The one in `file`.
    pub(super) fn read(file: &Path) -> io::Result<Self> {
        read(file)
    }
}

/// How far it has got with an invitation.
#[derive(Clone)]
pub(super) enum Standing {
    /// Nobody has come yet.
    Open { secret: Word },
    /// This agent has come, and no other one is let in.
    Taken { agent: Word, key: Key },
}

/// What is written down of [`Standing::Taken`].
#[derive(Serialize, Deserialize)]
struct Taken {
    agent: Hexadecimal,
    key: Hexadecimal,
}

/// 32 bytes as text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Hexadecimal(String);

impl Hexadecimal {
    pub(super) fn of(word: &Word) -> Self {
        Self(random::hex(word))
    }

    pub(super) fn word(&self) -> io::Result<Word> {
        let hash = Hash::from_hex(&self.0);
        Ok(*hash.map_err(|error| io::Error::new(InvalidData, error.to_string()))?.as_bytes())
    }
}

/// The directory in which the files are.
#[derive(Debug)]
pub(super) struct Shelf(PathBuf);

impl Shelf {
    /// The one in the state directory `state`, which is made if it is not there.
    pub(super) fn new(state: &Path) -> io::Result<Self> {
        let directory = Self::path(state);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&directory)?;
        Ok(Self(directory))
    }

    /// Where it is.
    pub(super) fn path(state: &Path) -> PathBuf {
        state.join("invitations")
    }

    /// The file that the agent of `node` is to read.
    pub(super) fn file(&self, node: &NodeName) -> io::Result<PathBuf> {
        self.file_of(node, "json")
    }

    fn file_of(&self, node: &NodeName, kind: &str) -> io::Result<PathBuf> {
        if node.0.is_empty() || node.0.starts_with('.') || node.0.contains('/') {
            let reason = format!("'{node}' cannot be the name of a file");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
        }
        Ok(self.0.join(format!("{node}.{kind}")))
    }

    /// What an earlier gateway, or this one, knows of `node`; `None`: nothing.
    pub(super) fn standing(&self, node: &NodeName) -> io::Result<Option<Standing>> {
        if let Some(Taken { agent, key }) = if_there(read(&self.file_of(node, "key")?))? {
            let key = Key::from_bytes(key.word()?);
            return Ok(Some(Standing::Taken { agent: agent.word()?, key }));
        }
        let invitation = if_there(Invitation::read(&self.file(node)?))?;
        let Some(secret) = invitation.and_then(|it| it.secret) else { return Ok(None) };
        Ok(Some(Standing::Open { secret: secret.word()? }))
    }

    /// Writes the file for the agent.
    pub(super) fn write(&self, invitation: &Invitation) -> io::Result<()> {
        replace(&self.file(&invitation.node)?, invitation)
    }

    /// Writes down that `agent` has come; no gateway lets another one in from now on.
    pub(super) fn take(&self, node: &NodeName, agent: &Word, key: &Key) -> io::Result<()> {
        let taken = Taken { agent: Hexadecimal::of(agent), key: Hexadecimal::of(key.as_bytes()) };
        replace(&self.file_of(node, "key")?, &taken)
    }

    /// Removes all of `node`.
    pub(super) fn remove(&self, node: &NodeName) -> io::Result<()> {
        for kind in ["json", "key"] {
            if_there(fs::remove_file(self.file_of(node, kind)?))?;
        }
        Ok(())
    }

    /// The nodes of which there are files.
    pub(super) fn nodes(&self) -> io::Result<Vec<NodeName>> {
        let mut nodes = Vec::new();
        for entry in fs::read_dir(&self.0)? {
            let name = entry?.file_name();
            let name = name.to_string_lossy();
            let node = name.strip_suffix(".json").or_else(|| name.strip_suffix(".key"));
            nodes.extend(node.map(|node| NodeName(node.to_owned())));
        }
        nodes.sort();
        nodes.dedup();
        Ok(nodes)
    }
}

fn if_there<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        result => result.map(Some),
    }
}

fn read<T: DeserializeOwned>(file: &Path) -> io::Result<T> {
    serde_json::from_slice(&fs::read(file)?).map_err(|error| io::Error::new(InvalidData, error))
}

/// Writes `content` so that whoever reads `file` sees the old or the new one.
fn replace(file: &Path, content: &impl Serialize) -> io::Result<()> {
    let mut new = file.as_os_str().to_owned();
    new.push(".new");
    let mut open = OpenOptions::new();
    let mut written = open.create(true).truncate(true).write(true).mode(0o600).open(&new)?;
    written.write_all(&serde_json::to_vec(content)?)?;
    // Other computers of a network file system see it from here on.
    written.sync_all()?;
    fs::rename(new, file)
}
