//! A cluster under load, in virtual time: everything runs, nothing is over-committed, and a
//! decision does not cost more when more jobs wait.

use std::{cmp::Reverse, collections::BinaryHeap};

use super::*;

/// Submits `jobs` jobs of mixed sizes to `nodes` nodes of 16 cpus, ends each after its time, and
/// returns how many started and the number of events that took.
fn simulate(nodes: u64, jobs: u64) -> (u64, u64) {
    let mut dispatcher = Dispatcher::new();
    let mut actions = Vec::new();
    let mut events = 0;
    for node in 0..nodes {
        let capacity = Resources::new(Amount::whole(16), 64 << 30);
        let event = join(&format!("node{node}"), capacity, None);
        dispatcher.handle(event, Timestamp(0), &mut actions);
    }
    for id in 0..jobs {
        let event = Event::Submitted { job: JobId(id), request: mixed(id) };
        dispatcher.handle(event, Timestamp(0), &mut actions);
        events += 1;
    }
    let mut ends = BinaryHeap::new();
    let (mut now, mut started) = (0, 0);
    loop {
        for action in actions.drain(..) {
            let Action::Start { job, .. } = action else { panic!("{action:?}") };
            ends.push(Reverse((now + 1 + job.0 * 7_919 % 1_000, job)));
            started += 1;
        }
        let Some(Reverse((end, job))) = ends.pop() else { break };
        now = end;
        dispatcher.handle(Event::Ended { job }, Timestamp(now), &mut actions);
        events += 1;
    }
    assert_eq!(dispatcher.queue.head(), None);
    (started, events)
}

/// One of 64 requests; every tenth job is one of two that are joined by a pipe.
fn mixed(id: u64) -> Request {
    let kind = id * 2_654_435_761 % 64;
    let inode = id / 10;
    let pipe = PipeId { device: 0, inode };
    Request {
        resources: Resources::new(Amount::whole(1 + kind % 8), (1 + kind / 8) << 30),
        priority: (id % 3) as i32,
        pipes: match id % 10 {
            0 => vec![(pipe, End::Write)],
            1 => vec![(pipe, End::Read)],
            _ => Vec::new(),
        },
        ..Request::default()
    }
}

#[test]
fn a_loaded_cluster_runs_every_job_once() {
    let (started, events) = simulate(20, 5_000);
    assert_eq!(started, 5_000);
    assert_eq!(events, 10_000);
}
