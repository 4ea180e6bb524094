//! What a decision costs when the queue is long, and how many bytes it takes to wait.
//!
//! A *decision* is one event handled by a full cluster: a job is submitted, and is queued or
//! starts; or a job ends, and jobs start in its place. Each row keeps the queue at its length: for
//! every job that has started another one is submitted.
//!
//! Queues of all lengths are there at the same time, and take turns of [`ROUND`] decisions; what
//! counts is the fastest turn of each. So what else the machine does, which comes and goes, is not
//! taken for the length of the queue.
//!
//! What a queued job takes in memory is a difference: the same cluster is told once of all jobs and
//! once only of those that started, and what it takes more is divided by the number of the others.

use std::{collections::HashSet, hint::black_box, ops::Range, time::Duration};

use redirector::{
    dispatcher::{Action, Candidates, Dispatcher, Event, Timestamp},
    model::JobId,
};

use crate::{
    allocator::allocated,
    clock::timed,
    work::{candidate_lists, join, request, scramble},
};

/// So many decisions are measured at once.
const ROUND: u64 = 40_000;

/// How often each row is measured.
const ROUNDS: u64 = 7;

/// Prints a row for each length of the queue and size of the cluster.
pub(crate) fn run(lengths: &[u64]) {
    print_header();
    for nodes in [1, 100, 10_000] {
        compare(lengths, nodes, 0);
    }
    println!("the same where each job may run on half of the nodes only, in one of 16 ways");
    for nodes in [200, 10_000] {
        compare(lengths, nodes, 16);
    }
}

/// Prints the rows of one cluster, and how much longer a decision takes with the longest queue.
fn compare(lengths: &[u64], nodes: u64, lists: u64) {
    let rows = lengths.iter().map(|&queued| Row { queued, nodes, lists });
    let mut measured = rows.map(Measured::new).collect::<Vec<_>>();
    for _ in 0..ROUNDS {
        for row in &mut measured {
            row.measure(ROUND);
        }
    }
    for row in &measured {
        row.print();
    }
    if let [shortest, .., longest] = &measured[..] {
        println!(
            "{:>17} a decision takes {:.2} times as long with {} queued as with {}",
            "",
            longest.nanoseconds() / shortest.nanoseconds(),
            longest.row.queued,
            shortest.row.queued,
        );
    }
    // What is left of the loads is not to be optimised away.
    black_box(measured);
}

/// What is measured.
pub(crate) struct Row {
    /// The length of the queue.
    pub(crate) queued: u64,
    pub(crate) nodes: u64,
    /// How many lists of candidates there are; none if every node will do.
    pub(crate) lists: u64,
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
    lists: Vec<Candidates>,
    actions: Vec<Action>,
    running: Vec<JobId>,
    submitted: u64,
    started: u64,
}

impl Load {
    /// Of a cluster to which nobody has submitted anything.
    fn new(row: &Row) -> Self {
        let mut load = Self {
            dispatcher: Dispatcher::new(),
            lists: candidate_lists(row.nodes, row.lists),
            actions: Vec::with_capacity(64),
            running: Vec::with_capacity(16 * row.nodes as usize + 64),
            submitted: 0,
            started: 0,
        };
        for node in 0..row.nodes {
            load.handle(join(node));
        }
        load
    }

    fn handle(&mut self, event: Event) {
        self.dispatcher.handle(event, Timestamp(self.submitted), &mut self.actions);
        for action in self.actions.drain(..) {
            let Action::Start { job, .. } = action else { panic!("{action:?}") };
            self.running.push(job);
            self.started += 1;
        }
    }

    fn submit(&mut self) {
        let id = self.submitted;
        self.submitted += 1;
        let mut request = request(id);
        if let Some(which) = (id / 20).checked_rem(self.lists.len() as u64) {
            request.candidates = self.lists[which as usize].clone();
        }
        self.handle(Event::Submitted { job: JobId(id), request });
    }

    fn queued(&self) -> u64 {
        self.submitted - self.started
    }
}

/// A row, with a queue of its length.
pub(crate) struct Measured {
    row: Row,
    load: Load,
    /// Per queued job.
    bytes: usize,
    /// The decisions so far.
    decisions: u64,
    fastest: Option<Round>,
}

/// Some decisions one after the other.
#[derive(Clone, Copy)]
struct Round {
    decisions: u64,
    starts: u64,
    spent: Duration,
}

impl Measured {
    /// Submits jobs until as many wait as the row says.
    pub(crate) fn new(row: Row) -> Self {
        let before = allocated();
        let mut load = Load::new(&row);
        while load.queued() < row.queued {
            load.submit();
        }
        let with_queue = allocated() - before;
        let bytes = with_queue.saturating_sub(without_queue(&row, &load)) / row.queued as usize;
        Self { row, load, bytes, decisions: 0, fastest: None }
    }

    /// Has so many decisions made.
    pub(crate) fn measure(&mut self, decisions: u64) {
        let range = self.decisions..self.decisions + decisions;
        self.decisions += decisions;
        let started = self.load.started;
        let ((), spent) = timed(|| decide(&mut self.load, self.row.queued, range));
        let round = Round { decisions, starts: self.load.started - started, spent };
        if self.fastest.is_none_or(|fastest| round.nanoseconds() < fastest.nanoseconds()) {
            self.fastest = Some(round);
        }
    }

    /// How long a decision of the fastest round took.
    fn nanoseconds(&self) -> f64 {
        self.fastest.map_or(f64::NAN, Round::nanoseconds)
    }

    /// Prints the row.
    pub(crate) fn print(&self) {
        let Some(round) = self.fastest else { return };
        let Row { queued, nodes, .. } = self.row;
        println!(
            "{queued:>9} {nodes:>7} {:>12.0} {:>11.0} {:>11.0} {:>11}",
            1e9 / round.nanoseconds(),
            round.nanoseconds(),
            round.starts as f64 / round.spent.as_secs_f64(),
            self.bytes,
        );
    }
}

impl Round {
    fn nanoseconds(self) -> f64 {
        self.spent.as_secs_f64() * 1e9 / self.decisions as f64
    }
}

/// How many bytes a cluster takes to which only those jobs were submitted that run.
fn without_queue(row: &Row, load: &Load) -> usize {
    let running = load.running.iter().collect::<HashSet<_>>();
    let before = allocated();
    let mut without = Load::new(row);
    for id in 0..load.submitted {
        if running.contains(&JobId(id)) {
            without.submitted = id;
            without.submit();
        }
    }
    let bytes = allocated() - before;
    black_box(without.dispatcher);
    bytes
}

/// What is measured. Not inlined, for a profiler to find it: `valgrind --tool=callgrind
/// --toggle-collect='*decide*'` counts the instructions of this alone.
#[inline(never)]
fn decide(load: &mut Load, queued: u64, decisions: Range<u64>) {
    for decision in decisions {
        if load.queued() < queued {
            load.submit();
        } else {
            let position = scramble(decision) as usize % load.running.len();
            let job = load.running.swap_remove(position);
            load.handle(Event::Ended { job });
        }
    }
}
