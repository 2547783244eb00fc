//! How answers end: complete, broken, stopped, abandoned, out of time, or left behind by a process
//! that went down; and what a client is told of each.

use std::time::Duration;

use serde_json::{Value, json};
use tidings_relay::config::{Endpoint, OnDisconnect};
use tidings_scripted::{At, Fault, LineEnd, Script, Upstream, Writes};

use crate::relay::{Answered, LONG, Relay, apis, chat};
use crate::support::{Conn, until};

/// The error that a dialect's client raises on, if the last event is one.
fn error_of(answered: &Answered) -> Option<String> {
    let event = answered.events().pop()?;
    let data: Value = serde_json::from_str(&event.data).ok()?;
    let told = event.event_type == "error" || data.get("error").is_some_and(Value::is_object);
    told.then(|| data.to_string())
}

#[test]
fn a_truncated_answer_is_never_a_clean_end() {
    for (path, body) in apis() {
        for fault in [
            Fault::end(At::Token(2)),
            Fault::close(At::Token(2)),
            Fault::reset(At::Token(2)),
            Fault::end(At::Byte(0)),
            Fault::close(At::Byte(37)),
        ] {
            let relay = Relay::with(|llm| llm.retries = 0);
            relay.play(Script::text("one two three").fault(fault.clone()));
            let answered = Answered::read(relay.ask(path, "", &body), usize::MAX);
            assert!(answered.whole, "{path} {fault:?}");
            assert!(error_of(&answered).is_some(), "{path} {fault:?}: {answered:?}");
            let resumed = relay.resume(&answered, "");
            assert_eq!(resumed.last().unwrap().event_type, "end", "{path} {fault:?}");
            assert!(resumed.last().unwrap().data.contains("error"), "{path} {fault:?}");
        }
    }
}

#[test]
fn an_upstreams_own_error_is_told_as_it_is() {
    for (path, body) in apis() {
        for at in [At::Token(0), At::Token(2)] {
            let relay = Relay::start();
            relay.play(Script::text("one two three").fault(Fault::error(at, "it hurts")));
            let answered = Answered::read(relay.ask(path, "", &body), usize::MAX);
            let error = error_of(&answered).unwrap_or_else(|| panic!("{path}: {answered:?}"));
            assert!(error.contains("it hurts"), "{path}: {error}");
            assert_eq!(answered.data().iter().filter(|d| d.contains("it hurts")).count(), 1);
        }
    }
}

#[test]
fn whatever_the_framing_the_events_are_the_same() {
    for (path, body) in apis() {
        let mut told = Vec::new();
        for line_end in [LineEnd::Lf, LineEnd::CrLf, LineEnd::Cr] {
            for size in [1, 7, 4_096] {
                let relay = Relay::start();
                let script = Script::text("Eine 波 🌊").id("fixed").line_end(line_end);
                relay.play(
                    script
                        .comment("keep-alive", 1, true)
                        .writes(Writes::Sizes(vec![size]), Duration::ZERO),
                );
                let answered = Answered::read(relay.ask(path, "", &body), usize::MAX);
                assert_eq!(answered.text(), "Eine 波 🌊", "{path} {line_end:?} {size}");
                told.push(answered.data());
            }
        }
        assert!(told.windows(2).all(|pair| pair[0] == pair[1]), "{path}");
    }
}

#[test]
fn a_stop_closes_the_upstream_and_keeps_the_part() {
    for (path, body) in apis() {
        let relay = Relay::start();
        relay.play(Script::text("one two three").fault(Fault::hang(At::Token(2))));
        let (conn, answered) = relay.begin(path, "", &body);
        until("two tokens", || relay.told(&answered) == "one two");
        assert_eq!(relay.stop(&answered)["state"], "cancelled", "{path}");
        assert_eq!(relay.stop(&answered)["state"], "cancelled", "{path}: as often as you like");
        relay.is_left(0);
        let raw = conn.rest();
        assert!(raw.ends_with(b"0\r\n\r\n"), "{path}: readers are let go");
        let text = String::from_utf8(raw).unwrap();
        assert!(text.contains("cancelled") || text.contains("stopped"), "{path}: {text}");
        let resumed = relay.resume(&answered, "");
        assert!(resumed[0].data.contains("one two"), "{path}: {resumed:?}");
        assert!(resumed.last().unwrap().data.contains("cancelled"), "{path}");
    }
}

#[test]
fn the_openai_way_to_cancel() {
    let relay = Relay::start();
    let script = Script::text("one two three").id("resp_1");
    relay.play(script.fault(Fault::hang(At::Token(1))));
    let _conn = relay.ask("/v1/responses", "", &crate::relay::responses("x"));
    // Until it has said its name the upstream is asked, and knows of no such response.
    until("it is cancelled", || {
        let reply = relay.server.request("POST", "/v1/responses/resp_1/cancel", "", b"");
        reply.status == 200 && reply.json()["status"] == "cancelled"
    });
    relay.is_left(0);
}

#[test]
fn who_leaves_does_not_stop_an_answer_unless_it_was_asked_to() {
    for (policy, header, stops) in [
        (OnDisconnect::Continue, "", false),
        (OnDisconnect::Cancel, "", true),
        (OnDisconnect::Continue, "Tidings-On-Disconnect: cancel\r\n", true),
        (OnDisconnect::Cancel, "Tidings-On-Disconnect: continue\r\n", false),
        (OnDisconnect::CancelAfter(Duration::from_millis(50)), "", true),
        (OnDisconnect::CancelAfter(LONG), "", false),
    ] {
        let relay = Relay::with(|llm| llm.on_disconnect = policy);
        // Long enough for who is to stop it, and no longer than it takes for who is not.
        let pause = if stops { LONG } else { PAUSE };
        let script = Script::text("one two").fault(Fault::pause(At::Token(1), pause));
        relay.play(script);
        let conn = relay.ask("/v1/chat/completions", header, &chat("hello"));
        let answered = Answered::read(conn, 100);
        let over = |seen: &tidings_scripted::Seen| {
            seen.answer(0).is_some_and(|a| a.finished.or(a.closed_by_client).is_some())
        };
        assert!(relay.upstream.wait_for(over));
        let closed = relay
            .upstream
            .look(|seen| seen.answer(0).is_some_and(|a| a.closed_by_client.is_some()));
        assert_eq!(closed, stops, "{policy:?} {header}");
        let last = relay.resume(&answered, "").pop().unwrap();
        assert_eq!(last.data.contains("cancelled"), stops, "{policy:?} {header}: {last:?}");
    }
}

/// Long enough for a disconnect to be noticed and for a grace time to pass, in the test above.
const PAUSE: Duration = Duration::from_millis(1_500);

/// The second reader keeps alive what the first one leaves.
#[test]
fn an_answer_that_somebody_else_reads_is_not_abandoned() {
    let relay = Relay::with(|llm| llm.on_disconnect = OnDisconnect::Cancel);
    relay.play(Script::text("one two").fault(Fault::pause(At::Token(1), PAUSE)));
    let (conn, answered) = relay.begin("/v1/chat/completions", "", &chat("hello"));
    let second = relay.server.subscribe(&answered.link());
    drop(conn);
    let rest = second.until_end();
    assert!(rest.last().unwrap().data.contains("done"), "{rest:?}");
}

#[test]
fn what_takes_too_long_is_told() {
    let short = Duration::from_secs(2);
    let hang = |at| Script::text("one two").fault(Fault::hang(at));
    // Nothing at all comes: an error with a status.
    let relay = Relay::with(|llm| (llm.answer_timeout, llm.retries) = (short, 0));
    relay.play(hang(At::Head));
    let answered = relay.chat("");
    assert_eq!(answered.status, 504, "{answered:?}");
    assert!(answered.json()["error"]["message"].is_string());
    // The client was promised a stream by then: the error is in it.
    let relay = Relay::with(|llm| {
        (llm.answer_timeout, llm.retries) = (short, 0);
        llm.patience = Duration::from_millis(20);
    });
    relay.play(hang(At::Head));
    let answered = relay.chat("");
    assert_eq!(answered.status, 200);
    assert!(answered.whole && error_of(&answered).is_some(), "{answered:?}");
    // Silence in the middle; comments are silence too.
    let relay = Relay::with(|llm| llm.idle_timeout = short);
    relay.play(hang(At::Token(1)));
    let answered = relay.chat("");
    assert!(error_of(&answered).unwrap().contains("timeout"), "{answered:?}");
    // The whole of it.
    let relay = Relay::with(|llm| llm.runtime_max = short);
    relay.play(hang(At::Token(1)));
    assert!(error_of(&relay.chat("")).unwrap().contains("timeout"));
    relay.is_left(0);
}

#[test]
fn a_patient_client_gets_its_stream_although_nothing_came_yet() {
    let relay = Relay::with(|llm| llm.patience = Duration::from_millis(20));
    relay.play(Script::text("one two").head_after(Duration::from_secs(2)));
    let answered = relay.chat("");
    assert_eq!((answered.status, answered.text().as_str()), (200, "one two"));
    relay.play(Script::refuse(401, "no such key").head_after(Duration::from_secs(2)));
    let refused = relay.chat("");
    assert_eq!(refused.status, 200);
    assert!(error_of(&refused).is_some(), "{refused:?}");
}

#[test]
fn another_upstream_takes_over_before_the_first_token_and_never_after() {
    let spare = Upstream::start().unwrap();
    let url = spare.url();
    spare.play(|_| Script::text("from the spare"));
    let relay = Relay::with(|llm| {
        llm.retries = 0;
        llm.upstreams.push(Endpoint { base: url.parse().unwrap(), api_key: None });
    });
    for (script, text) in [
        (Script::refuse(503, "busy"), "from the spare"),
        (Script::refuse(429, "slow down"), "from the spare"),
        (Script::text("one two").fault(Fault::close(At::Head)), "from the spare"),
        (Script::text("one two").fault(Fault::reset(At::Token(0))), "from the spare"),
        // In the middle of an event, which is nothing to the next upstream.
        (Script::text("one two").fault(Fault::close(At::Byte(40))), "from the spare"),
        (Script::text("one two").fault(Fault::close(At::Token(1))), "one"),
        (Script::text("one two"), "one two"),
    ] {
        relay.play(script.clone());
        let answered = relay.chat("");
        assert_eq!(answered.text(), text, "{script:?}");
        let ids: Vec<Value> = answered
            .data()
            .iter()
            .filter_map(|data| serde_json::from_str::<Value>(data).ok())
            .filter_map(|data| data.get("id").cloned())
            .collect();
        assert!(ids.windows(2).all(|pair| pair[0] == pair[1]), "one upstream's events: {ids:?}");
    }
    // What is wrong with the request is no reason to ask elsewhere.
    relay.play(Script::refuse(400, "bad request"));
    let asked = spare.received().len();
    assert_eq!(relay.chat("").status, 400);
    assert_eq!(spare.received().len(), asked);
}

#[test]
fn what_is_no_stream_passes_through() {
    let relay = Relay::start();
    relay.play(Script::refuse(401, "wrong key").header("x-request-id", "r1"));
    let refused = relay.chat("");
    assert_eq!((refused.status, refused.header("x-request-id").as_str()), (401, "r1"));
    assert!(refused.json()["error"]["message"].as_str().unwrap().contains("wrong key"));
    relay.upstream.play(tidings_scripted::default_script);
    let mut body = chat("hello");
    body["stream"] = json!(false);
    let whole = Answered::read(relay.ask("/v1/chat/completions", "", &body), usize::MAX);
    assert!(whole.json()["choices"][0]["message"]["content"].is_string(), "{whole:?}");
    let models = relay.server.get("/v1/models");
    assert_eq!(models.status, 200, "{}", models.text());
    assert_eq!(relay.server.get("/v1/files").status, 404, "not among what is passed on");
    assert_eq!(relay.server.get("/v1/models/../files").status, 404);
    let garbage = {
        let mut conn = relay.server.connect();
        conn.ask("POST", "/v1/chat/completions", "", b"{\"stream\":tru");
        conn.reply()
    };
    assert!(garbage.status < 500, "the upstream's to judge: {}", garbage.text());
}

#[test]
fn an_upstream_that_is_not_there_is_told() {
    let relay = Relay::with(|llm| {
        llm.retries = 0;
        llm.upstreams[0].base = "http://127.0.0.1:1/v1".parse().unwrap();
    });
    let answered = relay.chat("");
    assert_eq!(answered.status, 502);
    assert!(answered.json()["error"]["message"].as_str().unwrap().contains("cannot be reached"));
    assert!(relay.server.state().as_array().unwrap().is_empty(), "nothing was begun");
}

/// The process goes down in the middle: what had come is there, and says that it is not whole.
#[test]
fn what_a_stopped_process_left_unfinished_ends_with_an_error() {
    for (path, body) in apis() {
        let relay = Relay::start();
        relay.play(Script::text("one two three").fault(Fault::hang(At::Token(2))));
        let key = "Idempotency-Key: k\r\n";
        let (conn, answered) = relay.begin(path, key, &body);
        until("two tokens", || relay.told(&answered) == "one two");
        let relay = relay.restart();
        let cut = conn.rest();
        assert!(!cut.ends_with(b"0\r\n\r\n"), "{path}: the client knows that it was cut");
        let again = Answered::read(relay.ask(path, key, &body), usize::MAX);
        assert!(again.whole && error_of(&again).is_some(), "{path}: {again:?}");
        assert_eq!(relay.asked(), 1, "{path}: nobody pays twice without knowing");
        let last = relay.resume(&answered, "").pop().unwrap();
        assert!(last.data.contains("error"), "{path}: {last:?}");
    }
}

#[test]
fn a_silent_answer_beats() {
    let upstream = Upstream::start().unwrap();
    upstream.play(|_| Script::text("one").fault(Fault::pause(At::Token(0), 6 * PAUSE)));
    let url = upstream.url();
    let server = crate::support::Server::with(|config| {
        config.heartbeat = Duration::from_secs(1);
        let base = url.parse().unwrap();
        config.llm_relays.push(tidings_relay::config::LlmConfig::new("llm", "/v1", base));
    });
    let mut conn: Conn = server.connect();
    let body = chat("x").to_string();
    conn.ask("POST", "/v1/chat/completions", "", body.as_bytes());
    let answered = Answered::read(conn, usize::MAX);
    let text = String::from_utf8(answered.body.clone()).unwrap();
    let beats = text.lines().filter(|line| *line == ":").count();
    assert!(beats >= 3, "{beats} beats in {text}");
    assert!(!text.contains(":\n\n"), "a comment is no block of its own: {text}");
    assert_eq!(answered.text(), "one");
}
