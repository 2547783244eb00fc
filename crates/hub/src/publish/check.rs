//! What must be so for a request to be published: limits and names, conditions, repeats, producers.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::atomic::Ordering;

use tidings_frame::limits::{
    BATCH_EVENTS_MAX, EVENT_DATA_BYTES_MAX, EVENT_TOPICS_MAX, PRODUCER_ID_BYTES_MAX,
    SCHEDULE_AHEAD_MAX,
};
use tidings_frame::{
    NameError, TopicName, check_event_type, check_foreign_event_type, check_idempotency_key,
    check_key, check_publisher_id, is_internal,
};
use tidings_log as log;

use super::{Accepted, Expect, NewEvent, Outcome, Producer, Publish, Published, Round, topics_of};
use crate::error::PublishError;
use crate::hub::Topic;
use crate::policy::EndBy;

impl Round<'_> {
    /// All that can be said of a request without looking at its topics.
    pub(super) fn check(&self, request: &Publish<'_>) -> Result<(), PublishError> {
        let count = request.events.len();
        if count == 0 || count > BATCH_EVENTS_MAX {
            return Err(PublishError::BatchSize { events: count, limit: BATCH_EVENTS_MAX });
        }
        if let Some(key) = request.idempotency_key {
            named("Idempotency-Key", check_idempotency_key(key))?;
        }
        let ahead_max = u64::try_from(SCHEDULE_AHEAD_MAX.as_millis()).unwrap_or(u64::MAX);
        if request.at_ms.is_some_and(|at_ms| at_ms > self.now_ms.saturating_add(ahead_max)) {
            return Err(PublishError::TooFarAhead { days: SCHEDULE_AHEAD_MAX.as_secs() / 86_400 });
        }
        let ends = request.events.iter().position(|event| event.end.is_some());
        if let Some((at, end)) = ends.and_then(|at| Some((at, request.events[at].end?))) {
            let ended = &request.events[at];
            let touches = |event: &NewEvent<'_>| {
                topics_of(event).any(|name| topics_of(ended).any(|ended| ended == name))
            };
            if request.events[at + 1..].iter().any(touches) {
                return Err(PublishError::Ended { end });
            }
        }
        request.events.iter().try_for_each(|event| self.check_event(event, request))?;
        if request.relay { Ok(()) } else { self.check_room(request) }
    }

    /// Whether there may be as many topics as there would be.
    fn check_room(&self, request: &Publish<'_>) -> Result<(), PublishError> {
        let is_new = |name: &&Cow<'_, str>| !self.state.topics.contains_key(&***name);
        let mut new = request.events.iter().flat_map(topics_of).filter(is_new).peekable();
        if new.peek().is_none() {
            return Ok(());
        }
        let limit = self.hub.topics_max;
        let there = self.hub.topic_count() + self.made.len();
        // Counted one by one only when it matters.
        if there < limit.saturating_sub(BATCH_EVENTS_MAX * EVENT_TOPICS_MAX)
            || there + new.collect::<HashSet<_>>().len() <= limit
        {
            return Ok(());
        }
        self.hub.counters.topics_refused.fetch_add(1, Ordering::Relaxed);
        Err(PublishError::NoMoreTopics { limit })
    }

    fn check_event(&self, event: &NewEvent<'_>, request: &Publish<'_>) -> Result<(), PublishError> {
        let &Publish { operator, relay, .. } = request;
        // A part of an answer cannot be left out; an answer has a limit of its own.
        let answer = relay && is_internal(&event.topic);
        let limit = if answer { EVENT_DATA_BYTES_MAX } else { self.hub.event_bytes_max };
        if event.data.len() > limit {
            return Err(PublishError::TooLarge { bytes: event.data.len(), limit });
        }
        if event.alternates.len() >= EVENT_TOPICS_MAX {
            return Err(PublishError::TooManyTopics { limit: EVENT_TOPICS_MAX });
        }
        if let Some(event_type) = &event.event_type {
            let check = if relay { check_foreign_event_type } else { check_event_type };
            named("type", check(event_type))?;
        }
        if let Some(key) = &event.key {
            named("key", check_key(key))?;
        }
        if let Some(id) = &event.publisher_id {
            named("publisher id", check_publisher_id(id))?;
        }
        if let Some(producer) = &event.producer {
            if producer.id.len() > PRODUCER_ID_BYTES_MAX || producer.id.is_empty() {
                let source = NameError::TooLong(PRODUCER_ID_BYTES_MAX);
                return Err(PublishError::Name { field: "producer id", source });
            }
        }
        let mut binary = false;
        for (place, name) in topics_of(event).enumerate() {
            if is_internal(name) && !relay {
                return Err(PublishError::Internal);
            }
            // A name that is known has been checked when it became known.
            let Some(topic) = self.state.topics.get(&**name) else {
                TopicName::new(name)?;
                let rule = self.hub.rules.of(name);
                if event.end.is_some() && rule.end_by == EndBy::Operator && !operator {
                    return Err(PublishError::MayNotEnd);
                }
                binary |= place == 0 && rule.is_binary();
                continue;
            };
            if let Some(end) = topic.closed {
                return Err(PublishError::Ended { end });
            }
            if event.end.is_some() && topic.policy.end_by == EndBy::Operator && !operator {
                return Err(PublishError::MayNotEnd);
            }
            binary |= place == 0 && topic.binary;
        }
        if !binary && std::str::from_utf8(&event.data).is_err() {
            return Err(PublishError::NotText);
        }
        Ok(())
    }

    pub(super) fn check_repeat(
        &self,
        request: &Publish<'_>,
        fingerprint: Option<u64>,
    ) -> Result<(), Outcome> {
        let (Some(key), Some(fingerprint)) = (request.idempotency_key, fingerprint) else {
            return Ok(());
        };
        let Some(topic) = self.state.topics.get(&*request.events[0].topic) else {
            return Ok(());
        };
        match self.hub.log.idempotent(topic.id, key) {
            None => Ok(()),
            Some(first) if first.fingerprint == fingerprint => {
                Err(Ok(self.repeated(first.first, first.count)))
            }
            Some(_) => Err(Err(PublishError::IdempotencyMismatch)),
        }
    }

    fn repeated(&self, first: u64, count: u32) -> Accepted {
        Accepted {
            result: Published::Stored { first, count, duplicate: true },
            wait: self.state.pending_batch(),
        }
    }

    pub(super) fn check_conditions(&self, request: &Publish<'_>) -> Result<(), Outcome> {
        for event in request.events {
            let topic = self.state.topics.get(&*event.topic);
            if let Some(expect) = event.expect {
                let newest = topic.map_or(0, |topic| self.hub.newest_of(topic.id));
                let wanted = match expect {
                    Expect::Nothing => 0,
                    Expect::Newest(sequence) => sequence,
                };
                if newest != wanted {
                    return Err(Err(PublishError::Unexpected { newest }));
                }
            }
            if let Some(producer) = &event.producer {
                self.check_producer(topic, producer, request.events.len())?;
            }
        }
        Ok(())
    }

    /// The rules of idempotent producers: a smaller epoch is fenced, a larger one begins at 0, what
    /// was seen is a duplicate, and nothing may be left out.
    fn check_producer(
        &self,
        topic: Option<&Topic>,
        producer: &Producer<'_>,
        events: usize,
    ) -> Result<(), Outcome> {
        let seen = topic.and_then(|topic| self.hub.log.producer(topic.id, producer.id));
        let expected = match seen {
            Some(log::Produced { epoch, .. }) if producer.epoch < epoch => {
                return Err(Err(PublishError::ProducerFenced { epoch }));
            }
            Some(last) if producer.epoch == last.epoch => {
                if producer.sequence <= last.sequence && events == 1 {
                    // Of what it has published only the newest is remembered.
                    return Err(Ok(self.repeated(last.at, 1)));
                }
                last.sequence + 1
            }
            _ => 0,
        };
        if producer.sequence != expected {
            let received = producer.sequence;
            return Err(Err(PublishError::ProducerGap { expected, received }));
        }
        Ok(())
    }
}

fn named(field: &'static str, checked: Result<(), NameError>) -> Result<(), PublishError> {
    checked.map_err(|source| PublishError::Name { field, source })
}
