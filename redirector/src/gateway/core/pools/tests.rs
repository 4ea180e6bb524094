//! Situations of pools, and what follows from each.

mod doubts;
mod lists;
mod restart;
mod stops;
mod time_left;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    allocation::Ask,
    machine::{Happened, Machine, Order},
};
use crate::{
    config::{Engine, Pilot, Pool, PoolMode},
    engine::batch::{End, EngineJobId, Refusal, Status},
    model::{Amount, EngineOptions, JobId, NodeName, Outcome, Resources},
};

/// A machine, its clock, and what it has ordered.
struct Situation {
    machine: Machine,
    now: Instant,
    serving: bool,
}

const CPUS: u64 = 4;

fn pilot() -> Pilot {
    Pilot {
        min_blocks: 0,
        max_blocks: 3,
        cpus: CPUS as u32,
        mem: Some(8 << 30),
        gpus: 0,
        walltime: Duration::from_hours(1),
        idle_timeout: Duration::from_mins(5),
        backlog: Amount::ONE,
    }
}

impl Situation {
    fn of(mode: PoolMode) -> Self {
        let pool = Pool::minimal("p", Engine::Slurm { rest: None }, mode);
        let machine = Machine::new([Arc::new(pool)], 0);
        Self { machine, now: Instant::now(), serving: false }
    }

    fn per_job() -> Self {
        Self::of(PoolMode::PerJob)
    }

    fn pilots(change: impl FnOnce(&mut Pilot)) -> Self {
        let mut pilot = pilot();
        change(&mut pilot);
        Self::of(PoolMode::Pilot(pilot))
    }

    /// What is ordered when this has happened, in few words.
    fn after(&mut self, happened: Happened) -> Vec<String> {
        self.machine.note(happened, self.now);
        self.orders()
    }

    fn orders(&mut self) -> Vec<String> {
        let serving = self.serving;
        let orders = self.machine.decide(self.now, |_| serving);
        orders.iter().map(word).collect()
    }

    fn pass(&mut self, time: Duration) -> Vec<String> {
        self.now += time;
        self.orders()
    }

    fn queue(&mut self, job: u64, cpus: u64) -> Vec<String> {
        self.queue_limited(job, cpus, None)
    }

    fn queue_limited(&mut self, job: u64, cpus: u64, time_limit: Option<Duration>) -> Vec<String> {
        let resources = Resources::new(Amount::whole(cpus), 0);
        let (pool, name, options) = ("p".to_owned(), "job".to_owned(), EngineOptions::default());
        let ask = Ask { pool, name, attempt: 1, resources, time_limit, options };
        self.after(Happened::Queued { job: JobId(job), ask: Box::new(ask) })
    }

    fn taken(&mut self, node: &str) -> Vec<String> {
        let result = Ok(EngineJobId(format!("id of {node}")));
        self.after(Happened::Submitted { node: name(node), result })
    }

    fn refused(&mut self, node: &str, refusal: Refusal) -> Vec<String> {
        self.after(Happened::Submitted { node: name(node), result: Err(refusal) })
    }

    fn up(&mut self, node: &str) -> Vec<String> {
        self.after(Happened::Up { node: name(node) })
    }

    fn down(&mut self, node: &str) -> Vec<String> {
        self.after(Happened::Down { node: name(node) })
    }

    fn start(&mut self, job: u64, node: &str) -> Vec<String> {
        self.after(Happened::Started { job: JobId(job), node: name(node) })
    }

    fn end(&mut self, job: u64) -> Vec<String> {
        self.after(Happened::Ended { job: JobId(job) })
    }

    fn told(&mut self, node: &str, status: Status) -> Vec<String> {
        let (node, asked) = (name(node), self.now);
        self.after(Happened::Told { node, status, ran: None, last_words: None, asked })
    }

    fn nodes_for(&self, job: u64) -> Vec<String> {
        let nodes = self.machine.nodes_for(JobId(job), "p", self.now);
        nodes.into_iter().map(|node| node.0).collect()
    }
}

fn name(node: &str) -> NodeName {
    NodeName(node.to_owned())
}

fn word(order: &Order) -> String {
    match order {
        Order::Submit(claim) => format!("submit {} with {} cpus", claim.node, claim.size.cpus),
        Order::Keep(claim) => format!("keep {}", claim.node),
        Order::Stop(node, _) => format!("stop {node}"),
        Order::Leave(node) => format!("leave {node}"),
        Order::Drain(node) => format!("drain {node}"),
        Order::Hasten => "hasten".to_owned(),
        Order::Believe(job) => format!("believe {job}"),
        Order::Judge(claim, end) => format!("judge {}: it {end}", claim.node),
        Order::Forget { node, .. } => format!("forget {node}"),
        Order::Conclude(job, Outcome::Refused { .. }) => format!("refuse {job}"),
        Order::Conclude(job, outcome) => format!("{outcome} {job}"),
    }
}

const NOTHING: [&str; 0] = [];

#[test]
fn each_job_has_an_allocation_of_its_own_until_it_has_ended() {
    let mut it = Situation::per_job();
    assert_eq!(it.queue(1, 2), ["submit p-1 with 2 cpus"]);
    assert_eq!(it.queue(2, 0), ["submit p-2 with 1 cpus"]);
    assert_eq!(it.queue(1, 2), NOTHING, "it is known already");
    assert_eq!((it.nodes_for(1), it.nodes_for(2)), (vec!["p-1".into()], vec!["p-2".into()]));
    assert_eq!(it.taken("p-1"), ["keep p-1"]);
    assert_eq!(it.up("p-1"), NOTHING);
    assert_eq!(it.start(1, "p-1"), NOTHING);
    it.serving = true;
    assert_eq!(it.end(1), NOTHING, "somebody still reads what it wrote");
    it.serving = false;
    assert_eq!(it.orders(), ["leave p-1"]);
    assert_eq!(it.pass(Duration::from_secs(31)), ["stop p-1"], "it did not leave");
    assert_eq!(it.told("p-1", Status::Ended(End::Done(0))), ["forget p-1"]);
    // The other one is cancelled before the engine has answered.
    assert_eq!(it.end(2), NOTHING);
    assert_eq!(it.taken("p-2"), ["keep p-2", "stop p-2"]);
}

#[test]
fn another_attempt_has_another_allocation() {
    let mut it = Situation::per_job();
    it.queue(1, 1);
    it.taken("p-1");
    it.up("p-1");
    it.start(1, "p-1");
    // Taken back before its agent had it, it stays where it was.
    assert_eq!(it.queue(1, 1), NOTHING);
    assert_eq!(it.nodes_for(1), ["p-1"]);
    it.start(1, "p-1");
    it.machine.note(Happened::Ended { job: JobId(1) }, it.now);
    assert_eq!(it.queue(1, 1), ["leave p-1", "submit p-2 with 1 cpus"]);
    assert_eq!(it.nodes_for(1), ["p-2"]);
}

#[test]
fn refusals_are_repeated_or_passed_on() {
    let mut it = Situation::per_job();
    it.queue(1, 1);
    let busy = || Refusal::Temporary("busy".to_owned());
    assert_eq!(it.refused("p-1", busy()), NOTHING);
    assert_eq!(it.pass(Duration::from_secs(9)), NOTHING);
    assert_eq!(it.pass(Duration::from_secs(1)), ["submit p-1 with 1 cpus"]);
    let never = Refusal::Permanent("no such partition".to_owned());
    assert_eq!(it.refused("p-1", never.clone()), ["refuse 1", "forget p-1"]);
    it.end(1);
    // Of one that nobody wants any more nothing is left.
    it.queue(2, 1);
    it.refused("p-2", busy());
    assert_eq!(it.end(2), ["forget p-2"]);
    let mut it = Situation::pilots(|_| ());
    it.queue(1, 1);
    it.queue(2, 1);
    assert_eq!(it.refused("p-1", never)[..2], ["refuse 1", "refuse 2"]);
}

#[test]
fn the_oldest_that_were_refused_are_asked_for_first_and_few_at_a_time() {
    let mut it = Situation::per_job();
    for job in 1..=20 {
        it.queue(job, 1);
    }
    let busy = || Refusal::Temporary("busy".to_owned());
    // The last one first.
    for number in (1..=20).rev() {
        assert_eq!(it.refused(&format!("p-{number}"), busy()), NOTHING);
    }
    let submit = |number| format!("submit p-{number} with 1 cpus");
    assert_eq!(it.pass(Duration::from_secs(10)), (1..=8).map(submit).collect::<Vec<_>>());
    // Each that is taken makes room for the next one, until one is refused.
    assert_eq!(it.taken("p-2"), ["keep p-2".to_owned(), submit(9)]);
    assert_eq!(it.refused("p-3", busy()), NOTHING);
    assert_eq!(it.taken("p-1"), ["keep p-1"]);
    for number in 4..=9 {
        it.taken(&format!("p-{number}"));
    }
    let again = it.pass(Duration::from_secs(10));
    assert_eq!(again[..2], [submit(3), submit(10)]);
    assert_eq!(again.len(), 8);
}

#[test]
fn pilots_are_as_many_as_the_work_that_waits_asks_for() {
    for (jobs, backlog, min, expected) in [
        (1, 1.0, 0, 1),
        (4, 1.0, 0, 1),
        (5, 1.0, 0, 2),
        (9, 1.0, 0, 3),
        (99, 1.0, 0, 3),
        (99, 50.0, 0, 1),
        (0, 1.0, 2, 2),
    ] {
        let mut it = Situation::pilots(|pilot| {
            pilot.min_blocks = min;
            pilot.backlog = Amount((backlog * Amount::ONE.0 as f64) as u64);
        });
        let mut orders = it.orders();
        for job in 1..=jobs {
            orders.extend(it.queue(job, 1));
        }
        assert_eq!(orders.len(), expected, "{jobs} jobs, backlog {backlog}: {orders:?}");
    }
}

#[test]
fn an_idle_pilot_is_given_back_and_the_fewest_stay() {
    for (min, expected) in
        [(0, vec!["leave p-1", "leave p-2"]), (1, vec!["leave p-1"]), (2, vec![])]
    {
        let mut it = Situation::pilots(|pilot| pilot.min_blocks = min);
        for job in 1..=2 {
            it.queue(job, CPUS);
        }
        for (job, node) in [(1, "p-1"), (2, "p-2")] {
            it.taken(node);
            it.up(node);
            it.start(job, node);
        }
        it.end(1);
        it.end(2);
        assert_eq!(it.pass(Duration::from_secs(299)), NOTHING);
        assert_eq!(it.pass(Duration::from_secs(1)), expected, "{min} stay");
    }
}

#[test]
fn a_pilot_near_its_end_takes_no_more_jobs() {
    let mut it = Situation::pilots(|pilot| pilot.max_blocks = 1);
    it.queue(1, 1);
    it.taken("p-1");
    it.up("p-1");
    it.start(1, "p-1");
    let drains = it.machine.next(it.now).expect("its end is known");
    assert_eq!(drains - it.now, Duration::from_mins(55));
    let limit = |minutes| Some(Duration::from_mins(minutes));
    it.queue_limited(2, 1, limit(50));
    assert_eq!(it.nodes_for(2), ["p-1"]);
    it.pass(Duration::from_mins(10));
    assert_eq!(it.nodes_for(2), NOTHING, "49 minutes are left for it");
    assert_eq!(it.queue_limited(3, 1, limit(60)), ["refuse 3"], "none ever lasts that long");
    assert_eq!(it.pass(Duration::from_mins(45)), ["drain p-1"]);
    assert_eq!(it.end(1), ["leave p-1"]);
    it.down("p-1");
    let ended = it.told("p-1", Status::Ended(End::Done(0)));
    assert_eq!(ended, ["forget p-1", "submit p-2 with 4 cpus"], "for the one that waits");
}

#[test]
fn how_an_allocation_ends_decides_what_becomes_of_its_job() {
    let cancelled = || End::Cancelled { by: None };
    for (end, expected) in [
        (cancelled(), vec!["cancelled 1", "forget p-1"]),
        (End::Done(127), vec!["refuse 1", "forget p-1"]),
        (End::NodeFailure, vec!["forget p-1", "submit p-2 with 1 cpus"]),
        (End::Requeued, vec!["stop p-1", "forget p-1", "submit p-2 with 1 cpus"]),
    ] {
        let mut it = Situation::per_job();
        it.queue(1, 1);
        it.taken("p-1");
        assert_eq!(it.told("p-1", Status::Ended(end.clone())), expected, "{end}, before it came");
    }
    let mut it = Situation::per_job();
    it.queue(1, 1);
    it.taken("p-1");
    it.up("p-1");
    it.start(1, "p-1");
    let ended = || Status::Ended(End::TimeLimit);
    assert_eq!(it.told("p-1", ended()), NOTHING, "its agent may be saying so");
    let judged = ["judge p-1: it reached its time limit", "forget p-1"];
    assert_eq!(it.told("p-1", ended()), judged);
}

#[test]
fn an_engine_that_says_nothing_says_nothing_about_jobs() {
    let mut it = Situation::per_job();
    it.queue(1, 1);
    it.taken("p-1");
    for _ in 0..5 {
        let reason = "it does not answer".to_owned();
        assert_eq!(it.told("p-1", Status::Unknown { reason }), NOTHING);
    }
    assert_eq!(it.told("p-1", Status::Forgotten), NOTHING, "it may be in the accounts soon");
    assert_eq!(it.told("p-1", Status::Pending { reason: String::new() }), NOTHING);
    assert_eq!(it.told("p-1", Status::Forgotten), NOTHING);
    assert_eq!(it.told("p-1", Status::Forgotten), ["stop p-1", "refuse 1", "forget p-1"]);
}

#[test]
fn pilots_that_never_come_are_not_asked_for_for_ever() {
    let mut it = Situation::pilots(|_| ());
    let mut orders = it.queue(1, 1);
    for number in 1..=2 {
        let node = format!("p-{number}");
        assert_eq!(orders.last(), Some(&format!("submit {node} with 4 cpus")));
        it.taken(&node);
        orders = it.told(&node, Status::Ended(End::Done(1)));
    }
    it.taken("p-3");
    let ended = it.told("p-3", Status::Ended(End::Done(1)));
    assert_eq!(ended[..2], ["refuse 1", "forget p-3"]);
}
