//! What operators and browsers ask for: health, metrics, the description of the API, CORS.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tidings_server::config::Mode;

use crate::support::{Conn, DOORS, Reply, Server, until};

#[test]
fn health_and_readiness() {
    let server = Server::start();
    let health = server.get("/healthz");
    assert_eq!((health.status, &health.json()["status"]), (200, &json!("ok")));
    let ready = server.get("/readyz");
    assert_eq!((ready.status, &ready.json()["status"]), (200, &json!("ready")));
    for target in ["/healthz", "/readyz", "/metrics", "/openapi.json", "/topics", "/"] {
        let mut conn = server.connect();
        conn.ask("HEAD", target, "", b"");
        let head = conn.reply_without_body();
        assert_eq!(head.status, 200, "{target}");
        // Nothing but the head was sent: the next answer begins right behind it.
        conn.ask("GET", "/healthz", "", b"");
        assert_eq!(conn.reply().json()["status"], "ok", "{target}");
    }
}

#[test]
fn counters_count() {
    let server = Server::start();
    for name in [
        "tidings_published_events_total",
        "tidings_delivered_events_total",
        "tidings_delivered_bytes_total",
        "tidings_delivery_writes_total",
        "tidings_caught_up_events_total",
        "tidings_caught_up_bytes_total",
        "tidings_refused_connections_total",
        "tidings_requests_total",
        "tidings_connections",
        "tidings_websockets",
        "tidings_topics",
        "tidings_log_events",
        "tidings_log_disk_bytes",
        "tidings_log_segments",
        "tidings_log_healthy",
        "tidings_tail_bytes",
        "tidings_gaps_total",
        "tidings_scheduled_publishes",
        "tidings_delivery_seconds_count",
    ] {
        let value = server.metric(name);
        assert!(value >= 0.0, "{name}");
    }
    let mut stream = server.subscribe("/topics/t");
    for number in 0..5 {
        server.publish("/topics/t", &number.to_string());
    }
    stream.take(5);
    server.subscribe("/topics/t?earliest").take(5);
    server.subscribe("/topics/t?lastEventId=unknown").take(6);
    until("the counters", || {
        server.metric("tidings_published_events_total") == 5.0
            && server.metric("tidings_delivered_events_total") == 5.0
            && server.metric("tidings_caught_up_events_total") == 10.0
    });
    assert_eq!(server.metric("tidings_gaps_total"), 1.0);
    assert_eq!(server.metric("tidings_topics"), 1.0);
    assert_eq!(server.metric("tidings_log_events"), 5.0);
    assert_eq!(server.metric("tidings_log_healthy"), 1.0);
    assert!(server.metric("tidings_delivered_bytes_total") > 100.0);
    until("only this question to be connected", || server.metric("tidings_connections") == 2.0);
    drop(stream);
    until("the stream to be gone", || server.metric("tidings_connections") == 1.0);
    let text = server.get("/metrics");
    let media = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(text.header("content-type"), Some(media));
    assert!(text.text().ends_with("# EOF\n"));
}

/// Every route that the tests of this suite speak to.
const ROUTES: [(&str, &[&str]); 29] = [
    ("/topics/{topic}", &["post", "get", "head", "put", "delete"]),
    ("/topics", &["get"]),
    ("/publish", &["post"]),
    ("/events", &["get", "post"]),
    ("/stream", &["get"]),
    ("/ws", &["get"]),
    ("/connections", &["get"]),
    ("/connections/{id}", &["patch", "delete"]),
    ("/schedules/{id}", &["delete"]),
    ("/revocations", &["post"]),
    ("/tickets", &["post"]),
    ("/answers", &["get"]),
    ("/answers/{id}", &["get"]),
    ("/answers/{id}/stop", &["post"]),
    ("/traces", &["post"]),
    ("/traces/{id}", &["delete"]),
    ("/configuration", &["get"]),
    ("/push/key", &["get"]),
    ("/push/subscriptions", &["post"]),
    ("/push/subscriptions/{id}", &["delete"]),
    ("/healthz", &["get"]),
    ("/readyz", &["get"]),
    ("/metrics", &["get"]),
    ("/openapi.json", &["get"]),
    ("/", &["get"]),
    ("/demo/{page}", &["get"]),
    ("/_/", &["get"]),
    ("/_/{file}", &["get"]),
    ("/nothing-of-the-kind", &[]),
];

#[test]
fn the_description_and_the_router_agree() {
    let server = Server::start();
    let reply = server.get("/openapi.json");
    assert_eq!(reply.header("content-type"), Some("application/json"));
    let document = reply.json();
    assert!(document["openapi"].as_str().unwrap().starts_with("3."));
    let described: BTreeSet<(String, String)> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, methods)| {
            let methods = methods.as_object().unwrap().keys().cloned();
            methods.map(|method| (path.clone(), method)).collect::<Vec<_>>()
        })
        .collect();
    let known: BTreeSet<(String, String)> = ROUTES
        .iter()
        .flat_map(|(path, methods)| methods.iter().map(|m| ((*path).into(), (*m).into())))
        .collect();
    assert_eq!(described, known);
    let every = ["get", "head", "post", "put", "patch", "delete", "options", "trace"];
    for (path, methods) in ROUTES {
        let target = path.replace("{topic}", "some/topic").replace("{id}", "c1");
        let target = target.replace("{page}", "chat").replace("{file}", "none.js");
        for method in every {
            let mut conn = server.connect();
            conn.ask(&method.to_uppercase(), &target, "Accept: application/json\r\n", b"");
            let reply = if method == "head" { conn.reply_without_body() } else { conn.reply() };
            let said = format!("{method} {target}: {}{}", reply.head, reply.text());
            let is_there =
                methods.contains(&method) || (method == "head" && methods.contains(&"get"));
            if is_there {
                assert_ne!(reply.status, 405, "{said}");
                // Which files there are depends on how it was built.
                let found = path.ends_with("{file}") || !reply.text().contains("\"not-found\"");
                assert!(found, "{said}");
            } else if methods.is_empty() {
                assert_eq!(reply.status, 404, "{said}");
            } else if method == "options" {
                assert_eq!(reply.status, 204, "{said}");
            } else {
                assert_eq!(reply.status, 405, "{said}");
                let allow = reply.header("allow").unwrap().to_lowercase();
                let allow: BTreeSet<&str> = allow.split(", ").collect();
                let mut expect: BTreeSet<&str> = methods.iter().copied().collect();
                expect.insert("options");
                if expect.contains("get") {
                    expect.insert("head");
                }
                assert_eq!(allow, expect, "{said}");
            }
        }
    }
}

#[test]
fn every_reference_in_the_description_leads_somewhere() {
    let document = Server::start().get("/openapi.json").json();
    let mut references = Vec::new();
    collect(&document, &mut references);
    assert!(references.len() > 20);
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

fn collect(value: &Value, references: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                match value.as_str() {
                    Some(text) if name == "$ref" => references.push(text.to_owned()),
                    _ => collect(value, references),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, references)),
        _ => {}
    }
}

#[test]
fn every_parameter_that_is_described_is_known() {
    let server = Server::start();
    let document = server.get("/openapi.json").json();
    let mut asked = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            for parameter in operation["parameters"].as_array().unwrap() {
                if parameter["in"] != "query" {
                    continue;
                }
                let name = parameter["name"].as_str().unwrap();
                let target = path.replace("{topic}", "t");
                let target = format!("{target}?{name}=~");
                let mut conn = server.connect();
                conn.ask(&method.to_uppercase(), &target, "Accept: application/json\r\n", b"{}");
                let reply = conn.reply_or_stream();
                assert!(!reply.text().contains("unknown-parameter"), "{method} {target}");
                asked += 1;
            }
        }
    }
    assert!(asked > 30, "{asked}");
}

impl Conn {
    /// An answer, or just the head of a stream.
    fn reply_or_stream(&mut self) -> Reply {
        let mut reply = self.reply_without_body();
        if reply.header("content-type") != Some("text/event-stream") {
            let length = reply.header("content-length").unwrap_or("0").parse().unwrap();
            while self.buffered() < length && self.read_more() {}
            reply.body = self.take_input();
        }
        reply
    }
}

const ORIGIN: &str = "Origin: https://app.example\r\n";

#[test]
fn an_origin_that_is_listed_beside_all_may_send_its_credentials() {
    for listed in [["*", "https://app.example"], ["https://app.example", "*"]] {
        let server = Server::with(|config| {
            config.mode = Mode::Serve;
            config.cors_origins = listed.map(str::to_owned).to_vec();
        });
        for (origin, allowed, credentials) in [
            ("https://app.example", "https://app.example", Some("true")),
            ("https://other.example", "*", None),
        ] {
            let reply = server.request("GET", "/topics", &format!("Origin: {origin}\r\n"), b"");
            assert_eq!(reply.header("access-control-allow-origin"), Some(allowed), "{listed:?}");
            assert_eq!(reply.header("access-control-allow-credentials"), credentials);
        }
    }
}

#[test]
fn pages_of_listed_origins_may_read_answers() {
    let server = Server::with(|config| {
        config.mode = Mode::Serve;
        config.cors_origins = vec!["https://app.example".into(), "http://localhost:3000".into()];
    });
    for door in DOORS {
        for (origin, allowed) in [
            ("https://app.example", true),
            ("http://localhost:3000", true),
            ("https://app.example.evil", false),
            ("http://app.example", false),
            ("https://app.example:444", false),
            ("null", false),
            ("", false),
        ] {
            let headers = format!("{}Origin: {origin}\r\n", door.headers());
            let replies = [
                server.request("POST", "/topics/t", &headers, b"x"),
                server.request("POST", "/topics/t?type=error", &headers, b"x"),
                server.request("GET", "/topics", &headers, b""),
                server.request("GET", "/nothing", &headers, b""),
                server.subscribe_with("/topics/t", &headers).head,
                server.subscribe_with("/topics/t?last=1", &headers).head,
            ];
            for reply in replies {
                let expect = allowed.then_some(origin);
                assert_eq!(reply.header("access-control-allow-origin"), expect, "{}", reply.head);
                let credentials = reply.header("access-control-allow-credentials");
                assert_eq!(credentials, allowed.then_some("true"), "{}", reply.head);
                let exposed = reply.header("access-control-expose-headers");
                assert_eq!(exposed.is_some(), allowed);
                if allowed {
                    assert!(exposed.unwrap().contains("tidings-connection"));
                    assert!(reply.list("vary").contains("origin"), "{}", reply.head);
                }
            }
        }
    }
}

#[test]
fn in_dev_every_origin_may() {
    let server = Server::start();
    for door in DOORS {
        let headers = format!("{}{ORIGIN}", door.headers());
        let stream = server.subscribe_with("/topics/t", &headers);
        assert_eq!(stream.head.header("access-control-allow-origin"), Some("*"));
        assert_eq!(stream.head.header("access-control-allow-credentials"), None);
    }
    let without = server.get("/topics");
    assert_eq!(without.header("access-control-allow-origin"), None);
}

#[test]
fn a_preflight_says_what_the_path_takes() {
    let server = Server::start();
    let preflight = |target: &str, asked: &str| {
        let headers = format!(
            "{ORIGIN}Access-Control-Request-Method: {asked}\r\n\
            Access-Control-Request-Headers: tidings-type, last-event-id\r\n"
        );
        server.request("OPTIONS", target, &headers, b"")
    };
    for (target, methods) in [
        ("/topics/a/b", "DELETE, GET, HEAD, OPTIONS, POST, PUT"),
        ("/events", "GET, HEAD, OPTIONS, POST"),
        ("/publish", "OPTIONS, POST"),
        ("/connections/c1", "DELETE, OPTIONS, PATCH"),
    ] {
        let reply = preflight(target, "POST");
        assert_eq!(reply.status, 204);
        let mut allowed: Vec<&str> =
            reply.header("access-control-allow-methods").unwrap().split(", ").collect();
        allowed.sort_unstable();
        assert_eq!(allowed.join(", "), methods, "{target}");
        let headers = reply.header("access-control-allow-headers");
        assert_eq!(headers, Some("tidings-type, last-event-id"));
        assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
        assert!(reply.header("access-control-max-age").is_some());
    }
    preflight("/nothing", "POST").problem(404, "not-found");
    let closed = Server::with(|config| {
        config.mode = Mode::Serve;
        config.cors_origins = vec!["https://other.example".into()];
    });
    let headers = format!("{ORIGIN}Access-Control-Request-Method: POST\r\n");
    let reply = closed.request("OPTIONS", "/topics/t", &headers, b"");
    assert_eq!(reply.header("access-control-allow-methods"), None);
    assert_eq!(reply.header("access-control-allow-origin"), None);
}

#[test]
fn the_pages_load_nothing_from_elsewhere() {
    let server = Server::start();
    for path in ["/", "/demo/chat"] {
        let page = server.get(path);
        assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"), "{path}");
        let policy = page.header("content-security-policy").unwrap();
        assert!(policy.contains("default-src 'none'") && !policy.contains("script-src 'unsafe"));
        assert_eq!(page.header("x-frame-options"), Some("DENY"));
        let text = page.text();
        for elsewhere in ["src=\"http", "href=\"http", "@import", "url(http"] {
            assert!(!text.contains(elsewhere), "{elsewhere}");
        }
    }
    server.get("/demo/a/b").problem(404, "not-found");
    server.get("/_/nothing.js").problem(404, "not-found");
    let served = Server::with(|config| config.mode = Mode::Serve);
    // Only the dashboard, whose files are the demo's too, is there for everybody.
    for path in ["/", "/demo/chat"] {
        served.get(path).problem(404, "not-found");
    }
}
