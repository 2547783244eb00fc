//! Whose a topic is: quotas of topics and of bytes hold however it comes to be, and whoever
//! publishes to it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::json;

use crate::hook::{Gate, says};
use crate::hook_limits;
use crate::limits::{from, limited, refused};
use crate::receiver::Receiver;
use crate::support::{DOORS, Reply, Server, until};
use crate::websocket::Ws;

const OTHER: [u8; 4] = [127, 0, 0, 7];

fn post(server: &Server, target: &str, data: &[u8]) -> Reply {
    server.request("POST", target, "", data)
}

fn post_from(server: &Server, address: [u8; 4], target: &str, data: &[u8]) -> Reply {
    let mut conn = from(server, address);
    conn.ask("POST", target, "", data);
    conn.reply()
}

/// Waits until what there is was looked at anew, so many times at least: only then is there room
/// for another topic of an address that may have one, and has removed it.
fn looked(server: &Server, times: usize) {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    for _ in 0..=times {
        let topic = format!("/topics/looked/{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        until("it was looked at", || post_from(server, OTHER, &topic, b"1").status == 200);
        assert_eq!(server.request("DELETE", &topic, "", b"").status, 204);
    }
}

#[test]
fn a_topic_that_is_made_later_is_whoevers_asked_for_it() {
    let server = limited("[limits.address]\ntopics = 1");
    let asked = post(&server, "/topics/later?delay=5s", b"1");
    assert_eq!(asked.status, 202, "{}", asked.text());
    until("it has come", || server.kept_or_none("later") == ["1"]);
    refused(&post(&server, "/topics/more", b"1"), 429, "rate-limited", "topics.address");
    assert_eq!(post_from(&server, OTHER, "/topics/more", b"1").status, 200);
    let server = server.restart();
    refused(&post(&server, "/topics/third", b"1"), 429, "rate-limited", "topics.address");
}

#[test]
fn a_full_topic_takes_nothing_of_those_without_a_quota_and_as_no_alternate() {
    let server = limited(
        "[limits]\naddress_except = ['127.0.0.7']\n[limits.address]\nstored_bytes = '2KiB'",
    );
    assert_eq!(post(&server, "/topics/full", &[b'x'; 1_500]).status, 200);
    let some = [b'x'; 1_000];
    for target in ["/topics/full", "/topics/own?alternate=full"] {
        let reply = post_from(&server, OTHER, target, &some);
        refused(&reply, 429, "rate-limited", "stored.address");
        let reply = post_from(&server, [127, 0, 0, 8], target, &some);
        refused(&reply, 429, "rate-limited", "stored.address");
    }
    for _ in 0..4 {
        assert_eq!(post_from(&server, OTHER, "/topics/own", &some).status, 200);
    }
    assert_eq!(server.kept("full").len(), 1);
}

#[test]
fn a_topic_that_is_made_again_is_whoevers_makes_it() {
    for door in DOORS {
        let server = limited("[limits.address]\ntopics = 1");
        assert_eq!(post(&server, "/topics/a", b"1").status, 200);
        looked(&server, 1);
        // Before the next look forgets the first one.
        assert_eq!(server.request("DELETE", "/topics/a", "", b"").status, 204);
        let second = |target: &str| {
            let mut conn = from(&server, [127, 0, 0, 8]);
            conn.ask("POST", target, door.headers(), b"2");
            conn.reply()
        };
        assert_eq!(second("/topics/a").status, 200);
        refused(&second("/topics/b"), 429, "rate-limited", "topics.address");
        until("there is room", || post(&server, "/topics/c", b"1").status == 200);
        refused(&second("/topics/b"), 429, "rate-limited", "topics.address");
    }
}

#[test]
fn while_the_application_is_asked_nobody_forgets_who_makes_a_topic() {
    for websocket in [false, true] {
        let gate = Gate::default();
        let passes = gate.clone();
        let receiver = Receiver::start(move |_, _| {
            passes.pass();
            says(true)
        });
        let about = "topics = ['slow/**']\ntimeout = '60s'";
        let server = hook_limits::limited(&receiver, about, "[limits.address]\ntopics = 1");
        thread::scope(|scope| {
            let asks = scope.spawn(|| {
                if websocket {
                    let publish = json!({"op": "publish", "topic": "slow/1", "data": "x"});
                    let said = Ws::open(&server).ask(publish);
                    assert_eq!(said["op"], "published", "{said}");
                } else {
                    assert_eq!(post(&server, "/topics/slow/1", b"x").status, 200);
                }
            });
            until("it is asked", || receiver.came().len() == 1);
            looked(&server, 2);
            gate.open();
            asks.join().unwrap();
        });
        refused(&post(&server, "/topics/b", b"1"), 429, "rate-limited", "topics.address");
        looked(&server, 1);
        refused(&post(&server, "/topics/b", b"1"), 429, "rate-limited", "topics.address");
    }
}
