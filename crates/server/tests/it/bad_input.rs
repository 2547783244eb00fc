//! Whatever is wrong is told clearly or ends the connection, changes nothing, and harms nobody.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Conn, DOORS, Door, Server, request};

/// What a case must come to.
pub(crate) enum Expect {
    /// A problem document.
    Problem(u16, &'static str),
    /// Broken HTTP: a status of 4xx or 5xx, or nothing at all, and then the end of the connection.
    Refused,
}

use Expect::{Problem, Refused};

/// Asserts what every case must leave as it was.
pub(crate) struct Watch {
    pub(crate) server: Server,
    before: Value,
}

impl Watch {
    pub(crate) fn start() -> Self {
        let server = Server::start();
        server.publish_numbers("kept", 1..4);
        server.publish("/topics/ended?end=done", "");
        let before = server.state();
        Self { server, before }
    }

    #[track_caller]
    pub(crate) fn unchanged(&self, case: &str) {
        assert_eq!(self.server.get("/healthz").status, 200, "{case}");
        assert_eq!(self.server.state(), self.before, "{case}");
    }

    #[track_caller]
    pub(crate) fn check(&self, case: &str, bytes: &[u8], expect: &Expect) {
        let mut conn = self.server.connect();
        conn.send(bytes);
        self.check_answer(case, conn, expect);
    }

    #[track_caller]
    pub(crate) fn check_answer(&self, case: &str, mut conn: Conn, expect: &Expect) {
        match expect {
            Problem(status, code) => {
                let reply = conn.try_reply();
                reply.unwrap_or_else(|| panic!("{case}: no answer")).problem(*status, code);
            }
            Refused => {
                let reply = conn.try_reply();
                assert!(
                    reply.as_ref().is_none_or(|reply| (400..=599).contains(&reply.status)),
                    "{case}: {reply:?}"
                );
                assert_eq!(conn.rest(), b"", "{case}: nothing else comes");
            }
        }
        self.unchanged(case);
    }
}

const SSE: &str = "Accept: text/event-stream\r\n";
const JSON: &str = "Accept: application/json\r\n";

#[test]
fn values_that_cannot_be() {
    let watch = Watch::start();
    let long = "x".repeat(300);
    let name = "x".repeat(1_025);
    let topics = "topic=a&".repeat(1_025);
    let patterns: String = (0..65).map(|number| format!("pattern=a{number}/*&")).collect();
    let invalid = Problem(400, "invalid-parameter");
    let unknown = Problem(400, "unknown-parameter");
    let topic = Problem(400, "invalid-topic");
    let pattern = Problem(400, "invalid-pattern");
    for (method, target, headers, body, expect) in [
        ("POST", "/topics/t?colour=red", "", "x", &unknown),
        ("POST", "/topics/t?Type=x", "", "x", &unknown),
        ("POST", "/topics/t", "Tidings-Colour: red\r\n", "x", &unknown),
        ("POST", "/publish?type=x", "", "{\"events\":[]}", &unknown),
        ("POST", "/topics/t?type=", "", "x", &Problem(400, "invalid-type")),
        ("POST", "/topics/t?type=open", "", "x", &Problem(400, "invalid-type")),
        ("POST", "/topics/t?type=error", "", "x", &Problem(400, "invalid-type")),
        ("POST", "/topics/t?type=gap", "", "x", &Problem(400, "invalid-type")),
        ("POST", "/topics/t?type=end", "", "x", &Problem(400, "invalid-type")),
        ("POST", &format!("/topics/t?type={long}"), "", "x", &Problem(400, "invalid-type")),
        ("POST", &format!("/topics/t?key={long}"), "", "x", &Problem(400, "invalid-key")),
        ("POST", "/topics/t?key=", "", "x", &Problem(400, "invalid-key")),
        ("POST", &format!("/topics/t?publisher_id={long}"), "", "x", &Problem(400, "invalid-id")),
        ("POST", "/topics/t?ttl=1", "", "x", &invalid),
        ("POST", "/topics/t?ttl=forever", "", "x", &invalid),
        ("POST", "/topics/t?ttl=99999999999999999999s", "", "x", &invalid),
        ("POST", "/topics/t?end=", "", "x", &invalid),
        ("POST", "/topics/t?end=DONE", "", "x", &invalid),
        ("POST", "/topics/t?private=maybe", "", "x", &invalid),
        ("POST", "/topics/t?expect=", "", "x", &invalid),
        ("POST", "/topics/t?expect=None", "", "x", &invalid),
        ("POST", "/topics/t?expect=kkkkkkkk-01", "", "x", &invalid),
        ("POST", "/topics/t?producer-id=p", "", "x", &invalid),
        ("POST", "/topics/t?producer-epoch=-1", "", "x", &invalid),
        ("POST", "/topics/t", "Tidings-Producer-Sequence: 9007199254740992\r\n", "x", &invalid),
        ("POST", "/topics/t?alternate=", "", "x", &topic),
        (
            "POST",
            &format!("/topics/t?{}", "alternate=a&".repeat(16)),
            "",
            "x",
            &Problem(400, "too-many-topics"),
        ),
        ("POST", "/topics/t", "Idempotency-Key: \r\n", "x", &Problem(400, "invalid-id")),
        (
            "POST",
            "/topics/t",
            &format!("Idempotency-Key: {long}\r\n"),
            "x",
            &Problem(400, "invalid-id"),
        ),
        ("POST", "/topics/ended", "", "x", &Problem(409, "topic-closed")),
        ("POST", "/topics/a//b", "", "x", &topic),
        ("POST", "/topics//a", "", "x", &topic),
        ("POST", "/topics/a/", "", "x", &topic),
        ("POST", "/topics/a/%2e%2e/b", "", "x", &topic),
        ("POST", "/topics/a/./b", "", "x", &topic),
        ("POST", "/topics/a%2F", "", "x", &topic),
        ("POST", "/topics/*", "", "x", &topic),
        ("POST", "/topics/a%0Ab", "", "x", &topic),
        ("POST", "/topics/a%00", "", "x", &topic),
        ("POST", "/topics/a%C2%85", "", "x", &topic),
        ("POST", "/topics/a%E2%80%A8", "", "x", &topic),
        ("POST", "/topics/%FF", "", "x", &topic),
        ("POST", "/topics/%C3%28", "", "x", &topic),
        ("POST", "/topics/%", "", "x", &topic),
        ("POST", "/topics/a%2", "", "x", &topic),
        ("POST", "/topics/%zz", "", "x", &topic),
        ("POST", &format!("/topics/{name}"), "", "x", &topic),
        ("POST", "/topics/t?type=%FF", "", "x", &Problem(400, "invalid-utf8")),
        ("POST", "/publish", "", "", &Problem(400, "invalid-json")),
        ("POST", "/publish", "", "[]", &Problem(400, "invalid-json")),
        ("POST", "/publish", "", "{\"events\":{}}", &Problem(400, "invalid-json")),
        ("POST", "/publish", "", "{\"events\":[],\"x\":1}", &Problem(400, "invalid-json")),
        ("POST", "/publish", "", "{\"events\":[]}", &Problem(400, "invalid-request")),
        (
            "POST",
            "/publish",
            "",
            "{\"events\":[{\"topic\":\"a\"}]} x",
            &Problem(400, "invalid-json"),
        ),
        ("POST", "/events", "", "{}", &Problem(400, "invalid-request")),
        ("POST", "/events", "", "{\"topics\":[\"\"]}", &topic),
        ("POST", "/events", "", "{\"topics\":\"a\"}", &Problem(400, "invalid-json")),
        ("POST", "/events", "", "[[\"a\"]]", &Problem(400, "invalid-json")),
        ("POST", "/events?limit=1", "", "{\"topics\":[\"a\"]}", &invalid),
        ("GET", "/topics/t?colour=red", SSE, "", &unknown),
        ("GET", "/topics/t?topic=other", SSE, "", &invalid),
        ("GET", "/topics/t?pattern=*", SSE, "", &invalid),
        ("GET", "/topics/t?last=-1", SSE, "", &invalid),
        ("GET", "/topics/t?last=10001", SSE, "", &invalid),
        ("GET", "/topics/t?last=1e3", SSE, "", &invalid),
        ("GET", "/topics/t?since=yesterday", SSE, "", &invalid),
        ("GET", "/topics/t?since=", SSE, "", &invalid),
        ("GET", "/topics/t?from=", SSE, "", &invalid),
        ("GET", "/topics/t?earliest=2", SSE, "", &invalid),
        ("GET", "/topics/t?last=1&since=1h", SSE, "", &invalid),
        ("GET", "/topics/t?envelope=yes", SSE, "", &invalid),
        ("GET", "/topics/t?conflate=x", SSE, "", &invalid),
        ("GET", "/topics/t?limit=5", SSE, "", &invalid),
        ("GET", "/topics/t?after=x", SSE, "", &invalid),
        ("GET", "/topics/t?poll=61", "", "", &invalid),
        ("GET", "/topics/t?poll=-1", "", "", &invalid),
        ("GET", "/topics/t?poll=1&before=kkkkkkkk-1", "", "", &invalid),
        ("GET", "/topics/kept?limit=0", JSON, "", &invalid),
        ("GET", "/topics/kept?limit=1001", JSON, "", &invalid),
        ("GET", "/topics/kept?last=1&earliest", JSON, "", &invalid),
        ("GET", "/topics/a%0D%0Ab", SSE, "", &topic),
        ("GET", "/topics/%FF", SSE, "", &topic),
        ("GET", "/topics/a/../b", SSE, "", &topic),
        ("GET", "/topics/t?last=%FF", SSE, "", &Problem(400, "invalid-utf8")),
        ("GET", "/events", SSE, "", &Problem(400, "invalid-request")),
        ("GET", "/events?topic=", SSE, "", &topic),
        ("GET", "/events?pattern=", SSE, "", &pattern),
        ("GET", "/events?pattern=a*", SSE, "", &pattern),
        ("GET", "/events?pattern=**/a", SSE, "", &pattern),
        ("GET", "/events?pattern=/", SSE, "", &pattern),
        ("GET", &format!("/events?{patterns}"), SSE, "", &Problem(400, "too-many-topics")),
        ("GET", &format!("/events?{topics}"), "", "", &Problem(414, "uri-too-long")),
        ("GET", "/topics?limit=1001", "", "", &invalid),
        ("GET", "/topics?sort=name", "", "", &unknown),
        ("GET", "/topics?name=/", "", "", &topic),
        ("GET", "/topics/t", "Accept: image/png\r\n", "", &Problem(406, "not-acceptable")),
        ("GET", "/nothing", "", "", &Problem(404, "not-found")),
        ("GET", "/topics/", "", "", &Problem(404, "not-found")),
        ("GET", "/TOPICS/t", "", "", &Problem(404, "not-found")),
        ("GET", "//topics/t", "", "", &Problem(404, "not-found")),
        ("DELETE", "/topics/none", "", "", &Problem(404, "topic-not-found")),
        ("DELETE", "/topics/%0A", "", "", &topic),
        ("PATCH", "/topics/t", "", "{}", &Problem(405, "method-not-allowed")),
        ("BREW", "/topics/t", "", "", &Problem(405, "method-not-allowed")),
        ("get", "/healthz", "", "", &Problem(405, "method-not-allowed")),
    ] {
        for door in DOORS {
            let headers = format!("{}{headers}", door.headers());
            let bytes = request(method, target, &headers, body.as_bytes());
            let shown = &target[..target.len().min(80)];
            watch.check(&format!("{method} {shown} {headers} {body}"), &bytes, expect);
        }
    }
}

#[test]
fn bytes_that_are_no_text() {
    let watch = Watch::start();
    let utf8 = Problem(400, "invalid-utf8");
    let json = Problem(400, "invalid-json");
    for door in DOORS {
        let raw = |head: &str, body: &[u8]| {
            let head = format!("{head}{}Content-Length: {}\r\n\r\n", door.headers(), body.len());
            [head.as_bytes(), body].concat()
        };
        let post = "POST /topics/t HTTP/1.1\r\nHost: h\r\n";
        for body in [&b"\xff"[..], b"a\xc3", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\x80"] {
            watch.check("a body", &raw(post, body), &utf8);
        }
        let lines = "POST /topics/t HTTP/1.1\r\nHost: h\r\nContent-Type: application/x-ndjson\r\n";
        watch.check("a line", &raw(lines, b"{\"data\":\"\xff\"}"), &json);
        watch.check("NUL", &raw(lines, b"{\"data\":\"\0\"}"), &json);
        let many = "POST /publish HTTP/1.1\r\nHost: h\r\n";
        watch.check("publish", &raw(many, b"{\"events\":[{\"topic\":\"\xff\"}]}"), &json);
        for field in ["Tidings-Type", "Tidings-Key", "Idempotency-Key", "Content-Type"] {
            let mut bytes = format!("{post}{}{field}: a", door.headers()).into_bytes();
            bytes.extend_from_slice(b"\xff\r\nContent-Length: 1\r\n\r\nx");
            watch.check(field, &bytes, &utf8);
        }
    }
}

#[test]
fn what_is_too_large() {
    let watch = Watch::start();
    let too_large = Problem(413, "body-too-large");
    let event = vec![b'x'; (1 << 20) + 1];
    for door in DOORS {
        let bytes = request("POST", "/topics/t", door.headers(), &event);
        watch.check("an event", &bytes, &too_large);
    }
    let body = vec![b' '; (8 << 20) + 1];
    // Said before it is sent: refused without waiting for it.
    for length in ["8388609", "99999999999", "9223372036854775807"] {
        for (method, target) in [("POST", "/topics/t"), ("POST", "/publish"), ("PUT", "/topics/t")]
        {
            let head = format!(
                "{method} {target} HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n"
            );
            watch.check(&head, head.as_bytes(), &too_large);
        }
    }
    let mut chunked =
        b"POST /topics/t HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    chunked.extend_from_slice(format!("{:x}\r\n", body.len()).as_bytes());
    chunked.extend_from_slice(&body);
    chunked.extend_from_slice(b"\r\n0\r\n\r\n");
    let mut conn = watch.server.connect();
    let sender = conn.socket().try_clone().unwrap();
    let sending = std::thread::spawn(move || {
        use std::io::Write as _;
        // The server may hang up in the middle of it.
        let _ = (&sender).write_all(&chunked);
    });
    conn.reply().problem(413, "body-too-large");
    drop(conn);
    sending.join().unwrap();
    watch.unchanged("a chunked body");
    let small = Server::with(|config| config.limits.event_bytes = 10);
    for door in DOORS {
        small
            .request("POST", "/topics/t", door.headers(), b"12345678901")
            .problem(413, "body-too-large");
        assert_eq!(small.request("POST", "/topics/t", door.headers(), b"1234567890").status, 200);
    }
}

#[test]
fn hosts_and_versions() {
    let watch = Watch::start();
    let invalid = Problem(400, "invalid-request");
    for (head, expect) in [
        ("GET /healthz HTTP/1.1\r\n\r\n", &invalid),
        ("GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", &invalid),
        ("POST /topics/t HTTP/1.1\r\nContent-Length: 1\r\n\r\nx", &invalid),
        ("POST /topics/t HTTP/1.1\r\nHost: a\r\nHost: a\r\nContent-Length: 1\r\n\r\nx", &invalid),
        ("GET /topics/t HTTP/1.1\r\nAccept: text/event-stream\r\n\r\n", &invalid),
    ] {
        watch.check(head, head.as_bytes(), expect);
    }
    // HTTP/1.0 is old, not wrong.
    let mut conn = watch.server.connect();
    conn.send(b"GET /healthz HTTP/1.0\r\n\r\n");
    assert_eq!(conn.reply().status, 200);
    assert_eq!(conn.rest(), b"");
    let mut conn = watch.server.connect();
    conn.send(b"GET /topics/kept?last=1 HTTP/1.0\r\nAccept: text/event-stream\r\n\r\n");
    assert_eq!(crate::stream::Stream::open(conn).next().data, "3");
    watch.unchanged("HTTP/1.0");
}

#[test]
fn a_body_cannot_smuggle_a_second_request() {
    let watch = Watch::start();
    let smuggled = "POST /topics/smuggled HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx";
    for framing in [
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Transfer-Encoding: xchunked\r\nContent-Length: 4\r\n",
        "Transfer-Encoding : chunked\r\nContent-Length: 4\r\n",
        "Transfer-Encoding: \u{b}chunked\r\nContent-Length: 4\r\n",
    ] {
        let body = format!("0\r\n\r\n{smuggled}");
        let bytes = format!("POST /publish HTTP/1.1\r\nHost: h\r\n{framing}\r\n{body}");
        let mut conn = watch.server.connect();
        conn.send(bytes.as_bytes());
        conn.half_close();
        let answers = String::from_utf8_lossy(&conn.rest()).into_owned();
        // The one request is refused, for its framing or for its body that is no JSON. Where both
        // framings are given, chunks are what counts (RFC 9112, section 6.1) and the connection
        // ends, so that nobody before us can have understood it otherwise.
        assert!(answers.matches("HTTP/1.1 ").count() <= 1, "{framing}: {answers}");
        watch.unchanged(framing);
    }
}

#[test]
fn who_is_too_slow_is_told_and_let_go() {
    let server = Server::with(|config| {
        config.limits.head_timeout = Duration::from_secs(1);
        config.limits.body_timeout = Duration::from_secs(1);
        config.heartbeat = Duration::from_secs(1);
    });
    for bytes in [
        &b"G"[..],
        b"GET /healthz HTTP/1.1\r\nHost: h\r\n",
        b"POST /topics/t HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n12345",
        b"POST /topics/t HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\
          Content-Length: 10\r\n\r\n12345",
        b"POST /publish HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n123",
    ] {
        let mut conn = server.connect();
        conn.send(bytes);
        if let Some(reply) = conn.try_reply() {
            reply.problem(408, "timeout");
            assert_eq!(reply.header("connection"), Some("close"), "{}", reply.head);
        }
        assert_eq!(conn.rest(), b"");
    }
    // Sending on and on, byte by byte, does not lengthen it.
    for door in [Door::Fast, Door::General] {
        let mut conn = server.connect();
        let start = format!("POST /topics/t HTTP/1.1\r\nHost: h\r\n{}", door.headers());
        let mut bytes = start.into_bytes();
        bytes.extend_from_slice(b"X: ");
        conn.send(&bytes);
        conn.socket().set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let mut byte = [0];
        let mut sent = 0;
        while conn
            .socket()
            .peek(&mut byte)
            .is_err_and(|e| e.kind() == std::io::ErrorKind::WouldBlock)
        {
            conn.send(b"x");
            sent += 1;
            assert!(sent < 400, "a head of one byte at a time is read for ever");
        }
    }
    assert_eq!(server.state(), json!([]));
    // Who has said nothing yet is only idle.
    let mut idle = server.connect();
    let mut stream = server.subscribe("/topics/t");
    while stream.comments() < 4 {
        assert!(stream.read());
    }
    idle.ask("POST", "/topics/t", "", b"x");
    assert_eq!(idle.reply().status, 200);
    assert_eq!(stream.next().data, "x");
}

#[test]
fn there_is_a_limit_of_connections() {
    let server = Server::with(|config| {
        config.limits.connections = 3;
        config.limits.operator_reserve = 0;
    });
    let streams = [server.subscribe("/topics/t"), server.subscribe("/topics/t")];
    let third = server.subscribe("/topics/t");
    let mut refused = server.connect();
    let reply = refused.reply();
    reply.problem(503, "too-many-connections");
    assert_eq!(reply.header("connection"), Some("close"));
    assert!(reply.header("retry-after").is_some());
    assert_eq!(refused.rest(), b"");
    drop(third);
    crate::support::until("a place", || {
        let mut conn = server.connect();
        conn.ask("GET", "/healthz", "", b"");
        conn.try_reply().is_some_and(|reply| reply.status == 200)
    });
    drop(streams);
}
