//! Traces: what happens to a topic is told, no more than so much of it, and only while somebody
//! reads it.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tidings_scripted::{At, Fault, Script};

use crate::relay::{Answered, Relay, chat};
use crate::stream::Stream;
use crate::support::{DOORS, Server, until};
use crate::websocket::Ws;
use crate::wires::over_each_wire;

/// Begins a trace; returns its id.
#[track_caller]
fn begin(server: &Server, what: &Value) -> String {
    let reply = server.request("POST", "/traces", "", what.to_string().as_bytes());
    assert_eq!(reply.status, 201, "{}", reply.text());
    let trace = reply.json();
    let id = trace["id"].as_str().unwrap().to_owned();
    assert_eq!(trace["topic"], format!("$tidings/trace/{id}"));
    assert!(trace["until"].as_str().unwrap().ends_with('Z'));
    id
}

#[track_caller]
fn read(server: &Server, id: &str) -> Stream {
    server.subscribe(&format!("/topics/$tidings/trace/{id}?earliest"))
}

/// The next record: its type, and what it says.
#[track_caller]
fn record(stream: &mut Stream) -> (String, Value) {
    let event = stream.next();
    (event.kind, serde_json::from_str(&event.data).unwrap())
}

/// The next record of this type, whatever comes before it.
#[track_caller]
fn of_type(stream: &mut Stream, kind: &str) -> Value {
    loop {
        let (found, said) = record(stream);
        if found == kind {
            return said;
        }
    }
}

#[test]
fn publishes_are_told_by_every_way_they_come() {
    over_each_wire(|| {
        let server = Server::start();
        let id = begin(&server, &json!({"topic": "a/*"}));
        let mut trace = read(&server, &id);
        for door in DOORS {
            let target = "/topics/a/b?type=t";
            let reply = server.request("POST", target, door.headers(), b"four");
            let (kind, said) = record(&mut trace);
            assert_eq!((kind.as_str(), &said["topic"]), ("published", &json!("a/b")));
            assert_eq!((&said["id"], &said["status"]), (&reply.json()["id"], &json!(200)));
            assert_eq!((&said["bytes"], &said["type"]), (&json!(4), &json!("t")));
            assert!(said["peer"].as_str().unwrap().starts_with("127.0.0.1:"), "{said}");
            assert!(said["at"].as_str().unwrap().ends_with('Z') && said.get("subject").is_none());
            server.publish("/topics/other", "not this");
            let bad = server.request("POST", "/topics/a/b?ttl=x", door.headers(), b"four");
            bad.problem(400, "invalid-parameter");
            let (kind, said) = record(&mut trace);
            assert_eq!((kind.as_str(), &said["status"]), ("refused", &json!(400)), "{said}");
            assert!(said["detail"].as_str().unwrap().contains("ttl"), "{said}");
            let late = server.request("POST", "/topics/a/b?delay=1h", door.headers(), b"four");
            let (kind, said) = record(&mut trace);
            assert_eq!((kind.as_str(), &said["id"]), ("scheduled", &late.json()["schedule"]));
            let taken = server.request("POST", "/topics/a/b?expect=none", door.headers(), b"four");
            taken.problem(412, "unexpected-position");
            let (kind, said) = record(&mut trace);
            assert_eq!((kind.as_str(), &said["status"]), ("refused", &json!(412)), "{said}");
        }
        let mut ws = Ws::open(&server);
        ws.send(&json!({"op": "publish", "topic": "a/c", "data": "hello"}));
        let (kind, said) = record(&mut trace);
        assert_eq!((kind.as_str(), &said["topic"]), ("published", &json!("a/c")), "{said}");
        assert_eq!(said["bytes"], 5);
    });
}

#[test]
fn subscriptions_are_told_from_beginning_to_end() {
    over_each_wire(|| {
        let server = Server::start();
        let first = server.publish("/topics/a", "1");
        let id = begin(&server, &json!({"topic": "a"}));
        let mut trace = read(&server, &id);
        for target in ["/topics/a", "/events?topic=b&topic=a", "/events?pattern=*"] {
            let stream = server.subscribe(target);
            let (kind, said) = record(&mut trace);
            assert_eq!((kind.as_str(), &said["connection"]), ("subscribed", &json!(stream.name())));
            drop(stream);
            assert_eq!(record(&mut trace).0, "unsubscribed", "{target}");
        }
        drop(server.subscribe("/topics/b"));
        let stream = server.subscribe_with("/topics/a", &format!("Last-Event-ID: {first}\r\n"));
        assert_eq!(record(&mut trace).0, "resumed", "and nothing of another topic");
        drop(stream);
        assert_eq!(record(&mut trace).0, "unsubscribed");
        let stream = server.subscribe_with("/topics/a", "Last-Event-ID: unknown\r\n");
        let said = of_type(&mut trace, "gap");
        assert_eq!((&said["id"], &said["detail"]), (&json!("unknown"), &json!("unknown-id")));
        drop(stream);
        let mut ws = Ws::open(&server);
        ws.subscribe("s", json!({"topics": ["a"]}));
        of_type(&mut trace, "subscribed");
        drop(ws);
        of_type(&mut trace, "unsubscribed");
        // A reader that does not read.
        let slow = server.subscribe("/topics/a");
        let data = "x".repeat(256 << 10);
        (0..64).for_each(|_| drop(server.publish("/topics/a", &data)));
        assert_eq!(of_type(&mut trace, "blocked")["connection"], slow.name());
    });
}

#[test]
fn no_more_than_so_many_records_a_second_and_the_rest_is_counted() {
    let server = Server::start();
    let id = begin(&server, &json!({"topic": "a"}));
    let mut trace = read(&server, &id);
    let publish = |events: usize| {
        let (lines, batch) =
            ("{\"data\":\"x\"}\n".repeat(events), "Content-Type: application/x-ndjson\r\n");
        assert_eq!(server.request("POST", "/topics/a", batch, lines.as_bytes()).status, 200);
    };
    // Together, and then a few at a time, so that what is told is written in between.
    publish(900);
    (0..30).for_each(|_| publish(30));
    let (mut told, mut left_out) = (BTreeMap::<String, u64>::new(), 0);
    while told.values().sum::<u64>() + left_out < 1_800 {
        let (kind, said) = record(&mut trace);
        match kind.as_str() {
            "published" => {
                let second = said["at"].as_str().unwrap()[..19].to_owned();
                *told.entry(second).or_default() += 1;
            }
            "left-out" => left_out += said["records"].as_u64().unwrap(),
            other => panic!("{other}: {said}"),
        }
    }
    assert_eq!(told.values().sum::<u64>() + left_out, 1_800);
    assert!(told.values().all(|&count| count <= 200), "{told:?}");
    assert!(left_out > 0);
}

#[test]
fn answers_that_change_are_told() {
    let relay = Relay::start();
    let server = &relay.server;
    let id = begin(server, &json!({"topic": "$answers/*"}));
    let mut trace = read(server, &id);
    // Who has had a second figure knows that the answers were looked at.
    let mut overview = server.subscribe("/topics/$tidings/overview");
    (0..2).for_each(|_| drop(overview.next()));
    relay.play(Script::text("one two").fault(Fault::hang(At::Token(1))));
    let answered = Answered::read(relay.ask("/v1/chat/completions", "", &chat("hello")), 200);
    let said = of_type(&mut trace, "answer");
    assert_eq!(
        (&said["detail"], &said["topic"]),
        (&json!("streaming"), &json!(answered.header("tidings-topic")))
    );
    relay.stop(&answered);
    let said = of_type(&mut trace, "answer");
    assert_eq!(said["detail"], "stopped");
}

/// Nothing is written for nobody; whoever comes is told the newest of what happened.
#[test]
fn what_nobody_reads_is_not_written() {
    let server = Server::start();
    let id = begin(&server, &json!({"topic": "a"}));
    let json = "Accept: application/json\r\n";
    let first = server.publish("/topics/a", "1");
    let target = format!("/topics/$tidings/trace/{id}");
    server.request("GET", &target, json, b"").problem(404, "topic-not-found");
    let second = server.publish("/topics/a", "2");
    let sequence = crate::support::sequence;
    assert_eq!(sequence(&second), sequence(&first) + 1, "nothing was written in between");
    let mut trace = read(&server, &id);
    assert_eq!(record(&mut trace).1["id"], first);
    assert_eq!(record(&mut trace).1["id"], second);
}

#[test]
fn traces_are_few_and_end() {
    let server = Server::start();
    for body in ["", "{}", "[]", "{\"topics\":\"a\"}", "{\"topic\":\"a*\"}", "{\"topic\":7}"] {
        let reply = server.request("POST", "/traces", "", body.as_bytes());
        assert_eq!(reply.status, 400, "{body}: {}", reply.text());
    }
    let ids: Vec<String> = (0..8).map(|_| begin(&server, &json!({"topic": "a"}))).collect();
    let another = server.request("POST", "/traces", "", b"{\"topic\":\"a\"}");
    another.problem(429, "rate-limited");
    let mut trace = read(&server, &ids[0]);
    server.publish("/topics/a", "1");
    assert_eq!(record(&mut trace).0, "published");
    let target = format!("/traces/{}", ids[0]);
    assert_eq!(server.request("DELETE", &target, "", b"").status, 204);
    server.request("DELETE", &target, "", b"").problem(404, "topic-not-found");
    assert_eq!(trace.next().kind, "end");
    assert_eq!(trace.try_next(), None, "its topic has ended");
    begin(&server, &json!({"subject": "somebody"}));
    // Nobody is somebody until there is access control.
    server.publish("/topics/a", "2");
    for id in &ids[1..] {
        let target = format!("/traces/{id}");
        assert_eq!(server.request("DELETE", &target, "", b"").status, 204);
    }
    until("what was not read to leave nothing", || {
        ids[1..].iter().all(|id| {
            let target = format!("/topics/$tidings/trace/{id}");
            server.request("GET", &target, "Accept: application/json\r\n", b"").status == 404
        })
    });
}
