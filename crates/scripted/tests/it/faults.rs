//! Every fault, as it is on the wire.

use std::time::{Duration, Instant};

use tidings_scripted::{Action, At, Coding, Fault, Script, Seen, Upstream};

use crate::client::{Call, Ended, STREAM, body, chunks, cut_head, events, json};

/// An answer that is the same every time.
fn answer() -> Script {
    Script::text("one two three").id("chatcmpl-fixed")
}

/// Its body, without faults.
fn whole(upstream: &Upstream) -> String {
    upstream.play(|_| answer());
    let (body, complete, ended) = body(Call::chat(upstream));
    assert_eq!((complete, ended), (true, Ended::Closed));
    body
}

/// Where the event of the token ends that begins with this data.
fn end_of(whole: &str, part: &str) -> usize {
    let at = whole.find(part).unwrap();
    at + whole[at..].find("\n\n").unwrap() + 2
}

#[test]
fn every_end_after_every_byte() {
    let upstream = Upstream::start().unwrap();
    let whole = whole(&upstream);
    for at in 0..=whole.len() {
        let place = At::Byte(at as u64);
        let faults = [
            (Fault::end(place), true, Ended::Closed),
            (Fault::close(place), false, Ended::Closed),
            (Fault::reset(place), false, Ended::Reset),
        ];
        for (fault, complete, ended) in faults {
            upstream.play(move |_| answer().fault(fault.clone()));
            let got = body(Call::chat(&upstream));
            assert_eq!(got, (whole[..at].to_owned(), complete, ended), "byte {at}");
        }
    }
}

#[test]
fn every_end_after_every_token() {
    let upstream = Upstream::start().unwrap();
    let whole = whole(&upstream);
    let ends = [
        end_of(&whole, r#""role""#),
        end_of(&whole, r#""content":"one""#),
        end_of(&whole, r#""content":" two""#),
        end_of(&whole, r#""content":" three""#),
    ];
    for (tokens, end) in ends.into_iter().enumerate() {
        let place = At::Token(tokens as u64);
        for (fault, complete, ended) in [
            (Fault::end(place), true, Ended::Closed),
            (Fault::close(place), false, Ended::Closed),
            (Fault::reset(place), false, Ended::Reset),
        ] {
            upstream.play(move |_| answer().fault(fault.clone()));
            let got = body(Call::chat(&upstream));
            assert_eq!(got, (whole[..end].to_owned(), complete, ended), "token {tokens}");
        }
    }
    // A place after the end is never reached.
    upstream.play(|_| answer().fault(Fault::reset(At::Token(4))));
    assert_eq!(body(Call::chat(&upstream)), (whole, true, Ended::Closed));
}

#[test]
fn nothing_comes_before_the_head() {
    let upstream = Upstream::start().unwrap();
    for (fault, ended) in
        [(Fault::close(At::Head), Ended::Closed), (Fault::reset(At::Head), Ended::Reset)]
    {
        upstream.play(move |_| answer().fault(fault.clone()));
        assert_eq!(Call::chat(&upstream).all(), (Vec::new(), ended));
    }
    upstream.play(|_| answer().fault(Fault::hang(At::Head)));
    let call = Call::chat(&upstream);
    assert!(upstream.wait_for(|seen| seen.running() == 1));
    call.0.set_nonblocking(true).unwrap();
    let mut byte = [0];
    let error = std::io::Read::read(&mut (&call.0), &mut byte).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
}

#[test]
fn a_pause_is_kept_and_the_answer_goes_on() {
    let upstream = Upstream::start().unwrap();
    let whole = whole(&upstream);
    let pause = Duration::from_millis(80);
    for place in [At::Head, At::Byte(0), At::Byte(300), At::Token(2)] {
        upstream.play(move |_| answer().fault(Fault::pause(place, pause)));
        let begun = Instant::now();
        assert_eq!(body(Call::chat(&upstream)), (whole.clone(), true, Ended::Closed));
        assert!(begun.elapsed() >= pause, "{place:?}");
    }
}

#[test]
fn what_hangs_hangs_at_its_byte_until_the_client_goes() {
    let upstream = Upstream::start().unwrap();
    let whole = whole(&upstream);
    let place = At::Byte(333);
    let faults = [Fault::hang(place), Fault::pause(place, Duration::from_secs(3_600))];
    for (number, fault) in (1..).zip(faults) {
        upstream.play(move |_| answer().coding(Coding::UntilClose).fault(fault.clone()));
        let mut call = Call::chat(&upstream);
        let head = call.until("\r\n\r\n");
        assert!(!head.contains("transfer-encoding"), "{head}");
        assert_eq!(call.some(333), &whole.as_bytes()[..333]);
        assert!(upstream.wait_for(|seen| seen.answer(number).unwrap().bytes == 333));
        call.0.set_nonblocking(true).unwrap();
        assert!(std::io::Read::read(&mut (&call.0), &mut [0]).is_err(), "more than promised");
        drop(call);
        let gone = |seen: &Seen| seen.answer(number).unwrap().closed_by_client.is_some();
        assert!(upstream.wait_for(gone));
        assert_eq!(upstream.look(|seen| seen.answer(number).unwrap().finished), None);
    }
}

#[test]
fn an_error_on_the_way_is_in_the_words_of_the_dialect() {
    let upstream = Upstream::start().unwrap();
    let errors = [
        (
            "/v1/chat/completions",
            "data: {\"error\":{\"message\":\"out of \\\"luck\\\"\",\"type\":\"server_error\",\
             \"param\":null,\"code\":null}}\n\n",
        ),
        (
            "/v1/responses",
            "event: error\ndata: {\"type\":\"error\",\"sequence_number\":5,\
             \"code\":\"server_error\",\"message\":\"out of \\\"luck\\\"\",\"param\":null}\n\n",
        ),
        (
            "/v1/messages",
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"server_error\",\
             \"message\":\"out of \\\"luck\\\"\"}}\n\n",
        ),
    ];
    for (path, error) in errors {
        upstream.play(|_| answer().fault(Fault::error(At::Token(1), "out of \"luck\"")));
        let (got, complete, ended) = body(Call::post(&upstream, path, STREAM));
        assert_eq!((complete, ended), (true, Ended::Closed));
        assert!(got.ends_with(error), "{got}");
        assert!(got.contains("one") && !got.contains("two"), "{got}");

        // Before everything it is the first event, and nothing follows.
        upstream.play(|_| answer().fault(Fault::error(At::Byte(0), "out of \"luck\"")));
        let (got, complete, _) = body(Call::post(&upstream, path, STREAM));
        assert_eq!((got, complete), (error.replace(":5,", ":0,"), true));
    }
}

#[test]
fn an_answer_fails_where_the_dialect_has_a_word_for_it() {
    let upstream = Upstream::start().unwrap();
    upstream.play(|_| answer().fault(Fault::fail(At::Token(2), "no")));
    let (got, complete, _) = body(Call::post(&upstream, "/v1/responses", STREAM));
    let (name, data) = events(&got).pop().unwrap();
    let data = json(data);
    assert_eq!((name, complete), (Some("response.failed"), true));
    assert_eq!(data["sequence_number"], 6);
    assert_eq!(data["response"]["status"], "failed");
    assert_eq!(data["response"]["error"]["message"], "no");
    let (got, ..) = body(Call::chat(&upstream));
    assert!(got.contains("two") && json(events(&got).pop().unwrap().1)["error"].is_object());
}

#[test]
fn an_error_of_another_kind() {
    let upstream = Upstream::start().unwrap();
    let action = Action::Error { kind: "overloaded_error".into(), message: "Overloaded".into() };
    let fault = Fault { at: At::Byte(0), action };
    upstream.play(move |_| answer().fault(fault.clone()));
    let (got, ..) = body(Call::post(&upstream, "/v1/messages", STREAM));
    assert!(got.contains(r#""error":{"type":"overloaded_error","message":"Overloaded"}"#));
}

#[test]
fn garbage_and_other_bytes_come_between() {
    let upstream = Upstream::start().unwrap();
    let whole = whole(&upstream);
    let retry = "retry: 3000\n\n";
    upstream.play(|_| {
        let script = answer().fault(Fault::garbage(At::Token(1)));
        script.fault(Fault::insert(At::Byte(0), "retry: 3000\n\n"))
    });
    let (got, complete, _) = body(Call::chat(&upstream));
    let end = end_of(&whole, r#""content":"one""#);
    let garbage = "data: {\"id\":\"garbage\",\"choices\":[{\"delta\n\n";
    assert_eq!(got, format!("{retry}{}{garbage}{}", &whole[..end], &whole[end..]));
    assert!(complete);
}

#[test]
fn several_faults_come_in_the_order_of_their_places() {
    let upstream = Upstream::start().unwrap();
    let whole = whole(&upstream);
    upstream.play(|_| {
        let script = answer().fault(Fault::reset(At::Byte(500)));
        script.fault(Fault::insert(At::Byte(10), "|")).fault(Fault::insert(At::Byte(20), "/"))
    });
    let (got, complete, ended) = body(Call::chat(&upstream));
    let expected = format!("{}|{}/{}", &whole[..10], &whole[10..20], &whole[20..500]);
    assert_eq!((got, complete, ended), (expected, false, Ended::Reset));
}

#[test]
fn a_length_that_is_not_kept() {
    let upstream = Upstream::start().unwrap();
    let whole = whole(&upstream);
    for (fault, announced, ended) in [
        (Fault::close(At::Byte(100)), whole.len(), Ended::Closed),
        (Fault::reset(At::Byte(100)), whole.len(), Ended::Reset),
        (Fault::end(At::Byte(100)), 100, Ended::Closed),
    ] {
        upstream.play(move |_| answer().coding(Coding::Length).fault(fault.clone()));
        let (wire, how) = Call::chat(&upstream).all();
        let (head, got) = cut_head(&wire);
        assert!(head.contains(&format!("content-length: {announced}\r\n")), "{head}");
        assert_eq!((got, how), (&whole.as_bytes()[..100], ended));
    }
}

#[test]
fn documents_break_too() {
    let upstream = Upstream::start().unwrap();
    upstream.play(|_| answer().fault(Fault::close(At::Byte(20))));
    let call = Call::post(&upstream, "/v1/chat/completions", r#"{"stream":false}"#);
    let (wire, _) = call.all();
    let (head, got) = cut_head(&wire);
    assert!(head.contains("content-length: ") && head.contains("application/json"), "{head}");
    assert_eq!(got, br#"{"id":"chatcmpl-fixe"#);
}

#[test]
fn chunks_are_whole_even_where_the_body_is_not() {
    let upstream = Upstream::start().unwrap();
    let whole = whole(&upstream);
    upstream.play(|_| answer().fault(Fault::close(At::Byte(7))));
    let (wire, _) = Call::chat(&upstream).all();
    let (_, got) = cut_head(&wire);
    assert_eq!(got, [b"7\r\n", &whole.as_bytes()[..7], b"\r\n"].concat());
    assert_eq!(chunks(got), (vec![whole.as_bytes()[..7].to_vec()], false));
}
