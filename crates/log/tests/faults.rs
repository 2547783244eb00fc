//! Disks that are full, read-only, failing or damaged: a clear error, nothing half done, the
//! healthy part readable.

#![allow(clippy::unwrap_used, reason = "a test ends with the first surprise")]

use std::sync::Arc;

use tidings_log::testing::{CrashStorage, Fault};
use tidings_log::{
    AppendError, Batch, Durability, Event, Log, MaintainError, Missing, NewTopic, OpenError,
    Opened, Options, Policy, ReadLimit, Reason, Recovery, Retention, State, StoredEvent, TopicId,
    Writer, limits, open,
};

const ALL: ReadLimit = ReadLimit { events: usize::MAX, bytes: usize::MAX };

fn options() -> Options {
    let boot_id = Some([1; 16]);
    let segment_bytes = limits::SEGMENT_BYTES_MIN;
    Options { segment_bytes, now_ms: 1, boot_id, ..Options::default() }
}

fn open_disk(disk: &CrashStorage) -> Opened {
    open(Arc::new(disk.clone()), options()).unwrap()
}

fn create(writer: &mut Writer, name: &str, policy: Policy) -> TopicId {
    let mut batch = Batch::new();
    let new = NewTopic { name, policy, forked_from: None, time_ms: 1 };
    let id = writer.create_topic(&mut batch, &new).unwrap();
    writer.append(&mut batch, Durability::Written).unwrap();
    id
}

fn append(writer: &mut Writer, topic: TopicId, data: &[u8]) -> Result<u64, AppendError> {
    append_as(writer, topic, data, Durability::Written)
}

fn append_as(
    writer: &mut Writer,
    topic: TopicId,
    data: &[u8],
    durability: Durability,
) -> Result<u64, AppendError> {
    let mut batch = Batch::new();
    let topics = [topic];
    let event = Event { topics: &topics, data, time_ms: 1, ..Event::default() };
    writer.push(&mut batch, &event).unwrap();
    let appended = writer.append(&mut batch, durability);
    assert!(batch.is_empty());
    appended.map(|appended| appended.last)
}

fn sequences(log: &Log, topic: TopicId) -> Vec<u64> {
    let mut found = Vec::new();
    let mut visit = |event: StoredEvent<'_>| found.push(event.sequence);
    log.read(&[topic], 0, u64::MAX, ALL, 1, &mut visit).unwrap();
    found
}

fn segments(disk: &CrashStorage) -> Vec<String> {
    disk.names().into_iter().filter(|name| name.ends_with(".segment")).collect()
}

#[test]
fn a_full_disk_refuses_appends_until_there_is_room() {
    let disk = CrashStorage::new();
    let Opened { mut writer, log, .. } = open_disk(&disk);
    let a = create(&mut writer, "a", Policy::default());
    assert_eq!(append(&mut writer, a, b"one"), Ok(1));
    assert_eq!(append_as(&mut writer, a, b"two", Durability::Memory), Ok(2));
    disk.set_fault(Fault::Full);
    assert_eq!(append(&mut writer, a, b"three"), Err(AppendError::DiskFull));
    assert_eq!(writer.flush(), Err(AppendError::DiskFull));
    assert_eq!(writer.next_sequence(), 3);
    assert_eq!(sequences(&log, a), [1, 2], "what memory had accepted is still readable");
    assert_eq!(log.status().state, State::Healthy);
    let mut batch = Batch::new();
    let policy = Policy::default();
    let new = NewTopic { name: "b", policy, forked_from: None, time_ms: 1 };
    let lost = writer.create_topic(&mut batch, &new).unwrap();
    assert_eq!(writer.append(&mut batch, Durability::Written), Err(AppendError::DiskFull));
    assert_eq!(log.topic("b"), None);
    disk.set_fault(Fault::None);
    assert_eq!(append(&mut writer, a, b"three"), Ok(3));
    assert_eq!(create(&mut writer, "b", Policy::default()), lost, "its number was free again");
    drop((writer, log));
    let Opened { log, recovery, .. } = open_disk(&disk.after_kill());
    assert_eq!(sequences(&log, a), [1, 2, 3]);
    assert_eq!((recovery.dropped_bytes, recovery.damaged.len()), (0, 0));
}

#[test]
fn a_full_disk_at_the_border_of_a_segment_changes_nothing() {
    let disk = CrashStorage::new();
    let Opened { mut writer, log, .. } = open_disk(&disk);
    let a = create(&mut writer, "a", Policy::default());
    let data = [b'x'; 3000];
    let mut expected = Vec::new();
    while segments(&disk).len() == 1 {
        if expected.len() == 3 {
            disk.set_fault(Fault::Full);
            let large = vec![b'y'; 20_000];
            assert_eq!(append(&mut writer, a, &large), Err(AppendError::DiskFull));
            assert_eq!(segments(&disk).len(), 1);
            disk.set_fault(Fault::None);
        }
        expected.push(append(&mut writer, a, &data).unwrap());
    }
    assert_eq!(sequences(&log, a), expected);
    writer.close().unwrap();
    assert_eq!(sequences(&open_disk(&disk).log, a), expected);
}

#[test]
fn after_a_failed_write_nothing_is_accepted_any_more() {
    let disk = CrashStorage::new();
    let Opened { mut writer, log, .. } = open_disk(&disk);
    let a = create(&mut writer, "a", Policy::default());
    append(&mut writer, a, b"one").unwrap();
    disk.set_fault(Fault::Write);
    assert!(matches!(append(&mut writer, a, b"two"), Err(AppendError::Failed(_))));
    disk.set_fault(Fault::None);
    assert!(matches!(append(&mut writer, a, b"two"), Err(AppendError::Failed(_))));
    let memory = append_as(&mut writer, a, b"two", Durability::Memory);
    assert!(matches!(memory, Err(AppendError::Failed(_))));
    assert!(log.sync().is_err());
    assert!(matches!(log.maintain(1), Err(MaintainError::Failed(_))));
    assert!(matches!(log.status().state, State::Failed { .. }));
    assert_eq!(sequences(&log, a), [1]);
    assert!(writer.close().is_err());
    drop((writer, log));
    let Opened { log, .. } = open_disk(&disk.after_kill());
    assert_eq!(sequences(&log, a), [1]);
}

#[test]
fn a_failed_sync_is_never_tried_again() {
    let disk = CrashStorage::new();
    let Opened { mut writer, log, .. } = open_disk(&disk);
    let a = create(&mut writer, "a", Policy::default());
    append(&mut writer, a, b"one").unwrap();
    let synced = log.synced();
    disk.set_fault(Fault::Sync);
    let error = log.sync().unwrap_err();
    disk.set_fault(Fault::None);
    let syncs = disk.syncs();
    assert_eq!(log.sync().unwrap_err(), error);
    assert_eq!((log.synced(), disk.syncs()), (synced, syncs));
    assert!(matches!(append(&mut writer, a, b"two"), Err(AppendError::Failed(_))));
}

#[test]
fn a_read_only_disk_is_named_as_such() {
    let disk = CrashStorage::new();
    disk.set_fault(Fault::ReadOnly);
    let refused = open(Arc::new(disk.clone()), options());
    assert!(matches!(refused, Err(OpenError::ReadOnly(_))));
    disk.set_fault(Fault::None);
    let Opened { mut writer, log, .. } = open_disk(&disk);
    let a = create(&mut writer, "a", Policy::default());
    append(&mut writer, a, b"one").unwrap();
    disk.set_fault(Fault::ReadOnly);
    assert_eq!(append(&mut writer, a, b"two"), Err(AppendError::ReadOnly));
    disk.set_fault(Fault::None);
    assert_eq!(append(&mut writer, a, b"two"), Ok(2));
    assert_eq!(sequences(&log, a), [1, 2]);
}

/// A closed log with 60 events of topic "a" in several sealed segments.
fn filled() -> (CrashStorage, TopicId) {
    let disk = CrashStorage::new();
    let Opened { mut writer, log, .. } = open_disk(&disk);
    let a = create(&mut writer, "a", Policy::default());
    for number in 0..60_u8 {
        append(&mut writer, a, &[number; 1000]).unwrap();
        if number % 10 == 0 {
            log.sync().unwrap();
        }
    }
    log.maintain(1).unwrap();
    assert!(log.status().segments > 3);
    writer.close().unwrap();
    (disk, a)
}

#[test]
fn a_damaged_record_is_stepped_over_and_reported() {
    let (disk, a) = filled();
    let name = &segments(&disk)[1];
    let mut damaged = 0;
    disk.corrupt(name, |bytes| {
        // The data of one event is a kilobyte of one number.
        let at = (5000..).find(|at| bytes[*at..*at + 900].iter().all(|byte| *byte == bytes[*at]));
        let at = at.unwrap();
        damaged = u64::from(bytes[at]) + 1;
        bytes[at + 10] ^= 1;
    });
    let Opened { log, recovery, .. } = open_disk(&disk);
    assert_eq!(recovery.damaged, [], "a sealed segment is not read when the log is opened");
    let expected: Vec<u64> = (1..=60).filter(|sequence| *sequence != damaged).collect();
    assert_eq!(sequences(&log, a), expected);
    let missing = Some(Missing { through: damaged, reason: Reason::Damage });
    assert_eq!(log.missing(a, damaged - 1, 1), missing);
    assert_eq!(log.missing(a, damaged, 1), None);
    assert_eq!(log.status().damaged.len(), 1);
    assert_eq!(log.status().damaged[0].topic, Some(a));
}

#[test]
fn a_lost_torn_or_foreign_sidecar_is_rebuilt() {
    let (disk, a) = filled();
    let all: Vec<u64> = (1..=60).collect();
    let names = disk.names();
    let sidecars: Vec<&String> = names.iter().filter(|name| name.ends_with(".index")).collect();
    let foreign = disk.bytes(sidecars[1]).unwrap();
    disk.corrupt(sidecars[0], |bytes| bytes.truncate(100));
    disk.corrupt(sidecars[1], |bytes| {
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
    });
    disk.corrupt(sidecars[2], |bytes| *bytes = foreign);
    let Opened { mut writer, log, recovery } = open_disk(&disk);
    assert_eq!(recovery.rebuilt_sidecars, 3);
    assert_eq!((recovery.damaged.len(), recovery.dropped_bytes), (0, 0));
    assert_eq!(sequences(&log, a), all);
    writer.close().unwrap();
    let Opened { log, recovery, .. } = open_disk(&disk);
    assert_eq!(recovery.rebuilt_sidecars, 0);
    assert_eq!(sequences(&log, a), all);
}

/// Removes all sidecars, so that every segment is scanned.
fn without_sidecars(disk: &CrashStorage) {
    for name in disk.names().iter().filter(|name| name.ends_with(".index")) {
        disk.corrupt(name, Vec::clear);
    }
}

#[test]
fn damage_in_the_middle_does_not_keep_the_rest_from_being_read() {
    let (disk, a) = filled();
    without_sidecars(&disk);
    disk.corrupt(&segments(&disk)[1], |bytes| bytes[9000..9100].fill(0xab));
    let check = |recovery: &Recovery, log: &Log| {
        assert_eq!(recovery.damaged.len(), 1, "{recovery:?}");
        let damage = &recovery.damaged[0];
        assert!(damage.first <= damage.last && damage.bytes > 1000);
        let lost = damage.first..=damage.last;
        let expected: Vec<u64> = (1..=60).filter(|sequence| !lost.contains(sequence)).collect();
        assert_eq!(sequences(log, a), expected);
        let missing = Missing { through: damage.last, reason: Reason::Damage };
        assert_eq!(log.missing(a, 0, 1), Some(missing));
        assert_eq!(log.missing(a, damage.last, 1), None);
    };
    let Opened { mut writer, log, recovery } = open_disk(&disk);
    check(&recovery, &log);
    writer.close().unwrap();
    // The damage is remembered.
    let Opened { log, recovery, .. } = open_disk(&disk);
    check(&recovery, &log);
}

#[test]
fn damage_at_the_end_of_what_was_synced_is_not_taken_for_a_torn_tail() {
    let (disk, a) = filled();
    let last = segments(&disk).pop().unwrap();
    disk.corrupt(&last, |bytes| {
        let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
        bytes[end - 20] ^= 1;
    });
    let Opened { mut writer, log, recovery } = open_disk(&disk);
    assert_eq!(recovery.damaged.len(), 1);
    assert_eq!((recovery.damaged[0].first, recovery.damaged[0].last), (60, 60));
    assert_eq!(sequences(&log, a), (1..60).collect::<Vec<_>>());
    let missing = Some(Missing { through: 60, reason: Reason::Damage });
    assert_eq!(log.missing(a, 59, 1), missing);
    assert_eq!(append(&mut writer, a, b"more"), Ok(61));
    writer.close().unwrap();
    let Opened { log, recovery, .. } = open_disk(&disk);
    assert_eq!(recovery.damaged.len(), 1);
    assert_eq!(sequences(&log, a).last(), Some(&61));
    assert_eq!(log.missing(a, 59, 1), missing);
}

#[test]
fn a_segment_without_header_is_damage() {
    let (disk, a) = filled();
    disk.corrupt(&segments(&disk)[1], |bytes| bytes[..4096].fill(0));
    let Opened { log, recovery, .. } = open_disk(&disk);
    assert_eq!(recovery.damaged.len(), 1, "{recovery:?}");
    let damage = &recovery.damaged[0];
    let lost = damage.first..=damage.last;
    let expected: Vec<u64> = (1..=60).filter(|sequence| !lost.contains(sequence)).collect();
    assert!(expected.len() < 60 && expected.contains(&60));
    assert_eq!(sequences(&log, a), expected);
}

#[test]
fn a_lost_state_file_means_a_new_epoch() {
    let (disk, a) = filled();
    let epoch = open_disk(&disk).log.epoch().to_owned();
    assert!(disk.corrupt("state", |bytes| bytes.fill(0)));
    let Opened { log, recovery, .. } = open_disk(&disk);
    assert!(recovery.new_epoch && !recovery.created);
    assert_ne!(log.epoch(), epoch);
    assert_eq!(sequences(&log, a), (1..=60).collect::<Vec<_>>());
    assert!(log.first_issued_this_life() > 60);
}

/// A log whose first segments were deleted: its topics are defined in the checkpoint alone.
fn trimmed() -> (CrashStorage, TopicId) {
    let disk = CrashStorage::new();
    let Opened { mut writer, log, .. } = open_disk(&disk);
    let retention = Retention { count: Some(5), ..Retention::default() };
    let a = create(&mut writer, "a", Policy { retention, ..Policy::default() });
    for number in 0..60_u8 {
        append(&mut writer, a, &[number; 1000]).unwrap();
    }
    while log.maintain(1).unwrap().more {}
    assert!(!segments(&disk)[0].starts_with("0000000000000001"));
    writer.close().unwrap();
    (disk, a)
}

#[test]
fn one_copy_of_the_checkpoint_is_enough_and_without_any_it_is_damage() {
    for lost in ["checkpoint", "checkpoint.copy"] {
        let (disk, a) = trimmed();
        assert!(disk.corrupt(lost, |bytes| bytes.truncate(20)));
        let Opened { log, recovery, .. } = open_disk(&disk);
        assert_eq!(recovery.damaged, []);
        assert_eq!(sequences(&log, a), [56, 57, 58, 59, 60]);
        assert_eq!(log.missing(a, 0, 1).map(|missing| missing.through), Some(55));
    }
    let (disk, a) = trimmed();
    for lost in ["checkpoint", "checkpoint.copy"] {
        disk.corrupt(lost, Vec::clear);
    }
    let Opened { mut writer, log, recovery } = open_disk(&disk);
    assert_eq!(recovery.damaged.len(), 1);
    assert_eq!(sequences(&log, a), []);
    let again = create(&mut writer, "a", Policy::default());
    assert_eq!(append(&mut writer, again, b"new"), Ok(61));
    assert_eq!(log.missing(again, 0, 1), None, "what was lost is older than this topic");
}

#[test]
fn an_unknown_version_is_refused() {
    let (disk, _) = filled();
    let name = segments(&disk)[0].clone();
    disk.corrupt(&name, |bytes| {
        for start in [0, 2048] {
            bytes[start + 8] = 2;
            let crc = crc32fast::hash(&bytes[start..start + 80]).to_le_bytes();
            bytes[start + 80..start + 84].copy_from_slice(&crc);
        }
    });
    let refused = open(Arc::new(disk), options());
    let Err(OpenError::Version { file, found: 2, known: 1 }) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(file, name);
}

#[test]
fn an_option_out_of_range_is_refused() {
    for segment_bytes in [0, limits::SEGMENT_BYTES_MIN - 1, limits::SEGMENT_BYTES_MAX + 1] {
        let options = Options { segment_bytes, ..options() };
        let refused = open(Arc::new(CrashStorage::new()), options);
        assert!(matches!(refused, Err(OpenError::SegmentBytes(found)) if found == segment_bytes));
    }
    let options = Options { entropy: |_| false, ..options() };
    let refused = open(Arc::new(CrashStorage::new()), options);
    assert!(matches!(refused, Err(OpenError::Entropy)));
}
