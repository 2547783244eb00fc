//! One writer, several readers, syncs and maintenance at the same time: every reader sees every
//! event once, in order, with its data, however segments are sealed, rewritten and deleted under
//! it.

#![allow(clippy::unwrap_used, reason = "a test ends with the first surprise")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use tidings_log::{
    Batch, Durability, Event, FileStorage, Log, NewTopic, Opened, Options, Policy, ReadLimit,
    Retention, StoredEvent, TopicId, Writer, limits, open,
};

const EVENTS: u64 = 6_000;

fn data_of(sequence: u64) -> Vec<u8> {
    vec![sequence as u8; 50 + (sequence % 200) as usize]
}

fn write(writer: &mut Writer, log: &Log, topics: [TopicId; 3], acknowledged: &AtomicU64) {
    let [all, few, latest] = topics;
    let mut batch = Batch::new();
    while writer.next_sequence() <= EVENTS {
        let first = writer.next_sequence();
        for sequence in first..first + 1 + first % 4 {
            let data = data_of(sequence);
            let key = ["a", "b", "c"][(sequence % 3) as usize];
            let topics = [all, if sequence % 2 == 0 { few } else { latest }];
            let event = Event { topics: &topics, key: Some(key), data: &data, ..Event::default() };
            writer.push(&mut batch, &event).unwrap();
        }
        let durability = [Durability::Memory, Durability::Written, Durability::Synced];
        let durability = durability[(first % 3) as usize];
        let appended = writer.append(&mut batch, durability).unwrap();
        if durability == Durability::Synced && first % 16 == 2 {
            assert!(log.sync().unwrap() >= appended.batch);
            assert!(log.synced() >= appended.batch);
        }
        acknowledged.store(appended.last, Ordering::Release);
    }
}

/// Follows a topic to the end, in small reads; `dense` if no sequence may be left out.
fn follow(log: &Log, topic: TopicId, acknowledged: &AtomicU64, dense: bool) {
    let limit = ReadLimit { events: 100, bytes: 20_000 };
    let mut after = 0;
    loop {
        let end = acknowledged.load(Ordering::Acquire);
        let mut last = after;
        let mut visit = |event: StoredEvent<'_>| {
            assert!(event.sequence > last, "{} after {last}", event.sequence);
            assert!(!dense || event.sequence == last + 1, "{} after {last}", event.sequence);
            assert_eq!(event.data, data_of(event.sequence));
            last = event.sequence;
        };
        let progress = log.read(&[topic], after, u64::MAX, limit, 0, &mut visit).unwrap();
        assert!(progress.after >= after && (progress.more || progress.after >= end));
        after = progress.after;
        if after >= EVENTS {
            return;
        }
    }
}

#[test]
fn readers_see_everything_while_all_else_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let segment_bytes = limits::SEGMENT_BYTES_MIN;
    let options = Options { segment_bytes, now_ms: 1, ..Options::default() };
    let storage = Arc::new(FileStorage::new(folder.path()).unwrap());
    let Opened { mut writer, log, .. } = open(storage, options).unwrap();
    let mut batch = Batch::new();
    let mut create = |name, conflate, count| {
        let retention = Retention { count, ..Retention::default() };
        let policy = Policy { conflate, retention, ..Policy::default() };
        let new = NewTopic { name, policy, forked_from: None, time_ms: 1 };
        writer.create_topic(&mut batch, &new).unwrap()
    };
    let topics =
        [create("all", false, None), create("few", false, Some(9)), create("latest", true, None)];
    writer.append(&mut batch, Durability::Written).unwrap();
    let (acknowledged, done) = (AtomicU64::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        let readers = [
            scope.spawn(|| follow(&log, topics[0], &acknowledged, true)),
            scope.spawn(|| follow(&log, topics[0], &acknowledged, true)),
            scope.spawn(|| follow(&log, topics[1], &acknowledged, false)),
            scope.spawn(|| follow(&log, topics[2], &acknowledged, false)),
        ];
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                log.maintain(1).unwrap();
                log.describe(topics[1]);
                log.missing(topics[1], 5, 1);
                log.before_last(&topics, 3, u64::MAX, 1);
            }
        });
        write(&mut writer, &log, topics, &acknowledged);
        let failed = readers.into_iter().filter_map(|reader| reader.join().err()).count();
        done.store(true, Ordering::Release);
        assert_eq!(failed, 0);
    });
    assert!(log.status().segments > 10);
    assert_eq!(log.status().damaged, []);
    writer.close().unwrap();
}
