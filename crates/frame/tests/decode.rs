//! Properties of the decoder: it undoes the encoder, agrees with the standard's text, keeps within
//! its limits, and lets go of an unfinished event.

#![allow(clippy::unwrap_used)]

use proptest::collection::vec;
use proptest::prelude::*;
use tidings_frame::sse_decode::{DecodeError, Decoder, Limits};
use tidings_frame::sse_encode::{Frame, HEARTBEAT};
use tidings_frame::{Epoch, Position};

#[path = "../../../fuzz/harness/sse_decode.rs"]
#[allow(dead_code, reason = "each test needs a part of it")]
mod harness;

/// Streams made of what streams are made of, so that fields, ends and cuts meet in every way.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let words: Vec<&'static [u8]> = vec![
        b"data",
        b"id",
        b"event",
        b"retry",
        b"da",
        b":",
        b": ",
        b" ",
        b"\n",
        b"\r",
        b"\r\n",
        b"\n\n",
        b"x",
        b"12",
        b"\0",
        b"data: y\n",
        b"id: 7\n",
        b"\xef\xbb\xbf",
        b"\xef",
        b"\xe4\xb8",
        b"\x96",
        b"\xff",
        "\u{2028}".as_bytes(),
        "\u{fc}".as_bytes(),
        b"retry: 5\n",
        b"event: e\n",
        b":\n",
    ];
    vec(prop::sample::select(words), 0..60).prop_map(|words| words.concat())
}

fn frame() -> impl Strategy<Value = (Option<u64>, Option<String>, Option<u64>, String)> {
    let data = vec(
        prop::sample::select(vec!["a", " ", "\n", "\r", "\r\n", "\u{fc}", ":", "id: 9"]),
        0..12,
    );
    (
        prop::option::of(any::<u64>()),
        prop::option::of("[a-z ü:]{1,8}"),
        prop::option::of(any::<u64>()),
        data.prop_map(|parts| parts.concat()),
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn the_decoder_does_what_the_standard_says(choice in any::<[u8; 4]>(), stream in stream()) {
        let input = [&choice[..], &stream].concat();
        harness::check(&input);
    }

    #[test]
    fn any_bytes_at_all(input in vec(any::<u8>(), 0..200)) {
        harness::check(&input);
    }

    #[test]
    fn decoding_undoes_encoding(frames in vec(frame(), 0..8), cuts in vec(1_usize..40, 0..6)) {
        let epoch = Epoch::from_entropy([1, 2, 3, 4, 5, 6, 7, 8]);
        let mut stream = Vec::new();
        let mut expected = Vec::new();
        let (mut last_id, mut last_retry) = (String::new(), None);
        for (sequence, event, retry_ms, data) in &frames {
            let id = sequence.map(|sequence| Position { epoch, sequence });
            let event = event.as_deref();
            Frame { id, event, retry_ms: *retry_ms, data: data.as_bytes() }.encode(&mut stream);
            stream.extend_from_slice(HEARTBEAT);
            last_id = id.map_or(last_id, |id| id.to_string());
            last_retry = retry_ms.or(last_retry);
            let data = data.replace("\r\n", "\n").replace('\r', "\n");
            expected.push((event.unwrap_or("message").to_owned(), data, last_id.clone()));
        }
        let outcome = harness::decode(&stream, &cuts, Limits::default());
        prop_assert_eq!(outcome.events, expected);
        prop_assert_eq!(outcome.last_event_id, last_id);
        prop_assert_eq!(outcome.retry_ms, last_retry);
        prop_assert_eq!(outcome.error, None);
    }
}

/// Events of `chunk`, as text.
fn feed(decoder: &mut Decoder, chunk: &str) -> Result<Vec<String>, DecodeError> {
    let mut events = Vec::new();
    decoder.feed(chunk.as_bytes(), |event| {
        events.push(format!("{}|{}|{}", event.event_type, event.data, event.last_event_id));
    })?;
    Ok(events)
}

#[test]
fn an_event_is_dispatched_at_the_cr_and_not_at_the_byte_after_it() {
    let mut decoder = Decoder::default();
    assert_eq!(feed(&mut decoder, "data: x\r\r").unwrap(), ["message|x|"]);
    assert_eq!(feed(&mut decoder, "\ndata: y\r\n\r").unwrap(), ["message|y|"]);
    assert_eq!(feed(&mut decoder, "\n\r\n\n").unwrap(), [""; 0]);
}

#[test]
fn a_reset_drops_the_unfinished_event_and_its_id_but_not_the_cursor() {
    let mut decoder = Decoder::default();
    let first = "retry: 9\nid: 1\ndata: a\n\nid: 2\nevent: e\ndata: partial\nda";
    assert_eq!(feed(&mut decoder, first).unwrap(), ["message|a|1"]);
    assert_eq!(decoder.last_event_id(), "1");
    decoder.reset();
    assert_eq!(decoder.last_event_id(), "1");
    assert_eq!(decoder.retry_ms(), Some(9));
    // The byte order mark of the new stream is a byte order mark again.
    assert_eq!(feed(&mut decoder, "\u{feff}data: b\n\n").unwrap(), ["message|b|1"]);
}

#[test]
fn a_reset_in_a_comment_or_after_a_cr_begins_at_a_line() {
    for first in [": half a comment", "data: x\r", "\u{feff}", "da"] {
        let mut decoder = Decoder::default();
        assert_eq!(feed(&mut decoder, first).unwrap(), [""; 0]);
        decoder.reset();
        assert_eq!(feed(&mut decoder, "data: b\n\n").unwrap(), ["message|b|"], "{first:?}");
    }
}

#[test]
fn a_preset_id_is_the_cursor_until_an_event_brings_another() {
    let mut decoder = Decoder::default();
    decoder.set_last_event_id("41");
    assert_eq!(
        feed(&mut decoder, "data: a\n\nid: 42\ndata: b\n\n").unwrap(),
        ["message|a|41", "message|b|42"]
    );
}

#[test]
fn a_line_above_its_limit_is_an_error_that_stays_until_a_reset() {
    let limits = Limits { line_bytes: 9, event_bytes: 100 };
    for chunk in ["data: 1234\n", "data: 1234", "xxxxxxxxxx"] {
        let mut decoder = Decoder::new(limits);
        assert_eq!(feed(&mut decoder, "id: 1\ndata: 123\n\n").unwrap(), ["message|123|1"]);
        assert_eq!(feed(&mut decoder, chunk), Err(DecodeError::LineTooLong(9)), "{chunk}");
        assert_eq!(feed(&mut decoder, "\n\n"), Err(DecodeError::LineTooLong(9)));
        assert_eq!(decoder.last_event_id(), "1");
        decoder.reset();
        assert_eq!(feed(&mut decoder, "data: b\n\n").unwrap(), ["message|b|1"]);
    }
}

#[test]
fn a_comment_is_never_too_long_because_it_is_never_held() {
    let mut decoder = Decoder::new(Limits { line_bytes: 9, event_bytes: 9 });
    for _ in 0..100 {
        assert_eq!(feed(&mut decoder, ":34567890123456789").unwrap(), [""; 0]);
    }
    assert_eq!(feed(&mut decoder, "\ndata: x\n\n").unwrap(), ["message|x|"]);
    assert_eq!(decoder.comments(), 1);
}

#[test]
fn an_event_above_its_limit_is_an_error_however_many_lines_it_has() {
    let mut decoder = Decoder::new(Limits { line_bytes: 100, event_bytes: 9 });
    assert_eq!(feed(&mut decoder, "data: 123456789\n\n").unwrap(), ["message|123456789|"]);
    assert_eq!(feed(&mut decoder, "data: 1234\ndata: 6789\n\n").unwrap(), ["message|1234\n6789|"]);
    assert_eq!(feed(&mut decoder, "data: 1234\ndata: 67890\n"), Err(DecodeError::EventTooLong(9)));
    decoder.reset();
    assert_eq!(feed(&mut decoder, "data: 1234567890\n"), Err(DecodeError::EventTooLong(9)));
}

#[test]
fn events_before_an_error_in_the_same_chunk_are_delivered_and_move_the_cursor() {
    let mut decoder = Decoder::new(Limits { line_bytes: 9, event_bytes: 9 });
    let mut seen = 0;
    let result = decoder.feed(b"id: 1\ndata: a\n\nid: 2\ndata: 0123456789\n\n", |_| seen += 1);
    assert_eq!((result, seen), (Err(DecodeError::LineTooLong(9)), 1));
    assert_eq!(decoder.last_event_id(), "1");
}
