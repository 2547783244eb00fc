//! The fuzz harness on stable: arbitrary and damaged bytes in every file never make the log panic,
//! and what it then hands out are events that were written.

#![allow(clippy::unwrap_used, reason = "a test ends with the first surprise")]

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use tidings_log::testing::{Choices, CrashStorage, check_record, check_segment};
use tidings_log::{
    Batch, Durability, Event, NewTopic, Opened, Options, Policy, ReadLimit, Retention, StoredEvent,
    limits, open,
};

const ALL: ReadLimit = ReadLimit { events: usize::MAX, bytes: usize::MAX };

fn options() -> Options {
    let boot_id = Some([1; 16]);
    let segment_bytes = limits::SEGMENT_BYTES_MIN;
    Options { segment_bytes, now_ms: 1, boot_id, ..Options::default() }
}

/// A log with segments of every kind, and what is in it.
fn sample(clean: bool) -> (CrashStorage, BTreeMap<u64, Vec<u8>>) {
    let disk = CrashStorage::new();
    let Opened { mut writer, log, .. } = open(Arc::new(disk.clone()), options()).unwrap();
    let mut batch = Batch::new();
    let mut create = |name, policy| {
        let new = NewTopic { name, policy, forked_from: None, time_ms: 1 };
        let id = writer.create_topic(&mut batch, &new).unwrap();
        writer.append(&mut batch, Durability::Written).unwrap();
        id
    };
    let retention = Retention { count: Some(10), ..Retention::default() };
    let few = create("few", Policy { retention, ..Policy::default() });
    let all = create("all", Policy::default());
    let latest = create("latest", Policy { conflate: true, ..Policy::default() });
    let mut written = BTreeMap::new();
    for number in 0..90_u64 {
        let topics = match number % 5 {
            0 => vec![all, latest],
            _ => vec![few],
        };
        let data = vec![number as u8; 300 + number as usize * 5];
        let key = Some(if number % 2 == 0 { "x" } else { "y" });
        let event =
            Event { topics: &topics, key, publisher_id: key, data: &data, ..Event::default() };
        writer.push(&mut batch, &event).unwrap();
        let last = writer.append(&mut batch, Durability::Written).unwrap().last;
        written.insert(last, data);
        if number % 7 == 0 {
            log.sync().unwrap();
        }
        if number % 20 == 0 {
            log.maintain(1).unwrap();
        }
    }
    if clean {
        writer.close().unwrap();
    }
    drop(writer);
    (disk.after_kill(), written)
}

/// Opens whatever is there, uses all of it, and opens it again.
fn survive(disk: &CrashStorage, written: &BTreeMap<u64, Vec<u8>>) {
    for _ in 0..2 {
        let Ok(opened) = open(Arc::new(disk.clone()), options()) else {
            return;
        };
        let Opened { mut writer, log, .. } = opened;
        let ids = log.topic_ids();
        let mut visit = |event: StoredEvent<'_>| {
            assert_eq!(written.get(&event.sequence).map(Vec::as_slice), Some(event.data));
        };
        // A file that is shorter than its index says is no event, not a panic.
        let _ = log.read(&ids, 0, u64::MAX, ALL, 1, &mut visit);
        for id in ids {
            log.describe(id);
            log.missing(id, 0, 1);
            log.publisher_id(id, "x");
        }
        log.before_last(&log.topic_ids(), 5, u64::MAX, 1);
        log.before_time(1);
        for _ in 0..3 {
            let _ = log.maintain(1);
        }
        let _ = writer.close();
    }
}

fn damage(disk: &CrashStorage, choices: &mut Choices) {
    let names: Vec<String> = disk.names().into_iter().filter(|name| name != "lock").collect();
    for _ in 0..=choices.below(3) {
        let name = &names[choices.below(names.len() as u64) as usize];
        disk.corrupt(name, |bytes| {
            if bytes.is_empty() {
                return;
            }
            let at = choices.below(bytes.len() as u64) as usize;
            match choices.below(4) {
                0 => bytes[at] ^= 1 << choices.below(8),
                1 => bytes.truncate(at),
                2 => {
                    let end = (at + choices.below(600) as usize).min(bytes.len());
                    bytes[at..end].fill(choices.number() as u8);
                }
                _ => {
                    let length = (choices.below(2000) as usize).min(bytes.len() - at);
                    let from = choices.below((bytes.len() - length) as u64 + 1) as usize;
                    bytes.copy_within(from..from + length, at);
                }
            }
        });
    }
}

#[test]
fn damaged_files_never_make_it_panic_or_hand_out_something_else() {
    for clean in [true, false] {
        let (sample, written) = sample(clean);
        survive(&sample.after_kill(), &written);
        for seed in 0..400 {
            let disk = sample.after_kill();
            let mut choices = Choices(seed);
            damage(&disk, &mut choices);
            survive(&disk, &written);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_are_no_record(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        check_record(&bytes);
    }

    #[test]
    fn arbitrary_bytes_are_no_segment(bytes in proptest::collection::vec(any::<u8>(), 0..6000)) {
        check_segment(&bytes);
    }
}
