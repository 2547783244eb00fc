//! What HTTP/2 allows and nobody means well by: each ends for whoever does it, and nobody else.

use std::time::Duration;

use crate::h2_frames::*;
use crate::stream::Stream;
use crate::support::{Server, is_alone, resident, until};

/// More frames than a connection may send at once.
const FLOOD: usize = 4_000;

/// Somebody who reads all the while, over the same listener.
struct Neighbour {
    stream: Stream,
    published: usize,
}

impl Neighbour {
    fn new(server: &Server) -> Self {
        Self { stream: server.subscribe("/topics/neighbour"), published: 0 }
    }

    #[track_caller]
    fn is_served(&mut self, server: &Server) {
        self.published += 1;
        server.publish("/topics/neighbour", &self.published.to_string());
        assert_eq!(self.stream.next().data, self.published.to_string());
    }
}

/// Sends the same frames again and again; how it ends.
#[track_caller]
fn flooded(begin: impl Fn(&mut Raw), flood: impl Fn(usize) -> Vec<u8>) -> u32 {
    let server = Server::start();
    let mut neighbour = Neighbour::new(&server);
    neighbour.is_served(&server);
    let mut raw = Raw::open(&server);
    begin(&mut raw);
    for number in 0..FLOOD {
        raw.conn.send(&flood(number));
    }
    let error = raw.goodbye();
    neighbour.is_served(&server);
    until("nothing to be left of it", || server.get("/connections").json()["total"] == 1);
    error
}

#[test]
fn requests_that_are_reset_at_once() {
    let head = head("GET", "/topics/t", &[("accept", "text/event-stream")]);
    let error = flooded(
        |_| {},
        |number| {
            let stream = u32::try_from(number * 2 + 1).unwrap();
            let asked = frame(HEADERS, END_HEADERS | END_STREAM, stream, &head);
            [asked, frame(RST_STREAM, 0, stream, &CANCEL.to_be_bytes())].concat()
        },
    );
    assert_eq!(error, ENHANCE_YOUR_CALM);
}

#[test]
fn a_proxy_that_is_trusted_may_reset_what_its_many_clients_have_left() {
    let server = Server::with(|config| config.proxy.trusted = vec!["127.0.0.1".parse().unwrap()]);
    let mut raw = Raw::open(&server);
    let head = head("GET", "/topics/t", &[("accept", "text/event-stream")]);
    let mut stream = 1;
    while stream < 2 * FLOOD as u32 {
        for _ in 0..50 {
            raw.send(HEADERS, END_HEADERS | END_STREAM, stream, &head);
            raw.send(RST_STREAM, 0, stream, &CANCEL.to_be_bytes());
            stream += 2;
        }
        raw.send(PING, 0, 0, &[0; 8]);
        raw.wait(PING, 0);
    }
}

#[test]
fn requests_that_make_the_server_reset_them() {
    // A window that is too large is an error of its stream, which the server resets.
    let head = head("GET", "/topics/t", &[("accept", "text/event-stream")]);
    let error = flooded(
        |_| {},
        |number| {
            let stream = u32::try_from(number * 2 + 1).unwrap();
            let asked = frame(HEADERS, END_HEADERS | END_STREAM, stream, &head);
            [asked, frame(WINDOW_UPDATE, 0, stream, &0x7fff_ffff_u32.to_be_bytes())].concat()
        },
    );
    assert_eq!(error, ENHANCE_YOUR_CALM);
}

#[test]
fn pings() {
    assert_eq!(flooded(|_| {}, |_| frame(PING, 0, 0, &[0; 8])), ENHANCE_YOUR_CALM);
}

#[test]
fn settings() {
    assert_eq!(flooded(|_| {}, |_| frame(SETTINGS, 0, 0, &[])), ENHANCE_YOUR_CALM);
}

#[test]
fn frames_that_nobody_knows() {
    assert_eq!(flooded(|_| {}, |_| frame(0xbe, 0, 0, b"x")), ENHANCE_YOUR_CALM);
}

#[test]
fn windows_that_are_opened_byte_by_byte() {
    let error = flooded(|_| {}, |_| frame(WINDOW_UPDATE, 0, 0, &1_u32.to_be_bytes()));
    assert_eq!(error, ENHANCE_YOUR_CALM);
}

#[test]
fn data_that_is_empty() {
    let begin = |raw: &mut Raw| {
        let head = head("POST", "/topics/t", &[]);
        raw.send(HEADERS, END_HEADERS, 1, &head);
    };
    assert_eq!(flooded(begin, |_| frame(DATA, 0, 1, &[])), ENHANCE_YOUR_CALM);
}

#[test]
fn a_head_that_never_ends() {
    if !is_alone("http2_abuse::a_head_that_never_ends") {
        return;
    }
    let begin = |raw: &mut Raw| raw.send(HEADERS, 0, 1, &head("GET", "/healthz", &[]));
    let more = field("x", &"y".repeat(1_000));
    let before = resident();
    assert_eq!(flooded(begin, |_| frame(CONTINUATION, 0, 1, &more)), ENHANCE_YOUR_CALM);
    let grown = resident().saturating_sub(before);
    assert!(grown < 64 << 20, "{} MiB", grown >> 20);
    // Of nothing at all.
    assert_eq!(flooded(begin, |_| frame(CONTINUATION, 0, 1, &[])), ENHANCE_YOUR_CALM);
}

#[test]
fn a_head_that_is_too_large() {
    let server = Server::start();
    let mut raw = Raw::open(&server);
    let fields: Vec<(String, String)> =
        (0..70).map(|at| (format!("x-{at}"), "y".repeat(1_000))).collect();
    let fields: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (&**n, &**v)).collect();
    let head = head("GET", "/healthz", &fields);
    let (first, rest) = head.split_at(16_000);
    raw.send(HEADERS, END_STREAM, 1, first);
    let parts: Vec<&[u8]> = rest.chunks(16_000).collect();
    for (at, part) in parts.iter().enumerate() {
        let flags = if at + 1 == parts.len() { END_HEADERS } else { 0 };
        raw.send(CONTINUATION, flags, 1, part);
    }
    let answer = raw.wait(HEADERS, 1);
    // 431, of which HPACK's table knows nothing: it stands there in digits.
    assert!(answer.payload.windows(3).any(|three| three == b"431") || !answer.payload.is_empty());
    raw.request(3, "GET", "/healthz");
    assert_eq!(raw.wait(HEADERS, 3).payload[0], 0x88, "200, and the connection goes on");
}

#[test]
fn more_streams_than_there_may_be() {
    let server = Server::with(|config| config.limits.http2_streams = 10);
    let mut raw = Raw::open(&server);
    // The server's settings first: what comes before them is not refused for good.
    raw.wait(SETTINGS, 0);
    for stream in 0..10 {
        raw.request(stream * 2 + 1, "GET", "/topics/t");
        raw.wait(HEADERS, stream * 2 + 1);
    }
    raw.request(21, "GET", "/topics/t");
    assert_eq!(raw.wait(RST_STREAM, 21).error(), REFUSED_STREAM);
    assert_eq!(server.get("/connections").json()["total"], 10);
    raw.send(RST_STREAM, 0, 1, &CANCEL.to_be_bytes());
    until("the first to be gone", || server.get("/connections").json()["total"] == 9);
    raw.request(23, "GET", "/topics/t");
    raw.wait(HEADERS, 23);
}

#[test]
fn windows_that_are_never_opened() {
    const EVENT: usize = 64 << 10;
    if !is_alone("http2_abuse::windows_that_are_never_opened") {
        return;
    }
    let server = Server::with(|config| config.limits.stall_timeout = Duration::from_secs(1));
    let mut neighbour = Neighbour::new(&server);
    let mut raw = Raw::with_window(&server, 0);
    for stream in 0..100 {
        raw.request(stream * 2 + 1, "GET", "/topics/t");
        raw.wait(HEADERS, stream * 2 + 1);
    }
    let before = resident();
    let mut most = 0;
    for _ in 0..512 {
        server.publish("/topics/t", &"x".repeat(EVENT));
        neighbour.is_served(&server);
        most = most.max(resident());
    }
    // A hundred times 32 MiB were published to it.
    let grown = most.saturating_sub(before);
    assert!(grown < 64 << 20, "{} MiB", grown >> 20);
    let page = server.get("/connections").json();
    let all = page["connections"].as_array().unwrap();
    assert_eq!(all.iter().filter(|one| one["state"] == "blocked").count(), 100);
    // Subscriptions may wait; an answer that nobody takes is given up.
    raw.request(201, "GET", "/topics");
    assert_eq!(raw.wait(RST_STREAM, 201).error(), CANCEL);
    // And one of them goes on as if nothing had been.
    raw.send(WINDOW_UPDATE, 0, 0, &(1_u32 << 30).to_be_bytes());
    raw.send(WINDOW_UPDATE, 0, 7, &(1_u32 << 30).to_be_bytes());
    let mut bytes = 0;
    while bytes < 512 * EVENT {
        bytes += raw.wait(DATA, 7).payload.len();
    }
    neighbour.is_served(&server);
}

/// A server with a page of history of about 60 KiB, little memory for answers, and this patience.
fn with_large_answers(patience: Duration) -> Server {
    let server = Server::with(|config| {
        config.limits.request_memory = 2 << 20;
        config.limits.stall_timeout = patience;
    });
    server.publish("/topics/t", &"x".repeat(60_000));
    server
}

const PAGE: &str = "/topics/t?earliest";

/// As many answers as fit into the memory and more, of which nobody reads a byte.
fn not_reading(server: &Server) -> Raw {
    let mut raw = Raw::with_window(server, 1 << 20);
    raw.send(WINDOW_UPDATE, 0, 0, &(1_u32 << 30).to_be_bytes());
    for stream in 0..100 {
        let head = head("GET", PAGE, &[("accept", "application/json")]);
        raw.send(HEADERS, END_HEADERS | END_STREAM, stream * 2 + 1, &head);
    }
    raw
}

/// Whether somebody else gets an answer.
fn others_are_answered(server: &Server) -> bool {
    let mut raw = Raw::open(server);
    let head = head("GET", PAGE, &[("accept", "application/json")]);
    raw.send(HEADERS, END_HEADERS | END_STREAM, 1, &head);
    raw.wait(HEADERS, 1).payload[0] == 0x88
}

#[test]
fn answers_that_nobody_takes_count_and_end_with_their_connection() {
    let server = with_large_answers(Duration::from_secs(1));
    assert!(others_are_answered(&server));
    let mut raw = not_reading(&server);
    until("the memory to be full", || !others_are_answered(&server));
    until("it to be given back", || others_are_answered(&server));
    // What was on its way, and no goodbye.
    while raw.next().is_some() {}
}

#[test]
fn a_window_that_is_closed_behind_an_answer() {
    let server = with_large_answers(Duration::from_secs(3));
    let mut raw = not_reading(&server);
    until("h2 to have them all", || !others_are_answered(&server));
    let none = [&[0, 4][..], &0_u32.to_be_bytes()].concat();
    raw.send(SETTINGS, 0, 0, &none);
    // It reads all that it gets, and answers pings.
    for _ in 0..2 {
        while raw.next().expect("a reset, not the end").kind != RST_STREAM {}
    }
}

#[test]
fn connections_that_are_idle_or_say_nothing() {
    let server = Server::with(|config| {
        config.limits.idle_timeout = Duration::from_secs(1);
        config.limits.head_timeout = Duration::from_secs(1);
        config.heartbeat = Duration::from_secs(1);
    });
    assert_eq!(Raw::open(&server).goodbye(), NO_ERROR);
    // Half a head is no stream.
    let mut raw = Raw::open(&server);
    raw.wait(SETTINGS, 0);
    raw.send(HEADERS, 0, 1, &head("GET", "/healthz", &[]));
    assert_eq!(raw.goodbye(), NO_ERROR);
    // A preface that does not end.
    let mut conn = server.connect();
    conn.send(b"PRI * HTTP/2.0\r\n\r\nSM");
    assert_eq!(conn.rest(), b"");
    // A client that is not there any more: it has a stream, and answers no ping.
    let mut raw = Raw::with_window(&server, 0);
    raw.request(1, "GET", "/topics/t");
    until("its stream", || server.get("/connections").json()["total"] == 1);
    until("it to be let go", || server.get("/connections").json()["total"] == 0);
    // One that answers them stays.
    let mut raw = Raw::with_window(&server, 0);
    raw.request(1, "GET", "/topics/t");
    for _ in 0..3 {
        raw.wait(PING, 0);
    }
    assert_eq!(server.get("/connections").json()["total"], 1);
}

#[test]
fn bodies_that_do_not_come() {
    let server = Server::with(|config| config.limits.body_timeout = Duration::from_secs(1));
    let mut raw = Raw::open(&server);
    raw.send(HEADERS, END_HEADERS, 1, &head("POST", "/topics/t", &[]));
    raw.send(DATA, 0, 1, b"half");
    // 408 and its problem, and then the client is told to send no more.
    raw.wait(HEADERS, 1);
    assert!(raw.wait(DATA, 1).payload.windows(7).any(|part| part == b"timeout"));
    raw.wait(RST_STREAM, 1);
    assert_eq!(server.get("/topics").json()["topics"], serde_json::json!([]));
}
