//! Where a subscription starts, as it is written after `--from`.

use std::time::{Duration, UNIX_EPOCH};

use tidings_client::Start;
use tidings_frame::Time;
use tidings_server::config::parse_duration;

/// The ways to write it; the end of every message about it.
const WAYS: &str = "write earliest, live, last:20, since:10m, since:2026-01-31T12:00:00Z, or the \
                    id of an event";

/// The longest id, in bytes. Ids are opaque here; what is longer is no id.
const ID_BYTES_MAX: usize = 128;

/// Reads a start.
pub(super) fn parse(text: &str) -> Result<Start, String> {
    match text.split_once(':') {
        None if text == "live" => Ok(Start::Live),
        None if text == "earliest" => Ok(Start::Earliest),
        None => after(text),
        Some(("last", number)) => number
            .parse()
            .map(Start::Last)
            .map_err(|_| format!("`{number}` is not a number; {WAYS}")),
        Some(("since", since)) => since_text(since),
        Some(_) => Err(format!("`{text}` is not a start; {WAYS}")),
    }
}

/// An id has a hyphen between its epoch and its sequence number, and a word like `latest` has none.
fn after(text: &str) -> Result<Start, String> {
    let right = |b: u8| b.is_ascii_alphanumeric() || b"._~-".contains(&b);
    if text.contains('-') && text.len() <= ID_BYTES_MAX && text.bytes().all(right) {
        return Ok(Start::After(text.to_owned()));
    }
    Err(format!("`{text}` is not a start; {WAYS}"))
}

fn since_text(text: &str) -> Result<Start, String> {
    if let Ok(Time(ms)) = text.parse::<Time>() {
        return Ok(Start::Since(UNIX_EPOCH + Duration::from_millis(ms)));
    }
    let looks_like_a_duration =
        !text.contains('-') && text.starts_with(|c: char| c.is_ascii_digit());
    match parse_duration(text) {
        Ok(ago) => Ok(Start::SinceAgo(ago)),
        Err(error) if looks_like_a_duration => Err(error.to_string()),
        Err(_) => Err(format!("`{text}` is neither a duration nor a time; {WAYS}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_is_read() {
        for (text, start) in [
            ("live", Start::Live),
            ("earliest", Start::Earliest),
            ("k3v9x2aa-41", Start::After("k3v9x2aa-41".into())),
            ("last:20", Start::Last(20)),
            ("since:10m", Start::SinceAgo(Duration::from_secs(600))),
            ("since:1970-01-01T00:00:01Z", Start::Since(UNIX_EPOCH + Duration::from_secs(1))),
            ("since:1970-01-01T01:00:01+01:00", Start::Since(UNIX_EPOCH + Duration::from_secs(1))),
        ] {
            assert_eq!(parse(text), Ok(start), "{text}");
        }
    }

    #[test]
    fn everything_else_is_refused_with_the_ways_to_write_it() {
        for text in
            ["", "latest", "last:", "last:-1", "since:", "since:yesterday", "from:1", "a b-1"]
        {
            let error = parse(text).unwrap_err();
            assert!(error.contains("write "), "{text}: {error}");
        }
        let error = parse("since:10").unwrap_err();
        assert!(error.contains("`10` has no unit"), "{error}");
    }
}
