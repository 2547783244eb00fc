//! `POST /topics/{topic}` and `POST /publish`: options, conditions, repeats, batches.

use serde_json::{Value, json};

use crate::support::{DOORS, Door, Server, sequence, texts, with_sequence};

/// Publishes with one option through one door, as a query parameter or as a header.
fn publish_with(server: &Server, door: Door, topic: &str, option: (&str, &str), query: bool) {
    let (name, value) = option;
    let mut headers = door.headers().to_owned();
    let mut target = format!("/topics/{topic}");
    if query {
        target.push_str(&format!("?{name}={}", value.replace(' ', "%20")));
    } else {
        headers.push_str(&format!("Tidings-{name}: {value}\r\n"));
    }
    let reply = server.request("POST", &target, &headers, b"data");
    assert_eq!(reply.status, 200, "{target} {headers}: {}", reply.text());
    let answer = reply.json();
    assert_eq!(answer["topic"], topic);
    assert_eq!(answer["duplicate"], false);
    let event = &server.page(&format!("/topics/{topic}?earliest"))["events"][0];
    assert_eq!(answer["id"], event["id"]);
    assert_eq!(event["data"], "data");
    assert!(event["time"].as_str().unwrap().ends_with('Z'), "{event}");
}

#[test]
fn every_option_counts_in_the_query_and_as_a_header_through_both_doors() {
    let server = Server::start();
    let cases: [(&str, &str, &str, Value); 8] = [
        ("type", "said", "type", json!("said")),
        ("type", "two words é", "type", json!("two words é")),
        ("key", "k/1", "key", json!("k/1")),
        ("publisher-id", "urn:uuid:7", "publisher_id", json!("urn:uuid:7")),
        ("publisher_id", "mine", "publisher_id", json!("mine")),
        ("end", "cancelled", "end", json!("cancelled")),
        ("alternate", "elsewhere", "alternates", json!(["elsewhere"])),
        ("ttl", "1h30m", "type", Value::Null),
    ];
    for (at, (name, value, member, expect)) in cases.iter().enumerate() {
        for door in DOORS {
            for query in [true, false] {
                // A member of JSON is spelled with an underscore, a header never is.
                if (*name == "publisher_id" && !query) || (*name == "alternate" && at > 6) {
                    continue;
                }
                let topic = format!("options/{at}/{door:?}/{query}");
                let value = if *name == "alternate" {
                    format!("{value}/{topic}")
                } else {
                    (*value).to_owned()
                };
                publish_with(&server, door, &topic, (name, &value), query);
                let event = &server.page(&format!("/topics/{topic}?earliest"))["events"][0];
                let expect = match expect {
                    Value::Array(_) => json!([value]),
                    other => other.clone(),
                };
                assert_eq!(event[member], expect, "{name} through {door:?}, query {query}");
            }
        }
    }
}

#[test]
fn an_alternate_topic_has_the_event_too_with_the_same_id() {
    let server = Server::start();
    let id = server.publish("/topics/a?alternate=b&alternate=c/d", "x");
    for topic in ["a", "b", "c/d"] {
        let page = server.page(&format!("/topics/{topic}?earliest"));
        assert_eq!(texts(&page, "id"), [id.as_str()], "{topic}");
        assert_eq!(page["events"][0]["topic"], "a");
        assert_eq!(page["events"][0]["alternates"], json!(["b", "c/d"]));
    }
}

#[test]
fn what_is_expected_must_be_so() {
    for door in DOORS {
        let server = Server::start();
        let first = server.publish("/topics/t?expect=none", "1");
        let second = server.publish(&format!("/topics/t?expect={first}"), "2");
        let foreign = format!("zzzzzzzz-{}", sequence(&second));
        let ahead = with_sequence(&second, sequence(&second) + 1);
        for expect in ["none", &first, &foreign, &ahead] {
            let headers = format!("{}Tidings-Expect: {expect}\r\n", door.headers());
            let reply = server.request("POST", "/topics/t", &headers, b"no");
            let problem = reply.problem(412, "unexpected-position");
            assert_eq!(problem["newest"], second.as_str(), "{expect}");
        }
        let reply = server.request("POST", &format!("/topics/new?expect={second}"), "", b"no");
        let problem = reply.problem(412, "unexpected-position");
        assert_eq!(problem["newest"], Value::Null);
        assert_eq!(server.kept("t"), ["1", "2"]);
        assert_eq!(server.kept_or_none("new"), Vec::<String>::new());
    }
}

#[test]
fn of_many_who_expect_the_same_one_wins() {
    let server = Server::start();
    server.publish("/topics/t", "0");
    let expect = texts(&server.page("/topics/t"), "id").remove(0);
    let target = format!("/topics/t?expect={expect}");
    let statuses = std::thread::scope(|scope| {
        let ask = |number: usize| {
            let (server, target) = (&server, &target);
            let headers = DOORS[number % 2].headers();
            scope.spawn(move || server.request("POST", target, headers, b"x").status)
        };
        let asked: Vec<_> = (0..16).map(ask).collect();
        let mut all: Vec<u16> = asked.into_iter().map(|a| a.join().unwrap()).collect();
        all.sort_unstable();
        all
    });
    assert_eq!(statuses[0], 200);
    assert_eq!(statuses[1..], [412; 15]);
    assert_eq!(server.kept("t"), ["0", "x"]);
}

#[test]
fn a_producer_is_heard_once_and_in_order_and_its_predecessor_not_at_all() {
    for door in DOORS {
        let server = Server::start();
        let send = |id: &str, epoch: u64, sequence: u64, data: &str| {
            let headers = format!(
                "{}Tidings-Producer-Id: {id}\r\nTidings-Producer-Epoch: {epoch}\r\n\
                 Tidings-Producer-Sequence: {sequence}\r\n",
                door.headers()
            );
            server.request("POST", "/topics/t", &headers, data.as_bytes())
        };
        assert_eq!(send("p", 1, 0, "a").status, 200);
        let second = send("p", 1, 1, "b").json();
        server.publish("/topics/t", "another's");
        // The last one's own id, and for an earlier one that of the last.
        for (sequence, data) in [(1, "b"), (0, "a")] {
            let again = send("p", 1, sequence, data).json();
            assert_eq!((&again["id"], &again["duplicate"]), (&second["id"], &json!(true)));
        }
        let gap = send("p", 1, 3, "d").problem(409, "producer-gap");
        assert_eq!((&gap["expected"], &gap["received"]), (&json!(2), &json!(3)));
        send("p", 2, 1, "late").problem(409, "producer-gap");
        assert_eq!(send("p", 2, 0, "c").status, 200);
        let fenced = send("p", 1, 2, "zombie").problem(403, "producer-fenced");
        assert_eq!(fenced["epoch"], 2);
        assert_eq!(send("q", 0, 0, "d").status, 200);
        assert_eq!(server.kept("t"), ["a", "b", "another's", "c", "d"]);
    }
}

#[test]
fn a_producer_is_known_after_a_restart() {
    let headers = |sequence: u64| {
        format!(
            "Tidings-Producer-Id: p\r\nTidings-Producer-Epoch: 7\r\n\
             Tidings-Producer-Sequence: {sequence}\r\n"
        )
    };
    let server = Server::start();
    let first = server.request("POST", "/topics/t", &headers(0), b"a").json();
    server.publish("/topics/t", "another's");
    let server = server.restart();
    let again = server.request("POST", "/topics/t", &headers(0), b"a").json();
    assert_eq!((&again["id"], &again["duplicate"]), (&first["id"], &json!(true)));
    assert_eq!(server.request("POST", "/topics/t", &headers(1), b"b").status, 200);
    assert_eq!(server.kept("t"), ["a", "another's", "b"]);
}

const KEY: &str = "Idempotency-Key: order-7\r\n";

#[test]
fn a_repeat_gets_the_first_answer_and_another_request_none() {
    for door in DOORS {
        let server = Server::start();
        let headers = format!("{}{KEY}", door.headers());
        let ask = |server: &Server, target: &str, body: &str| {
            server.request("POST", target, &headers, body.as_bytes())
        };
        let first = ask(&server, "/topics/t?type=a", "x").json();
        assert_eq!(first["duplicate"], false);
        server.publish("/topics/t", "between");
        let server = server.restart();
        for _ in 0..3 {
            let again = ask(&server, "/topics/t?type=a", "x").json();
            assert_eq!((&again["id"], &again["duplicate"]), (&first["id"], &json!(true)));
        }
        for (target, body) in [("/topics/t?type=a", "y"), ("/topics/t?type=b", "x")] {
            ask(&server, target, body).problem(422, "idempotency-mismatch");
        }
        // Keys are the topic's own.
        assert_eq!(ask(&server, "/topics/other?type=a", "x").json()["duplicate"], false);
        assert_eq!(server.kept("t"), ["x", "between"]);
    }
}

#[test]
fn a_batch_is_repeated_as_a_whole() {
    let server = Server::start();
    let body = json!({"events": [{"topic": "a", "data": "1"}, {"topic": "b", "data": "2"}]});
    let ask = |body: &Value| server.request("POST", "/publish", KEY, body.to_string().as_bytes());
    let first = ask(&body).json();
    let again = ask(&body).json();
    assert_eq!(again["duplicate"], true);
    for at in 0..2 {
        assert_eq!(again["events"][at]["id"], first["events"][at]["id"]);
        assert_eq!(again["events"][at]["topic"], first["events"][at]["topic"]);
    }
    let other = json!({"events": [{"topic": "a", "data": "1"}, {"topic": "b", "data": "3"}]});
    ask(&other).problem(422, "idempotency-mismatch");
    assert_eq!((server.kept("a"), server.kept("b")), (vec!["1".into()], vec!["2".into()]));
}

#[test]
fn many_at_once_with_one_key_are_one() {
    let server = Server::start();
    let ids = std::thread::scope(|scope| {
        let ask = |number: usize| {
            let server = &server;
            scope.spawn(move || {
                let headers = format!("{}{KEY}", DOORS[number % 2].headers());
                let reply = server.request("POST", "/topics/t", &headers, b"x");
                reply.json()["id"].as_str().unwrap().to_owned()
            })
        };
        let asked: Vec<_> = (0..16).map(ask).collect();
        asked.into_iter().map(|a| a.join().unwrap()).collect::<Vec<_>>()
    });
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!(server.kept("t"), ["x"]);
}

const NDJSON: &str = "Content-Type: application/x-ndjson\r\n";

#[test]
fn a_batch_of_lines_is_stored_in_order_with_the_options_of_the_request() {
    for door in DOORS {
        let server = Server::start();
        let body = b"{\"data\":\"1\"}\n\n{\"data\":\"2\",\"type\":\"own\",\"key\":\"k\"}\r\n\
            {\"data_base64\":\"Mw==\",\"topic\":\"t\"}\n{}";
        let headers = format!("{}{NDJSON}Tidings-Type: all\r\n", door.headers());
        let reply = server.request("POST", "/topics/t", &headers, body);
        assert_eq!(reply.status, 200, "{}", reply.text());
        let answer = reply.json();
        assert_eq!(answer["duplicate"], false);
        let page = server.page("/topics/t?earliest");
        assert_eq!(texts(&page, "data"), ["1", "2", "3", ""]);
        assert_eq!(texts(&page, "type"), ["all", "own", "all", "all"]);
        assert_eq!(texts(&page, "key"), ["", "k", "", ""]);
        assert_eq!(texts(&page, "id"), texts(&answer, "id"));
        let sequences: Vec<u64> = texts(&page, "id").iter().map(|id| sequence(id)).collect();
        assert!(sequences.windows(2).all(|two| two[0] + 1 == two[1]), "{sequences:?}");
    }
}

#[test]
fn a_bad_line_is_named_and_nothing_is_stored() {
    let server = Server::start();
    for (at, (body, line, code)) in [
        ("{\"data\":\"1\"}\n{\"data\":2}\n", 2, "invalid-json"),
        ("{\"data\":\"1\"}\n\n{\"dat\":\"2\"}\n", 3, "invalid-json"),
        ("not json", 1, "invalid-json"),
        ("{\"data\":\"1\"}\n[]\n", 2, "invalid-json"),
        ("{}\n{\"topic\":\"other\"}", 2, "invalid-parameter"),
        ("{}\n{}\n{\"ttl\":\"soon\"}", 3, "invalid-parameter"),
        ("{\"data\":\"1\",\"data_base64\":\"MQ==\"}", 1, "invalid-parameter"),
        ("{\"data_base64\":\"?\"}", 1, "invalid-parameter"),
        ("{\"expect\":\"newest\"}", 1, "invalid-parameter"),
        ("{\"data\":\"\\ud800\"}", 1, "invalid-json"),
    ]
    .iter()
    .enumerate()
    {
        for door in DOORS {
            let headers = format!("{}{NDJSON}", door.headers());
            let target = format!("/topics/bad/{at}");
            let reply = server.request("POST", &target, &headers, body.as_bytes());
            let problem = reply.problem(400, code);
            assert_eq!(problem["line"], *line, "{body:?}");
            let named = format!("line {line}: ");
            assert!(problem["detail"].as_str().unwrap().starts_with(&named), "{problem}");
        }
    }
    let long = "{}\n".repeat(1_001);
    let reply = server.request("POST", "/topics/bad/long", NDJSON, long.as_bytes());
    reply.problem(413, "batch-too-large");
    let reply = server.request("POST", "/topics/bad/empty", NDJSON, b"\n \n");
    reply.problem(400, "invalid-request");
    assert_eq!(server.state(), json!([]));
    let full = "{}\n".repeat(1_000);
    let reply = server.request("POST", "/topics/full", NDJSON, full.as_bytes());
    assert_eq!(reply.json()["events"].as_array().unwrap().len(), 1_000);
}

#[test]
fn the_configured_size_of_a_batch_is_the_limit() {
    let server = Server::with(|config| config.limits.batch_events = 2);
    let reply = server.request("POST", "/topics/t", NDJSON, b"{}\n{}\n{}\n");
    reply.problem(413, "batch-too-large");
    let three = json!({"events": [{"topic": "t"}, {"topic": "t"}, {"topic": "t"}]});
    let reply = server.request("POST", "/publish", "", three.to_string().as_bytes());
    reply.problem(413, "batch-too-large");
    assert_eq!(server.state(), json!([]));
    assert_eq!(server.request("POST", "/topics/t", NDJSON, b"{}\n{}\n").status, 200);
}

#[test]
fn events_of_several_topics_are_stored_together() {
    let server = Server::start();
    let mut stream = server.subscribe("/events?topic=a&topic=b");
    let body = json!({"events": [
        {"topic": "a", "data": "1", "type": "t"},
        {"topic": "b", "data": "2", "key": "k", "publisher_id": "p"},
        {"topic": "a", "data_base64": "Mw=="},
    ]});
    let answer = server.request("POST", "/publish", "", body.to_string().as_bytes()).json();
    assert_eq!(texts(&answer, "topic"), ["a", "b", "a"]);
    let events = stream.take(3);
    let ids: Vec<&str> = events.iter().map(|event| event.id.as_str()).collect();
    assert_eq!(ids, texts(&answer, "id"));
    let data: Vec<&str> = events.iter().map(|event| event.data.as_str()).collect();
    assert_eq!(data, ["1", "2", "3"]);
}

#[test]
fn one_bad_event_keeps_all_of_them_out() {
    let server = Server::start();
    server.publish("/topics/ended?end=done", "");
    let newest = server.publish("/topics/old", "0");
    let before = server.state();
    let long_topic = "x".repeat(1_025);
    let many: Vec<String> = (0..16).map(|number| format!("alternate/{number}")).collect();
    for (bad, status, code) in [
        (json!({"topic": "", "data": "x"}), 400, "invalid-topic"),
        (json!({"data": "x"}), 400, "invalid-topic"),
        (json!({"topic": "a//b"}), 400, "invalid-topic"),
        (json!({"topic": "a/*"}), 400, "invalid-topic"),
        (json!({"topic": "a\nb"}), 400, "invalid-topic"),
        (json!({"topic": long_topic}), 400, "invalid-topic"),
        (json!({"topic": "b", "alternates": ["/"]}), 400, "invalid-topic"),
        (json!({"topic": "b", "alternates": many}), 400, "too-many-topics"),
        (json!({"topic": "b", "type": "error"}), 400, "invalid-type"),
        (json!({"topic": "b", "type": "a\rb"}), 400, "invalid-type"),
        (json!({"topic": "b", "type": ""}), 400, "invalid-type"),
        (json!({"topic": "b", "key": "k".repeat(257)}), 400, "invalid-key"),
        (json!({"topic": "b", "publisher_id": "\u{0}"}), 400, "invalid-id"),
        (json!({"topic": "b", "ttl": "-1s"}), 400, "invalid-parameter"),
        (json!({"topic": "b", "ttl": "400d"}), 400, "invalid-parameter"),
        (json!({"topic": "b", "data_base64": "/w=="}), 400, "invalid-utf8"),
        (json!({"topic": "b", "end": "finished"}), 400, "invalid-json"),
        (json!({"topic": "b", "unknown": 1}), 400, "invalid-json"),
        (json!({"topic": "ended", "data": "x"}), 409, "topic-closed"),
        (json!({"topic": "b", "alternates": ["ended"]}), 409, "topic-closed"),
        (json!({"topic": "old", "expect": "none"}), 412, "unexpected-position"),
        (json!({"topic": "new", "expect": newest}), 412, "unexpected-position"),
        (json!({"topic": "b", "data": "x".repeat((1 << 20) + 1)}), 413, "body-too-large"),
    ] {
        let body = json!({"events": [{"topic": "first", "data": "1"}, bad, {"topic": "last"}]});
        let reply = server.request("POST", "/publish", "", body.to_string().as_bytes());
        reply.problem(status, code);
        assert_eq!(server.state(), before, "{bad}");
    }
    // What follows the end of a topic in the same request is refused with it.
    let body = json!({"events": [{"topic": "e", "end": "done"}, {"topic": "e"}]});
    let reply = server.request("POST", "/publish", "", body.to_string().as_bytes());
    reply.problem(409, "topic-closed");
    assert_eq!(server.state(), before);
}

#[test]
fn an_ended_topic_takes_nothing_more_and_says_how_it_ended() {
    for end in ["done", "error", "cancelled"] {
        let server = Server::start();
        server.publish("/topics/t", "1");
        server.publish(&format!("/topics/t?end={end}"), "2");
        let server = server.restart();
        for door in DOORS {
            let reply = server.request("POST", "/topics/t", door.headers(), b"3");
            assert_eq!(reply.problem(409, "topic-closed")["end"], end);
        }
        let head = server.connect();
        let mut conn = head;
        conn.ask("HEAD", "/topics/t", "", b"");
        assert_eq!(conn.reply_without_body().header("tidings-end"), Some(end));
        assert_eq!(server.kept("t"), ["1", "2"]);
    }
}

#[test]
fn names_are_percent_decoded_once_and_come_back_as_they_are() {
    let server = Server::start();
    for (path, name) in [
        ("plain", "plain"),
        ("a/b/c", "a/b/c"),
        ("a%2Fb", "a/b"),
        ("caf%C3%A9", "café"),
        ("sp%20ace", "sp ace"),
        ("pl+us", "pl+us"),
        ("%2525", "%25"),
        ("%E2%82%AC/%F0%9F%A6%80", "€/🦀"),
        ("q%3Fa%23b%26c", "q?a#b&c"),
        ("quote%22back%5Cslash", "quote\"back\\slash"),
    ] {
        for door in DOORS {
            let target = format!("/topics/{path}");
            let reply = server.request("POST", &target, door.headers(), b"x");
            assert_eq!(reply.json()["topic"], name, "{path}");
            let stream = server.subscribe_with(&format!("{target}?last=1"), door.headers());
            let mut stream = stream;
            assert_eq!(stream.next().data, "x", "{path}");
            let mut conn = server.connect();
            conn.ask("HEAD", &target, "", b"");
            assert_eq!(conn.reply_without_body().status, 200, "{path}");
        }
    }
}
