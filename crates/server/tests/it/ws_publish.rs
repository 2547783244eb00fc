//! Publishing over a WebSocket: receipts, and every option that `POST` has.

use serde_json::{Value, json};

use crate::support::{Server, sequence, until};
use crate::websocket::Ws;

fn publish(more: &Value) -> Value {
    let mut message = json!({"op": "publish"});
    message.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    message
}

#[test]
fn a_receipt_is_what_the_http_route_answers() {
    let server = Server::start();
    let mut ws = Ws::open(&server);
    let one = ws.ask(publish(&json!({"topic": "t", "data": "a"})));
    assert_eq!(
        (&one["op"], &one["topic"], &one["duplicate"]),
        (&json!("published"), &json!("t"), &json!(false))
    );
    let batch = ws.ask(publish(&json!({"events": [
        {"topic": "t", "data": "b", "type": "said", "key": "k", "publisher_id": "p", "ttl": "1h"},
        {"topic": "u", "data_base64": "YwA=", "alternates": ["t"]},
    ]})));
    assert_eq!(batch["op"], "published", "{batch}");
    assert_eq!(batch["events"][1]["topic"], "u");
    let first = sequence(batch["events"][0]["id"].as_str().unwrap());
    assert_eq!(sequence(batch["events"][1]["id"].as_str().unwrap()), first + 1);
    let page = server.page("/topics/t?earliest");
    let events = page["events"].as_array().unwrap();
    assert_eq!(events.len(), 3);
    assert_eq!((&events[1]["type"], &events[1]["key"]), (&json!("said"), &json!("k")));
    assert_eq!((&events[1]["publisher_id"], &events[2]["data"]), (&json!("p"), &json!("c\u{0}")));
}

#[test]
fn who_publishes_also_hears_it() {
    let server = Server::start();
    let mut ws = Ws::open(&server);
    ws.subscribe("s", json!({"topics": ["t"]}));
    let receipt = ws.ask(publish(&json!({"topic": "t", "data": "mine"})));
    let event = ws.next();
    assert_eq!((&event["id"], &event["data"]), (&receipt["id"], &json!("mine")));
}

#[test]
fn publishes_are_repeatable_conditional_scheduled_private_and_final() {
    let server = Server::start();
    let mut ws = Ws::open(&server);
    let mut ask = |more: Value| ws.ask(publish(&more));
    let code = |answer: &Value| answer["problem"]["code"].as_str().unwrap().to_owned();

    let keyed = json!({"topic": "t", "data": "a", "idempotency_key": "k"});
    let (first, again) = (ask(keyed.clone()), ask(keyed));
    assert_eq!((&first["duplicate"], &again["duplicate"]), (&json!(false), &json!(true)));
    assert_eq!(first["id"], again["id"]);
    let other = ask(json!({"topic": "t", "data": "b", "idempotency_key": "k"}));
    assert_eq!(code(&other), "idempotency-mismatch");

    let held = ask(json!({"topic": "t", "data": "b", "expect": first["id"]}));
    assert_eq!(held["op"], "published");
    let failed = ask(json!({"topic": "t", "data": "c", "expect": first["id"]}));
    assert_eq!(
        (code(&failed), &failed["problem"]["newest"]),
        ("unexpected-position".into(), &held["id"])
    );
    assert_eq!(code(&ask(json!({"topic": "t", "expect": "none"}))), "unexpected-position");

    let later = ask(json!({"topic": "t", "data": "later", "delay": "1h"}));
    assert_eq!(later["op"], "scheduled", "{later}");
    let target = format!("/schedules/{}", later["schedule"].as_str().unwrap());
    assert_eq!(server.request("DELETE", &target, "", b"").status, 204);
    let at = ask(json!({"topic": "t", "data": "then", "at": "2026-11-22T10:00:00Z"}));
    assert_eq!(at["op"], "published", "a time that has passed is now: {at}");

    let producer = |epoch, sequence| json!({"id": "p", "epoch": epoch, "sequence": sequence});
    let by = |epoch, sequence| json!({"topic": "p", "producer": producer(epoch, sequence)});
    assert_eq!(ask(by(1, 0))["duplicate"], false);
    assert_eq!(ask(by(1, 0))["duplicate"], true);
    assert_eq!(code(&ask(by(1, 2))), "producer-gap");
    assert_eq!(code(&ask(by(0, 0))), "producer-fenced");

    assert_eq!(ask(json!({"topic": "t", "data": "x", "private": true}))["op"], "published");
    assert_eq!(ask(json!({"topic": "t", "end": "done"}))["op"], "published");
    let closed = ask(json!({"topic": "t", "data": "x"}));
    assert_eq!((code(&closed), &closed["problem"]["end"]), ("topic-closed".into(), &json!("done")));
    assert_eq!(server.kept("t"), ["a", "b", "then", "x", ""]);
}

#[test]
fn all_of_a_batch_or_nothing() {
    let server = Server::start();
    let mut ws = Ws::open(&server);
    let refused = ws.ask(publish(&json!({"events": [
        {"topic": "t", "data": "a"}, {"topic": "t", "data": "b", "expect": "zzzzzzzz-1"},
    ]})));
    assert_eq!(refused["problem"]["code"], "unexpected-position");
    assert_eq!(server.kept_or_none("t"), Vec::<String>::new());
}

#[test]
fn many_on_the_way_are_all_answered_and_in_order() {
    let server = Server::start();
    for durability in ["memory", "written", "synced"] {
        server.put(durability, &json!({"durability": durability}));
        let mut ws = Ws::open(&server);
        // Far more than places for receipts, in one go.
        let mut bytes = Vec::new();
        for number in 0..3_000 {
            let message = json!({"op": "publish", "ref": number, "topic": durability, "data": "x"})
                .to_string();
            bytes.extend(crate::websocket::frame(0x81, message.as_bytes()));
        }
        let mut writer = ws.conn().socket().try_clone().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(move || std::io::Write::write_all(&mut writer, &bytes).unwrap());
            let mut last = 0;
            for number in 0..3_000 {
                let receipt = ws.message();
                assert_eq!(receipt["ref"], number, "{receipt}");
                let sequence = sequence(receipt["id"].as_str().unwrap());
                assert!(sequence > last);
                last = sequence;
            }
        });
        assert_eq!(server.page(&format!("/topics/{durability}?last=1"))["events"][0]["data"], "x");
    }
}

#[test]
fn requests_are_done_in_their_order() {
    let server = Server::start();
    let mut ws = Ws::open(&server);
    ws.send(&publish(&json!({"ref": 1, "topic": "t", "data": "before"})));
    ws.send(&json!({"op": "subscribe", "ref": 2, "sub": "s", "topics": ["t"], "earliest": true}));
    ws.send(&publish(&json!({"ref": 3, "topic": "t", "data": "after"})));
    ws.send(&json!({"op": "ping", "ref": 4}));
    assert_eq!(ws.data_past_answers(2), ["before", "after"]);
}

#[test]
fn a_connection_that_is_cut_may_repeat_what_it_was_not_told() {
    let server = Server::start();
    server.put("t", &json!({"durability": "synced"}));
    for number in 0..20 {
        let message = publish(&json!({
            "topic": "t", "data": number.to_string(), "idempotency_key": number.to_string(),
        }));
        let mut cut = Ws::open(&server);
        cut.send(&message);
        drop(cut);
        let told = Ws::open(&server).ask(message);
        assert_eq!(told["op"], "published", "{told}");
    }
    until("every one to be there once", || server.kept("t").len() == 20);
}

#[test]
fn rights_are_asked_for_each_operation() {
    let server = Server::with(|config| config.anonymous.publish.clear());
    let mut ws = Ws::open(&server);
    assert_eq!(ws.ask(publish(&json!({"topic": "t"})))["problem"]["code"], "forbidden");
    ws.subscribe("s", json!({"topics": ["t"]}));
    let server = Server::with(|config| config.anonymous.subscribe.clear());
    let mut ws = Ws::open(&server);
    assert_eq!(ws.ask(publish(&json!({"topic": "t"})))["op"], "published");
    let refused = ws.ask(json!({"op": "subscribe", "sub": "s", "topics": ["t"]}));
    assert_eq!(refused["problem"]["code"], "forbidden");
}

/// As in headers: numbers that every reader of JSON keeps exact.
#[test]
fn a_producers_numbers_have_a_bound() {
    let server = Server::start();
    let mut ws = Ws::open(&server);
    let largest = (1_u64 << 53) - 1;
    for (epoch, sequence, named) in [
        (0, largest + 1, Some("producer.sequence")),
        (largest + 1, 0, Some("producer.epoch")),
        (largest, 0, None),
    ] {
        let producer = json!({"id": "p", "epoch": epoch, "sequence": sequence});
        let said = ws.ask(publish(&json!({"topic": "t", "data": "x", "producer": producer})));
        match named {
            None => assert_eq!(said["op"], "published", "{said}"),
            Some(named) => {
                assert_eq!(said["problem"]["code"], "invalid-parameter", "{said}");
                assert!(said["problem"].to_string().contains(named), "{said}");
            }
        }
    }
}
