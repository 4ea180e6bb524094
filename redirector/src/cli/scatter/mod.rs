//! `redirector scatter`
//!
//! ```text
//! mapfile ─ entries ─► [plan] ─ submissions ─► [jobs] ─ verdicts ─► [told], output mapfile
//! ```

pub(super) mod jobs;
mod plan;
mod told;

use std::{ffi::OsString, path::PathBuf};

use anyhow::bail;

use self::{plan::Task, told::Told};
use super::{
    FAILURE, Outcome, SUCCESS,
    asked::Asked,
    map::file::{self, Target},
    output, with_gateway,
};
use crate::{
    client::{
        exec::say,
        scatter::{MaxPerNode, Nodes, Verdict, Ways},
    },
    mapfile::{Entry, Form, write},
    model::NodeName,
    protocol::NodeStatus,
};

/// Run a command on each file of a mapfile, on the host that has the file
///
/// Submits a job for each entry that is not to be skipped, waits for all of them, and ends with 0
/// if all have succeeded, else with 1. Ctrl-C cancels them; a second one does not wait for their
/// end.
#[derive(clap::Args)]
#[command(after_help = "\
One job a file:    redirector scatter --map in.map --output out.map -- flag --fast {}
Eight at a time:   redirector scatter --map in.map --max-per-node 8 -- average {} {}.avg
What is made:      redirector scatter --map in.map --product {}.avg --output out.map -- average {}

'{}' in the command or in --name is the entry's file; without it, the file is the last argument. Of
an entry with several files each is an argument: a word with '{}' is repeated for each.
In the output mapfile, what has failed is marked as skipped, and so is what was skipped before.")]
pub(super) struct Arguments {
    /// The mapfile; '-' is standard input
    #[arg(long, value_name = "FILE")]
    map: PathBuf,
    /// At most so many of these jobs on each host at a time [default: as many as fit]
    #[arg(long, value_name = "COUNT")]
    max_per_node: Option<MaxPerNode>,
    /// Go on after failures, with all that is left [default]
    #[arg(long)]
    keep_going: bool,
    /// Cancel all other jobs as soon as one has failed
    #[arg(long, conflicts_with = "keep_going")]
    fail_fast: bool,
    /// End with 0 as long as one job has succeeded
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true",
          default_value_t = false, action = clap::ArgAction::Set, value_name = "true|false")]
    error_tolerance: bool,
    /// Where the mapfile of what has succeeded is written
    #[arg(short, long, value_name = "MAP")]
    output: Option<PathBuf>,
    /// The file that each job makes of '{}', for the output mapfile [default: {}]
    #[arg(long, requires = "output", value_name = "NAME")]
    product: Option<OsString>,
    /// How the output mapfile is written
    #[arg(long, value_enum, default_value_t, requires = "output")]
    form: Form,
    #[command(flatten)]
    asked: Asked,
    /// A JSON array of the entries with their jobs
    #[arg(long)]
    json: bool,
    /// The command
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

pub(super) fn main(arguments: Arguments) -> Outcome {
    let mut entries = file::entries(&arguments.map)?;
    if entries.is_empty() {
        bail!("{} has no entries; nothing was submitted", arguments.map.display());
    }
    if let Some(product) = &arguments.product
        && !super::elements::has_place(product)
    {
        bail!("--product has no '{{}}', so that all entries would be one file");
    }
    let output = arguments.output.as_deref().map(Target::new).transpose()?;
    let tasks = plan::tasks(&entries, &nodes()?).map_err(|unknown| {
        anyhow::anyhow!("{}: {unknown}; nothing was submitted", arguments.map.display())
    })?;
    let ways = Ways { max_per_node: arguments.max_per_node, fail_fast: arguments.fail_fast };
    let (verdicts, signal) = if tasks.is_empty() {
        say(&format!("all {} entries are to be skipped; nothing is to be done", entries.len()));
        (Vec::new(), None)
    } else {
        let held = ways.max_per_node.is_some();
        let submissions = plan::submissions(&tasks, arguments.command, arguments.asked, held)?;
        let told = Told::new(tasks.len(), arguments.json);
        jobs::run(&submissions, ways, &told)?
    };
    let results = results(&tasks, &verdicts);
    told::failures(&results, &entries);
    for (task, _) in results.iter().filter(|(_, verdict)| !is_success(*verdict)) {
        crate::mapfile::relate::skip_entry(&mut entries[task.entry]);
    }
    if arguments.json {
        output::json(&told::records(&entries, &results))?;
    }
    if let Some(output) = output {
        let made = plan::products(&entries, arguments.product.as_deref());
        output.write(&write(&made, arguments.form)?)?;
    }
    let failed = results.iter().filter(|(_, verdict)| !is_success(*verdict)).count();
    Ok(match signal {
        Some(signal) => 128 + signal,
        None => status(failed, tasks.len(), arguments.error_tolerance),
    })
}

/// A task and how its job ended, if it has.
type Result<'a> = (&'a Task, Option<&'a Verdict>);

/// Jobs have numbers in the order of their tasks.
fn results<'a>(tasks: &'a [Task], verdicts: &'a [Verdict]) -> Vec<Result<'a>> {
    let by_task: std::collections::HashMap<_, _> =
        verdicts.iter().map(|verdict| (verdict.index, verdict)).collect();
    tasks.iter().enumerate().map(|(index, task)| (task, by_task.get(&index).copied())).collect()
}

fn is_success(verdict: Option<&Verdict>) -> bool {
    verdict.is_some_and(Verdict::is_success)
}

/// LOFAR's error flag, and its tolerance: what has failed is left out from then on.
fn status(failed: usize, all: usize, tolerance: bool) -> i32 {
    match failed {
        0 => SUCCESS,
        failed if tolerance && failed < all => {
            say(&format!("{failed} of {all} jobs failed; going on with the others"));
            SUCCESS
        }
        failed if failed == all => {
            say(&format!("all {all} jobs failed"));
            FAILURE
        }
        failed => {
            say(&format!("{failed} of {all} jobs failed"));
            FAILURE
        }
    }
}

/// The nodes that the gateway knows.
pub(super) fn nodes() -> anyhow::Result<Nodes> {
    with_gateway(async |client| {
        let own = NodeName(client.status().await?.node);
        let node = |status: NodeStatus| NodeName(status.node);
        let all = client.nodes().await?.into_iter().map(node).collect();
        Ok(Nodes { own, all })
    })
}

/// What stands for a file in a command.
fn fill(word: &[u8], value: &[u8]) -> Vec<u8> {
    let place = super::elements::PLACE;
    let mut filled = Vec::with_capacity(word.len() + value.len());
    let mut rest = word;
    while let Some(at) = rest.windows(place.len()).position(|window| window == place) {
        filled.extend_from_slice(&rest[..at]);
        filled.extend_from_slice(value);
        rest = &rest[at + place.len()..];
    }
    filled.extend_from_slice(rest);
    filled
}

/// What people call the files of an entry.
fn shown(entry: &Entry) -> String {
    let mut files = entry.members().map(|(file, _)| file.to_string_lossy());
    let first = files.next().unwrap_or_default().into_owned();
    match files.count() {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_that_of_the_error_flag() {
        for (failed, all, tolerance, expected) in [
            (0, 3, false, SUCCESS),
            (0, 3, true, SUCCESS),
            (1, 3, false, FAILURE),
            (1, 3, true, SUCCESS),
            (3, 3, true, FAILURE),
            (1, 1, true, FAILURE),
            (0, 0, false, SUCCESS),
        ] {
            assert_eq!(status(failed, all, tolerance), expected, "{failed} of {all} {tolerance}");
        }
    }

    #[test]
    fn a_value_stands_wherever_its_place_is_held() {
        for (word, filled) in [("{}{}", "a ba b"), ("-i={}.x", "-i=a b.x"), ("{", "{"), ("", "")] {
            assert_eq!(fill(word.as_bytes(), b"a b"), filled.as_bytes(), "{word}");
        }
    }
}
