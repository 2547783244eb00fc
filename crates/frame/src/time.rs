//! Times as they are written: RFC 3339, in UTC, with milliseconds.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A time in milliseconds since 1970-01-01T00:00:00Z.
///
/// Text and JSON form: `2026-11-22T10:10:12.003Z`. A time after the year 9999 is written as its
/// end. Any offset and any fraction of a second are read; what is finer than a millisecond is cut
/// off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub u64);

/// Why a text is not a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a time of RFC 3339 after 1970, such as 2026-11-22T10:10:12Z")]
pub struct TimeError;

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = i64::try_from(self.0)
            .ok()
            .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok())
            .unwrap_or(jiff::Timestamp::MAX);
        write!(f, "{time:.3}")
    }
}

impl FromStr for Time {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        let time: jiff::Timestamp = text.parse().map_err(|_| TimeError)?;
        u64::try_from(time.as_millisecond()).map(Self).map_err(|_| TimeError)
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<str>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_with_milliseconds_and_read_with_any_offset() {
        for (text, ms, canonical) in [
            ("1970-01-01T00:00:00Z", 0, "1970-01-01T00:00:00.000Z"),
            ("2026-11-22T10:10:12.003Z", 1_795_342_212_003, "2026-11-22T10:10:12.003Z"),
            ("2026-11-22T11:10:12.0039+01:00", 1_795_342_212_003, "2026-11-22T10:10:12.003Z"),
        ] {
            assert_eq!(text.parse(), Ok(Time(ms)));
            assert_eq!(Time(ms).to_string(), canonical);
        }
        for text in ["", "now", "1969-12-31T23:59:59Z", "2026-11-22", "1795342212"] {
            assert_eq!(text.parse::<Time>(), Err(TimeError), "{text}");
        }
    }

    #[test]
    fn a_time_beyond_the_calendar_is_its_end() {
        let end = Time(u64::MAX).to_string();
        assert!(end.starts_with("9999-12-3"), "{end}");
        assert!(end.parse::<Time>().is_ok());
    }
}
