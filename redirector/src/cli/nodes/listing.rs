//! Nodes as people read them.

use crate::{
    cli::{
        output::{Cell, shortened},
        table::{Align, layout},
    },
    config::format_bytes,
    model::Amount,
    protocol::{NodeState, NodeStatus, PoolStatus},
};

/// A row per node, and below it what is wrong with it.
pub(super) fn nodes(nodes: &[NodeStatus]) -> String {
    let header = [
        ("NODE", Align::Left),
        ("STATE", Align::Left),
        ("JOBS", Align::Right),
        ("CPUS", Align::Right),
        ("MEM", Align::Right),
        ("OTHER", Align::Left),
        ("TAGS", Align::Left),
    ];
    let rows: Vec<_> = nodes.iter().map(row).collect();
    let table = layout(&header, &rows);
    let mut lines = table.lines();
    let mut text = lines.next().map(with_end).unwrap_or_default();
    for (line, node) in lines.zip(nodes) {
        text += &with_end(line.trim_end());
        if let Some(problem) = &node.problem {
            text += &with_end(&format!("  {}", Cell::bad(one_line(problem)).painted()));
        }
    }
    text
}

fn with_end(line: &str) -> String {
    format!("{line}\n")
}

fn one_line(text: &str) -> String {
    shortened(text, usize::MAX)
}

fn row(node: &NodeStatus) -> Vec<Cell> {
    let pool = |name: &str| node.pools.iter().find(|pool| pool.pool == name);
    let of = |name| pool(name).map_or_else(|| "-".to_owned(), share);
    let others = node.pools.iter().filter(|pool| !["cpus", "mem"].contains(&&*pool.pool));
    let others: Vec<_> = others.map(|pool| format!("{} {}", pool.pool, share(pool))).collect();
    let most = node.max_jobs.map(|most| format!("/{most}")).unwrap_or_default();
    vec![
        Cell::plain(node.node.clone()),
        state(node.state),
        Cell::plain(format!("{}{most}", node.running)),
        Cell::plain(of("cpus")),
        Cell::plain(of("mem")),
        Cell::plain(others.join(", ")),
        Cell::plain(node.tags.join(",")),
    ]
}

fn state(state: NodeState) -> Cell {
    match state {
        NodeState::Up => Cell::plain(state.word()),
        NodeState::Connecting | NodeState::Draining => Cell::faint(state.word()),
        NodeState::Unreachable | NodeState::Lost => Cell::bad(state.word()),
    }
}

/// Used, of how much.
fn share(pool: &PoolStatus) -> String {
    format!("{}/{}", amount(pool, pool.used), amount(pool, pool.capacity))
}

fn amount(pool: &PoolStatus, amount: f64) -> String {
    match &*pool.pool {
        "mem" => format_bytes(amount as u64),
        _ => Amount((amount * Amount::ONE.0 as f64).round() as u64).to_string(),
    }
}

/// A row per pool; what is the node's own stands in its first row only.
pub(super) fn pools(nodes: &[NodeStatus]) -> String {
    let header = [
        ("NODE", Align::Left),
        ("POOL", Align::Left),
        ("CAPACITY", Align::Right),
        ("USED", Align::Right),
        ("FROM", Align::Left),
    ];
    let rows: Vec<_> = nodes.iter().flat_map(pool_rows).collect();
    layout(&header, &rows)
}

fn pool_rows(node: &NodeStatus) -> impl Iterator<Item = Vec<Cell>> {
    node.pools.iter().enumerate().map(|(index, pool)| {
        let name = if index == 0 { node.node.clone() } else { String::new() };
        vec![
            Cell::plain(name),
            Cell::plain(pool.pool.clone()),
            Cell::plain(amount(pool, pool.capacity)),
            Cell::plain(amount(pool, pool.used)),
            Cell::faint(pool.origin.clone()),
        ]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(pool: &str, capacity: f64, used: f64, origin: &str) -> PoolStatus {
        PoolStatus { pool: pool.to_owned(), capacity, used, origin: origin.to_owned() }
    }

    fn statuses() -> [NodeStatus; 2] {
        let here = NodeStatus {
            node: "here".to_owned(),
            state: NodeState::Up,
            address: None,
            problem: None,
            since: None,
            tags: Vec::new(),
            max_jobs: None,
            running: 3,
            pools: vec![
                pool("cpus", 4.0, 2.5, "sched_getaffinity"),
                pool("mem", 8_589_934_592.0, 0.0, "/proc/meminfo"),
                pool("gpus", 2.0, 0.5, "/dev"),
            ],
        };
        let there = NodeStatus {
            node: "node7".to_owned(),
            state: NodeState::Unreachable,
            address: Some("ann@node7".to_owned()),
            problem: Some("the name is not known:\nask DNS".to_owned()),
            tags: vec!["big".to_owned()],
            max_jobs: Some(4),
            running: 0,
            pools: Vec::new(),
            ..here.clone()
        };
        [here, there]
    }

    #[test]
    fn each_node_has_its_row_and_its_problem_a_line() {
        let plain = anstream::adapter::strip_str(&nodes(&statuses())).to_string();
        assert_eq!(
            plain,
            "NODE   STATE        JOBS   CPUS    MEM  OTHER       TAGS\n\
             here   up              3  2.5/4  0B/8G  gpus 0.5/2\n\
             node7  unreachable   0/4      -      -              big\n\
             \x20 the name is not known: ask DNS\n"
        );
    }

    #[test]
    fn each_pool_has_its_row_and_its_unit() {
        let plain = anstream::adapter::strip_str(&pools(&statuses())).to_string();
        assert_eq!(
            plain,
            "NODE  POOL  CAPACITY  USED  FROM\n\
             here  cpus         4   2.5  sched_getaffinity\n\
             \x20     mem         8G    0B  /proc/meminfo\n\
             \x20     gpus         2   0.5  /dev\n"
        );
    }
}
