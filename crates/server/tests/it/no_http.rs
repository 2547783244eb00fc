//! Bytes that are no HTTP: told in a problem document where a head is wrong, and then a clean end.

use crate::bad_input::{Expect, Watch};
use crate::support::request;

/// Heads that are wrong, each refused before anything else comes.
fn wrong_heads() -> Vec<(String, u16, &'static str)> {
    let get = |rest: &str| format!("GET /healthz HTTP/1.1\r\nHost: h\r\n{rest}\r\n");
    let post = |rest: &str| format!("POST /topics/t HTTP/1.1\r\nHost: h\r\n{rest}");
    let fields = |count: usize| -> String { (0..count).map(|n| format!("X{n}: y\r\n")).collect() };
    let invalid: Vec<String> = vec![
        "\r\n\r\n\r\n\r\nnonsense\r\n\r\n".into(),
        "GET\r\n\r\n".into(),
        "GET /healthz\r\n\r\n".into(),
        "GET /healthz HTTP/3.0\r\nHost: h\r\n\r\n".into(),
        "GET /healthz HTTP/1.2x\r\nHost: h\r\n\r\n".into(),
        "GET /healthz http/1.1\r\nHost: h\r\n\r\n".into(),
        "GET /health z HTTP/1.1\r\nHost: h\r\n\r\n".into(),
        "G\u{1}T /healthz HTTP/1.1\r\nHost: h\r\n\r\n".into(),
        "GET /\u{7f}\u{1} HTTP/1.1\r\nHost: h\r\n\r\n".into(),
        "GET http:// HTTP/1.1\r\nHost: h\r\n\r\n".into(),
        "GET healthz HTTP/1.1\r\nHost: h\r\nX-Y: z\r\n\r\nrest".into(),
        "GET /healthz HTTP/1.1\r\nHost\r\n\r\n".into(),
        "GET /healthz HTTP/1.1\r\nHost : h\r\n\r\n".into(),
        "GET /healthz HTTP/1.1\r\n Host: h\r\n\r\n".into(),
        get("X: a\r\n folded\r\n"),
        get("X\0: a\r\n"),
        get("X: a\0b\r\n"),
        get("X: a\rb\r\n"),
        get(": empty\r\n"),
        get("(x): y\r\n"),
        get(&format!("{}(x): y\r\n", fields(50))),
        post("Content-Length: -1\r\n\r\nx"),
        post("Content-Length: +1\r\n\r\nx"),
        post("Content-Length: 1x\r\n\r\nx"),
        post("Content-Length: 0x1\r\n\r\nx"),
        post("Content-Length: \r\n\r\nx"),
        post("Content-Length: 99999999999999999999999\r\n\r\nx"),
        post("Content-Length: 18446744073709551615\r\n\r\nx"),
        post("Content-Length: 1\r\nContent-Length: 2\r\n\r\nxy"),
        post("Content-Length: 1, 2\r\n\r\nxy"),
        post("Transfer-Encoding: gzip\r\n\r\nx"),
        post("Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"),
        "POST /topics/t HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".into(),
        "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n\0\0\0\u{4}\0\0\0\0\0".into(),
    ];
    let target = "a".repeat(8_192);
    let long_targets = vec![
        format!("GET /{target} HTTP/1.1\r\nHost: h\r\n\r\n"),
        format!("GET /{target}{target} HTTP/1.1\r\nHost: h\r\n\r\n"),
        format!("GET /{target}"),
        format!("GET /{}", "a".repeat(70_000)),
        format!("GET /topics/t?{target} HTTP/1.1\r\n{}\r\n", fields(50)),
    ];
    let large = vec![
        get(&format!("{}: x\r\n", "n".repeat(70_000))),
        get(&format!("X: {}\r\n", "v".repeat(200_000))),
        // It need not be whole to be too large.
        format!("GET /healthz HTTP/1.1\r\nHost: h\r\nX: {}", "v".repeat(70_000)),
        // The host is a field too.
        get(&fields(100)),
        get(&fields(200)),
    ];
    let as_cases =
        |cases: Vec<String>, status, code| cases.into_iter().map(move |case| (case, status, code));
    as_cases(invalid, 400, "invalid-request")
        .chain(as_cases(long_targets, 414, "uri-too-long"))
        .chain(as_cases(large, 431, "header-too-large"))
        .collect()
}

#[test]
fn a_wrong_head_is_told_in_a_problem_document() {
    let watch = Watch::start();
    for (case, status, code) in wrong_heads() {
        let shown: String = case.chars().take(100).collect();
        // Alone, and behind a request that is answered first.
        let first = request("POST", "/topics/ended", "", b"x");
        for before in [&b""[..], &first] {
            let mut conn = watch.server.connect();
            conn.send(&[before, case.as_bytes()].concat());
            if !before.is_empty() {
                conn.reply().problem(409, "topic-closed");
            }
            let reply = conn.try_reply().unwrap_or_else(|| panic!("{shown}: no answer"));
            reply.problem(status, code);
            assert_eq!(reply.header("connection"), Some("close"), "{shown}");
            assert_eq!(conn.rest(), b"", "{shown}: nothing else comes");
        }
        watch.unchanged(&shown);
    }
}

#[test]
fn heads_at_the_limits_are_taken() {
    let watch = Watch::start();
    let fields = |count: usize| -> String { (0..count).map(|n| format!("X{n}: y\r\n")).collect() };
    for (case, status) in [
        (format!("GET /healthz HTTP/1.1\r\nHost: h\r\n{}\r\n", fields(99)), 200),
        (format!("GET /healthz HTTP/1.1\r\nHost: h\r\nX: {}\r\n\r\n", "v".repeat(60_000)), 200),
        (format!("GET /healthz?_={} HTTP/1.1\r\nHost: h\r\n\r\n", "a".repeat(8_181)), 200),
        (format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "a".repeat(8_191)), 404),
        ("GET http://h/healthz HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(), 200),
        ("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(), 404),
    ] {
        let shown: String = case.chars().take(60).collect();
        // In one piece, and in several.
        for piece in [case.len(), 9_000] {
            let mut conn = watch.server.connect();
            for bytes in case.as_bytes().chunks(piece) {
                conn.send(bytes);
            }
            let reply = conn.reply();
            assert_eq!(reply.status, status, "{shown}: {}", reply.text());
        }
    }
}

#[test]
fn a_broken_body_or_another_protocol_is_refused() {
    let watch = Watch::start();
    let post = |rest: &str| {
        format!("POST /topics/t HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{rest}")
    };
    for body in
        ["xyz\r\n", "-1\r\nx\r\n0\r\n\r\n", "ffffffffffffffffff\r\nx", "1\r\nxy\r\n0\r\n\r\n"]
    {
        // It leaves a server that has not heard all of it waiting: the client hangs up.
        let mut conn = watch.server.connect();
        conn.send(post(body).as_bytes());
        conn.half_close();
        watch.check_answer(body, conn, &Expect::Refused);
    }
    // The first bytes of a TLS handshake.
    let mut hello = vec![0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03];
    hello.extend((0..=255).cycle().take(506));
    let noise: Vec<u8> = (0..20_000_u32).map(|n| (n * 31 % 251) as u8).collect();
    for (case, bytes) in [("TLS", &hello), ("zeros", &vec![0; 4_096]), ("noise", &noise)] {
        watch.check(case, bytes, &Expect::Problem(400, "invalid-request"));
    }
}

#[test]
fn who_sends_a_large_body_blindly_can_read_the_refusal() {
    let watch = Watch::start();
    let body = vec![b' '; 64 << 20];
    let length = format!("Content-Length: {}\r\n\r\n", body.len());
    for framing in [&length, "Transfer-Encoding: chunked\r\n\r\n4000000\r\n"] {
        for target in ["/topics/t", "/publish"] {
            let mut conn = watch.server.connect();
            conn.send(format!("POST {target} HTTP/1.1\r\nHost: h\r\n{framing}").as_bytes());
            // All of it, before the answer is looked at; nothing must fail.
            std::io::Write::write_all(&mut conn.socket(), &body).unwrap();
            let reply = conn.reply();
            reply.problem(413, "body-too-large");
            assert_eq!(reply.header("connection"), Some("close"));
            assert_eq!(conn.rest(), b"", "a clean end");
        }
    }
    watch.unchanged("large bodies");
}
