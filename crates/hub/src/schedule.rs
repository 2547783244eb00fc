//! Publishes for later: stored durably when they are accepted, published when they are due.
//!
//! The request waits in the log as it came; when its time comes it is published and taken off the
//! list in one batch, so a crash between the two is impossible.
//!
//! With it waits who has asked for it, if somebody judges that ([`Hub::judge_makers`]): whoever is
//! not welcome any more by then publishes nothing. Whoever repeats the request (by its idempotency
//! key) stands for it too, and it comes as long as one of them is welcome: each was told that it
//! will.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use tidings_frame::End;
use tidings_log as log;

use crate::error::{PublishError, StoreError};
use crate::hub::Hub;
use crate::publish::{Expect, NewEvent, Producer, Publish};

/// How long a due publish waits when the log could not take it, in milliseconds.
const RETRY_MS: u64 = 1_000;

/// How long what is due waits for somebody to judge who has made it, in milliseconds: the server
/// has just started.
const JUDGE_MS: u64 = 50;

/// Publishes taken off the list in one batch.
const TAKEN_AT_ONCE: usize = 1_000;

/// Makers that are kept of one publish: those who have asked last, and not the newest alone, so
/// that what ends one of them leaves the others.
const MAKERS_MAX: usize = 16;

/// Says whether who has made a publish for later, as the publish says it, may still publish.
pub type MakerJudge = Box<dyn Fn(&str) -> bool + Send + Sync>;

/// A publish that waits for its time.
#[derive(Clone, Debug)]
pub(crate) struct Scheduled {
    pub(crate) id: u64,
    pub(crate) at_ms: u64,
    pub(crate) payload: Arc<[u8]>,
    /// Who has asked for it, the last one last; empty if somebody has who is not judged.
    makers: Arc<[String]>,
    /// Whose the topics are that it makes.
    owner: Option<Arc<str>>,
}

impl Scheduled {
    /// Whether somebody stands for it.
    fn may_come(&self, may: &MakerJudge) -> bool {
        self.makers.is_empty() || self.makers.iter().any(|maker| may(maker))
    }
}

/// All that wait.
#[derive(Default)]
pub(crate) struct Schedules {
    by_id: HashMap<u64, Scheduled>,
    due: BTreeSet<(u64, u64)>,
    /// Topic of the first event and idempotency key.
    by_key: HashMap<(String, String), u64>,
    /// What all of them hold.
    bytes: usize,
}

impl Schedules {
    pub(crate) fn from_log(schedules: Vec<log::Schedule>) -> Self {
        let mut all = Self::default();
        for schedule in schedules {
            all.add(schedule.id, schedule.due_ms, schedule.payload);
        }
        all
    }

    pub(crate) fn add(&mut self, id: u64, at_ms: u64, payload: Arc<[u8]>) {
        let About { key, makers, owner } = About::read(&payload);
        if let Some(key) = key {
            self.by_key.insert(key, id);
        }
        self.due.insert((at_ms, id));
        self.bytes += payload.len();
        let before = self.by_id.insert(id, Scheduled { id, at_ms, payload, makers, owner });
        self.bytes -= before.map_or(0, |before| before.payload.len());
    }

    pub(crate) fn remove(&mut self, id: u64) -> Option<Scheduled> {
        let scheduled = self.by_id.remove(&id)?;
        self.due.remove(&(scheduled.at_ms, id));
        self.bytes -= scheduled.payload.len();
        if let Some(key) = About::read(&scheduled.payload).key {
            self.by_key.remove(&key);
        }
        Some(scheduled)
    }

    pub(crate) fn find(&self, topic: &str, idempotency_key: &str) -> Option<&Scheduled> {
        let key = (topic.to_owned(), idempotency_key.to_owned());
        self.by_id.get(self.by_key.get(&key)?)
    }

    /// When the next one is due.
    pub(crate) fn next_ms(&self) -> Option<u64> {
        self.due.first().map(|&(at_ms, _)| at_ms)
    }

    fn next_due(&self, now_ms: u64) -> Option<Scheduled> {
        let &(at_ms, id) = self.due.first()?;
        if at_ms > now_ms { None } else { self.by_id.get(&id).cloned() }
    }

    /// Those that say who has made them.
    fn made(&self) -> Vec<Scheduled> {
        self.by_id.values().filter(|one| !one.makers.is_empty()).cloned().collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Bytes of their requests, as they wait.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

#[derive(Serialize, Deserialize)]
struct StoredRequest<'a> {
    events: Vec<StoredEvent<'a>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    idempotency_key: Option<Cow<'a, str>>,
    #[serde(default)]
    operator: bool,
    /// Absent in what versions before it have stored, and where nobody is judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    maker: Option<Cow<'a, str>>,
    /// Who has asked for the same after that.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    others: Vec<Cow<'a, str>>,
    /// Whose the topics are that it makes, as it is kept with each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    owner: Option<Cow<'a, str>>,
}

impl StoredRequest<'_> {
    /// Takes out who has asked for it, the last one last.
    fn take_makers(&mut self) -> Vec<String> {
        let all = self.maker.take().into_iter().chain(std::mem::take(&mut self.others));
        all.map(Cow::into_owned).collect()
    }
}

#[derive(Serialize, Deserialize)]
struct StoredEvent<'a> {
    topic: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    alternates: Vec<Cow<'a, str>>,
    data: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    event_type: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    publisher_id: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ttl_ms: Option<u64>,
    #[serde(default)]
    private: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    end: Option<End>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    producer: Option<(String, u64, u64)>,
    /// `Some(None)` expects nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expect: Option<Option<u64>>,
}

/// The request as it waits in the log.
pub(crate) fn to_payload(request: &Publish<'_>, owner: Option<String>) -> Arc<[u8]> {
    let events = request.events.iter().map(|event| StoredEvent {
        topic: Cow::Borrowed(&*event.topic),
        alternates: event.alternates.iter().map(|name| Cow::Borrowed(&**name)).collect(),
        data: STANDARD.encode(&event.data),
        event_type: event.event_type.as_deref().map(Cow::Borrowed),
        key: event.key.as_deref().map(Cow::Borrowed),
        publisher_id: event.publisher_id.as_deref().map(Cow::Borrowed),
        ttl_ms: event.ttl_ms,
        private: event.private,
        end: event.end,
        producer: event.producer.map(|p| (p.id.to_owned(), p.epoch, p.sequence)),
        expect: event.expect.map(|expect| match expect {
            Expect::Nothing => None,
            Expect::Newest(sequence) => Some(sequence),
        }),
    });
    let stored = StoredRequest {
        events: events.collect(),
        idempotency_key: request.idempotency_key.map(Cow::Borrowed),
        operator: request.operator,
        maker: request.maker.map(Cow::Borrowed),
        others: Vec::new(),
        owner: owner.map(Cow::Owned),
    };
    written(&stored).into()
}

fn written(stored: &StoredRequest<'_>) -> Vec<u8> {
    serde_json::to_vec(stored).expect("strings and numbers always serialise")
}

/// What is known of a payload without publishing it; nothing of one that cannot be read.
#[derive(Default)]
struct About {
    key: Option<(String, String)>,
    makers: Arc<[String]>,
    owner: Option<Arc<str>>,
}

impl About {
    fn read(payload: &[u8]) -> Self {
        let Ok(mut stored) = serde_json::from_slice::<StoredRequest<'_>>(payload) else {
            return Self::default();
        };
        let makers = stored.take_makers().into();
        let topic = stored.events.first().map(|event| event.topic.to_string());
        let key = topic.zip(stored.idempotency_key.map(Cow::into_owned));
        Self { key, makers, owner: stored.owner.as_deref().map(Arc::from) }
    }
}

/// What is to be kept when `payload` asks for what waits already: its maker stands beside the
/// others. `None` if that changes nothing.
///
/// # Errors
/// When it asks for something else.
pub(crate) fn join(kept: &Scheduled, payload: &[u8]) -> Result<Option<Arc<[u8]>>, PublishError> {
    let read = |payload| {
        let stored = serde_json::from_slice::<StoredRequest<'_>>(payload);
        stored.map_err(|_| PublishError::IdempotencyMismatch)
    };
    let (mut before, mut stored) = (read(&kept.payload)?, read(payload)?);
    let (mut makers, again) = (before.take_makers(), stored.take_makers());
    // Its topics may have been made meanwhile, or somebody else asks: they stay the first one's.
    stored.owner.clone_from(&before.owner);
    if written(&before) != written(&stored) {
        return Err(PublishError::IdempotencyMismatch);
    }
    if makers.is_empty() || again.iter().any(|maker| makers.contains(maker)) {
        return Ok(None);
    }
    // Without a maker it is asked for by somebody who is never judged, which is enough.
    if !again.is_empty() {
        makers.extend(again);
        let mut last =
            makers.into_iter().rev().take(MAKERS_MAX).collect::<Vec<_>>().into_iter().rev();
        stored.maker = last.next().map(Cow::Owned);
        stored.others = last.map(Cow::Owned).collect();
    }
    Ok(Some(written(&stored).into()))
}

/// Publishes the request of a payload.
fn with_request<R>(payload: &[u8], publish: impl FnOnce(&Publish<'_>) -> R) -> Option<R> {
    let stored: StoredRequest<'_> = serde_json::from_slice(payload).ok()?;
    let data: Vec<Vec<u8>> = stored
        .events
        .iter()
        .map(|event| STANDARD.decode(&event.data).ok())
        .collect::<Option<_>>()?;
    let events: Vec<NewEvent<'_>> = stored
        .events
        .iter()
        .zip(&data)
        .map(|(event, data)| NewEvent {
            topic: Cow::Borrowed(&*event.topic),
            alternates: event.alternates.iter().map(|name| Cow::Borrowed(&**name)).collect(),
            data: Cow::Borrowed(data),
            event_type: event.event_type.as_deref().map(Cow::Borrowed),
            key: event.key.as_deref().map(Cow::Borrowed),
            publisher_id: event.publisher_id.as_deref().map(Cow::Borrowed),
            ttl_ms: event.ttl_ms,
            private: event.private,
            end: event.end,
            producer: event.producer.as_ref().map(|(id, epoch, sequence)| Producer {
                id,
                epoch: *epoch,
                sequence: *sequence,
            }),
            expect: event.expect.map(|expect| expect.map_or(Expect::Nothing, Expect::Newest)),
        })
        .collect();
    Some(publish(&Publish {
        events: &events,
        idempotency_key: stored.idempotency_key.as_deref(),
        at_ms: None,
        operator: stored.operator,
        relay: false,
        maker: None,
    }))
}

impl Hub {
    /// Publishes what is due. Returns when to look again, milliseconds since 1970.
    pub(crate) fn publish_due(&self) -> Option<u64> {
        loop {
            let mut round = self.round();
            let now_ms = self.now_ms();
            let schedules = &round.state().schedules;
            let Some(due) = schedules.next_due(now_ms) else {
                return schedules.next_ms();
            };
            match self.maker_judge.get() {
                // What comes after it waits too, also what nobody judges: in the order in which it
                // is due, and until what is revoked has been read.
                None if !due.makers.is_empty() => return Some(now_ms + JUDGE_MS),
                Some(may) if !due.may_come(may) => {
                    tracing::info!(
                        schedule = due.id,
                        "a scheduled publish is dropped: who has made it was revoked"
                    );
                    if round.unschedule(&[due.id]).is_err() {
                        return Some(now_ms + RETRY_MS);
                    }
                    continue;
                }
                _ => {}
            }
            match round.fire(&due) {
                Ok(()) | Err(PublishError::Store(StoreError::Failed(_))) => {}
                Err(PublishError::Store(StoreError::DiskFull)) => {
                    return Some(now_ms + RETRY_MS);
                }
                Err(error) => tracing::warn!(
                    schedule = due.id,
                    %error,
                    "a scheduled publish was refused when its time came, and is dropped"
                ),
            }
        }
    }

    /// Takes a scheduled publish back. `false` if there is none of this id (any more).
    ///
    /// # Errors
    /// When the log cannot take it.
    pub fn unschedule(&self, id: u64) -> Result<bool, StoreError> {
        self.round().unschedule(&[id]).map(|taken| taken > 0)
    }

    /// Has those who make publishes for later judged, when they ask and when these are due. Until
    /// there is a judge, what is due and has a maker ([`Publish::maker`]) waits, and everything
    /// that is due after it. Only the first judge counts. It is called with the hub's lock held, so
    /// it must not ask the hub.
    pub fn judge_makers(&self, judge: MakerJudge) {
        // A second one would be a mistake of the caller's that changes nothing.
        let _ = self.maker_judge.set(judge);
    }

    /// Whether a maker may still publish, as far as somebody judges that.
    pub(crate) fn may_still(&self, maker: Option<&str>) -> bool {
        maker.zip(self.maker_judge.get()).is_none_or(|(maker, may)| may(maker))
    }

    /// Takes back what waits of makers of whom none may publish any more. Returns how many that
    /// were.
    ///
    /// # Errors
    /// When the log cannot take it.
    pub fn unschedule_of_revoked(&self) -> Result<usize, StoreError> {
        let Some(may) = self.maker_judge.get() else { return Ok(0) };
        let made = self.state.lock().schedules.made();
        let over: Vec<u64> =
            made.iter().filter(|one| !one.may_come(may)).map(|one| one.id).collect();
        over.chunks(TAKEN_AT_ONCE).map(|some| self.round().unschedule(some)).sum()
    }

    /// How many publishes wait for their time.
    #[must_use]
    pub fn scheduled(&self) -> usize {
        self.state.lock().schedules.len()
    }

    /// Bytes that they take, in memory twice as many.
    #[must_use]
    pub fn scheduled_bytes(&self) -> usize {
        self.state.lock().schedules.bytes()
    }
}

impl crate::publish::Round<'_> {
    /// Publishes and takes off the list, in one batch.
    fn fire(mut self, due: &Scheduled) -> Result<(), PublishError> {
        let state = self.state();
        let taken = state.writer.unschedule(&mut state.batch, due.id);
        taken.map_err(|error| StoreError::Failed(error.to_string()))?;
        let scheduled = state.schedules.remove(due.id);
        self.owner.clone_from(&due.owner);
        let at = with_request(&due.payload, |request| self.publish(request));
        self.flush();
        let failed = self.failed();
        if let (Some(scheduled), Some(StoreError::DiskFull)) = (scheduled, &failed) {
            let Scheduled { id, at_ms, payload, .. } = scheduled;
            self.state().schedules.add(id, at_ms, payload);
        }
        let mut outcomes = self.commit();
        match (failed, at) {
            (Some(error), _) => Err(error.into()),
            (None, Some(at)) => outcomes.swap_remove(at).map(|_| ()),
            // A payload that cannot be read was written by a newer version; it is gone.
            (None, None) => Ok(()),
        }
    }

    /// Takes these off the list, in one batch. Returns how many were on it.
    fn unschedule(mut self, ids: &[u64]) -> Result<usize, StoreError> {
        let state = self.state();
        let taken: Vec<_> = ids.iter().filter_map(|id| state.schedules.remove(*id)).collect();
        let mut result = Ok(());
        for scheduled in &taken {
            let one = state.writer.unschedule(&mut state.batch, scheduled.id);
            result = result.and(one.map_err(|error| StoreError::Failed(error.to_string())));
        }
        // Otherwise a crash could bring back what somebody was told is taken back.
        if let Err(error) = self.append_control().and(result) {
            for Scheduled { id, at_ms, payload, .. } in taken {
                self.state().schedules.add(id, at_ms, payload);
            }
            return Err(error);
        }
        Ok(taken.len())
    }
}
