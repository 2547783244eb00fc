//! Publishes for later: stored durably when they are accepted, published when they are due.
//!
//! The request waits in the log as it came; when its time comes it is published and taken off the
//! list in one batch, so a crash between the two is impossible.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use tidings_frame::End;
use tidings_log as log;

use crate::error::{PublishError, StoreError};
use crate::hub::Hub;
use crate::publish::{Expect, NewEvent, Producer, Publish};

/// How long a due publish waits when the log could not take it, in milliseconds.
const RETRY_MS: u64 = 1_000;

/// A publish that waits for its time.
#[derive(Clone, Debug)]
pub(crate) struct Scheduled {
    pub(crate) id: u64,
    pub(crate) at_ms: u64,
    pub(crate) payload: Arc<[u8]>,
}

/// All that wait.
#[derive(Default)]
pub(crate) struct Schedules {
    by_id: HashMap<u64, Scheduled>,
    due: BTreeSet<(u64, u64)>,
    /// Topic of the first event and idempotency key.
    by_key: HashMap<(String, String), u64>,
}

impl Schedules {
    pub(crate) fn from_log(schedules: Vec<log::Schedule>) -> Self {
        let mut all = Self::default();
        for schedule in schedules {
            all.add(schedule.id, schedule.due_ms, schedule.payload);
        }
        all
    }

    pub(crate) fn add(&mut self, id: u64, at_ms: u64, payload: Arc<[u8]>) {
        if let Some(key) = key_of(&payload) {
            self.by_key.insert(key, id);
        }
        self.due.insert((at_ms, id));
        self.by_id.insert(id, Scheduled { id, at_ms, payload });
    }

    pub(crate) fn remove(&mut self, id: u64) -> Option<Scheduled> {
        let scheduled = self.by_id.remove(&id)?;
        self.due.remove(&(scheduled.at_ms, id));
        if let Some(key) = key_of(&scheduled.payload) {
            self.by_key.remove(&key);
        }
        Some(scheduled)
    }

    pub(crate) fn find(&self, topic: &str, idempotency_key: &str) -> Option<&Scheduled> {
        let key = (topic.to_owned(), idempotency_key.to_owned());
        self.by_id.get(self.by_key.get(&key)?)
    }

    /// When the next one is due.
    pub(crate) fn next_ms(&self) -> Option<u64> {
        self.due.first().map(|&(at_ms, _)| at_ms)
    }

    fn next_due(&self, now_ms: u64) -> Option<Scheduled> {
        let &(at_ms, id) = self.due.first()?;
        if at_ms > now_ms { None } else { self.by_id.get(&id).cloned() }
    }

    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }
}

#[derive(Serialize, Deserialize)]
struct StoredRequest<'a> {
    events: Vec<StoredEvent<'a>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    idempotency_key: Option<Cow<'a, str>>,
    #[serde(default)]
    operator: bool,
}

#[derive(Serialize, Deserialize)]
struct StoredEvent<'a> {
    topic: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    alternates: Vec<Cow<'a, str>>,
    data: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    event_type: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    publisher_id: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ttl_ms: Option<u64>,
    #[serde(default)]
    private: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    end: Option<End>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    producer: Option<(String, u64, u64)>,
    /// `Some(None)` expects nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expect: Option<Option<u64>>,
}

/// The request as it waits in the log.
pub(crate) fn to_payload(request: &Publish<'_>) -> Arc<[u8]> {
    let events = request.events.iter().map(|event| StoredEvent {
        topic: Cow::Borrowed(&*event.topic),
        alternates: event.alternates.iter().map(|name| Cow::Borrowed(&**name)).collect(),
        data: STANDARD.encode(&event.data),
        event_type: event.event_type.as_deref().map(Cow::Borrowed),
        key: event.key.as_deref().map(Cow::Borrowed),
        publisher_id: event.publisher_id.as_deref().map(Cow::Borrowed),
        ttl_ms: event.ttl_ms,
        private: event.private,
        end: event.end,
        producer: event.producer.map(|p| (p.id.to_owned(), p.epoch, p.sequence)),
        expect: event.expect.map(|expect| match expect {
            Expect::Nothing => None,
            Expect::Newest(sequence) => Some(sequence),
        }),
    });
    let stored = StoredRequest {
        events: events.collect(),
        idempotency_key: request.idempotency_key.map(Cow::Borrowed),
        operator: request.operator,
    };
    serde_json::to_vec(&stored).expect("strings and numbers always serialise").into()
}

fn key_of(payload: &[u8]) -> Option<(String, String)> {
    let stored: StoredRequest<'_> = serde_json::from_slice(payload).ok()?;
    let topic = stored.events.first()?.topic.to_string();
    Some((topic, stored.idempotency_key?.into_owned()))
}

/// Publishes the request of a payload.
fn with_request<R>(payload: &[u8], publish: impl FnOnce(&Publish<'_>) -> R) -> Option<R> {
    let stored: StoredRequest<'_> = serde_json::from_slice(payload).ok()?;
    let data: Vec<Vec<u8>> = stored
        .events
        .iter()
        .map(|event| STANDARD.decode(&event.data).ok())
        .collect::<Option<_>>()?;
    let events: Vec<NewEvent<'_>> = stored
        .events
        .iter()
        .zip(&data)
        .map(|(event, data)| NewEvent {
            topic: Cow::Borrowed(&*event.topic),
            alternates: event.alternates.iter().map(|name| Cow::Borrowed(&**name)).collect(),
            data: Cow::Borrowed(data),
            event_type: event.event_type.as_deref().map(Cow::Borrowed),
            key: event.key.as_deref().map(Cow::Borrowed),
            publisher_id: event.publisher_id.as_deref().map(Cow::Borrowed),
            ttl_ms: event.ttl_ms,
            private: event.private,
            end: event.end,
            producer: event.producer.as_ref().map(|(id, epoch, sequence)| Producer {
                id,
                epoch: *epoch,
                sequence: *sequence,
            }),
            expect: event.expect.map(|expect| expect.map_or(Expect::Nothing, Expect::Newest)),
        })
        .collect();
    Some(publish(&Publish {
        events: &events,
        idempotency_key: stored.idempotency_key.as_deref(),
        at_ms: None,
        operator: stored.operator,
        relay: false,
    }))
}

impl Hub {
    /// Publishes what is due. Returns when to look again, milliseconds since 1970.
    pub(crate) fn publish_due(&self) -> Option<u64> {
        loop {
            let mut round = self.round();
            let now_ms = self.now_ms();
            let schedules = &round.state().schedules;
            let Some(due) = schedules.next_due(now_ms) else {
                return schedules.next_ms();
            };
            match round.fire(&due) {
                Ok(()) | Err(PublishError::Store(StoreError::Failed(_))) => {}
                Err(PublishError::Store(StoreError::DiskFull)) => {
                    return Some(now_ms + RETRY_MS);
                }
                Err(error) => tracing::warn!(
                    schedule = due.id,
                    %error,
                    "a scheduled publish was refused when its time came, and is dropped"
                ),
            }
        }
    }

    /// Takes a scheduled publish back. `false` if there is none of this id (any more).
    ///
    /// # Errors
    /// When the log cannot take it.
    pub fn unschedule(&self, id: u64) -> Result<bool, StoreError> {
        self.round().unschedule(id)
    }

    /// How many publishes wait for their time.
    #[must_use]
    pub fn scheduled(&self) -> usize {
        self.state.lock().schedules.len()
    }
}

impl crate::publish::Round<'_> {
    /// Publishes and takes off the list, in one batch.
    fn fire(mut self, due: &Scheduled) -> Result<(), PublishError> {
        let state = self.state();
        let taken = state.writer.unschedule(&mut state.batch, due.id);
        taken.map_err(|error| StoreError::Failed(error.to_string()))?;
        let scheduled = state.schedules.remove(due.id);
        let at = with_request(&due.payload, |request| self.publish(request));
        self.flush();
        let failed = self.failed();
        if let (Some(scheduled), Some(StoreError::DiskFull)) = (scheduled, &failed) {
            let Scheduled { id, at_ms, payload } = scheduled;
            self.state().schedules.add(id, at_ms, payload);
        }
        let mut outcomes = self.commit();
        match (failed, at) {
            (Some(error), _) => Err(error.into()),
            (None, Some(at)) => outcomes.swap_remove(at).map(|_| ()),
            // A payload that cannot be read was written by a newer version; it is gone.
            (None, None) => Ok(()),
        }
    }

    fn unschedule(mut self, id: u64) -> Result<bool, StoreError> {
        let state = self.state();
        let Some(scheduled) = state.schedules.remove(id) else {
            return Ok(false);
        };
        let taken = state.writer.unschedule(&mut state.batch, id);
        taken.map_err(|error| StoreError::Failed(error.to_string()))?;
        self.flush();
        if let Some(error) = self.failed() {
            let Scheduled { id, at_ms, payload } = scheduled;
            self.state().schedules.add(id, at_ms, payload);
            return Err(error);
        }
        Ok(true)
    }
}
