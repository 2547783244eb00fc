//! What can be wrong, one enum per operation. The server maps them to HTTP in one place.

use thiserror::Error;
use tidings_frame::{End, NameError, PatternError, TopicNameError};
use tidings_log as log;

/// The log could not take an append. Nothing was changed unless it says otherwise.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum StoreError {
    /// No space left; free some and try again.
    #[error("the disk that holds the log is full")]
    DiskFull,
    /// The log has failed and takes nothing until the process is started again. After a failed
    /// sync the event may or may not be on disk; it was shown to nobody.
    #[error("the log has failed: {0}")]
    Failed(String),
}

/// Why a publish was refused. Nothing was changed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum PublishError {
    /// The topic's name is not one.
    #[error(transparent)]
    Topic(#[from] TopicNameError),
    /// A type, key or id of the event is not one.
    #[error("{field}: {source}")]
    Name {
        /// Which field.
        field: &'static str,
        /// What is wrong with it.
        source: NameError,
    },
    /// Data that is not UTF-8, for a topic whose content type is text.
    #[error("the data is not UTF-8, and the topic's content type is text")]
    NotText,
    /// One event larger than the limit, in bytes.
    #[error("the event's data of {bytes} bytes is larger than the limit of {limit}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// More events in one request than allowed, or none.
    #[error("a request publishes 1 to {limit} events; this one has {events}")]
    BatchSize {
        /// How many it has.
        events: usize,
        /// How many it may have.
        limit: usize,
    },
    /// More alternate topics than allowed.
    #[error("an event belongs to at most {limit} topics")]
    TooManyTopics {
        /// How many are allowed.
        limit: usize,
    },
    /// It would make a topic, and there are as many as there may be.
    #[error("the server has as many topics as it may: {limit}")]
    NoMoreTopics {
        /// How many are allowed.
        limit: usize,
    },
    /// It is for later, and what waits takes as much memory as it may.
    #[error("publishes that wait for their time take as much as they may: {limit} bytes")]
    NoMoreSchedules {
        /// How many bytes are allowed.
        limit: usize,
    },
    /// The topic has ended.
    #[error("the topic has ended: {}", end.as_str())]
    Ended {
        /// How.
        end: End,
    },
    /// The topic is one of the server's own.
    #[error("names that begin with $ are the server's own; publish to another topic")]
    Internal,
    /// The policy lets only an operator end the topic.
    #[error("only an operator may end this topic")]
    MayNotEnd,
    /// `expect` did not hold. `newest` is the sequence of the topic's newest event; 0 if it has
    /// none.
    #[error("the topic's newest event is not the expected one")]
    Unexpected {
        /// The topic's newest event.
        newest: u64,
    },
    /// The same `Idempotency-Key` with other content.
    #[error("this Idempotency-Key was used for a different request")]
    IdempotencyMismatch,
    /// The producer's epoch is older than the topic has seen: a newer instance has taken over.
    #[error("a newer producer (epoch {epoch}) has taken over")]
    ProducerFenced {
        /// The epoch in force.
        epoch: u64,
    },
    /// The producer left numbers out.
    #[error("the producer's next sequence is {expected}, not {received}")]
    ProducerGap {
        /// What must come next.
        expected: u64,
        /// What came.
        received: u64,
    },
    /// A time that cannot be: scheduled too far ahead.
    #[error("a publish can be scheduled at most {days} days ahead")]
    TooFarAhead {
        /// The limit.
        days: u64,
    },
    /// It is for later, and who asks for it was revoked.
    #[error("who asks for it was revoked")]
    Revoked,
    /// The log could not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a subscription or a read was refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum SubscribeError {
    /// A topic's name is not one.
    #[error(transparent)]
    Topic(#[from] TopicNameError),
    /// A pattern is not one.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// No topic and no pattern.
    #[error("name at least one topic or pattern")]
    Nothing,
    /// More topics or patterns than allowed.
    #[error("a subscription names at most {limit} {what}")]
    TooMany {
        /// `topics` or `patterns`.
        what: &'static str,
        /// How many are allowed.
        limit: usize,
    },
}

/// Why a topic could not be read, set or removed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum TopicError {
    /// The topic's name is not one.
    #[error(transparent)]
    Name(#[from] TopicNameError),
    /// There is no such topic.
    #[error("there is no such topic")]
    NotFound,
    /// Other topics begin with this one's events.
    #[error("other topics are forks of this one; remove them first")]
    HasForks,
    /// There are as many topics as there may be.
    #[error("the server has as many topics as it may: {limit}")]
    NoMore {
        /// How many are allowed.
        limit: usize,
    },
    /// It exists already, so it cannot begin as a fork.
    #[error("the topic exists already, so it cannot begin as a fork")]
    Exists,
    /// The log refuses this.
    #[error("{0}")]
    Refused(String),
    /// The place to fork from is after the source's newest event.
    #[error("the source has no event at that position yet")]
    ForkAhead,
    /// The log could not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<log::AppendError> for StoreError {
    fn from(error: log::AppendError) -> Self {
        match error {
            log::AppendError::DiskFull => Self::DiskFull,
            other => Self::Failed(other.to_string()),
        }
    }
}
