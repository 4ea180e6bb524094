//! `redirector map`: mapfiles, which say which host has which file.

pub(super) mod file;
mod from_hosts;
mod make;
mod read;
mod relate;

use clap::Subcommand;

use super::Outcome;

/// Read, make and check mapfiles, which say which host has which file
///
/// All forms that LOFAR's pipelines have are read; 'redirector scatter' runs a command on each
/// entry. '-' stands for standard input, and standard output is where mapfiles are written unless
/// --output says otherwise.
#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Read(read::Arguments),
    Make(make::Arguments),
    FromHosts(from_hosts::Arguments),
    Group(relate::GroupArguments),
    Validate(relate::ValidateArguments),
    Align(relate::AlignArguments),
}

pub(super) fn main(arguments: &Arguments) -> Outcome {
    match &arguments.command {
        Command::Read(arguments) => read::main(arguments),
        Command::Make(arguments) => make::main(arguments),
        Command::FromHosts(arguments) => from_hosts::main(arguments),
        Command::Group(arguments) => relate::group(arguments),
        Command::Validate(arguments) => relate::validate(arguments),
        Command::Align(arguments) => relate::align(arguments),
    }
}
