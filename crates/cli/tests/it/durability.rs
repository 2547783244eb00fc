//! What a crash may take and what it may not: the program is ended without a warning (`kill -9`),
//! started again over the same folder and port, and asked what it still knows.

use std::collections::HashSet;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::raw::{Follower, PATIENCE, address, ask, publish, wait_for};
use crate::server::Server;

/// All that is kept, as (id, data).
fn history(address: &str, topic: &str) -> Vec<(String, String)> {
    let mut all = Vec::new();
    let mut query = "earliest".to_owned();
    loop {
        let target = format!("/topics/{topic}?{query}&limit=1000");
        let (status, body) = ask(address, "GET", &target, "").unwrap();
        if status == 404 {
            return all;
        }
        let page: Value = serde_json::from_str(&body).unwrap();
        for event in page["events"].as_array().unwrap() {
            let text = |member: &str| event[member].as_str().unwrap().to_owned();
            all.push((text("id"), text("data")));
        }
        if page["more"] == false {
            return all;
        }
        query = format!("after={}", page["next"].as_str().unwrap());
    }
}

fn sequence(id: &str) -> u64 {
    id.split_once('-').unwrap().1.parse().unwrap()
}

/// Publishes numbers to `topic` until the server is gone; returns what was acknowledged.
fn publish_until_gone(address: &str, topic: &str, started: &AtomicU64) -> Vec<(String, String)> {
    let mut acknowledged = Vec::new();
    for number in 0_u64.. {
        let Some(id) = publish(address, topic, &number.to_string()) else { break };
        acknowledged.push((id, number.to_string()));
        started.fetch_add(1, Ordering::Relaxed);
    }
    acknowledged
}

#[test]
fn what_was_acknowledged_or_seen_survives_a_kill() {
    let mut server = Server::start();
    let address = address(&server);
    for durability in ["written", "synced"] {
        let body = format!("{{\"durability\":\"{durability}\"}}");
        for writer in 0..2 {
            ask(&address, "PUT", &format!("/topics/{durability}/{writer}"), &body).unwrap();
        }
    }
    let topics = ["written/0", "written/1", "synced/0", "synced/1"];
    let mut expected: [Vec<(String, String)>; 4] = Default::default();
    let mut newest = 0;
    for _ in 0..3 {
        let started = AtomicU64::new(0);
        let seen = Mutex::new(Vec::new());
        let crashed = std::thread::scope(|scope| {
            let (address, started, seen) = (&address, &started, &seen);
            let mut follower = Follower::connect(address, "/events?pattern=**", "").unwrap();
            scope.spawn(move || {
                while follower.read(|id, _, data| {
                    seen.lock().unwrap().push((id.to_owned(), data.to_owned()));
                }) {}
            });
            let writers: Vec<_> = topics
                .iter()
                .map(|topic| scope.spawn(move || publish_until_gone(address, topic, started)))
                .collect();
            wait_for(started, 400);
            let crashed = server.crash();
            for (all, writer) in expected.iter_mut().zip(writers) {
                all.extend(writer.join().unwrap());
            }
            crashed
        });
        server = crashed.restart();
        let mut kept_by_all = HashSet::new();
        for (topic, acknowledged) in topics.iter().zip(&mut expected) {
            let kept = history(&address, topic);
            // One that was not acknowledged any more may be there all the same, as the last.
            let set: HashSet<&(String, String)> = kept.iter().collect();
            let lost: Vec<_> = acknowledged.iter().filter(|event| !set.contains(event)).collect();
            assert!(lost.is_empty(), "{topic} lost {lost:?}");
            assert!(kept.windows(2).all(|two| sequence(&two[0].0) < sequence(&two[1].0)));
            kept_by_all.extend(kept.iter().cloned());
            *acknowledged = kept;
        }
        let seen = seen.into_inner().unwrap();
        let taken_back: Vec<_> = seen.iter().filter(|event| !kept_by_all.contains(event)).collect();
        assert!(taken_back.is_empty(), "seen, and gone: {taken_back:?}");
        assert!(!seen.is_empty());
        // Ids are not given twice.
        let next = sequence(&publish(&address, "other", "x").unwrap());
        newest = kept_by_all.iter().map(|(id, _)| sequence(id)).max().unwrap_or(0).max(newest);
        assert!(next > newest, "{next} after {newest}");
        newest = next;
    }
}

#[test]
fn what_a_memory_topic_loses_is_told() {
    let mut server = Server::start();
    let address = address(&server);
    ask(&address, "PUT", "/topics/m", "{\"durability\":\"memory\"}").unwrap();
    for _ in 0..3 {
        let mut last = (String::new(), String::new());
        for number in 0..200 {
            let data = number.to_string();
            last = (publish(&address, "m", &data).unwrap(), data);
        }
        server = server.crash_and_restart();
        let kept = history(&address, "m");
        let was_lost = !kept.contains(&last);
        let mut follower = Follower::connect(&address, "/topics/m", &last.0).unwrap();
        let mut events: Vec<(String, String, String)> = Vec::new();
        // Its id must not be one that the lost events had.
        let marker = publish(&address, "m", "marker").unwrap();
        assert!(sequence(&marker) > sequence(&last.0), "{marker} after {}", last.0);
        while !events.iter().any(|(id, ..)| *id == marker) {
            let more = follower.read(|id, kind, data| {
                events.push((id.to_owned(), kind.to_owned(), data.to_owned()));
            });
            assert!(more, "the stream ended: {events:?}");
        }
        // Its own id was lost, so a resume after it says so; if it was not, there is nothing to
        // say.
        assert_eq!(events.iter().any(|(_, kind, _)| kind == "gap"), was_lost, "{events:?}");
        if was_lost {
            let notice: Value = serde_json::from_str(&events[0].2).unwrap();
            assert_eq!((events[0].1.as_str(), &notice["reason"]), ("gap", &"crash".into()));
        }
    }
}

#[test]
fn repeats_are_known_after_a_kill() {
    let server = Server::start();
    let address = address(&server);
    let repeat = |data: &str| {
        let mut socket = TcpStream::connect(&address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let length = data.len();
        let request = format!(
            "POST /topics/t HTTP/1.1\r\nHost: h\r\nIdempotency-Key: k\r\nConnection: close\r\n\
             Content-Length: {length}\r\n\r\n{data}"
        );
        socket.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    };
    let first: Value = serde_json::from_str(&repeat("x")).unwrap();
    let server = server.crash_and_restart();
    let again: Value = serde_json::from_str(&repeat("x")).unwrap();
    assert_eq!((&again["id"], &again["duplicate"]), (&first["id"], &true.into()));
    assert!(repeat("y").contains("idempotency-mismatch"));
    drop(server);
}

#[test]
fn followers_cross_crashes_without_a_gap() {
    const FOLLOWERS: usize = 150;
    const CRASHES: u64 = 3;
    let mut server = Some(Server::start());
    let address = address(server.as_ref().unwrap());
    let done = AtomicBool::new(false);
    let published = AtomicU64::new(0);
    let first = publish(&address, "first", "0").unwrap();
    std::thread::scope(|scope| {
        let (address, done, published) = (&address, &done, &published);
        let (told, tells) = mpsc::channel();
        for number in 0..FOLLOWERS {
            let (told, first) = (told.clone(), first.clone());
            scope.spawn(move || {
                let target = match number % 3 {
                    0 => "/topics/t/1",
                    1 => "/events?topic=t/0&topic=t/2",
                    _ => "/events?pattern=t/*",
                };
                told.send((number % 3, follow(address, target, first, done))).unwrap();
            });
        }
        drop(told);
        // Whoever publishes repeats what was not acknowledged, with the same key.
        let publisher = scope.spawn(move || {
            let mut number = 0;
            while !done.load(Ordering::Relaxed) {
                let topic = format!("t/{}", number % 3);
                if publish_once(address, &topic, number) {
                    number += 1;
                    published.store(number, Ordering::Relaxed);
                }
            }
            number
        });
        for crash in 1..=CRASHES {
            wait_for(published, crash * 300);
            server = server.take().map(Server::crash_and_restart);
        }
        wait_for(published, (CRASHES + 1) * 300);
        done.store(true, Ordering::Relaxed);
        let total = publisher.join().unwrap();
        for topic in ["t/0", "t/1", "t/2"] {
            publish(address, topic, "end").unwrap();
        }
        for (shape, seen) in tells {
            let wanted = |number: &u64| match shape {
                0 => number % 3 == 1,
                1 => number % 3 != 1,
                _ => true,
            };
            let expect: Vec<u64> = (0..total).filter(wanted).collect();
            assert!(seen == expect, "shape {shape}: {} of {}", seen.len(), expect.len());
        }
    });
}

/// Publishes a number under a key of its own; whether it was acknowledged.
fn publish_once(address: &str, topic: &str, number: u64) -> bool {
    let Ok(mut socket) = TcpStream::connect(address) else {
        std::thread::sleep(Duration::from_millis(5));
        return false;
    };
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let data = number.to_string();
    let length = data.len();
    let request = format!(
        "POST /topics/{topic} HTTP/1.1\r\nHost: h\r\nIdempotency-Key: n{number}\r\n\
         Connection: close\r\nContent-Length: {length}\r\n\r\n{data}"
    );
    let mut answer = String::new();
    socket.write_all(request.as_bytes()).is_ok()
        && socket.read_to_string(&mut answer).is_ok()
        && answer.starts_with("HTTP/1.1 200 ")
}

/// Follows, and resumes whenever the stream ends, until the end is published. Returns the numbers.
fn follow(address: &str, target: &str, first: String, done: &AtomicBool) -> Vec<u64> {
    let (mut seen, mut last) = (Vec::new(), first);
    let deadline = Instant::now() + PATIENCE;
    let mut ends = 0;
    loop {
        assert!(Instant::now() < deadline, "{target}: no end; {} seen, {done:?}", seen.len());
        let Some(mut follower) = Follower::connect(address, target, &last) else {
            std::thread::sleep(Duration::from_millis(5));
            continue;
        };
        let wanted =
            if target.contains("pattern") { 3 } else { target.matches("t/").count().min(2) };
        while follower.read(|id, kind, data| {
            assert_eq!(kind, "message", "{target}: {data}");
            id.clone_into(&mut last);
            match data {
                "end" => ends += 1,
                data => seen.push(data.parse().unwrap()),
            }
        }) {
            if ends == wanted {
                return seen;
            }
        }
    }
}
