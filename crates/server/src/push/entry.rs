//! What of Web Push outlives the process: subscriptions and positions, as events of two topics of
//! the server's own, with the subscription's id as key: the newest of each counts.
//!
//! A subscription that was removed leaves a short event that says so: were that to expire, an older
//! one of the same key could come back with a segment that has not been rewritten yet.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidings_access::{Caller, Grants};
use tidings_frame::{EventObject, Pattern, TopicName, limits};
use tidings_hub::{
    Backlog, Durability, Hub, NewEvent, PolicyRule, Publish, ReadLimit, Retain, Selection,
    StoreError, TopicPolicy,
};

/// Where subscriptions are.
const SUBSCRIPTIONS: &str = "$push/subscriptions";

/// Where positions are.
const POSITIONS: &str = "$push/positions";

/// Events read from the log at a time.
const READ: ReadLimit = ReadLimit { events: 1_000, bytes: 1 << 20 };

/// How soon a message should reach a device that saves power (RFC 8030, section 5.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Urgency {
    /// On power and Wi-Fi.
    VeryLow,
    /// On either.
    Low,
    /// On neither.
    #[default]
    Normal,
    /// Also with a low battery.
    High,
}

impl Urgency {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::VeryLow => "very-low",
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
        }
    }
}

/// Whose token a subscription was made with, as far as revocations ask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Owner {
    pub(super) identity: String,
    #[serde(default)]
    pub(super) issuer: Option<String>,
    #[serde(default)]
    pub(super) subject: Option<String>,
    #[serde(default)]
    pub(super) token_id: Option<String>,
    /// Seconds since 1970, as the next.
    #[serde(default)]
    pub(super) issued: Option<u64>,
    #[serde(default)]
    pub(super) expires: Option<u64>,
}

impl Owner {
    pub(super) fn of(caller: &Caller) -> Self {
        Self {
            identity: caller.identity.clone(),
            issuer: caller.issuer.clone(),
            subject: caller.subject.clone(),
            token_id: caller.token_id.clone(),
            issued: caller.issued,
            expires: caller.expires,
        }
    }

    /// As revocations know it; with no right to anything.
    pub(super) fn caller(&self) -> Caller {
        Caller {
            identity: self.identity.clone(),
            issuer: self.issuer.clone(),
            subject: self.subject.clone(),
            token_id: self.token_id.clone(),
            tenant: None,
            issued: self.issued,
            expires: self.expires,
            grants: Grants::default(),
        }
    }
}

/// A subscription as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) id: String,
    pub(super) endpoint: String,
    pub(super) p256dh: String,
    pub(super) auth: String,
    #[serde(default)]
    pub(super) topics: Vec<String>,
    #[serde(default)]
    pub(super) patterns: Vec<String>,
    pub(super) ttl_s: u64,
    #[serde(default)]
    pub(super) urgency: Urgency,
    /// It wants what is after this position.
    pub(super) after: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) owner: Option<Owner>,
}

/// An event of [`SUBSCRIPTIONS`].
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Stored {
    Entry(Box<Entry>),
    Removed { id: String },
}

/// An event of [`POSITIONS`].
#[derive(Serialize, Deserialize)]
struct Reached {
    id: String,
    after: u64,
}

/// How the two topics are kept: only what counts, and that for ever.
pub(crate) fn policies(durability: Durability) -> Vec<PolicyRule> {
    let policy = TopicPolicy {
        durability,
        retain: Retain::default(),
        conflate: true,
        ..TopicPolicy::default()
    };
    let pattern = Pattern::new("$push/*").expect("a prefix of ours and a wildcard");
    vec![PolicyRule { pattern, policy }]
}

/// The subscriptions, each with the position it has reached.
pub(super) fn read(hub: &Hub) -> Result<Vec<Entry>, StoreError> {
    let mut entries: HashMap<String, Entry> = HashMap::new();
    each(hub, SUBSCRIPTIONS, &mut |event| match serde_json::from_slice(&event.data) {
        Ok(Stored::Entry(entry)) => {
            entries.insert(entry.id.clone(), *entry);
        }
        Ok(Stored::Removed { id }) => {
            entries.remove(&id);
        }
        Err(error) => tracing::warn!(%error, id = %event.id, "a subscription of Web Push"),
    })?;
    each(hub, POSITIONS, &mut |event| match serde_json::from_slice(&event.data) {
        Ok(Reached { id, after }) => {
            if let Some(entry) = entries.get_mut(&id) {
                entry.after = entry.after.max(after);
            }
        }
        Err(error) => tracing::warn!(%error, id = %event.id, "a position of Web Push"),
    })?;
    Ok(entries.into_values().collect())
}

fn each(hub: &Hub, topic: &str, each: &mut dyn FnMut(&EventObject<'_>)) -> Result<(), StoreError> {
    let topic = TopicName::new(topic).expect("a name of ours");
    let mut backlog = Backlog::new(Arc::new(Selection::one(topic)));
    let (mut after, through) = (0, hub.visible());
    loop {
        let (read_to, more) = backlog.objects(hub, (after, through), READ, true, each)?;
        if !more {
            return Ok(());
        }
        after = read_to;
    }
}

/// Writes a subscription. Returns the batch that must be on disk before anybody is told so, if
/// there is one.
pub(super) fn write(hub: &Hub, entry: &Entry) -> Result<Option<u64>, StoreError> {
    let data = Stored::Entry(Box::new(entry.clone()));
    publish(hub, &[event(SUBSCRIPTIONS, &entry.id, &data)])
}

/// Writes that a subscription is no more. As [`write`].
pub(super) fn write_removed(hub: &Hub, id: &str) -> Result<Option<u64>, StoreError> {
    let data = Stored::Removed { id: id.to_owned() };
    publish(hub, &[event(SUBSCRIPTIONS, id, &data)])
}

/// Writes positions.
pub(super) fn write_positions(hub: &Hub, reached: &[(Arc<str>, u64)]) -> Result<(), StoreError> {
    for some in reached.chunks(limits::BATCH_EVENTS_MAX) {
        let events: Vec<NewEvent<'_>> = some
            .iter()
            .map(|(id, after)| event(POSITIONS, id, &Reached { id: id.to_string(), after: *after }))
            .collect();
        publish(hub, &events)?;
    }
    Ok(())
}

fn event<'a>(topic: &'a str, key: &'a str, data: &impl Serialize) -> NewEvent<'a> {
    let data = serde_json::to_vec(data).expect("text and numbers can be written as JSON");
    NewEvent {
        topic: Cow::Borrowed(topic),
        key: Some(Cow::Borrowed(key)),
        data: Cow::Owned(data),
        ..NewEvent::default()
    }
}

fn publish(hub: &Hub, events: &[NewEvent<'_>]) -> Result<Option<u64>, StoreError> {
    let mut round = hub.round();
    round.publish(&Publish { events, operator: true, relay: true, ..Publish::default() });
    match round.commit().pop() {
        Some(outcome) => outcome.map(|accepted| accepted.wait).map_err(super::refused),
        None => Err(StoreError::Failed("a round has an outcome for each request".into())),
    }
}
