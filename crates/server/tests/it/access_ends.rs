//! What stands on a token ends with it, and nothing that is read by a detour is shown to anybody
//! who may not read it straight away.

use std::time::Duration;

use serde_json::{Value, json};
use tidings_access::Grants;
use tidings_relay::config::{LlmConfig, Secret};
use tidings_scripted::{Script, Upstream};

use crate::access::{Closed, claims, closed, now, people, token};
use crate::hook::{hook, says};
use crate::receiver::Receiver;
use crate::relay::chat;
use crate::stream::Stream;
use crate::support::{DOORS, until};

fn shows(token: &str) -> String {
    format!("Tidings-Token: {token}\r\n")
}

fn operator() -> String {
    shows(&token(&claims("operator", serde_json::to_value(Grants::everything()).unwrap())))
}

fn revoke(server: &Closed, body: &Value) {
    let reply = server.request("POST", "/revocations", &operator(), body.to_string().as_bytes());
    assert_eq!(reply.status, 200, "{}", reply.text());
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
