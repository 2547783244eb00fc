//! A WebSocket is judged as every other door, for each thing it asks for and for as long as it
//! lives.

use serde_json::{Value, json};
use tidings_access::Action;
use tidings_access::grants::GrantTemplate;

use crate::access::{Closed, ORIGIN, claims, closed, now, people, token};
use crate::support::{DOORS, Reply};
use crate::websocket::{PROTOCOL, Ws, asking};
use crate::wires::over_each_wire;

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

/// Comes in with these header lines.
pub(crate) fn enter(server: &Closed, target: &str, fields: &str) -> Ws {
    let mut conn = server.connect_http1();
    conn.ask("GET", target, &asking(&format!("{PROTOCOL}{fields}")), b"");
    Ws::answered(conn)
}

/// The status of an answer that is not the one that was asked for.
fn refused(server: &Closed, target: &str, fields: &str) -> Reply {
    server.request("GET", target, &asking(&format!("{PROTOCOL}{fields}")), b"")
}

fn ticket(server: &Closed, token: &str) -> String {
    let reply = server.request("POST", "/tickets", &bearer(token), b"");
    reply.json()["ticket"].as_str().unwrap().to_owned()
}

#[test]
fn who_has_no_right_does_not_come_in() {
    let server = closed(|_| {});
    let [_, reader, writer, _, stranger] = people().map(Option::unwrap_or_default);
    refused(&server, "/ws", "").problem(401, "unauthorized");
    refused(&server, "/ws", &bearer("x")).problem(401, "unauthorized");
    refused(&server, "/ws", &bearer(&stranger)).problem(403, "forbidden");
    let cookie = format!("Cookie: tidings={reader}\r\n");
    // A browser sends a cookie wherever a page makes it go; so it must say whose page that is.
    refused(&server, "/ws", &cookie).problem(403, "forbidden");
    let evil = format!("{cookie}Origin: https://evil.example\r\n");
    refused(&server, "/ws", &evil).problem(403, "forbidden");
    refused(&server, "/ws?ticket=0", "").problem(401, "unauthorized");
    for fields in [
        bearer(&reader),
        bearer(&writer),
        format!("Tidings-Token: {reader}\r\n"),
        format!("{cookie}Origin: {ORIGIN}\r\n"),
        format!("{cookie}Origin: https://test\r\n"),
    ] {
        let mut ws = enter(&server, "/ws", &fields);
        assert_eq!(ws.ask(json!({"op": "ping"}))["op"], "pong", "{fields}");
    }
    let target = format!("/ws?ticket={}", ticket(&server, &reader));
    enter(&server, &target, "").subscribe("s", json!({"topics": ["chat/7"]}));
    refused(&server, &target, "").problem(401, "unauthorized");
}

#[test]
fn whoever_may_do_something_within_the_ceiling_comes_in() {
    // What the section grants at most, what a token claims, and whether there is anything.
    for (most, claim, enters) in [
        (json!({"subscribe": ["presence/*/*"]}), json!({"presence": ["room/1"]}), true),
        (json!({"presence": ["room/*"]}), json!({"subscribe": ["presence/room/1"]}), true),
        (json!({"presence": ["room/*"]}), json!({"publish": ["presence/room/1"]}), true),
        (json!({"presence": ["room/*"]}), json!({"presence": ["room/1"]}), true),
        (json!({"presence": ["room/*"]}), json!({"subscribe": ["room/1"]}), false),
        (json!({"subscribe": ["room/*"]}), json!({"presence": ["room/1"]}), false),
        (json!({"subscribe": ["*/mine"]}), json!({"subscribe": ["chat/*"]}), true),
        (json!({"subscribe": ["*/mine"]}), json!({"subscribe": ["chat/7"]}), false),
        (json!({"admin": ["**"]}), json!({"admin": ["**"]}), false),
    ] {
        let server = closed(|config| {
            let mut ceiling = GrantTemplate::default();
            for action in Action::ALL {
                let list = most[action.name()].as_array().into_iter().flatten();
                let list = list.map(|text| text.as_str().unwrap().to_owned()).collect();
                ceiling.set(action, list).unwrap();
            }
            config.issuers[0].ceiling = Some(ceiling);
        });
        let fields = bearer(&token(&claims("ada", claim.clone())));
        if enters {
            let answer = enter(&server, "/ws", &fields).ask(json!({"op": "ping"}));
            assert_eq!(answer["op"], "pong", "{claim} within {most}");
        } else {
            refused(&server, "/ws", &fields).problem(403, "forbidden");
        }
    }
}

#[test]
fn each_operation_is_judged() {
    let server = closed(|_| {});
    let people = people().map(Option::unwrap_or_default);
    let subscribe =
        |topics: Value| json!({"op": "subscribe", "sub": topics.to_string(), "topics": topics});
    let pattern = |pattern: &str| json!({"op": "subscribe", "sub": pattern, "patterns": [pattern]});
    let publish = |topic: &str| json!({"op": "publish", "topic": topic, "data": "x"});
    let both = json!({"op": "publish", "events": [{"topic": "chat/7"}, {"topic": "chat/8"}]});
    let alternate = json!({"op": "publish", "topic": "chat/7", "alternates": ["chat/8"]});
    // Whether the reader of chat/*, the writer of chat/7 and the operator may.
    for (message, may) in [
        (subscribe(json!(["chat/7"])), [true, false, true]),
        (subscribe(json!(["chat/7", "other"])), [false, false, true]),
        (subscribe(json!(["$access/revoked"])), [false; 3]),
        (pattern("chat/*"), [true, false, true]),
        (pattern("chat/**"), [false, false, true]),
        (pattern("**"), [false, false, true]),
        (publish("chat/7"), [false, true, true]),
        (publish("chat/8"), [false, false, true]),
        (publish("$access/revoked"), [false; 3]),
        (both, [false, false, true]),
        (alternate, [false, false, true]),
    ] {
        for (person, may) in people[1..4].iter().zip(may) {
            let answer = enter(&server, "/ws", &bearer(person)).ask(message.clone());
            let wanted = if may { Value::Null } else { json!("forbidden") };
            assert_eq!(answer["problem"]["code"], wanted, "{message} {answer}");
        }
    }
    let mut ws = enter(&server, "/ws", &bearer(&people[1]));
    ws.subscribe("s", json!({"topics": ["chat/7"]}));
    let change = |add: Value| json!({"op": "change", "sub": "s", "add": add});
    for wrong in [json!({"topics": ["other"]}), json!({"patterns": ["**"]})] {
        assert_eq!(ws.ask(change(wrong))["problem"]["code"], "forbidden");
    }
    assert_eq!(ws.ask(change(json!({"topics": ["chat/8"]})))["op"], "changed");
}

/// The clocks' leeway is part of a token's time, so that these have six seconds left.
fn short(grants: Value) -> String {
    let mut claims = claims("ada", grants);
    claims["exp"] = json!(now() - 24);
    token(&claims)
}

#[test]
fn a_socket_ends_with_its_token_unless_a_message_brings_another() {
    let server = closed(|_| {});
    let grants = json!({"subscribe": ["chat/*"]});
    let mut ends = enter(&server, "/ws", &bearer(&short(grants.clone())));
    let mut stays = enter(&server, "/ws", &bearer(&short(grants.clone())));
    for ws in [&mut ends, &mut stays] {
        ws.subscribe("s", json!({"topics": ["chat/7"]}));
    }
    let renew = |token: String| json!({"op": "token", "token": token});
    let less = token(&claims("ada", json!({"subscribe": ["chat/8"]})));
    for ws in [&mut ends, &mut stays] {
        assert_eq!(ws.ask(renew("x".into()))["problem"]["code"], "unauthorized");
        assert_eq!(ws.ask(renew(less.clone()))["problem"]["code"], "forbidden");
    }
    let more = json!({"subscribe": ["chat/*"], "publish": ["chat/7"]});
    assert_eq!(stays.ask(renew(token(&claims("ada", more))))["op"], "accepted");
    assert_eq!(ends.close_code(), Some(1008));
    let publish = json!({"op": "publish", "topic": "chat/7", "data": "later"});
    stays.send(&publish);
    assert_eq!(stays.data_past_answers(1), ["later"]);
}

#[test]
fn what_is_revoked_ends_a_socket_at_once() {
    let server = closed(|_| {});
    let [_, reader, _, operator, _] = people().map(Option::unwrap_or_default);
    let mut other = enter(&server, "/ws", &bearer(&operator));
    for body in [json!({"token_id": "token of reader"}), json!({"subject": "late"})] {
        let late = token(&claims("late", json!({"subscribe": ["chat/*"]})));
        let mut first = enter(&server, "/ws", &bearer(&late));
        let mut second = enter(&server, "/ws", &bearer(&late));
        if body.get("token_id").is_some() {
            first = enter(&server, "/ws", &bearer(&reader));
            second = enter(&server, "/ws", &bearer(&reader));
        }
        second.subscribe("s", json!({"patterns": ["chat/*"]}));
        let body = body.to_string();
        server.request("POST", "/revocations", &bearer(&operator), body.as_bytes());
        assert_eq!((first.close_code(), second.close_code()), (Some(1008), Some(1008)));
    }
    assert_eq!(other.ask(json!({"op": "ping"}))["op"], "pong", "nobody else goes");
}

/// What was added over HTTP stands on the token that added it, not on the socket's own.
#[test]
fn what_another_token_added_ends_with_that_one() {
    let server = closed(|_| {});
    let [_, reader, _, operator, _] = people().map(Option::unwrap_or_default);
    let mut ws = enter(&server, "/ws", &bearer(&reader));
    let answer = ws.subscribe("s", json!({"topics": ["chat/7"]}));
    ws.subscribe("stays", json!({"topics": ["chat/7"]}));
    let wide = short(json!({"subscribe": ["chat/*", "other"]}));
    let target = format!("/connections/{}", answer["connection"].as_str().unwrap());
    let body = br#"{"add":{"topics":["other"]}}"#;
    assert_eq!(server.request("PATCH", &target, &bearer(&wide), body).status, 200);
    let ended = ws.said();
    assert_eq!((&ended["op"], &ended["sub"]), (&json!("unsubscribed"), &json!("s")));
    server.request("POST", "/topics/chat/7", &bearer(&operator), b"later");
    assert_eq!(ws.next_of().0, "stays");
}

/// A change must not carry the view of private events to where the open door leads.
#[test]
fn a_change_shows_no_private_events_that_a_subscription_would_not() {
    let server = closed(|config| {
        config.anonymous.subscribe.push(tidings_frame::Pattern::new("news").unwrap());
    });
    let [_, reader, _, operator, _] = people().map(Option::unwrap_or_default);
    let publish = |target: &str, data: &str| {
        let reply = server.request("POST", target, &bearer(&operator), data.as_bytes());
        assert_eq!(reply.status, 200);
    };
    let mut ws = enter(&server, "/ws", &bearer(&reader));
    ws.subscribe("s", json!({"topics": ["chat/7"]}));
    let mut stream = server.subscribe_with("/topics/chat/7", &bearer(&reader));
    publish("/topics/chat/7?private", "for the reader");
    assert_eq!(ws.next()["data"], "for the reader");
    assert_eq!(stream.next().data, "for the reader");
    let add = json!({"op": "change", "sub": "s", "add": {"topics": ["news"]}});
    assert_eq!(ws.ask(add)["op"], "changed");
    let target = format!("/connections/{}", stream.own_name());
    let body = br#"{"add":{"topics":["news"]}}"#;
    assert_eq!(server.request("PATCH", &target, &bearer(&reader), body).status, 200);
    publish("/topics/news?private", "for nobody at the open door");
    publish("/topics/news", "for all");
    assert_eq!(ws.next()["data"], "for all");
    assert_eq!(stream.next().data, "for all");
}

#[test]
fn who_asks_is_told_before_its_token_ends() {
    over_each_wire(|| {
        let server = closed(|_| {});
        let grants = json!({"subscribe": ["chat/*"]});
        let mut claims = claims("ada", grants.clone());
        claims["exp"] = json!(now() + 60);
        let soon = token(&claims);
        claims["exp"] = json!(now() + 61);
        let later = token(&claims);
        for door in DOORS {
            let fields = format!("{}{}", bearer(&soon), door.headers());
            let target = "/topics/chat/7?auth_expiring=70";
            let mut told = server.subscribe_with(target, &fields);
            let event = told.next();
            assert_eq!((event.kind.as_str(), event.id.as_str()), ("auth-expiring", ""));
            let left: Value = serde_json::from_str(&event.data).unwrap();
            assert!(left["expires_in"].as_u64().unwrap() <= 60, "{left}");
            // Another token, another end.
            let own = format!("/connections/{}", told.own_name());
            server.request("PATCH", &own, &bearer(&later), br#"{"add":{}}"#);
            assert_eq!(told.next().kind, "auth-expiring");
        }
        let mut ws = enter(&server, "/ws?auth_expiring=70", &bearer(&soon));
        assert_eq!(ws.said()["op"], "auth-expiring");
        assert_eq!(ws.ask(json!({"op": "token", "token": later}))["op"], "accepted");
        assert_eq!(ws.said()["op"], "auth-expiring");
        // Once for each end, and not for who did not ask.
        let operator = people()[3].clone().unwrap();
        let mut quiet = enter(&server, "/ws", &bearer(&soon));
        for ws in [&mut ws, &mut quiet] {
            ws.subscribe("s", json!({"topics": ["chat/7"]}));
        }
        server.request("POST", "/topics/chat/7", &bearer(&operator), b"x");
        assert_eq!((ws.data(1), quiet.data(1)), (vec!["x".into()], vec!["x".into()]));
        let wrong = "/topics/chat/7?auth_expiring=0";
        server.request("GET", wrong, &bearer(&soon), b"").problem(400, "invalid-parameter");
    });
}
