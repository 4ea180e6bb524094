//! Situations of jobs that take longer than the allocations last that are there.

use super::*;

/// With an allocation that ends in ten minutes, and does not drain yet.
fn with_one_that_ends_soon(max_blocks: u32) -> Situation {
    let mut it = Situation::pilots(|pilot| pilot.max_blocks = max_blocks);
    it.queue(1, 4);
    it.taken("p-1");
    it.up("p-1");
    it.start(1, "p-1");
    assert_eq!(it.pass(Duration::from_mins(50)), NOTHING);
    it
}

const LONG: Option<Duration> = Some(Duration::from_mins(30));

#[test]
fn a_long_job_has_another_allocation_however_little_it_asks_for() {
    let mut it = with_one_that_ends_soon(3);
    it.end(1);
    assert_eq!(it.queue_limited(2, 1, LONG), ["submit p-2 with 4 cpus"]);
    assert_eq!(it.queue_limited(3, 1, LONG), NOTHING, "that one lasts long enough for both");
    assert_eq!(it.nodes_for(2), ["p-2"]);
}

#[test]
fn where_there_may_be_no_other_one_that_is_idle_makes_room() {
    let mut it = with_one_that_ends_soon(1);
    assert_eq!(it.queue_limited(2, 1, LONG), NOTHING, "a job runs there");
    assert_eq!(it.end(1), ["drain p-1", "leave p-1"]);
    assert_eq!(it.down("p-1"), NOTHING);
    assert_eq!(
        it.told("p-1", Status::Ended(End::Done(0))),
        ["forget p-1", "submit p-2 with 4 cpus"]
    );
}
