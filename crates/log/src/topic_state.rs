//! One topic as the table holds it: counters, floors and where its events are.
//!
//! Two numbers say what is gone. `floor`: every event with a sequence up to it is removed, whatever
//! is still on disk.
//! `removed_last`: the newest removed event that the index no longer knows. Both only rise.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::hash::NumberMap;
use crate::index::{Entry, OpenRun, Piece, Run};
use crate::ledger::Producers;
use crate::open_runs::OpenRuns;
use crate::{End, Fork, Policy, TopicId};

/// A live record of a conflating topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LiveRecord {
    pub(crate) segment: u64,
    pub(crate) offset: u32,
    pub(crate) length: u32,
    /// 0 = no key.
    pub(crate) key: u128,
}

/// The newest record per key, and the records without one. About 120 bytes per live key.
#[derive(Debug, Default)]
pub(crate) struct Conflated {
    pub(crate) live: BTreeMap<u64, LiveRecord>,
    keys: NumberMap<u128, u64>,
}

impl Conflated {
    /// Adds a record; returns the one that it takes the place of.
    pub(crate) fn insert(&mut self, sequence: u64, record: LiveRecord) -> Option<LiveRecord> {
        let mut superseded = None;
        if record.key != 0 {
            let old = self.keys.insert(record.key, sequence);
            superseded = old.and_then(|old| self.live.remove(&old));
        }
        self.live.insert(sequence, record);
        superseded
    }

    /// Removes the oldest record if its sequence is at most this.
    pub(crate) fn pop_through(&mut self, sequence: u64) -> Option<(u64, LiveRecord)> {
        let (oldest, record) = self.live.first_key_value().map(|(key, record)| (*key, *record))?;
        if oldest > sequence {
            return None;
        }
        self.remove(oldest);
        Some((oldest, record))
    }

    /// Removes a record.
    pub(crate) fn remove(&mut self, sequence: u64) -> Option<LiveRecord> {
        let record = self.live.remove(&sequence)?;
        if self.keys.get(&record.key) == Some(&sequence) {
            self.keys.remove(&record.key);
        }
        Some(record)
    }
}

/// One topic.
#[derive(Debug)]
pub(crate) struct Topic {
    pub(crate) id: TopicId,
    pub(crate) name: Arc<str>,
    pub(crate) policy: Policy,
    pub(crate) created_ms: u64,
    /// The next sequence when it was created.
    pub(crate) created_at: u64,
    pub(crate) closed: Option<End>,
    pub(crate) fork: Option<Fork>,
    /// Live topics that begin with this one.
    pub(crate) forks: u32,
    pub(crate) next_ordinal: u64,
    /// Sequence of its newest own event; 0 = none.
    pub(crate) newest: u64,
    pub(crate) floor: u64,
    /// Own entries with a lower ordinal are no longer counted as live anywhere.
    pub(crate) settled: u64,
    /// Bytes of the entries of the first piece that are settled (an estimate, if it is sealed).
    pub(crate) front_dead: u64,
    pub(crate) removed_last: u64,
    /// How far it was last trimmed; a deletion says so of what it takes.
    pub(crate) trimmed: Option<u64>,
    /// Stored bytes of the entries from `settled` on (conflating: of the live records).
    pub(crate) bytes: u64,
    pub(crate) runs: VecDeque<Run>,
    pub(crate) open: OpenRuns,
    pub(crate) conflated: Option<Box<Conflated>>,
    pub(crate) producers: Option<Box<Producers>>,
}

impl Topic {
    pub(crate) fn new(
        id: TopicId,
        name: Arc<str>,
        policy: Policy,
        fork: Option<Fork>,
        created_ms: u64,
        created_at: u64,
    ) -> Topic {
        let conflated = policy.conflate.then(Box::default);
        Topic {
            id,
            name,
            policy,
            created_ms,
            created_at,
            closed: None,
            fork,
            forks: 0,
            next_ordinal: 0,
            newest: 0,
            floor: 0,
            settled: 0,
            front_dead: 0,
            removed_last: 0,
            trimmed: None,
            bytes: 0,
            runs: VecDeque::new(),
            open: OpenRuns::default(),
            conflated,
            producers: None,
        }
    }

    /// Number of runs, sealed and open.
    pub(crate) fn pieces(&self) -> usize {
        self.runs.len() + self.open.len()
    }

    pub(crate) fn piece(&self, index: usize) -> Option<Piece<'_>> {
        match self.runs.get(index) {
            Some(run) => Some(Piece::Sealed(run)),
            None => self.open.get(index - self.runs.len()).map(Piece::Open),
        }
    }

    /// Index of the first piece for which `before` is false; pieces are in order.
    pub(crate) fn partition(&self, before: impl Fn(Piece<'_>) -> bool) -> usize {
        let (mut low, mut high) = (0, self.pieces());
        while low < high {
            let middle = low + (high - low) / 2;
            if self.piece(middle).is_some_and(&before) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// Adds an event of an unsealed segment; returns whether this began a run in that segment.
    pub(crate) fn push(&mut self, segment: u64, base: u64, ordinal: u64, entry: Entry) -> bool {
        if let Some(run) = self.open.newest_mut() {
            let dense = run.first_ordinal + run.entries.len() as u64 == ordinal;
            if run.segment == segment {
                if dense {
                    run.entries.push(entry);
                    return false;
                }
                let entries = vec![entry];
                self.open.push(OpenRun { segment, base, first_ordinal: ordinal, entries });
                return false;
            }
        }
        self.open.push(OpenRun { segment, base, first_ordinal: ordinal, entries: vec![entry] });
        true
    }

    /// The lowest ordinal that the limit by count keeps; 0 without one.
    pub(crate) fn count_floor(&self) -> u64 {
        match self.policy.retention.count {
            Some(count) if !self.policy.conflate => self.next_ordinal.saturating_sub(count),
            _ => 0,
        }
    }

    /// Settled entries and bytes of the first piece.
    pub(crate) fn dead_in_front(&self) -> (u64, u64) {
        let Some(piece) = self.piece(0) else {
            return (0, 0);
        };
        let entries = self.settled.saturating_sub(piece.first_ordinal()).min(piece.count());
        (entries, self.front_dead.min(piece.bytes()))
    }

    /// Removes the first piece from the index; returns its segment and what of it was not settled.
    pub(crate) fn pop_front(&mut self) -> Option<(u64, u64, u64)> {
        let (dead, dead_bytes) = self.dead_in_front();
        let piece = self.piece(0)?;
        let popped = (piece.segment(), piece.count() - dead, piece.bytes() - dead_bytes);
        let (last, end) = (piece.last(), piece.end_ordinal());
        if self.runs.pop_front().is_none() {
            self.open.pop_oldest();
        }
        self.note_removed(last);
        self.floor = self.floor.max(last);
        self.settled = self.settled.max(end);
        self.front_dead = 0;
        self.bytes = self.bytes.saturating_sub(popped.2);
        Some(popped)
    }

    /// Notes an event that is removed and not in the index.
    pub(crate) fn note_removed(&mut self, sequence: u64) {
        self.removed_last = self.removed_last.max(sequence);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(key: u128) -> LiveRecord {
        LiveRecord { segment: 1, offset: 0, length: 10, key }
    }

    #[test]
    fn only_the_newest_record_of_a_key_lives() {
        let mut conflated = Conflated::default();
        assert!(conflated.insert(1, record(7)).is_none());
        assert!(conflated.insert(2, record(0)).is_none());
        assert!(conflated.insert(3, record(7)).is_some());
        assert_eq!(conflated.live.keys().copied().collect::<Vec<_>>(), [2, 3]);
        assert_eq!(conflated.pop_through(1), None);
        assert_eq!(conflated.pop_through(3).map(|(sequence, _)| sequence), Some(2));
        assert_eq!(conflated.pop_through(3).map(|(sequence, _)| sequence), Some(3));
        assert!(conflated.insert(4, record(7)).is_none());
    }

    #[test]
    fn a_hole_in_the_ordinals_begins_a_run() {
        let mut topic = Topic::new(TopicId(1), "a".into(), Policy::default(), None, 0, 1);
        let entry = Entry { delta: 0, offset: 0, length: 1 };
        assert!(topic.push(1, 1, 0, entry));
        assert!(!topic.push(1, 1, 1, Entry { delta: 1, ..entry }));
        assert!(!topic.push(1, 1, 5, Entry { delta: 9, ..entry }));
        assert!(topic.push(2, 20, 6, entry));
        assert_eq!(topic.pieces(), 3);
        assert_eq!(topic.partition(|piece| piece.last() <= 2), 1);
        assert_eq!(topic.partition(|piece| piece.end_ordinal() <= 6), 2);
    }
}
