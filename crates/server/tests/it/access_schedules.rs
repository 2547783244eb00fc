//! What was published for later by somebody who is not welcome any more does not come.

use serde_json::{Value, json};
use tidings_server::config::IssuerConfig;

use crate::access::{Closed, claims, closed, now, operator, revoke, token};
use crate::access_ws::enter;
use crate::hook::{hook, says};
use crate::receiver::Receiver;
use crate::support::{DOORS, until};
use crate::wires::over_each_wire;

fn of(subject: &str, id: &str, issued: u64) -> String {
    let mut claims = claims(subject, json!({"publish": ["chat/*"]}));
    claims["jti"] = json!(id);
    claims["iat"] = json!(issued);
    format!("Tidings-Token: {}\r\n", token(&claims))
}

fn schedule(server: &Closed, fields: &str, delay: &str) -> Value {
    let target = format!("/topics/chat/7?delay={delay}");
    let reply = server.request("POST", &target, fields, fields.as_bytes());
    assert_eq!(reply.status, 202, "{}", reply.text());
    reply.json()
}

fn waiting(server: &Closed) -> usize {
    seen_waiting(server, &operator())
}

fn seen_waiting(server: &Closed, operator: &str) -> usize {
    let page = server.request("GET", "/metrics", operator, b"").text();
    let line = page.lines().find_map(|line| line.strip_prefix("tidings_scheduled_publishes "));
    line.unwrap().parse().unwrap()
}

fn kept(server: &Closed) -> Vec<String> {
    let fields = format!("Accept: application/json\r\n{}", operator());
    let page = server.request("GET", "/topics/chat/7?earliest", &fields, b"");
    if page.status == 404 {
        return Vec::new();
    }
    let page = page.json();
    let events = page["events"].as_array().unwrap();
    events.iter().map(|event| event["data"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn what_waits_is_taken_back_with_its_makers_token_or_subject() {
    let server = closed(|_| {});
    let (ada, adas_other) = (of("ada", "a1", now() - 10), of("ada", "a2", now() - 10));
    let (bob, eve) = (of("bob", "b1", now() - 10), of("eve", "e1", now() - 10));
    for fields in [&ada, &adas_other, &bob, &eve] {
        schedule(&server, fields, "300d");
    }
    schedule(&server, &eve, "8s");
    assert_eq!(waiting(&server), 5);
    // Its time is over before what it has scheduled is due; so it must not wait for that.
    revoke(&server, &json!({"token_id": "a1", "expires": now() + 1}));
    assert_eq!(waiting(&server), 4);
    revoke(&server, &json!({"subject": "bob"}));
    assert_eq!(waiting(&server), 3);
    let server = server.restart();
    // The one that is due soon may come between the two looks.
    until("what waited", || waiting(&server) + kept(&server).len() == 3);
    until("what nobody has revoked", || kept(&server) == [eve.clone()]);
    assert_eq!(waiting(&server), 2, "of ada's other token, and of eve");
    // Somebody who was let in again is judged by the newer token.
    let again = of("bob", "b2", now() + 45);
    schedule(&server, &again, "1s");
    until("what was made after it", || kept(&server) == [eve.clone(), again.clone()]);
}

#[test]
fn a_revocation_of_one_issuers_subject_leaves_the_others_alone() {
    let server = closed(|config| {
        let known = config.issuers.remove(0);
        let named = |name: &str| IssuerConfig { name: Some(name.to_owned()), ..known.clone() };
        config.issuers = vec![named("staff"), named("guests")];
    });
    let of = |issuer: &str, subject: &str| {
        let mut claims = claims(subject, json!({"publish": ["chat/*"], "admin": ["**"]}));
        claims["iss"] = json!(issuer);
        format!("Tidings-Token: {}\r\n", token(&claims))
    };
    let (operator, mine, theirs) = (of("staff", "ops"), of("staff", "ada"), of("guests", "ada"));
    schedule(&server, &mine, "300d");
    schedule(&server, &theirs, "300d");
    let revoke = |issuer: &str| {
        let body = json!({"subject": "ada", "issuer": issuer}).to_string();
        server.request("POST", "/revocations", &operator, body.as_bytes())
    };
    revoke("nobody").problem(400, "invalid-request");
    let status = |server: &Closed| {
        [&mine, &theirs].map(|it| server.request("POST", "/topics/chat/7", it, b"x").status)
    };
    assert_eq!(status(&server), [200, 200]);
    assert_eq!(revoke("guests").status, 200);
    assert_eq!(status(&server), [200, 401]);
    let server = server.restart();
    assert_eq!(status(&server), [200, 401], "after a restart");
    assert_eq!(seen_waiting(&server, &operator), 1);
}

#[test]
fn a_repeat_with_another_token_of_the_same_subject_is_a_repeat() {
    let server = closed(|_| {});
    let at = "/topics/chat/7?delay=300d";
    let ask = |fields: &str, data: &[u8]| {
        server.request("POST", at, &format!("Idempotency-Key: k\r\n{fields}"), data)
    };
    let first = ask(&of("ada", "a1", now() - 10), b"x");
    assert_eq!(first.status, 202);
    assert_eq!(ask(&of("ada", "a2", now() - 5), b"x").json(), first.json());
    ask(&of("ada", "a2", now() - 5), b"y").problem(422, "idempotency-mismatch");
    assert_eq!(waiting(&server), 1);
}

fn repeat(server: &Closed, fields: &str) -> Value {
    let fields = format!("Idempotency-Key: k\r\n{fields}");
    let reply = server.request("POST", "/topics/chat/7?delay=300d", &fields, b"x");
    assert_eq!(reply.status, 202, "{}", reply.text());
    reply.json()
}

#[test]
fn what_several_have_asked_for_waits_as_long_as_one_of_them_stands() {
    let server = closed(|_| {});
    let (a1, a2) = (of("ada", "a1", now() - 10), of("ada", "a2", now() - 5));
    let bob = of("bob", "b1", now() - 10);
    let first = repeat(&server, &a1);
    for fields in [&a2, &bob, &a1] {
        assert_eq!(repeat(&server, fields), first);
    }
    revoke(&server, &json!({"token_id": "a1", "expires": now() + 3_600}));
    assert_eq!(waiting(&server), 1, "of ada's other token, and of bob");
    let server = server.restart();
    revoke(&server, &json!({"subject": "ada"}));
    assert_eq!(waiting(&server), 1, "of bob");
    assert_eq!(repeat(&server, &bob), first);
    revoke(&server, &json!({"subject": "bob"}));
    assert_eq!(waiting(&server), 0);
    let carol = of("carol", "c1", now() - 10);
    assert_ne!(repeat(&server, &carol)["schedule"], first["schedule"], "it is hers alone");
    assert_eq!(waiting(&server), 1);
}

#[test]
fn who_has_asked_is_kept_at_every_door() {
    over_each_wire(|| {
        let receiver = Receiver::start(|_, _| says(true));
        let asks = hook(&receiver.url(), "");
        for hook in [None, Some(asks)] {
            let server = closed(|config| config.hook = hook);
            let (ada, bob) = (of("ada", "a1", now() - 10), of("bob", "b1", now() - 10));
            for who in [&ada, &bob] {
                for door in DOORS {
                    schedule(&server, &format!("{who}{}", door.headers()), "300d");
                }
                let many = br#"{"delay":"300d","events":[{"topic":"chat/7"},{"topic":"chat/8"}]}"#;
                assert_eq!(server.request("POST", "/publish", who, many).status, 202);
                let mut ws = enter(&server, "/ws", who);
                let one = json!({"op": "publish", "topic": "chat/7", "delay": "300d", "data": "x"});
                assert_eq!(ws.ask(one)["op"], "scheduled");
            }
            assert_eq!(waiting(&server), 8);
            revoke(&server, &json!({"subject": "ada"}));
            assert_eq!(waiting(&server), 4, "bob's");
            revoke(&server, &json!({"token_id": "b1", "expires": now() + 3_600}));
            assert_eq!(waiting(&server), 0);
        }
    });
}
