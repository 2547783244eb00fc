//! The bytes of a stream, all of them (the profile that every client known to us reads).

use std::time::Duration;

use serde_json::json;

use crate::support::{DOORS, Door, Server, sequence};

/// The head with what differs from run to run blanked out.
fn blanked(head: &str) -> Vec<String> {
    let lines = head.trim_end().split("\r\n");
    lines
        .map(|line| match line.split_once(": ") {
            Some((name @ ("date" | "tidings-connection" | "last-event-id"), _)) => {
                format!("{name}: …")
            }
            _ => line.to_owned(),
        })
        .collect()
}

#[test]
fn the_head_of_a_stream_and_its_first_comment() {
    let server = Server::start();
    let id = server.publish("/topics/t", "x");
    for door in DOORS {
        for target in [
            "/topics/t",
            "/topics/new",
            "/topics/t?last=1",
            "/topics/t?lastEventId=unknown",
            "/events?topic=t&topic=u",
            "/events?pattern=**&earliest",
            "/stream",
        ] {
            let stream = server.subscribe_with(target, door.headers());
            let expect = [
                "HTTP/1.1 200 OK",
                "content-type: text/event-stream",
                "cache-control: no-cache, no-transform",
                "x-accel-buffering: no",
                "connection: close",
                "date: …",
                "tidings-connection: …",
                "last-event-id: …",
                "x-content-type-options: nosniff",
            ];
            assert_eq!(blanked(&stream.head.head), expect, "{target} through {door:?}");
            assert!(stream.raw.starts_with(b":\n"), "{target}: {:?}", stream.raw);
            // Where it begins: a client that is cut before its first event resumes there.
            let begins = sequence(stream.head.header("last-event-id").unwrap());
            assert!(begins <= sequence(&id), "{target} begins after {begins}");
        }
    }
    let server = server.restart();
    let stream = server.subscribe("/topics/t");
    assert_eq!(stream.head.header("last-event-id"), Some(id.as_str()));
}

#[test]
fn a_stream_resumed_from_its_heads_position_misses_nothing() {
    let server = Server::start();
    for target in ["/topics/t", "/events?topic=t&topic=u", "/events?pattern=*"] {
        server.publish("/topics/t", "before");
        let position = {
            let stream = server.subscribe(target);
            stream.head.header("last-event-id").unwrap().to_owned()
        };
        server.publish("/topics/t", "between");
        let header = format!("Last-Event-ID: {position}\r\n");
        assert_eq!(server.subscribe_with(target, &header).next().data, "between");
    }
}

#[test]
fn frames_are_these_bytes() {
    let server = Server::start();
    for door in DOORS {
        for (at, (query, data, expect)) in [
            ("", "plain", "data: plain\n\n"),
            ("", "", "data: \n\n"),
            ("?type=said", "x", "event: said\ndata: x\n\n"),
            ("?type=message", "x", "data: x\n\n"),
            ("?type=two%20words", "x", "event: two words\ndata: x\n\n"),
            ("?type=caf%C3%A9", "é", "event: café\ndata: é\n\n"),
            ("?key=k&publisher_id=p", "x", "data: x\n\n"),
            ("", "a\nb", "data: a\ndata: b\n\n"),
            ("", "a\r\nb", "data: a\ndata: b\n\n"),
            ("", "a\rb", "data: a\ndata: b\n\n"),
            ("", "a\n", "data: a\ndata: \n\n"),
            ("", "\n", "data: \ndata: \n\n"),
            ("", "\r\r\n\n", "data: \ndata: \ndata: \ndata: \n\n"),
            ("", " x", "data:  x\n\n"),
            ("", ": x", "data: : x\n\n"),
            ("", "\u{2028}\u{85}\u{b}\u{c}", "data: \u{2028}\u{85}\u{b}\u{c}\n\n"),
            ("", "\u{feff}x", "data: \u{feff}x\n\n"),
            ("", "a\0b", "data: a\0b\n\n"),
            ("?end=done", "", "event: end\ndata: {\"reason\":\"done\"}\n\n"),
            (
                "?end=error&type=last",
                "x",
                "event: last\ndata: x\n\nid: ID\nevent: end\ndata: {\"reason\":\"error\"}\n\n",
            ),
        ]
        .into_iter()
        .enumerate()
        {
            let topic = format!("bytes/{door:?}/{at}");
            let mut live = server.subscribe_with(&format!("/topics/{topic}"), door.headers());
            let id = server.publish(&format!("/topics/{topic}{query}"), data);
            let mut late =
                server.subscribe_with(&format!("/topics/{topic}?earliest"), door.headers());
            let expect = format!(":\nid: ID\n{expect}").replace("ID", &id);
            for (name, stream) in [("live", &mut live), ("late", &mut late)] {
                while stream.raw.len() < expect.len() {
                    assert!(stream.read(), "{name}: {:?}", String::from_utf8_lossy(&stream.raw));
                }
                let raw = String::from_utf8_lossy(&stream.raw);
                assert_eq!(raw, expect, "{name} of {data:?} with {query:?}");
            }
        }
    }
}

#[test]
fn nothing_can_be_injected() {
    let server = Server::start();
    let nasty = [
        "x\n\nid: zzzzzzzz-9\ndata: injected\n\n",
        "x\r\rid: zzzzzzzz-9\rdata: injected\r\r",
        "x\r\n\r\nevent: injected\r\ndata: y\r\n\r\n",
        "\u{feff}data: x",
        "retry: 1\n",
        ":\n:\n",
        "event: end\n\n",
        "id\n",
        "\n\n\n",
        "data",
    ];
    let mut plain = server.subscribe("/topics/t");
    let mut envelope = server.subscribe("/events?topic=t&topic=u&envelope");
    for data in nasty {
        let id = server.publish("/topics/t", data);
        let event = plain.next();
        let lines = data.replace("\r\n", "\n").replace('\r', "\n");
        assert_eq!((event.kind.as_str(), event.data), ("message", lines));
        assert_eq!(event.id, id);
        let event = envelope.next();
        let object: serde_json::Value = serde_json::from_str(&event.data).unwrap();
        assert_eq!((event.kind.as_str(), &object["data"]), ("message", &json!(data)));
    }
    // What is no data is refused before anything is stored.
    let before = server.state();
    for text in ["a\nb", "a\rb", "a\r\nb", "a\0b", "a\u{85}b", "a\u{2028}b", "a\tb", "\u{7f}"] {
        for (member, code) in [
            ("type", "invalid-type"),
            ("key", "invalid-key"),
            ("publisher_id", "invalid-id"),
            ("topic", "invalid-topic"),
        ] {
            let mut event = json!({"topic": "new", "data": "x"});
            event[member] = json!(text);
            let body = json!({"events": [event]}).to_string();
            server.request("POST", "/publish", "", body.as_bytes()).problem(400, code);
            let encoded: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
            let target = match member {
                "topic" => format!("/topics/{encoded}"),
                _ => format!("/topics/new?{member}={encoded}"),
            };
            for door in DOORS {
                server.request("POST", &target, door.headers(), b"x").problem(400, code);
            }
        }
    }
    assert_eq!(server.state(), before);
    server.publish("/topics/t", "end");
    assert_eq!(plain.next().data, "end");
}

#[test]
fn a_silent_stream_gets_comments_of_one_newline() {
    let server = Server::with(|config| config.heartbeat = Duration::from_secs(1));
    let mut streams = [
        ("t", server.subscribe("/topics/t")),
        ("u/v", server.subscribe_with("/events?pattern=u/*", Door::General.headers())),
    ];
    for (topic, stream) in &mut streams {
        while stream.comments() < 4 {
            assert!(stream.read());
        }
        assert_eq!(stream.raw, b":\n".repeat(stream.raw.len() / 2));
        let beats = stream.raw.len();
        let id = server.publish(&format!("/topics/{topic}"), "x");
        assert_eq!(stream.next().id, id);
        let raw = String::from_utf8_lossy(&stream.raw[beats..]).into_owned();
        let frame = format!("id: {id}\ndata: x\n\n");
        assert!(raw.trim_start_matches(":\n").starts_with(&frame), "{raw:?}");
    }
}

#[test]
fn an_end_is_said_and_closes_the_stream_of_that_topic_alone() {
    for end in ["done", "error", "cancelled"] {
        for door in DOORS {
            let server = Server::start();
            let mut one = server.subscribe_with("/topics/t", door.headers());
            let mut by_alternate = server.subscribe_with("/topics/alt", door.headers());
            let mut several = server.subscribe_with("/events?topic=t&topic=u", door.headers());
            let mut pattern = server.subscribe_with("/events?pattern=*&envelope", door.headers());
            server.publish("/topics/t", "1");
            let id = server.publish(&format!("/topics/t?end={end}&alternate=alt"), "2");
            let notice = json!({"reason": end}).to_string();
            let about = json!({"reason": end, "topic": "t"}).to_string();
            assert_eq!(one.data(2), ["1", "2"]);
            assert_eq!(by_alternate.data(1), ["2"]);
            assert_eq!(several.data(2), ["1", "2"]);
            pattern.data(2);
            for (stream, notice) in [
                (&mut one, &notice),
                (&mut by_alternate, &notice),
                (&mut several, &notice),
                (&mut pattern, &about),
            ] {
                let event = stream.next();
                assert_eq!((event.kind.as_str(), &event.data, &event.id), ("end", notice, &id));
            }
            assert_eq!(one.try_next(), None);
            assert_eq!(by_alternate.try_next(), None);
            server.publish("/topics/u", "3");
            assert_eq!(several.next().data, "3");
            // From the log it is said and closed in the same way.
            let late = server.subscribe_with("/topics/t?earliest", door.headers()).until_end();
            let kinds: Vec<&str> = late.iter().map(|event| event.kind.as_str()).collect();
            assert_eq!(kinds, ["message", "message", "end"]);
        }
    }
}

#[test]
fn who_has_had_the_end_is_told_not_to_come_again() {
    let server = Server::start();
    let first = server.publish("/topics/t", "1");
    let last = server.publish("/topics/t?end=done", "");
    for door in DOORS {
        let ask = |target: &str, id: &str| {
            let headers =
                format!("Accept: text/event-stream\r\nLast-Event-ID: {id}\r\n{}", door.headers());
            let mut conn = server.connect();
            conn.ask("GET", target, &headers, b"");
            (conn.reply(), conn.rest())
        };
        let (reply, rest) = ask("/topics/t", &last);
        assert_eq!((reply.status, rest.as_slice()), (204, &b""[..]), "{}", reply.head);
        assert_eq!(reply.header("content-length"), None);
        assert_eq!(reply.header("connection"), Some("close"));
        let again =
            server.subscribe_with(&format!("/topics/t?lastEventId={first}"), door.headers());
        let kinds: Vec<String> = again.until_end().into_iter().map(|event| event.kind).collect();
        assert_eq!(kinds, ["end"]);
        // Live only: there is nothing to come.
        let mut conn = server.connect();
        let headers = format!("Accept: text/event-stream\r\n{}", door.headers());
        conn.ask("GET", "/topics/t", &headers, b"");
        assert_eq!(conn.reply().status, 204);
    }
    let server = server.restart();
    let mut conn = server.connect();
    conn.ask("GET", &format!("/topics/t?lastEventId={last}"), "Accept: text/event-stream\r\n", b"");
    assert_eq!(conn.reply().status, 204);
}

#[test]
fn ids_go_up_by_one_and_keep_to_their_alphabet() {
    let server = Server::start();
    let ids = server.publish_numbers("t", 0..50);
    let mut stream = server.subscribe("/topics/t?earliest");
    for (at, id) in ids.iter().enumerate() {
        assert_eq!(stream.next().id, *id);
        assert_eq!(sequence(id), at as u64 + 1);
        assert!(id.len() <= 64);
        assert!(id.bytes().all(|b| b.is_ascii_alphanumeric() || b"._~-".contains(&b)), "{id}");
    }
}
