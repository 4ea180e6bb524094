//! What the dispatcher promises: in examples ([`situations`]), in general ([`properties`],
//! [`liveness`]) and at some size ([`simulation`]).

mod liveness;
mod mirror;
mod properties;
mod simulation;
mod situations;

use super::*;
use crate::model::{Amount, Pool, Resources};

/// Whole cpus and no memory.
fn cpus(count: u64) -> Resources {
    Resources::new(Amount::whole(count), 0)
}

fn node_name(name: &str) -> NodeName {
    NodeName(name.to_owned())
}

/// Handles one event and returns what follows.
fn handle(dispatcher: &mut Dispatcher, event: Event, now: u64) -> Vec<Action> {
    let mut actions = Vec::new();
    dispatcher.handle(event, Timestamp(now), &mut actions);
    actions
}
