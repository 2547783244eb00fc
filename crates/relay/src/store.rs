//! The relay's side of the hub: appending what came, and reading back what is stored.

use std::borrow::Cow;
use std::sync::Arc;

use tidings_frame::{End, EventObject, TopicName};
use tidings_hub::{
    Backlog, Hub, NewEvent, Publish, PublishError, Published, ReadLimit, Selection, StoreError,
};

use crate::dialect::Record;

/// Events read from the log at a time.
const READ: ReadLimit = ReadLimit { events: 1_000, bytes: 1 << 20 };

/// Appends records to a topic in one batch, and ends the topic if `end` says how. Returns the last
/// position.
pub(crate) fn append(
    hub: &Hub,
    topic: &str,
    records: &[Record],
    end: Option<End>,
) -> Result<u64, PublishError> {
    publish(hub, &events(topic, records, end))
}

/// Records as events of a topic, and its end if `end` says how.
pub(crate) fn events<'a>(
    topic: &'a str,
    records: &'a [Record],
    end: Option<End>,
) -> Vec<NewEvent<'a>> {
    let mut events = Vec::with_capacity(records.len() + usize::from(end.is_some()));
    events.extend(records.iter().map(|record| NewEvent {
        topic: Cow::Borrowed(topic),
        data: Cow::Borrowed(record.data.as_bytes()),
        event_type: record.event_type.as_deref().map(Cow::Borrowed),
        ..NewEvent::default()
    }));
    if end.is_some() {
        events.push(NewEvent { topic: Cow::Borrowed(topic), end, ..NewEvent::default() });
    }
    events
}

/// Publishes events of the relay's own.
pub(crate) fn publish(hub: &Hub, events: &[NewEvent<'_>]) -> Result<u64, PublishError> {
    let mut last = 0;
    // A batch has a largest size; an upstream's read never comes near it, a recovery may.
    for events in events.chunks(tidings_frame::limits::BATCH_EVENTS_MAX) {
        let mut round = hub.round();
        round.publish(&Publish { events, operator: true, relay: true, ..Publish::default() });
        let outcome = round.commit().pop().unwrap_or_else(|| {
            Err(StoreError::Failed("a round has an outcome for each request".into()).into())
        })?;
        if let Published::Stored { first, count, .. } = outcome.result {
            last = first + u64::from(count) - 1;
        }
    }
    Ok(last)
}

/// Hands out every visible event of a topic after a position, oldest first. Returns the position up
/// to which there are no more.
pub(crate) fn read(
    hub: &Hub,
    topic: &str,
    mut after: u64,
    each: &mut dyn FnMut(&EventObject<'_>),
) -> Result<u64, StoreError> {
    let Ok(name) = TopicName::new(topic) else { return Ok(after) };
    let mut backlog = Backlog::new(Arc::new(Selection::one(name)));
    let through = hub.visible();
    loop {
        let (read_to, more) = backlog.objects(hub, (after, through), READ, true, each)?;
        if !more {
            return Ok(through.max(after));
        }
        after = read_to;
    }
}
