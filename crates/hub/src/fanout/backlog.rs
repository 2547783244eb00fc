//! Catching up: what a subscriber has not had yet, read from the log in spans.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tidings_frame::{End, EventObject, Position};
use tidings_log::{ReadLimit, StoredEvent, TopicId};

use super::frame::{Framed, View};
use super::spans::Reader;
use super::tail::{SPAN_BYTES_MAX, Span};
use crate::error::StoreError;
use crate::hub::Hub;
use crate::missed::{Gap, Told};
use crate::policy;
use crate::selection::Selection;

/// Most events in one span read from the log.
const SPAN_EVENTS_MAX: usize = 1_024;

/// The topics behind a selection as the log knows them, kept up to date while topics come and go.
pub struct Backlog {
    selection: Arc<Selection>,
    topics: Vec<TopicId>,
    faces: HashMap<TopicId, Face>,
    /// The hub's count of created and removed topics when `topics` was made.
    version: Option<u64>,
    /// Patterns were held against all topics with smaller ids.
    scanned: u32,
    /// What the subscriber was told that it misses.
    told: Told,
    /// And what before it was told something last, if that was in its last step.
    told_before: Option<Box<Told>>,
    /// Held while it reads spans, which are kept for as many readers as there are.
    reader: Option<Reader>,
}

/// What the frames of a topic need to know of it.
#[derive(Clone)]
struct Face {
    name: Arc<str>,
    binary: bool,
    conflate: bool,
}

/// One step of catching up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What to send. May be empty.
    pub span: Span,
    /// Whether nothing visible is left after it.
    pub caught_up: bool,
    /// What the subscriber misses before it: to be told first.
    pub gap: Option<Gap>,
}

impl Backlog {
    /// The backlog of a selection. Of a subscription that begins, [`Hub::start`] says what it
    /// misses; of one that has fallen behind, the first step does.
    #[must_use]
    pub fn new(selection: Arc<Selection>) -> Self {
        Self {
            selection,
            topics: Vec::new(),
            faces: HashMap::new(),
            version: None,
            scanned: 0,
            told: Told::default(),
            told_before: None,
            reader: None,
        }
    }

    /// Reads for another selection from now on, and does not tell again what it has told.
    pub fn change(&mut self, selection: Arc<Selection>) {
        let old = self.selection.patterns();
        self.told.look_again(selection.patterns().iter().any(|pattern| !old.contains(pattern)));
        self.told_before = None;
        self.selection = selection;
        self.topics.clear();
        (self.version, self.scanned) = (None, 0);
    }

    /// The last step was not passed on: what it has told is not told.
    pub fn take_back(&mut self) {
        if let Some(before) = self.told_before.take() {
            self.told = *before;
        }
    }

    /// What a subscriber at `after` misses and was not told of yet; it is now. Ask after reading:
    /// what was removed meanwhile is told as well.
    pub fn missed(&mut self, hub: &Hub, after: u64) -> Option<Gap> {
        let topics = self.topics(hub).to_vec();
        let before = self.told.clone();
        let gap = hub.missed(&self.selection, &topics, after, &mut self.told);
        self.told_before = gap.is_some().then(|| Box::new(before));
        gap
    }

    /// What it was made for.
    #[must_use]
    pub fn selection(&self) -> &Selection {
        &self.selection
    }

    /// The topics of the selection that exist.
    pub fn topics(&mut self, hub: &Hub) -> &[TopicId] {
        let version = hub.topics_version.load(Ordering::Acquire);
        if self.version != Some(version) {
            self.version = Some(version);
            self.look_up(hub);
        }
        &self.topics
    }

    fn look_up(&mut self, hub: &Hub) {
        let by_name =
            self.selection.topics().iter().filter_map(|name| hub.log.topic(name.as_str()));
        let mut topics: Vec<TopicId> = by_name.collect();
        if !self.selection.patterns().is_empty() {
            // Ids only grow, so what was scanned once need not be scanned again; what was removed
            // since is dropped.
            let known = self.topics.iter().copied();
            topics.extend(known.filter(|&topic| hub.log.describe(topic).is_some()));
            let made = hub.topics_made.load(Ordering::Acquire);
            for id in (self.scanned..made).map(TopicId) {
                if hub.log.describe(id).is_some_and(|info| self.selection.matches(&info.name)) {
                    topics.push(id);
                }
            }
            self.scanned = made;
        }
        topics.sort_unstable();
        topics.dedup();
        self.topics = topics;
    }

    fn face(&mut self, hub: &Hub, topic: TopicId) -> Face {
        let new = || {
            let info = hub.log.describe(topic);
            info.map_or_else(
                || Face { name: "".into(), binary: false, conflate: false },
                |info| {
                    let (policy, _) = policy::from_log(&info.policy);
                    Face {
                        name: info.name.clone(),
                        binary: policy.is_binary(),
                        conflate: policy.conflate,
                    }
                },
            )
        };
        self.faces.entry(topic).or_insert_with(new).clone()
    }

    /// The next span after `after`, as far as is visible.
    ///
    /// # Errors
    /// When the log cannot be read; the position is still right and the step can be tried again.
    pub fn step(&mut self, hub: &Hub, after: u64, view: View) -> Result<Step, StoreError> {
        self.reader.get_or_insert_with(|| hub.spans.reader());
        self.told_before = None;
        let through = hub.visible();
        // After `through`: a topic whose first event is visible by now is in the count.
        let topics = self.topics(hub).to_vec();
        // Of several, one that is not there may have been deleted, which no kept span tells.
        let single = match &*topics {
            _ if self.selection.single().is_none() => None,
            &[topic] if !view.conflate && !self.face(hub, topic).conflate => Some(topic),
            _ => None,
        };
        if let Some(span) = single.and_then(|topic| hub.spans.find(topic, view, after)) {
            return Ok(Step { caught_up: span.after >= through, span, gap: None });
        }
        let mut reading = Reading::new(hub, view);
        let limit = ReadLimit { events: SPAN_EVENTS_MAX, bytes: SPAN_BYTES_MAX };
        let now_ms = hub.now_ms();
        let progress = hub
            .log
            .read(&topics, after, through, limit, now_ms, &mut |event| {
                let Seen::Event { end } = seen(&event, &topics, view.private) else { return };
                reading.add(&event, end, |topic| self.face(hub, topic));
            })
            .map_err(|error| StoreError::Failed(error.to_string()))?;
        // Asked after the read: what was removed in the middle of it is told as well.
        let gap = self.missed(hub, after);
        if let Some(resumes) = gap.as_ref().map(|gap| gap.resumes.sequence) {
            if resumes > after {
                let span = Span { after: resumes, ..Span::default() };
                return Ok(Step { span, caught_up: false, gap });
            }
        }
        let after_it = if progress.more { progress.after } else { through.max(after) };
        let keepable = reading.keepable && progress.more;
        let (span, frames) = reading.finish(after_it);
        if let (Some(topic), true) = (single, keepable) {
            let name = self.face(hub, topic).name;
            // Another who stands in the middle of it would not be told of what is missing there.
            if hub.log.missing(topic, after, now_ms).is_none() && hub.log.deleted(&name) <= after {
                hub.spans.keep(topic, view, after, &span, frames);
            }
        }
        Ok(Step { span, caught_up: !progress.more, gap })
    }

    /// The events after `after` as JSON objects; returns the position after them and whether there
    /// are more.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn objects(
        &mut self,
        hub: &Hub,
        range: (u64, u64),
        limit: ReadLimit,
        private: bool,
        each: &mut dyn FnMut(&EventObject<'_>),
    ) -> Result<(u64, bool), StoreError> {
        self.told_before = None;
        let topics = self.topics(hub).to_vec();
        let (after, through) = range;
        let progress = hub
            .log
            .read(&topics, after, through, limit, hub.now_ms(), &mut |event| {
                let Seen::Event { end } = seen(&event, &topics, private) else { return };
                let face = self.face(hub, event.topics[0]);
                let alternates = alternates(&event, |topic| self.face(hub, topic));
                each(&framed(hub, &event, end, &face, &alternates).object());
            })
            .map_err(|error| StoreError::Failed(error.to_string()))?;
        Ok((progress.after, progress.more))
    }
}

/// What a reader is shown of an event.
enum Seen {
    Nothing,
    Event { end: Option<End> },
}

/// What a reader of `topics` is shown of an event that was read for them. What a fork has taken
/// over may have ended its source; that is no end of the fork, and nothing at all without data.
fn seen(event: &StoredEvent<'_>, topics: &[TopicId], private: bool) -> Seen {
    if event.private && !private {
        return Seen::Nothing;
    }
    let here = event.topics.iter().any(|topic| topics.contains(topic));
    match event.end {
        Some(_) if !here && event.data.is_empty() => Seen::Nothing,
        Some(end) if here => Seen::Event { end: Some(crate::publish::end_from_log(end)) },
        _ => Seen::Event { end: None },
    }
}

fn alternates(
    event: &StoredEvent<'_>,
    mut face: impl FnMut(TopicId) -> Face,
) -> Vec<Cow<'static, str>> {
    event.topics[1..].iter().map(|&topic| Cow::Owned(face(topic).name.to_string())).collect()
}

fn framed<'a>(
    hub: &Hub,
    event: &StoredEvent<'a>,
    end: Option<End>,
    face: &'a Face,
    alternates: &'a [Cow<'a, str>],
) -> Framed<'a> {
    Framed {
        id: Position { epoch: hub.epoch(), sequence: event.sequence },
        topic: &face.name,
        alternates,
        time_ms: event.time_ms,
        event_type: event.event_type,
        key: event.key,
        publisher_id: event.publisher_id,
        end,
        binary: face.binary,
        data: event.data,
    }
}

/// A span in the making.
struct Reading<'h> {
    hub: &'h Hub,
    view: View,
    bytes: Vec<u8>,
    /// Sequence, beginning and key of each frame.
    frames: Vec<(u64, u32, u64)>,
    since_ms: Option<u64>,
    end: Option<End>,
    keepable: bool,
}

impl<'h> Reading<'h> {
    fn new(hub: &'h Hub, view: View) -> Self {
        Self {
            hub,
            view,
            bytes: Vec::new(),
            frames: Vec::new(),
            since_ms: None,
            end: None,
            keepable: true,
        }
    }

    fn add(
        &mut self,
        event: &StoredEvent<'_>,
        end: Option<End>,
        mut face: impl FnMut(TopicId) -> Face,
    ) {
        let canonical = face(event.topics[0]);
        let alternates = alternates(event, face);
        let start = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        let key = event.key.map_or(0, |key| self.hub.key_hash(event.topics[0], key));
        self.frames.push((event.sequence, start, key));
        let framed = framed(self.hub, event, end, &canonical, &alternates);
        framed.encode(self.view.framing, self.hub.counters(), &mut self.bytes);
        self.since_ms.get_or_insert(event.time_ms);
        self.end = end;
        self.keepable &= event.expires_ms.is_none();
    }

    fn finish(mut self, after: u64) -> (Span, Vec<(u64, u32)>) {
        if self.view.conflate {
            self.keep_newest_per_key();
        }
        let span = Span {
            events: u32::try_from(self.frames.len()).unwrap_or(u32::MAX),
            bytes: self.bytes.into(),
            after,
            end: self.end,
            since_ms: self.since_ms.unwrap_or(0),
        };
        let frames = self.frames.iter().map(|&(sequence, start, _)| (sequence, start)).collect();
        (span, frames)
    }

    fn keep_newest_per_key(&mut self) {
        let mut seen = HashSet::new();
        let wanted: Vec<bool> =
            self.frames.iter().rev().map(|&(_, _, key)| key == 0 || seen.insert(key)).collect();
        let ends = self.frames.iter().skip(1).map(|frame| frame.1 as usize);
        let ends: Vec<usize> = ends.chain([self.bytes.len()]).collect();
        let mut bytes = Vec::with_capacity(self.bytes.len());
        let mut frames = Vec::new();
        for ((frame, end), wanted) in self.frames.iter().zip(ends).zip(wanted.into_iter().rev()) {
            if wanted {
                let start = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
                frames.push((frame.0, start, frame.2));
                bytes.extend_from_slice(&self.bytes[frame.1 as usize..end]);
            }
        }
        self.bytes = bytes;
        self.frames = frames;
    }
}
