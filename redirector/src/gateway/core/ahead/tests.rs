//! What crosses between a gateway and an agent: this test is the agent.

use tokio::{
    runtime::{Builder, Runtime},
    sync::{
        mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
        oneshot,
    },
};

use super::*;
use crate::{
    config::Config,
    dispatcher::Explanation,
    gateway::{
        core::Setup,
        message::{AgentHello, AgentLink, Message},
    },
    model::{Amount, Job, Outcome, Resources, Spec, Usage},
    node,
    place::StateDirectory,
    protocol::{DetachedSubmission, Elements},
    store::{Durability, Store},
};

const AGENT: &str = "agent";

/// A gateway of two cpus, and its agent's side of the conversation.
struct Table {
    core: Core,
    orders: UnboundedReceiver<Order>,
    messages: UnboundedReceiver<Message>,
    directory: tempfile::TempDir,
    /// Only entered: tasks that would look for an agent never run.
    runtime: Runtime,
}

impl Table {
    /// With an array of so many jobs, of which the first two run. Jobs of five milliseconds each.
    fn with_jobs(count: u64) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let runtime = Builder::new_current_thread().build().unwrap();
        let (core, messages) = open(&directory, &runtime);
        let (_, orders) = unbounded_channel();
        let mut table = Self { core, orders, messages, directory, runtime };
        table.hello(AGENT, &[], &[], Some(&[]));
        let (reply, _) = oneshot::channel();
        let submission = DetachedSubmission {
            key: "array".to_owned(),
            spec: Spec {
                argv: vec!["true".into()],
                program: "/bin/true".into(),
                directory: "/".into(),
                resources: Resources::new(Amount::ONE, 0),
                ..Spec::default()
            },
            elements: Some(Elements::Range { first: 1, last: count, step: 1 }),
            environment: Vec::new(),
            umask: 0,
            token: None,
            held: false,
            sequential: false,
            hosts: Vec::new(),
        };
        table.hear(Message::Detach { submission: Box::new(submission), reply });
        assert_eq!(table.orders(), ["environment", "start 1", "start 2"]);
        table
    }

    /// Jobs 1 and 2 have ended: 3 and 4 run, the next four are promised the place of job 3, and
    /// the four after them that of job 4.
    fn with_promises() -> Self {
        let mut table = Self::with_jobs(20);
        table.ended(1, None);
        assert_eq!(
            table.orders(),
            [
                "ack 1",
                "start 3",
                "start 4 after 3",
                "start 5 after 3",
                "start 6 after 3",
                "start 7 after 3"
            ]
        );
        table.ended(2, None);
        assert_eq!(
            table.orders(),
            [
                "ack 2",
                "start 8",
                "start 9 after 8",
                "start 10 after 8",
                "start 11 after 8",
                "start 12 after 8"
            ]
        );
        table
    }

    /// What the core does with one batch.
    fn hear(&mut self, message: Message) {
        self.hear_all([message]);
    }

    fn hear_all(&mut self, batch: impl IntoIterator<Item = Message>) {
        let _entered = self.runtime.enter();
        for message in batch {
            self.core.handle(message);
            self.core.settle_followers();
        }
        self.core.promise_ahead();
        self.core.commit();
    }

    fn hello(&mut self, agent: &str, running: &[u64], ended: &[u64], promised: Option<&[u64]>) {
        self.hello_after(agent, &[], running, ended, promised);
    }

    fn hello_after(
        &mut self,
        agent: &str,
        predecessors: &[&str],
        running: &[u64],
        ended: &[u64],
        promised: Option<&[u64]>,
    ) {
        let attempts = |jobs: &[u64]| jobs.iter().map(|job| attempt(*job)).collect::<Vec<_>>();
        let hello = AgentHello {
            node: node(),
            facts: None,
            instance: agent.to_owned(),
            predecessors: predecessors.iter().map(|&it| it.to_owned()).collect(),
            running: attempts(running),
            ended: attempts(ended),
            promised: promised.map(attempts),
        };
        let (orders, receiver): (UnboundedSender<Order>, _) = unbounded_channel();
        self.orders = receiver;
        let link = AgentLink { orders, channel: None };
        self.hear(Message::AgentUp { hello, link });
    }

    fn ended(&mut self, job: u64, followed_by: Option<u64>) {
        self.ended_after(5, job, followed_by);
    }

    fn ended_after(&mut self, milliseconds: u64, job: u64, followed_by: Option<u64>) {
        self.hear(end(milliseconds, job, followed_by));
    }

    fn withdrawn(&mut self, job: u64) {
        self.hear(Message::AttemptWithdrawn { attempt: attempt(job) });
    }

    fn cancel(&mut self, job: u64) {
        let (reply, _) = oneshot::channel();
        self.hear(Message::Cancel { job: JobId(job), reason: "why not".to_owned(), reply });
    }

    /// Whoever wants it held hears of it here.
    fn hold(&mut self, job: u64) -> oneshot::Receiver<Result<Vec<JobId>, Failure>> {
        let (reply, answer) = oneshot::channel();
        self.hear(Message::Hold { job: JobId(job), reply });
        answer
    }

    /// The connection is gone.
    fn cut(&mut self) {
        self.hear(Message::AgentDown { node: node(), problem: None });
    }

    /// The gateway is killed, and another one takes over.
    fn restart(&mut self) {
        // What the journal does not know, the next one does not know either.
        let (core, messages) = open(self.directory.path().join("elsewhere"), &self.runtime);
        drop(std::mem::replace(&mut self.core, core));
        drop(std::mem::replace(&mut self.messages, messages));
        (self.core, self.messages) = open(&self.directory, &self.runtime);
    }

    /// What the agent was told since it was asked last.
    fn orders(&mut self) -> Vec<String> {
        let mut told = Vec::new();
        while let Ok(order) = self.orders.try_recv() {
            told.push(match order {
                Order::Environment { .. } => "environment".to_owned(),
                Order::Start(assignment) => match assignment.after {
                    Some(before) => {
                        format!("start {} after {}", assignment.attempt.job, before.job)
                    }
                    None => format!("start {}", assignment.attempt.job),
                },
                Order::End { attempt, .. } => format!("end {}", attempt.job),
                Order::Withdraw { attempt } => format!("withdraw {}", attempt.job),
                Order::Acknowledge { attempt } => format!("ack {}", attempt.job),
                Order::Abandon { attempt } => format!("abandon {}", attempt.job),
                Order::ForgetEnvironments | Order::Probe(_) | Order::Leave => {
                    unreachable!("{order:?}")
                }
            });
        }
        told
    }

    fn record(&self, job: u64) -> Job {
        self.core.journal.store().job(JobId(job)).unwrap().unwrap()
    }

    fn state(&self, job: u64) -> State {
        let state = self.record(job).state;
        if let Some(live) = self.core.live.get(&JobId(job)) {
            assert_eq!(live.state, state, "job {job}");
            let runs = matches!(
                self.core.dispatcher.explain(JobId(job)),
                Some(Explanation::Running { .. })
            );
            assert_eq!(runs, state == State::Running, "job {job}");
        }
        state
    }

    /// The jobs that hold something of the node.
    fn running(&self) -> Vec<u64> {
        let mut jobs: Vec<_> = self.core.live.keys().map(|job| job.0).collect();
        jobs.retain(|job| self.state(*job) == State::Running);
        jobs.sort_unstable();
        jobs
    }
}

fn node() -> NodeName {
    NodeName("here".to_owned())
}

fn attempt(job: u64) -> AttemptId {
    AttemptId { job: JobId(job), number: 1 }
}

fn open(
    directory: impl AsRef<std::path::Path>,
    runtime: &Runtime,
) -> (Core, UnboundedReceiver<Message>) {
    let _entered = runtime.enter();
    let state = StateDirectory::at(directory.as_ref());
    state.create().unwrap();
    let store = Store::open(&state.journal(), Durability::Process).unwrap();
    let mut settings = Config::default();
    settings.node.cpus.value = Some(Amount::whole(2));
    settings.node.gpus.value = Some(2);
    let mut facts = node::Facts::detect(&settings.node);
    facts.cpu_ids = vec![0, 1];
    let (messages, inbox) = unbounded_channel();
    let core = Core::new(Setup {
        store,
        state,
        node: node(),
        facts,
        settings,
        idle_timeout: None,
        connections: std::sync::Arc::new(()),
        messages,
    });
    (core.unwrap(), inbox)
}

fn end(milliseconds: u64, job: u64, followed_by: Option<u64>) -> Message {
    let (outcome, usage) = (Outcome::Exited { exit_code: 0 }, Usage::default());
    let (started, at) = (Timestamp(1_000), Timestamp(1_000 + milliseconds));
    let followed_by = followed_by.map(attempt);
    let ended =
        Ended { attempt: attempt(job), outcome, usage, started, at, followed_by, passed_on: None };
    Message::AgentEnded { node: node(), ended: Box::new(ended) }
}

#[test]
fn a_follower_runs_in_the_place_of_the_one_before_it() {
    let mut table = Table::with_promises();
    assert_eq!(table.running(), [3, 8]);
    assert_eq!(table.state(4), State::Queued);
    let cpus = table.core.fleet.own().pins.of(JobId(3)).to_vec();
    table.ended(3, Some(4));
    assert_eq!(table.orders(), ["ack 3"]);
    assert_eq!(table.running(), [4, 8]);
    assert_eq!(table.core.fleet.own().pins.of(JobId(4)), cpus);
    assert_eq!(table.record(4).started, table.record(3).ended);

    table.ended(4, Some(5));
    table.ended(5, Some(6));
    let orders = table.orders();
    let more = ["start 13 after 6", "start 14 after 6", "start 15 after 6"];
    assert_eq!(orders, [&["ack 4", "ack 5"], &more[..]].concat(), "several at once");
    table.ended(8, Some(9));
    table.ended(6, Some(7));
    table.ended(7, Some(13));
    table.ended(13, Some(14));
    let more = ["start 16 after 9", "start 17 after 14", "start 18 after 14", "start 19 after 14"];
    let orders = table.orders();
    assert_eq!(orders, [&["ack 8", "ack 6", "ack 7", "ack 13"], &more[..]].concat(), "both places");
}

#[test]
fn no_place_is_filled_up_because_a_job_came_and_went_in_one_batch() {
    let mut table = Table::with_promises();
    table.hear_all([end(5, 3, Some(4)), end(5, 4, Some(5))]);
    assert_eq!(table.orders(), ["ack 3", "ack 4"], "two are promised the place of 5");
}

#[test]
fn an_order_that_crosses_the_end_before_it_is_followed_at_once() {
    let mut table = Table::with_promises();
    table.ended(3, None);
    assert_eq!(table.running(), [4, 8], "the agent will have started it");
    table.ended(4, None);
    assert_eq!(table.running(), [5, 8]);
}

#[test]
fn jobs_that_take_long_are_not_handed_over_ahead() {
    let mut table = Table::with_jobs(6);
    table.ended_after(5_000, 1, None);
    assert_eq!(table.orders(), ["ack 1", "start 3"]);
}

#[test]
fn an_agent_of_another_version_gets_one_job_at_a_time() {
    let mut table = Table::with_jobs(6);
    table.hello(AGENT, &[1, 2], &[], None);
    table.ended(1, None);
    assert_eq!(table.orders(), ["ack 1", "environment", "start 3"]);
}

#[test]
fn nobody_follows_a_job_that_has_jobs_of_its_own() {
    let mut table = Table::with_promises();
    let token = table.core.tokens.of(JobId(3));
    let _place = table.core.place(None, Some(&token), 0, &[]);
    assert_eq!(table.orders(), [4, 5, 6, 7].map(|job| format!("withdraw {job}")));
}

#[test]
fn one_that_is_cancelled_never_starts_if_it_has_not_started() {
    let mut table = Table::with_promises();
    table.cancel(4);
    table.cancel(5);
    assert_eq!(table.orders(), ["withdraw 4", "withdraw 5"]);
    assert_eq!(table.state(4), State::Queued, "nobody knows yet");
    table.withdrawn(4);
    let record = table.record(4);
    assert_eq!((record.started, record.state), (None, State::Finished));
    assert_eq!(record.outcome.unwrap().to_string(), "cancelled");
    table.ended(3, Some(5));
    assert_eq!(table.orders(), ["end 5", "ack 3"]);
}

#[test]
fn one_that_is_to_be_held_is_held_or_runs() {
    let mut table = Table::with_promises();
    let (mut of_4, mut of_5) = (table.hold(4), table.hold(5));
    assert_eq!(table.orders(), ["withdraw 4", "withdraw 5"]);
    assert!(of_4.try_recv().is_err(), "nobody knows yet");
    table.withdrawn(4);
    assert_eq!(of_4.try_recv().unwrap().unwrap(), [JobId(4)]);
    assert_eq!(table.state(4), State::Held);
    table.ended(3, Some(5));
    let refused = of_5.try_recv().unwrap().unwrap_err();
    assert!(refused.problem.error.contains("runs already"), "{refused:?}");
    assert_eq!(table.running(), [5, 8]);
}

#[test]
fn one_behind_a_job_that_takes_long_is_queued_where_it_stood() {
    let mut table = Table::with_promises();
    assert!(table.core.next_overdue().is_some());
    let later = Instant::now() + std::time::Duration::from_secs(1);
    for job in table.core.ahead.promises.overdue(later) {
        table.core.call_back(job);
    }
    let withdrawn = [4, 5, 6, 7, 9, 10, 11, 12];
    assert_eq!(table.orders(), withdrawn.map(|job| format!("withdraw {job}")));
    for job in withdrawn {
        table.withdrawn(job);
    }
    assert_eq!(table.core.next_overdue(), None);
    table.ended(8, None);
    assert_eq!(table.orders()[..2], ["ack 8", "start 4"]);
}

#[test]
fn a_place_for_which_nobody_waits_is_for_the_last_that_waits_elsewhere() {
    let mut table = Table::with_jobs(6);
    table.ended(1, None);
    table.orders();
    table.ended(2, None);
    assert_eq!(table.orders(), ["withdraw 6", "ack 2"]);
    table.withdrawn(6);
    assert_eq!(table.orders(), ["start 6"]);
    assert_eq!(table.running(), [3, 6]);
}

#[test]
fn a_gateway_that_comes_next_learns_what_was_started() {
    let mut table = Table::with_promises();
    table.restart();
    assert_eq!(table.running(), [3, 8]);
    table.cancel(11);
    // 3 and 4 have ended, 5 runs, 6 is still to come, and the order for 7 was never sent.
    table.hello(AGENT, &[5, 8], &[3, 4], Some(&[6, 9, 10, 11, 12]));
    let orders = table.orders();
    assert_eq!(orders, [6, 9, 10, 11, 12].map(|job| format!("withdraw {job}")));
    table.ended(3, Some(4));
    table.ended(4, Some(5));
    assert_eq!(table.orders(), ["ack 3", "ack 4"]);
    assert_eq!(table.running(), [5, 8]);
    assert_eq!(table.state(7), State::Queued);
    table.ended(8, Some(9));
    assert_eq!(table.running(), [5, 9], "it was started before it was called back");
    for job in [6, 10, 11, 12] {
        table.withdrawn(job);
    }
    assert_eq!(table.record(11).outcome.unwrap().to_string(), "cancelled");
    assert_eq!(table.state(12), State::Queued);
    assert_eq!(table.running(), [5, 9]);
}

#[test]
fn what_was_promised_to_an_agent_that_was_killed_is_lost_and_to_one_that_left_is_not() {
    for (predecessors, restart) in [(&[][..], true), (&[][..], false), (&[AGENT][..], true)] {
        let mut table = Table::with_promises();
        if restart {
            table.restart();
        } else {
            table.cut();
        }
        table.hello_after("another", predecessors, &[], &[], Some(&[]));
        let told = table.orders();
        if predecessors.is_empty() {
            let lost = loop {
                let message = table.messages.blocking_recv().expect("the core is there");
                // The first agent of all has lost none.
                if let Message::AttemptsLost { attempts } = message
                    && !attempts.is_empty()
                {
                    break attempts;
                }
            };
            let jobs: Vec<_> = lost.iter().map(|it| it.job.0).collect();
            assert_eq!(jobs, [3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
            table.hear(Message::AttemptsLost { attempts: lost });
            assert_eq!(table.record(4).outcome.unwrap().to_string(), "lost");
            assert_eq!(table.record(4).attempts.len(), 1);
            assert_eq!(table.running(), [13, 14]);
        } else {
            assert_eq!(told, ["environment", "start 3", "start 8"]);
            assert_eq!(table.running(), [3, 8]);
            assert_eq!(table.state(4), State::Queued);
        }
    }
}

#[test]
fn a_connection_that_was_cut_loses_no_promise() {
    let mut table = Table::with_promises();
    table.cancel(10);
    table.cut();
    // 3 has ended and 4 runs; 7 was never read.
    table.hello(AGENT, &[4, 8], &[3], Some(&[5, 6, 9, 10, 11, 12]));
    assert_eq!(table.orders(), ["withdraw 10"]);
    table.ended(3, Some(4));
    assert_eq!(table.running(), [4, 8]);
    assert_eq!(table.state(7), State::Queued);
    table.ended(4, Some(5));
    assert_eq!(table.running(), [5, 8]);
    table.withdrawn(10);
    assert_eq!(table.state(10), State::Finished);
    table.ended(8, Some(9));
    assert_eq!(table.running(), [5, 9]);
}

#[test]
fn an_attempt_that_could_not_be_started_when_its_turn_came_has_ended() {
    let mut table = Table::with_promises();
    let (outcome, usage, at) =
        (Outcome::Lost { reason: "no process".to_owned() }, Usage::default(), Timestamp(1_000));
    let ended = Ended {
        attempt: attempt(4),
        outcome,
        usage,
        started: at,
        at,
        followed_by: None,
        passed_on: None,
    };
    table.hear(Message::AgentEnded { node: node(), ended: Box::new(ended) });
    assert_eq!(table.record(4).outcome.unwrap().to_string(), "lost");
    assert_eq!(table.running(), [3, 8]);
    table.ended(3, Some(5));
    assert_eq!(table.running(), [5, 8]);
}

#[test]
fn a_gateway_that_stops_leaves_none_of_them_behind() {
    let mut table = Table::with_promises();
    let (reply, _) = oneshot::channel();
    table.hear(Message::Stop { force: true, reply });
    let told = table.orders();
    for job in 3..=12 {
        assert!(told.contains(&format!("abandon {job}")), "{told:?}");
    }
    assert!(!table.core.has_promises());
}
