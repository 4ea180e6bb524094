//! What people are told of allocations.

use std::time::Instant;

use crate::{
    engine::batch::EngineJobId,
    gateway::{
        core::Core,
        message::{Failure, Reply},
    },
    model::{JobId, NodeName, State},
    protocol::Explained,
};

impl Core {
    /// How far an allocation is whose agent is not connected.
    pub(in crate::gateway::core) fn why_no_agent(&self, node: &NodeName) -> Option<String> {
        let pools = self.pools.as_ref()?;
        let allocation = pools.machine.allocation(node)?;
        let engine = pools.machine.pool(&allocation.claim.pool)?.engine.word();
        (!allocation.is_up).then(|| allocation.describe(engine))
    }

    /// Adds what the engine says of the allocation for which a job waits.
    pub(in crate::gateway::core) fn explain_allocation(
        &self,
        job: JobId,
        mut explained: Result<Explained, Failure>,
        reply: Reply<Result<Explained, Failure>>,
    ) {
        let Some((id, said)) = self.word_on_allocation(job) else {
            return drop(reply.send(explained));
        };
        tokio::spawn(async move {
            let said = said.await;
            if let Ok(explained) = &mut explained {
                explained.lines.push(format!("job {id} of the engine: {said}"));
            }
            drop(reply.send(explained));
        });
    }

    fn word_on_allocation(
        &self,
        job: JobId,
    ) -> Option<(EngineJobId, impl Future<Output = String> + Send + 'static)> {
        let pools = self.pools.as_ref()?;
        let live = self.live.get(&job).filter(|live| live.state == State::Queued)?;
        let need = live.need.as_ref()?;
        let names = pools.machine.nodes_for(job, pools.asked_by(need)?, Instant::now());
        let awaited = names.iter().filter_map(|name| pools.machine.allocation(name));
        let first = awaited.filter(|it| !it.is_up).find_map(|it| it.claim.id.clone())?;
        let engine = pools.engines.of_pool(pools.asked_by(need)?)?;
        Some((first.clone(), pools.engines.explain(engine, first)))
    }
}
