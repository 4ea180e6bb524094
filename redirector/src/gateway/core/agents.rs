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
//! know belongs to a journal that was replaced: this computer's agent is sent away, and one on a
//! host, which has one gateway only, is to end it.

use std::{collections::HashSet, time::Duration};

use super::{
    Core,
    fleet::Link,
    happenings::What,
    live::{Ending, Fetching, Live, Runner},
};
use crate::{
    agent::protocol::{AttemptId, Ended, Order},
    dispatcher::Event,
    gateway::{
        agents::IfNone,
        fetch,
        message::{AgentHello, AgentLink, Message},
    },
    model::{JobId, NodeName, Outcome, State, Timestamp},
    store::Write,
};

/// From SIGTERM to SIGKILL.
pub(super) const GRACE: Duration = Duration::from_secs(10);

impl Core {
    /// A job that an agent is to run has its resources.
    pub(super) fn assign(&mut self, job: JobId, name: &NodeName) {
        let Some(node) = self.fleet.get_mut(name) else { return };
        let Some(agent) = node.instance().map(str::to_owned) else {
            node.awaiting.insert(job);
            return self.connect_agent(name);
        };
        let Some(live) = self.live.get_mut(&job) else { return };
        live.set_agent(Some(agent.clone()));
        let (given, at) = (live.given.clone(), Timestamp::now());
        let (can_begin, is_detached) = (live.can_begin(), live.is_detached());
        self.journal.write(Write::Start { job, node: name.clone(), agent: Some(agent), given, at });
        self.tell_followers(job, at, || What::Started);
        if can_begin {
            self.assigned.push(job);
        }
        if is_detached {
            self.was_assigned(job);
        } else {
            self.say_placed(job);
        }
    }

    pub(super) fn agent_up(&mut self, hello: AgentHello, link: AgentLink) {
        let AgentHello { node: name, instance, predecessors, running, ended, promised, facts } =
            hello;
        let (takes_promises, promised) = (promised.is_some(), promised.unwrap_or_default());
        let is_ours = |attempt: &AttemptId| {
            self.live.get(&attempt.job).is_some_and(|live| {
                live.attempt == attempt.number && live.agent() == Some(&*instance)
            })
        };
        let unfinished = running.iter().chain(&promised);
        let foreign: Vec<_> = unfinished.filter(|attempt| !is_ours(attempt)).copied().collect();
        let done: Vec<_> = ended.iter().filter(|attempt| !is_ours(attempt)).copied().collect();
        let own = self.fleet.own.clone();
        // One that was removed meanwhile is not listened to.
        let Some(node) = self.fleet.get_mut(&name) else { return };
        node.connected();
        let tell = |order| drop(link.orders.send(order));
        for attempt in &foreign {
            tell(Order::Abandon { attempt: *attempt });
        }
        if !foreign.is_empty() && name == own {
            tracing::warn!(agent = %instance, attempts = foreign.len(),
                "the agent runs jobs that the journal does not know; it is to end them and leave");
            tell(Order::Leave);
            node.link = Link::Leaving;
            return;
        }
        for attempt in done {
            tell(Order::Acknowledge { attempt });
        }
        let known: HashSet<AttemptId> = running.into_iter().chain(ended).collect();
        let environments = HashSet::new();
        node.link = Link::Up { instance: instance.clone(), link, environments, takes_promises };
        if name == own {
            let promised = promised.into_iter().collect();
            self.settle_promises(&instance, &predecessors, &known, &promised);
        }
        let doubted = self.doubted();
        let Some(node) = self.fleet.get_mut(&name) else { return };
        let (mut lost, mut fetching) = (Vec::new(), Vec::new());
        for (&job, live) in &mut self.live {
            let Some(assigned) = live.agent() else { continue };
            if live.state != State::Running || live.node.as_ref() != Some(&name) {
                continue;
            }
            if doubted.contains(&job) {
                continue;
            }
            let attempt = AttemptId { job, number: live.attempt };
            if predecessors.iter().any(|left| left == assigned) {
                node.awaiting.insert(job);
            } else if assigned != instance {
                lost.push(job);
            } else if known.contains(&attempt) {
                live.set_may_run(true);
                fetching.push(job);
            } else {
                live.set_may_run(false);
                if live.can_begin() {
                    self.assigned.push(job);
                }
            }
        }
        let awaiting = std::mem::take(&mut node.awaiting);
        if let Some(facts) = facts {
            node.learn(*facts);
            node.knowledge.forget();
            self.node_joins(&name);
        }
        lost.sort_unstable();
        self.lose_attempts(&name, lost);
        for job in fetching {
            self.fetch_output(job);
        }
        for job in awaiting {
            self.assign(job, &name);
        }
        // Some were to be ended while nobody was there to do it.
        let to_end = self.live.iter().filter(|(_, live)| {
            live.node.as_ref() == Some(&name)
                && live.agent().is_some()
                && live.state == State::Running
                && live.ending.is_some()
        });
        for job in to_end.map(|(job, _)| *job).collect::<Vec<_>>() {
            self.order_end(job, GRACE);
        }
        self.note_link(&name, true);
        if let Some(borrowers) = self.borrowers(&name) {
            self.unsettled.reconsider(borrowers);
            self.settle_all();
        } else if name != own {
            self.settle_queued();
        }
    }

    /// The agent that ran them is gone, and with it the jobs' processes.
    fn lose_attempts(&mut self, node: &NodeName, jobs: Vec<JobId>) {
        if *node != self.fleet.own {
            for job in jobs {
                self.lose_attempt(job);
            }
            return;
        }
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
        let Some(node) = self.live.get(&job).and_then(|live| live.node.clone()) else { return };
        let reason = format!(
            "the agent that ran it on {node} was killed or crashed, and its processes ended with it"
        );
        self.placed_ended(job, Outcome::Lost { reason }, None, Timestamp::now());
    }

    pub(super) fn agent_ended(&mut self, node: &NodeName, ended: Ended) {
        if *node == self.fleet.own {
            self.pass_place(&ended);
        }
        let attempt = ended.attempt;
        if self.has_to_land(attempt) {
            return self.land(node, ended);
        }
        let current = self.live.get_mut(&attempt.job).filter(|live| {
            live.agent().is_some() && live.attempt == attempt.number && live.state == State::Running
        });
        let is_current = current.is_some();
        if let Some(live) = current
            && let Some(fetching @ (Fetching::Output | Fetching::Ended(_))) = &mut live.fetching
        {
            *fetching = Fetching::Ended(Box::new(ended));
            return;
        }
        if is_current && let Some(Ended { outcome, usage, at, .. }) = self.doubt(node, ended) {
            self.placed_ended(attempt.job, outcome, Some(usage), at);
        }
        if let Some(Link::Up { link, .. }) = self.fleet.get(node).map(|node| &node.link) {
            let orders = link.orders.clone();
            let acknowledge = move || drop(orders.send(Order::Acknowledge { attempt }));
            self.journal.after_next_commit(acknowledge);
        }
    }

    /// Fetches the output of a detached job, if it is on another computer.
    pub(super) fn fetch_output(&mut self, job: JobId) {
        let Some(live) = self.live.get_mut(&job).filter(|live| live.is_detached()) else { return };
        let node = live.node.as_ref().and_then(|node| self.fleet.get(node));
        if let Some(Link::Up { link: AgentLink { channel: Some(channel), .. }, .. }) =
            node.map(|node| &node.link)
        {
            let attempt = AttemptId { job, number: live.attempt };
            live.fetching.get_or_insert(Fetching::Output);
            let core = self.setup.messages.clone();
            fetch::fetch(attempt, channel.clone(), &self.setup.state, core);
        }
    }

    pub(super) fn output_fetched(&mut self, attempt: AttemptId) {
        let current = self.live.get_mut(&attempt.job);
        let Some(live) = current.filter(|live| live.attempt == attempt.number) else { return };
        let node = live.node.clone();
        if let (Some(Fetching::Ended(ended)), Some(node)) =
            (live.fetching.replace(Fetching::Done), node)
        {
            self.agent_ended(&node, *ended);
        }
    }

    /// Has the agent end what runs of a job.
    pub(super) fn order_end(&mut self, job: JobId, grace: Duration) {
        let Some(live) = self.live.get(&job) else { return };
        let attempt = AttemptId { job, number: live.attempt };
        let node = live.node.as_ref().and_then(|node| self.fleet.get(node));
        if let Some(Link::Up { link, .. }) = node.map(|node| &node.link) {
            let orders = link.orders.clone();
            let grace = grace.as_millis() as u64;
            // After the order to start it, if that is in this batch too.
            self.journal.after_commit(move || drop(orders.send(Order::End { attempt, grace })));
        }
    }

    /// A job that was granted but not yet given to an agent can be taken back.
    pub(super) fn is_in_no_hands(&self, job: JobId) -> bool {
        let is_unbegun = |live: &Live| {
            !live.is_detached() && live.agent().is_some() && !live.may_run_elsewhere()
        };
        self.fleet.is_awaiting(job)
            || self.assigned.contains(&job)
            || self.live.get(&job).is_some_and(|live| is_unbegun(live) || live.is_being_staged())
    }

    pub(super) fn forget_assignment(&mut self, job: JobId) {
        if self.live.get(&job).is_none_or(|live| live.node.is_some()) {
            self.fleet.forget(job);
        }
        self.assigned.retain(|assigned| *assigned != job);
    }

    /// A detached job is to end at once, because the gateway ends.
    pub(super) fn abandon_attempt(&mut self, job: JobId) {
        let Some(live) = self.live.get(&job) else { return };
        let attempt = AttemptId { job, number: live.attempt };
        if let Some(node) = live.node.as_ref().and_then(|node| self.fleet.get(node)) {
            node.order(Order::Abandon { attempt });
        }
        if !self.is_elsewhere(job) {
            crate::gateway::job_processes::kill_all(&self.tokens.of(job));
        }
    }

    /// Marks a job to be ended that an agent runs or is to run; what runs of it is ended.
    pub(super) fn end_assigned(&mut self, job: JobId, ending: Ending, grace: Duration) {
        let Some(live) = self.live.get_mut(&job) else { return };
        let is_queued = live.state != State::Running;
        let outcome = ending.outcome();
        live.ending = Some(ending);
        if self.is_promised(job) {
            return self.call_back(job);
        }
        // Nothing runs of it any more.
        if self.believe(job) {
            return;
        }
        if is_queued || self.is_in_no_hands(job) {
            self.conclude(job, outcome, None, Timestamp::now());
        } else {
            self.order_end(job, grace);
        }
    }

    /// Sees to it that an agent will say hello.
    pub(super) fn connect_agent(&mut self, node: &NodeName) {
        self.connect(node, IfNone::Start);
    }

    /// Takes a job back that was granted resources of a node which it cannot have.
    pub(super) fn requeue(&mut self, job: JobId) {
        let Some(live) = self.live.get_mut(&job) else { return };
        (live.state, live.node, live.staging) = (State::Queued, None, None);
        live.set_agent(None);
        let run = live.run;
        self.progress.requeued(run, job);
        self.give_back(job);
        self.dispatch(Event::Ended { job });
        self.submit_to_dispatcher(job);
    }

    /// Whether a job runs, or is to run, on another computer than this.
    pub(super) fn is_elsewhere(&self, job: JobId) -> bool {
        let node = self.live.get(&job).and_then(|live| live.node.as_ref());
        node.is_some_and(|node| *node != self.fleet.own)
    }

    /// Whether jobs are, or are to be, in the hands of this computer's agent.
    pub(super) fn needs_own_agent(&self) -> bool {
        !self.fleet.own().awaiting.is_empty()
            || self.has_promises()
            || self.live.values().any(|live| {
                live.state == State::Running
                    && matches!(live.runner, Runner::Agent { .. })
                    && live.node.as_ref() == Some(&self.fleet.own)
            })
    }
}
