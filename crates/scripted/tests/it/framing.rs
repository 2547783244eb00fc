//! Every framing, as it is on the wire.

use std::time::{Duration, Instant};

use tidings_scripted::{Comment, Framing, LineEnd, Script, SseEvent, Upstream, Writes};

use crate::client::{Call, STREAM, body, chunks, cut_head};

fn events() -> Script {
    let event = |data: &str| SseEvent { data: data.to_owned(), ..SseEvent::default() };
    Script::events(vec![
        SseEvent { name: Some("price".to_owned()), ..event("1") },
        SseEvent { id: Some("x".to_owned()), retry_ms: Some(5), ..event("a\nb") },
        event(" 潮"),
    ])
}

fn get(upstream: &Upstream) -> Call {
    Call::send(upstream, "GET /stream HTTP/1.1\r\nconnection: close\r\n\r\n")
}

fn wire_of(framing: Framing) -> String {
    let upstream = Upstream::start().unwrap();
    upstream.play(move |_| events().framing(framing.clone()));
    let (got, complete, _) = body(get(&upstream));
    assert!(complete);
    got
}

const PLAIN: &str = "event: price\ndata: 1\n\nid: x\nretry: 5\ndata: a\ndata: b\n\ndata:  潮\n\n";

#[test]
fn line_ends() {
    assert_eq!(wire_of(Framing::default()), PLAIN);
    for (line_end, text) in [(LineEnd::CrLf, "\r\n"), (LineEnd::Cr, "\r")] {
        let framing = Framing { line_end, ..Framing::default() };
        assert_eq!(wire_of(framing), PLAIN.replace('\n', text));
    }
}

#[test]
fn without_spaces_a_value_keeps_its_own() {
    let tight = "event:price\ndata:1\n\nid:x\nretry:5\ndata:a\ndata:b\n\ndata:  潮\n\n";
    assert_eq!(wire_of(Framing { tight: true, ..Framing::default() }), tight);
}

#[test]
fn a_byte_order_mark_ids_and_retry() {
    let framing =
        Framing { bom: true, ids_from: Some(9), retry_ms: Some(700), ..Framing::default() };
    let expected = "\u{feff}event: price\nid: 9\nretry: 700\ndata: 1\n\n\
        id: x\nretry: 5\ndata: a\ndata: b\n\nid: 11\ndata:  潮\n\n";
    assert_eq!(wire_of(framing), expected);
}

#[test]
fn comments_glued_and_in_blocks() {
    for (block, comment) in [(false, ": hb\n"), (true, ": hb\n\n")] {
        let every_other = Comment { text: "hb".to_owned(), every: 2, block };
        let got = wire_of(Framing { comment: Some(every_other), ..Framing::default() });
        let (first, rest) = PLAIN.split_at(PLAIN.find("id").unwrap());
        let (second, third) = rest.split_at(rest.find("data:  ").unwrap());
        assert_eq!(got, format!("{comment}{first}{second}{comment}{third}"));
    }
}

#[test]
fn a_chunk_for_each_event_or_each_piece() {
    let upstream = Upstream::start().unwrap();
    let chunks_with = |writes: Writes, gap: Duration| {
        upstream.play(move |_| events().writes(writes.clone(), gap));
        let (wire, _) = get(&upstream).all();
        let (chunks, complete) = chunks(cut_head(&wire).1);
        assert!(complete);
        assert_eq!(String::from_utf8(chunks.concat()).unwrap(), PLAIN);
        chunks.iter().map(Vec::len).collect::<Vec<_>>()
    };
    let none = Duration::ZERO;
    assert_eq!(chunks_with(Writes::Together, none), [22, 32, 12]);
    assert_eq!(chunks_with(Writes::Events, none), [22, 32, 12]);
    // The last piece of an event is what is left; 潮 is bytes 7 to 9 of its event, cut after each.
    let sizes = Writes::Sizes(vec![20, 8, 0]);
    assert_eq!(chunks_with(sizes, none), [20, 2, 1, 20, 8, 1, 2, 8, 1, 3]);
    assert_eq!(chunks_with(Writes::Sizes(vec![1]), none), [1; 66]);

    let gap = Duration::from_millis(5);
    let begun = Instant::now();
    assert_eq!(chunks_with(Writes::Sizes(vec![10]), gap).len(), 9);
    assert!(begun.elapsed() >= gap * 9);
}

#[test]
fn events_that_are_due_together_are_chunks_of_their_own() {
    let upstream = Upstream::start().unwrap();
    let (wire, _) = Call::post(&upstream, "/v1/messages", STREAM).all();
    let (chunks, _) = chunks(cut_head(&wire).1);
    assert!(chunks.iter().all(|chunk| chunk.starts_with(b"event: ") && chunk.ends_with(b"\n\n")));
    let body = String::from_utf8(chunks.concat()).unwrap();
    assert_eq!(body.matches("\n\n").count(), chunks.len());
}

#[test]
fn tokens_keep_their_pace() {
    let upstream = Upstream::start().unwrap();
    let pace = Duration::from_millis(20);
    upstream.play(move |_| Script::text("a b c d").first_after(pace).pace(pace));
    let begun = Instant::now();
    assert!(body(Call::chat(&upstream)).1);
    assert!(begun.elapsed() >= pace * 4);
}

#[test]
fn prices_can_be_resumed_and_hello_is_always_the_same() {
    let upstream = Upstream::start().unwrap();
    upstream.play(|request| match request.header("last-event-id") {
        _ if request.path == "/hello" => Script::hello(),
        None => Script::prices(0, 5),
        Some(id) => Script::prices(id.parse().unwrap(), 2),
    });
    let (all, ..) = body(get(&upstream));
    let resumed = "GET /stream HTTP/1.1\r\nconnection: close\r\nLast-Event-ID: 3\r\n\r\n";
    let (rest, ..) = body(Call::send(&upstream, resumed));
    assert!(all.starts_with("id: 1\ndata: {\"symbol\":\"TIDE\",\"price\":1"), "{all}");
    assert!(rest.starts_with("id: 4\n") && all.ends_with(&rest), "{rest}");
    let hello = "GET /hello HTTP/1.1\r\nconnection: close\r\n\r\n";
    assert_eq!(body(Call::send(&upstream, hello)).0, "data: Hello, SSE!\n\n");
}
