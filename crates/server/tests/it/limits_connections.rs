//! Connections: how many, how fast, how slow, and what they may hold.

use crate::limits::{from, limited, refused};
use crate::support::{Conn, Server, until};

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
    let server = limited("[limits.address]\nconnections = 4");
    for _ in 0..8 {
        // A stream, one that reads the log first, a WebSocket, a page through the general door, a
        // bad request, one that says nothing.
        drop(server.subscribe("/topics/a"));
        drop(server.subscribe("/topics/a?earliest"));
        server.request("GET", "/topics", "Connection: close\r\n", b"");
        let mut bad = server.connect();
        bad.send(b"\x16\x03\x01");
        bad.reply();
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
