//! One round of housekeeping, off the append path: flush, seal, let go of what policies no longer
//! keep, delete and rewrite segments. Every step is bounded; what is left over is the next round's.
//!
//! Before a segment is deleted or rewritten a checkpoint is stored, because the segment's control
//! records and what is known of its removed events would be gone with it.

use std::collections::BTreeSet;
use std::io;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use crate::hash::NumberMap;
use crate::index::Piece;
use crate::log::Maintained;
use crate::segment::{segment_name, sidecar_name};
use crate::shared::{MaintainState, Shared};
use crate::table::{SegmentState, Table};
use crate::{MaintainError, SyncError, TopicId, checkpoint, limits};

/// A checkpoint up to this size is written whenever a segment can go, bytes.
const CHECKPOINT_SMALL: u64 = 1024 * 1024;
/// A larger one when the segments that can go are larger than it, or after this time, milliseconds.
const CHECKPOINT_WAIT_MS: u64 = 60_000;

/// Turns an I/O error into a maintenance error.
pub(crate) fn failed(what: &str) -> impl Fn(io::Error) -> MaintainError + '_ {
    move |source| MaintainError::Io { what: what.to_owned(), source }
}

impl Shared {
    /// See [`crate::Log::maintain`].
    pub(crate) fn maintain(&self, now_ms: u64) -> Result<Maintained, MaintainError> {
        let mut state = self.maintaining.lock().unwrap_or_else(PoisonError::into_inner);
        let mut done = Maintained::default();
        let clock = self.observe(now_ms);
        if self.closed.load(Ordering::Acquire) {
            return Ok(done);
        }
        if let Some(why) = self.failed() {
            return Err(SyncError(why.to_owned()).into());
        }
        // A full disk is reported to the next append; here it only means that nothing was flushed.
        let _ = self.flush();
        self.extend_reservation();
        self.write().ledger.expire(clock);
        self.seal_full(&mut done)?;
        self.retain(&mut state, now_ms, &mut done)?;
        self.collect_garbage(&mut state, now_ms, &mut done)?;
        Ok(done)
    }

    /// Seals segments that nothing is written to any more.
    fn seal_full(&self, done: &mut Maintained) -> Result<(), MaintainError> {
        let full: Vec<u64> = {
            let table = self.read();
            let newest = table.last_segment;
            let states = table.segments.iter();
            let full = states.filter(|(id, state)| **id != newest && state.unsealed.is_some());
            full.map(|(id, _)| *id).collect()
        };
        done.more |= full.len() > limits::MAINTAIN_SEALS_MAX;
        for id in full.into_iter().take(limits::MAINTAIN_SEALS_MAX) {
            self.seal(id)?;
            done.sealed += 1;
        }
        Ok(())
    }

    /// Applies retention to the next topics of the pass.
    fn retain(
        &self,
        state: &mut MaintainState,
        now_ms: u64,
        done: &mut Maintained,
    ) -> Result<(), MaintainError> {
        if state.topics.is_empty() {
            state.topics = self.read().topics.keys().copied().collect();
        }
        let left = state.topics.len().saturating_sub(limits::MAINTAIN_TOPICS_MAX);
        let mut floors = NumberMap::default();
        for id in state.topics.split_off(left) {
            let settled = self.settle(id, now_ms, &mut floors);
            settled.map_err(failed("reading an index file"))?;
        }
        done.more |= left > 0;
        Ok(())
    }

    /// Lets go of what the topic's policy no longer keeps. `floors` remembers where an age begins.
    fn settle(&self, id: TopicId, now_ms: u64, floors: &mut NumberMap<u64, u64>) -> io::Result<()> {
        let (age, excess) = {
            let table = self.read();
            let Some(topic) = table.topics.get(&id) else {
                return Ok(());
            };
            let retention = topic.policy.retention;
            let excess = retention.bytes.map_or(0, |limit| topic.bytes.saturating_sub(limit));
            let counted = topic.count_floor() > topic.settled;
            let trimmed = topic.piece(0).is_some_and(|piece| piece.first() <= topic.floor);
            if retention.age_ms.is_none() && excess == 0 && !counted && !trimmed {
                return Ok(());
            }
            (retention.age_ms, excess)
        };
        let mut floor = 0;
        if let Some(age) = age {
            floor = match floors.get(&age) {
                Some(floor) => *floor,
                None => {
                    let floor = self.before_time(now_ms.saturating_sub(age), 0)?;
                    floors.insert(age, floor);
                    floor
                }
            };
        }
        if excess > 0 {
            floor = floor.max(self.floor_for_bytes(id, excess)?);
        }
        let front = self.front_ordinal(id, floor)?;
        let mut table = self.write();
        table.raise_floor(id, floor);
        table.settle(id, front);
        Ok(())
    }

    /// The sequence up to which events must go so that at least `excess` bytes do.
    fn floor_for_bytes(&self, id: TopicId, mut excess: u64) -> io::Result<u64> {
        let mut floor = 0;
        let mut index = 0;
        loop {
            let (base, entries, run) = {
                let table = self.read();
                let Some(topic) = table.topics.get(&id) else {
                    return Ok(floor);
                };
                let Some(piece) = topic.piece(index) else {
                    return Ok(floor);
                };
                let dead = topic.settled.saturating_sub(piece.first_ordinal()).min(piece.count());
                let whole = dead == 0 && piece.bytes() <= excess;
                if whole {
                    excess -= piece.bytes();
                    floor = piece.last();
                    index += 1;
                    continue;
                }
                match piece {
                    Piece::Open(run) => (run.base, run.entries[dead as usize..].to_vec(), None),
                    Piece::Sealed(run) => {
                        let Some(found) = table.segments.get(&run.segment) else {
                            return Ok(floor);
                        };
                        let rest = (run.start + dead as u32, run.count - dead as u32);
                        let base = found.handle.header.base_sequence;
                        (base, Vec::new(), Some((found.handle.clone(), rest)))
                    }
                }
            };
            let entries = match run {
                Some((segment, (start, count))) => segment.entries(start, count)?,
                None => entries,
            };
            for entry in entries {
                if excess == 0 {
                    return Ok(floor);
                }
                excess = excess.saturating_sub(u64::from(entry.length));
                floor = base + u64::from(entry.delta);
            }
            index += 1;
        }
    }

    /// The ordinal of the first entry above the topic's floor or `floor`, if that is worth a look
    /// into its first run.
    fn front_ordinal(&self, id: TopicId, floor: u64) -> io::Result<u64> {
        let floor = {
            let table = self.read();
            let Some(topic) = table.topics.get(&id) else {
                return Ok(0);
            };
            topic.floor.max(floor)
        };
        self.ordinal_after(id, floor)
    }

    /// Deletes segments without live events and rewrites mostly dead ones.
    fn collect_garbage(
        &self,
        state: &mut MaintainState,
        now_ms: u64,
        done: &mut Maintained,
    ) -> Result<(), MaintainError> {
        let (mut dead, mut sparse, bytes) = {
            let table = self.read();
            let newest = table.last_segment;
            let sealed = || {
                let states = table.segments.values();
                states.filter(|state| state.unsealed.is_none() && state.handle.header.id != newest)
            };
            let dead: Vec<u64> = sealed()
                .filter(|state| state.live_entries == 0)
                .map(|state| state.handle.header.id)
                .collect();
            let sparse: Vec<u64> = sealed()
                .filter(|state| state.live_entries > 0 && is_sparse(state, now_ms))
                .map(|state| state.handle.header.id)
                .collect();
            let size = |id: &u64| table.segments.get(id).map_or(0, |state| state.file_bytes);
            let bytes: u64 = dead.iter().chain(&sparse).map(size).sum();
            (dead, sparse, bytes)
        };
        if dead.is_empty() && sparse.is_empty() {
            return Ok(());
        }
        let waited = now_ms.saturating_sub(state.checkpoint_ms) >= CHECKPOINT_WAIT_MS;
        if state.checkpoint_bytes > bytes.max(CHECKPOINT_SMALL) && !waited {
            return Ok(());
        }
        done.more |= dead.len() > limits::MAINTAIN_DELETES_MAX
            || sparse.len() > limits::MAINTAIN_REWRITES_MAX;
        dead.truncate(limits::MAINTAIN_DELETES_MAX);
        sparse.truncate(limits::MAINTAIN_REWRITES_MAX);
        let mut rewrites = Vec::with_capacity(sparse.len());
        for id in &sparse {
            rewrites.extend(self.rewrite(*id, now_ms)?);
        }
        self.store_checkpoint(state, now_ms, dead.iter().chain(&sparse))?;
        self.delete_segments(&dead, done)?;
        for rewrite in rewrites {
            done.freed_bytes += self.put_in_place(rewrite)?;
            done.rewritten += 1;
        }
        Ok(())
    }

    /// Stores the table; `going` are the segments that are about to be deleted or rewritten.
    fn store_checkpoint<'a>(
        &self,
        state: &mut MaintainState,
        now_ms: u64,
        going: impl Iterator<Item = &'a u64>,
    ) -> Result<(), MaintainError> {
        let going: BTreeSet<u64> = going.copied().collect();
        let (bytes, covers) = {
            let table = self.read();
            let requests = table.ledger.requests(self.clock());
            let orphans: Vec<_> = requests
                .into_iter()
                .filter(|(_, request)| table.is_orphan(request.repeated.first, &going))
                .collect();
            (checkpoint::encode(&table, self.secret.check(), &orphans), table.newest_batch)
        };
        // What the checkpoint covers must not be lost in a crash that the checkpoint survives.
        self.sync_through(covers)?;
        checkpoint::store(&*self.storage, &bytes).map_err(failed("writing a checkpoint"))?;
        state.checkpoint_ms = now_ms;
        state.checkpoint_bytes = bytes.len() as u64;
        Ok(())
    }

    /// Puts everything up to this batch on the device.
    pub(crate) fn sync_through(&self, batch: u64) -> Result<(), MaintainError> {
        if self.synced.load(Ordering::Acquire) < batch {
            let flushed = self.flush();
            flushed.map_err(|error| failed("flushing")(io::Error::other(error.to_string())))?;
            self.sync()?;
        }
        Ok(())
    }

    fn delete_segments(&self, dead: &[u64], done: &mut Maintained) -> Result<(), MaintainError> {
        for id in dead {
            let removed = {
                let mut table = self.write();
                table.damaged.retain(|damage| damage.segment != *id);
                table.segments.remove(id)
            };
            done.freed_bytes += removed.map_or(0, |state| state.file_bytes);
            // The segment first: a sidecar without a segment is harmless.
            self.storage.remove(&segment_name(*id)).map_err(failed("removing a segment"))?;
            let sidecar = self.storage.remove(&sidecar_name(*id));
            sidecar.map_err(failed("removing an index file"))?;
            done.deleted += 1;
        }
        if !dead.is_empty() {
            self.storage.sync_dir().map_err(failed("syncing the folder"))?;
            let mut table = self.write();
            let oldest = table.segments.values().next();
            let oldest = oldest.map_or(0, |state| state.handle.header.base_sequence);
            table.ledger.forget_ids_before(oldest);
        }
        Ok(())
    }
}

/// Less than half of what a rewrite could leave out or keep is live. (Headers do not count: of
/// small records they are half of the file, and a rewrite would not make them fewer.)
fn is_sparse(state: &SegmentState, now_ms: u64) -> bool {
    // Once the last expiring record has expired they are all dead. Those that retention had removed
    // before are counted twice then, which at worst makes a rewrite early.
    let expired = if state.expired_at <= now_ms { state.expiring_bytes } else { 0 };
    state.live_bytes.saturating_sub(expired) < state.total_bytes / 2
}

impl Table {
    /// Counts the topic's removed entries as dead: whole runs are forgotten, of the first run left
    /// those below `front`.
    fn settle(&mut self, id: TopicId, front: u64) {
        let Some(topic) = self.topics.get_mut(&id) else {
            return;
        };
        if topic.conflated.is_some() {
            return;
        }
        let front = front.max(topic.count_floor());
        while let Some(piece) = topic.piece(0) {
            let gone = piece.last() <= topic.floor || piece.end_ordinal() <= front;
            // An open run goes into the sidecar first, dead or not: the newest removed event must
            // be known after a restart.
            if !gone || matches!(piece, Piece::Open(_)) {
                break;
            }
            let Some((segment, entries, bytes)) = topic.pop_front() else {
                break;
            };
            if let Some(state) = self.segments.get_mut(&segment) {
                state.discount(entries, bytes);
            }
        }
        let (dead, dead_bytes) = topic.dead_in_front();
        let Some(piece) = topic.piece(0) else { return };
        let now_dead = front.saturating_sub(piece.first_ordinal()).min(piece.count());
        if now_dead <= dead {
            return;
        }
        let now_dead_bytes = match piece {
            Piece::Open(run) => {
                let gone = &run.entries[..now_dead as usize];
                gone.iter().map(|entry| u64::from(entry.length)).sum()
            }
            // Close enough to decide about rewriting; it evens out when the whole run goes.
            Piece::Sealed(run) => run.bytes * now_dead / u64::from(run.count),
        };
        let more = now_dead_bytes.saturating_sub(dead_bytes);
        let segment = piece.segment();
        let settled = piece.first_ordinal() + now_dead;
        topic.settled = settled;
        topic.front_dead = dead_bytes + more;
        topic.bytes = topic.bytes.saturating_sub(more);
        if let Some(state) = self.segments.get_mut(&segment) {
            state.discount(now_dead - dead, more);
        }
    }

    /// No segment will have this request any more.
    fn is_orphan(&self, first: u64, going: &BTreeSet<u64>) -> bool {
        let within = self.segments.iter().rev().find(|(_, state)| {
            state.handle.header.base_sequence <= first && first <= state.last_sequence
        });
        within.is_none_or(|(id, state)| going.contains(id) || state.handle.header.generation > 0)
    }
}
