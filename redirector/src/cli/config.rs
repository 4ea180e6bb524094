//! `redirector config`

use std::time::Duration;

use serde::Serialize;

use super::{
    Outcome, SUCCESS, output,
    table::{Align, layout},
};
use crate::{
    cli::output::Cell,
    config::{Config, Setting},
    place,
    store::Durability,
    units::{format_bytes, format_duration},
};

/// Show every setting and where its value comes from
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// A JSON array of objects
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Row {
    setting: String,
    value: String,
    origin: String,
}

pub(super) fn main(arguments: &Arguments) -> Outcome {
    let config = Config::load()?;
    let rows = rows(&config);
    if arguments.json {
        output::json(&rows)?;
        return Ok(SUCCESS);
    }
    let header = [("SETTING", Align::Left), ("VALUE", Align::Left), ("FROM", Align::Left)];
    let cells: Vec<_> = rows
        .into_iter()
        .map(|row| vec![Cell::plain(row.setting), Cell::plain(row.value), Cell::faint(row.origin)])
        .collect();
    output::text(&layout(&header, &cells))?;
    if config.files.is_empty() {
        let places: Vec<_> = place::configuration_candidates()
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        println!("\nno file; looked for {}", places.join(", "));
    }
    Ok(SUCCESS)
}

fn rows(config: &Config) -> Vec<Row> {
    let found = || "found out by the gateway".to_owned();
    let (gateway, node, client) = (&config.gateway, &config.node, &config.client);
    let durability = match gateway.durability.value {
        Durability::Process => "process",
        Durability::Full => "full",
    };
    let duration = |value: &Duration| format_duration(*value);
    let count = |value: &Option<u32>, without: &str| {
        value.map_or_else(|| without.to_owned(), |count| count.to_string())
    };
    let mut rows = vec![
        row("gateway.idle_timeout", &gateway.idle_timeout, duration),
        row("gateway.durability", &gateway.durability, |_| durability.to_owned()),
        row("gateway.keep_for", &gateway.keep_for, |value| {
            value.map_or_else(|| "for ever".to_owned(), format_duration)
        }),
        row("gateway.keep", &gateway.keep, |value| {
            value.map_or_else(|| "all".to_owned(), |count| count.to_string())
        }),
        row("node.cpus", &node.cpus, |value| value.map_or_else(found, |cpus| cpus.to_string())),
        row("node.mem", &node.mem, |value| value.map_or_else(found, format_bytes)),
        row("node.gpus", &node.gpus, |value| count(value, &found())),
        row("node.pin", &node.pin, bool::to_string),
        row("node.enforce_memory", &node.enforce_memory, bool::to_string),
        row("node.max_jobs", &node.max_jobs, |value| count(value, "as many as fit")),
        row("node.max_supervisors", &node.max_supervisors, |value| {
            count(value, "one per cpu, at least 4")
        }),
    ];
    let pools = node.pools.iter();
    rows.extend(
        pools.map(|(name, pool)| row(&format!("node.pools.{name}"), pool, ToString::to_string)),
    );
    rows.extend([
        row("client.mode", &client.mode, |value| value.word().to_owned()),
        row("client.on_failure", &client.on_failure, |value| value.word().to_owned()),
        row("client.reconnect", &client.reconnect, duration),
    ]);
    rows
}

fn row<T>(name: &str, setting: &Setting<T>, value: impl Fn(&T) -> String) -> Row {
    let origin = setting.origin.clone();
    Row { setting: name.to_owned(), value: value(&setting.value), origin }
}
