//! A reader that does not read harms nobody, pins little, and loses nothing.

use std::net::TcpStream;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketType, sockopt};

use crate::support::{Conn, Server, is_alone, resident, until};

/// Published while the reader does not read, in bytes.
const PUBLISHED: usize = 64 << 20;

/// Each event.
const EVENT: usize = 256 << 10;

fn event(number: usize) -> String {
    let mut data = format!("{number} ");
    data.push_str(&"x".repeat(EVENT - data.len()));
    data
}

fn number(data: &str) -> usize {
    data.split(' ').next().unwrap().parse().unwrap()
}

#[test]
fn stuck_readers_pin_little_and_get_everything_when_they_read() {
    if !is_alone("slow::stuck_readers_pin_little_and_get_everything_when_they_read") {
        return;
    }
    let server = Server::with(|config| config.heartbeat = Duration::from_secs(1));
    let targets =
        ["/topics/t", "/events?topic=t&topic=u", "/events?pattern=*", "/topics/t?envelope"];
    let mut stuck: Vec<_> = (0..12).map(|at| server.subscribe(targets[at % 4])).collect();
    let mut reader = server.subscribe("/topics/t");
    let count = PUBLISHED / EVENT;
    let before = resident();
    let mut most = 0;
    for at in 0..count {
        server.publish("/topics/t", &event(at));
        // Who reads has it at once, whoever does not.
        assert_eq!(number(&reader.next().data), at);
        reader.forget_raw();
        most = most.max(resident());
    }
    // The sockets' buffers are the kernel's. What is ours: tails, kept spans, a rest per reader.
    let grown = most.saturating_sub(before);
    assert!(grown < PUBLISHED / 2, "{} MiB for {} readers", grown >> 20, stuck.len());
    until("the stuck ones to be known as such", || {
        let page = server.get("/connections").json();
        let all = page["connections"].as_array().unwrap();
        all.iter().filter(|one| one["lag"].as_u64().unwrap() > 0).count() == stuck.len()
    });
    for (at, stream) in stuck.iter_mut().enumerate() {
        for expect in 0..count {
            let event = stream.next();
            stream.forget_raw();
            let data = match at % 4 {
                3 => {
                    let object: serde_json::Value = serde_json::from_str(&event.data).unwrap();
                    object["data"].as_str().unwrap().to_owned()
                }
                _ => event.data,
            };
            assert_eq!((number(&data), data.len()), (expect, EVENT), "reader {at}");
        }
    }
    server.publish("/topics/t", &event(count));
    for (at, stream) in stuck.iter_mut().enumerate() {
        assert!(stream.next().data.contains(&count.to_string()), "reader {at}");
    }
}

/// Bytes that the kernel holds for the other end of `socket` and has not got rid of.
fn unsent(socket: &TcpStream) -> usize {
    let (ours, server) = (socket.local_addr().unwrap(), socket.peer_addr().unwrap());
    let port = |text: &str| u16::from_str_radix(text.rsplit(':').next().unwrap(), 16).unwrap();
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let line = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    let mut of = line.filter(|row| (port(row[1]), port(row[2])) == (server.port(), ours.port()));
    let queues = of.next().expect("the connection is there")[4];
    usize::from_str_radix(queues.split(':').next().unwrap(), 16).unwrap()
}

#[test]
fn the_kernel_is_not_given_much_for_who_does_not_read() {
    let server = Server::start();
    for at in 0..32 {
        server.publish("/topics/t", &event(at));
    }
    // One that reads the log, and one that is live: 8 MiB for each.
    for target in ["/topics/t?earliest", "/topics/t"] {
        let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        sockopt::set_socket_recv_buffer_size(&socket, 1).unwrap();
        rustix::net::connect(&socket, &server.address()).unwrap();
        let mut conn = Conn::over(TcpStream::from(socket));
        conn.ask("GET", target, "Accept: text/event-stream\r\n", b"");
        let one = || server.get("/connections").json()["connections"][0].clone();
        until("it is there", || one().is_object());
        for at in 0..32 {
            server.publish("/topics/t", &event(at));
        }
        until("it is known not to read", || one()["lag"].as_u64().unwrap() > 0);
        let (mut held, mut looks) = (0, 0);
        until("the kernel takes no more", || {
            let now = unsent(conn.socket());
            looks = if now == held { looks + 1 } else { 0 };
            held = now;
            looks == 20
        });
        // An event is written whole or in part, and what is on its way comes on top.
        assert!((1..1 << 20).contains(&held), "{target}: {} KiB", held >> 10);
        drop(conn);
        until("it has gone", || one().is_null());
    }
}

#[test]
fn a_conflating_reader_that_was_stuck_gets_the_newest_and_nothing_stale() {
    let server = Server::start();
    let mut stream = server.subscribe("/topics/t?conflate");
    let rounds = 200;
    for round in 0..rounds {
        for key in ["a", "b"] {
            let mut data = format!("{round} {key} ");
            data.push_str(&"x".repeat(60_000));
            server.publish(&format!("/topics/t?key={key}"), &data);
        }
    }
    server.publish("/topics/t", "end");
    let mut newest = std::collections::HashMap::new();
    let mut got = 0;
    loop {
        let event = stream.next();
        stream.forget_raw();
        if event.data == "end" {
            break;
        }
        let mut words = event.data.split(' ');
        let round: usize = words.next().unwrap().parse().unwrap();
        let last = newest.insert(words.next().unwrap().to_owned(), round);
        assert!(last.is_none_or(|last| last < round), "older after newer");
        got += 1;
    }
    assert_eq!(newest.into_values().collect::<Vec<_>>(), [rounds - 1; 2]);
    assert!(got <= 2 * rounds);
}

#[test]
fn readers_that_hang_up_in_the_middle_leave_nothing_behind() {
    let server = Server::start();
    let data = event(0);
    for round in 0..5 {
        let streams: Vec<_> = (0..20).map(|_| server.subscribe("/topics/t")).collect();
        for _ in 0..20 {
            server.publish("/topics/t", &data);
        }
        drop(streams);
        until("all to be gone", || {
            server.get("/connections").json()["total"] == 0
                && server.metric("tidings_connections") == 1.0
        });
        assert_eq!(server.get("/healthz").status, 200, "{round}");
    }
}
