//! What nodes there are, and what of them a job is given.

use super::{
    Core, Facts,
    fleet::{Link, Node},
    live::Live,
};
use crate::{
    dispatcher::Explanation,
    model::{Amount, Given, JobId, Kind, NodeName, PoolName, Resources, State, Text, Timestamp},
    node::variables,
    protocol::{GatewayMessage, Grant, NodeState, NodeStatus},
};

impl Core {
    /// Picks the pieces of the node that an attempt is to have for itself.
    pub(super) fn give(&mut self, job: JobId, pieces: Vec<(PoolName, Vec<u32>)>) {
        let Some(live) = self.live.get_mut(&job) else { return };
        let node = live.node.as_ref().and_then(|node| self.fleet.get_mut(node));
        let Some(node) = node else { return };
        // What others start inherits the cpus of the process that starts it.
        let cpus = match live.kind {
            Kind::Command if !live.is_sequential => {
                node.pins.take(job, live.request.resources.cpus)
            }
            _ => Vec::new(),
        };
        live.given = Given { cpus, pieces };
    }

    /// Notes what a job that a gateway before this one has started was given.
    pub(super) fn adopt(&mut self, job: JobId, given: Given) {
        let Some(live) = self.live.get_mut(&job) else { return };
        if let Some(node) = live.node.as_ref().and_then(|node| self.fleet.get_mut(node)) {
            node.pins.adopt(job, &given.cpus);
        }
        live.given = given;
    }

    /// What an attempt was given of the node is free again.
    pub(super) fn give_back(&mut self, job: JobId) {
        for (_, node) in self.fleet.all_mut() {
            node.pins.give_back(job);
        }
    }

    /// Tells a client that its job may run, or once more if it has not heard.
    pub(super) fn say_granted(&mut self, job: JobId) {
        let Some(live) = self.live.get(&job) else { return };
        let grant = Grant {
            resources: live.request.resources.clone(),
            attempt: live.attempt,
            cpus: live.given.cpus.clone(),
            variables: self.setup.variables(live, self.fleet.own()),
        };
        self.say(job, GatewayMessage::Granted(grant));
    }

    /// All nodes, this computer first.
    pub(super) fn nodes(&self) -> Vec<NodeStatus> {
        let own = std::iter::once((&self.fleet.own, self.fleet.own()));
        own.chain(self.fleet.hosts()).map(|(name, node)| self.node_status(name, node)).collect()
    }

    fn node_status(&self, name: &NodeName, node: &Node) -> NodeStatus {
        let running: Vec<_> = self
            .live
            .iter()
            .filter(|(_, live)| {
                live.state == State::Running
                    && !live.kind.is_whole_pipeline()
                    && live.node.as_ref() == Some(name)
            })
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
        let lost_after = self.setup.ssh.lost_after;
        let state = match (&node.host, &node.link) {
            _ if node.is_draining => NodeState::Draining,
            (None, _) | (_, Link::Up { .. }) => NodeState::Up,
            _ if node.down_since.is_some_and(|since| since.elapsed() >= lost_after) => {
                NodeState::Lost
            }
            _ if node.problem.is_some() => NodeState::Unreachable,
            _ => NodeState::Connecting,
        };
        let away = node.down_since.filter(|_| node.problem.is_some());
        let since = away.map(|since| {
            let now = Timestamp::now();
            Timestamp(now.0.saturating_sub(since.elapsed().as_millis() as u64))
        });
        let host = node.host.as_ref().map(|remote| &remote.host);
        NodeStatus {
            node: name.to_string(),
            state,
            address: host.map(|host| host.address.clone()),
            problem: self.why_no_agent(name).or_else(|| node.problem.clone()),
            since,
            tags: host.map_or_else(Vec::new, |host| host.tags.clone()),
            max_jobs: node.facts.as_ref().and_then(|facts| facts.max_jobs),
            pools: node.facts.as_ref().map_or_else(Vec::new, |facts| facts.pool_statuses(used)),
            running: running.len(),
        }
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
    #[allow(clippy::unused_self)]
    pub(super) fn variables(&self, live: &Live, node: &Node) -> Vec<(Text, Text)> {
        let gpus = live.given.pieces_of("gpus");
        let Some(facts) = &node.facts else { return Vec::new() };
        match live.kind {
            Kind::Run | Kind::Session => Vec::new(),
            Kind::Nested if gpus.is_empty() => Vec::new(),
            Kind::Command | Kind::Nested => variables::devices(&facts.gpus, gpus),
        }
    }
}
