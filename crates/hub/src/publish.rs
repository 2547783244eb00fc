//! From a publisher's request into the log and, once it is durable, in front of the subscribers.
//!
//! **Durable, then acknowledged, then visible**, in that order, in [`Round::flush`]: the batch is
//! appended, the outcomes are set, the frames are released. A round collects the requests that are
//! at hand and appends them together, so that one write serves many; it never waits for company.
//! Requests in one round that depend on each other (the same topic, and one of them has a
//! condition) are appended one after the other.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::MutexGuard;
use tidings_frame::limits::{
    BATCH_EVENTS_MAX, EVENT_TOPICS_MAX, PRODUCER_ID_BYTES_MAX, SCHEDULE_AHEAD_MAX,
};
use tidings_frame::{
    End, NameError, Position, TopicName, check_event_type, check_idempotency_key, check_key,
    check_publisher_id,
};
use tidings_log as log;
use tidings_log::TopicId;

use crate::error::{PublishError, StoreError};
use crate::fanout::frame::{FRAMINGS, Framed};
use crate::fanout::tail::FrameInfo;
use crate::hub::{Hub, State, Topic};
use crate::policy::{Durability, EndBy};
use crate::release::{Frames, Release};
use crate::schedule;

/// Bytes of encoded events from which on a round is appended before more is taken.
const ROUND_BYTES_MAX: usize = 1 << 20;

/// Which newest event a publisher expects its topic to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// None at all.
    Nothing,
    /// The one with this sequence.
    Newest(u64),
}

/// Who publishes in which order, so that repeats are recognised and predecessors shut out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Producer<'a> {
    /// Names the producer within the topic.
    pub id: &'a str,
    /// Its incarnation; a larger one shuts the smaller ones out.
    pub epoch: u64,
    /// Counts its events from 0 within an epoch, without a hole.
    pub sequence: u64,
}

/// An event to publish.
#[derive(Clone, Debug, Default)]
pub struct NewEvent<'a> {
    /// Its topic; created if it does not exist.
    pub topic: Cow<'a, str>,
    /// Other topics that it also belongs to.
    pub alternates: Vec<Cow<'a, str>>,
    /// Its data: UTF-8 text unless the topic's content type says otherwise.
    pub data: Cow<'a, [u8]>,
    /// Its type; none, or `message`, is an event that `onmessage` gets.
    pub event_type: Option<Cow<'a, str>>,
    /// What it is about, for conflation.
    pub key: Option<Cow<'a, str>>,
    /// The publisher's own id of it.
    pub publisher_id: Option<Cow<'a, str>>,
    /// Milliseconds after which it is not delivered any more.
    pub ttl_ms: Option<u64>,
    /// Whether only those with a right to private events see it.
    pub private: bool,
    /// Whether it ends its topic.
    pub end: Option<End>,
    /// Who publishes it in which order.
    pub producer: Option<Producer<'a>>,
    /// What must be so for it to be published.
    pub expect: Option<Expect>,
}

/// A publisher's request: all of its events or none.
#[derive(Clone, Copy, Debug, Default)]
pub struct Publish<'a> {
    /// The events, in order.
    pub events: &'a [NewEvent<'a>],
    /// Makes a repeat of the request return the first one's result. Counts per topic of the first
    /// event.
    pub idempotency_key: Option<&'a str>,
    /// When to publish, milliseconds since 1970. A time that has passed is now.
    pub at_ms: Option<u64>,
    /// Whether the publisher may do what only operators may.
    pub operator: bool,
}

/// A request that was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// What became of it.
    pub result: Published,
    /// The batch that must be on disk before the publisher is told so; see
    /// [`Hub::when_synced`]. `None` if it is as durable as its topics ask already.
    pub wait: Option<u64>,
}

/// What became of an accepted request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    /// Its events have the sequences `first` to `first + count - 1`.
    Stored {
        /// Sequence of the first event.
        first: u64,
        /// Number of events.
        count: u32,
        /// Whether this was a repeat and the sequences are those of the first time.
        duplicate: bool,
    },
    /// It will be published at its time.
    Scheduled {
        /// Names it, to take it back.
        id: u64,
        /// When, milliseconds since 1970.
        at_ms: u64,
    },
}

/// The outcome of one request.
pub type Outcome = Result<Accepted, PublishError>;

/// What a round remembers of a request until it is appended.
struct Staged {
    /// Its place in the outcomes.
    at: usize,
    /// Its events' places in the batch, or its schedule.
    what: StagedWhat,
    durability: Durability,
}

enum StagedWhat {
    Events { first: u64, count: u32 },
    Schedule { id: u64, at_ms: u64 },
}

/// Requests that are appended together. Holds the hub's lock: commit it before doing anything else
/// with the hub.
pub struct Round<'h> {
    hub: &'h Hub,
    state: MutexGuard<'h, State>,
    now_ms: u64,
    outcomes: Vec<Outcome>,
    staged: Vec<Staged>,
    frames: Frames,
    /// Topics that have events in the batch.
    touched: Vec<TopicId>,
    /// Names of topics made in this batch, to be forgotten if it fails.
    made: Vec<Arc<str>>,
    /// The largest id among topics made in this batch.
    highest_made: Option<TopicId>,
    /// Events in the batch.
    events: u64,
    bytes: usize,
    durability: Durability,
    release: Release,
    /// Topics that end with this batch.
    ended: Vec<(Arc<str>, End)>,
    /// Why the last append failed.
    failure: Option<StoreError>,
}

impl<'h> Round<'h> {
    pub(crate) fn new(hub: &'h Hub, state: MutexGuard<'h, State>) -> Self {
        Self {
            hub,
            state,
            now_ms: hub.now_ms(),
            outcomes: Vec::new(),
            staged: Vec::new(),
            frames: Frames::default(),
            touched: Vec::new(),
            made: Vec::new(),
            highest_made: None,
            events: 0,
            bytes: 0,
            durability: Durability::Memory,
            release: Release::default(),
            ended: Vec::new(),
            failure: None,
        }
    }

    /// Takes a request. Its outcome is at the returned place of what [`commit`](Self::commit) gives.
    pub fn publish(&mut self, request: &Publish<'_>) -> usize {
        let at = self.outcomes.len();
        let conditional = is_conditional(request);
        if self.bytes > ROUND_BYTES_MAX || self.depends(request, conditional) {
            self.flush();
        }
        // Overwritten once the batch is appended.
        self.outcomes
            .push(Err(StoreError::Failed("not appended".into()).into()));
        match self.stage(at, request) {
            Ok(()) => {}
            Err(refusal) => self.outcomes[at] = refusal,
        }
        if conditional && !self.staged.is_empty() {
            self.flush();
        }
        at
    }

    /// Appends what was taken and rings the doorbells.
    pub fn commit(mut self) -> Vec<Outcome> {
        self.flush();
        self.hub.release(&mut self.state, &mut self.release);
        self.outcomes
    }

    /// Whether the request's answer depends on something in the batch.
    fn depends(&self, request: &Publish<'_>, conditional: bool) -> bool {
        conditional
            && !self.staged.is_empty()
            && request.events.iter().any(|event| {
                self.state
                    .topics
                    .get(&*event.topic)
                    .is_none_or(|topic| self.touched.contains(&topic.id))
            })
    }

    /// `Err` carries the outcome of a request that puts nothing into the batch.
    fn stage(&mut self, at: usize, request: &Publish<'_>) -> Result<(), Outcome> {
        for name in request.events.iter().flat_map(topics_of) {
            self.state.learn(self.hub, name);
        }
        self.check(request).map_err(Err)?;
        if let Some(at_ms) = request.at_ms.filter(|&at_ms| at_ms > self.now_ms) {
            return self.stage_schedule(at, request, at_ms);
        }
        let fingerprint = request
            .idempotency_key
            .map(|_| self.hub.fingerprint(request.events));
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
            let of_event = self
                .stage_event(event, idempotency)
                .map_err(|error| Err(self.abandon(error)))?;
            durability = durability.max(of_event);
        }
        self.durability = self.durability.max(durability);
        let count = u32::try_from(request.events.len()).unwrap_or(u32::MAX);
        self.staged.push(Staged {
            at,
            what: StagedWhat::Events { first, count },
            durability,
        });
        Ok(())
    }

    /// All that can be said of a request without looking at its topics.
    fn check(&self, request: &Publish<'_>) -> Result<(), PublishError> {
        let count = request.events.len();
        if count == 0 || count > BATCH_EVENTS_MAX {
            return Err(PublishError::BatchSize {
                events: count,
                limit: BATCH_EVENTS_MAX,
            });
        }
        if let Some(key) = request.idempotency_key {
            named("Idempotency-Key", check_idempotency_key(key))?;
        }
        let ahead_max = u64::try_from(SCHEDULE_AHEAD_MAX.as_millis()).unwrap_or(u64::MAX);
        if request
            .at_ms
            .is_some_and(|at_ms| at_ms > self.now_ms.saturating_add(ahead_max))
        {
            return Err(PublishError::TooFarAhead {
                days: SCHEDULE_AHEAD_MAX.as_secs() / 86_400,
            });
        }
        let ends = request.events.iter().position(|event| event.end.is_some());
        if let Some((at, end)) = ends.and_then(|at| Some((at, request.events[at].end?))) {
            let ended = &request.events[at];
            let touches = |event: &NewEvent<'_>| {
                topics_of(event).any(|name| topics_of(ended).any(|ended| ended == name))
            };
            if request.events[at + 1..].iter().any(touches) {
                return Err(PublishError::Ended { end });
            }
        }
        request
            .events
            .iter()
            .try_for_each(|event| self.check_event(event, request.operator))
    }

    fn check_event(&self, event: &NewEvent<'_>, operator: bool) -> Result<(), PublishError> {
        let limit = self.hub.event_bytes_max;
        if event.data.len() > limit {
            return Err(PublishError::TooLarge {
                bytes: event.data.len(),
                limit,
            });
        }
        if event.alternates.len() >= EVENT_TOPICS_MAX {
            return Err(PublishError::TooManyTopics {
                limit: EVENT_TOPICS_MAX,
            });
        }
        if let Some(event_type) = &event.event_type {
            named("type", check_event_type(event_type))?;
        }
        if let Some(key) = &event.key {
            named("key", check_key(key))?;
        }
        if let Some(id) = &event.publisher_id {
            named("publisher id", check_publisher_id(id))?;
        }
        if let Some(producer) = &event.producer {
            if producer.id.len() > PRODUCER_ID_BYTES_MAX || producer.id.is_empty() {
                let source = NameError::TooLong(PRODUCER_ID_BYTES_MAX);
                return Err(PublishError::Name {
                    field: "producer id",
                    source,
                });
            }
        }
        let mut binary = false;
        for (place, name) in topics_of(event).enumerate() {
            // A name that is known has been checked when it became known.
            let Some(topic) = self.state.topics.get(&**name) else {
                TopicName::new(name)?;
                binary |= place == 0 && self.hub.rules.of(name).is_binary();
                continue;
            };
            if let Some(end) = topic.closed {
                return Err(PublishError::Ended { end });
            }
            if event.end.is_some() && topic.policy.end_by == EndBy::Operator && !operator {
                return Err(PublishError::MayNotEnd);
            }
            binary |= place == 0 && topic.binary;
        }
        if !binary && std::str::from_utf8(&event.data).is_err() {
            return Err(PublishError::NotText);
        }
        Ok(())
    }

    fn check_repeat(&self, request: &Publish<'_>, fingerprint: Option<u64>) -> Result<(), Outcome> {
        let (Some(key), Some(fingerprint)) = (request.idempotency_key, fingerprint) else {
            return Ok(());
        };
        let Some(topic) = self.state.topics.get(&*request.events[0].topic) else {
            return Ok(());
        };
        match self.hub.log.idempotent(topic.id, key) {
            None => Ok(()),
            Some(first) if first.fingerprint == fingerprint => {
                Err(Ok(self.repeated(first.first, first.count)))
            }
            Some(_) => Err(Err(PublishError::IdempotencyMismatch)),
        }
    }

    fn repeated(&self, first: u64, count: u32) -> Accepted {
        Accepted {
            result: Published::Stored {
                first,
                count,
                duplicate: true,
            },
            wait: self.state.pending_batch(),
        }
    }

    fn check_conditions(&self, request: &Publish<'_>) -> Result<(), Outcome> {
        for event in request.events {
            let topic = self.state.topics.get(&*event.topic);
            if let Some(expect) = event.expect {
                let newest = topic.map_or(0, |topic| self.hub.newest_of(topic.id));
                let wanted = match expect {
                    Expect::Nothing => 0,
                    Expect::Newest(sequence) => sequence,
                };
                if newest != wanted {
                    return Err(Err(PublishError::Unexpected { newest }));
                }
            }
            if let Some(producer) = &event.producer {
                self.check_producer(topic, producer, request.events.len())?;
            }
        }
        Ok(())
    }

    /// The rules of idempotent producers: a smaller epoch is fenced, a larger one begins at 0, what
    /// was seen is a duplicate, and nothing may be left out.
    fn check_producer(
        &self,
        topic: Option<&Topic>,
        producer: &Producer<'_>,
        events: usize,
    ) -> Result<(), Outcome> {
        let seen = topic.and_then(|topic| self.hub.log.producer(topic.id, producer.id));
        let expected = match seen {
            Some((epoch, _)) if producer.epoch < epoch => {
                return Err(Err(PublishError::ProducerFenced { epoch }));
            }
            Some((epoch, last)) if producer.epoch == epoch => {
                if producer.sequence <= last && events == 1 {
                    let newest = topic.map_or(0, |topic| self.hub.newest_of(topic.id));
                    return Err(Ok(self.repeated(newest, 1)));
                }
                last + 1
            }
            _ => 0,
        };
        if producer.sequence != expected {
            let received = producer.sequence;
            return Err(Err(PublishError::ProducerGap { expected, received }));
        }
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
        let mut private = event.private;
        for name in topics_of(event) {
            let topic = self.topic(name)?;
            durability = durability.max(topic.policy.durability);
            private |= topic.policy.private;
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
                let closed = state
                    .writer
                    .close_topic(&mut state.batch, topic, end_to_log(end));
                closed.map_err(|error| StoreError::Failed(error.to_string()))?;
            }
            self.ended
                .extend(topics_of(event).map(|name| (Arc::from(&**name), end)));
        }
        self.events += 1;
        self.bytes += event.data.len() + 64;
        self.touched.extend_from_slice(topics);
        self.encode(event, topics, sequence, expires_ms, private);
        Ok(durability)
    }

    /// Encodes the frames of those topics and framings that somebody follows.
    fn encode(
        &mut self,
        event: &NewEvent<'_>,
        topics: &[TopicId],
        sequence: u64,
        expires_ms: Option<u64>,
        private: bool,
    ) {
        let binary = self
            .state
            .topics
            .get(&*event.topic)
            .is_some_and(|topic| topic.binary);
        let framed = Framed {
            id: Position {
                epoch: self.hub.epoch(),
                sequence,
            },
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
        let key = event
            .key
            .as_deref()
            .map_or(0, |key| self.hub.key_hash(topics[0], key));
        let info = FrameInfo {
            sequence,
            time_ms: self.now_ms,
            key,
            expires_ms: expires_ms.unwrap_or(u64::MAX),
            private,
            end: event.end.is_some(),
        };
        for framing in FRAMINGS {
            let mut range = None;
            for (place, name) in topics_of(event).enumerate() {
                if topics_of(event).take(place).any(|earlier| earlier == name) {
                    continue;
                }
                let Some(live) = self.state.live_of(self.hub, name, sequence - 1) else {
                    continue;
                };
                if live.framings()[framing.index()] {
                    let range = range
                        .get_or_insert_with(|| {
                            self.frames.encode(|out| framed.encode(framing, out))
                        })
                        .clone();
                    self.frames.push(live, framing, info, range);
                }
            }
        }
    }

    /// The topic of this name; made in this batch if there is none.
    fn topic(&mut self, name: &str) -> Result<&Topic, StoreError> {
        let state = &mut *self.state;
        if state.learn(self.hub, name) {
            return Ok(&state.topics[name]);
        }
        let policy = self.hub.rules.of(name).clone();
        let new = log::NewTopic {
            name,
            policy: crate::policy::to_log(&policy, false),
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
        let payload = schedule::to_payload(request);
        if let Some(key) = request.idempotency_key {
            let fingerprint = self.hub.fingerprint(request.events);
            self.check_repeat(request, Some(fingerprint))?;
            if let Some(same) = self.state.schedules.find(&request.events[0].topic, key) {
                return Err(if same.payload == payload {
                    let result = Published::Scheduled {
                        id: same.id,
                        at_ms: same.at_ms,
                    };
                    Ok(Accepted {
                        result,
                        wait: self.state.pending_batch(),
                    })
                } else {
                    Err(PublishError::IdempotencyMismatch)
                });
            }
        }
        let state = &mut *self.state;
        let id = state
            .writer
            .schedule(&mut state.batch, at_ms, &payload)
            .map_err(|error| Err(StoreError::Failed(error.to_string()).into()))?;
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
        self.staged.push(Staged {
            at,
            what: StagedWhat::Schedule { id, at_ms },
            durability,
        });
        Ok(())
    }

    /// Gives up the batch: an event that was checked could not be put into it.
    fn abandon(&mut self, error: StoreError) -> PublishError {
        self.fail(&error);
        error.into()
    }

    fn fail(&mut self, error: &StoreError) {
        self.failure = Some(error.clone());
        self.state.batch = log::Batch::new();
        for staged in self.staged.drain(..) {
            if let StagedWhat::Schedule { id, .. } = staged.what {
                self.state.schedules.remove(id);
            }
            self.outcomes[staged.at] = Err(error.clone().into());
        }
        for name in self.made.drain(..) {
            self.state.forget(&name);
        }
        self.frames.clear();
        self.reset();
    }

    fn reset(&mut self) {
        self.touched.clear();
        self.ended.clear();
        self.highest_made = None;
        self.events = 0;
        self.bytes = 0;
        self.durability = Durability::Memory;
    }

    /// Appends the batch: durable first, then the outcomes, then the frames.
    pub(crate) fn flush(&mut self) {
        if self.staged.is_empty() && self.state.batch.is_empty() {
            return;
        }
        let state = &mut *self.state;
        let appended = match state
            .writer
            .append(&mut state.batch, self.durability.into())
        {
            Ok(appended) => appended,
            Err(error) => return self.fail(&error.into()),
        };
        let unsynced = self.durability == Durability::Synced;
        if self
            .staged
            .iter()
            .any(|staged| matches!(staged.what, StagedWhat::Schedule { .. }))
        {
            self.hub.keeper.timer_changed();
        }
        for staged in self.staged.drain(..) {
            let wait = (staged.durability == Durability::Synced).then_some(appended.batch);
            let result = match staged.what {
                StagedWhat::Events { first, count } => Published::Stored {
                    first,
                    count,
                    duplicate: false,
                },
                StagedWhat::Schedule { id, at_ms } => Published::Scheduled { id, at_ms },
            };
            self.outcomes[staged.at] = Ok(Accepted { result, wait });
        }
        self.made.clear();
        if let Some(TopicId(highest)) = self.highest_made.take() {
            self.hub
                .topics_made
                .fetch_max(highest + 1, Ordering::Release);
            self.hub.topics_version.fetch_add(1, Ordering::Release);
        }
        for (name, end) in self.ended.drain(..) {
            if let Some(topic) = state.topics.get_mut(&name) {
                topic.closed = Some(end);
            }
            if let Some(live) = state.live_named(&name) {
                live.set_ended(true);
            }
        }
        let frames = std::mem::replace(&mut self.frames, std::mem::take(&mut state.spare));
        let touched = std::mem::take(&mut self.touched);
        self.hub.appended(
            state,
            &mut self.release,
            &appended,
            unsynced,
            frames,
            &touched,
        );
        self.reset();
    }

    /// Appends what is not an event: at least written, so that nobody is told what a crash forgets.
    pub(crate) fn append_control(&mut self) -> Result<(), StoreError> {
        self.durability = self.durability.max(Durability::Written);
        self.flush();
        self.failed().map_or(Ok(()), Err)
    }

    /// Says that the batch makes a topic that nobody publishes to yet.
    pub(crate) fn made_topic(&mut self, id: TopicId) {
        self.highest_made = self.highest_made.max(Some(id));
    }

    pub(crate) fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// Why the last append failed, if it did.
    pub(crate) fn failed(&self) -> Option<StoreError> {
        self.failure.clone()
    }

    /// The state, for what goes into the same batch.
    pub(crate) fn state(&mut self) -> &mut State {
        &mut self.state
    }
}

/// The event's topic and its alternates.
fn topics_of<'e>(event: &'e NewEvent<'_>) -> impl Iterator<Item = &'e Cow<'e, str>> {
    std::iter::once(&event.topic).chain(&event.alternates)
}

/// Whether the outcome depends on what is in the log, or changes what later ones depend on.
fn is_conditional(request: &Publish<'_>) -> bool {
    request.idempotency_key.is_some()
        || request
            .events
            .iter()
            .any(|event| event.expect.is_some() || event.producer.is_some() || event.end.is_some())
}

fn named(field: &'static str, checked: Result<(), NameError>) -> Result<(), PublishError> {
    checked.map_err(|source| PublishError::Name { field, source })
}

fn end_to_log(end: End) -> log::End {
    match end {
        End::Done => log::End::Done,
        End::Error => log::End::Error,
        End::Cancelled => log::End::Cancelled,
    }
}

pub(crate) fn end_from_log(end: log::End) -> End {
    match end {
        log::End::Done => End::Done,
        log::End::Error => End::Error,
        log::End::Cancelled => End::Cancelled,
    }
}
