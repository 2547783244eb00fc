//! `tidings history`: what a topic has kept.

use std::collections::VecDeque;

use tidings_client::{Client, Event};
use tidings_frame::limits::{HISTORY_PAGE_EVENTS_MAX, START_LAST_EVENTS_MAX};
use tidings_frame::{GapNotice, Position, TopicName};

use crate::exit::{Exit, Reason};
use crate::output::Printer;
use crate::target::{Target, block_on};
use crate::terminal::{self, harmless};

pub(crate) const EXAMPLES: &str = "\
The oldest event comes first.

Examples:
  tidings history chat/lobby --last 20
  tidings history orders --all --json > orders.ndjson
  tidings history orders --after k3v9x2aa-41 --limit 10";

/// Print what a topic has kept
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The topic
    topic: String,
    /// Only events after this one
    #[arg(long, value_name = "ID")]
    after: Option<Position>,
    /// Only events before this one, the nearest of them
    #[arg(long, value_name = "ID", conflicts_with_all = ["after", "all"])]
    before: Option<Position>,
    /// Only the last so many
    #[arg(long, value_name = "NUMBER", conflicts_with_all = ["after", "before", "limit", "all"],
          value_parser = clap::value_parser!(u64).range(1..=START_LAST_EVENTS_MAX))]
    last: Option<u64>,
    /// At most so many
    #[arg(long, value_name = "NUMBER", default_value_t = 100,
          value_parser = clap::value_parser!(u64).range(1..=START_LAST_EVENTS_MAX))]
    limit: u64,
    /// Everything that is kept
    #[arg(long, conflicts_with = "limit")]
    all: bool,
    /// Print an event as a JSON object on a line of its own
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

/// Events that are asked for at once.
const PAGE: u64 = HISTORY_PAGE_EVENTS_MAX as u64;

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    // Told before anything is sent, whatever is asked for first.
    TopicName::new(&arguments.topic)
        .map_err(|error| Exit::new(Reason::Usage, format!("`{}`: {error}", arguments.topic)))?;
    let client = arguments.target.client()?;
    let mut pages = Pages { arguments, client, next: From::Oldest, left: arguments.limit };
    if arguments.all || arguments.before.is_some() {
        pages.left = u64::MAX;
    }
    if let Some(after) = arguments.after {
        pages.next = From::After(after);
    }
    if let Some(last) = arguments.last {
        pages.next = From::Last(last);
        pages.left = last;
    }
    let printer = Printer::stdout(arguments.json, false);
    block_on(async {
        if arguments.before.is_some() {
            return print_nearest(pages, arguments.limit, printer).await;
        }
        while let Some(events) = pages.read().await? {
            printer.print(&events)?;
        }
        Ok(())
    })
}

/// The events before one of them are read from the oldest on, and only the nearest are kept.
async fn print_nearest(mut pages: Pages<'_>, limit: u64, printer: Printer) -> anyhow::Result<()> {
    let limit = usize::try_from(limit)?;
    let mut nearest: VecDeque<Event> = VecDeque::new();
    while let Some(events) = pages.read().await? {
        nearest.extend(events);
        let over = nearest.len().saturating_sub(limit);
        nearest.drain(..over);
    }
    Ok(printer.print(nearest.make_contiguous())?)
}

/// Where the next page begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    Oldest,
    After(Position),
    Last(u64),
    Nowhere,
}

/// A topic's history, page by page.
struct Pages<'a> {
    arguments: &'a Arguments,
    client: Client,
    next: From,
    /// Events that are still wanted.
    left: u64,
}

impl Pages<'_> {
    /// The next page; none after the last.
    async fn read(&mut self) -> anyhow::Result<Option<Vec<Event>>> {
        let arguments = self.arguments;
        let history = self.client.history(&arguments.topic).limit(self.left.min(PAGE));
        let history = match self.next {
            From::Nowhere => return Ok(None),
            From::Last(events) => history.last(events),
            From::After(position) => history.after(position),
            // A page that begins nowhere in particular is the newest one.
            From::Oldest => match self.before_oldest().await? {
                Some(position) => history.after(position),
                None => history,
            },
        };
        let history = match arguments.before {
            Some(before) => history.before(before),
            None => history,
        };
        let page = history.page().await.map_err(|error| arguments.target.request(&error))?;
        tell_gap(page.gap.as_ref());
        self.left = self.left.saturating_sub(page.events.len() as u64);
        let next = page.next.map_or(From::Nowhere, From::After);
        let goes_on = page.more && self.left > 0 && next != self.next;
        self.next = if goes_on { next } else { From::Nowhere };
        Ok(Some(page.events))
    }

    /// The position before the oldest event that is kept; none if there is none.
    async fn before_oldest(&self) -> anyhow::Result<Option<Position>> {
        let described = self.client.describe(&self.arguments.topic).await;
        let described = described.map_err(|error| self.arguments.target.request(&error))?;
        Ok(described
            .and_then(|topic| topic.oldest)
            .map(|oldest| Position { sequence: oldest.sequence.saturating_sub(1), ..oldest }))
    }
}

fn tell_gap(gap: Option<&GapNotice<'_>>) {
    if let Some(gap) = gap {
        let (requested, resumes) = (&gap.requested, gap.resumes);
        terminal::note(&harmless(&format!(
            "gap: events after {requested} are missing ({}); what follows is after {resumes}",
            gap.reason
        )));
    }
}
