//! What a subscriber misses: events after its position that are gone, of topics that exist and of
//! those that were deleted.
//!
//! Asked when a subscription resumes, and again whenever it has read the log, because events can go
//! while it reads. Each thing is told once.

use std::collections::HashMap;
use std::sync::Arc;

use tidings_frame::{GapReason, Position};
use tidings_log as log;

use crate::hub::Hub;
use crate::selection::Selection;

/// What a subscriber cannot be given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Why.
    pub reason: GapReason,
    /// The id that it asked to resume after.
    pub requested: String,
    /// The position from which the stream goes on.
    pub resumes: Position,
    /// The topics concerned; empty for all.
    pub topics: Vec<Arc<str>>,
}

impl Gap {
    /// Both as one, when more turned out to be missing before this was told.
    #[must_use]
    pub fn and(mut self, later: Self) -> Self {
        self.resumes = later.resumes;
        if later.topics.is_empty() {
            self.topics.clear();
        } else if !self.topics.is_empty() {
            self.topics.extend(later.topics);
        }
        self
    }
}

/// What a subscriber was told before. Its position only rises.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    /// Up to where events of a topic are missing.
    topics: HashMap<log::TopicId, u64>,
    /// Up to where those of deleted topics are, by name.
    deleted: HashMap<Arc<str>, u64>,
    /// The same of deleted topics whose names are not known any more.
    floor: u64,
    /// How many deletions were looked at.
    deletions: Option<u64>,
}

impl Told {
    /// The selection is another one: what it has new was not looked at.
    pub(crate) fn look_again(&mut self, more_patterns: bool) {
        self.deletions = None;
        if more_patterns {
            self.floor = 0;
        }
    }
}

/// Deleted topics of a selection.
#[derive(Default)]
struct Deleted {
    names: Vec<Arc<str>>,
    /// The newest event that any of them had.
    through: u64,
    /// There may be others.
    unknown: bool,
}

impl Hub {
    /// What a subscriber at `after` misses that was not `told` before. Notes it as told. `topics`
    /// are those of the selection that exist.
    pub(crate) fn missed(
        &self,
        selection: &Selection,
        topics: &[log::TopicId],
        after: u64,
        told: &mut Told,
    ) -> Option<Gap> {
        let now_ms = self.now_ms();
        let deleted = self.deleted(selection, after, told);
        let mut names = deleted.names.clone();
        let mut first = None;
        for &topic in topics {
            let Some(missing) = self.log.missing(topic, after, now_ms) else { continue };
            let known = told.topics.insert(topic, missing.through);
            if known.is_none_or(|through| through < missing.through) {
                let name = self.log.describe(topic).map(|info| info.name);
                names.extend(name.filter(|name| !deleted.names.contains(name)));
                first.get_or_insert(missing);
            }
        }
        let any_deleted = deleted.unknown || !deleted.names.is_empty();
        let reason = match &first {
            None if !any_deleted => return None,
            Some(missing) if !any_deleted => reason(missing.reason),
            _ => GapReason::Retention,
        };
        let sequence = if selection.single().is_some() {
            self.goes_on(topics, after, first.as_ref(), deleted.through)
        } else if topics.len() == 1 && !any_deleted {
            self.goes_on(topics, after, first.as_ref(), 0)
        } else {
            // What is kept of the others must still be sent.
            after
        };
        if deleted.unknown {
            names.clear();
        }
        let at = |sequence| Position { epoch: self.epoch(), sequence };
        let (requested, resumes) = (at(after).to_string(), at(sequence));
        Some(Gap { reason, requested, resumes, topics: names })
    }

    /// Where a stream of one topic goes on: behind what is gone, if all before that is. With a hole
    /// in the middle, what is kept before must still be sent.
    fn goes_on(
        &self,
        topics: &[log::TopicId],
        after: u64,
        missing: Option<&log::Missing>,
        deleted: u64,
    ) -> u64 {
        let gone = match missing {
            None => after,
            Some(missing) if missing.reason == log::Reason::Retention => missing.through,
            Some(_) => return after,
        };
        // A topic made anew as a fork may have events from before the deletion.
        let info = topics.first().and_then(|&topic| self.log.describe(topic));
        let oldest = info.and_then(|info| info.oldest);
        if oldest.is_none_or(|oldest| oldest > deleted) { gone.max(deleted) } else { gone }
    }

    /// The deleted topics of the selection with events after `after` that were not told before.
    fn deleted(&self, selection: &Selection, after: u64, told: &mut Told) -> Deleted {
        let deletions = self.log.deletions();
        let mut deleted = Deleted::default();
        if told.deletions.replace(deletions) == Some(deletions) {
            return deleted;
        }
        let mut note = |name: Arc<str>, newest: u64| {
            let known = told.deleted.insert(name.clone(), newest);
            if known.is_none_or(|known| known < newest) {
                deleted.names.push(name);
                deleted.through = deleted.through.max(newest);
            }
        };
        if selection.patterns().is_empty() {
            for name in selection.topics() {
                let newest = self.log.deleted(name.as_str());
                if newest > after {
                    note(name.as_str().into(), newest);
                }
            }
            return deleted;
        }
        let floor = self.log.deleted_after(after, &mut |name, newest| {
            if selection.matches(name) {
                note(name.clone(), newest);
            }
        });
        deleted.unknown = floor > after && floor > told.floor;
        told.floor = floor;
        deleted
    }
}

fn reason(missing: log::Reason) -> GapReason {
    match missing {
        log::Reason::Retention => GapReason::Retention,
        log::Reason::Crash => GapReason::Crash,
        log::Reason::Damage => GapReason::Damage,
    }
}
