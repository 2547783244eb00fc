//! What a server must not take: wrong handshakes, wrong messages, too much of anything. Each is
//! told, changes nothing, and leaves the connection as good as it was.

use serde_json::{Value, json};

use crate::support::Server;
use crate::websocket::{PROTOCOL, Ws, asking};

#[test]
fn handshakes_that_are_none_are_refused() {
    let server = Server::start();
    let good = asking(PROTOCOL);
    let without = |line: &str| {
        let kept = good.lines().filter(|other| !other.starts_with(line));
        kept.map(|line| format!("{line}\r\n")).collect::<String>()
    };
    let with = |line: &str, value: &str| format!("{}{line}: {value}\r\n", without(line));
    let (upgrade, connection) = ("Upgrade", "Connection");
    let (version, key) = ("Sec-WebSocket-Version", "Sec-WebSocket-Key");
    let protocol = "Sec-WebSocket-Protocol";
    for (headers, status, code) in [
        (String::new(), 426, "upgrade-required"),
        (without(upgrade), 426, "upgrade-required"),
        (with(upgrade, "h2c"), 426, "upgrade-required"),
        (without(connection), 400, "invalid-request"),
        (with(connection, "keep-alive"), 400, "invalid-request"),
        (without(version), 426, "upgrade-required"),
        (with(version, "8"), 426, "upgrade-required"),
        (without(key), 400, "invalid-request"),
        (with(key, "x"), 400, "invalid-request"),
        (with(key, "AAAA"), 400, "invalid-request"),
        (with(protocol, "chat, tidings.v2.json"), 400, "invalid-request"),
        (with(protocol, "TIDINGS.V1.JSON"), 400, "invalid-request"),
    ] {
        let reply = Ws::refused(&server, &headers);
        reply.problem(status, code);
        if status == 426 {
            assert_eq!(reply.header("sec-websocket-version"), Some("13"), "{}", reply.head);
            assert_eq!(reply.header("upgrade"), Some("websocket"));
        }
    }
    server.request("POST", "/ws", &good, b"").problem(405, "method-not-allowed");
    server.request("GET", "/ws/", &good, b"").problem(404, "not-found");
    let mut conn = server.connect();
    conn.ask("HEAD", "/ws", &good, b"");
    assert!(conn.head().unwrap().starts_with("HTTP/1.1 426 "));
}

#[test]
fn handshakes_in_every_spelling_are_taken() {
    let server = Server::start();
    for headers in [
        asking(PROTOCOL),
        asking(""),
        asking("Sec-WebSocket-Protocol: other\r\nSec-WebSocket-Protocol: tidings.v1.json\r\n"),
        asking("Sec-WebSocket-Protocol: a,tidings.v1.json , b\r\n"),
        asking(PROTOCOL)
            .replace(": websocket", ": WebSocket")
            .replace(": Upgrade", ": keep-alive, UPGRADE"),
        // What is offered and not taken up.
        asking("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"),
    ] {
        let mut conn = server.connect();
        conn.ask("GET", "/ws", &headers, b"");
        let reply = conn.head().unwrap().to_lowercase();
        assert!(reply.starts_with("http/1.1 101 "), "{headers}\n{reply}");
        // RFC 6455, section 1.3.
        assert!(reply.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="), "{reply}");
        let named = headers.contains("tidings.v1.json");
        assert_eq!(reply.contains("sec-websocket-protocol: tidings.v1.json"), named);
        assert!(!reply.contains("sec-websocket-extensions"));
    }
}

#[test]
fn pages_of_other_origins_are_refused() {
    let server = Server::with(|config| {
        config.cors_origins = vec!["https://app.example".into()];
    });
    for (origin, status) in [
        ("https://app.example", 101),
        ("https://evil.example", 403),
        ("https://app.example.evil", 403),
        ("http://app.example", 403),
        ("null", 403),
        ("", 403),
    ] {
        let headers = asking(&format!("{PROTOCOL}Origin: {origin}\r\n"));
        let mut conn = server.connect();
        conn.ask("GET", "/ws", &headers, b"");
        let head = conn.head().unwrap();
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{origin}: {head}");
    }
    // Programs have none.
    drop(Ws::open(&server));
    let nobody = Server::with(|config| config.anonymous = Default::default());
    Ws::refused(&nobody, &asking(PROTOCOL)).problem(403, "forbidden");
}

#[test]
fn messages_sent_with_the_handshake_are_taken() {
    let server = Server::start();
    let mut conn = server.connect();
    let mut bytes = format!("GET /ws HTTP/1.1\r\nHost: h\r\n{}\r\n", asking(PROTOCOL)).into_bytes();
    for number in 0..100 {
        let message = json!({"op": "ping", "ref": number}).to_string();
        bytes.extend(crate::websocket::frame(0x81, message.as_bytes()));
    }
    conn.send(&bytes);
    let mut ws = Ws::answered(conn);
    for number in 0..100 {
        assert_eq!(ws.message(), json!({"op": "pong", "ref": number}));
    }
}

/// Messages, and the code that each is refused with.
fn wrong_messages() -> Vec<(String, &'static str)> {
    let subscribe = |more: Value| {
        let mut message = json!({"op": "subscribe", "sub": "x", "topics": ["t"]});
        message.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        message.to_string()
    };
    let publish = |more: Value| {
        let mut message = json!({"op": "publish", "topic": "t", "data": "x"});
        message.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        message.to_string()
    };
    let many: Vec<String> = (0..1_025).map(|number| number.to_string()).collect();
    let patterns: Vec<String> = (0..65).map(|number| format!("{number}/*")).collect();
    let events: Vec<Value> = (0..1_001).map(|_| json!({"topic": "t"})).collect();
    let long = "x".repeat(1 << 20) + "x";
    let mut all: Vec<(String, &'static str)> = [
        ("", "invalid-json"),
        (" ", "invalid-json"),
        ("x", "invalid-json"),
        ("{", "invalid-json"),
        ("null", "invalid-json"),
        ("[]", "invalid-json"),
        ("[\"ping\"]", "invalid-json"),
        ("\"ping\"", "invalid-json"),
        ("{}", "invalid-json"),
        ("{\"op\":1}", "invalid-json"),
        ("{\"op\":null}", "invalid-json"),
        ("{\"op\":\"ping\"}{}", "invalid-json"),
        ("{\"op\":\"ping\",\"op\":\"ping\"}", "invalid-json"),
        ("{\"op\":\"ping\",}", "invalid-json"),
        ("{'op':'ping'}", "invalid-json"),
        ("{\"op\":\"ping\",\"more\":1}", "invalid-json"),
        ("{\"op\":\"\\ud800\"}", "invalid-json"),
        ("{\"op\":\"\"}", "invalid-request"),
        ("{\"op\":\"PING\"}", "invalid-request"),
        ("{\"op\":\"events\"}", "invalid-request"),
        ("{\"op\":\"ping\",\"ref\":[1]}", "invalid-parameter"),
        ("{\"op\":\"ping\",\"ref\":true}", "invalid-parameter"),
        ("{\"op\":\"token\"}", "invalid-json"),
        ("{\"op\":\"token\",\"token\":1}", "invalid-json"),
        ("{\"op\":\"unsubscribe\"}", "invalid-json"),
        ("{\"op\":\"unsubscribe\",\"sub\":\"none\"}", "connection-not-found"),
        ("{\"op\":\"subscribe\"}", "invalid-json"),
        ("{\"op\":\"subscribe\",\"sub\":\"x\"}", "invalid-request"),
        ("{\"op\":\"publish\"}", "invalid-topic"),
    ]
    .map(|(text, code)| (text.to_owned(), code))
    .into();
    all.push((json!({"op": "ping", "ref": "x".repeat(129)}).to_string(), "invalid-parameter"));
    all.push(("[".repeat(100_000), "invalid-json"));
    for (more, code) in [
        (json!({"sub": ""}), "invalid-parameter"),
        (json!({"sub": "x".repeat(129)}), "invalid-parameter"),
        (json!({"sub": 1}), "invalid-json"),
        (json!({"sub": "taken"}), "invalid-parameter"),
        (json!({"topics": "t"}), "invalid-json"),
        (json!({"topics": [1]}), "invalid-json"),
        (json!({"topics": ["/"]}), "invalid-topic"),
        (json!({"topics": ["a//b"]}), "invalid-topic"),
        (json!({"topics": ["$answers/x"]}), "forbidden"),
        (json!({"topics": many}), "too-many-topics"),
        (json!({"patterns": patterns}), "too-many-topics"),
        (json!({"patterns": ["a*"]}), "invalid-pattern"),
        (json!({"last": -1}), "invalid-json"),
        (json!({"last": 10_001}), "invalid-parameter"),
        (json!({"last": "3"}), "invalid-json"),
        (json!({"since": "yesterday"}), "invalid-parameter"),
        (json!({"from": ""}), "invalid-parameter"),
        (json!({"last": 1, "earliest": true}), "invalid-parameter"),
        (json!({"last": 1, "from": "live"}), "invalid-parameter"),
        (json!({"earliest": 1}), "invalid-json"),
        (json!({"envelope": true}), "invalid-json"),
        (json!({"lastEventId": 7}), "invalid-json"),
    ] {
        all.push((subscribe(more), code));
    }
    for (more, code) in [
        (json!({"topic": "/"}), "invalid-topic"),
        (json!({"topic": "$x"}), "forbidden"),
        (json!({"topic": 1}), "invalid-json"),
        (json!({"data": {"a": 1}}), "invalid-json"),
        (json!({"data_base64": "eA=="}), "invalid-parameter"),
        (json!({"data": null, "data_base64": "?"}), "invalid-parameter"),
        (json!({"data": long}), "body-too-large"),
        (json!({"type": "end"}), "invalid-type"),
        (json!({"type": "a\nb"}), "invalid-type"),
        (json!({"key": "x".repeat(257)}), "invalid-key"),
        (json!({"publisher_id": "a\nb"}), "invalid-id"),
        (json!({"ttl": 5}), "invalid-json"),
        (json!({"ttl": "5"}), "invalid-parameter"),
        (json!({"end": "over"}), "invalid-json"),
        (json!({"expect": "x"}), "invalid-parameter"),
        (json!({"at": "soon"}), "invalid-json"),
        (json!({"delay": "1h", "at": "2026-11-22T10:00:00Z"}), "invalid-parameter"),
        (json!({"delay": "9000d"}), "invalid-parameter"),
        (
            json!({"alternates": (0..16).map(|n| n.to_string()).collect::<Vec<_>>()}),
            "too-many-topics",
        ),
        (json!({"events": [{"topic": "t"}]}), "invalid-request"),
        (json!({"producer": {"id": "p"}}), "invalid-json"),
        (json!({"producer": {"id": "", "epoch": 0, "sequence": 0}}), "invalid-id"),
        (json!({"idempotency_key": ""}), "invalid-id"),
        (json!({"retain": 1}), "invalid-json"),
    ] {
        all.push((publish(more), code));
    }
    all.push((json!({"op": "publish", "events": []}).to_string(), "invalid-request"));
    all.push((json!({"op": "publish", "events": events}).to_string(), "batch-too-large"));
    all.push((json!({"op": "publish", "events": [{"data": "x"}]}).to_string(), "invalid-topic"));
    all
}

#[test]
fn messages_that_are_none_are_told_and_nothing_else_happens() {
    let server = Server::start();
    let mut ws = Ws::open(&server);
    ws.subscribe("taken", json!({"topics": ["t"]}));
    let messages = wrong_messages();
    assert!(messages.len() >= 75);
    for (message, code) in messages {
        ws.send_text(&message);
        let answer = ws.message();
        let shown = &message[..message.len().min(200)];
        assert_eq!(
            (&answer["op"], &answer["problem"]["code"]),
            (&json!("error"), &json!(code)),
            "{shown}: {answer}"
        );
        let problem = &answer["problem"];
        assert!(problem["title"].is_string() && problem["status"].is_u64(), "{problem}");
        assert_eq!(problem["type"], format!("urn:tidings:problem:{code}"));
        assert_eq!(problem["retryable"], false);
    }
    // With the request's own name, wherever it can be told.
    for message in [
        json!({"op": "nothing", "ref": "a"}),
        json!({"op": "publish", "ref": "a", "topic": "/"}),
        json!({"op": "subscribe", "ref": "a", "sub": 1}),
    ] {
        ws.send(&message);
        assert_eq!(ws.message()["ref"], "a", "{message}");
    }
    assert_eq!(ws.ask(json!({"op": "ping"}))["op"], "pong");
    assert_eq!(server.kept_or_none("t"), Vec::<String>::new());
    assert_eq!(server.get("/connections").json()["total"], 1);
    server.publish("/topics/t", "still");
    assert_eq!(ws.next()["data"], "still");
}

#[test]
fn a_connection_has_so_many_subscriptions_and_no_more() {
    let server = Server::start();
    let mut ws = Ws::open(&server);
    for number in 0..64 {
        ws.subscribe(&number.to_string(), json!({"topics": ["t"]}));
    }
    let refused = ws.ask(json!({"op": "subscribe", "sub": "65", "topics": ["t"]}));
    assert_eq!(refused["problem"]["parameter"], "sub");
    ws.ask(json!({"op": "unsubscribe", "sub": "7"}));
    ws.subscribe("65", json!({"topics": ["t"]}));
    server.publish("/topics/t", "x");
    let mut subs: Vec<String> = (0..64).map(|_| ws.next_of().0).collect();
    subs.sort();
    subs.dedup();
    assert_eq!(subs.len(), 64);
}

#[test]
fn a_token_is_renewed_where_none_is_asked_for() {
    let server = Server::start();
    let mut ws = Ws::open(&server);
    ws.send(&json!({"op": "token", "ref": 7, "token": "any"}));
    assert_eq!(ws.message(), json!({"op": "accepted", "ref": 7}));
}
