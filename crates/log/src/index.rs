//! Where a topic's events are. For a sealed segment the memory holds one [`Run`] per topic, the
//! entries stay in the sidecar file; for a segment that is not sealed yet the entries are in memory
//! ([`OpenRun`]).
//!
//! Within a run ordinals are dense: an entry's ordinal is the run's first plus its place. A hole
//! (damage, an expired event that a rewrite left out) begins a new run.

use std::io;
use std::sync::Arc;

use crate::TopicId;
use crate::codec::u32_at;
use crate::segment::Segment;

/// Entries that are read from a sidecar at once.
pub(crate) const ENTRIES_CHUNK: u32 = 512;

/// One event of one topic in one segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Sequence, counted from the segment's base.
    pub(crate) delta: u32,
    /// Offset of the record in the segment file.
    pub(crate) offset: u32,
    /// Length of the record.
    pub(crate) length: u32,
}

impl Entry {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.delta.to_le_bytes());
        out.extend_from_slice(&self.offset.to_le_bytes());
        out.extend_from_slice(&self.length.to_le_bytes());
    }

    /// From exactly 12 bytes.
    pub(crate) fn decode(bytes: &[u8]) -> Entry {
        let at = |offset| u32_at(bytes, offset).unwrap_or_default();
        Entry { delta: at(0), offset: at(4), length: at(8) }
    }
}

/// A topic's events in a sealed segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) segment: u64,
    /// Place of its first entry in the sidecar.
    pub(crate) start: u32,
    pub(crate) count: u32,
    pub(crate) first_ordinal: u64,
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) bytes: u64,
}

/// A topic's events in a segment that is not sealed yet. Never empty.
#[derive(Clone, Debug)]
pub(crate) struct OpenRun {
    pub(crate) segment: u64,
    /// The segment's base sequence.
    pub(crate) base: u64,
    pub(crate) first_ordinal: u64,
    pub(crate) entries: Vec<Entry>,
}

/// What a topic looks like from outside one run: either kind.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Piece<'a> {
    Sealed(&'a Run),
    Open(&'a OpenRun),
}

impl Piece<'_> {
    pub(crate) fn segment(&self) -> u64 {
        match self {
            Piece::Sealed(run) => run.segment,
            Piece::Open(run) => run.segment,
        }
    }

    pub(crate) fn first(&self) -> u64 {
        match self {
            Piece::Sealed(run) => run.first,
            Piece::Open(run) => run.base + run.entries.first().map_or(0, |e| u64::from(e.delta)),
        }
    }

    pub(crate) fn last(&self) -> u64 {
        match self {
            Piece::Sealed(run) => run.last,
            Piece::Open(run) => run.base + run.entries.last().map_or(0, |e| u64::from(e.delta)),
        }
    }

    pub(crate) fn first_ordinal(&self) -> u64 {
        match self {
            Piece::Sealed(run) => run.first_ordinal,
            Piece::Open(run) => run.first_ordinal,
        }
    }

    pub(crate) fn count(&self) -> u64 {
        match self {
            Piece::Sealed(run) => u64::from(run.count),
            Piece::Open(run) => run.entries.len() as u64,
        }
    }

    pub(crate) fn bytes(&self) -> u64 {
        match self {
            Piece::Sealed(run) => run.bytes,
            Piece::Open(run) => run.entries.iter().map(|entry| u64::from(entry.length)).sum(),
        }
    }

    pub(crate) fn end_ordinal(&self) -> u64 {
        self.first_ordinal() + self.count()
    }
}

/// A run taken out of the table, so that it can be read without the lock.
#[derive(Clone, Debug)]
pub(crate) struct DiskRun {
    pub(crate) segment: Arc<Segment>,
    pub(crate) start: u32,
    pub(crate) count: u32,
    pub(crate) first_ordinal: u64,
    /// Sequences of its first and last entry.
    pub(crate) first: u64,
    pub(crate) last: u64,
}

impl DiskRun {
    pub(crate) fn new(segment: Arc<Segment>, run: &Run) -> DiskRun {
        DiskRun {
            segment,
            start: run.start,
            count: run.count,
            first_ordinal: run.first_ordinal,
            first: run.first,
            last: run.last,
        }
    }

    pub(crate) fn base(&self) -> u64 {
        self.segment.header.base_sequence
    }

    pub(crate) fn entry(&self, index: u32) -> io::Result<Entry> {
        let read = self.segment.entries(self.start + index, 1)?;
        read.first().copied().ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    /// Index of the first entry with a sequence above `sequence`; `count` if there is none. Reads
    /// the sidecar.
    pub(crate) fn first_above(&self, sequence: u64) -> io::Result<u32> {
        if sequence < self.first {
            return Ok(0);
        }
        if sequence >= self.last {
            return Ok(self.count);
        }
        let above = |entry: &Entry| self.base() + u64::from(entry.delta) > sequence;
        let (mut low, mut high) = (0, self.count);
        while high - low > ENTRIES_CHUNK {
            let middle = low + (high - low) / 2;
            if above(&self.entry(middle)?) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        let entries = self.segment.entries(self.start + low, high - low)?;
        Ok(low + entries.partition_point(|entry| !above(entry)) as u32)
    }
}

/// What a tag is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum TagKind {
    /// A live record of a conflating topic: `a` = offset and length, `b` = 1 if it has a key.
    Conflated = 1,
    /// `a` = fingerprint, `b` = count.
    Idempotency = 2,
    /// Nothing more.
    PublisherId = 3,
    /// `a` = epoch, `b` = the producer's sequence.
    Producer = 4,
}

/// Something that must be found by a hash, not by a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tag {
    pub(crate) kind: TagKind,
    pub(crate) topic: TopicId,
    pub(crate) hash: u128,
    pub(crate) sequence: u64,
    pub(crate) a: u64,
    pub(crate) b: u64,
}

impl Tag {
    /// Offset and length of a `Conflated` tag's record.
    pub(crate) fn location(&self) -> (u32, u32) {
        ((self.a >> 32) as u32, self.a as u32)
    }

    pub(crate) fn pack(offset: u32, length: u32) -> u64 {
        (u64::from(offset) << 32) | u64::from(length)
    }
}
