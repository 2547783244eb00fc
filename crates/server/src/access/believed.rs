//! Tokens that were verified a moment ago: a signature costs 40 to 100 µs, a look here less than
//! one, and a client shows the same token with every request.

use std::collections::HashMap;
use std::sync::Arc;

use ring::digest::{SHA256, digest};
use tidings_access::verifier::LEEWAY_SECONDS;
use tidings_access::{Caller, TokenError};

/// Tokens remembered. When there are more, all are forgotten: each costs one verification again,
/// and there is no order to keep.
const BELIEVED_MAX: usize = 20_000;

/// Tokens remembered that do not count; when there are more, all of them are forgotten.
const REFUSED_MAX: usize = 10_000;

/// How long such a token is remembered, in seconds.
const REFUSED_SECONDS: u64 = 10;

/// Bearers by the hash of their token, so that no token stays in memory.
#[derive(Default)]
pub(super) struct Believed {
    bearers: HashMap<[u8; 32], Arc<Caller>>,
    /// Why tokens do not count that cost a verification, and when that was found, in seconds since
    /// 1970.
    refused: HashMap<[u8; 32], (TokenError, u64)>,
    /// How often everything was forgotten.
    generation: u64,
}

/// Says what was known when a token was looked up and not found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Generation(u64);

impl Believed {
    /// The bearer, unless the token's time is over at `now`, in seconds since 1970.
    pub(super) fn get(&self, token: &str, now: u64) -> Result<Arc<Caller>, Generation> {
        let unknown = Generation(self.generation);
        let caller = self.bearers.get(&hash(token)).ok_or(unknown)?;
        let over = caller.expires.is_some_and(|at| at.saturating_add(LEEWAY_SECONDS) <= now);
        if over { Err(unknown) } else { Ok(caller.clone()) }
    }

    /// Keeps whom a verification has found, unless everything was forgotten since it began: it may
    /// have been done with keys that do not count any more.
    pub(super) fn put(&mut self, token: &str, caller: Arc<Caller>, since: Generation) {
        if since != Generation(self.generation) {
            return;
        }
        if self.bearers.len() >= BELIEVED_MAX {
            self.bearers.clear();
        }
        self.bearers.insert(hash(token), caller);
    }

    /// Why the token does not count, if it was found a moment ago.
    pub(super) fn refusal(&self, token: &str, now: u64) -> Option<TokenError> {
        let (error, found) = self.refused.get(&hash(token))?;
        (found.abs_diff(now) < REFUSED_SECONDS).then(|| error.clone())
    }

    /// Keeps why a token does not count, if it had to be verified to find out and stays so until
    /// there are other keys.
    pub(super) fn refuse(&mut self, token: &str, error: &TokenError, now: u64, since: Generation) {
        let stays = matches!(
            error,
            TokenError::Signature
                | TokenError::Expired
                | TokenError::NoExpiry
                | TokenError::Audience
        );
        if !stays || since != Generation(self.generation) {
            return;
        }
        if self.refused.len() >= REFUSED_MAX {
            self.refused.clear();
        }
        self.refused.insert(hash(token), (error.clone(), now));
    }

    /// Forgets everything: an issuer's keys are others now.
    pub(super) fn forget(&mut self) {
        self.bearers.clear();
        self.refused.clear();
        self.generation += 1;
    }
}

fn hash(token: &str) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    bytes
}

#[cfg(test)]
mod tests {
    use tidings_access::Grants;

    use super::*;

    fn caller() -> Arc<Caller> {
        Arc::new(Caller {
            identity: "ada".to_owned(),
            issuer: None,
            subject: None,
            token_id: None,
            tenant: None,
            issued: None,
            expires: None,
            grants: Grants::default(),
        })
    }

    #[test]
    fn a_token_that_does_not_count_is_verified_once_in_a_while() {
        let mut believed = Believed::default();
        let before = believed.get("bad", 100).expect_err("not known");
        // There may be such a key, or it may be time, in a moment.
        for passing in [TokenError::UnknownKey, TokenError::NotYet] {
            believed.refuse("bad", &passing, 100, before);
            assert_eq!(believed.refusal("bad", 100), None);
        }
        believed.refuse("bad", &TokenError::Signature, 100, before);
        assert_eq!(believed.refusal("bad", 109), Some(TokenError::Signature));
        assert_eq!((believed.refusal("bad", 110), believed.refusal("b", 100)), (None, None));
        believed.forget();
        assert_eq!(believed.refusal("bad", 100), None, "other keys may fit");
        believed.refuse("bad", &TokenError::Signature, 100, before);
        assert_eq!(believed.refusal("bad", 100), None, "judged with the keys of before");
        let now = believed.get("bad", 100).expect_err("not known");
        for token in 0..=REFUSED_MAX {
            believed.refuse(&token.to_string(), &TokenError::Expired, 100, now);
        }
        assert!(believed.refused.len() <= REFUSED_MAX);
    }

    #[test]
    fn what_was_verified_with_keys_of_before_is_not_kept() {
        let mut believed = Believed::default();
        let before = believed.get("token", 0).expect_err("not known yet");
        // While the token is verified, the key that has signed it is taken away.
        believed.forget();
        believed.put("token", caller(), before);
        let after = believed.get("token", 0).expect_err("verified with a key of before");
        believed.put("token", caller(), after);
        assert!(believed.get("token", 0).is_ok());
    }
}
