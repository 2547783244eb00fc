//! The application thinks, and meanwhile whoever it is asked about is thrown out: its word comes
//! too late.

use serde_json::json;

use crate::access::{Closed, claims, closed, operator, revoke, token};
use crate::access_ws::enter;
use crate::hook::{Gate, hook, says};
use crate::receiver::Receiver;
use crate::support::DOORS;
use crate::wires::over_each_wire;

/// A server with an application that allows everything once the gate is open.
fn asks() -> (Closed, Receiver, Gate) {
    let gate = Gate::default();
    let passes = gate.clone();
    let receiver = Receiver::start(move |_, _| {
        passes.pass();
        says(true)
    });
    let hook = hook(&receiver.url(), "topics = [\"chat/*\"]\ntimeout = \"30s\"");
    (closed(|config| config.hook = Some(hook)), receiver, gate)
}

fn ada() -> String {
    let grants = json!({"publish": ["chat/*"], "subscribe": ["chat/*"]});
    format!("Tidings-Token: {}\r\n", token(&claims("ada", grants)))
}

fn is_not_there(server: &Closed) -> bool {
    let fields = format!("Accept: application/json\r\n{}", operator());
    server.request("GET", "/topics/chat/7?earliest", &fields, b"").status == 404
}

const MANY: &str = r#"{"events":[{"topic":"chat/7","data":"x"}]}"#;
const LATER: &str = r#"{"delay":"300d","events":[{"topic":"chat/7","data":"x"}]}"#;

#[test]
fn what_waits_for_it_is_refused() {
    let json = "Accept: application/json\r\n";
    let cases = [
        ("POST", "/topics/chat/7", "", "x"),
        ("POST", "/topics/chat/7?delay=300d", "", "x"),
        ("POST", "/publish", "", MANY),
        ("POST", "/publish", "", LATER),
        ("GET", "/topics/chat/7?poll=0", json, ""),
        ("GET", "/topics/chat/7", "Accept: text/event-stream\r\n", ""),
    ];
    over_each_wire(|| {
        for (method, target, headers, body) in cases {
            for door in DOORS {
                let (server, receiver, gate) = asks();
                let mut conn = server.connect();
                let fields = format!("{headers}{}{}", ada(), door.headers());
                conn.ask(method, target, &fields, body.as_bytes());
                receiver.wait_for(1);
                revoke(&server, &json!({"subject": "ada"}));
                gate.open();
                let reply = conn.reply();
                assert_eq!(reply.status, 401, "{method} {target} {door:?}: {}", reply.text());
                assert!(reply.text().contains("revoked"), "{}", reply.text());
                let page = server.request("GET", "/metrics", &operator(), b"").text();
                assert!(page.contains("tidings_scheduled_publishes 0\n"), "{method} {target}");
                assert!(is_not_there(&server), "{method} {target} {door:?}");
            }
        }
    });
}

#[test]
fn a_socket_that_waits_for_it_ends() {
    for message in [
        json!({"op": "publish", "topic": "chat/7", "data": "x"}),
        json!({"op": "publish", "delay": "300d", "topic": "chat/7", "data": "x"}),
        json!({"op": "subscribe", "sub": "s", "topics": ["chat/7"]}),
    ] {
        let (server, receiver, gate) = asks();
        let mut ws = enter(&server, "/ws", &ada());
        ws.send(&message);
        receiver.wait_for(1);
        revoke(&server, &json!({"subject": "ada"}));
        gate.open();
        assert_eq!(ws.close_code(), Some(1008), "{message}");
        let page = server.request("GET", "/metrics", &operator(), b"").text();
        assert!(page.contains("tidings_scheduled_publishes 0\n"), "{message}");
        assert!(is_not_there(&server), "{message}");
    }
}

/// A token is asked about with what is followed then. What somebody adds meanwhile with another one
/// would stand on it too, and nobody would have been asked.
#[test]
fn what_is_added_while_it_thinks_is_asked_about_as_well() {
    let gate = Gate::default();
    let passes = gate.clone();
    let receiver = Receiver::start(move |posted, _| {
        let asked = posted.json();
        if asked["subject"] == "bob" {
            passes.pass();
        }
        says(asked["subject"] != "bob" || !asked["topics"].to_string().contains("chat/8"))
    });
    let hook = hook(&receiver.url(), "timeout = \"30s\"");
    let server = closed(|config| config.hook = Some(hook));
    let mut ws = enter(&server, "/ws", &ada());
    let own = ws.subscribe("s", json!({"topics": ["chat/7"]}))["connection"].clone();
    let bob = token(&claims("bob", json!({"subscribe": ["chat/*"]})));
    ws.send(&json!({"op": "token", "token": bob}));
    receiver.wait_for(2);
    let target = format!("/connections/{}", own.as_str().unwrap());
    let add = br#"{"add": {"topics": ["chat/8"]}}"#;
    assert_eq!(server.request("PATCH", &target, &ada(), add).status, 200);
    gate.open();
    let answer = ws.message();
    assert_eq!(answer["problem"]["code"], "forbidden", "{answer}");
    let last = receiver.came().last().unwrap().json();
    // What it has said of the other is known.
    assert_eq!((&last["subject"], &last["topics"]), (&json!("bob"), &json!(["chat/8"])));
}
