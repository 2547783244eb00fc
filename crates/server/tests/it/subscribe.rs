//! Subscriptions: what to follow, where to begin, in which form.

use serde_json::{Value, json};

use crate::stream::Stream;
use crate::support::{Conn, DOORS, Server, texts, until};

/// What a subscription gets before a marker that is published once it stands.
fn received(server: &Server, target: &str, headers: &str, topic: &str) -> Vec<String> {
    let mut stream = server.subscribe_with(target, headers);
    server.publish(&format!("/topics/{topic}"), "marker");
    stream.data_before("marker")
}

/// Waits until the clock, as the server sees it, has gone on.
fn next_millisecond() {
    let now = std::time::SystemTime::now();
    until("the clock", || now.elapsed().is_ok_and(|elapsed| elapsed.as_millis() >= 3));
}

#[test]
fn every_kind_of_start_through_both_doors() {
    for door in DOORS {
        let server = Server::start();
        let ids = server.publish_numbers("t", 1..6);
        next_millisecond();
        let more = server.publish_numbers("t", 6..11);
        let page = server.page("/topics/t?earliest");
        let time = texts(&page, "time").remove(5);
        let (third, eighth) = (&ids[2], &more[2]);
        let numbers = |from: usize| (from..11).map(|n| n.to_string()).collect::<Vec<_>>();
        let none = Vec::<String>::new();
        let header = |id: &str| format!("Last-Event-ID: {id}\r\n");
        for (query, headers, expect) in [
            (String::new(), String::new(), none.clone()),
            ("from=live".into(), String::new(), none.clone()),
            ("earliest=false".into(), String::new(), none.clone()),
            ("last=0".into(), String::new(), none.clone()),
            ("since=2100-01-01T00:00:00Z".into(), String::new(), none.clone()),
            ("earliest".into(), String::new(), numbers(1)),
            ("earliest=true".into(), String::new(), numbers(1)),
            ("from=earliest".into(), String::new(), numbers(1)),
            ("last=10000".into(), String::new(), numbers(1)),
            ("since=1h".into(), String::new(), numbers(1)),
            ("since=1970-01-01T00:00:00Z".into(), String::new(), numbers(1)),
            ("last=3".into(), String::new(), numbers(8)),
            (format!("since={time}"), String::new(), numbers(6)),
            (format!("from={third}"), String::new(), numbers(4)),
            (format!("lastEventId={third}"), String::new(), numbers(4)),
            (format!("last_event_id={third}"), String::new(), numbers(4)),
            (format!("lastEventID={third}"), String::new(), numbers(4)),
            (String::new(), header(third), numbers(4)),
            ("lastEventId=earliest".into(), String::new(), numbers(1)),
            (String::new(), header("earliest"), numbers(1)),
            // The header is the newer of the two, and both are newer than where it once began.
            (format!("lastEventId={third}"), header(eighth), numbers(9)),
            (format!("lastEventId={eighth}"), header(third), numbers(4)),
            ("last=2".into(), header(third), numbers(4)),
            (format!("earliest&last_event_id={eighth}"), String::new(), numbers(9)),
            (format!("lastEventId={third}"), header(""), numbers(4)),
            ("lastEventId=".into(), String::new(), none.clone()),
            (format!("_cb=1&lastEventId={third}"), String::new(), numbers(4)),
            (format!("lastEventId={third}&datastar=%7B%7D"), String::new(), numbers(4)),
        ] {
            let target = format!("/topics/t?{query}");
            let mut got = {
                let headers = format!("{}{headers}", door.headers());
                received(&server, &target, &headers, "t")
            };
            // Markers of the cases before this one are events like any other.
            got.retain(|data| data != "marker");
            let expect =
                if query == "last=3" || query == "last=10000" { None } else { Some(expect) };
            if let Some(expect) = expect {
                assert_eq!(got, expect, "{query:?} {headers:?} through {door:?}");
            }
        }
    }
}

#[test]
fn the_last_so_many() {
    let server = Server::start();
    server.publish_numbers("t", 1..11);
    server.publish_numbers("other", 1..4);
    for (target, expect) in [
        ("/topics/t?last=3", vec!["8", "9", "10"]),
        ("/topics/t?last=1", vec!["10"]),
        ("/topics/none?last=5", vec![]),
        ("/events?topic=t&topic=other&last=4", vec!["10", "1", "2", "3"]),
        ("/events?pattern=**&last=4", vec!["10", "1", "2", "3"]),
    ] {
        let mut stream = server.subscribe(target);
        let got = stream.data(expect.len());
        assert_eq!(got, expect, "{target}");
    }
}

#[test]
fn several_topics_and_patterns_on_one_connection() {
    let server = Server::start();
    for door in DOORS {
        for (target, wanted) in [
            ("/events?topic=a&topic=b/x", vec!["a", "b/x"]),
            ("/events?topic=a&topic=a", vec!["a"]),
            ("/events?pattern=b/*", vec!["b/x", "b/y"]),
            ("/events?pattern=b/**", vec!["b/x", "b/y", "b/y/z"]),
            ("/events?pattern=*", vec!["a", "c"]),
            ("/events?pattern=**", vec!["a", "b/x", "b/y", "b/y/z", "c"]),
            ("/events?pattern=a", vec!["a"]),
            ("/events?pattern=b/*&topic=c", vec!["b/x", "b/y", "c"]),
            ("/events?pattern=*/*&pattern=b/x", vec!["b/x", "b/y"]),
            ("/events?pattern=*/y/*", vec!["b/y/z"]),
        ] {
            let mut stream = server.subscribe_with(target, door.headers());
            for topic in ["a", "b/x", "b/y", "b/y/z", "c"] {
                server.publish(&format!("/topics/{topic}"), topic);
            }
            assert_eq!(stream.data(wanted.len()), wanted, "{target} through {door:?}");
        }
    }
}

fn subscribe_posted(server: &Server, query: &str, body: &Value) -> Stream {
    let mut conn = server.connect();
    conn.ask("POST", &format!("/events{query}"), "", body.to_string().as_bytes());
    Stream::open(conn)
}

#[test]
fn a_long_list_is_posted() {
    let server = Server::start();
    let names: Vec<String> = (0..1_000).map(|number| format!("list/{number}")).collect();
    let body = json!({"topics": names, "patterns": ["more/*"]});
    let mut stream = subscribe_posted(&server, "", &body);
    for topic in ["list/0", "list/999", "more/x", "elsewhere", "list/500"] {
        server.publish(&format!("/topics/{topic}"), topic);
    }
    assert_eq!(stream.data(4), ["list/0", "list/999", "more/x", "list/500"]);
    let mut stream = subscribe_posted(&server, "?last=2&envelope", &body);
    let topic = |data: String| serde_json::from_str::<Value>(&data).unwrap()["topic"].clone();
    let topics: Vec<Value> = stream.data(2).into_iter().map(topic).collect();
    assert_eq!(topics, ["more/x", "list/500"]);
}

#[test]
fn topics_that_come_and_go_stay_followed() {
    let server = Server::start();
    let mut by_name = server.subscribe("/topics/room/1");
    let mut by_pattern = server.subscribe("/events?pattern=room/*");
    for round in 0..5 {
        let data = round.to_string();
        server.publish("/topics/room/1", &data);
        assert_eq!(by_name.next().data, data);
        assert_eq!(by_pattern.next().data, data);
        assert_eq!(server.request("DELETE", "/topics/room/1", "", b"").status, 204);
    }
}

#[test]
fn the_alias_of_the_tutorials() {
    let server = Server::start();
    for door in DOORS {
        let mut stream = server.subscribe_with("/stream", door.headers());
        server.publish("/topics/stream", "hello");
        assert_eq!(stream.next().data, "hello");
    }
    let served = Server::with(|config| config.mode = tidings_server::config::Mode::Serve);
    let reply = served.request("GET", "/stream", "Accept: text/event-stream\r\n", b"");
    reply.problem(404, "not-found");
}

#[test]
fn an_envelope_holds_what_a_page_of_history_says() {
    let server = Server::start();
    let options = "type=said&key=k&publisher-id=p&alternate=other";
    for target in
        ["/topics/t?envelope", "/events?topic=t&topic=x&envelope=1", "/topics/other?envelope"]
    {
        let mut stream = server.subscribe(target);
        server.publish(&format!("/topics/t?{options}"), "line 1\nline \"2\"");
        let live = stream.next();
        let page = server.page("/topics/t?last=1");
        let expect = &page["events"][0];
        assert_eq!(serde_json::from_str::<Value>(&live.data).unwrap(), *expect, "{target}");
        assert_eq!(
            (live.id.as_str(), live.kind.as_str()),
            (expect["id"].as_str().unwrap(), "said")
        );
        // From the log it is the same as it was live, byte for byte.
        let joint = if target.contains('?') { '&' } else { '?' };
        let mut again = server.subscribe(&format!("{target}{joint}last=1"));
        assert_eq!(again.next(), live, "{target}");
    }
}

#[test]
fn a_subscription_may_skip_what_is_outdated() {
    let server = Server::start();
    for (key, data) in [("a", "1"), ("b", "2"), ("a", "3"), ("", "4"), ("a", "5"), ("b", "6")] {
        let query = if key.is_empty() { String::new() } else { format!("?key={key}") };
        server.publish(&format!("/topics/t{query}"), data);
    }
    for target in ["/topics/t?earliest&conflate", "/events?topic=t&topic=u&earliest&conflate=1"] {
        let mut stream = server.subscribe(target);
        assert_eq!(stream.data(3), ["4", "5", "6"], "{target}");
    }
    let mut all = server.subscribe("/topics/t?earliest&conflate=0");
    assert_eq!(all.data(6), ["1", "2", "3", "4", "5", "6"]);
}

#[test]
fn equal_keys_of_different_topics_are_different() {
    let server = Server::start();
    for (topic, data) in [("a", "1"), ("b", "2"), ("a", "3")] {
        server.publish(&format!("/topics/{topic}?key=k"), data);
    }
    let mut stream = server.subscribe("/events?topic=a&topic=b&earliest&conflate");
    assert_eq!(stream.data(2), ["2", "3"]);
}

#[test]
fn events_come_live_in_every_shape() {
    let server = Server::start();
    let mut plain = server.subscribe("/topics/t");
    let mut several = server.subscribe("/events?topic=t&topic=u");
    let mut pattern = server.subscribe("/events?pattern=*");
    for (target, data) in [
        ("/topics/t", ""),
        ("/topics/t", "one line"),
        ("/topics/t", "two\nlines"),
        ("/topics/t?type=message", "no type"),
        ("/topics/t", " leading and trailing "),
        ("/topics/t", "é€🦀"),
        ("/topics/t", ":\n\ndata: x\nid: 1\nevent: y\n\n"),
    ] {
        let id = server.publish(target, data);
        for stream in [&mut plain, &mut several, &mut pattern] {
            let event = stream.next();
            assert_eq!((event.id.as_str(), event.data.as_str()), (id.as_str(), data));
            assert_eq!(event.kind, "message");
        }
    }
}

#[test]
fn what_a_client_sends_after_its_request_does_not_disturb_the_stream() {
    for door in DOORS {
        let server = Server::start();
        let mut conn: Conn = server.connect();
        let headers = format!("Accept: text/event-stream\r\n{}", door.headers());
        conn.ask("GET", "/topics/t", &headers, b"");
        let mut stream = Stream::open(conn);
        stream.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n garbage \xff\x00");
        server.publish("/topics/t", "x");
        assert_eq!(stream.next().data, "x");
    }
}
