//! `redirector show`

use jiff::Timestamp as Instant;

use super::{Outcome, SUCCESS, output, read};
use crate::{
    config::{format_bytes, format_duration},
    model::{Job, JobId, Timestamp, shell_line},
};

/// Show all that is known about a job
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The jobs' numbers
    #[arg(required = true, value_name = "ID")]
    ids: Vec<JobId>,
    /// A JSON array of their records
    #[arg(long)]
    json: bool,
    /// Also the environment (values that look secret are not kept)
    #[arg(long)]
    environment: bool,
}

pub(super) fn main(arguments: &Arguments) -> Outcome {
    let jobs = read(async |client| {
        let mut jobs = Vec::new();
        for id in &arguments.ids {
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
    if let Some(reason) = job.outcome.as_ref().and_then(crate::model::Outcome::reason) {
        lines.push(("reason", reason.clone()));
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
        let mem = if spec.resources.mem == 0 {
            "any".to_owned()
        } else {
            format_bytes(spec.resources.mem)
        };
        lines.push(("asked", format!("{} cpus, {mem} memory", spec.resources.cpus)));
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
    lines.extend(job.attempts.iter().map(|attempt| {
        ("attempt", format!("{} on {}: {}", attempt.number, attempt.node, attempt.outcome))
    }));
    if environment {
        lines.extend(
            job.environment
                .iter()
                .map(|entry| ("environment", entry.to_string_lossy().into_owned())),
        );
    }
    lines.iter().fold(String::new(), |text, (name, value)| text + &format!("{name:<11}  {value}\n"))
}

/// Local time, to the second.
fn time(timestamp: Timestamp) -> String {
    let instant = Instant::from_millisecond(timestamp.0 as i64).unwrap_or_default();
    instant.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}
