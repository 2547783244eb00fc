//! The application is asked, and what it says is done, at every door and in every form.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use serde_json::{Value, json};
use tidings_access::Grants;
use tidings_server::config::{Config, HookConfig};

use crate::access::{Closed, claims, closed, token};
use crate::receiver::{Answer, Posted, Receiver};
use crate::support::{Conn, DOORS, Door, PATIENCE, Reply, Server, until};
use crate::webhooks::{configured, secret};
use crate::websocket::Ws;
use crate::wires::over_each_wire;

/// The hook at this URL; `more` are lines of its section.
pub(crate) fn hook(url: &str, more: &str) -> HookConfig {
    // Nothing is measured against it but where a test says so.
    let patient = if more.contains("timeout") { "" } else { "timeout = \"30s\"" };
    let text = format!("[hook]\nurl = {url:?}\nsecret_file = \"SECRET\"\n{patient}\n{more}\n");
    configured(&text, &[secret(1)]).hook.unwrap()
}

/// A server that is open but for the hook.
pub(crate) fn open(receiver: &Receiver, more: &str) -> Server {
    let hook = hook(&receiver.url(), more);
    Server::with(|config| config.hook = Some(hook))
}

pub(crate) fn says(allow: bool) -> Answer {
    Answer::Say(200, String::new(), json!({"allow": allow}).to_string())
}

/// Refuses whatever has `no` in the name of a topic or a pattern.
fn judge(posted: &Posted) -> bool {
    let asked = posted.json();
    let names = ["topics", "patterns"].map(|list| asked[list].as_array().unwrap().clone());
    !names.concat().iter().any(|name| name.as_str().unwrap().contains("no"))
}

/// What was asked: the action, and all names.
fn asked(posted: &Posted) -> String {
    let asked = posted.json();
    let list = |name: &str| -> Vec<String> {
        let list = asked[name].as_array().unwrap();
        list.iter().map(|name| name.as_str().unwrap().to_owned()).collect()
    };
    let names = [list("topics"), list("patterns")].concat();
    format!("{} {}", asked["action"].as_str().unwrap(), names.join(" "))
}

/// Requests, with `NAME` for a topic's name: method, target, header lines, body, what is asked, and
/// the status if it is allowed.
type Case = (&'static str, &'static str, &'static str, &'static str, &'static str, u16);

const SSE: &str = "Accept: text/event-stream\r\n";
const JSON: &str = "Accept: application/json\r\n";
const LINES: &str = "Accept: application/x-ndjson\r\n";
const SEVERAL: &str = r#"{"events":[{"topic":"NAME","data":"x"},{"topic":"b","data":"x"}]}"#;
const OTHERS: &str = r#"{"events":[{"topic":"b","alternates":["NAME"],"data":"x"}]}"#;

const CASES: &[Case] = &[
    ("POST", "/topics/NAME", "", "x", "publish NAME", 200),
    ("POST", "/topics/NAME?delay=1h", "", "x", "publish NAME", 202),
    ("POST", "/topics/b?alternate=NAME", "", "x", "publish b NAME", 200),
    ("POST", "/publish", "", SEVERAL, "publish b NAME", 200),
    ("POST", "/publish", "", OTHERS, "publish b NAME", 200),
    ("GET", "/topics/NAME", SSE, "", "subscribe NAME", 200),
    ("GET", "/topics/NAME?earliest", JSON, "", "subscribe NAME", 404),
    ("GET", "/topics/NAME?earliest", LINES, "", "subscribe NAME", 404),
    ("GET", "/topics/NAME?poll=0", JSON, "", "subscribe NAME", 200),
    ("GET", "/events?topic=NAME&topic=b", SSE, "", "subscribe b NAME", 200),
    ("GET", "/events?topic=NAME&pattern=b/*", SSE, "", "subscribe NAME b/*", 200),
    ("GET", "/events?pattern=NAME/**", SSE, "", "subscribe NAME/**", 200),
    ("POST", "/events", SSE, r#"{"topics":["NAME"]}"#, "subscribe NAME", 200),
    ("HEAD", "/topics/NAME", "", "", "subscribe NAME", 404),
    ("HEAD", "/events?topic=NAME", SSE, "", "subscribe NAME", 200),
];

/// The head of the answer: of a stream there is no end.
fn reply(server: &Server, case: &Case, name: &str, more: &str) -> Reply {
    let (method, target, headers, body, _, _) = *case;
    let mut conn = server.connect();
    let (target, body) = (target.replace("NAME", name), body.replace("NAME", name));
    conn.ask(method, &target, &format!("{headers}{more}"), body.as_bytes());
    conn.reply_without_body()
}

fn sorted(asked: &str) -> Vec<String> {
    let mut words: Vec<String> = asked.split(' ').map(str::to_owned).collect();
    words.sort();
    words
}

#[test]
fn every_door_asks_and_does_what_is_said() {
    over_each_wire(|| {
        for (at, case) in CASES.iter().enumerate() {
            for door in DOORS {
                for (name, allowed) in [("yes", true), ("no", false)] {
                    let receiver = Receiver::start(|posted, _| says(judge(posted)));
                    let server = open(&receiver, "");
                    let said = reply(&server, case, name, door.headers());
                    let wanted = if allowed { case.5 } else { 403 };
                    assert_eq!(said.status, wanted, "{at} {door:?} {name}: {}", said.head);
                    let came = receiver.came();
                    assert_eq!(came.len(), 1, "{at} {door:?} {name}");
                    let wanted = case.4.replace("NAME", name);
                    assert_eq!(sorted(&asked(&came[0])), sorted(&wanted), "{at} {door:?}");
                }
            }
        }
    });
}

#[test]
fn a_question_is_signed_and_says_who_asks() {
    over_each_wire(|| {
        let receiver = Receiver::start(|_, _| says(true));
        let question = hook(&receiver.url(), "");
        let server = closed(|config| config.hook = Some(question));
        let alice = token(&claims("alice", json!({"publish": ["**"]})));
        let headers = format!("Authorization: Bearer {alice}\r\n");
        let reply = server.request("POST", "/topics/a", &headers, b"x");
        assert_eq!(reply.status, 200, "{}", reply.text());
        let [came] = &receiver.came()[..] else { panic!("one") };
        assert!(came.is_signed_with(&secret(1)) && !came.is_signed_with(&secret(2)));
        assert!(came.id().starts_with("ask_"));
        let asked = came.json();
        assert_eq!((&asked["subject"], &asked["peer"]), (&json!("alice"), &json!("127.0.0.1")));
        assert_eq!(asked["claims"]["jti"], "token of alice");
        assert!(!came.head.contains("Bearer") && !asked.to_string().contains(&alice), "{asked}");
    });
}

/// Private topics: nothing tells a refusal of the application from one of the token, and nothing
/// tells a topic that exists from one that does not.
#[test]
fn a_refusal_looks_like_any_other() {
    let receiver = Receiver::start(|posted, _| says(judge(posted)));
    let asks = hook(&receiver.url(), "");
    let with: Closed = closed(|config| config.hook = Some(asks));
    let without = closed(|_| {});
    let may = |grants: Value| format!("Authorization: Bearer {}\r\n", token(&claims("a", grants)));
    let (all, none) = (may(json!({"publish": ["**"], "subscribe": ["**"]})), may(json!({})));
    let exists = reply(&with, &CASES[0], "yes", &all);
    assert_eq!(exists.status, 200);
    let everything = token(&claims("op", serde_json::to_value(Grants::everything()).unwrap()));
    let operator = format!("Authorization: Bearer {everything}\r\n");
    let made = with.request("PUT", "/topics/no", &operator, b"{}");
    assert_eq!(made.status, 201, "{}", made.text());
    let plain = |reply: &Reply| {
        let fields = reply.head.split("\r\n").filter(|line| !line.starts_with("date"));
        let mut fields: Vec<String> = fields.map(|line| line.to_ascii_lowercase()).collect();
        // The two doors write the same fields in another order.
        fields.sort();
        (reply.status, fields, reply.text())
    };
    for (at, case) in CASES.iter().enumerate() {
        // Of several, the first that a token does not grant is named: here that is another.
        if case.4.contains(" b ") {
            continue;
        }
        for name in ["no", "none"] {
            let asked = |server: &Server, who: &str| {
                let (method, target, headers, body, _, _) = *case;
                let mut conn = server.connect();
                let (target, body) = (target.replace("NAME", name), body.replace("NAME", name));
                conn.ask(method, &target, &format!("{headers}{who}"), body.as_bytes());
                if method == "HEAD" { conn.reply_without_body() } else { conn.reply() }
            };
            let (told, wanted) = (asked(&with, &all), asked(&without, &none));
            assert_eq!(plain(&told), plain(&wanted), "{at} {name}");
            assert_eq!(told.status, 403);
        }
    }
}

#[test]
fn what_tokens_refuse_is_not_asked_about_and_not_allowed() {
    let receiver = Receiver::start(|_, _| says(true));
    let question = hook(&receiver.url(), "");
    let server = closed(|config| config.hook = Some(question));
    for (at, case) in CASES.iter().enumerate() {
        let stranger = token(&claims("stranger", json!({})));
        for (who, status) in
            [(String::new(), 401), (format!("Authorization: Bearer {stranger}\r\n"), 403)]
        {
            assert_eq!(reply(&server, case, "a", &who).status, status, "{at}");
        }
    }
    assert!(receiver.came().is_empty());
}

#[test]
fn it_is_asked_only_about_what_is_configured() {
    for (more, about) in [
        ("for = [\"publish\"]", ["publish a", "publish z/1"].as_slice()),
        ("for = [\"subscribe\"]", &["subscribe a", "subscribe z/*", "subscribe z/1"]),
        ("topics = [\"z/**\"]", &["publish z/1", "subscribe z/*", "subscribe z/1"]),
        ("topics = [\"a\"]", &["publish a", "subscribe a"]),
    ] {
        let receiver = Receiver::start(|_, _| says(true));
        let server = open(&receiver, more);
        for topic in ["a", "z/1"] {
            server.publish(&format!("/topics/{topic}"), "x");
            drop(server.subscribe(&format!("/topics/{topic}")));
        }
        drop(server.subscribe("/events?pattern=z/*"));
        let mut questions: Vec<String> = receiver.came().iter().map(asked).collect();
        questions.sort();
        assert_eq!(questions, about, "{more}");
    }
}

#[test]
fn an_answer_counts_for_its_time_and_its_subject() {
    let said = Arc::new(Mutex::new(json!({"allow": true})));
    let says = said.clone();
    let receiver = Receiver::start(move |_, _| {
        Answer::Say(200, String::new(), says.lock().unwrap().to_string())
    });
    let question = hook(&receiver.url(), "");
    let server = closed(|config| config.hook = Some(question));
    let asked = || receiver.came().len();
    let publish = |who: &str, topic: &str, door: Door| {
        let token = token(&claims(who, json!({"publish": ["**"], "subscribe": ["**"]})));
        let headers = format!("Authorization: Bearer {token}\r\n{}", door.headers());
        server.request("POST", &format!("/topics/{topic}"), &headers, b"x").status
    };
    for _ in 0..3 {
        for door in DOORS {
            assert_eq!(publish("alice", "a", door), 200);
        }
    }
    assert_eq!(asked(), 1);
    publish("alice", "b", Door::Fast);
    publish("bob", "a", Door::Fast);
    assert_eq!(asked(), 3, "another topic, another subject");
    let reads = format!(
        "Accept: application/json\r\nAuthorization: Bearer {}\r\n",
        token(&claims("alice", json!({"subscribe": ["**"]})))
    );
    assert_eq!(server.request("GET", "/topics/a?last=1", &reads, b"").status, 200);
    assert_eq!(asked(), 4, "another action");
    // A list is asked about without what is known, and known one by one then.
    let many = "/events?topic=a&topic=m/1&topic=m/2&poll=0";
    assert_eq!(server.request("GET", many, &reads, b"").status, 200);
    assert_eq!(receiver.came()[4].json()["topics"], json!(["m/1", "m/2"]));
    assert_eq!(server.request("GET", "/topics/m/2?poll=0", &reads, b"").status, 200);
    assert_eq!(asked(), 5);
    // A refusal counts as well, and one of a list says nothing of one alone.
    *said.lock().unwrap() = json!({"allow": false, "reason": "not today"});
    for _ in 0..2 {
        assert_eq!(publish("alice", "c", Door::Fast), 403);
        assert_eq!(server.request("GET", "/events?topic=n/1&topic=n/2", &reads, b"").status, 403);
    }
    assert_eq!(asked(), 7);
    *said.lock().unwrap() = json!({"allow": true, "ttl": 0});
    for count in 1..=3 {
        assert_eq!(publish("alice", "once", Door::Fast), 200);
        assert_eq!(server.request("GET", "/topics/n/1?poll=0", &reads, b"").status, 200);
        assert_eq!(asked(), 7 + 2 * count);
    }
    *said.lock().unwrap() = json!({"allow": true, "ttl": 0.05});
    let before = asked();
    until("it is asked again", || {
        assert_eq!(publish("alice", "short", Door::Fast), 200);
        asked() > before + 1
    });
}

/// Opens for whoever waits.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    pub(crate) fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    pub(crate) fn pass(&self) {
        let open = self.0.0.lock().unwrap();
        let _open = self.0.1.wait_timeout_while(open, PATIENCE, |open| !*open).unwrap();
    }
}

#[test]
fn a_question_is_asked_once_and_holds_nobody_else_up() {
    let gate = Gate::default();
    let (passes, count) = (gate.clone(), Arc::new(AtomicUsize::new(0)));
    let counted = count.clone();
    let receiver = Receiver::start(move |posted, _| {
        counted.fetch_add(1, Ordering::SeqCst);
        if asked(posted).contains("slow") {
            passes.pass();
        }
        says(true)
    });
    let server = open(&receiver, "topics = [\"slow\", \"quick\"]\ntimeout = \"30s\"");
    let mut waiting: Vec<Conn> = (0..20).map(|_| server.connect()).collect();
    for (at, conn) in waiting.iter_mut().enumerate() {
        conn.ask("POST", "/topics/slow", DOORS[at % 2].headers(), b"x");
    }
    receiver.wait_for(1);
    // On the same threads, meanwhile: what is not asked about, and another question.
    for door in DOORS {
        for topic in ["free", "quick"] {
            let target = format!("/topics/{topic}");
            assert_eq!(server.request("POST", &target, door.headers(), b"x").status, 200);
        }
    }
    gate.open();
    for conn in &mut waiting {
        assert_eq!(conn.reply().status, 200);
    }
    assert_eq!(count.load(Ordering::SeqCst), 2);
    assert_eq!(server.kept("slow").len(), 20);
}

#[test]
fn pipelined_requests_keep_their_order() {
    let receiver = Receiver::start(|posted, _| says(judge(posted)));
    let server = open(&receiver, "topics = [\"asked/*\", \"no\"]");
    let mut conn = server.connect();
    let topics = ["free", "asked/1", "free", "no", "asked/2", "free", "asked/1", "no"];
    let requests: Vec<u8> = topics
        .iter()
        .enumerate()
        .flat_map(|(at, topic)| {
            let (target, body) = (format!("/topics/{topic}?alternate=all"), at.to_string());
            crate::support::request("POST", &target, "", body.as_bytes())
        })
        .collect();
    conn.send(&requests);
    for (at, topic) in topics.iter().enumerate() {
        let wanted = if *topic == "no" { 403 } else { 200 };
        assert_eq!(conn.reply().status, wanted, "{at}");
    }
    assert_eq!(server.kept("all"), ["0", "1", "2", "4", "5", "6"]);
}

#[test]
fn a_websocket_waits_for_the_word_and_gets_its_events_meanwhile() {
    let gate = Gate::default();
    let passes = gate.clone();
    let receiver = Receiver::start(move |posted, _| {
        if asked(posted).contains("slow") {
            passes.pass();
        }
        says(judge(posted))
    });
    let server = open(&receiver, "topics = [\"slow/*\", \"no/*\", \"asked\"]\ntimeout = \"30s\"");
    let mut ws = Ws::open(&server);
    ws.subscribe("s", json!({"topics": ["free", "asked"]}));
    for (at, topic) in ["free", "slow/1", "free", "no/1", "free"].iter().enumerate() {
        ws.send(&json!({"op": "publish", "ref": at, "topic": topic, "data": at.to_string()}));
    }
    ws.send(&json!({"op": "subscribe", "sub": "t", "topics": ["no/2"]}));
    ws.send(&json!({"op": "change", "sub": "s", "add": {"topics": ["no/3"]}}));
    ws.send(&json!({"op": "change", "sub": "s", "topics": ["free", "slow/2"]}));
    assert_eq!(ws.message()["op"], "published");
    assert_eq!(ws.data(1), ["0"]);
    until("it waits", || receiver.told_all().iter().any(|asked| asked.contains("slow/1")));
    server.publish("/topics/asked", "meanwhile");
    assert_eq!(ws.data(1), ["meanwhile"]);
    assert_eq!(server.kept("free"), ["0"], "what follows has to wait");
    gate.open();
    let mut answers = Vec::new();
    while answers.len() < 7 {
        let message = ws.said();
        if message["op"] != "events" {
            answers.push((message["op"].clone(), message["problem"]["code"].clone()));
        }
    }
    let (done, refused) = (json!(["published", null]), json!(["error", "forbidden"]));
    let wanted = [&done, &done, &refused, &done, &refused, &refused, &json!(["changed", null])];
    let answers: Vec<Value> = answers.into_iter().map(|(op, code)| json!([op, code])).collect();
    assert_eq!(answers.iter().collect::<Vec<_>>(), wanted);
    assert_eq!(server.kept("free"), ["0", "2", "4"]);
    assert!(!server.state().to_string().contains("no/1"));
    server.publish("/topics/slow/2", "now");
    assert_eq!(ws.data_past_answers(3), ["2", "4", "now"]);
}

#[test]
fn a_change_of_a_live_connection_is_asked_about() {
    let receiver = Receiver::start(|posted, _| says(judge(posted)));
    let server = open(&receiver, "");
    let mut stream = server.subscribe("/topics/a");
    let change = |body: Value| {
        let target = format!("/connections/{}", stream.own_name());
        server.request("PATCH", &target, "", body.to_string().as_bytes())
    };
    assert_eq!(change(json!({"add": {"topics": ["no"]}})).status, 403);
    assert_eq!(change(json!({"topics": ["a", "no/1"]})).status, 403);
    assert_eq!(change(json!({"add": {"patterns": ["no/*"]}})).status, 403);
    assert_eq!(change(json!({"add": {"topics": ["b"]}})).status, 200);
    for topic in ["a", "b"] {
        server.publish(&format!("/topics/{topic}"), topic);
    }
    assert_eq!(stream.data(2), ["a", "b"]);
    let questions: Vec<String> = receiver.came().iter().map(asked).collect();
    assert_eq!(questions[..2], ["subscribe a", "subscribe no"]);
    assert_eq!(questions[4], "subscribe b");
}

/// Who is online is told by the token's subject.
#[test]
fn subjects_come_online_and_go_offline() {
    let receiver = Receiver::start(|_, _| Answer::status(204));
    let from: Config =
        configured(&crate::webhooks::webhook("app", &receiver.url(), ""), &[secret(1)]);
    let server = closed(|config| {
        config.webhooks = from.webhooks;
        config.vacancy_grace = std::time::Duration::from_millis(200);
    });
    let of = |who: &str| {
        let token = token(&claims(who, json!({"subscribe": ["**"]})));
        format!("Authorization: Bearer {token}\r\n")
    };
    let first = server.subscribe_with("/events?pattern=chat/*", &of("alice"));
    assert_eq!(receiver.wait_for(1)[0].told(), "subject.online alice");
    let second = server.subscribe_with("/events?pattern=other/*", &of("alice"));
    let other = server.subscribe_with("/events?pattern=other/*", &of("bob"));
    receiver.wait_for(2);
    drop(first);
    drop(other);
    receiver.wait_for(3);
    drop(second);
    receiver.wait_for(4);
    assert_eq!(
        receiver.told(),
        [
            "subject.online alice",
            "subject.online bob",
            "subject.offline bob",
            "subject.offline alice"
        ]
    );
}
