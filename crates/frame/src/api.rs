//! The JSON documents of the native API besides events and problems, the same type for the server
//! that writes one and the client that reads it.
//!
//! Requests refuse members that they do not know, so that a slip of the pen is not silently
//! ignored. Answers may gain members, so readers ignore those that they do not know.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::event::{End, EventObject, GapNotice};
use crate::position::Position;
use crate::time::Time;

/// What `expect` says for a topic that must not have had an event yet.
pub const EXPECT_NOTHING: &str = "none";

/// The id from which a subscription or a page starts with the oldest event that is kept.
pub const EARLIEST: &str = "earliest";

/// One event to publish: a member of `events` of `POST /publish`, or a line of a batch
/// (`application/x-ndjson`) to `POST /topics/{topic}`.
///
/// Durations are whole numbers with units (`1500ms`, `90s`, `1h30m`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventToPublish<'a> {
    /// Its topic. Not given in a batch, where the path says it.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<Cow<'a, str>>,
    /// Other topics that it belongs to.
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    pub alternates: Vec<Cow<'a, str>>,
    /// Its data, if that is text. Neither this nor `data_base64` is empty data.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Cow<'a, str>>,
    /// Its data in base64 (RFC 4648, section 4).
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub data_base64: Option<Cow<'a, str>>,
    /// Its type.
    #[serde(borrow, default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub event_type: Option<Cow<'a, str>>,
    /// What it is about, for conflation.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Cow<'a, str>>,
    /// The publisher's own id of it.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub publisher_id: Option<Cow<'a, str>>,
    /// After how long it is not delivered any more.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<Cow<'a, str>>,
    /// Whether only those with a right to private events see it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub private: bool,
    /// Whether and how it ends its topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<End>,
    /// The id of its topic's newest event, or [`EXPECT_NOTHING`].
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<Cow<'a, str>>,
}

/// The body of `POST /publish`: all of the events or none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishRequest<'a> {
    /// In the order in which they are to be stored.
    #[serde(borrow)]
    pub events: Vec<EventToPublish<'a>>,
    /// When to publish them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
    /// After how long to publish them.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub delay: Option<Cow<'a, str>>,
}

/// The body of `POST /events`: what to follow on one connection.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubscribeRequest<'a> {
    /// Names of topics.
    #[serde(borrow, default)]
    pub topics: Vec<Cow<'a, str>>,
    /// Patterns of topics.
    #[serde(borrow, default)]
    pub patterns: Vec<Cow<'a, str>>,
}

/// The body of `PATCH /connections/{id}`: what to add and what to remove, or the whole list anew.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectionChange<'a> {
    /// To follow as well.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub add: Option<SubscribeRequest<'a>>,
    /// To follow no longer.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub remove: Option<SubscribeRequest<'a>>,
    /// Names of all topics to follow from now on.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub topics: Option<Vec<Cow<'a, str>>>,
    /// All patterns of topics to follow from now on.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub patterns: Option<Vec<Cow<'a, str>>>,
}

/// What a connection follows after a change: 200.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionTopics {
    /// Names the connection, without its key.
    pub id: String,
    /// Names of topics.
    pub topics: Vec<String>,
    /// Patterns of topics.
    pub patterns: Vec<String>,
    /// The position from which this holds: every matching event after it comes on the stream.
    pub after: Position,
}

/// A live subscription.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionObject {
    /// Names the connection.
    pub id: String,
    /// The address and port at its other end.
    pub peer: String,
    /// When it began.
    pub since: Time,
    /// Names of the topics that it follows.
    pub topics: Vec<String>,
    /// Patterns that it follows.
    pub patterns: Vec<String>,
    /// `live`, `blocked` (its socket takes nothing) or `catching-up` (reading the log).
    pub state: String,
    /// The position that it has reached.
    pub after: Position,
    /// An upper bound of the events that it has not had.
    pub lag: u64,
    /// Events that it has had.
    pub events: u64,
}

/// The list of live subscriptions, in the order in which they began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionPage {
    /// The first 10,000.
    pub connections: Vec<ConnectionObject>,
    /// How many there are.
    pub total: u64,
}

/// The answer to one event published: 200.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// Its position.
    pub id: Position,
    /// Its topic.
    pub topic: String,
    /// Whether this was a repeat; the id is the first one's. Repeats of an earlier event of a
    /// producer have the id of that producer's newest event.
    #[serde(default)]
    pub duplicate: bool,
}

/// The answer to several events published: 200.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedAll {
    /// One for each event, in the order of the request.
    pub events: Vec<Published>,
    /// Whether this was a repeat; the ids are the first ones.
    #[serde(default)]
    pub duplicate: bool,
}

/// The answer to events that will be published later: 202.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scheduled {
    /// Names the schedule, to take it back.
    pub schedule: String,
    /// When they will be published.
    pub at: Time,
}

/// A page of history, and the answer to a long-poll.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page<'a> {
    /// In the order of their positions.
    #[serde(borrow)]
    pub events: Vec<EventObject<'a>>,
    /// What to ask for as `after` to go on. None: the topic has had no event yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Position>,
    /// Whether there is more at this moment, in the direction of reading.
    #[serde(default)]
    pub more: bool,
    /// What is missing before the first event, if anything.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub gap: Option<GapNotice<'a>>,
    /// How the topic ended, once the page has reached that end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<End>,
}

impl Page<'_> {
    /// A copy that borrows nothing.
    #[must_use]
    pub fn into_owned(self) -> Page<'static> {
        Page {
            events: self.events.into_iter().map(EventObject::into_owned).collect(),
            next: self.next,
            more: self.more,
            gap: self.gap.map(GapNotice::into_owned),
            end: self.end,
        }
    }
}

/// The data of an `end` block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndNotice<'a> {
    /// How the topic ended.
    pub reason: End,
    /// Which topic. Given on subscriptions with an envelope, which may follow several.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<Cow<'a, str>>,
}

/// A topic, described: the answer to `PUT /topics/{topic}`, and a member of the list of topics.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TopicObject {
    /// Its name.
    pub name: String,
    /// Its policy.
    #[serde(default)]
    pub policy: Value,
    /// Whether the policy was set for this very topic.
    #[serde(default)]
    pub own_policy: bool,
    /// When it was made.
    pub created: Time,
    /// How it ended, if it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed: Option<End>,
    /// The oldest event that is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest: Option<Position>,
    /// The newest event there was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest: Option<Position>,
    /// Events kept.
    #[serde(default)]
    pub events: u64,
    /// Bytes that they take in the log.
    #[serde(default)]
    pub bytes: u64,
    /// The topic that it began with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forked_from: Option<ForkedFrom>,
}

/// Where a topic branched off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForkedFrom {
    /// The name of the topic that it began with.
    pub topic: String,
    /// The last event that they share.
    pub through: Position,
}

/// A page of the list of topics, in the order of their names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TopicPage {
    /// Those that the caller may know of; a page may hold few or none, and yet there are more.
    pub topics: Vec<TopicObject>,
    /// Whether there may be more.
    #[serde(default)]
    pub more: bool,
    /// Where to go on, if there may be more: to be sent as `next`. It says nothing to the caller,
    /// because the last topic looked at may be one that the caller may not know of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_to_publish_says_only_what_it_must_and_refuses_slips() {
        let event = EventToPublish { data: Some("x".into()), ..EventToPublish::default() };
        assert_eq!(serde_json::to_string(&event).unwrap(), r#"{"data":"x"}"#);
        let slip = r#"{"data":"x","topics":["a"]}"#;
        assert!(serde_json::from_str::<EventToPublish<'_>>(slip).is_err());
    }

    #[test]
    fn answers_may_gain_members() {
        let json = r#"{"id":"abcdefgh-1","topic":"t","duplicate":false,"new":{}}"#;
        assert!(serde_json::from_str::<Published>(json).is_ok());
        let page: Page<'_> = serde_json::from_str(r#"{"events":[],"new":1}"#).unwrap();
        assert!(!page.more);
        let end: EndNotice<'_> = serde_json::from_str(r#"{"reason":"done","new":1}"#).unwrap();
        assert_eq!(end, EndNotice { reason: End::Done, topic: None });
    }
}
