//! Never a silent gap: after a resume every event after the id, once, in order; or a gap first.

use serde_json::{Value, json};

use crate::stream::{Event, Stream};
use crate::support::{DOORS, Door, Server, sequence, with_sequence};

/// A server with events in five topics, and the events in the order of their ids.
fn filled(count: usize) -> (Server, Vec<(String, Event)>) {
    let server = Server::start();
    let mut all = Vec::new();
    for number in 0..count {
        let topic = ["a", "b", "c/1", "c/2", "d"][number * 7 % 5];
        let data = number.to_string();
        let id = server.publish(&format!("/topics/{topic}"), &data);
        let kind = "message".to_owned();
        all.push((topic.to_owned(), Event { id, kind, data }));
    }
    (server, all)
}

#[track_caller]
fn resume(server: &Server, target: &str, door: Door, id: &str) -> Stream {
    server.subscribe_with(target, &format!("{}Last-Event-ID: {id}\r\n", door.headers()))
}

/// Whether a subscription wants a topic's events.
type Wanted = fn(&str) -> bool;

#[test]
fn after_every_single_event_comes_exactly_the_rest() {
    let (server, all) = filled(60);
    let shapes: [(&str, Wanted); 5] = [
        ("/topics/a", |topic| topic == "a"),
        ("/events?topic=a&topic=b&topic=none", |topic| matches!(topic, "a" | "b")),
        ("/events?pattern=c/*", |topic| topic.starts_with("c/")),
        ("/events?pattern=**", |_| true),
        ("/events?pattern=c/*&topic=d&topic=a", |topic| topic != "b"),
    ];
    for door in DOORS {
        for (target, wanted) in shapes {
            for at in 0..=all.len() {
                // Also after events that the subscription does not follow, and before all of them.
                let id = match at {
                    0 => with_sequence(&all[0].1.id, 0),
                    at => all[at - 1].1.id.clone(),
                };
                let rest: Vec<Event> = all[at..]
                    .iter()
                    .filter(|(topic, _)| wanted(topic))
                    .map(|(_, event)| event.clone())
                    .collect();
                let mut stream = resume(&server, target, door, &id);
                assert_eq!(stream.take(rest.len()), rest, "{target} after {id} through {door:?}");
                assert_eq!(stream.raw.len(), raw_length(&rest), "{target}: nothing else comes");
            }
        }
    }
}

/// The bytes of a stream of these events.
fn raw_length(events: &[Event]) -> usize {
    let frame = |event: &Event| format!("id: {}\ndata: {}\n\n", event.id, event.data).len();
    2 + events.iter().map(frame).sum::<usize>()
}

#[test]
fn what_follows_a_resume_is_what_is_published_next() {
    let (server, all) = filled(10);
    for door in DOORS {
        for target in ["/topics/a", "/events?topic=a&topic=z", "/events?pattern=**"] {
            let newest = server.publish("/topics/b", "seen");
            let mut stream = resume(&server, target, door, &newest);
            let id = server.publish("/topics/a", "next");
            assert_eq!(stream.next().id, id, "{target}");
        }
    }
    assert_eq!(all.len(), 10);
}

#[test]
fn ids_survive_a_restart() {
    let (server, all) = filled(20);
    let server = server.restart();
    let mut ids: Vec<String> = all.into_iter().map(|(_, event)| event.id).collect();
    for at in 0..20 {
        let mut stream = resume(&server, "/events?pattern=**", Door::Fast, &ids[at]);
        let rest = stream.take(ids.len() - at - 1).into_iter().map(|event| event.id);
        assert!(rest.eq(ids[at + 1..].iter().cloned()));
        let next = server.publish("/topics/other", "x");
        assert_eq!(stream.next().id, next);
        assert!(sequence(&next) > sequence(&ids[19]));
        ids.push(next);
    }
}

#[test]
fn ids_that_are_none_get_a_gap_and_then_all_that_is_kept() {
    let (server, all) = filled(15);
    let of_a: Vec<Event> =
        all.iter().filter(|(topic, _)| topic == "a").map(|(_, event)| event.clone()).collect();
    let everything: Vec<Event> = all.iter().map(|(_, event)| event.clone()).collect();
    let epoch = all[0].1.id.split_once('-').unwrap().0.to_owned();
    let long = "9".repeat(4_096);
    let cases: [(Vec<u8>, &str); 19] = [
        (b"zzzzzzzz-3".to_vec(), "epoch"),
        (b"zzzzzzzz-0".to_vec(), "epoch"),
        (b"zzzzzzzz-18446744073709551615".to_vec(), "epoch"),
        (format!("{epoch}-16").into_bytes(), "unknown-id"),
        (format!("{epoch}-18446744073709551615").into_bytes(), "unknown-id"),
        (format!("{epoch}-18446744073709551616").into_bytes(), "unknown-id"),
        (format!("{epoch}-{long}").into_bytes(), "unknown-id"),
        (format!("{epoch}--1").into_bytes(), "unknown-id"),
        (format!("{epoch}-").into_bytes(), "unknown-id"),
        (epoch.clone().into_bytes(), "unknown-id"),
        (format!("{epoch}-01").into_bytes(), "unknown-id"),
        (format!("{epoch}-0x3").into_bytes(), "unknown-id"),
        (format!("{}-3", epoch.to_uppercase()).into_bytes(), "unknown-id"),
        (b"3".to_vec(), "unknown-id"),
        (b"-1".to_vec(), "unknown-id"),
        (b"null".to_vec(), "unknown-id"),
        (b"'; DROP TABLE events; --".to_vec(), "unknown-id"),
        (b"\xff\xfe\xf0\x28\x8c\x28".to_vec(), "unknown-id"),
        ("…🦀".as_bytes().to_vec(), "unknown-id"),
    ];
    for (id, reason) in cases {
        for door in DOORS {
            for (target, rest) in [("/topics/a", &of_a), ("/events?pattern=**", &everything)] {
                let mut request = format!(
                    "GET {target} HTTP/1.1\r\nHost: h\r\nAccept: text/event-stream\r\n{}\
                     Last-Event-ID: ",
                    door.headers()
                )
                .into_bytes();
                request.extend_from_slice(&id);
                request.extend_from_slice(b"\r\n\r\n");
                let mut conn = server.connect();
                conn.send(&request);
                let mut stream = Stream::open(conn);
                let gap = stream.next();
                let said = format!("{:?} {gap:?}", String::from_utf8_lossy(&id));
                assert_eq!(gap.kind, "gap", "{said}");
                let notice: Value = serde_json::from_str(&gap.data).unwrap();
                assert_eq!(notice["reason"], reason, "{said}");
                assert_eq!(notice["resumes"], gap.id.as_str(), "{said}");
                assert_eq!(notice["topics"], json!([]), "{said}");
                let requested = notice["requested"].as_str().unwrap();
                let lossy = String::from_utf8_lossy(&id);
                assert!(lossy.starts_with(requested) && !requested.is_empty(), "{said}");
                assert!(requested.len() <= 300, "{said}");
                assert_eq!(sequence(&gap.id), 0, "{said}");
                assert_eq!(stream.take(rest.len()), *rest, "{said}");
                // The gap's own id is a good one: no second gap.
                let mut again = resume(&server, target, door, &gap.id);
                assert_eq!(again.take(rest.len()), *rest, "{said}");
            }
        }
    }
}

#[test]
fn an_id_of_another_log_is_told_apart() {
    let (server, all) = filled(5);
    let last = &all[4].1.id;
    let server = server.replace();
    let fresh = server.publish("/topics/a", "new");
    assert_ne!(fresh.split('-').next(), last.split('-').next());
    for target in ["/topics/a", "/events?pattern=**"] {
        let mut stream = resume(&server, target, Door::Fast, last);
        let gap = stream.next();
        let notice: Value = serde_json::from_str(&gap.data).unwrap();
        assert_eq!((gap.kind.as_str(), &notice["reason"]), ("gap", &json!("epoch")));
        assert_eq!(stream.next().id, fresh);
    }
}

#[test]
fn a_publishers_own_id_is_a_place_to_resume() {
    let server = Server::start();
    for number in 1..6 {
        let target = format!("/topics/t?publisher_id=urn:mine:{number}");
        server.publish(&target, &number.to_string());
    }
    for number in 1..6_usize {
        for door in DOORS {
            let id = format!("urn:mine:{number}");
            let mut stream = resume(&server, "/topics/t", door, &id);
            let rest: Vec<String> = (number + 1..6).map(|rest| rest.to_string()).collect();
            assert_eq!(stream.data(rest.len()), rest, "after {id}");
        }
    }
    let mut unknown = resume(&server, "/topics/t", Door::Fast, "urn:mine:6");
    assert_eq!(unknown.next().kind, "gap");
}

#[test]
fn retention_leaves_holes_that_are_told_on_any_shape() {
    let server = Server::start();
    server.put("short", &json!({"retain": {"count": 2}}));
    let mut ids = Vec::new();
    for number in 0..10 {
        let topic = if number % 2 == 0 { "short" } else { "long" };
        ids.push(server.publish(&format!("/topics/{topic}"), &number.to_string()));
    }
    // Of the short one 6 and 8 are left.
    for target in ["/events?topic=short&topic=long", "/events?pattern=*"] {
        for (at, id) in ids.iter().enumerate().take(10) {
            let mut stream = resume(&server, target, Door::Fast, id);
            let left = (at + 1..10).filter(|n| n % 2 == 1 || *n >= 6);
            let left: Vec<String> = left.map(|n| n.to_string()).collect();
            if at < 4 {
                let gap = stream.next();
                let notice: Value = serde_json::from_str(&gap.data).unwrap();
                assert_eq!((gap.kind.as_str(), &notice["reason"]), ("gap", &json!("retention")));
                assert_eq!(notice["topics"], json!(["short"]), "{target} after {at}");
            }
            assert_eq!(stream.data(left.len()), left, "{target} after {at}");
        }
    }
}
