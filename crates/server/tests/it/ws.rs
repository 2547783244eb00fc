//! WebSocket: the promises of the other transports, kept over this one.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Server, sequence, until, with_sequence};
use crate::websocket::Ws;

#[test]
fn events_come_as_the_objects_of_a_page() {
    let server = Server::start();
    let mut ws = Ws::open(&server);
    let answer = ws.subscribe("chat", json!({"topics": ["chat/7"], "patterns": ["x/*"]}));
    assert!(answer["connection"].as_str().unwrap().starts_with('c'), "{answer}");
    let id =
        server.publish("/topics/chat/7?type=said&key=k&publisher-id=p&alternate=other", "a\n\"ü");
    server.publish("/topics/x/1", "in the pattern");
    server.publish("/topics/y", "not of it");
    server.publish("/topics/x/2", "too");
    let event = ws.next();
    assert_eq!(event["id"], *id);
    let page = server.page("/topics/chat/7?earliest");
    assert_eq!(event, page["events"][0]);
    assert_eq!(ws.data(2), ["in the pattern", "too"]);
}

#[test]
fn binary_data_and_large_data_come_whole() {
    let server = Server::start();
    server.put("bin", &json!({"content_type": "application/octet-stream"}));
    let mut ws = Ws::open(&server);
    ws.subscribe("a", json!({"topics": ["bin", "big"]}));
    server.request("POST", "/topics/bin", "", &[0xff, 0, 1]);
    assert_eq!(ws.next()["data_base64"], "/wAB");
    for length in [0, 1, 124, 60_000, 70_000, 1 << 20] {
        let data = "x".repeat(length);
        server.publish("/topics/big", &data);
        assert_eq!(ws.next()["data"], *data);
    }
}

#[test]
fn resume_is_exact_after_every_event() {
    let server = Server::start();
    let mut ids = Vec::new();
    for number in 0..40 {
        ids.push(
            server.publish(&format!("/topics/{}", ["a", "b"][number % 2]), &number.to_string()),
        );
    }
    let first = Ws::open(&server).subscribe("s", json!({"topics": ["a", "b"], "from": "earliest"}));
    let all: Vec<String> = (0..40).map(|number| number.to_string()).collect();
    for name in ["lastEventId", "from", "last_event_id"] {
        for (at, id) in std::iter::once(first["after"].as_str().unwrap())
            .chain(ids.iter().map(|i| &**i))
            .enumerate()
        {
            let mut ws = Ws::open(&server);
            let answer = ws.subscribe("s", json!({"topics": ["a"], "patterns": ["b"], name: id}));
            assert_eq!(answer["after"], id, "{name}");
            assert_eq!(ws.data(40 - at), all[at..], "{name} {id}");
        }
    }
    // And what comes then, without a seam.
    let mut ws = Ws::open(&server);
    ws.subscribe("s", json!({"topics": ["a"], "lastEventId": ids[37]}));
    server.publish("/topics/a", "new");
    assert_eq!(ws.data(2), ["38", "new"]);
}

#[test]
fn a_cut_at_any_byte_loses_nothing() {
    let server = Server::start();
    let ids = server.publish_numbers("t", 0..30);
    let (mut have, mut last) = (Vec::new(), String::new());
    for cut in (0..).step_by(97) {
        let mut ws = Ws::open(&server);
        let start = if last.is_empty() { json!("earliest") } else { json!(last) };
        ws.send(&json!({"op": "subscribe", "sub": "s", "topics": ["t"], "from": start}));
        // What a client understands of what came up to the cut.
        let mut bytes = Vec::new();
        while bytes.len() < 200 + cut {
            if ws.conn().buffered() == 0 && !ws.conn().read_more() {
                break;
            }
            bytes.extend(ws.conn().take_input());
            if bytes.windows(2).any(|two| two == b"]}") {
                break;
            }
        }
        bytes.truncate(200 + cut);
        for message in crate::websocket::whole_messages(&bytes) {
            for event in message["events"].as_array().into_iter().flatten() {
                last = event["id"].as_str().unwrap().to_owned();
                have.push(last.clone());
            }
        }
        if have.len() >= ids.len() {
            break;
        }
    }
    assert_eq!(have, ids);
}

#[test]
fn every_kind_of_start() {
    let server = Server::start();
    let all: Vec<String> = (0..10).map(|number| number.to_string()).collect();
    let id = json!("the id of the fifth");
    for (at, (start, expect)) in [
        (json!({"from": "earliest"}), &all[..]),
        (json!({"earliest": true}), &all[..]),
        (json!({"earliest": false}), &[]),
        (json!({"lastEventId": "earliest"}), &all[..]),
        (json!({"since": "1h"}), &all[..]),
        (json!({"since": "2020-01-01T00:00:00Z"}), &all[..]),
        (json!({"last": 3}), &all[7..]),
        (json!({"last": 0}), &[]),
        (json!({"from": "live"}), &[]),
        (json!({"lastEventId": ""}), &[]),
        (json!({}), &[]),
        (json!({"from": id}), &all[5..]),
        // The id is the newer one.
        (json!({"lastEventID": id, "last": 9}), &all[5..]),
    ]
    .into_iter()
    .enumerate()
    {
        let topic = format!("t{at}");
        let ids = server.publish_numbers(&topic, 0..10);
        let mut asked = start.clone();
        for value in asked.as_object_mut().unwrap().values_mut().filter(|value| **value == id) {
            *value = json!(ids[4]);
        }
        asked["topics"] = json!([topic]);
        let mut ws = Ws::open(&server);
        ws.subscribe("s", asked);
        server.publish(&format!("/topics/{topic}"), "marker");
        let mut data = ws.data(expect.len() + 1);
        assert_eq!(data.pop().unwrap(), "marker", "{start}");
        assert_eq!(data, expect, "{start}");
    }
}

#[test]
fn a_gap_is_told_before_what_follows_it() {
    let server = Server::start();
    server.put("t", &json!({"retain": {"count": 5}}));
    let ids = server.publish_numbers("t", 0..50);
    until("retention", || server.kept("t").len() <= 5);
    for (id, reason) in [
        (ids[3].clone(), "retention"),
        (with_sequence(&ids[3], 1 << 40), "unknown-id"),
        ("zzzzzzzz-1".to_owned(), "epoch"),
        ("not an id".to_owned(), "unknown-id"),
    ] {
        let mut ws = Ws::open(&server);
        ws.send(&json!({"op": "subscribe", "sub": "s", "topics": ["t"], "lastEventId": id}));
        assert_eq!(ws.message()["op"], "subscribed");
        let gap = ws.message();
        assert_eq!((&gap["op"], &gap["sub"]), (&json!("gap"), &json!("s")), "{gap}");
        assert_eq!((&gap["reason"], &gap["requested"]), (&json!(reason), &json!(id)), "{gap}");
        let mut after = Ws::open(&server);
        let resumed = after.subscribe("s", json!({"topics": ["t"], "lastEventId": gap["resumes"]}));
        assert_eq!(resumed["after"], gap["resumes"]);
        let kept = server.kept("t");
        assert_eq!(ws.data(kept.len()), kept, "{reason}");
        assert_eq!(after.data(kept.len()), kept, "{reason}");
    }
}

#[test]
fn a_reader_overtaken_by_retention_is_told_so() {
    let server = Server::start();
    server.put("t", &json!({"retain": {"count": 10}}));
    let mut ws = Ws::open(&server);
    ws.subscribe("s", json!({"topics": ["t"]}));
    let data = "x".repeat(256 << 10);
    let mut ids = Vec::new();
    for _ in 0..128 {
        ids.push(server.publish("/topics/t", &data));
    }
    until("retention", || server.kept("t").len() <= 10);
    let (mut have, mut gaps) = (Vec::new(), 0);
    while have.last() != ids.last() {
        let message = ws.message();
        match message["op"].as_str().unwrap() {
            "events" => {
                let events = message["events"].as_array().unwrap();
                have.extend(events.iter().map(|event| event["id"].as_str().unwrap().to_owned()));
            }
            "gap" => {
                gaps += 1;
                assert_eq!(message["reason"], "retention");
                // Nothing was left out in silence: it resumes right where it says.
                assert_eq!(message["requested"], **have.last().unwrap());
            }
            other => panic!("{other}"),
        }
    }
    assert!(gaps >= 1 && have.len() < ids.len());
    let mut sorted = have.clone();
    sorted.sort_by_key(|id| sequence(id));
    assert_eq!(have, sorted);
}

#[test]
fn an_end_is_said_and_ends_the_subscription_of_that_topic_alone() {
    let server = Server::start();
    let mut ws = Ws::open(&server);
    ws.subscribe("one", json!({"topics": ["t"]}));
    ws.subscribe("all", json!({"patterns": ["*"]}));
    server.publish("/topics/t", "a");
    let id = server.publish("/topics/t?end=done", "");
    let mut ended = HashMap::new();
    let end = loop {
        let message = ws.message();
        if message["op"] == "end" {
            break message;
        }
        for event in message["events"].as_array().unwrap() {
            ended.insert(message["sub"].as_str().unwrap().to_owned(), event["end"].clone());
        }
    };
    assert_eq!(end, json!({"op": "end", "sub": "one", "id": id, "reason": "done"}));
    server.publish("/topics/u", "goes on");
    while ws.next()["data"] != "goes on" {}
    // Who has had the end, or begins after it, is told at once; whoever has not gets it first.
    for start in [json!({"lastEventId": id}), json!({})] {
        let mut again = Ws::open(&server);
        let mut asked = start;
        asked["topics"] = json!(["t"]);
        again.subscribe("s", asked);
        let end = again.message();
        assert_eq!(end, json!({"op": "end", "sub": "s", "id": id, "reason": "done"}));
        // The name is free again.
        again.subscribe("s", json!({"topics": ["t"], "last": 1}));
        assert_eq!(again.next()["end"], "done");
        assert_eq!(again.message()["op"], "end");
    }
    let missing = ws.ask(json!({"op": "unsubscribe", "sub": "one"}));
    assert_eq!(missing["problem"]["code"], "connection-not-found");
}

#[test]
fn who_follows_several_reads_an_end_from_the_log_and_goes_on() {
    let server = Server::start();
    server.publish("/topics/t?end=done", "last words");
    let mut ws = Ws::open(&server);
    ws.subscribe("s", json!({"topics": ["t", "u"], "earliest": true}));
    assert_eq!(ws.next()["end"], "done");
    server.publish("/topics/u", "goes on");
    assert_eq!(ws.next()["data"], "goes on");
}

#[test]
fn one_order_for_every_transport() {
    let server = Server::start();
    let topics = ["a", "b", "c/1"];
    let mut sse = server.subscribe("/events?topic=a&topic=b&pattern=c/*");
    let mut ws = Ws::open(&server);
    ws.subscribe("s", json!({"topics": ["a", "b"], "patterns": ["c/*"]}));
    std::thread::scope(|scope| {
        for topic in topics {
            let server = &server;
            scope.spawn(move || {
                server.publish_numbers(topic, 0..200);
            });
        }
    });
    let of_sse: Vec<String> = sse.take(600).into_iter().map(|event| event.id).collect();
    let of_ws: Vec<Value> = (0..600).map(|_| ws.next()["id"].clone()).collect();
    assert_eq!(of_ws, of_sse);
}

#[test]
fn nothing_slips_through_between_a_position_and_its_seat() {
    let server = Server::start();
    std::thread::scope(|scope| {
        let publisher = scope.spawn(|| server.publish_numbers("n/1", 0..1_500));
        let mut begun = Vec::new();
        for round in 0..40 {
            let mut ws = Ws::open(&server);
            let what = match round % 4 {
                0 => json!({"topics": ["n/1"]}),
                1 => json!({"topics": ["n/1", "other"]}),
                2 => json!({"patterns": ["n/*"]}),
                _ => json!({"topics": ["n/1"], "last": 5}),
            };
            let after = ws.subscribe("s", what)["after"].as_str().unwrap().to_owned();
            begun.push((ws, after));
        }
        let ids = publisher.join().unwrap();
        for (round, (mut ws, after)) in begun.into_iter().enumerate() {
            let expect: Vec<&String> =
                ids.iter().filter(|id| sequence(id) > sequence(&after)).collect();
            let have: Vec<String> =
                expect.iter().map(|_| ws.next()["id"].as_str().unwrap().to_owned()).collect();
            assert_eq!(have.iter().collect::<Vec<_>>(), expect, "round {round} after {after}");
        }
    });
}

#[test]
fn several_subscriptions_on_one_connection_keep_apart() {
    let server = Server::start();
    server.publish_numbers("a", 0..5);
    let mut ws = Ws::open(&server);
    ws.subscribe("live", json!({"topics": ["a"]}));
    ws.subscribe("kept", json!({"topics": ["a"], "earliest": true}));
    ws.subscribe("\"ö\n", json!({"topics": ["a"], "last": 1}));
    server.publish("/topics/a", "5");
    let mut of: HashMap<String, Vec<String>> = HashMap::new();
    for _ in 0..9 {
        let (sub, event) = ws.next_of();
        of.entry(sub).or_default().push(event["data"].as_str().unwrap().to_owned());
    }
    assert_eq!(of["live"], ["5"]);
    assert_eq!(of["kept"], ["0", "1", "2", "3", "4", "5"]);
    assert_eq!(of["\"ö\n"], ["4", "5"]);
    let gone = ws.ask(json!({"op": "unsubscribe", "sub": "live"}));
    assert_eq!((&gone["op"], &gone["sub"]), (&json!("unsubscribed"), &json!("live")));
    server.publish("/topics/a", "6");
    let mut left: Vec<String> = (0..2).map(|_| ws.next_of().0).collect();
    left.sort();
    assert_eq!(left, ["\"ö\n", "kept"]);
    assert!(!ws.has_events());
}

#[test]
fn private_events_are_for_those_who_may_see_them() {
    for (admin, expect) in [(true, vec!["secret", "open"]), (false, vec!["open"])] {
        let server = Server::with(|config| {
            if !admin {
                config.anonymous.admin.clear();
            }
        });
        let mut ws = Ws::open(&server);
        ws.subscribe("s", json!({"topics": ["t"]}));
        server.publish("/topics/t?private", "secret");
        server.publish("/topics/t", "open");
        assert_eq!(ws.data(expect.len()), expect);
    }
}

#[test]
fn a_subscription_may_skip_what_is_outdated() {
    let server = Server::start();
    for number in 0..100 {
        server.publish(&format!("/topics/t?key={}", number % 2), &number.to_string());
    }
    let mut ws = Ws::open(&server);
    ws.subscribe("s", json!({"topics": ["t"], "earliest": true, "conflate": true}));
    assert_eq!(ws.data(2), ["98", "99"]);
}

#[test]
fn what_is_followed_changes_without_a_new_subscription() {
    let server = Server::start();
    let mut ws = Ws::open(&server);
    ws.subscribe("s", json!({"topics": ["a"]}));
    server.publish("/topics/b", "b1");
    let changed = ws.ask(json!({"op": "change", "sub": "s", "add": {"topics": ["b"]}}));
    assert_eq!(changed["topics"], json!(["a", "b"]), "{changed}");
    let after = changed["after"].as_str().unwrap().to_owned();
    let b2 = server.publish("/topics/b", "b2");
    let event = ws.next();
    assert_eq!(event["id"], *b2);
    // The answer says from where on it holds: what was before is in the history.
    let page = server.page(&format!("/topics/b?earliest&before={b2}"));
    assert!(page["events"][0]["id"].as_str().unwrap() <= &*after);
    let changed = ws.ask(json!({"op": "change", "sub": "s", "patterns": ["c/*"]}));
    assert_eq!((&changed["topics"], &changed["patterns"]), (&json!([]), &json!(["c/*"])));
    for topic in ["a", "b", "c/1"] {
        server.publish(&format!("/topics/{topic}"), topic);
    }
    assert_eq!(ws.next()["data"], "c/1");
    for (change, code) in [
        (json!({"op": "change", "sub": "s", "remove": {"patterns": ["c/*"]}}), "invalid-request"),
        (json!({"op": "change", "sub": "s"}), "invalid-request"),
        (json!({"op": "change", "sub": "x", "topics": ["a"]}), "connection-not-found"),
        (json!({"op": "change", "sub": "s", "add": {"topics": ["$x"]}}), "forbidden"),
        (json!({"op": "change", "sub": "s", "add": {"topics": ["/"]}}), "invalid-topic"),
    ] {
        assert_eq!(ws.ask(change.clone())["problem"]["code"], code, "{change}");
    }
    server.publish("/topics/c/2", "still");
    assert_eq!(ws.next()["data"], "still");
}

#[test]
fn operators_see_change_and_end_subscriptions() {
    let server = Server::start();
    let mut ws = Ws::open(&server);
    let own =
        ws.subscribe("s", json!({"topics": ["a"]}))["connection"].as_str().unwrap().to_owned();
    let bare = own.split_once('.').unwrap().0;
    ws.subscribe("other", json!({"topics": ["b"]}));
    let page = server.get("/connections").json();
    assert_eq!(page["total"], 2);
    let listed = &page["connections"][0];
    assert_eq!((&listed["id"], &listed["topics"]), (&json!(bare), &json!(["a"])), "{page}");
    until("it to be live", || {
        server.get("/connections").json()["connections"][0]["state"] == "live"
    });
    for (name, topic) in [(bare, "c"), (&own, "d")] {
        let body = json!({"add": {"topics": [topic]}}).to_string();
        let target = format!("/connections/{name}");
        let reply = server.request("PATCH", &target, "", body.as_bytes());
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert!(reply.json()["after"].is_string());
        server.publish(&format!("/topics/{topic}"), topic);
        assert_eq!(ws.next()["data"], topic);
    }
    let target = format!("/connections/{bare}");
    server.request("PATCH", &target, "", b"{\"topics\":[]}").problem(400, "invalid-request");
    assert_eq!(server.request("DELETE", &target, "", b"").status, 204);
    let told = ws.said();
    assert_eq!((&told["op"], &told["sub"]), (&json!("unsubscribed"), &json!("s")));
    assert!(told.get("ref").is_none() && told["after"].is_string(), "{told}");
    server.request("DELETE", &target, "", b"").problem(404, "connection-not-found");
    server.publish("/topics/b", "the other one stays");
    assert_eq!(ws.next()["data"], "the other one stays");
    drop(ws);
    until("nobody to be there", || server.get("/connections").json()["total"] == 0);
}

#[test]
fn metrics_count_connections_and_what_they_get() {
    let server = Server::start();
    let mut all: Vec<Ws> = (0..3).map(|_| Ws::open(&server)).collect();
    all.iter_mut().for_each(|ws| drop(ws.subscribe("s", json!({"topics": ["t"]}))));
    assert_eq!(server.metric("tidings_websockets"), 3.0);
    let encoded = server.metric("tidings_encoded_frames_total");
    server.publish("/topics/t", "x");
    all.iter_mut().for_each(|ws| assert_eq!(ws.next()["data"], "x"));
    // Encoded once for all of them.
    assert_eq!(server.metric("tidings_encoded_frames_total"), encoded + 1.0);
    until("three deliveries", || server.metric("tidings_delivered_events_total") == 3.0);
    drop(all);
    until("nobody", || server.metric("tidings_websockets") == 0.0);
}

#[test]
fn a_silent_client_is_asked_and_then_given_up() {
    let server = Server::with(|config| config.heartbeat = Duration::from_secs(1));
    let mut quiet = Ws::open(&server);
    let mut alive = Ws::open(&server);
    // Answers come to pings, so it stays; who answers nothing does not.
    std::thread::scope(|scope| {
        scope.spawn(|| {
            assert_eq!(quiet.next_frame().unwrap().opcode, crate::websocket::PING);
            assert_eq!(quiet.close_code(), Some(1008));
        });
        scope.spawn(|| {
            for _ in 0..5 {
                let ping = alive.next_frame().unwrap();
                assert_eq!(ping.opcode, crate::websocket::PING);
                alive.send_bytes(&crate::websocket::frame(0x8a, &ping.payload));
            }
            assert_eq!(alive.ask(json!({"op": "ping"}))["op"], "pong");
        });
    });
}
