//! Jobs that an agent runs and a client waits for.
//!
//! ```text
//!   Placed ─► client ─► Begin ─► assigned ─ after the commit ─► Start ─► … Ended ─► client
//!                 └══ attach ══ channel ══ agent: the bytes of its descriptors
//! ```
//!
//! A client that asks for certain nodes says `Begin` together with its submission: a round trip
//! less for a command that starts at once.

use super::{
    Core,
    fleet::{Link, Node},
    live::Runner,
    sites,
    staged::{self, Staging},
};
use crate::{
    agent::protocol::{Assignment, AttemptId, Order},
    engine::Channel,
    gateway::message::{AgentLink, Failure, Lease, LeaseId},
    model::{JobId, Kind, Outcome, Spec, State, Text, Timestamp, Usage},
    place::Stream,
    protocol::{Beginning, GatewayMessage, Grant},
    random, store,
};

use super::agents::GRACE;

impl Core {
    /// Tells a client where its job is to run, or once more if it has not heard.
    pub(super) fn say_placed(&mut self, job: JobId) {
        let Some(live) = self.live.get(&job) else { return };
        let Some(node) = live.node.clone() else { return };
        let grant = Grant {
            resources: live.request.resources.clone(),
            attempt: live.attempt,
            ..Grant::default()
        };
        self.say(job, GatewayMessage::Placed { node, grant });
    }

    /// The client of a job that was placed elsewhere says what it has inherited.
    pub(super) fn begin(&mut self, job: JobId, lease: LeaseId, beginning: Box<Beginning>) {
        let Some(live) = self.live.get_mut(&job) else { return };
        if live.lease().is_none_or(|own| own.id != lease) {
            return;
        }
        let Runner::Client { beginning: said, .. } = &mut live.runner else { return };
        *said = Some(beginning);
        // One that is not placed yet begins when it is.
        if live.state == State::Running && live.can_begin() {
            self.assigned.push(job);
        }
    }

    /// The way to the agent that runs a job.
    pub(super) fn attach(&self, job: JobId, attempt: u32, token: &str) -> Result<Channel, Failure> {
        if self.tokens.job(token) != Some(job) {
            return Err(Failure::new(403, format!("this is not the token of job {job}")));
        }
        let live = self.live.get(&job).filter(|live| live.attempt == attempt);
        let node = match live.and_then(|live| live.node.clone()) {
            Some(node) => node,
            // Its output may not all have been passed on yet.
            None => match self.journal.store().job(job)?.and_then(|record| record.node) {
                Some(node) => node,
                None => return Err(Failure::no_such_job(job)),
            },
        };
        let Some(known) = self.fleet.get(&node) else {
            return Err(Failure::new(410, format!("{node}, which ran job {job}, was removed")));
        };
        match &known.link {
            Link::Up { link: AgentLink { channel: Some(channel), .. }, .. } => Ok(channel.clone()),
            Link::Up { .. } => {
                Err(Failure::new(409, format!("job {job} runs on the gateway's own computer")))
            }
            Link::Down | Link::Connecting | Link::Leaving => {
                let problem = known.problem.as_deref().unwrap_or("it is being connected");
                Err(Failure::new(503, format!("{node} cannot be reached: {problem}")))
            }
        }
    }

    /// An attempt that an agent ran has ended.
    pub(super) fn placed_ended(
        &mut self,
        job: JobId,
        outcome: Outcome,
        usage: Option<Usage>,
        at: Timestamp,
    ) {
        let Some(live) = self.live.get(&job) else { return };
        let attempt = live.attempt;
        let lease = live.lease().cloned();
        let node = live.node.clone();
        let is_detached = live.is_detached();
        let recorded = self.attempt_ended(job, outcome, usage, at);
        let (false, Some(_), Some(lease)) = (is_detached, recorded, lease) else { return };
        let Some(outcome) = self.unjournalled.get(&job).cloned() else { return };
        let usage = usage.unwrap_or_default();
        self.after_end.insert(lease.id, lease.messages.clone());
        if let Some(node) = node {
            self.served.insert(lease.id, (node, AttemptId { job, number: attempt }));
        }
        self.journal.is_awaited_by(lease.id);
        self.journal.after_commit(move || {
            drop(lease.messages.send(GatewayMessage::Ended { attempt, outcome, usage }));
        });
    }

    /// A client is gone for good: what its agent may still keep for it is for nobody.
    pub(super) fn served(&mut self, lease: LeaseId) {
        if let Some((node, attempt)) = self.served.remove(&lease)
            && let Some(node) = self.fleet.get(&node)
        {
            node.order(Order::Abandon { attempt });
        }
    }

    /// The client of a job that has ended on another node has yet to hear how.
    pub(super) fn say_ended_elsewhere(&mut self, job: JobId, attempt: u32, lease: &Lease) {
        let (messages, own) = (lease.messages.clone(), self.fleet.own.clone());
        self.journal.ask(move |store| {
            let Ok(Some(record)) = store.job(job) else { return };
            if let (Some(outcome), Some(node)) = (record.outcome, record.node)
                && node != own
            {
                let usage = record.usage.unwrap_or_default();
                // Fails only when the client is gone.
                drop(messages.send(GatewayMessage::Ended { attempt, outcome, usage }));
            }
        });
    }

    /// Sends what was journalled just now to the agents; whether there is something new to be
    /// journalled now.
    pub(super) fn send_assignments(&mut self) -> bool {
        let mut has_failed = false;
        for job in std::mem::take(&mut self.assigned) {
            if let Err(error) = self.send_assignment(job) {
                tracing::error!(%job, "{error}");
                let reason = format!("its record cannot be read: {error}");
                self.placed_ended(job, Outcome::Refused { reason }, None, Timestamp::now());
                has_failed = true;
            }
        }
        has_failed
    }

    fn send_assignment(&mut self, job: JobId) -> Result<(), store::Error> {
        // What has ended is not to be started once more.
        if self.is_doubted(job) {
            return Ok(());
        }
        let after = self.starts_after(job);
        let Some(live) = self.live.get(&job) else { return Ok(()) };
        let Some(name) = live.node.clone() else { return Ok(()) };
        let Some(node) = self.fleet.get(&name) else { return Ok(()) };
        if node.instance() != live.agent() {
            return Ok(());
        }
        if self.has_to_stage(job) {
            return self.stage(job);
        }
        let (Some(live), Some(node)) = (self.live.get(&job), self.fleet.get_mut(&name)) else {
            return Ok(());
        };
        let beginning = live.beginning();
        let (spec, digest, entries) = if let Some(beginning) = beginning {
            let Some(spec) = self.journal.store().spec(job)? else { return Ok(()) };
            let entries = on_node(node, &beginning.environment);
            (spec, digest(&entries), Some(entries))
        } else {
            let Some(recipe) = self.journal.store().recipe(job)? else { return Ok(()) };
            (recipe.spec, recipe.environment, None)
        };
        let environment = random::hex(&digest);
        if node.lacks_environment(&environment) {
            let entries = if let Some(entries) = entries {
                entries
            } else {
                let whole = self.journal.store().whole_environment(job, &digest)?;
                on_node(node, &whole.ok_or(store::Error::NoEnvironment { job })?)
            };
            node.order(Order::Environment { digest: environment.clone(), entries });
        }
        let attempt = AttemptId { job, number: live.attempt };
        let mut variables = self.setup.variables(live, node);
        variables.push(("REDIRECTOR_JOB".into(), Text::from(&*job.to_string())));
        variables.push(("REDIRECTOR_TOKEN".into(), Text::from(&*self.tokens.of(job))));
        variables.push(("REDIRECTOR_ATTEMPT".into(), Text::from(&*attempt.number.to_string())));
        if let Some(element) = &spec.element {
            variables.push(("REDIRECTOR_ELEMENT".into(), element.value.clone()));
        }
        let enforce_memory = node.facts.as_ref().is_some_and(|facts| facts.enforce_memory);
        let output = |stream| match node.host {
            None => Text::from(self.setup.state.output(job, attempt.number, stream)),
            // The agent there knows where its own files are.
            Some(_) => Text::default(),
        };
        let assignment = Assignment {
            attempt,
            after,
            environment,
            variables,
            umask: beginning.map(|it| it.umask).or(spec.umask).unwrap_or(0o077),
            stdout: output(Stream::Stdout),
            stderr: output(Stream::Stderr),
            attached: beginning.map(|beginning| beginning.descriptors.clone()),
            mem: if enforce_memory { live.mem_limit() } else { 0 },
            nested: spec.kind == Kind::Nested,
            cpus: live.given.cpus.clone(),
            time_limit: spec.time_limit,
            grace: GRACE.as_millis() as u64,
            ..staged::in_its_tree(live, command_there(spec, node))
        };
        node.order(Order::Start(Box::new(assignment)));
        if let Some(live) = self.live.get_mut(&job) {
            live.set_may_run(true);
            live.staging = live.staging.is_some().then_some(Staging::Told);
        }
        self.fetch_output(job);
        Ok(())
    }
}

/// What a job's command is called on the node that runs it.
fn command_there(spec: Spec, node: &Node) -> Assignment {
    let Some(remote) = &node.host else {
        let Spec { program, argv, directory, .. } = spec;
        return Assignment { program, argv, directory, ..Assignment::default() };
    };
    Assignment {
        program: sites::program_on(node, &spec),
        argv: spec.argv.iter().map(|argument| remote.mapping.argument(argument)).collect(),
        directory: remote.mapping.directory(&spec.directory),
        setup: remote.host.setup.as_deref().map(Text::from),
        ..Assignment::default()
    }
}

/// Names an environment.
fn digest(entries: &[Text]) -> Vec<u8> {
    let mut hasher = blake3::Hasher::new();
    for entry in entries {
        hasher.update(&entry.as_bytes().len().to_le_bytes());
        hasher.update(entry.as_bytes());
    }
    hasher.finalize().as_bytes().to_vec()
}

/// An environment as it is to be on the node.
fn on_node(node: &Node, entries: &[Text]) -> Vec<Text> {
    match &node.host {
        Some(remote) => remote.mapping.environment(entries),
        None => entries.to_vec(),
    }
}
