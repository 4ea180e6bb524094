//! `redirector show`

use std::time::Duration;

use jiff::Timestamp as Instant;

use super::{
    SUCCESS,
    ids::{self, IdRange},
    output, read,
};
use crate::{
    config::{format_bytes, format_duration},
    model::{Attempt, Element, Job, Outcome, Resources, Timestamp, shell_line},
};

/// Show all that is known about a job
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The jobs' numbers, such as 7 or 7-12
    #[arg(required = true, value_name = "ID")]
    ids: Vec<IdRange>,
    /// A JSON array of their records
    #[arg(long)]
    json: bool,
    /// Also the environment (values that look secret are not kept)
    #[arg(long)]
    environment: bool,
}

pub(super) fn main(arguments: &Arguments) -> super::Outcome {
    let ids = ids::all(&arguments.ids)?;
    let jobs = read(async |client| {
        let mut jobs = Vec::new();
        for id in &ids {
            jobs.push(client.job(*id, false).await?);
        }
        Ok(jobs)
    })?;
    if arguments.json {
        output::json(&jobs)?;
        return Ok(SUCCESS);
    }
    let records: Vec<_> = jobs.iter().map(|job| record(job, arguments.environment)).collect();
    output::text(&records.join("\n"))?;
    Ok(SUCCESS)
}

fn record(job: &Job, environment: bool) -> String {
    let spec = &job.spec;
    let mut lines = vec![
        ("job", format!("{} ({})", job.id, spec.name)),
        ("command", shell_line(&spec.argv)),
        ("program", spec.program.to_string_lossy().into_owned()),
        ("directory", spec.directory.to_string_lossy().into_owned()),
        ("state", job.outcome.as_ref().map_or(job.state.word().to_owned(), ToString::to_string)),
    ];
    if let Some(reason) = job.outcome.as_ref().and_then(Outcome::reason) {
        lines.push(("reason", reason));
    }
    if let Some(Element { first, value }) = &spec.element {
        lines.push(("element", format!("{} (of array {first})", value.to_string_lossy())));
    }
    if job.run != job.id {
        lines.push(("run", job.run.to_string()));
    }
    if let Some(parent) = job.spawned_by {
        lines.push(("spawned by", parent.to_string()));
    }
    if let Some(rule) = &spec.rule {
        let file = rule.file.to_string_lossy();
        lines.push(("rule", format!("{} ({file}:{})", rule.pattern.to_string_lossy(), rule.line)));
    }
    if !spec.kind.is_whole_pipeline() {
        lines.push(("asked", asked(&spec.resources)));
    }
    if !spec.placement.is_anywhere() {
        lines.push(("placement", spec.placement.to_string()));
    }
    if spec.priority != 0 {
        lines.push(("priority", spec.priority.to_string()));
    }
    if let Some(limit) = spec.time_limit {
        lines.push(("time limit", format_duration(Duration::from_millis(limit))));
    }
    if !spec.retries.is_none() {
        lines.push(("retries", spec.retries.to_string()));
    }
    if !spec.after.is_empty() {
        let jobs: Vec<_> = spec
            .after
            .iter()
            .map(|dependency| format!("{} ({})", dependency.job, dependency.on.word()))
            .collect();
        lines.push(("after", jobs.join(", ")));
    }
    if let Some(usage) = &job.usage {
        let cpu = format_duration(usage.cpu());
        let (rss, read, written) = (
            format_bytes(usage.max_rss),
            format_bytes(usage.read_bytes),
            format_bytes(usage.written_bytes),
        );
        lines.push(("used", format!("{cpu} cpu, {rss} memory, {read} read, {written} written")));
    }
    lines.push(("submitted", time(job.submitted)));
    if let Some(started) = job.started {
        let waited = format_duration(started.since(job.submitted));
        lines.push(("started", format!("{} after {waited} in the queue", time(started))));
    }
    if let Some(ended) = job.ended {
        let ran = job.started.map_or(String::new(), |started| {
            format!(" after {}", format_duration(ended.since(started)))
        });
        lines.push(("ended", format!("{}{ran}", time(ended))));
    }
    if let Some(node) = &job.node {
        lines.push(("node", node.to_string()));
    }
    lines.extend(job.attempts.iter().map(|attempt| ("attempt", describe(attempt))));
    if environment {
        lines.extend(
            job.environment
                .iter()
                .map(|entry| ("environment", entry.to_string_lossy().into_owned())),
        );
    }
    lines.iter().fold(String::new(), |text, (name, value)| text + &format!("{name:<11}  {value}\n"))
}

/// What a job holds while it runs.
fn asked(resources: &Resources) -> String {
    let mem = if resources.mem == 0 { "any".to_owned() } else { format_bytes(resources.mem) };
    let others = resources.others.iter().map(|(pool, amount)| format!(", {amount} {pool}"));
    format!("{} cpus, {mem} memory{}", resources.cpus, others.collect::<String>())
}

fn describe(attempt: &Attempt) -> String {
    let Attempt { number, node, outcome, .. } = attempt;
    let ran = format_duration(attempt.ended.since(attempt.started));
    let reason = outcome.reason().map(|reason| format!(": {reason}")).unwrap_or_default();
    format!("{number} on {node}: {outcome} after {ran}{reason}")
}

/// Local time, to the second.
fn time(timestamp: Timestamp) -> String {
    let instant = Instant::from_millisecond(timestamp.0 as i64).unwrap_or_default();
    instant.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}
