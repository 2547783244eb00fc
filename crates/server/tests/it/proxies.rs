//! Who a client is when a proxy stands between: believed from those who are trusted alone.

use serde_json::Value;
use tidings_server::config::ForwardedBy;

use crate::h2_client::{Client, Over};
use crate::stream::Stream;
use crate::support::{Conn, DOORS, Server, until};
use crate::tls;

const SSE: &str = "Accept: text/event-stream\r\n";

/// What is listed of the only connection.
#[track_caller]
fn only(server: &Server) -> Value {
    let page = server.get("/connections").json();
    assert_eq!(page["total"], 1, "{page}");
    page["connections"][0].clone()
}

fn trusting(trusted: &str, header: ForwardedBy, protocol: bool) -> Server {
    tls::server_with(|config| {
        config.proxy.trusted = vec![trusted.parse().unwrap()];
        config.proxy.header = header;
        config.proxy.protocol = protocol;
    })
}

#[test]
fn a_trusted_proxy_names_its_client() {
    let server = trusting("127.0.0.0/8", ForwardedBy::XForwardedFor, false);
    for (headers, peer, tls) in [
        ("X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\n", "192.0.2.7:0", true),
        ("X-Forwarded-For: 192.0.2.7\r\n", "192.0.2.7:0", false),
        // What a client has written itself stands before what the proxy has.
        ("X-Forwarded-For: 198.51.100.1, 192.0.2.7\r\n", "192.0.2.7:0", false),
        ("X-Forwarded-For: 198.51.100.1\r\nX-Forwarded-For: 192.0.2.7\r\n", "192.0.2.7:0", false),
        // Not even with a quote that is never closed.
        ("X-Forwarded-For: \", 192.0.2.7\r\n", "192.0.2.7:0", false),
        // Proxies behind one another.
        ("X-Forwarded-For: 192.0.2.7, 127.0.0.9\r\n", "192.0.2.7:0", false),
        // The other field is passed on as it came.
        ("X-Forwarded-For: 192.0.2.7\r\nForwarded: for=198.51.100.1\r\n", "192.0.2.7:0", false),
    ] {
        for door in DOORS {
            let stream =
                server.subscribe_with("/topics/t", &format!("{headers}{}", door.headers()));
            let found = only(&server);
            assert_eq!((&found["peer"], &found["tls"]), (&peer.into(), &tls.into()), "{headers}");
            drop(stream);
            until("it to be gone", || server.get("/connections").json()["total"] == 0);
        }
        let mut conn = server.connect_tls();
        conn.ask("GET", "/topics/t", &format!("{SSE}{headers}"), b"");
        let stream = Stream::open(conn);
        assert_eq!(only(&server)["peer"], peer);
        drop(stream);
        until("it to be gone", || server.get("/connections").json()["total"] == 0);
    }
    for headers in ["X-Forwarded-For: unknown\r\n", "Forwarded: for=198.51.100.1\r\n", ""] {
        let stream = server.subscribe_with("/topics/t", headers);
        assert!(only(&server)["peer"].as_str().unwrap().starts_with("127.0.0.1:"), "{headers}");
        drop(stream);
        until("it to be gone", || server.get("/connections").json()["total"] == 0);
    }
}

#[tokio::test]
async fn so_it_does_over_http2_and_in_the_standards_words() {
    for over in [Over::Clear, Over::Tls] {
        let server = trusting("127.0.0.1", ForwardedBy::Forwarded, false);
        let client = Client::connect(&server, over).await;
        let forwarded = [
            ("forwarded", "for=198.51.100.1, for=\"[2001:db8::1]:4711\";proto=https"),
            ("x-forwarded-for", "198.51.100.2"),
        ];
        let _stream = client.subscribe("/topics/t", &forwarded).await;
        let found = only(&server);
        assert_eq!(found["peer"], "[2001:db8::1]:4711");
        assert_eq!(found["tls"], true);
    }
}

#[test]
fn whoever_is_not_trusted_says_nothing() {
    let server = trusting("192.0.2.0/24", ForwardedBy::XForwardedFor, true);
    let headers = "X-Forwarded-For: 198.51.100.1\r\nX-Forwarded-Proto: https\r\n";
    for door in DOORS {
        let stream = server.subscribe_with("/topics/t", &format!("{headers}{}", door.headers()));
        let found = only(&server);
        assert!(found["peer"].as_str().unwrap().starts_with("127.0.0.1:"), "{found}");
        assert_eq!(found["tls"], false);
        drop(stream);
        until("it to be gone", || server.get("/connections").json()["total"] == 0);
    }
    // Nor in bytes before the request: from here they are no request.
    let mut conn = server.connect();
    conn.send(b"PROXY TCP4 198.51.100.1 10.0.0.1 1 2\r\nGET /healthz HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(conn.reply().status, 400);
}

/// The headers of both versions, for the client 192.0.2.7:4660.
fn headers() -> [Vec<u8>; 2] {
    let addresses = [192, 0, 2, 7, 10, 0, 0, 1, 0x12, 0x34, 0, 80];
    [
        b"PROXY TCP4 192.0.2.7 10.0.0.1 4660 80\r\n".to_vec(),
        [b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c", &addresses[..]].concat(),
    ]
}

/// As `/connections` says it: asked for by a proxy, as everything is at such a listener.
fn peers(server: &Server) -> Vec<String> {
    let mut conn = Conn::to(server.address());
    conn.send(&headers()[0]);
    conn.ask("GET", "/connections", "", b"");
    let page = conn.reply().json();
    let all = page["connections"].as_array().unwrap();
    all.iter().map(|one| one["peer"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_header_before_everything_else_names_the_client_of_the_connection() {
    let server = trusting("127.0.0.0/8", ForwardedBy::XForwardedFor, true);
    let request = format!("GET /topics/t HTTP/1.1\r\nHost: h\r\n{SSE}\r\n").into_bytes();
    for header in headers() {
        // Together with the request, and byte by byte.
        for step in [header.len() + request.len(), 1] {
            let mut conn = Conn::to(server.address());
            for part in [&header[..], &request].concat().chunks(step) {
                conn.send(part);
            }
            let stream = Stream::open(conn);
            assert_eq!(peers(&server), ["192.0.2.7:4660"]);
            drop(stream);
            until("it to be gone", || peers(&server).is_empty());
        }
        // What comes after it is HTTP as ever: a publish, a request for hyper, and TLS.
        let mut conn = Conn::to(server.address());
        conn.send(&header);
        conn.ask("POST", "/topics/p", "", b"data");
        assert_eq!(conn.reply().status, 200);
        conn.ask("GET", "/healthz", "", b"");
        assert_eq!(conn.reply().status, 200);
        let socket = std::net::TcpStream::connect(server.tls()).unwrap();
        std::io::Write::write_all(&mut &socket, &header).unwrap();
        let mut conn = Conn::over_tls(tls::over(socket, tls::client(&[])).unwrap());
        conn.send(&request);
        let stream = Stream::open(conn);
        assert_eq!(peers(&server), ["192.0.2.7:4660"]);
        drop(stream);
        until("it to be gone", || peers(&server).is_empty());
    }
}

#[test]
fn after_a_header_fields_are_read_from_a_proxy_that_it_names_alone() {
    let server = trusting("127.0.0.0/8", ForwardedBy::XForwardedFor, true);
    let proxys = "127.0.0.1";
    for (header, peer) in [
        (&b"PROXY UNKNOWN\r\n"[..], proxys),
        (b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0", proxys),
        (b"\r\n\r\n\0\r\nQUIT\n\x21\0\0\0", proxys),
        (b"PROXY TCP4 192.0.2.7 10.0.0.1 4660 80\r\n", "192.0.2.7"),
        (b"PROXY TCP4 127.0.0.9 10.0.0.1 4660 80\r\n", "198.51.100.1"),
    ] {
        let socket = std::net::TcpStream::connect(server.tls()).unwrap();
        std::io::Write::write_all(&mut &socket, header).unwrap();
        let over_tls = Conn::over_tls(tls::over(socket, tls::client(&[])).unwrap());
        let mut clear = Conn::to(server.address());
        clear.send(header);
        for mut conn in [clear, over_tls] {
            let headers = format!("{SSE}X-Forwarded-For: 198.51.100.1\r\n");
            conn.ask("GET", "/topics/t", &headers, b"");
            let stream = Stream::open(conn);
            let found = peers(&server);
            assert!(found[0].starts_with(&format!("{peer}:")), "{found:?}, not {peer}");
            drop(stream);
            until("it to be gone", || peers(&server).is_empty());
        }
    }
}

#[test]
fn a_proxy_that_a_header_names_counts_as_little_as_one_that_connects() {
    let server = tls::server_with(|config| {
        config.proxy.trusted = vec!["127.0.0.0/8".parse().unwrap()];
        config.proxy.protocol = true;
        config.limits.quotas.address.connections = Some(1);
    });
    let second_of = |address: &str| {
        let ask = || {
            let mut conn = Conn::to(server.address());
            conn.send(format!("PROXY TCP4 {address} 10.0.0.1 4660 80\r\n").as_bytes());
            conn.ask("GET", "/healthz", "", b"");
            (conn.reply().status, conn)
        };
        let (first, second) = (ask(), ask());
        assert_eq!(first.0, 200);
        second.0
    };
    assert_eq!((second_of("127.0.0.9"), second_of("192.0.2.7")), (200, 429));
}

#[test]
fn what_is_no_header_ends_the_connection() {
    let server = trusting("127.0.0.0/8", ForwardedBy::XForwardedFor, true);
    for wrong in [
        &b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n"[..],
        b"PROXY TCP4 nonsense\r\nGET /healthz HTTP/1.1\r\nHost: h\r\n\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\x0cGET /healthz HTTP/1.1\r\nHost: h\r\n\r\n",
    ] {
        let mut conn = Conn::to(server.address());
        conn.send(wrong);
        assert_eq!(conn.rest(), b"", "{wrong:?}");
        let mut conn = Conn::to(server.tls());
        conn.send(wrong);
        assert_eq!(conn.rest(), b"", "{wrong:?}");
    }
    // One that goes on to be TLS at once has none either.
    assert!(
        tls::over(std::net::TcpStream::connect(server.tls()).unwrap(), tls::client(&[])).is_err()
    );
}
