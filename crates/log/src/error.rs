//! One error enum per operation. An error never leaves half an effect: what failed did not happen,
//! unless the log is
//! `Failed`, and then nothing is accepted any more until it is opened again.

use std::io;

use crate::TopicId;

/// Why a log could not be opened. Damage is never a reason: see `Recovery`.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process (or another handle of this one) has the folder.
    #[error("the log's folder is in use by another process")]
    Locked,
    /// The folder cannot be written.
    #[error("the log's folder is read-only")]
    ReadOnly(#[source] io::Error),
    /// There is no room for the first segment.
    #[error("the disk is full")]
    DiskFull(#[source] io::Error),
    /// The files are of a version that this program does not know.
    #[error("{file} has format version {found}, this program knows up to {known}")]
    Version {
        /// File name.
        file: String,
        /// Version in the file.
        found: u32,
        /// Newest version that can be read.
        known: u32,
    },
    /// An option is out of its range.
    #[error("segment size {0} bytes is outside 16 KiB to 2 GiB")]
    SegmentBytes(u64),
    /// No randomness for the epoch.
    #[error("the system gave no random bytes")]
    Entropy,
    /// Reading or writing failed.
    #[error("{what}")]
    Io {
        /// What was being done.
        what: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Why an event was not taken into a batch. The batch is as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// No topic at all, or more than 16.
    #[error("an event has 1 to 16 topics, this one has {0}")]
    Topics(usize),
    /// The same topic twice.
    #[error("topic {0:?} is named twice")]
    RepeatedTopic(TopicId),
    /// Deleted, or never created.
    #[error("there is no topic {0:?}")]
    UnknownTopic(TopicId),
    /// The topic has ended.
    #[error("topic {0:?} is closed")]
    Closed(TopicId),
    /// A text field is longer than 4,096 bytes.
    #[error("{field} has {bytes} bytes, at most 4096 are allowed")]
    TextTooLong {
        /// Which field.
        field: &'static str,
        /// Its length.
        bytes: usize,
    },
    /// The data is longer than 16 MiB.
    #[error("the data has {0} bytes, at most 16 MiB are allowed")]
    DataTooLong(usize),
    /// 65,536 records or 64 MiB: append what there is first.
    #[error("the batch is full")]
    BatchFull,
}

/// Why a change to a topic was not taken into a batch. The batch is as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// There is a live topic of that name.
    #[error("the topic exists already")]
    Exists(TopicId),
    /// Deleted, or never created.
    #[error("there is no topic {0:?}")]
    Unknown(TopicId),
    /// 1 to 4,096 bytes.
    #[error("a topic's name has 1 to 4096 bytes, this one has {0}")]
    NameLength(usize),
    /// More than 64 KiB of opaque policy.
    #[error("the policy's opaque part has {0} bytes, at most 65536 are allowed")]
    ExtraTooLong(usize),
    /// Whether a topic conflates is fixed when it is created.
    #[error("conflation cannot be changed after creation")]
    ConflationFixed,
    /// Neither end of a fork may conflate.
    #[error("a conflating topic cannot be forked or be a fork")]
    ForkConflates,
    /// A fork of a fork of … 16 times.
    #[error("the chain of forks is longer than 16")]
    ForkDepth,
    /// The topic has forks that read through it.
    #[error("the topic has {0} forks")]
    HasForks(u32),
    /// The topic has ended already.
    #[error("the topic is closed")]
    Closed,
    /// All 2^32 - 1 numbers have been given.
    #[error("no topic numbers are left")]
    NoNumbers,
    /// 65,536 records or 64 MiB: append what there is first.
    #[error("the batch is full")]
    BatchFull,
}

/// Why a timer was not taken into a batch. The batch is as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// A million are pending.
    #[error("too many pending schedules")]
    TooMany,
    /// More than 16 MiB.
    #[error("the payload has {0} bytes, at most 16 MiB are allowed")]
    TooLong(usize),
    /// 65,536 records or 64 MiB: append what there is first.
    #[error("the batch is full")]
    BatchFull,
}

/// Why an append failed. Nothing of the batch is in the log (or, when `Failed`, it may be found
/// there after the log is opened again, exactly as after a crash), and its sequences are free
/// again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// No room. Appending may be tried again; memory-durable events accepted before are still
    /// readable.
    #[error("the disk is full")]
    DiskFull,
    /// The disk cannot be written. Appending may be tried again.
    #[error("the disk is read-only")]
    ReadOnly,
    /// A write or a sync failed with unknown effect. Permanent until the log is opened again.
    #[error("the log has failed: {0}")]
    Failed(String),
    /// The writer was closed.
    #[error("the log was closed")]
    Closed,
    /// Another batch was begun with this writer after this one; only one is filled at a time.
    #[error("the batch was abandoned: another one was begun after it")]
    Abandoned,
}

/// Why syncing failed. Permanent until the log is opened again: a failed fdatasync is never
/// repeated, because the kernel may have dropped what it could not write and would call the second
/// try a success.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the log has failed: {0}")]
pub struct SyncError(pub String);

/// Why a read failed. (A damaged record is no error: it is stepped over and reported by `missing`.)
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The system could not read the file.
    #[error("reading {file} failed")]
    Io {
        /// File name.
        file: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Why a round of maintenance failed. The log goes on; the round is tried again later.
#[derive(Debug, thiserror::Error)]
pub enum MaintainError {
    /// The log has failed; nothing is maintained any more.
    #[error(transparent)]
    Failed(#[from] SyncError),
    /// Reading or writing failed.
    #[error("{what}")]
    Io {
        /// What was being done.
        what: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}
