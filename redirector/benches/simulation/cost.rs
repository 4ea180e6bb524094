//! What a decision costs when the queue is long, and how many bytes it takes to wait.
//!
//! A *decision* is one event handled by a full cluster: a job is submitted, and is queued or
//! starts; or a job ends, and jobs start in its place. Each row keeps the queue at its length: for
//! every job that has started another one is submitted.

use std::hint::black_box;

use redirector::{
    dispatcher::{Action, Dispatcher, Event, Timestamp},
    model::JobId,
};

use crate::{
    allocator::allocated,
    clock::timed,
    work::{join, request, scramble},
};

/// How many there are in each row.
const DECISIONS: u64 = 200_000;

/// Prints a row for each length of the queue and size of the cluster.
pub(crate) fn run(lengths: &[u64]) {
    print_header();
    for &queued in lengths {
        for nodes in [1, 100, 10_000] {
            measure(queued, nodes, DECISIONS);
        }
    }
}

/// What the columns are.
pub(crate) fn print_header() {
    println!("a decision is a job that is submitted, or one that has ended, with all starts that");
    println!("follow; seconds are those of one processor");
    println!(
        "{:>9} {:>7} {:>12} {:>11} {:>11} {:>11}",
        "queued", "nodes", "decisions/s", "ns/decision", "starts/s", "bytes/job"
    );
}

/// A dispatcher with what its caller knows of it.
struct Load {
    dispatcher: Dispatcher,
    actions: Vec<Action>,
    running: Vec<JobId>,
    submitted: u64,
    started: u64,
}

impl Load {
    fn handle(&mut self, event: Event) {
        self.dispatcher.handle(event, Timestamp(self.submitted), &mut self.actions);
        for action in self.actions.drain(..) {
            let Action::Start { job, .. } = action else { panic!("{action:?}") };
            self.running.push(job);
            self.started += 1;
        }
    }

    fn submit(&mut self) {
        let job = JobId(self.submitted);
        self.submitted += 1;
        self.handle(Event::Submitted { job, request: request(job.0) });
    }

    fn queued(&self) -> u64 {
        self.submitted - self.started
    }
}

/// Prints the row for a queue of that length.
pub(crate) fn measure(queued: u64, nodes: u64, decisions: u64) {
    let mut load = Load {
        dispatcher: Dispatcher::new(),
        actions: Vec::with_capacity(64),
        running: Vec::with_capacity(16 * nodes as usize + 64),
        submitted: 0,
        started: 0,
    };
    for node in 0..nodes {
        load.handle(join(node));
    }
    let mut before = (allocated(), load.queued());
    while load.queued() < queued {
        if load.queued() == queued / 10 {
            before = (allocated(), load.queued());
        }
        load.submit();
    }
    let bytes = allocated().saturating_sub(before.0) / (load.queued() - before.1).max(1) as usize;
    let started = load.started;
    let ((), spent) = timed(|| decide(&mut load, queued, decisions));
    let seconds = spent.as_secs_f64();
    println!(
        "{queued:>9} {nodes:>7} {:>12.0} {:>11.0} {:>11.0} {bytes:>11}",
        decisions as f64 / seconds,
        seconds * 1e9 / decisions as f64,
        (load.started - started) as f64 / seconds,
    );
    black_box(load.dispatcher);
}

/// What is measured. Not inlined, for a profiler to find it: `valgrind --tool=callgrind
/// --toggle-collect='*decide*'` counts the instructions of this alone.
#[inline(never)]
fn decide(load: &mut Load, queued: u64, decisions: u64) {
    for decision in 0..decisions {
        if load.queued() < queued {
            load.submit();
        } else {
            let position = scramble(decision) as usize % load.running.len();
            let job = load.running.swap_remove(position);
            load.handle(Event::Ended { job });
        }
    }
}
