//! Nodes come and go, and those who wait hear what that means for them.

use std::{cmp::Reverse, collections::BTreeMap};

use super::{
    Action, Dispatcher, Refusal,
    asks::Ask,
    job::State,
    nodes::{NodeIndex, Presence},
    pieces::Pieces,
    placement::feasible,
    queue::{Line, LineIndex},
};
use crate::model::{Amount, JobId, NodeName, PoolName, Resources};

impl Dispatcher {
    /// A node takes jobs from now on, so many of them and so many pipelines.
    pub(super) fn join(
        &mut self,
        node: NodeName,
        mut capacity: Resources,
        (max_jobs, max_supervisors): (Option<u32>, Option<u32>),
        indexed: &BTreeMap<PoolName, u32>,
    ) -> NodeIndex {
        for (pool, &count) in indexed {
            capacity.others.insert(pool.clone(), Amount::whole(count.into()));
        }
        self.pools.allot(&capacity);
        let node = self.nodes.expect(node);
        let capacity = self.pools.known_load(&capacity);
        self.nodes.set_capacity(node, capacity.of_node(max_jobs, max_supervisors));
        self.set_pieces(node, indexed);
        self.nodes.set_presence(node, Presence::Open);
        self.nodes.set_suspended(node, false);
        node
    }

    /// A node takes no more jobs.
    pub(super) fn drain(&mut self, node: &NodeName, actions: &mut Vec<Action>) {
        if let Some(node) = self.nodes.find(node)
            && self.nodes[node].presence == Presence::Open
        {
            self.nodes.set_presence(node, Presence::Draining);
            self.nodes_changed(node, actions);
        }
    }

    /// A node that has jobs can, or cannot, be reached.
    pub(super) fn suspend(
        &mut self,
        node: &NodeName,
        is_suspended: bool,
        actions: &mut Vec<Action>,
    ) {
        if let Some(node) = self.nodes.find(node)
            && self.nodes[node].presence != Presence::Away
            && self.nodes[node].is_suspended != is_suspended
        {
            self.nodes.set_suspended(node, is_suspended);
            self.nodes_changed(node, actions);
        }
    }

    /// A node and all that ran there are gone.
    pub(super) fn leave(&mut self, node: &NodeName, presence: Presence, actions: &mut Vec<Action>) {
        let Some(index) = self.nodes.find(node) else { return };
        self.nodes.set_presence(index, presence);
        self.nodes.set_suspended(index, false);
        let mut lost = self.nodes[index].running.clone();
        lost.sort_unstable();
        for job in lost {
            self.forget(job);
            actions.push(Action::Lost { job, node: node.clone() });
        }
        self.nodes_changed(index, actions);
    }

    /// Gives a node its pieces, of which those are used that its jobs were given.
    fn set_pieces(&mut self, node: NodeIndex, indexed: &BTreeMap<PoolName, u32>) {
        let counts = indexed.iter();
        let counts = counts.filter_map(|(pool, count)| Some((self.pools.slot(pool)?, *count)));
        self.nodes.set_pieces(node, Pieces::new(counts));
        for &job in &self.nodes[node].running.clone() {
            let job = &self.jobs[job];
            if let State::Running { standing, .. } = job.state {
                let held = standing.holding.of(&self.asks[job.ask].load);
                self.nodes.charge_pieces(node, &held, &job.indices);
            }
        }
    }

    /// Draws the conclusions from a node's arrival, departure or change of size.
    pub(super) fn nodes_changed(&mut self, node: NodeIndex, actions: &mut Vec<Action>) {
        let is_cramped = self.reservation.as_ref().is_some_and(|kept| kept.is_cramped);
        if is_cramped || self.is_reserved(node) {
            self.release_reservation();
        }
        let sizes_changed = std::mem::take(&mut self.nodes.sizes_changed);
        let lines = if sizes_changed { self.queue.all() } else { self.queue.choosy() };
        for (job, reason) in self.newly_impossible(&lines) {
            self.forget(job);
            actions.push(Action::Refuse { job, reason });
        }
        let lines = if sizes_changed { self.queue.all() } else { self.queue.choosy() };
        let nodes = &self.nodes;
        self.queue.refresh(&lines, |asks| feasible(nodes, asks));
        self.freed.push(Reverse(node));
        // Those that running jobs need start also where there is no place for a supervisor.
        self.fresh.extend(self.queue.joining().map(Reverse));
        self.reconsider_first = true;
    }

    /// The jobs in these lines that no node can run any more.
    fn newly_impossible(&self, lines: &[LineIndex]) -> BTreeMap<JobId, Refusal> {
        let is_possible = |ask: &Ask| self.nodes.may_ever_hold(ask);
        let lines = lines.iter().map(|&line| &self.queue[line]);
        let lines = lines.filter(|line| !line.asks.iter().all(is_possible));
        let units = lines.flat_map(Line::units);
        let jobs = units.flat_map(|unit| self.members(unit.job));
        jobs.filter_map(|job| Some((job, self.refusal(&self.asks[self.jobs[job].ask])?))).collect()
    }
}
