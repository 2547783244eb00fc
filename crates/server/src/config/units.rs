//! Durations, sizes and rates as people write them: `15s`, `1h30m`, `64KiB`, `10 MB`, `100/s`.
//!
//! A number without its unit is refused, because the two sides of a configuration never agree on
//! which unit was meant. What [`format_duration`] and [`format_size`] print, the parsers read back
//! unchanged.

use std::time::Duration;

/// The units of a duration, longest first, each in milliseconds.
const DURATION_UNITS: [(&str, u64); 6] = [
    ("w", 604_800_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// The units of a size in bytes, largest first. `KB` is accepted beside the correct `kB`.
const SIZE_UNITS: [(&str, u64); 10] = [
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("kB", 1_000),
    ("KB", 1_000),
    ("B", 1),
];

/// Why a text is not a duration or not a size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// Nothing was written.
    #[error("it is empty; {0}")]
    Empty(&'static str),
    /// A number without a unit.
    #[error("`{number}` has no unit; {hint}")]
    NoUnit {
        /// The number as written.
        number: String,
        /// What may be written instead.
        hint: &'static str,
    },
    /// A unit that is not known.
    #[error("`{unit}` is not a unit here; {hint}")]
    UnknownUnit {
        /// The unit as written.
        unit: String,
        /// What may be written instead.
        hint: &'static str,
    },
    /// Something else than whole numbers with units.
    #[error("`{text}` is not whole numbers with units; {hint}")]
    NotNumbers {
        /// The text as written.
        text: String,
        /// What may be written instead.
        hint: &'static str,
    },
    /// More than fits into 64 bits.
    #[error("`{0}` is too large")]
    TooLarge(String),
}

/// How a duration is written; part of every message about one.
pub(super) const DURATION_HINT: &str = "write for example \"500ms\", \"15s\", \"1h30m\" or \"7d\"";
/// How a size is written; part of every message about one.
pub(super) const SIZE_HINT: &str = "write for example \"512B\", \"64KiB\", \"10MiB\" or \"1GB\"";

/// How a rate is written; part of every message about one.
pub(super) const RATE_HINT: &str = "write for example \"100/s\", \"600/m\" or \"5000/h\"";
/// How a rate of bytes is written.
pub(super) const BYTE_RATE_HINT: &str = "write for example \"64KiB/s\" or \"1GB/h\"";

/// Reads a duration: one or more whole numbers, each followed by `ms`, `s`, `m`, `h`, `d` or `w`.
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    let mut total = 0u64;
    for (number, unit) in parts(text, DURATION_HINT)? {
        let Some((_, millis)) = DURATION_UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err(UnitError::UnknownUnit { unit: unit.to_owned(), hint: DURATION_HINT });
        };
        total = number
            .checked_mul(*millis)
            .and_then(|part| total.checked_add(part))
            .ok_or_else(|| UnitError::TooLarge(text.to_owned()))?;
    }
    Ok(Duration::from_millis(total))
}

/// Reads a size in bytes: one whole number with a unit of the powers of 1,024 (`KiB`, `MiB`, `GiB`,
/// `TiB`), of the powers of 1,000 (`kB`, `MB`, `GB`, `TB`), or `B`.
pub fn parse_size(text: &str) -> Result<u64, UnitError> {
    let parts = parts(text, SIZE_HINT)?;
    let [(number, unit)] = parts[..] else {
        return Err(UnitError::NotNumbers { text: text.to_owned(), hint: SIZE_HINT });
    };
    let Some((_, bytes)) = SIZE_UNITS.iter().find(|(name, _)| *name == unit) else {
        return Err(UnitError::UnknownUnit { unit: unit.to_owned(), hint: SIZE_HINT });
    };
    number.checked_mul(*bytes).ok_or_else(|| UnitError::TooLarge(text.to_owned()))
}

/// Splits "1h30m" into (1, "h"), (30, "m"). Spaces may stand between a number and its unit.
fn parts<'a>(text: &'a str, hint: &'static str) -> Result<Vec<(u64, &'a str)>, UnitError> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(UnitError::Empty(hint));
    }
    let mut parts = Vec::new();
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        if digits == 0 {
            return Err(UnitError::NotNumbers { text: text.to_owned(), hint });
        }
        let (number, after) = rest.split_at(digits);
        let after = after.trim_start();
        let unit = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        if unit == 0 && after.is_empty() {
            return Err(UnitError::NoUnit { number: number.to_owned(), hint });
        }
        if unit == 0 {
            return Err(UnitError::NotNumbers { text: text.to_owned(), hint });
        }
        let value = number.parse().map_err(|_| UnitError::TooLarge(text.to_owned()))?;
        parts.push((value, &after[..unit]));
        rest = after[unit..].trim_start();
    }
    Ok(parts)
}

/// The units of time that a rate can be over, each in milliseconds.
const RATE_UNITS: [(&str, u64); 4] =
    [("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// So many in so much time, evenly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many: requests, events or bytes. At least 1.
    pub count: u64,
    /// In how many milliseconds. At least 1.
    pub per_ms: u64,
}

/// Reads a rate of things that are counted: `100/s`, `10/m`, `1000/h`, `5/d`.
pub fn parse_rate(text: &str) -> Result<Rate, UnitError> {
    let (count, per_ms) = split_rate(text, RATE_HINT)?;
    match count.parse() {
        Ok(count) => Ok(Rate { count, per_ms }),
        Err(_) if !count.is_empty() && count.bytes().all(|byte| byte.is_ascii_digit()) => {
            Err(UnitError::TooLarge(text.to_owned()))
        }
        Err(_) => Err(UnitError::NotNumbers { text: text.to_owned(), hint: RATE_HINT }),
    }
}

/// Reads a rate of bytes: `64KiB/s`, `100MB/h`.
pub fn parse_byte_rate(text: &str) -> Result<Rate, UnitError> {
    let (size, per_ms) = split_rate(text, BYTE_RATE_HINT)?;
    Ok(Rate { count: parse_size(size)?, per_ms })
}

fn split_rate<'a>(text: &'a str, hint: &'static str) -> Result<(&'a str, u64), UnitError> {
    if text.trim().is_empty() {
        return Err(UnitError::Empty(hint));
    }
    let Some((count, unit)) = text.split_once('/') else {
        return Err(UnitError::NoUnit { number: text.to_owned(), hint });
    };
    let unit = unit.trim();
    let Some((_, per_ms)) = RATE_UNITS.iter().find(|(name, _)| *name == unit) else {
        return Err(UnitError::UnknownUnit { unit: unit.to_owned(), hint });
    };
    Ok((count.trim(), *per_ms))
}

/// Writes a rate so that [`parse_rate`] reads the same one.
pub fn format_rate(rate: Rate) -> String {
    let unit = RATE_UNITS.iter().find(|(_, per_ms)| *per_ms == rate.per_ms);
    format!("{}/{}", rate.count, unit.map_or("s", |(name, _)| name))
}

/// Writes a duration so that [`parse_duration`] reads the same one (to the millisecond).
pub fn format_duration(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if rest == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    // Weeks are read but not written: "7d" is what people expect to see.
    for (unit, millis) in &DURATION_UNITS[1..] {
        if rest >= *millis {
            text.push_str(&format!("{}{unit}", rest / millis));
            rest %= millis;
        }
    }
    text
}

/// Writes a size so that [`parse_size`] reads the same one: in the largest unit that divides it.
pub fn format_size(bytes: u64) -> String {
    if bytes == 0 {
        return "0B".to_owned();
    }
    let (unit, size) =
        SIZE_UNITS.iter().find(|(_, size)| bytes % size == 0).expect("one byte divides every size");
    format!("{}{unit}", bytes / size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_with_their_units() {
        for (text, millis) in [
            ("500ms", 500),
            ("15s", 15_000),
            ("2m", 120_000),
            ("1h30m", 5_400_000),
            ("1h 30m", 5_400_000),
            ("7 d", 604_800_000),
            ("1w", 604_800_000),
            ("0s", 0),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn sizes_are_read_with_their_units() {
        for (text, bytes) in [
            ("512B", 512),
            ("64KiB", 65_536),
            ("1MB", 1_000_000),
            ("10 MiB", 10_485_760),
            ("3kB", 3_000),
            ("3KB", 3_000),
            ("1GiB", 1 << 30),
            ("2TiB", 2 << 40),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn rates_are_read_with_their_units() {
        for (text, count, per_ms) in [
            ("100/s", 100, 1_000),
            (" 600 / m ", 600, 60_000),
            ("1/h", 1, 3_600_000),
            ("5/d", 5, 86_400_000),
        ] {
            assert_eq!(parse_rate(text), Ok(Rate { count, per_ms }), "{text}");
        }
        assert_eq!(parse_byte_rate("2KiB/s"), Ok(Rate { count: 2_048, per_ms: 1_000 }));
        assert_eq!(format_rate(Rate { count: 7, per_ms: 60_000 }), "7/m");
        for text in ["", "100", "100/", "/s", "-1/s", "1.5/s", "1/w", "99999999999999999999/s"] {
            assert!(parse_rate(text).is_err(), "{text:?}");
            assert!(parse_byte_rate(text).is_err(), "{text:?}");
        }
        assert!(parse_byte_rate("100/s").is_err(), "bytes have a unit too");
    }

    #[test]
    fn a_number_without_a_unit_is_refused_with_an_example() {
        let error = parse_duration("15").expect_err("no unit").to_string();
        assert_eq!(
            error,
            "`15` has no unit; write for example \"500ms\", \"15s\", \"1h30m\" or \"7d\""
        );
        let error = parse_size("65536").expect_err("no unit").to_string();
        assert!(error.contains("`65536` has no unit"), "{error}");
        assert!(parse_duration("1h30").is_err());
    }

    #[test]
    fn everything_else_is_refused() {
        for text in ["", " ", "s", "-1s", "1.5h", "1x", "1s,2s", "15S", "99999999999999999999s"] {
            assert!(parse_duration(text).is_err(), "{text:?}");
        }
        assert!(parse_duration("99999999999999999w").is_err());
        for text in ["", "KiB", "1.5MiB", "1XB", "1MiB1KiB", "64kib", "99999999999TiB"] {
            assert!(parse_size(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        for millis in [0, 1, 999, 1_000, 61_001, 5_400_000, 604_800_000, 31_536_000_000] {
            let duration = Duration::from_millis(millis);
            assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
        }
        for bytes in [0, 1, 1_000, 1_024, 65_536, 1_500_000, 10_485_760, 1 << 30, u64::MAX] {
            assert_eq!(parse_size(&format_size(bytes)), Ok(bytes));
        }
        assert_eq!(format_duration(Duration::from_secs(5_400)), "1h30m");
        assert_eq!(format_size(64 << 20), "64MiB");
    }
}
