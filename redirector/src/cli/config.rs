//! `redirector config`

use serde::Serialize;

use super::{
    Outcome, SUCCESS, output,
    table::{Align, layout},
};
use crate::{
    cli::output::Cell,
    config::{Config, format_bytes, format_duration},
    place,
    store::Durability,
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
    setting: &'static str,
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
    let row =
        |setting, value: String, origin: &str| Row { setting, value, origin: origin.to_owned() };
    vec![
        row(
            "gateway.idle_timeout",
            format_duration(gateway.idle_timeout.value),
            &gateway.idle_timeout.origin,
        ),
        row("gateway.durability", durability.to_owned(), &gateway.durability.origin),
        row(
            "node.cpus",
            node.cpus.value.map_or_else(found, |cpus| cpus.to_string()),
            &node.cpus.origin,
        ),
        row("node.mem", node.mem.value.map_or_else(found, format_bytes), &node.mem.origin),
        row(
            "client.on_failure",
            client.on_failure.value.word().to_owned(),
            &client.on_failure.origin,
        ),
        row("client.reconnect", format_duration(client.reconnect.value), &client.reconnect.origin),
    ]
}
