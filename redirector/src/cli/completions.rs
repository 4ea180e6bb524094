//! `redirector completions`

use clap::CommandFactory;

use super::{Cli, Outcome, SUCCESS};

/// Print a completion script for a shell
#[derive(clap::Args)]
#[command(after_help = "\
bash:  redirector completions bash > ~/.local/share/bash-completion/completions/redirector
zsh:   redirector completions zsh > ~/.zfunc/_redirector      (with ~/.zfunc in fpath)
fish:  redirector completions fish > ~/.config/fish/completions/redirector.fish")]
pub(super) struct Arguments {
    /// For which shell
    shell: clap_complete::Shell,
}

pub(super) fn main(arguments: &Arguments) -> Outcome {
    clap_complete::generate(
        arguments.shell,
        &mut Cli::command(),
        "redirector",
        &mut std::io::stdout(),
    );
    Ok(SUCCESS)
}
