//! Webhooks as their receivers see them: signed, in order, again until they are accepted.

use std::time::Duration;

use base64::Engine as _;
use serde_json::json;
use tidings_server::config::{Config, File, Mode, load};

use crate::connections::{LARGE, listed, stuck};
use crate::receiver::{Answer, Receiver};
use crate::support::{Server, until};
use crate::wires::over_each_wire;

/// A secret of 32 bytes, all this one.
pub(crate) fn secret(byte: u8) -> String {
    format!("whsec_{}", base64::engine::general_purpose::STANDARD.encode([byte; 32]))
}

/// What these lines of a configuration file say, with `SECRET` as the path of a file that holds the
/// secrets.
pub(crate) fn configured(text: &str, secrets: &[String]) -> Config {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    std::fs::write(&path, secrets.join("\n")).unwrap();
    let text = text.replace("SECRET", path.to_str().unwrap());
    let file = File { name: "tidings.toml".into(), text };
    load(Mode::Dev, Some(&file), std::iter::empty(), &[]).unwrap().config
}

/// A webhook of this name that is told everything.
pub(crate) fn webhook(name: &str, url: &str, more: &str) -> String {
    format!(
        "[[webhook]]\nname = {name:?}\nurl = {url:?}\nsecret_file = \"SECRET\"\n\
         events = [\"topic.occupied\", \"topic.vacated\", \"subject.online\", \"subject.offline\", \
         \"answer.finished\"]\n{more}\n"
    )
}

/// A server with these webhooks, impatient ones.
pub(crate) fn server(text: &str) -> Server {
    server_with(text, Duration::from_millis(200))
}

/// As [`server`]; the grace is long where somebody is to come back within it.
fn server_with(text: &str, grace: Duration) -> Server {
    let from = configured(text, &[secret(1)]);
    Server::with(|config| {
        config.webhooks = from.webhooks;
        config.vacancy_grace = grace;
        for webhook in &mut config.webhooks {
            webhook.first_retry = Duration::from_millis(20);
        }
    })
}

fn accepts() -> Receiver {
    Receiver::start(|_, _| Answer::status(204))
}

#[test]
fn tells_who_comes_and_goes_signed() {
    over_each_wire(|| {
        let receiver = accepts();
        let server = server(&webhook("app", &receiver.url(), ""));
        let first = server.subscribe("/topics/chat/7");
        let [occupied] = &receiver.wait_for(1)[..] else { panic!("one") };
        assert!(occupied.head.starts_with("POST /hooks?from=tidings HTTP/1.1\r\n"), "{occupied:?}");
        assert_eq!(occupied.header("content-type"), "application/json");
        assert!(occupied.is_signed_with(&secret(1)) && !occupied.is_signed_with(&secret(2)));
        assert!(occupied.id().starts_with("msg_"), "{occupied:?}");
        let told = occupied.json();
        assert_eq!(told["type"], "topic.occupied");
        assert_eq!(told["data"], json!({"topic": "chat/7"}));
        assert!(told["timestamp"].as_str().unwrap().ends_with('Z'));
        // Another changes nothing.
        let second = server.subscribe("/events?topic=chat/7&topic=chat/8");
        receiver.wait_for(2);
        drop((first, second));
        receiver.wait_for(4);
        let mut told = receiver.told();
        told[2..].sort();
        let wanted = ["topic.occupied chat/7", "topic.occupied chat/8", "topic.vacated chat/7"];
        assert_eq!(told, [&wanted[..], &["topic.vacated chat/8"]].concat());
        let ids: std::collections::HashSet<_> =
            receiver.came().iter().map(|c| c.id().to_owned()).collect();
        assert_eq!(ids.len(), 4);
        until("it is counted", || {
            server.metric("tidings_webhook_sent_total{webhook=\"app\"}") == 4.0
        });
        assert_eq!(server.metric("tidings_webhook_waiting{webhook=\"app\"}"), 0.0);
    });
}

#[test]
fn a_page_that_is_loaded_again_is_no_change() {
    let receiver = accepts();
    let server = server_with(&webhook("app", &receiver.url(), ""), Duration::from_secs(4));
    let mut subscribed = server.subscribe("/topics/a");
    receiver.wait_for(1);
    for _ in 0..5 {
        drop(subscribed);
        subscribed = server.subscribe("/topics/a");
    }
    drop(subscribed);
    receiver.wait_for(2);
    // Told of after all that came before.
    let _other = server.subscribe("/topics/b");
    receiver.wait_for(3);
    assert_eq!(receiver.told(), ["topic.occupied a", "topic.vacated a", "topic.occupied b"]);
}

#[test]
fn every_way_to_subscribe_counts_and_changes_are_changes() {
    over_each_wire(|| {
        let receiver = accepts();
        let server = server(&webhook("app", &receiver.url(), "topics = [\"a/*\", \"ws/**\"]"));
        // Patterns, other topics and the past count nothing.
        let _pattern = server.subscribe("/events?pattern=a/*&topic=other");
        let _all = server.subscribe("/events?pattern=**");
        let from_log = server.subscribe("/topics/a/log?earliest");
        assert_eq!(receiver.wait_for(1)[0].told(), "topic.occupied a/log");
        let connection = from_log.own_name();
        let change = json!({"add": {"topics": ["a/new"]}, "remove": {"topics": ["a/log"]}});
        let reply = server.request(
            "PATCH",
            &format!("/connections/{connection}"),
            "",
            change.to_string().as_bytes(),
        );
        assert_eq!(reply.status, 200, "{}", reply.text());
        receiver.wait_for(3);
        let mut ws = crate::websocket::Ws::open(&server);
        ws.subscribe("s", json!({"topics": ["ws/1"]}));
        receiver.wait_for(4);
        drop((ws, from_log));
        receiver.wait_for(6);
        let mut told = receiver.told();
        told[4..].sort();
        assert_eq!(
            told,
            [
                "topic.occupied a/log",
                "topic.occupied a/new",
                "topic.vacated a/log",
                "topic.occupied ws/1",
                "topic.vacated a/new",
                "topic.vacated ws/1",
            ]
        );
    });
}

#[test]
fn a_change_in_the_middle_of_catching_up_is_a_change() {
    over_each_wire(|| {
        let receiver = accepts();
        let server = server(&webhook("app", &receiver.url(), "topics = [\"a/*\"]"));
        let large = "x".repeat(256 << 10);
        (0..LARGE).for_each(|_| drop(server.publish("/topics/a/log", &large)));
        let stream = stuck(&server, "/topics/a/log?earliest", "");
        assert_eq!(receiver.wait_for(1)[0].told(), "topic.occupied a/log");
        let target = format!("/connections/{}", stream.own_name());
        let change = json!({"add": {"topics": ["a/new"]}, "remove": {"topics": ["a/log"]}});
        let change = change.to_string();
        assert_eq!(server.request("PATCH", &target, "", change.as_bytes()).status, 200);
        receiver.wait_for(3);
        assert_ne!(listed(&server, &stream.name()).unwrap()["state"], "live");
        drop(stream);
        receiver.wait_for(4);
        let told = ["occupied a/log", "occupied a/new", "vacated a/log", "vacated a/new"];
        assert_eq!(receiver.told(), told.map(|told| format!("topic.{told}")));
    });
}

#[test]
fn what_a_receiver_does_not_take_comes_again_with_the_same_id() {
    let not_taken = [
        Answer::status(500),
        Answer::status(302),
        Answer::status(404),
        Answer::Close,
        Answer::Say(503, "Retry-After: 0\r\n".into(), "later".into()),
        Answer::Say(200, String::new(), "x".repeat(70_000)),
        Answer::Nothing,
    ];
    let tries = not_taken.len();
    let receiver = Receiver::start(move |_, before| {
        not_taken.get(before).cloned().unwrap_or_else(|| Answer::status(200))
    });
    let server = server(&webhook("app", &receiver.url(), "timeout = \"3s\""));
    let _subscribed = server.subscribe("/topics/a");
    let came = receiver.wait_for(tries + 1);
    assert_eq!(came.len(), tries + 1);
    for again in &came {
        assert_eq!((again.id(), &again.body), (came[0].id(), &came[0].body));
        assert!(again.is_signed_with(&secret(1)));
    }
    until("it is counted", || server.metric("tidings_webhook_sent_total{webhook=\"app\"}") == 1.0);
    let failed = server.metric("tidings_webhook_failed_total{webhook=\"app\"}");
    assert_eq!(failed, tries as f64);
}

/// Of one topic nothing is overtaken; of others nothing waits.
#[test]
fn one_topic_waits_for_its_first_and_holds_nobody_up() {
    let stuck = |posted: &crate::receiver::Posted| posted.json()["data"]["topic"] == "stuck";
    let open = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let opened = open.clone();
    let receiver = Receiver::start(move |posted, _| {
        let refused = stuck(posted) && !opened.load(std::sync::atomic::Ordering::SeqCst);
        Answer::status(if refused { 500 } else { 200 })
    });
    let other = accepts();
    let both = [("app", &receiver), ("other", &other)];
    let text: String = both.map(|(name, to)| webhook(name, &to.url(), "")).concat();
    let server = server(&text);
    drop(server.subscribe("/topics/stuck"));
    other.wait_for(2);
    for topic in 0..10 {
        drop(server.subscribe(&format!("/topics/free/{topic}")));
    }
    other.wait_for(22);
    let free = |told: &String| told.contains("free/");
    until("what is free has come", || {
        receiver.told().iter().filter(|told| free(told)).count() == 20
    });
    assert!(receiver.told().iter().all(|told| told != "topic.vacated stuck"));
    open.store(true, std::sync::atomic::Ordering::SeqCst);
    until("what was stuck has come", || {
        receiver.told().last().is_some_and(|told| told == "topic.vacated stuck")
    });
    for topic in 0..10 {
        let told = receiver.told();
        let at = |what: &str| {
            let wanted = format!("topic.{what} free/{topic}");
            told.iter().position(|told| *told == wanted).unwrap()
        };
        assert!(at("occupied") < at("vacated"), "{told:?}");
    }
}

#[test]
fn a_receiver_that_is_down_gets_everything_later_also_after_a_restart() {
    let address = accepts().stop();
    let mut server = server(&webhook("app", &format!("http://{address}/"), ""));
    let failed = "tidings_webhook_failed_total{webhook=\"app\"}";
    let waiting = |server: &Server| server.metric("tidings_webhook_waiting{webhook=\"app\"}");
    for (topic, queued) in [("a", 2.0), ("b", 4.0), ("a", 6.0)] {
        drop(server.subscribe(&format!("/topics/{topic}")));
        // Within the grace it would not have gone.
        until("it has gone", || waiting(&server) == queued);
    }
    until("it was tried", || server.metric(failed) > 3.0);
    server = server.restart();
    let receiver = Receiver::at(address, |_, _| Answer::status(200));
    receiver.wait_for(6);
    let of = |topic: &str| -> Vec<String> {
        receiver.told().into_iter().filter(|told| told.ends_with(topic)).collect()
    };
    let (occupied, vacated) = (|t| format!("topic.occupied {t}"), |t| format!("topic.vacated {t}"));
    assert_eq!(of(" a"), [occupied("a"), vacated("a"), occupied("a"), vacated("a")]);
    assert_eq!(of(" b"), [occupied("b"), vacated("b")]);
    // Once more: what was accepted is not sent again, and who was here and stays away has gone.
    let _subscribed = server.subscribe("/topics/c");
    receiver.wait_for(7);
    until("noted", || waiting(&server) == 0.0);
    let _server = server.restart();
    receiver.wait_for(8);
    let ids: Vec<String> = receiver.came().iter().map(|came| came.id().to_owned()).collect();
    let unique: std::collections::HashSet<&String> = ids.iter().collect();
    assert_eq!(unique.len(), ids.len(), "{ids:?}");
    assert_eq!(receiver.told()[6..], ["topic.occupied c", "topic.vacated c"]);
}

#[test]
fn who_comes_back_after_a_restart_has_never_gone() {
    let receiver = accepts();
    let server = server_with(&webhook("app", &receiver.url(), ""), Duration::from_secs(4));
    let _subscribed = (server.subscribe("/topics/stays"), server.subscribe("/topics/goes"));
    receiver.wait_for(2);
    let server = server.restart();
    let _subscribed = server.subscribe("/topics/stays");
    receiver.wait_for(3);
    let _subscribed = server.subscribe("/topics/new");
    receiver.wait_for(4);
    assert_eq!(receiver.told()[2..], ["topic.vacated goes", "topic.occupied new"]);
}

#[test]
fn one_that_wants_nothing_more_is_told_nothing_until_a_restart() {
    let receiver = Receiver::start(|_, before| Answer::status(if before == 0 { 410 } else { 200 }));
    let other = accepts();
    let text = [("gone", &receiver), ("other", &other)].map(|(n, to)| webhook(n, &to.url(), ""));
    let server = server(&text.concat());
    let _one = server.subscribe("/topics/a");
    let disabled = "tidings_webhook_disabled{webhook=\"gone\"}";
    until("it is disabled", || server.metric(disabled) == 1.0);
    let _two = server.subscribe("/topics/b");
    other.wait_for(2);
    assert_eq!(receiver.came().len(), 1);
    let server = server.restart();
    let came = receiver.wait_for(3);
    assert_eq!(server.metric(disabled), 0.0);
    let told: Vec<String> = came.iter().map(crate::receiver::Posted::told).collect();
    let again = told[1..].iter().position(|told| told == "topic.occupied a").unwrap();
    assert!(told.contains(&"topic.occupied b".into()), "{told:?}");
    assert_eq!(came[0].id(), came[1 + again].id());
}

#[test]
fn what_is_not_taken_in_time_is_given_up() {
    let receiver = Receiver::start(|posted, _| {
        Answer::status(if posted.told().ends_with(" bad") { 500 } else { 200 })
    });
    let server = server(&webhook("app", &receiver.url(), "retry_for = \"1s\""));
    drop(server.subscribe("/topics/bad"));
    until("it is given up", || {
        server.metric("tidings_webhook_given_up_total{webhook=\"app\"}") == 2.0
    });
    let told = receiver.told();
    let first_of_second = told.iter().position(|told| told == "topic.vacated bad").unwrap();
    assert!(told[first_of_second..].iter().all(|told| told == "topic.vacated bad"), "{told:?}");
    assert!(first_of_second > 1, "{told:?}");
}

#[test]
fn while_secrets_change_both_sign() {
    let receiver = accepts();
    let text = webhook("app", &receiver.url(), "");
    let from = configured(&text, &[secret(2), secret(1)]);
    let server = Server::with(|config| config.webhooks = from.webhooks);
    let _subscribed = server.subscribe("/topics/a");
    let [came] = &receiver.wait_for(1)[..] else { panic!("one") };
    for (byte, signed) in [(1, true), (2, true), (3, false)] {
        assert_eq!(came.is_signed_with(&secret(byte)), signed, "{byte}");
    }
    let mut changed = came.clone();
    changed.body.push(b' ');
    assert!(!changed.is_signed_with(&secret(1)));
    let mut later = came.clone();
    later.head = later.head.replace("webhook-timestamp: 1", "webhook-timestamp: 2");
    assert!(!later.is_signed_with(&secret(1)));
}

#[test]
fn connections_to_a_receiver_are_used_again() {
    let receiver = accepts();
    let server = server(&webhook("app", &receiver.url(), "concurrency = 1"));
    for topic in 0..5 {
        drop(server.subscribe(&format!("/topics/{topic}")));
        receiver.wait_for(topic + 1);
    }
    let came = receiver.wait_for(10);
    assert!(came.iter().all(|came| came.connection == 0), "{came:?}");
}

/// Nobody reads what the server keeps for itself.
#[test]
fn the_queue_is_nobodys_to_read() {
    let receiver = accepts();
    let server = server(&webhook("app", &receiver.url(), ""));
    let _subscribed = server.subscribe("/topics/a");
    receiver.wait_for(1);
    for topic in ["$webhooks/app", "$webhook-notes/told", "$webhook-notes/positions"] {
        let target = format!("/topics/{topic}?earliest");
        let page = server.request("GET", &target, "Accept: application/json\r\n", b"");
        assert_eq!(page.status, 403, "{}", page.text());
        assert_eq!(server.request("POST", &format!("/topics/{topic}"), "", b"x").status, 403);
    }
}

/// While the first is not answered, nothing else of its topic is sent, not even the same again.
#[test]
fn of_one_topic_there_is_one_request_at_a_time() {
    let gate = crate::hook::Gate::default();
    let passes = gate.clone();
    let receiver = Receiver::start(move |posted, before| {
        if before == 0 {
            assert_eq!(posted.told(), "topic.occupied held");
            passes.pass();
        }
        Answer::status(200)
    });
    let other = accepts();
    let both = [("app", &receiver), ("other", &other)];
    let text: String = both.map(|(name, to)| webhook(name, &to.url(), "")).concat();
    let server = server(&text);
    for count in 1..=3 {
        drop(server.subscribe("/topics/held"));
        // All of it is stored, and the other webhook does not wait.
        other.wait_for(2 * count);
    }
    let _subscribed = server.subscribe("/topics/free");
    receiver.wait_for(2);
    until("all is taken in", || server.metric("tidings_webhook_waiting{webhook=\"app\"}") == 6.0);
    assert_eq!(receiver.told(), ["topic.occupied held", "topic.occupied free"]);
    gate.open();
    receiver.wait_for(7);
    let held: Vec<String> =
        receiver.told().into_iter().filter(|told| told.ends_with(" held")).collect();
    let pair = ["topic.occupied held", "topic.vacated held"];
    assert_eq!(held, [pair, pair, pair].concat());
}
