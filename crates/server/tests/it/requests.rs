//! HTTP on a connection: several requests, in pieces, in one piece, and half-closed.

use crate::stream::Stream;
use crate::support::{DOORS, Server, request, sequence};

#[test]
fn pipelined_requests_are_answered_in_order_and_then_become_a_stream() {
    let server = Server::start();
    for durability in ["written", "synced", "memory"] {
        let topic = format!("t/{durability}");
        server.put(&topic, &serde_json::json!({"durability": durability}));
        let target = format!("/topics/{topic}");
        let mut bytes = Vec::new();
        // Good and bad ones, through both doors, with a stream at the end.
        bytes.extend(request("POST", &target, "", b"1"));
        bytes.extend(request("POST", &format!("{target}?type=error"), "", b"refused"));
        bytes.extend(request("POST", &target, "", b"2"));
        bytes.extend(request("POST", &format!("{target}?expect=none"), "", b"refused"));
        bytes.extend(request("POST", &format!("{target}?what=1"), "", b"refused"));
        bytes.extend(request("GET", "/healthz", "", b""));
        bytes.extend(request("POST", &target, "", b"3"));
        bytes.extend(request(
            "GET",
            &format!("{target}?earliest"),
            "Accept: text/event-stream\r\n",
            b"",
        ));
        let mut conn = server.connect();
        conn.send(&bytes);
        let mut ids = vec![conn.reply().json()["id"].as_str().unwrap().to_owned()];
        conn.reply().problem(400, "invalid-type");
        ids.push(conn.reply().json()["id"].as_str().unwrap().to_owned());
        conn.reply().problem(412, "unexpected-position");
        conn.reply().problem(400, "unknown-parameter");
        assert_eq!(conn.reply().json()["status"], "ok");
        ids.push(conn.reply().json()["id"].as_str().unwrap().to_owned());
        let events = Stream::open(conn).take(3);
        let got: Vec<&str> = events.iter().map(|event| event.id.as_str()).collect();
        assert_eq!(got, ids, "{durability}");
    }
}

#[test]
fn many_pipelined_publishes_keep_their_order() {
    let server = Server::start();
    let mut bytes = Vec::new();
    for number in 0..500 {
        bytes.extend(request("POST", "/topics/t", "", number.to_string().as_bytes()));
    }
    let mut conn = server.connect();
    conn.send(&bytes);
    let ids: Vec<u64> =
        (0..500).map(|_| sequence(conn.reply().json()["id"].as_str().unwrap())).collect();
    assert!(ids.windows(2).all(|two| two[0] < two[1]), "{ids:?}");
    let expect: Vec<String> = (0..500).map(|number| number.to_string()).collect();
    assert_eq!(server.kept("t"), expect);
}

#[test]
fn a_request_may_come_in_two_pieces_split_anywhere() {
    let server = Server::start();
    for door in DOORS {
        let bytes = request("POST", "/topics/t?type=x", door.headers(), b"data\r\n\r\n");
        for at in 1..bytes.len() {
            let mut conn = server.connect();
            conn.send(&bytes[..at]);
            conn.send(&bytes[at..]);
            assert_eq!(conn.reply().status, 200, "split at {at}");
        }
        let bytes = request("GET", "/topics/t?last=1", "Accept: text/event-stream\r\n", b"");
        for at in 1..bytes.len() {
            let mut conn = server.connect();
            conn.send(&bytes[..at]);
            conn.send(&bytes[at..]);
            assert_eq!(Stream::open(conn).next().data, "data\n\n", "split at {at}");
        }
    }
}

#[test]
fn a_request_may_come_byte_by_byte() {
    let server = Server::start();
    for door in DOORS {
        let mut conn = server.connect();
        for byte in request("POST", "/topics/t", door.headers(), b"slow") {
            conn.send(&[byte]);
        }
        assert_eq!(conn.reply().status, 200);
    }
    assert_eq!(server.kept("t"), ["slow", "slow"]);
}

#[test]
fn chunked_bodies_and_those_that_wait_for_leave_are_read() {
    let server = Server::start();
    let mut conn = server.connect();
    conn.send(
        b"POST /topics/t HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n\
        3\r\nabc\r\n2;extension=1\r\nde\r\n0\r\nTrailer: x\r\n\r\n",
    );
    assert_eq!(conn.reply().status, 200);
    conn.send(
        b"POST /topics/t HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\
        Expect: 100-continue\r\n\r\n",
    );
    assert_eq!(conn.head().unwrap(), "HTTP/1.1 100 Continue\r\n\r\n");
    conn.send(b"fghij");
    assert_eq!(conn.reply().status, 200);
    assert_eq!(server.kept("t"), ["abcde", "fghij"]);
}

#[test]
fn who_has_stopped_sending_still_gets_answers() {
    let server = Server::start();
    for door in DOORS {
        for requests in [
            vec![request("POST", "/topics/t", door.headers(), b"x")],
            vec![request("GET", "/healthz", door.headers(), b"")],
            vec![
                request("POST", "/topics/t", "", b"x"),
                request("POST", "/topics/t?type=gap", "", b"x"),
                request("GET", "/healthz", "", b""),
            ],
        ] {
            let count = requests.len();
            let mut conn = server.connect();
            conn.send(&requests.concat());
            conn.half_close();
            for at in 0..count {
                let status = conn.reply().status;
                assert_eq!(status, if at == 1 { 400 } else { 200 });
            }
            assert_eq!(conn.rest(), b"", "the server hangs up then");
        }
        // Half a request is nobody's.
        let bytes = request("POST", "/topics/t", door.headers(), b"body");
        for at in [1, 10, bytes.len() - 4, bytes.len() - 1] {
            let mut conn = server.connect();
            conn.send(&bytes[..at]);
            conn.half_close();
            let reply = conn.try_reply();
            assert!(reply.is_none_or(|reply| reply.status == 400), "cut at {at}");
        }
    }
    assert!(server.kept("t").iter().all(|data| data == "x"));
}

#[test]
fn a_connection_is_used_again_and_again_through_both_doors() {
    let server = Server::start();
    let mut conn = server.connect();
    for round in 0..50 {
        conn.ask("POST", "/topics/t", "", b"x");
        assert_eq!(conn.reply().status, 200, "{round}");
        if round % 2 == 1 {
            conn.ask("GET", "/topics/t?last=1", "Accept: application/json\r\n", b"");
            assert_eq!(conn.reply().status, 200, "{round}");
        }
    }
    conn.ask("GET", "/topics/t?last=1", "Accept: text/event-stream\r\n", b"");
    assert_eq!(Stream::open(conn).next().data, "x");
}

#[test]
fn a_body_of_any_size_up_to_the_limit_is_stored_whole() {
    let server = Server::start();
    for size in [1, 1_000, 56 << 10, (56 << 10) + 1, 64 << 10, 300_000, 1 << 20] {
        let data: String = (0..size).map(|at| char::from(b'a' + (at % 26) as u8)).collect();
        for door in DOORS {
            let mut stream = server.subscribe(&format!("/topics/size/{size}"));
            let target = format!("/topics/size/{size}");
            let reply = server.request("POST", &target, door.headers(), data.as_bytes());
            assert_eq!(reply.status, 200, "{size}: {}", reply.text());
            assert_eq!(stream.next().data, data, "{size}");
        }
    }
}

#[test]
fn the_last_answer_of_a_connection_arrives_whole_however_slowly_it_is_read() {
    let server = Server::start();
    for _ in 0..3 {
        server.publish("/topics/t", &"x".repeat(1 << 20));
    }
    for headers in ["Connection: close\r\n", ""] {
        let mut conn = server.connect();
        let headers = format!("Accept: application/json\r\n{headers}");
        conn.ask("GET", "/topics/t?earliest", &headers, b"");
        conn.half_close();
        // It does not fit into the sockets' buffers, and nobody reads until the server is stuck.
        crate::support::until("the answer to be as far as it gets", || {
            let mut bytes = vec![0; 8 << 20];
            let before = conn.socket().peek(&mut bytes).unwrap();
            std::thread::yield_now();
            conn.socket().peek(&mut bytes).unwrap() == before && before > 1_000
        });
        let page = conn.reply().json();
        assert_eq!(page["events"].as_array().unwrap().len(), 3);
        assert_eq!(conn.rest(), b"");
    }
}
