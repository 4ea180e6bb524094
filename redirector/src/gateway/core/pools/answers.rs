//! What engines have answered, and how they are parted with.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use tokio::sync::mpsc::UnboundedReceiver;

use super::{Answer, allocation::pool_of, machine::Happened};
use crate::{
    engine::batch::{EngineJobId, Mark, Refusal, Status},
    gateway::{core::Core, message::Message},
    model::{NodeName, Timestamp},
};

/// How long engines may take to end allocations when the gateway leaves.
const FAREWELL: Duration = Duration::from_secs(10);

impl Core {
    /// An engine has answered.
    pub(in crate::gateway::core) fn engine_answered(&mut self, answer: Answer) {
        let Some(pools) = &mut self.pools else { return };
        match answer {
            Answer::Submitted { node, result } => {
                if let Err(Refusal::Unsure(_)) = &result {
                    pools.unsure.insert(node.clone());
                }
                self.note(Happened::Submitted { node, result });
            }
            Answer::Stopped { node, id, result } => match result {
                Err(refusal @ (Refusal::Temporary(_) | Refusal::Unsure(_))) => {
                    tracing::warn!(%node, %id, "the allocation is not stopped yet: {refusal}");
                }
                Err(Refusal::Permanent(reason)) => {
                    tracing::error!(
                        %node, %id,
                        "the allocation is not stopped ({reason}): end job {id} with the engine's own program"
                    );
                    self.note(Happened::Stopped { node, id });
                }
                Ok(()) => self.note(Happened::Stopped { node, id }),
            },
            Answer::Told { engine, statuses, asked } => {
                pools.turns[engine].answered();
                for (node, status) in statuses {
                    let Some(pools) = &self.pools else { return };
                    let ran = match &status {
                        Status::Running { started: Some(at), .. } => {
                            Some(Timestamp::now().since(*at))
                        }
                        _ => None,
                    };
                    let (status, last_words) = pools.kept.with_last_words(&node, status);
                    self.note(Happened::Told { node, status, ran, last_words, asked });
                }
            }
            Answer::Found { engine, result } => {
                pools.turns[engine].answered();
                match result {
                    Ok(found) => self.compare(engine, found),
                    Err(refusal) => {
                        tracing::warn!(
                            "which allocations are this gateway's is not known yet, and is asked again: \
                             {refusal}"
                        );
                        pools.search(engine, Instant::now());
                    }
                }
            }
        }
    }

    /// Takes back what an engine knows of this gateway's allocations, and stops those that nobody
    /// knows here.
    fn compare(&mut self, engine: usize, found: Vec<(EngineJobId, Mark)>) {
        let Some(pools) = &mut self.pools else { return };
        let mut strangers = Vec::new();
        let mut taken = BTreeMap::new();
        for (id, mark) in found {
            let node = NodeName(mark.allocation);
            let known = pools.machine.allocation(&node).map(|it| it.claim.id.as_ref());
            match known {
                Some(None) => drop(taken.insert(node, id)),
                Some(Some(own)) if *own == id => {}
                Some(Some(_)) | None => strangers.push((node, id)),
            }
        }
        if !strangers.is_empty() {
            let ids: Vec<_> = strangers.iter().map(|(_, id)| id.to_string()).collect();
            tracing::warn!(
                "stopping allocations that nobody waits for: jobs {} of the engine",
                ids.join(", ")
            );
            let now = Instant::now();
            for (node, id) in strangers {
                if pools.engines.of_pool(pool_of(&node)) == Some(engine) {
                    pools.machine.end_stranger(node, id, now);
                } else {
                    // Of a pool that is not in the configuration any more.
                    pools.engines.stop_one(engine, node, id);
                }
            }
        }
        let is_of_engine = |node: &&NodeName| {
            let allocation = pools.machine.allocation(node);
            allocation.is_some_and(|it| pools.engines.of_pool(&it.claim.pool) == Some(engine))
        };
        for node in pools.unsure.iter().filter(is_of_engine).cloned().collect::<Vec<_>>() {
            let found = taken.remove(&node);
            if let (Some(_), Some(pools)) = (&found, &mut self.pools) {
                pools.unsure.remove(&node);
            }
            let result = found.ok_or_else(|| {
                Refusal::Temporary("a gateway before this one was killed while it asked".to_owned())
            });
            self.note(Happened::Submitted { node, result });
        }
    }

    /// Gives all allocations back, because the gateway leaves.
    pub(in crate::gateway::core) async fn give_allocations_back(
        &mut self,
        messages: &mut UnboundedReceiver<Message>,
    ) {
        let deadline = tokio::time::Instant::now() + FAREWELL;
        while self.pools.as_ref().is_some_and(|pools| pools.machine.is_submitting()) {
            match tokio::time::timeout_at(deadline, messages.recv()).await {
                Ok(Some(Message::Engine(answer))) => self.engine_answered(answer),
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => break,
            }
        }
        let Some(pools) = &self.pools else { return };
        for engine in pools.engines.all() {
            let (nodes, ids): (Vec<_>, Vec<_>) = pools.of_engine(engine).into_iter().unzip();
            if ids.is_empty() {
                continue;
            }
            match tokio::time::timeout(FAREWELL, pools.engines.stop(engine, ids)).await {
                Ok(Ok(())) => nodes.iter().for_each(|node| {
                    pools.kept.forget(node, false);
                    if let Some(joining) = &pools.joining {
                        joining.forget(node);
                    }
                }),
                Ok(Err(refusal)) => {
                    tracing::error!("allocations are left to the next gateway: {refusal}");
                }
                Err(_) => {
                    tracing::error!("allocations are left to the next gateway: no answer in time");
                }
            }
        }
    }
}
