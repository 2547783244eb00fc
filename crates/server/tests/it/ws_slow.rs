//! WebSocket clients that do not read, that hang up, and a server that stops.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{Server, is_alone, resident, until};
use crate::websocket::{FIN, PING, Ws, frame};

/// Published while the readers do not read, in bytes.
const PUBLISHED: usize = 64 << 20;

/// Each event.
const EVENT: usize = 256 << 10;

#[test]
fn stuck_readers_pin_little_and_get_everything_when_they_read() {
    if !is_alone("ws_slow::stuck_readers_pin_little_and_get_everything_when_they_read") {
        return;
    }
    // Whoever reads nothing answers no ping either: not what this is about.
    let server = Server::with(|config| config.heartbeat = Duration::from_secs(300));
    let mut stuck: Vec<Ws> = (0..12).map(|_| Ws::open(&server)).collect();
    for (at, ws) in stuck.iter_mut().enumerate() {
        let what =
            [json!({"topics": ["t"]}), json!({"topics": ["t", "u"]}), json!({"patterns": ["*"]})];
        ws.subscribe("s", what[at % 3].clone());
    }
    let mut reader = Ws::open(&server);
    reader.subscribe("s", json!({"topics": ["t"]}));
    let count = PUBLISHED / EVENT;
    let before = resident();
    let mut most = 0;
    for at in 0..count {
        server.publish("/topics/t", &format!("{at} {}", "x".repeat(EVENT)));
        // Who reads has it at once, whoever does not.
        assert!(reader.next()["data"].as_str().unwrap().starts_with(&format!("{at} ")));
        most = most.max(resident());
    }
    // Alone it is some 7 MiB; the tests beside it are in the same process. A queue for each would
    // hold twelve times what was published.
    let grown = most.saturating_sub(before);
    assert!(grown < 3 * PUBLISHED, "{} MiB for {} readers", grown >> 20, stuck.len());
    until("the stuck ones to be known as such", || {
        let page = server.get("/connections").json();
        let all = page["connections"].as_array().unwrap();
        all.iter().filter(|one| one["lag"].as_u64().unwrap() > 0).count() == stuck.len()
    });
    // One of each kind.
    for ws in stuck.iter_mut().take(3) {
        for at in 0..count {
            let event = ws.next();
            assert!(event["data"].as_str().unwrap().starts_with(&format!("{at} ")), "event {at}");
        }
    }
}

#[test]
fn who_asks_and_does_not_read_the_answers_is_not_read_from() {
    if !is_alone("ws_slow::who_asks_and_does_not_read_the_answers_is_not_read_from") {
        return;
    }
    let server = Server::start();
    let mut ws = Ws::open(&server);
    let before = resident();
    // Each asks for an answer that is much larger; also pings, which the protocol itself answers.
    let mut bytes = Vec::new();
    for number in 0..200 {
        bytes.extend(frame(0x81, b"{\"op\":\"x\"}"));
        bytes.extend(frame(FIN | PING, &[b'x'; 125][..(number % 126)]));
    }
    let mut socket = ws.conn().socket().try_clone().unwrap();
    socket.set_nonblocking(true).unwrap();
    let (mut sent, mut refused) = (0_usize, 0);
    // Until the server takes no more, or it has taken far more than it may hold.
    while sent < PUBLISHED && refused < 200 {
        match std::io::Write::write(&mut socket, &bytes[sent % bytes.len()..]) {
            Ok(count) => {
                sent += count;
                refused = 0;
            }
            Err(_) => {
                refused += 1;
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
    assert!(sent < PUBLISHED, "it was read from without end");
    let grown = resident().saturating_sub(before);
    assert!(grown < 16 << 20, "{} MiB", grown >> 20);
    // Others are served.
    assert_eq!(Ws::open(&server).ask(json!({"op": "ping"}))["op"], "pong");
}

#[test]
fn readers_that_hang_up_leave_nothing_behind() {
    let server = Server::start();
    server.publish_numbers("t", 0..500);
    for round in 0..60 {
        let mut ws = Ws::open(&server);
        let what = json!({"topics": ["t"], "patterns": ["p/*"], "earliest": round % 2 == 0});
        if round % 3 == 0 {
            ws.send(&json!({"op": "subscribe", "sub": "s", "patterns": ["t"]}));
        } else {
            ws.subscribe("s", what);
        }
    }
    until("all to be gone", || {
        server.get("/connections").json()["total"] == 0
            && server.metric("tidings_websockets") == 0.0
    });
    // Nobody follows: nothing is encoded or kept any more.
    let encoded = server.metric("tidings_encoded_frames_total");
    server.publish("/topics/t", "x");
    server.publish("/topics/p/1", "x");
    assert_eq!(server.metric("tidings_encoded_frames_total"), encoded);
    assert_eq!(server.metric("tidings_tail_bytes"), 0.0);
}

#[test]
fn at_a_stop_connections_leave_one_by_one_with_a_code() {
    let mut server = Server::with(|config| config.drain.jitter = Duration::from_secs(5));
    server.put("t", &json!({"durability": "synced"}));
    let mut all: Vec<Ws> = (0..40).map(|_| Ws::open(&server)).collect();
    all.iter_mut().for_each(|ws| drop(ws.subscribe("s", json!({"topics": ["t"]}))));
    server.ask_to_stop();
    until("readiness to fail", || server.get("/readyz").status == 503);
    Ws::refused(&server, &crate::websocket::asking("")).problem(503, "draining");
    // Each leaves at a moment that its port says (`app::scatter`): the last of them is asked.
    let moment = |ws: &mut Ws| {
        let port = u64::from(ws.conn().socket().local_addr().unwrap().port());
        port.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32) % 1_000
    };
    let last = (0..all.len()).max_by_key(|at| moment(&mut all[*at])).unwrap();
    let publisher = &mut all[last];
    let refused = publisher.ask(json!({"op": "subscribe", "sub": "late", "topics": ["t"]}));
    assert_eq!(refused["problem"]["code"], "draining");
    assert_eq!(
        (&refused["problem"]["retryable"], &refused["problem"]["retry_after"]),
        (&json!(true), &json!(1))
    );
    let told = publisher.ask(json!({"op": "publish", "topic": "t", "data": "late"}));
    assert_eq!(told["op"], "published", "publishes go on: {told}");
    let (left, leaves) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        for mut ws in all {
            let left = left.clone();
            scope.spawn(move || {
                assert_eq!(ws.close_code(), Some(1012));
                ws.send_bytes(&frame(0x88, &1012_u16.to_be_bytes()));
                assert_eq!(ws.next_frame(), None);
                left.send(Instant::now()).unwrap();
            });
        }
    });
    drop(left);
    let leaves: Vec<Instant> = leaves.iter().collect();
    let mut moments: Vec<u128> =
        leaves.iter().map(|at| at.duration_since(leaves[0]).as_millis() / 100).collect();
    moments.sort_unstable();
    moments.dedup();
    assert!(moments.len() >= 5, "{moments:?}");
    let server = server.restart();
    assert_eq!(server.kept("t"), ["late"]);
    // Nothing is lost over the stop: the same ids go on.
    let mut again = Ws::open(&server);
    again.subscribe("s", json!({"topics": ["t"], "earliest": true}));
    assert_eq!(again.data(1), ["late"]);
}

#[test]
fn a_whole_restart_is_bridged_by_the_last_id() {
    let server = Server::start();
    let mut ws = Ws::open(&server);
    ws.subscribe("s", json!({"topics": ["t"]}));
    server.publish_numbers("t", 0..5);
    let last = (0..3).map(|_| ws.next()["id"].clone()).last().unwrap();
    drop(ws);
    let server = server.restart();
    server.publish_numbers("t", 5..8);
    let mut ws = Ws::open(&server);
    ws.subscribe("s", json!({"topics": ["t"], "lastEventId": last}));
    assert_eq!(ws.data(5), ["3", "4", "5", "6", "7"]);
}
