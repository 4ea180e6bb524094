//! `redirector nodes`

use super::{
    Outcome, SUCCESS,
    output::{self, Cell},
    table::{Align, layout},
    with_gateway,
};
use crate::{
    config::format_bytes,
    protocol::{NodeStatus, PoolStatus},
};

/// Show what each node has for jobs, and where that is known from
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// A JSON array of objects
    #[arg(long)]
    json: bool,
}

pub(super) fn main(arguments: &Arguments) -> Outcome {
    let nodes = with_gateway(async |client| client.nodes().await)?;
    if arguments.json {
        output::json(&nodes)?;
    } else {
        output::text(&listing(&nodes))?;
    }
    Ok(SUCCESS)
}

/// A row per pool; what is the node's own stands in its first row only.
fn listing(nodes: &[NodeStatus]) -> String {
    let header = [
        ("NODE", Align::Left),
        ("STATE", Align::Left),
        ("JOBS", Align::Right),
        ("POOL", Align::Left),
        ("CAPACITY", Align::Right),
        ("USED", Align::Right),
        ("FROM", Align::Left),
    ];
    let rows: Vec<_> = nodes.iter().flat_map(rows).collect();
    layout(&header, &rows)
}

fn rows(node: &NodeStatus) -> impl Iterator<Item = Vec<Cell>> {
    node.pools.iter().enumerate().map(|(index, pool)| {
        let own = |text: String| Cell::plain(if index == 0 { text } else { String::new() });
        vec![
            own(node.node.clone()),
            own(node.state.clone()),
            own(node.running.to_string()),
            Cell::plain(pool.pool.clone()),
            Cell::plain(amount(pool, pool.capacity)),
            Cell::plain(amount(pool, pool.used)),
            Cell::faint(pool.origin.clone()),
        ]
    })
}

fn amount(pool: &PoolStatus, amount: f64) -> String {
    match &*pool.pool {
        "mem" => format_bytes(amount as u64),
        _ => amount.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pool_has_its_row_and_its_unit() {
        let pool = |pool: &str, capacity, used, origin: &str| PoolStatus {
            pool: pool.to_owned(),
            capacity,
            used,
            origin: origin.to_owned(),
        };
        let nodes = [NodeStatus {
            node: "here".to_owned(),
            state: "open".to_owned(),
            running: 3,
            pools: vec![
                pool("cpus", 4.0, 2.5, "sched_getaffinity"),
                pool("mem", 8_589_934_592.0, 0.0, "/proc/meminfo"),
            ],
        }];
        let plain = anstream::adapter::strip_str(&listing(&nodes)).to_string();
        assert_eq!(
            plain,
            "NODE  STATE  JOBS  POOL  CAPACITY  USED  FROM\n\
             here  open      3  cpus         4   2.5  sched_getaffinity\n\
             \x20                  mem         8G    0B  /proc/meminfo\n"
        );
    }
}
