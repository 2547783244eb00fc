//! A log as simple as it can be: vectors, no files, no index. The real one must agree with it.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::collections::BTreeMap;

use tidings_log::{
    Batch, Durability, Event, Log, NewTopic, Policy, ReadLimit, Reason, Retention, StoredEvent,
    TopicId, Writer,
};

pub(crate) const ALL: ReadLimit = ReadLimit { events: usize::MAX, bytes: usize::MAX };

/// One change; topics are named by the order in which they are created, keys by a digit.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Op {
    Create { name: u8, policy: Shape },
    Event { topics: Vec<u8>, key: Option<u8>, size: u16, expires_in: Option<u16>, id: bool },
    Trim { topic: u8, back: u8 },
    SetPolicy { topic: u8, policy: Shape },
    Delete { topic: u8 },
    Schedule,
    Unschedule { back: u8 },
}

/// A policy, small.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Shape {
    pub(crate) count: Option<u8>,
    pub(crate) age: Option<u16>,
    pub(crate) conflate: bool,
    pub(crate) durability: Durability,
}

impl Shape {
    fn policy(self, conflate: bool) -> Policy {
        let retention = Retention {
            count: self.count.map(u64::from),
            // How age and conflation combine is left open.
            age_ms: self.age.filter(|_| !conflate).map(u64::from),
            bytes: None,
        };
        Policy { durability: self.durability, retention, conflate, extra: Box::default() }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Kept,
    Superseded,
    Removed,
}

#[derive(Clone, Debug)]
struct ModelEvent {
    sequence: u64,
    time: u64,
    key: Option<u8>,
    expires: Option<u64>,
    fate: Fate,
}

#[derive(Clone, Debug)]
pub(crate) struct ModelTopic {
    pub(crate) id: TopicId,
    name: String,
    policy: Policy,
    events: Vec<ModelEvent>,
}

/// The simple log.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    pub(crate) topics: BTreeMap<u8, ModelTopic>,
    pub(crate) next: u64,
    pub(crate) now: u64,
    /// Names of deleted topics, with the newest event that they had.
    deleted: BTreeMap<String, u64>,
    schedules: Vec<u64>,
    publisher_ids: BTreeMap<(u32, String), Vec<u64>>,
    data: BTreeMap<u64, Vec<u8>>,
}

fn data_of(sequence: u64, size: u16) -> Vec<u8> {
    (0..size).map(|index| (sequence as u8).wrapping_mul(31).wrapping_add(index as u8)).collect()
}

impl ModelTopic {
    fn age(&mut self, now: u64) {
        if let Some(age) = self.policy.retention.age_ms {
            let cutoff = now.saturating_sub(age);
            for event in self.events.iter_mut().filter(|event| event.time < cutoff) {
                event.fate = Fate::Removed;
            }
        }
    }

    fn count(&mut self) {
        let Some(count) = self.policy.retention.count else {
            return;
        };
        if self.policy.conflate {
            let live = self.events.iter().filter(|event| event.fate == Fate::Kept).count();
            let excess = live.saturating_sub(count as usize);
            let kept = self.events.iter_mut().filter(|event| event.fate == Fate::Kept);
            kept.take(excess).for_each(|event| event.fate = Fate::Removed);
        } else {
            let excess = self.events.len().saturating_sub(count as usize);
            self.events.iter_mut().take(excess).for_each(|event| event.fate = Fate::Removed);
        }
    }

    fn visible(&self, now: u64) -> impl Iterator<Item = &ModelEvent> {
        self.events.iter().filter(move |event| {
            event.fate == Fate::Kept && event.expires.is_none_or(|expires| expires > now)
        })
    }
}

impl Model {
    pub(crate) fn new(next: u64) -> Model {
        Model { next, now: 1, ..Model::default() }
    }

    /// Time goes on.
    pub(crate) fn pass(&mut self, ms: u64) {
        self.now += ms;
        let now = self.now;
        self.topics.values_mut().for_each(|topic| topic.age(now));
    }

    fn pick(&self, topic: u8) -> Option<u8> {
        let keys: Vec<u8> = self.topics.keys().copied().collect();
        (!keys.is_empty()).then(|| keys[usize::from(topic) % keys.len()])
    }

    /// Applies the change to both; false if it was refused or does not apply.
    pub(crate) fn apply(&mut self, op: &Op, writer: &mut Writer, batch: &mut Batch) -> bool {
        match op {
            Op::Create { name, policy } => return self.create(*name, *policy, writer, batch),
            Op::Event { .. } => return self.event(op, writer, batch),
            Op::Trim { topic, back } => {
                let Some(key) = self.pick(*topic) else {
                    return false;
                };
                let through = self.next.saturating_sub(1 + u64::from(*back));
                let topic = self.topics.get_mut(&key).unwrap();
                writer.trim(batch, topic.id, through).unwrap();
                for event in topic.events.iter_mut().filter(|event| event.sequence <= through) {
                    if event.fate == Fate::Kept || !topic.policy.conflate {
                        event.fate = Fate::Removed;
                    }
                }
            }
            Op::SetPolicy { topic, policy } => {
                let Some(key) = self.pick(*topic) else {
                    return false;
                };
                let topic = self.topics.get_mut(&key).unwrap();
                let policy = policy.policy(topic.policy.conflate);
                writer.set_policy(batch, topic.id, &policy).unwrap();
                topic.policy = policy;
                topic.count();
                topic.age(self.now);
            }
            Op::Delete { topic } => {
                let Some(key) = self.pick(*topic) else {
                    return false;
                };
                let topic = self.topics.remove(&key).unwrap();
                writer.delete_topic(batch, topic.id).unwrap();
                if let Some(newest) = topic.events.last() {
                    self.deleted.insert(topic.name, newest.sequence);
                }
            }
            Op::Schedule => {
                let id = writer.schedule(batch, self.now + 5, b"payload").unwrap();
                self.schedules.push(id);
            }
            Op::Unschedule { back } => {
                if self.schedules.is_empty() {
                    return false;
                }
                let index = usize::from(*back) % self.schedules.len();
                writer.unschedule(batch, self.schedules.remove(index)).unwrap();
            }
        }
        true
    }

    fn create(&mut self, name: u8, policy: Shape, writer: &mut Writer, batch: &mut Batch) -> bool {
        let text = format!("topic/{name}");
        let policy = policy.policy(policy.conflate);
        let new =
            NewTopic { name: &text, policy: policy.clone(), forked_from: None, time_ms: self.now };
        let created = writer.create_topic(batch, &new);
        assert_eq!(created.is_ok(), !self.topics.contains_key(&name), "{created:?}");
        let Ok(id) = created else { return false };
        let topic = ModelTopic { id, name: text, policy, events: Vec::new() };
        self.topics.insert(name, topic);
        true
    }

    fn event(&mut self, op: &Op, writer: &mut Writer, batch: &mut Batch) -> bool {
        let Op::Event { topics, key, size, expires_in, id } = op else {
            return false;
        };
        let mut chosen: Vec<u8> = topics.iter().filter_map(|topic| self.pick(*topic)).collect();
        chosen.sort_unstable();
        chosen.dedup();
        if chosen.is_empty() {
            return false;
        }
        let ids: Vec<TopicId> = chosen.iter().map(|key| self.topics[key].id).collect();
        let sequence = self.next;
        let data = data_of(sequence, *size);
        let text = key.map(|key| format!("key{}", key % 4));
        let publisher = id.then(|| format!("id{}", sequence % 7));
        // Whether an expired record still takes a place in a conflating topic is left open.
        let conflates = chosen.iter().any(|name| self.topics[name].policy.conflate);
        let expires = expires_in.filter(|_| !conflates).map(|ms| self.now + u64::from(ms));
        let event = Event {
            topics: &ids,
            time_ms: self.now,
            publisher_id: publisher.as_deref(),
            key: text.as_deref(),
            expires_ms: expires,
            data: &data,
            ..Event::default()
        };
        writer.push(batch, &event).unwrap();
        self.next += 1;
        self.data.insert(sequence, data);
        for name in chosen {
            let topic = self.topics.get_mut(&name).unwrap();
            let key = key.map(|key| key % 4);
            if topic.policy.conflate && key.is_some() {
                let same = |event: &&mut ModelEvent| event.key == key && event.fate == Fate::Kept;
                topic.events.iter_mut().filter(same).for_each(|old| old.fate = Fate::Superseded);
            }
            let time = self.now;
            topic.events.push(ModelEvent { sequence, time, key, expires, fate: Fate::Kept });
            topic.count();
            if let Some(publisher) = &publisher {
                let used = (topic.id.0, publisher.clone());
                self.publisher_ids.entry(used).or_default().push(sequence);
            }
        }
        true
    }

    /// What a read of these topics gives.
    fn read(&self, topics: &[u8], after: u64) -> Vec<u64> {
        let mut found: Vec<u64> = topics
            .iter()
            .flat_map(|name| self.topics[name].visible(self.now))
            .map(|event| event.sequence)
            .filter(|sequence| *sequence > after)
            .collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    /// The newest removed event above `after`, counting or not counting expired ones; 0 if none.
    fn missing(&self, topic: u8, after: u64, without_expired: bool) -> u64 {
        let expired = |event: &ModelEvent| event.expires.is_some_and(|expires| expires <= self.now);
        let removed = self.topics[&topic].events.iter().rev();
        let mut removed = removed
            .filter(|event| event.fate == Fate::Removed && !(without_expired && expired(event)));
        removed.next().map(|event| event.sequence).filter(|found| *found > after).unwrap_or(0)
    }

    /// Compares everything that can be asked.
    pub(crate) fn check(&self, log: &Log) {
        self.compare(log, None);
    }

    /// The same for a log that has one more topic and in which a crash may be reported.
    pub(crate) fn check_with_marks(&self, log: &Log, marks: TopicId) {
        self.compare(log, Some(marks));
    }

    fn compare(&self, log: &Log, marks: Option<TopicId>) {
        let crashes = marks.is_some();
        let names: Vec<u8> = self.topics.keys().copied().collect();
        let ids: Vec<TopicId> = names.iter().map(|name| self.topics[name].id).collect();
        let mut sorted: Vec<TopicId> = ids.iter().copied().chain(marks).collect();
        sorted.sort_unstable();
        assert_eq!(log.topic_ids(), sorted);
        for (name, topic) in &self.topics {
            let all = self.read(&[*name], 0);
            assert_eq!(self.read_real(log, &[topic.id], 0), all, "topic {name} {topic:?}");
            assert_eq!(log.topic(&topic.name), Some(topic.id));
            let info = log.describe(topic.id).unwrap();
            assert_eq!((&*info.name, &info.policy), (&*topic.name, &topic.policy));
            // An expired event counts until its segment is rewritten.
            let kept = topic.events.iter().filter(|event| event.fate == Fate::Kept);
            let visible = all.len() as u64..=kept.clone().count() as u64;
            assert!(visible.contains(&info.count), "{topic:?} {info:?}");
            let oldest = info.oldest.unwrap_or(u64::MAX);
            let first = kept.map(|event| event.sequence).next().unwrap_or(u64::MAX);
            assert!((first..=all.first().copied().unwrap_or(u64::MAX)).contains(&oldest));
            let newest = topic.events.last().map_or(0, |event| event.sequence);
            assert_eq!(info.newest, newest, "{topic:?} {info:?}");
            for after in [0, newest / 2, newest.saturating_sub(2), newest] {
                let real = log.missing(topic.id, after, self.now);
                if !crashes {
                    assert!(real.is_none_or(|found| found.reason == Reason::Retention));
                    let through = real.map_or(0, |found| found.through);
                    // An expired event is not missed if it is gone before retention comes to it.
                    let expected =
                        self.missing(*name, after, true)..=self.missing(*name, after, false);
                    assert!(expected.contains(&through), "{after} {through} {topic:?}");
                }
                let last = self.read(&[*name], after);
                assert_eq!(self.read_real(log, &[topic.id], after), last);
            }
            for n in [1, 3] {
                self.check_last(log, &[*name], n);
            }
            self.check_times(log, *name);
        }
        assert_eq!(self.read_real(log, &ids, 0), self.read(&names, 0));
        self.check_last(log, &names, 5);
        let mut deleted = BTreeMap::new();
        let visit = &mut |name: &std::sync::Arc<str>, newest| {
            assert_eq!(log.deleted(name), newest);
            deleted.insert(name.to_string(), newest);
        };
        assert_eq!((log.deleted_after(0, visit), &deleted), (0, &self.deleted));
        let pending: Vec<u64> = log.schedules().iter().map(|schedule| schedule.id).collect();
        assert_eq!(pending, self.schedules);
        for ((topic, id), sequences) in &self.publisher_ids {
            let real = log.publisher_id(TopicId(*topic), id);
            let found = self.topics.values().find(|found| found.id.0 == *topic);
            let kept = |sequence: u64| {
                let events = found.iter().flat_map(|topic| &topic.events);
                let mut kept = events.filter(|event: &&ModelEvent| event.fate == Fate::Kept);
                kept.any(|event| event.sequence == sequence)
            };
            match real {
                // An id may have been used again; when the newest of its events is gone, an older
                // one may be found.
                Some(sequence) => assert!(sequences.contains(&sequence) && kept(sequence)),
                None => {
                    let newest = sequences.last().copied().unwrap_or(0);
                    // An expired event may be gone from the disk before its topic lets go of it.
                    let names = self.topics_with(newest);
                    let readable = self.read(&names, 0).contains(&newest);
                    assert!(!(kept(newest) && readable), "{topic} {id} {newest}");
                }
            }
        }
    }

    fn topics_with(&self, sequence: u64) -> Vec<u8> {
        let has = |topic: &ModelTopic| topic.events.iter().any(|event| event.sequence == sequence);
        self.topics.iter().filter(|(_, topic)| has(topic)).map(|(name, _)| *name).collect()
    }

    fn check_last(&self, log: &Log, names: &[u8], n: usize) {
        let ids: Vec<TopicId> = names.iter().map(|name| self.topics[name].id).collect();
        let all = self.read(names, 0);
        let position = log.before_last(&ids, n as u64, u64::MAX, self.now);
        let expected = &all[all.len().saturating_sub(n)..];
        assert_eq!(self.read(names, position), expected, "last {n} of {names:?}");
    }

    fn check_times(&self, log: &Log, name: u8) {
        let topic = &self.topics[&name];
        let times: Vec<u64> = topic.events.iter().map(|event| event.time).collect();
        for time in [times.first(), times.get(times.len() / 2), times.last()].into_iter().flatten()
        {
            let position = log.before_time(*time);
            let visible = topic.visible(self.now).filter(|event| event.time >= *time);
            let expected: Vec<u64> = visible.map(|event| event.sequence).collect();
            assert_eq!(self.read(&[name], position), expected, "since {time}");
        }
    }

    /// Reads for real, in small steps, comparing the data on the way.
    fn read_real(&self, log: &Log, ids: &[TopicId], after: u64) -> Vec<u64> {
        let mut found = Vec::new();
        let mut position = after;
        loop {
            let limit = ReadLimit { events: 13, bytes: 5000 };
            let mut visit = |event: StoredEvent<'_>| {
                assert_eq!(event.data, &self.data[&event.sequence], "{}", event.sequence);
                found.push(event.sequence);
            };
            let progress = log.read(ids, position, u64::MAX, limit, self.now, &mut visit).unwrap();
            position = progress.after;
            if !progress.more {
                return found;
            }
        }
    }
}
