//! Tokens and subjects that are not welcome any more.
//!
//! A revoked token is remembered until it would have expired anyway. A revoked subject is one whose
//! tokens count only if they were issued after the revocation, so that somebody can be thrown out
//! and let in again: by the clock of the issuer, which may be ahead by [`LEEWAY_SECONDS`], so that
//! what is issued within that time counts as issued before.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::verifier::{Caller, LEEWAY_SECONDS};

/// Entries of each kind; a further one is refused rather than another forgotten.
pub const REVOKED_MAX: usize = 100_000;

/// What is revoked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Revocation {
    /// The token with this `jti`, until it expires.
    Token {
        /// Its `jti`.
        id: String,
        /// Its `exp`, in seconds since 1970.
        until: u64,
    },
    /// Every token about this subject that was issued up to now.
    Subject {
        /// Its `sub`.
        subject: String,
        /// Up to when, in seconds since 1970.
        issued_through: u64,
    },
}

/// More than [`REVOKED_MAX`] of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("more than {REVOKED_MAX} are revoked already")]
pub struct TooMany;

/// All that is revoked.
#[derive(Debug, Default)]
pub struct Revoked {
    tokens: HashMap<String, u64>,
    subjects: HashMap<String, u64>,
}

impl Revoked {
    /// Adds one; forgets those whose time is over at `now`, in seconds since 1970, when full.
    ///
    /// # Errors
    /// When there are too many.
    pub fn add(&mut self, revocation: &Revocation, now: u64) -> Result<(), TooMany> {
        match revocation {
            Revocation::Token { id, until } => {
                if self.tokens.len() >= REVOKED_MAX {
                    self.tokens.retain(|_, until| *until > now);
                }
                if self.tokens.len() >= REVOKED_MAX && !self.tokens.contains_key(id) {
                    return Err(TooMany);
                }
                let kept = self.tokens.entry(id.clone()).or_default();
                *kept = (*kept).max(*until);
            }
            Revocation::Subject { subject, issued_through } => {
                if self.subjects.len() >= REVOKED_MAX && !self.subjects.contains_key(subject) {
                    return Err(TooMany);
                }
                let kept = self.subjects.entry(subject.clone()).or_default();
                *kept = (*kept).max(*issued_through);
            }
        }
        Ok(())
    }

    /// Whether this caller is not welcome. A token that does not say when it was issued counts as
    /// issued before everything.
    #[must_use]
    pub fn covers(&self, caller: &Caller) -> bool {
        let (subject, token_id) = (caller.subject.as_deref(), caller.token_id.as_deref());
        self.covers_named(subject, token_id, caller.issued)
    }

    /// The same of the bearer of a token of this name about this subject, issued then (in seconds
    /// since 1970).
    #[must_use]
    pub fn covers_named(
        &self,
        subject: Option<&str>,
        token_id: Option<&str>,
        issued: Option<u64>,
    ) -> bool {
        let token = token_id.is_some_and(|id| self.tokens.contains_key(id));
        let subject = subject.and_then(|subject| self.subjects.get(subject));
        let through = subject.map(|through| through.saturating_add(LEEWAY_SECONDS));
        token || through.is_some_and(|through| issued.unwrap_or(0) <= through)
    }

    /// Whether nothing is revoked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty() && self.subjects.is_empty()
    }
}
