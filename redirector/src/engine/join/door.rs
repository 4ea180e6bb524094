//! Who is let in at the gateway, whichever way they come.

use std::{
    collections::HashMap,
    future::{Future, pending},
    io,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::timeout,
};

use super::{
    handshake::{self, Key, Visitor, Word},
    invitation::{Hexadecimal, Invitation, Shelf, Standing},
};
use crate::{
    config::Rendezvous,
    engine::{ByteStream, Duplex, ssh},
    model::NodeName,
    random,
};

/// How long somebody who has come may take to prove who it is.
const PATIENCE: Duration = Duration::from_secs(10);

/// Most of those who have not proved it yet.
const STRANGERS: usize = 64;

/// A connection that can wait until somebody takes it.
pub(super) type Arrived = Box<dyn Duplex + Sync>;

/// Knows who was invited, and who has come.
pub(super) struct Door {
    shelf: Shelf,
    /// Where and what this gateway is.
    house: House,
    /// Tells it from those before and after it.
    instance: String,
    guests: Mutex<HashMap<NodeName, Guest>>,
    room: Arc<Semaphore>,
    /// How many agents somebody waits for.
    awaited: Arc<watch::Sender<usize>>,
}

/// What all invitations of a gateway say of it.
pub(super) struct House {
    pub gateway_id: String,
    pub rendezvous: Rendezvous,
    pub addresses: Vec<String>,
    pub port: u16,
    pub grace: Duration,
}

struct Guest {
    standing: Standing,
    /// Its latest connection, until somebody takes it.
    arrived: watch::Sender<Option<Arrived>>,
}

/// Somebody waits for an agent.
struct Awaiting(Arc<watch::Sender<usize>>);

impl Awaiting {
    fn begin(awaited: &Arc<watch::Sender<usize>>) -> Self {
        awaited.send_modify(|count| *count += 1);
        Self(Arc::clone(awaited))
    }
}

impl Drop for Awaiting {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

/// Why somebody is not let in.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error(transparent)]
    Handshake(#[from] handshake::Error),
    #[error("nobody is expected to be the node '{0}'")]
    Unknown(NodeName),
    #[error("another agent is the node '{0}' already")]
    Another(NodeName),
    #[error("cannot write down that the agent of '{node}' has come: {cause}")]
    Unwritten { node: NodeName, cause: io::Error },
}

impl Door {
    pub(super) fn new(shelf: Shelf, house: House) -> Self {
        let room = Arc::new(Semaphore::new(STRANGERS));
        let instance = random::hex(&random::bytes::<8>());
        let awaited = Arc::new(watch::Sender::new(0));
        Self { shelf, house, instance, guests: Mutex::default(), room, awaited }
    }

    /// Place for one who has not proved yet who it is.
    pub(super) async fn place(&self) -> OwnedSemaphorePermit {
        let place = Arc::clone(&self.room).acquire_owned().await;
        place.expect("nobody closes the room")
    }

    fn guests(&self) -> MutexGuard<'_, HashMap<NodeName, Guest>> {
        self.guests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// See [`super::Joining::invite`].
    pub(super) fn invite(&self, node: &NodeName) -> io::Result<PathBuf> {
        let mut guests = self.guests();
        let standing = match guests.get(node) {
            Some(guest) => Some(guest.standing.clone()),
            None => self.shelf.standing(node)?,
        };
        let standing = standing.unwrap_or_else(|| Standing::Open { secret: random::bytes() });
        self.write(node, &standing)?;
        let file = self.shelf.file(node)?;
        guests.entry(node.clone()).or_insert_with(|| {
            let arrived = watch::Sender::new(None);
            Guest { standing, arrived }
        });
        Ok(file)
    }

    fn write(&self, node: &NodeName, standing: &Standing) -> io::Result<()> {
        let secret = match standing {
            Standing::Open { secret } => Some(Hexadecimal::of(secret)),
            Standing::Taken { .. } => None,
        };
        let House { gateway_id, rendezvous, addresses, port, grace } = &self.house;
        self.shelf.write(&Invitation {
            directory: ssh::agent_name(gateway_id, &node.0),
            node: node.clone(),
            gateway: self.instance.clone(),
            rendezvous: *rendezvous,
            addresses: addresses.clone(),
            port: *port,
            grace: grace.as_millis() as u64,
            secret,
        })
    }

    /// Expects `node` no more.
    pub(super) fn forget(&self, node: &NodeName) {
        self.guests().remove(node);
        if let Err(error) = self.shelf.remove(node) {
            tracing::error!("cannot remove the invitation of {node}: {error}");
        }
    }

    /// All nodes that this gateway, or an earlier one, has invited and not forgotten.
    pub(super) fn invited(&self) -> io::Result<Vec<NodeName>> {
        self.shelf.nodes()
    }

    /// Whether `node` was invited.
    pub(super) fn expects(&self, node: &NodeName) -> bool {
        self.guests().contains_key(node)
    }

    /// Returns when somebody waits for an agent.
    pub(super) async fn agents_are_awaited(&self) {
        // Fails only without a sender, which is here.
        drop(self.awaited.subscribe().wait_for(|count| *count > 0).await);
    }

    fn arrived(&self, node: &NodeName) -> Option<watch::Sender<Option<Arrived>>> {
        self.guests().get(node).map(|guest| guest.arrived.clone())
    }

    /// See [`super::Joining::arrival`].
    pub(super) fn arrival(
        &self,
        node: &NodeName,
    ) -> impl Future<Output = ByteStream> + Send + use<> {
        let guest = self.arrived(node).map(|arrived| (arrived, Awaiting::begin(&self.awaited)));
        async move {
            let Some((arrived, _awaiting)) = guest else { return pending().await };
            let mut seen = arrived.subscribe();
            loop {
                // Fails only without a sender, which is here.
                drop(seen.wait_for(Option::is_some).await);
                let mut taken = None;
                arrived.send_modify(|stream| taken = stream.take());
                if let Some(stream) = taken {
                    return stream as ByteStream;
                }
            }
        }
    }

    /// See [`super::Joining::has_arrived`].
    pub(super) fn has_arrived(&self, node: &NodeName) -> impl Future<Output = ()> + Send + use<> {
        let guest = self.arrived(node);
        async move {
            let Some(arrived) = guest else { return pending().await };
            // Fails only without a sender, which is here.
            drop(arrived.subscribe().wait_for(Option::is_some).await);
        }
    }

    /// What this gateway and `agent` both know if that one was invited to be `node`.
    fn key(&self, node: &NodeName, agent: &Word) -> Result<Key, Refusal> {
        let guests = self.guests();
        let guest = guests.get(node).ok_or_else(|| Refusal::Unknown(node.clone()))?;
        match &guest.standing {
            Standing::Open { secret } => Ok(Key::new(secret, agent, node)),
            Standing::Taken { agent: known, key } if known == agent => Ok(key.clone()),
            Standing::Taken { .. } => Err(Refusal::Another(node.clone())),
        }
    }

    /// `agent`, which has proved that it has `key`, is `node` from now on, and nobody else is.
    fn take(&self, node: &NodeName, agent: &Word, key: &Key) -> Result<(), Refusal> {
        let mut guests = self.guests();
        let guest = guests.get_mut(node).ok_or_else(|| Refusal::Unknown(node.clone()))?;
        match &guest.standing {
            Standing::Taken { agent: known, .. } if known == agent => return Ok(()),
            Standing::Taken { .. } => return Err(Refusal::Another(node.clone())),
            Standing::Open { .. } => {}
        }
        let standing = Standing::Taken { agent: *agent, key: key.clone() };
        let written = self.shelf.take(node, agent, key).and_then(|()| self.write(node, &standing));
        written.map_err(|cause| Refusal::Unwritten { node: node.clone(), cause })?;
        guest.standing = standing;
        Ok(())
    }

    /// Lets the agent on the other side of `stream` in if it proves that it is one; what is wrong
    /// is logged. It has come by `way`.
    pub(super) async fn receive(&self, stream: Arrived, way: &str) {
        match timeout(PATIENCE, self.let_in(stream, way)).await {
            Ok(Ok(())) => {}
            Ok(Err(Refusal::Handshake(handshake::Error::Connection(error)))) => {
                // An agent tries all addresses and keeps one.
                tracing::debug!("who came {way} has gone again: {error}");
            }
            Ok(Err(refusal)) => tracing::warn!("who came {way} is not let in: {refusal}"),
            Err(_) => tracing::warn!("who came {way} did not say who it is"),
        }
    }

    async fn let_in(&self, stream: Arrived, way: &str) -> Result<(), Refusal> {
        let mut visitor = handshake::hear(stream).await?;
        let Visitor { node, agent, .. } = &visitor;
        let (node, agent) = (node.clone(), *agent);
        let key = self.key(&node, &agent)?;
        visitor.challenge(&key).await?;
        self.take(&node, &agent, &key)?;
        let stream = visitor.welcome().await?;
        tracing::info!(%node, "its agent has joined {way}");
        if let Some(arrived) = self.arrived(&node) {
            arrived.send_replace(Some(stream));
        }
        Ok(())
    }
}
