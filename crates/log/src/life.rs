//! The state file: which life this is, and which sequences it may give.
//!
//! It has two slots of 4,096 bytes, written in turn and synced, so that one of them is whole after
//! any crash. Sequences are reserved in blocks before they are given; after an unclean end the next
//! life starts above the reservation, so that no sequence is given twice even if a power loss took
//! the events.

use std::io;
use std::sync::Arc;

use crate::codec::Reader;
use crate::hash::Secret;
use crate::storage::{File, Storage, read_all, replace};

const NAME: &str = "state";
const MAGIC: [u8; 8] = *b"TDNGLIFE";
const VERSION: u32 = 1;
const SLOT: usize = 4096;
const FIELDS: usize = 104;

/// What the state file says.
#[derive(Clone, Copy)]
pub(crate) struct Life {
    pub(crate) epoch: [u8; 8],
    pub(crate) secret: Secret,
    pub(crate) boot_id: [u8; 16],
    /// No sequence above this was given.
    pub(crate) reserved: u64,
    /// The life ended with `close`; `reserved` is its newest sequence then.
    pub(crate) clean: bool,
    /// Newest batch on the device when this was written.
    pub(crate) synced_batch: u64,
    counter: u64,
}

/// Letters of an epoch.
const ALPHABET: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";

impl Life {
    /// A new epoch from 24 random bytes.
    pub(crate) fn new(random: &[u8; 24], boot_id: [u8; 16]) -> Life {
        let mut number = u64::from_le_bytes(*random.first_chunk().unwrap_or(&[0; 8]));
        let epoch = std::array::from_fn(|_| {
            let letter = ALPHABET[(number % 36) as usize];
            number /= 36;
            letter
        });
        let secret = Secret(*random.last_chunk().unwrap_or(&[0; 16]));
        Life { epoch, secret, boot_id, reserved: 0, clean: false, synced_batch: 0, counter: 0 }
    }

    fn encode(&self) -> [u8; FIELDS] {
        let mut out = Vec::with_capacity(FIELDS);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&u32::from(self.clean).to_le_bytes());
        out.extend_from_slice(&self.counter.to_le_bytes());
        out.extend_from_slice(&self.epoch);
        out.extend_from_slice(&self.secret.0);
        out.extend_from_slice(&self.boot_id);
        out.extend_from_slice(&self.reserved.to_le_bytes());
        out.extend_from_slice(&self.synced_batch.to_le_bytes());
        out.resize(FIELDS - 4, 0);
        let crc = crc32fast::hash(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        let mut slot = [0; FIELDS];
        slot.copy_from_slice(&out);
        slot
    }

    fn decode(bytes: &[u8]) -> Result<Life, Refused> {
        let slot = bytes.get(..FIELDS).ok_or(Refused::Damaged)?;
        let (fields, crc) = slot.split_at(FIELDS - 4);
        if crc32fast::hash(fields).to_le_bytes() != crc {
            return Err(Refused::Damaged);
        }
        let mut reader = Reader::new(fields);
        if reader.array::<8>() != Some(MAGIC) {
            return Err(Refused::Damaged);
        }
        match reader.u32() {
            Some(VERSION) => Life::fields(reader).ok_or(Refused::Damaged),
            Some(version) => Err(Refused::Version(version)),
            None => Err(Refused::Damaged),
        }
    }

    fn fields(mut reader: Reader<'_>) -> Option<Life> {
        let clean = reader.u32()? == 1;
        let counter = reader.u64()?;
        let epoch: [u8; 8] = reader.array()?;
        let known = epoch.iter().all(|letter| ALPHABET.contains(letter));
        let life = Life {
            epoch,
            secret: Secret(reader.array()?),
            boot_id: reader.array()?,
            reserved: reader.u64()?,
            clean,
            synced_batch: reader.u64()?,
            counter,
        };
        known.then_some(life)
    }
}

enum Refused {
    Damaged,
    Version(u32),
}

/// What looking for the state file gave.
pub(crate) enum Found {
    Life(LifeFile),
    /// There is none, or neither slot is whole.
    Nothing,
    /// It is of a version that this program does not know.
    Version(u32),
}

/// The open state file and what is in it.
pub(crate) struct LifeFile {
    file: Arc<dyn File>,
    pub(crate) life: Life,
}

impl LifeFile {
    /// Reads the newer whole slot.
    pub(crate) fn open(storage: &dyn Storage) -> io::Result<Found> {
        let file = match storage.open(NAME) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
            other => other?,
        };
        let bytes = read_all(&*file)?;
        let slots = [Life::decode(&bytes), Life::decode(bytes.get(SLOT..).unwrap_or_default())];
        let mut newest: Option<Life> = None;
        for slot in slots {
            match slot {
                Err(Refused::Version(version)) => return Ok(Found::Version(version)),
                Err(Refused::Damaged) => {}
                Ok(life) => {
                    if newest.is_none_or(|known| known.counter < life.counter) {
                        newest = Some(life);
                    }
                }
            }
        }
        Ok(newest.map_or(Found::Nothing, |life| Found::Life(LifeFile { file, life })))
    }

    /// Makes a state file, durably.
    pub(crate) fn create(storage: &dyn Storage, life: Life) -> io::Result<LifeFile> {
        let mut bytes = vec![0; 2 * SLOT];
        bytes[..FIELDS].copy_from_slice(&life.encode());
        let file = replace(storage, NAME, &bytes)?;
        Ok(LifeFile { file, life })
    }

    /// Writes the next state into the other slot and syncs it. After an error the old one is still
    /// whole.
    pub(crate) fn store(&mut self, change: impl FnOnce(&mut Life)) -> io::Result<()> {
        let mut next = self.life;
        change(&mut next);
        next.counter += 1;
        self.file.write_at(&next.encode(), (next.counter % 2) * SLOT as u64)?;
        self.file.sync()?;
        self.life = next;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FileStorage;

    #[test]
    fn the_older_slot_serves_when_the_newer_is_torn() {
        let folder = tempfile::tempdir().unwrap();
        let storage = FileStorage::new(folder.path()).unwrap();
        let life = Life::new(&[7; 24], [1; 16]);
        let mut file = LifeFile::create(&storage, life).unwrap();
        file.store(|life| life.reserved = 10).unwrap();
        file.store(|life| life.reserved = 20).unwrap();
        let reopen = || match LifeFile::open(&storage).unwrap() {
            Found::Life(file) => file.life,
            _ => panic!("a slot is whole"),
        };
        assert_eq!((reopen().reserved, reopen().counter), (20, 2));
        file.file.write_at(b"torn", 40).unwrap();
        assert_eq!(reopen().reserved, 10);
        file.file.write_at(b"torn", SLOT as u64).unwrap();
        assert!(matches!(LifeFile::open(&storage).unwrap(), Found::Nothing));
    }

    #[test]
    fn an_epoch_is_eight_letters() {
        let life = Life::new(&[0xab; 24], [0; 16]);
        assert!(life.epoch.iter().all(|letter| ALPHABET.contains(letter)));
        let other = Life::new(&[0xac; 24], [0; 16]);
        assert_ne!(life.epoch, other.epoch);
    }
}
