//! Tokens and subjects that are not welcome any more.
//!
//! A revoked token is remembered until it would have expired anyway. A revoked subject is one whose
//! tokens count only if they were issued after the revocation, so that somebody can be thrown out
//! and let in again: by the clock of the issuer, which may be ahead by [`LEEWAY_SECONDS`], so that
//! what is issued within that time counts as issued before.
//!
//! Two issuers may use the same name for two people. A revocation that names an issuer means that
//! one's; one that names none means all, and so does every one of somebody whose issuer is not
//! known: rather one too many than one too few.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::verifier::{Caller, LEEWAY_SECONDS};

/// Names of each kind; a further one is refused rather than another forgotten.
pub const REVOKED_MAX: usize = 100_000;

/// What is revoked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Revocation {
    /// The token with this `jti`, until it expires.
    Token {
        /// Its `jti`.
        id: String,
        /// The name of its issuer, as it is configured.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        issuer: Option<String>,
        /// Its `exp`, in seconds since 1970.
        until: u64,
    },
    /// Every token about this subject that was issued up to now.
    Subject {
        /// Its `sub`.
        subject: String,
        /// The name of the issuer whose subject it is, as it is configured.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        issuer: Option<String>,
        /// Up to when, in seconds since 1970.
        issued_through: u64,
    },
}

/// More than [`REVOKED_MAX`] of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("more than {REVOKED_MAX} are revoked already")]
pub struct TooMany;

/// Somebody, as revocations know them.
#[derive(Debug, Clone, Copy)]
pub struct Bearer<'a> {
    /// The name of the issuer of the token, as it is configured.
    pub issuer: Option<&'a str>,
    /// Whom the token is about.
    pub subject: Option<&'a str>,
    /// The token's own name.
    pub token_id: Option<&'a str>,
    /// When it was issued, in seconds since 1970; without it, before everything.
    pub issued: Option<u64>,
}

impl<'a> From<&'a Caller> for Bearer<'a> {
    fn from(caller: &'a Caller) -> Self {
        Self {
            issuer: caller.issuer.as_deref(),
            subject: caller.subject.as_deref(),
            token_id: caller.token_id.as_deref(),
            issued: caller.issued,
        }
    }
}

/// All that is revoked.
#[derive(Debug, Default)]
pub struct Revoked {
    tokens: Names,
    subjects: Names,
}

/// Names with a time each; one that two issuers use may have one for each of them.
#[derive(Debug, Default)]
struct Names(HashMap<String, Vec<(Option<String>, u64)>>);

impl Names {
    fn add(&mut self, name: &str, issuer: Option<&str>, time: u64) -> Result<(), TooMany> {
        if self.0.len() >= REVOKED_MAX && !self.0.contains_key(name) {
            return Err(TooMany);
        }
        let times = self.0.entry(name.to_owned()).or_default();
        match times.iter_mut().find(|(of, _)| of.as_deref() == issuer) {
            Some((_, kept)) => *kept = (*kept).max(time),
            None => times.push((issuer.map(str::to_owned), time)),
        }
        Ok(())
    }

    /// The latest time that means this name as this issuer uses it.
    fn find(&self, name: Option<&str>, issuer: Option<&str>) -> Option<u64> {
        let meant = |of: Option<&str>| of.is_none() || issuer.is_none() || of == issuer;
        let times = self.0.get(name?)?.iter().filter(|(of, _)| meant(of.as_deref()));
        times.map(|(_, time)| *time).max()
    }
}

impl Revoked {
    /// Adds one; forgets those whose time is over at `now`, in seconds since 1970, when full.
    ///
    /// # Errors
    /// When there are too many.
    pub fn add(&mut self, revocation: &Revocation, now: u64) -> Result<(), TooMany> {
        match revocation {
            Revocation::Token { id, issuer, until } => {
                if self.tokens.0.len() >= REVOKED_MAX {
                    self.tokens.0.retain(|_, times| times.iter().any(|(_, until)| *until > now));
                }
                self.tokens.add(id, issuer.as_deref(), *until)
            }
            Revocation::Subject { subject, issuer, issued_through } => {
                self.subjects.add(subject, issuer.as_deref(), *issued_through)
            }
        }
    }

    /// Whether whoever that is is not welcome.
    #[must_use]
    pub fn covers<'a>(&self, bearer: impl Into<Bearer<'a>>) -> bool {
        let Bearer { issuer, subject, token_id, issued } = bearer.into();
        let through = self.subjects.find(subject, issuer);
        let through = through.map(|through| through.saturating_add(LEEWAY_SECONDS));
        self.tokens.find(token_id, issuer).is_some()
            || through.is_some_and(|through| issued.unwrap_or(0) <= through)
    }

    /// Whether nothing is revoked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tokens.0.is_empty() && self.subjects.0.is_empty()
    }
}
