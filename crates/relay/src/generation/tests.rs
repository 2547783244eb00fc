//! How an answer breaks off: its end is told, whatever the log says to it at first.

use std::time::Duration;

use tidings_hub::NewEvent;
use tidings_log::testing::Fault;
use tokio::time::sleep;

use super::*;
use crate::bench::Bench;
use crate::config::Quota;

const CHUNK: &str = r#"{"choices":[{"index":0,"delta":{"content":"one"}}]}"#;
const LAST: &str = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;

/// The generation of an answer of which something has come and is stored.
async fn generation(bench: &Bench) -> Generation {
    let asked = Asked { streams: true, ..Asked::default() };
    let asks = Asks { dialect: Dialect::Chat, asked, message: None };
    let (relays, answer) = (bench.relays.clone(), Bench::answer("a"));
    let config = relays.configs()[0].clone();
    let mut generation = Generation::new(relays, config, answer, asks);
    take(&mut generation, CHUNK);
    hand_in(&mut generation, None);
    generation.line.settle().unwrap();
    generation
}

/// Has the reader read an event, of which the record waits.
fn take(generation: &mut Generation, data: &str) {
    let mut records = Vec::new();
    generation.reader.event("", data, &mut records);
    generation.held.append(&mut records);
}

fn hand_in(generation: &mut Generation, end: Option<End>) {
    generation.ended |= end.is_some();
    generation.line.hand_in(std::mem::take(&mut generation.held), end);
}

fn broken() -> Cause {
    Cause::Broken("it broke".into())
}

/// Whether this is the error that clients raise on, with these words.
fn tells(record: &str, words: &str) -> bool {
    record.contains("\"error\":{") && record.contains(words)
}

#[tokio::test]
async fn what_waits_is_stored_before_the_error() {
    let bench = Bench::new(|_| {});
    let mut generation = generation(&bench).await;
    take(&mut generation, CHUNK);
    hand_in(&mut generation, None);
    take(&mut generation, CHUNK);
    assert_eq!(generation.break_off(false, &broken()).await, (End::Error, true));
    let stored = bench.stored(&generation.answer.topic());
    assert_eq!(stored[..3], [CHUNK; 3]);
    assert!(tells(&stored[3], "it broke"), "{stored:?}");
    assert_eq!(stored[4..], ["<error>"]);
}

/// The disk is full when the answer breaks off, and for a while after.
#[tokio::test(start_paused = true)]
async fn an_end_is_stored_once_the_disk_takes_it() {
    let bench = Bench::new(|_| {});
    let mut generation = generation(&bench).await;
    let topic = generation.answer.topic();
    take(&mut generation, CHUNK);
    bench.disk.set_fault(Fault::Full);
    let free = async {
        sleep(Duration::from_secs(30)).await;
        assert_eq!(bench.stored(&topic), [CHUNK], "there was no room");
        bench.disk.set_fault(Fault::None);
    };
    let (broken, ()) = tokio::join!(generation.break_off(false, &Cause::Stopped), free);
    assert_eq!(broken, (End::Cancelled, true));
    let stored = bench.stored(&topic);
    assert_eq!(
        (&stored[..2], stored.last().unwrap().as_str()),
        (&[CHUNK.to_owned(), CHUNK.to_owned()][..], "<cancelled>")
    );
}

/// It is left to the next start, which finds that the answer has no end.
#[tokio::test(start_paused = true)]
async fn a_disk_that_stays_full_is_given_up() {
    let bench = Bench::new(|_| {});
    let mut generation = generation(&bench).await;
    bench.disk.set_fault(Fault::Full);
    let begun = Instant::now();
    assert_eq!(generation.break_off(false, &broken()).await, (End::Error, false));
    let took = begun.elapsed();
    assert!((END_RETRIED_MAX..END_RETRIED_MAX + 2 * END_RETRY).contains(&took), "{took:?}");
    bench.disk.set_fault(Fault::None);
    assert_eq!(bench.stored(&generation.answer.topic()), [CHUNK]);
}

/// A part of the answer could not be stored: nothing of it follows, but the error, which says so.
#[tokio::test(start_paused = true)]
async fn nothing_follows_what_was_lost_but_the_error() {
    let bench = Bench::new(|_| {});
    let mut generation = generation(&bench).await;
    take(&mut generation, CHUNK);
    hand_in(&mut generation, None);
    take(&mut generation, LAST);
    bench.disk.set_fault(Fault::Full);
    let free = async {
        sleep(Duration::from_millis(500)).await;
        bench.disk.set_fault(Fault::None);
    };
    // Also where it was the body's clean end after a finish_reason, which is an answer otherwise.
    let cause = broken();
    let (broken, ()) = tokio::join!(generation.break_off(true, &cause), free);
    assert_eq!(broken, (End::Error, true));
    let stored = bench.stored(&generation.answer.topic());
    assert_eq!((stored.len(), &*stored[0], &*stored[2]), (3, CHUNK, "<error>"), "{stored:?}");
    assert!(tells(&stored[1], "cannot be stored"), "{stored:?}");
}

/// A stop comes while the answer's own end is on its way to the log.
#[tokio::test]
async fn an_answer_ends_once() {
    let bench = Bench::new(|_| {});
    let mut generation = generation(&bench).await;
    take(&mut generation, LAST);
    take(&mut generation, "[DONE]");
    hand_in(&mut generation, Some(End::Done));
    assert_eq!(generation.break_off(false, &Cause::Stopped).await, (End::Done, true));
    assert_eq!(bench.stored(&generation.answer.topic()), [CHUNK, LAST, "[DONE]", "<done>"]);
}

/// A topic that has an end, whoever wrote it, needs no other.
#[tokio::test(start_paused = true)]
async fn a_topic_that_has_ended_is_left_as_it_is() {
    let bench = Bench::new(|_| {});
    let mut generation = generation(&bench).await;
    let topic = generation.answer.topic();
    let end =
        NewEvent { topic: topic.as_str().into(), end: Some(End::Cancelled), ..NewEvent::default() };
    store::publish(&bench.hub, &[end]).unwrap();
    take(&mut generation, CHUNK);
    let broken = broken();
    let breaking = tokio::time::timeout(END_RETRY / 2, generation.break_off(false, &broken));
    assert_eq!(breaking.await.expect("nothing to wait for"), (End::Error, true));
    assert_eq!(bench.stored(&topic), [CHUNK, "<cancelled>"]);
}

/// What cannot be stored now or ever does not keep the end from being stored.
#[tokio::test(start_paused = true)]
async fn a_part_that_is_no_event_is_left_out() {
    let bench = Bench::new(|_| {});
    let mut generation = generation(&bench).await;
    generation.held.push(Record { event_type: Some("x".repeat(1_000)), data: "y".to_owned() });
    let broken = broken();
    let breaking = tokio::time::timeout(END_RETRY / 2, generation.break_off(false, &broken));
    assert_eq!(breaking.await.expect("nothing to wait for"), (End::Error, true));
    let stored = bench.stored(&generation.answer.topic());
    assert_eq!((stored.len(), &*stored[0], &*stored[2]), (3, CHUNK, "<error>"), "{stored:?}");
    assert!(tells(&stored[1], "it broke"), "{stored:?}");
}

/// Whoever is told of an end may ask for the next answer at once: what the first one held is free
/// by then, and one that failed is not what a retry finds.
#[tokio::test]
async fn an_end_is_known_before_it_is_told() {
    for end in [End::Done, End::Error, End::Cancelled] {
        let bench = Bench::new(|_| {});
        let mut generation = generation(&bench).await;
        let quota = Quota { concurrent: Some(1), ..Quota::default() };
        let state = || {
            let mut answers = bench.relays.answers.lock();
            let now_ms = bench.hub.now_ms();
            let found = answers.by_request("asked", now_ms, true).is_some();
            (found, answers.check("owner", &quota, now_ms).is_ok())
        };
        bench.relays.answers.lock().insert(generation.answer.clone());
        assert_eq!(state(), (true, false));
        if end == End::Cancelled {
            generation.break_off(false, &Cause::Stopped).await;
        } else {
            tokio::spawn(bench.relays.appender.clone().run());
            generation.store(&mut Vec::new(), Some(end)).await.unwrap();
        }
        assert_eq!(
            bench.stored(&generation.answer.topic()).last().unwrap(),
            &format!("<{}>", end.as_str())
        );
        assert_eq!(state(), (end == End::Done, true), "{end:?}");
        // Another one of this caller counts all the same when the first one is done with.
        let second = Answer::new(Bench::begin("b", 60_000), Phase::Asking, crate::Known::default());
        bench.relays.answers.lock().insert(second);
        bench.relays.finished(&generation.answer, &generation.reader, end, (true, true));
        assert!(!state().1, "{end:?}: counted down once");
    }
}
