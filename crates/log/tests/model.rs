//! Random changes to a log and to a naive model of it; everything that can be asked is compared
//! after each step.

#![allow(clippy::unwrap_used, reason = "a test ends with the first surprise")]

mod support;

use std::sync::Arc;

use proptest::prelude::*;
use support::{Model, Op, Shape};
use tidings_log::testing::CrashStorage;
use tidings_log::{Batch, Durability, Opened, Options, limits, open};

#[derive(Clone, Debug)]
enum Step {
    Append { ops: Vec<Op>, durability: Durability },
    Pass(u16),
    Maintain,
    Reopen,
}

fn durability() -> impl Strategy<Value = Durability> {
    prop_oneof![Just(Durability::Memory), Just(Durability::Written), Just(Durability::Synced)]
}

fn shape() -> impl Strategy<Value = Shape> {
    let count = proptest::option::weighted(0.6, 0_u8..12);
    let age = proptest::option::weighted(0.3, 0_u16..500);
    (count, age, any::<bool>(), durability()).prop_map(|(count, age, conflate, durability)| Shape {
        count,
        age,
        conflate,
        durability,
    })
}

fn op() -> impl Strategy<Value = Op> {
    let expires = proptest::option::weighted(0.1, 0_u16..300);
    let event = (
        proptest::collection::vec(0_u8..6, 1..3),
        proptest::option::of(0_u8..4),
        0_u16..900,
        expires,
        any::<bool>(),
    );
    let event = event.prop_map(|(topics, key, size, expires_in, id)| Op::Event {
        topics,
        key,
        size,
        expires_in,
        id,
    });
    prop_oneof![
        2 => (0_u8..6, shape()).prop_map(|(name, policy)| Op::Create { name, policy }),
        20 => event,
        1 => (0_u8..6, 0_u8..30).prop_map(|(topic, back)| Op::Trim { topic, back }),
        1 => (0_u8..6, shape()).prop_map(|(topic, policy)| Op::SetPolicy { topic, policy }),
        1 => (0_u8..6).prop_map(|topic| Op::Delete { topic }),
        1 => Just(Op::Schedule),
        1 => any::<u8>().prop_map(|back| Op::Unschedule { back }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let ops = proptest::collection::vec(op(), 1..12);
    prop_oneof![
        12 => (ops, durability()).prop_map(|(ops, durability)| Step::Append { ops, durability }),
        2 => (0_u16..200).prop_map(Step::Pass),
        4 => Just(Step::Maintain),
        2 => Just(Step::Reopen),
    ]
}

fn options(now_ms: u64) -> Options {
    let boot_id = Some([3; 16]);
    Options { segment_bytes: limits::SEGMENT_BYTES_MIN, now_ms, boot_id, ..Options::default() }
}

fn run(steps: &[Step]) {
    let storage = CrashStorage::new();
    let reopen = |now_ms| open(Arc::new(storage.clone()), options(now_ms)).unwrap();
    let Opened { mut writer, mut log, .. } = reopen(1);
    let mut model = Model::new(1);
    let mut batch = Batch::new();
    for step in steps {
        match step {
            Step::Append { ops, durability } => {
                let first = model.next;
                for op in ops {
                    model.apply(op, &mut writer, &mut batch);
                }
                let appended = writer.append(&mut batch, *durability).unwrap();
                assert_eq!((appended.first, appended.last), (first, model.next - 1));
            }
            Step::Pass(ms) => model.pass(u64::from(*ms)),
            Step::Maintain => {
                log.maintain(model.now).unwrap();
            }
            Step::Reopen => {
                writer.close().unwrap();
                let opened = reopen(model.now);
                assert!(opened.recovery.clean);
                assert_eq!((opened.recovery.dropped_bytes, opened.recovery.damaged.len()), (0, 0));
                (writer, log) = (opened.writer, opened.log);
                assert_eq!(writer.next_sequence(), model.next);
            }
        }
        model.check(&log);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_log_agrees_with_the_model(steps in proptest::collection::vec(step(), 1..60)) {
        run(&steps);
    }
}
