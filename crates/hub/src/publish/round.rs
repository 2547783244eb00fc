//! A round: requests that are at hand are appended together, so that one write serves many. It
//! never waits for company.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::MutexGuard;
use tidings_frame::End;
use tidings_log as log;
use tidings_log::TopicId;

use super::{Accepted, Outcome, Publish, Published};
use crate::error::{PublishError, StoreError};
use crate::hub::{Hub, State};
use crate::policy::Durability;
use crate::release::{Frames, Release};
use crate::schedule::Scheduled;

/// Bytes of encoded events from which on a round is appended before more is taken.
const ROUND_BYTES_MAX: usize = 1 << 20;

/// What a round remembers of a request until it is appended.
pub(super) struct Staged {
    /// Its place in the outcomes.
    pub(super) at: usize,
    /// Its events' places in the batch, or its schedule.
    pub(super) what: StagedWhat,
    pub(super) durability: Durability,
}

pub(super) enum StagedWhat {
    Events {
        first: u64,
        count: u32,
    },
    /// `before` is what it was, if it was asked for before.
    Schedule {
        id: u64,
        at_ms: u64,
        before: Option<Scheduled>,
    },
}

/// Requests that are appended together. Holds the hub's lock: commit it before doing anything else
/// with the hub.
pub struct Round<'h> {
    pub(super) hub: &'h Hub,
    pub(super) state: MutexGuard<'h, State>,
    pub(super) now_ms: u64,
    pub(super) outcomes: Vec<Outcome>,
    pub(super) staged: Vec<Staged>,
    pub(super) frames: Frames,
    /// Topics that have events in the batch.
    pub(super) touched: Vec<TopicId>,
    /// Names of topics made in this batch, to be forgotten if it fails.
    pub(super) made: Vec<Arc<str>>,
    /// Whose they are, where what is published was for later.
    pub(crate) owner: Option<Arc<str>>,
    /// The largest id among topics made in this batch.
    pub(super) highest_made: Option<TopicId>,
    /// Events in the batch.
    pub(super) events: u64,
    pub(super) bytes: usize,
    /// Bytes of data of the events in the batch.
    pub(super) data_bytes: u64,
    pub(super) durability: Durability,
    pub(super) release: Release,
    /// Topics that end with this batch.
    pub(super) ended: Vec<(Arc<str>, End)>,
    /// Why the last append failed.
    pub(super) failure: Option<StoreError>,
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
            owner: None,
            highest_made: None,
            events: 0,
            bytes: 0,
            data_bytes: 0,
            durability: Durability::Memory,
            release: Release::default(),
            ended: Vec::new(),
            failure: None,
        }
    }

    /// Takes a request. Its outcome is at the returned place of what [`commit`](Self::commit)
    /// gives.
    pub fn publish(&mut self, request: &Publish<'_>) -> usize {
        let at = self.outcomes.len();
        let conditional = is_conditional(request);
        if self.bytes > ROUND_BYTES_MAX || self.depends(request, conditional) {
            self.flush();
        }
        // Overwritten once the batch is appended.
        self.outcomes.push(Err(StoreError::Failed("not appended".into()).into()));
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

    /// Gives up the batch: an event that was checked could not be put into it.
    pub(super) fn abandon(&mut self, error: StoreError) -> PublishError {
        self.fail(&error);
        error.into()
    }

    fn fail(&mut self, error: &StoreError) {
        self.failure = Some(error.clone());
        self.state.batch = log::Batch::new();
        for staged in self.staged.drain(..) {
            if let StagedWhat::Schedule { id, before, .. } = staged.what {
                self.state.schedules.remove(id);
                if let Some(Scheduled { id, at_ms, payload, .. }) = before {
                    self.state.schedules.add(id, at_ms, payload);
                }
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
        self.data_bytes = 0;
        self.durability = Durability::Memory;
    }

    /// Appends the batch: durable first, then the outcomes, then the frames.
    pub(crate) fn flush(&mut self) {
        if self.staged.is_empty() && self.state.batch.is_empty() {
            return;
        }
        let state = &mut *self.state;
        let appended = match state.writer.append(&mut state.batch, self.durability.into()) {
            Ok(appended) => appended,
            Err(error) => return self.fail(&error.into()),
        };
        self.hub.counters.bytes_appended.fetch_add(self.data_bytes, Ordering::Relaxed);
        let unsynced = self.durability == Durability::Synced;
        if self.staged.iter().any(|staged| matches!(staged.what, StagedWhat::Schedule { .. })) {
            self.hub.keeper.timer_changed();
        }
        for staged in self.staged.drain(..) {
            let wait = (staged.durability == Durability::Synced).then_some(appended.batch);
            let result = match staged.what {
                StagedWhat::Events { first, count } => {
                    Published::Stored { first, count, duplicate: false }
                }
                StagedWhat::Schedule { id, at_ms, .. } => Published::Scheduled { id, at_ms },
            };
            self.outcomes[staged.at] = Ok(Accepted { result, wait });
        }
        self.made.clear();
        if let Some(TopicId(highest)) = self.highest_made.take() {
            self.hub.topics_made.fetch_max(highest + 1, Ordering::Release);
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
        self.hub.appended(state, &mut self.release, &appended, unsynced, frames, &touched);
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

/// Whether the outcome depends on what is in the log, or changes what later ones depend on.
fn is_conditional(request: &Publish<'_>) -> bool {
    request.idempotency_key.is_some()
        || request
            .events
            .iter()
            .any(|event| event.expect.is_some() || event.producer.is_some() || event.end.is_some())
}
