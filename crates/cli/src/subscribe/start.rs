//! Where a subscription starts, as it is written after `--from`.

use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tidings_server::config::parse_duration;

/// A start that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum From {
    /// What is published from now on.
    Live,
    /// Everything that is kept.
    Earliest,
    /// What comes after an event, named by its id.
    After(String),
    /// The last so many events, then what follows.
    Last(u64),
    /// What was published since this time ago.
    Ago(Duration),
    /// What was published since this time, in milliseconds since 1970.
    Since(u64),
}

/// The ways to write it; the end of every message about it.
const WAYS: &str = "write earliest, live, last:20, since:10m, since:2026-01-31T12:00:00Z, or the id \
                    of an event";

/// The longest id, in bytes. Ids are opaque here; what is longer is no id.
const ID_BYTES_MAX: usize = 128;

impl FromStr for From {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "live" => Ok(Self::Live),
            None if text == "earliest" => Ok(Self::Earliest),
            None => after(text),
            Some(("last", number)) => {
                number.parse().map(Self::Last).map_err(|_| format!("`{number}` is not a number; {WAYS}"))
            }
            Some(("since", since)) => since_text(since),
            Some(_) => Err(format!("`{text}` is not a start; {WAYS}")),
        }
    }
}

/// An id has a hyphen between its epoch and its sequence number, and a word like `latest` has none.
fn after(text: &str) -> Result<From, String> {
    let right = |b: u8| b.is_ascii_alphanumeric() || b"._~-".contains(&b);
    if text.contains('-') && text.len() <= ID_BYTES_MAX && text.bytes().all(right) {
        return Ok(From::After(text.to_owned()));
    }
    Err(format!("`{text}` is not a start; {WAYS}"))
}

fn since_text(text: &str) -> Result<From, String> {
    let Ok(time) = text.parse::<jiff::Timestamp>() else {
        return match parse_duration(text) {
            Ok(ago) => Ok(From::Ago(ago)),
            Err(error) if text.starts_with(|c: char| c.is_ascii_digit()) && text.len() < 10 => {
                Err(error.to_string())
            }
            Err(_) => Err(format!("`{text}` is neither a duration nor a time; {WAYS}")),
        };
    };
    let milliseconds = u64::try_from(time.as_millisecond());
    milliseconds.map(From::Since).map_err(|_| format!("`{text}` is before 1970"))
}

/// A moment so long ago, in milliseconds since 1970.
pub(crate) fn ago_ms(ago: Duration) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.saturating_sub(ago).as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_is_read() {
        for (text, start) in [
            ("live", From::Live),
            ("earliest", From::Earliest),
            ("k3v9x2aa-41", From::After("k3v9x2aa-41".into())),
            ("last:20", From::Last(20)),
            ("since:10m", From::Ago(Duration::from_secs(600))),
            ("since:1970-01-01T00:00:01Z", From::Since(1_000)),
            ("since:1970-01-01T01:00:01+01:00", From::Since(1_000)),
        ] {
            assert_eq!(text.parse(), Ok(start), "{text}");
        }
    }

    #[test]
    fn everything_else_is_refused_with_the_ways_to_write_it() {
        for text in ["", "latest", "last:", "last:-1", "since:", "since:yesterday", "from:1", "a b-1"] {
            let error = text.parse::<From>().unwrap_err();
            assert!(error.contains("write "), "{text}: {error}");
        }
        let error = "since:10".parse::<From>().unwrap_err();
        assert!(error.contains("`10` has no unit"), "{error}");
    }
}
