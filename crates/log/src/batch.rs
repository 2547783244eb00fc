//! A batch on disk: the atomic unit. A header with two checksums, then records, padded to 8 bytes.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 4 | magic `TDB1` |
//! | 4 | 4 | length of the whole batch, a multiple of 8 |
//! | 8 | 8 | number: 1 more than the batch before it, over the whole log |
//! | 16 | 8 | synced-through: the newest batch known to be on the device when this was written |
//! | 24 | 8 | base sequence: the next sequence before this batch |
//! | 32 | 8 | time, milliseconds since 1970 |
//! | 40 | 4 | sequences that it spans: its events, as many as it had when it was first written |
//! | 44 | 4 | records |
//! | 48 | 4 | CRC32 of bytes 0..48 and 52..56, seeded with the segment's salt |
//! | 52 | 4 | CRC32 of the records' CRCs |
//!
//! The salt keeps a publisher from planting something inside an event that a repair could take for
//! a batch, and bytes of an older file from being taken for this one's.

use crate::codec::Reader;
use crate::{limits, record};

pub(crate) const BATCH_MAGIC: [u8; 4] = *b"TDB1";
pub(crate) const BATCH_HEADER: usize = 56;
pub(crate) const BATCH_ALIGN: usize = 8;

/// A batch's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchHeader {
    pub(crate) length: u32,
    pub(crate) number: u64,
    pub(crate) synced_through: u64,
    pub(crate) base_sequence: u64,
    pub(crate) time_ms: u64,
    pub(crate) events: u32,
    pub(crate) records: u32,
}

impl BatchHeader {
    /// Writes the header over the first bytes of `batch`, whose records' checksums, concatenated,
    /// are `crcs`.
    pub(crate) fn encode(&self, batch: &mut [u8], salt: u32, crcs: &[u8]) {
        batch[..4].copy_from_slice(&BATCH_MAGIC);
        batch[4..8].copy_from_slice(&self.length.to_le_bytes());
        batch[8..16].copy_from_slice(&self.number.to_le_bytes());
        batch[16..24].copy_from_slice(&self.synced_through.to_le_bytes());
        batch[24..32].copy_from_slice(&self.base_sequence.to_le_bytes());
        batch[32..40].copy_from_slice(&self.time_ms.to_le_bytes());
        batch[40..44].copy_from_slice(&self.events.to_le_bytes());
        batch[44..48].copy_from_slice(&self.records.to_le_bytes());
        batch[52..56].copy_from_slice(&crc32fast::hash(crcs).to_le_bytes());
        let crc = header_crc(batch, salt);
        batch[48..52].copy_from_slice(&crc.to_le_bytes());
    }

    /// Reads a header whose checksum is right.
    pub(crate) fn decode(bytes: &[u8], salt: u32) -> Option<BatchHeader> {
        let bytes = bytes.get(..BATCH_HEADER)?;
        let mut reader = Reader::new(bytes);
        if reader.array::<4>()? != BATCH_MAGIC {
            return None;
        }
        let header = BatchHeader {
            length: reader.u32()?,
            number: reader.u64()?,
            synced_through: reader.u64()?,
            base_sequence: reader.u64()?,
            time_ms: reader.u64()?,
            events: reader.u32()?,
            records: reader.u32()?,
        };
        let length = header.length as usize;
        let plausible = length >= BATCH_HEADER
            && length % BATCH_ALIGN == 0
            && length <= limits::BATCH_BYTES_MAX
            && header.records as usize <= limits::BATCH_RECORDS_MAX
            && header.base_sequence.checked_add(u64::from(header.events)).is_some();
        (plausible && reader.u32()? == header_crc(bytes, salt)).then_some(header)
    }
}

fn header_crc(bytes: &[u8], salt: u32) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(salt);
    hasher.update(&bytes[..48]);
    hasher.update(&bytes[52..56]);
    hasher.finalize()
}

/// Reads the batch at the front of `bytes` if all of it is as it was written: header, every record,
/// padding.
pub(crate) fn verify(bytes: &[u8], salt: u32) -> Option<BatchHeader> {
    let header = BatchHeader::decode(bytes, salt)?;
    let batch = bytes.get(..header.length as usize)?;
    let mut rest = &batch[BATCH_HEADER..];
    let mut crcs = crc32fast::Hasher::new();
    for _ in 0..header.records {
        let length = record::verify(rest)?;
        crcs.update(&rest[..4]);
        rest = &rest[length..];
    }
    let expected = Reader::new(&batch[52..]).u32()?;
    let padded = rest.len() < BATCH_ALIGN && rest.iter().all(|byte| *byte == 0);
    (padded && crcs.finalize() == expected).then_some(header)
}

/// (offset within the batch, bytes) of each record of a verified batch.
pub(crate) fn records<'a>(
    batch: &'a [u8],
    header: &BatchHeader,
) -> impl Iterator<Item = (u32, &'a [u8])> + use<'a> {
    let mut offset = BATCH_HEADER;
    (0..header.records).map_while(move |_| {
        let length = Reader::new(batch.get(offset + 4..)?).u32()? as usize;
        let bytes = batch.get(offset..offset.checked_add(length)?)?;
        let at = offset as u32;
        offset += length;
        Some((at, bytes))
    })
}

/// Finishes a batch whose records are in `bytes` behind room for the header: pads it and writes the
/// header.
pub(crate) fn seal(bytes: &mut Vec<u8>, mut header: BatchHeader, salt: u32, crcs: &[u8]) {
    bytes.resize(bytes.len().next_multiple_of(BATCH_ALIGN), 0);
    header.length = u32::try_from(bytes.len()).expect("a batch is limited to 64 MiB");
    header.encode(bytes, salt, crcs);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Control, encode_control};

    fn batch() -> Vec<u8> {
        let mut bytes = vec![0; BATCH_HEADER];
        let mut crcs = Vec::new();
        for id in 1..4 {
            let crc = encode_control(&mut bytes, &Control::Unscheduled { id });
            crcs.extend_from_slice(&crc.to_le_bytes());
        }
        let header = BatchHeader {
            length: 0,
            number: 7,
            synced_through: 6,
            base_sequence: 100,
            time_ms: 5,
            events: 0,
            records: 3,
        };
        seal(&mut bytes, header, 0x5a17, &crcs);
        bytes
    }

    #[test]
    fn a_batch_is_verified_and_its_records_are_found() {
        let bytes = batch();
        let header = verify(&bytes, 0x5a17).unwrap();
        assert_eq!((header.number, header.records), (7, 3));
        let found: Vec<_> = records(&bytes, &header).map(|(_, record)| record.len()).collect();
        assert_eq!(found, [10, 10, 10]);
    }

    #[test]
    fn every_flipped_bit_a_cut_and_another_salt_are_noticed() {
        let bytes = batch();
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(verify(&damaged, 0x5a17), None, "bit {bit}");
        }
        for cut in 0..bytes.len() {
            assert_eq!(verify(&bytes[..cut], 0x5a17), None);
        }
        assert_eq!(verify(&bytes, 0x5a18), None);
    }
}
