//! Sealing: a segment that is full and on the device gets its sidecar, and its entries leave the memory.

use std::collections::BTreeSet;

use crate::index::{Piece, Run};
use crate::maintain::failed;
use crate::segment::{SidecarFile, sidecar_name};
use crate::shared::Shared;
use crate::sidecar::{self, Contents, RunEntries, Summary};
use crate::storage::replace;
use crate::{MaintainError, TopicId};

/// Topics that are looked at under one hold of the lock.
const TOPICS_PER_LOCK: usize = 1024;

impl Shared {
    /// Writes the sidecar of a segment that nothing is written to any more and that is on the device.
    pub(crate) fn seal(&self, id: u64) -> Result<(), MaintainError> {
        let Some((handle, end, file_bytes, topics, contents)) = self.unsealed_contents(id) else {
            return Ok(());
        };
        if file_bytes > u64::from(end) {
            // The preallocated rest goes back to the disk.
            let cut = handle
                .file
                .truncate(u64::from(end))
                .and_then(|()| handle.file.sync());
            cut.map_err(failed("cutting a full segment"))?;
        }
        let (bytes, runs) = sidecar::encode(&handle.header, self.secret.check(), &contents);
        let file = replace(&*self.storage, &sidecar_name(id), &bytes);
        let file = file.map_err(failed("writing an index file"))?;
        let located = SidecarFile::new(file, &contents);
        // Set once: only maintenance seals, one round at a time.
        let _ = handle.sidecar.set(located);
        for runs in chunks_by_topic(&runs) {
            let mut table = self.write();
            for (topic, run) in runs {
                let Some(topic) = table.topics.get_mut(topic) else {
                    continue;
                };
                topic.seal_run(run);
            }
        }
        let mut table = self.write();
        for topic in topics {
            if let Some(topic) = table.topics.get_mut(&topic) {
                topic.open.retain(|run| run.segment != id);
            }
        }
        if let Some(state) = table.segments.get_mut(&id) {
            state.unsealed = None;
            state.file_bytes = u64::from(end);
        }
        Ok(())
    }

    /// What the sidecar of an unsealed segment will hold.
    #[allow(
        clippy::type_complexity,
        reason = "taken apart at once by the only caller"
    )]
    fn unsealed_contents(
        &self,
        id: u64,
    ) -> Option<(
        std::sync::Arc<crate::segment::Segment>,
        u32,
        u64,
        Vec<TopicId>,
        Contents,
    )> {
        let (handle, end, file_bytes, topics, mut contents) = {
            let table = self.read();
            let state = table.segments.get(&id)?;
            let unsealed = state.unsealed.as_ref()?;
            let summary = Summary {
                end: state.end,
                last_batch: state.last_batch,
                last_sequence: state.last_sequence,
                last_time: state.last_time,
                expiring_bytes: state.expiring_bytes,
                expired_at: state.expired_at,
            };
            let damaged = table
                .damaged
                .iter()
                .filter(|damage| damage.segment == id)
                .cloned();
            let contents = Contents {
                summary,
                runs: Vec::new(),
                times: unsealed.times.clone(),
                tags: unsealed.tags.clone(),
                controls: unsealed.controls.clone(),
                damaged: damaged.collect(),
            };
            let topics: BTreeSet<TopicId> = unsealed.topics.iter().copied().collect();
            let topics: Vec<TopicId> = topics.into_iter().collect();
            (
                state.handle.clone(),
                state.end,
                state.file_bytes,
                topics,
                contents,
            )
        };
        for some in topics.chunks(TOPICS_PER_LOCK) {
            let table = self.read();
            for id_of_topic in some {
                let Some(topic) = table.topics.get(id_of_topic) else {
                    continue;
                };
                for run in topic.open.iter().filter(|run| run.segment == id) {
                    contents.runs.push(RunEntries {
                        topic: *id_of_topic,
                        first_ordinal: run.first_ordinal,
                        entries: run.entries.clone(),
                    });
                }
            }
        }
        Some((handle, end, file_bytes, topics, contents))
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

impl crate::topic_state::Topic {
    /// Replaces the oldest open run by its sealed form.
    fn seal_run(&mut self, run: &Run) {
        let same = |open: &crate::index::OpenRun| {
            open.segment == run.segment && open.first_ordinal == run.first_ordinal
        };
        // It is the oldest open one, unless it has been removed meanwhile.
        if self.open.front().is_some_and(same) {
            self.open.pop_front();
            self.runs.push_back(*run);
        }
        debug_assert!(
            self.open
                .front()
                .is_none_or(|open| Piece::Open(open).first() > run.last)
        );
    }
}
