//! Putting a request that was checked into the batch, and encoding its frames for those who follow.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tidings_frame::Position;
use tidings_frame::limits::EVENT_TOPICS_MAX;
use tidings_log as log;
use tidings_log::TopicId;

use super::round::{Staged, StagedWhat};
use super::{Accepted, NewEvent, Outcome, Publish, Published, Round, end_to_log, topics_of};
use crate::error::{PublishError, StoreError};
use crate::fanout::frame::{FRAMINGS, Framed};
use crate::fanout::tail::FrameInfo;
use crate::hub::Topic;
use crate::policy::Durability;
use crate::schedule;

impl Round<'_> {
    /// `Err` carries the outcome of a request that puts nothing into the batch.
    pub(super) fn stage(&mut self, at: usize, request: &Publish<'_>) -> Result<(), Outcome> {
        for name in request.events.iter().flat_map(topics_of) {
            self.state.learn(self.hub, name);
        }
        self.check(request).map_err(Err)?;
        if let Some(at_ms) = request.at_ms.filter(|&at_ms| at_ms > self.now_ms) {
            return self.stage_schedule(at, request, at_ms);
        }
        let fingerprint = request.idempotency_key.map(|_| self.hub.fingerprint(request.events));
        self.check_repeat(request, fingerprint)?;
        self.check_conditions(request)?;
        let first = self.state.writer.next_sequence() + self.events;
        let mut durability = Durability::Memory;
        for (place, event) in request.events.iter().enumerate() {
            let idempotency = match (place, request.idempotency_key, fingerprint) {
                (0, Some(key), Some(fingerprint)) => Some(log::Idempotency {
                    key,
                    fingerprint,
                    count: u32::try_from(request.events.len()).unwrap_or(u32::MAX),
                }),
                _ => None,
            };
            let of_event =
                self.stage_event(event, idempotency).map_err(|error| Err(self.abandon(error)))?;
            durability = durability.max(of_event);
        }
        self.durability = self.durability.max(durability);
        let count = u32::try_from(request.events.len()).unwrap_or(u32::MAX);
        self.staged.push(Staged { at, what: StagedWhat::Events { first, count }, durability });
        Ok(())
    }

    fn stage_event(
        &mut self,
        event: &NewEvent<'_>,
        idempotency: Option<log::Idempotency<'_>>,
    ) -> Result<Durability, StoreError> {
        let mut topics = [TopicId(0); EVENT_TOPICS_MAX];
        let mut count = 0;
        let mut durability = Durability::Memory;
        let (mut private, mut binary) = (event.private, false);
        for name in topics_of(event) {
            let topic = self.topic(name)?;
            durability = durability.max(topic.policy.durability);
            private |= topic.policy.private;
            binary |= count == 0 && topic.binary;
            if !topics[..count].contains(&topic.id) {
                topics[count] = topic.id;
                count += 1;
            }
        }
        let topics = &topics[..count];
        let sequence = self.state.writer.next_sequence() + self.events;
        let expires_ms = event.ttl_ms.map(|ttl| self.now_ms.saturating_add(ttl));
        let state = &mut *self.state;
        let stored = log::Event {
            topics,
            time_ms: self.now_ms,
            event_type: event.event_type.as_deref(),
            publisher_id: event.publisher_id.as_deref(),
            key: event.key.as_deref(),
            expires_ms,
            private,
            end: event.end.map(end_to_log),
            producer: event.producer.map(|producer| log::Producer {
                id: producer.id,
                epoch: producer.epoch,
                sequence: producer.sequence,
            }),
            idempotency,
            data: &event.data,
        };
        let pushed = state.writer.push(&mut state.batch, &stored);
        pushed.map_err(|error| StoreError::Failed(error.to_string()))?;
        if let Some(end) = event.end {
            for &topic in topics {
                let closed = state.writer.close_topic(&mut state.batch, topic, end_to_log(end));
                closed.map_err(|error| StoreError::Failed(error.to_string()))?;
            }
            self.ended.extend(topics_of(event).map(|name| (Arc::from(&**name), end)));
        }
        self.events += 1;
        self.bytes += event.data.len() + 64;
        self.data_bytes += event.data.len() as u64;
        self.touched.extend_from_slice(topics);
        let key = event.key.as_deref().map_or(0, |key| self.hub.key_hash(topics[0], key));
        let info = FrameInfo {
            sequence,
            time_ms: self.now_ms,
            key,
            expires_ms: expires_ms.unwrap_or(u64::MAX),
            private,
            end: event.end,
        };
        self.encode(event, info, binary);
        Ok(durability)
    }

    /// Encodes the frames of those topics and framings that somebody follows.
    fn encode(&mut self, event: &NewEvent<'_>, info: FrameInfo, binary: bool) {
        let sequence = info.sequence;
        let framed = Framed {
            id: Position { epoch: self.hub.epoch(), sequence },
            topic: &event.topic,
            alternates: &event.alternates,
            time_ms: self.now_ms,
            event_type: event.event_type.as_deref(),
            key: event.key.as_deref(),
            publisher_id: event.publisher_id.as_deref(),
            end: event.end,
            binary,
            data: &event.data,
        };
        let counters = self.hub.counters();
        let mut ranges = [const { None }; FRAMINGS.len()];
        for (place, name) in topics_of(event).enumerate() {
            if topics_of(event).take(place).any(|earlier| earlier == name) {
                continue;
            }
            let Some(live) = self.state.live_of(self.hub, name, sequence - 1) else { continue };
            let wanted = live.framings();
            for framing in FRAMINGS.into_iter().filter(|framing| wanted[framing.index()]) {
                let range = ranges[framing.index()].get_or_insert_with(|| {
                    self.frames.encode(|out| framed.encode(framing, counters, out))
                });
                self.frames.push(live.clone(), framing, info, range.clone());
            }
        }
    }

    /// The topic of this name; made in this batch if there is none.
    fn topic(&mut self, name: &str) -> Result<&Topic, StoreError> {
        let state = &mut *self.state;
        if state.topics.contains_key(name) {
            return Ok(&state.topics[name]);
        }
        let policy = self.hub.rules.of(name).clone();
        let owner = self.hub.owner_of(name, self.owner.as_deref());
        let new = log::NewTopic {
            name,
            policy: crate::policy::to_log(&policy, false, owner),
            forked_from: None,
            time_ms: self.now_ms,
        };
        let id = state
            .writer
            .create_topic(&mut state.batch, &new)
            .map_err(|error| StoreError::Failed(error.to_string()))?;
        let name: Arc<str> = name.into();
        self.highest_made = self.highest_made.max(Some(id));
        self.made.push(name.clone());
        state.remember(name.clone(), id, policy, None);
        Ok(&state.topics[&name])
    }

    fn stage_schedule(
        &mut self,
        at: usize,
        request: &Publish<'_>,
        at_ms: u64,
    ) -> Result<(), Outcome> {
        // Here too, so that nothing slips in behind what takes back what is there.
        if !self.hub.may_still(request.maker) {
            return Err(Err(PublishError::Revoked));
        }
        let mut kept = None;
        if let Some(key) = request.idempotency_key {
            let fingerprint = self.hub.fingerprint(request.events);
            self.check_repeat(request, Some(fingerprint))?;
            kept = self.state.schedules.find(&request.events[0].topic, key).cloned();
        }
        let is_new = |name: &&Cow<'_, str>| !self.state.topics.contains_key(&***name);
        let mut new = request.events.iter().flat_map(topics_of).filter(is_new);
        let owner = new.find_map(|name| self.hub.owner_of(name, None));
        let payload = schedule::to_payload(request, owner);
        let (payload, at_ms) = match &kept {
            None => (payload, at_ms),
            Some(same) => match schedule::join(same, &payload).map_err(Err)? {
                Some(joined) => (joined, same.at_ms),
                None => {
                    let result = Published::Scheduled { id: same.id, at_ms: same.at_ms };
                    return Err(Ok(Accepted { result, wait: self.state.pending_batch() }));
                }
            },
        };
        let limit = self.hub.scheduled_bytes_max;
        let held = self.state.schedules.bytes() + payload.len();
        if kept.is_none() && held > limit {
            self.hub.counters.schedules_refused.fetch_add(1, Ordering::Relaxed);
            return Err(Err(PublishError::NoMoreSchedules { limit }));
        }
        let (state, known) = (&mut *self.state, kept.as_ref().map(|same| same.id));
        let id = match known {
            None => state.writer.schedule(&mut state.batch, at_ms, &payload),
            Some(id) => state.writer.reschedule(&mut state.batch, id, at_ms, &payload).map(|()| id),
        }
        .map_err(|error| {
            Err(match error {
                log::ScheduleError::TooMany => PublishError::NoMoreSchedules { limit },
                log::ScheduleError::TooLong(bytes) => {
                    PublishError::TooLarge { bytes, limit: log::limits::SCHEDULE_BYTES_MAX }
                }
                log::ScheduleError::BatchFull => StoreError::Failed(error.to_string()).into(),
            })
        })?;
        self.bytes += payload.len();
        let durability = request
            .events
            .iter()
            .map(|event| self.hub.policy_of(&self.state, &event.topic).durability)
            .max()
            .unwrap_or_default()
            // A reminder that a crash forgets is none.
            .max(Durability::Written);
        self.durability = self.durability.max(durability);
        self.state.schedules.add(id, at_ms, payload);
        let what = StagedWhat::Schedule { id, at_ms, before: kept };
        self.staged.push(Staged { at, what, durability });
        Ok(())
    }
}
