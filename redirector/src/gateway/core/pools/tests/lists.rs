//! Situations of jobs that have options of their rule, or another pool beside this one.

use super::*;
use crate::{
    gateway::core::pools::allocation::{Claim, Size},
    model::{EngineOptions, PoolList},
};

fn options() -> EngineOptions {
    EngineOptions { qos: Some("high".to_owned()), ..EngineOptions::default() }
}

fn ask(pool: &str, options: EngineOptions) -> Box<Ask> {
    let (pool, name) = (pool.to_owned(), "job".to_owned());
    let resources = Resources::new(Amount::ONE, 0);
    Box::new(Ask { pool, name, attempt: 1, resources, time_limit: None, options })
}

/// What an earlier gateway has asked for on behalf of job 1.
fn claim(node: &str, pool: &str) -> Claim {
    let ask = ask(pool, EngineOptions::default());
    Claim {
        node: name(node),
        pool: pool.to_owned(),
        name: "job".to_owned(),
        job: Some(JobId(1)),
        attempt: 1,
        size: Size::of_job(&ask, None),
        options: options(),
        id: Some(EngineJobId("7".to_owned())),
    }
}

#[test]
fn options_of_a_rule_go_into_the_allocation_of_its_job() {
    let mut it = Situation::per_job();
    it.machine.note(Happened::Queued { job: JobId(1), ask: ask("p", options()) }, it.now);
    let orders = it.machine.decide(it.now, |_| false);
    let [Order::Submit(claim)] = &orders[..] else { panic!("{orders:?}") };
    assert_eq!(claim.options, options());
    let kept = serde_json::to_value(claim).unwrap();
    assert_eq!(serde_json::from_value::<Claim>(kept.clone()).unwrap(), *claim);
    // As a gateway has left it that knew nothing of options.
    let mut before = kept;
    for field in ["options", "attempt"] {
        before.as_object_mut().unwrap().remove(field).unwrap();
    }
    let read: Claim = serde_json::from_value(before).unwrap();
    assert_eq!(read.options, EngineOptions::default());
    assert!(read.is_for(JobId(1), 2), "it may be");
}

#[test]
fn a_pilot_refuses_what_has_options_and_serves_the_others() {
    let mut it = Situation::pilots(|_| ());
    let with_options = Happened::Queued { job: JobId(1), ask: ask("p", options()) };
    it.machine.note(with_options, it.now);
    let orders = it.machine.decide(it.now, |_| false);
    let [Order::Conclude(JobId(1), Outcome::Refused { reason })] = &orders[..] else {
        panic!("{orders:?}")
    };
    assert!(reason.contains("qos=high") && reason.contains("pool 'p'"), "{reason}");
    assert_eq!(it.queue(2, 1), ["submit p-1 with 4 cpus"]);
}

#[test]
fn a_job_is_refused_once_however_many_allocations_refuse_it() {
    let mut it = Situation::pilots(|_| ());
    for job in 1..=5 {
        it.queue(job, 1);
    }
    let never = || Err(Refusal::Permanent("no such partition".to_owned()));
    for node in ["p-1", "p-2"] {
        it.machine.note(Happened::Submitted { node: name(node), result: never() }, it.now);
    }
    let orders = it.orders();
    for job in 1..=5 {
        let refusal = format!("refuse {job}");
        assert_eq!(orders.iter().filter(|order| **order == refusal).count(), 1, "{orders:?}");
    }
}

#[test]
fn a_job_that_begins_with_its_first_pool_again_gives_back_what_it_had_of_another() {
    let pool =
        |name: &str| Arc::new(Pool::minimal(name, Engine::Slurm { rest: None }, PoolMode::PerJob));
    let mut it = Situation::per_job();
    it.machine = Machine::new([pool("p"), pool("q")], 3);
    it.machine.adopt(claim("q-3", "q"));
    assert_eq!(it.queue(1, 1), ["stop q-3", "submit p-4 with 1 cpus"]);
    assert_eq!(it.nodes_for(1), ["p-4"]);
    // Where there is no other pool, it is the job's still.
    let mut it = Situation::per_job();
    it.machine.adopt(claim("p-3", "p"));
    assert_eq!(it.queue(1, 1), NOTHING);
    assert_eq!(it.nodes_for(1), ["p-3"]);
}

#[test]
fn an_allocation_that_is_spent_asks_for_no_other_when_it_ends() {
    let mut it = Situation::per_job();
    it.queue(1, 1);
    it.taken("p-1");
    it.up("p-1");
    it.start(1, "p-1");
    it.machine.note(Happened::Ended { job: JobId(1) }, it.now);
    let again = Happened::Queued { job: JobId(1), ask: ask("p", EngineOptions::default()) };
    it.machine.note(again, it.now);
    assert_eq!(it.nodes_for(1), NOTHING, "its next one is yet to be asked for");
    assert_eq!(it.orders(), ["leave p-1", "submit p-2 with 1 cpus"]);
    assert_eq!(it.told("p-1", Status::Ended(End::Cancelled { by: None })), ["forget p-1"]);
    assert_eq!(it.nodes_for(1), ["p-2"]);
}

#[test]
fn each_pool_of_a_list_has_its_say() {
    let mut need = crate::gateway::core::need::Need::of(&crate::model::Spec {
        program: "/bin/sort".into(),
        ..Default::default()
    });
    assert_eq!(need.after("no".to_owned()), Err("no".to_owned()), "it has no list");
    need.placement.pool = Some(PoolList::from("long,short,local"));
    let mut said = Vec::new();
    for reason in ["a\n  and more\n", "b"] {
        need = need.after(reason.to_owned()).unwrap();
        said.push(need.last_step());
    }
    assert_eq!(
        said,
        [
            "pool 'long' refused it: a, and more; it waits in pool 'short'",
            "pool 'short' refused it: b; it waits for the gateway's own node ('local')",
        ]
    );
    assert_eq!(
        need.steps(crate::model::State::Running),
        [
            "pool 'long' refused it: a, and more; it went to pool 'short'",
            "pool 'short' refused it: b; it went to the gateway's own node ('local')",
        ]
    );
    let (own, other) = (name("head"), name("node1"));
    assert_eq!((need.pool(), need.has_list()), (None, true));
    assert_eq!(need.forbids(&own, &own), None);
    assert!(need.forbids(&other, &own).unwrap().contains("head"));
    assert_eq!(
        need.after("c".to_owned()).unwrap_err(),
        "no pool of its list takes it ('sort'): pool 'long' refused it: a, and more; pool 'short' refused \
         it: b; the gateway's own node ('local') refused it: c"
    );
}
