//! Owns every live job. Takes messages in batches: all changes of a batch are one
//! commit to the journal, and no answer leaves before that commit. Where there is no answer to
//! wait for it, the ends of several batches are one commit.

mod agents;
mod ahead;
mod attempts;
mod cancel;
mod detached;
mod explain;
mod finish;
mod fleet;
mod followers;
mod happenings;
mod holding;
mod journal;
mod leaving;
mod limits;
mod links;
mod live;
mod membership;
mod need;
mod node_log;
mod nodes;
mod pace;
mod placed;
pub(super) mod pools;
pub(super) mod progress;
mod promises;
mod purge;
mod recovery;
mod session;
mod sites;
mod staged;
mod stall;
mod submit;
mod tally;

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

pub(super) use self::happenings::{Happening, What};
use self::{fleet::Fleet, happenings::Happenings, journal::Journal, live::Live};
use super::{
    message::{Failure, LeaseId, Message},
    stage::Stages,
    token::Tokens,
};
use crate::{
    agent::protocol::AttemptId,
    config::{Config, Host, Ssh},
    dispatcher::{self, Action, Dispatcher, Event},
    model::{JobId, NodeName, Outcome, PoolName, State, Timestamp},
    node,
    place::StateDirectory,
    protocol::GatewayMessage,
    store::{self, Store, Write},
};

/// At most this many messages are one commit.
const BATCH: usize = 256;

/// Pause before a journal that could not be written is tried again.
const JOURNAL_RETRY: Duration = Duration::from_secs(1);

/// How long ends of jobs wait for others to be journalled with, if nobody waits for them and
/// others have started in their places already. An agent repeats what was not journalled.
const COMMIT_DELAY: Duration = Duration::from_millis(20);

/// What the core needs to start.
pub(super) struct Setup {
    pub store: Store,
    pub state: StateDirectory,
    pub node: NodeName,
    pub facts: node::Facts,
    pub settings: Config,
    /// `None`: stay until told to stop.
    pub idle_timeout: Option<Duration>,
    /// One clone per open connection.
    pub connections: Arc<()>,
    pub messages: UnboundedSender<Message>,
}

/// All state of the gateway.
pub(super) struct Core {
    setup: Facts,
    dispatcher: Dispatcher,
    journal: Journal,
    tokens: Tokens,
    live: HashMap<JobId, Live>,
    /// Live jobs by the key they were submitted under.
    keys: HashMap<String, JobId>,
    fleet: Fleet,
    /// Those that are nodes not by the configuration, but because somebody has added them.
    hosts_by_hand: Vec<Host>,
    /// Nodes that batch engines lend.
    pools: Option<pools::Pools>,
    fleet_lists: sites::Lists,
    unsettled: sites::Unsettled,
    /// Jobs to be sent to their agents once the batch is journalled.
    assigned: Vec<JobId>,
    ahead: ahead::Ahead,
    followers: followers::Followers,
    /// Jobs that have ended in this batch and how, for those that follow them.
    ended: Vec<(JobId, Outcome)>,
    /// How jobs have ended of which the journal does not know that yet.
    unjournalled: HashMap<JobId, Outcome>,
    submissions: detached::Submissions,
    measuring: limits::Measuring,
    /// Leases of clients that have yet to hear how their finished job was recorded.
    after_end: HashMap<LeaseId, UnboundedSender<GatewayMessage>>,
    /// Attempts on other computers that have ended, whose clients are yet to have all their output.
    served: HashMap<LeaseId, (NodeName, AttemptId)>,
    stall: stall::Watch,
    progress: progress::Watches,
    /// When what has happened is journalled for which nobody waits.
    commit_at: Option<Instant>,
    happenings: Happenings,
    next_id: JobId,
    last_activity: Instant,
    stopping: bool,
}

/// What never changes.
struct Facts {
    state: StateDirectory,
    /// Names this gateway's journal to agents.
    gateway_id: String,
    ssh: Ssh,
    stages: Stages,
    idle_timeout: Option<Duration>,
    /// How long, and how many, finished runs are kept.
    retention: (Option<Duration>, Option<u64>),
    connections: Arc<()>,
    messages: UnboundedSender<Message>,
    started: Timestamp,
    clock: Instant,
}

impl Core {
    /// Takes over what an earlier gateway left in the journal.
    pub(super) fn new(setup: Setup) -> Result<Self, store::Error> {
        let Setup { mut store, state, node, facts, settings, idle_timeout, connections, messages } =
            setup;
        let tokens = Tokens::new(store.secret()?);
        let next_id = JobId(store.last_id()?.0 + 1);
        let unfinished = store.unfinished()?;
        let mut fleet = Fleet::new(node, facts);
        let hosts_by_hand = membership::by_hand(&state);
        for host in settings.hosts.iter().cloned().chain(hosts_by_hand.clone()) {
            fleet.add(host);
        }
        let own = fleet.own.clone();
        let setup = Facts {
            stages: Stages::new(&state),
            state,
            gateway_id: tokens.journal_id(),
            ssh: settings.ssh.clone(),
            idle_timeout,
            retention: (settings.gateway.keep_for.value, settings.gateway.keep.value),
            connections,
            messages,
            started: Timestamp::now(),
            clock: Instant::now(),
        };
        let started = pools::Pools::start(&setup, &settings);
        let (pools, lent) = started.map_or((None, Vec::new()), |(it, lent)| (Some(it), lent));
        for host in lent {
            fleet.lend(host);
        }
        let mut core = Self {
            setup,
            dispatcher: Dispatcher::new(),
            journal: Journal::new(store),
            tokens,
            live: HashMap::new(),
            keys: HashMap::new(),
            fleet,
            hosts_by_hand,
            pools,
            fleet_lists: sites::Lists::default(),
            unsettled: sites::Unsettled::default(),
            assigned: Vec::new(),
            ahead: ahead::Ahead::default(),
            followers: followers::Followers::default(),
            ended: Vec::new(),
            unjournalled: HashMap::new(),
            submissions: detached::Submissions::new(),
            measuring: limits::Measuring::new(),
            after_end: HashMap::new(),
            served: HashMap::new(),
            stall: stall::Watch::new(),
            progress: progress::Watches::default(),
            commit_at: None,
            happenings: Happenings::new(),
            next_id,
            last_activity: Instant::now(),
            stopping: false,
        };
        core.node_joins(&own);
        core.recover(unfinished)?;
        core.recall_doubts();
        core.part_with_old_allocations();
        core.connect_hosts();
        core.commit();
        core.start_housekeeping();
        Ok(core)
    }

    /// Serves until it is told to stop or nothing has happened for the idle time.
    pub(super) async fn run(mut self, mut messages: UnboundedReceiver<Message>) {
        let mut batch = Vec::with_capacity(BATCH);
        while !self.stopping {
            tokio::select! {
                _count = messages.recv_many(&mut batch, BATCH) => {
                    let are_ends = batch.iter().all(|it| matches!(it, Message::AgentEnded { .. }));
                    let count = batch.len();
                    if !are_ends && self.commit_at.is_some() {
                        // Whoever asks is to be told of everything.
                        self.commit();
                    }
                    for message in batch.drain(..) {
                        self.handle(message);
                        self.settle_followers();
                    }
                    let are_followed = self.take_followed() == count;
                    self.promise_ahead();
                    self.tend_pools();
                    if are_ends && are_followed && self.journal.can_wait() && self.assigned.is_empty() {
                        self.commit_at.get_or_insert_with(|| Instant::now() + COMMIT_DELAY);
                    } else {
                        self.commit();
                    }
                    self.last_activity = Instant::now();
                }
                () = tokio::time::sleep(JOURNAL_RETRY), if self.journal.is_behind() => self.commit(),
                () = until(self.next_link()) => self.tend_links(),
                () = until(self.next_of_pools()) => {
                    self.tend_pools();
                    self.commit();
                }
                () = until(self.commit_at) => self.commit(),
                () = until(self.next_overdue()) => self.call_back_overdue(),
                () = until(self.measuring.next()) => self.measure(),
                () = tokio::time::sleep_until(self.stall.next_look().into()), if !self.stall.queued.is_empty() => {
                    self.look_for_stall();
                }
                () = tokio::time::sleep_until(self.idle_deadline().into()), if self.may_leave() => {
                    if self.is_idle() {
                        tracing::info!("leaving: nothing to do");
                        break;
                    }
                    self.last_activity = Instant::now();
                }
            }
        }
        self.part_with_agents(&mut messages).await;
    }

    fn handle(&mut self, message: Message) {
        match message {
            Message::Submit { submission, beginning, lease, reply } => {
                self.submit(*submission, beginning, &lease, reply);
            }
            Message::Resume { resumption, lease, reply } => self.resume(resumption, &lease, reply),
            Message::Finished { job, lease, finished } => self.finished(job, lease, finished),
            Message::LeaseClosed { job, lease } => self.lease_closed(job, lease),
            Message::ProcessEnded { job } => self.process_ended(job),
            Message::LeftoversEnded { job } => self.leftovers_ended(job),
            Message::GraceOver { job } => self.grace_over(job),
            Message::Looked { links, time } => self.looked(links, time),
            Message::Cancel { job, reason, reply } => {
                let answer = self.cancel(job, &reason);
                self.journal.after_commit(move || drop(reply.send(answer)));
            }
            Message::Show { job, when_finished, reply } => match self.live.get_mut(&job) {
                Some(live) if when_finished => live.waiters.push(reply),
                // What this batch changed is in the journal only after its commit.
                _ => self.journal.ask(move |store| drop(reply.send(show(store, job)))),
            },
            Message::List { filter, reply } => {
                self.journal
                    .ask(move |store| drop(reply.send(store.jobs(&filter).map_err(Failure::from))));
            }
            Message::EndedBetween { first, last, reply } => self.journal.ask(move |store| {
                drop(reply.send(store.ended_between(first, last).map_err(Failure::from)));
            }),
            Message::Detach { submission, reply } => self.detach(*submission, reply),
            Message::Hold { job, reply } => self.hold_or_ask(job, reply),
            Message::Release { job, reply } => {
                let answer = self.release(job);
                self.journal.after_commit(move || drop(reply.send(answer)));
            }
            Message::Retry { job, reply } => {
                let answer = self.retry(job);
                self.journal.after_commit(move || drop(reply.send(answer)));
            }
            Message::Explain { job, reply } => {
                let explained = self.explain(job);
                self.explain_allocation(job, explained, reply);
            }
            Message::Engine(answer) => self.engine_answered(answer),
            Message::Nodes { reply } => drop(reply.send(self.nodes())),
            Message::AddNode { host, reply } => drop(reply.send(self.add_by_hand(*host))),
            Message::DrainNode { node, drain, reply } => {
                drop(reply.send(self.drain_node(&node, drain)));
            }
            Message::RemoveNode { node, force, reply } => {
                drop(reply.send(self.remove_node(&node, force)));
            }
            Message::ReloadNodes { hosts, ssh, reply } => {
                drop(reply.send(self.reload_nodes(hosts, ssh)));
            }
            Message::Purge { retention, reply } => self.purge(retention, reply),
            Message::KeepHouse => self.keep_house(),
            Message::AgentUp { hello, link } => self.agent_up(hello, link),
            Message::AgentEnded { node, ended } => self.agent_ended(&node, *ended),
            Message::AttemptWithdrawn { attempt } => self.attempt_withdrawn(attempt),
            Message::OutputFetched { attempt } => self.output_fetched(attempt),
            Message::Staged { attempt, result } => self.staged(attempt, result),
            Message::Landed { attempt, problems } => self.landed(attempt, &problems),
            Message::AgentProbed { node, probed } => self.agent_probed(&node, probed),
            Message::AgentLog { node, record } => self.agent_log(&node, &record),
            Message::Log { token, record, reply } => drop(reply.send(self.job_log(&token, record))),
            Message::Happenings { reply } => drop(reply.send(self.happenings.follow())),
            Message::Begin { job, lease, beginning } => self.begin(job, lease, beginning),
            Message::Attach { job, attempt, token, reply } => {
                drop(reply.send(self.attach(job, attempt, &token)));
            }
            Message::AttemptsLost { attempts } => self.attempts_lost(&attempts),
            Message::AgentDown { node, problem } => self.agent_down(&node, problem),
            Message::TimeOver { job, attempt } => self.time_over(job, attempt),
            Message::Measured { jobs } => self.measured(jobs),
            Message::Progress { run, reply } => drop(reply.send(self.progress_of(run))),
            Message::Status { reply } => drop(reply.send(self.status())),
            Message::Stop { force, reply } => {
                let answer = self.stop(force);
                self.journal.after_commit(move || drop(reply.send(answer)));
            }
        }
    }

    /// Tells the dispatcher what happened and does what it decides.
    fn dispatch(&mut self, event: Event) {
        let now = dispatcher::Timestamp(self.setup.clock.elapsed().as_millis() as u64);
        let mut actions = Vec::new();
        self.dispatcher.handle(event, now, &mut actions);
        for action in actions {
            match action {
                Action::Start { job, node, indices, .. } => self.grant(job, node, indices),
                Action::Refuse { job, reason } => self.refuse(job, reason.to_string()),
                Action::Lost { job, .. } => self.lose_with_node(job),
            }
        }
    }

    fn grant(&mut self, job: JobId, node: NodeName, pieces: Vec<(PoolName, Vec<u32>)>) {
        let Some(live) = self.live.get_mut(&job) else { return };
        live.state = State::Running;
        live.node = Some(node.clone());
        let is_detached = live.is_detached();
        self.progress.started(live.run, job);
        self.stall.queued.remove(&job);
        self.note_start(job, &node);
        self.give(job, pieces);
        if is_detached || node != self.fleet.own {
            self.assign(job, &node);
            return;
        }
        let Some(live) = self.live.get(&job) else { return };
        let (given, at) = (live.given.clone(), Timestamp::now());
        self.journal.write(Write::Start { job, node, agent: None, given, at });
        self.tell_followers(job, at, || What::Started);
        self.say_granted(job);
        self.limit_lease(job, Duration::ZERO);
    }

    /// Tells a job's client something, once this batch is journalled.
    fn say(&mut self, job: JobId, message: GatewayMessage) {
        let Some(lease) = self.live.get(&job).and_then(|live| live.lease().cloned()) else {
            return;
        };
        self.journal.after_commit(move || drop(lease.messages.send(message)));
    }

    /// Journals the batch and lets its answers go.
    fn commit(&mut self) {
        self.commit_at = None;
        let result = self.journal.commit();
        // From here on the journal knows them, or nobody does.
        self.submissions.clear();
        let Err(failure) = result else {
            self.unjournalled.clear();
            if self.send_assignments() {
                self.commit();
            }
            return;
        };
        tracing::error!("{}", failure.error);
        self.progress.forget_all();
        // Jobs that never reached the journal were not accepted; their clients are
        // told so. What else happened stays to be written.
        for refused in failure.new_jobs {
            self.forget(refused);
            self.dispatch(Event::Cancelled { job: refused });
            self.dispatch(Event::Ended { job: refused });
        }
        let text =
            format!("the gateway waits, because its journal cannot be written: {}", failure.error);
        for job in failure.waiting {
            let Some(sender) = self.after_end.get(&job) else { continue };
            // A client that is gone needs no warning.
            drop(sender.send(GatewayMessage::Warning { text: text.clone() }));
        }
    }

    fn forget(&mut self, job: JobId) -> Option<Live> {
        let live = self.live.remove(&job)?;
        self.keys.remove(&live.key);
        self.stall.queued.remove(&job);
        self.unsettled.forget(job);
        self.stop_measuring(job);
        self.note_end(job);
        self.forget_assignment(job);
        self.forget_promise(job);
        Some(live)
    }
}

/// Returns at that moment, or never.
async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment.into()).await,
        None => std::future::pending().await,
    }
}

fn show(store: &Store, job: JobId) -> Result<crate::model::Job, Failure> {
    store.job(job)?.ok_or_else(|| Failure::no_such_job(job))
}
