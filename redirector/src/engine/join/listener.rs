//! The gateway's side: invites agents, and lets them in.

use std::{
    collections::{BTreeSet, HashMap},
    future::{Future, pending},
    io,
    net::{self, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::AbortHandle,
    time::{sleep, timeout},
};

use super::{
    Error, addresses, handshake,
    handshake::{Key, Visitor, Word},
    invitation::{Hexadecimal, Invitation, Shelf, Standing},
};
use crate::{
    config::{Address, Config},
    engine::{ByteStream, ssh},
    model::NodeName,
    place::StateDirectory,
    random,
};

/// How long somebody who connects may take to prove who it is.
const PATIENCE: Duration = Duration::from_secs(10);

/// Most of those who have not proved it yet.
const STRANGERS: usize = 64;

/// How long a gateway that cannot accept a connection waits before it tries again.
const ACCEPT_AGAIN: Duration = Duration::from_secs(1);

/// Waits for agents. All copies are one; with the last of them the listener goes.
#[derive(Clone)]
pub struct Joining(Arc<Open>);

struct Open {
    door: Arc<Door>,
    listener: AbortHandle,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

struct Door {
    shelf: Shelf,
    gateway_id: String,
    addresses: Vec<String>,
    port: u16,
    grace: Duration,
    guests: Mutex<HashMap<NodeName, Guest>>,
}

struct Guest {
    standing: Standing,
    /// Its latest connection, until somebody takes it.
    arrived: watch::Sender<Option<TcpStream>>,
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

impl Joining {
    /// Listens for the agents of the gateway `gateway_id`, whose state is in `state`. To be called
    /// in a runtime.
    ///
    /// # Errors
    /// If it cannot listen, or not write invitations.
    pub fn start(
        state: &StateDirectory,
        gateway_id: &str,
        settings: &Config,
    ) -> Result<Self, Error> {
        let shelf = Shelf::new(state.path()).map_err(|cause| {
            let directory = Shelf::path(state.path());
            Error::Directory { directory, cause }
        })?;
        let (addresses, port) = match &settings.gateway.address.value {
            Some(Address { name, port }) => (vec![name.clone()], port.unwrap_or(0)),
            None => (addresses::own(), 0),
        };
        let failed = |cause| Error::Listen { port, cause };
        let listener = listen(port).map_err(failed)?;
        let port = listener.local_addr().map_err(failed)?.port();
        let door = Arc::new(Door {
            shelf,
            gateway_id: gateway_id.to_owned(),
            addresses,
            port,
            grace: ssh::grace(settings.ssh.lost_after),
            guests: Mutex::default(),
        });
        tracing::info!(port, "listening for agents of pools");
        let listener = tokio::spawn(receive(listener, Arc::clone(&door))).abort_handle();
        Ok(Self(Arc::new(Open { door, listener })))
    }

    /// Expects an agent to be `node`: the file by which it finds this gateway. Where an earlier
    /// gateway expected it already it is the same agent, and the same file with new addresses.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn invite(&self, node: &NodeName) -> io::Result<PathBuf> {
        self.0.door.invite(node)
    }

    /// The next connection of the agent of `node`: the latest one, if there have been several
    /// meanwhile. Nothing ever comes of a node that is not expected.
    pub fn arrival(&self, node: &NodeName) -> impl Future<Output = ByteStream> + Send + use<> {
        let guest = self.0.door.arrived(node);
        async move {
            let Some(arrived) = guest else { return pending().await };
            let mut seen = arrived.subscribe();
            loop {
                // Fails only without a sender, which is here.
                drop(seen.wait_for(Option::is_some).await);
                let mut taken = None;
                arrived.send_modify(|stream| taken = stream.take());
                if let Some(stream) = taken {
                    return Box::new(stream) as ByteStream;
                }
            }
        }
    }

    /// Returns when there is a connection that [`Self::arrival`] would give at once: the agent has
    /// given up the one that it had before.
    pub fn has_arrived(&self, node: &NodeName) -> impl Future<Output = ()> + Send + use<> {
        let guest = self.0.door.arrived(node);
        async move {
            let Some(arrived) = guest else { return pending().await };
            // Fails only without a sender, which is here.
            drop(arrived.subscribe().wait_for(Option::is_some).await);
        }
    }

    /// Expects the agent of `node` no more. One that is not connected then finds that its file is
    /// gone, ends its jobs and leaves; a connection that was taken goes on.
    pub fn forget(&self, node: &NodeName) {
        let door = &self.0.door;
        door.guests().remove(node);
        if let Err(error) = door.shelf.remove(node) {
            tracing::error!("cannot remove the invitation of {node}: {error}");
        }
    }

    /// Forgets what earlier gateways have left of all nodes but `nodes`.
    pub fn keep_only(&self, nodes: &BTreeSet<NodeName>) {
        match self.0.door.shelf.nodes() {
            Ok(left) => {
                for node in left.iter().filter(|node| !nodes.contains(node)) {
                    self.forget(node);
                }
            }
            Err(error) => tracing::error!("cannot look for invitations: {error}"),
        }
    }
}

impl Door {
    fn guests(&self) -> MutexGuard<'_, HashMap<NodeName, Guest>> {
        self.guests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn invite(&self, node: &NodeName) -> io::Result<PathBuf> {
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
        self.shelf.write(&Invitation {
            directory: ssh::agent_name(&self.gateway_id, &node.0),
            node: node.clone(),
            addresses: self.addresses.clone(),
            port: self.port,
            grace: self.grace.as_millis() as u64,
            secret,
        })
    }

    fn arrived(&self, node: &NodeName) -> Option<watch::Sender<Option<TcpStream>>> {
        self.guests().get(node).map(|guest| guest.arrived.clone())
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

    async fn let_in(&self, stream: TcpStream) -> Result<(), Refusal> {
        // Orders are short, and each is waited for.
        stream.set_nodelay(true).map_err(handshake::Error::from)?;
        let mut visitor = handshake::hear(stream).await?;
        let Visitor { node, agent, .. } = &visitor;
        let (node, agent) = (node.clone(), *agent);
        let key = self.key(&node, &agent)?;
        visitor.challenge(&key).await?;
        self.take(&node, &agent, &key)?;
        let stream = visitor.welcome().await?;
        tracing::info!(%node, "its agent has joined");
        if let Some(arrived) = self.arrived(&node) {
            arrived.send_replace(Some(stream));
        }
        Ok(())
    }
}

/// Any address of this computer, in both kinds of IP where it has both.
fn listen(port: u16) -> io::Result<TcpListener> {
    let any = net::TcpListener::bind((Ipv6Addr::UNSPECIFIED, port))
        .or_else(|_| net::TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)))?;
    any.set_nonblocking(true)?;
    TcpListener::from_std(any)
}

async fn receive(listener: TcpListener, door: Arc<Door>) {
    let room = Arc::new(Semaphore::new(STRANGERS));
    loop {
        // Fails only when it is closed, which nobody does.
        let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, peer)) => {
                let door = Arc::clone(&door);
                tokio::spawn(async move {
                    let let_in = timeout(PATIENCE, door.let_in(stream)).await;
                    drop(place);
                    match let_in {
                        Ok(Ok(())) => {}
                        Ok(Err(refusal)) => complain(&refusal, peer),
                        Err(_) => tracing::warn!("{peer} connected and did not say who it is"),
                    }
                });
            }
            Err(error) => {
                // Out of descriptors, most likely.
                tracing::error!("cannot accept a connection: {error}");
                sleep(ACCEPT_AGAIN).await;
            }
        }
    }
}

fn complain(refusal: &Refusal, peer: SocketAddr) {
    if matches!(refusal, Refusal::Handshake(handshake::Error::Connection(_))) {
        // An agent tries all addresses and keeps one.
        tracing::debug!("{peer} has gone again: {refusal}");
    } else {
        tracing::warn!("{peer} is not let in: {refusal}");
    }
}
