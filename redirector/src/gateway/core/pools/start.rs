//! Pools as the configuration and earlier gateways have them, and what each asks its engine.

use std::{collections::BTreeSet, sync::Arc, time::Instant};

use super::{
    Pools,
    allocation::{self, Claim},
    engines::{self, Engines},
    kept::Kept,
    machine::Machine,
    testimony::Testimony,
    turns::Turn,
};
use crate::{
    config::{Config, Host, Pool},
    engine::{
        batch::{EngineJobId, Mark, Refusal, Request},
        join::Joining,
    },
    gateway::core::{Facts, sites::Need},
    model::{Amount, NodeName, Text, Timestamp},
    node::mapping::Mapping,
    program,
};

impl Pools {
    /// `None` if there are no pools. With the hosts that allocations of earlier gateways are.
    pub(in crate::gateway::core) fn start(
        setup: &Facts,
        settings: &Config,
    ) -> Option<(Self, Vec<Host>)> {
        if settings.pools.is_empty() {
            return None;
        }
        let kept = Kept::in_directory(&setup.state);
        let (claims, last) = kept.load().unwrap_or_else(|error| {
            tracing::error!("what allocations there are cannot be read: {error}");
            (Vec::new(), Timestamp::now().0)
        });
        let (engines, mut troubles) = Engines::of(&settings.pools, setup.messages.clone());
        let joining = Joining::start(&setup.state, &setup.gateway_id, settings);
        let joining = joining.map_err(|error| {
            let refusal = Refusal::Permanent(error.to_string());
            troubles.extend(settings.pools.iter().map(|it| (it.name.clone(), refusal.clone())));
        });
        for (pool, trouble) in &troubles {
            tracing::error!("pool '{pool}' cannot be used: {trouble}");
        }
        let pools = settings.pools.iter().cloned().map(Arc::new);
        let mut machine = Machine::new(pools, last);
        let (mut hosts, mut unsure) = (Vec::new(), BTreeSet::new());
        for claim in claims {
            let Some(pool) = machine.pool(&claim.pool).cloned() else {
                let Claim { node, pool, .. } = &claim;
                let id = claim
                    .id
                    .as_ref()
                    .map_or_else(String::new, |id| format!(" (job {id} of its engine)"));
                tracing::warn!(%node, "pool '{pool}' is not in redirector.toml any more: its allocation{id} leaves by itself within minutes; until then it counts for its engine");
                continue;
            };
            hosts.push(host(&pool, &claim));
            if claim.id.is_none() {
                unsure.insert(claim.node.clone());
            }
            machine.adopt(claim);
        }
        let known: BTreeSet<_> = hosts.iter().map(|host| host.name.clone()).collect();
        if let Ok(joining) = &joining {
            joining.keep_only(&known);
            for node in &known {
                // One that is not told where the gateway is now leaves by itself.
                if let Err(error) = joining.invite(node) {
                    tracing::error!(%node, "cannot tell its agent where this gateway is: {error}");
                }
            }
        }
        let now = Instant::now();
        let intervals = engines.intervals(&settings.pools);
        let unsearched = engines.all().collect();
        let pools = Self {
            machine,
            engines,
            troubles,
            kept,
            testimony: Testimony::load(&setup.state),
            joining: joining.ok(),
            unsure,
            unsearched,
            turns: intervals.into_iter().map(|it| Turn::new(it, now)).collect(),
            wake: Some(now),
        };
        Some((pools, hosts))
    }

    /// The pool whose nodes a job has to have.
    pub(super) fn asked_by<'a>(&self, need: &'a Need) -> Option<&'a str> {
        let pool = need.pool().filter(|_| need.placement.host.is_none())?;
        (!need.is_bound && self.machine.pool(pool).is_some()).then_some(pool)
    }

    /// The way to an allocation's agent, once that comes.
    pub(in crate::gateway::core) fn joining(&self) -> Option<&Joining> {
        self.joining.as_ref()
    }

    /// Whether an allocation is no longer needed, and was told so.
    pub(in crate::gateway::core) fn gives_back(&self, node: &NodeName) -> bool {
        self.machine.allocation(node).is_some_and(allocation::Allocation::is_leaving)
    }

    /// When there is something to ask an engine that is not being asked.
    pub(super) fn due(&self) -> Option<Instant> {
        self.turns.iter().filter_map(Turn::due).min()
    }

    /// Has each engine asked for all its allocations, if it is its turn.
    pub(super) fn ask(&mut self, gateway: &str, now: Instant) -> bool {
        let due = |engine: &usize| self.turns[*engine].due().is_some_and(|at| at <= now);
        let due: Vec<_> = self.engines.all().filter(due).collect();
        for engine in &due {
            let jobs = self.of_engine(*engine);
            if self.unsearched.remove(engine) {
                // Both are the engine's whole list: one at a time.
                self.engines.find(*engine, gateway.to_owned());
                self.turns[*engine].begin(now);
                self.turns[*engine].hasten(now);
            } else if jobs.is_empty() {
                self.turns[*engine].rest();
            } else {
                self.engines.ask(*engine, jobs);
                self.turns[*engine].begin(now);
            }
        }
        !due.is_empty()
    }

    /// Has engines asked soon, as far as they may be asked.
    pub(super) fn hasten(&mut self, now: Instant) {
        self.turns.iter_mut().for_each(|turn| turn.hasten(now));
    }

    /// Has an engine asked which of its jobs are this gateway's.
    pub(super) fn search(&mut self, engine: usize, now: Instant) {
        self.unsearched.insert(engine);
        self.turns[engine].want(now);
    }

    pub(super) fn of_engine(&self, engine: usize) -> Vec<(NodeName, EngineJobId)> {
        let claims = self.machine.allocations().map(|allocation| &allocation.claim);
        let of_engine = claims.filter(|it| self.engines.of_pool(&it.pool) == Some(engine));
        of_engine.filter_map(|it| Some((it.node.clone(), it.id.clone()?))).collect()
    }

    /// The request for an allocation.
    pub(super) fn request(
        &self,
        setup: &Facts,
        pool: &Pool,
        claim: &Claim,
    ) -> Result<Request, String> {
        let joining = self.joining.as_ref().ok_or("agents cannot join")?;
        let invitation = joining
            .invite(&claim.node)
            .map_err(|error| format!("cannot write the invitation of its agent: {error}"))?;
        let program = program::installed()
            .map_err(|error| format!("cannot find the redirector program: {error}"))?;
        let mapping = Mapping::of(&host(pool, claim));
        let there = |path: std::path::PathBuf| mapping.program(&Text::from(path));
        let script = engines::script(&there(program), &there(invitation));
        let script = String::from_utf8(script).map_err(
            |_| "the paths of the redirector program and of its state directory are not UTF-8",
        )?;
        Ok(Request {
            name: claim.name.clone(),
            mark: Mark {
                gateway: setup.gateway_id.clone(),
                allocation: claim.node.to_string(),
                job: claim.job,
            },
            cpus: claim.size.cpus,
            mem: claim.size.mem,
            walltime: claim.size.walltime,
            gpus: claim.size.gpus,
            immediate: pool.immediate && claim.job.is_some(),
            directory: engines::path(&there(setup.state.path().to_owned())),
            script,
            output: engines::path(&there(self.kept.log(&claim.node))),
            options: pool.options.with(&claim.options),
        })
    }
}

/// An allocation as a node.
pub(super) fn host(pool: &Pool, claim: &Claim) -> Host {
    Host {
        address: format!("pool {}", pool.name),
        cpus: Some(Amount::whole(claim.size.cpus.into())),
        mem: claim.size.mem,
        gpus: Some(claim.size.gpus),
        pools: claim.size.others.others.clone(),
        setup: pool.setup.clone(),
        path_map: pool.path_map.clone(),
        env: pool.env.clone(),
        tags: pool.tags.iter().chain([&pool.name]).cloned().collect(),
        ..Host::named(claim.node.clone())
    }
}
