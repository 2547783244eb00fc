//! The application and limits: what is refused anyway is not asked about, and an answer is for the
//! request that it was given for.

use serde_json::json;

use crate::hook::{Gate, hook, says};
use crate::limits::{limits, refused};
use crate::receiver::Receiver;
use crate::support::{DOORS, Server, until};
use crate::websocket::Ws;
use crate::wires::over_each_wire;

/// A server with a hook about these topics, and limits.
pub(crate) fn limited(receiver: &Receiver, about: &str, text: &str) -> Server {
    let (hook, limits) = (hook(&receiver.url(), about), limits(text));
    Server::with(|config| {
        config.hook = Some(hook);
        config.limits = limits;
    })
}

#[test]
fn an_answer_is_for_the_operation_that_was_asked_about() {
    let receiver =
        Receiver::start(|posted, _| says(!posted.json()["topics"].to_string().contains("no")));
    let server = limited(&receiver, "", "[limits.address]\npublish_rate = '1/h'");
    let mut ws = Ws::open(&server);
    // What it takes is taken once, before the question and not again after it.
    let said = ws.ask(json!({"op": "publish", "topic": "yes", "data": "x"}));
    assert_eq!(said["op"], "published", "{said}");
    let said = ws.ask(json!({"op": "publish", "topic": "yes/2", "data": "x"}));
    assert_eq!(said["problem"]["code"], "rate-limited", "{said}");
    let said = ws.ask(json!({"op": "subscribe", "sub": "s", "topics": ["no"]}));
    assert_eq!(said["problem"]["code"], "forbidden", "{said}");
    assert_eq!(receiver.came().len(), 2);
}

#[test]
fn a_stream_that_is_one_too_many_is_not_asked_about() {
    over_each_wire(|| {
        for door in DOORS {
            let receiver = Receiver::start(|_, _| says(true));
            let server = limited(&receiver, "", "[limits.address]\nsubscriptions = 1");
            let _stream = server.subscribe_with("/topics/a", door.headers());
            let accept = format!("Accept: text/event-stream\r\n{}", door.headers());
            for number in 0..3 {
                let reply = server.request("GET", &format!("/topics/b/{number}"), &accept, b"");
                refused(&reply, 429, "rate-limited", "subscriptions.address");
            }
            assert_eq!(receiver.came().len(), 1, "{door:?}");
        }
    });
}

#[test]
fn a_websockets_subscription_has_its_place_while_it_is_asked_about() {
    let gate = Gate::default();
    let passes = gate.clone();
    let receiver = Receiver::start(move |posted, _| {
        let allow = !posted.json()["topics"].to_string().contains("no");
        if !allow {
            passes.pass();
        }
        says(allow)
    });
    let server = limited(
        &receiver,
        "topics = [\"no\", \"yes\"]\ntimeout = \"30s\"",
        "[limits.address]\nsubscriptions = 1",
    );
    let (mut waits, mut other) = (Ws::open(&server), Ws::open(&server));
    let subscribe = |topic: &str| json!({"op": "subscribe", "sub": topic, "topics": [topic]});
    waits.send(&subscribe("no"));
    until("it waits", || receiver.told_all().len() == 1);
    for topic in ["yes", "free"] {
        let said = other.ask(subscribe(topic));
        assert_eq!(said["problem"]["limit"], "subscriptions.address", "{said}");
    }
    assert_eq!(receiver.told_all().len(), 1, "what is too much is not asked about");
    gate.open();
    assert_eq!(waits.message()["problem"]["code"], "forbidden");
    // What was refused has given its place back, and what is allowed keeps it.
    assert_eq!(other.ask(subscribe("yes"))["op"], "subscribed");
    assert_eq!(waits.ask(subscribe("free"))["problem"]["limit"], "subscriptions.address");
}

/// Who has shown no token is known by an address.
#[test]
fn an_answer_counts_for_nobody_at_another_address() {
    let receiver = Receiver::start(|posted, _| says(posted.json()["peer"] == "127.0.0.1"));
    let server = limited(&receiver, "", "");
    for door in DOORS {
        let status = |address| {
            let mut conn = crate::limits::from(&server, address);
            conn.ask("POST", "/topics/a", door.headers(), b"x");
            conn.reply().status
        };
        assert_eq!(status([127, 0, 0, 1]), 200);
        assert_eq!(status([127, 0, 0, 7]), 403);
    }
    assert_eq!(receiver.came().len(), 2);
}
