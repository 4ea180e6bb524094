//! How gateway and agent prove to each other that they know the same secret, without sending it.
//!
//! ```text
//!   agent                                             gateway
//!   preface, its name, a number, its node ─────────►  has a key for that agent on that node?
//!   is that the gateway?  ◄──────────── a number, proof
//!   proof ─────────────────────────────────────────►  is that the agent?
//!   serves HTTP/2         ◄──────────────────── welcome
//! ```
//!
//! A proof is a keyed hash (BLAKE3) of both numbers, which are new each time, and of who gives it.

use std::io;

use blake3::Hash;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::{model::NodeName, random};

/// What an agent says first; another number for another way of going on.
const PREFACE: &[u8; 18] = b"redirector join 1\n";

/// The last word of the gateway.
const WELCOME: u8 = b'!';

/// Bytes of each of the other words.
const WORD: usize = 32;

/// A word that nobody can guess, or that follows from such words.
pub(super) type Word = [u8; WORD];

/// Why somebody is not let in.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// The connection has failed, or ended.
    #[error(transparent)]
    Connection(#[from] io::Error),
    /// It is somebody else.
    #[error("what it says is not what an agent of this version says")]
    Strange,
    /// It does not know the secret.
    #[error("it does not know the secret")]
    WrongProof,
}

/// What the gateway and one agent know, and nobody else.
#[derive(Clone)]
pub(super) struct Key(Hash);

impl Key {
    /// The one of `agent`, which was invited to be `node` with `secret`.
    pub(super) fn new(secret: &Word, agent: &Word, node: &NodeName) -> Self {
        let mut hasher = blake3::Hasher::new_keyed(secret);
        hasher.update(agent).update(node.0.as_bytes());
        Self(hasher.finalize())
    }

    /// The one that [`Self::as_bytes`] told.
    pub(super) fn from_bytes(bytes: Word) -> Self {
        Self(Hash::from_bytes(bytes))
    }

    /// To be kept where nobody else can read it.
    pub(super) fn as_bytes(&self) -> &Word {
        self.0.as_bytes()
    }

    fn proof(&self, role: Role, of_agent: &Word, of_gateway: &Word) -> Hash {
        let mut hasher = blake3::Hasher::new_keyed(self.0.as_bytes());
        hasher.update(&[role as u8]).update(of_agent).update(of_gateway);
        hasher.finalize()
    }
}

/// Who gives a proof: one side's must not do for the other's.
#[derive(Clone, Copy)]
enum Role {
    Agent = 1,
    Gateway = 2,
}

/// A gateway that has proved that it is the one.
pub(super) struct Greeted<S> {
    stream: S,
    proof: Hash,
}

/// Has the gateway on the other side of `stream` prove that it is the one that has invited `agent`
/// to be `node`.
pub(super) async fn greet<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    node: &NodeName,
    agent: &Word,
    key: &Key,
) -> Result<Greeted<S>, Error> {
    let own: Word = random::bytes();
    let name = node.0.as_bytes();
    let length = u8::try_from(name.len()).map_err(|_| Error::Strange)?;
    stream.write_all(&[&PREFACE[..], agent, &own, &[length], name].concat()).await?;
    let other = word(&mut stream).await?;
    let proof = Hash::from_bytes(word(&mut stream).await?);
    if proof != key.proof(Role::Gateway, &own, &other) {
        return Err(Error::WrongProof);
    }
    Ok(Greeted { stream, proof: key.proof(Role::Agent, &own, &other) })
}

impl<S: AsyncRead + AsyncWrite + Unpin> Greeted<S> {
    /// Goes in; what comes next on the stream is the gateway's HTTP/2.
    pub(super) async fn enter(mut self) -> Result<S, Error> {
        self.stream.write_all(self.proof.as_bytes()).await?;
        match self.stream.read_u8().await? {
            WELCOME => Ok(self.stream),
            _ => Err(Error::Strange),
        }
    }
}

/// Somebody at the gateway's door.
pub(super) struct Visitor<S> {
    stream: S,
    /// What it says it was invited to be.
    pub node: NodeName,
    /// What it calls itself.
    pub agent: Word,
    number: Word,
}

/// Hears who is on the other side of `stream`.
pub(super) async fn hear<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
) -> Result<Visitor<S>, Error> {
    let mut preface = [0; PREFACE.len()];
    stream.read_exact(&mut preface).await?;
    if preface != *PREFACE {
        return Err(Error::Strange);
    }
    let (agent, number) = (word(&mut stream).await?, word(&mut stream).await?);
    let mut name = vec![0; stream.read_u8().await?.into()];
    stream.read_exact(&mut name).await?;
    let node = NodeName(String::from_utf8(name).map_err(|_| Error::Strange)?);
    Ok(Visitor { stream, node, agent, number })
}

impl<S: AsyncRead + AsyncWrite + Unpin> Visitor<S> {
    /// Proves to it that this is the gateway, and has it prove who it is.
    pub(super) async fn challenge(&mut self, key: &Key) -> Result<(), Error> {
        let own: Word = random::bytes();
        let proof = key.proof(Role::Gateway, &self.number, &own);
        self.stream.write_all(&[own, *proof.as_bytes()].concat()).await?;
        // Compared as digests: the time it takes tells nothing of the right one.
        let answer = Hash::from_bytes(word(&mut self.stream).await?);
        if answer != key.proof(Role::Agent, &self.number, &own) {
            return Err(Error::WrongProof);
        }
        Ok(())
    }

    /// Lets it in.
    pub(super) async fn welcome(mut self) -> Result<S, Error> {
        self.stream.write_u8(WELCOME).await?;
        Ok(self.stream)
    }
}

async fn word(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Word> {
    let mut word = [0; WORD];
    stream.read_exact(&mut word).await?;
    Ok(word)
}
