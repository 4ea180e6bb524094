//! `redirector config`

use std::time::Duration;

use serde::Serialize;

use super::{
    Outcome, SUCCESS, output,
    table::{Align, layout},
};
use crate::{
    cli::output::{Cell, shortened},
    config::{Config, Host, Setting},
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
        .map(|row| {
            // What has several lines gets one in the table.
            let value = Cell::plain(shortened(&row.value, usize::MAX));
            vec![Cell::plain(row.setting), value, Cell::faint(row.origin)]
        })
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
        row("gateway.address", &gateway.address, |value| {
            value.as_ref().map_or_else(|| "wherever agents find it".to_owned(), ToString::to_string)
        }),
        row("gateway.rendezvous", &gateway.rendezvous, |value| value.word().to_owned()),
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
    rows.push(row("node.tags", &node.tags, |tags| {
        if tags.is_empty() { "none".to_owned() } else { tags.join(", ") }
    }));
    rows.extend([
        row("client.mode", &client.mode, |value| value.word().to_owned()),
        row("client.on_failure", &client.on_failure, |value| value.word().to_owned()),
        row("client.reconnect", &client.reconnect, duration),
    ]);
    rows.extend(of_hosts(config));
    rows.extend(of_pools(config));
    rows
}

/// How hosts are reached, and what is set of each one.
fn of_hosts(config: &Config) -> Vec<Row> {
    let row = |setting: String, value: String| {
        let origin = config.host_origins.get(&setting).map_or("default", |origin| origin);
        Row { origin: origin.to_owned(), setting, value }
    };
    let mut rows = vec![
        row("ssh.command".to_owned(), config.ssh.command.join(" ")),
        row("ssh.lost_after".to_owned(), format_duration(config.ssh.lost_after)),
        row(
            "ssh.cache_size".to_owned(),
            config.ssh.cache_size.map_or_else(
                || "50G, at most half of each host's disk".to_owned(),
                crate::units::format_bytes,
            ),
        ),
    ];
    for host in &config.hosts {
        let values = values(host);
        let name = &host.name;
        rows.extend(values.map(|(field, value)| row(format!("hosts.{name}.{field}"), value)));
    }
    rows
}

/// What is set of each pool of a batch engine.
fn of_pools(config: &Config) -> impl Iterator<Item = Row> {
    config.pools.iter().flat_map(|pool| {
        pool.settings().into_iter().map(|(setting, value)| {
            let setting = format!("pools.{}.{setting}", pool.name);
            let origin = config.pool_origins.get(&setting);
            let origin = origin.map_or("default", |origin| origin).to_owned();
            Row { setting, value, origin }
        })
    })
}

/// What is set of a host, by the names of the settings.
fn values(host: &Host) -> impl Iterator<Item = (String, String)> {
    let pools =
        host.pools.iter().map(|(pool, amount)| (format!("pools.{pool}"), amount.to_string()));
    let directories = host.path_map.iter().map(|(here, there)| {
        (format!("path_map.{}", here.to_string_lossy()), there.to_string_lossy().into_owned())
    });
    let variables = host.env.iter().map(|(name, value)| {
        let value = value.as_ref().map_or("taken away".into(), |value| value.to_string_lossy());
        (format!("env.{}", name.to_string_lossy()), value.into_owned())
    });
    let number = |number: Option<u32>| number.map(|number| number.to_string());
    let single = [
        ("address", Some(host.address.clone())),
        ("cpus", host.cpus.map(|cpus| cpus.to_string())),
        ("mem", host.mem.map(format_bytes)),
        ("gpus", number(host.gpus)),
        ("max_per_node", number(host.max_per_node)),
        ("setup", host.setup.clone()),
        ("tags", (!host.tags.is_empty()).then(|| host.tags.join(", "))),
        ("stage", host.stage.then(|| "true".to_owned())),
    ];
    let single = single.into_iter().filter_map(|(field, value)| Some((field.to_owned(), value?)));
    single.chain(pools).chain(directories).chain(variables)
}

fn row<T>(name: &str, setting: &Setting<T>, value: impl Fn(&T) -> String) -> Row {
    let origin = setting.origin.clone();
    Row { setting: name.to_owned(), value: value(&setting.value), origin }
}
