//! Connections to agents: made, lost, made again, given up.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Core,
    fleet::{Link, Way},
    pools::Pools,
};
use crate::{
    dispatcher::Event,
    gateway::{
        agents::{self, IfNone},
        hosts, joins,
    },
    model::{JobId, NodeName, Outcome, State, Timestamp},
};

impl Core {
    /// Connects all hosts.
    pub(super) fn connect_hosts(&mut self) {
        let hosts: Vec<_> = self.fleet.hosts().map(|(name, _)| name.clone()).collect();
        for host in hosts {
            self.connect_agent(&host);
        }
    }

    /// Hears what this computer's agent has to say if it is there already: the gateway before this
    /// one may have been killed before it acknowledged an end.
    pub(super) fn connect_own_agent_if_there(&mut self) {
        let own = self.fleet.own.clone();
        self.connect(&own, IfNone::Leave);
    }

    pub(super) fn connect(&mut self, name: &NodeName, if_none: IfNone) {
        let (state, messages) = (self.setup.state.clone(), self.setup.messages.clone());
        let Some(node) = self.fleet.get_mut(name) else { return };
        if !matches!(node.link, Link::Down) {
            return;
        }
        node.retry = None;
        node.link = Link::Connecting;
        match &mut node.host {
            None => agents::connect(name.clone(), state, messages, if_none),
            Some(remote) if remote.way == Way::Joins => {
                let joining = self.pools.as_ref().and_then(Pools::joining).cloned();
                remote.connection =
                    joining.map(|joining| joins::connect(name.clone(), joining, messages));
            }
            Some(remote) => {
                let (host, ssh) = (Arc::clone(&remote.host), self.setup.ssh.clone());
                let gateway = self.setup.gateway_id.clone();
                remote.connection = Some(hosts::connect(host, ssh, gateway, messages));
            }
        }
    }

    pub(super) fn agent_down(&mut self, name: &NodeName, problem: Option<String>) {
        let Some(node) = self.fleet.get_mut(name) else { return };
        let is_given_back = self.pools.as_ref().is_some_and(|pools| pools.gives_back(name));
        let was_up = node.is_up();
        node.link = Link::Down;
        if node.host.is_none() {
            if let Some(problem) = problem {
                tracing::error!("{problem}");
                node.failed(problem);
            } else if self.needs_own_agent() {
                self.connect_agent(name);
            }
            return;
        }
        let problem = problem.unwrap_or_else(|| "its connection was lost".to_owned());
        if node.problem.as_ref() != Some(&problem) && !is_given_back {
            tracing::warn!(target: "node", node = %name, "{problem}");
        }
        node.failed(problem);
        node.down_since.get_or_insert_with(Instant::now);
        let (awaiting, is_lent) = (std::mem::take(&mut node.awaiting), node.is_lent());
        if is_lent {
            self.note_link(name, false);
            // It comes by itself, if it comes.
            self.connect_agent(name);
        }
        if was_up {
            self.dispatch(Event::NodeSuspended { node: name.clone() });
        }
        for job in awaiting {
            self.requeue(job);
        }
        // What it was asked for it does not answer any more.
        self.settle_all();
    }

    /// When a node is to be tried again or given up.
    pub(super) fn next_link(&self) -> Option<Instant> {
        let of_hosts = self.fleet.hosts().flat_map(|(name, node)| {
            let give_up = node.down_since.map(|since| since + self.setup.ssh.lost_after);
            let retry = node.retry.filter(|_| matches!(node.link, Link::Down));
            retry.into_iter().chain(give_up.filter(|_| self.has_jobs_of(name)))
        });
        let own = self.fleet.own();
        let own = own.retry.filter(|_| matches!(own.link, Link::Down));
        // Looked at before all live jobs are.
        of_hosts.chain(own.filter(|_| self.needs_own_agent())).min()
    }

    /// Tries nodes again, and gives those up that have been away for too long.
    pub(super) fn tend_links(&mut self) {
        let now = Instant::now();
        let lost_after = self.setup.ssh.lost_after;
        let nodes: Vec<_> = self.fleet.all().map(|(name, _)| name.clone()).collect();
        for name in nodes {
            let Some(node) = self.fleet.get(&name) else { continue };
            let is_given_up = node.down_since.is_some_and(|since| since + lost_after <= now);
            if node.retry.is_some_and(|at| at <= now) {
                self.connect_agent(&name);
            }
            if is_given_up && self.has_jobs_on(&name) {
                self.give_up(&name, lost_after);
            }
            if is_given_up {
                self.fail_what_waits_for(&name, lost_after);
            }
        }
    }

    fn give_up(&mut self, name: &NodeName, lost_after: Duration) {
        let after = crate::units::format_duration(lost_after);
        tracing::error!(target: "node", node = %name, "given up after {after} without a connection; its jobs are lost");
        // Tells which jobs were there.
        self.dispatch(Event::NodeLost { node: name.clone() });
    }

    /// Ends the jobs that are not to wait until a node is back.
    fn fail_what_waits_for(&mut self, name: &NodeName, lost_after: Duration) {
        let waiting: Vec<_> = self.waiting_for(name).collect();
        let problem = self.fleet.get(name).and_then(|node| node.problem.clone());
        let reason = format!(
            "{name}, which has what it works on, could not be reached for {}: {}",
            crate::units::format_duration(lost_after),
            problem.as_deref().unwrap_or("nobody knows why")
        );
        for job in waiting {
            let outcome = Outcome::Lost { reason: reason.clone() };
            self.conclude(job, outcome, None, Timestamp::now());
        }
    }

    fn waiting_for(&self, node: &NodeName) -> impl Iterator<Item = JobId> {
        let waits = move |live: &super::Live| {
            let need = live.need.as_ref().map(|need| &need.placement);
            live.state == State::Queued
                && need.is_some_and(|it| it.fails_without_node && it.host.as_ref() == Some(node))
        };
        self.live.iter().filter(move |(_, live)| waits(live)).map(|(job, _)| *job)
    }

    fn has_jobs_of(&self, node: &NodeName) -> bool {
        self.has_jobs_on(node) || self.waiting_for(node).next().is_some()
    }

    /// The node on which a job ran is gone.
    pub(super) fn lose_with_node(&mut self, job: JobId) {
        if self.believe(job) {
            return;
        }
        let Some(node) = self.live.get(&job).and_then(|live| live.node.clone()) else { return };
        let problem = self.fleet.get(&node).and_then(|node| node.problem.clone());
        let problem = problem.unwrap_or_else(|| "it was removed".to_owned());
        let reason = format!("{node}, which ran it, was given up: {problem}");
        self.placed_ended(job, Outcome::Lost { reason }, None, Timestamp::now());
    }

    pub(super) fn has_jobs_on(&self, node: &NodeName) -> bool {
        self.running_on(node).next().is_some()
    }

    pub(super) fn running_on(&self, node: &NodeName) -> impl Iterator<Item = JobId> {
        let is_there = move |live: &super::Live| {
            live.state == State::Running && live.node.as_ref() == Some(node)
        };
        self.live.iter().filter(move |(_, live)| is_there(live)).map(|(job, _)| *job)
    }

    /// A node takes jobs from now on, or others than before.
    pub(super) fn node_joins(&mut self, name: &NodeName) {
        let Some(node) = self.fleet.get(name) else { return };
        let Some(facts) = &node.facts else { return };
        let joined = Event::NodeJoined {
            node: name.clone(),
            capacity: facts.resources(),
            max_jobs: facts.max_jobs,
            max_supervisors: Some(facts.max_supervisors),
            indexed: facts.indexed(),
        };
        let is_draining = node.is_draining;
        self.dispatch(joined);
        if is_draining {
            self.dispatch(Event::NodeDraining { node: name.clone() });
        }
    }
}
