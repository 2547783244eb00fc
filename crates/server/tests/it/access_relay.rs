//! An answer belongs to whom a token says that asked for it: who may ask, read, come back and stop.

use std::time::Duration;

use serde_json::json;
use tidings_relay::config::{ChatRoutes, LlmConfig, Secret};
use tidings_scripted::{Script, Upstream};

use crate::access::{Closed, claims, closed, people, token};
use crate::relay::{Answered, chat, responses};
use crate::support::{Conn, Reply, until};

/// The operator's key for the API.
const UPSTREAM_KEY: &str = "sk-the-operators-own-key";

struct Relay {
    upstream: Upstream,
    server: Closed,
}

fn relay(own_key: bool) -> Relay {
    let upstream = Upstream::start().unwrap();
    let mut llm = LlmConfig::new("llm", "/v1", upstream.url().parse().unwrap());
    llm.chat = Some(ChatRoutes { path: "/api/chat".into(), model: Some("scripted".into()) });
    if own_key {
        llm.upstreams[0].api_key = Some(Secret(UPSTREAM_KEY.to_owned()));
    }
    let server = closed(|config| {
        config.drain.grace = Duration::from_millis(500);
        config.llm_relays.push(llm);
    });
    upstream.play(|_| Script::text("one two three"));
    Relay { upstream, server }
}

/// A token of this subject that may ask the relay.
fn asker(subject: &str) -> String {
    token(&claims(subject, json!({"publish": ["relay/llm"]})))
}

impl Relay {
    fn ask(&self, fields: &str) -> Conn {
        let mut conn = self.server.connect();
        let headers = format!("Content-Type: application/json\r\n{fields}");
        let body = chat("hello").to_string();
        conn.ask("POST", "/v1/chat/completions", &headers, body.as_bytes());
        conn
    }

    fn answered(&self, fields: &str) -> Answered {
        Answered::read(self.ask(fields), usize::MAX)
    }

    fn request(&self, method: &str, target: &str, token: Option<&str>) -> Reply {
        let fields = token.map_or(String::new(), |token| format!("Tidings-Token: {token}\r\n"));
        self.server.request(method, target, &fields, b"")
    }
}

#[test]
fn who_may_not_ask_costs_nothing() {
    let relay = relay(true);
    let [_, reader, _, operator, _] = people().map(Option::unwrap_or_default);
    for (fields, status) in [
        (String::new(), 401),
        ("Authorization: Bearer sk-any\r\n".to_owned(), 401),
        (format!("Authorization: Bearer {reader}\r\n"), 403),
        (format!("Authorization: Bearer {}\r\n", asker("ada")), 200),
        (format!("Authorization: Bearer {operator}\r\n"), 200),
    ] {
        let asked = relay.upstream.received().len();
        assert_eq!(relay.answered(&fields).status, status, "{fields}");
        let more = relay.upstream.received().len() - asked;
        assert_eq!(more, usize::from(status == 200), "{fields}");
    }
}

/// Whoever may not ask is told so before anything that is named is looked up or even read.
#[test]
fn who_may_not_ask_learns_nothing_of_what_it_names() {
    let relay = relay(true);
    let [_, reader, _, _, _] = people().map(Option::unwrap_or_default);
    let named = br#"{"previous_response_id":"resp_x"}"#.as_slice();
    for (fields, status) in
        [(String::new(), 401), (format!("Authorization: Bearer {reader}\r\n"), 403)]
    {
        for (method, target, body) in [
            ("POST", "/v1/responses", named),
            ("POST", "/v1/responses", b"no JSON"),
            ("POST", "/v1/messages", br#"{"container":"c"}"#),
            ("GET", "/v1/responses/resp_x", b""),
            ("DELETE", "/v1/responses/resp_x", b""),
        ] {
            let reply = relay.server.request(method, target, &fields, body);
            assert_eq!(reply.status, status, "{method} {target}: {}", reply.text());
        }
    }
    assert_eq!(relay.upstream.received().len(), 0);
}

#[test]
fn the_token_stays_here_and_the_key_of_the_api_goes_there() {
    for own_key in [true, false] {
        let relay = relay(own_key);
        let ada = asker("ada");
        let fields = if own_key {
            format!("Authorization: Bearer {ada}\r\n")
        } else {
            format!("Tidings-Token: {ada}\r\nAuthorization: Bearer sk-adas\r\n")
        };
        assert_eq!(relay.answered(&fields).status, 200);
        let seen = format!("{:?}", relay.upstream.received());
        assert!(!seen.contains(&ada), "the token went to the upstream");
        assert!(seen.contains(if own_key { UPSTREAM_KEY } else { "sk-adas" }));
    }
}

#[test]
fn an_answer_is_its_subjects_also_with_another_token() {
    let relay = relay(true);
    let [_, reader, _, operator, _] = people().map(Option::unwrap_or_default);
    let answered = relay.answered(&format!("Tidings-Token: {}\r\n", asker("ada")));
    let name = answered.header("tidings-topic").rsplit('/').next().unwrap().to_owned();
    let (read, topic) = (format!("/answers/{name}"), format!("/topics/$answers/{name}?earliest"));
    let stop = format!("/answers/{name}/stop");
    // As if she came again after a while: the same subject, not the same token.
    let mut again = claims("ada", json!({}));
    again["jti"] = json!("another");
    let again = token(&again);
    let bob = asker("bob");
    for (who, status) in [
        (None, 401),
        (Some(&*reader), 401),
        (Some(&*bob), 401),
        (Some(&*again), 200),
        (Some(&*operator), 200),
    ] {
        assert_eq!(relay.request("GET", &read, who).status, status, "{who:?}");
        assert_eq!(relay.request("POST", &stop, who).status, status, "{who:?}");
        if status != 200 {
            assert_eq!(relay.request("GET", &topic, who).status, status, "{who:?}");
        }
        // One that is not there is told like one that is another's.
        let none = relay.request("GET", &read.replace(&name, "none"), who);
        assert_eq!(none.status, if who == Some(&*operator) { 404 } else { 401 }, "{who:?}");
    }
    // The links that came with it are rights of their own, for whom she gives them to.
    let fields = format!("Tidings-Token: {bob}\r\n");
    let mut stream = relay.server.subscribe_with(&answered.link(), &fields);
    assert_eq!(stream.next().kind, "snapshot");
}

#[test]
fn an_answers_stream_ends_with_the_token_that_asked() {
    let relay = relay(true);
    relay.upstream.play(|_| Script::text("one two three").pace(Duration::from_secs(600)));
    let [_, _, _, operator, _] = people().map(Option::unwrap_or_default);
    let fields = format!("Tidings-Token: {}\r\n", asker("ada"));
    let mut conn = relay.ask(&fields);
    conn.head().expect("an answer");
    let body = json!({"subject": "ada"}).to_string();
    let fields = format!("Tidings-Token: {operator}\r\n");
    let reply = relay.server.request("POST", "/revocations", &fields, body.as_bytes());
    assert_eq!(reply.status, 200);
    until("the stream ends", || !conn.read_more());
}

/// With the operator's key everything is one account's to the API, so only the relay can tell whose
/// a response is.
#[test]
fn a_response_is_only_its_askers() {
    let relay = relay(true);
    relay.upstream.play(|_| Script::text("one two").id("resp_abc"));
    let ask = |who: &str, more: serde_json::Value| {
        let mut body = responses("hello");
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        let mut conn = relay.server.connect();
        let fields = format!("Content-Type: application/json\r\nTidings-Token: {}\r\n", asker(who));
        conn.ask("POST", "/v1/responses", &fields, body.to_string().as_bytes());
        Answered::read(conn, usize::MAX).status
    };
    assert_eq!(ask("ada", json!({})), 200);
    let (ada, bob) = (asker("ada"), asker("bob"));
    assert_eq!(relay.request("GET", "/v1/responses/resp_abc", Some(&ada)).status, 200);
    let asked = relay.upstream.received().len();
    for (method, target) in [
        ("GET", "/v1/responses/resp_abc"),
        ("GET", "/v1/responses/resp%5Fabc"),
        ("GET", "/v1/responses//resp_abc"),
        ("GET", "/v1/responses/resp_abc/"),
        ("GET", "/v1/responses/resp_abc/input_items"),
        ("GET", "/v1/responses/resp_unknown"),
        ("DELETE", "/v1/responses/resp_abc"),
        ("DELETE", "/v1/responses/resp%5Fabc"),
        ("POST", "/v1/responses/resp%5Fabc/cancel"),
    ] {
        assert_eq!(relay.request(method, target, Some(&bob)).status, 404, "{method} {target}");
    }
    assert_eq!(ask("bob", json!({"previous_response_id": "resp_abc"})), 404);
    assert_eq!(ask("bob", json!({"previous_response_id": "resp_unknown"})), 404);
    // What is kept at the API goes by other names too: the message that ada was told, and what
    // nobody here has made.
    let item = |id: &str| json!({"input": [{"type": "item_reference", "id": id}]});
    let said = relay.request("GET", "/v1/responses/resp_abc", Some(&ada)).json();
    let message = said["output"][0]["id"].as_str().unwrap().to_owned();
    for (who, more) in [
        ("bob", item(&message)),
        ("bob", json!({"input": [{"id": message}]})),
        ("bob", json!({"input": [{"type": "reasoning", "id": message, "summary": []}]})),
        ("bob", json!({"tools": [{"type": "code_interpreter", "container": "cntr_1"}]})),
        ("bob", json!({"conversation": "conv_1"})),
        ("bob", json!({"conversation": {"id": "conv_1"}})),
        ("ada", json!({"conversation": "conv_1"})),
        ("ada", item("msg_unknown")),
    ] {
        assert_eq!(ask(who, more.clone()), 404, "{who} {more}");
    }
    assert_eq!(relay.upstream.received().len(), asked, "the API was not asked");
    assert_eq!(ask("ada", json!({"previous_response_id": "resp_abc"})), 200);
    assert_eq!(ask("ada", item(&message)), 200);
}

/// What is between the client and this server goes no further, however it is written.
#[test]
fn tickets_and_tokens_of_a_query_stay_here() {
    let relay = relay(true);
    let target = "/v1/models?a=1&t%6Fken=hidden&ticket=hidden&%74icket=hidden&deltas=raw&b=%20";
    relay.request("GET", target, Some(&asker("ada")));
    let received = relay.upstream.received();
    assert_eq!(received.last().unwrap().query, "a=1&b=%20");
}
