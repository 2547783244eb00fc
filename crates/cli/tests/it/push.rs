//! Web Push when the program is ended without a warning: nothing is missed, and what is repeated
//! replaces itself.

use std::time::Instant;

use serde_json::json;
use tidings_scripted::push::{Browser, PushService, Pushed, Verdict};

use crate::raw::{PATIENCE, address, ask, publish};
use crate::server::Server;

/// What the browser was sent and has taken, repeats included.
fn taken(pushed: &[Pushed]) -> Vec<String> {
    let taken = pushed.iter().filter(|one| one.verdict == Verdict::Status(201));
    taken.map(|one| one.json()["data"].as_str().unwrap().to_owned()).collect()
}

fn metric(address: &str, name: &str) -> f64 {
    let (_, text) = ask(address, "GET", "/metrics", "").unwrap();
    let line = text.lines().find(|line| line.split(' ').next() == Some(name)).unwrap();
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

fn until(what: &str, done: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "waited too long for: {what}");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

#[test]
fn a_kill_loses_no_message_and_repeats_only_the_last() {
    let service = PushService::start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tidings.toml");
    std::fs::write(&file, format!("[push]\nservices = [{:?}]\n", service.origin())).unwrap();
    let server = Server::start_with(&["--config", file.to_str().unwrap()]);
    let at = address(&server);
    let browser = Browser::new("b");
    let body = json!({
        "endpoint": service.endpoint("b"), "topics": ["a"],
        "keys": {"p256dh": browser.p256dh(), "auth": browser.auth()},
    });
    let (status, _) = ask(&at, "POST", "/push/subscriptions", &body.to_string()).unwrap();
    assert_eq!(status, 201);
    publish(&at, "a", "1").unwrap();
    // The event, the subscription, and its position.
    until("the position is noted", || metric(&at, "tidings_log_events") >= 3.0);
    for data in ["2", "3"] {
        publish(&at, "a", data).unwrap();
    }
    service.wait_for(|all| taken(all).len() == 3);
    service.answer(|_, _| Verdict::Status(503));
    publish(&at, "a", "4").unwrap();
    service.wait_for(|all| all.len() >= 4);
    let (_, key) = ask(&at, "GET", "/push/key", "").unwrap();
    let server = server.crash_and_restart();
    service.answer(|_, _| Verdict::Status(201));
    publish(&at, "a", "5").unwrap();
    service.wait_for(|all| taken(all).contains(&"5".to_owned()));
    assert_eq!(ask(&at, "GET", "/push/key", "").unwrap().1, key);
    let server = server.crash_and_restart();
    publish(&at, "a", "6").unwrap();
    let pushed = service.wait_for(|all| taken(all).contains(&"6".to_owned()));
    let mut once: Vec<String> = Vec::new();
    for (data, one) in taken(&pushed).into_iter().zip(accepted(&pushed)) {
        if once.contains(&data) {
            let first = accepted(&pushed).find(|first| first.json()["data"] == *data).unwrap();
            let topic = |one: &Pushed| one.request.header("topic").unwrap().to_owned();
            assert_eq!((first.json(), topic(first)), (one.json(), topic(one)), "replaces itself");
            assert_ne!(data, "1", "it was noted");
        } else {
            once.push(data);
        }
    }
    assert_eq!(once, ["1", "2", "3", "4", "5", "6"]);
    assert_eq!(server.stop(), Some(0));
}

fn accepted(pushed: &[Pushed]) -> impl Iterator<Item = &Pushed> {
    pushed.iter().filter(|one| one.verdict == Verdict::Status(201))
}
