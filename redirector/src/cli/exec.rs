//! `redirector exec`

use std::ffi::OsString;

use super::{Outcome, run::invocation};
use crate::{
    client::{
        exec::{self, Additions},
        submission,
    },
    config::{parse_bytes, parse_cpus},
    model::Amount,
    place,
};

/// Run one command as a job, in the foreground
///
/// This is what intercepted commands become. The whitelist's rule for the command
/// says what it asks for; the options here go over it.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// What listings call the job
    #[arg(long)]
    name: Option<String>,
    /// How many cpus it holds, such as 4 or 0.5
    #[arg(long, value_parser = parse_cpus)]
    cpus: Option<Amount>,
    /// How much memory it holds, such as 8G
    #[arg(long, value_parser = parse_bytes, value_name = "AMOUNT")]
    mem: Option<u64>,
    /// The command
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

pub(super) fn main(arguments: Arguments) -> Outcome {
    let invocation = invocation(arguments.command)?;
    let whitelists = place::whitelists().unwrap_or_default();
    let argv = invocation.argument_texts();
    let decision = submission::decide(&whitelists, invocation.program.as_bytes(), &argv);
    let mut additions = decision.as_ref().map_or_else(Additions::default, Additions::of);
    let mut submission = submission::submission(&invocation, decision, &whitelists);
    if let Some(name) = arguments.name {
        submission.spec.name = name;
    }
    additions.threads |= arguments.cpus.is_some();
    submission.spec.resources.cpus = arguments.cpus.unwrap_or(submission.spec.resources.cpus);
    submission.spec.resources.mem = arguments.mem.unwrap_or(submission.spec.resources.mem);
    exec::as_job(invocation, submission, additions)
}
