//! Counting back from the newest event: where the last N of a set of topics begin.
//!
//! Each level gives its newest entries; if expired ones among them leave too few, each gives four
//! times as many.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::io;

use super::{Cursor, Found, PLAN_RUNS_MAX, Part, Reading};
use crate::lookup::Level;
use crate::shared::Shared;
use crate::{ReadLimit, StoredEvent, TopicId, limits};

impl Shared {
    /// See [`crate::Log::before_last`].
    pub(crate) fn before_last(
        &self,
        topics: &[TopicId],
        n: u64,
        through: u64,
        now_ms: u64,
    ) -> io::Result<u64> {
        let newest = self.read().newest.min(through);
        if n == 0 {
            return Ok(newest);
        }
        let mut levels = Vec::with_capacity(topics.len());
        for topic in topics {
            levels.extend(self.levels(*topic, now_ms, 0)?);
        }
        for level in &mut levels {
            level.through = level.through.min(through);
        }
        let wanted = usize::try_from(n).unwrap_or(usize::MAX).min(limits::BEFORE_LAST_MAX);
        let mut depth = wanted;
        loop {
            let mut found = Vec::new();
            let mut all = true;
            // Above this every level has given everything.
            let mut complete_above = 0;
            for level in &levels {
                let (mut some, whole) = self.last_of(level, depth)?;
                if !whole {
                    all = false;
                    let oldest = some.iter().map(|found| found.sequence).min().unwrap_or(0);
                    complete_above = complete_above.max(oldest);
                }
                found.append(&mut some);
            }
            found.retain(|found| (complete_above..=through).contains(&found.sequence));
            found.sort_unstable_by_key(|found| Reverse(found.sequence));
            found.dedup_by_key(|found| found.sequence);
            let mut left = wanted;
            let mut oldest = None;
            for found in &found {
                if self.readable(found, now_ms)? {
                    oldest = Some(found.sequence);
                    left -= 1;
                    if left == 0 {
                        return Ok(found.sequence - 1);
                    }
                }
            }
            if all || depth >= limits::BEFORE_LAST_MAX {
                return Ok(oldest.map_or(newest, |sequence| sequence - 1));
            }
            depth = depth.saturating_mul(4).min(limits::BEFORE_LAST_MAX);
        }
    }

    /// Up to `depth` of the newest entries of a level, and whether that is all of them.
    fn last_of(&self, level: &Level, depth: usize) -> io::Result<(Vec<Found>, bool)> {
        let (mut parts, mut found) = (Vec::new(), Vec::new());
        let mut whole = true;
        {
            let table = self.read();
            let Some(topic) = table.topics.get(&level.topic) else {
                return Ok((found, true));
            };
            if topic.conflated.is_some() {
                let mut cursor = table.cursor(*level, 0, usize::MAX);
                let excess = cursor.loaded.len().saturating_sub(depth);
                return Ok((cursor.loaded.drain(excess..).collect(), excess == 0));
            }
            let mut gathered = 0;
            let mut index = topic.partition(|piece| piece.first() <= level.through);
            while let Some(piece) = index.checked_sub(1).and_then(|index| topic.piece(index)) {
                index -= 1;
                if piece.last() <= level.floor {
                    break;
                }
                if gathered >= depth || parts.len() >= PLAN_RUNS_MAX * 64 {
                    whole = false;
                    break;
                }
                let mut cursor = Cursor {
                    level: *level,
                    parts: VecDeque::new(),
                    loaded: VecDeque::new(),
                    horizon: u64::MAX,
                };
                cursor.add(&table, piece, level.floor, usize::MAX);
                if piece.last() <= level.through {
                    gathered += usize::try_from(piece.count()).unwrap_or(usize::MAX);
                }
                parts.push(cursor);
            }
        }
        for cursor in parts.iter_mut().rev() {
            // A long run is entered near its end.
            if let Some(Part::Disk { run, next }) = cursor.parts.front_mut() {
                let end = run.first_above(level.through)?;
                let start = end.saturating_sub(u32::try_from(depth).unwrap_or(u32::MAX));
                whole = whole && (start == 0 || run.first_above(level.floor)? >= start);
                *next = Some(start);
            }
            while let Some(entry) = cursor.next(0)? {
                found.push(entry);
            }
        }
        let excess = found.len().saturating_sub(depth);
        found.drain(..excess);
        Ok((found, whole && excess == 0))
    }

    /// Whether a read would hand the record out, as far as its own expiry goes.
    fn readable(&self, found: &Found, now_ms: u64) -> io::Result<bool> {
        let expiring = {
            let table = self.read();
            let segment = table.segments.get(&found.segment.header.id);
            segment.is_none_or(|segment| segment.expiring_bytes > 0)
        };
        if !expiring {
            return Ok(true);
        }
        let mut readable = false;
        let mut check = |_: StoredEvent<'_>| readable = true;
        let mut reading = Reading {
            shared: self,
            now_ms,
            limit: ReadLimit { events: 1, bytes: usize::MAX },
            visit: &mut check,
            events: 0,
            bytes: 0,
            scanned: 0,
            buffer: Vec::new(),
            topics: Vec::new(),
        };
        reading.hand_out(std::slice::from_ref(found)).map_err(io::Error::other)?;
        Ok(readable)
    }
}
