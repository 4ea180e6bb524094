//! An agent that has come to its gateway by itself ([`crate::engine::join`]): one link after the
//! other, whose streams go to [`Services`].
//!
//! ```text
//!   call ──► link ── lost ──► call … ──► the invitation is gone: [`Arrival::Dismissal`]
//! ```
//!
//! How long jobs are kept while there is no link, [`super::solitude`] says.

use std::time::Duration;

use tokio::{sync::watch, time::sleep};

use super::{http::Services, server::Arrival};
use crate::engine::{
    join::{Called, Caller, NoGateway},
    multiplex::{self, Heard, KeepAlive},
};

/// Pause before a gateway that could not be reached is called again; each time twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// The longest pause. A gateway that is started again should find its agents soon.
const LAST_PAUSE: Duration = Duration::from_secs(4);

/// Serves the gateway of `caller` until `leaving` says so and the last link has ended.
pub(super) async fn serve(caller: Caller, services: Services, mut leaving: watch::Receiver<bool>) {
    let mut pause = FIRST_PAUSE;
    let mut complaint = None;
    while !*leaving.borrow() {
        let called = tokio::select! {
            called = caller.call() => called,
            _ = leaving.wait_for(|leaving| *leaving) => return,
        };
        match called {
            Ok(Called { stream, way, parting }) => {
                tracing::info!("the gateway is connected {way}");
                (pause, complaint) = (FIRST_PAUSE, None);
                let heard = Heard::now();
                let ended = multiplex::serve(
                    stream,
                    KeepAlive::default(),
                    heard.clone(),
                    leaving.wait_for(|leaving| *leaving),
                    |offer| services.take(offer, &heard, caller.grace()),
                );
                let ended = ended.await;
                tracing::info!("the gateway is gone: {ended}");
                if let Some(parting) = parting
                    && *leaving.borrow()
                {
                    // Nobody else would say the last words.
                    parting.done().await;
                }
            }
            Err(gone @ NoGateway::Withdrawn { .. }) => {
                tracing::warn!("{gone}");
                // Fails only when the agent leaves, which it then does anyway.
                drop(services.orders.send(Arrival::Dismissal));
                return;
            }
            Err(NoGateway::Unreachable(reason)) => {
                if complaint.as_ref() != Some(&reason) {
                    tracing::warn!("the gateway cannot be reached: {reason}");
                }
                complaint = Some(reason);
                tokio::select! {
                    () = sleep(pause) => {}
                    _ = leaving.wait_for(|leaving| *leaving) => return,
                }
                pause = (pause * 2).min(LAST_PAUSE);
            }
        }
    }
}
