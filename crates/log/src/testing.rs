//! A disk in memory that can crash, tear and fail on demand, for this crate's tests, its fuzz
//! targets and those of the crates above. Not for production: everything is under one lock and
//! nothing is ever given back.
//!
//! Each file has a live image (what a process reads) and a durable one (what is left after a power
//! loss), with the writes in between cut into sectors; the folder has the same for its names. A
//! crash stops the disk in the middle of one operation; [`CrashStorage::after_kill`] and
//! [`CrashStorage::after_power_loss`] then give disks to open again.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::record::{self, Record};
use crate::segment::{SegmentHeader, segment_name, sidecar_name};
use crate::{Event, File, Options, ReadLimit, Storage, limits, open};

/// Bytes that a device writes whole or not at all.
const SECTOR: usize = 512;

/// What the disk refuses to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// Writing and allocating: no space left (ENOSPC), after half of the bytes.
    Full,
    /// Everything that changes the disk: read-only file system (EROFS).
    ReadOnly,
    /// Writing: input/output error (EIO), after half of the bytes.
    Write,
    /// Syncing a file: input/output error (EIO); what was not synced before is lost.
    Sync,
}

#[derive(Clone, Default)]
struct Image {
    live: Vec<u8>,
    durable: Vec<u8>,
    /// Writes since the last sync: (offset, bytes), each within one sector.
    unsynced: Vec<(usize, Vec<u8>)>,
}

#[derive(Clone)]
enum NameChange {
    Put(String, usize),
    Rename(String, String),
    Remove(String),
}

#[derive(Default)]
struct Disk {
    images: Vec<Image>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    unsynced_names: Vec<NameChange>,
    operations: u64,
    syncs: u64,
    crash_at: Option<u64>,
    crashed: bool,
    fault: Fault,
    locked: bool,
}

/// A disk in memory. Clones are the same disk.
#[derive(Clone, Default)]
pub struct CrashStorage {
    disk: Arc<Mutex<Disk>>,
}

impl std::fmt::Debug for CrashStorage {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("CrashStorage").finish_non_exhaustive()
    }
}

/// A small reproducible source of choices (splitmix64).
#[derive(Clone, Debug)]
pub struct Choices(pub u64);

impl Choices {
    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.number() % end
    }

    /// True in `percent` of 100 cases.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

impl CrashStorage {
    /// An empty disk.
    pub fn new() -> CrashStorage {
        CrashStorage::default()
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Operations so far that changed the disk.
    pub fn operations(&self) -> u64 {
        self.disk().operations
    }

    /// Successful syncs of files so far.
    pub fn syncs(&self) -> u64 {
        self.disk().syncs
    }

    /// Crashes in the middle of the operation with this number, counting from now (0 = the next).
    pub fn crash_in(&self, operations: u64) {
        let mut disk = self.disk();
        disk.crash_at = Some(disk.operations + operations);
    }

    /// The disk has crashed: every operation fails.
    pub fn has_crashed(&self) -> bool {
        self.disk().crashed
    }

    /// From now on the disk refuses this.
    pub fn set_fault(&self, fault: Fault) {
        self.disk().fault = fault;
    }

    /// The disk as the next process finds it after this one was killed.
    pub fn after_kill(&self) -> CrashStorage {
        let disk = self.disk();
        let next = Disk {
            images: disk.images.clone(),
            names: disk.names.clone(),
            durable_names: disk.durable_names.clone(),
            unsynced_names: disk.unsynced_names.clone(),
            ..Disk::default()
        };
        CrashStorage { disk: Arc::new(Mutex::new(next)) }
    }

    /// The disk after a power loss: of what was not synced, any part may be there. `kept` percent
    /// of it is.
    pub fn after_power_loss(&self, choices: &mut Choices, kept: u64) -> CrashStorage {
        let disk = self.disk();
        let mut names = disk.durable_names.clone();
        for change in &disk.unsynced_names {
            if choices.chance(kept) {
                apply(&mut names, change);
            }
        }
        let mut images = Vec::with_capacity(disk.images.len());
        for image in &disk.images {
            let mut bytes = image.durable.clone();
            if choices.chance(kept) {
                bytes.resize(image.live.len(), 0);
            }
            for (offset, written) in &image.unsynced {
                if choices.chance(kept) {
                    let end = offset + written.len();
                    if bytes.len() < end && image.live.len() >= end {
                        bytes.resize(end, 0);
                    }
                    if let Some(place) = bytes.get_mut(*offset..end) {
                        place.copy_from_slice(written);
                    }
                }
            }
            images.push(Image { live: bytes.clone(), durable: bytes, unsynced: Vec::new() });
        }
        let durable_names = names.clone();
        let next = Disk { images, names, durable_names, ..Disk::default() };
        CrashStorage { disk: Arc::new(Mutex::new(next)) }
    }

    /// Changes a file behind the log's back, in both images; false if there is no such file.
    pub fn corrupt(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) -> bool {
        let mut disk = self.disk();
        let Some(index) = disk.names.get(name).copied() else {
            return false;
        };
        let image = &mut disk.images[index];
        change(&mut image.live);
        image.durable.clone_from(&image.live);
        image.unsynced.clear();
        true
    }

    /// The bytes of a file.
    pub fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        let disk = self.disk();
        disk.names.get(name).map(|index| disk.images[*index].live.clone())
    }

    /// All names.
    pub fn names(&self) -> Vec<String> {
        self.disk().names.keys().cloned().collect()
    }
}

fn apply(names: &mut BTreeMap<String, usize>, change: &NameChange) {
    match change {
        NameChange::Put(name, index) => {
            names.insert(name.clone(), *index);
        }
        NameChange::Rename(from, to) => {
            if let Some(index) = names.remove(from) {
                names.insert(to.clone(), index);
            }
        }
        NameChange::Remove(name) => {
            names.remove(name);
        }
    }
}

fn crashed() -> io::Error {
    io::Error::other("the disk has crashed")
}

impl Disk {
    /// Counts an operation; `Ok(true)` if the disk crashes in the middle of it.
    fn step(&mut self) -> io::Result<bool> {
        if self.crashed {
            return Err(crashed());
        }
        if self.fault == Fault::ReadOnly {
            return Err(rustix::io::Errno::ROFS.into());
        }
        let now = self.crash_at == Some(self.operations);
        self.operations += 1;
        self.crashed |= now;
        Ok(now)
    }

    /// A change of names happens or, in a crash, does not.
    fn change_name(&mut self, change: NameChange) -> io::Result<()> {
        if self.step()? {
            return Err(crashed());
        }
        apply(&mut self.names, &change);
        self.unsynced_names.push(change);
        Ok(())
    }

    fn write(&mut self, index: usize, bytes: &[u8], offset: usize) {
        let image = &mut self.images[index];
        let end = offset + bytes.len();
        if image.live.len() < end {
            image.live.resize(end, 0);
        }
        image.live[offset..end].copy_from_slice(bytes);
        let mut at = 0;
        while at < bytes.len() {
            let sector_end = ((offset + at) / SECTOR + 1) * SECTOR - offset;
            let next = sector_end.min(bytes.len());
            image.unsynced.push((offset + at, bytes[at..next].to_vec()));
            at = next;
        }
    }
}

impl Storage for CrashStorage {
    fn lock(&self) -> io::Result<Box<dyn Send + Sync>> {
        let mut disk = self.disk();
        if disk.fault == Fault::ReadOnly {
            return Err(rustix::io::Errno::ROFS.into());
        }
        if disk.locked {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        disk.locked = true;
        Ok(Box::new(Held(self.clone())))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.names())
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let mut disk = self.disk();
        let index = disk.images.len();
        disk.images.push(Image::default());
        disk.change_name(NameChange::Put(name.to_owned(), index))?;
        Ok(Arc::new(MemoryFile { storage: self.clone(), index }))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let index = self.disk().names.get(name).copied().ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(MemoryFile { storage: self.clone(), index }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk().change_name(NameChange::Rename(from.to_owned(), to.to_owned()))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut disk = self.disk();
        if !disk.crashed && !disk.names.contains_key(name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        disk.change_name(NameChange::Remove(name.to_owned()))
    }

    fn sync_dir(&self) -> io::Result<()> {
        let mut disk = self.disk();
        if disk.step()? {
            return Err(crashed());
        }
        disk.durable_names = disk.names.clone();
        disk.unsynced_names.clear();
        Ok(())
    }
}

struct Held(CrashStorage);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.disk().locked = false;
    }
}

struct MemoryFile {
    storage: CrashStorage,
    index: usize,
}

impl File for MemoryFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.storage.disk().images[self.index].live.len() as u64)
    }

    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        let disk = self.storage.disk();
        let bytes = &disk.images[self.index].live;
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        let length = into.len().min(bytes.len() - start);
        into[..length].copy_from_slice(&bytes[start..start + length]);
        Ok(length)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut disk = self.storage.disk();
        let crash = disk.step()?;
        let offset = offset as usize;
        let error = match disk.fault {
            Fault::Full => Some(rustix::io::Errno::NOSPC.into()),
            Fault::Write => Some(rustix::io::Errno::IO.into()),
            _ if crash => Some(crashed()),
            _ => None,
        };
        match error {
            None => {
                disk.write(self.index, bytes, offset);
                Ok(())
            }
            Some(error) => {
                disk.write(self.index, &bytes[..bytes.len() / 2], offset);
                Err(error)
            }
        }
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        let mut disk = self.storage.disk();
        if disk.step()? {
            return Err(crashed());
        }
        if disk.fault == Fault::Full {
            return Err(rustix::io::Errno::NOSPC.into());
        }
        let live = &mut disk.images[self.index].live;
        live.resize(live.len().max(length as usize), 0);
        Ok(())
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        let mut disk = self.storage.disk();
        if disk.step()? {
            return Err(crashed());
        }
        let image = &mut disk.images[self.index];
        image.live.truncate(length as usize);
        image.unsynced.retain(|(offset, _)| *offset < length as usize);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut disk = self.storage.disk();
        if disk.step()? {
            return Err(crashed());
        }
        if disk.fault == Fault::Sync {
            let image = &mut disk.images[self.index];
            image.unsynced.clear();
            return Err(rustix::io::Errno::IO.into());
        }
        disk.syncs += 1;
        let image = &mut disk.images[self.index];
        image.durable.clone_from(&image.live);
        image.unsynced.clear();
        Ok(())
    }
}

/// Fuzz target: decodes `bytes` as a record, as they are and behind a right checksum. What decodes
/// must encode to the same.
pub fn check_record(bytes: &[u8]) {
    record::decode(bytes);
    let Ok(length) = u32::try_from(bytes.len() + 8) else {
        return;
    };
    let mut framed = vec![0; 4];
    framed.extend_from_slice(&length.to_le_bytes());
    framed.extend_from_slice(bytes);
    let crc = crc32fast::hash(&framed[4..]);
    framed[..4].copy_from_slice(&crc.to_le_bytes());
    let mut again = Vec::new();
    match record::decode(&framed) {
        None => {}
        Some(Record::Control(control)) => {
            record::encode_control(&mut again, &control);
            assert_eq!(record::decode(&again), Some(Record::Control(control)));
        }
        Some(Record::Event(found)) => {
            let (topics, ordinals): (Vec<_>, Vec<_>) = found.topics().unzip();
            let event = Event { topics: &topics, ..found.event };
            let time_ms = event.time_ms;
            record::encode_event(&mut again, found.sequence, time_ms, &event, &ordinals);
            let Some(Record::Event(second)) = record::decode(&again) else {
                unreachable!("what was decoded can be encoded");
            };
            assert_eq!((second.sequence, second.event), (found.sequence, found.event));
        }
    }
}

/// Fuzz target: opens a log whose only segment has these bytes behind a right header, and whose
/// sidecar, state file and checkpoint are cut from them, too.
pub fn check_segment(bytes: &[u8]) {
    let header = SegmentHeader {
        id: 1,
        generation: 0,
        epoch: *b"fuzzfuzz",
        salt: 0,
        first_batch: 1,
        base_sequence: 1,
        base_time: 0,
        last_batch: 0,
        last_sequence: 0,
    };
    let disk = CrashStorage::new();
    let put = |name: &str, bytes: &[u8]| {
        let file = disk.create(name)?;
        file.write_at(bytes, 0)
    };
    let mut segment = header.encode();
    segment.extend_from_slice(bytes);
    let cut = |parts: usize| &bytes[..bytes.len() / parts];
    let written = put(&segment_name(1), &segment)
        .and_then(|()| put(&sidecar_name(1), cut(2)))
        .and_then(|()| put("state", cut(3)))
        .and_then(|()| put("checkpoint", cut(4)));
    assert!(written.is_ok(), "the disk has no faults");
    let options = Options { segment_bytes: limits::SEGMENT_BYTES_MIN, ..Options::default() };
    let Ok(mut opened) = open(Arc::new(disk), options) else {
        return;
    };
    let topics = opened.log.topic_ids();
    let limit = ReadLimit { events: usize::MAX, bytes: usize::MAX };
    let read = opened.log.read(&topics, 0, u64::MAX, limit, 0, &mut |_| {});
    assert!(read.is_ok(), "the disk has no faults");
    for topic in topics {
        opened.log.describe(topic);
        opened.log.missing(topic, 0, 0);
    }
    let _ = opened.log.maintain(0);
    let _ = opened.writer.close();
}
