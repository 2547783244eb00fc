use proptest::prelude::*;

use super::*;

fn full_event<'a>(topics: &'a [TopicId]) -> Event<'a> {
    Event {
        topics,
        time_ms: 1_700_000_000_123,
        event_type: Some("price"),
        publisher_id: Some("urn:uuid:1"),
        key: Some("EUR"),
        expires_ms: Some(1_800_000_000_000),
        private: true,
        end: Some(End::Cancelled),
        producer: Some(Producer { id: "worker", epoch: 7, sequence: u64::MAX }),
        idempotency: Some(Idempotency { key: "k", fingerprint: 0xdead_beef_0123_4567, count: 3 }),
        data: b"line\nline",
    }
}

#[test]
fn an_event_comes_back_with_every_field() {
    let topics = [TopicId(3), TopicId(u32::MAX)];
    let event = full_event(&topics);
    let mut bytes = Vec::new();
    encode_event(&mut bytes, 42, event.time_ms, &event, &[9, 1 << 40]);
    let Some(Record::Event(read)) = decode(&bytes) else { panic!("an event was encoded") };
    assert_eq!(read.sequence, 42);
    assert_eq!(read.topics().collect::<Vec<_>>(), [(topics[0], 9), (topics[1], 1 << 40)]);
    assert_eq!(Event { topics: &topics, ..read.event }, event);
}

#[test]
fn a_control_record_comes_back() {
    let policy = Policy {
        durability: Durability::Synced,
        retention: Retention { count: Some(5), age_ms: None, bytes: Some(1 << 33) },
        conflate: true,
        extra: Box::from(&b"\0opaque"[..]),
    };
    let id = TopicId(4);
    let fork = Some(Fork { source: TopicId(1), through: 99 });
    let controls = [
        Control::TopicDefined {
            id,
            name: "chat/1",
            policy: policy.clone(),
            fork,
            time_ms: 12,
            created_at: 5,
        },
        Control::PolicySet { id, policy, floor: 17 },
        Control::Trimmed { id, through: 3 },
        Control::Closed { id, end: End::Error },
        Control::Deleted { id },
        Control::Scheduled { id: 5, due_ms: 6, payload: b"later" },
        Control::Unscheduled { id: 5 },
        Control::LifeBegan { start: 8, previous_newest: 2, loss: Loss::Written, time_ms: 1 },
    ];
    for control in controls {
        let mut bytes = Vec::new();
        encode_control(&mut bytes, &control);
        assert_eq!(decode(&bytes), Some(Record::Control(control)));
    }
}

#[test]
fn every_single_flipped_bit_is_noticed() {
    let topics = [TopicId(3)];
    let mut bytes = Vec::new();
    encode_event(&mut bytes, 42, 5, &full_event(&topics), &[9]);
    for bit in 0..bytes.len() * 8 {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(decode(&damaged), None, "bit {bit}");
    }
}

proptest! {
    /// Decoding is total: arbitrary bytes behind a right checksum give a value or nothing, never a
    /// panic.
    #[test]
    fn any_bytes_are_decoded_without_panic(
        mut bytes in proptest::collection::vec(any::<u8>(), 8..200),
        kind in 0_u8..12,
    ) {
        if let Some(byte) = bytes.get_mut(8) {
            *byte = kind;
        }
        finish(&mut bytes, 0);
        if let Some(Record::Event(event)) = decode(&bytes) {
            prop_assert!(event.topics().count() <= limits::EVENT_TOPICS_MAX);
        }
    }
}
