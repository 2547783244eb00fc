//! A log of many segments keeps few files open, and reads all of them.

#![allow(clippy::unwrap_used, reason = "a test ends with the first surprise")]

use std::path::Path;
use std::sync::Arc;

use tidings_log::{
    Batch, Durability, Event, FileStorage, Log, NewTopic, Opened, Options, Policy, ReadLimit,
    TopicId, limits, open,
};

/// Resting files that may be open.
const OPEN_MAX: usize = 8;

/// Others: the lock, the state, the segments that are not sealed yet, and a file on its way.
const OTHERS_MAX: usize = 8;

const EVENTS: u64 = 2_000;

fn open_at(folder: &Path) -> Opened {
    let storage = FileStorage::new(folder).unwrap().with_resting_files_open(OPEN_MAX);
    let options = Options { segment_bytes: limits::SEGMENT_BYTES_MIN, ..Options::default() };
    open(Arc::new(storage), options).unwrap()
}

/// Descriptors of this process that lead into the folder.
fn descriptors(folder: &Path) -> usize {
    let all = std::fs::read_dir("/proc/self/fd").unwrap();
    let links = all.filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok());
    links.filter(|link| link.starts_with(folder)).count()
}

fn assert_few(folder: &Path, when: &str) {
    let count = descriptors(folder);
    assert!(count <= OPEN_MAX + OTHERS_MAX, "{count} files open {when}");
}

/// Reads a topic in portions, as several who catch up do, each from a place of its own.
fn read_in_turns(log: &Log, topic: TopicId, folder: &Path) {
    const READERS: u64 = 5;
    let limit = ReadLimit { events: 50, bytes: 1 << 20 };
    let mut places: Vec<u64> = (0..READERS).map(|reader| reader * EVENTS / READERS).collect();
    while places.iter().any(|after| *after < EVENTS) {
        for after in &mut places {
            let mut next = *after + 1;
            let mut visit = |event: tidings_log::StoredEvent<'_>| {
                assert_eq!((event.sequence, event.data), (next, &[next as u8; 500][..]));
                next += 1;
            };
            log.read(&[topic], *after, u64::MAX, limit, 0, &mut visit).unwrap();
            *after = next - 1;
            assert_few(folder, "while reading");
        }
    }
}

#[test]
fn few_files_are_open_however_many_there_are() {
    let folder = tempfile::tempdir().unwrap();
    let mut opened = open_at(folder.path());
    let mut batch = Batch::new();
    let new = NewTopic { name: "t", policy: Policy::default(), forked_from: None, time_ms: 1 };
    let topic = opened.writer.create_topic(&mut batch, &new).unwrap();
    for sequence in 1..=EVENTS {
        let data = [sequence as u8; 500];
        let event = Event { topics: &[topic], data: &data, ..Event::default() };
        opened.writer.push(&mut batch, &event).unwrap();
        opened.writer.append(&mut batch, Durability::Written).unwrap();
        if sequence % 50 == 0 {
            opened.log.sync().unwrap();
            opened.log.maintain(1).unwrap();
            assert_few(folder.path(), "while writing");
        }
    }
    assert!(opened.log.status().segments > 5 * OPEN_MAX as u64);
    read_in_turns(&opened.log, topic, folder.path());
    opened.writer.close().unwrap();
    drop(opened);
    let opened = open_at(folder.path());
    assert_few(folder.path(), "after opening");
    read_in_turns(&opened.log, topic, folder.path());
}
