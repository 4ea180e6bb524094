//! `redirector run`

use std::{
    ffi::{CString, OsString},
    io::Write,
    os::unix::ffi::OsStringExt,
};

use anyhow::Context;

use super::{
    Outcome,
    output::{Cell, shortened},
    table::{Align, layout},
};
use crate::{
    agent::{ending, invocation::Invocation},
    client::{
        dry_run::Entry,
        run::{self, DryRun},
        watcher::{Shown, is_watched},
    },
    config::Mode,
};

/// Most characters of a name in a table.
const LONGEST_NAME: usize = 30;

/// Most characters of a command line in a table.
const LONGEST_COMMAND: usize = 80;

/// Run a pipeline, so that its whitelisted commands become jobs
///
/// Sets `LD_PRELOAD` and all else that the pipeline's processes need, makes the
/// pipeline itself the parent of its jobs, and ends with its exit status. On a terminal
/// it shows how far the jobs are and, at the end, what became of them by rule.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// What listings call the run [default: the program's name]
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    mode: ModeFlags,
    /// Do not draw how far the jobs are at the bottom of the terminal
    #[arg(long)]
    no_progress: bool,
    /// Show nothing of redirector's own: neither how far the jobs are nor what became of them
    #[arg(short, long, conflicts_with = "report")]
    quiet: bool,
    /// Report at the end what became of the jobs even if standard error is not a terminal
    #[arg(long)]
    report: bool,
    /// The pipeline's command
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// What becomes of whitelisted commands; without any, the configuration says.
#[derive(clap::Args)]
#[group(multiple = false)]
struct ModeFlags {
    /// Jobs run side by side, as many as there is room for [default]
    #[arg(long)]
    local: bool,
    /// Jobs run one at a time, in the order of their submission
    #[arg(long)]
    sequential: bool,
    /// No jobs: everything runs as without redirector, and a table at the end says what the
    /// whitelisted commands would have asked for
    #[arg(long)]
    dry_run: bool,
}

impl ModeFlags {
    fn mode(&self) -> Option<Mode> {
        match self {
            Self { local: true, .. } => Some(Mode::Local),
            Self { sequential: true, .. } => Some(Mode::Sequential),
            Self { dry_run: true, .. } => Some(Mode::DryRun),
            _ => None,
        }
    }
}

pub(super) fn main(arguments: Arguments) -> Outcome {
    let invocation = invocation(arguments.command)?;
    // Inside of a run, that one draws, and two would draw on the same rows.
    let is_outermost = std::env::var_os("REDIRECTOR_TOKEN").is_none();
    let is_watched = is_watched() && is_outermost && !arguments.quiet;
    let shown = Shown {
        progress: is_watched && !arguments.no_progress,
        report: is_watched || arguments.report,
    };
    let DryRun { outcome, entries, scratch } =
        run::pipeline(invocation, arguments.name, arguments.mode.mode(), shown)?;
    let told = match &entries {
        Ok(entries) => table_of(entries),
        Err(error) => format!("redirector: cannot read what the commands noted: {error}\n"),
    };
    // Standard error may be closed or full; the status is the pipeline's all the same.
    drop(anstream::stderr().lock().write_all(told.as_bytes()));
    ending::end_like(&outcome, &scratch)
}

/// What whitelisted commands would have asked for, one a line.
fn table_of(entries: &[Entry]) -> String {
    if entries.is_empty() {
        return "redirector: dry run: no command would have become a job; \
                'redirector whitelist explain -- COMMAND' tells why one would not\n"
            .to_owned();
    }
    let header = [
        ("NAME", Align::Left),
        ("ASKS FOR", Align::Left),
        ("RULE", Align::Left),
        ("COMMAND", Align::Left),
    ];
    let row = |entry: &Entry| {
        vec![
            Cell::plain(shortened(&entry.name, LONGEST_NAME)),
            Cell::plain(entry.asks_for()),
            Cell::faint(entry.place()),
            Cell::plain(shortened(&entry.command, LONGEST_COMMAND)),
        ]
    };
    let rows: Vec<_> = entries.iter().map(row).collect();
    let count = entries.len();
    let noun = if count == 1 { "command" } else { "commands" };
    format!(
        "redirector: dry run: {count} {noun} would have become jobs\n{}",
        layout(&header, &rows)
    )
}

/// The command that `words` are, found as a shell finds it.
pub(super) fn invocation(words: Vec<OsString>) -> anyhow::Result<Invocation> {
    let name = words[0].to_string_lossy().into_owned();
    let program = run::find_program(&name).with_context(|| {
        format!("{name}: no such program; nothing was run (is it installed, and in PATH?)")
    })?;
    let words: Result<Vec<_>, _> =
        words.into_iter().map(|word| CString::new(word.into_vec())).collect();
    Ok(Invocation::new(program, &words.context("an argument holds a zero byte")?))
}
