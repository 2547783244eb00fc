//! From a publisher's request into the log and, once it is durable, in front of the subscribers.
//!
//! **Durable, then acknowledged, then visible**, in that order, in [`Round::flush`](round): the
//! batch is appended, the outcomes are set, the frames are released. A round collects the requests
//! that are at hand and appends them together, so that one write serves many; it never waits for
//! company. Requests in one round that depend on each other (the same topic, and one of them has a
//! condition) are appended one after the other.

use std::borrow::Cow;

use tidings_frame::End;
use tidings_log as log;

mod check;
mod round;
mod stage;

pub use round::Round;

use crate::error::PublishError;

/// Which newest event a publisher expects its topic to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// None at all.
    Nothing,
    /// The one with this sequence.
    Newest(u64),
}

/// Who publishes in which order, so that repeats are recognised and predecessors shut out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Producer<'a> {
    /// Names the producer within the topic.
    pub id: &'a str,
    /// Its incarnation; a larger one shuts the smaller ones out.
    pub epoch: u64,
    /// Counts its events from 0 within an epoch, without a hole.
    pub sequence: u64,
}

/// An event to publish.
#[derive(Clone, Debug, Default)]
pub struct NewEvent<'a> {
    /// Its topic; created if it does not exist.
    pub topic: Cow<'a, str>,
    /// Other topics that it also belongs to.
    pub alternates: Vec<Cow<'a, str>>,
    /// Its data: UTF-8 text unless the topic's content type says otherwise.
    pub data: Cow<'a, [u8]>,
    /// Its type; none, or `message`, is an event that `onmessage` gets.
    pub event_type: Option<Cow<'a, str>>,
    /// What it is about, for conflation.
    pub key: Option<Cow<'a, str>>,
    /// The publisher's own id of it.
    pub publisher_id: Option<Cow<'a, str>>,
    /// Milliseconds after which it is not delivered any more.
    pub ttl_ms: Option<u64>,
    /// Whether only those with a right to private events see it.
    pub private: bool,
    /// Whether it ends its topic.
    pub end: Option<End>,
    /// Who publishes it in which order.
    pub producer: Option<Producer<'a>>,
    /// What must be so for it to be published.
    pub expect: Option<Expect>,
}

/// A publisher's request: all of its events or none.
#[derive(Clone, Copy, Debug, Default)]
pub struct Publish<'a> {
    /// The events, in order.
    pub events: &'a [NewEvent<'a>],
    /// Makes a repeat of the request return the first one's result. Counts per topic of the first
    /// event.
    pub idempotency_key: Option<&'a str>,
    /// When to publish, milliseconds since 1970. A time that has passed is now.
    pub at_ms: Option<u64>,
    /// Whether the publisher may do what only operators may.
    pub operator: bool,
    /// Whether the relay publishes: to the server's own topics too, and with whatever event types
    /// its upstream has.
    pub relay: bool,
    /// Who has asked for it, for [`Hub::judge_makers`], if it is for later; text that means
    /// nothing here.
    pub maker: Option<&'a str>,
}

/// A request that was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// What became of it.
    pub result: Published,
    /// The batch that must be on disk before the publisher is told so; see
    /// [`Hub::when_synced`]. `None` if it is as durable as its topics ask already.
    pub wait: Option<u64>,
}

/// What became of an accepted request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    /// Its events have the sequences `first` to `first + count - 1`.
    Stored {
        /// Sequence of the first event.
        first: u64,
        /// Number of events.
        count: u32,
        /// Whether this was a repeat and the sequences are those of the first time. For a producer
        /// that has published more since, it is that of its newest event.
        duplicate: bool,
    },
    /// It will be published at its time.
    Scheduled {
        /// Names it, to take it back.
        id: u64,
        /// When, milliseconds since 1970.
        at_ms: u64,
    },
}

/// The outcome of one request.
pub type Outcome = Result<Accepted, PublishError>;

/// The event's topic and its alternates.
pub(crate) fn topics_of<'e>(event: &'e NewEvent<'_>) -> impl Iterator<Item = &'e Cow<'e, str>> {
    std::iter::once(&event.topic).chain(&event.alternates)
}

pub(crate) fn end_to_log(end: End) -> log::End {
    match end {
        End::Done => log::End::Done,
        End::Error => log::End::Error,
        End::Cancelled => log::End::Cancelled,
    }
}

pub(crate) fn end_from_log(end: log::End) -> End {
    match end {
        log::End::Done => End::Done,
        log::End::Error => End::Error,
        log::End::Cancelled => End::Cancelled,
    }
}
