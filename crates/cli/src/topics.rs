//! `tidings topics`: list topics, set a topic's policy, remove a topic.

use clap::Subcommand;

use crate::target::Target;

pub(crate) const EXAMPLES: &str = "\
Examples:
  tidings topics
  tidings topics --prefix chat/ --json
  tidings topics set chat/lobby --retain-count 1000 --retain-age 7d
  tidings topics set prices --conflate
  tidings topics delete chat/lobby";

const SET_EXAMPLES: &str = "\
What is not given stays as it is. A policy that is set for a topic goes before the rules of the
configuration.

Examples:
  tidings topics set chat/lobby --retain-count 1000 --retain-age 7d
  tidings topics set audit --retain-forever --durability synced
  tidings topics set prices --conflate=false";

/// List topics, set a topic's policy, remove a topic
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    list: List,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Set the policy of a topic, which is created if there is none
    #[command(after_long_help = SET_EXAMPLES)]
    Set(Set),
    /// Remove a topic with all its events
    Delete(Delete),
}

#[derive(Debug, clap::Args)]
struct List {
    /// Only topics whose names begin so
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    prefix: String,
    /// Print a topic as a JSON object on a line of its own
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, clap::Args)]
struct Delete {
    /// The topic
    topic: String,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, clap::Args)]
struct Set {
    /// The topic
    topic: String,
    /// Keep at most so many events
    #[arg(long, value_name = "NUMBER")]
    retain_count: Option<u64>,
    /// Keep events for this time, such as 7d
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    retain_age: Option<u64>,
    /// Keep at most so many bytes, such as 1GiB
    #[arg(long, value_name = "SIZE", value_parser = size)]
    retain_bytes: Option<u64>,
    /// Keep everything
    #[arg(long, conflicts_with_all = ["retain_count", "retain_age", "retain_bytes"])]
    retain_forever: bool,
    /// When a publisher is told that its event is kept
    #[arg(long, value_name = "WHEN", value_parser = ["memory", "written", "synced"])]
    durability: Option<String>,
    /// Keep and send only the latest event of each key
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true",
          require_equals = true)]
    conflate: Option<bool>,
    /// Remove the topic after this time, such as 1h
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    ttl: Option<u64>,
    /// Count the ttl from the topic's first event (fixed) or from its latest (sliding)
    #[arg(long, value_name = "MODE", value_parser = ["fixed", "sliding"], requires = "ttl")]
    ttl_mode: Option<String>,
    /// Events are private
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true",
          require_equals = true)]
    private: Option<bool>,
    /// The media type of the events' data
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,
    /// Who may end the topic
    #[arg(long, value_name = "WHO", value_parser = ["publisher", "operator"])]
    end_by: Option<String>,
    /// Print the topic as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

/// A duration in milliseconds.
fn duration(text: &str) -> Result<u64, String> {
    let duration = tidings_server::config::parse_duration(text).map_err(|e| e.to_string())?;
    u64::try_from(duration.as_millis()).map_err(|_| "it is too long".to_owned())
}

/// A size in bytes.
fn size(text: &str) -> Result<u64, String> {
    tidings_server::config::parse_size(text).map_err(|error| error.to_string())
}
