//! Logs written by every format version can be read: `tests/golden/v1` is one of version 1, `v2`
//! one of version 2, whose checkpoint knows deleted names.
//!
//! The golden files were written once, by `TIDINGS_LOG_GOLDEN=write cargo test -p tidings-log
//! --test compat`. They are never written again: a new format version gets a folder of its own.

#![allow(clippy::unwrap_used, reason = "a test ends with the first surprise")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tidings_log::{
    Batch, Durability, End, Event, FileStorage, Fork, Idempotency, Log, NewTopic, Opened, Options,
    Policy, Produced, Producer, ReadLimit, Reason, Repeated, Retention, StoredEvent, TopicId,
    Writer, limits, open,
};

const ALL: ReadLimit = ReadLimit { events: usize::MAX, bytes: usize::MAX };
const NOW: u64 = 1_800_000_000_000;

/// The version that is written today.
const TODAY: u32 = 2;

fn golden(version: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/v{version}"))
}

fn options() -> Options {
    let segment_bytes = limits::SEGMENT_BYTES_MIN;
    Options { segment_bytes, now_ms: NOW, boot_id: Some([7; 16]), ..Options::default() }
}

fn create(writer: &mut Writer, name: &str, policy: Policy, fork: Option<Fork>) -> TopicId {
    let mut batch = Batch::new();
    let new = NewTopic { name, policy, forked_from: fork, time_ms: NOW };
    let id = writer.create_topic(&mut batch, &new).unwrap();
    writer.append(&mut batch, Durability::Written).unwrap();
    id
}

fn append(writer: &mut Writer, event: &Event<'_>) -> u64 {
    let mut batch = Batch::new();
    writer.push(&mut batch, event).unwrap();
    writer.append(&mut batch, Durability::Written).unwrap().last
}

/// Writes a log with everything that the format has: sealed and rewritten segments among it.
#[allow(clippy::too_many_lines, reason = "a list of what a log can hold")]
fn write(folder: &Path) {
    let storage = Arc::new(FileStorage::new(folder).unwrap());
    let Opened { mut writer, log, .. } = open(storage, options()).unwrap();
    let retention = Retention { count: Some(4), ..Retention::default() };
    let busy = create(&mut writer, "busy", Policy { retention, ..Policy::default() }, None);
    let plain = create(&mut writer, "plain/ä", Policy::default(), None);
    let extra = Box::from(&b"opaque"[..]);
    let policy =
        Policy { conflate: true, durability: Durability::Synced, extra, ..Policy::default() };
    let latest = create(&mut writer, "latest", policy, None);
    let gone = create(&mut writer, "gone", Policy::default(), None);
    let early = create(&mut writer, "early", Policy::default(), None);
    let padding = [b'.'; 700];
    for number in 0..60_u64 {
        let time_ms = NOW + number;
        let topics = [busy];
        append(
            &mut writer,
            &Event { topics: &topics, time_ms, data: &padding, ..Event::default() },
        );
        if number % 10 == 0 {
            let text = format!("plain {number}");
            let topics = [plain, gone, early];
            let topics = if number == 0 { &topics[..] } else { &topics[..2] };
            let data = text.as_bytes();
            append(&mut writer, &Event { topics, time_ms, data, ..Event::default() });
            let (topics, key) = ([latest], Some(if number % 20 == 0 { "even" } else { "odd" }));
            append(&mut writer, &Event { topics: &topics, time_ms, key, data, ..Event::default() });
        }
        if number == 5 {
            let mut batch = Batch::new();
            writer.delete_topic(&mut batch, early).unwrap();
            writer.append(&mut batch, Durability::Written).unwrap();
        }
        log.maintain(time_ms).unwrap();
    }
    let topics = [plain];
    let event = Event {
        topics: &topics,
        time_ms: NOW + 100,
        event_type: Some("full"),
        publisher_id: Some("urn:1"),
        key: Some("key"),
        expires_ms: Some(NOW + 1000),
        private: true,
        end: Some(End::Done),
        producer: Some(Producer { id: "producer", epoch: 3, sequence: 9 }),
        idempotency: Some(Idempotency { key: "again", fingerprint: 77, count: 1 }),
        data: b"\xff\x00 bytes",
    };
    append(&mut writer, &event);
    create(&mut writer, "fork", Policy::default(), Some(Fork { source: plain, through: 20 }));
    let mut batch = Batch::new();
    writer.delete_topic(&mut batch, gone).unwrap();
    writer.schedule(&mut batch, NOW + 5, b"later").unwrap();
    let dropped = writer.schedule(&mut batch, NOW + 6, b"never").unwrap();
    writer.unschedule(&mut batch, dropped).unwrap();
    writer.close_topic(&mut batch, plain, End::Done).unwrap();
    writer.append(&mut batch, Durability::Written).unwrap();
    log.maintain(NOW + 100).unwrap();
    writer.close().unwrap();
    fs::remove_file(folder.join("lock")).unwrap();
}

fn read(log: &Log, name: &str) -> Vec<(u64, String)> {
    let mut found = Vec::new();
    let mut visit = |event: StoredEvent<'_>| {
        found.push((event.sequence, String::from_utf8_lossy(event.data).into_owned()));
    };
    let topic = log.topic(name).unwrap();
    log.read(&[topic], 0, u64::MAX, ALL, NOW + 200, &mut visit).unwrap();
    found
}

fn check(log: &Log, version: u32) {
    let busy: Vec<u64> = read(log, "busy").into_iter().map(|(sequence, _)| sequence).collect();
    assert_eq!(busy, [69, 70, 71, 72]);
    let gap = log.missing(log.topic("busy").unwrap(), 0, NOW + 200).unwrap();
    assert_eq!((gap.through, gap.reason), (68, Reason::Retention));
    let plain = read(log, "plain/ä");
    let expected: Vec<(u64, String)> =
        (0..6).map(|number| (number * 12 + 2, format!("plain {}", number * 10))).collect();
    assert_eq!(plain[..6], expected);
    assert_eq!(plain[6], (73, "\u{fffd}\0 bytes".to_owned()));
    assert_eq!(read(log, "fork"), expected[..2]);
    assert_eq!(read(log, "latest"), [(51, "plain 40".to_owned()), (63, "plain 50".to_owned())],);
    let id = log.topic("plain/ä").unwrap();
    let produced = Produced { epoch: 3, sequence: 9, at: 73 };
    assert_eq!(log.producer(id, "producer"), Some(produced));
    assert_eq!(log.publisher_id(id, "urn:1"), Some(73));
    let repeated = Repeated { first: 73, count: 1, fingerprint: 77 };
    assert_eq!(log.idempotent(id, "again"), Some(repeated));
    assert_eq!(log.describe(id).unwrap().closed, Some(End::Done));
    let latest = log.describe(log.topic("latest").unwrap()).unwrap();
    assert_eq!((&*latest.policy.extra, latest.policy.conflate), (&b"opaque"[..], true));
    assert_eq!(log.topic("gone"), None);
    // The checkpoint of version 1 forgot them.
    let deleted = if version == 1 { [0, 0] } else { [62, 2] };
    assert_eq!(["gone", "early"].map(|name| log.deleted(name)), deleted);
    let schedules = log.schedules();
    assert_eq!(schedules.len(), 1);
    assert_eq!((schedules[0].due_ms, &*schedules[0].payload), (NOW + 5, &b"later"[..]));
}

#[test]
fn a_log_of_every_version_is_read() {
    if std::env::var_os("TIDINGS_LOG_GOLDEN").is_some() {
        assert!(!golden(TODAY).exists(), "golden files are written once");
        write(&golden(TODAY));
    }
    for (version, sidecars) in [(1, true), (1, false), (TODAY, true), (TODAY, false)] {
        let folder = tempfile::tempdir().unwrap();
        for entry in fs::read_dir(golden(version)).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            if sidecars || !name.ends_with(".index") {
                fs::copy(entry.path(), folder.path().join(name)).unwrap();
            }
        }
        let storage = Arc::new(FileStorage::new(folder.path()).unwrap());
        let Opened { log, recovery, mut writer } = open(storage, options()).unwrap();
        assert!(recovery.clean && recovery.damaged.is_empty(), "{recovery:?}");
        assert_eq!(recovery.rebuilt_sidecars > 0, !sidecars);
        assert_eq!(writer.next_sequence(), 74);
        check(&log, version);
        writer.close().unwrap();
    }
}

/// What is written today agrees with the golden log, so that these files stand for the format.
#[test]
fn the_log_of_today_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path());
    let storage = Arc::new(FileStorage::new(folder.path()).unwrap());
    check(&open(storage, options()).unwrap().log, TODAY);
}
