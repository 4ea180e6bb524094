//! What nodes there are, and what of them a job is given.

use super::{Core, Facts, live::Live};
use crate::{
    dispatcher::Explanation,
    model::{Amount, Given, JobId, Kind, PoolName, Resources, State, Text},
    node::variables,
    protocol::{GatewayMessage, Grant, NodeStatus},
};

impl Core {
    /// Picks the pieces of the node that an attempt is to have for itself.
    pub(super) fn give(&mut self, job: JobId, pieces: Vec<(PoolName, Vec<u32>)>) {
        let Some(live) = self.live.get_mut(&job) else { return };
        // What others start inherits the cpus of the process that starts it.
        let cpus = match live.kind {
            Kind::Command if !live.is_sequential => {
                self.pins.take(job, live.request.resources.cpus)
            }
            _ => Vec::new(),
        };
        live.given = Given { cpus, pieces };
    }

    /// Notes what a job that a gateway before this one has started was given.
    pub(super) fn adopt(&mut self, job: JobId, given: Given) {
        self.pins.adopt(job, &given.cpus);
        if let Some(live) = self.live.get_mut(&job) {
            live.given = given;
        }
    }

    /// What an attempt was given of the node is free again.
    pub(super) fn give_back(&mut self, job: JobId) {
        self.pins.give_back(job);
    }

    /// Tells a client that its job may run, or once more if it has not heard.
    pub(super) fn say_granted(&mut self, job: JobId) {
        let Some(live) = self.live.get(&job) else { return };
        let grant = Grant {
            resources: live.request.resources.clone(),
            attempt: live.attempt,
            cpus: live.given.cpus.clone(),
            variables: self.setup.variables(live),
        };
        self.say(job, GatewayMessage::Granted(grant));
    }

    /// The one node there is: this computer.
    pub(super) fn nodes(&self) -> Vec<NodeStatus> {
        let running: Vec<_> = self
            .live
            .iter()
            .filter(|(_, live)| live.state == State::Running && !live.kind.is_whole_pipeline())
            .collect();
        let lends = |job| {
            matches!(self.dispatcher.explain(job), Some(Explanation::Running { lending: true, .. }))
        };
        let holders: Vec<_> = running.iter().filter(|(job, _)| !lends(**job)).collect();
        let used = |pool: &str| {
            let amounts = holders.iter().map(|(_, live)| &live.request.resources);
            // The sum of nothing is -0.
            amounts.fold(0.0, |sum, resources| sum + amount_of(resources, pool))
        };
        vec![NodeStatus {
            node: self.setup.node.to_string(),
            state: "open".to_owned(),
            pools: self.setup.own.pool_statuses(used),
            running: running.len(),
        }]
    }
}

/// How much there is of the pool with that name, in the pool's unit.
fn amount_of(resources: &Resources, pool: &str) -> f64 {
    let count = |amount: Amount| amount.0 as f64 / Amount::ONE.0 as f64;
    match pool {
        "cpus" => count(resources.cpus),
        "mem" => resources.mem as f64,
        other => {
            let named = |(name, _): &(&PoolName, &Amount)| name.as_str() == other;
            resources.others.iter().find(named).map_or(0.0, |(_, amount)| count(*amount))
        }
    }
}

impl Facts {
    /// The variables that tell a command which pieces of the node it has.
    pub(super) fn variables(&self, live: &Live) -> Vec<(Text, Text)> {
        let gpus = live.given.pieces_of("gpus");
        match live.kind {
            Kind::Run | Kind::Session => Vec::new(),
            Kind::Nested if gpus.is_empty() => Vec::new(),
            Kind::Command | Kind::Nested => variables::devices(&self.own.gpus, gpus),
        }
    }
}
