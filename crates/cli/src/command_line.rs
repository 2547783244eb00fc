//! The commands, and the help that teaches them.

use clap::{Parser, Subcommand};

use crate::{completions, config, doctor, history, publish, serve, subscribe, token, topics};

const ABOUT: &str = "\
Durable, resumable live streams over plain HTTP.

Anything that happens on a server becomes an event in a topic; any number of browsers and programs
follow along, and come back without losing one. A topic is created by its first event.";

const EXAMPLES: &str = "\
Try it, in two terminals:
  tidings dev                                a server on http://127.0.0.1:8080
  tidings subscribe chat/lobby               follow a topic
  tidings publish chat/lobby 'Hello'         say something

Exit codes:
  0 done   1 failed   2 wrong command line or configuration   3 server not reached
  4 server refused   5 stream ended with an error   6 command given with --exec failed
  7 doctor warns   8 doctor found what breaks streams

`tidings COMMAND --help` has examples for each command.";

#[cfg(target_os = "linux")]
const BENCH_EXAMPLES: &str = "\
Every workload also measures a bare loop in the same run: what this machine allows.

Examples:
  tidings bench fanout
  tidings bench publish --json
  tidings bench fanout --quick                shows that it works, measures nothing";

#[derive(Debug, Parser)]
#[command(
    name = "tidings",
    version,
    about = "Durable, resumable live streams over plain HTTP",
    long_about = ABOUT,
    after_long_help = EXAMPLES,
    propagate_version = false,
    disable_help_subcommand = true,
    max_term_width = 100
)]
pub(crate) struct CommandLine {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start a server for development: everything open, on this machine only
    #[command(after_long_help = serve::DEV_EXAMPLES)]
    Dev(serve::Arguments),
    /// Start a server
    #[command(after_long_help = serve::SERVE_EXAMPLES)]
    Serve(serve::Arguments),
    Publish(publish::Arguments),
    Subscribe(subscribe::Arguments),
    History(history::Arguments),
    Topics(topics::Arguments),
    Token(token::Arguments),
    Doctor(doctor::Arguments),
    #[cfg(target_os = "linux")]
    #[command(after_long_help = BENCH_EXAMPLES)]
    Bench(crate::bench::BenchArgs),
    Config(config::Arguments),
    Completions(completions::Arguments),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definitions_are_consistent() {
        use clap::CommandFactory as _;
        CommandLine::command().debug_assert();
    }
}
