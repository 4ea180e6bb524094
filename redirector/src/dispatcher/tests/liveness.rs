//! No graph of jobs gets stuck: random trees of jobs that wait for the jobs they spawn and for the
//! jobs at the other ends of their pipes, run by a model of their processes.
//!
//! A process of the model starts its children, one pipeline after the other, and waits for each
//! pipeline to end. What makes it hard:
//!
//! * it ends only after its own children;
//! * a writer of a pipe ends only once a reader has started (the pipe is full by then);
//! * a reader ends only when every writer has ended (it waits for the end of its input);
//! * children may inherit the pipes of their parent, as those of `make | tee` do: they join a pipe
//!   long after others have started;
//! * some pipes lead through processes that are no jobs, and are told of later than their jobs;
//! * all jobs of a pipeline may ask for a whole node each, as those of a run do that are to run one
//!   after the other;
//! * jobs may run on some of the nodes only, on which ones changes while they wait, and gangs and
//!   families are spread over nodes;
//! * nodes are suspended: what runs there stands still until they are reached again;
//! * nodes are lost: what ran there is called once more, without the children that it had.

use std::collections::{BTreeMap, BTreeSet};

use proptest::{prelude::*, sample::Index};

use super::{mirror::Mirror, *};

/// A command that was called: how much it asks for, and what it calls in turn.
#[derive(Clone, Debug)]
struct Command {
    cpus: u64,
    holds: Holds,
    /// Its children read where it reads.
    passes_input_on: bool,
    /// Its children write where it writes.
    passes_output_on: bool,
    /// Its output gets to the next through a process that is no job.
    hides_output: bool,
    priority: i32,
    /// The nodes it may run on, by position, or all.
    candidates: Option<Vec<Index>>,
    pipelines: Vec<Vec<Command>>,
}

fn command(children: impl Strategy<Value = Vec<Vec<Command>>>) -> impl Strategy<Value = Command> {
    let holds = prop_oneof![
        2 => Just(Holds::Worker),
        3 => Just(Holds::Lends),
        1 => Just(Holds::Supervisor),
    ];
    let pipes = (any::<bool>(), any::<bool>(), prop::bool::weighted(0.2));
    let candidates = prop::option::weighted(0.3, prop::collection::vec(any::<Index>(), 1..4));
    (1..3_u64, holds, pipes, 0..2_i32, candidates, children).prop_map(
        |(cpus, holds, pipes, priority, candidates, pipelines)| Command {
            cpus,
            holds,
            passes_input_on: pipes.0,
            passes_output_on: pipes.1,
            hides_output: pipes.2,
            priority,
            candidates,
            pipelines,
        },
    )
}

fn tree() -> impl Strategy<Value = Command> {
    command(Just(Vec::new())).prop_recursive(4, 40, 6, |inner| {
        command(prop::collection::vec(prop::collection::vec(inner, 1..4), 0..3))
    })
}

/// A called command and how far its process is.
#[derive(Debug)]
struct Process {
    command: Command,
    parent: Option<JobId>,
    pipes: Vec<(PipeId, End)>,
    /// It asks for all that a node has.
    asks_for_all: bool,
    /// What it has asked for.
    cpus: u64,
    submitted: bool,
    started: bool,
    node: Option<NodeName>,
    ended: bool,
    /// It was lost before.
    again: bool,
    next_pipeline: usize,
}

/// One step of the model.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// A process goes on.
    Advance(JobId),
    /// It is found out that the first writes to the second.
    Link(JobId, JobId),
    /// A node that was lost comes back.
    Return(usize),
    /// A node that was suspended is reached again.
    Resume(usize),
}

/// What a node has: cpus, and how many jobs and pipelines it takes.
type Size = (u64, Option<u32>, Option<u32>);

/// All processes there have been.
#[derive(Debug, Default)]
struct Machine {
    mirror: Mirror,
    nodes: Vec<Size>,
    /// Nodes that were lost and have not come back.
    away: BTreeSet<usize>,
    suspended: BTreeSet<usize>,
    processes: BTreeMap<JobId, Process>,
    called: u64,
    pipes: u64,
    /// The pipes of which the dispatcher is told by links.
    hidden: BTreeSet<PipeId>,
    linked: BTreeSet<(JobId, JobId)>,
}

impl Machine {
    /// Calls the commands of a pipeline; each has still to be submitted.
    fn call(&mut self, pipeline: &[Command], parent: Option<JobId>, asks_for_all: bool) {
        let inherited = |end, passes_on: fn(&Command) -> bool| {
            let parent = &self.processes[&parent?];
            let pipe = parent.pipes.iter().find(|(_, other)| *other == end).copied();
            pipe.filter(|_| passes_on(&parent.command))
        };
        let input = inherited(End::Read, |command| command.passes_input_on);
        let output = inherited(End::Write, |command| command.passes_output_on);
        let first = self.pipes;
        self.pipes += pipeline.len() as u64;
        let pipe = |position: usize| PipeId { device: 2, inode: first + position as u64 };
        for (position, command) in pipeline.iter().enumerate() {
            let is_last = position + 1 == pipeline.len();
            let before = position.checked_sub(1).map(|before| (pipe(before), End::Read)).or(input);
            let after = if is_last { output } else { Some((pipe(position), End::Write)) };
            if command.hides_output && !is_last {
                self.hidden.insert(pipe(position));
            }
            let job = JobId(self.called);
            self.called += 1;
            let process = Process {
                command: command.clone(),
                parent,
                pipes: before.into_iter().chain(after).collect(),
                asks_for_all,
                submitted: false,
                cpus: 0,
                started: false,
                node: None,
                ended: false,
                again: false,
                next_pipeline: 0,
            };
            self.processes.insert(job, process);
        }
    }

    /// Everything that could happen next.
    fn possible(&self) -> Vec<Step> {
        let moves = self.processes.keys().copied().filter(|&job| self.can_move(job));
        let returns = self.away.iter().copied().map(Step::Return);
        let links = self.missing_links().into_iter().map(|(a, b)| Step::Link(a, b));
        let resumes = self.suspended.iter().copied().map(Step::Resume);
        moves.map(Step::Advance).chain(returns).chain(resumes).chain(links).collect()
    }

    /// The writers and readers of hidden pipes that are there and not known to be joined.
    fn missing_links(&self) -> Vec<(JobId, JobId)> {
        let at = |pipe, end| {
            let there = self.processes.iter().filter(|(_, job)| job.submitted && !job.ended);
            there.filter(move |(_, job)| job.pipes.contains(&(pipe, end))).map(|(&job, _)| job)
        };
        let pairs = self.hidden.iter().flat_map(|&pipe| {
            at(pipe, End::Write).flat_map(move |a| at(pipe, End::Read).map(move |b| (a, b)))
        });
        pairs.filter(|pair| !self.linked.contains(pair)).collect()
    }

    fn can_move(&self, job: JobId) -> bool {
        let process = &self.processes[&job];
        if process.ended || !process.submitted {
            return !process.submitted;
        }
        let has_children =
            self.processes.values().any(|child| child.parent == Some(job) && !child.ended);
        let stands_still = self
            .suspended
            .iter()
            .any(|node| process.node.as_ref() == Some(&node_name(&node.to_string())));
        if !process.started || has_children || stands_still {
            return false;
        }
        process.next_pipeline < process.command.pipelines.len()
            || process.pipes.iter().all(|&(pipe, end)| self.lets_go(pipe, end))
    }

    /// Whether nothing at the other side of a pipe keeps a process at this end from ending.
    fn lets_go(&self, pipe: PipeId, end: End) -> bool {
        let mut others = self
            .processes
            .values()
            .filter(|process| process.pipes.iter().any(|&(of, other)| of == pipe && other != end));
        match end {
            End::Write => others.any(|reader| reader.started),
            End::Read => others.all(|writer| writer.ended),
        }
    }

    fn step(&mut self, step: Step, now: u64) {
        match step {
            Step::Advance(job) => self.advance(job, now),
            Step::Link(a, b) => {
                self.linked.insert((a, b));
                self.handle(Event::PipesLinked { a, b }, now);
            }
            Step::Return(node) => {
                self.away.remove(&node);
                self.join(node, now);
            }
            Step::Resume(node) => {
                self.suspended.remove(&node);
                self.handle(Event::NodeResumed { node: node_name(&node.to_string()) }, now);
            }
        }
    }

    /// The positions of the nodes that may run a command.
    fn candidates(&self, command: &Command) -> Option<BTreeSet<usize>> {
        let candidates = command.candidates.as_ref()?;
        Some(candidates.iter().map(|node| node.index(self.nodes.len())).collect())
    }

    /// The most cpus that any of these nodes has.
    fn largest(&self, candidates: Option<&BTreeSet<usize>>) -> u64 {
        let nodes = self.nodes.iter().enumerate();
        let allowed = nodes.filter(|(node, _)| candidates.is_none_or(|nodes| nodes.contains(node)));
        allowed.map(|(_, size)| size.0).max().expect("there are nodes")
    }

    /// Others may run a job that waits: one node that is large enough, or all.
    fn change(&mut self, job: Index, node: usize, now: u64) {
        let waiting = self.processes.iter().filter(|(_, job)| job.submitted && !job.started);
        let waiting = waiting.map(|(&job, _)| job).collect::<Vec<_>>();
        let Some(&job) = waiting.get(job.index(waiting.len().max(1))) else { return };
        let is_large_enough = self.processes[&job].cpus <= self.nodes[node].0;
        let candidates = if is_large_enough { one(&node.to_string()) } else { Candidates::Any };
        self.handle(Event::Candidates { job, candidates }, now);
    }

    fn join(&mut self, node: usize, now: u64) {
        let (size, max_jobs, max_supervisors) = self.nodes[node];
        let event = Event::NodeJoined {
            node: node_name(&node.to_string()),
            capacity: cpus(size),
            max_jobs,
            max_supervisors,
            indexed: BTreeMap::new(),
        };
        self.handle(event, now);
    }

    /// Lets one process take its next step.
    fn advance(&mut self, job: JobId, now: u64) {
        let candidates = self.candidates(&self.processes[&job].command);
        let largest = self.largest(candidates.as_ref());
        let process = self.processes.get_mut(&job).expect("it was called");
        let event = if !process.submitted {
            process.submitted = true;
            let command = &process.command;
            process.cpus = if process.asks_for_all { largest } else { command.cpus };
            let mut pipes = process.pipes.clone();
            pipes.retain(|(pipe, _)| !self.hidden.contains(pipe));
            let request = Request {
                resources: cpus(process.cpus),
                candidates: candidates.map_or(Candidates::Any, |nodes| {
                    Candidates::among(nodes.iter().map(|node| node_name(&node.to_string())))
                }),
                parent: process.parent,
                holds: command.holds,
                priority: command.priority,
                again: process.again,
                pipes,
                ..Request::default()
            };
            Event::Submitted { job, request }
        } else if let Some(pipeline) = process.command.pipelines.get(process.next_pipeline).cloned()
        {
            process.next_pipeline += 1;
            let asks_for_all = process.asks_for_all;
            self.call(&pipeline, Some(job), asks_for_all);
            return;
        } else {
            process.ended = true;
            Event::Ended { job }
        };
        self.handle(event, now);
    }

    /// A node is lost with all that ran there.
    fn lose(&mut self, node: usize, now: u64) {
        self.suspended.remove(&node);
        if self.away.insert(node) {
            self.handle(Event::NodeLost { node: node_name(&node.to_string()) }, now);
        }
    }

    /// A node cannot be reached.
    fn suspend(&mut self, node: usize, now: u64) {
        if !self.away.contains(&node) {
            self.suspended.insert(node);
            self.handle(Event::NodeSuspended { node: node_name(&node.to_string()) }, now);
        }
    }

    fn handle(&mut self, event: Event, now: u64) {
        let mut lost = Vec::new();
        for action in self.mirror.handle(event, now) {
            match action {
                Action::Start { job, node, .. } => {
                    let process = self.processes.get_mut(&job).expect("only submitted jobs start");
                    process.node = Some(node);
                    assert!(!std::mem::replace(&mut process.started, true), "{job} started twice");
                }
                Action::Lost { job, .. } => {
                    let process = self.processes.get_mut(&job).expect("only submitted jobs run");
                    (process.submitted, process.started) = (false, false);
                    process.again = true;
                    process.node = None;
                    process.next_pipeline = 0;
                    self.linked.retain(|&(a, b)| a != job && b != job);
                    lost.push(job);
                }
                Action::Refuse { .. } => panic!("{action:?}"),
            }
        }
        for job in lost {
            self.kill_children(job, now);
        }
    }

    /// What a lost process has called does not outlive it.
    fn kill_children(&mut self, parent: JobId, now: u64) {
        let children = self.processes.iter().filter(|(_, child)| child.parent == Some(parent));
        for child in children.map(|(&child, _)| child).collect::<Vec<_>>() {
            self.kill_children(child, now);
            if self.processes.remove(&child).is_some_and(|child| child.submitted && !child.ended) {
                self.handle(Event::Ended { job: child }, now);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: case_count(400),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_graph_of_jobs_ends(
        pipelines in prop::collection::vec(
            (prop::collection::vec(tree(), 1..4), prop::bool::weighted(0.2)),
            1..4,
        ),
        nodes in prop::collection::vec(
            (2..4_u64, prop::option::of(1..3_u32), prop::option::of(1..3_u32)),
            1..6,
        ),
        losses in prop::collection::btree_map(1..120_u64, any::<Index>(), 0..4),
        suspensions in prop::collection::btree_map(1..120_u64, any::<Index>(), 0..6),
        changes in prop::collection::btree_map(1..120_u64, any::<(Index, Index)>(), 0..8),
        choices in prop::collection::vec(any::<Index>(), 64),
    ) {
        let mut machine = Machine { nodes: nodes.clone(), ..Machine::default() };
        for node in 0..nodes.len() {
            machine.join(node, 0);
        }
        for (pipeline, asks_for_all) in &pipelines {
            machine.call(pipeline, None, *asks_for_all);
        }
        let mut choices = choices.iter().cycle();
        for now in 0.. {
            if let Some(node) = losses.get(&now) {
                machine.lose(node.index(nodes.len()), now);
            }
            if let Some(node) = suspensions.get(&now) {
                machine.suspend(node.index(nodes.len()), now);
            }
            if let Some((job, node)) = changes.get(&now) {
                machine.change(*job, node.index(nodes.len()), now);
            }
            let possible = machine.possible();
            if possible.is_empty() {
                break;
            }
            let choice = choices.next().expect("they go round").index(possible.len());
            machine.step(possible[choice], now);
        }
        let stuck = machine.processes.iter().filter(|(_, process)| !process.ended);
        let stuck = stuck.map(|(job, _)| job).collect::<Vec<_>>();
        prop_assert!(stuck.is_empty(), "{:?} never end: {:#?}", stuck, machine.processes);
    }
}
