//! What the dispatcher promises: in examples ([`situations`]), in general ([`properties`],
//! [`liveness`]; what these once [`found`]), ahead of time ([`successors`]) and at some size
//! ([`simulation`]).

mod found;
mod liveness;
mod mirror;
mod properties;
mod simulation;
mod situations;
mod successors;

use std::collections::BTreeMap;

use super::{
    load::Load,
    pieces::{Indices, Pieces},
    queue::Urgency,
    *,
};
use crate::model::{Amount, NodeName, Pool, PoolName, Resources};

/// How many cases of a property are tried: `PROPTEST_CASES`, or as many as are quick.
fn case_count(quick: u32) -> u32 {
    let asked = std::env::var("PROPTEST_CASES").ok();
    asked.map_or(quick, |count| count.parse().expect("PROPTEST_CASES is a number"))
}

/// Whole cpus and no memory.
fn cpus(count: u64) -> Resources {
    Resources::new(Amount::whole(count), 0)
}

fn gpus() -> PoolName {
    PoolName::new("gpus").expect("it is one")
}

fn node_name(name: &str) -> NodeName {
    NodeName(name.to_owned())
}

fn one(node: &str) -> Candidates {
    Candidates::One(node_name(node))
}

/// A node joins, with pools that do not come in pieces and as many pipelines as there may be.
fn join(node: &str, capacity: Resources, max_jobs: Option<u32>) -> Event {
    Event::NodeJoined {
        node: node_name(node),
        capacity,
        max_jobs,
        max_supervisors: None,
        indexed: BTreeMap::new(),
    }
}

/// Handles one event and returns what follows.
fn handle(dispatcher: &mut Dispatcher, event: Event, now: u64) -> Vec<Action> {
    let mut actions = Vec::new();
    dispatcher.handle(event, Timestamp(now), &mut actions);
    actions
}
