//! A question and its answer, as they are sent.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::cache::{ForWhom, What};
use crate::config::Asks;

/// The longest time that an answer may say that it counts.
pub(super) const TTL_MAX: Duration = Duration::from_secs(86_400);

/// Who asks, as the application is told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asker {
    /// Tells callers apart ([`ForWhom`]).
    pub(crate) identity: Option<String>,
    /// The customer whom the token names.
    pub(crate) tenant: Option<String>,
    /// The token's subject.
    pub(crate) subject: Option<String>,
    /// The address that the request came from.
    pub(crate) peer: Option<IpAddr>,
    /// What else of the token it is told.
    pub(crate) claims: Value,
}

impl Asker {
    /// For whom an answer counts.
    pub(super) fn for_whom(&self) -> ForWhom<'_> {
        ForWhom {
            identity: self.identity.as_deref(),
            tenant: self.tenant.as_deref(),
            address: self.peer,
        }
    }
}

#[derive(Serialize)]
struct Question<'a> {
    action: &'static str,
    topics: Vec<&'a str>,
    patterns: Vec<&'a str>,
    subject: Option<&'a str>,
    peer: Option<IpAddr>,
    claims: &'a Value,
}

/// The question's body.
pub(super) fn question(action: Asks, what: &[What<'_>], asker: &Asker) -> Vec<u8> {
    let mut question = Question {
        action: match action {
            Asks::Subscribe => "subscribe",
            Asks::Publish => "publish",
        },
        topics: Vec::new(),
        patterns: Vec::new(),
        subject: asker.subject.as_deref(),
        peer: asker.peer,
        claims: &asker.claims,
    };
    for what in what {
        match what {
            What::Topic(name) => question.topics.push(name),
            What::Pattern(text) => question.patterns.push(text),
        }
    }
    serde_json::to_vec(&question).expect("text can be written as JSON")
}

/// An answer that was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Decision {
    pub(super) allow: bool,
    /// How long it counts, if it says so.
    pub(super) ttl: Option<Duration>,
    /// Why, for the log.
    pub(super) reason: String,
}

/// Reads an answer: `{"allow": true, "ttl": 60, "reason": "…"}`. What else is in it is not looked
/// at. None for anything that is not a clear word.
pub(super) fn decision(body: &[u8]) -> Option<Decision> {
    #[derive(Deserialize)]
    struct Said {
        allow: bool,
        #[serde(default)]
        ttl: Option<f64>,
        #[serde(default)]
        reason: Option<String>,
    }
    let said: Said = serde_json::from_slice(body).ok()?;
    let ttl = match said.ttl {
        None => None,
        Some(seconds) if seconds >= 0.0 => {
            Some(Duration::from_secs_f64(seconds.min(TTL_MAX.as_secs_f64())))
        }
        Some(_) => return None,
    };
    Some(Decision { allow: said.allow, ttl, reason: said.reason.unwrap_or_default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clear_word_is_one() {
        let said =
            |text: &str| decision(text.as_bytes()).map(|decision| (decision.allow, decision.ttl));
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        for (text, wanted) in [
            (r#"{"allow":true}"#, Some((true, None))),
            (r#"{"allow":false,"reason":"no"}"#, Some((false, None))),
            (r#"{"allow":true,"ttl":0,"more":[]}"#, Some((true, seconds(0)))),
            (r#"{"allow":true,"ttl":1.0}"#, Some((true, seconds(1)))),
            (r#"{"allow":true,"ttl":1e300}"#, Some((true, Some(TTL_MAX)))),
            (r#"{"allow":true,"ttl":-1}"#, None),
            (r#"{"allow":true,"ttl":"1"}"#, None),
            (r#"{"allow":"true"}"#, None),
            (r#"{"allow":1}"#, None),
            (r#"{"allow":null}"#, None),
            (r#"{"allow":true,"allow":false}"#, None),
            (r#"{"ok":true}"#, None),
            ("true", None),
            ("", None),
        ] {
            assert_eq!(said(text), wanted, "{text}");
        }
    }
}
