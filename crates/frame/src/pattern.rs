//! Which topics a subscription, a policy or a right is about.
//!
//! Deliberately less than a regular expression: a pattern that can be read at a glance, matched in
//! one pass over the name, and that an operator cannot get wrong.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::topic::{self, TopicNameError};

/// A pattern over topic names.
///
/// A segment `*` stands for exactly one segment; a last segment `**` stands for one or more;
/// every other segment stands for itself. `chat/*` matches `chat/a` but neither `chat` nor
/// `chat/a/b`; `chat/**` matches both `chat/a` and `chat/a/b`; `**` matches every topic, except
/// the server's own: as in MQTT (version 5.0, section 4.7.2) a wildcard that begins a pattern
/// matches no name that begins with `$`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Pattern(Box<str>);

/// Why a text is not a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// It breaks a rule that names and patterns share.
    #[error("not a pattern: {0}")]
    Name(#[from] TopicNameError),
    /// A `*` next to other characters.
    #[error("'*' stands for a whole segment: 'a/*' but not 'a*'")]
    PartOfSegment,
    /// A `**` that is not the last segment.
    #[error("'**' is only allowed as the last segment")]
    NotLast,
}

impl Pattern {
    /// Checks `text` and makes it a pattern.
    ///
    /// # Errors
    ///
    /// The first rule that `text` breaks.
    pub fn new(text: &str) -> Result<Self, PatternError> {
        topic::check(text)?;
        let mut segments = text.split('/').peekable();
        while let Some(segment) = segments.next() {
            match segment {
                "**" if segments.peek().is_some() => return Err(PatternError::NotLast),
                "*" | "**" => {}
                _ if segment.contains('*') => return Err(PatternError::PartOfSegment),
                _ => {}
            }
        }
        Ok(Self(text.into()))
    }

    /// Whether the topic called `name` is meant. Linear in the length of `name`; never allocates.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        let hidden = self.0.starts_with('*') && topic::is_internal(name);
        !hidden && self.matches_below(name)
    }

    /// As [`Self::matches`], for what is left of a name after a segment or more: nothing there is
    /// the server's own, so `*` matches `$x` too. `a/P` matches `a/b` exactly if `P` does this to
    /// `b`.
    #[must_use]
    pub fn matches_below(&self, name: &str) -> bool {
        let mut segments = name.split('/');
        for wanted in self.0.split('/') {
            match (wanted, segments.next()) {
                (_, None) => return false,
                ("**", Some(_)) => return true,
                ("*", Some(_)) => {}
                (wanted, Some(segment)) if wanted == segment => {}
                _ => return false,
            }
        }
        segments.next().is_none()
    }

    /// Whether every topic that `other` can mean is meant by this pattern too. A right for one
    /// pattern covers a subscription to another only if this holds. Linear; never allocates.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        // A wildcard that begins a pattern means none of the server's own names.
        let hidden = self.0.starts_with('*') && topic::is_internal(&other.0);
        !hidden && self.covers_below(&other.0)
    }

    /// As [`Self::covers`], for what is left of a pattern after a segment or more.
    #[must_use]
    pub fn covers_below(&self, other: &str) -> bool {
        let mut segments = other.split('/');
        for mine in self.0.split('/') {
            match (mine, segments.next()) {
                (_, None) => return false,
                ("**", Some(_)) => return true,
                // One segment is less than "one or more".
                ("*", Some(theirs)) if theirs != "**" => {}
                (mine, Some(theirs)) if mine == theirs => {}
                _ => return false,
            }
        }
        segments.next().is_none()
    }

    /// The one topic that the pattern means, if it has no wildcard.
    #[must_use]
    pub fn exact(&self) -> Option<&str> {
        if self.0.contains('*') { None } else { Some(&self.0) }
    }

    /// The pattern as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        Self::new(text)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl Serialize for Pattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        Self::new(&text).map_err(serde::de::Error::custom)
    }
}
