//! The name of a topic, which is also its path.
//!
//! A name is checked once, where it enters, and is then a type that cannot be wrong. The rules keep
//! it safe in a URL, in a log line, in a header and in a pattern; they say nothing of what it
//! means.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::limits::TOPIC_BYTES_MAX;

/// A checked topic name; cloning shares its text.
///
/// 1 to 1,024 bytes of UTF-8 in segments parted by `/`. No control characters, no line or paragraph
/// separators, no empty segment (so none of `/` at either end), no segment `.` or `..` (which URL
/// libraries would resolve away) and no `*` (which belongs to patterns).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicName(Arc<str>);

/// Why a text is not a topic name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TopicNameError {
    /// No character at all.
    #[error("a topic name is not empty")]
    Empty,
    /// More than [`TOPIC_BYTES_MAX`] bytes.
    #[error("a topic name has at most {TOPIC_BYTES_MAX} bytes")]
    TooLong,
    /// A character of the classes C0, C1, DEL, U+2028 or U+2029, at this byte.
    #[error("a topic name has no control characters (there is one at byte {0})")]
    Control(usize),
    /// A leading, trailing or doubled `/`.
    #[error("a topic name has no empty segment: no '/' at its ends and no '//'")]
    EmptySegment,
    /// A segment `.` or `..`.
    #[error("a topic name has no segment '.' or '..'")]
    DotSegment,
    /// A `*`.
    #[error("a topic name has no '*'")]
    Star,
    /// A `%` in a path without two hexadecimal digits after it.
    #[error("'%' in a path is followed by two hexadecimal digits")]
    Percent,
    /// The path, percent-decoded, is not UTF-8.
    #[error("a topic name is UTF-8")]
    Utf8,
}

/// Characters that could break a line, hide in a log or end a field.
pub(crate) fn is_control(character: char) -> bool {
    character.is_control() || matches!(character, '\u{2028}' | '\u{2029}')
}

/// Whether a topic is the server's own: its name begins with `$`. Nobody but the server publishes
/// to it, no list shows it, and no pattern matches it that begins with a wildcard.
#[must_use]
pub fn is_internal(name: &str) -> bool {
    name.starts_with('$')
}

/// The checks that names and patterns share.
pub(crate) fn check(text: &str) -> Result<(), TopicNameError> {
    if text.is_empty() {
        return Err(TopicNameError::Empty);
    }
    if text.len() > TOPIC_BYTES_MAX {
        return Err(TopicNameError::TooLong);
    }
    if let Some((at, _)) = text.char_indices().find(|(_, character)| is_control(*character)) {
        return Err(TopicNameError::Control(at));
    }
    for segment in text.split('/') {
        match segment {
            "" => return Err(TopicNameError::EmptySegment),
            "." | ".." => return Err(TopicNameError::DotSegment),
            _ => {}
        }
    }
    Ok(())
}

impl TopicName {
    /// Checks `text` and makes it a name.
    ///
    /// # Errors
    ///
    /// The first rule that `text` breaks.
    pub fn new(text: &str) -> Result<Self, TopicNameError> {
        check(text)?;
        if text.contains('*') {
            return Err(TopicNameError::Star);
        }
        Ok(Self(text.into()))
    }

    /// Reads a name from a percent-encoded path without its leading `/` (RFC 3986, section 2.1).
    /// `+` is itself; `%2F` parts segments just as `/` does.
    ///
    /// # Errors
    ///
    /// A broken escape, bytes that are not UTF-8, or the first rule that the name breaks.
    pub fn from_path(path: &str) -> Result<Self, TopicNameError> {
        if path.len() > 3 * TOPIC_BYTES_MAX {
            return Err(TopicNameError::TooLong);
        }
        if !path.contains('%') {
            return Self::new(path);
        }
        let mut decoded = Vec::with_capacity(path.len());
        let mut rest = path.bytes();
        while let Some(byte) = rest.next() {
            if byte == b'%' {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                let value = digit().zip(digit()).ok_or(TopicNameError::Percent)?;
                decoded.push((value.0 * 16 + value.1) as u8);
            } else {
                decoded.push(byte);
            }
        }
        Self::new(std::str::from_utf8(&decoded).map_err(|_| TopicNameError::Utf8)?)
    }

    /// The percent-encoded path, without a leading `/`: everything but RFC 3986's unreserved
    /// characters, `/`, `:` and `@` is escaped.
    #[must_use]
    pub fn to_path(&self) -> String {
        const HEX: &[u8; 16] = b"0123456789ABCDEF";
        let mut path = String::with_capacity(self.0.len());
        for byte in self.0.bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                    path.push(char::from(byte));
                }
                b'/' | b':' | b'@' => path.push(char::from(byte)),
                _ => {
                    path.push('%');
                    path.push(char::from(HEX[usize::from(byte >> 4)]));
                    path.push(char::from(HEX[usize::from(byte & 15)]));
                }
            }
        }
        path
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TopicName {
    type Err = TopicNameError;

    fn from_str(text: &str) -> Result<Self, TopicNameError> {
        Self::new(text)
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl AsRef<str> for TopicName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for TopicName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl Serialize for TopicName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for TopicName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        Self::new(&text).map_err(serde::de::Error::custom)
    }
}
