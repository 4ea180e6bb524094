//! A cluster's life in virtual time, with a second account of it that checks the dispatcher's.

use std::{cmp::Reverse, collections::BinaryHeap, time::Duration};

use redirector::{
    dispatcher::{Action, Dispatcher, Event, Holds, Request, Timestamp},
    model::{JobId, NodeName},
};

use crate::{
    clock::timed,
    work::{
        CHILDREN, NODE_CPUS, NODE_MEMORY, RUNS, join, lends, position_in_gang, request, scramble,
    },
};

/// The longest a job runs, in milliseconds of virtual time.
const LONGEST: u64 = 1_000_000;
/// How often a node is lost, and how long it stays away.
const LOSS_EVERY: u64 = 20_000;
const AWAY: u64 = 300_000;
/// The number of jobs of the run that comes late.
const LATE: u64 = 10;

/// What happens at some moment; jobs carry the number of the attempt, since a lost one runs again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Moment {
    Done { job: u64, attempt: u32 },
    Lose { node: u64 },
    Return { node: u64 },
}

#[derive(Clone, Debug, Default)]
struct Job {
    parent: Option<u64>,
    node: Option<u64>,
    attempt: u32,
    ended: bool,
    /// Its work is done, but jobs it waits for are not.
    done: bool,
    submitted: u64,
    live_children: u64,
    cpus: u64,
    memory: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Node {
    cpus: u64,
    memory: u64,
}

#[derive(Debug, Default)]
struct Tally {
    events: u64,
    starts: u64,
    lost: u64,
    debts: u64,
    longest_wait: u64,
    /// How long the jobs waited that came late.
    late_waits: Vec<u64>,
}

struct Cluster {
    dispatcher: Dispatcher,
    actions: Vec<Action>,
    moments: BinaryHeap<Reverse<(u64, Moment)>>,
    jobs: Vec<Job>,
    nodes: Vec<Node>,
    now: u64,
    ended: usize,
    late_from: usize,
    tally: Tally,
    /// What the dispatcher has used of a processor.
    spent: Duration,
}

/// Runs so many jobs on so many nodes to the end, and prints what it took.
pub(crate) fn run(jobs: u64, nodes: u64) {
    let mut cluster = Cluster {
        dispatcher: Dispatcher::new(),
        actions: Vec::new(),
        moments: BinaryHeap::new(),
        jobs: Vec::new(),
        nodes: vec![Node::default(); nodes as usize],
        now: 0,
        ended: 0,
        late_from: usize::MAX,
        tally: Tally::default(),
        spent: Duration::ZERO,
    };
    for node in 0..nodes {
        cluster.handle(join(node));
    }
    // The others are spawned by these, one in 50 of which has children.
    let submitted = jobs * 50 / (50 + CHILDREN);
    for _ in 0..submitted {
        cluster.submit(None);
    }
    cluster.moments.push(Reverse((LOSS_EVERY, Moment::Lose { node: 0 })));
    cluster.live(submitted as usize / 2);
    cluster.report(nodes);
}

impl Cluster {
    fn live(&mut self, late_after: usize) {
        while self.late_from == usize::MAX || self.ended < self.jobs.len() {
            let Some(Reverse((now, moment))) = self.moments.pop() else {
                panic!("{} of {} jobs have ended, and nothing runs", self.ended, self.jobs.len())
            };
            self.now = now;
            match moment {
                Moment::Done { job, attempt } => self.done(job, attempt),
                Moment::Lose { node } => self.lose(node),
                Moment::Return { node } => self.handle(join(node)),
            }
            if self.late_from == usize::MAX && self.ended >= late_after {
                self.late_from = self.jobs.len();
                for _ in 0..LATE {
                    self.submit(None);
                }
            }
        }
        assert_eq!(self.dispatcher.job_count(), 0, "the dispatcher remembers jobs that have ended");
    }

    /// What a job asks for; the late ones are a run of their own, of the highest priority.
    fn request(&self, id: u64) -> Request {
        let mut request = request(id);
        if self.jobs[id as usize].parent.is_some() || id as usize >= self.late_from {
            request.pipes.clear();
            request.holds = Holds::Worker;
        }
        if id as usize >= self.late_from && self.jobs[id as usize].parent.is_none() {
            (request.share, request.priority) = (Some(JobId(RUNS)), 2);
        }
        request.parent = self.jobs[id as usize].parent.map(JobId);
        request.again = self.jobs[id as usize].attempt > 0;
        request
    }

    fn is_lender(&self, id: u64) -> bool {
        lends(id) && self.is_of_first(id)
    }

    fn is_piped(&self, id: u64) -> bool {
        position_in_gang(id).is_some() && self.is_of_first(id)
    }

    fn is_of_first(&self, id: u64) -> bool {
        self.jobs[id as usize].parent.is_none() && (id as usize) < self.late_from
    }

    fn submit(&mut self, parent: Option<u64>) {
        let id = self.jobs.len() as u64;
        self.jobs.push(Job { parent, submitted: self.now, ..Job::default() });
        let request = self.request(id);
        let job = &mut self.jobs[id as usize];
        job.cpus = request.resources.cpus.0;
        job.memory = request.resources.mem;
        if let Some(parent) = parent {
            self.jobs[parent as usize].live_children += 1;
            if self.jobs[parent as usize].live_children == 1 {
                self.charge(parent, false);
            }
        }
        self.handle(Event::Submitted { job: JobId(id), request });
    }

    /// Puts down or takes back what a running job holds.
    fn charge(&mut self, id: u64, holds: bool) {
        let job = &self.jobs[id as usize];
        let Some(node) = job.node else { return };
        let node = &mut self.nodes[node as usize];
        if holds {
            node.cpus += job.cpus;
            node.memory += job.memory;
        } else {
            node.cpus -= job.cpus;
            node.memory -= job.memory;
        }
    }

    fn handle(&mut self, event: Event) {
        let mut actions = std::mem::take(&mut self.actions);
        let now = Timestamp(self.now);
        let ((), spent) = timed(|| self.dispatcher.handle(event, now, &mut actions));
        self.spent += spent;
        self.tally.events += 1;
        let mut spawn = Vec::new();
        let mut again = Vec::new();
        for action in actions.drain(..) {
            match action {
                Action::Start { job: JobId(id), node, .. } => {
                    self.start(id, &node);
                    if self.is_lender(id) {
                        spawn.push(id);
                    }
                }
                Action::Lost { job: JobId(id), .. } => {
                    self.forget_lost(id);
                    again.push(id);
                }
                Action::Refuse { .. } => panic!("{action:?}"),
            }
        }
        self.actions = actions;
        for id in again {
            let request = self.request(id);
            self.handle(Event::Submitted { job: JobId(id), request });
        }
        for parent in spawn {
            // One that was lost has its children still.
            if self.jobs[parent as usize].attempt == 1 {
                for _ in 0..CHILDREN {
                    self.submit(Some(parent));
                }
            }
        }
    }

    fn start(&mut self, id: u64, node: &NodeName) {
        let index = node.0["node".len()..].parse::<u64>().expect("the nodes are numbered");
        let is_piped = self.is_piped(id);
        let job = &mut self.jobs[id as usize];
        assert!(job.node.is_none() && !job.ended, "job {id} was started twice");
        job.node = Some(index);
        job.attempt += 1;
        job.done = false;
        let (attempt, wait) = (job.attempt, self.now - job.submitted);
        if job.live_children == 0 {
            self.charge(id, true);
        }
        let node = self.nodes[index as usize];
        if node.cpus > NODE_CPUS * 10_000 || node.memory > NODE_MEMORY << 30 {
            // Only who is joined to a running job by a pipe may go into debt here: all gangs fit
            // on one node, and no job that waits for jobs it spawned holds anything.
            assert!(is_piped, "job {id} was started on node {index}, which is full: {node:?}");
            self.tally.debts += 1;
        }
        self.tally.starts += 1;
        if id as usize >= self.late_from && self.jobs[id as usize].parent.is_none() {
            self.tally.late_waits.push(wait);
        } else {
            self.tally.longest_wait = self.tally.longest_wait.max(wait);
        }
        let run_time = 1 + scramble(id ^ 0x5555) % LONGEST;
        self.moments.push(Reverse((self.now + run_time, Moment::Done { job: id, attempt })));
    }

    /// A job's own work is done. It ends when its children have, and a reader when its writer has.
    fn done(&mut self, id: u64, attempt: u32) {
        let job = &mut self.jobs[id as usize];
        if job.attempt != attempt || job.node.is_none() {
            return;
        }
        job.done = true;
        self.end_if_free(id);
    }

    fn end_if_free(&mut self, id: u64) {
        let job = &self.jobs[id as usize];
        let writer = (self.is_piped(id) && position_in_gang(id) != Some(0)).then(|| id - 1);
        let writer = writer.filter(|&writer| self.is_piped(writer));
        let waits = writer.is_some_and(|writer| !self.jobs[writer as usize].ended);
        if !job.done || job.node.is_none() || job.live_children > 0 || waits {
            return;
        }
        self.charge(id, false);
        let job = &mut self.jobs[id as usize];
        assert!(!std::mem::replace(&mut job.ended, true), "job {id} has ended twice");
        job.node = None;
        let parent = job.parent;
        self.ended += 1;
        if let Some(parent) = parent {
            self.jobs[parent as usize].live_children -= 1;
            if self.jobs[parent as usize].live_children == 0 {
                self.charge(parent, true);
            }
        }
        self.handle(Event::Ended { job: JobId(id) });
        if let Some(parent) = parent {
            self.end_if_free(parent);
        }
        if self.is_piped(id)
            && position_in_gang(id) != Some(2)
            && (id + 1) < self.jobs.len() as u64
            && self.is_piped(id + 1)
        {
            self.end_if_free(id + 1);
        }
    }

    /// How long the last of the late jobs waited.
    fn late_wait(&self) -> u64 {
        self.tally.late_waits.last().copied().unwrap_or_default()
    }

    fn lose(&mut self, node: u64) {
        self.moments.push(Reverse((self.now + AWAY, Moment::Return { node })));
        let next = scramble(self.now) % self.nodes.len() as u64;
        self.moments.push(Reverse((self.now + LOSS_EVERY, Moment::Lose { node: next })));
        self.handle(Event::NodeLost { node: NodeName(format!("node{node}")) });
    }

    fn forget_lost(&mut self, id: u64) {
        if self.jobs[id as usize].live_children == 0 {
            self.charge(id, false);
        }
        let job = &mut self.jobs[id as usize];
        assert!(job.node.take().is_some(), "job {id} was lost without running");
        self.tally.lost += 1;
    }

    fn report(&mut self, nodes: u64) {
        let work = self.jobs.iter().enumerate();
        let work = work.map(|(id, job)| (1 + scramble(id as u64 ^ 0x5555) % LONGEST) * job.cpus);
        let ideal = work.sum::<u64>() / (nodes * NODE_CPUS * 10_000);
        self.tally.late_waits.sort_unstable();
        let Tally { events, starts, lost, debts, longest_wait, .. } = self.tally;
        // Nothing is starved: the cluster was busy to the end.
        let bound = 2 * ideal + 4 * LONGEST;
        assert!(longest_wait < bound, "a job waited {longest_wait} ms, more than {bound} ms");
        // What came late is of the highest of three priorities: most of it fits on some node and
        // starts soon, before all others. A large one waits for room, behind the large ones of its
        // priority: those that came before it and were overtaken by small ones, which is what its
        // account is set back to. So it may wait as long as that third of all work takes.
        let (late_half, late_wait) = (self.tally.late_waits[LATE as usize / 2], self.late_wait());
        let late_bound = ideal / 3 + LONGEST;
        assert!(late_half < LONGEST / 10, "half of the late jobs waited {late_half} ms or more");
        assert!(late_wait < late_bound, "a late job waited {late_wait} ms, more than {late_bound}");
        println!(
            "{} jobs on {nodes} nodes, in {} s of virtual time",
            self.jobs.len(),
            self.now / 1000
        );
        println!("  {events} decisions, {starts} starts, {lost} of lost jobs that ran again");
        println!(
            "  {debts} starts into debt, each at a pipe to a running job; no other over-commit"
        );
        println!("  every job has ended once; longest wait {} s", longest_wait / 1000);
        println!(
            "  {LATE} jobs of a run that came when half was done: half of them waited {} s at most, \
             the last {} s",
            late_half / 1000,
            late_wait / 1000
        );
        let seconds = self.spent.as_secs_f64();
        println!(
            "  {:.0} decisions/s, {:.0} starts/s in {seconds:.1} s on one core",
            events as f64 / seconds,
            starts as f64 / seconds,
        );
    }
}
