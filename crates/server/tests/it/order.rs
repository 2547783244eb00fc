//! One order for all topics, and nothing seen before it is kept.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::support::{DOORS, Server, sequence, texts};
use crate::wires::over_each_wire;

/// Publishes from several threads at once to topics of every durability; returns what was
/// acknowledged as (id, data).
fn publish_all(server: &Server, writers: usize, each: usize) -> Vec<(String, String)> {
    std::thread::scope(|scope| {
        let write = |writer: usize| {
            scope.spawn(move || {
                let mut conn = server.connect();
                let mut acknowledged = Vec::new();
                for number in 0..each {
                    let durability = ["memory", "written", "synced"][(writer + number) % 3];
                    let data = format!("{writer}:{number}");
                    let target = format!("/topics/{durability}/{}", number % 4);
                    if writer % 2 == 0 {
                        conn.ask("POST", &target, "", data.as_bytes());
                    } else {
                        conn = server.connect();
                        conn.ask("POST", &target, DOORS[1].headers(), data.as_bytes());
                    }
                    let reply = conn.reply();
                    assert_eq!(reply.status, 200, "{}", reply.text());
                    acknowledged.push((reply.json()["id"].as_str().unwrap().to_owned(), data));
                }
                acknowledged
            })
        };
        let writers: Vec<_> = (0..writers).map(write).collect();
        writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect()
    })
}

fn with_durabilities(io_threads: usize) -> Server {
    let server = Server::with(|config| config.io_threads = io_threads);
    for durability in ["memory", "synced"] {
        for number in 0..4 {
            server.put(&format!("{durability}/{number}"), &json!({"durability": durability}));
        }
    }
    server
}

#[test]
fn all_see_all_topics_in_the_one_order_of_their_ids() {
    over_each_wire(|| {
        for io_threads in [1, 3] {
            let server = with_durabilities(io_threads);
            let names: Vec<String> = ["memory", "written", "synced"]
                .iter()
                .flat_map(|durability| {
                    (0..4).map(move |number| format!("topic={durability}/{number}"))
                })
                .collect();
            let mut streams = [
                server.subscribe("/events?pattern=**"),
                server.subscribe("/events?pattern=*/*&envelope"),
                server.subscribe(&format!("/events?{}", names.join("&"))),
                server.subscribe_with("/events?pattern=**", DOORS[1].headers()),
            ];
            let mut acknowledged = publish_all(&server, 4, 100);
            acknowledged.sort_by_key(|(id, _)| sequence(id));
            let mut ids: Vec<u64> = acknowledged.iter().map(|(id, _)| sequence(id)).collect();
            ids.dedup();
            assert_eq!(ids.len(), 400, "every event has an id of its own");
            for (at, stream) in streams.iter_mut().enumerate() {
                let events = stream.take(400);
                for (event, (id, data)) in events.iter().zip(&acknowledged) {
                    assert_eq!(event.id, *id, "stream {at}");
                    let said = match at {
                        1 => serde_json::from_str::<Value>(&event.data).unwrap()["data"].clone(),
                        _ => json!(event.data),
                    };
                    assert_eq!(said, json!(data), "stream {at}");
                }
            }
            let mut late = server.subscribe("/events?pattern=**&earliest");
            let ids: Vec<String> = late.take(400).into_iter().map(|event| event.id).collect();
            let expect: Vec<String> = acknowledged.into_iter().map(|(id, _)| id).collect();
            assert_eq!(ids, expect);
        }
    });
}

#[test]
fn what_is_seen_or_acknowledged_is_in_the_log() {
    let server = with_durabilities(2);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (server, done) = (&server, &done);
        scope.spawn(move || {
            let mut stream = server.subscribe("/events?pattern=**");
            while !done.load(Ordering::Relaxed) {
                let event = stream.next();
                let before = sequence(&event.id) - 1;
                let after = crate::support::with_sequence(&event.id, before);
                let page = server.page(&format!("/events?pattern=**&after={after}&limit=1"));
                assert_eq!(texts(&page, "id"), [event.id], "seen, and not in the log");
            }
        });
        for number in 0..300 {
            let durability = ["memory", "written", "synced"][number % 3];
            let target = format!("/topics/{durability}/{}", number % 4);
            let id = server.publish(&target, &number.to_string());
            let page = server.page(&format!("{target}?last=1"));
            assert_eq!(texts(&page, "id"), [id], "acknowledged, and not in the log");
        }
        done.store(true, Ordering::Relaxed);
        // One more, so that the reader looks at the flag.
        server.publish("/topics/written/0", "last");
    });
}

#[test]
fn a_topic_that_is_named_by_one_reaches_those_whose_patterns_match_it_too() {
    let server = Server::start();
    let mut patterns = [
        server.subscribe("/events?pattern=**"),
        server.subscribe("/events?pattern=a/*&envelope"),
        server.subscribe("/events?pattern=a/*&topic=other"),
    ];
    let mut named =
        [server.subscribe("/topics/a/b"), server.subscribe("/events?topic=a/b&topic=c")];
    server.publish_numbers("a/b", 0..5);
    for stream in patterns.iter_mut().chain(&mut named) {
        let events = stream.take(5);
        let sequences: Vec<u64> = events.iter().map(|event| sequence(&event.id)).collect();
        assert_eq!(sequences, [1, 2, 3, 4, 5]);
    }
}

#[test]
fn a_subscription_begins_no_later_than_its_head() {
    // From the head on nothing may be missed, whoever publishes through whichever thread.
    let server = Server::with(|config| config.io_threads = 2);
    for round in 0..200 {
        let topic = format!("fresh/{round}");
        let target = match round % 4 {
            0 => format!("/topics/{topic}"),
            1 => format!("/events?topic={topic}&topic=x"),
            2 => "/events?pattern=fresh/*".to_owned(),
            _ => format!("/topics/{topic}?envelope"),
        };
        let mut stream = server.subscribe_with(&target, DOORS[round / 4 % 2].headers());
        let headers = DOORS[round / 8 % 2].headers();
        let reply = server.request("POST", &format!("/topics/{topic}"), headers, b"x");
        assert_eq!(stream.next().id, reply.json()["id"].as_str().unwrap(), "{target}");
    }
}

#[test]
fn a_pattern_that_is_new_here_misses_no_topic_that_is_new_too() {
    const PAIRS: usize = 12;
    let server = Server::with(|config| config.io_threads = 2);
    for round in 0..60 {
        // Somebody follows one of the topics already: its tail reaches far back, so what comes of
        // it later would carry a newcomer past what is not known here.
        let known = format!("/topics/r{round}/known");
        let followers = [server.subscribe(&known), server.subscribe(&known)];
        let first = server.publish(&known, "first");
        let ids = std::thread::scope(|scope| {
            let (server, known) = (&server, &known);
            let publisher = scope.spawn(move || {
                let publish = |target: &str| {
                    let reply = server.request("POST", target, DOORS[1].headers(), b"x");
                    reply.json()["id"].as_str().unwrap().to_owned()
                };
                let pair = |at| [publish(&format!("/topics/r{round}/{at}")), publish(known)];
                (0..PAIRS).flat_map(pair).collect::<Vec<_>>()
            });
            let target = format!("/events?pattern=r{round}/*&lastEventId={first}");
            let mut streams = [server.subscribe(&target), server.subscribe(&target)];
            let got = streams.each_mut().map(|stream| {
                let events = stream.take(2 * PAIRS);
                events.into_iter().map(|event| event.id).collect::<Vec<_>>()
            });
            let ids = publisher.join().unwrap();
            assert_eq!(got, [ids.clone(), ids.clone()], "round {round}");
            ids
        });
        drop(followers);
        assert_eq!(ids.len(), 2 * PAIRS);
    }
}
