//! The audit log says what operators did and who was refused, and no secret is written anywhere.

use std::path::PathBuf;

use serde_json::{Value, json};
use tempfile::TempDir;
use tidings_relay::config::{LlmConfig, Secret};
use tidings_scripted::{Script, Upstream};

use crate::access::{Closed, SECRET, claims, closed, people, token};
use crate::relay::chat;
use crate::support::{DOORS, until};
use crate::websocket::{PROTOCOL, Ws, asking};

struct Log {
    path: PathBuf,
    _folder: TempDir,
}

impl Log {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { path: folder.path().join("audit.log"), _folder: folder }
    }

    fn lines(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.path).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn server(&self) -> Closed {
        let path = self.path.clone();
        closed(move |config| config.audit_log = Some(path))
    }
}

#[test]
fn acts_and_refusals_are_lines() {
    let log = Log::new();
    let server = log.server();
    let [_, reader, _, operator, _] = people().map(Option::unwrap_or_default);
    let bearer = |token: &str| format!("Authorization: Bearer {token}\r\n");
    let (reader, operator) = (bearer(&reader), bearer(&operator));
    let stream = server.subscribe_with("/topics/chat/7", &reader);
    let number = stream.own_name().split('.').next().unwrap().to_owned();
    for (method, target, fields, body) in [
        ("PUT", "/topics/chat/9", &operator, "{}"),
        ("DELETE", "/topics/chat/9", &operator, ""),
        ("DELETE", &*format!("/connections/{number}"), &operator, ""),
        ("POST", "/revocations", &operator, r#"{"subject":"eve"}"#),
        // No acts of an operator.
        ("POST", "/topics/chat/7", &operator, "x"),
        ("GET", "/topics", &reader, ""),
        ("DELETE", "/topics/none", &operator, ""),
    ] {
        server.request(method, target, fields, body.as_bytes());
    }
    for door in DOORS {
        let fields = format!("{reader}{}", door.headers());
        server.request("POST", "/topics/chat/7?type=a", &fields, b"x").problem(403, "forbidden");
        let fields = format!("Authorization: Bearer nonsense\r\n{}", door.headers());
        server.request("GET", "/topics/chat/7", &fields, b"").problem(401, "unauthorized");
    }
    server.request("GET", "/ws", &asking(PROTOCOL), b"").problem(401, "unauthorized");
    let mut conn = server.connect();
    conn.ask("GET", "/ws", &asking(&format!("{PROTOCOL}{reader}")), b"");
    let refused = Ws::answered(conn).ask(json!({"op": "publish", "topic": "chat/7"}));
    assert_eq!(refused["problem"]["code"], "forbidden");
    until("all lines are written", || log.lines().len() >= 10);
    let lines = log.lines();
    let all: Vec<(&str, &str, &str, u64)> = lines
        .iter()
        .map(|line| {
            assert!(line["time"].as_str().unwrap().ends_with('Z'));
            assert!(line["peer"].as_str().unwrap().starts_with("127.0.0.1:"));
            (
                line["what"].as_str().unwrap(),
                line["path"].as_str().unwrap(),
                line["who"]["subject"].as_str().unwrap_or("-"),
                line["status"].as_u64().unwrap(),
            )
        })
        .collect();
    let connection = format!("/connections/{number}");
    assert_eq!(
        all,
        [
            ("set-topic", "/topics/chat/9", "operator", 201),
            ("remove-topic", "/topics/chat/9", "operator", 204),
            ("close-connection", &*connection, "operator", 204),
            ("revoke", "/revocations", "operator", 200),
            ("refused", "/topics/chat/7", "reader", 403),
            ("refused", "/topics/chat/7", "-", 401),
            ("refused", "/topics/chat/7", "reader", 403),
            ("refused", "/topics/chat/7", "-", 401),
            ("refused", "/ws", "-", 401),
            ("refused", "/ws", "reader", 403),
        ]
    );
    assert_eq!(lines[3]["revoked"]["subject"]["subject"], "eve");
}

/// Behind a proxy that is trusted, the client is who was refused, at either door.
#[test]
fn who_was_refused_is_not_the_proxy() {
    let log = Log::new();
    let path = log.path.clone();
    let server = closed(move |config| {
        config.audit_log = Some(path);
        config.proxy.trusted = vec!["127.0.0.0/8".parse().unwrap()];
    });
    for door in DOORS {
        let fields = format!("X-Forwarded-For: 192.0.2.7\r\n{}", door.headers());
        server.request("POST", "/topics/t", &fields, b"x").problem(401, "unauthorized");
    }
    until("both are written", || log.lines().len() >= 2);
    for line in log.lines() {
        assert_eq!(line["peer"], "192.0.2.7:0", "{line}");
    }
}

#[test]
fn a_flood_of_refusals_is_counted_not_written() {
    let log = Log::new();
    let server = log.server();
    let mut conn = server.connect();
    for _ in 0..2_000 {
        conn.ask("GET", "/topics/t", "", b"");
        assert_eq!(conn.reply().status, 401);
    }
    drop(server.server);
    until("it has stopped", || {
        let lines = log.lines();
        let left: u64 = lines.iter().filter_map(|line| line["count"].as_u64()).sum();
        let written = lines.iter().filter(|line| line["what"] == "refused").count();
        left + written as u64 == 2_000
    });
    let written = log.lines().len();
    assert!(written < 2_000, "{written} lines");
}

/// What is planted is looked for in everything that the server says or writes.
#[test]
fn no_secret_is_written_anywhere() {
    const UPSTREAM_KEY: &str = "sk-planted-key-of-the-operator";
    const CLIENTS_KEY: &str = "sk-planted-key-of-a-client";
    let log = Log::new();
    let upstream = Upstream::start().unwrap();
    upstream.play(|_| Script::text("one two"));
    let url: http::Uri = upstream.url().parse().unwrap();
    let mut own = LlmConfig::new("llm", "/v1", url.clone());
    own.upstreams[0].api_key = Some(Secret(UPSTREAM_KEY.to_owned()));
    let theirs = LlmConfig::new("theirs", "/v2", url);
    let path = log.path.clone();
    let mut shown = String::new();
    let server = closed(|config| {
        config.audit_log = Some(path);
        config.llm_relays.extend([own, theirs]);
        shown = format!("{config:?}");
    });
    let operator = people()[3].clone().unwrap();
    let asker = token(&claims("asker", json!({"publish": ["relay/*"]})));
    let cookie = token(&claims("cookie", json!({"subscribe": ["chat/*"]})));
    let fields = format!("Tidings-Token: {operator}\r\n");
    let ticket = server.request("POST", "/tickets", &fields, b"").json()["ticket"].take();
    let ticket = ticket.as_str().unwrap();
    let mut said: Vec<u8> = shown.into_bytes();
    let mut ask = |method: &str, target: &str, fields: &str, body: &str| {
        let reply = server.request(method, target, fields, body.as_bytes());
        said.extend(reply.head.bytes().chain(reply.body));
    };
    let cookie_field = format!("Cookie: tidings={cookie}\r\n");
    let broken = format!("Authorization: Bearer {operator}x\r\n");
    let body = chat("hello").to_string();
    let not_streamed = body.replace("true", "false");
    for (method, target, fields, body) in [
        ("POST", "/topics/chat/7", &*fields, "x"),
        ("PUT", "/topics/chat/7", &fields, "{}"),
        ("POST", "/topics/chat/7", &cookie_field, "x"),
        ("POST", "/topics/chat/7", &broken, "x"),
        ("POST", &format!("/topics/chat/7?ticket={ticket}"), "", "x"),
        ("GET", &format!("/topics?ticket={ticket}"), "", ""),
        ("GET", &format!("/topics?ticket={ticket}"), "", ""),
        ("GET", &format!("/topics/chat/7?ticket={ticket}&last=1"), "", ""),
        ("POST", "/v1/chat/completions", &format!("Tidings-Token: {asker}\r\n"), &not_streamed),
        (
            "POST",
            "/v2/chat/completions",
            &format!("Tidings-Token: {asker}\r\nAuthorization: Bearer {CLIENTS_KEY}\r\n"),
            &not_streamed,
        ),
        ("GET", "/metrics", &fields, ""),
        ("GET", "/connections", &fields, ""),
        ("GET", "/openapi.json", &fields, ""),
        ("GET", "/topics", &fields, ""),
    ] {
        ask(method, target, fields, body);
    }
    let stream = server.subscribe_with("/topics/chat/7", &fields);
    let key = stream.own_name().split_once('.').unwrap().1.to_owned();
    let target = format!("/connections/{}", stream.own_name());
    ask("PATCH", &target, &broken, "{}");
    ask("GET", "/connections", &fields, "");
    until("the refusals are in the log", || log.lines().len() > 3);
    // Most of a segment is set aside and empty.
    said.extend(server.files().into_iter().filter(|byte| *byte != 0));
    said.extend(std::fs::read(&log.path).unwrap());
    for (what, secret) in [
        ("the secret", SECRET),
        ("a token", &operator),
        ("its signature", operator.rsplit_once('.').unwrap().1),
        ("a token of a cookie", &cookie),
        ("a token that asks a relay", &asker),
        ("a ticket", ticket),
        ("the operator's key", UPSTREAM_KEY),
        ("the client's key", CLIENTS_KEY),
        ("a connection's key", &key),
    ] {
        let found = said.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!found, "{what} was written down");
    }
}
