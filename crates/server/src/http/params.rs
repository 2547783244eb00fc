//! Values of parameters: times, durations, flags. One wording for each kind of mistake.

use std::time::Duration;

use tidings_frame::{Epoch, ErrorCode, Position};
use tidings_hub::Expect;

use super::json;
use crate::config::parse_duration;
use crate::error::ApiError;

/// The parameter that brings a capability, where a header cannot.
pub(crate) const TOKEN: &str = "token";

/// The parameter that asks for merged deltas.
pub(crate) const DELTAS: &str = "deltas";

/// Reads a JSON object.
pub(crate) fn object<'a, T: serde::Deserialize<'a>>(json: &'a [u8]) -> Result<T, ApiError> {
    json::read(json).map_err(|error| ApiError::new(ErrorCode::InvalidJson, error.to_string()))
}

pub(crate) fn unknown(name: &str, known: &[&str]) -> ApiError {
    let detail = format!("there is no parameter {name:?} here; there are: {}", known.join(", "));
    ApiError::new(ErrorCode::UnknownParameter, detail).with("parameter", name)
}

/// A duration with its unit, in milliseconds.
pub(crate) fn duration_ms(name: &str, text: &str) -> Result<u64, ApiError> {
    let duration = parse_duration(text).map_err(|error| ApiError::parameter(name, error))?;
    Ok(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

/// A duration that is a limit's whole range, in milliseconds.
pub(crate) fn duration_up_to(name: &str, text: &str, limit: Duration) -> Result<u64, ApiError> {
    let ms = duration_ms(name, text)?;
    if u128::from(ms) > limit.as_millis() {
        let why = format!("at most {}", crate::config::format_duration(limit));
        return Err(ApiError::parameter(name, why));
    }
    Ok(ms)
}

/// A time, RFC 3339, as milliseconds since 1970.
pub(crate) fn time_ms(name: &str, text: &str) -> Result<u64, ApiError> {
    let time: jiff::Timestamp = text.parse().map_err(|_| {
        ApiError::parameter(name, "not a time as in RFC 3339, such as 2026-11-22T10:00:00Z")
    })?;
    u64::try_from(time.as_millisecond())
        .map_err(|_| ApiError::parameter(name, "a time before 1970"))
}

/// A time, or how long ago.
pub(crate) fn since_ms(name: &str, text: &str, now_ms: u64) -> Result<u64, ApiError> {
    match parse_duration(text) {
        Ok(ago) => Ok(now_ms.saturating_sub(u64::try_from(ago.as_millis()).unwrap_or(u64::MAX))),
        Err(_) => time_ms(name, text).map_err(|_| {
            let why = "neither a duration such as 5m nor a time such as 2026-11-22T10:00:00Z";
            ApiError::parameter(name, why)
        }),
    }
}

/// A whole number in a range.
pub(crate) fn number(name: &str, text: &str, range: (u64, u64)) -> Result<u64, ApiError> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(number) if digits && (range.0..=range.1).contains(&number) => Ok(number),
        _ => {
            let why = format!("not a whole number from {} to {}", range.0, range.1);
            Err(ApiError::parameter(name, why))
        }
    }
}

/// A flag: `1`, `true` or nothing, against `0` or `false`.
pub(crate) fn flag(name: &str, text: &str) -> Result<bool, ApiError> {
    match text {
        "" | "1" | "true" => Ok(true),
        "0" | "false" => Ok(false),
        _ => Err(ApiError::parameter(name, "neither true nor false")),
    }
}

/// An event id of this hub, as its sequence.
pub(crate) fn sequence(name: &str, text: &str, epoch: Epoch) -> Result<u64, ApiError> {
    let position: Position = text.parse().map_err(|_| {
        ApiError::parameter(name, "not an event id of this server, such as k3v9x2aa-41")
    })?;
    if position.epoch != epoch {
        let why = format!("an id of another log; this one's ids begin with {epoch}-");
        return Err(ApiError::parameter(name, why));
    }
    Ok(position.sequence)
}

/// What a publisher expects: `none`, or the id of the topic's newest event. An id of another log
/// can never be the newest.
pub(crate) fn expect(name: &str, text: &str, epoch: Epoch) -> Result<Expect, ApiError> {
    if text == "none" {
        return Ok(Expect::Nothing);
    }
    let position: Position =
        text.parse().map_err(|_| ApiError::parameter(name, "neither an event id nor none"))?;
    Ok(if position.epoch == epoch {
        Expect::Newest(position.sequence)
    } else {
        Expect::Newest(u64::MAX)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_plain_digits_in_range() {
        assert_eq!(number("n", "10", (1, 10)).unwrap(), 10);
        for text in ["", "0", "11", "+5", " 5", "5 ", "1e1", "-1", "99999999999999999999", "５"] {
            assert!(number("n", text, (1, 10)).is_err(), "{text:?}");
        }
    }

    #[test]
    fn since_is_a_time_or_an_age() {
        assert_eq!(since_ms("since", "5s", 10_000).unwrap(), 5_000);
        assert_eq!(since_ms("since", "1970-01-01T00:00:01Z", 0).unwrap(), 1_000);
        assert!(since_ms("since", "yesterday", 0).is_err());
        assert!(since_ms("since", "1969-01-01T00:00:01Z", 0).is_err());
    }
}
