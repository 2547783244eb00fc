//! Web Push as a push service sees it, and the browsers behind it.

use std::time::Duration;

use serde_json::{Value, json};
use tidings_push::Services;
use tidings_scripted::push::{Browser, PushService, Pushed, Verdict};
use tidings_server::config::{Mode, load};

use crate::support::{PATIENCE, Reply, Server, until};

/// A server that asks this push service and no other.
fn server(service: &PushService) -> Server {
    limited(service, (10_000, 1_000), PATIENCE)
}

/// With limits: subscriptions in all, and of a topic; and how long an answer is waited for.
fn limited(service: &PushService, limits: (usize, usize), timeout: Duration) -> Server {
    let services = Services::new(&[service.origin()]).unwrap();
    Server::with(|config| {
        let push = config.push.as_mut().unwrap();
        push.services = services;
        push.contact = Some("mailto:operator@tidings.example".into());
        push.timeout = timeout;
        (push.subscriptions, push.topic_subscriptions) = limits;
    })
}

/// What the browser of this name asks for.
pub(crate) fn asking(service: &PushService, browser: &str, more: &Value) -> Value {
    let keys = Browser::new(browser);
    let mut body = json!({
        "endpoint": service.endpoint(browser),
        "expirationTime": null,
        "keys": {"p256dh": keys.p256dh(), "auth": keys.auth()},
    });
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

fn post(server: &Server, body: &Value) -> Reply {
    server.request("POST", "/push/subscriptions", "", body.to_string().as_bytes())
}

/// Subscribes and returns the id.
#[track_caller]
fn subscribe(server: &Server, service: &PushService, browser: &str, more: &Value) -> String {
    let reply = post(server, &asking(service, browser, more));
    assert_eq!(reply.status, 201, "{}", reply.text());
    reply.json()["id"].as_str().unwrap().to_owned()
}

/// What a browser was sent and has taken.
pub(crate) fn data(pushed: &[Pushed], browser: &str) -> Vec<String> {
    let taken = |one: &&Pushed| one.browser == browser && one.verdict == Verdict::Status(201);
    let text = |one: &Pushed| one.json()["data"].as_str().unwrap_or("?").to_owned();
    pushed.iter().filter(taken).map(text).collect()
}

#[test]
fn an_event_reaches_a_browser() {
    let service = PushService::start().unwrap();
    let server = server(&service);
    let wanted = json!({"topics": ["a"], "ttl": "1h", "urgency": "high"});
    let reply = post(&server, &asking(&service, "b", &wanted));
    assert_eq!(reply.status, 201, "{}", reply.text());
    let id = reply.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(reply.header("location").unwrap(), format!("/push/subscriptions/{id}"));
    let event = server.publish("/topics/a?type=said", "hello");
    let pushed = &service.wait_for(|all| !all.is_empty())[0];
    let payload = pushed.json();
    assert_eq!((&payload["id"], &payload["topic"]), (&event.into(), &"a".into()));
    assert_eq!((&payload["type"], &payload["data"]), (&"said".into(), &"hello".into()));
    assert_eq!(pushed.claims["sub"], "mailto:operator@tidings.example");
    let key = server.get("/push/key").json()["key"].as_str().unwrap().to_owned();
    assert_eq!(pushed.key, key);
    let ttl: u64 = pushed.request.header("ttl").unwrap().parse().unwrap();
    assert!((3_500..=3_600).contains(&ttl), "{ttl}");
    assert_eq!(pushed.request.header("urgency"), Some("high"));
    assert_eq!(pushed.request.header("topic").unwrap().len(), 32);
    until("it is counted", || server.metric("tidings_push_sent_messages_total") == 1.0);
    assert_eq!(server.metric("tidings_push_subscriptions"), 1.0);
}

#[test]
fn the_key_is_the_owners_alone_and_is_not_made_where_push_is_off() {
    use std::os::unix::fs::PermissionsExt as _;
    for on in [true, false] {
        let mut path = std::path::PathBuf::new();
        let server = Server::with(|config| {
            path = config.data_dir.join("push.key");
            config.push = config.push.take().filter(|_| on);
        });
        let mode = std::fs::metadata(&path).map(|data| data.permissions().mode() & 0o777).ok();
        assert_eq!(mode, on.then_some(0o600));
        assert_eq!(server.get("/push/key").status, if on { 200 } else { 501 });
    }
}

#[test]
fn only_what_is_wanted_is_sent_and_only_from_then_on() {
    let service = PushService::start().unwrap();
    let server = server(&service);
    server.publish("/topics/a", "before");
    server.publish("/topics/c/1", "before");
    let wanted = json!({"topics": ["a"], "patterns": ["c/*"]});
    subscribe(&server, &service, "b", &wanted);
    server.publish("/topics/other", "other");
    server.publish("/topics/a?private", "private");
    server.publish("/topics/a", "1");
    server.publish("/topics/c/1", "2");
    server.publish("/topics/c/new", "3");
    let pushed = service.wait_for(|all| all.len() >= 3);
    assert_eq!(data(&pushed, "b"), ["1", "2", "3"]);
}

#[test]
fn a_reminder_is_sent_at_its_time() {
    let service = PushService::start().unwrap();
    let server = server(&service);
    subscribe(&server, &service, "b", &json!({"topics": ["reminders"]}));
    let reply = server.request("POST", "/topics/reminders?delay=300ms", "", b"tide turns");
    let at = reply.json()["at"].as_str().unwrap().to_owned();
    let pushed = service.wait_for(|all| !all.is_empty());
    assert_eq!(data(&pushed, "b"), ["tide turns"]);
    assert!(pushed[0].json()["time"].as_str().unwrap() >= &*at, "{:?}", pushed[0].json());
}

#[test]
fn what_does_not_fit_is_told_without_its_data() {
    let service = PushService::start().unwrap();
    let server = server(&service);
    subscribe(&server, &service, "b", &json!({"topics": ["a"]}));
    let event = server.publish("/topics/a?type=long", &"x".repeat(4_000));
    let pushed = &service.wait_for(|all| !all.is_empty())[0];
    let payload = pushed.json();
    assert_eq!((&payload["id"], &payload["type"]), (&event.into(), &"long".into()));
    assert_eq!((&payload["topic"], &payload["truncated"]), (&"a".into(), &true.into()));
    assert!(payload.get("data").is_none());
    until("it is counted", || server.metric("tidings_push_truncated_messages_total") == 1.0);
}

#[test]
fn a_restart_loses_nothing_and_repeats_nothing_that_was_noted() {
    let service = PushService::start().unwrap();
    let server = server(&service);
    subscribe(&server, &service, "b", &json!({"topics": ["a"]}));
    subscribe(&server, &service, "removed", &json!({"topics": ["a"]}));
    let key = server.get("/push/key").json();
    for data in ["1", "2", "3"] {
        server.publish("/topics/a", data);
    }
    service.wait_for(|all| data(all, "b").len() == 3 && data(all, "removed").len() == 3);
    let id = subscribe_again(&server, &service, "removed");
    let path = format!("/push/subscriptions/{id}");
    assert_eq!(server.request("DELETE", &path, "", b"").status, 204);
    assert_eq!(server.request("DELETE", &path, "", b"").status, 404);
    // Away: what is published now is not delivered before the restart.
    service.answer(|_, _| Verdict::Status(503));
    server.publish("/topics/a", "4");
    server.publish("/topics/a", "5");
    service.wait_for(|all| all.iter().any(|one| one.verdict == Verdict::Status(503)));
    let server = server.restart();
    service.answer(|_, _| Verdict::Status(201));
    server.publish("/topics/a", "6");
    let pushed = service.wait_for(|all| data(all, "b").len() >= 6);
    assert_eq!(data(&pushed, "b"), ["1", "2", "3", "4", "5", "6"]);
    assert_eq!(data(&pushed, "removed").len(), 3);
    assert_eq!(server.get("/push/key").json(), key);
    assert_eq!(server.metric("tidings_push_subscriptions"), 1.0);
}

/// The same browser once more: the same id, and no second subscription.
#[track_caller]
fn subscribe_again(server: &Server, service: &PushService, browser: &str) -> String {
    let reply = post(server, &asking(service, browser, &json!({"topics": ["a"]})));
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()["id"].as_str().unwrap().to_owned()
}

#[test]
fn a_browser_that_is_gone_is_forgotten() {
    for status in [404, 410] {
        let service = PushService::start().unwrap();
        let server = server(&service);
        service.answer(move |browser, _| {
            Verdict::Status(if browser == "gone" { status } else { 201 })
        });
        let id = subscribe(&server, &service, "gone", &json!({"topics": ["a"]}));
        subscribe(&server, &service, "here", &json!({"topics": ["a"]}));
        server.publish("/topics/a", "1");
        until("it is gone", || server.metric("tidings_push_gone_subscriptions_total") == 1.0);
        assert_eq!(server.metric("tidings_push_subscriptions"), 1.0);
        let path = format!("/push/subscriptions/{id}");
        assert_eq!(server.request("DELETE", &path, "", b"").status, 404);
        let server = server.restart();
        server.publish("/topics/a", "2");
        let pushed = service.wait_for(|all| data(all, "here").len() == 2);
        assert_eq!(pushed.iter().filter(|one| one.browser == "gone").count(), 1);
    }
}

#[test]
fn who_asks_for_time_is_given_it() {
    let service = PushService::start().unwrap();
    let server = server(&service);
    service.answer(|_, before| match before {
        0 => Verdict::Later(429, 2),
        1 => Verdict::Status(500),
        _ => Verdict::Status(201),
    });
    subscribe(&server, &service, "b", &json!({"topics": ["a"]}));
    server.publish("/topics/a", "1");
    server.publish("/topics/a", "2");
    let pushed = service.wait_for(|all| data(all, "b").len() == 2);
    let all: Vec<_> = pushed.iter().map(|one| one.json()["data"].clone()).collect();
    assert_eq!(all, ["1", "1", "1", "2"]);
    // Not before: that is the promise, however slow the machine is.
    let waited = pushed[1].request.at - pushed[0].request.at;
    assert!(waited >= std::time::Duration::from_secs(2), "{waited:?}");
    // A repeat replaces what the push service may have after all.
    let topics: Vec<_> = pushed.iter().map(|one| one.request.header("topic").unwrap()).collect();
    assert!(topics[0] == topics[2] && topics[2] != topics[3], "{topics:?}");
    until("they are counted", || server.metric("tidings_push_delayed_attempts_total") == 2.0);
}

#[test]
fn what_cannot_be_delivered_in_its_time_is_given_up() {
    let service = PushService::start().unwrap();
    let server = server(&service);
    service.answer(|_, _| Verdict::Status(503));
    subscribe(&server, &service, "b", &json!({"topics": ["a"], "ttl": "2s"}));
    server.publish("/topics/a", "old");
    until("it is given up", || server.metric("tidings_push_expired_messages_total") == 1.0);
    service.answer(|_, _| Verdict::Status(201));
    server.publish("/topics/a", "new");
    let pushed = service.wait_for(|all| !data(all, "b").is_empty());
    assert_eq!(data(&pushed, "b"), ["new"]);
}

#[test]
fn one_that_is_not_answered_holds_up_nobody_else() {
    let service = PushService::start().unwrap();
    let server = limited(&service, (10_000, 1_000), Duration::from_secs(3));
    service.answer(|browser, before| match (browser, before) {
        ("slow", 0) => Verdict::Silence,
        _ => Verdict::Status(201),
    });
    subscribe(&server, &service, "slow", &json!({"topics": ["a"]}));
    subscribe(&server, &service, "fast", &json!({"topics": ["a"]}));
    server.publish("/topics/a", "1");
    server.publish("/topics/a", "2");
    let pushed = service.wait_for(|all| data(all, "slow").len() == 2);
    assert_eq!(
        (data(&pushed, "fast").len(), data(&pushed, "slow")),
        (2, vec!["1".into(), "2".into()])
    );
    let slow: Vec<_> = pushed.iter().filter(|one| one.browser == "slow").collect();
    assert_eq!(slow[0].verdict, Verdict::Silence);
}

#[test]
fn one_that_is_always_refused_is_given_up() {
    let service = PushService::start().unwrap();
    let server = server(&service);
    service.answer(|_, before| Verdict::Status(if before == 5 { 201 } else { 403 }));
    subscribe(&server, &service, "b", &json!({"topics": ["a"]}));
    server.publish_numbers("a", 0..40);
    until("it is gone", || server.metric("tidings_push_subscriptions") == 0.0);
    // Five, one that was taken, and then twenty in a row.
    assert_eq!(service.pushed().len(), 26);
    assert_eq!(server.metric("tidings_push_refused_messages_total"), 25.0);
}

#[test]
fn topics_change_without_losing_the_place() {
    let service = PushService::start().unwrap();
    let server = server(&service);
    subscribe(&server, &service, "b", &json!({"topics": ["a"]}));
    server.publish("/topics/a", "a1");
    server.publish("/topics/c", "c1");
    service.wait_for(|all| all.len() == 1);
    let reply = post(&server, &asking(&service, "b", &json!({"topics": ["c"]})));
    assert_eq!(reply.status, 200, "{}", reply.text());
    // Once it follows the new topic it does not follow the old one.
    let mut number = 1;
    until("the new topic is followed", || {
        number += 1;
        server.publish("/topics/c", &format!("c{number}"));
        service.pushed().len() > 1
    });
    server.publish("/topics/a", "a2");
    server.publish("/topics/c", "last");
    let pushed = service.wait_for(|all| data(all, "b").last().unwrap() == "last");
    let data = data(&pushed, "b");
    assert!(!data.contains(&"a2".into()) && !data.contains(&"c1".into()), "{data:?}");
    // Until its answer has come, a message counts as not sent, and would be sent again.
    let all = pushed.len() as f64;
    until("all are taken", || server.metric("tidings_push_sent_messages_total") == all);
    let server = server.restart();
    server.publish("/topics/a", "a3");
    server.publish("/topics/c", "c again");
    let pushed = service.wait_for(|all| all.len() > data.len());
    assert_eq!(pushed.last().unwrap().json()["data"], "c again");
}

#[test]
fn nobody_has_the_server_call_other_places() {
    let service = PushService::start().unwrap();
    let server = server(&service);
    let good = asking(&service, "b", &json!({"topics": ["a"]}));
    let with = |name: &str, value: Value| {
        let mut body = good.clone();
        body[name] = value;
        body
    };
    for (body, status, code) in [
        (with("endpoint", json!("https://fcm.googleapis.com/fcm/send/a")), 403, "forbidden"),
        (with("endpoint", json!("https://127.0.0.1/a")), 403, "forbidden"),
        (with("endpoint", json!("http://127.0.0.1:1/a")), 400, "invalid-parameter"),
        (with("endpoint", json!("file:///etc/passwd")), 400, "invalid-parameter"),
        (with("endpoint", json!("")), 400, "invalid-parameter"),
        (with("keys", json!({"p256dh": "BAAA", "auth": "AAAA"})), 400, "invalid-parameter"),
        (with("keys", json!({"p256dh": good["keys"]["p256dh"]})), 400, "invalid-json"),
        (with("topics", json!([])), 400, "invalid-request"),
        (with("topics", json!(["$push/subscriptions"])), 403, "forbidden"),
        (with("patterns", json!(["$push/*"])), 403, "forbidden"),
        (with("topics", json!(["a//b"])), 400, "invalid-topic"),
        (with("topics", (0..65).map(|n| json!(n.to_string())).collect()), 400, "too-many-topics"),
        (with("ttl", json!("29d")), 400, "invalid-parameter"),
        (with("ttl", json!("0s")), 400, "invalid-parameter"),
        (with("urgency", json!("now")), 400, "invalid-json"),
        (with("more", json!(1)), 400, "invalid-json"),
    ] {
        let reply = post(&server, &body);
        assert_eq!((reply.status, &reply.json()["code"]), (status, &code.into()), "{body}");
    }
    assert_eq!(server.metric("tidings_push_subscriptions"), 0.0);
    // And what is stored is nobody's business.
    subscribe(&server, &service, "b", &json!({"topics": ["a"]}));
    assert_eq!(server.get("/topics/$push/subscriptions").status, 403);
}

#[test]
fn a_topic_and_the_server_take_so_many_and_no_more() {
    let service = PushService::start().unwrap();
    let server = limited(&service, (3, 2), PATIENCE);
    let a = json!({"topics": ["a"]});
    subscribe(&server, &service, "1", &a);
    let second = subscribe(&server, &service, "2", &a);
    let refused = post(&server, &asking(&service, "3", &a));
    assert_eq!((refused.status, &refused.json()["code"]), (429, &"rate-limited".into()));
    // Who has a place keeps it.
    assert_eq!(subscribe_again(&server, &service, "2"), second);
    subscribe(&server, &service, "3", &json!({"topics": ["b"]}));
    let refused = post(&server, &asking(&service, "4", &json!({"topics": ["c"]})));
    assert_eq!(refused.status, 429, "{}", refused.text());
    let server = server.restart();
    assert_eq!(post(&server, &asking(&service, "4", &a)).status, 429);
    server.request("DELETE", &format!("/push/subscriptions/{second}"), "", b"");
    subscribe(&server, &service, "4", &a);
}

#[test]
fn it_is_off_unless_asked_for() {
    let text = "anonymous = [\"subscribe\", \"publish\"]\n";
    let file = |text: String| tidings_server::config::File { name: "f".into(), text };
    let serve = |text: String| load(Mode::Serve, Some(&file(text)), std::iter::empty(), &[]);
    let from = serve(text.to_owned()).unwrap().config;
    assert_eq!(from.push, None);
    let server = Server::with(|config| config.push = from.push);
    for (method, path) in [("GET", "/push/key"), ("DELETE", "/push/subscriptions/a")] {
        let reply = server.request(method, path, "", b"");
        assert_eq!((reply.status, &reply.json()["code"]), (501, &"not-implemented".into()));
    }
    let wrong = |more: &str| {
        serve(format!("{text}[push]\nenabled = true\n{more}")).unwrap_err().to_string()
    };
    assert!(wrong("").contains("push.contact"), "{}", wrong(""));
    assert!(wrong("contact = \"me\"").contains("mailto:"));
    let more = "contact = \"mailto:a@b.example\"\nservices = [\"a.example\", \"*\"]";
    assert!(wrong(more).contains("push.services[1]"), "{}", wrong(more));
}
