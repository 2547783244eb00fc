//! What a batch will change in the table, gathered while it is encoded (or decoded), in flat
//! reusable buffers: no allocation per event.

use crate::hash::Secret;
use crate::index::{Tag, TagKind};
use crate::{Event, TopicId};

/// One record of a batch.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Op {
    Event(EventMeta),
    /// A control record's place in the batch.
    Control {
        offset: u32,
        length: u32,
    },
}

/// What the index needs of an event.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EventMeta {
    pub(crate) sequence: u64,
    pub(crate) time_ms: u64,
    pub(crate) expires_ms: Option<u64>,
    /// Place in the batch.
    pub(crate) offset: u32,
    pub(crate) length: u32,
    topics: (u32, u32),
    tags: (u32, u32),
}

/// A batch's records, in order.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    pub(crate) ops: Vec<Op>,
    topics: Vec<(TopicId, u64)>,
    tags: Vec<Tag>,
}

impl Collected {
    pub(crate) fn clear(&mut self) {
        self.ops.clear();
        self.topics.clear();
        self.tags.clear();
    }

    pub(crate) fn topics_of(&self, meta: &EventMeta) -> &[(TopicId, u64)] {
        &self.topics[meta.topics.0 as usize..meta.topics.1 as usize]
    }

    pub(crate) fn tags_of(&self, meta: &EventMeta) -> &[Tag] {
        &self.tags[meta.tags.0 as usize..meta.tags.1 as usize]
    }

    /// Notes an event whose record is at `offset` of the batch. `event.topics` goes with
    /// `ordinals`.
    pub(crate) fn event(
        &mut self,
        secret: &Secret,
        sequence: u64,
        record: (u32, u32),
        event: &Event<'_>,
        ordinals: &[u64],
        conflates: impl Fn(TopicId) -> bool,
    ) {
        let (topics, tags) = (self.topics.len() as u32, self.tags.len() as u32);
        self.topics.extend(event.topics.iter().copied().zip(ordinals.iter().copied()));
        for topic in event.topics {
            if conflates(*topic) {
                let hash = event.key.map_or(0, |key| secret.hash(TagKind::Conflated, *topic, key));
                let keyed = u64::from(event.key.is_some());
                self.tag(TagKind::Conflated, *topic, hash, sequence, 0, keyed);
            }
            if let Some(id) = event.publisher_id {
                let hash = secret.hash(TagKind::PublisherId, *topic, id);
                self.tag(TagKind::PublisherId, *topic, hash, sequence, 0, 0);
            }
        }
        if let (Some(given), Some(topic)) = (event.idempotency, event.topics.first()) {
            let hash = secret.hash(TagKind::Idempotency, *topic, given.key);
            let count = u64::from(given.count);
            self.tag(TagKind::Idempotency, *topic, hash, sequence, given.fingerprint, count);
        }
        if let (Some(producer), Some(topic)) = (event.producer, event.topics.first()) {
            let hash = secret.hash(TagKind::Producer, *topic, producer.id);
            self.tag(TagKind::Producer, *topic, hash, sequence, producer.epoch, producer.sequence);
        }
        self.ops.push(Op::Event(EventMeta {
            sequence,
            time_ms: event.time_ms,
            expires_ms: event.expires_ms,
            offset: record.0,
            length: record.1,
            topics: (topics, self.topics.len() as u32),
            tags: (tags, self.tags.len() as u32),
        }));
    }

    fn tag(&mut self, kind: TagKind, topic: TopicId, hash: u128, sequence: u64, a: u64, b: u64) {
        self.tags.push(Tag { kind, topic, hash, sequence, a, b });
    }

    /// The sequence of the topic's newest event here with an ordinal below this.
    pub(crate) fn newest_below(&self, topic: TopicId, ordinal: u64) -> Option<u64> {
        let matches = |meta: &&EventMeta| {
            self.topics_of(meta).iter().any(|(id, own)| *id == topic && *own < ordinal)
        };
        let events = self.ops.iter().rev().filter_map(|op| match op {
            Op::Event(meta) => Some(meta),
            Op::Control { .. } => None,
        });
        events.into_iter().find(matches).map(|meta| meta.sequence)
    }

    /// Notes a control record.
    pub(crate) fn control(&mut self, offset: u32, length: u32) {
        self.ops.push(Op::Control { offset, length });
    }
}
