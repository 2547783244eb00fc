//! Connections: how many, how fast, how slow, and what they may hold.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketType, sockopt};
use tidings_server::config::Config;

use crate::limits::{count, from, limited, refused};
use crate::support::{Conn, DOORS, PATIENCE, Server, until};

/// An answer to a connection that has asked nothing.
#[track_caller]
fn turned_away(mut conn: Conn, status: u16, code: &str, limit: &str) {
    refused(&conn.reply(), status, code, limit);
    assert_eq!(conn.rest(), b"", "and it ends");
}

fn lets_in(server: &Server) -> bool {
    let mut conn = server.connect();
    conn.ask("GET", "/healthz", "", b"");
    conn.reply().status == 200
}

#[test]
fn an_address_has_so_many_connections() {
    let server = limited("[limits.address]\nconnections = 2");
    let (mut one, mut two) = (server.connect(), server.connect());
    for conn in [&mut one, &mut two] {
        conn.ask("GET", "/healthz", "", b"");
        assert_eq!(conn.reply().status, 200);
    }
    turned_away(server.connect(), 429, "rate-limited", "connections.address");
    let mut other = from(&server, [127, 0, 0, 7]);
    other.ask("GET", "/healthz", "", b"");
    assert_eq!(other.reply().status, 200);
    drop(one);
    until("the place is free", || lets_in(&server));
}

#[test]
fn every_way_that_a_connection_ends_gives_its_place_back() {
    let server = limited("[limits.address]\nconnections = 6");
    for _ in 0..12 {
        // A stream, one that reads the log first, a WebSocket, a page through the general door, a
        // bad request, one that says nothing.
        drop(server.subscribe("/topics/a"));
        drop(server.subscribe("/topics/a?earliest"));
        server.request("GET", "/topics", "Connection: close\r\n", b"");
        let mut bad = server.connect();
        bad.send(b"\x16\x03\x01");
        bad.reply();
        drop(bad);
        drop(crate::websocket::Ws::open(&server));
        drop(server.connect());
        until("they have gone", || server.metric("tidings_connections") == 1.0);
    }
    assert!(lets_in(&server));
}

#[test]
fn an_address_opens_connections_so_fast() {
    let server = limited("[limits.address]\nconnect_rate = '3/h'");
    for _ in 0..3 {
        assert!(lets_in(&server));
    }
    turned_away(server.connect(), 429, "rate-limited", "connect.address.rate");
    let mut other = from(&server, [127, 0, 0, 7]);
    other.ask("GET", "/metrics", "", b"");
    let metrics = other.reply().text();
    let counted = "tidings_limit_refused_total{limit=\"connect.address.rate\"} 1";
    assert!(metrics.contains(counted), "{metrics}");
}

#[test]
fn an_operator_gets_in_when_nobody_else_does() {
    let server = limited("[limits]\nconnections = 3\noperator_reserve = 2");
    let mut held: Vec<Conn> = (0..3).map(|_| server.connect()).collect();
    for conn in &mut held {
        conn.ask("GET", "/healthz", "", b"");
        assert_eq!(conn.reply().status, 200);
    }
    for door in DOORS {
        for (method, target) in [("POST", "/topics/a"), ("GET", "/topics/a"), ("GET", "/topics")] {
            let mut conn = server.connect();
            conn.ask(method, target, door.headers(), b"");
            turned_away(conn, 503, "too-many-connections", "connections.max");
        }
        for target in ["/readyz", "/metrics", "/connections"] {
            // The one before may still be on its way out.
            until(target, || {
                let mut conn = server.connect();
                conn.ask("GET", target, door.headers(), b"");
                let status = conn.reply().status;
                // One request each.
                assert_eq!(conn.rest(), b"", "{target}");
                status == 200
            });
        }
    }
    // Who says nothing on such a place does not keep it.
    let _silent = [server.connect(), server.connect()];
    until("the operator gets in", || {
        let mut conn = server.connect();
        conn.ask("GET", "/connections", "", b"");
        conn.try_reply().is_some_and(|reply| reply.status == 200)
    });
    drop(held);
    until("there is room again", || server.request("POST", "/topics/a", "", b"1").status == 200);
}

/// The times that a client has for something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Time {
    Idle,
    Head,
    Body,
    Stall,
}

/// A server that has no patience in this respect, and all of it in every other: what ends there has
/// ended for that.
fn hasty(time: Time, change: impl FnOnce(&mut Config)) -> Server {
    Server::with(|config| {
        let limits = &mut config.limits;
        let short = Duration::from_secs(1);
        for (of, limit) in [
            (Time::Idle, &mut limits.idle_timeout),
            (Time::Head, &mut limits.head_timeout),
            (Time::Body, &mut limits.body_timeout),
            (Time::Stall, &mut limits.stall_timeout),
        ] {
            *limit = if of == time { short } else { PATIENCE * 10 };
        }
        change(config);
    })
}

#[test]
fn what_does_not_come_is_not_waited_for() {
    let post = "POST /topics/a HTTP/1.1\r\nHost: h\r\n";
    let chunked = format!("{post}Transfer-Encoding: chunked\r\n\r\n5\r\nhel");
    for (time, answer, cases) in [
        // Silent from the beginning.
        (Time::Idle, "", vec![String::new()]),
        (
            Time::Head,
            "HTTP/1.1 408 ",
            vec![
                "GET /top".to_owned(),
                post.to_owned(),
                // Through the general door.
                format!("{post}X: {}", "a".repeat(9_000)),
            ],
        ),
        (
            Time::Body,
            "HTTP/1.1 408 ",
            vec![
                format!("{post}Content-Length: 5\r\n\r\nhel"),
                // Through the general door.
                format!("{post}Connection: close\r\nContent-Length: 5\r\n\r\nhel"),
                format!("{post}Content-Length: 100000\r\n\r\nhel"),
                chunked,
            ],
        ),
    ] {
        let server = hasty(time, |_| {});
        for sent in cases {
            let mut conn = server.connect();
            conn.send(sent.as_bytes());
            let said = String::from_utf8(conn.rest()).unwrap();
            assert!(said.starts_with(answer), "{sent:.60}: {said}");
            assert_eq!(said.is_empty(), answer.is_empty(), "{sent:.60}: {said}");
        }
    }
}

#[test]
fn sending_byte_by_byte_gains_no_time() {
    let server = hasty(Time::Head, |_| {});
    let mut conn = server.connect();
    let begun = Instant::now();
    let mut ended = false;
    conn.socket().set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    while !ended && begun.elapsed() < PATIENCE {
        conn.send(b"G");
        let mut byte = [0];
        ended = !matches!(
            conn.socket().read(&mut byte),
            Err(error) if error.kind() == ErrorKind::WouldBlock
        );
    }
    assert!(ended, "it could go on for ever");
}

#[test]
fn an_answer_that_nobody_takes_is_given_up() {
    let server = hasty(Time::Stall, |config| {
        config.limits.event_bytes = 12 << 20;
        config.limits.body_bytes = 16 << 20;
    });
    server.publish("/topics/large", &"x".repeat(12 << 20));
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    // More than the system takes off the server's hands.
    sockopt::set_socket_recv_buffer_size(&socket, 16 << 10).unwrap();
    rustix::net::connect(&socket, &server.address()).unwrap();
    let mut conn = Conn::over(TcpStream::from(socket));
    conn.ask("GET", "/topics/large", "Accept: application/json\r\n", b"");
    // It begins to be answered: so much is taken, and nothing more.
    let mut first = [0];
    conn.socket().read_exact(&mut first).unwrap();
    until("it is given up", || server.metric("tidings_connections") == 1.0);
    let held = server.metric("tidings_limit_nearest_ratio{limit=\"requests.memory\"}");
    assert!(held < 0.1, "it still holds {held}");
}

#[test]
fn who_takes_no_answers_is_asked_nothing_more() {
    let server = hasty(Time::Stall, |_| {});
    let conn = server.connect();
    let request = crate::support::request("POST", "/topics/a", "", b"1");
    let many = request.repeat(1_000);
    let mut sent = 0;
    // As much as a gigabyte of answers would be needed for.
    let ended = (0..5_000).find_map(|_| {
        sent += many.len();
        conn.socket().write_all(&many).err()
    });
    let ended = ended.unwrap_or_else(|| panic!("{sent} bytes were taken, and no answer"));
    // The server has ended it, not our own patience.
    let kinds = [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe];
    assert!(kinds.contains(&ended.kind()), "after {sent} bytes: {ended}");
    // It is not what all requests together may hold that has ended it.
    assert_eq!(count(&server, "requests.memory"), 0.0);
}

#[test]
fn requests_hold_so_much_together() {
    for length in [40_000, 900_000] {
        let server = Server::with(|config| config.limits.request_memory = 2 << 20);
        let limit = 2 << 20;
        let part = |rest: usize| {
            let mut bytes =
                format!("POST /topics/a HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n");
            bytes.push_str(&"x".repeat(length - rest));
            bytes
        };
        let mut held: Vec<Conn> = Vec::new();
        let mut over = None;
        for _ in 0..limit / length + 2 {
            let mut conn = server.connect();
            conn.send(part(1).as_bytes());
            // Once it is counted, or refused.
            let shown = (held.len() + 1) as f64 * (length as f64 - 1.0) / f64::from(limit as u32);
            let near = "tidings_limit_nearest_ratio{limit=\"requests.memory\"}";
            let refused = || count(&server, "requests.memory") > 0.0;
            until("it is taken", || refused() || server.metric(near) > shown - 0.01);
            if refused() {
                over = Some(conn);
                break;
            }
            held.push(conn);
        }
        let reply = over.expect("the sum has a limit").reply();
        refused(&reply, 503, "overloaded", "requests.memory");
        assert!(held.len() >= limit / length - 1, "{} of {length}", held.len());
        // Those in hand go on, and then there is room again.
        for conn in &mut held {
            conn.send(b"x");
            assert_eq!(conn.reply().status, 200);
        }
        assert_eq!(server.request("POST", "/topics/a", "", part(0).as_bytes()).status, 200);
    }
}

#[test]
fn a_flood_is_left_where_it_comes_from() {
    let server =
        limited("[limits]\nrequest_memory = '8MiB'\n[limits.address]\npublish_rate = '1/d'");
    let mut conn = server.connect();
    let many = crate::support::request("POST", "/topics/a", "", b"1").repeat(10_000);
    conn.socket().set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    // Until the kernel takes nothing more either.
    let blocked = (0..200).any(|_| conn.socket().write_all(&many).is_err());
    assert!(blocked, "everything was taken");
    assert_eq!(conn.reply().status, 200);
    refused(&conn.reply(), 429, "rate-limited", "publish.address.rate");
    let near = "tidings_limit_nearest_ratio{limit=\"requests.memory\"}";
    let held = server.metric(near);
    assert!(held < 0.05, "it holds {held}");
    assert_eq!(count(&server, "requests.memory"), 0.0);
}
