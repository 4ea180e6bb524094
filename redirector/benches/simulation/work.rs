//! The mixed load: 64 kinds of requests, three priorities, 50 runs, and of every 20 jobs three that
//! are joined by pipes; one job in 50 lends and spawns three others.

use redirector::{
    dispatcher::{Candidates, End, Event, Holds, PipeId, Request},
    model::{Amount, JobId, NodeName, Resources},
};

/// What a node has.
pub(crate) const NODE_CPUS: u64 = 16;
/// The same in GiB.
pub(crate) const NODE_MEMORY: u64 = 64;
/// How many jobs a lender spawns.
pub(crate) const CHILDREN: u64 = 3;
/// How many runs there are.
pub(crate) const RUNS: u64 = 50;

/// Pseudo-random, the same in each run of the program: a step of the xorshift generator.
pub(crate) fn scramble(seed: u64) -> u64 {
    let mut bits = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits ^= bits >> 32;
    bits = bits.wrapping_mul(0xd6e8_feb8_6659_fd93);
    bits ^ (bits >> 29)
}

/// A node joins.
pub(crate) fn join(node: u64) -> Event {
    Event::NodeJoined {
        node: node_name(node),
        capacity: Resources::new(Amount::whole(NODE_CPUS), NODE_MEMORY << 30),
        max_jobs: None,
        max_supervisors: None,
        indexed: std::collections::BTreeMap::new(),
    }
}

/// Lists of candidates, each with another half of the nodes.
pub(crate) fn candidate_lists(nodes: u64, lists: u64) -> Vec<Candidates> {
    let list = |list: u64| {
        let is_in = |node: &u64| scramble(list * nodes + node).is_multiple_of(2);
        Candidates::among((0..nodes).filter(is_in).map(node_name))
    };
    (0..lists).map(list).collect()
}

fn node_name(node: u64) -> NodeName {
    NodeName(format!("node{node}"))
}

/// Whether a job waits for others that it spawns.
pub(crate) fn lends(id: u64) -> bool {
    id % 50 == 7
}

/// Where in its gang of three a job stands, if it is in one.
pub(crate) fn position_in_gang(id: u64) -> Option<u64> {
    (id % 20 < 3).then_some(id % 20)
}

/// What the job of that number asks for.
pub(crate) fn request(id: u64) -> Request {
    let kind = scramble(id) % 64;
    let pipe = |number: u64| PipeId { device: 1, inode: id / 20 * 2 + number };
    let pipes = match position_in_gang(id) {
        Some(0) => vec![(pipe(0), End::Write)],
        Some(1) => vec![(pipe(0), End::Read), (pipe(1), End::Write)],
        Some(_) => vec![(pipe(1), End::Read)],
        None => Vec::new(),
    };
    // The three of a gang fit on one node together, so that none of them needs to go into debt.
    let most_cpus = if pipes.is_empty() { 8 } else { 5 };
    Request {
        resources: Resources::new(Amount::whole(1 + kind % 8 % most_cpus), (1 + kind / 8) << 30),
        holds: if lends(id) { Holds::Lends } else { Holds::Worker },
        priority: (id / 20 % 3) as i32,
        share: Some(JobId(id / 20 % RUNS)),
        pipes,
        ..Request::default()
    }
}
