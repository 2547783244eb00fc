//! What an answer costs and who may see it: one request is one generation, quotas hold, and nobody
//! reads or stops what is not theirs.

use std::time::Duration;

use serde_json::json;
use tidings_scripted::{At, Fault, Script};

use crate::relay::{Answered, Relay, apis, chat};
use crate::support::until;

const RETRY: &str = "X-Stainless-Retry-Count: 1\r\n";

#[test]
fn a_retry_of_an_sdk_finds_its_answer() {
    for (path, body) in apis() {
        let relay = Relay::start();
        relay.play(Script::text("one two three"));
        // With credentials: the server may not have noticed yet that the first one has gone.
        let mine = "Authorization: Bearer mine\r\n";
        let first = Answered::read(relay.ask(path, mine, &body), 100);
        let retry = format!("{mine}{RETRY}");
        let retried = Answered::read(relay.ask(path, &retry, &body), usize::MAX);
        assert_eq!(retried.text(), "one two three", "{path}");
        assert!(retried.whole && retried.has_header("tidings-attached"), "{path}");
        assert_eq!(retried.header("tidings-topic"), first.header("tidings-topic"));
        assert_eq!(relay.asked(), 1, "{path}: paid for once");
    }
}

/// The client gave up before the upstream had said anything at all.
#[test]
fn a_retry_finds_an_answer_that_has_not_begun() {
    let relay = Relay::start();
    relay.play(Script::text("one two").head_after(Duration::from_millis(300)));
    let conn = relay.ask("/v1/chat/completions", "", &chat("hello"));
    until("the upstream is asked", || relay.asked() == 1);
    drop(conn);
    let retried = relay.chat(RETRY);
    assert_eq!((retried.text().as_str(), relay.asked()), ("one two", 1));
}

#[test]
fn what_is_no_retry_is_asked_anew() {
    let relay = Relay::start();
    relay.play(Script::text("one"));
    relay.chat("");
    relay.chat("");
    assert_eq!(relay.asked(), 2, "the same question twice is two questions");
    relay.chat("X-Stainless-Retry-Count: 0\r\n");
    assert_eq!(relay.asked(), 3);
    let other = "Authorization: Bearer other\r\nX-Stainless-Retry-Count: 1\r\n";
    relay.chat(other);
    assert_eq!(relay.asked(), 4, "a retry is its caller's");
    Answered::read(relay.ask("/v1/chat/completions", RETRY, &chat("other")), usize::MAX);
    assert_eq!(relay.asked(), 5, "another question");
}

/// An answer that failed is not what a retry wants.
#[test]
fn a_retry_after_a_failure_is_a_new_attempt() {
    let relay = Relay::start();
    relay.play(Script::text("one two").fault(Fault::close(At::Token(1))));
    let broken = relay.chat("");
    assert_eq!(broken.last()["error"]["type"], "upstream_error");
    relay.play(Script::text("one two"));
    assert_eq!(relay.chat(RETRY).text(), "one two");
    assert_eq!(relay.asked(), 2);
}

#[test]
fn a_key_belongs_to_one_request() {
    let relay = Relay::start();
    relay.play(Script::text("one"));
    let key = "Idempotency-Key: k\r\n";
    relay.chat(key);
    let other = Answered::read(relay.ask("/v1/chat/completions", key, &chat("x")), usize::MAX);
    assert_eq!((other.status, other.json()["code"].as_str()), (422, Some("idempotency-mismatch")));
    assert!(other.json()["error"]["message"].is_string(), "SDKs look here");
    let owner = format!("{key}Authorization: Bearer other\r\n");
    assert_eq!(relay.chat(&owner).status, 200, "a key is its caller's");
    assert_eq!(relay.asked(), 2);
}

/// After a restart too: the answer and its price are remembered.
#[test]
fn a_key_outlives_the_process() {
    let relay = Relay::start();
    relay.play(Script::text("one two"));
    let key = "Idempotency-Key: k\r\n";
    let first = relay.chat(key);
    let relay = relay.restart();
    let again = relay.chat(key);
    assert_eq!(again.body, first.body);
    assert_eq!(relay.asked(), 1);
}

/// What came to nothing is no answer, also after a restart: the same key asks anew.
#[test]
fn a_key_of_a_refused_request_is_free_again() {
    let relay = Relay::start();
    relay.play(Script::refuse(429, "slow down"));
    let key = "Idempotency-Key: k\r\n";
    assert_eq!(relay.chat(key).status, 429);
    relay.play(Script::text("one two"));
    let relay = relay.restart();
    let answered = relay.chat(key);
    assert_eq!((answered.status, answered.text().as_str()), (200, "one two"));
    assert_eq!(relay.chat(key).text(), "one two");
    assert_eq!(relay.asked(), 2);
}

/// The process went down before anything had come: the answer ends all the same.
#[test]
fn an_answer_of_nothing_ends_after_a_restart() {
    let relay = Relay::with(|llm| llm.patience = Duration::from_millis(20));
    relay.play(Script::text("one").fault(Fault::hang(At::Head)));
    let key = "Idempotency-Key: k\r\n";
    let mut conn = relay.ask("/v1/chat/completions", key, &chat("hello"));
    conn.head().unwrap();
    let relay = relay.restart();
    let again = relay.chat(key);
    assert!(again.whole && again.last()["error"].is_object(), "{again:?}");
    assert_eq!(relay.asked(), 1);
}

/// Somebody else's answer is not what a retry looks for.
#[test]
fn a_retry_joins_no_answer_that_somebody_reads() {
    let relay = Relay::start();
    relay.play(Script::text("one two").fault(Fault::hang(At::Token(1))));
    let mut reading = relay.ask("/v1/chat/completions", "", &chat("hello"));
    reading.head().unwrap();
    relay.play(Script::text("one two"));
    let retried = relay.chat(RETRY);
    assert!(!retried.has_header("tidings-attached"), "{retried:?}");
    assert_eq!(relay.asked(), 2);
}

/// Requests without a stream count too.
#[test]
fn tokens_are_counted_without_a_stream() {
    let relay = Relay::with(|llm| llm.quota.tokens = Some(50));
    relay.play(Script::text("one").usage(40, 20));
    let mut body = chat("hello");
    body["stream"] = json!(false);
    let ask = || Answered::read(relay.ask("/v1/chat/completions", "", &body), usize::MAX).status;
    assert_eq!((ask(), ask()), (200, 429));
    assert_eq!(relay.chat("").status, 429);
    assert_eq!(relay.server.get("/v1/models").status, 200, "what costs nothing is free");
}

/// With the operator's key the upstream would do what the caller may not.
#[test]
fn a_response_of_somebody_else_is_not_passed_on_with_the_operators_key() {
    let relay = Relay::with(|llm| {
        llm.upstreams[0].api_key = Some(tidings_relay::config::Secret("sk-ours".into()));
    });
    relay.play(Script::text("one").id("resp_1"));
    let mine = "Authorization: Bearer mine\r\n";
    let conn = relay.ask("/v1/responses", mine, &crate::relay::responses("x"));
    Answered::read(conn, usize::MAX);
    let asked = relay.asked();
    for (method, target) in [
        ("GET", "/v1/responses/resp_1"),
        ("DELETE", "/v1/responses/resp_1"),
        ("POST", "/v1/responses/resp_1/cancel"),
        ("GET", "/v1/responses/resp_1/input_items"),
    ] {
        assert_eq!(relay.server.request(method, target, "", b"").status, 404, "{method} {target}");
    }
    assert_eq!(relay.asked(), asked);
    relay.server.request("GET", "/v1/models?token=secret&after=x&deltas=raw", "", b"");
    let query = relay.upstream.received().last().unwrap().query.clone();
    assert_eq!(query, "after=x", "what is ours is not the upstream's");
}

#[test]
fn a_caller_has_so_many_answers_at_a_time() {
    let relay = Relay::with(|llm| llm.quota.concurrent = Some(2));
    relay.play(Script::text("one two").fault(Fault::hang(At::Token(1))));
    let running: Vec<Answered> = (0..2)
        .map(|_| Answered::read(relay.ask("/v1/chat/completions", "", &chat("x")), 10))
        .collect();
    let third = relay.chat("");
    assert_eq!((third.status, third.header("retry-after").as_str()), (429, "1"));
    assert_eq!(relay.chat("Authorization: Bearer o\r\nTidings-On-Disconnect: x\r\n").status, 400);
    assert_eq!(relay.asked(), 2, "what is refused is not asked");
    // A retry of one that runs is none more.
    until("the first has gone", || relay.described(&running[0])["readers"] == 0);
    let conn = relay.ask("/v1/chat/completions", RETRY, &chat("x"));
    assert_eq!(Answered::read(conn, 10).status, 200);
    relay.stop(&running[0]);
    relay.play(Script::text("one"));
    assert_eq!(relay.chat("").status, 200);
}

#[test]
fn a_caller_has_so_many_tokens() {
    let relay = Relay::with(|llm| llm.quota.tokens = Some(100));
    relay.play(Script::text("one").usage(60, 20));
    assert_eq!(relay.chat("").status, 200);
    assert_eq!(relay.chat("").status, 200, "160 tokens, but who could have known");
    let relay = relay.restart();
    let refused = relay.chat("");
    assert_eq!(refused.status, 429, "also after a restart");
    assert!(refused.header("retry-after").parse::<u64>().unwrap() > 3_600);
    assert_eq!(relay.chat("Authorization: Bearer other\r\n").status, 200);
    assert_eq!(relay.asked(), 3);
}

/// Usage is asked for where the client did not, and is not told to whom it would surprise.
#[test]
fn usage_is_counted_and_not_told_to_who_did_not_ask() {
    let relay = Relay::start();
    relay.play(Script::text("one two").usage(5, 7));
    let plain = relay.chat("");
    let request = relay.upstream.received()[0].json();
    assert_eq!(request["stream_options"], json!({"include_usage": true}));
    assert!(plain.data().iter().all(|data| !data.contains("prompt_tokens\":5")), "{plain:?}");
    let mut body = chat("hello");
    body["stream_options"] = json!({"include_usage": true});
    let asked = Answered::read(relay.ask("/v1/chat/completions", "", &body), usize::MAX);
    assert!(asked.data().iter().any(|data| data.contains("prompt_tokens\":5")), "{asked:?}");
    assert!((relay.server.metric("tidings_relay_input_tokens_total") - 10.0).abs() < 0.1);
    assert!((relay.server.metric("tidings_relay_output_tokens_total") - 14.0).abs() < 0.1);
}

#[test]
fn an_answer_is_read_and_stopped_with_its_tokens_only() {
    let relay = Relay::start();
    relay.play(Script::text("secret words").fault(Fault::hang(At::Token(1))));
    let conn = relay.ask("/v1/chat/completions", "", &chat("hello"));
    let answered = Answered::read(conn, 200);
    let (topic, token) = {
        let link = answered.link();
        let (topic, token) = link.split_once("?token=").unwrap();
        (topic.to_owned(), token.to_owned())
    };
    let stop = answered.header("tidings-stop");
    let stop_path = stop.split_once('?').unwrap().0.to_owned();
    let other = Answered::read(relay.ask("/v1/chat/completions", "", &chat("x")), 200);
    let others = other.link().split_once("token=").unwrap().1.to_owned();
    let (head, mac) = token.rsplit_once('.').unwrap();
    let other_letter = if mac.starts_with('A') { 'B' } else { 'A' };
    let forged = format!("{head}.{other_letter}{}", &mac[1..]);
    let sse = "Accept: text/event-stream\r\n";
    for (method, target, status) in [
        ("GET", topic.clone(), 401),
        ("GET", format!("{topic}?token="), 403),
        ("GET", format!("{topic}?token={forged}"), 403),
        ("GET", format!("{topic}?token={others}"), 403),
        ("GET", format!("{topic}?earliest=true"), 401),
        ("GET", topic.replace('$', "%24"), 401),
        ("GET", format!("/events?topic={}", &topic["/topics/".len()..]), 403),
        ("GET", "/events?pattern=$answers/*".to_owned(), 403),
        ("GET", "/topics/$relay/llm".to_owned(), 403),
        ("PUT", topic.clone(), 403),
        ("PUT", "/topics/copy?fork".to_owned(), 403),
        ("DELETE", topic.clone(), 403),
        ("POST", topic.clone(), 403),
        // The right to read is not the right to stop.
        ("POST", format!("{stop_path}?token={token}"), 403),
        ("GET", format!("/answers/nothing?token={token}"), 403),
    ] {
        let fork = json!({"fork": {"topic": &topic["/topics/".len()..]}}).to_string();
        let body = if target.ends_with("?fork") { fork.as_bytes() } else { b"" };
        let reply = relay.server.request(method, target.trim_end_matches("?fork"), sse, body);
        assert_eq!(reply.status, status, "{method} {target}: {}", reply.text());
        assert!(!reply.text().contains("secret"), "{method} {target}");
    }
    // Whoever follows everything follows no answers.
    let mut all = relay.server.subscribe("/events?pattern=**&earliest=true");
    relay.server.publish("/topics/public", "x");
    assert_eq!(all.next().data, "x");
    let listed = relay.server.get("/topics").json();
    assert_eq!(listed["topics"].as_array().unwrap().len(), 1, "{listed}");
    assert_eq!(relay.stop(&answered)["state"], "cancelled");
}

/// Keys of the operator and of clients are in no file, metric or answer.
#[test]
fn secrets_stay_where_they_are() {
    let secret = "sk-planted-7f3a";
    let relay = Relay::with(|llm| {
        llm.upstreams[0].api_key = Some(tidings_relay::config::Secret(secret.into()));
    });
    relay.play(Script::text("one two"));
    let answered = relay.chat("Authorization: Bearer sk-client-91bc\r\nIdempotency-Key: kk-55\r\n");
    let sent = relay.upstream.received()[0].header("authorization").unwrap().to_owned();
    assert_eq!(sent, format!("Bearer {secret}"));
    let metrics = relay.server.get("/metrics").text();
    let stored = relay.server.files();
    for planted in [secret, "sk-client-91bc", "kk-55"] {
        assert!(!answered.head.contains(planted) && !metrics.contains(planted));
        let bytes = planted.as_bytes();
        assert!(!stored.windows(bytes.len()).any(|window| window == bytes), "{planted}");
    }
}
