//! Sealing: a segment that is full and on the device gets its sidecar, and its entries leave the
//! memory.
//!
//! Segments are sealed in order, oldest first: a topic's sealed runs come before its open ones.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::index::{OpenRun, Run};
use crate::maintain::failed;
use crate::segment::{Segment, SidecarFile, sidecar_name};
use crate::shared::Shared;
use crate::sidecar::{self, Contents, RunEntries, Summary};
use crate::storage::replace;
use crate::table::Table;
use crate::topic_state::Topic;
use crate::{MaintainError, TopicId};

/// Topics that are looked at under one hold of the lock.
const TOPICS_PER_LOCK: usize = 1024;

/// A segment about to be sealed: its sidecar lacks the runs of its topics.
pub(crate) struct Unfinished {
    pub(crate) handle: Arc<Segment>,
    pub(crate) file_bytes: u64,
    pub(crate) topics: Vec<TopicId>,
    pub(crate) contents: Contents,
}

impl Shared {
    /// Writes the sidecar of a segment that nothing is written to any more and that is on the
    /// device.
    pub(crate) fn seal(&self, id: u64) -> Result<(), MaintainError> {
        let Some(mut unfinished) = self.read().unfinished(id) else {
            return Ok(());
        };
        for topics in unfinished.topics.chunks(TOPICS_PER_LOCK) {
            let table = self.read();
            table.gather_runs(id, topics, &mut unfinished.contents);
        }
        // Topics that have been deleted by now are left out: that must not be lost in a crash that
        // the sidecar survives.
        let newest_batch = self.read().newest_batch;
        self.sync_through(newest_batch)?;
        let handle = unfinished.handle;
        let end = u64::from(unfinished.contents.summary.end);
        if unfinished.file_bytes > end {
            // The preallocated rest goes back to the disk.
            let cut = handle.file.truncate(end).and_then(|()| handle.file.sync());
            cut.map_err(failed("cutting a full segment"))?;
        }
        let contents = &unfinished.contents;
        let (bytes, runs) = sidecar::encode(&handle.header, self.secret.check(), contents);
        let file = replace(&*self.storage, &sidecar_name(id), &bytes);
        let file = file.map_err(failed("writing an index file"))?;
        handle.seal(SidecarFile::new(file, contents));
        for runs in chunks_by_topic(&runs) {
            self.write().seal_runs(runs);
        }
        self.write().sealed(id, &unfinished.topics);
        Ok(())
    }
}

impl Table {
    /// What the sidecar of an unsealed segment will hold, except the runs.
    pub(crate) fn unfinished(&self, id: u64) -> Option<Unfinished> {
        let state = self.segments.get(&id)?;
        let unsealed = state.unsealed.as_ref()?;
        let summary = Summary {
            end: state.end,
            last_batch: state.last_batch,
            last_sequence: state.last_sequence,
            last_time: state.last_time,
            expiring_bytes: state.expiring_bytes,
            expired_at: state.expired_at,
        };
        let damaged = self.damaged.iter().filter(|damage| damage.segment == id);
        let contents = Contents {
            summary,
            runs: Vec::new(),
            times: unsealed.times.clone(),
            tags: unsealed.tags.clone(),
            controls: unsealed.controls.clone(),
            damaged: damaged.cloned().collect(),
        };
        let topics: BTreeSet<TopicId> = unsealed.topics.iter().copied().collect();
        Some(Unfinished {
            handle: state.handle.clone(),
            file_bytes: state.file_bytes,
            topics: topics.into_iter().collect(),
            contents,
        })
    }

    /// Adds the runs of these topics.
    pub(crate) fn gather_runs(&self, id: u64, topics: &[TopicId], contents: &mut Contents) {
        for name in topics {
            let Some(topic) = self.topics.get(name) else {
                continue;
            };
            for run in topic.open.iter().filter(|run| run.segment == id) {
                contents.runs.push(RunEntries {
                    topic: *name,
                    first_ordinal: run.first_ordinal,
                    entries: run.entries.clone(),
                });
            }
        }
    }

    /// Replaces open runs by their sealed form.
    pub(crate) fn seal_runs(&mut self, runs: &[(TopicId, Run)]) {
        for (topic, run) in runs {
            if let Some(topic) = self.topics.get_mut(topic) {
                topic.seal_run(run);
            }
        }
    }

    /// The segment is sealed.
    pub(crate) fn sealed(&mut self, id: u64, topics: &[TopicId]) {
        for topic in topics {
            if let Some(topic) = self.topics.get_mut(topic) {
                topic.open.remove_segment(id);
            }
        }
        if let Some(state) = self.segments.get_mut(&id) {
            state.unsealed = None;
            state.file_bytes = u64::from(state.end);
        }
    }
}

/// Splits at the borders of topics, so that a topic changes under one hold of the lock.
fn chunks_by_topic(runs: &[(TopicId, Run)]) -> Vec<&[(TopicId, Run)]> {
    let mut chunks = Vec::new();
    let mut rest = runs;
    while !rest.is_empty() {
        let mut at = rest.len().min(TOPICS_PER_LOCK);
        while at < rest.len() && rest[at].0 == rest[at - 1].0 {
            at += 1;
        }
        let (chunk, others) = rest.split_at(at);
        chunks.push(chunk);
        rest = others;
    }
    chunks
}

impl Topic {
    /// Replaces the oldest open run by its sealed form.
    fn seal_run(&mut self, run: &Run) {
        let same =
            |open: &OpenRun| open.segment == run.segment && open.first_ordinal == run.first_ordinal;
        // It is the oldest open one, unless it has been removed meanwhile.
        if self.open.oldest().is_some_and(same) {
            self.open.pop_oldest();
            self.runs.push_back(*run);
        }
    }
}
