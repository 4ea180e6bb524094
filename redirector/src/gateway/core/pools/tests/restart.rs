//! Situations of a gateway that takes over what one before it has asked for.

use super::*;
use crate::gateway::core::pools::allocation::{Claim, Size};

fn claim(node: &str, attempt: u32) -> Claim {
    let ask = Ask {
        pool: "p".to_owned(),
        name: "run1.job".to_owned(),
        attempt,
        resources: Resources::new(Amount::ONE, 0),
        time_limit: None,
        options: EngineOptions::default(),
    };
    Claim {
        node: name(node),
        pool: ask.pool.clone(),
        name: ask.name.clone(),
        job: Some(JobId(1)),
        attempt,
        size: Size::of_job(&ask, None),
        options: ask.options,
        id: Some(EngineJobId("7".to_owned())),
    }
}

#[test]
fn an_allocation_whose_job_has_ended_meanwhile_is_given_back() {
    let mut it = Situation::per_job();
    it.machine.adopt(claim("p-1", 1));
    it.machine.part_with_all_but(|_, _| true);
    assert_eq!(it.orders(), NOTHING, "its job may be about to come");
    it.machine.part_with_all_but(|_, _| false);
    assert_eq!(it.orders(), ["stop p-1"]);
}

#[test]
fn an_allocation_of_an_attempt_that_is_over_is_not_for_the_next() {
    let mut it = Situation::of(PoolMode::PerJob);
    it.machine.last = 2;
    it.machine.adopt(claim("p-1", 3));
    it.machine.adopt(claim("p-2", 1));
    assert_eq!(it.queue(1, 1), ["stop p-1"], "{:?}", it.machine);
    assert_eq!(it.nodes_for(1), ["p-2"]);
}

#[test]
fn an_allocation_that_runs_its_job_stays() {
    let mut it = Situation::per_job();
    it.machine.adopt(claim("p-1", 1));
    it.start(1, "p-1");
    it.machine.part_with_all_but(|job, claim| claim.is_for(job, 1));
    it.up("p-1");
    assert_eq!(it.orders(), NOTHING);
    assert_eq!(it.end(1), ["leave p-1"]);
}
