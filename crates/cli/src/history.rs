//! `tidings history`: what a topic has kept.

use tidings_client::{Client, Event};
use tidings_frame::api::Page;
use tidings_frame::limits::{HISTORY_PAGE_EVENTS_MAX, START_LAST_EVENTS_MAX};
use tidings_frame::{GapNotice, Position};

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
    let client = arguments.target.client()?;
    let printer = Printer::stdout(arguments.json, false);
    match (arguments.last, arguments.before) {
        (None, None) => block_on(forwards(arguments, &client, printer)),
        (last, before) => {
            let wanted = last.unwrap_or(arguments.limit);
            block_on(backwards(arguments, &client, printer, before, wanted))
        }
    }
}

/// Page by page from the oldest on; what is printed need not be kept.
async fn forwards(arguments: &Arguments, client: &Client, printer: Printer) -> anyhow::Result<()> {
    let mut after = arguments.after;
    let mut left = if arguments.all {
        u64::MAX
    } else {
        arguments.limit
    };
    loop {
        let mut history = client.history(&arguments.topic).limit(left.min(PAGE));
        if let Some(after) = after {
            history = history.after(after);
        }
        let page = history
            .page()
            .await
            .map_err(|error| arguments.target.request(&error))?;
        tell_gap(page.gap.as_ref());
        printer.print(&page.events)?;
        left = left.saturating_sub(page.events.len() as u64);
        if left == 0 || !page.more || page.next.is_none() || page.next == after {
            return Ok(());
        }
        after = page.next;
    }
}

/// Page by page towards the oldest; printed the other way round, so all of it is kept until then.
async fn backwards(
    arguments: &Arguments,
    client: &Client,
    printer: Printer,
    mut before: Option<Position>,
    wanted: u64,
) -> anyhow::Result<()> {
    let mut pages: Vec<Vec<Event>> = Vec::new();
    let mut left = wanted;
    while left > 0 {
        let count = left.min(PAGE);
        let history = client.history(&arguments.topic);
        let history = match before {
            Some(before) => history.before(before).limit(count),
            None => history.last(count),
        };
        let Page { events, gap, .. } = history
            .page()
            .await
            .map_err(|error| arguments.target.request(&error))?;
        let Some(first) = events.first() else {
            tell_gap(gap.as_ref());
            break;
        };
        before = Some(first.id);
        left = left.saturating_sub(events.len() as u64);
        pages.push(events);
    }
    for page in pages.iter().rev() {
        printer.print(page)?;
    }
    Ok(())
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
