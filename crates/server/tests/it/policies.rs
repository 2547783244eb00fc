//! What a topic's policy promises: set, described, kept to, removed with its topic.

use std::time::Duration;

use serde_json::{Value, json};
use tidings_frame::Pattern;
use tidings_server::config::{PolicyRule, TopicPolicy};

use crate::support::{DOORS, Server, texts, until};

fn head(server: &Server, topic: &str) -> crate::support::Reply {
    let mut conn = server.connect();
    conn.ask("HEAD", &format!("/topics/{topic}"), "", b"");
    conn.reply_without_body()
}

#[test]
fn a_topic_is_made_described_and_removed() {
    let server = Server::start();
    assert_eq!(head(&server, "t").status, 404);
    let made = server.put("t", &json!({"retain": {"count": 3}, "durability": "synced"}));
    assert_eq!(made.status, 201);
    let topic = made.json();
    assert_eq!((&topic["name"], &topic["own_policy"]), (&json!("t"), &json!(true)));
    assert_eq!(topic["policy"]["retain"]["count"], 3);
    assert_eq!(topic["policy"]["durability"], "synced");
    assert_eq!(head(&server, "t").header("tidings-newest"), None);
    let ids = server.publish_numbers("t", 1..6);
    let described = head(&server, "t");
    assert_eq!(described.status, 200);
    assert_eq!(described.header("tidings-events"), Some("3"));
    assert_eq!(described.header("tidings-oldest"), Some(ids[2].as_str()));
    assert_eq!(described.header("tidings-newest"), Some(ids[4].as_str()));
    assert_eq!(server.put("t", &json!({})).status, 200);
    let listed = server.get("/topics?name=t").json();
    assert_eq!(listed["topics"][0]["newest"], ids[4].as_str());
    assert_eq!(server.request("DELETE", "/topics/t", "", b"").status, 204);
    server.request("DELETE", "/topics/t", "", b"").problem(404, "topic-not-found");
    assert_eq!(head(&server, "t").status, 404);
    assert_eq!(server.state(), json!([]));
}

#[test]
fn policies_and_removals_survive_a_restart() {
    let server = Server::start();
    server.put("kept", &json!({"retain": {"count": 2}}));
    server.publish_numbers("kept", 1..6);
    server.publish("/topics/removed", "x");
    assert_eq!(server.request("DELETE", "/topics/removed", "", b"").status, 204);
    let before = server.state();
    let server = server.restart();
    assert_eq!(server.state(), before);
    assert_eq!(server.kept("kept"), ["4", "5"]);
    server.publish("/topics/kept", "6");
    assert_eq!(server.kept("kept"), ["5", "6"]);
}

#[test]
fn the_list_of_topics_is_paged_by_name() {
    let server = Server::start();
    let mut names: Vec<String> = (0..25).map(|n| format!("list/{}", n * 37 % 100)).collect();
    for name in &names {
        server.publish(&format!("/topics/{name}"), "x");
    }
    names.sort();
    let mut all = Vec::new();
    let mut after = String::new();
    loop {
        let page = server.get(&format!("/topics?limit=10&after={after}")).json();
        let topics = page["topics"].as_array().unwrap();
        assert!(topics.len() <= 10);
        all.extend(topics.iter().map(|topic| topic["name"].as_str().unwrap().to_owned()));
        if page["more"] == false {
            break;
        }
        after = all.last().unwrap().clone();
    }
    assert_eq!(all, names);
    assert_eq!(server.get("/topics?name=none").json()["topics"], json!([]));
}

#[test]
fn retention_by_count_is_exact_and_a_resume_below_it_is_told() {
    for (count, total) in [(1, 2), (1, 10), (5, 6), (5, 40), (7, 7)] {
        let server = Server::start();
        server.put("t", &json!({"retain": {"count": count}}));
        server.publish("/topics/other", "x");
        let ids = server.publish_numbers("t", 1..total + 1);
        let kept: Vec<String> = (total + 1 - count..=total).map(|n| n.to_string()).collect();
        assert_eq!(server.kept("t"), kept, "{count} of {total}");
        let gone = usize::try_from(total - count).unwrap();
        for (at, id) in ids.iter().enumerate() {
            let mut stream = server.subscribe(&format!("/topics/t?lastEventId={id}"));
            let end = server.publish("/topics/marker", "");
            let _ = end;
            if at + 1 < gone {
                let gap = stream.next();
                let notice: Value = serde_json::from_str(&gap.data).unwrap();
                assert_eq!((gap.kind.as_str(), &gap.id), ("gap", &ids[gone - 1]), "after {id}");
                assert_eq!(notice["reason"], "retention");
                assert_eq!(notice["requested"], id.as_str());
                assert_eq!(notice["resumes"], ids[gone - 1].as_str());
                assert_eq!(notice["topics"], json!(["t"]));
                assert_eq!(stream.data(kept.len()), kept);
            } else {
                let rest = &kept[(at + 1).saturating_sub(gone)..];
                assert_eq!(stream.data(rest.len()), rest, "after {id}");
            }
        }
    }
}

#[test]
fn retention_by_bytes_and_by_age_let_go() {
    let server = Server::start();
    server.put("bytes", &json!({"retain": {"bytes": 10_000}}));
    server.put("age", &json!({"retain": {"age_ms": 1_000}}));
    let ids = server.publish_numbers("age", 1..4);
    for _ in 0..20 {
        server.publish("/topics/bytes", &"x".repeat(1_000));
    }
    until("the bytes to be within their bound", || {
        let kept = server.kept("bytes").len();
        assert!(kept >= 5, "too few: {kept}");
        kept <= 10
    });
    until("old events to go", || server.kept("age").is_empty());
    let mut stream = server.subscribe(&format!("/topics/age?lastEventId={}", ids[0]));
    let gap = stream.next();
    assert_eq!((gap.kind.as_str(), gap.id.as_str()), ("gap", ids[2].as_str()));
    server.publish("/topics/age", "new");
    assert_eq!(stream.next().data, "new");
}

#[test]
fn a_conflating_topic_keeps_the_newest_of_each_key() {
    let server = Server::start();
    server.put("t", &json!({"conflate": true}));
    let mut live = server.subscribe("/topics/t");
    for (key, data) in [("a", "1"), ("b", "2"), ("a", "3"), ("c", "4"), ("b", "5"), ("a", "6")] {
        server.publish(&format!("/topics/t?key={key}"), data);
        // Whoever keeps up gets them all.
        assert_eq!(live.next().data, data);
    }
    server.publish("/topics/t", "no key");
    assert_eq!(server.kept("t"), ["4", "5", "6", "no key"]);
    let mut late = server.subscribe("/topics/t?earliest");
    assert_eq!(late.data(4), ["4", "5", "6", "no key"]);
    let server = server.restart();
    assert_eq!(server.kept("t"), ["4", "5", "6", "no key"]);
}

#[test]
fn events_and_topics_expire() {
    let server = Server::start();
    server.put("fixed", &json!({"ttl": {"ms": 5_000, "mode": "fixed"}}));
    server.put("sliding", &json!({"ttl": {"ms": 5_000, "mode": "sliding"}}));
    server.publish("/topics/t?ttl=5s", "short");
    server.publish("/topics/t?ttl=1h", "long");
    let mut late = server.subscribe("/topics/t?earliest");
    assert_eq!(late.data(2), ["short", "long"]);
    let published = server.publish("/topics/fixed", "x");
    until("the event to expire", || server.kept("t") == ["long"]);
    until("the topics to go", || {
        head(&server, "fixed").status == 404 && head(&server, "sliding").status == 404
    });
    let mut again = server.subscribe("/topics/t?earliest");
    assert_eq!(again.next().data, "long");
    // The name is free; what was under it is not taken for its own.
    let next = server.publish("/topics/fixed", "y");
    assert_ne!(next, published);
    assert_eq!(server.kept("fixed"), ["y"]);
}

/// A server whose visitors may read and publish but have no other rights.
fn for_visitors(rules: Vec<(&str, TopicPolicy)>) -> Server {
    Server::with(|config| {
        config.anonymous.admin.clear();
        let rule = |(pattern, policy): (&str, TopicPolicy)| PolicyRule {
            pattern: Pattern::new(pattern).unwrap(),
            policy,
        };
        config.policies = rules.into_iter().map(rule).collect();
    })
}

#[test]
fn private_events_are_hidden_from_those_without_the_right() {
    let private = TopicPolicy { private: true, ..TopicPolicy::default() };
    let server = for_visitors(vec![("secret/*", private)]);
    let mut streams = [
        server.subscribe("/topics/t"),
        server.subscribe("/events?topic=t&topic=secret/a"),
        server.subscribe("/events?pattern=**"),
        server.subscribe("/topics/t?envelope"),
    ];
    server.publish("/topics/t?private", "hidden");
    server.publish("/topics/secret/a", "hidden");
    let shown = server.publish("/topics/t?private=false", "shown");
    for stream in &mut streams {
        assert_eq!(stream.next().id, shown);
    }
    assert_eq!(server.kept("t"), ["shown"]);
    assert_eq!(server.kept("secret/a"), Vec::<String>::new());
    for target in ["/topics/t?earliest", "/events?pattern=**&earliest", "/topics/t?last=10"] {
        assert_eq!(server.subscribe(target).next().id, shown, "{target}");
    }
    let open = Server::start();
    open.publish("/topics/t?private", "seen by who may");
    assert_eq!(open.kept("t"), ["seen by who may"]);
}

#[test]
fn what_only_an_operator_may_do() {
    let only_operators = serde_json::from_value(json!({"end_by": "operator"})).unwrap();
    let server = for_visitors(vec![("answers/*", only_operators)]);
    let stream = server.subscribe("/topics/t");
    let name = stream.name();
    for door in DOORS {
        let reply = server.request("POST", "/topics/answers/1?end=done", door.headers(), b"x");
        reply.problem(403, "forbidden");
    }
    for (method, target) in [
        ("PUT", "/topics/t".to_owned()),
        ("DELETE", "/topics/t".to_owned()),
        ("GET", "/connections".to_owned()),
        ("PATCH", format!("/connections/{name}")),
        ("DELETE", format!("/connections/{name}")),
    ] {
        let reply = server.request(method, &target, "", b"{}");
        reply.problem(403, "forbidden");
    }
    assert_eq!(server.state(), json!([]));
    let closed = Server::with(|config| config.anonymous = Default::default());
    for (method, target, accept) in [
        ("POST", "/topics/t", ""),
        ("POST", "/publish", ""),
        ("DELETE", "/schedules/1", ""),
        ("GET", "/topics/t", "Accept: text/event-stream\r\n"),
        ("GET", "/topics/t", "Accept: application/json\r\n"),
        ("GET", "/events?topic=t", "Accept: text/event-stream\r\n"),
        ("POST", "/events", ""),
        ("GET", "/topics", ""),
        ("GET", "/metrics", ""),
    ] {
        let body: &[u8] = if target == "/publish" {
            b"{\"events\":[{\"topic\":\"t\"}]}"
        } else {
            b"{\"topics\":[\"t\"]}"
        };
        let body = if method == "POST" { body } else { b"" };
        closed.request(method, target, accept, body).problem(403, "forbidden");
    }
    for target in ["/healthz", "/readyz", "/openapi.json"] {
        assert_eq!(closed.get(target).status, 200, "{target}");
    }
}

#[test]
fn a_fork_begins_with_the_events_of_another() {
    let server = Server::start();
    let ids = server.publish_numbers("a", 1..6);
    let fork = |name: &str, body: Value| {
        let target = format!("/topics/{name}");
        server.request("PUT", &target, "", json!({"fork": body}).to_string().as_bytes())
    };
    let made = fork("b", json!({"topic": "a", "through": ids[2]}));
    assert_eq!(made.status, 201, "{}", made.text());
    assert_eq!(made.json()["forked_from"], json!({"topic": "a", "through": ids[2]}));
    server.publish("/topics/a", "only a");
    server.publish("/topics/b", "only b");
    assert_eq!(server.kept("b"), ["1", "2", "3", "only b"]);
    assert_eq!(server.kept("a"), ["1", "2", "3", "4", "5", "only a"]);
    let mut resumed = server.subscribe(&format!("/topics/b?lastEventId={}", ids[1]));
    assert_eq!(resumed.data(2), ["3", "only b"]);
    fork("b", json!({"topic": "a"})).problem(409, "topic-exists");
    fork("c", json!({"topic": "none"})).problem(404, "topic-not-found");
    fork("c", json!({"topic": "a", "through": "zzzzzzzz-1"})).problem(400, "invalid-parameter");
    fork("c", json!({"topic": "a", "through": ids[0].replace("-1", "-999")}))
        .problem(400, "invalid-parameter");
    fork("c", json!({"topic": "a", "more": 1})).problem(400, "invalid-json");
    server.request("DELETE", "/topics/a", "", b"").problem(409, "topic-has-forks");
    assert_eq!(head(&server, "c").status, 404);
    let server = server.restart();
    assert_eq!(server.kept("b"), ["1", "2", "3", "only b"]);
}

#[test]
fn bytes_that_are_no_text_travel_as_base64() {
    let server = Server::start();
    server.put("t", &json!({"content_type": "application/octet-stream"}));
    let mut live = server.subscribe("/topics/t");
    for door in DOORS {
        let reply = server.request("POST", "/topics/t", door.headers(), b"\xff\x00\n\r");
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert_eq!(live.next().data, "/wAKDQ==");
        let refused = server.request("POST", "/topics/text", door.headers(), b"\xff\x00");
        refused.problem(400, "invalid-utf8");
    }
    let page = server.page("/topics/t?earliest");
    assert_eq!(texts(&page, "data_base64"), ["/wAKDQ==", "/wAKDQ=="]);
    assert_eq!(head(&server, "text").status, 404);
}

#[test]
fn bad_policies_are_refused_and_change_nothing() {
    let server = Server::start();
    server.put("t", &json!({"retain": {"count": 9}}));
    let before = server.state();
    for body in [
        "null",
        "[]",
        "1",
        "{",
        "{\"durability\":\"safe\"}",
        "{\"retain\":{\"count\":-1}}",
        "{\"retain\":{\"count\":1.5}}",
        "{\"retain\":{\"counts\":1}}",
        "{\"retain\":5}",
        "{\"ttl\":{\"ms\":1}}",
        "{\"ttl\":\"1h\"}",
        "{\"conflate\":\"yes\"}",
        "{\"unknown\":1}",
        "{\"end_by\":\"anybody\"}",
        "{} {}",
    ] {
        for topic in ["t", "new"] {
            let target = format!("/topics/{topic}");
            let reply = server.request("PUT", &target, "", body.as_bytes());
            reply.problem(400, "invalid-json");
        }
        assert_eq!(server.state(), before, "{body}");
    }
}

#[test]
fn rules_of_the_configuration_hold_for_what_they_match() {
    let counted = serde_json::from_value(json!({"retain": {"count": 2}})).unwrap();
    let rules = Pattern::new("chat/*").unwrap();
    let server = Server::with(|config| {
        config.heartbeat = Duration::from_secs(15);
        config.policies = vec![PolicyRule { pattern: rules, policy: counted }];
    });
    server.publish_numbers("chat/a", 1..6);
    server.publish_numbers("mail/a", 1..6);
    assert_eq!(server.kept("chat/a"), ["4", "5"]);
    assert_eq!(server.kept("mail/a").len(), 5);
    assert_eq!(server.get("/topics?name=chat/a").json()["topics"][0]["own_policy"], false);
}
