//! Hosts that join, drain and leave, by the configuration and by hand.
//!
//! | word | new jobs | running jobs | afterwards |
//! |---|---|---|---|
//! | drain | none | go on | `resume` takes it back |
//! | remove | none | must have ended, or are lost by force | the connection is closed |
//! | reload | as the file says now | go on | hosts that are in it no more drain until they are idle |

use super::Core;
use crate::{
    agent::protocol::Order, config::Host, dispatcher::Event, gateway::message::Failure,
    model::NodeName,
};

impl Core {
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
    pub(super) fn reload_nodes(&mut self, hosts: Vec<Host>) -> Vec<String> {
        let mut changes = Vec::new();
        let gone: Vec<NodeName> = self
            .fleet
            .hosts()
            .map(|(name, _)| name.clone())
            .filter(|name| hosts.iter().all(|host| host.name != *name))
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

fn no_such_node(name: &NodeName, known: &[String]) -> Failure {
    Failure::new(404, format!("there is no node {name}; nodes are {}", known.join(", ")))
}
