//! `tidings topics`: list topics, set a topic's policy, remove a topic.

use clap::Subcommand;
use serde_json::Value;
use tidings_client::Client;
use tidings_frame::TopicName;
use tidings_frame::api::TopicObject;
use tidings_server::config::{
    Durability, EndBy, Retain, TopicPolicy, TopicTtl, TtlMode, format_size,
};

use crate::exit::{Exit, Reason};
use crate::target::{Target, block_on};
use crate::terminal::{self, Paint, Style, harmless};

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
    /// When a publisher is told that its event is kept: memory, written or synced
    #[arg(long, value_name = "WHEN", value_parser = word::<Durability>)]
    durability: Option<Durability>,
    /// Keep and send only the latest event of each key
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true",
          require_equals = true)]
    conflate: Option<bool>,
    /// Remove the topic after this time, such as 1h
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    ttl: Option<u64>,
    /// Count the ttl from the topic's first event (fixed) or from its latest (sliding)
    #[arg(long, value_name = "MODE", value_parser = word::<TtlMode>, requires = "ttl")]
    ttl_mode: Option<TtlMode>,
    /// Events are private
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true",
          require_equals = true)]
    private: Option<bool>,
    /// The media type of the events' data
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,
    /// Who may end the topic: publisher or operator
    #[arg(long, value_name = "WHO", value_parser = word::<EndBy>)]
    end_by: Option<EndBy>,
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

/// A word of one of the policy's own lists; the error names them all.
fn word<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_value(text.into()).map_err(|error| error.to_string())
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    match &arguments.command {
        None => block_on(list(&arguments.list)),
        Some(Command::Set(set)) => block_on(set_policy(set)),
        Some(Command::Delete(delete)) => block_on(remove(delete)),
    }
}

async fn list(list: &List) -> anyhow::Result<()> {
    let client = list.target.client()?;
    let mut rows = Rows::new(list.json);
    // Names are listed in their order, so what begins with a prefix follows it without a break;
    // only a topic whose name is the prefix itself stands before.
    if TopicName::new(&list.prefix).is_ok() {
        let described = client.describe(&list.prefix).await;
        if let Some(topic) = described.map_err(|error| list.target.request(&error))? {
            rows.add(&topic)?;
        }
    }
    let after = Some(&*list.prefix).filter(|prefix| !prefix.is_empty());
    let mut page = client.topics(after, None).await;
    loop {
        let read = page.map_err(|error| list.target.request(&error))?;
        let within = read.topics.iter().take_while(|topic| topic.name.starts_with(&list.prefix));
        let mut count = 0;
        for topic in within {
            rows.add(topic)?;
            count += 1;
        }
        let next = read.next.filter(|_| read.more && count == read.topics.len());
        let Some(next) = next else { return rows.finish() };
        // A page may be empty and yet not the last.
        page = client.topics_at(&next).await;
    }
}

/// Prints topics as they come: as JSON at once, as a table in pages of the server's size.
struct Rows {
    json: bool,
    paint: Paint,
    count: usize,
}

impl Rows {
    fn new(json: bool) -> Self {
        Self { json, paint: Paint::stdout(), count: 0 }
    }

    fn add(&mut self, topic: &TopicObject) -> anyhow::Result<()> {
        if self.json {
            return Ok(terminal::line(&serde_json::to_string(topic)?)?);
        }
        if self.count == 0 {
            let head = format!("{:>10}  {:>10}  {:<24}  {}", "EVENTS", "BYTES", "NEWEST", "TOPIC");
            terminal::line(&self.paint.text(Style::Faint, &head))?;
        }
        self.count += 1;
        let newest = topic.newest.map(|id| id.to_string()).unwrap_or_default();
        let end = topic.closed.map(|end| format!(" (ended: {end})")).unwrap_or_default();
        let bytes = rounded(topic.bytes);
        let name = harmless(&topic.name);
        terminal::line(&format!("{:>10}  {bytes:>10}  {newest:<24}  {name}{end}", topic.events))?;
        Ok(())
    }

    fn finish(&self) -> anyhow::Result<()> {
        if !self.json && self.count == 0 {
            terminal::note("there are no topics");
        }
        Ok(())
    }
}

/// A size in the largest whole unit, which is what a table has room for.
fn rounded(bytes: u64) -> String {
    let shift = (0..=40).rev().step_by(10).find(|shift| bytes >> shift > 0).unwrap_or(0);
    format_size(bytes >> shift << shift)
}

async fn set_policy(set: &Set) -> anyhow::Result<()> {
    let client = set.target.client()?;
    let policy = match describe(&client, set).await? {
        Some(topic) => set.changed(topic.policy)?,
        // The server fills in what its rules say for this name.
        None => difference(&TopicPolicy::default(), &set.changed(serde_json::json!({}))?),
    };
    let done = client.set_policy(&set.topic, &policy).await;
    done.map_err(|error| set.target.request(&error))?;
    if set.json {
        if let Some(topic) = describe(&client, set).await? {
            terminal::line(&serde_json::to_string(&topic)?)?;
        }
    } else {
        terminal::note(&format!("the policy of {} is set", harmless(&set.topic)));
    }
    Ok(())
}

async fn describe(client: &Client, set: &Set) -> anyhow::Result<Option<TopicObject>> {
    let described = client.describe(&set.topic).await;
    Ok(described.map_err(|error| set.target.request(&error))?)
}

/// The members of `policy` that are not as usual.
fn difference(usual: &TopicPolicy, policy: &Value) -> Value {
    let usual = serde_json::json!(usual);
    let members = policy.as_object().into_iter().flatten();
    let changed = members.filter(|(name, value)| usual.get(name) != Some(value));
    Value::Object(changed.map(|(name, value)| (name.clone(), value.clone())).collect())
}

impl Set {
    /// A policy of the server with the changes.
    fn changed(&self, present: Value) -> anyhow::Result<Value> {
        let mut policy: TopicPolicy = serde_json::from_value(present).map_err(|error| {
            let message =
                format!("the server has a policy that this version does not know: {error}");
            Exit::new(Reason::Failed, message)
        })?;
        self.change(&mut policy);
        Ok(serde_json::json!(policy))
    }

    /// Changes what was given and leaves the rest.
    fn change(&self, policy: &mut TopicPolicy) {
        let Retain { count, age_ms, bytes } = &mut policy.retain;
        if self.retain_forever {
            (*count, *age_ms, *bytes) = (None, None, None);
        }
        *count = self.retain_count.or(*count);
        *age_ms = self.retain_age.or(*age_ms);
        *bytes = self.retain_bytes.or(*bytes);
        policy.durability = self.durability.unwrap_or(policy.durability);
        policy.conflate = self.conflate.unwrap_or(policy.conflate);
        policy.private = self.private.unwrap_or(policy.private);
        policy.end_by = self.end_by.unwrap_or(policy.end_by);
        if let Some(ms) = self.ttl {
            let mode = self.ttl_mode.unwrap_or(TtlMode::Fixed);
            policy.ttl = Some(TopicTtl { ms, mode });
        }
        if let Some(content_type) = &self.content_type {
            policy.content_type = Some(content_type.clone());
        }
    }
}

async fn remove(delete: &Delete) -> anyhow::Result<()> {
    let client = delete.target.client()?;
    let removed = client.delete(&delete.topic).await;
    removed.map_err(|error| delete.target.request(&error))?;
    terminal::note(&format!("{} is removed", harmless(&delete.topic)));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_in_a_table_are_short() {
        for (bytes, text) in [
            (0, "0B"),
            (1_023, "1023B"),
            (1_025, "1KiB"),
            ((5 << 20) + 1, "5MiB"),
            (u64::MAX, "16777215TiB"),
        ] {
            assert_eq!(rounded(bytes), text);
        }
    }

    #[test]
    fn for_a_new_topic_only_what_was_said_is_sent() {
        let policy = TopicPolicy { conflate: true, ..TopicPolicy::default() };
        let sent = difference(&TopicPolicy::default(), &serde_json::json!(policy));
        assert_eq!(sent, serde_json::json!({"conflate": true}));
    }

    #[test]
    fn a_word_that_is_none_of_the_list_is_told_with_the_list() {
        assert_eq!(word::<Durability>("synced"), Ok(Durability::Synced));
        let error = word::<Durability>("safe").unwrap_err();
        assert!(error.contains("`memory`, `written`, `synced`"), "{error}");
    }
}
