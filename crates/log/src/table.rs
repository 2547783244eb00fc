//! The table behind the lock: all topics, all segments, timers, damage. A batch is applied here
//! after it was written, and again, by the same code, when the log is opened: that is why both end
//! in the same state.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::collect::{Collected, EventMeta, Op};
use crate::deleted::DeletedNames;
use crate::hash::NumberMap;
use crate::index::{Entry, Run, Tag, TagKind};
use crate::ledger::{Ledger, Produced};
use crate::record::{Control, Loss, Record};
use crate::segment::Segment;
use crate::sidecar::ListedControl;
use crate::topic_state::{LiveRecord, Topic};
use crate::{Damage, Schedule, TopicId, limits, record, sidecar};

/// What an unsealed segment will have in its sidecar, besides its topics' entries.
#[derive(Debug, Default)]
pub(crate) struct Unsealed {
    /// Topics that have a run in it.
    pub(crate) topics: Vec<TopicId>,
    pub(crate) times: Vec<(u64, u32)>,
    pub(crate) tags: Vec<Tag>,
    pub(crate) controls: Vec<u8>,
}

/// A segment in the table.
#[derive(Debug)]
pub(crate) struct SegmentState {
    pub(crate) handle: Arc<Segment>,
    /// End of its last batch, pending bytes included.
    pub(crate) end: u32,
    pub(crate) file_bytes: u64,
    pub(crate) last_batch: u64,
    pub(crate) last_sequence: u64,
    /// Time of the newest event up to its end.
    pub(crate) last_time: u64,
    /// Bytes of records that expire, once per topic, and when the last of them has.
    pub(crate) expiring_bytes: u64,
    pub(crate) expired_at: u64,
    /// Entries of live topics above their floors as far as they are settled, and their bytes.
    pub(crate) live_entries: u64,
    pub(crate) live_bytes: u64,
    /// The same of all entries that it had when it was written or rewritten, and its control
    /// records.
    pub(crate) total_bytes: u64,
    /// `None` once it is sealed.
    pub(crate) unsealed: Option<Box<Unsealed>>,
}

impl SegmentState {
    pub(crate) fn new(handle: Arc<Segment>, file_bytes: u64) -> SegmentState {
        let header = handle.header;
        SegmentState {
            end: crate::segment::DATA_START,
            file_bytes,
            last_batch: header.last_batch.max(header.first_batch.saturating_sub(1)),
            last_sequence: header.last_sequence.max(header.base_sequence.saturating_sub(1)),
            last_time: header.base_time,
            expiring_bytes: 0,
            expired_at: 0,
            live_entries: 0,
            live_bytes: 0,
            total_bytes: 0,
            unsealed: Some(Box::default()),
            handle,
        }
    }

    fn count(&mut self, bytes: u32) {
        self.live_entries += 1;
        self.live_bytes += u64::from(bytes);
        self.total_bytes += u64::from(bytes);
    }

    pub(crate) fn discount(&mut self, entries: u64, bytes: u64) {
        self.live_entries = self.live_entries.saturating_sub(entries);
        self.live_bytes = self.live_bytes.saturating_sub(bytes);
    }
}

/// From which position on nothing was lost in a crash, per durability.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Risk {
    /// First sequence of the newest life that began after memory-durable events may have been lost;
    /// 0 = never.
    pub(crate) memory: u64,
    /// The same for written ones.
    pub(crate) written: u64,
}

/// Everything in memory.
#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(crate) topics: NumberMap<TopicId, Topic>,
    pub(crate) names: BTreeMap<Arc<str>, TopicId>,
    pub(crate) deleted: DeletedNames,
    pub(crate) segments: BTreeMap<u64, SegmentState>,
    pub(crate) schedules: BTreeMap<u64, Schedule>,
    pub(crate) ledger: Ledger,
    pub(crate) risk: Risk,
    pub(crate) damaged: Vec<Damage>,
    pub(crate) next_topic: u32,
    pub(crate) next_schedule: u64,
    pub(crate) newest: u64,
    pub(crate) newest_batch: u64,
    /// Newest batch handed to the kernel.
    pub(crate) written_batch: u64,
    /// Number of the newest segment file, also of one that is too damaged to be in `segments`.
    pub(crate) last_segment: u64,
    /// Control records up to this batch are in the checkpoint and not applied again.
    pub(crate) covers: u64,
    /// Written to the kernel by the next flush; they belong at `pending_at` of the newest segment.
    /// Readers copy under the lock, so the writer is the only one who holds on to it.
    pub(crate) pending: Arc<Vec<u8>>,
    pub(crate) pending_at: u32,
}

/// Where a batch is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) segment: u64,
    pub(crate) offset: u32,
    pub(crate) number: u64,
    pub(crate) base_sequence: u64,
    /// The next sequence after it.
    pub(crate) next_sequence: u64,
}

impl Table {
    /// Takes in a batch that lies at `place`; `bytes` is all of it.
    pub(crate) fn apply(&mut self, place: &Place, bytes: &[u8], collected: &Collected) {
        let mut before = place.base_sequence;
        for op in &collected.ops {
            match op {
                Op::Event(meta) => {
                    self.apply_event(place, meta, collected);
                    before = meta.sequence + 1;
                }
                Op::Control { offset, length } => {
                    let start = *offset as usize;
                    let record = &bytes[start..start + *length as usize];
                    self.apply_control_record(place.number, record);
                    let segment = self.segments.get_mut(&place.segment);
                    if let Some(unsealed) = segment.and_then(|found| found.unsealed.as_mut()) {
                        let listed = ListedControl { batch: place.number, before, record };
                        sidecar::put_control(&mut unsealed.controls, &listed);
                        self.add_total(place.segment, u64::from(*length));
                    }
                }
            }
        }
        if let Some(segment) = self.segments.get_mut(&place.segment) {
            segment.end = place.offset + bytes.len() as u32;
            segment.last_batch = segment.last_batch.max(place.number);
            segment.last_sequence = segment.last_sequence.max(place.next_sequence - 1);
        }
        self.newest = self.newest.max(place.next_sequence - 1);
        self.newest_batch = self.newest_batch.max(place.number);
    }

    fn apply_event(&mut self, place: &Place, meta: &EventMeta, collected: &Collected) {
        let Some(segment) = self.segments.get_mut(&place.segment) else {
            return;
        };
        let base = segment.handle.header.base_sequence;
        let delta = (meta.sequence - base) as u32;
        let entry = Entry { delta, offset: place.offset + meta.offset, length: meta.length };
        let Some(unsealed) = segment.unsealed.as_mut() else {
            return;
        };
        if segment.last_time < meta.time_ms || unsealed.times.is_empty() {
            segment.last_time = segment.last_time.max(meta.time_ms);
            unsealed.times.push((segment.last_time, delta));
        }
        if let Some(expires) = meta.expires_ms {
            let topics = collected.topics_of(meta).len() as u64;
            segment.expiring_bytes += u64::from(meta.length) * topics;
            segment.expired_at = segment.expired_at.max(expires);
        }
        for (id, ordinal) in collected.topics_of(meta) {
            let Some(topic) = self.topics.get_mut(id) else {
                continue;
            };
            topic.next_ordinal = topic.next_ordinal.max(ordinal + 1);
            topic.newest = topic.newest.max(meta.sequence);
            if topic.conflated.is_some() {
                continue;
            }
            if topic.push(place.segment, base, *ordinal, entry) {
                unsealed.topics.push(*id);
            }
            topic.bytes += u64::from(meta.length);
            segment.live_entries += 1;
            segment.live_bytes += u64::from(meta.length);
            segment.total_bytes += u64::from(meta.length);
        }
        for tag in collected.tags_of(meta) {
            let mut tag = *tag;
            if tag.kind == TagKind::Conflated {
                tag.a = Tag::pack(entry.offset, entry.length);
            }
            self.apply_tag(place.segment, &tag, meta.time_ms);
            let segment = self.segments.get_mut(&place.segment);
            if let Some(unsealed) = segment.and_then(|found| found.unsealed.as_mut()) {
                unsealed.tags.push(tag);
            }
        }
    }

    fn add_total(&mut self, segment: u64, bytes: u64) {
        if let Some(segment) = self.segments.get_mut(&segment) {
            segment.total_bytes += bytes;
        }
    }

    /// Takes in a tag of an event in `segment`.
    pub(crate) fn apply_tag(&mut self, segment: u64, tag: &Tag, time_ms: u64) {
        match tag.kind {
            TagKind::Conflated => self.apply_conflated(segment, tag),
            TagKind::Producer => {
                if let Some(topic) = self.topics.get_mut(&tag.topic) {
                    let produced = Produced { epoch: tag.a, sequence: tag.b, at: tag.sequence };
                    topic.producers.get_or_insert_default().apply(tag.hash, produced);
                }
            }
            TagKind::Idempotency | TagKind::PublisherId => {
                if self.topics.contains_key(&tag.topic) {
                    self.ledger.apply(tag, time_ms);
                }
            }
        }
    }

    fn apply_conflated(&mut self, segment: u64, tag: &Tag) {
        let Some(topic) = self.topics.get_mut(&tag.topic) else {
            return;
        };
        let Some(conflated) = topic.conflated.as_mut() else {
            return;
        };
        topic.newest = topic.newest.max(tag.sequence);
        if tag.sequence <= topic.floor {
            // From before the checkpoint, which knows whether it was removed or superseded.
            return;
        }
        let (offset, length) = tag.location();
        let key = if tag.b == 1 { tag.hash } else { 0 };
        let superseded =
            conflated.insert(tag.sequence, LiveRecord { segment, offset, length, key });
        topic.bytes += u64::from(length);
        if let Some(found) = self.segments.get_mut(&segment) {
            found.count(length);
        }
        if let Some(old) = superseded {
            topic.bytes -= u64::from(old.length);
            if let Some(found) = self.segments.get_mut(&old.segment) {
                found.discount(1, u64::from(old.length));
            }
        }
        self.limit_conflated(tag.topic);
    }

    /// Applies the limits by count and bytes of a conflating topic: its oldest live records go.
    pub(crate) fn limit_conflated(&mut self, id: TopicId) {
        let Some(topic) = self.topics.get_mut(&id) else {
            return;
        };
        let Some(conflated) = topic.conflated.as_mut() else {
            return;
        };
        let count = topic.policy.retention.count.unwrap_or(u64::MAX);
        let bytes = topic.policy.retention.bytes.unwrap_or(u64::MAX);
        while conflated.live.len() as u64 > count || topic.bytes > bytes {
            let Some((sequence, old)) = conflated.pop_through(u64::MAX) else {
                break;
            };
            topic.bytes -= u64::from(old.length);
            topic.floor = topic.floor.max(sequence);
            topic.removed_last = topic.removed_last.max(sequence);
            if let Some(found) = self.segments.get_mut(&old.segment) {
                found.discount(1, u64::from(old.length));
            }
        }
    }

    /// Removes a topic's events up to and including `floor`. Runs are settled by maintenance.
    pub(crate) fn raise_floor(&mut self, id: TopicId, floor: u64) {
        let Some(topic) = self.topics.get_mut(&id) else {
            return;
        };
        topic.floor = topic.floor.max(floor);
        let Some(conflated) = topic.conflated.as_mut() else {
            return;
        };
        while let Some((sequence, old)) = conflated.pop_through(floor) {
            topic.bytes -= u64::from(old.length);
            topic.removed_last = topic.removed_last.max(sequence);
            if let Some(found) = self.segments.get_mut(&old.segment) {
                found.discount(1, u64::from(old.length));
            }
        }
    }

    /// Applies a control record unless the checkpoint has it already.
    pub(crate) fn apply_control_record(&mut self, batch: u64, bytes: &[u8]) {
        if batch <= self.covers {
            return;
        }
        if let Some(Record::Control(control)) = record::decode_verified(bytes) {
            self.apply_control(control);
        }
    }

    fn apply_control(&mut self, control: Control<'_>) {
        match control {
            Control::TopicDefined { id, name, policy, fork, time_ms, created_at } => {
                self.insert_topic(Topic::new(id, name.into(), policy, fork, time_ms, created_at));
            }
            Control::PolicySet { id, policy, floor } => {
                self.raise_floor(id, floor);
                if let Some(topic) = self.topics.get_mut(&id) {
                    let conflate = topic.policy.conflate;
                    topic.policy = crate::Policy { conflate, ..policy };
                }
                self.limit_conflated(id);
            }
            Control::Trimmed { id, through } => {
                self.raise_floor(id, through);
                if let Some(topic) = self.topics.get_mut(&id) {
                    topic.trimmed = Some(through);
                }
            }
            Control::Closed { id, end } => {
                if let Some(topic) = self.topics.get_mut(&id) {
                    topic.closed = Some(end);
                }
            }
            Control::Deleted { id } => self.remove_topic(id),
            Control::Scheduled { id, due_ms, payload } => {
                self.next_schedule = self.next_schedule.max(id + 1);
                self.schedules.insert(id, Schedule { id, due_ms, payload: payload.into() });
            }
            Control::Unscheduled { id } => {
                self.schedules.remove(&id);
            }
            Control::LifeBegan { start, loss, .. } => self.apply_life(start, loss),
        }
    }

    fn apply_life(&mut self, start: u64, loss: Loss) {
        if loss != Loss::None {
            self.risk.memory = self.risk.memory.max(start);
        }
        if loss == Loss::Written {
            self.risk.written = self.risk.written.max(start);
        }
    }

    /// The topic and the topics that it begins with, each with the last sequence that counts there.
    pub(crate) fn chain(&self, id: TopicId) -> impl Iterator<Item = (TopicId, u64)> + '_ {
        let mut next = Some((id, u64::MAX));
        std::iter::from_fn(move || {
            let (id, through) = next?;
            let fork = self.topics.get(&id)?.fork;
            next = fork.map(|fork| (fork.source, fork.through.min(through)));
            Some((id, through))
        })
        .take(limits::FORK_DEPTH_MAX)
    }

    /// Adds a topic; its fork's source must be there before it.
    pub(crate) fn insert_topic(&mut self, topic: Topic) {
        self.next_topic = self.next_topic.max(topic.id.0.saturating_add(1));
        if let Some(source) = topic.fork.and_then(|fork| self.topics.get_mut(&fork.source)) {
            source.forks += 1;
        }
        self.names.insert(topic.name.clone(), topic.id);
        self.topics.insert(topic.id, topic);
    }

    fn remove_topic(&mut self, id: TopicId) {
        let Some(topic) = self.topics.remove(&id) else {
            return;
        };
        if self.names.get(&topic.name) == Some(&id) {
            self.names.remove(&topic.name);
        }
        // Trimmed before it was deleted; without that, from a log of an older version, as far as is
        // known here.
        let newest = topic.trimmed.unwrap_or(topic.newest);
        self.deleted.note(topic.name.clone(), newest);
        if let Some(source) = topic.fork.and_then(|fork| self.topics.get_mut(&fork.source)) {
            source.forks = source.forks.saturating_sub(1);
        }
        for record in topic.conflated.iter().flat_map(|conflated| conflated.live.values()) {
            if let Some(segment) = self.segments.get_mut(&record.segment) {
                segment.discount(1, u64::from(record.length));
            }
        }
        for index in 0..topic.pieces() {
            let Some(piece) = topic.piece(index) else {
                continue;
            };
            let (dead, dead_bytes) = if index == 0 { topic.dead_in_front() } else { (0, 0) };
            if let Some(segment) = self.segments.get_mut(&piece.segment()) {
                segment.discount(piece.count() - dead, piece.bytes() - dead_bytes);
            }
        }
    }

    /// Adds a sealed segment's run when the log is opened or the segment was sealed or rewritten.
    pub(crate) fn attach_run(&mut self, id: TopicId, run: &Run) {
        let Some(topic) = self.topics.get_mut(&id) else {
            return;
        };
        topic.next_ordinal = topic.next_ordinal.max(run.first_ordinal + u64::from(run.count));
        topic.newest = topic.newest.max(run.last);
        if run.last <= topic.floor {
            topic.note_removed(run.last);
            return;
        }
        topic.bytes += run.bytes;
        topic.runs.push_back(*run);
        if let Some(segment) = self.segments.get_mut(&run.segment) {
            segment.live_entries += u64::from(run.count);
            segment.live_bytes += run.bytes;
        }
    }

    /// Notes damage; neighbours are joined when there are too many.
    pub(crate) fn note_damage(&mut self, damage: Damage) {
        if self.damaged.contains(&damage) {
            return;
        }
        self.damaged.push(damage);
        if self.damaged.len() > limits::DAMAGE_MAX {
            self.damaged.sort_by_key(|found| found.first);
            let second = self.damaged.remove(1);
            if let Some(first) = self.damaged.first_mut() {
                first.last = first.last.max(second.last);
                first.topic = None;
                first.bytes += second.bytes;
            }
        }
    }
}
