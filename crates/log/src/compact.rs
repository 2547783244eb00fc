//! Rewriting a segment that is mostly dead: the same records with the same sequences, without the
//! dead ones.
//!
//! The new file is written beside the old one, synced and renamed over it; its generation is one
//! higher, which makes the old sidecar void. A crash at any point leaves either file whole, and a
//! missing or void sidecar is rebuilt.

use std::sync::Arc;

use crate::batch::{self, BATCH_HEADER};
use crate::collect::{Collected, EventMeta, Op};
use crate::hash::NumberMap;
use crate::index::{Entry, Run, Tag, TagKind};
use crate::maintain::failed;
use crate::record::{self, EventRecord, Record};
use crate::scan::scan;
use crate::segment::{DATA_START, Segment, SegmentHeader, SidecarFile, segment_name, sidecar_name};
use crate::shared::Shared;
use crate::sidecar::{self, Contents, RunEntries, Summary};
use crate::storage::{read_all, replace};
use crate::table::{SegmentState, Table};
use crate::topic_state::Topic;
use crate::{Event, MaintainError, TopicId};

/// What happened to a topic's records in the segment.
#[derive(Debug, Default)]
struct Kept {
    runs: Vec<RunEntries>,
    /// The newest record that retention had removed and that is now gone from the disk.
    removed: u64,
}

/// A segment being rewritten.
pub(crate) struct Rewrite {
    header: SegmentHeader,
    bytes: Vec<u8>,
    topics: NumberMap<TopicId, Kept>,
    contents: Contents,
    collected: Collected,
    /// Expired live records of conflating topics: left out without having been removed by
    /// retention.
    expired: Vec<(TopicId, u64)>,
    /// Bytes of the old file.
    file_bytes: u64,
}

impl Shared {
    /// Prepares a sealed segment without its dead records, in memory. What they were is noted in
    /// the table, for the checkpoint that must be stored before [`Shared::put_in_place`].
    pub(crate) fn rewrite(&self, id: u64, now_ms: u64) -> Result<Option<Rewrite>, MaintainError> {
        let (old, mut summary, file_bytes, damaged) = {
            let table = self.read();
            let Some(state) = table.segments.get(&id) else {
                return Ok(None);
            };
            let summary = Summary {
                last_batch: state.last_batch,
                last_sequence: state.last_sequence,
                last_time: state.last_time,
                ..Summary::default()
            };
            let damaged = table.damaged.iter().filter(|damage| damage.segment == id).cloned();
            (state.handle.clone(), summary, state.file_bytes, damaged.collect())
        };
        let bytes = read_all(&*old.file).map_err(failed("reading a segment"))?;
        let mut salt = old.header.salt.wrapping_mul(0x9e37_79b9).wrapping_add(1);
        salt ^= old.header.generation;
        let header = SegmentHeader {
            generation: old.header.generation + 1,
            salt,
            last_batch: summary.last_batch,
            last_sequence: summary.last_sequence,
            ..old.header
        };
        let mut rewrite = Rewrite {
            header,
            bytes: header.encode(),
            topics: NumberMap::default(),
            contents: Contents::default(),
            collected: Collected::default(),
            expired: Vec::new(),
            file_bytes,
        };
        for found in scan(&bytes, &old.header).batches {
            let start = found.offset as usize;
            let batch = &bytes[start..start + found.header.length as usize];
            self.rewrite_batch(&mut rewrite, batch, &found.header, now_ms);
        }
        summary.end = rewrite.bytes.len() as u32;
        summary.expiring_bytes = rewrite.contents.summary.expiring_bytes;
        summary.expired_at = rewrite.contents.summary.expired_at;
        rewrite.contents.summary = summary;
        rewrite.contents.damaged = damaged;
        let runs = rewrite.topics.values_mut();
        rewrite.contents.runs = runs.flat_map(|kept| std::mem::take(&mut kept.runs)).collect();
        let mut table = self.write();
        for (topic, kept) in &rewrite.topics {
            table.forget_through(*topic, kept.removed);
        }
        Ok(Some(rewrite))
    }

    /// Replaces the segment's files; the checkpoint has its control records. Returns the bytes
    /// given back.
    pub(crate) fn put_in_place(&self, rewrite: Rewrite) -> Result<u64, MaintainError> {
        let id = rewrite.header.id;
        let file = replace(&*self.storage, &segment_name(id), &rewrite.bytes);
        let file = file.map_err(failed("rewriting a segment"))?;
        let (bytes, runs) =
            sidecar::encode(&rewrite.header, self.secret.check(), &rewrite.contents);
        let index = replace(&*self.storage, &sidecar_name(id), &bytes);
        let index = index.map_err(failed("writing an index file"))?;
        let handle = Arc::new(Segment::new(rewrite.header, file));
        handle.seal(SidecarFile::new(index, &rewrite.contents));
        let mut table = self.write();
        table.replace_segment(handle, &rewrite, &runs);
        Ok(rewrite.file_bytes.saturating_sub(u64::from(rewrite.contents.summary.end)))
    }

    /// Copies the live records of a batch.
    fn rewrite_batch(
        &self,
        rewrite: &mut Rewrite,
        batch: &[u8],
        header: &batch::BatchHeader,
        now_ms: u64,
    ) {
        let start = rewrite.bytes.len();
        let mut copy = vec![0; BATCH_HEADER];
        let mut crcs = Vec::new();
        rewrite.collected.clear();
        let table = self.read();
        let (mut topics, mut ordinals) = (Vec::new(), Vec::new());
        let mut records = 0;
        for (_, bytes) in batch::records(batch, header) {
            let Some(Record::Event(event)) = record::decode_verified(bytes) else {
                continue;
            };
            let live = rewrite.is_live(&table, &event, now_ms);
            if !live {
                continue;
            }
            topics.clear();
            ordinals.clear();
            for (topic, ordinal) in event.topics() {
                topics.push(topic);
                ordinals.push(ordinal);
            }
            let borrowed = Event { topics: &topics, ..event.event };
            let conflates =
                |topic| table.topics.get(&topic).is_some_and(|topic| topic.policy.conflate);
            let place = (copy.len() as u32, bytes.len() as u32);
            rewrite.collected.event(
                &self.secret,
                event.sequence,
                place,
                &borrowed,
                &ordinals,
                conflates,
            );
            crcs.extend_from_slice(&bytes[..4]);
            copy.extend_from_slice(bytes);
            records += 1;
        }
        if records == 0 {
            return;
        }
        let header = batch::BatchHeader { records, ..*header };
        batch::seal(&mut copy, header, rewrite.header.salt, &crcs);
        rewrite.bytes.extend_from_slice(&copy);
        rewrite.index(&table, start as u32);
    }
}

impl Rewrite {
    /// Whether any topic still has the event. Notes those that no longer do.
    fn is_live(&mut self, table: &Table, event: &EventRecord<'_>, now_ms: u64) -> bool {
        let expired = event.event.expires_ms.is_some_and(|expires| expires <= now_ms);
        let mut live = false;
        for (id, ordinal) in event.topics() {
            let Some(topic) = table.topics.get(&id) else {
                continue;
            };
            let kept = self.topics.entry(id).or_default();
            if has(topic, event.sequence, ordinal) {
                live = true;
                if expired && topic.conflated.is_some() {
                    self.expired.push((id, event.sequence));
                }
            } else if topic.conflated.is_none() {
                kept.removed = kept.removed.max(event.sequence);
            }
        }
        live && !expired
    }

    /// Indexes the batch that was copied to `start`.
    fn index(&mut self, table: &Table, start: u32) {
        let collected = std::mem::take(&mut self.collected);
        for op in &collected.ops {
            let Op::Event(meta) = op else { continue };
            self.index_event(table, start, meta, &collected);
        }
        self.collected = collected;
    }

    fn index_event(&mut self, table: &Table, start: u32, meta: &EventMeta, collected: &Collected) {
        let delta = (meta.sequence - self.header.base_sequence) as u32;
        let entry = Entry { delta, offset: start + meta.offset, length: meta.length };
        let contents = &mut self.contents;
        if contents.times.last().is_none_or(|(time, _)| *time < meta.time_ms) {
            contents.times.push((meta.time_ms, delta));
        }
        if let Some(expires) = meta.expires_ms {
            let topics = collected.topics_of(meta).len() as u64;
            contents.summary.expiring_bytes += u64::from(meta.length) * topics;
            contents.summary.expired_at = contents.summary.expired_at.max(expires);
        }
        for (id, ordinal) in collected.topics_of(meta) {
            let Some(topic) = table.topics.get(id) else {
                continue;
            };
            if topic.conflated.is_some() || !has(topic, meta.sequence, *ordinal) {
                continue;
            }
            let runs = &mut self.topics.entry(*id).or_default().runs;
            match runs.last_mut() {
                Some(run) if run.first_ordinal + run.entries.len() as u64 == *ordinal => {
                    run.entries.push(entry);
                }
                _ => runs.push(RunEntries {
                    topic: *id,
                    first_ordinal: *ordinal,
                    entries: vec![entry],
                }),
            }
        }
        for tag in collected.tags_of(meta) {
            let Some(topic) = table.topics.get(&tag.topic) else {
                continue;
            };
            let mut tag = *tag;
            if tag.kind == TagKind::Conflated {
                if !has(topic, meta.sequence, 0) {
                    continue;
                }
                tag.a = Tag::pack(entry.offset, entry.length);
            }
            contents.tags.push(tag);
        }
    }
}

/// The topic still has this event.
fn has(topic: &Topic, sequence: u64, ordinal: u64) -> bool {
    match &topic.conflated {
        Some(conflated) => conflated.live.contains_key(&sequence),
        None => sequence > topic.floor && ordinal >= topic.count_floor().max(topic.settled),
    }
}

impl Table {
    /// Notes the newest of a topic's events that retention has removed and that a rewrite leaves
    /// out.
    fn forget_through(&mut self, id: TopicId, removed: u64) {
        if let Some(topic) = self.topics.get_mut(&id).filter(|_| removed > 0) {
            topic.note_removed(removed);
            topic.floor = topic.floor.max(removed);
        }
    }

    /// Swaps a rewritten segment in. Readers who planned before go on with the old file.
    fn replace_segment(
        &mut self,
        handle: Arc<Segment>,
        rewrite: &Rewrite,
        runs: &[(TopicId, Run)],
    ) {
        let id = rewrite.header.id;
        let summary = &rewrite.contents.summary;
        let mut state = SegmentState::new(handle, u64::from(summary.end.max(DATA_START)));
        state.unsealed = None;
        state.end = summary.end;
        state.last_batch = summary.last_batch;
        state.last_sequence = summary.last_sequence;
        state.last_time = summary.last_time;
        state.expiring_bytes = summary.expiring_bytes;
        state.expired_at = summary.expired_at;
        for topic in rewrite.topics.keys() {
            if let Some(topic) = self.topics.get_mut(topic) {
                topic.forget_runs(id);
            }
        }
        for (topic, sequence) in &rewrite.expired {
            if let Some(topic) = self.topics.get_mut(topic) {
                topic.expire(*sequence);
            }
        }
        // From the last to the first, each in front of what follows it.
        for (topic, run) in runs.iter().rev() {
            let Some(topic) = self.topics.get_mut(topic) else {
                continue;
            };
            let at = topic.runs.partition_point(|other| other.first < run.first);
            topic.runs.insert(at, *run);
            topic.bytes += run.bytes;
            state.live_entries += u64::from(run.count);
            state.live_bytes += run.bytes;
            state.total_bytes += run.bytes;
        }
        for tag in rewrite.contents.tags.iter().filter(|tag| tag.kind == TagKind::Conflated) {
            let Some(topic) = self.topics.get_mut(&tag.topic) else {
                continue;
            };
            let Some(conflated) = topic.conflated.as_mut() else {
                continue;
            };
            if let Some(record) = conflated.live.get_mut(&tag.sequence) {
                (record.offset, record.length) = tag.location();
                state.live_entries += 1;
                state.live_bytes += u64::from(record.length);
                state.total_bytes += u64::from(record.length);
            }
        }
        self.segments.insert(id, state);
    }
}

impl Topic {
    /// Forgets a live record of a conflating topic that has expired.
    fn expire(&mut self, sequence: u64) {
        let removed = self.conflated.as_mut().and_then(|conflated| conflated.remove(sequence));
        self.bytes -= removed.map_or(0, |record| u64::from(record.length));
    }

    /// Takes the runs of a segment out.
    fn forget_runs(&mut self, segment: u64) {
        if self.conflated.is_some() {
            return;
        }
        if self.runs.front().is_some_and(|run| run.segment == segment) {
            self.bytes += self.front_dead;
            self.front_dead = 0;
        }
        let gone: u64 =
            self.runs.iter().filter(|run| run.segment == segment).map(|run| run.bytes).sum();
        self.bytes = self.bytes.saturating_sub(gone);
        self.runs.retain(|run| run.segment != segment);
    }
}
