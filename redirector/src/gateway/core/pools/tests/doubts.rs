//! Jobs that something outside has ended.

use super::*;
use crate::gateway::core::pools::doubts::Seems;

const RUNS: Status = Status::Running { host: None, started: None };

impl Situation {
    /// One job runs in an allocation of its own.
    fn running() -> Self {
        let mut it = Self::per_job();
        it.queue(1, 1);
        it.taken("p-1");
        it.up("p-1");
        it.start(1, "p-1");
        it
    }

    fn doubt(&mut self, job: u64, seems: Seems) -> Vec<String> {
        self.after(Happened::Doubted { job: JobId(job), node: name("p-1"), seems })
    }

    /// As [`Self::told`], by an engine that was asked before.
    fn told_late(&mut self, status: Status, asked: Instant) -> Vec<String> {
        let (node, ran) = (name("p-1"), None);
        self.after(Happened::Told { node, status, ran, last_words: None, asked })
    }
}

#[test]
fn the_engine_says_why_a_job_was_killed() {
    for seems in [Seems::Killed, Seems::Abandoned] {
        let mut it = Situation::running();
        assert_eq!(it.doubt(1, seems), ["hasten"]);
        assert_eq!(it.told("p-1", Status::Ending), NOTHING, "that says nothing about how");
        // Nobody has to be waited for: the job's end is known.
        let ended = it.told("p-1", Status::Ended(End::Cancelled { by: None }));
        assert_eq!(ended, ["judge p-1: it was cancelled", "forget p-1"]);
    }
}

#[test]
fn in_a_healthy_allocation_the_agents_word_counts() {
    let mut it = Situation::running();
    let before = it.now;
    it.now += Duration::from_secs(1);
    assert_eq!(it.doubt(1, Seems::Killed), ["hasten"]);
    assert_eq!(it.told_late(RUNS, before), NOTHING, "it was asked before that");
    assert_eq!(it.told("p-1", RUNS), ["believe 1"]);
    assert_eq!(it.told("p-1", RUNS), NOTHING, "once");
    assert_eq!(it.end(1), ["leave p-1"]);
}

#[test]
fn an_allocation_that_loses_its_agent_is_not_healthy_although_it_runs() {
    let mut it = Situation::running();
    it.doubt(1, Seems::Abandoned);
    assert_eq!(it.told("p-1", RUNS), NOTHING, "its agent has to leave");
    let mut it = Situation::running();
    it.doubt(1, Seems::Killed);
    assert_eq!(it.down("p-1"), ["hasten"]);
    assert_eq!(it.told("p-1", RUNS), NOTHING, "its agent is gone");
    let judged = ["judge p-1: it was ended by signal 9", "forget p-1"];
    assert_eq!(it.told("p-1", Status::Ended(End::Signal(9))), judged);
}

#[test]
fn an_engine_that_says_nothing_is_not_waited_for_for_ever() {
    let mut it = Situation::running();
    it.doubt(1, Seems::Abandoned);
    let unknown = || Status::Unknown { reason: "it does not answer".to_owned() };
    it.now += Duration::from_secs(59);
    assert_eq!(it.told("p-1", unknown()), NOTHING);
    assert_eq!(it.machine.next(it.now), Some(it.now + Duration::from_secs(1)));
    assert_eq!(it.pass(Duration::from_secs(1)), ["believe 1"]);
    // One that is about to say something has more time, and not any time.
    let mut it = Situation::running();
    it.doubt(1, Seems::Abandoned);
    for _ in 0..19 {
        it.now += Duration::from_secs(30);
        assert_eq!(it.told("p-1", Status::Ending), NOTHING);
    }
    assert_eq!(it.pass(Duration::from_secs(30)), ["believe 1"]);
}

#[test]
fn a_job_beside_one_that_was_killed_is_waited_for() {
    let mut it = Situation::pilots(|_| ());
    it.queue(1, 1);
    it.queue(2, 1);
    it.taken("p-1");
    it.up("p-1");
    it.start(1, "p-1");
    it.start(2, "p-1");
    it.doubt(1, Seems::Killed);
    let ended = || Status::Ended(End::TimeLimit);
    assert_eq!(it.told("p-1", ended()), NOTHING, "its agent may be saying how the other one ended");
    assert_eq!(it.doubt(2, Seems::Abandoned), ["hasten"]);
    let judged = ["judge p-1: it reached its time limit", "forget p-1"];
    assert_eq!(it.told("p-1", ended()), judged);
}

#[test]
fn a_job_that_somebody_cancels_meanwhile_is_no_longer_doubted() {
    let mut it = Situation::running();
    it.doubt(1, Seems::Killed);
    assert_eq!(it.end(1), ["leave p-1"]);
    assert_eq!(it.told("p-1", RUNS), NOTHING);
    assert_eq!(it.told("p-1", Status::Ended(End::Done(0))), ["forget p-1"]);
}
