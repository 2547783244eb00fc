//! The shared relay: one connection to an upstream, whatever happens to it, and a topic that any
//! number of clients follow without noticing.

use std::time::Duration;

use crate::shared_relay_upstream::{Call, Upstream, shared};
use crate::stream::Stream;
use crate::support::{DOORS, Server, until};

/// Has the relay come back soon.
const SOON: &str = "retry: 1\n\n";

fn server(upstream: &Upstream) -> Server {
    Server::with(|config| config.shared_relays = vec![upstream.shared_as("/prices")])
}

/// The numbers as the data of events.
fn numbers(range: std::ops::RangeInclusive<u64>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

#[test]
fn two_hundred_clients_share_one_connection() {
    let upstream = Upstream::start();
    let server = server(&upstream);
    let mut clients: Vec<Stream> =
        (0..200).map(|at| server.subscribe_with("/prices", DOORS[at % 2].headers())).collect();
    let mut call = upstream.stream();
    assert_eq!(call.line(), "GET /stream HTTP/1.1");
    assert_eq!(call.header("accept"), Some("text/event-stream"));
    assert_eq!(call.header("last-event-id"), None);
    call.events(1..=50);
    for client in &mut clients {
        assert_eq!(client.data(50), numbers(1..=50));
    }
    assert_eq!(upstream.asked(), 1);
    for (name, value) in [("connected", 1.0), ("connections_total", 1.0), ("events_total", 50.0)] {
        let name = format!("tidings_relay_shared_{name}{{relay=\"/prices\"}}");
        assert_eq!(server.metric(&name), value, "{name}");
    }
}

#[test]
fn the_upstream_is_read_from_the_first_client_to_a_while_after_the_last() {
    let upstream = Upstream::start();
    let mut relay = upstream.shared_as("/prices");
    relay.grace = Duration::from_millis(200);
    let server = Server::with(|config| config.shared_relays = vec![relay]);
    // Whoever only publishes is no reader.
    server.publish("/topics/prices", "from elsewhere");
    assert_eq!(upstream.asked(), 0);
    let (first, second) = (server.subscribe("/prices"), server.subscribe("/prices"));
    let mut call = upstream.stream();
    drop(first);
    call.event(1);
    drop(second);
    call.was_hung_up();
    assert_eq!(upstream.asked(), 1);
    let connected = "tidings_relay_shared_connected{relay=\"/prices\"}";
    until("told that it is not connected", || server.metric(connected) == 0.0);
    // And again, from where it was; the newest event is shown first.
    let mut client = server.subscribe("/prices");
    let mut call = upstream.stream();
    assert_eq!(call.header("last-event-id"), Some("1"));
    call.event(2);
    assert_eq!(client.data(2), numbers(1..=2));
}

#[test]
fn a_client_that_comes_back_in_time_finds_the_same_connection() {
    let upstream = Upstream::start();
    let server = server(&upstream);
    let mut client = server.subscribe("/prices");
    let mut call = upstream.stream();
    call.event(1);
    let last = client.next().id;
    drop(client);
    until("nobody is connected", || server.metric("tidings_connections") <= 1.0);
    // One after the other, so that there is time to hang up in between.
    for id in 2..=20 {
        call.event(id);
        until("it is stored", || server.kept("prices").pop() == Some(id.to_string()));
    }
    let header = format!("Last-Event-ID: {last}\r\n");
    let mut client = server.subscribe_with("/prices", &header);
    assert_eq!(client.data(19), numbers(2..=20));
    call.event(21);
    assert_eq!(client.data(1), ["21"]);
    assert_eq!(upstream.asked(), 1);
}

#[test]
fn an_upstream_that_restarts_leaves_no_gap_and_no_repeat() {
    let upstream = Upstream::start();
    let server = server(&upstream);
    let mut stays = server.subscribe("/prices");
    let mut leaves = server.subscribe("/prices");
    let mut call = upstream.stream();
    call.send(SOON);
    call.events(1..=5);
    // Its blank line never comes: not an event, and no id.
    call.send("id: 6\ndata: half");
    let last = leaves.take(3).pop().unwrap().id;
    drop(leaves);
    assert_eq!(stays.data(5), numbers(1..=5));
    let address = upstream.address();
    drop((call, upstream));

    let upstream = Upstream::at(address);
    let mut call = upstream.stream();
    assert_eq!(call.header("last-event-id"), Some("5"));
    call.events(6..=10);
    assert_eq!(stays.data(5), numbers(6..=10));
    // With an id of the relay, and with one of the upstream itself.
    for (id, after) in [(&*last, 4), ("7", 8)] {
        let header = format!("Last-Event-ID: {id}\r\n");
        let mut client = server.subscribe_with("/prices", &header);
        let wanted = numbers(after..=10);
        assert_eq!(client.data(wanted.len()), wanted, "after {id}");
    }
    call.event(11);
    assert_eq!(stays.data(1), ["11"]);
}

#[test]
fn an_upstream_that_begins_anew_is_not_told_again() {
    let upstream = Upstream::start();
    let server = server(&upstream);
    let mut client = server.subscribe("/prices");
    let mut call = upstream.stream();
    call.send(SOON);
    call.events(1..=5);
    call.hang_up();
    // It ignores what it is asked for.
    let mut call = upstream.stream();
    call.events(1..=6);
    call.hang_up();
    // Its own counter has begun anew: other events with old ids.
    let mut call = upstream.stream();
    assert_eq!(call.header("last-event-id"), Some("6"));
    call.send("id: 1\ndata: new\n\nid: 2\ndata: newer\n\n");
    assert_eq!(client.data(8), ["1", "2", "3", "4", "5", "6", "new", "newer"]);
    assert_eq!(server.metric("tidings_relay_shared_repeated_total{relay=\"/prices\"}"), 5.0);
}

#[test]
fn the_tutorials_program_is_what_a_browser_would_see_of_it() {
    let upstream = Upstream::start();
    let server = server(&upstream);
    let mut client = server.subscribe("/prices");
    for round in 0..3 {
        let mut call = upstream.stream();
        assert_eq!(call.header("last-event-id"), None);
        call.send("retry: 1\ndata: Hello, SSE!\n\n");
        call.hang_up();
        assert_eq!(client.data(1), ["Hello, SSE!"], "{round}");
    }
}

#[test]
fn events_are_the_same_however_the_bytes_come() {
    let text = "\u{feff}: hi\r\nid: ä\r\nevent: größe\r\ndata: eins\r\ndata: zwei 😀\r\n\r\n\
                data: cr\rid: 2\r\rdata: lf\n\ndata\n\nid: 3\ndata: x\n\n";
    let check = |sent: &mut dyn FnMut(&mut Call)| {
        let upstream = Upstream::start();
        let server = server(&upstream);
        let mut client = server.subscribe("/prices");
        let mut call = upstream.stream();
        sent(&mut call);
        let seen: Vec<_> = client.take(5).into_iter().map(|it| (it.kind, it.data)).collect();
        let wanted = [("größe", "eins\nzwei 😀"), ("message", "cr"), ("message", "lf")];
        let wanted = wanted.into_iter().chain([("message", ""), ("message", "x")]);
        let wanted: Vec<_> = wanted.map(|(kind, data)| (kind.into(), data.into())).collect();
        assert_eq!(seen, wanted);
        let ids = crate::support::texts(&server.page("/topics/prices?earliest"), "publisher_id");
        assert_eq!(ids, ["ä", "2", "", "", "3"]);
    };
    check(&mut |call| call.send(text));
    check(&mut |call| text.bytes().for_each(|byte| call.send_bytes(&[byte])));
    check(&mut |call| {
        for part in text.as_bytes().chunks(7) {
            call.send_bytes(part);
        }
    });
}

#[test]
fn names_that_an_upstream_may_use_pass_as_they_are() {
    let upstream = Upstream::start();
    let server = server(&upstream);
    let mut client = server.subscribe("/prices");
    let mut call = upstream.stream();
    let names = ["error", "open", "end", "gap", "ping", "message"];
    for name in names {
        call.send(&format!("event: {name}\ndata: of the upstream\n\n"));
    }
    for name in names {
        let event = client.next();
        assert_eq!((&*event.kind, &*event.data), (name, "of the upstream"));
    }
}

#[test]
fn after_a_restart_the_upstream_is_asked_from_where_it_was() {
    let upstream = Upstream::start();
    let server = server(&upstream);
    let mut client = server.subscribe("/prices");
    let mut call = upstream.stream();
    call.send("id: 7\ndata: a\n\ndata: without an id\n\n");
    let last = client.next().id;
    assert_eq!(client.data(1), ["without an id"]);
    drop(client);

    let server = server.restart();
    call.was_hung_up();
    assert_eq!(upstream.asked(), 1, "nobody reads yet");
    let header = format!("Last-Event-ID: {last}\r\n");
    let mut client = server.subscribe_with("/prices", &header);
    let mut call = upstream.stream();
    assert_eq!(call.header("last-event-id"), Some("7"));
    // It begins anew all the same.
    call.send("id: 7\ndata: a\n\nid: 8\ndata: b\n\n");
    assert_eq!(client.data(2), ["without an id", "b"]);
}

#[test]
fn no_content_means_not_to_ask_again_until_somebody_new_comes() {
    let (stops, goes_on) = (Upstream::start(), Upstream::start());
    let server = Server::with(|config| {
        config.shared_relays = vec![stops.shared_as("/stops"), goes_on.shared_as("/goes/on")];
    });
    let client = server.subscribe("/stops");
    let mut call = stops.stream();
    call.send(SOON);
    call.hang_up();
    stops.next().refuse("204 No Content", "");
    // The other one is asked again and again meanwhile.
    let _other = server.subscribe("/goes/on");
    for _ in 0..8 {
        let mut call = goes_on.stream();
        call.send(SOON);
        call.hang_up();
    }
    // A second client is not the first of new ones.
    let second = server.subscribe("/stops");
    goes_on.stream().hang_up();
    assert_eq!(stops.asked(), 2);
    drop((client, second));
    until("all of them have gone", || server.metric("tidings_connections") <= 2.0);
    let mut client = server.subscribe("/stops");
    let mut call = stops.stream();
    call.event(1);
    assert_eq!(client.data(1), ["1"]);
}

#[test]
fn each_stream_is_asked_for_again_when_it_said() {
    let (patient, eager) = (Upstream::start(), Upstream::start());
    let server = Server::with(|config| {
        config.shared_relays = vec![patient.shared_as("/patient"), eager.shared_as("/eager")];
    });
    let _clients = (server.subscribe("/patient"), server.subscribe("/eager"));
    let mut call = patient.stream();
    call.send("retry: 60000\n\n");
    call.hang_up();
    for _ in 0..10 {
        let mut call = eager.stream();
        call.send(SOON);
        call.hang_up();
    }
    // Ten times three seconds, if nobody had listened.
    assert_eq!(patient.asked(), 1);
}

#[test]
fn what_is_no_stream_is_a_failure_and_asked_for_again() {
    let upstream = Upstream::start();
    let server = server(&upstream);
    let mut client = server.subscribe("/prices");
    let mut call = upstream.stream();
    call.send(SOON);
    call.event(1);
    call.hang_up();
    let elsewhere = Upstream::start();
    let location = format!("Location: http://{}/\r\n", elsewhere.address());
    let stream = "Content-Type: text/event-stream\r\n";
    upstream.next().refuse("200 OK", "Content-Type: text/html\r\n");
    upstream.next().refuse("200 OK", "");
    upstream.next().refuse("503 Service Unavailable", stream);
    upstream.next().refuse("201 Created", stream);
    upstream.next().refuse("200 OK", &format!("{stream}Content-Encoding: gzip\r\n"));
    upstream.next().refuse("307 Temporary Redirect", &location);
    let mut call = upstream.next();
    call.send("garbage\r\n\r\n");
    call.hang_up();
    let mut call = upstream.stream();
    assert_eq!(call.header("last-event-id"), Some("1"));
    call.event(2);
    assert_eq!(client.data(2), numbers(1..=2));
    assert_eq!(elsewhere.asked(), 0, "redirects are not followed");
    assert_eq!(server.metric("tidings_relay_shared_failures_total{relay=\"/prices\"}"), 7.0);
}

#[test]
fn an_upstream_that_is_down_at_first_is_waited_for() {
    let address = Upstream::start().address();
    let server = Server::with(|config| {
        config.heartbeat = Duration::from_millis(100);
        config.shared_relays = vec![shared(address, "/prices")];
    });
    let mut client = server.subscribe("/prices");
    let failures = "tidings_relay_shared_failures_total{relay=\"/prices\"}";
    until("it was asked", || server.metric(failures) >= 1.0);
    let before = client.comments();
    while client.comments() < before + 3 {
        assert!(client.read(), "it stays connected");
    }
    let upstream = Upstream::at(address);
    upstream.stream().event(1);
    assert_eq!(client.data(1), ["1"]);
}

#[test]
fn an_event_that_cannot_be_kept_is_left_out_alone() {
    let upstream = Upstream::start();
    let server = Server::with(|config| {
        config.limits.event_bytes = 1_000;
        config.shared_relays = vec![upstream.shared_as("/prices")];
    });
    let mut client = server.subscribe("/prices");
    let mut call = upstream.stream();
    let (large, long) = ("x".repeat(1_001), "y".repeat(300));
    call.send(&format!(
        "data: 1\n\ndata: {large}\n\nevent: {long}\ndata: 2\n\nid: {long}\ndata: 3\n\n\
         id: a\tb\ndata: 4\n\nid: 5\ndata: 5\n\n"
    ));
    assert_eq!(client.data(4), ["1", "3", "4", "5"]);
    let ids = crate::support::texts(&server.page("/topics/prices?earliest"), "publisher_id");
    assert_eq!(ids, ["", "", "", "5"]);
    assert_eq!(server.metric("tidings_relay_shared_refused_total{relay=\"/prices\"}"), 2.0);
}
