//! Which answers are found: those that are kept, by whatever a client has in hand, and no others.

use std::sync::atomic::Ordering;
use std::sync::mpsc::{RecvTimeoutError, channel};

use http::HeaderValue;

use super::*;
use crate::bench::{BEGIN_MS, Bench};
use crate::dialect::Asked;

/// Longest time that anything may take here; only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long answers are kept here: shorter than what a retry is looked for.
const KEEP: Duration = Duration::from_secs(60);

fn ask(fields: &[(&'static str, &'static str)]) -> Ask {
    let body = Bytes::from_static(br#"{"model":"m","stream":true,"messages":[]}"#);
    Ask {
        relay: 0,
        dialect: Dialect::Chat,
        asked: Asked::read(Dialect::Chat, &body).unwrap(),
        chat: None,
        rest: "chat/completions".to_owned(),
        caller: None,
        headers: fields
            .iter()
            .map(|&(n, v)| (n.parse().unwrap(), HeaderValue::from_static(v)))
            .collect(),
        body,
        on_disconnect: None,
    }
}

#[test]
fn an_answer_is_found_for_as_long_as_it_is_kept() {
    let bench = Bench::new(|_| {});
    let keep_ms = millis(KEEP);
    let mut begin = Bench::begin("name", keep_ms);
    begin.chat = Some("chat".to_owned());
    let known = Known { response: Some("resp_1".to_owned()), ..Known::default() };
    let answer = Answer::new(begin, Phase::Ended(End::Done), known);
    bench.relays.answers.lock().insert(answer);
    let found = || {
        let relays = &bench.relays;
        [relays.answer("name"), relays.by_response(0, "resp_1"), relays.by_chat(0, "owner", "chat")]
            .map(|found| found.map(|answer| answer.name.clone()))
    };
    for (now_ms, kept) in [(0, true), (keep_ms - 1, true), (keep_ms, false), (u64::MAX / 2, false)]
    {
        bench.now_ms.store(BEGIN_MS + now_ms, Ordering::Relaxed);
        let wanted = kept.then(|| "name".to_owned());
        assert_eq!(found(), [wanted.clone(), wanted.clone(), wanted], "after {now_ms} ms");
    }
    assert!(bench.relays.by_response(1, "resp_1").is_none(), "another relay's");
    assert!(bench.relays.by_chat(0, "other", "chat").is_none(), "another caller's");
}

/// The topic has gone: whoever was sent there would wait for ever.
#[test]
fn a_repeated_request_joins_no_answer_that_is_not_kept() {
    for fields in [[("idempotency-key", "k")], [("x-stainless-retry-count", "1")]] {
        let bench = Bench::new(|llm| llm.keep = KEEP);
        let ask = |after_ms: u64| {
            bench.now_ms.store(BEGIN_MS + after_ms, Ordering::Relaxed);
            let found = bench.relays.ask(ask(&fields)).unwrap();
            (found.attached, found.answer.name.clone())
        };
        let first = ask(0);
        assert!(!first.0, "{fields:?}");
        let keep_ms = millis(KEEP);
        assert_eq!(ask(keep_ms - 1), (true, first.1.clone()), "{fields:?}");
        let (attached, name) = ask(keep_ms);
        assert!(!attached && name != first.1, "{fields:?}");
    }
}

#[test]
fn a_capability_holds_for_as_long_as_its_answer() {
    let bench = Bench::new(|llm| llm.keep = KEEP);
    let found = bench.relays.ask(ask(&[])).unwrap();
    let token = bench.relays.capability(&found.answer, Right::Read);
    for (after_ms, allowed) in [(0, true), (millis(KEEP), true), (millis(KEEP) + 1_000, false)] {
        bench.now_ms.store(BEGIN_MS + after_ms, Ordering::Relaxed);
        let allows = bench.relays.allows(&token, &found.answer.name, Right::Read);
        assert_eq!(allows, allowed, "after {after_ms} ms");
    }
}

#[test]
fn a_stop_drops_what_runs_and_waits_for_no_lookup() {
    let mut bench = Bench::running(|_| {});
    let (relays, worker) = (bench.relays.clone(), bench.worker());
    // As a name server that does not answer.
    let (free, answered) = channel::<()>();
    let (begun, has_begun) = channel();
    relays.runtime.spawn_blocking(move || {
        begun.send(()).unwrap();
        let _ = answered.recv();
    });
    has_begun.recv_timeout(PATIENCE).unwrap();
    let (task, is_dropped) = channel::<()>();
    relays.runtime.spawn(async move {
        std::future::pending::<()>().await;
        drop(task);
    });
    let (stopped, has_stopped) = channel();
    std::thread::spawn(move || {
        worker.stop();
        stopped.send(()).unwrap();
    });
    let in_time = has_stopped.recv_timeout(PATIENCE);
    drop(free);
    in_time.expect("it stops although a lookup hangs");
    assert_eq!(is_dropped.recv_timeout(PATIENCE), Err(RecvTimeoutError::Disconnected));
}
