//! An error as it is sent and read: `application/problem+json` (RFC 9457).

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::ErrorCode;

/// The media type of a problem.
pub const PROBLEM_MEDIA_TYPE: &str = "application/problem+json";

/// One error, complete enough for a client to act on and for a person to understand.
///
/// Members that a later version adds are kept in `extensions`; a client must not fail over them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Problem {
    /// `urn:tidings:problem:<code>`.
    #[serde(rename = "type", default)]
    pub kind: Cow<'static, str>,
    /// The code's summary, the same for every occurrence.
    #[serde(default)]
    pub title: Cow<'static, str>,
    /// The HTTP status that it was sent with.
    #[serde(default)]
    pub status: u16,
    /// What exactly is wrong with this request, in a sentence for people.
    #[serde(default)]
    pub detail: String,
    /// The stable code; [`Problem::error_code`] if this version knows it.
    #[serde(default)]
    pub code: Cow<'static, str>,
    /// Whether nothing was changed and the same request can succeed later.
    #[serde(default)]
    pub retryable: bool,
    /// What else there is to say, such as `expected` or `actual` positions.
    #[serde(flatten)]
    pub extensions: Map<String, Value>,
}

impl Problem {
    /// The problem of this code; `detail` says what exactly is wrong.
    #[must_use]
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self {
            kind: Cow::Owned(format!("urn:tidings:problem:{}", code.code())),
            title: Cow::Borrowed(code.title()),
            status: code.status(),
            detail: detail.into(),
            code: Cow::Borrowed(code.code()),
            retryable: code.retryable(),
            extensions: Map::new(),
        }
    }

    /// Adds an extension member (RFC 9457, section 3.2).
    #[must_use]
    pub fn with(mut self, member: &str, value: impl Into<Value>) -> Self {
        self.extensions.insert(member.to_owned(), value.into());
        self
    }

    /// The code, if this version knows it.
    #[must_use]
    pub fn error_code(&self) -> Option<ErrorCode> {
        ErrorCode::from_code(&self.code)
    }

    /// The document as it is sent.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings, numbers and maps with text keys are always JSON")
    }

    /// Reads a document. None if it is not a JSON object with members of these types.
    #[must_use]
    pub fn from_json(document: &[u8]) -> Option<Self> {
        serde_json::from_slice(document).ok()
    }
}

impl From<ErrorCode> for Problem {
    fn from(code: ErrorCode) -> Self {
        Self::new(code, code.title())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} {})", self.detail, self.status, self.code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_written_in_the_order_of_the_document_and_read_back() {
        let problem =
            Problem::new(ErrorCode::UnexpectedPosition, "newest is 9").with("actual", "abcdefgh-9");
        let json = problem.to_json();
        assert_eq!(
            String::from_utf8_lossy(&json),
            r#"{"type":"urn:tidings:problem:unexpected-position","title":"Unexpected position","#
                .to_owned()
                + r#""status":412,"detail":"newest is 9","code":"unexpected-position","#
                + r#""retryable":false,"actual":"abcdefgh-9"}"#
        );
        assert_eq!(Problem::from_json(&json), Some(problem));
    }

    #[test]
    fn a_problem_of_another_server_is_read_as_far_as_it_goes() {
        let problem = Problem::from_json(br#"{"title":"No","x":1}"#).unwrap();
        assert_eq!(problem.error_code(), None);
        assert_eq!(problem.title, "No");
        assert_eq!(problem.extensions["x"], 1);
        assert_eq!(Problem::from_json(b"<html>"), None);
    }
}
