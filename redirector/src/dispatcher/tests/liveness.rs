//! No graph of jobs gets stuck: random trees of jobs that wait for the jobs they spawn and for the
//! jobs at the other ends of their pipes, run by a model of their processes.
//!
//! A process of the model starts its children, one pipeline after the other, and waits for each
//! pipeline to end. What makes it hard:
//!
//! * it ends only after its own children;
//! * a writer of a pipe ends only once a reader has started (the pipe is full by then);
//! * a reader ends only when every writer has ended (it waits for the end of its input);
//! * children may inherit the pipe their parent writes to, as those of `make | tee` do.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{mirror::Mirror, *};

/// A command that was called: how much it asks for, and what it calls in turn.
#[derive(Clone, Debug)]
struct Command {
    cpus: u64,
    holds: Holds,
    /// Its children write where it writes.
    passes_output_on: bool,
    priority: i32,
    pinned: bool,
    pipelines: Vec<Vec<Command>>,
}

fn command(children: impl Strategy<Value = Vec<Vec<Command>>>) -> impl Strategy<Value = Command> {
    let holds = prop_oneof![
        2 => Just(Holds::Worker),
        3 => Just(Holds::Lends),
        1 => Just(Holds::Supervisor),
    ];
    (1..3_u64, holds, any::<bool>(), 0..2_i32, prop::bool::weighted(0.2), children).prop_map(
        |(cpus, holds, passes_output_on, priority, pinned, pipelines)| Command {
            cpus,
            holds,
            passes_output_on,
            priority,
            pinned,
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
    submitted: bool,
    started: bool,
    ended: bool,
    next_pipeline: usize,
}

/// All processes there have been.
#[derive(Debug, Default)]
struct Machine {
    mirror: Mirror,
    processes: BTreeMap<JobId, Process>,
    pipes: u64,
}

impl Machine {
    /// Calls the commands of a pipeline; each has still to be submitted.
    fn call(&mut self, pipeline: &[Command], parent: Option<JobId>) {
        let inherited = parent.map(|parent| &self.processes[&parent]).and_then(|parent| {
            let output = parent.pipes.iter().find(|(_, end)| *end == End::Write);
            output.filter(|_| parent.command.passes_output_on).copied()
        });
        let first = self.pipes;
        self.pipes += pipeline.len() as u64;
        let pipe = |position: usize| PipeId { device: 2, inode: first + position as u64 };
        for (position, command) in pipeline.iter().enumerate() {
            let mut pipes = Vec::new();
            if position > 0 {
                pipes.push((pipe(position - 1), End::Read));
            }
            if position + 1 < pipeline.len() {
                pipes.push((pipe(position), End::Write));
            } else {
                pipes.extend(inherited);
            }
            let job = JobId(self.processes.len() as u64);
            let process = Process {
                command: command.clone(),
                parent,
                pipes,
                submitted: false,
                started: false,
                ended: false,
                next_pipeline: 0,
            };
            self.processes.insert(job, process);
        }
    }

    /// Everything that could happen next.
    fn possible(&self) -> Vec<JobId> {
        self.processes.keys().copied().filter(|&job| self.can_move(job)).collect()
    }

    fn can_move(&self, job: JobId) -> bool {
        let process = &self.processes[&job];
        if process.ended || !process.submitted {
            return !process.submitted;
        }
        let has_children =
            self.processes.values().any(|child| child.parent == Some(job) && !child.ended);
        if !process.started || has_children {
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

    /// Lets one process take its next step.
    fn advance(&mut self, job: JobId, now: u64) {
        let process = self.processes.get_mut(&job).expect("it was called");
        let event = if !process.submitted {
            process.submitted = true;
            let command = &process.command;
            let request = Request {
                resources: cpus(command.cpus),
                node: command.pinned.then(|| node_name("0")),
                parent: process.parent,
                holds: command.holds,
                priority: command.priority,
                pipes: process.pipes.clone(),
                ..Request::default()
            };
            Event::Submitted { job, request }
        } else if let Some(pipeline) = process.command.pipelines.get(process.next_pipeline).cloned()
        {
            process.next_pipeline += 1;
            self.call(&pipeline, Some(job));
            return;
        } else {
            process.ended = true;
            Event::Ended { job }
        };
        for action in self.mirror.handle(event, now) {
            let Action::Start { job, .. } = action else { panic!("{action:?}") };
            let process = self.processes.get_mut(&job).expect("only submitted jobs start");
            assert!(!std::mem::replace(&mut process.started, true), "{job} started twice");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_graph_of_jobs_ends(
        pipelines in prop::collection::vec(prop::collection::vec(tree(), 1..4), 1..4),
        nodes in prop::collection::vec(
            (2..4_u64, prop::option::of(1..3_u32), prop::option::of(1..3_u32)),
            1..3,
        ),
        choices in prop::collection::vec(any::<prop::sample::Index>(), 64),
    ) {
        let mut machine = Machine::default();
        for (position, &(size, max_jobs, max_supervisors)) in nodes.iter().enumerate() {
            let event = Event::NodeJoined {
                node: node_name(&position.to_string()),
                capacity: cpus(size),
                max_jobs,
                max_supervisors,
                indexed: BTreeMap::new(),
            };
            machine.mirror.handle(event, 0);
        }
        for pipeline in &pipelines {
            machine.call(pipeline, None);
        }
        let mut choices = choices.iter().cycle();
        for now in 0.. {
            let possible = machine.possible();
            if possible.is_empty() {
                break;
            }
            let choice = choices.next().expect("they go round").index(possible.len());
            machine.advance(possible[choice], now);
        }
        let stuck = machine.processes.iter().filter(|(_, process)| !process.ended);
        let stuck = stuck.map(|(job, _)| job).collect::<Vec<_>>();
        prop_assert!(stuck.is_empty(), "{:?} never end: {:#?}", stuck, machine.processes);
    }
}
