//! A fork of a topic that has ended is open: the source's end is no end of the fork.

use serde_json::json;

use crate::stream::Event;
use crate::support::{DOORS, Server, texts};

/// The last event of the source: with data of its own, and without.
const LAST_WORDS: [&str; 2] = ["bye", ""];

/// A source of three events of which the last ends it, a fork of it, and a fork of that one.
fn forked(last: &str) -> (Server, Vec<String>) {
    let server = Server::start();
    let mut ids = server.publish_numbers("source", 1..3);
    ids.push(server.publish("/topics/source?end=done", last));
    for (fork, source) in [("fork", "source"), ("second", "fork")] {
        server.put(fork, &json!({"fork": {"topic": source, "through": ids[2]}}));
        server.publish(&format!("/topics/{fork}"), fork);
    }
    (server, ids)
}

/// What the source's events look like in a fork, as far as they have data.
fn inherited(last: &str) -> Vec<&str> {
    ["1", "2", last].into_iter().filter(|data| !data.is_empty()).collect()
}

#[test]
fn a_stream_of_a_fork_goes_on_behind_the_end_of_its_source() {
    for last in LAST_WORDS {
        let (server, ids) = forked(last);
        for door in DOORS {
            for (topic, own) in [("fork", vec!["fork"]), ("second", vec!["second"])] {
                let wanted = [inherited(last), own].concat();
                // From the beginning, and from every event of the source.
                for skipped in 0..3 {
                    let start = match skipped {
                        0 => "earliest".to_owned(),
                        at => format!("lastEventId={}", ids[at - 1]),
                    };
                    let target = format!("/topics/{topic}?{start}");
                    let mut stream = server.subscribe_with(&target, door.headers());
                    let events = stream.take(wanted.len() - skipped);
                    let plain = |event: &Event| event.kind == "message";
                    assert!(events.iter().all(plain), "{target} after {last:?}: {events:?}");
                    let data: Vec<&str> = events.iter().map(|event| &*event.data).collect();
                    assert_eq!(data, wanted[skipped..], "{target} after {last:?}");
                    // It is still open, and comes to what is published now.
                    let id = server.publish(&format!("/topics/{topic}"), "live");
                    while stream.next().id != id {}
                }
            }
        }
        let mut envelopes = server.subscribe("/topics/fork?earliest&envelope");
        for event in envelopes.take(inherited(last).len() + 1) {
            assert!(!event.data.contains("\"end\""), "{event:?}");
        }
    }
}

#[test]
fn pages_and_polls_of_a_fork_do_not_show_the_end_of_its_source() {
    for last in LAST_WORDS {
        let (server, ids) = forked(last);
        let page = server.page("/topics/fork?earliest");
        assert_eq!(texts(&page, "data"), [inherited(last), vec!["fork"]].concat());
        assert_eq!(texts(&page, "end").concat(), "", "{page}");
        let polled = server.page(&format!("/topics/second?poll=0&after={}", ids[1]));
        assert_eq!(texts(&polled, "end").concat(), "", "{polled}");
        assert_eq!(texts(&polled, "data").last().unwrap(), "second");
    }
}

#[test]
fn the_source_itself_shows_its_end_also_beside_a_fork() {
    for last in LAST_WORDS {
        let (server, ids) = forked(last);
        let alone = server.subscribe("/topics/source?earliest").until_end();
        assert_eq!(
            (alone.last().unwrap().kind.as_str(), &alone.last().unwrap().id),
            ("end", &ids[2])
        );
        let page = server.page("/topics/source?earliest");
        assert_eq!(texts(&page, "end"), ["", "", "done"]);
        let mut both = server.subscribe("/events?topic=source&topic=fork&earliest");
        let kinds: Vec<String> =
            both.take(inherited(last).len() + 2).into_iter().map(|event| event.kind).collect();
        assert_eq!(kinds.iter().filter(|kind| *kind == "end").count(), 1, "{kinds:?}");
    }
}

#[test]
fn a_fork_has_an_end_of_its_own() {
    let (server, ids) = forked("bye");
    let id = server.publish("/topics/fork?end=cancelled", "over");
    let events = server.subscribe(&format!("/topics/fork?lastEventId={}", ids[1])).until_end();
    let kinds: Vec<&str> = events.iter().map(|event| &*event.kind).collect();
    assert_eq!(kinds, ["message", "message", "message", "end"]);
    assert_eq!(events[3].id, id);
    assert_eq!(server.get(&format!("/topics/fork?lastEventId={id}")).status, 204);
}
