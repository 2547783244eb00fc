//! The operator's own listener: what is there, and what is nowhere else.

use tidings_access::Grants;
use tidings_server::config::Mode;

use crate::h2_client::{Client, Over};
use crate::stream::Stream;
use crate::support::{Conn, Server};
use crate::tls;

fn server() -> Server {
    tls::server_with(|config| {
        config.mode = Mode::Serve;
        config.anonymous = Grants::everything();
        config.operator = Some("127.0.0.1:0".parse().unwrap());
    })
}

/// What is the operator's alone.
const ALONE: [&str; 2] = ["/metrics", "/connections"];

#[tokio::test]
async fn the_operators_routes_are_at_the_operators_door_and_not_at_the_publics() {
    let server = server();
    let http2 =
        [Client::connect(&server, Over::Clear).await, Client::connect(&server, Over::Tls).await];
    for target in ALONE {
        let mut conn = Conn::to(server.operator());
        conn.ask("GET", target, "", b"");
        assert_eq!(conn.reply().status, 200, "{target}");
        for method in ["GET", "HEAD", "POST", "OPTIONS"] {
            let mut conn = server.connect();
            conn.ask(method, target, "", b"");
            let reply = conn.reply_without_body();
            assert_eq!(reply.status, 404, "{method} {target}");
            // As what is not there at all.
            let mut conn = server.connect();
            conn.ask(method, "/nothing", "", b"");
            let nothing = conn.reply_without_body();
            assert_eq!(reply.header("content-length"), nothing.header("content-length"));
            assert_eq!(reply.header("allow"), None);
        }
        let mut conn = server.connect_tls();
        conn.ask("GET", target, "", b"");
        conn.reply().problem(404, "not-found");
        for client in &http2 {
            assert_eq!(client.get(target).await.status, 404, "{target}");
        }
    }
    for door in [server.address(), server.operator()] {
        for target in ["/healthz", "/readyz", "/openapi.json", "/topics"] {
            let mut conn = Conn::to(door);
            conn.ask("GET", target, "", b"");
            assert_eq!(conn.reply().status, 200, "{target}");
        }
    }
}

#[test]
fn an_operator_subscribes_there_and_comes_in_when_the_public_is_full() {
    let server = tls::server_with(|config| {
        config.operator = Some("127.0.0.1:0".parse().unwrap());
        config.limits.connections = 1;
        config.limits.operator_reserve = 0;
    });
    let _full = server.subscribe("/topics/t");
    let mut conn = Conn::to(server.operator());
    conn.ask("GET", "/topics/t", "Accept: text/event-stream\r\n", b"");
    let mut stream = Stream::open(conn);
    let mut conn = Conn::to(server.operator());
    conn.ask("POST", "/topics/t", "", b"data");
    assert_eq!(conn.reply().status, 200);
    assert_eq!(stream.next().data, "data");
    assert_eq!(server.connect().reply().status, 503);
}
