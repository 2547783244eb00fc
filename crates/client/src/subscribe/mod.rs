//! Following topics: what to follow, from where, and what comes.
//!
//! A subscription is one object for as long as it is wanted. It reconnects on its own, with the
//! position of the last complete event, so that nothing is lost and nothing comes twice; what
//! cannot be delivered any more comes as a [`Item::Gap`]. It reads from the socket only while it is
//! polled: a reader who takes its time holds no more than one read and one event in memory, and the
//! server holds its position.

mod attempt;
mod reader;
mod stream;
mod watch;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tidings_frame::limits::{
    DECODED_EVENT_BYTES_DEFAULT, SILENCE_DEFAULT, SUBSCRIPTION_PATTERNS_MAX,
    SUBSCRIPTION_TOPICS_MAX,
};
use tidings_frame::sse_decode::Limits;
use tidings_frame::{End, EventObject, GapNotice, Pattern, Position, Time, TopicName};

use crate::client::Client;
use crate::error::{Cause, SubscribeError};
use crate::url::{Query, duration};

pub use stream::Subscription;

/// Bytes that a line may have beyond the data of its event: the field's name and its space.
const LINE_OVERHEAD_BYTES: usize = 16;

/// An event, with its id, topic, time, type, key and data.
pub type Event = EventObject<'static>;

/// Events that could not be delivered.
pub type Gap = GapNotice<'static>;

/// The end of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// The position of the event that ended it.
    pub id: Position,
    /// The topic; none if the subscription follows several and the server does not say.
    pub topic: Option<String>,
    /// How it ended.
    pub reason: End,
}

/// What a subscription brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// An event.
    Event(Event),
    /// Events are missing here; the stream goes on after `resumes`.
    Gap(Gap),
    /// A topic has ended. If it is the only one followed, nothing comes after this.
    End(Ended),
}

impl Item {
    /// The position that the stream has reached with it.
    #[must_use]
    pub fn position(&self) -> Position {
        match self {
            Self::Event(event) => event.id,
            Self::Gap(gap) => gap.resumes,
            Self::End(ended) => ended.id,
        }
    }
}

/// How the connection of a subscription is. For display: what must be known to lose nothing comes
/// as an [`Item`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ConnectionState {
    /// A request is on its way.
    Connecting,
    /// The server has answered; events will come.
    Open,
    /// The connection is gone; the next attempt is after `wait`.
    Reconnecting {
        /// Time until the next attempt.
        wait: Duration,
        /// Failures in a row, this one included.
        attempt: u32,
        /// Why.
        cause: Cause,
    },
    /// Nothing will come any more.
    Closed,
}

/// Where a subscription begins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Start {
    /// With what comes from now on.
    #[default]
    Live,
    /// With the oldest event that is kept.
    Earliest,
    /// After the event with this id: a position, or an id that its publisher gave it.
    After(String),
    /// With the first event at or after this time.
    Since(SystemTime),
    /// With the first event not older than this, by the server's clock.
    SinceAgo(Duration),
    /// With the last so many events.
    Last(u64),
}

impl Start {
    /// The query that asks for it. [`Start::After`] needs none: it is the first position.
    fn add_to(&self, query: &mut Query) {
        match self {
            Self::Live | Self::After(_) => {}
            Self::Earliest => query.add("lastEventId", tidings_frame::api::EARLIEST),
            Self::Since(time) => {
                let since = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
                let time = Time(u64::try_from(since).unwrap_or(u64::MAX));
                query.add("since", &time.to_string());
            }
            Self::SinceAgo(ago) => query.add("since", &duration(*ago)),
            Self::Last(events) => query.add("last", &events.to_string()),
        }
    }
}

/// Called at each change of the connection.
type OnState = Box<dyn FnMut(&ConnectionState) + Send>;

/// A subscription to be: what to follow, from where, and how patiently.
#[must_use = "nothing is followed until `open` is called"]
pub struct Subscribe {
    client: Client,
    topics: Vec<String>,
    patterns: Vec<String>,
    start: Start,
    silence: Duration,
    event_bytes: usize,
    attempts_max: Option<u32>,
    first_attempt_final: bool,
    on_state: Option<OnState>,
}

impl std::fmt::Debug for Subscribe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscribe")
            .field("topics", &self.topics)
            .field("patterns", &self.patterns)
            .field("start", &self.start)
            .finish_non_exhaustive()
    }
}

impl Subscribe {
    pub(crate) fn new(client: Client) -> Self {
        Self {
            client,
            topics: Vec::new(),
            patterns: Vec::new(),
            start: Start::Live,
            silence: SILENCE_DEFAULT,
            event_bytes: DECODED_EVENT_BYTES_DEFAULT,
            attempts_max: None,
            first_attempt_final: false,
            on_state: None,
        }
    }

    /// Follows this topic, and the others already given.
    pub fn topic(mut self, topic: impl Into<String>) -> Self {
        self.topics.push(topic.into());
        self
    }

    /// Follows every topic of this pattern (`chat/*`, `users/**`), and the others already given.
    pub fn pattern(mut self, pattern: impl Into<String>) -> Self {
        self.patterns.push(pattern.into());
        self
    }

    /// Begins here (default: live only).
    pub fn start(mut self, start: Start) -> Self {
        self.start = start;
        self
    }

    /// Takes the connection for dead after this long without a byte (default: 45 s, which is three
    /// heartbeats). The same time is given to a request that is not answered.
    pub fn silence(mut self, silence: Duration) -> Self {
        self.silence = silence;
        self
    }

    /// Largest event taken, in bytes as JSON (default: 8 MiB); a larger one is an error.
    pub fn event_bytes_max(mut self, bytes: usize) -> Self {
        self.event_bytes = bytes;
        self
    }

    /// Gives up after so many failed attempts in a row (default: never). An event that arrives, or
    /// a connection that lasts, begins the count anew.
    pub fn attempts_max(mut self, attempts: u32) -> Self {
        self.attempts_max = Some(attempts.max(1));
        self
    }

    /// Gives up if the very first attempt fails: for programs whose user is waiting.
    pub fn first_attempt_final(mut self) -> Self {
        self.first_attempt_final = true;
        self
    }

    /// Calls this at each change of the connection.
    pub fn on_state(mut self, on_state: impl FnMut(&ConnectionState) + Send + 'static) -> Self {
        self.on_state = Some(Box::new(on_state));
        self
    }

    /// Checks what is asked for. The connection is made once the subscription is polled.
    ///
    /// # Errors
    ///
    /// [`SubscribeError::Request`]: nothing or too much is followed, or a name or a pattern is
    /// wrong.
    pub fn open(self) -> Result<Subscription, SubscribeError> {
        let wrong = |why: String| Err(SubscribeError::Request(why));
        if self.topics.is_empty() && self.patterns.is_empty() {
            return wrong("there is no topic to follow".to_owned());
        }
        if self.topics.len() > SUBSCRIPTION_TOPICS_MAX {
            return wrong(format!("at most {SUBSCRIPTION_TOPICS_MAX} topics can be followed"));
        }
        if self.patterns.len() > SUBSCRIPTION_PATTERNS_MAX {
            return wrong(format!("at most {SUBSCRIPTION_PATTERNS_MAX} patterns can be followed"));
        }
        for topic in &self.topics {
            if let Err(error) = TopicName::new(topic) {
                return wrong(format!("`{topic}`: {error}"));
            }
        }
        for pattern in &self.patterns {
            if let Err(error) = Pattern::new(pattern) {
                return wrong(format!("`{pattern}`: {error}"));
            }
        }
        Ok(Subscription::new(self))
    }

    fn limits(&self) -> Limits {
        Limits {
            line_bytes: self.event_bytes.saturating_add(LINE_OVERHEAD_BYTES),
            event_bytes: self.event_bytes,
        }
    }
}
