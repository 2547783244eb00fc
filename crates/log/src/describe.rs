//! Topics and the whole log as an operator or a client sees them.

use std::io;
use std::ops::Bound;
use std::sync::atomic::Ordering;

use crate::log::{State, Status};
use crate::shared::Shared;
use crate::{TopicId, TopicInfo};

impl Shared {
    /// See [`crate::Log::describe`].
    pub(crate) fn describe(&self, id: TopicId) -> Option<TopicInfo> {
        let mut info = {
            let table = self.read();
            let topic = table.topics.get(&id)?;
            let live = topic.conflated.as_ref().map_or(0, |conflated| conflated.live.len() as u64);
            TopicInfo {
                id,
                name: topic.name.clone(),
                policy: topic.policy.clone(),
                created_ms: topic.created_ms,
                closed: topic.closed,
                forked_from: topic.fork,
                oldest: None,
                newest: topic.newest,
                count: live,
                bytes: topic.bytes,
            }
        };
        // If the index cannot be read, the counters stay empty: the read itself will say why.
        let _ = self.describe_events(&mut info);
        Some(info)
    }

    fn describe_events(&self, info: &mut TopicInfo) -> io::Result<()> {
        let now_ms = self.clock();
        for (depth, level) in self.levels(info.id, now_ms, 0)?.into_iter().enumerate() {
            if !info.policy.conflate {
                let end = self.ordinal_after(level.topic, level.through)?;
                let start = self.ordinal_after(level.topic, level.floor)?;
                info.count += end.saturating_sub(start);
            }
            let oldest = self.first_after(level.topic, level.floor)?;
            let oldest = oldest.filter(|oldest| *oldest <= level.through);
            info.oldest = oldest.or(info.oldest);
            if depth > 0 && info.newest == 0 {
                info.newest = self.newest_through(level.topic, level.through)?;
            }
        }
        Ok(())
    }

    /// See [`crate::Log::topics`].
    pub(crate) fn topics(&self, after_name: Option<&str>, limit: usize) -> Vec<TopicInfo> {
        let from = after_name.map_or(Bound::Unbounded, Bound::Excluded);
        let ids: Vec<TopicId> = {
            let table = self.read();
            let names = table.names.range::<str, _>((from, Bound::Unbounded));
            names.map(|(_, id)| *id).take(limit).collect()
        };
        ids.into_iter().filter_map(|id| self.describe(id)).collect()
    }

    /// See [`crate::Log::count_named`].
    pub(crate) fn count_named(&self, from: &str, before: &str) -> usize {
        let range = (Bound::Included(from), Bound::Excluded(before));
        self.read().names.range::<str, _>(range).count()
    }

    /// See [`crate::Log::status`].
    pub(crate) fn status(&self) -> Status {
        let state = match self.failed() {
            Some(why) => State::Failed { why: why.to_owned() },
            None if self.closed.load(Ordering::Acquire) => State::Closed,
            None => State::Healthy,
        };
        let table = self.read();
        Status {
            state,
            segments: table.segments.len() as u64,
            disk_bytes: table.segments.values().map(|segment| segment.file_bytes).sum(),
            topics: table.topics.len() as u64,
            retained_events: table.segments.values().map(|segment| segment.live_entries).sum(),
            newest: table.newest,
            newest_batch: table.newest_batch,
            synced_batch: self.synced.load(Ordering::Acquire),
            damaged: table.damaged.clone(),
        }
    }
}
