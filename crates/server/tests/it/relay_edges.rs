//! Where an answer goes on and where it does not, how long anything may take, and how a body ends
//! for a client of the older HTTP.

use std::time::Duration;

use serde_json::{Value, json};
use tidings_relay::config::{LlmConfig, OnDisconnect, UpstreamResume};
use tidings_scripted::{At, Fault, Received, Script, Seen};

use crate::relay::{Answered, LONG, Relay, apis, chat};
use crate::support::{PATIENCE, until};

/// Long enough for a local upstream, and soon over.
const SHORT: Duration = Duration::from_millis(200);

/// Plays an upstream that can go on with an answer, which breaks as `fault` says at first.
fn goes_on(relay: &Relay, fault: Fault) {
    relay.upstream.play(move |request: &Received| {
        let script = Script::text("one two three").id("fixed").model("m");
        match request.query.split("from=").nth(1) {
            Some(from) => {
                let script = script.dialect(tidings_scripted::Dialect::Chat).streamed();
                script.from_byte(from.parse().unwrap())
            }
            None => script.fault(fault.clone()),
        }
    });
}

fn resumable(change: impl FnOnce(&mut LlmConfig)) -> Relay {
    Relay::with(|llm| {
        (llm.upstream_resume, llm.count_usage) = (UpstreamResume::LlamaServer, false);
        change(llm);
    })
}

fn posts(relay: &Relay) -> (usize, usize) {
    let received = relay.upstream.received();
    let posts = received.iter().filter(|request| request.method == "POST").count();
    (posts, received.len() - posts)
}

/// Another connection mends what was the connection's fault, and nothing else.
#[test]
fn only_a_broken_connection_is_gone_on_with() {
    let no_json = &b"data: {\"choices\":[{\"delta\n\n"[..];
    let long_line = [b"data: ".as_slice(), &b"x".repeat(9 << 20)].concat();
    for (what, goes, fault) in [
        ("closed", true, Fault::close(At::Token(1))),
        ("reset", true, Fault::reset(At::Token(1))),
        ("ended early", true, Fault::end(At::Token(1))),
        ("silent", false, Fault::hang(At::Token(1))),
        ("its own error", false, Fault::error(At::Token(1), "it hurts")),
        ("longer than a line may be", false, Fault::insert(At::Token(1), long_line)),
        ("longer than an answer may be", false, Fault::insert(At::Token(1), no_json.repeat(300))),
    ] {
        let relay = resumable(|llm| {
            llm.idle_timeout = if what == "silent" { SHORT } else { PATIENCE };
            llm.answer_bytes_max = 5_000;
        });
        goes_on(&relay, fault);
        let answered = relay.chat("");
        assert!(answered.whole, "{what}");
        let broke = answered.last()["error"].is_object();
        assert_eq!((broke, answered.text() == "one two three"), (!goes, goes), "{what}");
        let (asked, again) = posts(&relay);
        assert_eq!((asked, again > 0), (1, goes), "{what}: {again}");
    }
}

/// An upstream that breaks at once each time is not asked for ever.
#[test]
fn attempts_that_bring_nothing_come_to_an_end() {
    let relay = resumable(|_| {});
    relay.upstream.play(|request| match request.method.as_str() {
        "GET" => Script::refuse(503, "not now"),
        _ => Script::text("one two").fault(Fault::close(At::Token(1))),
    });
    let answered = relay.chat("");
    assert!(answered.last()["error"].is_object(), "{answered:?}");
    assert_eq!(posts(&relay), (1, 5));
}

/// An answer that breaks off more often than that, and each time brings something, is whole.
#[test]
fn attempts_that_bring_something_are_counted_anew() {
    let relay = resumable(|_| {});
    relay.upstream.play(|request| {
        let script = Script::text("a b c d e f g h").id("fixed").model("m");
        let from: u64 = request.query.split("from=").nth(1).map_or(0, |at| at.parse().unwrap());
        // An event is some two hundred bytes: about one of them each time.
        let script = script.dialect(tidings_scripted::Dialect::Chat).streamed().from_byte(from);
        script.fault(Fault::close(At::Byte(from + 220)))
    });
    let answered = relay.chat("");
    assert_eq!(answered.text(), "a b c d e f g h");
    assert!(answered.whole && answered.data().last().unwrap() == "[DONE]");
    assert!(posts(&relay).1 > 5, "{:?}", posts(&relay));
}

/// A body that is no stream has a time limit as well, whichever way it was asked for.
#[test]
fn a_whole_body_comes_in_time_or_not_at_all() {
    for (streams, status) in [(true, 502), (false, 504)] {
        for (at, refused) in [(At::Byte(3), true), (At::Byte(3), false), (At::Head, false)] {
            let relay = Relay::with(|llm| (llm.answer_timeout, llm.retries) = (10 * SHORT, 0));
            let body = if refused { 400 } else { 200 };
            relay.play(Script::body(body, "application/json", "{\"a\":1}").fault(Fault::hang(at)));
            let mut body = chat("hello");
            body["stream"] = json!(streams);
            let conn = relay.ask("/v1/chat/completions", "", &body);
            let answered = Answered::read(conn, usize::MAX);
            let wanted = if at == At::Head { 504 } else { status };
            assert_eq!(answered.status, wanted, "streams: {streams}, {at:?}: {answered:?}");
            let told = answered.json()["error"]["message"].as_str().unwrap().to_owned();
            assert!(told.contains("in time") || told.contains("within"), "{told}");
            let closed = |seen: &Seen| seen.open_connections == 0;
            assert!(relay.upstream.wait_for(closed), "it is not left open");
        }
    }
}

/// Comments keep a connection open, and are no part of an answer.
#[test]
fn who_only_comments_is_silent() {
    let relay = Relay::with(|llm| llm.idle_timeout = 5 * SHORT);
    let beats = (0..400).fold(Script::text("one two"), |script, _| {
        let pause = Fault::pause(At::Token(1), SHORT / 2);
        script.fault(pause).fault(Fault::insert(At::Token(1), &b": still here\n\n"[..]))
    });
    relay.play(beats);
    let answered = relay.chat("");
    assert!(answered.last()["error"]["message"].as_str().unwrap().contains("said nothing"));
    assert_eq!(answered.text(), "one");
}

/// Whoever comes back within the grace time finds the answer going on.
#[test]
fn who_comes_back_in_time_keeps_an_answer_alive() {
    let grace = Duration::from_secs(4);
    let relay = Relay::with(|llm| llm.on_disconnect = OnDisconnect::CancelAfter(grace));
    relay.play(Script::text("one two").fault(Fault::pause(At::Token(1), 2 * grace)));
    let (conn, answered) = relay.begin("/v1/chat/completions", "", &chat("hello"));
    until("a token has come", || relay.told(&answered) == "one");
    drop(conn);
    until("nobody reads", || relay.described(&answered)["readers"] == 0);
    let rest = relay.server.subscribe(&answered.link()).until_end();
    assert!(rest.last().unwrap().data.contains("done"), "{rest:?}");
}

/// What a refused request held is free again, its key too, without a restart.
#[test]
fn a_refused_request_leaves_nothing_behind() {
    let relay = Relay::with(|llm| llm.quota.concurrent = Some(1));
    let key = "Idempotency-Key: k\r\n";
    // At once, each time.
    for number in 0..20 {
        relay.play(Script::refuse(429, "slow down"));
        let refused = relay.chat(key);
        assert!(refused.json()["error"]["message"].as_str().unwrap().contains("slow down"));
        relay.play(Script::text("one"));
        let answered = relay.chat(&format!("Idempotency-Key: {number}\r\n"));
        assert_eq!((answered.status, answered.text().as_str()), (200, "one"), "{number}");
    }
    let answered = relay.chat(key);
    assert_eq!((answered.status, answered.text().as_str()), (200, "one"));
    assert!(!answered.has_header("tidings-attached"));
    assert_eq!(relay.asked(), 41);
}

/// A caller that may have one answer at a time asks for the next as soon as it has read one.
#[test]
fn one_answer_after_the_other_is_one_at_a_time() {
    let relay = Relay::with(|llm| llm.quota.concurrent = Some(1));
    relay.play(Script::text("one"));
    for number in 0..50 {
        assert_eq!(relay.chat("").status, 200, "{number}");
    }
}

/// HTTP/1.0 has no chunks: the body is what follows, up to the end of the connection.
#[test]
fn a_client_of_http_1_0_gets_a_body_that_ends_with_the_connection() {
    for (path, body) in apis() {
        let relay = Relay::with(|llm| llm.on_disconnect = OnDisconnect::CancelAfter(LONG));
        relay.play(Script::text("one two three").id("fixed"));
        let wanted = Answered::read(relay.ask(path, "", &body), usize::MAX);
        let body = body.to_string();
        // Followed while it comes, and read from the log.
        for key in ["", "Idempotency-Key: k\r\n", "Idempotency-Key: k\r\n"] {
            let length = body.len();
            let request = format!(
                "POST {path} HTTP/1.0\r\nHost: old\r\n{key}Content-Length: {length}\r\n\r\n{body}"
            );
            let mut conn = relay.server.connect();
            conn.send(request.as_bytes());
            let head = conn.head().unwrap();
            assert!(head.starts_with("HTTP/1.1 200"), "{head}");
            assert!(!head.to_ascii_lowercase().contains("transfer-encoding"), "{head}");
            let raw = conn.rest();
            assert!(raw.starts_with(b":\n"), "{path}: {:?}", String::from_utf8_lossy(&raw));
            let answered = Answered { status: 200, head, body: raw, whole: true };
            assert_eq!(answered.data(), wanted.data(), "{path} {key}");
        }
    }
}

/// The data of every event is one document, however many upstreams were asked.
#[test]
fn nothing_of_a_broken_upstream_is_in_the_spares_answer() {
    let spare = tidings_scripted::Upstream::start().unwrap();
    spare.play(|_| Script::text("from the spare").id("spare"));
    let url = spare.url();
    let relay = Relay::with(|llm| {
        llm.retries = 0;
        let base = url.parse().unwrap();
        llm.upstreams.push(tidings_relay::config::Endpoint { base, api_key: None });
    });
    for at in 1..200 {
        relay.play(Script::text("one two").id("first").fault(Fault::close(At::Byte(at))));
        let answered = relay.chat("");
        let data = answered.data();
        let (done, chunks) = data.split_last().unwrap();
        assert_eq!(done, "[DONE]", "byte {at}");
        for chunk in chunks {
            let chunk: Value = serde_json::from_str(chunk).expect("one event of one upstream");
            assert_eq!(chunk["id"], "spare", "byte {at}");
        }
        assert_eq!(answered.text(), "from the spare", "byte {at}");
    }
}
