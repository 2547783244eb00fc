//! What the writer, the readers and the background rounds of one open log have in common.
//!
//! Lock order: `maintaining`, `syncing`, `life`, `flushing`, `table`. The table's lock is never
//! held during I/O.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{
    Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
};

use rustix::io::Errno;

use crate::hash::Secret;
use crate::life::LifeFile;
use crate::segment::Segment;
use crate::table::Table;
use crate::{AppendError, Storage, SyncError, TopicId, limits};

/// Where maintenance goes on in the next round.
#[derive(Debug, Default)]
pub(crate) struct MaintainState {
    /// Topics still to look at in this pass.
    pub(crate) topics: Vec<TopicId>,
    /// Time and size of the newest checkpoint.
    pub(crate) checkpoint_ms: u64,
    pub(crate) checkpoint_bytes: u64,
}

pub(crate) struct Shared {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) secret: Secret,
    pub(crate) epoch: String,
    pub(crate) first_issued: u64,
    pub(crate) newest_before: u64,
    table: RwLock<Table>,
    life: Mutex<LifeFile>,
    /// No sequence above this may be given.
    pub(crate) reserved: AtomicU64,
    pub(crate) synced: AtomicU64,
    /// Segments with bytes that may not be on the device, oldest first.
    pub(crate) unsynced: Mutex<Unsynced>,
    syncing: Mutex<()>,
    /// Held while pending bytes are handed to the kernel.
    flushing: Mutex<()>,
    pub(crate) maintaining: Mutex<MaintainState>,
    failed: OnceLock<String>,
    pub(crate) closed: AtomicBool,
    /// Highest time that anybody told us: what has aged until then is gone for good.
    clock: AtomicU64,
    lock: Mutex<Option<Box<dyn Send + Sync>>>,
}

/// What the next sync has to do.
#[derive(Debug, Default)]
pub(crate) struct Unsynced {
    pub(crate) segments: Vec<Arc<Segment>>,
    /// A segment was created since the folder was synced.
    pub(crate) folder: bool,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Shared").field("epoch", &self.epoch).finish_non_exhaustive()
    }
}

/// What opening hands over.
pub(crate) struct Parts {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) lock: Box<dyn Send + Sync>,
    pub(crate) life: LifeFile,
    pub(crate) table: Table,
    pub(crate) first_issued: u64,
    pub(crate) newest_before: u64,
    pub(crate) now_ms: u64,
}

impl Shared {
    pub(crate) fn new(parts: Parts) -> Shared {
        let life = parts.life.life;
        Shared {
            storage: parts.storage,
            secret: life.secret,
            epoch: life.epoch.iter().map(|letter| char::from(*letter)).collect(),
            first_issued: parts.first_issued,
            newest_before: parts.newest_before,
            reserved: AtomicU64::new(life.reserved),
            synced: AtomicU64::new(parts.table.newest_batch),
            unsynced: Mutex::default(),
            table: RwLock::new(parts.table),
            life: Mutex::new(parts.life),
            syncing: Mutex::default(),
            flushing: Mutex::default(),
            maintaining: Mutex::default(),
            failed: OnceLock::new(),
            closed: AtomicBool::new(false),
            clock: AtomicU64::new(parts.now_ms),
            lock: Mutex::new(Some(parts.lock)),
        }
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Table> {
        self.table.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, Table> {
        self.table.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn unsynced(&self) -> MutexGuard<'_, Unsynced> {
        self.unsynced.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a time; returns the highest so far.
    pub(crate) fn observe(&self, now_ms: u64) -> u64 {
        self.clock.fetch_max(now_ms, Ordering::Relaxed).max(now_ms)
    }

    pub(crate) fn clock(&self) -> u64 {
        self.clock.load(Ordering::Relaxed)
    }

    pub(crate) fn failed(&self) -> Option<&str> {
        self.failed.get().map(String::as_str)
    }

    /// From now on nothing is accepted. Returns the first reason.
    pub(crate) fn fail(&self, what: &str, error: &io::Error) -> String {
        self.failed.get_or_init(|| format!("{what}: {error}")).clone()
    }

    /// An error with no effect on what is in the log, or the end of the log.
    pub(crate) fn append_error(&self, what: &str, error: &io::Error) -> AppendError {
        if is_full(error) {
            AppendError::DiskFull
        } else if is_read_only(error) {
            AppendError::ReadOnly
        } else {
            AppendError::Failed(self.fail(what, error))
        }
    }

    /// Hands pending bytes to the kernel. After an error they are still pending.
    pub(crate) fn flush(&self) -> Result<(), AppendError> {
        let _one_at_a_time = self.flushing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(why) = self.failed() {
            return Err(AppendError::Failed(why.to_owned()));
        }
        let (pending, at, batch, segment) = {
            let table = self.read();
            let newest = table.segments.values().next_back().map(|state| state.handle.clone());
            (table.pending.clone(), table.pending_at, table.newest_batch, newest)
        };
        let Some(segment) = segment.filter(|_| !pending.is_empty()) else {
            return Ok(());
        };
        let written = segment.file.write_at(&pending, u64::from(at));
        let length = pending.len();
        // Dropped before the table's copy is changed, which would otherwise be duplicated.
        drop(pending);
        written.map_err(|error| self.append_error("writing a batch", &error))?;
        let mut table = self.write();
        Arc::make_mut(&mut table.pending).drain(..length);
        table.pending_at = at + length as u32;
        table.written_batch = table.written_batch.max(batch);
        Ok(())
    }

    /// See [`crate::Log::sync`].
    pub(crate) fn sync(&self) -> Result<u64, SyncError> {
        let _one_at_a_time = self.syncing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(why) = self.failed() {
            return Err(SyncError(why.to_owned()));
        }
        let target = self.read().written_batch;
        let synced = self.synced.load(Ordering::Acquire);
        if target > synced {
            self.sync_files().map_err(|error| SyncError(self.fail("sync", &error)))?;
            self.synced.fetch_max(target, Ordering::Release);
        }
        self.extend_reservation();
        Ok(target.max(synced))
    }

    fn sync_files(&self) -> io::Result<()> {
        let (segments, folder) = {
            let unsynced = self.unsynced();
            (unsynced.segments.clone(), unsynced.folder)
        };
        for segment in &segments {
            segment.file.sync()?;
        }
        if folder {
            self.storage.sync_dir()?;
        }
        let mut unsynced = self.unsynced();
        // The newest one goes on being written to; one that was added meanwhile was not in
        // `segments`.
        let done = segments.len().saturating_sub(1);
        let grew = unsynced.segments.len() > segments.len();
        unsynced.segments.drain(..done);
        unsynced.folder = unsynced.folder && grew;
        Ok(())
    }

    /// Reserves more sequences if few are left, so that the append path need not.
    pub(crate) fn extend_reservation(&self) {
        let next = self.read().newest + 1;
        if self.reserved.load(Ordering::Relaxed).saturating_sub(next) < limits::RESERVE_LOW {
            // Not needed yet: the append path asks again if it really runs out.
            let _ = self.reserve(next);
        }
    }

    /// Reserves sequences above `next`. After an error the old reservation holds.
    pub(crate) fn reserve(&self, next: u64) -> io::Result<()> {
        let mut life = self.life.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = next.saturating_add(limits::RESERVE_SEQUENCES);
        if life.life.reserved >= wanted || self.closed.load(Ordering::Acquire) {
            return Ok(());
        }
        let synced_batch = self.synced.load(Ordering::Acquire);
        life.store(|life| {
            life.reserved = wanted;
            life.synced_batch = synced_batch;
        })?;
        self.reserved.store(wanted, Ordering::Release);
        Ok(())
    }

    /// Ends the life: `newest` is its last sequence if it ends cleanly.
    pub(crate) fn end(&self, clean_newest: Option<u64>) -> io::Result<()> {
        // Waits for a round of maintenance to end: after this nothing writes to the folder any
        // more.
        let _maintaining = self.maintaining.lock().unwrap_or_else(PoisonError::into_inner);
        let _syncing = self.syncing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut life = self.life.lock().unwrap_or_else(PoisonError::into_inner);
        self.closed.store(true, Ordering::Release);
        let stored = match clean_newest {
            None => Ok(()),
            Some(newest) => {
                let synced_batch = self.synced.load(Ordering::Acquire);
                life.store(|life| {
                    life.clean = true;
                    life.reserved = newest;
                    life.synced_batch = synced_batch;
                })
            }
        };
        *self.lock.lock().unwrap_or_else(PoisonError::into_inner) = None;
        stored
    }
}

pub(crate) fn is_full(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    errno.is_some_and(|errno| errno == Errno::NOSPC || errno == Errno::DQUOT)
        || error.kind() == io::ErrorKind::StorageFull
}

pub(crate) fn is_read_only(error: &io::Error) -> bool {
    Errno::from_io_error(error) == Some(Errno::ROFS)
        || matches!(
            error.kind(),
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied
        )
}
