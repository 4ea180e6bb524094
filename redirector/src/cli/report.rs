//! `redirector report`

use std::{
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, bail};
use jiff::{Timestamp as Instant, tz::TimeZone};

use super::{
    Outcome, SUCCESS,
    output::{self, Cell},
    read,
    table::{Align, layout},
};
use crate::{
    client::api::{Client, Error},
    config::{format_bytes, format_duration},
    model::{Job, JobId, Timestamp},
    report::{Figures, Report, html, jobs_of, timeline::Timeline, trace},
    store::Filter,
};

/// Show what became of a run: jobs, time, cpus and memory by rule
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The run's number [default: the newest run]
    #[arg(value_name = "RUN")]
    run: Option<JobId>,
    /// A JSON object with all figures
    #[arg(long)]
    json: bool,
    /// Write one page with figures and a timeline that fetches nothing [default FILE: report.html]
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "report.html")]
    html: Option<PathBuf>,
    /// Write the timeline for `chrome://tracing` and ui.perfetto.dev
    #[arg(long, value_name = "FILE")]
    chrome_trace: Option<PathBuf>,
}

pub(super) fn main(arguments: &Arguments) -> Outcome {
    let found = read(async |client| {
        let run = if let Some(run) = arguments.run {
            Some(run)
        } else {
            let newest = Filter { limit: Some(1), ..Filter::default() };
            client.jobs(&newest).await?.first().map(|run| run.id)
        };
        match run {
            Some(run) => records(&client, run).await.map(Some),
            None => Ok(None),
        }
    })?;
    let Some((run, jobs)) = found else { bail!("there is no run yet to report of") };
    if run.run != run.id {
        bail!(
            "job {} is not a run; it came out of run {}: 'redirector report {}'",
            run.id,
            run.run,
            run.run
        );
    }
    let now = Timestamp::now();
    let report = Report::new(&run, &jobs, now);
    let jobs = jobs_of(&run, &jobs);
    if let Some(file) = &arguments.html {
        let page = html::page(&report, &Timeline::new(&jobs, now), local_time);
        write(file, page.as_bytes())?;
    }
    if let Some(file) = &arguments.chrome_trace {
        let trace = serde_json::to_vec(&trace::events(&Timeline::new(&jobs, now)))?;
        write(file, &trace)?;
    }
    if arguments.json {
        output::json(&report)?;
    } else if arguments.html.is_none() && arguments.chrome_trace.is_none() {
        output::text(&text(&report))?;
    }
    Ok(SUCCESS)
}

/// The record of `run`, and of all that came out of it.
pub(super) async fn records(client: &Client, run: JobId) -> Result<(Job, Vec<Job>), Error> {
    let record = client.job(run, false).await?;
    let jobs = client.jobs(&Filter { run: Some(run), ..Filter::default() }).await?;
    Ok((record, jobs))
}

/// Writes to `file`, or to standard output for `-`, and says so.
fn write(file: &Path, content: &[u8]) -> anyhow::Result<()> {
    if file == Path::new("-") {
        return Ok(io::stdout().lock().write_all(content)?);
    }
    let written = File::create(file).and_then(|mut output| output.write_all(content));
    written.with_context(|| format!("cannot write {}", file.display()))?;
    eprintln!("redirector: wrote {}", file.display());
    Ok(())
}

/// Local time, to the second.
fn local_time(timestamp: Timestamp) -> String {
    let instant = Instant::from_millisecond(timestamp.0 as i64).unwrap_or_default();
    instant.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// The figures, for people.
pub(super) fn text(report: &Report) -> String {
    let total = &report.total;
    let jobs = match total.jobs {
        1 => "1 job".to_owned(),
        jobs => format!("{jobs} jobs"),
    };
    let notable = |count, what| if count > 0 { format!(", {count} {what}") } else { String::new() };
    let mut summary = format!(
        "run {} ({}) {} in {}: {jobs}{}{}\n",
        report.run,
        report.name,
        report.outcome,
        duration(report.wall_ms),
        notable(total.failed, "failed"),
        notable(total.live, "not ended yet"),
    );
    if report.rules.is_empty() {
        return summary;
    }
    let has_retries = total.retries > 0;
    let mut header = vec![
        ("NAME", Align::Left),
        ("JOBS", Align::Right),
        ("FAILED", Align::Right),
        ("RETRIES", Align::Right),
        ("WALL", Align::Right),
        ("LONGEST", Align::Right),
        ("CPU", Align::Right),
        ("CPUS USED", Align::Right),
        ("MEMORY", Align::Left),
    ];
    let mut rows: Vec<_> = report.rules.iter().map(|rule| row(&rule.name, &rule.figures)).collect();
    if report.rules.len() > 1 {
        // The most that one job took or asked says nothing about all of them.
        let together = Figures { mem_asked: 0, mem_used: 0, ..*total };
        rows.push(row("all", &together));
    }
    if !has_retries {
        header.remove(3);
        for row in &mut rows {
            row.remove(3);
        }
    }
    summary += &layout(&header, &rows);
    if total.failed > 0 {
        summary +=
            &["what failed:  redirector jobs --failed --run ", &report.run.to_string(), "\n"]
                .concat();
    }
    summary
}

fn row(name: &str, figures: &Figures) -> Vec<Cell> {
    let count = |count: u64| {
        if count == 0 { Cell::faint("-") } else { Cell::plain(count.to_string()) }
    };
    let efficiency = figures.efficiency();
    let memory = match (figures.mem_asked, figures.mem_used) {
        (0, 0) => "-".to_owned(),
        (0, used) => format!("used {}", format_bytes(used)),
        (asked, 0) => format!("asked {}", format_bytes(asked)),
        (asked, used) => format!("asked {}, used {}", format_bytes(asked), format_bytes(used)),
    };
    vec![
        Cell::plain(output::shortened(name, 40)),
        Cell::plain(figures.jobs.to_string()),
        if figures.failed > 0 { Cell::bad(figures.failed.to_string()) } else { Cell::faint("-") },
        count(figures.retries),
        Cell::plain(duration(figures.wall_ms)),
        Cell::plain(duration(figures.longest_ms)),
        Cell::plain(duration(figures.cpu_ms)),
        Cell::plain(efficiency.map_or("-".to_owned(), |share| format!("{:.0}%", share * 100.0))),
        Cell::plain(memory),
    ]
}

fn duration(milliseconds: u64) -> String {
    format_duration(Duration::from_millis(milliseconds))
}
