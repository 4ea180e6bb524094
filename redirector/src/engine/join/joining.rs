//! The gateway's side: invites agents, and waits for them.

use std::{collections::BTreeSet, future::Future, io, path::PathBuf, sync::Arc};

use tokio::task::JoinSet;

use super::{
    Error,
    door::{Door, House},
    invitation::Shelf,
    listener::Listener,
    lookout::Lookout,
};
use crate::{
    config::{Config, Gateway, Rendezvous},
    engine::{ByteStream, ssh},
    model::NodeName,
    place::StateDirectory,
};

/// Waits for agents. All copies are one; with the last of them nobody listens any more.
#[derive(Clone)]
pub struct Joining(Arc<Open>);

struct Open {
    door: Arc<Door>,
    lookout: Option<Arc<Lookout>>,
    /// End with it.
    _ways: JoinSet<()>,
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
        let Gateway { address, rendezvous, .. } = &settings.gateway;
        let rendezvous = rendezvous.value;
        let listener = match rendezvous {
            Rendezvous::Always => None,
            Rendezvous::Auto | Rendezvous::Never => Some(Listener::open(address.value.as_ref())?),
        };
        let door = Arc::new(Door::new(
            shelf,
            House {
                gateway_id: gateway_id.to_owned(),
                rendezvous,
                addresses: listener.as_ref().map(|it| it.addresses.clone()).unwrap_or_default(),
                port: listener.as_ref().map_or(0, |listener| listener.port),
                grace: ssh::grace(settings.ssh.lost_after),
            },
        ));
        let lookout = Lookout::open(state.path(), rendezvous, &door)?;
        let mut ways = JoinSet::new();
        if let Some(listener) = listener {
            ways.spawn(listener.receive(Arc::clone(&door)));
        }
        if let Some(lookout) = &lookout {
            ways.spawn(Arc::clone(lookout).receive());
        }
        Ok(Self(Arc::new(Open { door, lookout, _ways: ways })))
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
        self.0.door.arrival(node)
    }

    /// Returns when there is a connection that [`Self::arrival`] would give at once: the agent has
    /// given up the one that it had before.
    pub fn has_arrived(&self, node: &NodeName) -> impl Future<Output = ()> + Send + use<> {
        self.0.door.has_arrived(node)
    }

    /// Expects the agent of `node` no more. One that is not connected then finds that its file is
    /// gone, ends its jobs and leaves; a connection that was taken goes on.
    pub fn forget(&self, node: &NodeName) {
        self.0.door.forget(node);
        if let Some(lookout) = &self.0.lookout {
            lookout.forget(|kept| kept != node);
        }
    }

    /// Forgets what earlier gateways have left of all nodes but `nodes`.
    pub fn keep_only(&self, nodes: &BTreeSet<NodeName>) {
        match self.0.door.invited() {
            Ok(left) => {
                for node in left.iter().filter(|node| !nodes.contains(node)) {
                    self.0.door.forget(node);
                }
            }
            Err(error) => tracing::error!("cannot look for invitations: {error}"),
        }
        if let Some(lookout) = &self.0.lookout {
            lookout.forget(|node| nodes.contains(node));
        }
    }
}
