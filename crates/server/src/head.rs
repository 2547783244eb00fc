//! The head of a request, the same whether it came through the fast door or through hyper.
//!
//! Both doors hand out a [`Head`], so that every route reads its parameters in one way, whoever
//! parsed the bytes.

use std::borrow::Cow;

use crate::error::ApiError;
use crate::limits::{Limits, Party};
use crate::peer::Peer;
use tidings_frame::ErrorCode;

/// Decoded (name, value) pairs.
pub(crate) type Pairs<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

/// Method, target and headers of a request; all borrowed.
#[derive(Clone, Copy)]
pub(crate) struct Head<'a> {
    pub(crate) method: &'a str,
    /// Path of the target, still percent-encoded.
    pub(crate) path: &'a str,
    /// Query of the target, without the question mark.
    pub(crate) query: &'a str,
    pub(crate) headers: Headers<'a>,
    /// Where it came from, if that is known here.
    pub(crate) peer: Option<Peer>,
    /// Who asks, as limits see it.
    pub(crate) party: Party,
}

/// The header fields as whoever parsed them left them.
#[derive(Clone, Copy)]
pub(crate) enum Headers<'a> {
    Raw(&'a [httparse::Header<'a>]),
    Map(&'a http::HeaderMap),
}

impl<'a> Head<'a> {
    pub(crate) fn new(method: &'a str, target: &'a str, headers: Headers<'a>) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Self { method, path, query, headers, peer: None, party: Party::default() }
    }

    /// A request that came from there.
    pub(crate) fn from(self, peer: Peer, limits: &Limits) -> Self {
        Self { peer: Some(peer), party: limits.at(peer.address.ip()), ..self }
    }

    /// Every field as (name, value), in order. Names in any case.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> + use<'a> {
        let (raw, map) = match self.headers {
            Headers::Raw(fields) => (fields, None),
            Headers::Map(map) => (&[][..], Some(map)),
        };
        let mapped = map.into_iter().flatten();
        raw.iter()
            .map(|field| (field.name, field.value))
            .chain(mapped.map(|(name, value)| (name.as_str(), value.as_bytes())))
    }

    /// The first field of this name, as bytes.
    pub(crate) fn bytes(&self, name: &str) -> Option<&'a [u8]> {
        match self.headers {
            Headers::Raw(fields) => fields
                .iter()
                .find(|field| field.name.eq_ignore_ascii_case(name))
                .map(|field| field.value),
            Headers::Map(map) => map.get(name).map(http::HeaderValue::as_bytes),
        }
    }

    /// The first field of this name, which must be UTF-8.
    pub(crate) fn text(&self, name: &'static str) -> Result<Option<&'a str>, ApiError> {
        let Some(bytes) = self.bytes(name) else {
            return Ok(None);
        };
        std::str::from_utf8(bytes).map(Some).map_err(|_| {
            ApiError::new(ErrorCode::InvalidUtf8, format!("the header {name} is not UTF-8"))
        })
    }

    /// Whether a header names this media type, or a range that holds it, and does not refuse it.
    /// Quality values only matter when they are 0 (RFC 9110, section 12.5.1).
    pub(crate) fn accepts(&self, media: &str) -> Option<bool> {
        let accept = self.bytes("accept")?;
        let accept = String::from_utf8_lossy(accept).to_ascii_lowercase();
        Some(accept.split(',').any(|range| {
            let mut parts = range.split(';').map(str::trim);
            let named = parts.next().unwrap_or("");
            let refused = parts.any(|part| {
                part.strip_prefix("q=").is_some_and(|q| q.trim_matches(['0', '.']).is_empty())
            });
            named == media && !refused
        }))
    }

    /// The query as decoded pairs (WHATWG URL, application/x-www-form-urlencoded).
    pub(crate) fn query(&self) -> Result<Pairs<'a>, ApiError> {
        if self.query.is_empty() {
            return Ok(Vec::new());
        }
        check_percent(self.query)?;
        Ok(form_urlencoded::parse(self.query.as_bytes()).collect())
    }

    /// The rest of the path after `prefix`.
    pub(crate) fn after(&self, prefix: &str) -> Option<&'a str> {
        self.path.strip_prefix(prefix)
    }
}

/// Refuses percent-encoding that does not decode to UTF-8, which the form parser would silently
/// replace.
fn check_percent(query: &str) -> Result<(), ApiError> {
    if !query.contains('%') {
        return Ok(());
    }
    percent_encoding::percent_decode_str(query)
        .decode_utf8()
        .map(drop)
        .map_err(|_| ApiError::new(ErrorCode::InvalidUtf8, "the query does not decode to UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head<'a>(target: &'a str, fields: &'a [httparse::Header<'a>]) -> Head<'a> {
        Head::new("GET", target, Headers::Raw(fields))
    }

    #[test]
    fn splits_the_target_and_decodes_the_query() {
        let head = head("/a%20b?x=1+2&y=%C3%A9&z", &[]);
        assert_eq!((head.path, head.after("/a")), ("/a%20b", Some("%20b")));
        let pairs = head.query().unwrap();
        let pairs: Vec<(&str, &str)> = pairs.iter().map(|(a, b)| (&**a, &**b)).collect();
        assert_eq!(pairs, [("x", "1 2"), ("y", "é"), ("z", "")]);
        assert!(self::head("/?x=%FF", &[]).query().is_err());
    }

    #[test]
    fn reads_accept() {
        for (accept, wanted) in [
            ("text/event-stream", true),
            ("Text/Event-Stream;q=0.5, */*", true),
            ("application/json, text/event-stream ; q=0", false),
            ("*/*", false),
            ("", false),
        ] {
            let fields = [httparse::Header { name: "ACCEPT", value: accept.as_bytes() }];
            assert_eq!(head("/", &fields).accepts("text/event-stream"), Some(wanted), "{accept}");
        }
        assert_eq!(head("/", &[]).accepts("text/event-stream"), None);
    }
}
