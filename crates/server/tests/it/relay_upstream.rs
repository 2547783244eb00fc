//! Going on where an upstream was left, with those upstreams that can: over a connection that
//! breaks at any byte, and over the end of this process.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::json;
use tidings_relay::config::{Secret, UpstreamResume};
use tidings_scripted::{At, Fault, Received, Script};

use crate::relay::{Answered, Relay, apis, chat, responses};
use crate::support::{sequence, until};

const TEXT: &str = "one two 波 four five";

/// The value of a parameter of a request.
fn parameter(request: &Received, name: &str) -> Option<String> {
    let mut pairs = request.query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(has, _)| *has == name).map(|(_, value)| value.to_owned())
}

/// Plays llama.cpp's server: an answer goes on after so many bytes, under the name it was given.
/// The first part is cut after the byte that `cut` says.
fn llama(relay: &Relay, cut: &Arc<AtomicU64>) {
    let cut = cut.clone();
    relay.upstream.play(move |request| {
        let script = Script::text(TEXT).id("fixed").model("m");
        match parameter(request, "from") {
            Some(from) => {
                assert_eq!(request.path, "/v1/stream");
                assert!(parameter(request, "conv_id").is_some_and(|id| id.len() == 22));
                let script = script.dialect(tidings_scripted::Dialect::Chat).streamed();
                script.from_byte(from.parse().unwrap())
            }
            None => {
                assert!(request.header("x-conversation-id").is_some());
                let at = At::Byte(cut.fetch_add(1, Ordering::Relaxed));
                script.fault(Fault::close(at))
            }
        }
    });
}

#[test]
fn an_answer_goes_on_after_every_byte() {
    let relay = Relay::with(|llm| {
        llm.upstream_resume = UpstreamResume::LlamaServer;
        // Asked for usage the script says more, and what goes on is asked for by another request.
        llm.count_usage = false;
    });
    relay.play(Script::text(TEXT).id("fixed").model("m"));
    let whole = relay.chat("");
    let cut = Arc::new(AtomicU64::new(0));
    llama(&relay, &cut);
    // Every seventeenth byte, for the time it takes to come back.
    let bytes = whole.body.len() as u64;
    while cut.load(Ordering::Relaxed) < bytes / 2 {
        let at = cut.fetch_add(16, Ordering::Relaxed) + 16;
        let answered = relay.chat("");
        assert!(answered.whole, "cut at {at}");
        assert_eq!(answered.data(), whole.data(), "cut at {at}");
        let ids: Vec<u64> = answered.events().iter().map(|event| sequence(&event.id)).collect();
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1]), "cut at {at}: {ids:?}");
    }
}

#[test]
fn a_response_in_the_background_goes_on_after_each_event() {
    for token in 0..5 {
        let relay = Relay::start();
        relay.upstream.play(move |request| match parameter(request, "starting_after") {
            Some(number) => {
                assert_eq!(request.path, "/v1/responses/resp_1");
                let script = Script::text(TEXT).id("resp_1");
                let script = script.dialect(tidings_scripted::Dialect::Responses);
                // Played without the event that says `queued`, its numbers are smaller by one.
                script.starting_after(number.parse::<u64>().unwrap() - 1)
            }
            None => Script::text(TEXT).id("resp_1").fault(Fault::reset(At::Token(token))),
        });
        let mut body = responses("x");
        body["background"] = json!(true);
        let answered = Answered::read(relay.ask("/v1/responses", "", &body), usize::MAX);
        assert_eq!(answered.text(), TEXT, "cut at {token}");
        assert_eq!(answered.last()["type"], "response.completed", "cut at {token}");
        // Without the wish for the background the API does not go on.
        let plain = relay.ask("/v1/responses", "", &responses("y"));
        let broken = Answered::read(plain, usize::MAX);
        assert_eq!(broken.events().pop().unwrap().event_type, "error", "cut at {token}");
    }
}

/// The relay itself goes down in the middle; the answer is complete all the same.
#[test]
fn an_answer_outlives_the_process_that_asked_for_it() {
    for (path, body) in apis().into_iter().take(2) {
        let background = path == "/v1/responses";
        let relay = Relay::with(|llm| {
            llm.upstreams[0].api_key = Some(Secret("sk-operator".into()));
            if !background {
                llm.upstream_resume = UpstreamResume::LlamaServer;
            }
        });
        relay.upstream.play(move |request| {
            let script = Script::text(TEXT).id("resp_1");
            let key = request.header("authorization");
            assert_eq!(key, Some("Bearer sk-operator"), "a resumption has the operator's key");
            match (parameter(request, "starting_after"), parameter(request, "from")) {
                (Some(number), _) => script
                    .dialect(tidings_scripted::Dialect::Responses)
                    .starting_after(number.parse::<u64>().unwrap() - 1),
                (_, Some(from)) => {
                    let script = script.dialect(tidings_scripted::Dialect::Chat).streamed();
                    script.from_byte(from.parse().unwrap())
                }
                _ => script.fault(Fault::hang(At::Token(2))),
            }
        });
        let mut body = body;
        if background {
            body["background"] = json!(true);
        }
        let key = "Idempotency-Key: k\r\n";
        let (_conn, answered) = relay.begin(path, key, &body);
        until("two tokens", || relay.told(&answered) == "one two");
        let relay = relay.restart();
        let again = Answered::read(relay.ask(path, key, &body), usize::MAX);
        assert_eq!(again.text(), TEXT, "{path}");
        assert!(again.whole && again.has_header("tidings-attached"), "{path}");
        let last = relay.resume(&answered, "").pop().unwrap();
        assert!(last.data.contains("done"), "{path}: {last:?}");
        let posts = relay.upstream.received().iter().filter(|r| r.method == "POST").count();
        assert_eq!(posts, 1, "{path}: paid for once");
    }
}

/// An upstream that has forgotten the answer is not asked for ever.
#[test]
fn what_cannot_be_gone_on_with_ends_with_an_error() {
    let relay = Relay::with(|llm| llm.upstream_resume = UpstreamResume::LlamaServer);
    relay.upstream.play(|request| match parameter(request, "from") {
        Some(_) => Script::refuse(404, "no such stream"),
        None => Script::text(TEXT).fault(Fault::close(At::Token(1))),
    });
    let conn = relay.ask("/v1/chat/completions", "", &chat("x"));
    let answered = Answered::read(conn, usize::MAX);
    assert!(answered.last()["error"].is_object(), "{answered:?}");
}
