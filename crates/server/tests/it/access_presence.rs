//! The right `presence`: a topic's presence is joined and seen, each in its own name, and nothing
//! else is opened by it.

use serde_json::{Value, json};

use crate::access::{Asks, Closed, WAYS, asks, claims, closed, hold, now, operator, token};
use crate::access_ws::enter;
use crate::receiver::Receiver;

const ENTRY: &str = r#"{"events":[{"topic":"presence/chat/7","key":"ada/1","data":"x"}]}"#;
const OTHERS: &str = r#"{"events":[{"topic":"presence/chat/7","key":"ada"},
    {"topic":"presence/chat/7","key":"bob","data":"x"}]}"#;
const LIST: &str = r#"{"topics":["presence/chat/7","presence/chat/8"]}"#;
const OTHERS_ID: &str = r#"{"events":[{"topic":"presence/chat/7","key":"ada/1","data":"x",
    "publisher_id":"bob"}]}"#;
const OWN_PUBLISHER: &str = "/topics/presence/chat/7?key=ada&publisher_id=ada/2";
const OTHERS_PUBLISHER: &str = "/topics/presence/chat/7?key=ada&publisher_id=bob";
const OWN_PRODUCER: &str =
    "/topics/presence/chat/7?key=ada&producer-id=ada&producer-epoch=0&producer-sequence=0";
const OTHERS_PRODUCER: &str =
    "/topics/presence/chat/7?key=ada&producer-id=bob&producer-epoch=0&producer-sequence=0";
const END: &str = "/topics/presence/chat/7?key=ada&end=done";

/// For a member of `chat/*` called ada, one of everything (`**`), somebody with `publish` and
/// `subscribe` for `chat/**`, somebody with both for `presence/chat/7`, a member without a name.
const TABLE: &[Asks] = &[
    asks("POST", "/topics/presence/chat/7?key=ada", "x", [200, 200, 403, 200, 403]),
    asks("POST", "/topics/presence/chat/7?key=ada/2", "x", [200, 200, 403, 200, 403]),
    asks("POST", "/topics/presence/chat/7?key=ada&type=leave", "", [200, 200, 403, 200, 403]),
    asks("POST", "/topics/presence/chat/7?key=bob", "x", [403, 403, 403, 200, 403]),
    asks("POST", "/topics/presence/chat/7?key=bob&type=leave", "", [403, 403, 403, 200, 403]),
    asks("POST", "/topics/presence/chat/7?key=adam", "x", [403, 403, 403, 200, 403]),
    asks("POST", "/topics/presence/chat/7", "x", [403, 403, 403, 200, 403]),
    asks("POST", OWN_PUBLISHER, "x", [200, 200, 403, 200, 403]),
    asks("POST", OTHERS_PUBLISHER, "x", [403, 403, 403, 200, 403]),
    asks("POST", OWN_PRODUCER, "x", [200, 200, 403, 200, 403]),
    asks("POST", OTHERS_PRODUCER, "x", [403, 403, 403, 200, 403]),
    asks("POST", "/publish", OTHERS_ID, [403, 403, 403, 200, 403]),
    asks("POST", END, "x", [403, 403, 403, 400, 403]),
    asks("POST", "/topics/presence/chat/8?key=ada", "x", [200, 200, 403, 403, 403]),
    asks("POST", "/topics/presence/chat/7/a?key=ada", "x", [403, 200, 403, 403, 403]),
    asks("POST", "/topics/presence/other?key=ada", "x", [403, 200, 403, 403, 403]),
    asks("POST", "/topics/presence/chat?key=ada", "x", [403, 200, 403, 403, 403]),
    asks("POST", "/topics/presence?key=ada", "x", [403; 5]),
    asks("POST", "/topics/chat/7?key=ada", "x", [403, 403, 200, 403, 403]),
    asks("POST", "/topics/presence/chat/7?key=ada&delay=1h", "x", [202, 202, 403, 202, 403]),
    asks(
        "POST",
        "/topics/presence/chat/7?key=ada&alternate=chat/7",
        "x",
        [403, 403, 403, 403, 403],
    ),
    asks(
        "POST",
        "/topics/chat/7?key=ada&alternate=presence/chat/7",
        "x",
        [403, 403, 403, 403, 403],
    ),
    asks("POST", "/publish", ENTRY, [200, 200, 403, 200, 403]),
    asks("POST", "/publish", OTHERS, [403, 403, 403, 200, 403]),
    asks("GET", "/topics/presence/chat/7?earliest", "", [200, 200, 403, 200, 200]),
    asks("GET", "/topics/presence/chat/7?poll=0", "", [200, 200, 403, 200, 200]),
    asks("GET", "/topics/presence/none?last=1", "", [403, 404, 403, 403, 403]),
    asks("HEAD", "/topics/presence/chat/7", "", [200, 200, 403, 200, 200]),
    asks("GET", "/topics/chat/7?poll=0", "", [403, 403, 200, 403, 403]),
    asks("HEAD", "/topics/chat/7", "", [403, 403, 200, 403, 403]),
    asks("GET", "/events?topic=presence/chat/7&topic=chat/7", "", [403; 5]),
    asks("GET", "/events?pattern=presence/chat/*", "", [200, 200, 403, 403, 200]),
    asks("GET", "/events?pattern=presence/chat/**", "", [403, 200, 403, 403, 403]),
    asks("GET", "/events?pattern=presence/*", "", [403, 200, 403, 403, 403]),
    asks("GET", "/events?pattern=presence/**", "", [403, 200, 403, 403, 403]),
    asks("GET", "/events?pattern=*/chat/7", "", [403; 5]),
    asks("GET", "/events?pattern=*/**", "", [403; 5]),
    asks("GET", "/events?pattern=**", "", [403; 5]),
    asks("GET", "/events?pattern=chat/*", "", [403, 403, 200, 403, 403]),
    asks("GET", "/topics", "", [403, 403, 200, 200, 403]),
    asks("GET", "/topics?name=presence/chat/7", "", [403, 403, 200, 200, 403]),
    asks("PUT", "/topics/presence/chat/7", "{}", [403; 5]),
    asks("DELETE", "/topics/presence/chat/7", "", [403; 5]),
    asks("GET", "/connections", "", [403; 5]),
    asks("PATCH", "/connections/c1", LIST, [403; 5]),
    asks("DELETE", "/schedules/999999999", "", [403; 5]),
    asks("GET", "/metrics", "", [403; 5]),
    asks("POST", "/topics/$access/revoked?key=ada", "x", [403; 5]),
    asks("GET", "/events?pattern=$access/*", "", [403; 5]),
];

fn of(subject: Value, grants: Value) -> String {
    let mut claims = claims("ada", grants);
    claims["sub"] = subject;
    token(&claims)
}

fn ada(grants: Value) -> String {
    of(json!("ada"), grants)
}

fn post(server: &Closed, topic: &str) {
    let target = format!("/topics/{topic}");
    assert_eq!(server.request("POST", &target, &operator(), b"x").status, 200);
}

#[test]
fn presence_is_its_own_right_and_no_other() {
    let server = closed(|_| {});
    let own = ["presence/chat/7"];
    let people = [
        ada(json!({"presence": ["chat/*"]})),
        ada(json!({"presence": ["**"]})),
        ada(json!({"publish": ["chat/**"], "subscribe": ["chat/**"]})),
        ada(json!({"publish": own, "subscribe": own})),
        of(Value::Null, json!({"presence": ["chat/*"]})),
    ];
    for topic in ["chat/7", "presence/chat/7"] {
        post(&server, topic);
    }
    let cases = hold(&server, TABLE, |row| {
        // The one who may end the topic would end it for the rows that follow.
        let ends = |expected| row.target == END && expected == 400;
        let everybody = people.iter().zip(row.expected).filter(|(_, expected)| !ends(*expected));
        let ways = everybody.flat_map(|person| WAYS[..3].iter().map(move |way| (person, way)));
        ways.map(|((person, expected), (way, write))| (*way, write(person), expected)).collect()
    });
    assert!(cases > 1_000, "{cases}");
}

#[test]
fn a_list_does_not_show_what_only_presence_opens() {
    let server = closed(|_| {});
    for topic in ["news", "presence/chat/7"] {
        post(&server, topic);
    }
    let listed = |grants: Value, target: &str| {
        let fields = format!("Tidings-Token: {}\r\n", ada(grants));
        let page = server.request("GET", target, &fields, b"").json();
        page["topics"].as_array().unwrap().len()
    };
    let both = json!({"presence": ["chat/*"], "subscribe": ["news", "*/none"]});
    assert_eq!(listed(both.clone(), "/topics?name=presence/chat/7"), 0);
    assert_eq!(listed(both, "/topics"), 1);
    let plain = json!({"subscribe": ["presence/chat/*"]});
    assert_eq!(listed(plain, "/topics?name=presence/chat/7"), 1);
}

#[test]
fn a_socket_and_a_ticket_and_a_change_are_judged_alike() {
    let server = closed(|_| {});
    let member = ada(json!({"presence": ["chat/*"]}));
    let fields = format!("Tidings-Token: {member}\r\n");
    let mut ws = enter(&server, "/ws", &fields);
    ws.subscribe("s", json!({"topics": ["presence/chat/7"]}));
    let code = |answer: &Value| answer["problem"]["code"].clone();
    let publish =
        |key: &str| json!({"op": "publish", "topic": "presence/chat/7", "key": key, "data": "x"});
    let change = |topic: &str| json!({"op": "change", "sub": "s", "add": {"topics": [topic]}});
    assert_eq!(code(&ws.ask(change("chat/7"))), "forbidden");
    assert_eq!(code(&ws.ask(change("presence/other"))), "forbidden");
    assert_eq!(ws.ask(change("presence/chat/8"))["op"], "changed");
    assert_eq!(code(&ws.ask(publish("bob"))), "forbidden");
    ws.send(&publish("ada"));
    assert_eq!(ws.data_past_answers(1), ["x"]);

    let ticket = server.request("POST", "/tickets", &fields, b"").json();
    let ticket = ticket["ticket"].as_str().unwrap();
    let target = format!("/topics/presence/chat/7?ticket={ticket}");
    let stream = server.subscribe_with(&target, "");
    let patch = |topic: &str| {
        let target = format!("/connections/{}", stream.own_name());
        let body = json!({"add": {"topics": [topic]}}).to_string();
        server.request("PATCH", &target, &fields, body.as_bytes()).status
    };
    assert_eq!(patch("chat/7"), 403);
    assert_eq!(patch("presence/chat/8"), 200);
    let ticket = server.request("POST", "/tickets", &fields, b"").json();
    let target = format!("/topics/chat/7?ticket={}", ticket["ticket"].as_str().unwrap());
    server.request("GET", &target, "", b"").problem(403, "forbidden");
}

#[test]
fn anybody_joins_where_the_configuration_says_so_and_nobody_ends_it() {
    let public = |config: &mut tidings_server::config::Config| {
        config.anonymous = serde_json::from_value(json!({"presence": ["lobby"]})).unwrap();
        config.issuers[0]
            .grants
            .set(tidings_access::Action::Presence, vec!["{sub}/*".into()])
            .unwrap();
    };
    let server = closed(public);
    let post = |target: &str, fields: &str| server.request("POST", target, fields, b"x").status;
    assert_eq!(post("/topics/presence/lobby?key=anything", ""), 200);
    assert_eq!(post("/topics/presence/lobby", ""), 403, "an entry has a key");
    assert_eq!(post("/topics/presence/lobby?key=a&end=done", ""), 403);
    assert_eq!(post("/topics/presence/other?key=a", ""), 401);
    assert_eq!(post("/topics/lobby?key=a", ""), 401);
    assert_eq!(server.request("GET", "/topics", "", b"").status, 401);
    // What an issuer's section grants, where the token says nothing.
    let token = token(&json!({"sub": "ada", "aud": "hub", "exp": now() + 60}));
    let fields = format!("Tidings-Token: {token}\r\n");
    assert_eq!(post("/topics/presence/ada/1?key=ada", &fields), 200);
    assert_eq!(post("/topics/presence/ada/1?key=bob", &fields), 403);
    assert_eq!(post("/topics/presence/bob/1?key=ada", &fields), 403);
    assert_eq!(post("/topics/presence/lobby?key=bob", &fields), 200, "anybody may");
}

#[test]
fn the_application_is_asked_about_the_topic_of_presence() {
    let receiver = Receiver::start(|posted, _| {
        let text = posted.json().to_string();
        crate::hook::says(!text.contains("presence/chat/8"))
    });
    let hook = crate::hook::hook(&receiver.url(), "");
    let server = closed(|config| config.hook = Some(hook));
    let fields = format!("Tidings-Token: {}\r\n", ada(json!({"presence": ["chat/*"]})));
    for (topic, status) in [("chat/7", 200), ("chat/8", 403)] {
        let target = format!("/topics/presence/{topic}?key=ada");
        assert_eq!(server.request("POST", &target, &fields, b"x").status, status, "{topic}");
        let target = format!("/topics/presence/{topic}?poll=0");
        let fields = format!("Accept: application/json\r\n{fields}");
        assert_eq!(server.request("GET", &target, &fields, b"").status, status, "{topic}");
    }
}
