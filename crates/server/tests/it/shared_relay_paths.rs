//! The path of a shared relay: another name of its topic, for every way of reading it.

use crate::shared_relay_upstream::Upstream;
use crate::support::{DOORS, Server, texts, until};

fn server(upstream: &Upstream) -> Server {
    Server::with(|config| config.shared_relays = vec![upstream.shared_as("/prices")])
}

#[test]
fn shows_the_latest_first_unless_told_otherwise() {
    let upstream = Upstream::start();
    for (replay, target, wanted) in [
        (1, "/prices", &["3", "new"][..]),
        (2, "/prices", &["2", "3", "new"]),
        (0, "/prices", &["new"]),
        (1, "/prices?last=2", &["2", "3", "new"]),
        (1, "/prices?earliest", &["1", "2", "3", "new"]),
        (0, "/prices?from=earliest", &["1", "2", "3", "new"]),
    ] {
        for door in DOORS {
            let server = Server::with(|config| {
                let mut relay = upstream.shared_as("/prices");
                relay.replay = replay;
                config.shared_relays = vec![relay];
            });
            server.publish_numbers("prices", 1..4);
            let mut client = server.subscribe_with(target, door.headers());
            server.publish("/topics/prices", "new");
            assert_eq!(client.data(wanted.len()), wanted, "{target} {door:?}");
        }
    }
}

#[test]
fn answers_as_the_topic_does() {
    let upstream = Upstream::start();
    let server = server(&upstream);
    server.publish_numbers("prices", 1..4);
    let page = server.page("/prices?earliest");
    assert_eq!(texts(&page, "data"), ["1", "2", "3"]);
    assert_eq!(page, server.page("/topics/prices?earliest"));
    let lines = server.request("GET", "/prices?earliest", "Accept: application/x-ndjson\r\n", b"");
    assert_eq!(lines.text().lines().count(), 3);
    assert_eq!(upstream.asked(), 0, "a page of what is there needs no upstream");
    let mut conn = server.connect();
    conn.ask("HEAD", "/prices", "Accept: text/event-stream\r\n", b"");
    let head = conn.reply_without_body();
    assert_eq!((head.status, head.header("content-type")), (200, Some("text/event-stream")));
    assert_eq!(upstream.asked(), 0);
    let gone = server.subscribe_with("/prices", "Last-Event-ID: unknown\r\n").next();
    assert_eq!(gone.kind, "gap");
}

#[test]
fn a_long_poll_reads_the_upstream() {
    let upstream = Upstream::start();
    let server = server(&upstream);
    let mut conn = server.connect();
    conn.ask("GET", "/prices?poll=30", "Accept: application/json\r\n", b"");
    upstream.stream().event(7);
    let page = conn.reply().json();
    assert_eq!(texts(&page, "data"), ["7"]);
    assert_eq!(texts(&page, "publisher_id"), ["7"]);
}

#[test]
fn takes_nothing_but_questions() {
    let upstream = Upstream::start();
    let server = server(&upstream);
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        let reply = server.request(method, "/prices", "", b"x");
        reply.problem(405, "method-not-allowed");
        assert_eq!(reply.header("allow"), Some("GET, HEAD, OPTIONS"));
    }
    let headers = "Origin: http://page.example\r\nAccess-Control-Request-Method: GET\r\n\
                   Access-Control-Request-Headers: last-event-id\r\n";
    let reply = server.request("OPTIONS", "/prices", headers, b"");
    assert_eq!(reply.status, 204);
    assert_eq!(reply.header("access-control-allow-methods"), Some("GET, HEAD, OPTIONS"));
    assert_eq!(reply.header("access-control-allow-headers"), Some("last-event-id"));
    for door in DOORS {
        let headers = format!("Origin: http://page.example\r\n{}", door.headers());
        let stream = server.subscribe_with("/prices", &headers);
        assert_eq!(stream.head.header("access-control-allow-origin"), Some("*"), "{door:?}");
    }
    let reply = server.request("GET", "/prices?topic=other", "Accept: text/event-stream\r\n", b"");
    reply.problem(400, "invalid-parameter");
    let reply = server.request("GET", "/prices", "Accept: image/png\r\n", b"");
    reply.problem(406, "not-acceptable");
    server.get("/prices/below").problem(404, "not-found");
}

#[test]
fn a_relay_called_stream_goes_before_the_alias() {
    let upstream = Upstream::start();
    let server = Server::with(|config| {
        let mut relay = upstream.shared_as("/stream");
        relay.topic = tidings_frame::TopicName::new("elsewhere").unwrap();
        config.shared_relays = vec![relay];
    });
    for door in DOORS {
        server.publish("/topics/stream", "of the alias");
        let mut client = server.subscribe_with("/stream", door.headers());
        server.publish("/topics/elsewhere", "of the relay");
        assert_eq!(client.data(1), ["of the relay"], "{door:?}");
        server.request("DELETE", "/topics/elsewhere", "", b"");
    }
}

#[test]
fn whoever_may_not_subscribe_does_not_reach_the_upstream() {
    let upstream = Upstream::start();
    let server = Server::with(|config| {
        config.anonymous.subscribe.clear();
        config.shared_relays = vec![upstream.shared_as("/prices")];
    });
    for door in DOORS {
        let headers = format!("Accept: text/event-stream\r\n{}", door.headers());
        server.request("GET", "/prices", &headers, b"").problem(403, "forbidden");
    }
    server.get("/prices?poll=1").problem(403, "forbidden");
    assert_eq!(upstream.asked(), 0);
}

#[test]
fn the_topic_keeps_as_many_as_it_was_told_to() {
    let upstream = Upstream::start();
    let server = Server::with(|config| {
        let mut relay = upstream.shared_as("/prices");
        relay.retain = 10;
        config.shared_relays = vec![relay];
    });
    let _client = server.subscribe("/prices");
    let mut call = upstream.stream();
    call.events(1..=30);
    let last = || server.kept_or_none("prices").pop();
    until("all are stored", || last().as_deref() == Some("30"));
    assert_eq!(server.kept("prices").first().map(String::as_str), Some("21"));
}
