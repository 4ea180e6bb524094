//! Cases that [`super::properties`] has found, as small as they could be made.

use std::collections::BTreeSet;

use super::{mirror::Mirror, *};

fn join(node: &str, cpus: u64, mem: u64) -> Event {
    super::join(node, Resources::new(Amount::whole(cpus), mem), None)
}

fn drain(node: &str) -> Event {
    Event::NodeDraining { node: node_name(node) }
}

fn submit(id: u64, request: Request) -> Event {
    Event::Submitted { job: JobId(id), request }
}

fn mem(mem: u64) -> Request {
    Request { resources: Resources::new(Amount(0), mem), ..Request::default() }
}

fn piped(inode: u64, end: End, request: Request) -> Request {
    Request { pipes: vec![(PipeId { device: 1, inode }, end)], ..request }
}

fn half_cpus(count: u64) -> Request {
    Request { resources: Resources::new(Amount(count * 5_000), 0), ..Request::default() }
}

fn link(a: u64, b: u64) -> Event {
    Event::PipesLinked { a: JobId(a), b: JobId(b) }
}

/// A node that is known and not there.
fn away(node: &str, job: u64) -> Event {
    let node = node_name(node);
    Event::Recovered { job: JobId(job), request: mem(0), node, indices: Vec::new() }
}

fn pinned(node: &str, request: Request) -> Request {
    Request { candidates: Candidates::One(node_name(node)), ..request }
}

/// The mirror checks each step.
fn run(events: Vec<Event>) -> Mirror {
    let mut mirror = Mirror::default();
    for event in events {
        mirror.handle(event, 0);
    }
    mirror
}

/// The first of a chain has no node when the others are looked at; they are needed when it starts.
#[test]
fn a_chain_that_waits_for_the_node_of_its_first() {
    let mirror = run(vec![
        join("1", 3, 2),
        join("0", 1, 3),
        drain("0"),
        submit(4, mem(3)),
        submit(5, mem(3)),
        submit(7, mem(2)),
        link(5, 4),
        link(4, 7),
        join("0", 1, 3),
    ]);
    assert!(mirror.queued().is_empty());
}

/// Somebody else has come to its end of the pipe meanwhile, so that it need not go into debt.
#[test]
fn one_that_was_needed_and_is_not_any_more() {
    let request = mem(2);
    let mirror = run(vec![
        join("2", 1, 2),
        Event::Recovered { job: JobId(2), request, node: node_name("3"), indices: Vec::new() },
        submit(3, piped(5, End::Read, mem(0))),
        submit(5, piped(5, End::Write, pinned("3", mem(4)))),
        submit(7, piped(5, End::Write, mem(0))),
        join("3", 4, 5),
    ]);
    assert_eq!(mirror.queued(), BTreeSet::from([JobId(5)]));
}

/// A job that is the first for a moment, elsewhere, does not keep the next one's own room from it.
#[test]
fn room_that_is_kept_for_one_that_is_not_the_first_any_more() {
    let cpus = |half: u64| Resources::new(Amount(half * 5_000), 0);
    let indexed = Event::NodeJoined {
        node: node_name("1"),
        capacity: Resources::new(Amount::ONE, 2),
        max_jobs: None,
        max_supervisors: None,
        indexed: BTreeMap::from([(gpus(), 2)]),
    };
    let child_of = |parent, resources| Request {
        resources,
        parent: Some(JobId(parent)),
        ..Request::default()
    };
    let mirror = run(vec![
        join("0", 1, 4),
        join("2", 2, 4),
        indexed,
        submit(3, mem(0)),
        submit(4, child_of(3, cpus(3))),
        submit(5, Request { holds: Holds::Lends, priority: 1, ..mem(1) }),
        drain("2"),
        submit(7, mem(4)),
        Event::Ended { job: JobId(3) },
        Event::Ended { job: JobId(4) },
        submit(10, child_of(5, Resources::NONE.with(gpus(), Amount(5_000)))),
    ]);
    assert!(mirror.queued().is_empty());
}

/// The one that could serve the pipe has no node, so that the next one is needed, in debt.
#[test]
fn one_that_is_needed_although_another_was_there_first() {
    let mirror = run(vec![
        join("0", 1, 2),
        away("3", 1),
        submit(2, piped(1, End::Write, half_cpus(1))),
        submit(3, half_cpus(1)),
        submit(7, piped(1, End::Read, pinned("3", mem(0)))),
        submit(8, piped(1, End::Read, half_cpus(2))),
    ]);
    assert_eq!(mirror.queued(), BTreeSet::from([JobId(7)]));
}

/// When one of those starts whose pipe is kept for one without a node, another is needed there.
#[test]
fn one_that_is_needed_since_a_job_that_waited_alone_has_started() {
    let mirror = run(vec![
        join("3", 4, 2),
        away("0", 3),
        submit(4, half_cpus(1)),
        submit(5, piped(2, End::Write, pinned("0", mem(0)))),
        submit(6, piped(2, End::Read, mem(0))),
        submit(8, piped(2, End::Write, half_cpus(1))),
        submit(9, mem(0)),
        submit(10, half_cpus(7)),
        link(9, 5),
    ]);
    assert_eq!(mirror.queued(), BTreeSet::from([JobId(5)]));
}

/// Of several at the end of a pipe that could serve a running job, the first in the queue does.
#[test]
fn one_of_many_is_needed_and_others_because_of_it() {
    let both = [0, 3].map(|inode| (PipeId { device: 1, inode }, End::Read));
    let mirror = run(vec![
        join("0", 1, 2),
        submit(16, mem(0)),
        submit(18, mem(1)),
        submit(24, piped(3, End::Write, mem(2))),
        submit(27, Request { pipes: both.to_vec(), priority: 1, ..mem(0) }),
        submit(20, piped(0, End::Write, mem(0))),
        submit(23, piped(0, End::Read, mem(1))),
        submit(25, piped(0, End::Read, mem(2))),
        link(20, 16),
    ]);
    assert_eq!(mirror.queued(), BTreeSet::from([23, 25].map(JobId)));
}

/// A running job needs it: it starts although the node has all the pipelines it may have.
#[test]
fn one_that_is_needed_where_there_is_no_place_for_a_pipeline() {
    let lends = |end| piped(2, end, Request { holds: Holds::Lends, ..mem(0) });
    let request = lends(End::Write);
    let mirror = run(vec![
        submit(3, lends(End::Read)),
        Event::Recovered { job: JobId(4), request, node: node_name("0"), indices: Vec::new() },
        Event::NodeJoined {
            node: node_name("0"),
            capacity: Resources::new(Amount::ONE, 2),
            max_jobs: None,
            max_supervisors: Some(1),
            indexed: BTreeMap::new(),
        },
    ]);
    assert!(mirror.queued().is_empty());
}

/// Two are needed and ask for the same, but only the second is needed where a node is left.
#[test]
fn one_that_is_needed_behind_one_that_has_no_node() {
    let mirror = run(vec![
        join("0", 1, 2),
        submit(1, piped(1, End::Write, mem(0))),
        drain("0"),
        Event::Recovered {
            job: JobId(2),
            request: piped(2, End::Write, mem(0)),
            node: node_name("3"),
            indices: Vec::new(),
        },
        submit(3, piped(2, End::Read, mem(1))),
        submit(4, piped(1, End::Read, mem(1))),
    ]);
    assert_eq!(mirror.queued(), BTreeSet::from([JobId(3)]));
}
