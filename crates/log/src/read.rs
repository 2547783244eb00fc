//! Reading: plan under the lock, merge by sequence, fetch neighbours together, hand out.
//!
//! Each topic (each level of its chain of forks) is a [`Cursor`] over its index entries. A plan is
//! bounded: a cursor that did not get all of its topic's entries has a horizon, and the merge stops
//! at the lowest one and plans again.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::io;
use std::sync::Arc;

use crate::index::{DiskRun, ENTRIES_CHUNK, Entry, Piece};
use crate::lookup::Level;
use crate::record::{self, Record};
use crate::segment::{Segment, segment_name};
use crate::shared::Shared;
use crate::table::Table;
use crate::{Event, Progress, ReadError, ReadLimit, StoredEvent, TopicId, limits};

mod last;

/// Runs of one topic in one plan.
const PLAN_RUNS_MAX: usize = 64;
/// In-memory entries of all topics together in one plan, about.
const PLAN_ENTRIES: usize = 16 * 1024;
/// Records that are fetched and handed out before the next are merged.
const WINDOW_ENTRIES: usize = 1024;

/// A record's place.
#[derive(Clone, Debug)]
struct Found {
    sequence: u64,
    topic: TopicId,
    segment: Arc<Segment>,
    offset: u32,
    length: u32,
}

enum Part {
    Disk { run: DiskRun, next: Option<u32> },
    Memory { segment: Arc<Segment>, entries: Vec<Entry> },
}

/// The entries of one level above a position, in order.
struct Cursor {
    level: Level,
    parts: VecDeque<Part>,
    loaded: VecDeque<Found>,
    /// Entries above this are not in the plan.
    horizon: u64,
}

impl Table {
    /// A cursor over the level's entries above `after`.
    fn cursor(&self, level: Level, after: u64, cap: usize) -> Cursor {
        let low = level.floor.max(after);
        let mut cursor =
            Cursor { level, parts: VecDeque::new(), loaded: VecDeque::new(), horizon: u64::MAX };
        let Some(topic) = self.topics.get(&level.topic) else {
            return cursor;
        };
        if low >= level.through {
            return cursor;
        }
        if let Some(conflated) = &topic.conflated {
            for (sequence, live) in conflated.live.range(low + 1..).take(cap) {
                let Some(segment) = self.segments.get(&live.segment) else {
                    continue;
                };
                cursor.loaded.push_back(Found {
                    sequence: *sequence,
                    topic: level.topic,
                    segment: segment.handle.clone(),
                    offset: live.offset,
                    length: live.length,
                });
                cursor.horizon = *sequence;
            }
            if cursor.loaded.len() < cap {
                cursor.horizon = u64::MAX;
            }
            return cursor;
        }
        let mut index = topic.partition(|piece| piece.last() <= low);
        while let Some(piece) = topic.piece(index).filter(|piece| piece.first() <= level.through) {
            if cursor.parts.len() == PLAN_RUNS_MAX {
                cursor.horizon = piece.first() - 1;
                break;
            }
            if !cursor.add(self, piece, low, cap) {
                break;
            }
            index += 1;
        }
        cursor
    }
}

impl Cursor {
    /// Adds a run to the plan; false if it did not fit whole.
    fn add(&mut self, table: &Table, piece: Piece<'_>, low: u64, cap: usize) -> bool {
        let Some(segment) = table.segments.get(&piece.segment()) else {
            return true;
        };
        let segment = segment.handle.clone();
        match piece {
            Piece::Sealed(run) => {
                let run = DiskRun::new(segment, run);
                self.parts.push_back(Part::Disk { run, next: None });
                true
            }
            Piece::Open(run) => {
                let above = |entry: &Entry| run.base + u64::from(entry.delta) <= low;
                let first = run.entries.partition_point(above);
                let entries: Vec<Entry> = run.entries[first..].iter().take(cap).copied().collect();
                let whole = first + entries.len() == run.entries.len();
                if !whole {
                    self.horizon =
                        run.base + entries.last().map_or(0, |entry| u64::from(entry.delta));
                }
                self.parts.push_back(Part::Memory { segment, entries });
                whole
            }
        }
    }

    /// The next entry; reads the sidecar when the loaded ones are used up.
    fn next(&mut self, after: u64) -> io::Result<Option<Found>> {
        let low = after.max(self.level.floor);
        loop {
            if let Some(found) = self.loaded.pop_front() {
                if found.sequence > low && found.sequence <= self.level.through {
                    return Ok(Some(found));
                }
                continue;
            }
            if !self.load(low)? {
                return Ok(None);
            }
        }
    }

    /// Loads entries of the front part; false if there is none.
    fn load(&mut self, low: u64) -> io::Result<bool> {
        let topic = self.level.topic;
        let Some(part) = self.parts.front_mut() else {
            return Ok(false);
        };
        let (segment, entries) = match part {
            Part::Memory { segment, entries } => {
                let taken = (segment.clone(), std::mem::take(entries));
                self.parts.pop_front();
                taken
            }
            Part::Disk { run, next } => {
                let start = match *next {
                    Some(next) => next,
                    None => run.first_above(low)?,
                };
                let count = (run.count - start).min(ENTRIES_CHUNK);
                let entries = run.segment.entries(run.start + start, count)?;
                let segment = run.segment.clone();
                *next = Some(start + count);
                if start + count == run.count {
                    self.parts.pop_front();
                }
                (segment, entries)
            }
        };
        let base = segment.header.base_sequence;
        self.loaded.extend(entries.iter().map(|entry| Found {
            sequence: base + u64::from(entry.delta),
            topic,
            segment: segment.clone(),
            offset: entry.offset,
            length: entry.length,
        }));
        Ok(true)
    }
}

/// The merge of several cursors.
struct Merge {
    cursors: Vec<Cursor>,
    heads: BinaryHeap<Reverse<(u64, usize)>>,
    waiting: Vec<Option<Found>>,
    /// The lowest horizon.
    horizon: u64,
    /// The newest sequence when it was planned.
    newest: u64,
}

impl Merge {
    fn plan(shared: &Shared, levels: &[Level], after: u64, cap: usize) -> io::Result<Merge> {
        let (cursors, newest) = {
            let table = shared.read();
            let cursor = |level: &Level| table.cursor(*level, after, cap);
            (levels.iter().map(cursor).collect::<Vec<_>>(), table.newest)
        };
        let horizon = cursors.iter().map(|cursor| cursor.horizon).min().unwrap_or(u64::MAX);
        let waiting = cursors.iter().map(|_| None).collect();
        let mut merge = Merge { cursors, heads: BinaryHeap::new(), waiting, horizon, newest };
        for index in 0..merge.cursors.len() {
            merge.advance(index, after)?;
        }
        Ok(merge)
    }

    fn advance(&mut self, index: usize, after: u64) -> io::Result<()> {
        self.waiting[index] = self.cursors[index].next(after)?;
        if let Some(found) = &self.waiting[index] {
            self.heads.push(Reverse((found.sequence, index)));
        }
        Ok(())
    }

    /// Nothing is left up to `through`, and nothing was left out of the plan.
    fn is_exhausted(&self, through: u64) -> bool {
        let next = self.heads.peek().map_or(u64::MAX, |Reverse((sequence, _))| *sequence);
        self.horizon >= through.min(self.newest) && (next > through || next == u64::MAX)
    }

    /// The next record up to `through` and the horizon, each sequence once.
    fn next(&mut self, through: u64) -> io::Result<Option<Found>> {
        let Some(Reverse((sequence, index))) = self.heads.peek().copied() else {
            return Ok(None);
        };
        if sequence > through.min(self.horizon) {
            return Ok(None);
        }
        let found = self.waiting[index].take();
        while let Some(Reverse((same, index))) = self.heads.peek().copied() {
            if same != sequence {
                break;
            }
            self.heads.pop();
            self.advance(index, sequence)?;
        }
        Ok(found)
    }
}

/// One call of `Log::read`.
struct Reading<'a> {
    shared: &'a Shared,
    now_ms: u64,
    limit: ReadLimit,
    visit: &'a mut dyn FnMut(StoredEvent<'_>),
    events: usize,
    bytes: usize,
    scanned: usize,
    buffer: Vec<u8>,
    topics: Vec<TopicId>,
}

impl Shared {
    /// See [`crate::Log::read`].
    pub(crate) fn read_events(
        &self,
        topics: &[TopicId],
        after: u64,
        through: u64,
        limit: ReadLimit,
        now_ms: u64,
        visit: &mut dyn FnMut(StoredEvent<'_>),
    ) -> Result<Progress, ReadError> {
        let mut reading = Reading {
            shared: self,
            now_ms,
            limit,
            visit,
            events: 0,
            bytes: 0,
            scanned: 0,
            buffer: Vec::new(),
            topics: Vec::new(),
        };
        let mut levels = Vec::with_capacity(topics.len());
        for topic in topics {
            levels.extend(self.levels(*topic, now_ms, after).map_err(index_error)?);
        }
        reading.run(&levels, after, through)
    }
}

fn index_error(source: io::Error) -> ReadError {
    ReadError::Io { file: "an index file".to_owned(), source }
}

impl Reading<'_> {
    fn run(
        &mut self,
        levels: &[Level],
        mut after: u64,
        through: u64,
    ) -> Result<Progress, ReadError> {
        let per_topic = PLAN_ENTRIES / levels.len().max(1);
        let cap = self.limit.events.saturating_add(1).clamp(1, per_topic.max(16));
        loop {
            let mut merge = Merge::plan(self.shared, levels, after, cap).map_err(index_error)?;
            let mut window = Vec::new();
            loop {
                window.clear();
                let mut bytes = 0;
                while window.len() < WINDOW_ENTRIES.min(self.limit.events.max(1))
                    && bytes < limits::READ_COALESCE_BYTES
                {
                    let Some(found) = merge.next(through).map_err(index_error)? else {
                        break;
                    };
                    bytes += found.length as usize;
                    window.push(found);
                }
                let Some(last) = window.last().map(|found: &Found| found.sequence) else {
                    break;
                };
                if let Some(stopped) = self.hand_out(&window)? {
                    return Ok(Progress { after: stopped, more: true });
                }
                after = last;
                self.scanned += window.len();
                if self.events >= self.limit.events || self.scanned >= limits::READ_SCAN_MAX {
                    let more = !merge.is_exhausted(through);
                    let after = if more { after } else { through.min(merge.newest).max(after) };
                    return Ok(Progress { after, more });
                }
            }
            let end = through.min(merge.newest);
            if merge.horizon >= end {
                return Ok(Progress { after: after.max(end), more: false });
            }
            after = after.max(merge.horizon);
        }
    }

    /// Fetches and visits; returns where it stopped if the limit of bytes was reached.
    fn hand_out(&mut self, window: &[Found]) -> Result<Option<u64>, ReadError> {
        let mut rest = window;
        while let Some(first) = rest.first() {
            let mut end = first.offset + first.length;
            let mut count = 1;
            for next in &rest[1..] {
                let near = Arc::ptr_eq(&next.segment, &first.segment)
                    && next.offset >= end
                    && next.offset - end <= limits::READ_COALESCE_GAP
                    && (next.offset + next.length - first.offset) as usize
                        <= limits::READ_COALESCE_BYTES;
                if !near {
                    break;
                }
                end = next.offset + next.length;
                count += 1;
            }
            let (group, others) = rest.split_at(count);
            let buffer = std::mem::take(&mut self.buffer);
            let fetched = self.fetch(buffer, group, end)?;
            let stopped = self.visit_group(&fetched, group);
            self.buffer = fetched;
            if stopped.is_some() {
                return Ok(stopped);
            }
            rest = others;
        }
        Ok(None)
    }

    /// The bytes from the group's first record to `end`; what the file does not have stays zero.
    fn fetch(&self, mut buffer: Vec<u8>, group: &[Found], end: u32) -> Result<Vec<u8>, ReadError> {
        let Some(first) = group.first() else {
            return Ok(buffer);
        };
        let (segment, start) = (&first.segment, first.offset);
        buffer.clear();
        buffer.resize((end - start) as usize, 0);
        // What is still in the process ends the newest segment. Once it was not there it is in the
        // file.
        let on_disk = {
            let table = self.shared.read();
            let newest = table.segments.keys().next_back() == Some(&segment.header.id);
            if newest && !table.pending.is_empty() && table.pending_at < end {
                let from = table.pending_at.max(start);
                let skip = (from - table.pending_at) as usize;
                let wanted = &mut buffer[(from - start) as usize..];
                let length = wanted.len().min(table.pending.len().saturating_sub(skip));
                wanted[..length].copy_from_slice(&table.pending[skip..skip + length]);
                (from - start) as usize
            } else {
                buffer.len()
            }
        };
        if on_disk > 0 {
            let read = segment.file.read_at(&mut buffer[..on_disk], u64::from(start));
            read.map_err(|source| {
                let file = segment_name(segment.header.id);
                ReadError::Io { file, source }
            })?;
        }
        Ok(buffer)
    }

    fn visit_group(&mut self, bytes: &[u8], group: &[Found]) -> Option<u64> {
        let start = group.first()?.offset;
        for found in group {
            let at = (found.offset - start) as usize;
            let event = match record::decode(&bytes[at..at + found.length as usize]) {
                Some(Record::Event(event)) if event.sequence == found.sequence => event,
                _ => {
                    let segment = found.segment.header.id;
                    let bytes = u64::from(found.length);
                    self.shared.note_damage(segment, found.topic, found.sequence, bytes);
                    continue;
                }
            };
            if event.event.expires_ms.is_some_and(|expires| expires <= self.now_ms) {
                continue;
            }
            let size = found.length as usize;
            let full = self.bytes.saturating_add(size) > self.limit.bytes && self.events > 0;
            if full || self.events >= self.limit.events.max(1) {
                return Some(found.sequence - 1);
            }
            self.events += 1;
            self.bytes += size;
            self.topics.clear();
            self.topics.extend(event.topics().map(|(topic, _)| topic));
            let event = Event { topics: &self.topics, ..event.event };
            (self.visit)(StoredEvent { sequence: found.sequence, event });
        }
        None
    }
}
