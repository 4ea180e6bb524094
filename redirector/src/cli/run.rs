//! `redirector run`

use std::{
    ffi::{CString, OsString},
    os::unix::ffi::OsStringExt,
};

use anyhow::Context;

use super::Outcome;
use crate::{agent::invocation::Invocation, client::run};

/// Run a pipeline, so that its whitelisted commands become jobs
///
/// Sets `LD_PRELOAD` and all else that the pipeline's processes need, makes the
/// pipeline itself the parent of its jobs, and ends with its exit status.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// What listings call the run [default: the program's name]
    #[arg(long)]
    name: Option<String>,
    /// The pipeline's command
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

pub(super) fn main(arguments: Arguments) -> Outcome {
    let invocation = invocation(arguments.command)?;
    match run::pipeline(invocation, arguments.name)? {}
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
