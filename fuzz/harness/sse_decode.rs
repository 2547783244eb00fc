//! What must hold for every input of the SSE decoder. The fuzz target and a test on stable run the
//! same function, so what the fuzzer once found stays found.
//!
//! The oracle is the standard's text, followed word by word and without a thought for speed: it has
//! the whole stream at once, decodes it, splits it into lines and goes through them.

use tidings_frame::sse_decode::{DecodeError, Decoder, EventRef, Limits};

/// What a stream amounts to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Type, data and last event id of each event.
    pub(crate) events: Vec<(String, String, String)>,
    /// The last event id after the end.
    pub(crate) last_event_id: String,
    /// The reconnection time after the end.
    pub(crate) retry_ms: Option<u64>,
    /// Why the stream could not be read to its end.
    pub(crate) error: Option<DecodeError>,
}

/// Decodes with the decoder under test; `cuts` gives the lengths of the chunks, over and over.
pub(crate) fn decode(input: &[u8], cuts: &[usize], limits: Limits) -> Outcome {
    let mut decoder = Decoder::new(limits);
    let mut outcome = Outcome::default();
    let mut rest = input;
    let mut cuts = cuts.iter().cycle();
    while !rest.is_empty() && outcome.error.is_none() {
        let cut = cuts.next().map_or(rest.len(), |cut| (*cut).clamp(1, rest.len()));
        let (chunk, after) = rest.split_at(cut);
        let keep = |event: EventRef<'_>| {
            outcome.events.push((
                event.event_type.to_owned(),
                event.data.to_owned(),
                event.last_event_id.to_owned(),
            ));
        };
        outcome.error = decoder.feed(chunk, keep).err();
        rest = after;
    }
    outcome.last_event_id = decoder.last_event_id().to_owned();
    outcome.retry_ms = decoder.retry_ms();
    outcome
}

/// Decodes as the standard says it, without limits.
pub(crate) fn by_the_book(input: &[u8]) -> Outcome {
    let text = String::from_utf8_lossy(input);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut outcome = Outcome::default();
    let (mut data, mut event_type, mut id) = (String::new(), String::new(), String::new());
    for line in whole_lines(text) {
        if line.is_empty() {
            outcome.last_event_id.clone_from(&id);
            if !data.is_empty() {
                data.pop();
                let name = if event_type.is_empty() { "message" } else { &event_type };
                outcome.events.push((name.to_owned(), data.clone(), id.clone()));
            }
            data.clear();
            event_type.clear();
            continue;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => event_type = value.to_owned(),
            "data" => data = data + value + "\n",
            "id" if !value.contains('\0') => id = value.to_owned(),
            "retry" if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) => {
                outcome.retry_ms = Some(value.parse().unwrap_or(u64::MAX));
            }
            _ => {}
        }
    }
    outcome
}

/// The lines that have an end, each without it.
fn whole_lines(text: &str) -> Vec<&str> {
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(['\r', '\n']) {
        lines.push(&rest[..at]);
        rest = if rest[at..].starts_with("\r\n") { &rest[at + 2..] } else { &rest[at + 1..] };
    }
    lines
}

/// The property: the decoder agrees with the standard for every chunking, and with itself when its
/// limits are small. The first bytes of `input` choose the chunks and the limits.
pub(crate) fn check(input: &[u8]) {
    let (choice, stream) = input.split_at(input.len().min(4));
    let cuts: Vec<usize> = choice.iter().map(|byte| usize::from(*byte) + 1).collect();
    let wide = Limits::default();
    let expected = by_the_book(stream);
    assert_eq!(decode(stream, &[], wide), expected, "whole");
    assert_eq!(decode(stream, &[1], wide), expected, "byte by byte");
    assert_eq!(decode(stream, &cuts, wide), expected, "cut at {cuts:?}");

    let small = cuts.first().map_or(8, |cut| cut % 32);
    let tight = Limits { line_bytes: small, event_bytes: small + 3 };
    let whole = decode(stream, &[], tight);
    let bytewise = decode(stream, &[1], tight);
    // Where the limit is met depends on the chunks for an unfinished line only; what was dispatched
    // before it does not.
    assert_eq!(whole.events, bytewise.events, "limits: whole against byte by byte");
    assert_eq!(whole.error, bytewise.error, "limits: whole against byte by byte");
    assert_eq!(whole.last_event_id, bytewise.last_event_id, "limits: the cursor");
    assert!(whole.events.iter().all(|(_, data, _)| data.len() <= 3 * (small + 3)));
    if whole.error.is_none() {
        assert_eq!(whole, expected, "within the limits");
    }
}
