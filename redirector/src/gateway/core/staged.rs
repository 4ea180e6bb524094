//! Jobs on hosts that do not have this computer's files.
//!
//! ```text
//!   to be started ─► stage: Sending ─ Staged ─► Ready ─► Start: Told ─► …
//!   … Ended ─► land: Landing ─ Landed ─► Done ─► Ended, as of any other job
//! ```
//!
//! When the connection is lost, either half is done anew on the next one: the agent repeats that
//! the attempt has ended, or does not know it.

use super::{Core, live::Live};
use crate::{
    agent::protocol::{Assignment, AttemptId, Ended},
    engine::Channel,
    gateway::{
        message::AgentLink,
        stage::{Order, Problem, Staged, Task},
    },
    model::{JobId, NodeName, Outcome, State, Timestamp},
    store,
};

use super::{
    fleet::{Link, Node},
    sites,
};

/// Where a job's files are.
#[derive(Debug)]
pub(super) enum Staging {
    /// They are being sent to its node.
    Sending(#[expect(dead_code, reason = "ends with it")] Task),
    /// They are there.
    Ready(Staged),
    /// … and the agent was told to run it.
    Told,
    /// It has ended so, and its outputs are being fetched.
    Landing {
        ended: Box<Ended>,
        #[expect(dead_code, reason = "ends with it")]
        task: Task,
    },
    /// They are here.
    Done,
}

/// `assignment`, as it is in the job's tree if it has one.
pub(super) fn in_its_tree(live: &Live, assignment: Assignment) -> Assignment {
    match &live.staging {
        Some(Staging::Ready(Staged { entrance, argv, directory })) => {
            let (argv, directory) = (argv.clone(), directory.clone());
            let Some(program) = entrance.first().cloned() else {
                return Assignment { argv, directory, ..assignment };
            };
            let command = [&entrance[..], &[assignment.program], &argv].concat();
            Assignment { program, argv: command, directory, ..assignment }
        }
        _ => assignment,
    }
}

impl Core {
    /// Whether its files have to be sent to its node before it starts.
    pub(super) fn has_to_stage(&self, job: JobId) -> bool {
        self.live.get(&job).is_some_and(|live| {
            self.is_far_from_its_files(live) && !matches!(live.staging, Some(Staging::Ready(_)))
        })
    }

    /// Whether its outputs have to be fetched before it has ended.
    pub(super) fn has_to_land(&self, attempt: AttemptId) -> bool {
        self.live.get(&attempt.job).is_some_and(|live| {
            live.agent().is_some()
                && live.attempt == attempt.number
                && live.state == State::Running
                && self.is_far_from_its_files(live)
                && !matches!(live.staging, Some(Staging::Done))
        })
    }

    fn is_far_from_its_files(&self, live: &Live) -> bool {
        let node = live.node.as_ref().and_then(|node| self.fleet.get(node));
        let Some(remote) = node.and_then(|node| node.host.as_ref()) else { return false };
        let asked = live.need.as_ref().and_then(|need| need.placement.stage);
        // Settings may have changed since it started.
        asked.unwrap_or(remote.host.stage) || live.staging.is_some()
    }

    /// Sends a job's files to its node; then it is assigned once more.
    pub(super) fn stage(&mut self, job: JobId) -> Result<(), store::Error> {
        let Some(live) = self.live.get_mut(&job) else { return Ok(()) };
        let node = live.node.as_ref().and_then(|name| Some((name, self.fleet.get(name)?)));
        let Some((name, node)) = node else { return Ok(()) };
        let (Some(channel), Some(remote)) = (channel(node), &node.host) else { return Ok(()) };
        let spec = if live.is_detached() {
            self.journal.store().recipe(job)?.map(|recipe| recipe.spec)
        } else {
            self.journal.store().spec(job)?
        };
        let Some(spec) = spec else { return Ok(()) };
        let order = Order {
            program: sites::program_on(node, &spec),
            attempt: AttemptId { job, number: live.attempt },
            node: name.clone(),
            channel,
            argv: spec.argv,
            directory: spec.directory,
            mapping: remote.mapping.clone(),
            cache_size: self.setup.ssh.cache_size,
        };
        let task = self.setup.stages.send(order, self.setup.messages.clone());
        live.staging = Some(Staging::Sending(task));
        Ok(())
    }

    /// A job's files are on its node, or cannot be.
    pub(super) fn staged(&mut self, attempt: AttemptId, result: Result<Staged, Problem>) {
        let job = attempt.job;
        let Some(live) = self.live.get_mut(&job) else { return };
        if live.attempt != attempt.number || !live.is_being_staged() {
            return;
        }
        let problem = match result {
            Ok(staged) => {
                live.staging = Some(Staging::Ready(staged));
                self.assigned.push(job);
                return;
            }
            Err(problem) => problem,
        };
        let reason = problem.to_string();
        let outcome = match problem {
            Problem::There { .. } => Outcome::Lost { reason },
            Problem::Here(_) => Outcome::Refused { reason },
        };
        live.staging = None;
        self.placed_ended(job, outcome, None, Timestamp::now());
    }

    /// Fetches the outputs of an attempt that has ended; then it has ended once more.
    pub(super) fn land(&mut self, name: &NodeName, ended: Ended) {
        let attempt = ended.attempt;
        let Some(channel) = self.fleet.get(name).and_then(channel) else { return };
        let Some(live) = self.live.get_mut(&attempt.job) else { return };
        let task = self.setup.stages.land(attempt, channel, self.setup.messages.clone());
        live.staging = Some(Staging::Landing { ended: Box::new(ended), task });
    }

    /// All outputs of an attempt are here, or it is known why not.
    pub(super) fn landed(&mut self, attempt: AttemptId, problems: &[String]) {
        let Some(live) = self.live.get_mut(&attempt.job) else { return };
        if live.attempt != attempt.number {
            return;
        }
        let Some(node) = live.node.clone() else { return };
        let mut ended = match live.staging.take() {
            Some(Staging::Landing { ended, .. }) => ended,
            other => {
                live.staging = other;
                return;
            }
        };
        live.staging = Some(Staging::Done);
        if !problems.is_empty() {
            let reason =
                format!("its outputs cannot be brought here from {node}: {}", problems.join("; "));
            ended.outcome = Outcome::Lost { reason };
        }
        self.agent_ended(&node, *ended);
    }
}

fn channel(node: &Node) -> Option<Channel> {
    match &node.link {
        Link::Up { link: AgentLink { channel, .. }, .. } => channel.clone(),
        Link::Down | Link::Connecting | Link::Leaving => None,
    }
}
