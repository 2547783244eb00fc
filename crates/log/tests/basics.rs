//! The log used as its callers use it: append, read, describe, close, open again.

#![allow(clippy::unwrap_used, reason = "a test ends with the first surprise")]

use std::path::Path;
use std::sync::Arc;

use tidings_log::{
    Batch, Durability, End, Event, EventError, FileStorage, Fork, Idempotency, Log, Missing,
    NewTopic, OpenError, Opened, Options, Policy, Producer, ReadLimit, Reason, Repeated, Retention,
    TopicError, TopicId, Writer, limits, open,
};

const ALL: ReadLimit = ReadLimit { events: usize::MAX, bytes: usize::MAX };

fn options(now_ms: u64) -> Options {
    let boot_id = Some([1; 16]);
    Options { segment_bytes: limits::SEGMENT_BYTES_MIN, now_ms, boot_id, ..Options::default() }
}

fn open_at(folder: &Path, now_ms: u64) -> Opened {
    open(Arc::new(FileStorage::new(folder).unwrap()), options(now_ms)).unwrap()
}

fn topic(writer: &mut Writer, name: &str, policy: Policy) -> TopicId {
    let mut batch = Batch::new();
    let new = NewTopic { name, policy, forked_from: None, time_ms: 1 };
    let id = writer.create_topic(&mut batch, &new).unwrap();
    writer.append(&mut batch, Durability::Written).unwrap();
    id
}

fn append(writer: &mut Writer, topics: &[TopicId], time_ms: u64, data: &[u8]) -> u64 {
    let mut batch = Batch::new();
    writer.push(&mut batch, &Event { topics, time_ms, data, ..Event::default() }).unwrap();
    writer.append(&mut batch, Durability::Written).unwrap().last
}

fn read(log: &Log, topics: &[TopicId], after: u64, now_ms: u64) -> Vec<(u64, String)> {
    let mut found = Vec::new();
    let mut visit = |event: tidings_log::StoredEvent<'_>| {
        found.push((event.sequence, String::from_utf8(event.data.to_vec()).unwrap()));
    };
    let progress = log.read(topics, after, u64::MAX, ALL, now_ms, &mut visit).unwrap();
    assert!(!progress.more);
    found
}

fn sequences(log: &Log, topics: &[TopicId], after: u64, now_ms: u64) -> Vec<u64> {
    read(log, topics, after, now_ms).into_iter().map(|(sequence, _)| sequence).collect()
}

fn kept(count: u64) -> Policy {
    let retention = Retention { count: Some(count), ..Retention::default() };
    Policy { retention, ..Policy::default() }
}

#[test]
fn events_are_read_back_with_every_field_before_and_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let Opened { mut writer, log, recovery } = open_at(folder.path(), 5);
    assert!(recovery.created);
    let a = topic(&mut writer, "a", Policy::default());
    let b = topic(&mut writer, "b", Policy::default());
    let topics = [a, b];
    let event = Event {
        topics: &topics,
        time_ms: 1000,
        event_type: Some("price"),
        publisher_id: Some("urn:1"),
        key: Some("EUR"),
        expires_ms: Some(5000),
        private: true,
        end: Some(End::Done),
        producer: Some(Producer { id: "p", epoch: 2, sequence: 7 }),
        idempotency: Some(Idempotency { key: "k", fingerprint: 99, count: 1 }),
        data: b"payload",
    };
    let mut batch = Batch::new();
    writer.push(&mut batch, &event).unwrap();
    let appended = writer.append(&mut batch, Durability::Synced).unwrap();
    assert_eq!((appended.first, appended.last), (1, 1));
    assert!(log.synced() < appended.batch);
    assert!(log.sync().unwrap() >= appended.batch);
    let check = |log: &Log| {
        let mut seen = 0;
        let mut visit = |found: tidings_log::StoredEvent<'_>| {
            assert_eq!((found.sequence, found.event), (1, event));
            seen += 1;
        };
        log.read(&[a, b], 0, u64::MAX, ALL, 1000, &mut visit).unwrap();
        assert_eq!(seen, 1);
        assert_eq!(sequences(log, &[a], 0, 5000), [], "expired");
        assert_eq!(log.producer(a, "p").map(|p| (p.epoch, p.sequence)), Some((2, 7)));
        assert_eq!(log.idempotent(a, "k"), Some(Repeated { first: 1, count: 1, fingerprint: 99 }));
        assert_eq!(log.publisher_id(b, "urn:1"), Some(1));
        assert_eq!((log.idempotent(b, "k"), log.publisher_id(b, "urn:2")), (None, None));
    };
    check(&log);
    let epoch = log.epoch().to_owned();
    writer.close().unwrap();
    let Opened { log, recovery, .. } = open_at(folder.path(), 6);
    assert!(recovery.clean && !recovery.created);
    assert_eq!(log.epoch(), epoch);
    check(&log);
}

#[test]
fn a_clean_restart_goes_on_densely_and_an_unclean_one_above_the_reservation() {
    let folder = tempfile::tempdir().unwrap();
    let Opened { mut writer, .. } = open_at(folder.path(), 5);
    let a = topic(&mut writer, "a", Policy::default());
    assert_eq!(append(&mut writer, &[a], 1, b"one"), 1);
    writer.close().unwrap();
    let Opened { mut writer, log, .. } = open_at(folder.path(), 5);
    assert_eq!(append(&mut writer, &[a], 1, b"two"), 2);
    assert_eq!(log.missing(a, 0, 1), None);
    drop(writer);
    let Opened { mut writer, log, recovery } = open_at(folder.path(), 5);
    assert!(!recovery.clean);
    assert!(log.first_issued_this_life() > 2 && log.newest_before_this_life() == 2);
    let third = append(&mut writer, &[a], 1, b"three");
    assert_eq!(third, log.first_issued_this_life());
    assert_eq!(sequences(&log, &[a], 0, 1), [1, 2, third]);
    assert_eq!(log.missing(a, 0, 1), None, "written events survive a killed process");
}

#[test]
fn a_crash_is_reported_to_topics_whose_durability_was_at_risk() {
    let folder = tempfile::tempdir().unwrap();
    let of = |durability| Policy { durability, ..Policy::default() };
    let Opened { mut writer, .. } = open_at(folder.path(), 5);
    let memory = topic(&mut writer, "memory", of(Durability::Memory));
    let written = topic(&mut writer, "written", of(Durability::Written));
    let synced = topic(&mut writer, "synced", of(Durability::Synced));
    drop(writer);
    let Opened { mut writer, log, .. } = open_at(folder.path(), 5);
    let start = log.first_issued_this_life();
    let crash = Some(Missing { through: start - 1, reason: Reason::Crash });
    assert_eq!(log.missing(memory, 0, 1), crash);
    assert_eq!(log.missing(memory, start - 1, 1), None);
    assert_eq!((log.missing(written, 0, 1), log.missing(synced, 0, 1)), (None, None));
    let later = topic(&mut writer, "later", of(Durability::Memory));
    assert_eq!(log.missing(later, 0, 1), None, "created after the crash");
    drop(writer);
    let rebooted = Options { boot_id: Some([2; 16]), ..options(5) };
    let storage = Arc::new(FileStorage::new(folder.path()).unwrap());
    let Opened { log, .. } = open(storage, rebooted).unwrap();
    let crash = Some(Missing { through: log.first_issued_this_life() - 1, reason: Reason::Crash });
    assert_eq!((log.missing(memory, 0, 1), log.missing(written, 0, 1)), (crash, crash));
    assert_eq!(log.missing(synced, 0, 1), None);
}

#[test]
fn retention_by_count_is_exact_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let Opened { mut writer, log, .. } = open_at(folder.path(), 5);
    let a = topic(&mut writer, "a", kept(3));
    let b = topic(&mut writer, "b", Policy::default());
    for _ in 0..5 {
        append(&mut writer, &[a], 1, b"x");
        append(&mut writer, &[b], 1, b"y");
    }
    assert_eq!(sequences(&log, &[a], 0, 1), [5, 7, 9]);
    let gap = Some(Missing { through: 3, reason: Reason::Retention });
    assert_eq!((log.missing(a, 0, 1), log.missing(a, 2, 1)), (gap, gap));
    assert_eq!((log.missing(a, 3, 1), log.missing(a, 4, 1)), (None, None));
    assert_eq!(log.missing(b, 0, 1), None);
    let info = log.describe(a).unwrap();
    assert_eq!((info.oldest, info.newest, info.count), (Some(5), 9, 3));
    // A laxer policy brings nothing back.
    let mut batch = Batch::new();
    writer.set_policy(&mut batch, a, &kept(100)).unwrap();
    writer.append(&mut batch, Durability::Written).unwrap();
    assert_eq!(sequences(&log, &[a], 0, 1), [5, 7, 9]);
    writer.close().unwrap();
    let Opened { log, .. } = open_at(folder.path(), 5);
    assert_eq!(sequences(&log, &[a], 0, 1), [5, 7, 9]);
    assert_eq!(log.missing(a, 0, 1), gap);
}

#[test]
fn retention_by_age_is_exact_at_read_time() {
    let folder = tempfile::tempdir().unwrap();
    let Opened { mut writer, log, .. } = open_at(folder.path(), 5);
    let retention = Retention { age_ms: Some(100), ..Retention::default() };
    let a = topic(&mut writer, "a", Policy { retention, ..Policy::default() });
    for time_ms in [1000, 1050, 1100] {
        append(&mut writer, &[a], time_ms, b"x");
    }
    assert_eq!(sequences(&log, &[a], 0, 1100), [1, 2, 3]);
    assert_eq!(sequences(&log, &[a], 0, 1101), [2, 3]);
    assert_eq!(log.missing(a, 0, 1100), None);
    let gap = Some(Missing { through: 1, reason: Reason::Retention });
    assert_eq!(log.missing(a, 0, 1101), gap);
    assert_eq!(log.missing(a, 1, 1101), None);
    assert_eq!(sequences(&log, &[a], 0, 9999), []);
    assert_eq!((log.before_time(1050), log.before_time(1051), log.before_time(0)), (1, 2, 0));
}

#[test]
fn a_conflating_topic_keeps_the_newest_per_key() {
    let folder = tempfile::tempdir().unwrap();
    let Opened { mut writer, log, .. } = open_at(folder.path(), 5);
    let a = topic(&mut writer, "a", Policy { conflate: true, ..kept(3) });
    let mut put = |key: Option<&str>| {
        let mut batch = Batch::new();
        let topics = [a];
        writer.push(&mut batch, &Event { topics: &topics, key, ..Event::default() }).unwrap();
        writer.append(&mut batch, Durability::Written).unwrap();
    };
    for key in [Some("x"), Some("y"), Some("x"), None] {
        put(key);
    }
    assert_eq!(sequences(&log, &[a], 0, 1), [2, 3, 4]);
    assert_eq!(log.missing(a, 0, 1), None, "superseded is not missing");
    put(Some("z"));
    assert_eq!(sequences(&log, &[a], 0, 1), [3, 4, 5]);
    assert_eq!(log.missing(a, 0, 1), Some(Missing { through: 2, reason: Reason::Retention }));
    assert_eq!(log.before_last(&[a], 2, u64::MAX, 1), 3);
    // Up to 4 there are 3 and 4.
    assert_eq!(log.before_last(&[a], 1, 4, 1), 3);
    assert_eq!(log.before_last(&[a], 2, 4, 1), 2);
    assert_eq!(log.before_last(&[a], 99, 4, 1), 2);
    assert_eq!(log.before_last(&[a], 99, 0, 1), 0);
    writer.close().unwrap();
    let Opened { log, .. } = open_at(folder.path(), 5);
    assert_eq!(sequences(&log, &[a], 0, 1), [3, 4, 5]);
}

#[test]
fn a_fork_begins_with_its_source() {
    let folder = tempfile::tempdir().unwrap();
    let Opened { mut writer, log, .. } = open_at(folder.path(), 5);
    let a = topic(&mut writer, "a", Policy::default());
    for _ in 0..4 {
        append(&mut writer, &[a], 1, b"a");
    }
    let mut batch = Batch::new();
    let forked_from = Some(Fork { source: a, through: 2 });
    let new = NewTopic { name: "b", policy: kept(3), forked_from, time_ms: 1 };
    let b = writer.create_topic(&mut batch, &new).unwrap();
    writer.append(&mut batch, Durability::Written).unwrap();
    assert_eq!(sequences(&log, &[b], 0, 1), [1, 2]);
    append(&mut writer, &[b], 1, b"b");
    assert_eq!(sequences(&log, &[b], 0, 1), [1, 2, 5]);
    append(&mut writer, &[b], 1, b"b");
    assert_eq!(sequences(&log, &[b], 0, 1), [2, 5, 6]);
    assert_eq!(log.missing(b, 0, 1), Some(Missing { through: 1, reason: Reason::Retention }));
    assert_eq!(log.before_last(&[b], 3, u64::MAX, 1), 1);
    let info = log.describe(b).unwrap();
    assert_eq!((info.oldest, info.newest, info.count), (Some(2), 6, 3));
    assert_eq!(sequences(&log, &[a, b], 0, 1), [1, 2, 3, 4, 5, 6]);
    assert_eq!(writer.delete_topic(&mut batch, a), Err(TopicError::HasForks(1)));
    writer.delete_topic(&mut batch, b).unwrap();
    writer.delete_topic(&mut batch, a).unwrap();
    writer.append(&mut batch, Durability::Written).unwrap();
    assert_eq!((log.topic("a"), log.topic("b")), (None, None));
    assert_eq!(sequences(&log, &[a, b], 0, 1), []);
}

#[test]
fn a_batch_is_all_or_nothing_and_an_abandoned_one_is_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let Opened { mut writer, log, .. } = open_at(folder.path(), 5);
    let (mut first, mut second) = (Batch::new(), Batch::new());
    let new = |name| NewTopic { name, policy: Policy::default(), forked_from: None, time_ms: 1 };
    let lost = writer.create_topic(&mut first, &new("lost")).unwrap();
    let kept = writer.create_topic(&mut second, &new("kept")).unwrap();
    assert_eq!(lost, kept, "numbers of an abandoned batch are free again");
    let topics = [kept];
    writer.push(&mut second, &Event { topics: &topics, ..Event::default() }).unwrap();
    assert_eq!(log.topic("kept"), None);
    writer.append(&mut second, Durability::Written).unwrap();
    let abandoned = writer.append(&mut first, Durability::Written);
    assert_eq!(abandoned, Err(tidings_log::AppendError::Abandoned));
    assert!(first.is_empty());
    assert_eq!((log.topic("kept"), log.topic("lost")), (Some(kept), None));
    let mut batch = Batch::new();
    assert_eq!(writer.create_topic(&mut batch, &new("kept")), Err(TopicError::Exists(kept)));
    let unknown = [TopicId(99)];
    let refused = writer.push(&mut batch, &Event { topics: &unknown, ..Event::default() });
    assert_eq!(refused, Err(EventError::UnknownTopic(TopicId(99))));
    writer.close_topic(&mut batch, kept, End::Done).unwrap();
    let refused = writer.push(&mut batch, &Event { topics: &topics, ..Event::default() });
    assert_eq!(refused, Err(EventError::Closed(kept)));
    writer.append(&mut batch, Durability::Written).unwrap();
    assert_eq!(log.describe(kept).unwrap().closed, Some(End::Done));
}

#[test]
fn memory_events_are_readable_at_once_and_written_by_the_next_written_append() {
    let folder = tempfile::tempdir().unwrap();
    let Opened { mut writer, log, .. } = open_at(folder.path(), 5);
    let a = topic(&mut writer, "a", Policy::default());
    let topics = [a];
    let mut batch = Batch::new();
    for data in [&b"one"[..], b"two"] {
        writer.push(&mut batch, &Event { topics: &topics, data, ..Event::default() }).unwrap();
        writer.append(&mut batch, Durability::Memory).unwrap();
    }
    assert_eq!(sequences(&log, &[a], 0, 1), [1, 2]);
    append(&mut writer, &[a], 1, b"three");
    let found = read(&log, &[a], 0, 1);
    assert_eq!(found[1], (2, "two".to_owned()));
    drop((writer, log));
    let Opened { log, .. } = open_at(folder.path(), 5);
    assert_eq!(sequences(&log, &[a], 0, 1), [1, 2, 3]);
}

#[test]
fn reads_are_bounded_and_resume_where_they_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let Opened { mut writer, log, .. } = open_at(folder.path(), 5);
    let a = topic(&mut writer, "a", Policy::default());
    let b = topic(&mut writer, "b", Policy::default());
    let data = [b'x'; 500];
    for index in 0..300_u64 {
        let one: &[TopicId] = if index % 3 == 0 { &[a, b] } else { &[a] };
        append(&mut writer, one, index, &data);
        if index % 50 == 0 {
            log.maintain(index).unwrap();
        }
    }
    assert!(log.status().segments > 5);
    for limit in [ReadLimit { events: 7, bytes: usize::MAX }, ReadLimit { events: 99, bytes: 3000 }]
    {
        let (mut after, mut found) = (0, Vec::new());
        loop {
            let before = found.len();
            let mut visit = |event: tidings_log::StoredEvent<'_>| found.push(event.sequence);
            let progress = log.read(&[a, b], after, 290, limit, 300, &mut visit).unwrap();
            assert!(found.len() - before <= 7);
            after = progress.after;
            if !progress.more {
                break;
            }
            assert!(found.len() > before);
        }
        assert_eq!(after, 290);
        assert_eq!(found, (1..=290).collect::<Vec<_>>());
    }
    let thirds: Vec<u64> = (0..100).map(|index| index * 3 + 1).collect();
    assert_eq!(sequences(&log, &[b], 0, 300), thirds);
    assert_eq!(log.before_last(&[b], 10, u64::MAX, 300), 270);
    assert_eq!(log.before_last(&[a, b], 10, u64::MAX, 300), 290);
    assert_eq!(log.before_last(&[], 10, u64::MAX, 300), 300);
    assert_eq!(log.before_last(&[a], 0, u64::MAX, 300), 300);
    assert_eq!(log.before_time(250), 250);
}

#[test]
fn timers_are_pending_until_they_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    let Opened { mut writer, log, .. } = open_at(folder.path(), 5);
    let mut batch = Batch::new();
    let first = writer.schedule(&mut batch, 100, b"one").unwrap();
    let second = writer.schedule(&mut batch, 50, b"two").unwrap();
    writer.append(&mut batch, Durability::Written).unwrap();
    writer.unschedule(&mut batch, first).unwrap();
    writer.append(&mut batch, Durability::Written).unwrap();
    writer.reschedule(&mut batch, second, 60, b"two, again").unwrap();
    writer.append(&mut batch, Durability::Written).unwrap();
    let one = |log: &Log| {
        let pending = log.schedules();
        assert_eq!(pending.len(), 1);
        (pending[0].id, pending[0].due_ms, pending[0].payload.to_vec())
    };
    let kept = (second, 60, b"two, again".to_vec());
    assert_eq!(one(&log), kept);
    writer.close().unwrap();
    let Opened { mut writer, log, .. } = open_at(folder.path(), 5);
    assert_eq!(one(&log), kept);
    assert!(writer.schedule(&mut batch, 1, b"").unwrap() > second);
}

#[test]
fn old_segments_are_deleted_and_sparse_ones_rewritten() {
    let folder = tempfile::tempdir().unwrap();
    let Opened { mut writer, log, .. } = open_at(folder.path(), 5);
    let rare = topic(&mut writer, "rare", Policy::default());
    let busy = topic(&mut writer, "busy", kept(10));
    let data = [b'x'; 400];
    let mut rare_sequences = Vec::new();
    for index in 0..400 {
        if index % 60 == 0 {
            rare_sequences.push(append(&mut writer, &[rare], index, b"rare"));
        }
        append(&mut writer, &[busy], index, &data);
    }
    let before = log.status();
    let (mut rewritten, mut deleted) = (0, 0);
    for round in 0..100 {
        let done = log.maintain(1000 + round).unwrap();
        rewritten += done.rewritten;
        deleted += done.deleted;
    }
    assert!(rewritten > 0);
    let after = log.status();
    assert!(after.disk_bytes < before.disk_bytes / 2, "{before:?} {after:?}");
    assert_eq!(sequences(&log, &[rare], 0, 1), rare_sequences);
    assert_eq!(sequences(&log, &[busy], 0, 1).len(), 10);
    let gap = log.missing(busy, 0, 1).unwrap();
    assert_eq!(gap.reason, Reason::Retention);
    let mut batch = Batch::new();
    writer.delete_topic(&mut batch, rare).unwrap();
    writer.append(&mut batch, Durability::Written).unwrap();
    for round in 0..100 {
        deleted += log.maintain(2000 + round).unwrap().deleted;
    }
    assert!(deleted > 0);
    assert!(log.status().segments <= 3, "{:?}", log.status());
    writer.close().unwrap();
    let Opened { log, recovery, .. } = open_at(folder.path(), 5);
    assert_eq!(recovery.damaged, []);
    assert_eq!(sequences(&log, &[busy], 0, 1).len(), 10);
    assert_eq!(log.missing(busy, 0, 1), Some(gap));
    assert_eq!(log.topic("rare"), None);
}

#[test]
fn a_folder_belongs_to_one_log() {
    let folder = tempfile::tempdir().unwrap();
    let Opened { mut writer, .. } = open_at(folder.path(), 5);
    let storage = || Arc::new(FileStorage::new(folder.path()).unwrap());
    assert!(matches!(open(storage(), options(5)), Err(OpenError::Locked)));
    writer.close().unwrap();
    assert!(open(storage(), options(5)).is_ok());
}

#[test]
fn a_segment_of_small_records_is_not_rewritten_again_and_again() {
    let folder = tempfile::tempdir().unwrap();
    let Opened { mut writer, log, .. } = open_at(folder.path(), 5);
    let a = topic(&mut writer, "a", Policy::default());
    let b = topic(&mut writer, "b", kept(1));
    for number in 0..600 {
        append(&mut writer, &[if number % 3 == 0 { a } else { b }], number, b"tiny");
    }
    let mut rewritten = 0;
    for round in 0..200 {
        rewritten += log.maintain(1000 + round).unwrap().rewritten;
    }
    let segments = log.status().segments;
    assert!(segments > 2 && rewritten > 0 && rewritten < segments, "{rewritten} {segments}");
    writer.close().unwrap();
    let Opened { log, writer: _writer, .. } = open_at(folder.path(), 5);
    let again: u64 = (0..200).map(|round| log.maintain(2000 + round).unwrap().rewritten).sum();
    assert!(again <= 1, "{again}");
    assert_eq!(sequences(&log, &[a], 0, 1).len(), 200);
}

#[test]
fn expired_records_are_left_out_of_a_rewritten_segment() {
    let folder = tempfile::tempdir().unwrap();
    let Opened { mut writer, log, .. } = open_at(folder.path(), 5);
    let plain = topic(&mut writer, "plain", Policy::default());
    let latest = topic(&mut writer, "latest", Policy { conflate: true, ..Policy::default() });
    let data = [b'x'; 900];
    for number in 0..60_u64 {
        let mut batch = Batch::new();
        let topics = [plain, latest];
        let key = format!("{number}");
        let expires_ms = (number % 10 != 0).then_some(2000);
        let key = Some(&*key);
        let event = Event {
            topics: &topics,
            time_ms: 1000,
            key,
            expires_ms,
            data: &data,
            ..Event::default()
        };
        writer.push(&mut batch, &event).unwrap();
        writer.append(&mut batch, Durability::Written).unwrap();
    }
    let before = log.status().disk_bytes;
    let kept: Vec<u64> = (0..60).step_by(10).map(|number| number + 1).collect();
    for round in 0..20 {
        log.maintain(2000 + round).unwrap();
    }
    assert!(log.status().disk_bytes < before / 2);
    let check = |log: &Log| {
        for topic in [plain, latest] {
            assert_eq!(sequences(log, &[topic], 0, 2020), kept);
            assert_eq!(log.missing(topic, 0, 2020), None, "expired is not missing");
        }
    };
    check(&log);
    writer.close().unwrap();
    check(&open_at(folder.path(), 2020).log);
}

#[test]
fn retention_by_bytes_is_applied_by_maintenance() {
    let folder = tempfile::tempdir().unwrap();
    let Opened { mut writer, log, .. } = open_at(folder.path(), 5);
    let retention = Retention { bytes: Some(5000), ..Retention::default() };
    let a = topic(&mut writer, "a", Policy { retention, ..Policy::default() });
    let data = [b'x'; 960];
    for number in 0..100 {
        append(&mut writer, &[a], number, &data);
        if number % 30 == 0 {
            log.maintain(number).unwrap();
        }
    }
    while log.maintain(200).unwrap().more {}
    assert_eq!(sequences(&log, &[a], 0, 200), [96, 97, 98, 99, 100]);
    let info = log.describe(a).unwrap();
    assert!(info.bytes <= 5000 && info.count == 5, "{info:?}");
    let gap = Some(Missing { through: 95, reason: Reason::Retention });
    assert_eq!((log.missing(a, 0, 200), log.missing(a, 95, 200)), (gap, None));
    writer.close().unwrap();
    let Opened { log, writer: _writer, .. } = open_at(folder.path(), 200);
    while log.maintain(200).unwrap().more {}
    assert_eq!(sequences(&log, &[a], 0, 200), [96, 97, 98, 99, 100]);
    assert_eq!(log.missing(a, 0, 200), gap);
}

#[test]
fn idempotency_outlives_the_event_and_its_segment() {
    let folder = tempfile::tempdir().unwrap();
    let Opened { mut writer, log, .. } = open_at(folder.path(), 5);
    let a = topic(&mut writer, "a", kept(2));
    let mut batch = Batch::new();
    let topics = [a];
    let idempotency = Some(Idempotency { key: "once", fingerprint: 5, count: 1 });
    let producer = Some(Producer { id: "p", epoch: 1, sequence: 4 });
    let event = Event { topics: &topics, time_ms: 10, idempotency, producer, ..Event::default() };
    writer.push(&mut batch, &event).unwrap();
    writer.append(&mut batch, Durability::Written).unwrap();
    for number in 0..100 {
        append(&mut writer, &[a], 10 + number, &[b'x'; 900]);
        log.maintain(10 + number).unwrap();
    }
    assert!(log.status().segments < 4);
    let repeated = Some(Repeated { first: 1, count: 1, fingerprint: 5 });
    assert_eq!(log.idempotent(a, "once"), repeated);
    writer.close().unwrap();
    let Opened { log, writer: _writer, .. } = open_at(folder.path(), 200);
    assert_eq!(log.idempotent(a, "once"), repeated);
    assert_eq!(log.producer(a, "p").map(|p| (p.epoch, p.sequence)), Some((1, 4)));
    log.maintain(10 + limits::IDEMPOTENCY_WINDOW_MS).unwrap();
    assert_eq!(log.idempotent(a, "once"), None);
}

#[test]
fn a_policy_of_an_abandoned_batch_removes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut opened = open_at(folder.path(), 1);
    let id = topic(&mut opened.writer, "a", kept(2));
    for time_ms in 1..=5 {
        append(&mut opened.writer, &[id], time_ms, b"x");
    }
    assert_eq!(sequences(&opened.log, &[id], 0, 5), [4, 5]);
    let (mut abandoned, mut batch) = (Batch::new(), Batch::new());
    opened.writer.set_policy(&mut abandoned, id, &kept(1)).unwrap();
    // What the policy in force has removed stays removed, whatever the next one keeps; and no more.
    opened.writer.set_policy(&mut batch, id, &kept(500)).unwrap();
    opened.writer.append(&mut batch, Durability::Written).unwrap();
    assert_eq!(sequences(&opened.log, &[id], 0, 5), [4, 5]);
}
