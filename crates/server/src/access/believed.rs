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
pub(super) struct Believed(HashMap<[u8; 32], Arc<Caller>>);

impl Believed {
    /// The bearer, unless the token's time is over at `now`, in seconds since 1970.
    pub(super) fn get(&self, token: &str, now: u64) -> Option<Arc<Caller>> {
        let caller = self.0.get(&hash(token))?;
        let over = caller.expires.is_some_and(|at| at.saturating_add(LEEWAY_SECONDS) <= now);
        (!over).then(|| caller.clone())
    }

    pub(super) fn put(&mut self, token: &str, caller: Arc<Caller>) {
        if self.0.len() >= BELIEVED_MAX {
            self.0.clear();
        }
        self.0.insert(hash(token), caller);
    }
}

fn hash(token: &str) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    bytes
}
