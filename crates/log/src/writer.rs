//! The appending half of a log: encode, write, make readable, in that order.
//!
//! Everything an append may change is changed after the write succeeded. What pushes assume
//! meanwhile (ordinals, new topics' numbers) is kept here and taken back when the append fails.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::batch::{self, BATCH_ALIGN, BATCH_HEADER, BatchHeader};
use crate::collect::Collected;
use crate::hash::NumberMap;
use crate::segment::{DATA_START, Segment, SegmentHeader, segment_name};
use crate::shared::Shared;
use crate::table::{Place, SegmentState};
use crate::topic_state::Topic;
use crate::{
    AppendError, Appended, Durability, Event, EventError, Options, Retention, TopicId, limits,
    record,
};

mod control;

/// A reusable buffer in which one atomic unit is encoded. `Batch::default()` is empty.
#[derive(Debug, Default)]
pub struct Batch {
    /// Room for the header, then records.
    bytes: Vec<u8>,
    crcs: Vec<u8>,
    collected: Collected,
    events: u32,
    /// Topics created in it, with their names.
    created: HashMap<Box<str>, TopicId>,
    /// Which filling of this writer it is; 0 = empty.
    turn: u64,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Batch {
        Batch::default()
    }

    /// Nothing was pushed since the last append.
    pub fn is_empty(&self) -> bool {
        self.collected.ops.is_empty()
    }

    /// Events pushed since the last append.
    pub fn events(&self) -> usize {
        self.events as usize
    }

    /// Encoded bytes so far.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.crcs.clear();
        self.collected.clear();
        self.created.clear();
        self.events = 0;
        self.turn = 0;
    }

    /// Notes the record that was just encoded at `offset`.
    fn added(&mut self, crc: u32) {
        self.crcs.extend_from_slice(&crc.to_le_bytes());
    }

    fn room(&self, more: usize) -> bool {
        // A deletion is two records.
        self.collected.ops.len() + 1 < limits::BATCH_RECORDS_MAX
            && self.bytes.len().saturating_add(more) < limits::BATCH_BYTES_MAX - RECORD_OVERHEAD
    }
}

/// More bytes than any record has beside its texts and its data.
const RECORD_OVERHEAD: usize = 1024;

/// What a push needs of a topic. The writer has its own copy, so that pushing takes no lock, and
/// nothing else is in it: with many topics each push fetches one from far away in memory.
#[derive(Clone, Copy, Debug)]
struct Head {
    next_ordinal: u64,
    conflate: bool,
    closed: bool,
    /// Forks below it in its chain.
    depth: u8,
    /// Live topics that begin with it.
    forks: u32,
    source: Option<TopicId>,
}

/// A policy that an unfinished batch has set.
#[derive(Clone, Copy, Debug, Default)]
struct NewPolicy {
    retention: Retention,
    /// What earlier policies have removed.
    floor: u64,
}

/// The only way to append: there is one per log. Fills one batch at a time: the first push into an
/// empty batch abandons what another one had collected. Dropping it without [`Writer::close`] is an
/// unclean end, as if the process were killed.
#[derive(Debug)]
pub struct Writer {
    shared: Arc<Shared>,
    segment_bytes: u64,
    entropy: fn(&mut [u8]) -> bool,
    heads: NumberMap<TopicId, Head>,
    /// Ordinals are taken back to these when a batch is abandoned: (topic, head before it; `None` =
    /// created in it).
    undo: Vec<(TopicId, Option<Head>)>,
    /// Of the unfinished batch; other topics have the table's.
    policies: NumberMap<TopicId, NewPolicy>,
    turn: u64,
    next_topic: u32,
    next_schedule: u64,
    next_sequence: u64,
    next_batch: u64,
    last_time: u64,
    active: Option<Active>,
    ordinals: Vec<u64>,
}

/// The segment that is written to.
#[derive(Debug)]
struct Active {
    segment: Arc<Segment>,
    /// End of what is in it, pending bytes included.
    end: u32,
    /// Bytes of the file.
    capacity: u64,
    /// Bytes at the end that were not handed to the kernel by the writer (maintenance may have).
    pending: u32,
}

impl Writer {
    /// Continues behind what the table has.
    pub(crate) fn new(shared: &Arc<Shared>, options: &Options, next_sequence: u64) -> Writer {
        let table = shared.read();
        let head = |topic: &Topic| Head {
            next_ordinal: topic.next_ordinal,
            conflate: topic.policy.conflate,
            closed: topic.closed.is_some(),
            depth: table.chain(topic.id).count().saturating_sub(1) as u8,
            forks: topic.forks,
            source: topic.fork.map(|fork| fork.source),
        };
        let newest = table.segments.values().next_back();
        let writer = Writer {
            segment_bytes: options.segment_bytes,
            entropy: options.entropy,
            heads: table.topics.values().map(|topic| (topic.id, head(topic))).collect(),
            undo: Vec::new(),
            policies: NumberMap::default(),
            turn: 0,
            next_topic: table.next_topic.max(1),
            next_schedule: table.next_schedule.max(1),
            next_sequence,
            next_batch: table.newest_batch + 1,
            last_time: newest.map_or(0, |segment| segment.last_time),
            active: None,
            ordinals: Vec::new(),
            shared: shared.clone(),
        };
        drop(table);
        writer
    }

    /// Goes on writing into the newest segment instead of beginning one.
    pub(crate) fn resume(&mut self) {
        let table = self.shared.read();
        let Some(newest) = table.segments.values().next_back() else {
            return;
        };
        self.active = Some(Active {
            segment: newest.handle.clone(),
            end: newest.end,
            capacity: newest.file_bytes,
            pending: 0,
        });
        let mut unsynced = self.shared.unsynced();
        unsynced.segments = vec![newest.handle.clone()];
    }

    /// Prepares `batch` for a record of about `bytes`.
    fn begin(&mut self, batch: &mut Batch) {
        if batch.turn == self.turn && batch.turn != 0 {
            return;
        }
        if batch.is_empty() {
            self.roll_back();
            batch.clear();
            self.turn += 1;
            batch.turn = self.turn;
            batch.bytes.resize(BATCH_HEADER, 0);
        }
    }

    /// Takes back what an abandoned batch assumed.
    fn roll_back(&mut self) {
        self.policies.clear();
        while let Some((topic, head)) = self.undo.pop() {
            match head {
                Some(head) => self.heads.insert(topic, head),
                None => self.heads.remove(&topic),
            };
        }
        let table = self.shared.read();
        self.next_topic = table.next_topic.max(1);
        self.next_schedule = table.next_schedule.max(1);
    }

    /// Adds an event. Events get consecutive sequences in the order in which they are pushed.
    ///
    /// # Errors
    /// The event is refused; the batch is as it was.
    pub fn push(&mut self, batch: &mut Batch, event: &Event<'_>) -> Result<(), EventError> {
        self.begin(batch);
        self.check(batch, event)?;
        self.ordinals.clear();
        for topic in event.topics {
            let Some(head) = self.heads.get_mut(topic) else {
                continue;
            };
            self.undo.push((*topic, Some(*head)));
            self.ordinals.push(head.next_ordinal);
            head.next_ordinal += 1;
        }
        let sequence = self.next_sequence + u64::from(batch.events);
        let time_ms = event.time_ms.max(self.last_time);
        self.last_time = time_ms;
        let offset = batch.bytes.len();
        let crc = record::encode_event(&mut batch.bytes, sequence, time_ms, event, &self.ordinals);
        batch.added(crc);
        let place = (offset as u32, (batch.bytes.len() - offset) as u32);
        let event = Event { time_ms, ..*event };
        batch.collected.event(
            &self.shared.secret,
            sequence,
            place,
            &event,
            &self.ordinals,
            |topic| self.heads.get(&topic).is_some_and(|head| head.conflate),
        );
        batch.events += 1;
        Ok(())
    }

    fn check(&self, batch: &Batch, event: &Event<'_>) -> Result<(), EventError> {
        if event.topics.is_empty() || event.topics.len() > limits::EVENT_TOPICS_MAX {
            return Err(EventError::Topics(event.topics.len()));
        }
        for (index, topic) in event.topics.iter().enumerate() {
            match self.heads.get(topic) {
                None => return Err(EventError::UnknownTopic(*topic)),
                Some(head) if head.closed => return Err(EventError::Closed(*topic)),
                Some(_) => {}
            }
            if event.topics[..index].contains(topic) {
                return Err(EventError::RepeatedTopic(*topic));
            }
        }
        let texts = [
            ("type", event.event_type),
            ("publisher id", event.publisher_id),
            ("key", event.key),
            ("producer", event.producer.map(|producer| producer.id)),
            ("idempotency key", event.idempotency.map(|given| given.key)),
        ];
        let mut bytes = event.data.len();
        for (field, text) in texts {
            let length = text.map_or(0, str::len);
            if length > limits::TEXT_BYTES_MAX {
                return Err(EventError::TextTooLong { field, bytes: length });
            }
            bytes += length;
        }
        if event.data.len() > limits::EVENT_DATA_BYTES_MAX {
            return Err(EventError::DataTooLong(event.data.len()));
        }
        if batch.room(bytes) { Ok(()) } else { Err(EventError::BatchFull) }
    }

    /// Writes the batch and makes it readable. `Memory` leaves the bytes in the process, `Written`
    /// hands everything so far to the kernel, `Synced` does the same and the caller then waits
    /// until [`Log::synced`](crate::Log::synced) has reached [`Appended::batch`]. The batch is
    /// empty afterwards, also on error.
    ///
    /// # Errors
    /// Nothing of the batch is in the log.
    pub fn append(
        &mut self,
        batch: &mut Batch,
        durability: Durability,
    ) -> Result<Appended, AppendError> {
        let abandoned = !batch.is_empty() && batch.turn != self.turn;
        let result = if abandoned {
            Err(AppendError::Abandoned)
        } else {
            let written = self.append_batch(batch, durability);
            match written {
                Ok(_) => {
                    self.undo.clear();
                    self.policies.clear();
                }
                Err(_) => self.roll_back(),
            }
            written
        };
        batch.clear();
        result
    }

    fn append_batch(
        &mut self,
        batch: &mut Batch,
        durability: Durability,
    ) -> Result<Appended, AppendError> {
        if let Some(why) = self.shared.failed() {
            return Err(AppendError::Failed(why.to_owned()));
        }
        if self.shared.closed.load(Ordering::Acquire) {
            return Err(AppendError::Closed);
        }
        let first = self.next_sequence;
        if batch.is_empty() {
            if durability != Durability::Memory {
                self.flush()?;
            }
            return Ok(Appended { first, last: first - 1, batch: self.next_batch - 1 });
        }
        let next = first + u64::from(batch.events);
        if next - 1 > self.shared.reserved.load(Ordering::Acquire) {
            let reserved = self.shared.reserve(next);
            reserved.map_err(|error| self.shared.append_error("reserving sequences", &error))?;
        }
        let length = batch.bytes.len().next_multiple_of(BATCH_ALIGN) as u32;
        self.make_room(length)?;
        let Some(active) = self.active.as_ref() else {
            return Err(AppendError::Failed("there is no segment".to_owned()));
        };
        let header = BatchHeader {
            length,
            number: self.next_batch,
            synced_through: self.shared.synced.load(Ordering::Acquire),
            base_sequence: first,
            time_ms: self.last_time,
            events: batch.events,
            records: batch.collected.ops.len() as u32,
        };
        batch::seal(&mut batch.bytes, header, active.segment.header.salt, &batch.crcs);
        let place = Place {
            segment: active.segment.header.id,
            offset: active.end,
            number: self.next_batch,
            base_sequence: first,
            next_sequence: next,
        };
        self.store(batch, &place, durability)?;
        self.next_sequence = next;
        self.next_batch += 1;
        Ok(Appended { first, last: next - 1, batch: place.number })
    }

    /// Durable as far as asked, then readable.
    fn store(
        &mut self,
        batch: &Batch,
        place: &Place,
        durability: Durability,
    ) -> Result<(), AppendError> {
        let pending = self.active.as_ref().map_or(0, |active| active.pending as usize);
        let keep = durability == Durability::Memory
            && pending + batch.bytes.len() <= limits::PENDING_BYTES_MAX;
        if !keep && pending > 0 {
            self.flush()?;
        }
        let Some(active) = self.active.as_mut() else {
            return Ok(());
        };
        if !keep {
            let written = active.segment.file.write_at(&batch.bytes, u64::from(active.end));
            written.map_err(|error| self.shared.append_error("writing a batch", &error))?;
        }
        let mut table = self.shared.write();
        if keep {
            if table.pending.is_empty() {
                table.pending_at = active.end;
            }
            Arc::make_mut(&mut table.pending).extend_from_slice(&batch.bytes);
            active.pending += batch.bytes.len() as u32;
        } else {
            table.written_batch = place.number;
        }
        active.end += batch.bytes.len() as u32;
        table.apply(place, &batch.bytes, &batch.collected);
        Ok(())
    }

    /// Hands to the kernel what memory-durable appends left in the process.
    ///
    /// # Errors
    /// It stays in the process and readable.
    pub fn flush(&mut self) -> Result<(), AppendError> {
        self.shared.flush()?;
        if let Some(active) = self.active.as_mut() {
            active.pending = 0;
        }
        Ok(())
    }

    /// Makes sure that the active segment has room for a batch.
    fn make_room(&mut self, length: u32) -> Result<(), AppendError> {
        let fits = |active: &Active| u64::from(active.end) + u64::from(length) <= active.capacity;
        if self.active.as_ref().is_some_and(fits) {
            let base = self.active.as_ref().map_or(0, |active| active.segment.header.base_sequence);
            // Index entries count sequences from the base in 32 bits.
            if self.next_sequence - base < u64::from(u32::MAX / 2) {
                return Ok(());
            }
        }
        self.flush()?;
        let capacity = self.segment_bytes.max(u64::from(DATA_START) + u64::from(length));
        self.begin_segment(capacity)
    }

    /// Creates the next segment file. Nothing has changed if that fails.
    pub(crate) fn begin_segment(&mut self, capacity: u64) -> Result<(), AppendError> {
        let shared = self.shared.clone();
        let newest = shared.read().last_segment;
        let mut salt = [0; 4];
        if !(self.entropy)(&mut salt) {
            let error = std::io::Error::other("no random bytes");
            return Err(shared.append_error("creating a segment", &error));
        }
        let mut epoch = [0; 8];
        epoch.copy_from_slice(&shared.epoch.as_bytes()[..8]);
        let header = SegmentHeader {
            id: newest + 1,
            generation: 0,
            epoch,
            salt: u32::from_le_bytes(salt),
            first_batch: self.next_batch,
            base_sequence: self.next_sequence,
            base_time: self.last_time,
            last_batch: 0,
            last_sequence: 0,
        };
        let name = segment_name(header.id);
        let create = || {
            let file = shared.storage.create(&name)?;
            file.allocate(capacity)?;
            file.write_at(&header.encode(), 0)?;
            Ok(file)
        };
        let file = create().map_err(|error| {
            // Without this a full disk would be left with an empty file; if it cannot be removed,
            // the next try or the next start replaces it.
            let _ = shared.storage.remove(&name);
            shared.append_error("creating a segment", &error)
        })?;
        let segment = Arc::new(Segment::new(header, file));
        let mut table = shared.write();
        table.last_segment = header.id;
        table.segments.insert(header.id, SegmentState::new(segment.clone(), capacity));
        drop(table);
        let mut unsynced = shared.unsynced();
        unsynced.segments.push(segment.clone());
        unsynced.folder = true;
        self.active = Some(Active { segment, end: DATA_START, capacity, pending: 0 });
        Ok(())
    }

    /// The sequence that the next event will get.
    pub fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    /// Writes and syncs everything and ends this life cleanly. `Log` handles go on reading; the
    /// folder is free. Appends are refused from now on; closing again does nothing.
    ///
    /// # Errors
    /// The end is unclean, as after a crash.
    pub fn close(&mut self) -> Result<(), AppendError> {
        if self.shared.closed.load(Ordering::Acquire) {
            return Ok(());
        }
        self.flush()?;
        self.shared.sync().map_err(|error| AppendError::Failed(error.0))?;
        let ended = self.shared.end(Some(self.next_sequence - 1));
        ended.map_err(|error| self.shared.append_error("closing the log", &error))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !self.shared.closed.load(Ordering::Acquire) {
            // Without a state to store this cannot fail.
            let _ = self.shared.end(None);
        }
    }
}
