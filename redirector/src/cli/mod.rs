//! The command line: a file per subcommand, each of which parses, calls and prints.

mod agent;
mod cancel;
mod completions;
mod config;
mod exec;
mod jobs;
mod output;
mod progress;
mod report;
mod run;
mod serve;
mod show;
mod status;
mod stop;
mod table;
mod top;
mod tree;
mod wait;
mod whitelist;

use clap::{Parser, Subcommand};

use crate::{agent::ending::SYSTEM_FAILURE, client::api, place::StateDirectory};

/// Runs the commands of an unmodified pipeline as jobs.
///
/// Start a pipeline with libshim.so preloaded, and each command that the whitelist
/// names becomes a job: queued, given cpus and memory, recorded. Everything else
/// runs as if nothing were there.
#[derive(Parser)]
#[command(
    name = "redirector",
    version,
    max_term_width = 100,
    after_help = "\
Start a pipeline:   redirector run -- snakemake --cores 8
             or:    LD_PRELOAD=/path/to/libshim.so snakemake --cores 8
See its jobs:       redirector jobs --tree
Choose commands:    redirector whitelist path"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Run(run::Arguments),
    Exec(exec::Arguments),
    Jobs(jobs::Arguments),
    Show(show::Arguments),
    Wait(wait::Arguments),
    Cancel(cancel::Arguments),
    Top(top::Arguments),
    Report(report::Arguments),
    #[command(hide = true)]
    Progress(progress::Arguments),
    Whitelist(whitelist::Arguments),
    Config(config::Arguments),
    Status(status::Arguments),
    Serve(serve::Arguments),
    #[command(hide = true)]
    Agent(agent::Arguments),
    Stop(stop::Arguments),
    Completions(completions::Arguments),
}

/// Does what the command line says; the process's exit status.
pub fn main() -> i32 {
    let command = Cli::parse().command;
    if !matches!(command, Command::Run(_) | Command::Exec(_)) {
        // Printing to nobody ends this program, even where SIGPIPE is ignored. A
        // command that runs as a job inherits what was set.
        crate::agent::end_on_broken_pipes();
    }
    let result = match command {
        Command::Run(arguments) => run::main(arguments),
        Command::Exec(arguments) => exec::main(arguments),
        Command::Jobs(arguments) => jobs::main(&arguments),
        Command::Show(arguments) => show::main(&arguments),
        Command::Wait(arguments) => wait::main(&arguments),
        Command::Cancel(arguments) => cancel::main(&arguments),
        Command::Top(arguments) => top::main(&arguments),
        Command::Progress(arguments) => progress::main(&arguments),
        Command::Report(arguments) => report::main(&arguments),
        Command::Whitelist(arguments) => whitelist::main(&arguments),
        Command::Config(arguments) => config::main(&arguments),
        Command::Status(arguments) => status::main(&arguments),
        Command::Serve(arguments) => serve::main(&arguments),
        Command::Agent(arguments) => agent::main(arguments),
        Command::Stop(arguments) => stop::main(&arguments),
        Command::Completions(arguments) => completions::main(&arguments),
    };
    result.unwrap_or_else(|error| {
        eprintln!("redirector: {error:#}");
        SYSTEM_FAILURE
    })
}

/// A subcommand's exit status, or why it could not do its work.
type Outcome = anyhow::Result<i32>;

/// The subcommand did its work.
const SUCCESS: i32 = 0;

/// The subcommand did its work, and what it found is not good.
const FAILURE: i32 = 1;

/// Runs what talks to a gateway.
fn talk<T>(
    work: impl AsyncFnOnce(api::Client) -> Result<T, api::Error>,
    client: api::Client,
) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(work(client))?)
}

/// How often a question is asked when gateways leave while they are asked.
const ATTEMPTS: u32 = 5;

/// Runs what reads a journal; starts a gateway if there is one to be read.
fn read<T>(work: impl AsyncFn(api::Client) -> Result<T, api::Error>) -> anyhow::Result<T> {
    let state = StateDirectory::locate()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut attempt = 1;
    loop {
        match runtime.block_on(work(api::Client::reading(&state)?)) {
            Err(error) if error.may_have_left() && attempt < ATTEMPTS => attempt += 1,
            answer => return Ok(answer?),
        }
    }
}
