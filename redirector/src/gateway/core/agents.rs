//! Jobs that an agent runs: assigning them, and learning how they ended.
//!
//! ```text
//!  granted ─► agent connected? ─ no ─► awaiting ──┐ connect (starts an agent if there is none)
//!                  │ yes                          │
//!                  ▼                              ▼
//!          journal: started, by which agent ◄── Hello
//!                  │ after the commit
//!                  ▼
//!              Start ──► … ──► Ended ─► journal: outcome ─ after the commit ─► Acknowledge
//! ```
//!
//! After a restart of the gateway the journal and the agent's Hello are compared. What the journal
//! gave to this agent, and the agent does not know, it was never told: it is told again. What it
//! gave to one that left in good order was never told either, and is given to this one. What the
//! journal gave to an agent that was killed is lost. What the agent runs and the journal does not
//! know belongs to a journal that was replaced: that agent is sent away.

use std::{
    collections::{BTreeSet, HashSet},
    time::{Duration, Instant},
};

use tokio::sync::mpsc::UnboundedSender;

use super::{
    Core,
    live::{Ending, Live, Runner},
};
use crate::{
    agent::protocol::{Assignment, AttemptId, Ended, Order},
    gateway::{
        agents::{self, IfNone},
        message::{AgentHello, AgentLink, Message},
    },
    model::{JobId, Kind, NodeName, Outcome, State, Text, Timestamp},
    place::Stream,
    random,
    store::{self, Write},
};

/// From SIGTERM to SIGKILL.
pub(super) const GRACE: Duration = Duration::from_secs(10);

/// Pause before an agent that could not be started is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// The core's side of this computer's agent.
#[derive(Default)]
pub(super) struct Agents {
    link: Link,
    /// Jobs that were granted while no agent was connected.
    awaiting: BTreeSet<JobId>,
    /// Jobs to be sent once the batch is journalled.
    assigned: Vec<JobId>,
    /// Why no agent could be reached, last time.
    pub(super) problem: Option<String>,
    /// When to try again.
    retry: Option<Instant>,
}

#[derive(Default)]
enum Link {
    /// Nobody is connected, or about to be.
    #[default]
    Down,
    Connecting,
    Up {
        instance: String,
        orders: UnboundedSender<Order>,
        /// Environments that this agent has.
        environments: HashSet<String>,
    },
    /// It runs jobs of another journal, and was told to leave.
    Leaving,
}

impl Core {
    /// A detached job has its resources.
    pub(super) fn assign(&mut self, job: JobId, node: NodeName) {
        if let Link::Up { instance, .. } = &self.agents.link {
            let agent = instance.clone();
            let Some(live) = self.live.get_mut(&job) else { return };
            live.runner = Runner::Agent { instance: Some(agent.clone()) };
            let (given, at) = (live.given.clone(), Timestamp::now());
            self.journal.write(Write::Start { job, node, agent: Some(agent), given, at });
            self.agents.assigned.push(job);
        } else {
            self.agents.awaiting.insert(job);
            self.connect_agent();
        }
    }

    /// Sees to it that an agent will say hello.
    pub(super) fn connect_agent(&mut self) {
        self.connect(IfNone::Start);
    }

    /// Hears what an agent has to say that is there already: the gateway before this one may
    /// have been killed before it acknowledged an end.
    pub(super) fn connect_agent_if_there(&mut self) {
        self.connect(IfNone::Leave);
    }

    fn connect(&mut self, if_none: IfNone) {
        if matches!(self.agents.link, Link::Down) {
            self.agents.retry = None;
            self.agents.link = Link::Connecting;
            let (state, core) = (self.setup.state.clone(), self.setup.messages.clone());
            agents::connect(self.setup.node.clone(), state, core, if_none);
        }
    }

    pub(super) fn agent_up(&mut self, hello: AgentHello, link: AgentLink) {
        let AgentHello { instance, predecessors, running, ended, .. } = hello;
        let AgentLink { orders, .. } = link;
        self.agents.problem = None;
        let is_ours = |attempt: &AttemptId| {
            self.live.get(&attempt.job).is_some_and(|live| {
                live.attempt == attempt.number
                    && matches!(&live.runner, Runner::Agent { instance: Some(own) } if *own == instance)
            })
        };
        let foreign: Vec<_> = running.iter().filter(|attempt| !is_ours(attempt)).copied().collect();
        if !foreign.is_empty() {
            tracing::warn!(agent = %instance, attempts = foreign.len(),
                "the agent runs jobs that the journal does not know; it is to end them and leave");
            for attempt in foreign {
                // Fails only when the agent is gone already.
                drop(orders.send(Order::Abandon { attempt }));
            }
            drop(orders.send(Order::Leave));
            self.agents.link = Link::Leaving;
            return;
        }
        for attempt in ended.iter().filter(|attempt| !is_ours(attempt)) {
            drop(orders.send(Order::Acknowledge { attempt: *attempt }));
        }
        let known: HashSet<AttemptId> = running.into_iter().chain(ended).collect();
        let mut lost = Vec::new();
        for (&job, live) in &self.live {
            let Runner::Agent { instance: Some(assigned) } = &live.runner else { continue };
            let attempt = AttemptId { job, number: live.attempt };
            if live.state != State::Running {
                continue;
            }
            if predecessors.contains(assigned) {
                self.agents.awaiting.insert(job);
            } else if *assigned != instance {
                lost.push(job);
            } else if !known.contains(&attempt) {
                self.agents.assigned.push(job);
            }
        }
        self.agents.link = Link::Up { instance, orders, environments: HashSet::new() };
        lost.sort_unstable();
        self.lose_attempts(lost);
        for job in std::mem::take(&mut self.agents.awaiting) {
            self.assign(job, self.setup.node.clone());
        }
        // Some were to be ended while nobody was there to do it.
        let to_end = self.live.iter().filter(|(_, live)| {
            live.is_detached() && live.state == State::Running && live.ending.is_some()
        });
        for job in to_end.map(|(job, _)| *job).collect::<Vec<_>>() {
            self.order_end(job, GRACE);
        }
    }

    /// The agent that ran them is gone, and with it the jobs' processes.
    fn lose_attempts(&self, jobs: Vec<JobId>) {
        let attempt = |job| Some(AttemptId { job, number: self.live.get(&job)?.attempt });
        let attempts: Vec<_> = jobs.into_iter().filter_map(attempt).collect();
        let tokens: Vec<_> = attempts.iter().map(|it| self.tokens.of(it.job)).collect();
        let messages = self.setup.messages.clone();
        tokio::task::spawn_blocking(move || {
            // What escaped the agent's end must neither meet the next attempt nor be taken for it.
            for token in tokens {
                crate::gateway::job_processes::kill_all(&token);
            }
            // Fails only when the core is gone.
            drop(messages.send(Message::AttemptsLost { attempts }));
        });
    }

    pub(super) fn attempts_lost(&mut self, attempts: &[AttemptId]) {
        for attempt in attempts {
            let is_current =
                |live: &Live| live.attempt == attempt.number && live.state == State::Running;
            if self.live.get(&attempt.job).is_some_and(is_current) {
                self.lose_attempt(attempt.job);
            }
        }
    }

    fn lose_attempt(&mut self, job: JobId) {
        let node = &self.setup.node;
        let reason = format!(
            "the agent that ran it on {node} was killed or crashed, and its processes ended with it"
        );
        self.attempt_ended(job, Outcome::Lost { reason }, None, Timestamp::now());
    }

    pub(super) fn agent_down(&mut self, problem: Option<String>) {
        self.agents.link = Link::Down;
        if let Some(problem) = problem {
            tracing::error!("{problem}");
            self.agents.problem = Some(problem);
            self.agents.retry = Some(Instant::now() + RETRY);
            return;
        }
        if self.needs_agent() {
            self.connect_agent();
        }
    }

    /// Whether jobs are, or are to be, in an agent's hands.
    pub(super) fn needs_agent(&self) -> bool {
        !self.agents.awaiting.is_empty()
            || self.live.values().any(|live| live.is_detached() && live.state == State::Running)
    }

    /// When an agent that could not be reached is to be tried again, if that is needed.
    pub(super) fn next_agent(&self) -> Option<Instant> {
        // Looked at before all live jobs are.
        let retry = self.agents.retry.filter(|_| matches!(self.agents.link, Link::Down))?;
        self.needs_agent().then_some(retry)
    }

    pub(super) fn agent_ended(&mut self, ended: Ended) {
        let Ended { attempt, outcome, usage, at, .. } = ended;
        let is_current = self.live.get(&attempt.job).is_some_and(|live| {
            live.is_detached() && live.attempt == attempt.number && live.state == State::Running
        });
        if is_current {
            self.attempt_ended(attempt.job, outcome, Some(usage), at);
        }
        if let Link::Up { orders, .. } = &self.agents.link {
            let orders = orders.clone();
            self.journal.after_commit(move || drop(orders.send(Order::Acknowledge { attempt })));
        }
    }

    /// Has the agent end what runs of a job.
    pub(super) fn order_end(&mut self, job: JobId, grace: Duration) {
        let Some(live) = self.live.get(&job) else { return };
        let attempt = AttemptId { job, number: live.attempt };
        if let Link::Up { orders, .. } = &self.agents.link {
            let orders = orders.clone();
            let grace = grace.as_millis() as u64;
            // After the order to start it, if that is in this batch too.
            self.journal.after_commit(move || drop(orders.send(Order::End { attempt, grace })));
        }
    }

    /// A job that was granted but not yet given to an agent can be taken back.
    pub(super) fn is_in_no_hands(&self, job: JobId) -> bool {
        self.agents.awaiting.contains(&job) || self.agents.assigned.contains(&job)
    }

    pub(super) fn forget_assignment(&mut self, job: JobId) {
        self.agents.awaiting.remove(&job);
        self.agents.assigned.retain(|assigned| *assigned != job);
    }

    /// Sends what was journalled just now to the agent; whether there is something new to be
    /// journalled now.
    pub(super) fn send_assignments(&mut self) -> bool {
        let mut has_failed = false;
        for job in std::mem::take(&mut self.agents.assigned) {
            if let Err(error) = self.send_assignment(job) {
                tracing::error!(%job, "{error}");
                let reason = format!("its record cannot be read: {error}");
                self.attempt_ended(job, Outcome::Refused { reason }, None, Timestamp::now());
                has_failed = true;
            }
        }
        has_failed
    }

    fn send_assignment(&mut self, job: JobId) -> Result<(), store::Error> {
        let Some(live) = self.live.get(&job) else { return Ok(()) };
        let Link::Up { orders, environments, .. } = &mut self.agents.link else { return Ok(()) };
        let Some(recipe) = self.journal.store().recipe(job)? else { return Ok(()) };
        let environment = random::hex(&recipe.environment);
        if environments.insert(environment.clone()) {
            let entries = self.journal.store().whole_environment(job, &recipe.environment)?;
            let entries = entries.ok_or(store::Error::NoEnvironment { job })?;
            let digest = environment.clone();
            drop(orders.send(Order::Environment { digest, entries }));
        }
        let attempt = AttemptId { job, number: live.attempt };
        let spec = recipe.spec;
        let output = |stream| Text::from(self.setup.state.output(job, attempt.number, stream));
        let mut variables = self.setup.variables(live);
        variables.push(("REDIRECTOR_JOB".into(), Text::from(&*job.to_string())));
        variables.push(("REDIRECTOR_TOKEN".into(), Text::from(&*self.tokens.of(job))));
        variables.push(("REDIRECTOR_ATTEMPT".into(), Text::from(&*attempt.number.to_string())));
        if let Some(element) = spec.element {
            variables.push(("REDIRECTOR_ELEMENT".into(), element.value));
        }
        let assignment = Assignment {
            attempt,
            program: spec.program,
            argv: spec.argv,
            environment,
            variables,
            directory: spec.directory,
            umask: spec.umask.unwrap_or(0o077),
            stdout: output(Stream::Stdout),
            stderr: output(Stream::Stderr),
            mem: if self.setup.own.enforce_memory { live.mem_limit() } else { 0 },
            nested: spec.kind == Kind::Nested,
            cpus: live.given.cpus.clone(),
            time_limit: spec.time_limit,
            grace: GRACE.as_millis() as u64,
            ..Assignment::default()
        };
        // Fails only when the agent is gone: its successor is told again.
        drop(orders.send(Order::Start(Box::new(assignment))));
        Ok(())
    }

    /// A detached job is to end at once, because the gateway ends.
    pub(super) fn abandon_attempt(&mut self, job: JobId) {
        let Some(live) = self.live.get(&job) else { return };
        let attempt = AttemptId { job, number: live.attempt };
        if let Link::Up { orders, .. } = &self.agents.link {
            drop(orders.send(Order::Abandon { attempt }));
        }
        let token = self.tokens.of(job);
        crate::gateway::job_processes::kill_all(&token);
    }

    /// Marks a job to be ended; what runs of it is ended.
    pub(super) fn end_detached(&mut self, job: JobId, ending: Ending) {
        let Some(live) = self.live.get_mut(&job) else { return };
        let is_queued = live.state != State::Running;
        let outcome = ending.outcome();
        live.ending = Some(ending);
        if is_queued || self.is_in_no_hands(job) {
            self.conclude(job, outcome, None, Timestamp::now());
        } else {
            self.order_end(job, GRACE);
        }
    }
}
