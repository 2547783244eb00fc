//! `tidings subscribe`: follow topics, across lost connections, until told to stop.

mod exec;
mod start;

use std::time::Duration;

use anyhow::Context as _;
use clap::ArgGroup;
use tidings_client::{ConnectionState, Ended, Event, Gap, Item, Start};
use tidings_frame::End;
use tidings_server::config::format_duration;

use crate::exit::{Exit, Reason};
use crate::output::Printer;
use crate::target::{Target, block_on};
use crate::terminal::{self, harmless};

pub(crate) const EXAMPLES: &str = "\
Every event is printed once and in order. A lost connection is made again by itself and goes on
where it was; what happens to the connection is told on standard error. A gap (events that the
server no longer has) is told there too.

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
#[command(override_usage = "tidings subscribe [OPTIONS] [TOPIC]... [--pattern <PATTERN>]...")]
#[command(group = ArgGroup::new("what").required(true).multiple(true).args(["topics", "pattern"]))]
pub(crate) struct Arguments {
    /// The topics
    #[arg(value_name = "TOPIC")]
    topics: Vec<String>,
    /// Follow every topic that matches: * is one segment, a final ** one or more
    #[arg(long, value_name = "PATTERN")]
    pattern: Vec<String>,
    /// Where to start: earliest, live, last:N, since:DURATION, since:TIME or an event's id
    #[arg(long, value_name = "START", default_value = "live",
          value_parser = start::parse)]
    from: Start,
    /// Print an event as a JSON object on a line of its own
    #[arg(long)]
    json: bool,
    /// Run this command for each event instead of printing it
    #[arg(long, value_name = "COMMAND", conflicts_with = "json")]
    exec: Option<String>,
    /// Stop after so many events
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Keep trying if the server cannot be reached at first
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    target: Target,
}

/// What goes on after an item.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    More,
    Enough,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    block_on(follow(arguments))
}

async fn follow(arguments: &Arguments) -> anyhow::Result<()> {
    let mut subscribe = arguments.target.client()?.subscribe().start(arguments.from.clone());
    for topic in &arguments.topics {
        subscribe = subscribe.topic(topic);
    }
    for pattern in &arguments.pattern {
        subscribe = subscribe.pattern(pattern);
    }
    if !arguments.wait {
        subscribe = subscribe.first_attempt_final();
    }
    let what = [&arguments.topics[..], &arguments.pattern[..]].concat().join(", ");
    let mut teller = Teller { what, was_open: false };
    subscribe = subscribe.on_state(move |state| teller.tell(state));
    let wrong = |error| arguments.target.subscription(&error);
    let mut subscription = subscribe.open().map_err(wrong)?;
    let mut worker = Worker::new(arguments);
    while let Some(item) = subscription.next().await {
        let next = match item.map_err(wrong)? {
            Item::Event(event) => worker.event(event).await?,
            Item::Gap(gap) => worker.gap(&gap),
            Item::End(ended) => worker.ended(&ended),
        };
        if next == Next::Enough {
            return Ok(());
        }
    }
    worker.finish()
}

/// Does with each item what was asked for.
struct Worker<'a> {
    arguments: &'a Arguments,
    printer: Printer,
    events: u64,
    /// The last event for which the command went well.
    handled: Option<String>,
    /// How the only topic ended.
    end: Option<End>,
}

impl<'a> Worker<'a> {
    fn new(arguments: &'a Arguments) -> Self {
        let several = arguments.topics.len() > 1 || !arguments.pattern.is_empty();
        Self {
            arguments,
            printer: Printer::stdout(arguments.json, several),
            events: 0,
            handled: None,
            end: None,
        }
    }

    async fn event(&mut self, event: Event) -> anyhow::Result<Next> {
        match &self.arguments.exec {
            Some(command) => self.execute(command.clone(), event).await?,
            None => self.printer.print(std::slice::from_ref(&event))?,
        }
        self.events += 1;
        let enough = self.arguments.count.is_some_and(|count| self.events >= count);
        Ok(if enough { Next::Enough } else { Next::More })
    }

    async fn execute(&mut self, command: String, event: Event) -> anyhow::Result<()> {
        let id = event.id.to_string();
        let told = exec::Told {
            id: id.clone(),
            topic: event.topic.into_owned(),
            event_type: event.event_type.map(|text| text.into_owned()),
            key: event.key.map(|text| text.into_owned()),
            data: event.data.into_owned(),
        };
        let status = tokio::task::spawn_blocking(move || exec::run(&command, told)).await?;
        let status = status.context("cannot run the command of --exec")?;
        if !status.success() {
            let from = match &self.handled {
                Some(handled) => format!("go on with this event again: --from {handled}"),
                None => "no event before it was handled".to_owned(),
            };
            let how = exec::describe(status);
            let message = format!("the command failed at event {id}: {how}\n{from}");
            return Err(Exit::new(Reason::Command, message).into());
        }
        self.handled = Some(id);
        Ok(())
    }

    fn gap(&self, gap: &Gap) -> Next {
        let topics = gap.topics.join(", ");
        let of = if topics.is_empty() { String::new() } else { format!(" of {topics}") };
        let (after, resumes) = (&gap.requested, gap.resumes);
        terminal::note(&harmless(&format!(
            "gap: events{of} after {after} are missing ({}); going on after {resumes}",
            gap.reason
        )));
        Next::More
    }

    fn ended(&mut self, ended: &Ended) -> Next {
        let topic = ended.topic.as_deref().unwrap_or("a topic");
        terminal::note(&harmless(&format!("{topic} has ended ({})", ended.reason)));
        self.end = Some(ended.reason);
        Next::More
    }

    /// Nothing more will come.
    fn finish(&self) -> anyhow::Result<()> {
        match self.end {
            Some(end @ (End::Error | End::Cancelled)) => {
                let message = format!("the stream ended with `{end}`");
                Err(Exit::new(Reason::Ended, message).into())
            }
            Some(End::Done) | None => Ok(()),
        }
    }
}

/// Tells on standard error how the connection is.
struct Teller {
    what: String,
    was_open: bool,
}

impl Teller {
    fn tell(&mut self, state: &ConnectionState) {
        match state {
            ConnectionState::Open if self.was_open => terminal::note("connected again"),
            ConnectionState::Open => {
                self.was_open = true;
                terminal::note(&format!("following {}", harmless(&self.what)));
            }
            ConnectionState::Reconnecting { wait, cause, .. } => {
                // Below a second the exact time is of no interest.
                let wait = Duration::from_secs(wait.as_secs());
                let when = if wait.is_zero() {
                    "at once".to_owned()
                } else {
                    format!("in {}", format_duration(wait))
                };
                terminal::note(&harmless(&format!("{cause}; trying again {when}")));
            }
            _ => {}
        }
    }
}
