//! Situations in which an engine does not hear at once that something is to end, or does not say
//! that it has begun it.

use super::*;
use crate::gateway::core::pools::machine::LEAVE;

fn stopped(it: &mut Situation, node: &str) -> Vec<String> {
    let id = EngineJobId(format!("id of {node}"));
    it.after(Happened::Stopped { node: name(node), id })
}

#[test]
fn an_engine_is_told_to_end_something_until_it_has_heard() {
    let mut it = Situation::per_job();
    it.queue(1, 1);
    it.taken("p-1");
    let failed = Status::Ended(End::Failed("held".to_owned()));
    assert_eq!(it.told("p-1", failed), ["stop p-1", "refuse 1", "forget p-1"]);
    assert_eq!(it.pass(LEAVE / 2), NOTHING);
    assert_eq!(it.pass(LEAVE / 2), ["stop p-1"]);
    assert_eq!(stopped(&mut it, "p-1"), NOTHING);
    assert_eq!(it.pass(LEAVE * 2), NOTHING);
    assert!(it.machine.next(it.now).is_none());
}

#[test]
fn what_an_engine_does_not_list_while_its_agent_is_there_is_not_gone() {
    let mut it = Situation::per_job();
    it.queue(1, 1);
    it.taken("p-1");
    it.up("p-1");
    it.start(1, "p-1");
    for _ in 0..3 {
        assert_eq!(it.told("p-1", Status::Forgotten), NOTHING);
    }
    assert_eq!(it.down("p-1"), ["hasten"]);
    assert_eq!(it.told("p-1", Status::Forgotten), NOTHING);
    let gone = it.told("p-1", Status::Forgotten);
    assert_eq!((&*gone[0], gone.last().unwrap().as_str()), ("stop p-1", "forget p-1"));
}

/// Nobody knows whether the engine has taken it, until its agent comes.
#[test]
fn what_has_come_is_not_asked_for_again() {
    let mut it = Situation::per_job();
    it.queue(1, 1);
    it.refused("p-1", Refusal::Unsure("no answer".to_owned()));
    assert_eq!(it.up("p-1"), NOTHING);
    assert_eq!(it.start(1, "p-1"), NOTHING);
    assert_eq!(it.pass(Duration::from_mins(5)), NOTHING);
    assert_eq!(it.end(1), ["leave p-1"]);
    assert_eq!(it.down("p-1"), ["forget p-1"]);
}
