//! Opening a log: what is on disk becomes the table, whatever state a crash left it in.
//!
//! Checkpoint, then segment by segment in order: a sealed one from its sidecar, any other from its
//! own bytes. What a crash tore off is cut, what damage took is noted; only then is anything
//! written, and every write can be interrupted and repeated with the same outcome.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::checkpoint;
use crate::hash::Secret;
use crate::life::{self, Life, LifeFile};
use crate::log::{Log, Opened, Options, Recovery};
use crate::record::{Control, Loss};
use crate::scan::{Candidate, Examined, Verdict, judge, scan};
use crate::segment::{
    DATA_START, FORMAT_VERSION, HeaderError, Segment, SegmentHeader, id_from_name, segment_name,
    sidecar_name,
};
use crate::shared::{Parts, Shared, is_full, is_read_only};
use crate::sidecar::{self, Loaded};
use crate::storage::{File, Storage, read_all};
use crate::table::{SegmentState, Table};
use crate::{AppendError, Batch, Damage, Durability, OpenError, Writer, limits};

mod replay;

const BOOT_ID_FILE: &str = "/proc/sys/kernel/random/boot_id";

/// Opens the log in `storage`, creating it if the folder is empty. Blocks; writes and syncs a few
/// small records.
///
/// # Errors
/// See [`OpenError`]. Damaged or torn files are no error: see [`Recovery`].
pub fn open(storage: Arc<dyn Storage>, options: Options) -> Result<Opened, OpenError> {
    let range = limits::SEGMENT_BYTES_MIN..=limits::SEGMENT_BYTES_MAX;
    if !range.contains(&options.segment_bytes) {
        return Err(OpenError::SegmentBytes(options.segment_bytes));
    }
    let lock = storage.lock().map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => OpenError::Locked,
        _ => open_error("taking the folder")(error),
    })?;
    let mut found = Found::look(&*storage, &options)?;
    let start = found.finish(&*storage)?;
    found.begin(storage, lock, &options, start)
}

fn open_error(what: &str) -> impl Fn(io::Error) -> OpenError + '_ {
    move |source| {
        if is_read_only(&source) {
            OpenError::ReadOnly(source)
        } else if is_full(&source) {
            OpenError::DiskFull(source)
        } else {
            OpenError::Io { what: what.to_owned(), source }
        }
    }
}

fn version_error(file: &str, found: u32, known: u32) -> OpenError {
    OpenError::Version { file: file.to_owned(), found, known }
}

fn boot_id(options: &Options) -> [u8; 16] {
    options.boot_id.unwrap_or_else(|| {
        let text = std::fs::read_to_string(BOOT_ID_FILE).unwrap_or_default();
        let digits: Vec<u8> = text
            .bytes()
            .filter_map(|byte| char::from(byte).to_digit(16))
            .map(|d| d as u8)
            .collect();
        let mut id = [0; 16];
        for (byte, pair) in id.iter_mut().zip(digits.chunks(2)) {
            *byte = pair.iter().fold(0, |sum, digit| sum * 16 + digit);
        }
        id
    })
}

/// A segment file as found.
struct FoundSegment {
    file: Arc<dyn File>,
    file_bytes: u64,
    candidate: Candidate,
    loaded: Option<Loaded>,
}

/// What is on disk.
struct Found {
    life: LifeFile,
    previous: Option<Life>,
    boot_id: [u8; 16],
    segments: Vec<FoundSegment>,
    table: Table,
    recovery: Recovery,
    verdict: Verdict,
}

/// Where the new life begins.
struct Start {
    sequence: u64,
    newest: u64,
    loss: Loss,
    /// The newest segment can be written to.
    resume: bool,
}

impl Found {
    fn look(storage: &dyn Storage, options: &Options) -> Result<Found, OpenError> {
        let names = storage.list().map_err(open_error("listing the folder"))?;
        for name in names.iter().filter(|name| name.ends_with(".tmp")) {
            // Left by an interrupted replacement; if it stays it is replaced the next time.
            let _ = storage.remove(name);
        }
        let mut ids: Vec<u64> =
            names.iter().filter_map(|name| id_from_name(name, "segment")).collect();
        ids.sort_unstable();
        let mut recovery = Recovery::default();
        let boot_id = boot_id(options);
        let (life, previous) = find_life(storage, options, boot_id, &ids, &mut recovery)?;
        let secret = life.life.secret;
        let table = find_checkpoint(storage, &secret, &ids, &mut recovery)?;
        let mut segments = Vec::with_capacity(ids.len());
        for id in ids {
            segments.push(FoundSegment::look(storage, id, &secret)?);
        }
        Ok(Found {
            life,
            previous,
            boot_id,
            segments,
            table,
            recovery,
            verdict: Verdict::default(),
        })
    }

    /// Judges, cuts what is torn and builds the table.
    fn finish(&mut self, storage: &dyn Storage) -> Result<Start, OpenError> {
        let synced = self.previous.map_or(0, |life| life.synced_batch);
        let candidates: Vec<Candidate> = self
            .segments
            .iter_mut()
            .map(|segment| std::mem::replace(&mut segment.candidate, nothing()))
            .collect();
        self.verdict = judge(&candidates, synced);
        for (segment, candidate) in self.segments.iter_mut().zip(candidates) {
            segment.candidate = candidate;
        }
        self.recovery.dropped_bytes = self.verdict.dropped_bytes;
        self.recovery.dropped_batches = self.verdict.dropped_batches;
        let clean = self.recovery.clean && self.verdict.damaged.is_empty();
        self.drop_later(storage)?;
        let resume = self.cut(clean, storage)?;
        // Rebuilt sidecars remember the damage of their segments.
        let known = self.verdict.damaged.len() - usize::from(self.verdict.open_ended);
        for damage in &self.verdict.damaged[..known] {
            self.table.note_damage(damage.clone());
        }
        self.build(storage)?;
        let newest = self.table.newest;
        let (sequence, loss) = match self.previous {
            None if self.recovery.new_epoch => (newest + limits::RESERVE_SEQUENCES, Loss::Written),
            None => (1, Loss::None),
            Some(life) if life.clean => (newest.max(life.reserved) + 1, Loss::None),
            Some(life) => {
                let same = life.boot_id == self.boot_id && self.boot_id != [0; 16];
                let loss = if same { Loss::Memory } else { Loss::Written };
                (newest.max(life.reserved) + 1, loss)
            }
        };
        self.note_damage(sequence);
        Ok(Start { sequence, newest, loss, resume })
    }

    fn note_damage(&mut self, next_sequence: u64) {
        let mut damaged = std::mem::take(&mut self.verdict.damaged);
        if let (true, Some(last)) = (self.verdict.open_ended, damaged.last_mut()) {
            last.last = next_sequence - 1;
        }
        for damage in damaged {
            self.table.note_damage(damage);
        }
        // A batch number that somebody was told is on the device is never used for another one.
        self.table.newest_batch = self.table.newest_batch.max(self.verdict.synced);
        for damage in &self.recovery.damaged {
            let last = damage.last.min(next_sequence - 1);
            self.table.note_damage(Damage { last, ..damage.clone() });
        }
        self.recovery.damaged.clone_from(&self.table.damaged);
    }

    /// Removes segments behind the end, newest first, so that an interruption leaves no hole.
    fn drop_later(&mut self, storage: &dyn Storage) -> Result<(), OpenError> {
        let dropped = self.segments.split_off(self.verdict.keep);
        if dropped.is_empty() {
            return Ok(());
        }
        for segment in dropped.iter().rev() {
            let removed = storage.remove(&segment_name(segment.candidate.id));
            removed.map_err(open_error("removing a torn segment"))?;
        }
        storage.sync_dir().map_err(open_error("syncing the folder"))
    }

    /// Cuts the newest segment where the log ends and syncs what was never synced. Returns whether
    /// it can be written to.
    fn cut(&mut self, clean: bool, storage: &dyn Storage) -> Result<bool, OpenError> {
        let count = self.segments.len();
        let mut resume = false;
        let mut empty = None;
        for (index, segment) in self.segments.iter_mut().enumerate() {
            let Examined::Scanned(scan) = &mut segment.candidate.examined else {
                continue;
            };
            let last = index + 1 == count;
            if last && self.verdict.end != u32::MAX {
                scan.batches.retain(|found| found.offset < self.verdict.end);
            }
            let rewritten = segment.candidate.header.is_some_and(|header| header.generation > 0);
            if clean && last && !rewritten {
                resume = true;
                continue;
            }
            if last && scan.batches.is_empty() && !rewritten {
                empty = Some(segment.candidate.id);
                continue;
            }
            // Stale bytes behind the end could pass for batches once the space is written again.
            let end = u64::from(scan.end());
            let cut = segment.file.truncate(end).and_then(|()| segment.file.sync());
            cut.map_err(open_error("cutting a segment"))?;
            segment.file_bytes = end;
        }
        if let Some(id) = empty {
            let removed = storage.remove(&segment_name(id)).and_then(|()| storage.sync_dir());
            removed.map_err(open_error("removing an empty segment"))?;
            self.segments.pop();
        }
        Ok(resume)
    }

    fn build(&mut self, storage: &dyn Storage) -> Result<(), OpenError> {
        let secret = self.life.life.secret;
        let count = self.segments.len();
        for (index, segment) in self.segments.iter_mut().enumerate() {
            let id = segment.candidate.id;
            self.table.last_segment = self.table.last_segment.max(id);
            let Some(header) = segment.candidate.header else {
                continue;
            };
            let handle = Arc::new(Segment::new(header, segment.file.clone()));
            let mut state = SegmentState::new(handle, segment.file_bytes);
            self.table.newest = self.table.newest.max(state.last_sequence);
            self.table.newest_batch = self.table.newest_batch.max(state.last_batch);
            if let Some(loaded) = segment.loaded.take() {
                state.unsealed = None;
                replay::attach(&mut self.table, state, loaded);
                continue;
            }
            if index + 1 < count {
                self.recovery.rebuilt_sidecars += 1;
            }
            self.table.segments.insert(id, state);
            let Examined::Scanned(scan) = &segment.candidate.examined else {
                continue;
            };
            let batches = &scan.batches;
            replay::replay(&mut self.table, &secret, &*segment.file, id, batches)
                .map_err(open_error("reading a segment"))?;
            // Sealed runs come before open ones: what is not the newest segment is sealed at once.
            if index + 1 < count {
                replay::reseal(storage, &mut self.table, secret.check(), id)
                    .map_err(open_error("rebuilding an index file"))?;
            }
        }
        self.table.written_batch = self.table.newest_batch;
        Ok(())
    }

    /// Stores the new life and writes its first record.
    fn begin(
        mut self,
        storage: Arc<dyn Storage>,
        lock: Box<dyn Send + Sync>,
        options: &Options,
        start: Start,
    ) -> Result<Opened, OpenError> {
        let newest_batch = self.table.newest_batch;
        self.table.written_batch = newest_batch;
        let boot_id = self.boot_id;
        let stored = self.life.store(|life| {
            life.clean = false;
            life.boot_id = boot_id;
            life.reserved = start.sequence.saturating_add(limits::RESERVE_SEQUENCES);
            life.synced_batch = newest_batch;
        });
        stored.map_err(open_error("writing the state file"))?;
        let shared = Arc::new(Shared::new(Parts {
            storage,
            lock,
            life: self.life,
            table: self.table,
            first_issued: start.sequence,
            newest_before: start.newest,
            now_ms: options.now_ms,
        }));
        let mut writer = Writer::new(&shared, options, start.sequence);
        if start.resume {
            writer.resume();
        }
        let mut batch = Batch::new();
        let life = Control::LifeBegan {
            start: start.sequence,
            previous_newest: start.newest,
            loss: start.loss,
            time_ms: options.now_ms,
        };
        writer.encode_life(&mut batch, &life);
        let appended = writer.append(&mut batch, Durability::Synced).map_err(begin_error)?;
        let synced = shared.sync().map_err(|error| AppendError::Failed(error.0));
        synced.map_err(begin_error)?;
        debug_assert!(shared.synced.load(Ordering::Acquire) >= appended.batch);
        Ok(Opened { writer, log: Log::new(shared), recovery: self.recovery })
    }
}

fn begin_error(error: AppendError) -> OpenError {
    let source = io::Error::other(error.to_string());
    match error {
        AppendError::DiskFull => OpenError::DiskFull(source),
        AppendError::ReadOnly => OpenError::ReadOnly(source),
        _ => OpenError::Io { what: "beginning a life".to_owned(), source },
    }
}

fn nothing() -> Candidate {
    Candidate { id: 0, header: None, examined: Examined::Unreadable { bytes: 0 } }
}

fn find_life(
    storage: &dyn Storage,
    options: &Options,
    boot_id: [u8; 16],
    ids: &[u64],
    recovery: &mut Recovery,
) -> Result<(LifeFile, Option<Life>), OpenError> {
    match LifeFile::open(storage).map_err(open_error("reading the state file"))? {
        life::Found::Version(version) => Err(version_error("state", version, FORMAT_VERSION)),
        life::Found::Life(file) => {
            recovery.clean = file.life.clean;
            let life = file.life;
            Ok((file, Some(life)))
        }
        life::Found::Nothing => {
            let mut random = [0; 24];
            if !(options.entropy)(&mut random) {
                return Err(OpenError::Entropy);
            }
            recovery.created = ids.is_empty();
            recovery.new_epoch = !ids.is_empty();
            let life = Life::new(&random, boot_id);
            let created = LifeFile::create(storage, life);
            Ok((created.map_err(open_error("creating the state file"))?, None))
        }
    }
}

fn find_checkpoint(
    storage: &dyn Storage,
    secret: &Secret,
    ids: &[u64],
    recovery: &mut Recovery,
) -> Result<Table, OpenError> {
    let found = checkpoint::load(storage, secret.check());
    match found.map_err(open_error("reading the checkpoint"))? {
        checkpoint::Found::Table(table) => return Ok(*table),
        checkpoint::Found::Version(version) => {
            return Err(version_error("checkpoint", version, checkpoint::VERSION));
        }
        checkpoint::Found::Damaged => {}
        // Without a deleted segment there need not be one.
        checkpoint::Found::Nothing if ids.first().is_none_or(|first| *first <= 1) => {
            return Ok(Table::default());
        }
        checkpoint::Found::Nothing => {}
    }
    // Topics that were defined in deleted segments are lost, with all their events.
    let damage = Damage { segment: 0, topic: None, first: 1, last: u64::MAX, bytes: 0 };
    recovery.damaged.push(damage);
    Ok(Table::default())
}

impl FoundSegment {
    fn look(storage: &dyn Storage, id: u64, secret: &Secret) -> Result<FoundSegment, OpenError> {
        let name = segment_name(id);
        let what = format!("reading {name}");
        let failed = open_error(&what);
        let file = storage.open(&name).map_err(&failed)?;
        let file_bytes = file.length().map_err(&failed)?;
        let mut front = vec![0; DATA_START as usize];
        let read = file.read_at(&mut front, 0).map_err(&failed)?;
        let header = match SegmentHeader::decode(&front[..read]) {
            Ok(header) if header.id == id => Some(header),
            Err(HeaderError::Version(version)) => {
                return Err(version_error(&name, version, FORMAT_VERSION));
            }
            Ok(_) | Err(HeaderError::Damaged) => None,
        };
        let Some(own) = header else {
            let examined = Examined::Unreadable { bytes: file_bytes };
            let candidate = Candidate { id, header, examined };
            return Ok(FoundSegment { file, file_bytes, candidate, loaded: None });
        };
        let loaded = match storage.open(&sidecar_name(id)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            other => {
                let loaded = other.and_then(|file| sidecar::load(file, &own, secret.check()));
                loaded.map_err(&failed)?
            }
        };
        let examined = match &loaded {
            Some(loaded) => {
                // Before the next one is opened: there may be more than a process may have open.
                file.rest();
                loaded.file.file.rest();
                Examined::Sealed {
                    last_batch: loaded.summary.last_batch,
                    last_sequence: loaded.summary.last_sequence,
                }
            }
            None => Examined::Scanned(scan(&read_all(&*file).map_err(&failed)?, &own)),
        };
        let candidate = Candidate { id, header, examined };
        Ok(FoundSegment { file, file_bytes, candidate, loaded })
    }
}
