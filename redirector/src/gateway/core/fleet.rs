//! The nodes: this gateway's own computer, and hosts on which engines start agents.
//!
//! ```text
//!             connect()                 Hello
//!   Down ───────────────► Connecting ──────────► Up
//!     ▲ retry, ever slower    │                   │ connection lost: suspended, jobs go on
//!     └───────────────────────┴───────────────────┘
//!     └ after `ssh.lost_after`: given up, its jobs are lost
//! ```

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::task::AbortHandle;

use super::sites::Knowledge;
use crate::{
    agent::protocol::Order,
    config::Host,
    gateway::message::AgentLink,
    model::{JobId, NodeName, Resources},
    node::{self, mapping::Mapping, pins::Pins},
};

/// Pause before an agent that could not be reached is tried again; each time twice as long.
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// The longest pause.
const LAST_RETRY: Duration = Duration::from_secs(30);

/// Pause before this computer's own agent is started again.
const OWN_RETRY: Duration = Duration::from_secs(5);

/// All nodes.
pub(super) struct Fleet {
    /// The gateway's own computer.
    pub own: NodeName,
    nodes: BTreeMap<NodeName, Node>,
}

/// What the core knows of one node.
pub(super) struct Node {
    /// How it is reached; `None`: it is this computer.
    pub host: Option<Remote>,
    /// What it has; not known of a host before its agent has said hello.
    pub facts: Option<node::Facts>,
    /// Cpus of their own, for jobs that asked for whole ones.
    pub pins: Pins,
    pub link: Link,
    /// Jobs that were granted while its agent was not connected.
    pub awaiting: BTreeSet<JobId>,
    /// Why its agent could not be reached, last time.
    pub problem: Option<String>,
    /// When to try again.
    pub retry: Option<Instant>,
    /// How often in a row it could not be reached.
    failures: u32,
    /// Since when it is not connected.
    pub down_since: Option<Instant>,
    /// It takes no new jobs, because somebody said so.
    pub is_draining: bool,
    /// What it is known to have for jobs.
    pub knowledge: Knowledge,
}

/// A host, and what follows from its settings.
pub(super) struct Remote {
    pub host: Arc<Host>,
    pub mapping: Mapping,
    pub way: Way,
    /// Ends the attempt to connect, or the connection.
    pub connection: Option<AbortHandle>,
}

/// How a host's agent is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// This gateway starts it and connects to it.
    Ssh,
    /// A batch engine starts it, and it connects to this gateway.
    Joins,
}

/// The connection to a node's agent.
#[derive(Default)]
pub(super) enum Link {
    /// Nobody is connected, or about to be.
    #[default]
    Down,
    Connecting,
    Up {
        instance: String,
        link: AgentLink,
        /// Environments that this agent has.
        environments: HashSet<String>,
        /// It can be told what to start once something else has ended.
        takes_promises: bool,
    },
    /// It runs jobs of another journal, and was told to leave.
    Leaving,
}

/// The most environments that an agent keeps: a pipeline may well have one for each command.
const ENVIRONMENTS: usize = 64;

impl Fleet {
    /// This computer alone.
    pub(super) fn new(own: NodeName, facts: node::Facts) -> Self {
        let node = Node { pins: facts.pins(), facts: Some(facts), ..Node::new(None) };
        Self { nodes: BTreeMap::from([(own.clone(), node)]), own }
    }

    /// A host joins, or its settings are replaced.
    pub(super) fn add(&mut self, host: Host) {
        self.add_by(host, Way::Ssh);
    }

    /// A batch engine lends a node, which comes when the engine sees fit.
    pub(super) fn lend(&mut self, host: Host) {
        self.add_by(host, Way::Joins);
    }

    fn add_by(&mut self, host: Host, way: Way) {
        let name = host.name.clone();
        let mapping = Mapping::of(&host);
        match self.nodes.get_mut(&name) {
            Some(Node { host: Some(remote), knowledge, .. }) => {
                (remote.host, remote.mapping) = (Arc::new(host), mapping);
                *knowledge = Knowledge::default();
            }
            Some(_) => {}
            None => {
                let remote = Remote { host: Arc::new(host), mapping, way, connection: None };
                self.nodes.insert(name, Node::new(Some(remote)));
            }
        }
    }

    pub(super) fn remove(&mut self, name: &NodeName) -> Option<Node> {
        self.nodes.remove(name)
    }

    pub(super) fn get(&self, name: &NodeName) -> Option<&Node> {
        self.nodes.get(name)
    }

    pub(super) fn get_mut(&mut self, name: &NodeName) -> Option<&mut Node> {
        self.nodes.get_mut(name)
    }

    /// This computer.
    pub(super) fn own(&self) -> &Node {
        &self.nodes[&self.own]
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (&NodeName, &Node)> {
        self.nodes.iter()
    }

    pub(super) fn all_mut(&mut self) -> impl Iterator<Item = (&NodeName, &mut Node)> {
        self.nodes.iter_mut()
    }

    /// All but this computer.
    pub(super) fn hosts(&self) -> impl Iterator<Item = (&NodeName, &Node)> {
        self.nodes.iter().filter(|(_, node)| node.host.is_some())
    }

    /// Whether there is any node but this computer.
    pub(super) fn has_hosts(&self) -> bool {
        self.nodes.len() > 1
    }

    /// The most memory that any node has, in bytes.
    pub(super) fn most_memory(&self) -> u64 {
        self.nodes.values().filter_map(Node::capacity).map(|it| it.mem).max().unwrap_or_default()
    }

    /// A job that was granted but not yet given to an agent.
    pub(super) fn is_awaiting(&self, job: JobId) -> bool {
        self.nodes.values().any(|node| node.awaiting.contains(&job))
    }

    pub(super) fn forget(&mut self, job: JobId) {
        for node in self.nodes.values_mut() {
            node.awaiting.remove(&job);
        }
    }
}

impl Node {
    fn new(host: Option<Remote>) -> Self {
        Self {
            host,
            facts: None,
            pins: Pins::default(),
            link: Link::Down,
            awaiting: BTreeSet::new(),
            problem: None,
            retry: None,
            failures: 0,
            down_since: None,
            is_draining: false,
            knowledge: Knowledge::default(),
        }
    }

    /// The agent that is connected.
    pub(super) fn instance(&self) -> Option<&str> {
        match &self.link {
            Link::Up { instance, .. } => Some(instance),
            Link::Down | Link::Connecting | Link::Leaving => None,
        }
    }

    /// Whether the agent of that name is connected and can be told what comes after what. Only
    /// this computer's is: elsewhere the end of a job is known when its output has been fetched.
    pub(super) fn takes_promises(&self, agent: &str) -> bool {
        self.host.is_none()
            && matches!(&self.link, Link::Up { instance, takes_promises: true, .. } if instance == agent)
    }

    /// Tells its agent something, if it is connected.
    pub(super) fn order(&self, order: Order) {
        if let Link::Up { link, .. } = &self.link {
            // Fails only when the agent is gone: its successor is told what still matters.
            drop(link.orders.send(order));
        }
    }

    /// Whether a batch engine lends it.
    pub(super) fn is_lent(&self) -> bool {
        self.host.as_ref().is_some_and(|remote| remote.way == Way::Joins)
    }

    /// Whether its agent has yet to be given this environment, which it then has.
    pub(super) fn lacks_environment(&mut self, digest: &str) -> bool {
        let Link::Up { link, environments, .. } = &mut self.link else { return false };
        if environments.contains(digest) {
            return false;
        }
        if environments.len() >= ENVIRONMENTS {
            environments.clear();
            drop(link.orders.send(Order::ForgetEnvironments));
        }
        environments.insert(digest.to_owned())
    }

    /// What jobs may have of it.
    pub(super) fn capacity(&self) -> Option<Resources> {
        self.facts.as_ref().map(node::Facts::resources)
    }

    /// What its agent has found, but for what its settings say.
    pub(super) fn learn(&mut self, mut facts: node::Facts) {
        if let Some(remote) = &self.host {
            facts.override_with(&remote.host);
        }
        self.pins.keep_to(facts.cpu_ids.clone());
        self.facts = Some(facts);
    }

    pub(super) fn is_up(&self) -> bool {
        matches!(self.link, Link::Up { .. })
    }

    /// It is connected.
    pub(super) fn connected(&mut self) {
        (self.problem, self.retry, self.down_since) = (None, None, None);
        self.failures = 0;
    }

    /// It could not be reached, and is tried again in a while.
    pub(super) fn failed(&mut self, problem: String) {
        let pause = match self.host {
            None => OWN_RETRY,
            Some(_) => (FIRST_RETRY * 2u32.saturating_pow(self.failures.min(8))).min(LAST_RETRY),
        };
        self.failures += 1;
        self.problem = Some(problem);
        self.retry = Some(Instant::now() + pause);
    }
}
