//! What is seen from the upstream's side.

use std::time::Duration;

use tidings_scripted::{At, Fault, Script, Upstream};

use crate::client::{Call, STREAM, body};

#[test]
fn requests_are_kept_as_they_came() {
    let upstream = Upstream::start().unwrap();
    assert_eq!(upstream.url(), format!("http://{}/v1", upstream.address()));
    body(Call::post(&upstream, "/v1/chat/completions?a=b", STREAM));
    let received = upstream.received();
    assert_eq!(received.len(), 1);
    let request = &received[0];
    assert_eq!((request.number, request.method.as_str()), (0, "POST"));
    assert_eq!((request.path.as_str(), request.query.as_str()), ("/v1/chat/completions", "a=b"));
    let names: Vec<&str> = request.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["host", "connection", "content-length"]);
    assert_eq!(request.json()["model"], "m");
    assert!(request.wants_stream());
}

#[test]
fn an_answer_that_is_played_has_finished() {
    let upstream = Upstream::start().unwrap();
    upstream.play(|_| Script::text("one two three"));
    let (got, ..) = body(Call::chat(&upstream));
    upstream.look(|seen| {
        let answer = seen.answer(0).unwrap();
        assert_eq!((answer.bytes, answer.tokens), (got.len() as u64, 3));
        assert!(answer.finished.is_some() && answer.closed_by_client.is_none());
        assert_eq!((seen.answers_begun, seen.running()), (1, 0));
    });
    assert!(upstream.wait_for(|seen| seen.open_connections == 0));
}

#[test]
fn a_client_that_goes_is_noticed_wherever_the_answer_is() {
    let upstream = Upstream::start().unwrap();
    let hour = Duration::from_secs(3_600);
    upstream.play(move |request| match request.query.as_str() {
        "head" => Script::text("a b").head_after(hour),
        "first" => Script::text("a b").first_after(hour),
        "pace" => Script::text("a b").pace(hour),
        "pause" => Script::text("a b").fault(Fault::pause(At::Byte(3), hour)),
        _ => Script::text("a b").fault(Fault::hang(At::Token(1))),
    });
    let tokens = [("head", 0), ("first", 0), ("pace", 1), ("pause", 0), ("hang", 1)];
    for (number, (query, tokens)) in (0..).zip(tokens) {
        let path = format!("/v1/chat/completions?{query}");
        let call = Call::post(&upstream, &path, STREAM);
        let reached = |seen: &tidings_scripted::Seen| {
            seen.answer(number).is_some_and(|answer| answer.tokens == tokens)
        };
        assert!(upstream.wait_for(reached), "{query}");
        assert_eq!(upstream.look(tidings_scripted::Seen::running), 1);
        drop(call);
        let gone = |seen: &tidings_scripted::Seen| {
            seen.answer(number).unwrap().closed_by_client.is_some() && seen.open_connections == 0
        };
        assert!(upstream.wait_for(gone), "{query}");
        assert_eq!(upstream.look(|seen| seen.answer(number).unwrap().finished), None);
    }
}

#[test]
fn waiting_has_an_end() {
    let upstream = Upstream::start().unwrap();
    assert!(!upstream.wait_for_within(Duration::from_millis(5), |seen| seen.answers_begun > 0));
}

#[test]
fn no_more_is_remembered_than_wanted() {
    let upstream = Upstream::start().unwrap();
    upstream.remember(2);
    upstream.play(|_| Script::hello());
    for _ in 0..5 {
        body(Call::chat(&upstream));
    }
    let numbers: Vec<u64> = upstream.received().iter().map(|request| request.number).collect();
    assert_eq!(numbers, [3, 4]);
    upstream.look(|seen| {
        assert!(seen.answer(2).is_none());
        assert_eq!(seen.answer(4).unwrap().tokens, 1);
        assert_eq!(seen.answers_begun, 5);
    });
    upstream.remember(0);
    body(Call::chat(&upstream));
    assert!(upstream.received().is_empty());
}
