//! Catching up with an answer in fewer, longer events: for readers who are behind and asked for it.
//!
//! A token is a few bytes in an event of two hundred. Whoever is a thousand tokens behind can do
//! with the text of all of them in one event of the same dialect; its id is that of the last. What
//! is read at a time is bounded, however far behind a reader is.

use tidings_frame::{EventObject, Position};
use tidings_hub::{Backlog, Framing, Hub, ReadLimit, Span, Step, StoreError};

use crate::dialect::{Dialect, merge, merge_ui};

/// What is read and merged at a time.
const READ: ReadLimit = ReadLimit { events: 1_000, bytes: 256 << 10 };

/// How the events of an answer are merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merge {
    /// By the rules of the API's own events.
    Dialect(Dialect),
    /// By those of the AI SDK's.
    Ui,
}

/// The next events of an answer's topic after `after`, merged; as [`Backlog::step`] otherwise.
///
/// # Errors
/// When the log cannot be read.
pub fn step(
    hub: &Hub,
    backlog: &mut Backlog,
    after: u64,
    framing: Framing,
    how: Merge,
) -> Result<Step, StoreError> {
    let through = hub.visible();
    let mut events: Vec<EventObject<'static>> = Vec::new();
    let (read_to, more) = backlog.objects(hub, (after, through), READ, true, &mut |event| {
        events.push(event.clone().into_owned());
    })?;
    let texts: Vec<String> =
        events.iter().map(|event| String::from_utf8_lossy(&event.data).into_owned()).collect();
    let said = events.iter().zip(&texts).filter(|(event, _)| event.end.is_none());
    let said = said.map(|(event, text)| (event.id.sequence, event.event_type.as_deref(), &**text));
    let records = match how {
        Merge::Dialect(dialect) => merge(dialect, said),
        Merge::Ui => merge_ui(said),
    };
    let end = events.last().filter(|event| event.end.is_some());
    let mut bytes = Vec::new();
    let mut count = 0;
    if let Some(first) = events.first() {
        for (sequence, record) in &records {
            let event = EventObject {
                id: Position { sequence: *sequence, ..first.id },
                event_type: record.event_type.as_deref().map(Into::into),
                data: record.data.as_bytes().into(),
                end: None,
                ..first.clone()
            };
            framing.encode(hub, &event, &mut bytes);
            count += 1;
        }
    }
    if let Some(end) = end {
        framing.encode(hub, end, &mut bytes);
        count += 1;
    }
    let span = Span {
        bytes: bytes.into(),
        after: if more { read_to } else { through.max(after) },
        events: count,
        end: end.and_then(|event| event.end),
        since_ms: events.first().map_or(0, |event| event.time_ms),
    };
    Ok(Step { span, caught_up: !more, gap: None })
}
