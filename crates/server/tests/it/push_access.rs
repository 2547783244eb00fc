//! Whose a push subscription is: it ends with what it stands on, and nobody takes all the room.

use serde_json::{Value, json};
use tidings_push::Services;
use tidings_scripted::push::PushService;

use crate::access::{Closed, claims, closed, people, token};
use crate::limits::from;
use crate::push::{asking, data};
use crate::support::{Reply, Server};

/// A server with tokens, that asks this push service.
fn server(service: &PushService) -> Closed {
    let services = Services::new(&[service.origin()]).unwrap();
    closed(|config| {
        let push = config.push.as_mut().unwrap();
        push.services = services;
        push.contact = Some("mailto:operator@tidings.example".into());
    })
}

fn post(server: &Server, token: &str, body: &Value) -> Reply {
    let fields = format!("Authorization: Bearer {token}\r\n");
    server.request("POST", "/push/subscriptions", &fields, body.to_string().as_bytes())
}

fn reader(subject: &str, id: &str) -> String {
    let mut claims = claims(subject, json!({"subscribe": ["a"]}));
    claims["jti"] = id.into();
    token(&claims)
}

#[test]
fn a_subscription_ends_when_its_token_or_its_subject_is_revoked() {
    let service = PushService::start().unwrap();
    let mut server = server(&service);
    let wanted = json!({"topics": ["a"]});
    for (browser, subject, id) in [
        ("eves", "eve", "1"),
        ("adas", "ada", "2"),
        ("adas other", "ada", "3"),
        ("bobs", "bob", "4"),
    ] {
        let browser = browser.replace(' ', "-");
        let reply = post(&server, &reader(subject, id), &asking(&service, &browser, &wanted));
        assert_eq!(reply.status, 201, "{}", reply.text());
    }
    // What is known of them outlives the process.
    server = server.restart();
    let operator = people()[3].clone().unwrap();
    let fields = format!("Authorization: Bearer {operator}\r\n");
    for (revoked, left) in [(json!({"subject": "eve"}), 3.0), (json!({"token_id": "2"}), 2.0)] {
        let body = revoked.to_string();
        let reply = server.request("POST", "/revocations", &fields, body.as_bytes());
        assert_eq!(reply.status, 200, "{}", reply.text());
        let metrics = server.request("GET", "/metrics", &fields, b"").text();
        let line = format!("tidings_push_subscriptions {left:.0}\n");
        assert!(metrics.contains(&line), "{metrics}");
    }
    server = server.restart();
    let sent = server.request("POST", "/topics/a", &fields, b"x");
    assert_eq!(sent.status, 200, "{}", sent.text());
    let all = service
        .wait_for(|all| !data(all, "bobs").is_empty() && !data(all, "adas-other").is_empty());
    assert_eq!((data(&all, "eves").len(), data(&all, "adas").len()), (0, 0));
}

#[test]
fn a_subject_has_so_many_and_its_room_is_its_own() {
    let service = PushService::start().unwrap();
    let server = server(&service);
    let wanted = json!({"topics": ["a"]});
    let mut body = asking(&service, "one", &wanted);
    let endpoint = body["endpoint"].as_str().unwrap().to_owned();
    let mut ask = |subject: &str, id: &str, number: usize| {
        body["endpoint"] = format!("{endpoint}/{number}").into();
        post(&server, &reader(subject, id), &body)
    };
    for number in 0..64 {
        assert_eq!(ask("ada", "1", number).status, 201, "{number}");
    }
    // With another token she is the same.
    ask("ada", "2", 64).problem(429, "rate-limited");
    assert_eq!(ask("ada", "2", 7).status, 200, "one of hers is changed");
    assert_eq!(ask("bob", "3", 65).status, 201);
    // What another takes over is not hers any more.
    assert_eq!(ask("bob", "3", 7).status, 200);
    assert_eq!(ask("ada", "1", 64).status, 201);
}

#[test]
fn an_address_has_so_many_without_a_token() {
    let service = PushService::start().unwrap();
    let services = Services::new(&[service.origin()]).unwrap();
    let server = Server::with(|config| config.push.as_mut().unwrap().services = services);
    let mut body = asking(&service, "one", &json!({"topics": ["a"]}));
    let endpoint = body["endpoint"].as_str().unwrap().to_owned();
    let mut ask = |conn: &mut crate::support::Conn, number: usize| {
        body["endpoint"] = format!("{endpoint}/{number}").into();
        // Below the limit of a topic.
        body["topics"] = json!([format!("t/{}", number / 100)]);
        conn.ask("POST", "/push/subscriptions", "", body.to_string().as_bytes());
        conn.reply()
    };
    let mut conn = server.connect();
    for number in 0..1_000 {
        assert_eq!(ask(&mut conn, number).status, 201, "{number}");
    }
    ask(&mut conn, 1_000).problem(429, "rate-limited");
    assert_eq!(ask(&mut from(&server, [127, 0, 0, 7]), 1_000).status, 201);
}

/// However its URL is written, an endpoint has one subscription.
#[test]
fn an_endpoint_is_one_however_it_is_written() {
    let server = Server::start();
    let service = PushService::start().unwrap();
    let mut body = asking(&service, "one", &json!({"topics": ["a"]}));
    let mut ids = Vec::new();
    for (endpoint, status) in [
        ("https://fcm.googleapis.com/fcm/send/a", 201),
        ("https://FCM.googleapis.com/fcm/send/a", 200),
        ("https://fcm.googleapis.com:443/fcm/send/a", 200),
        ("HTTPS://fcm.googleapis.com/fcm/send/a", 200),
    ] {
        body["endpoint"] = endpoint.into();
        let body = body.to_string();
        let reply = server.request("POST", "/push/subscriptions", "", body.as_bytes());
        assert_eq!(reply.status, status, "{endpoint}: {}", reply.text());
        ids.push(reply.json()["id"].clone());
    }
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
}
