//! Coming back to an answer: wherever the connection was cut, and however the client comes back, it
//! gets what it has not had, once, in order.

use tidings_scripted::{At, Fault, Script};

use crate::relay::{Answered, Event, Relay, apis, chat, responses, text_of};
use crate::support::{sequence, until};

/// Long enough for several reads and short enough to be cut at each of its bytes.
const TEXT: &str = "Eine 波 kommt, und \"noch\" eine 🌊.";

/// What events say, without where they are.
fn said(events: &[Event]) -> Vec<(String, String)> {
    events.iter().map(|event| (event.event_type.clone(), event.data.clone())).collect()
}

/// Without what Tidings itself adds on native streams.
fn told(events: Vec<Event>) -> Vec<Event> {
    events.into_iter().filter(|event| event.event_type != "end").collect()
}

#[test]
fn an_answer_is_what_the_upstream_said_byte_for_byte() {
    for (path, body) in apis() {
        let relay = Relay::start();
        relay.play(Script::text(TEXT).id("fixed").usage(7, 9));
        let direct = {
            let address = relay.upstream.address();
            let mut conn = crate::support::Conn::to(address);
            let headers = "Content-Type: application/json\r\nConnection: close\r\n";
            conn.ask("POST", path, headers, body.to_string().as_bytes());
            Answered::read(conn, usize::MAX)
        };
        let relayed = Answered::read(relay.ask(path, "", &body), usize::MAX);
        assert!(relayed.whole, "{path}");
        // Pings keep a silent connection open; the relay's own heartbeats do that.
        let ping = "event: ping\ndata: {\"type\":\"ping\"}\n\n";
        let direct = String::from_utf8(direct.body).unwrap().replace(ping, "");
        let without_ids: String = String::from_utf8(relayed.body)
            .unwrap()
            .split_inclusive('\n')
            .filter(|line| !line.starts_with("id: ") && *line != ":\n")
            .collect();
        assert_eq!(without_ids, direct, "{path}");
    }
}

/// The connection is cut after each single byte of the response; the native stream goes on after
/// the last event that was whole.
#[test]
fn cut_after_every_byte_and_resumed_by_id() {
    for (path, body) in apis() {
        let relay = Relay::start();
        relay.play(Script::text("a 波 b").id("fixed"));
        let reference = Answered::read(relay.ask(path, "", &body), usize::MAX);
        let wanted = said(&reference.events());
        let mut cut = 0;
        loop {
            let part = Answered::read(relay.ask(path, "", &body), cut);
            if part.whole {
                break;
            }
            let mut events = part.events();
            let last = events.last().map_or(String::new(), |event| event.id.clone());
            // Before the first whole event the client has no id and asks for everything.
            let rest = match last.is_empty() {
                true => {
                    let link = format!("{}&earliest=true", part.link());
                    let mut conn = relay.server.connect();
                    conn.ask("GET", &link, "Accept: text/event-stream\r\n", b"");
                    Answered::read(conn, usize::MAX).events()
                }
                false => relay.resume(&part, &last),
            };
            events.extend(told(rest));
            assert_eq!(said(&events), wanted, "{path}, cut after byte {cut}");
            let ids: Vec<u64> = events.iter().map(|event| sequence(&event.id)).collect();
            assert!(ids.windows(2).all(|pair| pair[0] < pair[1]), "{path}, byte {cut}: {ids:?}");
            cut += 1;
        }
        assert!(cut > 500, "{path}: an answer has bytes, {cut}");
    }
}

/// The same cut, and the same request once more: with the key of the first it is not a new one.
#[test]
fn cut_after_every_byte_and_asked_again() {
    let relay = Relay::start();
    relay.play(Script::text("a 波 b").id("fixed"));
    let reference = relay.chat("");
    let begun = relay.asked();
    for cut in 0..reference.body.len() {
        let key = format!("Idempotency-Key: cut-{cut}\r\n");
        let conn = relay.ask("/v1/chat/completions", &key, &chat("hello"));
        let part = Answered::read(conn, cut);
        let again = relay.chat(&key);
        assert!(again.whole && again.has_header("tidings-attached"), "byte {cut}");
        assert_eq!(again.header("tidings-topic"), part.header("tidings-topic"));
        assert_eq!(said(&again.events()), said(&reference.events()), "byte {cut}");
    }
    assert_eq!(relay.asked() - begun, reference.body.len(), "one answer for each key");
}

#[test]
fn who_comes_back_is_counted_and_how_far_behind() {
    let relay = Relay::start();
    relay.play(Script::text("one two three"));
    let answered = relay.chat("");
    let events = answered.events();
    // The end is one more.
    let rest = relay.resume(&answered, &events[1].id);
    assert_eq!(rest.len(), events.len() - 2 + 1);
    assert!((relay.server.metric("tidings_relay_resumed_total") - 1.0).abs() < 0.1);
    let behind = relay.server.metric("tidings_relay_resumed_events_total");
    assert!((behind - rest.len() as f64).abs() < 0.1, "{behind}");
}

#[test]
fn a_replay_is_the_same_bytes() {
    let relay = Relay::start();
    relay.play(Script::text(TEXT));
    let key = "Idempotency-Key: k\r\n";
    let first = relay.chat(key);
    let second = relay.chat(key);
    assert_eq!(first.body, second.body);
    assert_eq!(relay.asked(), 1);
}

/// As the OpenAI SDKs do it: `responses.retrieve(id, stream=True, starting_after=N)`.
#[test]
fn a_response_is_resumed_after_each_sequence_number() {
    for indices in [true, false] {
        let relay = Relay::start();
        let script = Script::text(TEXT).id("resp_abc");
        relay.play(if indices { script } else { script.without_indices() });
        let first = Answered::read(relay.ask("/v1/responses", "", &responses("x")), usize::MAX);
        let wanted = said(&first.events());
        let numbers: Vec<u64> = first
            .data()
            .iter()
            .map(|data| serde_json::from_str::<serde_json::Value>(data).unwrap())
            .map(|data| data["sequence_number"].as_u64().expect("a number, whoever gave it"))
            .collect();
        for (at, number) in numbers.iter().enumerate() {
            let target = format!("/v1/responses/resp_abc?stream=true&starting_after={number}");
            let mut conn = relay.server.connect();
            conn.ask("GET", &target, "", b"");
            let rest = Answered::read(conn, usize::MAX);
            let expected = &wanted[at + 1..];
            assert_eq!(said(&rest.events()), expected, "after {number}, indices: {indices}");
        }
        let whole = relay.server.get("/v1/responses/resp_abc").json();
        assert_eq!(whole["status"], "completed", "{whole}");
        assert_eq!(whole["id"], "resp_abc");
        assert_eq!(relay.asked(), 1, "the upstream was asked once");
    }
}

/// Whoever is not the one who asked gets what the upstream says of an id that it may not know.
#[test]
fn a_response_is_its_owners() {
    let relay = Relay::start();
    relay.play(Script::text(TEXT).id("resp_abc"));
    let mine = "Authorization: Bearer mine\r\n";
    let first = Answered::read(relay.ask("/v1/responses", mine, &responses("x")), usize::MAX);
    relay.play(Script::refuse(404, "no such response"));
    let target = "/v1/responses/resp_abc?stream=true&starting_after=0";
    for (headers, status) in [("Authorization: Bearer yours\r\n", 404), ("", 404), (mine, 200)] {
        let mut conn = relay.server.connect();
        conn.ask("GET", target, headers, b"");
        assert_eq!(Answered::read(conn, usize::MAX).status, status, "{headers}");
    }
    let token = first.link().split_once("token=").unwrap().1.to_owned();
    let mut conn = relay.server.connect();
    conn.ask("GET", &format!("{target}&token={token}"), "", b"");
    assert_eq!(Answered::read(conn, usize::MAX).status, 200, "a capability does as well");
}

/// A second device comes while the answer runs, without an id: a snapshot, then what comes.
#[test]
fn a_late_reader_gets_a_snapshot_and_the_rest() {
    for (path, body) in apis() {
        let relay = Relay::start();
        relay.play(Script::text("one two three four").fault(Fault::hang(At::Token(2))));
        let conn = relay.ask(path, "Tidings-On-Disconnect: continue\r\n", &body);
        let part = Answered::read(conn, 300);
        // What was read may end in the middle of an event; the topic has two tokens by now.
        until("two tokens are stored", || relay.told(&part) == "one two");
        let mut late = relay.server.subscribe(&part.link());
        let snapshot = late.next();
        assert_eq!(snapshot.kind, "snapshot", "{path}");
        let text = serde_json::from_str::<serde_json::Value>(&snapshot.data).unwrap();
        assert_eq!(text["text"], "one two", "{path}: {text}");
        relay.stop(&part);
        let rest = late.until_end();
        assert!(rest.iter().all(|event| sequence(&event.id) > sequence(&snapshot.id)), "{path}");
        let told: String = rest.iter().map(|event| text_of(&event.data)).collect();
        assert_eq!(told, "", "{path}: nothing of the snapshot is told again");
        assert_eq!(rest.last().unwrap().kind, "end", "{path}");
        let raw = format!("{}&earliest=true", part.link());
        let raw = relay.server.subscribe(&raw).until_end();
        assert_ne!(raw[0].kind, "snapshot", "the events as they were, for whoever asks");
    }
}

/// Whoever is behind may have the text of many events in one, at the same place.
#[test]
fn deltas_are_merged_for_whoever_asks() {
    for (path, body) in apis() {
        let relay = Relay::start();
        let words: Vec<String> = (0..2_500).map(|number| format!("w{number} ")).collect();
        relay.play(Script::tokens(words.clone()));
        let raw = Answered::read(relay.ask(path, "", &body), usize::MAX);
        let key = "X-Stainless-Retry-Count: 1\r\nTidings-Deltas: merged\r\n";
        let merged = Answered::read(relay.ask(path, key, &body), usize::MAX);
        assert!(merged.whole && merged.has_header("tidings-attached"), "{path}");
        assert_eq!(merged.text(), raw.text(), "{path}");
        assert_eq!(merged.text(), words.concat(), "{path}");
        assert!(merged.events().len() < 30, "{path}: {} events", merged.events().len());
        assert!(merged.body.len() * 5 < raw.body.len(), "{path}");
        let (last, end) = (merged.events().pop().unwrap(), raw.events().pop().unwrap());
        assert_eq!(last, end, "{path}");
        // From the middle of what was merged nothing is told twice.
        let middle = &raw.events()[1_000];
        let rest = relay.resume(&merged, &middle.id);
        assert!(sequence(&rest[0].id) > sequence(&middle.id));
    }
}
