//! The reading half of a log, and what opening it takes and gives.

use std::sync::Arc;

use std::sync::atomic::Ordering;

use crate::index::TagKind;
use crate::shared::Shared;
use crate::{
    MaintainError, Missing, Produced, Progress, ReadError, ReadLimit, Repeated, Schedule,
    StoredEvent, SyncError, TopicId, TopicInfo, Writer, limits,
};

/// How a log is opened. `Options::default()` is right for production except for `now_ms`.
#[derive(Clone, Debug)]
pub struct Options {
    /// Bytes of a segment file, 16 KiB to 2 GiB.
    pub segment_bytes: u64,
    /// Now, milliseconds since 1970.
    pub now_ms: u64,
    /// Identifies this start of the machine; tells a killed process from a power loss. `None` = ask
    /// the system.
    pub boot_id: Option<[u8; 16]>,
    /// Fills the bytes with randomness; `false` if there is none.
    pub entropy: fn(&mut [u8]) -> bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            segment_bytes: limits::SEGMENT_BYTES,
            now_ms: 0,
            boot_id: None,
            entropy: |bytes| getrandom::fill(bytes).is_ok(),
        }
    }
}

/// An open log.
#[derive(Debug)]
pub struct Opened {
    /// The only way to append.
    pub writer: Writer,
    /// All reads.
    pub log: Log,
    /// What was found.
    pub recovery: Recovery,
}

/// What opening found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// The folder was empty: a new log with a new epoch.
    pub created: bool,
    /// The last life ended with `Writer::close`.
    pub clean: bool,
    /// The state file was lost, so positions of former lives cannot be trusted: a new epoch was
    /// made.
    pub new_epoch: bool,
    /// Bytes of a torn tail that were dropped (never acknowledged as synced).
    pub dropped_bytes: u64,
    /// Batches among them that could be told apart.
    pub dropped_batches: u64,
    /// Sidecar files that had to be rebuilt from their segments.
    pub rebuilt_sidecars: u64,
    /// Damaged ranges, all that are known.
    pub damaged: Vec<Damage>,
}

/// Bytes that were on the device once and are no longer readable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Number of the segment file.
    pub segment: u64,
    /// The topic concerned, if the damage is inside one event's record; otherwise it may be any.
    pub topic: Option<TopicId>,
    /// First sequence that is lost.
    pub first: u64,
    /// Last sequence that is lost; `first - 1` if no event was.
    pub last: u64,
    /// Bytes that were stepped over.
    pub bytes: u64,
}

/// Whether the log accepts appends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It does.
    Healthy,
    /// It does not, until it is opened again: a write or a sync had an unknown effect.
    Failed {
        /// What failed.
        why: String,
    },
    /// The writer was closed or dropped.
    Closed,
}

/// The log in numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Whether appends are accepted.
    pub state: State,
    /// Segment files.
    pub segments: u64,
    /// Bytes of the segment files, preallocated space included.
    pub disk_bytes: u64,
    /// Live topics.
    pub topics: u64,
    /// Events kept, counted once per topic that they belong to.
    pub retained_events: u64,
    /// Newest sequence.
    pub newest: u64,
    /// Number of the newest batch that is readable.
    pub newest_batch: u64,
    /// Number of the newest batch on the device.
    pub synced_batch: u64,
    /// Damaged ranges.
    pub damaged: Vec<Damage>,
}

/// What one round of maintenance did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Maintained {
    /// Segments that got their sidecar.
    pub sealed: u64,
    /// Segments deleted.
    pub deleted: u64,
    /// Segments rewritten without their dead records.
    pub rewritten: u64,
    /// Bytes of disk given back.
    pub freed_bytes: u64,
    /// A limit was reached: the next round has more to do and may follow at once.
    pub more: bool,
}

/// All reads of a log. Cheap to clone. No call waits for the writer's I/O; those that read the disk
/// say so.
#[derive(Clone, Debug)]
pub struct Log {
    shared: Arc<Shared>,
}

impl Log {
    pub(crate) fn new(shared: Arc<Shared>) -> Log {
        Log { shared }
    }

    /// The log's life: 8 characters of `[a-z0-9]`, made when the folder was created.
    pub fn epoch(&self) -> &str {
        &self.shared.epoch
    }

    /// Puts everything that is written on the device and returns the number of the newest batch
    /// that is there now. Blocks for an fdatasync; the writer goes on meanwhile. Several callers
    /// may call it, one works at a time. What is still in the process (memory-durable batches) is
    /// not touched: see [`Writer::flush`].
    ///
    /// # Errors
    /// The log has failed, now or before.
    pub fn sync(&self) -> Result<u64, SyncError> {
        self.shared.sync()
    }

    /// Number of the newest batch on the device.
    pub fn synced(&self) -> u64 {
        self.shared.synced.load(Ordering::Acquire)
    }

    /// The live topic of that name.
    pub fn topic(&self, name: &str) -> Option<TopicId> {
        self.shared.read().names.get(name).copied()
    }

    /// How many live topics there are.
    pub fn topic_count(&self) -> usize {
        self.shared.read().topics.len()
    }

    /// Bytes that the live topic with this name takes. Reads nothing from disk.
    pub fn topic_bytes(&self, name: &str) -> Option<u64> {
        let table = self.shared.read();
        let id = table.names.get(name)?;
        table.topics.get(id).map(|topic| topic.bytes)
    }

    /// Describes a live topic. May read a few index entries from disk.
    pub fn describe(&self, topic: TopicId) -> Option<TopicInfo> {
        self.shared.describe(topic)
    }

    /// Live topics in the order of their names' bytes, from the first one after `after_name`.
    pub fn topics(&self, after_name: Option<&str>, limit: usize) -> Vec<TopicInfo> {
        self.shared.topics(after_name, limit)
    }

    /// How many live topics have names from `from` on and before `before`, in the order of names.
    /// `from` must not be after `before`.
    pub fn count_named(&self, from: &str, before: &str) -> usize {
        self.shared.count_named(from, before)
    }

    /// The numbers of all live topics, ascending.
    pub fn topic_ids(&self) -> Vec<TopicId> {
        let mut ids: Vec<TopicId> = self.shared.read().topics.keys().copied().collect();
        ids.sort_unstable();
        ids
    }

    /// Hands out the events of `topics` with `after < sequence <= through`, in sequence order, each
    /// once even if it is in several of the topics. Left out: expired at `now_ms`, removed by
    /// retention (age exactly at `now_ms`), trimmed, superseded (conflation), damaged. Unknown
    /// topics have no events. Reads the disk.
    ///
    /// Every event appended at whatever durability is readable; hold back what is not synced yet
    /// with `through`.
    ///
    /// # Errors
    /// The system could not read a file.
    pub fn read(
        &self,
        topics: &[TopicId],
        after: u64,
        through: u64,
        limit: ReadLimit,
        now_ms: u64,
        visit: &mut dyn FnMut(StoredEvent<'_>),
    ) -> Result<Progress, ReadError> {
        self.shared.observe(now_ms);
        self.shared.read_events(topics, after, through, limit, now_ms, visit)
    }

    /// Whether a reader of the topic at `after` has missed something that existed: exactly when an
    /// event with a sequence above `after` was removed by retention or trimming; and when a crash
    /// or damage may have taken one. Expired and superseded events are not missing. May read a few
    /// index entries from disk.
    pub fn missing(&self, topic: TopicId, after: u64, now_ms: u64) -> Option<Missing> {
        self.shared.observe(now_ms);
        self.shared.missing(topic, after, now_ms)
    }

    /// The newest event that a deleted topic of this name had; 0 if none was deleted. May be too
    /// high when more than [`limits::DELETED_NAMES_MAX`] names were, but never at or above the
    /// creation of the topic that has the name now. An event that had expired before counts too.
    pub fn deleted(&self, name: &str) -> u64 {
        let table = self.shared.read();
        let now = table.names.get(name).and_then(|id| table.topics.get(id));
        let before = now.map_or(u64::MAX, |topic| topic.created_at.saturating_sub(1));
        table.deleted.newest(name).min(before)
    }

    /// Visits the names of deleted topics that had an event after this, with their newest events.
    /// Returns the floor: names that are not remembered any more had no event after it.
    pub fn deleted_after(&self, after: u64, visit: &mut dyn FnMut(&Arc<str>, u64)) -> u64 {
        let table = self.shared.read();
        table.deleted.after(after).for_each(|(name, newest)| visit(name, newest));
        table.deleted.floor()
    }

    /// How often a topic was deleted since the log was opened. Who has read and then sees the same
    /// number as before knows that no topic went away under the read.
    pub fn deletions(&self) -> u64 {
        self.shared.read().deleted.count()
    }

    /// The position after which a read of `topics` up to and including `through` returns the last
    /// `n` of their readable events there. May read the disk.
    pub fn before_last(&self, topics: &[TopicId], n: u64, through: u64, now_ms: u64) -> u64 {
        self.shared.observe(now_ms);
        // If the index cannot be read, the caller starts with what is new.
        let position = self.shared.before_last(topics, n, through, now_ms);
        position.unwrap_or_else(|_| self.newest().min(through))
    }

    /// The position after which a read returns exactly the events with `time_ms` at or after this.
    /// May read the disk.
    pub fn before_time(&self, time_ms: u64) -> u64 {
        self.shared.before_time(time_ms, 0).unwrap_or_else(|_| self.newest())
    }

    /// The newest sequence that was given; 0 if none.
    pub fn newest(&self) -> u64 {
        self.shared.read().newest
    }

    /// The first sequence that this life (since `open`) gives. Positions at or above it that are
    /// not above [`Log::newest`] are real; below it, those between [`Log::newest_before_this_life`]
    /// and this were never given or are lost.
    pub fn first_issued_this_life(&self) -> u64 {
        self.shared.first_issued
    }

    /// The newest sequence that was found when the log was opened; 0 if none.
    pub fn newest_before_this_life(&self) -> u64 {
        self.shared.newest_before
    }

    /// The request made before with this key, if it is remembered (24 hours before `now`, one
    /// million keys).
    pub fn idempotent(&self, topic: TopicId, key: &str) -> Option<Repeated> {
        let hash = self.shared.secret.hash(TagKind::Idempotency, topic, key);
        let table = self.shared.read();
        table.topics.get(&topic)?;
        table.ledger.request(hash, self.shared.clock())
    }

    /// The newest event of this producer in the topic.
    pub fn producer(&self, topic: TopicId, id: &str) -> Option<Produced> {
        let hash = self.shared.secret.hash(TagKind::Producer, topic, id);
        let table = self.shared.read();
        table.topics.get(&topic)?.producers.as_ref()?.get(hash).copied()
    }

    /// The sequence of the newest event of the topic that the publisher gave this id, if it is
    /// still kept.
    pub fn publisher_id(&self, topic: TopicId, id: &str) -> Option<u64> {
        let hash = self.shared.secret.hash(TagKind::PublisherId, topic, id);
        let found = self.shared.read().ledger.publisher_id(hash)?;
        let floor = self.shared.floor(topic, self.shared.clock(), found).ok()?;
        let kept = self.shared.first_after(topic, floor.max(found - 1)).ok()?;
        (kept == Some(found)).then_some(found)
    }

    /// All pending schedules, in the order of their ids.
    pub fn schedules(&self) -> Vec<Schedule> {
        self.shared.read().schedules.values().cloned().collect()
    }

    /// The log in numbers. Visits all topics' counters.
    pub fn status(&self) -> Status {
        self.shared.status()
    }

    /// One bounded round of housekeeping: seals full segments, applies age and bytes retention,
    /// deletes segments without live events, rewrites those that are mostly dead, extends the
    /// reservation. To be called every second from a thread of its own; never blocks the writer for
    /// longer than an index update.
    ///
    /// # Errors
    /// The round could not be finished; the log goes on unless it has failed.
    pub fn maintain(&self, now_ms: u64) -> Result<Maintained, MaintainError> {
        self.shared.maintain(now_ms)
    }
}
