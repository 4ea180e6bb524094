//! `redirector jobs`

use super::{
    Outcome, SUCCESS,
    output::{self, Cell, shortened, wall},
    read,
    table::{Align, layout},
    tree,
};
use crate::{
    config::{format_bytes, format_duration},
    model::{Job, JobId, State, shell_line},
    store::Filter,
};

/// What `--outcome` takes.
const OUTCOMES: [&str; 8] =
    ["exited", "signaled", "timed_out", "out_of_memory", "cancelled", "refused", "lost", "ended"];

/// List runs, and with --all their jobs too, newest first
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// List every job, not only runs (what a person started)
    #[arg(short, long)]
    all: bool,
    /// Show which job submitted which
    #[arg(short, long)]
    tree: bool,
    /// Only the jobs of this run
    #[arg(long, value_name = "ID")]
    run: Option<JobId>,
    /// Only jobs in this state: held, waiting, queued, running or finished
    #[arg(long, value_parser = parse_state)]
    state: Option<State>,
    /// Only jobs with this outcome
    #[arg(long, value_name = "WORD", value_parser = OUTCOMES)]
    outcome: Option<String>,
    /// Only jobs that did not succeed
    #[arg(long)]
    failed: bool,
    /// Only jobs whose name contains this
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
    /// At most this many [default: 50 on a terminal's page, all as JSON]
    #[arg(short = 'n', long, value_name = "COUNT")]
    limit: Option<u32>,
    /// A JSON array of all that is known about each
    #[arg(long)]
    json: bool,
}

fn parse_state(word: &str) -> Result<State, String> {
    State::from_word(word)
        .ok_or_else(|| "expected held, waiting, queued, running or finished".to_owned())
}

/// How many jobs a listing for people shows at most.
const LISTED: u32 = 50;

pub(super) fn main(arguments: &Arguments) -> Outcome {
    let whole_runs = arguments.tree && arguments.run.is_none();
    let everything =
        arguments.json || arguments.tree || arguments.failed || arguments.run.is_some();
    let filter = Filter {
        all: (arguments.all
            || arguments.failed
            || arguments.outcome.is_some()
            || arguments.name.is_some())
            && !whole_runs,
        run: arguments.run,
        state: arguments.state,
        outcome: arguments.outcome.clone(),
        failed: arguments.failed,
        name: arguments.name.clone(),
        before: None,
        limit: arguments.limit.or((!everything).then_some(LISTED)),
    };
    let jobs = read(async |client| {
        let mut jobs = client.jobs(&filter).await?;
        if whole_runs {
            let runs: Vec<_> = jobs.iter().map(|job| job.id).collect();
            jobs.clear();
            for run in runs {
                jobs.extend(client.jobs(&Filter { run: Some(run), ..Filter::default() }).await?);
            }
        }
        Ok(jobs)
    })?;
    if arguments.json {
        output::json(&jobs)?;
    } else if arguments.tree {
        output::text(&tree::draw(&jobs))?;
    } else if jobs.is_empty() {
        output::text("no jobs\n")?;
    } else {
        output::text(&listing(&jobs))?;
    }
    Ok(SUCCESS)
}

fn listing(jobs: &[Job]) -> String {
    let header = [
        ("ID", Align::Right),
        ("STATE", Align::Left),
        ("CPUS", Align::Right),
        ("WALL", Align::Right),
        ("CPU", Align::Right),
        ("RSS", Align::Right),
        ("NAME", Align::Left),
        ("COMMAND", Align::Left),
    ];
    let rows: Vec<_> = jobs.iter().map(row).collect();
    layout(&header, &rows)
}

fn row(job: &Job) -> Vec<Cell> {
    let cpus = if job.spec.kind.is_whole_pipeline() {
        "-".to_owned()
    } else {
        job.spec.resources.cpus.to_string()
    };
    vec![
        Cell::plain(job.id.to_string()),
        Cell::state(job.state, job.outcome.as_ref()),
        Cell::plain(cpus),
        Cell::plain(wall(job)),
        Cell::plain(job.usage.map_or("-".to_owned(), |usage| format_duration(usage.cpu()))),
        Cell::plain(job.usage.map_or("-".to_owned(), |usage| format_bytes(usage.max_rss))),
        Cell::plain(job.spec.name.clone()),
        Cell::faint(shortened(&shell_line(&job.spec.argv), 60)),
    ]
}
