//! What a scan makes of whole, torn and damaged segments.

use super::*;
use crate::batch::{BATCH_HEADER, seal};
use crate::record::{Control, encode_control};

const SALT: u32 = 77;

fn header(id: u64, first_batch: u64) -> SegmentHeader {
    SegmentHeader {
        id,
        generation: 0,
        epoch: *b"abcdefgh",
        salt: SALT,
        first_batch,
        base_sequence: first_batch * 10,
        base_time: 0,
        last_batch: 0,
        last_sequence: 0,
    }
}

/// A batch of the given number that stands for ten sequences (by its base alone).
fn batch(number: u64, synced_through: u64) -> Vec<u8> {
    let mut bytes = vec![0; BATCH_HEADER];
    let crc = encode_control(&mut bytes, &Control::Unscheduled { id: number });
    let header = BatchHeader {
        length: 0,
        number,
        synced_through,
        base_sequence: number * 10,
        time_ms: 0,
        events: 0,
        records: 1,
    };
    seal(&mut bytes, header, SALT, &crc.to_le_bytes());
    bytes
}

/// A segment file with these batches; `damaged` ones have one bit flipped.
fn candidate(id: u64, batches: &[(u64, u64)], damaged: &[u64]) -> Candidate {
    let header = header(id, batches[0].0);
    let mut bytes = header.encode();
    for (number, synced_through) in batches {
        let mut batch = batch(*number, *synced_through);
        if damaged.contains(number) {
            batch[60] ^= 1;
        }
        bytes.extend(batch);
    }
    bytes.extend([0; 64]);
    let examined = Examined::Scanned(scan(&bytes, &header));
    Candidate { id, header: Some(header), examined }
}

const BATCH_BYTES: u32 = 72;

#[test]
fn a_whole_log_is_kept_whole() {
    let verdict = judge(&[candidate(1, &[(1, 0), (2, 1)], &[]), candidate(2, &[(3, 2)], &[])], 0);
    assert_eq!((verdict.keep, verdict.end), (2, DATA_START + BATCH_BYTES));
    assert_eq!((verdict.dropped_bytes, verdict.dropped_batches), (0, 0));
    assert_eq!(verdict.damaged, []);
}

#[test]
fn an_unsynced_invalid_batch_ends_the_log_and_drops_valid_ones_behind_it() {
    let verdict =
        judge(&[candidate(1, &[(1, 0), (2, 1), (3, 1)], &[2]), candidate(2, &[(4, 1)], &[])], 0);
    assert_eq!((verdict.keep, verdict.end), (1, DATA_START + BATCH_BYTES));
    assert_eq!(verdict.dropped_batches, 2);
    assert_eq!(verdict.dropped_bytes, u64::from(3 * BATCH_BYTES));
    assert_eq!(verdict.damaged, []);
}

#[test]
fn a_synced_invalid_batch_is_damage_and_is_stepped_over() {
    let verdict =
        judge(&[candidate(1, &[(1, 0), (2, 1), (3, 2)], &[2]), candidate(2, &[(4, 2)], &[])], 0);
    assert_eq!((verdict.keep, verdict.end), (2, DATA_START + BATCH_BYTES));
    let damage =
        Damage { segment: 1, topic: None, first: 10, last: 29, bytes: u64::from(BATCH_BYTES) };
    assert_eq!(verdict.damaged, [damage]);
    assert_eq!(verdict.dropped_batches, 0);
}

#[test]
fn what_the_state_file_saw_synced_is_damage_even_at_the_end() {
    let segments = [candidate(1, &[(1, 0), (2, 0)], &[2])];
    let torn = judge(&segments, 1);
    assert_eq!((torn.damaged.len(), torn.dropped_batches), (0, 0));
    assert_eq!(torn.dropped_bytes, u64::from(BATCH_BYTES));
    let damaged = judge(&segments, 2);
    assert!(damaged.open_ended);
    assert_eq!((damaged.damaged.len(), damaged.dropped_bytes), (1, 0));
}

#[test]
fn batches_missing_between_segments_are_noticed() {
    let segments = |synced| [candidate(1, &[(1, 0)], &[]), candidate(2, &[(3, synced)], &[])];
    let torn = judge(&segments(1), 0);
    assert_eq!((torn.keep, torn.dropped_batches), (1, 1));
    let damaged = judge(&segments(2), 0);
    assert_eq!((damaged.keep, damaged.damaged.len()), (2, 1));
}

#[test]
fn a_segment_without_header_is_torn_at_the_end_and_damage_in_the_middle() {
    let lost = |id| Candidate { id, header: None, examined: Examined::Unreadable { bytes: 500 } };
    let torn = judge(&[candidate(1, &[(1, 0)], &[]), lost(2)], 0);
    assert_eq!((torn.keep, torn.dropped_bytes), (1, 500));
    let middle = judge(&[candidate(1, &[(1, 0)], &[]), lost(2), candidate(3, &[(9, 8)], &[])], 0);
    assert_eq!(middle.keep, 3);
    assert_eq!((middle.damaged[0].last, middle.damaged[0].bytes), (89, 500));
    assert_eq!(judge(&[lost(1)], 0).keep, 0);
    assert_eq!(judge(&[lost(1)], 1).keep, 1);
}

#[test]
fn a_batch_inside_an_event_is_not_taken_for_one() {
    let planted = batch(2, 0);
    let mut foreign = header(1, 1).encode();
    foreign.extend([0xff; 8]);
    foreign.extend(&planted);
    assert_eq!(scan(&foreign, &header(1, 1)).batches.len(), 1);
    let salted = SegmentHeader { salt: SALT + 1, ..header(1, 1) };
    assert_eq!(scan(&foreign, &salted).batches.len(), 0);
}
