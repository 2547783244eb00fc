//! `tidings`, the program: a server, and everything to talk to one from a terminal.
//!
//! This is the only place that ends the process: every command returns, and what it returns becomes
//! the exit code that [`exit`] lists.

#[cfg(target_os = "linux")]
mod bench;
mod command_line;
mod completions;
mod config;
mod dev;
mod doctor;
mod exit;
mod history;
mod output;
mod publish;
mod serve;
mod subscribe;
mod target;
mod terminal;
mod token;
mod topics;

use std::process::ExitCode;

use clap::Parser as _;

use command_line::{Command, CommandLine};

fn main() -> ExitCode {
    let command_line = CommandLine::parse();
    match run(command_line.command) {
        Ok(code) => code,
        Err(error) => exit::report(&error),
    }
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        #[cfg(target_os = "linux")]
        Command::Bench(arguments) => return Ok(bench::run(arguments)?),
        Command::Serve(arguments) => serve::serve(&arguments)?,
        Command::Dev(arguments) => serve::dev(&arguments)?,
        Command::Publish(arguments) => publish::run(&arguments)?,
        Command::Subscribe(arguments) => subscribe::run(&arguments)?,
        Command::History(arguments) => history::run(&arguments)?,
        Command::Topics(arguments) => topics::run(&arguments)?,
        Command::Token(arguments) => token::run(&arguments)?,
        Command::Doctor(arguments) => return doctor::run(&arguments),
        Command::Config(arguments) => config::run(&arguments)?,
        Command::Completions(arguments) => completions::run(&arguments)?,
    }
    Ok(ExitCode::SUCCESS)
}
