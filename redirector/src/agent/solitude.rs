//! What an agent does while no gateway is there.
//!
//! ```text
//!   on the gateway's computer:   jobs may be waiting behind those here ─► starts a gateway
//!   elsewhere:                   nothing is to be done ─ [`SHORT`] ─► leaves (in an allocation,
//!                                after the grace, too)
//!                                the grace since it was heard last ─► ends all jobs, leaves
//! ```
//!
//! Elsewhere the gateway gives the agent's jobs up after some time and runs them again on other
//! computers. That must find none of them here.

use std::time::Duration;

use tokio::{
    task::JoinHandle,
    time::{Instant, sleep_until},
};

use super::supervisor::Supervisor;
use crate::{client::start_gateway, engine::multiplex::Heard, place::StateDirectory};

/// How long an agent with nothing to do waits for the gateway that started it, or, on another
/// computer, for one that may come back.
const SHORT: Duration = Duration::from_secs(30);

/// See the module.
#[derive(Debug)]
pub(super) struct Solitude {
    place: Place,
    /// An agent that has nothing to do waits until then.
    awaited_until: Option<Instant>,
}

/// What has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// A gateway was started, or could not be.
    Started,
    /// Nobody waits for a gateway any more who has nothing to do.
    InVain,
    /// Jobs are to be kept no longer.
    Unbearable,
}

#[derive(Debug)]
enum Place {
    Beside {
        state: StateDirectory,
        start: Option<JoinHandle<()>>,
    },
    Far {
        /// How long an agent with nothing to do waits for it.
        patience: Duration,
        /// When the present or last gateway was heard last, and for how long jobs are kept then.
        link: Option<(Heard, Duration)>,
        /// They are kept until then.
        bearable_until: Option<Instant>,
    },
}

impl Solitude {
    /// On the gateway's computer: it connects soon if this agent `has_starter`.
    pub(super) fn beside_a_gateway(state: StateDirectory, has_starter: bool) -> Self {
        let awaited_until = has_starter.then(|| Instant::now() + SHORT);
        Self { place: Place::Beside { state, start: None }, awaited_until }
    }

    /// On another computer, to which the gateway comes.
    pub(super) fn far_from_the_gateway() -> Self {
        Self::far(SHORT)
    }

    /// On another computer, from which this agent comes to the gateway; that one cannot have
    /// another agent there as easily, so this one stays as long as if it had jobs.
    pub(super) fn on_the_way_to_the_gateway(grace: Duration) -> Self {
        Self::far(grace)
    }

    fn far(patience: Duration) -> Self {
        let place = Place::Far { patience, link: None, bearable_until: None };
        Self { place, awaited_until: Some(Instant::now() + patience) }
    }

    /// The gateway is gone.
    pub(super) fn begins(&mut self, supervisor: &Supervisor) {
        if let Place::Far { patience, link, bearable_until } = &mut self.place {
            self.awaited_until = Some(Instant::now() + *patience);
            *bearable_until = link.as_ref().map(|(heard, grace)| heard.last() + *grace);
        }
        self.goes_on(supervisor);
    }

    /// Something has happened, and no gateway is there to hear of it.
    pub(super) fn goes_on(&mut self, supervisor: &Supervisor) {
        let Place::Beside { state, start } = &mut self.place else { return };
        // Nobody else may be there to start a gateway for what waits behind the attempts.
        if start.is_some() || !supervisor.needs_a_gateway() {
            return;
        }
        let state = state.clone();
        *start = Some(tokio::task::spawn_blocking(move || {
            match start_gateway::ensure_gateway(&state) {
                Ok(()) => tracing::info!("a gateway is there again"),
                Err(error) => tracing::error!("{error}"),
            }
        }));
    }

    /// A gateway is there.
    pub(super) fn ends(&mut self, by: Option<(Heard, Duration)>) {
        self.awaited_until = None;
        if let Place::Far { link, bearable_until, .. } = &mut self.place {
            *link = by;
            *bearable_until = None;
        }
    }

    /// Whether a gateway counts while another one seems to be there.
    pub(super) const fn ends_at_once(&self) -> bool {
        matches!(self.place, Place::Far { .. })
    }

    /// Whether an agent that has nothing to do stays.
    pub(super) const fn is_gateway_awaited(&self) -> bool {
        self.awaited_until.is_some()
    }

    /// Returns when something has changed by itself.
    pub(super) async fn change(&mut self) -> Change {
        let (start, bearable_until) = match &mut self.place {
            Place::Beside { start, .. } => (start.as_mut(), None),
            Place::Far { bearable_until, .. } => (None, *bearable_until),
        };
        let change = tokio::select! {
            () = started(start) => Change::Started,
            () = until(self.awaited_until) => Change::InVain,
            () = until(bearable_until) => Change::Unbearable,
        };
        match (change, &mut self.place) {
            (Change::Started, Place::Beside { start, .. }) => *start = None,
            (Change::Unbearable, Place::Far { bearable_until, .. }) => *bearable_until = None,
            _ => self.awaited_until = None,
        }
        change
    }
}

async fn started(start: Option<&mut JoinHandle<()>>) {
    match start {
        // An error means that it panicked, which ends this process anyway.
        Some(start) => drop(start.await),
        None => std::future::pending().await,
    }
}

async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}
