//! Tokens that were verified a moment ago: a signature costs 40 to 100 µs, a look here less than
//! one, and a client shows the same token with every request.

use std::collections::HashMap;
use std::sync::Arc;

use ring::digest::{SHA256, digest};
use tidings_access::Caller;
use tidings_access::verifier::LEEWAY_SECONDS;

/// Tokens remembered. When there are more, all are forgotten: each costs one verification again,
/// and there is no order to keep.
const BELIEVED_MAX: usize = 20_000;

/// Bearers by the hash of their token, so that no token stays in memory.
#[derive(Default)]
pub(super) struct Believed {
    bearers: HashMap<[u8; 32], Arc<Caller>>,
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

    /// Forgets everything: an issuer's keys are others now.
    pub(super) fn forget(&mut self) {
        self.bearers.clear();
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
            subject: None,
            token_id: None,
            tenant: None,
            issued: None,
            expires: None,
            grants: Grants::default(),
        })
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
