//! Every bound of the log, named, with its unit. What is not bounded here is bounded by the
//! caller's policy (what a topic keeps) or by the disk.

/// Bytes of one segment file unless the options say otherwise.
pub const SEGMENT_BYTES: u64 = 64 * 1024 * 1024;

/// Smallest segment size that is accepted, bytes. Tests use it to see many segments quickly.
pub const SEGMENT_BYTES_MIN: u64 = 16 * 1024;

/// Largest segment size that is accepted, bytes: offsets inside a segment are 32 bits.
pub const SEGMENT_BYTES_MAX: u64 = 2 * 1024 * 1024 * 1024;

/// Files that are only read (sealed segments and their indexes) that are kept open. What is read
/// beyond that is opened for it, and others are closed.
pub const RESTING_FILES_OPEN_MAX: usize = 512;

/// Bytes of one batch, encoded. A batch is one atomic unit and is held in memory whole.
pub const BATCH_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Events and control records of one batch.
pub const BATCH_RECORDS_MAX: usize = 65_536;

/// Bytes of one event's data.
pub const EVENT_DATA_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Bytes of a text field of an event (type, key, publisher's id, producer, idempotency key).
pub const TEXT_BYTES_MAX: usize = 4096;

/// Bytes of a topic's name.
pub const NAME_BYTES_MAX: usize = 4096;

/// Bytes of a policy's opaque part.
pub const POLICY_EXTRA_BYTES_MAX: usize = 64 * 1024;

/// Topics of one event: the canonical one and its alternates.
pub const EVENT_TOPICS_MAX: usize = 16;

/// Length of the longest chain of forks: a read visits each topic of the chain.
pub const FORK_DEPTH_MAX: usize = 16;

/// Bytes of memory-durable batches kept in the process before they are written out.
pub const PENDING_BYTES_MAX: usize = 256 * 1024;

/// Sequences reserved at a time in the state file. A crash skips at most this many.
pub const RESERVE_SEQUENCES: u64 = 1 << 20;

/// The reservation is extended, off the append path, when fewer sequences than this are left.
pub const RESERVE_LOW: u64 = RESERVE_SEQUENCES / 2;

/// How long an idempotency key is remembered, milliseconds.
pub const IDEMPOTENCY_WINDOW_MS: u64 = 24 * 60 * 60 * 1000;

/// Idempotency keys remembered; the oldest is forgotten first.
pub const IDEMPOTENCY_KEYS_MAX: usize = 1_000_000;

/// Publisher's own ids that can be resolved to a sequence; the oldest is forgotten first.
pub const PUBLISHER_IDS_MAX: usize = 1_000_000;

/// Producers remembered per topic; the one idle for longest is forgotten first.
pub const PRODUCERS_PER_TOPIC_MAX: usize = 4096;

/// Names of deleted topics that are remembered with their newest event. Beyond that the earliest
/// are forgotten, and whoever resumes from before them is told that events may be missing.
pub const DELETED_NAMES_MAX: usize = 16_384;

/// Pending schedules.
pub const SCHEDULES_MAX: usize = 1_000_000;

/// Bytes of one schedule's payload.
pub const SCHEDULE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Bytes fetched by one read of a segment when neighbouring records are read together.
pub const READ_COALESCE_BYTES: usize = 256 * 1024;

/// Bytes that may lie unused between two records that are still fetched together.
pub const READ_COALESCE_GAP: u32 = 8 * 1024;

/// Index entries looked at by one call of `read`, however many of them are left out (expired, …).
pub const READ_SCAN_MAX: usize = 65_536;

/// Damaged ranges that are listed; neighbours are joined beyond that.
pub const DAMAGE_MAX: usize = 1024;

/// Topics looked at by one round of maintenance.
pub const MAINTAIN_TOPICS_MAX: usize = 50_000;

/// Segments rewritten by one round of maintenance.
pub const MAINTAIN_REWRITES_MAX: usize = 1;

/// Segments sealed by one round of maintenance.
pub const MAINTAIN_SEALS_MAX: usize = 8;

/// Segments deleted by one round of maintenance.
pub const MAINTAIN_DELETES_MAX: usize = 64;

/// Most events that `before_last` counts back; a larger number is taken for this.
pub const BEFORE_LAST_MAX: usize = 1_000_000;
