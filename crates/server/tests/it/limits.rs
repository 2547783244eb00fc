//! Quotas: what each address may do, through every door, and how it is told.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;

use rustix::net::{AddressFamily, SocketType};
use serde_json::json;
use tempfile::TempDir;
use tidings_hub::policy::Durability;
use tidings_server::config::{self, File, Limits, Mode};

use crate::support::{Conn, DOORS, Door, Reply, Server, until};
use crate::websocket::Ws;
use crate::wires::over_each_wire;

/// The limits that a configuration file says.
pub(crate) fn limits(text: &str) -> Limits {
    let file = File { name: "test.toml".to_owned(), text: text.to_owned() };
    config::load(Mode::Dev, Some(&file), std::iter::empty(), &[]).unwrap().config.limits
}

/// A server with these limits.
pub(crate) fn limited(text: &str) -> Server {
    let limits = limits(text);
    Server::with(|config| config.limits = limits)
}

/// A connection from another address of this machine.
pub(crate) fn from(server: &Server, address: [u8; 4]) -> Conn {
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    rustix::net::bind(&socket, &SocketAddr::from((Ipv4Addr::from(address), 0))).unwrap();
    rustix::net::connect(&socket, &server.address()).unwrap();
    Conn::over(TcpStream::from(socket))
}

/// What a refusal must be: the status, the code, the limit's name, when to come again; and it is
/// counted.
#[track_caller]
pub(crate) fn refused(reply: &Reply, status: u16, code: &str, limit: &str) {
    let problem = reply.problem(status, code);
    assert_eq!(problem["limit"], limit, "{problem}");
    let ms = problem["retry_after_ms"].as_u64().unwrap();
    let seconds: u64 = reply.header("retry-after").unwrap().parse().unwrap();
    assert!(ms > 0 && seconds == ms.div_ceil(1_000), "{ms} ms, {seconds} s");
}

/// How often the limit has refused, as the metrics say.
pub(crate) fn count(server: &Server, limit: &str) -> f64 {
    server.metric(&format!("tidings_limit_refused_total{{limit=\"{limit}\"}}"))
}

/// A request that a limit is for: method, target, header lines, body.
type Ask = (&'static str, &'static str, &'static str, &'static str);

const POST: Ask = ("POST", "/topics/a", "", "12345");
const LINES: Ask =
    ("POST", "/topics/a", "Content-Type: application/x-ndjson\r\n", "{\"data\":\"1\"}\n{}\n{}");
const BATCH: Ask =
    ("POST", "/publish", "", r#"{"events":[{"topic":"a","data":"1"},{"topic":"b","data":"2"}]}"#);
const PAGE: Ask = ("GET", "/topics/a", "Accept: application/json\r\n", "");
const POLL: Ask = ("GET", "/topics/a?poll=0", "", "");
const SEVERAL: Ask = ("GET", "/events?topic=a&topic=b", "Accept: application/x-ndjson\r\n", "");
const NEW: Ask = ("POST", "/topics/new", "", "x");

/// A setting of `[limits.address]`; what is asked, and how often it is answered before it is
/// refused; the limit that refuses.
const CASES: [(&str, Ask, usize, &str); 13] = [
    ("publish_rate = '2/h'", POST, 2, "publish.address.rate"),
    ("publish_rate = '1/d'\npublish_burst = 3", POST, 3, "publish.address.rate"),
    ("publish_rate = '6/h'", LINES, 2, "publish.address.rate"),
    ("publish_rate = '4/h'", BATCH, 2, "publish.address.rate"),
    // More than the bucket holds is taken when it is full.
    ("publish_rate = '1/h'", LINES, 1, "publish.address.rate"),
    ("publish_bytes = '12B/h'", POST, 2, "publish.address.bytes"),
    ("publish_bytes = '1B/h'\npublish_bytes_burst = '15B'", POST, 3, "publish.address.bytes"),
    ("publish_bytes = '1B/h'", POST, 1, "publish.address.bytes"),
    ("publish_rate = '9/h'\npublish_bytes = '5B/h'", POST, 1, "publish.address.bytes"),
    ("history_rate = '2/h'", PAGE, 2, "history.address.rate"),
    ("history_rate = '2/m'", POLL, 2, "history.address.rate"),
    ("history_rate = '1/d'", SEVERAL, 1, "history.address.rate"),
    ("publish_rate = '2/h'", NEW, 2, "publish.address.rate"),
];

#[test]
fn each_rate_refuses_what_is_too_much_through_both_doors() {
    for (setting, (method, target, headers, body), answered, limit) in CASES {
        for door in DOORS {
            let case = format!("{setting} {door:?} {target}");
            let server = limited(&format!("[limits.address]\n{setting}"));
            // By somebody else, so that there is something to read.
            for (topic, who) in [("a", 8), ("b", 9)] {
                let mut other = from(&server, [127, 0, 0, who]);
                other.ask("POST", &format!("/topics/{topic}"), "", b"x");
                assert_eq!(other.reply().status, 200, "{case}");
            }
            let headers = format!("{headers}{}", door.headers());
            for _ in 0..answered {
                let reply = server.request(method, target, &headers, body.as_bytes());
                assert_eq!(reply.status, 200, "{case}: {}", reply.text());
            }
            let reply = server.request(method, target, &headers, body.as_bytes());
            refused(&reply, 429, "rate-limited", limit);
            assert_eq!(count(&server, limit), 1.0, "{case}");
            // Another address has a bucket of its own.
            let mut other = from(&server, [127, 0, 0, 7]);
            other.ask(method, target, &headers, body.as_bytes());
            assert_eq!(other.reply().status, 200, "{case}");
        }
    }
}

#[test]
fn a_refused_publish_has_done_nothing_and_the_connection_goes_on() {
    let server = limited("[limits.address]\npublish_rate = '2/h'\nhistory_rate = '99/s'");
    let mut conn = server.connect();
    // Pipelined: the answers come in the order of the requests.
    for data in ["1", "2", "3", "4"] {
        conn.ask("POST", "/topics/a", "", data.as_bytes());
    }
    let statuses: Vec<u16> = (0..4).map(|_| conn.reply().status).collect();
    assert_eq!(statuses, [200, 200, 429, 429]);
    conn.ask("GET", "/healthz", "", b"");
    assert_eq!(conn.reply().status, 200);
    assert_eq!(server.kept("a"), ["1", "2"]);
}

#[test]
fn what_another_limit_refuses_is_given_back() {
    let server = limited("[limits.address]\npublish_rate = '2/h'\npublish_bytes = '10B/h'");
    assert_eq!(server.request("POST", "/topics/a", "", b"12345678").status, 200);
    // Refused for its bytes; its event does not count.
    let reply = server.request("POST", "/topics/a", "", b"12345678");
    refused(&reply, 429, "rate-limited", "publish.address.bytes");
    assert_eq!(server.request("POST", "/topics/a", "", b"12").status, 200);
    let reply = server.request("POST", "/topics/a", "", b"");
    refused(&reply, 429, "rate-limited", "publish.address.rate");
}

#[test]
fn a_bucket_fills_again() {
    let server = limited("[limits.address]\npublish_rate = '5/s'\npublish_burst = 1");
    assert_eq!(server.request("POST", "/topics/a", "", b"1").status, 200);
    until("the bucket fills", || server.request("POST", "/topics/a", "", b"2").status == 200);
}

#[test]
fn addresses_that_are_excepted_are_not_limited() {
    let text = "[limits]\naddress_except = ['127.0.0.0/30', '::1']\n[limits.address]\n\
                publish_rate = '1/h'\nconnections = 1\nsubscriptions = 1";
    let server = limited(text);
    let _streams: Vec<_> = (0..3).map(|_| server.subscribe("/topics/a")).collect();
    for _ in 0..3 {
        assert_eq!(server.request("POST", "/topics/a", "", b"1").status, 200);
    }
    let mut other = from(&server, [127, 0, 0, 4]);
    other.ask("POST", "/topics/a", "", b"1");
    assert_eq!(other.reply().status, 200);
    other.ask("POST", "/topics/a", "", b"1");
    refused(&other.reply(), 429, "rate-limited", "publish.address.rate");
}

#[test]
fn subscriptions_are_counted_while_they_live() {
    over_each_wire(|| {
        for door in DOORS {
            let server = limited("[limits.address]\nsubscriptions = 2");
            let stream = || server.subscribe_with("/topics/a", door.headers());
            let (one, _two) = (stream(), stream());
            let accept = format!("Accept: text/event-stream\r\n{}", door.headers());
            let reply = server.request("GET", "/topics/a", &accept, b"");
            refused(&reply, 429, "rate-limited", "subscriptions.address");
            let mut other = from(&server, [127, 0, 0, 7]);
            other.ask("GET", "/topics/a", &accept, b"");
            assert!(other.head().unwrap().starts_with("HTTP/1.1 200"), "{door:?}");
            drop(one);
            until("the place is free", || {
                let mut conn = server.connect();
                conn.ask("GET", "/topics/a", &accept, b"");
                conn.head().unwrap().starts_with("HTTP/1.1 200")
            });
        }
    });
}

#[test]
fn a_websocket_is_told_the_same() {
    let server = limited("[limits.address]\npublish_rate = '1/h'\nsubscriptions = 1");
    let mut socket = Ws::open(&server);
    let publish = json!({"op": "publish", "ref": "p", "topic": "a", "data": "1"});
    socket.send(&publish);
    assert_eq!(socket.said()["op"], "published");
    socket.send(&publish);
    let error = socket.said();
    assert_eq!((&error["op"], &error["ref"]), (&json!("error"), &json!("p")), "{error}");
    let problem = &error["problem"];
    assert_eq!(problem["code"], "rate-limited", "{error}");
    assert_eq!(problem["limit"], "publish.address.rate", "{error}");
    assert!(problem["retry_after_ms"].as_u64().unwrap() > 0, "{error}");
    socket.send(&json!({"op": "subscribe", "sub": "one", "topics": ["a"]}));
    assert_eq!(socket.said()["op"], "subscribed");
    let another = json!({"op": "subscribe", "sub": "two", "topics": ["a"]});
    socket.send(&another);
    assert_eq!(socket.said()["problem"]["limit"], "subscriptions.address");
    socket.send(&json!({"op": "unsubscribe", "sub": "one"}));
    assert_eq!(socket.said()["op"], "unsubscribed");
    socket.send(&another);
    assert_eq!(socket.said()["op"], "subscribed");
}

#[test]
fn metrics_say_how_near_anybody_is() {
    let server = limited("[limits.address]\npublish_rate = '10/d'");
    for _ in 0..7 {
        assert_eq!(server.request("POST", "/topics/a", "", b"1").status, 200);
    }
    let near = "tidings_limit_nearest_ratio{limit=\"publish.address.rate\"}";
    let share = server.metric(near);
    assert!((0.69..=0.7).contains(&share), "{share}");
    assert_eq!(count(&server, "publish.address.rate"), 0.0);
    // Limits that are not in force are not shown.
    assert!(!server.get("/metrics").text().contains("history.address.rate"));
}

#[test]
fn there_is_a_ceiling_of_topics() {
    for door in DOORS {
        let server = limited("[limits]\ntopics = 3");
        let post = |target: &str, body: &str| {
            server.request("POST", target, door.headers(), body.as_bytes())
        };
        for topic in ["a", "b", "c"] {
            assert_eq!(post(&format!("/topics/{topic}"), "1").status, 200);
        }
        refused(&post("/topics/d", "1"), 429, "rate-limited", "topics.max");
        let two = r#"{"events":[{"topic":"a","data":"2"},{"topic":"e","data":"2"}]}"#;
        refused(&post("/publish", two), 429, "rate-limited", "topics.max");
        let put = server.request("PUT", "/topics/f", "", b"{}");
        refused(&put, 429, "rate-limited", "topics.max");
        // Those that exist go on, and nothing of what was refused is there.
        assert_eq!(post("/topics/a", "3").status, 200);
        assert_eq!(server.kept("a"), ["1", "3"]);
        assert_eq!(count(&server, "topics.max"), 3.0);
        assert_eq!(server.request("DELETE", "/topics/b", "", b"").status, 204);
        assert_eq!(post("/topics/d", "1").status, 200);
        assert_eq!(server.metric("tidings_topics"), 3.0);
    }
    // Several in one request: each name counts once.
    let server = limited("[limits]\ntopics = 2");
    let both = r#"{"events":[{"topic":"a","data":"1"},{"topic":"b"},{"topic":"a"},{"topic":"b"}]}"#;
    assert_eq!(server.request("POST", "/publish", "", both.as_bytes()).status, 200);
    let reply = server.request("POST", "/topics/c", Door::Fast.headers(), b"1");
    refused(&reply, 429, "rate-limited", "topics.max");
}

#[test]
fn there_is_a_ceiling_of_what_waits_for_its_time() {
    let server = limited("[limits]\nscheduled_bytes = '1MiB'");
    let body = vec![b'x'; 600 << 10];
    assert_eq!(server.request("POST", "/topics/a?delay=1h", "", &body).status, 202);
    let reply = server.request("POST", "/topics/b?delay=1h", "", &body);
    refused(&reply, 429, "rate-limited", "scheduled.bytes");
    assert_eq!(count(&server, "scheduled.bytes"), 1.0);
    let share = server.metric("tidings_limit_nearest_ratio{limit=\"scheduled.bytes\"}");
    assert!((0.75..0.85).contains(&share), "{share}");
    assert_eq!(server.request("POST", "/topics/b", "", &body).status, 200, "now it may");
}

/// A topic that is set counts as one that is published to.
#[test]
fn topics_that_are_set_are_counted_too() {
    for (setting, limit) in
        [("topics = 2", "topics.address"), ("topics_rate = '2/d'", "topics.address.rate")]
    {
        let server = limited(&format!("[limits.address]\n{setting}"));
        let put = |topic: &str| server.request("PUT", &format!("/topics/{topic}"), "", b"{}");
        for (topic, status) in [("a", 201), ("b", 201), ("a", 200)] {
            assert_eq!(put(topic).status, status, "{setting} {topic}");
        }
        refused(&put("c"), 429, "rate-limited", limit);
        refused(&server.request("POST", "/topics/c", "", b"1"), 429, "rate-limited", limit);
        assert_eq!(server.get("/topics").json()["topics"].as_array().unwrap().len(), 2);
    }
    // Of the operator's topics nobody is the maker.
    let limits = limits("[limits.address]\ntopics = 1");
    let server = crate::access::closed(|config| config.limits = limits);
    let [_, _, _, operator, _] = crate::access::people().map(Option::unwrap_or_default);
    let fields = format!("Authorization: Bearer {operator}\r\n");
    for topic in ["a", "b", "c"] {
        let reply = server.request("PUT", &format!("/topics/{topic}"), &fields, b"{}");
        assert_eq!(reply.status, 201, "{}", reply.text());
    }
}

#[test]
fn each_makes_so_many_topics_and_so_fast() {
    for (setting, limit) in
        [("topics = 2", "topics.address"), ("topics_rate = '2/d'", "topics.address.rate")]
    {
        for door in DOORS {
            let server = limited(&format!("[limits.address]\n{setting}"));
            let post = |topic: &str| {
                server.request("POST", &format!("/topics/{topic}"), door.headers(), b"1")
            };
            for topic in ["a", "b", "a", "b"] {
                assert_eq!(post(topic).status, 200, "{setting} {topic}");
            }
            refused(&post("c"), 429, "rate-limited", limit);
            // Also as an alternate of one that is there.
            let reply = server.request("POST", "/topics/a?alternate=d", door.headers(), b"1");
            refused(&reply, 429, "rate-limited", limit);
            assert_eq!(post("a").status, 200, "{setting}");
            let mut other = from(&server, [127, 0, 0, 7]);
            other.ask("POST", "/topics/c", door.headers(), b"1");
            assert_eq!(other.reply().status, 200);
            // Somebody else has made it.
            assert_eq!(post("c").status, 200);
            assert_eq!(server.kept_or_none("d"), [""; 0]);
        }
    }
    let server = limited("[limits.address]\ntopics = 1");
    server.publish("/topics/a", "1");
    let both = r#"{"events":[{"topic":"a","data":"2"},{"topic":"b","data":"2"}]}"#;
    let reply = server.request("POST", "/publish", "", both.as_bytes());
    refused(&reply, 429, "rate-limited", "topics.address");
    assert_eq!(server.kept("a"), ["1"]);
    // One that is removed makes room.
    assert_eq!(server.request("DELETE", "/topics/a", "", b"").status, 204);
    until("it is forgotten", || server.request("POST", "/topics/b", "", b"1").status == 200);
}

#[test]
fn the_topics_of_each_hold_so_much() {
    let server = limited("[limits.address]\nstored_bytes = '100KiB'");
    let mut another = from(&server, [127, 0, 0, 8]);
    another.ask("PUT", "/topics/kept", "", br#"{"retain": {"count": 1}}"#);
    assert_eq!(another.reply().status, 201);
    let mut other = from(&server, [127, 0, 0, 7]);
    other.ask("POST", "/topics/theirs", "", b"1");
    assert_eq!(other.reply().status, 200);
    let (large, half) = ("x".repeat(101 << 10), "x".repeat(60 << 10));
    let post = |topic: &str, data: &str| {
        server.request("POST", &format!("/topics/{topic}"), "", data.as_bytes())
    };
    refused(&post("a", &large), 429, "rate-limited", "stored.address");
    assert_eq!(post("a", &half).status, 200);
    refused(&post("a", &half), 429, "rate-limited", "stored.address");
    refused(&post("b", &half), 429, "rate-limited", "stored.address");
    // What goes into a topic counts for whoever has made it.
    assert_eq!(post("theirs", &half).status, 200);
    other.ask("POST", "/topics/a", "", half.as_bytes());
    refused(&other.reply(), 429, "rate-limited", "stored.address");
    // Also for whoever has set it.
    assert_eq!(post("kept", &half).status, 200);
    assert_eq!(server.request("DELETE", "/topics/a", "", b"").status, 204);
    until("it is given back", || post("b", &half).status == 200);
}

/// Copies the folder as it is while the server runs: what a process that is killed leaves behind.
fn as_killed(folder: &Path) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    copy
}

#[test]
fn who_has_made_a_topic_is_known_after_a_restart_and_a_crash() {
    use crate::access::{claims, closed, operator, token};
    let text = "[limits.tenant]\ntopics = 3\nstored_bytes = '100KiB'\n[limits.subject]\ntopics = 3";
    let server = closed(|config| config.limits = limits(text));
    let of = |who: &str, tenant: &str| {
        let grants = json!({"publish": ["**"], "subscribe": ["**"], "admin": ["a"]});
        let mut claims = claims(who, grants);
        claims["tenant"] = tenant.into();
        format!("Authorization: Bearer {}\r\n", token(&claims))
    };
    let (ann, bob, eve) = (of("ann", "acme"), of("bob", "acme"), of("eve", "other"));
    let post = |server: &Server, who: &str, topic: &str, data: &str| {
        server.request("POST", &format!("/topics/{topic}"), who, data.as_bytes())
    };
    let half = "x".repeat(60 << 10);
    assert_eq!(server.request("PUT", "/topics/a", &ann, b"{}").status, 201);
    assert_eq!(post(&server, &ann, "a", &half).status, 200);
    let both = br#"{"events":[{"topic":"b","alternates":["c"],"data":"x"}]}"#;
    assert_eq!(server.request("POST", "/publish", &bob, both).status, 200);
    assert_eq!(post(&server, &eve, "theirs", "x").status, 200);
    // A policy of its own leaves its maker with it.
    let set = server.request("PUT", "/topics/a", &ann, br#"{"private": true}"#);
    assert_eq!(set.status, 200, "{}", set.text());
    let holds = |server: &Server| {
        refused(&post(server, &bob, "d", "x"), 429, "rate-limited", "topics.tenant");
        refused(&post(server, &ann, "a", &half), 429, "rate-limited", "stored.tenant");
        refused(&post(server, &eve, "a", &half), 429, "rate-limited", "stored.tenant");
        assert_eq!(post(server, &eve, "theirs", &half).status, 200);
    };
    let killed = as_killed(server.folder());
    let copied = closed(|config| {
        config.limits = limits(text);
        config.data_dir = killed.path().to_owned();
    });
    holds(&copied);
    drop(copied);
    let server = server.restart();
    holds(&server);
    assert_eq!(server.request("DELETE", "/topics/a", &operator(), b"").status, 204);
    until("it makes room", || post(&server, &ann, "d", &half).status == 200);
    refused(&post(&server, &ann, "e", "x"), 429, "rate-limited", "topics.tenant");
    // Topics that follow other rules than before have the same makers.
    let server = server.restart_with(|config| config.durability = Durability::Memory);
    refused(&post(&server, &ann, "e", "x"), 429, "rate-limited", "topics.tenant");
}

#[test]
fn who_has_a_token_is_limited_wherever_it_comes_from() {
    over_each_wire(|| {
        use crate::access::{claims, closed, token};
        let text = "[limits.subject]\npublish_rate = '2/d'\nsubscriptions = 1\nconnections = 2\n\
                [limits.tenant]\npublish_rate = '3/d'\nhistory_rate = '1/d'";
        let server = closed(|config| config.limits = limits(text));
        let bearer = |subject: &str, tenant: &str| {
            let mut claims = claims(subject, json!({"publish": ["**"], "subscribe": ["**"]}));
            claims["tenant"] = tenant.into();
            format!("Authorization: Bearer {}\r\n", token(&claims))
        };
        let (ann, bob, eve) =
            (bearer("ann", "acme"), bearer("bob", "acme"), bearer("eve", "other"));
        // Who, from where, and what comes of it.
        for (who, address, limit) in [
            (&ann, 1, ""),
            (&ann, 2, ""),
            (&ann, 3, "publish.subject.rate"),
            (&bob, 1, ""),
            (&bob, 1, "publish.tenant.rate"),
            (&eve, 1, ""),
        ] {
            for door in DOORS.into_iter().filter(|door| !limit.is_empty() || *door == Door::Fast) {
                let mut conn = from(&server, [127, 0, 0, address]);
                conn.ask("POST", "/topics/a", &format!("{who}{}", door.headers()), b"1");
                let reply = conn.reply();
                match limit {
                    "" => assert_eq!(reply.status, 200, "{}", reply.text()),
                    limit => refused(&reply, 429, "rate-limited", limit),
                }
            }
        }
        let page = |who: &str| {
            server.request("GET", "/topics/a", &format!("{who}Accept: application/json\r\n"), b"")
        };
        assert_eq!(page(&ann).status, 200);
        refused(&page(&bob), 429, "rate-limited", "history.tenant.rate");
        let _stream = server.subscribe_with("/topics/a", &ann);
        let accept = format!("{ann}Accept: text/event-stream\r\n");
        let reply = server.request("GET", "/topics/a", &accept, b"");
        refused(&reply, 429, "rate-limited", "subscriptions.subject");
        // A stream and a WebSocket are two connections.
        let upgrade = |who: &str| crate::websocket::asking(who);
        let mut conn = server.connect_http1();
        conn.ask("GET", "/ws", &upgrade(&ann), b"");
        assert!(conn.head().unwrap().starts_with("HTTP/1.1 101"));
        let mut conn = server.connect_http1();
        conn.ask("GET", "/ws", &upgrade(&ann), b"");
        refused(&conn.reply(), 429, "rate-limited", "connections.subject");
    });
}
