//! Live subscriptions as resources: listed with their lag, changed, ended.

use serde_json::{Value, json};

use crate::stream::Stream;
use crate::support::{DOORS, Server, until};
use crate::wires::over_each_wire;

pub(crate) fn listed(server: &Server, name: &str) -> Option<Value> {
    let page = server.get("/connections").json();
    let all = page["connections"].as_array().unwrap();
    all.iter().find(|connection| connection["id"] == name).cloned()
}

fn patch(server: &Server, name: &str, body: &Value) -> crate::support::Reply {
    let target = format!("/connections/{name}");
    server.request("PATCH", &target, "", body.to_string().as_bytes())
}

#[test]
fn connections_are_listed_as_they_are() {
    let server = Server::start();
    let id = server.publish("/topics/a", "1");
    for door in DOORS {
        let mut one = server.subscribe_with("/topics/a?last=1", door.headers());
        let several = server.subscribe_with("/events?topic=b&topic=a&pattern=c/*", door.headers());
        assert_eq!(one.next().id, id);
        until("both to be live", || {
            [&one, &several]
                .iter()
                .all(|stream| listed(&server, &stream.name()).is_some_and(|l| l["state"] == "live"))
        });
        let first = listed(&server, &one.name()).unwrap();
        assert_eq!((&first["topics"], &first["patterns"]), (&json!(["a"]), &json!([])));
        assert_eq!((&first["lag"], &first["events"]), (&json!(0), &json!(1)));
        assert!(first["peer"].as_str().unwrap().starts_with("127.0.0.1:"));
        let second = listed(&server, &several.name()).unwrap();
        assert_eq!(second["topics"], json!(["a", "b"]));
        assert_eq!(second["patterns"], json!(["c/*"]));
        let name = one.name();
        drop(one);
        until("the one to be gone", || listed(&server, &name).is_none());
    }
    until("all to be gone", || server.get("/connections").json()["total"] == 0);
}

#[test]
fn a_reader_that_is_behind_has_a_lag_until_it_has_read() {
    let server = Server::start();
    let mut slow = server.subscribe("/topics/t");
    let data = "x".repeat(256 << 10);
    for _ in 0..64 {
        server.publish("/topics/t", &data);
    }
    until("a lag", || {
        let found = listed(&server, &slow.name()).unwrap();
        found["state"] != "live" && found["lag"].as_u64().unwrap() > 0
    });
    for _ in 0..64 {
        assert_eq!(slow.next().data.len(), data.len());
        slow.forget_raw();
    }
    until("no lag", || {
        listed(&server, &slow.name()).is_some_and(|found| {
            found["lag"] == 0 && found["state"] == "live" && found["events"] == 64
        })
    });
}

#[test]
fn topics_are_added_and_removed_while_it_lives() {
    over_each_wire(|| {
        let server = Server::start();
        for door in DOORS {
            let mut stream = server.subscribe_with("/topics/a", door.headers());
            let name = stream.name();
            server.publish("/topics/a", "a1");
            let b1 = server.publish("/topics/b", "b1");
            assert_eq!(stream.next().data, "a1");
            let added =
                patch(&server, &name, &json!({"add": {"topics": ["b"], "patterns": ["c/*"]}}));
            assert_eq!(added.status, 200, "{}", added.text());
            let answer = added.json();
            assert_eq!(answer["topics"], json!(["a", "b"]));
            assert_eq!(answer["patterns"], json!(["c/*"]));
            assert_eq!(answer["id"], name);
            // It holds from where the new topic's events are not sent any more, up to
            // what comes now.
            assert!(sequence(&answer["after"]) >= sequence(&json!(b1)), "{answer}");
            for topic in ["a", "b", "c/x", "d"] {
                server.publish(&format!("/topics/{topic}"), &format!("{topic}2"));
            }
            // Not b1: it was before it was asked for.
            assert_eq!(stream.data(3), ["a2", "b2", "c/x2"]);
            let removed = patch(&server, &name, &json!({"remove": {"topics": ["a"]}}));
            assert_eq!(removed.json()["topics"], json!(["b"]));
            for topic in ["a", "b", "c/y"] {
                server.publish(&format!("/topics/{topic}"), &format!("{topic}3"));
            }
            assert_eq!(stream.data(2), ["b3", "c/y3"]);
            let whole = patch(&server, &name, &json!({"topics": ["d"]}));
            let after = whole.json()["after"].clone();
            let expected = json!({"id": name, "topics": ["d"], "patterns": [], "after": after});
            assert_eq!(whole.json(), expected);
            for topic in ["a", "b", "c/y", "d"] {
                server.publish(&format!("/topics/{topic}"), &format!("{topic}4"));
            }
            assert_eq!(stream.next().data, "d4");
        }
    });
}

/// The number in an id.
fn sequence(id: &Value) -> u64 {
    id.as_str().unwrap().split_once('-').unwrap().1.parse().unwrap()
}

#[test]
fn a_connections_own_key_changes_and_ends_it_and_nothing_else() {
    over_each_wire(|| {
        let server = Server::with(|config| config.anonymous.admin.clear());
        for door in DOORS {
            for target in ["/topics/a", "/events?topic=a&pattern=x/*", "/topics/a?earliest"] {
                let mut stream = server.subscribe_with(target, door.headers());
                let other = server.subscribe_with("/topics/a", door.headers());
                let (own, bare) = (stream.own_name(), stream.name());
                let add = json!({"add": {"topics": ["b"]}});
                patch(&server, &bare, &add).problem(403, "forbidden");
                let target = format!("/connections/{bare}");
                server.request("DELETE", &target, "", b"").problem(403, "forbidden");
                server.get("/connections").problem(403, "forbidden");
                let key = own.split_once('.').unwrap().1;
                let others_key = other.own_name().split_once('.').unwrap().1.to_owned();
                for wrong in [
                    format!("{bare}."),
                    format!("{bare}.{others_key}"),
                    format!("{}.{key}", other.name()),
                    format!("{own}x"),
                    own[..own.len() - 1].to_owned(),
                    own.to_ascii_lowercase(),
                    format!("c999999.{key}"),
                ] {
                    patch(&server, &wrong, &add).problem(404, "connection-not-found");
                    let target = format!("/connections/{wrong}");
                    server.request("DELETE", &target, "", b"").problem(404, "connection-not-found");
                }
                // What it adds is judged as a subscription would be.
                patch(&server, &own, &json!({"add": {"topics": ["$x"]}})).problem(403, "forbidden");
                let changed = patch(&server, &own, &add);
                assert_eq!(changed.status, 200, "{}", changed.text());
                assert_eq!(changed.json()["id"], bare, "the key is not said again");
                server.publish("/topics/b", &own);
                stream.data_before(&own);
                let target = format!("/connections/{own}");
                assert_eq!(server.request("DELETE", &target, "", b"").status, 204);
                stream.until_end();
                server.request("DELETE", &target, "", b"").problem(404, "connection-not-found");
            }
        }
    });
}

#[test]
fn a_key_gives_no_more_than_a_subscriber_has() {
    let server = Server::with(|config| {
        config.anonymous.admin.clear();
        config.anonymous.subscribe.clear();
    });
    // Nobody can have been given one; whoever guesses is not told that it was the key.
    patch(&server, "c1.AAAAAAAAAAAAAAAAAAAAAA", &json!({"topics": ["b"]}))
        .problem(404, "connection-not-found");
}

#[test]
fn a_change_says_the_position_from_which_it_holds() {
    over_each_wire(|| {
        let server = Server::with(|config| config.io_threads = 2);
        for door in DOORS {
            for round in 0..20 {
                let (a, b) = (format!("a{round}{door:?}"), format!("b{round}{door:?}"));
                let mut stream = server.subscribe_with(&format!("/topics/{a}"), door.headers());
                let ids = std::thread::scope(|scope| {
                    let publisher = scope.spawn(|| server.publish_numbers(&b, 0..50));
                    let changed = patch(&server, &stream.name(), &json!({"add": {"topics": [b]}}));
                    assert_eq!(changed.status, 200, "{}", changed.text());
                    let after = sequence(&changed.json()["after"]);
                    let mut ids = publisher.join().unwrap();
                    ids.retain(|id| sequence(&json!(id)) > after);
                    ids
                });
                // Every event of the added topic after it, and none before.
                let came: Vec<String> = stream.take(ids.len()).into_iter().map(|e| e.id).collect();
                assert_eq!(came, ids, "round {round}");
            }
        }
    });
}

#[test]
fn a_change_in_the_middle_of_catching_up_loses_nothing() {
    over_each_wire(|| {
        let server = Server::start();
        server.publish_numbers("a", 0..2_000);
        for round in 0..20 {
            let added = format!("b{round}");
            let mut stream = server.subscribe("/topics/a?earliest");
            let changed = patch(&server, &stream.name(), &json!({"add": {"topics": [added]}}));
            assert_eq!(changed.status, 200, "{}", changed.text());
            let expect: Vec<String> = (0..2_000).map(|number| number.to_string()).collect();
            assert_eq!(stream.data(2_000), expect);
            server.publish(&format!("/topics/{added}"), "b");
            assert_eq!(stream.next().data, "b");
        }
    });
}

/// Events of the topic of [`stuck`]: more than the kernel takes.
pub(crate) const LARGE: usize = 64;

/// A subscription whose reader has stopped in the middle of the topic `a`.
pub(crate) fn stuck(server: &Server, target: &str, headers: &str) -> Stream {
    let stream = server.subscribe_with(target, headers);
    until("it is stuck", || {
        let found = listed(server, &stream.name()).unwrap();
        found["state"] != "live" && found["lag"].as_u64().unwrap() > 0
    });
    stream
}

/// What is told as missing before the event with this data: for each gap its topics.
fn gaps_before(stream: &mut Stream, marker: &str) -> Vec<Value> {
    let mut gaps = Vec::new();
    loop {
        let event = stream.next();
        stream.forget_raw();
        if event.kind == "gap" {
            gaps.push(serde_json::from_str::<Value>(&event.data).unwrap()["topics"].clone());
        }
        if event.data == marker {
            return gaps;
        }
    }
}

#[test]
fn what_was_deleted_of_an_added_topic_after_the_change_holds_is_told() {
    over_each_wire(|| {
        let server = Server::start();
        let large = "x".repeat(256 << 10);
        (0..LARGE).for_each(|_| drop(server.publish("/topics/a", &large)));
        let mut stream = stuck(&server, "/topics/a?earliest", "");
        let deleted = server.publish("/topics/b", "b1");
        assert_eq!(server.request("DELETE", "/topics/b", "", b"").status, 204);
        let changed = patch(&server, &stream.name(), &json!({"add": {"topics": ["b"]}})).json();
        assert!(sequence(&changed["after"]) < sequence(&json!(deleted)), "{changed}");
        server.publish("/topics/b", "b2");
        assert_eq!(gaps_before(&mut stream, "b2"), [json!(["b"])]);
    });
}

#[test]
fn a_change_tells_nothing_again_that_was_told() {
    over_each_wire(|| {
        let server = Server::start();
        let first = server.publish("/topics/a", "first");
        server.publish("/topics/c", "c");
        assert_eq!(server.request("DELETE", "/topics/c", "", b"").status, 204);
        let large = "x".repeat(256 << 10);
        (0..LARGE).for_each(|_| drop(server.publish("/topics/a", &large)));
        server.publish("/topics/c", "late");
        assert_eq!(server.request("DELETE", "/topics/c", "", b"").status, 204);
        let resumes = format!("Last-Event-ID: {first}\r\n");
        let mut stream = stuck(&server, "/events?topic=a&topic=c", &resumes);
        for added in ["b", "d"] {
            let changed = patch(&server, &stream.name(), &json!({"add": {"topics": [added]}}));
            assert_eq!(changed.status, 200, "{}", changed.text());
        }
        server.publish("/topics/d", "d");
        assert_eq!(gaps_before(&mut stream, "d"), [json!(["c"])]);
    });
}

#[test]
fn a_connection_is_ended_by_name() {
    over_each_wire(|| {
        let server = Server::start();
        for target in ["/topics/a", "/events?pattern=*"] {
            let stream = server.subscribe(target);
            let target = format!("/connections/{}", stream.name());
            assert_eq!(server.request("DELETE", &target, "", b"").status, 204);
            assert_eq!(stream.until_end(), []);
            server.request("DELETE", &target, "", b"").problem(404, "connection-not-found");
        }
    });
}

#[test]
fn bad_changes_are_refused_and_change_nothing() {
    let server = Server::start();
    let mut stream = server.subscribe("/topics/a");
    let name = stream.name();
    let many: Vec<String> = (0..1_025).map(|number| number.to_string()).collect();
    for (body, code) in [
        (json!({}), "invalid-request"),
        (json!({"topics": []}), "invalid-request"),
        (json!({"topics": ["b"], "add": {"topics": ["c"]}}), "invalid-request"),
        (json!({"remove": {"topics": ["a"]}}), "invalid-request"),
        (json!({"add": {"topics": ["/"]}}), "invalid-topic"),
        (json!({"add": {"patterns": ["a*"]}}), "invalid-pattern"),
        (json!({"topics": many}), "too-many-topics"),
        (json!({"add": {"topic": ["b"]}}), "invalid-json"),
        (json!([]), "invalid-json"),
        (json!("b"), "invalid-json"),
    ] {
        patch(&server, &name, &body).problem(400, code);
        assert_eq!(listed(&server, &name).unwrap()["topics"], json!(["a"]), "{body}");
    }
    for id in ["c0", "c999999", "7", "x", "c99999999999999999999", "c-1", "c+1"] {
        patch(&server, id, &json!({"topics": ["b"]})).problem(404, "connection-not-found");
        let target = format!("/connections/{id}");
        server.request("DELETE", &target, "", b"").problem(404, "connection-not-found");
    }
    server.publish("/topics/a", "still");
    assert_eq!(stream.next().data, "still");
}
