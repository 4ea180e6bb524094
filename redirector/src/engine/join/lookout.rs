//! The gateway's ear for calls in the rendezvous directory.

use std::{
    collections::BTreeSet,
    io,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{task::spawn_blocking, time::sleep};

use super::{
    Error,
    door::Door,
    rendezvous::{self, Answered, Call, Place},
};
use crate::{config::Rendezvous, model::NodeName};

/// Between two looks at the directory.
const LOOK: Duration = Duration::from_secs(1);

/// Looks for calls while somebody waits for an agent.
pub(super) struct Lookout {
    place: Place,
    door: Arc<Door>,
    /// The calls that this gateway has answered and that are not over.
    answered: Mutex<BTreeSet<Call>>,
}

impl Lookout {
    /// Looks at the directory in `state`, unless there is to be none. Calls that an earlier gateway
    /// has answered are removed, so that their agents call anew.
    pub(super) fn open(
        state: &Path,
        rendezvous: Rendezvous,
        door: &Arc<Door>,
    ) -> Result<Option<Arc<Self>>, Error> {
        let place = Place::of_state(state);
        if rendezvous == Rendezvous::Never {
            if let Err(error) = place.remove() {
                tracing::warn!("cannot remove {}: {error}", place.path().display());
            }
            return Ok(None);
        }
        let directory = place.path().to_owned();
        place.create().map_err(|cause| Error::Rendezvous { directory, cause })?;
        tracing::info!("looking for agents of pools in {}", place.path().display());
        let lookout = Self { place, door: Arc::clone(door), answered: Mutex::default() };
        lookout.clear(|call| matches!(call.is_answered(), Ok(true)));
        Ok(Some(Arc::new(lookout)))
    }

    /// Removes what the agents have left whose nodes are not kept. A call that goes on still does.
    pub(super) fn forget(&self, is_kept: impl Fn(&NodeName) -> bool) {
        self.clear(|call| !is_kept(call.node()));
    }

    fn clear(&self, is_left: impl Fn(&Call) -> bool) {
        let answered = self.answered().clone();
        if let Err(error) = self.place.clear(|call| !answered.contains(call) && is_left(call)) {
            let place = self.place.path().display();
            tracing::warn!("cannot remove calls of agents that are over from {place}: {error}");
        }
    }

    fn answered(&self) -> MutexGuard<'_, BTreeSet<Call>> {
        self.answered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leads to the door whoever calls.
    pub(super) async fn receive(self: Arc<Self>) {
        let mut complaint = None;
        loop {
            self.door.agents_are_awaited().await;
            let lookout = Arc::clone(&self);
            let looked = spawn_blocking(move || lookout.look());
            match looked.await.map_err(io::Error::from).flatten() {
                Ok(calls) => {
                    complaint = None;
                    for call in calls {
                        tokio::spawn(Arc::clone(&self).answer(call));
                    }
                }
                Err(error) => {
                    let error = error.to_string();
                    if complaint.as_ref() != Some(&error) {
                        let place = self.place.path().display();
                        tracing::error!("cannot look for calls of agents in {place}: {error}");
                    }
                    complaint = Some(error);
                }
            }
            sleep(LOOK).await;
        }
    }

    /// The calls that are to be answered.
    fn look(&self) -> io::Result<Vec<Call>> {
        let mut new = Vec::new();
        for call in self.place.calls()? {
            if self.answered().contains(&call) {
                continue;
            }
            let looked = match call.is_answered() {
                Ok(false) if self.door.expects(call.node()) => {
                    new.push(call.clone());
                    Ok(())
                }
                // Of an agent that was forgotten and has yet to notice; or what could not be
                // removed when it was over.
                Ok(_) => call.remove(),
                Err(error) => Err(error),
            };
            if let Err(error) = looked {
                tracing::debug!("{}: {error}", call.directory().display());
            }
        }
        self.answered().extend(new.iter().cloned());
        Ok(new)
    }

    async fn answer(self: Arc<Self>, call: Call) {
        let place = self.door.place().await;
        match rendezvous::answer(call.clone()).await {
            Ok(Answered { stream, parting, reason }) => {
                let way = format!("through the directory {}: {reason}", call.directory().display());
                self.door.receive(Box::new(stream), &way).await;
                drop(place);
                parting.done().await;
            }
            // It has given up.
            Err(error) => tracing::debug!("{}: {error}", call.directory().display()),
        }
        self.answered().remove(&call);
    }
}
