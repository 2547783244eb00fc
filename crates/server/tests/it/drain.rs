//! Stopping: readiness fails first, subscriptions leave one by one, nothing acknowledged is lost.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{Conn, DOORS, Server, sequence, until};

#[test]
fn readiness_fails_first_and_subscriptions_leave_one_by_one() {
    let mut server = Server::with(|config| config.drain.jitter = Duration::from_secs(10));
    server.publish_numbers("t", 0..10);
    let streams: Vec<_> =
        (0..100).map(|at| server.subscribe(["/topics/t", "/events?pattern=*"][at % 2])).collect();
    let (left, leaves) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        for stream in streams {
            let left = left.clone();
            scope.spawn(move || {
                stream.until_end();
                left.send(Instant::now()).unwrap();
            });
        }
        server.ask_to_stop();
        until("readiness to fail", || {
            let ready = server.get("/readyz");
            if ready.status == 200 {
                return false;
            }
            ready.problem(503, "draining");
            assert!(ready.header("retry-after").is_some());
            true
        });
        // It is alive and works, but for those who want to stay.
        assert_eq!(server.get("/healthz").status, 200);
        for door in DOORS {
            for target in ["/topics/t", "/topics/t?earliest", "/events?pattern=*"] {
                let headers = format!("Accept: text/event-stream\r\n{}", door.headers());
                let reply = server.request("GET", target, &headers, b"");
                assert_eq!(reply.problem(503, "draining")["retryable"], true);
                assert!(reply.header("retry-after").is_some(), "{}", reply.head);
            }
            let reply = server.request("POST", "/topics/t", door.headers(), b"late");
            assert_eq!(reply.status, 200, "publishes go on: {}", reply.text());
        }
        assert_eq!(server.kept("t").len(), 12);
        // A long-poll is let go of at once: it can come again elsewhere.
        assert_eq!(server.page("/topics/t?poll=60")["events"], json!([]));
    });
    drop(left);
    let leaves: Vec<Instant> = leaves.iter().collect();
    assert_eq!(leaves.len(), 100);
    // Not all at once: they were seen leaving at many different moments.
    let mut moments: Vec<u128> =
        leaves.iter().map(|at| at.duration_since(leaves[0]).as_millis() / 100).collect();
    moments.sort_unstable();
    moments.dedup();
    assert!(moments.len() >= 5, "{moments:?}");
    let server = server.restart();
    assert_eq!(server.kept("t").len(), 12);
}

#[test]
fn a_long_poll_that_waits_is_let_go_of_at_a_stop() {
    let mut server = Server::start();
    let id = server.publish("/topics/t", "before");
    let mut waiting = server.connect();
    waiting.ask("GET", "/topics/t?poll=60", "Accept: application/json\r\n", b"");
    until("it to wait", || {
        let listed = server.get("/connections").json();
        listed["connections"].as_array().unwrap().iter().any(|one| one["transport"] == "long-poll")
    });
    server.ask_to_stop();
    let page = waiting.reply().json();
    assert_eq!(page["events"], json!([]));
    assert!(sequence(page["next"].as_str().unwrap()) >= sequence(&id), "{page}");
}

#[test]
fn what_was_acknowledged_while_it_stopped_is_there_after_it() {
    for durability in ["memory", "written", "synced"] {
        let mut server = Server::with(|config| {
            config.drain.jitter = Duration::from_millis(300);
            config.io_threads = 2;
        });
        server.put("t", &json!({"durability": durability}));
        let address = server.address();
        let acknowledged = std::thread::scope(|scope| {
            let write = |writer: usize| {
                scope.spawn(move || {
                    let mut acknowledged = Vec::new();
                    for number in 0.. {
                        let Ok(socket) = std::net::TcpStream::connect(address) else { break };
                        let mut conn = Conn::over(socket);
                        let data = format!("{writer}:{number}");
                        let headers = DOORS[number % 2].headers();
                        conn.ask("POST", "/topics/t", headers, data.as_bytes());
                        match conn.try_reply() {
                            Some(reply) if reply.status == 200 => acknowledged.push(data),
                            _ => break,
                        }
                    }
                    acknowledged
                })
            };
            let writers: Vec<_> = (0..3).map(write).collect();
            until("some events", || server.kept_or_none("t").len() > 20);
            server.ask_to_stop();
            let all: Vec<String> =
                writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect();
            all
        });
        let server = server.restart();
        let mut stream = server.subscribe("/topics/t?earliest");
        server.publish("/topics/t", "end");
        let kept: std::collections::HashSet<String> =
            stream.data_before("end").into_iter().collect();
        let lost: Vec<&String> = acknowledged.iter().filter(|data| !kept.contains(*data)).collect();
        assert_eq!(lost, Vec::<&String>::new(), "{durability}");
    }
}

#[test]
fn the_grace_time_ends_whatever_is_left() {
    let server = Server::with(|config| config.drain.grace = Duration::from_millis(500));
    // One who never finishes its request, and one who never reads.
    let mut half = server.connect();
    half.send(b"POST /publish HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nx");
    let stuck = server.subscribe("/topics/t");
    for _ in 0..40 {
        server.publish("/topics/t", &"x".repeat(1 << 20));
    }
    let server = server.restart();
    drop((half, stuck));
    let page = server.page("/topics/t?earliest&limit=1");
    assert_eq!(page["more"], true);
}
