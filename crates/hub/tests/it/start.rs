//! Where a subscription begins: never a silent gap.

use std::sync::Arc;

use tidings_frame::{GapReason, Position, TopicName};
use tidings_hub::{Backlog, ForkOf, Framing, NewEvent, Start, Started, TopicPolicy, View};

use super::support::{TestHub, event, one, topics};

fn start(hub: &TestHub, names: &[&str], start: &Start) -> Started {
    hub.start(&mut Backlog::new(Arc::new(topics(names))), start)
}

fn after(hub: &TestHub, names: &[&str], id: impl ToString) -> Started {
    start(hub, names, &Start::After(id.to_string()))
}

fn position(hub: &TestHub, sequence: u64) -> Position {
    Position { epoch: hub.epoch(), sequence }
}

/// (position after which it goes on, reason).
fn told(started: &Started) -> (u64, Option<GapReason>) {
    if let Some(gap) = &started.gap {
        assert_eq!(gap.resumes.sequence, started.after, "the gap's id is where it goes on");
    }
    (started.after, started.gap.as_ref().map(|gap| gap.reason))
}

#[test]
fn a_known_id_is_where_it_goes_on() {
    let hub = TestHub::new();
    for data in ["1", "2", "3"] {
        hub.say("a", data);
    }
    for sequence in 0..=3 {
        assert_eq!(told(&after(&hub, &["a"], position(&hub, sequence))), (sequence, None));
    }
    assert_eq!(told(&start(&hub, &["a"], &Start::Live)), (3, None));
    assert_eq!(told(&start(&hub, &["a"], &Start::Earliest)), (0, None));
    assert_eq!(told(&start(&hub, &["a"], &Start::Last(2))), (1, None));
    assert_eq!(told(&start(&hub, &["a"], &Start::Last(0))), (3, None));
}

#[test]
fn an_unknown_id_is_a_gap_and_nothing_kept_is_withheld() {
    let hub = TestHub::new();
    hub.say("a", "1");
    let foreign = "zzzzzzzz-1";
    assert_ne!(foreign, position(&hub, 1).to_string());
    assert_eq!(told(&after(&hub, &["a"], foreign)), (0, Some(GapReason::Epoch)));
    for id in ["", "x", "-1", "1", &format!("{}-", hub.epoch()), &position(&hub, 2).to_string()] {
        let wanted = (0, Some(GapReason::UnknownId));
        assert_eq!(told(&after(&hub, &["a"], id)), wanted, "{id:?}");
    }
}

#[test]
fn what_retention_removed_is_told_exactly() {
    let hub = TestHub::new();
    for _ in 0..5 {
        hub.say("few/a", "x");
        hub.say("b", "y");
    }
    // Of few/a the events 5, 7 and 9 are kept; 1 and 3 are gone.
    let resumed = |names: &[&str], sequence| told(&after(&hub, names, position(&hub, sequence)));
    let gone = Some(GapReason::Retention);
    assert_eq!(resumed(&["few/a"], 0), (3, gone));
    assert_eq!(resumed(&["few/a"], 2), (3, gone));
    assert_eq!(resumed(&["few/a"], 3), (3, None));
    assert_eq!(resumed(&["b"], 0), (0, None));
    // What is kept of b between must still come, so it goes on where it was.
    assert_eq!(resumed(&["few/a", "b"], 2), (2, gone));
    let gap = after(&hub, &["few/a", "b"], position(&hub, 2)).gap.unwrap();
    assert_eq!(gap.topics.iter().map(|name| &**name).collect::<Vec<_>>(), ["few/a"]);
    assert_eq!(told(&after(&hub, &["few/a"], "nonsense")), (3, Some(GapReason::UnknownId)));
}

#[test]
fn a_publishers_own_id_is_a_place_too() {
    let hub = TestHub::new();
    hub.say("a", "1");
    let own = NewEvent { publisher_id: Some("urn:x".into()), ..event("a", "2") };
    hub.publish(&one(&[own])).unwrap();
    hub.say("a", "3");
    assert_eq!(told(&after(&hub, &["a"], "urn:x")), (2, None));
    assert_eq!(told(&after(&hub, &["b"], "urn:x")), (0, Some(GapReason::UnknownId)));
}

#[test]
fn ids_keep_their_meaning_over_a_restart() {
    let hub = TestHub::new();
    hub.say("a", "1");
    hub.say("memory/a", "2");
    let hub = hub.reopened();
    for name in ["a", "memory/a"] {
        assert_eq!(told(&after(&hub, &[name], position(&hub, 1))), (1, None), "{name}");
    }
    assert!(hub.say("a", "3") > 2);
}

#[test]
fn a_topic_made_anew_does_not_continue_the_old_one() {
    let hub = TestHub::new();
    hub.say("a", "old");
    hub.remove_topic(&TopicName::new("a").unwrap()).unwrap();
    let sequence = hub.say("a", "new");
    assert_eq!(hub.read(&topics(&["a"]), 0), [(sequence, "new".to_owned())]);
}

#[test]
fn whoever_retention_overtakes_is_told_before_the_stream_goes_on() {
    let hub = TestHub::new();
    let view = View { framing: Framing::Plain, private: false, conflate: false };
    let say_some = || {
        for _ in 0..5 {
            hub.say("few/a", "x");
            hub.say("b", "y");
        }
    };
    say_some();
    // It has had everything up to 9, and then fell behind.
    say_some();
    let mut alone = Backlog::new(Arc::new(topics(&["few/a"])));
    let step = alone.step(&hub, 9, view).unwrap();
    let gap = step.gap.unwrap();
    assert_eq!((gap.reason, gap.resumes), (GapReason::Retention, position(&hub, 13)));
    assert_eq!((step.span.after, step.span.events, step.caught_up), (13, 0, false));
    let step = alone.step(&hub, 13, view).unwrap();
    assert_eq!((step.gap, step.span.events, step.caught_up), (None, 3, true));

    let mut both = Backlog::new(Arc::new(topics(&["few/a", "b"])));
    let step = both.step(&hub, 9, view).unwrap();
    assert_eq!(step.gap.unwrap().resumes, position(&hub, 9), "what is kept of b still comes");
    assert_eq!(step.span.events, 3 + 6);
    assert_eq!(both.step(&hub, 9, view).unwrap().gap, None, "it is told once");
}

fn remove(hub: &TestHub, name: &str) {
    hub.remove_topic(&TopicName::new(name).unwrap()).unwrap();
}

#[test]
fn what_was_deleted_is_told_exactly_also_under_a_new_topic_of_that_name() {
    let hub = TestHub::new();
    for data in ["1", "2"] {
        hub.say("a", data);
        hub.say("b", data);
    }
    remove(&hub, "a");
    let check = |hub: &TestHub| {
        let resumed = |names: &[&str], at| told(&after(hub, names, position(hub, at)));
        let gone = Some(GapReason::Retention);
        assert_eq!([0, 2].map(|at| resumed(&["a"], at)), [(3, gone), (3, gone)]);
        assert_eq!([3, 4].map(|at| resumed(&["a"], at)), [(3, None), (4, None)]);
        // What is kept of b between must still come, so it goes on where it was.
        assert_eq!(resumed(&["a", "b"], 1), (1, gone));
        assert_eq!(resumed(&["b"], 0), (0, None));
        assert_eq!(resumed(&["never"], 0), (0, None));
        let gap = after(hub, &["a", "b"], position(hub, 1)).gap.unwrap();
        assert_eq!(gap.topics.iter().map(|name| &**name).collect::<Vec<_>>(), ["a"]);
        for beginning in [Start::Earliest, Start::Last(9), Start::Since(0), Start::Live] {
            assert_eq!(start(hub, &["a"], &beginning).gap, None, "{beginning:?}");
        }
    };
    check(&hub);
    hub.say("a", "new");
    check(&hub);
    let hub = hub.reopened();
    check(&hub);
    assert_eq!(hub.read(&topics(&["a"]), 3), [(5, "new".to_owned())]);
}

#[test]
fn a_fork_in_place_of_a_deleted_topic_withholds_nothing() {
    let hub = TestHub::new();
    for data in ["1", "2"] {
        hub.say("source", data);
        hub.say("a", data);
    }
    remove(&hub, "a");
    let fork = ForkOf { source: TopicName::new("source").unwrap(), through: None };
    let name = TopicName::new("a").unwrap();
    hub.set_topic(&name, &TopicPolicy::default(), Some(&fork)).unwrap();
    let started = after(&hub, &["a"], position(&hub, 1));
    assert_eq!(told(&started), (1, Some(GapReason::Retention)));
    assert_eq!(hub.read(&topics(&["a"]), 1), [(3, "2".to_owned())]);
}

#[test]
fn a_span_that_others_have_read_hides_no_gap() {
    let view = View { framing: Framing::Plain, private: false, conflate: false };
    let large = "x".repeat(40_000);
    for removed in ["few/a", "a"] {
        let hub = TestHub::new();
        for _ in 0..6 {
            hub.say(removed, &large);
        }
        if removed == "a" {
            remove(&hub, "a");
            for _ in 0..4 {
                hub.say("a", &large);
            }
        }
        // It asked for what is there, and knows that it may not be all.
        let mut earliest = Backlog::new(Arc::new(topics(&[removed])));
        assert_eq!(hub.start(&mut earliest, &Start::Earliest).gap, None);
        let step = earliest.step(&hub, 0, view).unwrap();
        assert!(step.span.events > 0 && step.gap.is_none() && !step.caught_up);
        // It was at 2, and fell behind.
        let mut behind = Backlog::new(Arc::new(topics(&[removed])));
        let gap = behind.step(&hub, 2, view).unwrap().gap.expect("events are missing");
        assert_eq!(gap.reason, GapReason::Retention);
    }
}
