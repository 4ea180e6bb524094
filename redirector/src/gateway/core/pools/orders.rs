//! Does what the machine has decided: asks engines, and adds and removes nodes.

use std::time::Instant;

use super::{
    allocation::{Claim, pool_of},
    lists::Next,
    machine::{Happened, Order},
    start::host,
};
use crate::{
    agent::protocol,
    dispatcher::Event,
    engine::batch::{EngineJobId, Refusal},
    gateway::core::{Core, live::Live},
    model::{JobId, NodeName, Outcome, State, Timestamp},
    protocol::GatewayMessage,
};

impl Core {
    pub(super) fn carry_out(&mut self, order: Order) {
        match order {
            Order::Submit(claim) => self.ask_for(&claim),
            Order::Keep(claim) => self.keep_claim(&claim),
            Order::Stop(node, id) => self.stop_allocation(&node, id),
            Order::Leave(node) => {
                self.dispatch(Event::NodeDraining { node: node.clone() });
                if let Some(known) = self.fleet.get(&node) {
                    known.order(protocol::Order::Leave);
                }
            }
            Order::Drain(node) => {
                // One that is no node yet drains when it is.
                drop(self.drain_node(&node, true));
            }
            Order::Hasten => {
                if let Some(pools) = &mut self.pools {
                    pools.hasten(Instant::now());
                }
            }
            Order::Believe(job) => drop(self.believe(job)),
            Order::Judge(claim, end) => self.judge(&claim, &end),
            Order::Forget { node, reason, keeps_log } => {
                self.forget_allocation(&node, &reason, keeps_log);
            }
            Order::Conclude(job, outcome) => self.conclude_unplaced(job, outcome),
        }
    }

    /// Ends a job that will get no node of its pool, unless its list has another one.
    pub(super) fn conclude_unplaced(&mut self, job: JobId, mut outcome: Outcome) {
        let queued = self.live.get(&job).filter(|live| live.state == State::Queued);
        let Some(need) = queued.map(|live| live.need.clone()) else { return };
        if let Outcome::Refused { reason } = &mut outcome {
            let alone = need.filter(|need| !need.has_list());
            if let Some(pool) = alone.as_ref().and_then(|need| need.choice()) {
                *reason = format!("{pool} gives it no node: {reason}");
            }
            match self.refused_by_pool(job, std::mem::take(reason)) {
                Next::Moved => return,
                Next::Refused(by_all) => *reason = by_all,
            }
        }
        let reason = outcome.reason().unwrap_or_default();
        self.say(
            job,
            match outcome {
                Outcome::Refused { .. } => GatewayMessage::Refused { reason },
                _ => GatewayMessage::Signal { signal: libc::SIGTERM, reason },
            },
        );
        self.conclude(job, outcome, None, Timestamp::now());
    }

    fn keep_claim(&mut self, claim: &Claim) {
        let Some(pools) = &mut self.pools else { return };
        if let Err(error) = pools.kept.keep(claim, pools.machine.last) {
            // Its mark still tells whose it is.
            tracing::error!(node = %claim.node, "cannot note down the allocation: {error}");
        }
        if claim.id.is_some()
            && let Some(engine) = pools.engines.of_pool(&claim.pool)
        {
            pools.turns[engine].want(Instant::now());
        }
    }

    fn ask_for(&mut self, claim: &Claim) {
        self.keep_claim(claim);
        let Some(pools) = &mut self.pools else { return };
        let node = claim.node.clone();
        let Some(pool) = pools.machine.pool(&claim.pool).cloned() else { return };
        let request = pools.request(&self.setup, &pool, claim);
        match (request, pools.engines.of_pool(&pool.name)) {
            (Ok(request), Some(engine)) => {
                let is_new = !pools.unsure.remove(&node);
                pools.engines.submit(engine, node.clone(), request, is_new);
                self.fleet.lend(host(&pool, claim));
                self.connect_agent(&node);
            }
            (Err(reason), _) => {
                let result = Err(Refusal::Permanent(reason));
                self.note(Happened::Submitted { node, result });
            }
            (Ok(_), None) => {}
        }
    }

    fn stop_allocation(&mut self, node: &NodeName, id: EngineJobId) {
        let Some(pools) = &self.pools else { return };
        match pools.engines.of_pool(pool_of(node)) {
            Some(engine) => pools.engines.stop_one(engine, node.clone(), id),
            None => self.note(Happened::Stopped { node: node.clone(), id }),
        }
    }

    /// An allocation is no more, and no node.
    fn forget_allocation(&mut self, name: &NodeName, reason: &str, keeps_log: bool) {
        let Some(pools) = &mut self.pools else { return };
        pools.kept.forget(name, keeps_log);
        if pools.unsure.remove(name)
            && let Some(engine) = pools.engines.of_pool(pool_of(name))
        {
            // It may have been taken: then it is found, and stopped.
            pools.search(engine, Instant::now());
        }
        if let Some(joining) = &pools.joining {
            joining.forget(name);
        }
        tracing::info!(target: "node", node = %name, "{reason}");
        let Some(node) = self.fleet.get_mut(name) else { return };
        node.problem = Some(reason.to_owned());
        for job in std::mem::take(&mut node.awaiting) {
            self.requeue(job);
        }
        // The dispatcher refuses what no node of its can run; these wait for another one.
        let waits = |(job, live): &(&JobId, &Live)| {
            live.state == State::Queued
                && !self.unsettled.is_kept_back(**job)
                && live.need.as_ref().is_some_and(|need| self.has_pool(need))
        };
        let waiting: Vec<_> = self.live.iter().filter(waits).map(|(job, _)| *job).collect();
        for job in waiting {
            self.dispatch(Event::Cancelled { job });
            self.unsettled.keep_back(job);
        }
        self.dispatch(Event::NodeRemoved { node: name.clone() });
        if let Some(node) = self.fleet.remove(name)
            && let Some(connection) = node.host.and_then(|remote| remote.connection)
        {
            connection.abort();
        }
        self.settle_all();
    }
}
