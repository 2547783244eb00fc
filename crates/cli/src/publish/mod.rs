//! `tidings publish`: one event, or one for each line.

mod input;
mod progress;

use std::path::PathBuf;

use clap::ValueEnum;

use crate::target::Target;

pub(crate) const EXAMPLES: &str = "\
The id of the event is printed; it is kept before it is printed, as safely as its topic asks.

Examples:
  tidings publish chat/lobby 'Hello'
  tidings publish orders/7 --type paid --key 7 --file order.json
  make 2>&1 | tidings publish builds/42 --lines      an event a line, as they come
  tidings publish builds/42 --end                    nothing comes after this
  tidings publish news 'At noon' --at 2027-01-31T12:00:00Z
  tidings publish inbox/ann 'Pay' --idempotency-key 4711      safe to repeat";

/// How a topic ends.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Ending {
    Done,
    Error,
    Cancelled,
}

/// Publish an event, or one for each line of the input
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The topic, such as chat/lobby; its first event creates it
    topic: String,
    /// The data; - reads it from standard input
    #[arg(conflicts_with = "file")]
    data: Option<String>,
    /// Read the data from a file
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Publish every line of standard input (or of --file) as an event of its own
    #[arg(long, conflicts_with_all = ["end", "at", "delay", "expect", "idempotency_key"])]
    lines: bool,
    /// The event's type, which browsers listen for
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    /// What the event is about: with conflation only the latest of each key is kept
    #[arg(long)]
    key: Option<String>,
    /// Do not deliver it any more after this time, such as 1h
    #[arg(long, value_name = "DURATION")]
    ttl: Option<String>,
    /// Publish it at this time, such as 2027-01-31T12:00:00Z
    #[arg(long, value_name = "TIME", conflicts_with = "delay")]
    at: Option<String>,
    /// Publish it after this time, such as 10m
    #[arg(long, value_name = "DURATION")]
    delay: Option<String>,
    /// Only if this is the id of the topic's newest event; none: only if it has had no event
    #[arg(long, value_name = "ID")]
    expect: Option<String>,
    /// Repeating a request with the same key does not publish again
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// End the topic with this event
    #[arg(long, value_name = "HOW", num_args = 0..=1, default_missing_value = "done")]
    end: Option<Ending>,
    /// Only for subscribers with a right to private events
    #[arg(long)]
    private: bool,
    /// Print the server's answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}
