//! `tidings subscribe`: follow topics, across lost connections, until told to stop.

mod exec;
mod start;

use crate::target::Target;

pub(crate) const EXAMPLES: &str = "\
Every event is printed once and in order. A lost connection is made again by itself and goes on where
it was; what happens to the connection is told on standard error. A gap (events that the server no
longer has) is told there too.

Examples:
  tidings subscribe chat/lobby
  tidings subscribe chat/lobby --from last:20
  tidings subscribe --pattern 'orders/*' --from since:1h --json | jq .data
  tidings subscribe builds/42 --from earliest              until the topic ends
  tidings subscribe mail --exec 'jq -r .to | xargs notify'  the data is on its standard input

With --exec the command is run by `sh -c` for each event, one after the other. What was published is
never part of the command: the data is on its standard input, and the environment has
TIDINGS_EVENT_ID, TIDINGS_EVENT_TOPIC, TIDINGS_EVENT_TYPE and TIDINGS_EVENT_KEY.";

/// Follow topics and print their events
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The topics
    #[arg(value_name = "TOPIC", required_unless_present = "pattern")]
    topics: Vec<String>,
    /// Follow every topic that matches: * is one segment, a final ** one or more
    #[arg(long, value_name = "PATTERN")]
    pattern: Vec<String>,
    /// Where to start: earliest, live, last:N, since:DURATION, since:TIME or an event's id
    #[arg(long, value_name = "START", default_value = "live")]
    from: start::From,
    /// Print an event as a JSON object on a line of its own
    #[arg(long)]
    json: bool,
    /// Run this command for each event instead of printing it
    #[arg(long, value_name = "COMMAND", conflicts_with = "json")]
    exec: Option<String>,
    /// Stop after so many events
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    #[command(flatten)]
    target: Target,
}
