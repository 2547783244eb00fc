//! HTTP around the answers: refusals, kept connections, restarts.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use tidings_scripted::{Coding, Script, Upstream};

use crate::client::{Call, Ended, STREAM, body, cut_head, json, post};

#[test]
fn refusals_come_in_the_words_of_the_dialect() {
    let upstream = Upstream::start().unwrap();
    for status in [400, 401, 429, 500, 503, 529] {
        upstream.play(move |_| Script::refuse(status, "no").header("retry-after", "7"));
        for path in ["/v1/chat/completions", "/v1/responses", "/v1/messages"] {
            let (wire, _) = Call::post(&upstream, path, STREAM).all();
            let (head, got) = cut_head(&wire);
            assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
            assert!(head.contains("\r\nretry-after: 7\r\n"), "{head}");
            assert!(head.contains("\r\ncontent-type: application/json\r\n"), "{head}");
            let got = json(std::str::from_utf8(got).unwrap());
            assert_eq!(got["error"]["message"], "no");
            assert_eq!(got["type"] == "error", path == "/v1/messages");
        }
    }
}

#[test]
fn by_default_models_are_listed_and_nothing_else_is_there() {
    let upstream = Upstream::start().unwrap();
    let get = |path: &str| {
        let (wire, _) =
            Call::send(&upstream, &format!("GET {path} HTTP/1.1\r\nconnection: close\r\n\r\n"))
                .all();
        let (head, body) = cut_head(&wire);
        (head[9..12].to_owned(), json(std::str::from_utf8(body).unwrap()))
    };
    let (status, models) = get("/v1/models");
    assert_eq!((status.as_str(), &models["data"][0]["id"]), ("200", &"scripted".into()));
    assert_eq!(get("/stream").0, "404");
    assert_eq!(get("/v1/chat/completions").0, "404");
}

#[test]
fn a_plain_body_and_its_head_are_exactly_so() {
    let upstream = Upstream::start().unwrap();
    upstream.play(|_| Script::body(200, "text/plain", b"\xffhi".to_vec()).header("x-a", "b"));
    let (wire, ended) = Call::chat(&upstream).all();
    let expected = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nx-a: b\r\n\
        content-length: 3\r\nconnection: close\r\n\r\n\xffhi";
    assert_eq!((wire.as_slice(), ended), (&expected[..], Ended::Closed));
}

#[test]
fn a_connection_carries_one_answer_after_another() {
    let upstream = Upstream::start().unwrap();
    upstream.play(|_| Script::hello());
    let two = post("/a", "{}", "").repeat(2);
    let mut call = Call::send(&upstream, &two);
    for _ in 0..2 {
        assert!(call.until("\r\n\r\n").contains("transfer-encoding: chunked"));
        assert_eq!(call.until("0\r\n\r\n"), "13\r\ndata: Hello, SSE!\n\n\r\n0\r\n\r\n");
    }
    call.0.write_all(post("/b", "{}", "").as_bytes()).unwrap();
    call.until("0\r\n\r\n");
    assert_eq!(upstream.seen().connections, 1);
    assert_eq!(upstream.seen().answers_begun, 3);
    // A body without a length takes the connection with it.
    upstream.play(|_| Script::hello().coding(Coding::UntilClose));
    call.0.write_all(post("/c", "{}", "").as_bytes()).unwrap();
    let (wire, ended) = call.all();
    assert!(cut_head(&wire).0.contains("connection: close"));
    assert_eq!((cut_head(&wire).1, ended), (&b"data: Hello, SSE!\n\n"[..], Ended::Closed));
}

#[test]
fn who_expects_to_hear_continue_hears_it() {
    let upstream = Upstream::start().unwrap();
    let wire = post("/v1/chat/completions", STREAM, "expect: 100-continue\r\n");
    let (head, rest) = wire.split_at(wire.len() - STREAM.len());
    let mut call = Call::send(&upstream, head);
    assert_eq!(call.until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
    call.0.write_all(rest.as_bytes()).unwrap();
    assert!(call.until("\r\n\r\n").starts_with("HTTP/1.1 200 OK\r\n"));
}

#[test]
fn what_is_no_request_is_refused() {
    let upstream = Upstream::start().unwrap();
    let (wire, _) = Call::send(&upstream, "\u{1}\r\n\r\n").all();
    assert!(wire.starts_with(b"HTTP/1.1 400 Bad Request\r\n"));
    assert!(upstream.received().is_empty());
}

#[test]
fn the_head_waits_as_long_as_it_is_told() {
    let upstream = Upstream::start().unwrap();
    let delay = Duration::from_millis(60);
    upstream.play(move |_| Script::hello().head_after(delay));
    let begun = Instant::now();
    let mut call = Call::chat(&upstream);
    call.some(1);
    assert!(begun.elapsed() >= delay);
}

#[test]
fn dropping_closes_everything_and_frees_the_address() {
    let upstream = Upstream::start().unwrap();
    let address = upstream.address();
    assert!(Upstream::start_on(address).is_err());
    drop(upstream);
    for _ in 0..3 {
        let upstream = Upstream::start_on(address).unwrap();
        assert_eq!(upstream.address(), address);
        upstream.play(|_| Script::text("a b").pace(Duration::from_secs(600)));
        let mut call = Call::chat(&upstream);
        call.until("\"content\":\"a\"");
        let idle = TcpStream::connect(address).unwrap();
        assert!(upstream.wait_for(|seen| seen.open_connections == 2));
        drop(upstream);
        let (rest, ended) = call.all();
        assert_eq!(ended, Ended::Closed);
        assert!(!rest.ends_with(b"0\r\n\r\n"));
        assert_eq!(Call(idle).all(), (Vec::new(), Ended::Closed));
        assert!(TcpStream::connect(address).is_err());
    }
}

#[test]
fn a_slow_reader_gets_everything() {
    let upstream = Upstream::start().unwrap();
    upstream.play(|_| Script::tokens(vec!["0123456789".repeat(10); 100_000]));
    let call = Call::chat(&upstream);
    // More than the sockets' buffers hold: the answer stands still and is not thrown away.
    assert!(upstream.wait_for(|seen| seen.answer(0).is_some_and(|answer| answer.blocked)));
    let (got, complete, _) = body(call);
    assert!(complete);
    assert_eq!(got.matches("0123456789").count(), 1_000_000);
    upstream.look(|seen| {
        let answer = seen.answer(0).unwrap();
        assert_eq!((answer.tokens, answer.finished.is_some()), (100_000, true));
    });
}

#[test]
fn a_body_is_taken_up_again_at_every_byte() {
    let upstream = Upstream::start().unwrap();
    upstream.play(|request| {
        let from = request.header("x-from").unwrap().parse().unwrap();
        Script::text("one 二").id("chatcmpl-fixed").from_byte(from)
    });
    let from = |from: usize| {
        let headers = format!("connection: close\r\nx-from: {from}\r\n");
        body(Call::send(&upstream, &post("/v1/chat/completions", STREAM, &headers)))
    };
    let (whole, ..) = from(0);
    for at in (0..=whole.len()).filter(|&at| whole.is_char_boundary(at)) {
        assert_eq!(from(at), (whole[at..].to_owned(), true, Ended::Closed));
    }
}
