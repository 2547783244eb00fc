//! Records: the smallest unit with a checksum of its own, so that a single one read from the middle
//! of a file proves itself. An event or a control record (a change to the topic table that is
//! atomic with the events around it).
//!
//! Layout: CRC32 (4), length including these 8 bytes (4), kind (1), fields. The CRC covers all that
//! follows it.

use crate::codec::{Reader, put_bytes, put_option, put_varint};
use crate::{
    Durability, End, Event, Fork, Idempotency, Policy, Producer, Retention, TopicId, limits,
};

/// Bytes before a record's kind.
pub(crate) const RECORD_HEADER: usize = 8;

const KIND_EVENT: u8 = 1;
const KIND_TOPIC_DEFINED: u8 = 2;
const KIND_POLICY_SET: u8 = 3;
const KIND_TRIMMED: u8 = 4;
const KIND_CLOSED: u8 = 5;
const KIND_DELETED: u8 = 6;
const KIND_SCHEDULED: u8 = 7;
const KIND_UNSCHEDULED: u8 = 8;
const KIND_LIFE_BEGAN: u8 = 9;

const HAS_TYPE: u16 = 1;
const HAS_PUBLISHER_ID: u16 = 1 << 1;
const HAS_KEY: u16 = 1 << 2;
const HAS_EXPIRY: u16 = 1 << 3;
const IS_PRIVATE: u16 = 1 << 4;
const HAS_PRODUCER: u16 = 1 << 5;
const HAS_IDEMPOTENCY: u16 = 1 << 6;
const END_SHIFT: u16 = 7;
const FLAGS_KNOWN: u16 = (1 << 9) - 1;

/// What the death of a life may have cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    None,
    Memory,
    Written,
}

/// A decoded record.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Record<'a> {
    Event(EventRecord<'a>),
    Control(Control<'a>),
}

/// An event as stored; `event.topics` is empty here, the topics are read with
/// [`EventRecord::topics`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct EventRecord<'a> {
    pub(crate) sequence: u64,
    pub(crate) event: Event<'a>,
    topic_count: u8,
    topic_bytes: &'a [u8],
}

impl<'a> EventRecord<'a> {
    /// (topic, ordinal of the event within it), the canonical topic first.
    pub(crate) fn topics(&self) -> impl Iterator<Item = (TopicId, u64)> + use<'a> {
        let mut reader = Reader::new(self.topic_bytes);
        (0..self.topic_count)
            .map_while(move |_| Some((TopicId(reader.varint_u32()?), reader.varint()?)))
    }
}

/// A change to the topic table or to the timers.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Control<'a> {
    TopicDefined {
        id: TopicId,
        name: &'a str,
        policy: Policy,
        fork: Option<Fork>,
        time_ms: u64,
        /// The next sequence when it was created: an older crash cannot have cost it anything.
        created_at: u64,
    },
    /// `floor` is what the old policy had removed by then, so that a laxer one brings nothing back.
    PolicySet {
        id: TopicId,
        policy: Policy,
        floor: u64,
    },
    Trimmed {
        id: TopicId,
        through: u64,
    },
    Closed {
        id: TopicId,
        end: End,
    },
    Deleted {
        id: TopicId,
    },
    Scheduled {
        id: u64,
        due_ms: u64,
        payload: &'a [u8],
    },
    Unscheduled {
        id: u64,
    },
    LifeBegan {
        start: u64,
        previous_newest: u64,
        loss: Loss,
        time_ms: u64,
    },
}

fn begin(out: &mut Vec<u8>, kind: u8) -> usize {
    let start = out.len();
    out.extend_from_slice(&[0; RECORD_HEADER]);
    out.push(kind);
    start
}

/// Fills in length and checksum; returns the checksum.
fn finish(out: &mut [u8], start: usize) -> u32 {
    let record = &mut out[start..];
    let length = u32::try_from(record.len()).expect("a batch is limited to far less than 4 GiB");
    record[4..8].copy_from_slice(&length.to_le_bytes());
    let crc = crc32fast::hash(&record[4..]);
    record[..4].copy_from_slice(&crc.to_le_bytes());
    crc
}

/// Appends an event record; returns its checksum. `ordinals` goes with `event.topics`.
pub(crate) fn encode_event(
    out: &mut Vec<u8>,
    sequence: u64,
    time_ms: u64,
    event: &Event<'_>,
    ordinals: &[u64],
) -> u32 {
    let start = begin(out, KIND_EVENT);
    let mut flags = 0_u16;
    flags |= if event.event_type.is_some() { HAS_TYPE } else { 0 };
    flags |= if event.publisher_id.is_some() { HAS_PUBLISHER_ID } else { 0 };
    flags |= if event.key.is_some() { HAS_KEY } else { 0 };
    flags |= if event.expires_ms.is_some() { HAS_EXPIRY } else { 0 };
    flags |= if event.private { IS_PRIVATE } else { 0 };
    flags |= if event.producer.is_some() { HAS_PRODUCER } else { 0 };
    flags |= if event.idempotency.is_some() { HAS_IDEMPOTENCY } else { 0 };
    flags |= u16::from(event.end.map_or(0, end_code)) << END_SHIFT;
    out.extend_from_slice(&flags.to_le_bytes());
    put_varint(out, sequence);
    put_varint(out, time_ms);
    out.push(event.topics.len() as u8);
    for (topic, ordinal) in event.topics.iter().zip(ordinals) {
        put_varint(out, u64::from(topic.0));
        put_varint(out, *ordinal);
    }
    for text in [event.event_type, event.publisher_id, event.key].into_iter().flatten() {
        put_bytes(out, text.as_bytes());
    }
    if let Some(expires) = event.expires_ms {
        put_varint(out, expires);
    }
    if let Some(producer) = event.producer {
        put_bytes(out, producer.id.as_bytes());
        put_varint(out, producer.epoch);
        put_varint(out, producer.sequence);
    }
    if let Some(idempotency) = event.idempotency {
        put_bytes(out, idempotency.key.as_bytes());
        out.extend_from_slice(&idempotency.fingerprint.to_le_bytes());
        put_varint(out, u64::from(idempotency.count));
    }
    out.extend_from_slice(event.data);
    finish(out, start)
}

/// Appends a control record; returns its checksum.
pub(crate) fn encode_control(out: &mut Vec<u8>, control: &Control<'_>) -> u32 {
    let start = begin(out, control_kind(control));
    match control {
        Control::TopicDefined { id, name, policy, fork, time_ms, created_at } => {
            put_varint(out, u64::from(id.0));
            put_varint(out, *time_ms);
            put_varint(out, *created_at);
            put_bytes(out, name.as_bytes());
            put_policy(out, policy);
            put_fork(out, *fork);
        }
        Control::PolicySet { id, policy, floor } => {
            put_varint(out, u64::from(id.0));
            put_varint(out, *floor);
            put_policy(out, policy);
        }
        Control::Trimmed { id, through } => {
            put_varint(out, u64::from(id.0));
            put_varint(out, *through);
        }
        Control::Closed { id, end } => {
            put_varint(out, u64::from(id.0));
            out.push(end_code(*end));
        }
        Control::Deleted { id } => put_varint(out, u64::from(id.0)),
        Control::Scheduled { id, due_ms, payload } => {
            put_varint(out, *id);
            put_varint(out, *due_ms);
            put_bytes(out, payload);
        }
        Control::Unscheduled { id } => put_varint(out, *id),
        Control::LifeBegan { start, previous_newest, loss, time_ms } => {
            put_varint(out, *start);
            put_varint(out, *previous_newest);
            put_varint(out, *time_ms);
            out.push(*loss as u8);
        }
    }
    finish(out, start)
}

fn control_kind(control: &Control<'_>) -> u8 {
    match control {
        Control::TopicDefined { .. } => KIND_TOPIC_DEFINED,
        Control::PolicySet { .. } => KIND_POLICY_SET,
        Control::Trimmed { .. } => KIND_TRIMMED,
        Control::Closed { .. } => KIND_CLOSED,
        Control::Deleted { .. } => KIND_DELETED,
        Control::Scheduled { .. } => KIND_SCHEDULED,
        Control::Unscheduled { .. } => KIND_UNSCHEDULED,
        Control::LifeBegan { .. } => KIND_LIFE_BEGAN,
    }
}

pub(crate) fn put_policy(out: &mut Vec<u8>, policy: &Policy) {
    out.push(policy.durability as u8);
    put_option(out, policy.retention.count);
    put_option(out, policy.retention.age_ms);
    put_option(out, policy.retention.bytes);
    out.push(u8::from(policy.conflate));
    put_bytes(out, &policy.extra);
}

pub(crate) fn put_fork(out: &mut Vec<u8>, fork: Option<Fork>) {
    match fork {
        None => out.push(0),
        Some(fork) => {
            out.push(1);
            put_varint(out, u64::from(fork.source.0));
            put_varint(out, fork.through);
        }
    }
}

pub(crate) fn end_code(end: End) -> u8 {
    match end {
        End::Done => 1,
        End::Error => 2,
        End::Cancelled => 3,
    }
}

/// 0 is no end.
pub(crate) fn end_from(code: u8) -> Option<Option<End>> {
    match code {
        0 => Some(None),
        1 => Some(Some(End::Done)),
        2 => Some(Some(End::Error)),
        3 => Some(Some(End::Cancelled)),
        _ => None,
    }
}

/// The length of the record at the front of `bytes`, if its checksum is right.
pub(crate) fn verify(bytes: &[u8]) -> Option<usize> {
    let mut reader = Reader::new(bytes);
    let crc = reader.u32()?;
    let length = usize::try_from(reader.u32()?).ok()?;
    if length <= RECORD_HEADER {
        return None;
    }
    let covered = bytes.get(4..length)?;
    (crc32fast::hash(covered) == crc).then_some(length)
}

/// Decodes a record that is exactly `bytes`, checksum included.
pub(crate) fn decode(bytes: &[u8]) -> Option<Record<'_>> {
    if verify(bytes)? != bytes.len() {
        return None;
    }
    decode_verified(bytes)
}

/// Decodes a record whose checksum has been compared already.
pub(crate) fn decode_verified(bytes: &[u8]) -> Option<Record<'_>> {
    let mut reader = Reader::new(bytes.get(RECORD_HEADER..)?);
    match reader.u8()? {
        KIND_EVENT => decode_event(reader).map(Record::Event),
        kind => {
            let control = decode_control(kind, &mut reader)?;
            reader.is_empty().then_some(Record::Control(control))
        }
    }
}

fn decode_event(mut reader: Reader<'_>) -> Option<EventRecord<'_>> {
    let flags = reader.u16()?;
    if flags & !FLAGS_KNOWN != 0 {
        return None;
    }
    let sequence = reader.varint()?;
    let time_ms = reader.varint()?;
    let topic_count = reader.u8()?;
    if topic_count == 0 || usize::from(topic_count) > limits::EVENT_TOPICS_MAX {
        return None;
    }
    let before = reader.rest();
    for _ in 0..topic_count {
        reader.varint_u32()?;
        reader.varint()?;
    }
    let topic_bytes = &before[..before.len() - reader.rest().len()];
    let has = |flag: u16| flags & flag != 0;
    let mut event = Event { time_ms, private: has(IS_PRIVATE), ..Event::default() };
    event.end = end_from(((flags >> END_SHIFT) & 3) as u8)?;
    if has(HAS_TYPE) {
        event.event_type = Some(reader.text()?);
    }
    if has(HAS_PUBLISHER_ID) {
        event.publisher_id = Some(reader.text()?);
    }
    if has(HAS_KEY) {
        event.key = Some(reader.text()?);
    }
    if has(HAS_EXPIRY) {
        event.expires_ms = Some(reader.varint()?);
    }
    if has(HAS_PRODUCER) {
        let id = reader.text()?;
        event.producer = Some(Producer { id, epoch: reader.varint()?, sequence: reader.varint()? });
    }
    if has(HAS_IDEMPOTENCY) {
        let key = reader.text()?;
        let fingerprint = reader.u64()?;
        event.idempotency = Some(Idempotency { key, fingerprint, count: reader.varint_u32()? });
    }
    event.data = reader.rest();
    Some(EventRecord { sequence, event, topic_count, topic_bytes })
}

fn decode_control<'a>(kind: u8, reader: &mut Reader<'a>) -> Option<Control<'a>> {
    Some(match kind {
        KIND_TOPIC_DEFINED => {
            let id = TopicId(reader.varint_u32()?);
            let time_ms = reader.varint()?;
            let created_at = reader.varint()?;
            let name = reader.text()?;
            let policy = take_policy(reader)?;
            let fork = take_fork(reader)?;
            Control::TopicDefined { id, name, policy, fork, time_ms, created_at }
        }
        KIND_POLICY_SET => {
            let id = TopicId(reader.varint_u32()?);
            let floor = reader.varint()?;
            Control::PolicySet { id, policy: take_policy(reader)?, floor }
        }
        KIND_TRIMMED => {
            Control::Trimmed { id: TopicId(reader.varint_u32()?), through: reader.varint()? }
        }
        KIND_CLOSED => {
            let id = TopicId(reader.varint_u32()?);
            Control::Closed { id, end: end_from(reader.u8()?)?? }
        }
        KIND_DELETED => Control::Deleted { id: TopicId(reader.varint_u32()?) },
        KIND_SCHEDULED => Control::Scheduled {
            id: reader.varint()?,
            due_ms: reader.varint()?,
            payload: reader.bytes()?,
        },
        KIND_UNSCHEDULED => Control::Unscheduled { id: reader.varint()? },
        KIND_LIFE_BEGAN => {
            let start = reader.varint()?;
            let previous_newest = reader.varint()?;
            let time_ms = reader.varint()?;
            let loss = match reader.u8()? {
                0 => Loss::None,
                1 => Loss::Memory,
                2 => Loss::Written,
                _ => return None,
            };
            Control::LifeBegan { start, previous_newest, loss, time_ms }
        }
        _ => return None,
    })
}

pub(crate) fn take_policy(reader: &mut Reader<'_>) -> Option<Policy> {
    let durability = match reader.u8()? {
        0 => Durability::Memory,
        1 => Durability::Written,
        2 => Durability::Synced,
        _ => return None,
    };
    let count = reader.option()?;
    let age_ms = reader.option()?;
    let bytes = reader.option()?;
    let conflate = match reader.u8()? {
        0 => false,
        1 => true,
        _ => return None,
    };
    let extra = reader.bytes()?.into();
    Some(Policy { durability, retention: Retention { count, age_ms, bytes }, conflate, extra })
}

pub(crate) fn take_fork(reader: &mut Reader<'_>) -> Option<Option<Fork>> {
    match reader.u8()? {
        0 => Some(None),
        1 => {
            let source = TopicId(reader.varint_u32()?);
            Some(Some(Fork { source, through: reader.varint()? }))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
