//! The order of what is sent, and what is noted of it, without I/O.

use std::time::Duration;

use tokio::time::Instant;

use super::occupancy::Thing;
use super::queue::{DELAY_MAX, HELD_MAX, Item, LINES_MAX, Position, Queue, delay};
use super::story::{about, note, noted};
use crate::testing::Dice;

fn item(sequence: u64) -> Item {
    Item { sequence, time_ms: 0, body: bytes::Bytes::new() }
}

#[test]
fn a_line_waits_for_its_first_and_for_no_other_line() {
    let now = Instant::now();
    let mut queue = Queue::default();
    for (line, sequence) in [(1, 1), (1, 2), (2, 3), (1, 4)] {
        queue.push(line, item(sequence));
    }
    queue.taken_in(4);
    let next = |queue: &mut Queue| queue.next().map(|(line, item)| (line, item.sequence));
    assert_eq!(next(&mut queue), Some((1, 1)));
    assert_eq!(next(&mut queue), Some((2, 3)));
    assert_eq!(next(&mut queue), None, "the rest is behind those");
    queue.done(2);
    assert_eq!(queue.failed(1), 1);
    queue.again(1, now + Duration::from_secs(1));
    assert_eq!(queue.due(now), Some(now + Duration::from_secs(1)));
    assert_eq!(next(&mut queue), None, "not before its time");
    assert_eq!(queue.position(), Position { through: 4, left: vec![(1, 1)] });
    assert_eq!(queue.due(now + Duration::from_secs(1)), None);
    assert_eq!(next(&mut queue), Some((1, 1)));
    assert_eq!(queue.failed(1), 2);
    queue.done(1);
    assert_eq!(next(&mut queue), Some((1, 2)));
    assert_eq!(queue.failed(1), 1, "the count is that of the first");
    queue.done(1);
    assert_eq!(next(&mut queue), Some((1, 4)));
    queue.done(1);
    assert_eq!((queue.held(), queue.position()), (0, Position { through: 4, left: vec![] }));
}

#[test]
fn it_takes_in_no_more_than_it_may() {
    let mut queue = Queue::default();
    for sequence in 0..HELD_MAX as u64 {
        assert!(queue.has_room());
        queue.push(1, item(sequence));
    }
    assert!(!queue.has_room());
    let mut queue = Queue::default();
    for line in 0..LINES_MAX as u64 {
        assert!(queue.has_room());
        queue.push(line, item(line));
    }
    assert!(!queue.has_room());
}

/// Whenever a process ends, and another goes on from what it has noted: of every line everything is
/// done once, in order. What was under way is sent once more, and was not done.
#[test]
fn a_position_says_of_every_event_whether_it_is_done() {
    let mut dice = Dice(7);
    for _ in 0..200 {
        let lines = 1 + dice.roll(5);
        let events: Vec<(u64, u64)> = (1..=60).map(|at| (at, dice.roll(lines))).collect();
        let (mut queue, mut position, mut read) = (Queue::default(), Position::default(), 0);
        let mut under_way = Vec::new();
        let mut done: Vec<Vec<u64>> = vec![Vec::new(); 5];
        let count = |done: &[Vec<u64>]| done.iter().map(Vec::len).sum::<usize>();
        while count(&done) < events.len() {
            match dice.roll(20) {
                0..6 if read < events.len() => {
                    let (sequence, line) = events[read];
                    read += 1;
                    if !position.is_done(line, sequence) {
                        queue.push(line, item(sequence));
                    }
                    queue.taken_in(sequence);
                }
                6..12 => under_way.extend(queue.next()),
                12..18 if !under_way.is_empty() => {
                    let at = usize::try_from(dice.roll(under_way.len() as u64)).unwrap();
                    let (line, item) = under_way.swap_remove(at);
                    if dice.roll(3) == 0 {
                        queue.failed(line);
                        queue.again(line, Instant::now());
                        queue.due(Instant::now());
                    } else {
                        done[usize::try_from(line).unwrap()].push(item.sequence);
                        queue.done(line);
                    }
                }
                // Only once it has read as far as the one before: else some are sent twice.
                18 if read as u64 >= position.through => {
                    let text = serde_json::to_string(&queue.position()).unwrap();
                    position = serde_json::from_str(&text).unwrap();
                    under_way.clear();
                    queue = Queue::default();
                    queue.taken_in(position.after());
                    read = usize::try_from(position.after()).unwrap();
                }
                _ => {}
            }
        }
        for (line, done) in (0..).zip(done) {
            let all = events.iter().filter(|event| event.1 == line).map(|event| event.0);
            assert_eq!(done, all.collect::<Vec<u64>>());
        }
    }
}

#[test]
fn waits_double_up_to_a_limit_and_are_scattered() {
    let first = Duration::from_secs(1);
    for (failures, least, most) in [(1, 0.5, 1.0), (2, 1.0, 2.0), (5, 8.0, 16.0)] {
        for dice in [0, 499, 999, u64::MAX] {
            let wait = delay(first, failures, dice).as_secs_f64();
            assert!((least..=most).contains(&wait), "{failures}: {wait}");
        }
    }
    assert_ne!(delay(first, 3, 1), delay(first, 3, 500));
    for failures in [12, 30, u32::MAX] {
        let wait = delay(first, failures, 999);
        assert!(wait <= DELAY_MAX && wait > DELAY_MAX / 10 * 9, "{wait:?}");
    }
}

#[test]
fn what_is_told_says_what_it_is_about() {
    let of = |data: &str| about(format!("{{\"type\":\"x\",\"data\":{data}}}").as_bytes());
    assert_eq!(of(r#"{"topic":"a"}"#), of(r#"{"topic":"a","state":"finished"}"#));
    assert_ne!(of(r#"{"topic":"a"}"#), of(r#"{"topic":"b"}"#));
    assert_ne!(of(r#"{"topic":"a"}"#), of(r#"{"subject":"a"}"#));
    let long: String = "ä/".repeat(400) + "a";
    for thing in [Thing::Topic(long.as_str().into()), Thing::Subject("a".into())] {
        let (key, text) = note(&thing);
        assert_eq!((key.len(), noted(&text)), (64, Some(thing)));
    }
    assert_ne!(note(&Thing::Topic("a".into())).0, note(&Thing::Subject("a".into())).0);
    assert_eq!(noted(b"gone"), None);
}
