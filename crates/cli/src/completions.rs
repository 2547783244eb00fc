//! `tidings completions SHELL`: what the shell needs to complete commands and flags.

use std::io::{self, Write};

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::command_line::CommandLine;

const EXAMPLES: &str = "\
Examples:
  bash   tidings completions bash > ~/.local/share/bash-completion/completions/tidings
  zsh    tidings completions zsh > ~/.zfunc/_tidings     (with ~/.zfunc in fpath)
  fish   tidings completions fish > ~/.config/fish/completions/tidings.fish";

/// Print completions for a shell
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The shell
    shell: Shell,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let mut script = Vec::new();
    let mut command = CommandLine::command();
    clap_complete::generate(arguments.shell, &mut command, "tidings", &mut script);
    io::stdout().lock().write_all(&script)?;
    Ok(())
}
