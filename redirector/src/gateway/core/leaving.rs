//! How the gateway is, whether it is needed, and how it ends.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::mpsc::UnboundedReceiver;

use super::{
    Core,
    live::{Live, Runner},
};
use crate::{
    agent::protocol::{Order, Probe},
    gateway::{
        message::{Failure, Message},
        processes,
    },
    model::State,
    protocol::Status,
};

/// How long agents may take to hear what was said last.
const PARTING: Duration = Duration::from_secs(1);

impl Core {
    /// Returns when the agents have heard everything: an end whose acknowledgement is lost with
    /// this process would have its agent start another gateway. Those on hosts leave, if they
    /// have nothing to do.
    pub(super) async fn part_with_agents(&mut self, messages: &mut UnboundedReceiver<Message>) {
        let mut waiting = BTreeSet::new();
        for (name, node) in self.fleet.all().filter(|(_, node)| node.is_up()) {
            // The answer to a question tells that all before it was heard.
            node.order(Order::Probe(Probe::default()));
            if node.host.is_some() && !self.has_jobs_on(name) {
                node.order(Order::Leave);
            }
            waiting.insert(name.clone());
        }
        let all_heard = async {
            while !waiting.is_empty() {
                match messages.recv().await {
                    Some(Message::AgentProbed { node, .. } | Message::AgentDown { node, .. }) => {
                        waiting.remove(&node);
                    }
                    Some(_) => {}
                    None => break,
                }
            }
        };
        // An agent that cannot be reached is told by the next gateway.
        let _in_time = tokio::time::timeout(PARTING, all_heard).await;
        self.give_allocations_back(messages).await;
    }

    pub(super) fn may_leave(&self) -> bool {
        self.setup.idle_timeout.is_some() && self.live.is_empty() && self.commit_at.is_none()
    }

    pub(super) fn idle_deadline(&self) -> Instant {
        self.last_activity + self.setup.idle_timeout.unwrap_or(Duration::MAX / 4)
    }

    pub(super) fn is_idle(&self) -> bool {
        // One is the core's own.
        self.live.is_empty() && Arc::strong_count(&self.setup.connections) <= 2
    }

    fn commands(&self, state: State) -> usize {
        let counts = |live: &&Live| !live.kind.is_whole_pipeline() && live.state == state;
        self.live.values().filter(counts).count()
    }

    pub(super) fn status(&self) -> Status {
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            state_directory: self.setup.state.path().display().to_string(),
            started: self.setup.started,
            embedded: self.setup.idle_timeout.is_some(),
            node: self.fleet.own.to_string(),
            capacity: self.fleet.own().capacity().unwrap_or_default(),
            queued: self.commands(State::Queued),
            running: self.commands(State::Running),
            journal_problem: self.journal.problem(),
        }
    }

    pub(super) fn stop(&mut self, force: bool) -> Result<(), Failure> {
        // A client that was killed may be gone before its connection is seen to be.
        let is_busy = |live: &&Live| match live.runner {
            Runner::Root { .. } => false,
            Runner::Agent { .. } => true,
            Runner::Client { process, .. } => !live.is_abandoned() && processes::is_client(process),
        };
        let busy = self.live.values().filter(is_busy).count();
        if busy > 0 && !force {
            return Err(Failure::new(
                409,
                format!(
                    "{busy} jobs are queued or running; cancel them ('redirector cancel ID'), wait for them, \
                     or stop with --force, which cancels them all"
                ),
            ));
        }
        tracing::info!(jobs = busy, "leaving: told to by 'redirector stop'");
        self.stopping = true;
        // Those that wait go first, lest one be started by the end of another.
        let mut all: Vec<_> =
            self.live.iter().map(|(job, live)| (live.state != State::Queued, *job)).collect();
        all.sort_unstable();
        for (_, job) in all {
            self.end_now(job, "the gateway was stopped");
        }
        Ok(())
    }
}
