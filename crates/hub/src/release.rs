//! From durable to visible: frames wait here until everything before them is durable enough.
//!
//! Positions are hub-wide, and one id resumes a subscription to any number of topics. So an event
//! may be shown only when every event before it may: one that is `written` waits for a `synced` one
//! that was appended earlier, though its publisher was acknowledged long ago.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tidings_log::{Appended, TopicId};

use crate::error::StoreError;
use crate::fanout::frame::Framing;
use crate::fanout::tail::FrameInfo;
use crate::fanout::{Bell, Live};
use crate::hub::{Hub, State};

/// Called once the batch it waited for is on disk, or will never be.
pub type Synced = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// Frames of one batch, encoded and not yet shown.
#[derive(Default)]
pub(crate) struct Frames {
    bytes: Vec<u8>,
    frames: Vec<(Arc<Live>, Framing, FrameInfo, Range<usize>)>,
}

impl Frames {
    pub(crate) fn encode(&mut self, encode: impl FnOnce(&mut Vec<u8>)) -> Range<usize> {
        let start = self.bytes.len();
        encode(&mut self.bytes);
        start..self.bytes.len()
    }

    pub(crate) fn push(
        &mut self,
        live: Arc<Live>,
        framing: Framing,
        info: FrameInfo,
        range: Range<usize>,
    ) {
        self.frames.push((live, framing, info, range));
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.frames.clear();
    }
}

/// A batch that is appended and waits to be shown.
struct Waiting {
    /// The batch that must be on disk first.
    batch: Option<u64>,
    last: u64,
    frames: Frames,
    events: u64,
    /// Its topics. Somebody may follow one by the time it is shown who did not when it was encoded;
    /// they are told too, and find the event in the log.
    topics: Vec<Arc<str>>,
}

/// What is appended and not shown, and who waits for it. Bounded by what can be published between
/// two syncs of the disk.
#[derive(Default)]
pub(crate) struct Unreleased {
    waiting: VecDeque<Waiting>,
    callbacks: VecDeque<(u64, Synced)>,
}

impl Unreleased {
    /// Whether this batch, or one before it that goes to disk with it, is not shown yet.
    fn holds(&self, batch: u64) -> bool {
        self.waiting.iter().any(|waiting| waiting.batch.is_some_and(|waits| waits <= batch))
    }
}

/// Bells to ring for what has just become visible.
#[derive(Default)]
pub(crate) struct Release {
    bells: Vec<(Arc<Bell>, Vec<Arc<Live>>)>,
    /// Events that have become visible.
    events: u64,
}

impl Release {
    fn show(&mut self, frames: &mut Frames) {
        for (live, framing, info, range) in frames.frames.drain(..) {
            live.push(framing, info, &frames.bytes[range]);
            self.note(&live);
        }
        frames.bytes.clear();
    }

    fn note(&mut self, live: &Arc<Live>) {
        live.each_bell(|bell| match self.bells.iter_mut().find(|(b, _)| Arc::ptr_eq(b, bell)) {
            Some((_, topics)) => topics.push(live.clone()),
            None => self.bells.push((bell.clone(), vec![live.clone()])),
        });
    }
}

impl State {
    /// The newest batch that is not known to be on disk and that a repeat of its request must wait
    /// for too.
    pub(crate) fn pending_batch(&self) -> Option<u64> {
        self.unreleased.waiting.iter().filter_map(|waiting| waiting.batch).next_back()
    }
}

impl Hub {
    /// Shows a batch that was appended, or lets it wait its turn. `wait` is the batch that must be
    /// on disk first; `topics` are those that it touches.
    pub(crate) fn appended(
        &self,
        state: &mut State,
        release: &mut Release,
        appended: &Appended,
        wait: bool,
        mut frames: Frames,
        topics: &[TopicId],
    ) {
        let events = appended.last + 1 - appended.first;
        let batch = wait.then_some(appended.batch);
        if let Some(batch) = batch {
            self.keeper.want_sync(batch);
        }
        if batch.is_none() && state.unreleased.waiting.is_empty() {
            release.show(&mut frames);
            release.events += events;
            state.visible = appended.last.max(state.visible);
            state.spare = frames;
            return;
        }
        let mut topics = topics.to_vec();
        topics.sort_unstable();
        topics.dedup();
        let names = topics.iter().filter_map(|&topic| Some(self.log.describe(topic)?.name));
        let (last, topics) = (appended.last, names.collect());
        state.unreleased.waiting.push_back(Waiting { batch, last, frames, events, topics });
    }

    /// Rings the bells for what was shown.
    pub(crate) fn release(&self, state: &mut State, release: &mut Release) {
        // First, so that whoever was rung for an event finds it in the log too.
        self.visible.store(state.visible, Ordering::Release);
        self.counters.events_visible.fetch_add(release.events, Ordering::Relaxed);
        release.events = 0;
        for (bell, mut topics) in release.bells.drain(..) {
            bell.ring(&mut topics, state.visible);
        }
    }

    /// The newest visible sequence, once every bell has been rung for it.
    #[must_use]
    pub fn rung(&self) -> u64 {
        self.state.lock().visible
    }

    /// Calls back once `batch` is on disk: at once if it is already.
    pub fn when_synced(&self, batch: u64, callback: Synced) {
        let mut state = self.state.lock();
        // Synced and not shown yet: whoever shows it calls back, so that nobody is acknowledged
        // what cannot be read yet.
        let shown = !state.unreleased.holds(batch);
        if shown && self.log.synced() >= batch {
            drop(state);
            return callback(Ok(()));
        }
        if let Some(error) = &state.sync_failed {
            let error = error.clone();
            drop(state);
            return callback(Err(error));
        }
        state.unreleased.callbacks.push_back((batch, callback));
        self.keeper.want_sync(batch);
    }

    /// What the keeper's sync has achieved: acknowledges first, then shows.
    pub(crate) fn synced(&self, result: Result<u64, StoreError>) {
        let mut state = self.state.lock();
        let synced = *result.as_ref().unwrap_or(&0);
        if let Err(error) = &result {
            state.sync_failed = Some(error.clone());
            // Not shown to anybody: nobody knows whether they are there after the next start.
            state.unreleased.waiting.clear();
        }
        let failed = result.is_err();
        let mut callbacks = Vec::new();
        let unreleased = &mut state.unreleased;
        while unreleased.callbacks.front().is_some_and(|(batch, _)| failed || *batch <= synced) {
            callbacks.extend(unreleased.callbacks.pop_front());
        }
        let mut release = Release::default();
        while state
            .unreleased
            .waiting
            .front()
            .is_some_and(|waiting| waiting.batch.is_none_or(|batch| batch <= synced))
        {
            let Some(mut waiting) = state.unreleased.waiting.pop_front() else {
                break;
            };
            release.show(&mut waiting.frames);
            release.events += waiting.events;
            // A tail that begins here begins after all that is appended: what waits behind this was
            // encoded for those who followed then.
            let newest = state.writer.next_sequence() - 1;
            for name in &waiting.topics {
                // One that was deleted meanwhile is looked for too: its followers are to be told.
                state.learn(self, name);
                let live = state.live_of(self, name, newest);
                live.iter().for_each(|live| release.note(live));
            }
            state.visible = waiting.last.max(state.visible);
        }
        let result = result.map(|_| ());
        // Whoever is acknowledged may read at once what it has published; the bells ring after
        // that.
        self.visible.store(state.visible, Ordering::Release);
        for (_, callback) in callbacks {
            callback(result.clone());
        }
        self.release(&mut state, &mut release);
    }
}
