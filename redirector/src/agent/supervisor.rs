//! What an agent does about the orders of gateways and the ends of attempts. It owns all
//! that the agent knows, and speaks to nobody: what is to be reported it returns.

use std::{collections::HashMap, fmt, io, time::Duration};

use tracing::Level;

use super::{
    attempts::{Attempts, Running, Started},
    hub::Hub,
    job_processes, probe,
    protocol::{Assignment, AttemptId, Ended, LogRecord, Order, Report},
    remarks::Remarks,
    shepherd::task::{Cause, Said, Task},
    shepherds::{Event, ShepherdId, Shepherds},
    spool::Spool,
    watch::Watch,
};
use crate::{
    model::{Outcome, Text, Timestamp, Usage},
    node::Facts,
    random,
    stdio::Signal,
    units,
};

/// From SIGTERM to SIGKILL for the jobs of an agent that leaves whether they have ended or not.
const GRACE: Duration = Duration::from_secs(10);

/// Why an agent leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// There is no gateway, and nothing to be done or told.
    NothingToDo,
    /// The gateway said so.
    Told,
    /// A signal said so.
    Signal,
    /// Its gateway has been gone for too long.
    Deserted,
    /// Its gateway expects it no more.
    Dismissed,
}

impl Reason {
    /// Whether jobs end because of it.
    const fn ends_jobs(self) -> bool {
        matches!(self, Self::Signal | Self::Deserted | Self::Dismissed)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NothingToDo => "no gateway is there, and nothing is to be done",
            Self::Told => "the gateway said so",
            Self::Signal => "a signal said so",
            Self::Deserted => "the gateway has been gone for too long",
            Self::Dismissed => "the gateway expects it no more",
        })
    }
}

/// What an agent has whose gateway is on another computer.
#[derive(Debug)]
pub(super) struct Elsewhere {
    /// What this computer has for jobs.
    pub facts: Box<Facts>,
    /// For what they write.
    pub spool: Spool,
    /// What jobs find their way to log by.
    pub variables: Vec<(Text, Text)>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Supervisor {
    instance: String,
    /// Agents that left in good order before this one came.
    predecessors: Vec<String>,
    attempts: Attempts,
    shepherds: Shepherds,
    hub: Hub,
    /// For the output of attempts whose gateway is on another computer.
    spool: Option<Spool>,
    /// Variables for jobs whose gateway is on another computer.
    for_jobs: Option<Vec<(Text, Text)>>,
    /// Those that came over the present connection.
    environments: HashMap<String, Vec<Text>>,
    watch: Watch,
    /// What the gateway is to hear besides.
    remarks: Remarks,
    leaving: Option<Reason>,
    /// What this computer has for jobs, if the gateway is on another one.
    facts: Option<Box<Facts>>,
}

impl Supervisor {
    pub(super) fn new(
        shepherds: Shepherds,
        predecessors: Vec<String>,
        elsewhere: Option<Elsewhere>,
    ) -> Self {
        let (facts, spool, for_jobs) = match elsewhere {
            Some(Elsewhere { facts, spool, variables }) => {
                (Some(facts), Some(spool), Some(variables))
            }
            None => (None, None, None),
        };
        Self {
            instance: random::hex(&random::bytes::<8>()),
            predecessors,
            attempts: Attempts::default(),
            hub: Hub::new(shepherds.events()),
            spool,
            for_jobs,
            shepherds,
            environments: HashMap::new(),
            watch: Watch::default(),
            remarks: Remarks::default(),
            leaving: None,
            facts,
        }
    }

    /// Those that left in good order and this agent's own name, if it leaves so, too.
    pub(super) fn leaves_in_good_order(&self) -> Option<(&[String], &str)> {
        self.is_done().then_some((&self.predecessors, &self.instance))
    }

    /// Whether the agent is to go now. One without a gateway goes when it has nothing to do,
    /// unless the first gateway `is_awaited`.
    pub(super) fn may_leave(&self, has_gateway: bool, is_awaited: bool) -> Option<Reason> {
        match self.leaving {
            Some(reason) if reason.ends_jobs() && self.attempts.none_runs() => Some(reason),
            Some(reason) if self.is_done() => Some(reason),
            None if !has_gateway && !is_awaited && self.is_done() => Some(Reason::NothingToDo),
            _ => None,
        }
    }

    /// Whether jobs may be waiting behind the attempts here, so that a gateway is needed.
    pub(super) fn needs_a_gateway(&self) -> bool {
        !self.attempts.is_empty() && self.leaving.is_none()
    }

    /// Whether no gateway has to be told anything, and no client given.
    pub(super) fn is_done(&self) -> bool {
        self.attempts.is_empty() && self.hub.is_empty()
    }

    /// What a new gateway is told.
    pub(super) fn greeting(&mut self) -> Vec<Report> {
        self.environments.clear();
        let hello = Report::Hello {
            instance: self.instance.clone(),
            running: self.attempts.all_running().map(|(attempt, _)| attempt).collect(),
            ended: self.attempts.unacknowledged().map(|ended| ended.attempt).collect(),
            promised: Some(self.attempts.all_promised().collect()),
            predecessors: self.predecessors.clone(),
            facts: self.facts.clone(),
            now: self.facts.is_some().then(Timestamp::now),
        };
        let ended = self.attempts.unacknowledged().cloned().map(Box::new).map(Report::Ended);
        std::iter::once(hello).chain(ended).collect()
    }

    /// Follows an order of the gateway.
    pub(super) fn follow(&mut self, order: Order) -> Option<Report> {
        match order {
            Order::Environment { digest, entries } => {
                self.environments.insert(digest, entries);
            }
            Order::ForgetEnvironments => self.environments.clear(),
            Order::Start(assignment) => {
                let attempt = assignment.attempt;
                if !self.attempts.contains(attempt)
                    && let Err(reason) = self.start(assignment)
                {
                    self.remarks.say(Level::ERROR, Some(attempt.job), reason.clone());
                    return self.report(Box::new(lost(attempt, reason)));
                }
            }
            Order::Withdraw { attempt } => return self.withdraw(attempt),
            Order::End { attempt, grace } => {
                if self.attempts.end_when_started(attempt, grace) {
                    return self.withdraw(attempt);
                }
                self.end(attempt, Cause::Ordered, Duration::from_millis(grace));
            }
            Order::Acknowledge { attempt } => {
                self.attempts.acknowledge(attempt);
                self.hub.acknowledge(attempt);
                if let Some(spool) = &self.spool {
                    spool.acknowledge(attempt);
                }
            }
            Order::Abandon { attempt } => {
                self.hub.forget(attempt);
                if let Some(spool) = &self.spool {
                    spool.abandon(attempt);
                }
                self.attempts.abandon(attempt);
                if self.attempts.end_when_started(attempt, 0) {
                    return self.withdraw(attempt);
                }
                self.end(attempt, Cause::Ordered, Duration::ZERO);
            }
            Order::Probe(probe) => {
                let path = std::env::var("PATH").ok();
                return Some(Report::Probed(probe::look(probe, path.as_deref())));
            }
            Order::Leave => self.leaving = self.leaving.or(Some(Reason::Told)),
        }
        None
    }

    /// Sees to it that an attempt does not start; what the gateway hears at once.
    fn withdraw(&self, attempt: AttemptId) -> Option<Report> {
        if !self.attempts.contains(attempt) {
            return Some(Report::Withdrawn { attempt });
        }
        if let Some(shepherd) = self.attempts.shepherd_of(attempt) {
            self.shepherds.tell(shepherd, Task::Withdraw { attempt });
        }
        None
    }

    /// Starts an attempt, or sees to it that it is started when the one before it has ended; an
    /// error is why that is not possible.
    fn start(&mut self, mut assignment: Box<Assignment>) -> Result<(), String> {
        // Its output is asked for whether it can be started or not.
        if let Some(spool) = &self.spool {
            spool.assign(&mut assignment);
        }
        if let Some(reason) = self.leaving.filter(|reason| reason.ends_jobs()) {
            return Err(format!("the agent leaves: {reason}"));
        }
        if let Some(variables) = &self.for_jobs {
            assignment.variables.extend_from_slice(variables);
        }
        let attempt = assignment.attempt;
        let digest = assignment.environment.clone();
        let Some(environment) = self.environments.get(&digest) else {
            return Err(format!("the gateway named an environment that it never gave: {digest}"));
        };
        let token = token(&assignment, environment);
        let ends = match &assignment.attached {
            None => None,
            Some(descriptors) => Some(
                self.hub
                    .prepare(attempt, descriptors)
                    .map_err(|error| format!("cannot make its pipes: {error}"))?,
            ),
        };
        let is_nested = assignment.nested;
        // A control group has the processes of further jobs in it.
        let kernel_limits = self.shepherds.limit_memory() && !is_nested;
        let watched_limit = (assignment.mem > 0 && !kernel_limits).then_some(assignment.mem);
        let before = assignment.after.and_then(|before| self.attempts.place_of(before));
        // Where another one waits for a client, nobody is promised its place.
        let before = before.filter(|_| ends.is_none());
        let task = match ends {
            None => Task::Run(assignment),
            Some(ends) => Task::RunAttached { assignment, ends },
        };
        let environment = || Task::Environment(environment.clone());
        let shepherd = match before {
            Some(shepherd) => {
                self.shepherds.give_next(shepherd, task, &digest, environment);
                shepherd
            }
            None => self
                .shepherds
                .give(task, &digest, environment)
                .map_err(|error| format!("cannot start a process to watch over it: {error}"))?,
        };
        let is_abandoned = false;
        let (peak, passed_on) = (0, None);
        let running =
            Running { shepherd, token, peak, is_nested, is_abandoned, watched_limit, passed_on };
        if before.is_some() {
            self.attempts.promise(attempt, running);
            return Ok(());
        }
        self.attempts.run(attempt, running);
        if let Some(limit) = watched_limit {
            self.watch.started(limit);
        }
        Ok(())
    }

    fn end(&self, attempt: AttemptId, cause: Cause, grace: Duration) {
        if let Some(running) = self.attempts.running(attempt) {
            let grace = grace.as_millis() as u64;
            self.shepherds.tell(running.shepherd, Task::End { attempt, cause, grace });
        }
    }

    /// Leaves if it has nothing to do, else says how many attempts there are.
    pub(super) fn make_way(&mut self) -> Option<usize> {
        if self.attempts.is_empty() {
            self.leaving = self.leaving.or(Some(Reason::Told));
            return None;
        }
        Some(self.attempts.len())
    }

    /// Ends all jobs; the agent leaves when they have ended.
    pub(super) fn terminate(&mut self, reason: Reason) {
        self.leaving = Some(reason);
        let running: Vec<_> = self.attempts.all_running().map(|(attempt, _)| attempt).collect();
        tracing::info!(jobs = running.len(), "ending all jobs: {reason}");
        // Before the ends of those whose places they are to take.
        for attempt in self.attempts.all_promised() {
            self.withdraw(attempt);
        }
        for attempt in running {
            self.end(attempt, Cause::AgentLeaves, GRACE);
        }
    }

    /// The descriptors of attempts that somebody waits for elsewhere.
    pub(super) fn hub(&self) -> &Hub {
        &self.hub
    }

    /// What the gateway is to hear besides: it hears it now.
    pub(super) fn remarks(&mut self) -> Vec<Report> {
        self.remarks.take()
    }

    /// Takes note of what a shepherd did.
    pub(super) fn happened(&mut self, event: Event) -> Vec<Report> {
        match event {
            Event::Said(_, Said::Started(attempt)) => {
                self.hub.started(attempt);
                Vec::new()
            }
            Event::Signal(attempt, Signal { signal, to_group }) => {
                if let Some(running) = self.attempts.running_mut(attempt) {
                    running.passed_on = Some(signal);
                    let task = Task::Signal { attempt, signal, to_group };
                    self.shepherds.tell(running.shepherd, task);
                }
                Vec::new()
            }
            Event::Forgotten => Vec::new(),
            Event::Logged { token, record, reply } => {
                let job = self.attempts.with_token(&token).map(|attempt| attempt.job);
                // Fails when it has gone meanwhile.
                let _is_heard = reply.send(job.is_some());
                if job.is_some() {
                    self.remarks.add(LogRecord { job, ..record });
                }
                Vec::new()
            }
            Event::Said(shepherd, Said::Ended { mut ended, is_all_gone: true }) => {
                ended.followed_by = self.start_next(shepherd);
                if ended.followed_by.is_none() {
                    self.shepherds.take_back(shepherd);
                }
                self.report(ended).into_iter().collect()
            }
            Event::Said(shepherd, Said::Ended { ended, is_all_gone: false }) => {
                let what = "some of its processes hang in the kernel and are left behind";
                self.remarks.say(Level::ERROR, Some(ended.attempt.job), what.to_owned());
                self.shepherds.forget(shepherd);
                let promised = self.attempts.promised_to(shepherd);
                let withdrawn = promised.into_iter().filter_map(|it| self.withdrawn(it));
                let mut reports: Vec<_> = withdrawn.collect();
                reports.extend(self.report(ended));
                reports
            }
            Event::Said(_, Said::Withdrawn { attempt }) => {
                self.withdrawn(attempt).into_iter().collect()
            }
            Event::Gone(shepherd, reason) => self.clear_up_after(shepherd, reason),
        }
    }

    /// A shepherd has ended an attempt: what it does next.
    fn start_next(&mut self, shepherd: ShepherdId) -> Option<AttemptId> {
        let Started { attempt, ending, watched_limit } = self.attempts.start_next(shepherd)?;
        if let Some(limit) = watched_limit {
            self.watch.started(limit);
        }
        if let Some(grace) = ending {
            self.end(attempt, Cause::Ordered, Duration::from_millis(grace));
        } else if self.leaving.is_some_and(Reason::ends_jobs) {
            self.end(attempt, Cause::AgentLeaves, GRACE);
        }
        Some(attempt)
    }

    /// An attempt will not be started.
    fn withdrawn(&mut self, attempt: AttemptId) -> Option<Report> {
        self.attempts.withdraw(attempt).then_some(Report::Withdrawn { attempt })
    }

    /// Returns when [`Self::look`] is due.
    pub(super) async fn look_is_due(&self) {
        self.watch.is_due().await;
    }

    /// Looks at the memory of the attempts, and ends those that have too much.
    pub(super) fn look(&mut self) {
        for (attempt, used) in self.watch.look(&mut self.attempts, &self.shepherds) {
            let used_text = units::format_bytes(used);
            let what = format!("it is ended, because its processes have {used_text} of memory");
            self.remarks.say(Level::WARN, Some(attempt.job), what);
            self.end(attempt, Cause::Memory(used), Duration::ZERO);
        }
    }

    /// Returns when the shepherds that have no job are gone.
    pub(super) async fn dismiss_shepherds(&mut self) {
        self.shepherds.dismiss_idle().await;
    }

    /// A shepherd was killed. The main process of its attempt died with it; what else there
    /// was of the attempt is recognised by its token. Nobody knows whether the one to come next
    /// had been started; those behind it had not.
    fn clear_up_after(&mut self, shepherd: ShepherdId, reason: Option<io::Error>) -> Vec<Report> {
        self.shepherds.forget(shepherd);
        let reason = reason.map_or_else(
            || "the process that watched over it was killed".to_owned(),
            |error| format!("the process that watched over it failed: {error}"),
        );
        let behind = self.attempts.promised_to(shepherd).into_iter().skip(1);
        let mut reports: Vec<_> = behind.filter_map(|it| self.withdrawn(it)).collect();
        while let Some(attempt) = self.attempts.of(shepherd) {
            let token = self.attempts.running(attempt).and_then(|running| running.token.as_deref());
            if let Some(token) = token {
                job_processes::kill_all(token);
            }
            self.remarks.say(Level::ERROR, Some(attempt.job), reason.clone());
            let mut ended = Box::new(lost(attempt, reason.clone()));
            let next = self.attempts.promised_to(shepherd).first().copied();
            ended.followed_by = next;
            reports.extend(self.report(ended));
            self.attempts.start_next(shepherd);
        }
        reports
    }

    fn report(&mut self, ended: Box<Ended>) -> Option<Report> {
        let attempt = ended.attempt;
        self.hub.ended(attempt);
        if let Some(spool) = &self.spool {
            spool.ended(attempt);
        }
        self.attempts.end(ended);
        self.attempts.ended(attempt).cloned().map(Box::new).map(Report::Ended)
    }
}

fn lost(attempt: AttemptId, reason: String) -> Ended {
    let (outcome, usage, now) = (Outcome::Lost { reason }, Usage::default(), Timestamp::now());
    Ended { attempt, outcome, usage, started: now, at: now, followed_by: None, passed_on: None }
}

fn token(assignment: &Assignment, environment: &[Text]) -> Option<String> {
    const NAME: &str = "REDIRECTOR_TOKEN";
    let variable = assignment.variables.iter().find(|(name, _)| name.as_bytes() == NAME.as_bytes());
    let value = |entry: &Text| {
        let value = entry.as_bytes().strip_prefix(NAME.as_bytes())?.strip_prefix(b"=")?;
        Some(String::from_utf8_lossy(value).into_owned())
    };
    variable
        .map(|(_, value)| value.to_string_lossy().into_owned())
        .or_else(|| environment.iter().find_map(value))
}
