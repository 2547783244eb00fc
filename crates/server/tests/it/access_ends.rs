//! What stands on a token ends with it, and nothing that is read by a detour is shown to anybody
//! who may not read it straight away.

use std::time::Duration;

use serde_json::{Value, json};
use tidings_relay::config::{LlmConfig, Secret};
use tidings_scripted::{Script, Upstream};

use crate::access::{Closed, claims, closed, now, operator, people, revoke, token};
use crate::hook::{hook, says};
use crate::receiver::{Posted, Receiver};
use crate::relay::chat;
use crate::stream::Stream;
use crate::support::{DOORS, until};
use crate::websocket::{PROTOCOL, Ws, asking};
use crate::wires::over_each_wire;

fn shows(token: &str) -> String {
    format!("Tidings-Token: {token}\r\n")
}

/// Asks for a fork as somebody with these grants; the status and the code of the answer.
fn fork(server: &Closed, grants: Value, source: &str) -> (u16, Value) {
    let fields = shows(&token(&claims("ada", grants)));
    let body = json!({"fork": {"topic": source}}).to_string();
    let reply = server.request("PUT", "/topics/mine/fork", &fields, body.as_bytes());
    (reply.status, reply.json()["code"].clone())
}

#[test]
fn a_topic_is_forked_by_those_who_may_read_all_of_it() {
    let server = closed(|config| {
        config.anonymous.subscribe.push(tidings_frame::Pattern::new("open/*").unwrap());
    });
    for topic in ["secret/a", "open/a"] {
        server.request("POST", &format!("/topics/{topic}?private"), &operator(), b"x");
    }
    let refused = (403, json!("forbidden"));
    let own = json!({"admin": ["mine/*"]});
    // Neither tells whether there is such a topic.
    for source in ["secret/a", "secret/none"] {
        assert_eq!(fork(&server, own.clone(), source), refused, "{source}");
    }
    // Anybody may read it, but not what is private in it.
    assert_eq!(fork(&server, own, "open/a"), refused);
    let both = json!({"admin": ["mine/*"], "subscribe": ["secret/*"]});
    assert_eq!(fork(&server, both.clone(), "secret/none").0, 404);
    assert_eq!(fork(&server, both, "secret/a"), (201, Value::Null));
}

#[test]
fn the_application_is_asked_about_the_source_of_a_fork() {
    let receiver =
        Receiver::start(|posted, _| says(!posted.json()["topics"].to_string().contains("secret")));
    let asks = hook(&receiver.url(), "for = [\"subscribe\"]");
    let server = closed(|config| config.hook = Some(asks));
    for topic in ["secret/a", "plain/a"] {
        server.request("POST", &format!("/topics/{topic}"), &operator(), b"x");
    }
    let all = json!({"admin": ["mine/*"], "subscribe": ["**"]});
    for source in ["secret/a", "secret/none"] {
        assert_eq!(fork(&server, all.clone(), source), (403, json!("forbidden")), "{source}");
    }
    assert_eq!(fork(&server, all, "plain/a").0, 201);
    assert_eq!(receiver.came().len(), 3);
}

struct Relay {
    _upstream: Upstream,
    server: Closed,
}

/// A relay whose answers take long, and the name of one that `ada` has asked for.
fn relay() -> (Relay, String) {
    let upstream = Upstream::start().unwrap();
    let mut llm = LlmConfig::new("llm", "/v1", upstream.url().parse().unwrap());
    llm.upstreams[0].api_key = Some(Secret("sk-the-operators-own-key".to_owned()));
    let server = closed(|config| {
        config.drain.grace = Duration::from_millis(500);
        config.llm_relays.push(llm);
    });
    upstream.play(|_| Script::text("one two three").pace(Duration::from_secs(600)));
    let fields = format!("Content-Type: application/json\r\n{}", of_ada("first"));
    let mut conn = server.connect();
    conn.ask("POST", "/v1/chat/completions", &fields, chat("hello").to_string().as_bytes());
    let head = conn.head().expect("an answer");
    let name = head.split("$answers/").nth(1).unwrap();
    let name = name.split(['\r', '?', '>']).next().unwrap().to_owned();
    (Relay { _upstream: upstream, server }, name)
}

/// A token of hers that is not the one with another name.
fn of_ada(id: &str) -> String {
    let mut claims = claims("ada", json!({"publish": ["relay/llm"]}));
    claims["jti"] = json!(id);
    shows(&token(&claims))
}

#[test]
fn an_answer_that_its_owner_reads_again_ends_with_the_token_that_reads() {
    let (relay, name) = relay();
    let target = format!("/topics/$answers/{name}");
    for (fields, body) in [
        (of_ada("second"), json!({"token_id": "second", "expires": now() + 3_600})),
        (operator(), json!({"token_id": "token of operator", "expires": now() + 3_600})),
    ] {
        let mut stream = relay.server.subscribe_with(&target, &fields);
        assert_eq!(stream.next().kind, "snapshot");
        revoke(&relay.server, &body);
        stream.until_end();
    }
}

#[test]
fn a_ticket_opens_an_answer_of_its_owners() {
    let (relay, name) = relay();
    let ticket = relay.server.request("POST", "/tickets", &of_ada("second"), b"").json();
    let ticket = ticket["ticket"].as_str().unwrap();
    let target = format!("/topics/$answers/{name}?ticket={ticket}");
    assert_eq!(relay.server.subscribe(&target).next().kind, "snapshot");
}

#[test]
fn a_capability_that_is_shown_as_a_bearers_is_enough() {
    let (relay, name) = relay();
    let reply = relay.server.request("GET", &format!("/answers/{name}"), &of_ada("second"), b"");
    assert_eq!(reply.status, 200);
    let mut conn = relay.server.connect();
    let fields = format!("Content-Type: application/json\r\n{}", of_ada("first"));
    conn.ask("POST", "/v1/chat/completions", &fields, chat("hello").to_string().as_bytes());
    let head = conn.head().expect("an answer");
    let link = head.split("</topics/").nth(1).unwrap().split('>').next().unwrap();
    let (topic, capability) = link.split_once("?token=").unwrap();
    let mut conn = relay.server.connect();
    let fields = format!("Authorization: Bearer {capability}\r\n");
    conn.ask("GET", &format!("/topics/{topic}"), &fields, b"");
    assert_eq!(Stream::open(conn).next().kind, "snapshot");
}

#[test]
fn a_long_poll_ends_with_its_token() {
    over_each_wire(|| {
        let server = closed(|_| {});
        let [_, reader, ..] = people().map(Option::unwrap_or_default);
        let waiting = || {
            let listed = server.request("GET", "/connections", &operator(), b"").json();
            listed["connections"].as_array().unwrap().len()
        };
        let mut short = claims("bob", json!({"subscribe": ["chat/*"]}));
        // The clocks' leeway is part of a token's time.
        short["exp"] = json!(now() - 24);
        let mut conns: Vec<_> = [reader, token(&short)]
            .iter()
            .map(|token| {
                let mut conn = server.connect();
                let fields = format!("{}{}", shows(token), DOORS[1].headers());
                conn.ask("GET", "/topics/chat/7?poll=60", &fields, b"");
                conn
            })
            .collect();
        until("both wait", || waiting() == 2);
        conns.pop().unwrap().reply().problem(401, "unauthorized");
        revoke(&server, &json!({"subject": "reader"}));
        conns.pop().unwrap().reply().problem(401, "unauthorized");
    });
}

#[test]
fn tickets_of_one_subject_are_counted() {
    let server = closed(|_| {});
    let [_, reader, writer, ..] = people().map(Option::unwrap_or_default);
    let ask = |token: &str| server.request("POST", "/tickets", &shows(token), b"");
    let made: Vec<_> = (0..20).map(|_| ask(&reader).json()["ticket"].clone()).collect();
    ask(&reader).problem(429, "rate-limited");
    assert_eq!(ask(&writer).status, 200, "another's");
    let target = format!("/topics/chat/7?ticket={}", made[0].as_str().unwrap());
    drop(server.subscribe(&target));
    assert_eq!(ask(&reader).status, 200, "one was used");
}

fn name_of(topic: &Value) -> String {
    topic["name"].as_str().unwrap().to_owned()
}

/// Refuses whatever bob asks for.
fn not_bob() -> (Receiver, Closed) {
    let receiver = Receiver::start(|posted, _| says(posted.json()["subject"] != "bob"));
    let asks = hook(&receiver.url(), "for = [\"subscribe\"]");
    let server = closed(|config| config.hook = Some(asks));
    (receiver, server)
}

fn follower(subject: &str) -> String {
    token(&claims(subject, json!({"subscribe": ["**"]})))
}

#[test]
fn the_application_is_asked_about_what_goes_on_with_anothers_token() {
    over_each_wire(|| {
        let (receiver, server) = not_bob();
        for door in DOORS {
            let fields = format!("{}{}", shows(&follower("ada")), door.headers());
            let stream = server.subscribe_with("/events?topic=a&pattern=b/*", &fields);
            let renew = |who: &str, body: Value| {
                let target = format!("/connections/{}", stream.own_name());
                let body = body.to_string();
                server.request("PATCH", &target, &shows(&follower(who)), body.as_bytes())
            };
            renew("bob", json!({"add": {}})).problem(403, "forbidden");
            renew("bob", json!({"remove": {"topics": ["a"]}})).problem(403, "forbidden");
            let renewed = renew("carol", json!({"add": {}}));
            assert_eq!(renewed.status, 200, "{}", renewed.text());
            assert_eq!(renewed.json()["patterns"], json!(["b/*"]));
        }
        let of_carol: Vec<Value> = receiver.came().iter().map(Posted::json).collect();
        let of_carol: Vec<&Value> = of_carol.iter().filter(|it| it["subject"] == "carol").collect();
        // What was answered for one door is known for the other.
        assert_eq!(of_carol.len(), 1);
        assert_eq!(of_carol[0]["topics"], json!(["a"]));
        assert_eq!(of_carol[0]["patterns"], json!(["b/*"]));
    });
}

#[test]
fn the_application_is_asked_about_a_sockets_other_token() {
    let (receiver, server) = not_bob();
    let mut conn = server.connect();
    let fields = format!("{PROTOCOL}{}", shows(&follower("ada")));
    conn.ask("GET", "/ws", &asking(&fields), b"");
    let mut ws = Ws::answered(conn);
    ws.subscribe("s", json!({"topics": ["a"], "patterns": ["b/*"]}));
    let answer = ws.ask(json!({"op": "token", "token": follower("bob")}));
    assert_eq!(answer["problem"]["code"], "forbidden", "{answer}");
    let answer = ws.ask(json!({"op": "token", "token": follower("carol")}));
    assert_eq!(answer["op"], "accepted", "{answer}");
    let subjects: Vec<Value> =
        receiver.came().iter().map(|posted| posted.json()["subject"].clone()).collect();
    assert_eq!(subjects, ["ada", "bob", "carol"]);
}

#[test]
fn a_list_shows_what_the_application_is_known_to_allow() {
    let receiver =
        Receiver::start(|posted, _| says(!posted.json()["topics"].to_string().contains("secret")));
    let asks = hook(&receiver.url(), "for = [\"subscribe\"]\ntopics = [\"asked/*\"]");
    let server = closed(|config| config.hook = Some(asks));
    for topic in ["asked/a", "asked/b", "asked/secret", "plain"] {
        server.request("POST", &format!("/topics/{topic}"), &operator(), b"x");
    }
    let body = json!({"fork": {"topic": "asked/secret"}}).to_string();
    let all = json!({"admin": ["**"], "subscribe": ["**"]});
    let made = server.request("PUT", "/topics/fork", &operator(), body.as_bytes());
    assert_eq!(made.status, 403, "{}", made.text());
    let body = json!({"fork": {"topic": "asked/b"}}).to_string();
    assert_eq!(server.request("PUT", "/topics/fork", &operator(), body.as_bytes()).status, 201);
    let names = |fields: &str, target: &str| {
        let page = server.request("GET", target, fields, b"").json();
        page["topics"].as_array().unwrap().iter().map(name_of).collect::<Vec<String>>()
    };
    let ada = shows(&follower("ada"));
    assert_eq!(names(&ada, "/topics"), ["fork", "plain"]);
    let fork = |fields: &str| {
        let page = server.request("GET", "/topics?name=fork", fields, b"").json();
        page["topics"][0]["forked_from"]["topic"].clone()
    };
    assert_eq!(fork(&ada), Value::Null, "the source is not known to be hers to see");
    assert_eq!(names(&ada, "/topics?name=asked/secret"), [""; 0]);
    assert_eq!(names(&ada, "/topics?name=asked/b"), ["asked/b"]);
    assert_eq!(names(&ada, "/topics"), ["asked/b", "fork", "plain"]);
    assert_eq!(fork(&ada), "asked/b");
    // Who administrates is not asked about: the application says who follows and publishes.
    let admin = shows(&token(&claims("root", all)));
    assert_eq!(names(&admin, "/topics").len(), 5);
    let part = shows(&token(&claims("eve", json!({"subscribe": ["fork"]}))));
    assert_eq!(fork(&part), Value::Null);
}
