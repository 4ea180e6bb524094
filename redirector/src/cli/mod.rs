//! The command line: a file per subcommand, each of which parses, calls and prints.

mod after;
mod agent;
mod asked;
mod cancel;
mod completions;
mod config;
mod doctor;
mod each;
mod elements;
mod exec;
mod explain;
mod hold;
mod ids;
mod jobs;
mod log;
mod logs;
mod map;
mod nodes;
mod output;
mod placement;
mod progress;
mod purge;
mod release;
mod report;
mod retry;
mod run;
mod scatter;
mod serve;
mod show;
mod status;
mod stop;
mod submit;
mod table;
mod top;
mod tree;
mod wait;
mod whitelist;

use std::{
    ffi::OsString,
    time::{Duration, Instant},
};

use clap::{Parser, Subcommand};

use crate::{
    agent::{end_on_broken_pipes, ending::SYSTEM_FAILURE, ignore_broken_pipes},
    client::api,
    place::StateDirectory,
};

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
Leave one behind:   redirector submit -- snakemake --cores 8
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
    Submit(Box<submit::Arguments>),
    Scatter(Box<scatter::Arguments>),
    Map(map::Arguments),
    Exec(exec::Arguments),
    Jobs(jobs::Arguments),
    Show(show::Arguments),
    Explain(explain::Arguments),
    Logs(logs::Arguments),
    Log(log::Arguments),
    Wait(wait::Arguments),
    Cancel(cancel::Arguments),
    Top(top::Arguments),
    Report(report::Arguments),
    #[command(hide = true)]
    Progress(progress::Arguments),
    Hold(hold::Arguments),
    Release(release::Arguments),
    Retry(retry::Arguments),
    Purge(purge::Arguments),
    Nodes(nodes::Arguments),
    Doctor(doctor::Arguments),
    Whitelist(whitelist::Arguments),
    Config(config::Arguments),
    Status(status::Arguments),
    Serve(serve::Arguments),
    #[command(hide = true)]
    Agent(agent::Arguments),
    Stop(stop::Arguments),
    Completions(completions::Arguments),
}

/// Does what the command line `arguments` says, which begins with this program's name; the process's
/// exit status.
pub fn main(arguments: Vec<OsString>) -> i32 {
    let command = Cli::parse_from(arguments).command;
    if !matches!(command, Command::Run(_) | Command::Exec(_)) {
        // Printing to nobody ends this program, even where SIGPIPE is ignored. A
        // command that runs as a job inherits what was set.
        end_on_broken_pipes();
    }
    let result = match command {
        Command::Run(arguments) => run::main(arguments),
        Command::Submit(arguments) => submit::main(*arguments),
        Command::Scatter(arguments) => scatter::main(*arguments),
        Command::Map(arguments) => map::main(&arguments),
        Command::Exec(arguments) => exec::main(arguments),
        Command::Jobs(arguments) => jobs::main(&arguments),
        Command::Show(arguments) => show::main(&arguments),
        Command::Explain(arguments) => explain::main(&arguments),
        Command::Logs(arguments) => logs::main(&arguments),
        Command::Log(arguments) => log::main(arguments),
        Command::Wait(arguments) => wait::main(&arguments),
        Command::Cancel(arguments) => cancel::main(&arguments),
        Command::Top(arguments) => top::main(&arguments),
        Command::Progress(arguments) => progress::main(&arguments),
        Command::Report(arguments) => report::main(&arguments),
        Command::Hold(arguments) => hold::main(&arguments),
        Command::Release(arguments) => release::main(&arguments),
        Command::Retry(arguments) => retry::main(&arguments),
        Command::Purge(arguments) => purge::main(&arguments),
        Command::Nodes(arguments) => nodes::main(&arguments),
        Command::Doctor(arguments) => doctor::main(&arguments),
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
    Ok(block_on(work(client))??)
}

/// Runs what talks to gateways. One may be killed just when it is written to, which must not be
/// the end of this program.
fn block_on<T>(work: impl Future<Output = T>) -> std::io::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    ignore_broken_pipes();
    let done = runtime.block_on(work);
    end_on_broken_pipes();
    Ok(done)
}

/// How often a question is asked when gateways leave while they are asked. Many times, because
/// what waits for jobs must outlive gateways that are killed.
const ATTEMPTS: u32 = 100;

/// A gateway that was there for so long was not started in vain.
const LIVED: Duration = Duration::from_secs(1);

/// Runs what reads a journal; starts a gateway if there is one to be read.
fn read<T>(work: impl AsyncFn(api::Client) -> Result<T, api::Error>) -> anyhow::Result<T> {
    let state = StateDirectory::locate()?;
    Ok(block_on(persistently(|| api::Client::reading(&state), work))??)
}

/// Runs what needs a gateway; starts one if none is running.
fn with_gateway<T>(work: impl AsyncFn(api::Client) -> Result<T, api::Error>) -> anyhow::Result<T> {
    let state = StateDirectory::locate()?;
    Ok(block_on(persistently(|| api::Client::starting(&state), work))??)
}

/// Does `work` with a gateway, and anew with another one if that leaves.
async fn persistently<T>(
    connect: impl Fn() -> Result<api::Client, api::Error>,
    work: impl AsyncFn(api::Client) -> Result<T, api::Error>,
) -> Result<T, api::Error> {
    let mut attempt = 1;
    loop {
        let start = Instant::now();
        let answer = match connect() {
            Ok(client) => work(client).await,
            Err(error) => Err(error),
        };
        match answer {
            Err(error) if error.may_have_left() && attempt < ATTEMPTS => {
                attempt = if start.elapsed() < LIVED { attempt + 1 } else { 1 };
            }
            answer => return answer,
        }
    }
}
