//! What is appended and what is read back: an event, borrowed from the caller or from the read
//! buffer, never owned.

use crate::TopicId;

/// When an append is acknowledged. The bytes take the same path in all three cases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Durability {
    /// In this process: lost if it is killed.
    Memory,
    /// Handed to the kernel: survives `kill -9`, not a power loss.
    #[default]
    Written,
    /// On the device: survives a power loss, once [`Log::synced`](crate::Log::synced) has reached
    /// the batch.
    Synced,
}

/// How a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// Complete.
    Done,
    /// Its source failed.
    Error,
    /// Given up on purpose.
    Cancelled,
}

/// Who wrote an event, and which of its events it is: duplicates are found by this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Producer<'a> {
    /// The producer's name within the topic.
    pub id: &'a str,
    /// Its life; a higher one fences the lower ones.
    pub epoch: u64,
    /// Number of the event within that life.
    pub sequence: u64,
}

/// A request that may be repeated. Set it on the FIRST event of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Idempotency<'a> {
    /// The caller's key, unique within the canonical topic for 24 hours.
    pub key: &'a str,
    /// Digest of the request: the same key with another fingerprint is a misuse.
    pub fingerprint: u64,
    /// Events of the request, this one included; they have consecutive sequences.
    pub count: u32,
}

/// One event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Event<'a> {
    /// The canonical topic first, then alternates; 1 to
    /// [`EVENT_TOPICS_MAX`](crate::limits::EVENT_TOPICS_MAX).
    pub topics: &'a [TopicId],
    /// Milliseconds since 1970. Stored times never go backwards: an earlier one is raised to its
    /// predecessor's.
    pub time_ms: u64,
    /// The event's name, if it has one.
    pub event_type: Option<&'a str>,
    /// The id that the publisher gave it.
    pub publisher_id: Option<&'a str>,
    /// Conflation key.
    pub key: Option<&'a str>,
    /// Not read any more from this time on, milliseconds since 1970.
    pub expires_ms: Option<u64>,
    /// For authorised subscribers only (the log just stores it).
    pub private: bool,
    /// The last event of a stream. The log does not close the topic by itself: see
    /// `Writer::close_topic`.
    pub end: Option<End>,
    /// Duplicate detection by producer.
    pub producer: Option<Producer<'a>>,
    /// Duplicate detection by request.
    pub idempotency: Option<Idempotency<'a>>,
    /// The payload.
    pub data: &'a [u8],
}

/// An event as read: its fields (through `Deref`) and its sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredEvent<'a> {
    /// Its place in the log.
    pub sequence: u64,
    /// What was appended.
    pub event: Event<'a>,
}

impl<'a> std::ops::Deref for StoredEvent<'a> {
    type Target = Event<'a>;

    fn deref(&self) -> &Event<'a> {
        &self.event
    }
}

/// What an append was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Sequence of the first event. A batch without events has `last == first - 1`.
    pub first: u64,
    /// Sequence of the last event.
    pub last: u64,
    /// Number of the batch: it is on the device when [`Log::synced`](crate::Log::synced) is at
    /// least this.
    pub batch: u64,
}

/// How much one read returns at most. At least one event is returned if there is one, whatever its
/// size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadLimit {
    /// Events.
    pub events: usize,
    /// Stored bytes of the events (data and fields).
    pub bytes: usize,
}

/// Where a read ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Resume after this sequence. At the end of the range it is `through` or the newest sequence,
    /// if smaller.
    pub after: u64,
    /// A limit was reached: there may be more.
    pub more: bool,
}

/// Why events are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Removed by the topic's retention or by a trim.
    Retention,
    /// The process or the machine stopped before events of this durability were safe.
    Crash,
    /// The disk gave back other bytes than were written.
    Damage,
}

/// Events that a reader at some position can no longer get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Nothing up to this sequence is certain; reading goes on after it without a gap.
    /// Events of the topic at or below it may still be readable (a crash or damage in the middle).
    pub through: u64,
    /// Why. If there are several causes, retention is named before damage before crash.
    pub reason: Reason,
}

/// The answer to a request that was made before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repeated {
    /// Sequence of the request's first event.
    pub first: u64,
    /// Events of the request.
    pub count: u32,
    /// Digest of the request.
    pub fingerprint: u64,
}

/// A pending timer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// What `Writer::schedule` returned.
    pub id: u64,
    /// When it is due, milliseconds since 1970.
    pub due_ms: u64,
    /// The caller's bytes.
    pub payload: std::sync::Arc<[u8]>,
}
