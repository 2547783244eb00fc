//! Positions in a topic: what is removed, what an ordinal's sequence is, where a time begins. Each
//! question is prepared under the table's lock and, if the answer is in a sidecar, finished without
//! it.

use std::io;

use crate::index::{DiskRun, Piece};
use crate::shared::Shared;
use crate::table::Table;
use crate::{Damage, Durability, Missing, Reason, TopicId};

/// A topic of a chain of forks and the part of it that can be read: `floor < sequence <= through`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Level {
    pub(crate) topic: TopicId,
    pub(crate) floor: u64,
    pub(crate) through: u64,
}

/// An answer, or where on disk it is.
enum Step<T> {
    Known(T),
    Disk(DiskRun),
}

impl Table {
    fn disk_run(&self, piece: Piece<'_>) -> Option<DiskRun> {
        let Piece::Sealed(run) = piece else {
            return None;
        };
        let segment = self.segments.get(&run.segment)?.handle.clone();
        Some(DiskRun::new(segment, run))
    }
}

impl Shared {
    /// Everything of the topic (not of what it begins with) up to this sequence is removed at
    /// `now_ms`. A floor at or below `hint` may be answered too low: readers who are past it need
    /// not know it exactly.
    pub(crate) fn floor(&self, id: TopicId, now_ms: u64, hint: u64) -> io::Result<u64> {
        let (floor, count_floor, age) = {
            let table = self.read();
            let Some(topic) = table.topics.get(&id) else {
                return Ok(0);
            };
            (topic.floor, topic.count_floor(), topic.policy.retention.age_ms)
        };
        Ok(floor.max(self.floor_by(id, count_floor, age, now_ms, hint)?))
    }

    /// What these limits remove: everything below an ordinal, everything of an age.
    pub(crate) fn floor_by(
        &self,
        id: TopicId,
        count_floor: u64,
        age_ms: Option<u64>,
        now_ms: u64,
        hint: u64,
    ) -> io::Result<u64> {
        let counted = match count_floor {
            0 => 0,
            ordinal => self.newest_below_ordinal(id, ordinal, hint)?,
        };
        let aged = match age_ms {
            Some(age) => self.before_time(now_ms.saturating_sub(age), hint)?,
            None => 0,
        };
        Ok(counted.max(aged))
    }

    /// The chain of forks, the topic itself first. An unknown topic has no levels.
    pub(crate) fn levels(&self, id: TopicId, now_ms: u64, hint: u64) -> io::Result<Vec<Level>> {
        let chain: Vec<(TopicId, u64, Option<u64>)> = {
            let table = self.read();
            let count = |id| table.topics.get(&id).and_then(|topic| topic.policy.retention.count);
            table.chain(id).map(|(id, through)| (id, through, count(id))).collect()
        };
        if let [(topic, through, _)] = chain[..] {
            return Ok(vec![Level { topic, floor: self.floor(topic, now_ms, hint)?, through }]);
        }
        let mut levels = Vec::with_capacity(chain.len());
        let mut imposed = 0;
        let mut left = u64::MAX;
        for (topic, through, count) in chain {
            imposed = imposed.max(self.floor(topic, now_ms, 0)?);
            left = left.min(count.unwrap_or(u64::MAX));
            let end = self.ordinal_after(topic, through)?;
            let start = self.ordinal_after(topic, imposed)?.min(end);
            if end - start > left {
                imposed = imposed.max(self.newest_below_ordinal(topic, end - left, 0)?);
            }
            left -= (end - start).min(left);
            levels.push(Level { topic, floor: imposed, through });
            if left == 0 {
                imposed = u64::MAX;
            }
        }
        Ok(levels)
    }

    /// The newest own event that is in the index with an ordinal below this; 0 if none. See `floor`
    /// for `hint`.
    fn newest_below_ordinal(&self, id: TopicId, ordinal: u64, hint: u64) -> io::Result<u64> {
        let step = {
            let table = self.read();
            let Some(topic) = table.topics.get(&id) else {
                return Ok(0);
            };
            let after = topic.partition(|piece| piece.first_ordinal() < ordinal);
            let piece = after.checked_sub(1).and_then(|index| topic.piece(index));
            match piece {
                None => Step::Known(0),
                Some(piece) if piece.end_ordinal() <= ordinal => Step::Known(piece.last()),
                Some(piece) if piece.last() <= hint => Step::Known(piece.first() - 1),
                Some(Piece::Open(run)) => {
                    let index = (ordinal - 1 - run.first_ordinal) as usize;
                    Step::Known(run.base + u64::from(run.entries[index].delta))
                }
                Some(piece) => match table.disk_run(piece) {
                    Some(run) => Step::Disk(run),
                    None => Step::Known(0),
                },
            }
        };
        match step {
            Step::Known(sequence) => Ok(sequence),
            Step::Disk(run) => {
                let entry = run.entry((ordinal - 1 - run.first_ordinal) as u32)?;
                Ok(run.base() + u64::from(entry.delta))
            }
        }
    }

    /// The ordinal of the first own event above `sequence`; the next ordinal if there is none.
    pub(crate) fn ordinal_after(&self, id: TopicId, sequence: u64) -> io::Result<u64> {
        let step = {
            let table = self.read();
            let Some(topic) = table.topics.get(&id) else {
                return Ok(0);
            };
            let index = topic.partition(|piece| piece.last() <= sequence);
            match topic.piece(index) {
                None => Step::Known(topic.next_ordinal),
                Some(piece) if piece.first() > sequence => Step::Known(piece.first_ordinal()),
                Some(Piece::Open(run)) => {
                    let below =
                        |entry: &crate::index::Entry| run.base + u64::from(entry.delta) <= sequence;
                    Step::Known(run.first_ordinal + run.entries.partition_point(below) as u64)
                }
                Some(piece) => match table.disk_run(piece) {
                    Some(run) => Step::Disk(run),
                    None => Step::Known(piece.first_ordinal()),
                },
            }
        };
        match step {
            Step::Known(ordinal) => Ok(ordinal),
            Step::Disk(run) => Ok(run.first_ordinal + u64::from(run.first_above(sequence)?)),
        }
    }

    /// The first own event above `sequence`.
    pub(crate) fn first_after(&self, id: TopicId, sequence: u64) -> io::Result<Option<u64>> {
        let step = {
            let table = self.read();
            let Some(topic) = table.topics.get(&id) else {
                return Ok(None);
            };
            if let Some(conflated) = &topic.conflated {
                let above = sequence.saturating_add(1);
                return Ok(conflated.live.range(above..).next().map(|(found, _)| *found));
            }
            let index = topic.partition(|piece| piece.last() <= sequence);
            match topic.piece(index) {
                None => Step::Known(None),
                Some(piece) if piece.first() > sequence => Step::Known(Some(piece.first())),
                Some(Piece::Open(run)) => {
                    let above = |delta: u32| run.base + u64::from(delta) > sequence;
                    let found = run.entries.iter().find(|entry| above(entry.delta));
                    Step::Known(found.map(|entry| run.base + u64::from(entry.delta)))
                }
                Some(piece) => match table.disk_run(piece) {
                    Some(run) => Step::Disk(run),
                    None => Step::Known(None),
                },
            }
        };
        match step {
            Step::Known(found) => Ok(found),
            Step::Disk(run) => {
                let entry = run.entry(run.first_above(sequence)?)?;
                Ok(Some(run.base() + u64::from(entry.delta)))
            }
        }
    }

    /// The newest own event at or below `sequence`, whether it is still in the index or was
    /// removed; 0 if none.
    pub(crate) fn newest_through(&self, id: TopicId, sequence: u64) -> io::Result<u64> {
        let step = {
            let table = self.read();
            let Some(topic) = table.topics.get(&id) else {
                return Ok(0);
            };
            let removed = if topic.removed_last <= sequence { topic.removed_last } else { 0 };
            if let Some(conflated) = &topic.conflated {
                let live =
                    conflated.live.range(..=sequence).next_back().map_or(0, |(found, _)| *found);
                return Ok(live.max(removed));
            }
            let after = topic.partition(|piece| piece.first() <= sequence);
            match after.checked_sub(1).and_then(|index| topic.piece(index)) {
                None => Step::Known(removed),
                Some(piece) if piece.last() <= sequence => Step::Known(piece.last().max(removed)),
                Some(Piece::Open(run)) => {
                    let through = |delta: u32| run.base + u64::from(delta) <= sequence;
                    let found = run.entries.iter().rev().find(|entry| through(entry.delta));
                    Step::Known(found.map_or(0, |entry| run.base + u64::from(entry.delta)))
                }
                Some(piece) => match table.disk_run(piece) {
                    Some(run) => Step::Disk(run),
                    None => Step::Known(removed),
                },
            }
        };
        match step {
            Step::Known(found) => Ok(found),
            Step::Disk(run) => {
                let above = run.first_above(sequence)?;
                let Some(index) = above.checked_sub(1) else {
                    return Ok(0);
                };
                Ok(run.base() + u64::from(run.entry(index)?.delta))
            }
        }
    }

    /// The last sequence before the first event with a time at or after `time_ms`. See `floor` for
    /// `hint`.
    pub(crate) fn before_time(&self, time_ms: u64, hint: u64) -> io::Result<u64> {
        let (segment, last) = {
            let table = self.read();
            let found = table.segments.values().find(|segment| {
                segment.last_time >= time_ms
                    && segment.last_sequence >= segment.handle.header.base_sequence
            });
            let Some(found) = found else {
                return Ok(table.newest);
            };
            let base = found.handle.header.base_sequence;
            if found.last_sequence <= hint {
                return Ok(base - 1);
            }
            if let Some(unsealed) = &found.unsealed {
                let index = unsealed.times.partition_point(|(time, _)| *time < time_ms);
                let first = unsealed.times.get(index).map(|(_, delta)| base + u64::from(*delta));
                return Ok(first.unwrap_or(found.last_sequence + 1) - 1);
            }
            (found.handle.clone(), found.last_sequence)
        };
        // A rewritten segment may have lost the events of that time.
        let first = segment.first_at_time(time_ms)?;
        Ok(first.map_or(last, |first| first - 1))
    }

    /// See [`crate::Log::missing`].
    pub(crate) fn missing(&self, id: TopicId, after: u64, now_ms: u64) -> Option<Missing> {
        let removed = self.removed(id, after, now_ms);
        let Ok(removed) = removed else {
            // The index cannot be read: what cannot be shown to be whole is reported.
            let through = self.read().topics.get(&id).map_or(0, |topic| topic.newest);
            return (through > after).then_some(Missing { through, reason: Reason::Damage });
        };
        let table = self.read();
        let damaged = table.damaged_after(id, after);
        let crashed = table.crashed_after(id, after);
        let through = removed.max(damaged).max(crashed);
        let reason = match (removed > 0, damaged > 0) {
            (true, _) => Reason::Retention,
            (false, true) => Reason::Damage,
            (false, false) => Reason::Crash,
        };
        (through > after).then_some(Missing { through, reason })
    }

    /// The newest removed event above `after`; 0 if none.
    fn removed(&self, id: TopicId, after: u64, now_ms: u64) -> io::Result<u64> {
        let mut newest = 0;
        for level in self.levels(id, now_ms, after)? {
            let through = level.floor.min(level.through);
            if through > after {
                newest = newest.max(self.newest_through(level.topic, through)?);
            }
        }
        Ok(if newest > after { newest } else { 0 })
    }

    /// Notes a record that could not be read back.
    pub(crate) fn note_damage(&self, segment: u64, topic: TopicId, sequence: u64, bytes: u64) {
        let damage = Damage { segment, topic: Some(topic), first: sequence, last: sequence, bytes };
        self.write().note_damage(damage);
    }
}

impl Table {
    /// The last sequence above `after` that damage may have taken from the topic; 0 if none.
    fn damaged_after(&self, id: TopicId, after: u64) -> u64 {
        let mut newest = 0;
        for (id, through) in self.chain(id) {
            let Some(topic) = self.topics.get(&id) else {
                continue;
            };
            for damage in &self.damaged {
                let concerned = damage.topic.is_none_or(|topic| topic == id);
                let last = damage.last.min(through);
                let lived = last >= topic.created_at && damage.first <= damage.last;
                if concerned && lived && last > after && last > topic.floor {
                    newest = newest.max(last);
                }
            }
        }
        newest
    }

    /// The last sequence above `after` that a crash may have taken from the topic; 0 if none.
    fn crashed_after(&self, id: TopicId, after: u64) -> u64 {
        let Some(topic) = self.topics.get(&id) else {
            return 0;
        };
        let start = match topic.policy.durability {
            Durability::Memory => self.risk.memory,
            Durability::Written => self.risk.written,
            Durability::Synced => 0,
        };
        let through = start.saturating_sub(1);
        if through > after && topic.created_at < start { through } else { 0 }
    }
}
