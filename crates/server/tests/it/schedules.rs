//! Publishes for later.

use serde_json::json;

use crate::support::{DOORS, Server, texts, until};

#[test]
fn a_delayed_event_comes_at_its_time_and_not_before() {
    for door in DOORS {
        let server = Server::start();
        let mut stream = server.subscribe("/topics/t");
        let target = "/topics/t?delay=300ms&type=later";
        let reply = server.request("POST", target, door.headers(), b"later");
        assert_eq!(reply.status, 202, "{}", reply.text());
        let answer = reply.json();
        assert!(answer["schedule"].as_str().unwrap().parse::<u64>().is_ok(), "{answer}");
        let at = answer["at"].as_str().unwrap().to_owned();
        let event = stream.next();
        assert_eq!((event.data.as_str(), event.kind.as_str()), ("later", "later"));
        let time = texts(&server.page("/topics/t?earliest"), "time").remove(0);
        // Both are RFC 3339 in UTC with milliseconds, so they compare as text.
        assert!(time >= at, "published at {time}, asked for {at}");
    }
}

#[test]
fn a_time_that_has_passed_is_now() {
    let server = Server::start();
    for at in ["2001-01-01T00:00:00Z", "1970-01-01T00:00:00.000Z"] {
        let reply = server.request("POST", &format!("/topics/t?at={at}"), "", b"x");
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    assert_eq!(server.kept("t").len(), 2);
}

#[test]
fn several_events_are_scheduled_as_one() {
    let server = Server::start();
    let mut stream = server.subscribe("/events?topic=a&topic=b");
    let body = json!({"delay": "100ms", "events": [
        {"topic": "a", "data": "1"}, {"topic": "b", "data": "2", "type": "t"}
    ]});
    let reply = server.request("POST", "/publish", "", body.to_string().as_bytes());
    assert_eq!(reply.status, 202, "{}", reply.text());
    assert_eq!(stream.data(2), ["1", "2"]);
    assert_eq!(server.metric("tidings_scheduled_publishes"), 0.0);
}

#[test]
fn what_is_taken_back_does_not_come() {
    let server = Server::start();
    let mut stream = server.subscribe("/topics/t");
    let schedule = |data: &str, delay: &str| {
        let target = format!("/topics/t?delay={delay}");
        let reply = server.request("POST", &target, "", data.as_bytes());
        reply.json()["schedule"].as_str().unwrap().to_owned()
    };
    let unwanted = schedule("unwanted", "5s");
    schedule("wanted", "6s");
    assert_eq!(server.metric("tidings_scheduled_publishes"), 2.0);
    let target = format!("/schedules/{unwanted}");
    assert_eq!(server.request("DELETE", &target, "", b"").status, 204);
    assert_eq!(stream.next().data, "wanted");
    for id in [unwanted.as_str(), "0", "abc", "-1", "+1", "1e3", "99999999999999999999"] {
        let reply = server.request("DELETE", &format!("/schedules/{id}"), "", b"");
        reply.problem(404, "schedule-not-found");
    }
}

#[test]
fn schedules_survive_a_restart() {
    let server = Server::start();
    let soon = server.request("POST", "/topics/t?delay=1s", "", b"soon");
    assert_eq!(soon.status, 202);
    let far = server.request("POST", "/topics/t?delay=300d", "", b"far");
    let far = far.json()["schedule"].as_str().unwrap().to_owned();
    let server = server.restart();
    until("the event that was due", || server.kept_or_none("t") == ["soon"]);
    assert_eq!(server.metric("tidings_scheduled_publishes"), 1.0);
    let reply = server.request("DELETE", &format!("/schedules/{far}"), "", b"");
    assert_eq!(reply.status, 204, "{}", reply.text());
    let server = server.restart();
    assert_eq!(server.metric("tidings_scheduled_publishes"), 0.0);
    assert_eq!(server.kept("t"), ["soon"]);
}

#[test]
fn a_schedule_is_repeated_safely() {
    let server = Server::start();
    let key = "Idempotency-Key: k\r\n";
    let ask = |server: &Server, query: &str, body: &[u8]| {
        server.request("POST", &format!("/topics/t?{query}"), key, body)
    };
    // Far enough not to come, near enough to be allowed.
    let at = format!("at={}", days_ahead(300));
    let first = ask(&server, &at, b"x");
    assert_eq!(first.status, 202, "{}", first.text());
    let server = server.restart();
    assert_eq!(ask(&server, &at, b"x").json(), first.json());
    ask(&server, &at, b"y").problem(422, "idempotency-mismatch");
    assert_eq!(server.metric("tidings_scheduled_publishes"), 1.0);
}

/// A time so many days from now, to the day.
fn days_ahead(days: i64) -> String {
    let now = std::time::SystemTime::now();
    let since = now.duration_since(std::time::UNIX_EPOCH).unwrap();
    let ms = u64::try_from(since.as_millis()).unwrap() + u64::try_from(days).unwrap() * 86_400_000;
    tidings_frame::Time(ms).to_string()
}

#[test]
fn bad_times_are_refused() {
    let server = Server::start();
    for (query, code) in [
        ("delay=1", "invalid-parameter"),
        ("delay=", "invalid-parameter"),
        ("delay=-1s", "invalid-parameter"),
        ("delay=1.5s", "invalid-parameter"),
        ("delay=367d", "invalid-parameter"),
        ("delay=99999999999999999999d", "invalid-parameter"),
        ("at=tomorrow", "invalid-parameter"),
        ("at=2999-01-01T00:00:00Z", "invalid-parameter"),
        ("at=2026-13-01T00:00:00Z", "invalid-parameter"),
        ("at=1969-12-31T23:59:59Z", "invalid-parameter"),
    ] {
        for door in DOORS {
            let target = format!("/topics/t?{query}");
            server.request("POST", &target, door.headers(), b"x").problem(400, code);
        }
    }
    let both = json!({"at": "2030-01-01T00:00:00Z", "delay": "1s", "events": [{"topic": "t"}]});
    let reply = server.request("POST", "/publish", "", both.to_string().as_bytes());
    reply.problem(400, "invalid-parameter");
    assert_eq!(server.state(), json!([]));
    assert_eq!(server.metric("tidings_scheduled_publishes"), 0.0);
}
