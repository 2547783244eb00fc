//! `tidings history`: what a topic has kept.

use crate::target::Target;

pub(crate) const EXAMPLES: &str = "\
The oldest event comes first.

Examples:
  tidings history chat/lobby --last 20
  tidings history orders --limit 0 --json > orders.ndjson     everything that is kept
  tidings history orders --after k3v9x2aa-41";

/// Print what a topic has kept
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The topic
    topic: String,
    /// Only events after this one
    #[arg(long, value_name = "ID")]
    after: Option<String>,
    /// Only events before this one
    #[arg(long, value_name = "ID", conflicts_with = "after")]
    before: Option<String>,
    /// Only the last so many
    #[arg(long, value_name = "NUMBER", conflicts_with_all = ["after", "before", "limit"])]
    last: Option<u64>,
    /// At most so many; 0 is all of them
    #[arg(long, value_name = "NUMBER", default_value_t = 100)]
    limit: u64,
    /// Print an event as a JSON object on a line of its own
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}
