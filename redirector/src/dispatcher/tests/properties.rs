//! Random events in random order: whatever happens, the [`Mirror`] has nothing to object to.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::{mirror::Mirror, *};

/// One thing that happens. Jobs and nodes are picked by position among those there are.
#[derive(Clone, Debug)]
enum Step {
    Join { node: u8, cpus: u64, mem: u64, limits: (Option<u32>, Option<u32>), gpus: Option<u32> },
    Drain { node: u8 },
    Lose { node: u8 },
    Suspend { node: u8 },
    Resume { node: u8 },
    Remove { node: u8 },
    Submit(Draft),
    Recover { draft: Draft, node: u8 },
    End { pick: u8 },
    Cancel { pick: u8 },
    Change { pick: u8, candidates: Nodes },
    Link { a: u8, b: u8 },
    Promise { pick: u8 },
    Withdraw { pick: u8 },
    Follow { after: u8, pick: u8 },
    Wait { milliseconds: u64 },
}

/// Some nodes by number, or all.
type Nodes = Option<Vec<u8>>;

/// A request still to be filled in with the ids of jobs there are.
#[derive(Clone, Debug)]
struct Draft {
    half_cpus: u64,
    mem: u64,
    half_gpus: u64,
    share: Option<u8>,
    again: bool,
    candidates: Nodes,
    near: Nodes,
    parent: Option<u8>,
    holds: Holds,
    priority: i32,
    pipes: Vec<(u8, End)>,
    time_limit: Option<u64>,
}

/// The last of these nodes never joins.
fn nodes(are_some: f64) -> impl Strategy<Value = Nodes> {
    let some =
        prop_oneof![prop::collection::vec(0..4_u8, 1), prop::collection::vec(0..5_u8, 0..4),];
    prop::option::weighted(are_some, some)
}

fn candidates(nodes: &Nodes) -> Candidates {
    let name = |node: &u8| node_name(&node.to_string());
    nodes.as_ref().map_or(Candidates::Any, |nodes| Candidates::among(nodes.iter().map(name)))
}

fn draft() -> impl Strategy<Value = Draft> {
    let holds = prop_oneof![
        6 => Just(Holds::Worker),
        3 => Just(Holds::Lends),
        1 => Just(Holds::Supervisor),
    ];
    let end = prop_oneof![Just(End::Read), Just(End::Write)];
    let some_pipes = prop::collection::vec((0..6_u8, end), 0..3);
    let pipes = prop_oneof![2 => Just(Vec::new()), 1 => some_pipes];
    (
        (0..9_u64, 0..5_u64, nodes(0.3), nodes(0.2)),
        (prop::option::weighted(0.3, any::<u8>()), holds, -1..2_i32),
        (pipes, prop::option::weighted(0.5, 1..50_u64)),
        (
            prop_oneof![3 => Just(0), 1 => 1..5_u64],
            prop::option::of(0..3_u8),
            prop::bool::weighted(0.1),
        ),
    )
        .prop_map(
            |(
                (half_cpus, mem, candidates, near),
                (parent, holds, priority),
                (pipes, time_limit),
                (half_gpus, share, again),
            )| Draft {
                half_cpus,
                mem,
                half_gpus,
                share,
                again,
                candidates,
                near,
                parent,
                holds,
                priority,
                pipes,
                time_limit,
            },
        )
}

fn joined() -> impl Strategy<Value = Step> {
    let limit = || prop::option::weighted(0.3, 1..4_u32);
    let gpus = prop::option::weighted(0.5, 1..3_u32);
    (0..4_u8, 1..5_u64, 2..6_u64, (limit(), limit()), gpus)
        .prop_map(|(node, cpus, mem, limits, gpus)| Step::Join { node, cpus, mem, limits, gpus })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => joined(),
        1 => (0..4_u8).prop_map(|node| Step::Drain { node }),
        1 => (0..4_u8).prop_map(|node| Step::Lose { node }),
        1 => (0..4_u8).prop_map(|node| Step::Remove { node }),
        1 => (0..4_u8).prop_map(|node| Step::Suspend { node }),
        2 => (0..4_u8).prop_map(|node| Step::Resume { node }),
        24 => draft().prop_map(Step::Submit),
        1 => (draft(), 0..4_u8).prop_map(|(draft, node)| Step::Recover { draft, node }),
        16 => any::<u8>().prop_map(|pick| Step::End { pick }),
        3 => any::<u8>().prop_map(|pick| Step::Cancel { pick }),
        2 => (any::<u8>(), nodes(0.7))
            .prop_map(|(pick, candidates)| Step::Change { pick, candidates }),
        2 => (any::<u8>(), any::<u8>()).prop_map(|(a, b)| Step::Link { a, b }),
        8 => any::<u8>().prop_map(|pick| Step::Promise { pick }),
        2 => any::<u8>().prop_map(|pick| Step::Withdraw { pick }),
        6 => (any::<u8>(), any::<u8>()).prop_map(|(after, pick)| Step::Follow { after, pick }),
        4 => (1..30_u64).prop_map(|milliseconds| Step::Wait { milliseconds }),
    ]
}

fn pick(jobs: &BTreeSet<JobId>, position: u8) -> Option<JobId> {
    jobs.iter().copied().nth(usize::from(position) % jobs.len().max(1))
}

impl Draft {
    fn request(&self, running: &BTreeSet<JobId>) -> Request {
        let pipe = |inode: u8| PipeId { device: 1, inode: inode.into() };
        Request {
            resources: Resources::new(Amount(self.half_cpus * 5_000), self.mem)
                .with(gpus(), Amount(self.half_gpus * 5_000)),
            candidates: candidates(&self.candidates),
            near: self.near.is_some().then(|| candidates(&self.near).names().into()),
            parent: self.parent.and_then(|position| pick(running, position)),
            holds: self.holds,
            priority: self.priority,
            pipes: self.pipes.iter().map(|&(inode, end)| (pipe(inode), end)).collect(),
            time_limit: self.time_limit,
            share: self.share.map(|share| JobId(share.into())),
            again: self.again,
        }
    }
}

fn event(step: &Step, mirror: &Mirror, next_job: JobId) -> Option<Event> {
    let name = |node: u8| node_name(&node.to_string());
    let (running, queued) = (mirror.running(), mirror.queued());
    Some(match *step {
        Step::Join { node, cpus, mem, limits: (max_jobs, max_supervisors), gpus: count } => {
            Event::NodeJoined {
                node: name(node),
                capacity: Resources::new(Amount::whole(cpus), mem),
                max_jobs,
                max_supervisors,
                indexed: count.map(|count| (gpus(), count)).into_iter().collect(),
            }
        }
        Step::Drain { node } => Event::NodeDraining { node: name(node) },
        Step::Lose { node } => Event::NodeLost { node: name(node) },
        Step::Remove { node } => Event::NodeRemoved { node: name(node) },
        Step::Suspend { node } => Event::NodeSuspended { node: name(node) },
        Step::Resume { node } => Event::NodeResumed { node: name(node) },
        Step::Submit(ref draft) => {
            Event::Submitted { job: next_job, request: draft.request(&running) }
        }
        Step::Recover { ref draft, node } => {
            let request = draft.request(&running);
            Event::Recovered { job: next_job, request, node: name(node), indices: Vec::new() }
        }
        Step::End { pick: position } => Event::Ended { job: pick(&running, position)? },
        Step::Cancel { pick: position } => Event::Cancelled { job: pick(&queued, position)? },
        Step::Change { pick: position, candidates: ref nodes } => {
            let candidates = candidates(nodes);
            Event::Candidates { job: pick(&queued, position)?, candidates }
        }
        Step::Link { a, b } => {
            let all = &running | &queued;
            Event::PipesLinked { a: pick(&all, a)?, b: pick(&all, b)? }
        }
        Step::Promise { pick: position } => {
            let after = pick(&running, position)?;
            Event::Promised { job: mirror.dispatcher.successor(after)?, after }
        }
        Step::Withdraw { pick: position } => {
            Event::Withdrawn { job: pick(&mirror.promised(), position)? }
        }
        Step::Follow { after, pick: position } => {
            let started = pick(&mirror.promised(), position)?;
            let mut places = running;
            places.retain(|&running| mirror.can_follow(started, running));
            Event::Followed { ended: pick(&places, after)?, started }
        }
        Step::Wait { .. } => return None,
    })
}

/// Ends running jobs until none is left, the one after the other. Nobody is bound to a place then.
fn run_to_the_end(mirror: &mut Mirror, mut now: u64) {
    while let Some(&job) = mirror.promised().first() {
        mirror.handle(Event::Withdrawn { job }, now);
    }
    while let Some(&job) = mirror.running().first() {
        now += 1;
        mirror.handle(Event::Ended { job }, now);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: case_count(600),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn nothing_is_overcommitted_overtaken_or_left_waiting(
        first in joined(),
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let mut mirror = Mirror::default();
        let mut now = 0;
        for (position, step) in std::iter::once(&first).chain(&steps).enumerate() {
            if let Step::Wait { milliseconds } = step {
                now += milliseconds;
            }
            if let Some(event) = event(step, &mirror, JobId(position as u64)) {
                mirror.handle(event, now);
            }
        }
        for node in 0..4 {
            let event = Event::NodeJoined {
                node: node_name(&node.to_string()),
                capacity: Resources::new(Amount::whole(4), 5),
                max_jobs: None,
                max_supervisors: None,
                indexed: BTreeMap::from([(gpus(), 2)]),
            };
            mirror.handle(event, now);
        }
        run_to_the_end(&mut mirror, now);
        prop_assert_eq!(mirror.queued(), BTreeSet::new());
    }

    /// Without pipes and loans the first in the queue starts, at the latest, when all jobs have
    /// ended that ran on its node when room was first kept for it there.
    #[test]
    fn the_first_in_the_queue_is_not_starved(
        nodes in prop::collection::vec(2..6_u64, 1..4),
        submissions in prop::collection::vec((1..6_u64, any::<u8>(), any::<bool>()), 1..80),
    ) {
        let mut mirror = Mirror::default();
        for (position, &size) in nodes.iter().enumerate() {
            mirror.handle(join(&position.to_string(), cpus(size), None), 0);
        }
        let mut kept: Option<(JobId, BTreeSet<JobId>)> = None;
        for (position, &(size, end, ends)) in submissions.iter().enumerate() {
            let job = JobId(position as u64);
            let request = Request { resources: cpus(size), ..Request::default() };
            mirror.handle(Event::Submitted { job, request }, 0);
            if ends && let Some(ended) = pick(&mirror.running(), end) {
                if let Some(started) = mirror.dispatcher.successor(ended) {
                    mirror.handle(Event::Promised { job: started, after: ended }, 0);
                    mirror.handle(Event::Followed { ended, started }, 0);
                } else {
                    mirror.handle(Event::Ended { job: ended }, 0);
                }
            }
            let Some(reservation) = &mirror.dispatcher.reservation else {
                kept = None;
                continue;
            };
            let first = reservation.unit.job;
            let nodes = reservation.shares.keys().collect::<Vec<_>>();
            let here = nodes.iter().flat_map(|&&node| &mirror.dispatcher.nodes[node].running);
            let here = here.copied().collect::<BTreeSet<_>>();
            match &mut kept {
                Some((job, ran)) if *job == first => {
                    ran.retain(|job| here.contains(job));
                    prop_assert!(!ran.is_empty(), "{} was overtaken for too long", first);
                }
                _ => kept = Some((first, here)),
            }
        }
        run_to_the_end(&mut mirror, 0);
        prop_assert_eq!(mirror.queued(), BTreeSet::new());
    }
}
