//! Publishing: conditions, repeats, producers, ends, atomicity, schedules.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tidings_frame::End;
use tidings_hub::policy::PolicyRules;
use tidings_hub::{
    Expect, Hub, NewEvent, Options, Producer, Publish, PublishError, Published, TopicError,
};
use tidings_log as log;
use tidings_log::testing::{CrashStorage, Fault};

use super::support::{BEGIN_MS, TestHub, event, first, one, topics, until};

#[test]
fn a_repeat_with_the_same_key_is_the_first_again_and_survives_a_restart() {
    let hub = TestHub::new();
    let events = [event("a", "x"), event("b", "y")];
    let request = Publish { idempotency_key: Some("k"), ..one(&events) };
    let stored = |duplicate| Published::Stored { first: 1, count: 2, duplicate };
    assert_eq!(hub.publish(&request).unwrap().result, stored(false));
    assert_eq!(hub.publish(&request).unwrap().result, stored(true));
    let hub = hub.reopened();
    assert_eq!(hub.publish(&request).unwrap().result, stored(true));
    let other = [event("a", "z"), event("b", "y")];
    let other = Publish { idempotency_key: Some("k"), ..one(&other) };
    assert_eq!(hub.publish(&other), Err(PublishError::IdempotencyMismatch));
    assert_eq!(hub.read(&topics(&["a", "b"]), 0).len(), 2);
}

#[test]
fn a_repeat_within_one_round_is_recognised() {
    let hub = TestHub::new();
    let events = [event("a", "x")];
    let request = Publish { idempotency_key: Some("k"), ..one(&events) };
    let mut round = hub.round();
    round.publish(&request);
    round.publish(&one(&events));
    round.publish(&request);
    let firsts: Vec<u64> = round.commit().iter().map(|o| first(o.as_ref().unwrap())).collect();
    assert_eq!(firsts, [1, 2, 1]);
}

#[test]
fn expect_holds_against_what_is_in_the_same_round() {
    let hub = TestHub::new();
    let expecting = |expect| [NewEvent { expect: Some(expect), ..event("a", "x") }];
    let mut round = hub.round();
    round.publish(&one(&expecting(Expect::Nothing)));
    round.publish(&one(&expecting(Expect::Nothing)));
    round.publish(&one(&expecting(Expect::Newest(1))));
    round.publish(&one(&[event("b", "elsewhere")]));
    round.publish(&one(&expecting(Expect::Newest(2))));
    let outcomes = round.commit();
    assert_eq!(outcomes[1], Err(PublishError::Unexpected { newest: 1 }));
    let stored: Vec<bool> = outcomes.iter().map(Result::is_ok).collect();
    assert_eq!(stored, [true, false, true, true, true]);
}

#[test]
fn producers_are_fenced_and_leave_nothing_out() {
    let hub = TestHub::new();
    let publish = |epoch, sequence| {
        let producer = Some(Producer { id: "p", epoch, sequence });
        hub.publish(&one(&[NewEvent { producer, ..event("a", "x") }])).map(|a| a.result)
    };
    let gap = |expected, received| Err(PublishError::ProducerGap { expected, received });
    assert_eq!(publish(1, 1), gap(0, 1));
    assert!(publish(1, 0).is_ok());
    assert!(publish(1, 1).is_ok());
    assert!(matches!(publish(1, 1), Ok(Published::Stored { duplicate: true, .. })));
    assert_eq!(publish(1, 3), gap(2, 3));
    assert_eq!(publish(2, 5), gap(0, 5));
    assert!(publish(2, 0).is_ok());
    assert_eq!(publish(1, 2), Err(PublishError::ProducerFenced { epoch: 2 }));
    assert_eq!(hub.read(&topics(&["a"]), 0).len(), 3);
}

#[test]
fn an_ended_topic_takes_nothing_more() {
    let hub = TestHub::new();
    let ending = [event("a", "x"), NewEvent { end: Some(End::Done), ..event("a", "") }];
    let after = [ending[1].clone(), event("a", "late")];
    let ended = Err(PublishError::Ended { end: End::Done });
    assert_eq!(hub.publish(&one(&after)), ended);
    hub.publish(&one(&ending)).unwrap();
    assert_eq!(hub.publish(&one(&[event("a", "late")])), ended);
    let hub = hub.reopened();
    assert_eq!(hub.publish(&one(&[event("a", "late")])), ended);
    assert_eq!(hub.read(&topics(&["a"]), 0).len(), 2);
}

#[test]
fn a_request_with_one_bad_event_changes_nothing() {
    let hub = TestHub::new();
    let not_text = NewEvent { data: (&b"\xff"[..]).into(), ..event("c", "") };
    for bad in [
        event("", "x"),
        event("a//b", "x"),
        event("a\nb", "x"),
        NewEvent { event_type: Some("error".into()), ..event("c", "x") },
        NewEvent { key: Some("a\rb".into()), ..event("c", "x") },
        NewEvent { data: vec![b'x'; (1 << 20) + 1].into(), ..event("c", "") },
        NewEvent { alternates: vec!["x".into(); 16], ..event("c", "x") },
        NewEvent { expect: Some(Expect::Newest(7)), ..event("c", "x") },
        not_text.clone(),
    ] {
        let label = format!("{} {:?}", bad.topic, bad.event_type);
        assert!(hub.publish(&one(&[event("a", "good"), bad])).is_err(), "{label}");
    }
    assert!(hub.publish(&one(&[])).is_err());
    assert!(hub.topics(None, 10).is_empty(), "not even a topic was made");
    assert_eq!(hub.say("a", "x"), 1);
    let binary = NewEvent { topic: "binary/a".into(), ..not_text };
    assert!(hub.publish(&one(&[binary])).is_ok(), "its content type is not text");
}

#[test]
fn alternates_belong_to_all_their_topics_once() {
    let hub = TestHub::new();
    let event = NewEvent { alternates: vec!["b".into(), "a".into()], ..event("a", "x") };
    hub.publish(&one(&[event])).unwrap();
    for names in [&["a"][..], &["b"], &["a", "b"]] {
        assert_eq!(hub.read(&topics(names), 0), [(1, "x".to_owned())], "{names:?}");
    }
}

#[test]
fn what_is_scheduled_is_published_at_its_time_also_after_a_restart() {
    let hub = TestHub::new();
    let events = [event("a", "later")];
    let request =
        Publish { at_ms: Some(BEGIN_MS + 500), idempotency_key: Some("k"), ..one(&events) };
    let Published::Scheduled { id, at_ms } = hub.publish(&request).unwrap().result else {
        panic!("it was published at once");
    };
    assert_eq!(at_ms, BEGIN_MS + 500);
    let again = hub.publish(&request).unwrap().result;
    assert_eq!(again, Published::Scheduled { id, at_ms }, "a repeat schedules nothing new");
    let taken_back = Publish { at_ms: Some(BEGIN_MS + 500), ..one(&events) };
    let Published::Scheduled { id: other, .. } = hub.publish(&taken_back).unwrap().result else {
        panic!("it was published at once");
    };
    assert_eq!(hub.unschedule(other), Ok(true));
    assert_eq!(hub.unschedule(other), Ok(false));
    let hub = hub.reopened();
    assert_eq!((hub.scheduled(), hub.visible()), (1, 0));
    hub.now_ms.store(BEGIN_MS + 500, Ordering::Relaxed);
    until(|| hub.scheduled() == 0 && hub.visible() > 0);
    assert_eq!(hub.read(&topics(&["a"]), 0), [(1, "later".to_owned())]);
    let hub = hub.reopened();
    assert_eq!((hub.scheduled(), hub.visible()), (0, 1), "it is published once");
}

#[test]
fn what_waits_takes_no_more_memory_than_it_may() {
    let hub = TestHub::new();
    let data = "x".repeat(300 << 10);
    let ask = |hub: &TestHub, key: &str, data: &str| {
        let events = [event("a", data)];
        let at_ms = Some(BEGIN_MS + 1_000_000);
        let request = Publish { at_ms, idempotency_key: Some(key), ..one(&events) };
        hub.publish(&request).map(|accepted| accepted.result)
    };
    let full = Err(PublishError::NoMoreSchedules { limit: 1 << 20 });
    let mut first = None;
    for key in ["1", "2"] {
        let result = ask(&hub, key, &data).unwrap();
        let Published::Scheduled { id, .. } = result else { panic!("{result:?}") };
        first = first.or(Some(id));
    }
    assert_eq!(ask(&hub, "3", &data), full);
    assert!(ask(&hub, "1", &data).is_ok(), "it waits already");
    assert!(ask(&hub, "4", "small").is_ok());
    // Also after a restart, and until one of them is taken back.
    let hub = hub.reopened();
    assert_eq!(ask(&hub, "3", &data), full);
    let held = hub.scheduled_bytes();
    assert_eq!(hub.unschedule(first.unwrap()), Ok(true));
    assert!(hub.scheduled_bytes() < held - data.len());
    assert!(ask(&hub, "3", &data).is_ok());
    assert_eq!(hub.scheduled_bytes(), held);
    // Who asks for the same stands beside who has, and it is not counted again.
    for maker in ["ada", "bob"] {
        let (events, at_ms) = ([event("b", "small")], Some(BEGIN_MS + 1_000_000));
        let request =
            Publish { at_ms, idempotency_key: Some("5"), maker: Some(maker), ..one(&events) };
        hub.publish(&request).unwrap();
    }
    let counted = hub.scheduled_bytes();
    assert_eq!(hub.reopened().scheduled_bytes(), counted);
}

#[test]
fn a_fork_begins_with_the_source_and_goes_its_own_way() {
    let hub = TestHub::new();
    for data in ["1", "2", "3"] {
        hub.say("source", data);
    }
    let name = |name| tidings_frame::TopicName::new(name).unwrap();
    let fork = tidings_hub::ForkOf { source: name("source"), through: Some(2) };
    let policy = tidings_hub::TopicPolicy::default();
    assert_eq!(hub.set_topic(&name("fork"), &policy, Some(&fork)), Ok(true));
    hub.say("fork", "own");
    hub.say("source", "4");
    let data: Vec<String> = hub.read(&topics(&["fork"]), 0).into_iter().map(|e| e.1).collect();
    assert_eq!(data, ["1", "2", "own"]);
    assert_eq!(hub.set_topic(&name("fork"), &policy, Some(&fork)), Err(TopicError::Exists));
    assert_eq!(hub.remove_topic(&name("source")), Err(TopicError::HasForks));
    assert_eq!(hub.remove_topic(&name("fork")), Ok(()));
    assert_eq!(hub.remove_topic(&name("source")), Ok(()));
    assert_eq!(hub.remove_topic(&name("source")), Err(TopicError::NotFound));
}

#[test]
fn who_has_made_what_is_due_is_judged_then() {
    let hub = TestHub::new();
    let events = [event("a", "x")];
    let made = |maker: Option<&'static str>, after_ms| {
        let at_ms = Some(BEGIN_MS + after_ms);
        let request = Publish { maker, at_ms, ..one(&events) };
        hub.publish(&request).unwrap();
    };
    made(Some("ada"), 10);
    made(None, 11);
    made(Some("bob"), 12);
    made(Some("ada"), 500);
    let hub = hub.reopened();
    let welcome = Arc::new(AtomicBool::new(true));
    hub.now_ms.store(BEGIN_MS + 100, Ordering::Relaxed);
    let judge = welcome.clone();
    // Nobody is judged yet: the first that is due waits, and what is due after it.
    assert_eq!((hub.scheduled(), hub.visible()), (4, 0));
    welcome.store(false, Ordering::Relaxed);
    hub.judge_makers(Box::new(move |maker| {
        assert!(maker == "ada" || maker == "bob");
        maker == "bob" || judge.load(Ordering::Relaxed)
    }));
    until(|| hub.scheduled() == 1);
    assert_eq!(hub.read(&topics(&["a"]), 0).len(), 2, "of nobody, and bob's");
    welcome.store(true, Ordering::Relaxed);
    assert_eq!(hub.unschedule_of_revoked(), Ok(0));
    welcome.store(false, Ordering::Relaxed);
    assert_eq!((hub.unschedule_of_revoked(), hub.scheduled()), (Ok(1), 0));
    assert_eq!(hub.reopened().scheduled(), 0);
}

#[test]
fn what_several_ask_for_comes_as_long_as_one_of_them_is_welcome() {
    let hub = TestHub::new();
    let events = [event("a", "x")];
    let ask = |hub: &TestHub, key: &'static str, maker: Option<&'static str>, after_ms| {
        let at_ms = Some(BEGIN_MS + after_ms);
        let request = Publish { maker, at_ms, idempotency_key: Some(key), ..one(&events) };
        hub.publish(&request).map(|accepted| accepted.result)
    };
    let first = ask(&hub, "k", Some("ada"), 10).unwrap();
    for maker in ["bob", "ada", "bob"] {
        assert_eq!(ask(&hub, "k", Some(maker), 20).unwrap(), first, "one publish, and its time");
    }
    ask(&hub, "other", Some("ada"), 10).unwrap();
    ask(&hub, "anybody's", Some("ada"), 10).unwrap();
    ask(&hub, "anybody's", None, 10).unwrap();
    let hub = hub.reopened();
    let welcome = Arc::new(AtomicBool::new(true));
    let bob = welcome.clone();
    hub.judge_makers(Box::new(move |maker| maker == "bob" && bob.load(Ordering::Relaxed)));
    assert_eq!((hub.unschedule_of_revoked(), hub.scheduled()), (Ok(1), 2));
    assert_eq!(ask(&hub, "new", Some("ada"), 10), Err(PublishError::Revoked));
    assert_eq!(ask(&hub, "k", Some("ada"), 10), Err(PublishError::Revoked));
    let other = [event("a", "y")];
    let at_ms = Some(BEGIN_MS + 10);
    let mismatch = Publish { maker: Some("bob"), at_ms, idempotency_key: Some("k"), ..one(&other) };
    assert_eq!(hub.publish(&mismatch), Err(PublishError::IdempotencyMismatch));
    hub.now_ms.store(BEGIN_MS + 10, Ordering::Relaxed);
    until(|| hub.scheduled() == 0 && hub.visible() > 1);
    assert_eq!(hub.read(&topics(&["a"]), 0).len(), 2, "of bob, and of anybody");
}

#[test]
fn of_many_who_ask_for_the_same_the_last_are_kept() {
    let hub = TestHub::new();
    let events = [event("a", "x")];
    for number in 0..20 {
        let maker = number.to_string();
        let at_ms = Some(BEGIN_MS + 10);
        let request =
            Publish { maker: Some(&maker), at_ms, idempotency_key: Some("k"), ..one(&events) };
        hub.publish(&request).unwrap();
    }
    let hub = hub.reopened();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let asks = asked.clone();
    hub.judge_makers(Box::new(move |maker| {
        asks.lock().unwrap().push(maker.to_owned());
        false
    }));
    assert_eq!(hub.unschedule_of_revoked(), Ok(1));
    let last: Vec<String> = (4..20).map(|number: u32| number.to_string()).collect();
    assert_eq!(*asked.lock().unwrap(), last);
}

#[test]
fn who_could_not_be_added_takes_nothing_from_the_others() {
    let disk = CrashStorage::new();
    let opened = log::open(Arc::new(disk.clone()), log::Options::default()).unwrap();
    let options = Options {
        rules: PolicyRules::default(),
        event_bytes_max: 1 << 20,
        topics_max: 10,
        scheduled_bytes_max: 1 << 20,
        clock: Arc::new(|| BEGIN_MS),
    };
    let hub = Hub::open(opened, options).unwrap();
    let events = [event("a", "x")];
    let at_ms = Some(BEGIN_MS + 1_000_000);
    let ask = |maker| {
        let request = Publish { maker, at_ms, idempotency_key: Some("k"), ..one(&events) };
        let mut round = hub.round();
        round.publish(&request);
        round.commit().pop().unwrap()
    };
    assert!(ask(Some("ada")).is_ok());
    disk.set_fault(Fault::ReadOnly);
    assert!(matches!(ask(Some("bob")), Err(PublishError::Store(_))));
    assert_eq!(hub.scheduled(), 1);
    hub.judge_makers(Box::new(|maker| maker == "ada"));
    assert_eq!(hub.unschedule_of_revoked(), Ok(0), "it is ada's, as before");
}
