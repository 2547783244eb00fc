//! `tidings publish`: one event, or one for each line.

mod input;
mod progress;

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use clap::ValueEnum;
use tidings_client::{Client, Expect, NewEvent, Receipt};
use tidings_frame::{End, Time};
use tidings_server::config::{format_duration, parse_duration};

use crate::target::{Target, block_on};
use crate::terminal;

use input::Lines;
use progress::{Progress, thousands};

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

impl From<Ending> for End {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Done => Self::Done,
            Ending::Error => Self::Error,
            Ending::Cancelled => Self::Cancelled,
        }
    }
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
    // The options that belong to a single event have no meaning for many.
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
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    ttl: Option<Duration>,
    /// Publish it at this time, such as 2027-01-31T12:00:00Z
    #[arg(long, value_name = "TIME", conflicts_with = "delay")]
    at: Option<Time>,
    /// Publish it after this time, such as 10m
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    delay: Option<Duration>,
    /// Only if this is the id of the topic's newest event; none: only if it has had no event
    #[arg(long, value_name = "ID", value_parser = expect)]
    expect: Option<Expect>,
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

/// An id, or `none`.
fn expect(text: &str) -> Result<Expect, String> {
    if text == tidings_frame::api::EXPECT_NOTHING {
        return Ok(Expect::Nothing);
    }
    text.parse()
        .map(Expect::Newest)
        .map_err(|_| format!("`{text}` is neither an event's id, such as k3v9x2aa-41, nor `none`"))
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let client = arguments.target.client()?;
    if arguments.lines {
        block_on(lines(arguments, &client))
    } else {
        block_on(one(arguments, &client))
    }
}

async fn one(arguments: &Arguments, client: &Client) -> anyhow::Result<()> {
    let given = (arguments.data.as_deref(), arguments.file.as_deref());
    let data = match given {
        // The end of a topic needs no words.
        (None, None) if arguments.end.is_some() => Vec::new(),
        (data, file) => input::whole(data, file)?,
    };
    let mut publish = client.publish(&arguments.topic, data);
    if let Some(event_type) = &arguments.event_type {
        publish = publish.event_type(event_type);
    }
    if let Some(key) = &arguments.key {
        publish = publish.key(key);
    }
    if let Some(ttl) = arguments.ttl {
        publish = publish.ttl(ttl);
    }
    if arguments.private {
        publish = publish.private();
    }
    if let Some(end) = arguments.end {
        publish = publish.end(end.into());
    }
    if let Some(expect) = arguments.expect {
        publish = publish.expect(expect);
    }
    if let Some(Time(at)) = arguments.at {
        publish = publish.at(UNIX_EPOCH + Duration::from_millis(at));
    }
    if let Some(delay) = arguments.delay {
        publish = publish.delay(delay);
    }
    // With a key of its own every publish can be repeated safely when the connection breaks.
    let key = arguments.idempotency_key.clone().unwrap_or_else(random_key);
    let receipt = publish.idempotency_key(key).send().await;
    let receipt = receipt.map_err(|error| arguments.target.request(&error))?;
    let said = match receipt {
        Receipt::Stored(published) if arguments.json => serde_json::to_string(&published)?,
        Receipt::Scheduled(scheduled) if arguments.json => serde_json::to_string(&scheduled)?,
        Receipt::Stored(published) => {
            if published.duplicate {
                terminal::note("it had been published before; this is the first one's id");
            }
            published.id.to_string()
        }
        Receipt::Scheduled(scheduled) => {
            terminal::note(&format!("it will be published at {}", scheduled.at));
            scheduled.schedule
        }
    };
    Ok(terminal::line(&said)?)
}

async fn lines(arguments: &Arguments, client: &Client) -> anyhow::Result<()> {
    let mut lines = Lines::open(arguments.file.as_deref())?;
    let mut progress = Progress::begin(lines.bytes);
    let result = publish_lines(arguments, client, &mut lines, &mut progress).await;
    progress.clear();
    let events = progress.events();
    let took = Duration::from_millis(progress.elapsed().as_millis() as u64);
    let plural = if events == 1 { "" } else { "s" };
    terminal::note(&format!(
        "{} event{plural} published in {}",
        thousands(events),
        format_duration(took)
    ));
    result
}

async fn publish_lines(
    arguments: &Arguments,
    client: &Client,
    lines: &mut Lines,
    progress: &mut Progress,
) -> anyhow::Result<()> {
    while let Some(batch) = lines.next().await? {
        let count = batch.lines.len();
        let events = batch.lines.into_iter().map(|line| event(arguments, line));
        let request = client.publish_batch(&arguments.topic, events.collect::<Vec<_>>());
        let receipt = request.idempotency_key(random_key()).send().await;
        let receipt = receipt.map_err(|error| arguments.target.request(&error))?;
        progress.add(count, batch.read);
        if arguments.json {
            for published in receipt.stored().map(|all| all.events).unwrap_or_default() {
                terminal::line(&serde_json::to_string(&published)?)?;
            }
        }
    }
    Ok(())
}

/// One line as an event, with the options that all of them share.
fn event(arguments: &Arguments, line: Vec<u8>) -> NewEvent {
    let mut event = NewEvent::new("", line);
    if let Some(event_type) = &arguments.event_type {
        event = event.event_type(event_type);
    }
    if let Some(key) = &arguments.key {
        event = event.key(key);
    }
    if let Some(ttl) = arguments.ttl {
        event = event.ttl(ttl);
    }
    if arguments.private {
        event = event.private();
    }
    event
}

/// A key that nobody else will choose: 128 bits that the standard library draws for its hash maps.
fn random_key() -> String {
    let draw = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", draw(), draw())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_keys_differ() {
        let keys: std::collections::HashSet<String> = (0..1_000).map(|_| random_key()).collect();
        assert_eq!(keys.len(), 1_000);
        assert!(keys.iter().all(|key| key.len() == 32));
    }

    #[test]
    fn what_is_expected_is_an_id_or_nothing() {
        assert_eq!(expect("none"), Ok(Expect::Nothing));
        assert_eq!(expect("abcdefgh-7"), Ok(Expect::Newest("abcdefgh-7".parse().unwrap())));
        assert!(expect("7").unwrap_err().contains("nor `none`"));
    }
}
