//! Segment files: the header, the names, and the open handle that readers share.
//!
//! The first 4,096 bytes hold the header twice (at 0 and at 2,048), because without its salt
//! nothing in the file can be verified. Batches follow from 4,096 on; what is preallocated and not
//! written yet reads as zeros.

use std::io;
use std::sync::{Arc, OnceLock};

use crate::codec::Reader;
use crate::index::Entry;
use crate::storage::{File, read_exact_at};

const MAGIC: [u8; 8] = *b"TDNGSEG1";
/// Newest format of a segment, its batches and records that this program reads, and the one that it
/// writes.
pub(crate) const FORMAT_VERSION: u32 = 1;
/// Offset of the first batch.
pub(crate) const DATA_START: u32 = 4096;
const SECOND_COPY: usize = 2048;
const HEADER: usize = 84;

/// `0000000000000001.segment`
pub(crate) fn segment_name(id: u64) -> String {
    format!("{id:016x}.segment")
}

/// `0000000000000001.index`
pub(crate) fn sidecar_name(id: u64) -> String {
    format!("{id:016x}.index")
}

/// The segment number in a file name with this ending (`segment` or `index`).
pub(crate) fn id_from_name(name: &str, ending: &str) -> Option<u64> {
    let (digits, found) = name.split_once('.')?;
    let valid = found == ending && digits.len() == 16 && !digits.starts_with('+');
    valid.then(|| u64::from_str_radix(digits, 16).ok()).flatten()
}

/// What a segment says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) id: u64,
    /// How often it was rewritten.
    pub(crate) generation: u32,
    pub(crate) epoch: [u8; 8],
    pub(crate) salt: u32,
    /// Number of its first batch.
    pub(crate) first_batch: u64,
    /// The next sequence when it was begun; index entries count from here.
    pub(crate) base_sequence: u64,
    /// Time of the newest event before it.
    pub(crate) base_time: u64,
    /// Rewritten segments only (else 0): number of the last batch it had.
    pub(crate) last_batch: u64,
    /// Rewritten segments only (else 0): the last sequence it had.
    pub(crate) last_sequence: u64,
}

/// Why a header was not read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum HeaderError {
    Damaged,
    Version(u32),
}

impl SegmentHeader {
    /// The first [`DATA_START`] bytes of the file.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut one = Vec::with_capacity(HEADER);
        one.extend_from_slice(&MAGIC);
        one.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        one.extend_from_slice(&self.generation.to_le_bytes());
        one.extend_from_slice(&self.id.to_le_bytes());
        one.extend_from_slice(&self.epoch);
        one.extend_from_slice(&self.salt.to_le_bytes());
        one.extend_from_slice(&0_u32.to_le_bytes());
        one.extend_from_slice(&self.first_batch.to_le_bytes());
        one.extend_from_slice(&self.base_sequence.to_le_bytes());
        one.extend_from_slice(&self.base_time.to_le_bytes());
        one.extend_from_slice(&self.last_batch.to_le_bytes());
        one.extend_from_slice(&self.last_sequence.to_le_bytes());
        let crc = crc32fast::hash(&one);
        one.extend_from_slice(&crc.to_le_bytes());
        debug_assert_eq!(one.len(), HEADER);
        let mut all = vec![0; DATA_START as usize];
        all[..HEADER].copy_from_slice(&one);
        all[SECOND_COPY..SECOND_COPY + HEADER].copy_from_slice(&one);
        all
    }

    /// Reads the header from the front of a file, from whichever copy is whole.
    pub(crate) fn decode(bytes: &[u8]) -> Result<SegmentHeader, HeaderError> {
        let copies = [bytes.get(..HEADER), bytes.get(SECOND_COPY..SECOND_COPY + HEADER)];
        let mut refused = HeaderError::Damaged;
        for copy in copies.into_iter().flatten() {
            match SegmentHeader::decode_one(copy) {
                Ok(header) => return Ok(header),
                Err(HeaderError::Damaged) => {}
                Err(version) => refused = version,
            }
        }
        Err(refused)
    }

    fn decode_one(bytes: &[u8]) -> Result<SegmentHeader, HeaderError> {
        let (fields, crc) = bytes.split_at(HEADER - 4);
        if crc32fast::hash(fields).to_le_bytes() != crc {
            return Err(HeaderError::Damaged);
        }
        let mut reader = Reader::new(fields);
        let parsed = (|| {
            let magic = reader.array::<8>()?;
            let version = reader.u32()?;
            let generation = reader.u32()?;
            let id = reader.u64()?;
            let epoch = reader.array()?;
            let salt = reader.u32()?;
            reader.u32()?;
            let header = SegmentHeader {
                id,
                generation,
                epoch,
                salt,
                first_batch: reader.u64()?,
                base_sequence: reader.u64()?,
                base_time: reader.u64()?,
                last_batch: reader.u64()?,
                last_sequence: reader.u64()?,
            };
            Some((magic, version, header))
        })();
        match parsed {
            Some((MAGIC, FORMAT_VERSION, header)) => Ok(header),
            Some((MAGIC, version, _)) => Err(HeaderError::Version(version)),
            _ => Err(HeaderError::Damaged),
        }
    }
}

/// An open segment. Readers keep it alive; a rewritten or deleted file stays readable through it.
pub(crate) struct Segment {
    pub(crate) header: SegmentHeader,
    pub(crate) file: Arc<dyn File>,
    /// Set when the segment is sealed: its index file and where things are in it.
    pub(crate) sidecar: OnceLock<SidecarFile>,
}

impl std::fmt::Debug for Segment {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Segment").field("header", &self.header).finish_non_exhaustive()
    }
}

/// The parts of a sidecar that are read on demand.
pub(crate) struct SidecarFile {
    pub(crate) file: Arc<dyn File>,
    pub(crate) entries_offset: u64,
    pub(crate) times_offset: u64,
    pub(crate) times: u32,
}

impl SidecarFile {
    /// Where things are in a sidecar with these contents.
    pub(crate) fn new(file: Arc<dyn File>, contents: &crate::sidecar::Contents) -> SidecarFile {
        let entries: usize = contents.runs.iter().map(|run| run.entries.len()).sum();
        let entries_offset = crate::sidecar::HEADER as u64;
        SidecarFile {
            file,
            entries_offset,
            times_offset: entries_offset + entries as u64 * ENTRY_BYTES,
            times: contents.times.len() as u32,
        }
    }
}

/// Bytes of an entry on disk.
pub(crate) const ENTRY_BYTES: u64 = 12;
/// Bytes of a time on disk.
pub(crate) const TIME_BYTES: u64 = 12;

impl Segment {
    pub(crate) fn new(header: SegmentHeader, file: Arc<dyn File>) -> Segment {
        Segment { header, file, sidecar: OnceLock::new() }
    }

    /// The segment is complete and on the device, and this is its index file.
    pub(crate) fn seal(&self, sidecar: SidecarFile) {
        self.file.rest();
        sidecar.file.rest();
        // Set once: only maintenance seals, one round at a time.
        let _ = self.sidecar.set(sidecar);
    }

    fn sidecar(&self) -> io::Result<&SidecarFile> {
        self.sidecar.get().ok_or_else(|| io::Error::other("the segment is not sealed"))
    }

    /// Reads `count` index entries from the sidecar.
    pub(crate) fn entries(&self, start: u32, count: u32) -> io::Result<Vec<Entry>> {
        let sidecar = self.sidecar()?;
        let mut bytes = vec![0; count as usize * ENTRY_BYTES as usize];
        let offset = sidecar.entries_offset + u64::from(start) * ENTRY_BYTES;
        read_exact_at(&*sidecar.file, &mut bytes, offset)?;
        Ok(bytes.chunks_exact(ENTRY_BYTES as usize).map(Entry::decode).collect())
    }

    /// The first sequence in this sealed segment with a time at or after `time_ms`.
    pub(crate) fn first_at_time(&self, time_ms: u64) -> io::Result<Option<u64>> {
        let sidecar = self.sidecar()?;
        let read = |index: u32| -> io::Result<(u64, u64)> {
            let mut bytes = [0; TIME_BYTES as usize];
            let offset = sidecar.times_offset + u64::from(index) * TIME_BYTES;
            read_exact_at(&*sidecar.file, &mut bytes, offset)?;
            let mut reader = Reader::new(&bytes);
            let (time, delta) = (reader.u64(), reader.u32());
            Ok((
                time.unwrap_or_default(),
                self.header.base_sequence + u64::from(delta.unwrap_or_default()),
            ))
        };
        let (mut low, mut high) = (0, sidecar.times);
        while low < high {
            let middle = low + (high - low) / 2;
            if read(middle)?.0 < time_ms {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        if low == sidecar.times { Ok(None) } else { Ok(Some(read(low)?.1)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> SegmentHeader {
        SegmentHeader {
            id: 3,
            generation: 2,
            epoch: *b"abcd1234",
            salt: 99,
            first_batch: 17,
            base_sequence: 1000,
            base_time: 5,
            last_batch: 20,
            last_sequence: 1400,
        }
    }

    #[test]
    fn a_header_survives_the_loss_of_either_copy() {
        let bytes = header().encode();
        assert_eq!(SegmentHeader::decode(&bytes), Ok(header()));
        for lost in [0..512, SECOND_COPY..SECOND_COPY + 512] {
            let mut damaged = bytes.clone();
            damaged[lost].fill(0xee);
            assert_eq!(SegmentHeader::decode(&damaged), Ok(header()));
        }
        assert_eq!(SegmentHeader::decode(&[0; 4096]), Err(HeaderError::Damaged));
        assert_eq!(SegmentHeader::decode(&bytes[..10]), Err(HeaderError::Damaged));
    }

    #[test]
    fn names_are_numbers() {
        assert_eq!(id_from_name(&segment_name(0xabc), "segment"), Some(0xabc));
        assert_eq!(id_from_name(&sidecar_name(1), "index"), Some(1));
        assert_eq!(id_from_name("lock", "segment"), None);
        assert_eq!(id_from_name("0000000000000001.segment.tmp", "segment"), None);
        assert_eq!(id_from_name("+000000000000001.segment", "segment"), None);
    }
}
