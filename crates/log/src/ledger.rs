//! What makes a publish repeatable: idempotency keys, publishers' ids and producers, found by hash.
//! All of it is bounded; the oldest is forgotten first.
//!
//! Cost in memory: about 100 bytes per idempotency key and 70 per publisher's id or producer.

use std::collections::VecDeque;

use crate::hash::NumberMap;
use crate::index::{Tag, TagKind};
use crate::{Repeated, TopicId, limits};

/// A remembered request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) topic: TopicId,
    pub(crate) repeated: Repeated,
    pub(crate) time_ms: u64,
}

/// Requests and publishers' ids of all topics. Producers live with their topic ([`Producers`]).
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    requests: NumberMap<u128, Request>,
    /// (first sequence, hash), oldest first; may name what was replaced since.
    request_order: VecDeque<(u64, u128)>,
    publisher_ids: NumberMap<u128, u64>,
    publisher_order: VecDeque<(u64, u128)>,
}

impl Ledger {
    /// Remembers a request, unless a newer one has the key.
    pub(crate) fn remember(&mut self, hash: u128, request: Request) {
        let first = request.repeated.first;
        if self.requests.get(&hash).is_some_and(|known| known.repeated.first >= first) {
            return;
        }
        self.requests.insert(hash, request);
        self.request_order.push_back((first, hash));
        if self.requests.len() > limits::IDEMPOTENCY_KEYS_MAX {
            self.forget_oldest_request();
        }
    }

    fn forget_oldest_request(&mut self) -> bool {
        let Some((first, hash)) = self.request_order.pop_front() else {
            return false;
        };
        if self.requests.get(&hash).is_some_and(|request| request.repeated.first == first) {
            self.requests.remove(&hash);
        }
        true
    }

    /// Forgets the requests that are out of the window.
    pub(crate) fn expire(&mut self, now_ms: u64) {
        while let Some((first, hash)) = self.request_order.front() {
            let request = self.requests.get(hash).filter(|found| found.repeated.first == *first);
            if request.is_some_and(|found| in_window(found, now_ms)) {
                return;
            }
            self.forget_oldest_request();
        }
    }

    pub(crate) fn request(&self, hash: u128, now_ms: u64) -> Option<Repeated> {
        let found = self.requests.get(&hash)?;
        in_window(found, now_ms).then_some(found.repeated)
    }

    /// All requests in the window, oldest first.
    pub(crate) fn requests(&self, now_ms: u64) -> Vec<(u128, Request)> {
        let current = |(first, hash): &(u64, u128)| {
            let found = self.requests.get(hash).filter(|found| found.repeated.first == *first)?;
            in_window(found, now_ms).then_some((*hash, *found))
        };
        self.request_order.iter().filter_map(current).collect()
    }

    /// Remembers where an id of a publisher is.
    pub(crate) fn locate(&mut self, hash: u128, sequence: u64) {
        if self.publisher_ids.get(&hash).is_some_and(|known| *known >= sequence) {
            return;
        }
        self.publisher_ids.insert(hash, sequence);
        self.publisher_order.push_back((sequence, hash));
        if self.publisher_ids.len() > limits::PUBLISHER_IDS_MAX {
            self.forget_oldest_id();
        }
    }

    fn forget_oldest_id(&mut self) {
        let Some((sequence, hash)) = self.publisher_order.pop_front() else {
            return;
        };
        if self.publisher_ids.get(&hash) == Some(&sequence) {
            self.publisher_ids.remove(&hash);
        }
    }

    /// Forgets the ids of events before this sequence: they are no longer in the log.
    pub(crate) fn forget_ids_before(&mut self, sequence: u64) {
        while self.publisher_order.front().is_some_and(|(first, _)| *first < sequence) {
            self.forget_oldest_id();
        }
    }

    pub(crate) fn publisher_id(&self, hash: u128) -> Option<u64> {
        self.publisher_ids.get(&hash).copied()
    }

    /// Takes in what is not a topic's own; `time_ms` is the time of the tag's event.
    pub(crate) fn apply(&mut self, tag: &Tag, time_ms: u64) {
        match tag.kind {
            TagKind::Idempotency => {
                let repeated =
                    Repeated { first: tag.sequence, count: tag.b as u32, fingerprint: tag.a };
                let request = Request { topic: tag.topic, repeated, time_ms };
                self.remember(tag.hash, request);
            }
            TagKind::PublisherId => self.locate(tag.hash, tag.sequence),
            TagKind::Conflated | TagKind::Producer => {}
        }
    }
}

fn in_window(request: &Request, now_ms: u64) -> bool {
    request.time_ms.saturating_add(limits::IDEMPOTENCY_WINDOW_MS) > now_ms
}

/// A producer's newest event in a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Produced {
    /// The producer's epoch.
    pub epoch: u64,
    /// Its own number for the event.
    pub sequence: u64,
    /// The event's sequence in the log.
    pub at: u64,
}

/// The producers of one topic.
#[derive(Debug, Default)]
pub(crate) struct Producers(NumberMap<u128, Produced>);

impl Producers {
    pub(crate) fn apply(&mut self, hash: u128, produced: Produced) {
        let known = self.0.get(&hash);
        if known.is_some_and(|known| known.at >= produced.at) {
            return;
        }
        if known.is_none() && self.0.len() >= limits::PRODUCERS_PER_TOPIC_MAX {
            let idle = self.0.iter().min_by_key(|(_, known)| known.at).map(|(hash, _)| *hash);
            idle.and_then(|hash| self.0.remove(&hash));
        }
        self.0.insert(hash, produced);
    }

    pub(crate) fn get(&self, hash: u128) -> Option<&Produced> {
        self.0.get(&hash)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&u128, &Produced)> {
        self.0.iter()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(first: u64, time_ms: u64) -> Request {
        let repeated = Repeated { first, count: 1, fingerprint: 5 };
        Request { topic: TopicId(1), repeated, time_ms }
    }

    #[test]
    fn a_request_is_forgotten_after_its_window() {
        let mut ledger = Ledger::default();
        ledger.remember(1, request(10, 1000));
        ledger.remember(2, request(11, 2000));
        let end = 1000 + limits::IDEMPOTENCY_WINDOW_MS;
        assert!(ledger.request(1, end - 1).is_some());
        assert!(ledger.request(1, end).is_none());
        ledger.expire(end);
        assert_eq!(ledger.requests(end).len(), 1);
        assert!(ledger.requests.len() == 1 && ledger.request(2, end).is_some());
    }

    #[test]
    fn an_older_event_does_not_replace_a_newer_one() {
        let mut ledger = Ledger::default();
        ledger.locate(7, 20);
        ledger.locate(7, 10);
        assert_eq!(ledger.publisher_id(7), Some(20));
        ledger.forget_ids_before(20);
        assert_eq!(ledger.publisher_id(7), Some(20));
        ledger.forget_ids_before(21);
        assert_eq!(ledger.publisher_id(7), None);
        let mut producers = Producers::default();
        producers.apply(1, Produced { epoch: 2, sequence: 9, at: 50 });
        producers.apply(1, Produced { epoch: 1, sequence: 3, at: 40 });
        assert_eq!(producers.get(1).map(|found| found.epoch), Some(2));
    }

    #[test]
    fn the_idlest_producer_makes_room() {
        let mut producers = Producers::default();
        for at in 0..=limits::PRODUCERS_PER_TOPIC_MAX as u64 {
            producers.apply(u128::from(at) + 1, Produced { epoch: 0, sequence: 0, at });
        }
        assert_eq!(producers.len(), limits::PRODUCERS_PER_TOPIC_MAX);
        assert!(producers.get(1).is_none() && producers.get(2).is_some());
    }
}
