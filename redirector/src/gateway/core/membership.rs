//! Hosts that join, drain and leave, by the configuration and by hand.
//!
//! | word | new jobs | running jobs | afterwards |
//! |---|---|---|---|
//! | drain | none | go on | `resume` takes it back |
//! | remove | none | must have ended, or are lost by force | the connection is closed |
//! | reload | as the file says now | go on | hosts that are in it no more drain until they are idle |

use std::{fs, io};

use super::Core;
use crate::{
    agent::protocol::Order,
    config::{Host, Ssh},
    dispatcher::Event,
    gateway::message::Failure,
    model::NodeName,
    place::StateDirectory,
};

impl Core {
    /// Somebody adds a host, which stays one when this gateway has ended.
    pub(super) fn add_by_hand(&mut self, host: Host) -> Result<(), Failure> {
        let name = host.name.clone();
        let by_hand = self.hosts_by_hand.clone();
        let others = by_hand.into_iter().filter(|other| other.name != name);
        self.keep_by_hand(others.chain([host.clone()]).collect())?;
        self.add_node(host)
    }

    fn keep_by_hand(&mut self, hosts: Vec<Host>) -> Result<(), Failure> {
        let file = self.setup.state.hosts();
        let failed = |error: &dyn std::fmt::Display| {
            Failure::new(503, format!("cannot write {}: {error}", file.display()))
        };
        let text = serde_json::to_vec_pretty(&hosts).map_err(|error| failed(&error))?;
        let draft = file.with_extension("new");
        fs::write(&draft, text)
            .and_then(|()| fs::rename(&draft, &file))
            .map_err(|error| failed(&error))?;
        self.hosts_by_hand = hosts;
        Ok(())
    }

    /// A host may run jobs from now on, or its settings are replaced.
    pub(super) fn add_node(&mut self, host: Host) -> Result<(), Failure> {
        let name = host.name.clone();
        if name == self.fleet.own {
            let error = format!("{name} is the gateway's own computer, which is a node already");
            return Err(Failure::new(409, error));
        }
        self.fleet.add(host);
        if self.fleet.get(&name).is_some_and(super::fleet::Node::is_up) {
            self.node_joins(&name);
        }
        self.connect_agent(&name);
        self.settle_queued();
        Ok(())
    }

    /// A node starts no more jobs, or does so again.
    pub(super) fn drain_node(&mut self, name: &NodeName, drain: bool) -> Result<(), Failure> {
        let known = self.names_of_nodes();
        let Some(node) = self.fleet.get_mut(name) else { return Err(no_such_node(name, &known)) };
        node.is_draining = drain;
        if drain {
            self.dispatch(Event::NodeDraining { node: name.clone() });
        } else {
            self.node_joins(name);
        }
        Ok(())
    }

    /// A host is none any more. With jobs on it, only by force.
    pub(super) fn remove_node(&mut self, name: &NodeName, force: bool) -> Result<(), Failure> {
        let known = self.names_of_nodes();
        if self.fleet.get(name).is_none() {
            return Err(no_such_node(name, &known));
        }
        if *name == self.fleet.own {
            let error = format!(
                "{name} is the gateway's own computer; 'redirector nodes drain {name}' keeps jobs away from it"
            );
            return Err(Failure::new(409, error));
        }
        let running = self.running_on(name).count();
        if running > 0 && !force {
            let error = format!(
                "{running} jobs run on {name}; 'redirector nodes drain {name}' lets them end first, and \
                 --force ends them"
            );
            return Err(Failure::new(409, error));
        }
        if self.hosts_by_hand.iter().any(|host| host.name == *name) {
            let others = self.hosts_by_hand.iter().filter(|host| host.name != *name);
            self.keep_by_hand(others.cloned().collect())?;
        }
        for job in self.running_on(name).collect::<Vec<_>>() {
            self.abandon_attempt(job);
        }
        self.dispatch(Event::NodeRemoved { node: name.clone() });
        if let Some(node) = self.fleet.remove(name) {
            node.order(Order::Leave);
            if !node.is_up()
                && let Some(connection) = node.host.and_then(|remote| remote.connection)
            {
                connection.abort();
            }
        }
        self.settle_queued();
        Ok(())
    }

    /// The configuration was read again; answers with what has changed, for the person.
    pub(super) fn reload_nodes(&mut self, hosts: Vec<Host>, ssh: Ssh) -> Vec<String> {
        let mut changes = Vec::new();
        if self.setup.ssh != ssh {
            self.setup.ssh = ssh;
            changes.push("hosts are reached in another way from now on".to_owned());
            // Those that are connected stay so.
            self.connect_hosts();
        }
        let gone: Vec<NodeName> = self
            .fleet
            .hosts()
            .filter(|(_, node)| !node.is_lent())
            .map(|(name, _)| name.clone())
            .filter(|name| hosts.iter().chain(&self.hosts_by_hand).all(|host| host.name != *name))
            .collect();
        for name in gone {
            match self.remove_node(&name, false) {
                Ok(()) => changes.push(format!("{name} was removed")),
                Err(_) => {
                    if self.drain_node(&name, true).is_ok() {
                        changes.push(format!("{name} is draining: jobs run on it"));
                    }
                }
            }
        }
        for host in hosts {
            let name = host.name.clone();
            let known = self.fleet.get(&name).and_then(|node| node.host.as_ref());
            let change = match known {
                Some(remote) if *remote.host == host => continue,
                Some(_) => "has new settings",
                None => "was added",
            };
            match self.add_node(host) {
                Ok(()) => changes.push(format!("{name} {change}")),
                Err(failure) => changes.push(failure.problem.error),
            }
        }
        changes
    }

    fn names_of_nodes(&self) -> Vec<String> {
        self.fleet.all().map(|(name, _)| name.to_string()).collect()
    }
}

/// Hosts that were added by hand under a gateway before this one.
pub(super) fn by_hand(state: &StateDirectory) -> Vec<Host> {
    let file = state.hosts();
    let read = match fs::read(&file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
        read => read.map_err(|error| error.to_string()),
    };
    read.and_then(|text| serde_json::from_slice(&text).map_err(|error| error.to_string()))
        .unwrap_or_else(|error| {
            tracing::error!(
                "hosts that were added by hand are forgotten, because {} cannot be read: {error}",
                file.display()
            );
            Vec::new()
        })
}

fn no_such_node(name: &NodeName, known: &[String]) -> Failure {
    Failure::new(404, format!("there is no node {name}; nodes are {}", known.join(", ")))
}
