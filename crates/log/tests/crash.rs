//! Crashes: the disk stops at every single operation of a workload, the process is killed or the
//! power lost (any part of what was not synced may be there), and the log is opened again.
//!
//! What must hold each time: what was acknowledged is there as far as its durability goes; what is
//! there is a prefix of what was appended, batch by batch, and agrees with the model; no sequence
//! is given twice; loss is reported; a second recovery finds the same.

#![allow(clippy::unwrap_used, reason = "a test ends with the first surprise")]

mod support;

use std::sync::Arc;

use support::{Model, Op, Shape};
use tidings_log::testing::{Choices, CrashStorage};
use tidings_log::{
    Batch, Durability, Event, Log, NewTopic, Opened, Options, Policy, ReadLimit, Reason, Retention,
    StoredEvent, TopicId, Writer, limits, open,
};

/// A topic with one event per batch, so that a recovered log tells how far it came.
const MARKS: &str = "marks";

fn options(now_ms: u64, boot: u8) -> Options {
    let boot_id = Some([boot; 16]);
    Options { segment_bytes: limits::SEGMENT_BYTES_MIN, now_ms, boot_id, ..Options::default() }
}

/// What happened before the crash: after the batch with number N of this list the log was
/// `models[N]`.
struct History {
    models: Vec<Model>,
    /// How many batches were acknowledged as handed to the kernel, and as on the device.
    written: usize,
    synced: usize,
    highest_given: u64,
    last_life: u64,
}

struct Run {
    writer: Writer,
    log: Log,
    model: Model,
    marks: TopicId,
    churn: bool,
    history: History,
}

/// In a workload with churn nothing stays for long, so that whole segments die.
fn random_shape(choices: &mut Choices, churn: bool) -> Shape {
    Shape {
        count: (churn || choices.chance(60))
            .then(|| choices.below(if churn { 4 } else { 12 }) as u8),
        age: choices.chance(20).then(|| choices.below(300) as u16),
        conflate: choices.chance(30),
        durability: [Durability::Memory, Durability::Written, Durability::Synced]
            [choices.below(3) as usize],
    }
}

fn random_op(choices: &mut Choices, churn: bool) -> Op {
    match choices.below(30) {
        0..3 => Op::Create { name: choices.below(6) as u8, policy: random_shape(choices, churn) },
        3 => Op::Trim { topic: choices.below(6) as u8, back: choices.below(20) as u8 },
        4 => Op::SetPolicy { topic: choices.below(6) as u8, policy: random_shape(choices, churn) },
        5 => Op::Delete { topic: choices.below(6) as u8 },
        6 => Op::Schedule,
        7 => Op::Unschedule { back: choices.below(6) as u8 },
        _ => Op::Event {
            topics: (0..=choices.below(2)).map(|_| choices.below(6) as u8).collect(),
            key: choices.chance(50).then(|| choices.below(4) as u8),
            size: choices.below(900) as u16,
            expires_in: None,
            id: choices.chance(20),
        },
    }
}

impl Run {
    /// Opens an empty disk and makes the marks' topic; `None` if the disk crashed meanwhile.
    fn start(storage: &CrashStorage, churn: bool) -> Option<Run> {
        let opened = open(Arc::new(storage.clone()), options(1, 1)).ok()?;
        let Opened { mut writer, log, .. } = opened;
        let mut batch = Batch::new();
        let retention = Retention { count: churn.then_some(3), ..Retention::default() };
        let durability = Durability::Memory;
        let policy = Policy { durability, retention, ..Policy::default() };
        let new = NewTopic { name: MARKS, policy, forked_from: None, time_ms: 1 };
        let marks = writer.create_topic(&mut batch, &new).unwrap();
        writer.append(&mut batch, Durability::Synced).ok()?;
        log.sync().ok()?;
        let model = Model::new(1);
        let history = History {
            models: vec![model.clone()],
            written: 0,
            synced: 0,
            highest_given: 0,
            last_life: 1,
        };
        Some(Run { writer, log, model, marks, churn, history })
    }

    /// One random step; false when the disk has crashed.
    fn step(&mut self, storage: &CrashStorage, choices: &mut Choices) -> bool {
        match choices.below(20) {
            0..12 => self.append(choices),
            12..14 => self.sync(),
            14..18 => {
                self.model.pass(choices.below(50));
                self.log.maintain(self.model.now).is_ok()
            }
            18 => self.writer.flush().is_ok() && self.note_written(),
            _ => self.reopen(storage),
        }
    }

    fn append(&mut self, choices: &mut Choices) -> bool {
        let mut batch = Batch::new();
        let mut model = self.model.clone();
        let topics = [self.marks];
        for _ in 0..=choices.below(6) {
            model.apply(&random_op(choices, self.churn), &mut self.writer, &mut batch);
        }
        let number = (self.history.models.len() as u64).to_le_bytes();
        let time_ms = model.now;
        let mark = Event { topics: &topics, time_ms, data: &number, ..Event::default() };
        self.writer.push(&mut batch, &mark).unwrap();
        model.next += 1;
        let durability = [Durability::Memory, Durability::Written, Durability::Synced]
            [choices.below(3) as usize];
        self.history.models.push(model.clone());
        self.history.highest_given = self.history.highest_given.max(model.next - 1);
        let Ok(appended) = self.writer.append(&mut batch, durability) else {
            return false;
        };
        assert_eq!(appended.last, model.next - 1);
        self.model = model;
        match durability {
            Durability::Memory => true,
            Durability::Written => self.note_written(),
            Durability::Synced => {
                self.note_written();
                if !self.sync() {
                    return false;
                }
                assert!(self.log.synced() >= appended.batch);
                true
            }
        }
    }

    fn note_written(&mut self) -> bool {
        self.history.written = self.history.models.len() - 1;
        true
    }

    fn sync(&mut self) -> bool {
        let written = self.history.written;
        if self.log.sync().is_err() {
            return false;
        }
        self.history.synced = written;
        true
    }

    /// Closes cleanly and opens again.
    fn reopen(&mut self, storage: &CrashStorage) -> bool {
        if self.writer.close().is_err() {
            return false;
        }
        self.note_written();
        self.history.synced = self.history.written;
        let Ok(opened) = open(Arc::new(storage.clone()), options(self.model.now, 1)) else {
            return false;
        };
        (self.writer, self.log) = (opened.writer, opened.log);
        assert_eq!(self.writer.next_sequence(), self.model.next);
        self.history.last_life = self.model.next;
        true
    }
}

/// Runs a workload of up to `steps`, crashing in operation `crash_in` after the start if given.
fn workload(storage: &CrashStorage, seed: u64, steps: usize, crash_in: Option<u64>) -> Option<Run> {
    let mut run = Run::start(storage, seed % 2 == 1)?;
    if let Some(operations) = crash_in {
        storage.crash_in(operations);
    }
    let mut choices = Choices(seed);
    for _ in 0..steps {
        if !run.step(storage, &mut choices) {
            assert!(storage.has_crashed(), "only the crash may make anything fail");
            break;
        }
    }
    Some(run)
}

/// How many batches of the history are in the log.
fn recovered(log: &Log, marks: TopicId) -> usize {
    let mut last = 0_u64;
    let all = ReadLimit { events: usize::MAX, bytes: usize::MAX };
    let mut visit = |event: StoredEvent<'_>| {
        let number = u64::from_le_bytes(event.data.try_into().unwrap());
        assert!(last == 0 || number == last + 1, "a batch is missing in the middle");
        last = number;
    };
    log.read(&[marks], 0, u64::MAX, all, 0, &mut visit).unwrap();
    last as usize
}

/// Opens the disk after a crash and checks every promise. `power`: the machine stopped, too.
fn check(run: &Run, disk: &CrashStorage, power: bool) {
    let boot = if power { 2 } else { 1 };
    let history = &run.history;
    let opened = open(Arc::new(disk.clone()), options(run.model.now, boot)).unwrap();
    let Opened { mut writer, log, recovery } = opened;
    assert_eq!(recovery.damaged, [], "a crash is not damage");
    let count = recovered(&log, run.marks);
    let promised = if power { history.synced } else { history.written };
    assert!(count >= promised, "{count} batches of {promised} acknowledged ones");
    let mut model = history.models[count].clone();
    // The clock is the crashed run's.
    model.pass(run.model.now - model.now);
    model.check_with_marks(&log, run.marks);
    if !recovery.clean {
        assert!(writer.next_sequence() > history.highest_given, "a sequence is given twice");
        let start = log.first_issued_this_life();
        let lost = log.missing(run.marks, start - 2, model.now);
        assert_eq!(lost.map(|missing| missing.reason), Some(Reason::Crash));
        assert_eq!(log.missing(run.marks, start - 1, model.now), None);
    }
    // The log goes on, and what it takes now is there after the next, clean restart.
    let mut batch = Batch::new();
    let mut choices = Choices(count as u64);
    for _ in 0..10 {
        model.next = model.next.max(writer.next_sequence() + batch.events() as u64);
        model.apply(&random_op(&mut choices, run.churn), &mut writer, &mut batch);
    }
    writer.append(&mut batch, Durability::Written).unwrap();
    model.check_with_marks(&log, run.marks);
    log.maintain(model.now).unwrap();
    writer.close().unwrap();
    let opened = open(Arc::new(disk.clone()), options(model.now, boot)).unwrap();
    assert!(opened.recovery.clean && opened.recovery.damaged.is_empty());
    model.check_with_marks(&opened.log, run.marks);
}

/// Opens the disk twice, killed in between: both must find the same.
fn check_twice(run: &Run, disk: &CrashStorage) {
    let find = |disk: &CrashStorage| {
        let opened = open(Arc::new(disk.clone()), options(run.model.now, 2)).unwrap();
        let found: Vec<_> = opened
            .log
            .topics(None, usize::MAX)
            .into_iter()
            .map(|mut info| {
                // What was removed is taken off this counter by maintenance.
                info.bytes = 0;
                let mut events = Vec::new();
                let mut visit =
                    |event: StoredEvent<'_>| events.push((event.sequence, event.data.to_vec()));
                let all = ReadLimit { events: usize::MAX, bytes: usize::MAX };
                opened.log.read(&[info.id], 0, u64::MAX, all, run.model.now, &mut visit).unwrap();
                (info, events)
            })
            .collect();
        (found, opened.writer.next_sequence())
    };
    let (first, next) = find(disk);
    let (second, later) = find(&disk.after_kill());
    assert_eq!(first, second);
    assert!(later > next || first.is_empty());
}

#[test]
fn a_crash_at_every_operation_loses_nothing_that_was_promised() {
    const STEPS: usize = 60;
    // A longer run tries more workloads.
    let seeds = std::env::var("TIDINGS_LOG_CRASH_SEEDS").ok().and_then(|text| text.parse().ok());
    for seed in 0..seeds.unwrap_or(6) {
        let whole = CrashStorage::new();
        let started = CrashStorage::new();
        Run::start(&started, seed % 2 == 1).unwrap();
        let run = workload(&whole, seed, STEPS, None).unwrap();
        drop(run);
        let operations = whole.operations() - started.operations();
        assert!(operations > 50);
        for crash_in in 0..operations {
            let storage = CrashStorage::new();
            let run = workload(&storage, seed, STEPS, Some(crash_in)).unwrap();
            let mut choices = Choices(seed << 32 | crash_in);
            check(&run, &storage.after_kill(), false);
            for kept in [0, 50, 90] {
                check(&run, &storage.after_power_loss(&mut choices, kept), true);
            }
            check_twice(&run, &storage.after_power_loss(&mut choices, 70));
        }
    }
}

#[test]
fn a_crash_while_the_log_is_created_leaves_a_log_that_opens() {
    let whole = CrashStorage::new();
    Run::start(&whole, false).unwrap();
    for crash_in in 0..whole.operations() {
        let storage = CrashStorage::new();
        storage.crash_in(crash_in);
        assert!(Run::start(&storage, false).is_none());
        let mut choices = Choices(crash_in);
        for kept in [0, 30, 60, 100] {
            let disk = storage.after_power_loss(&mut choices, kept);
            let opened = open(Arc::new(disk.clone()), options(1, 2)).unwrap();
            assert_eq!(opened.recovery.damaged, []);
            assert!(Run::start(&disk, false).is_none(), "it is locked");
            drop(opened);
            assert!(open(Arc::new(disk.after_kill()), options(1, 2)).is_ok());
        }
    }
}

/// A crash during the recovery from a crash.
#[test]
fn recovery_can_be_interrupted_at_every_operation() {
    for seed in 10..14 {
        let storage = CrashStorage::new();
        let run = workload(&storage, seed, 40, Some(60 + seed * 7)).unwrap();
        let mut choices = Choices(seed);
        for kept in [40, 80] {
            let torn = storage.after_power_loss(&mut choices, kept);
            let whole = torn.after_kill();
            drop(open(Arc::new(whole.clone()), options(run.model.now, 2)).unwrap());
            for crash_in in 0..whole.operations() {
                let disk = torn.after_kill();
                disk.crash_in(crash_in);
                assert!(open(Arc::new(disk.clone()), options(run.model.now, 2)).is_err());
                check(&run, &disk.after_power_loss(&mut choices, 50), true);
                check(&run, &disk.after_kill(), true);
            }
        }
    }
}
