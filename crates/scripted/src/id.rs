//! Identifiers that look as unguessable as a provider's.

use std::fmt::Write as _;
use std::hash::{BuildHasher as _, RandomState};

/// Makes identifiers; no two of one process are the same.
pub(crate) struct Ids {
    secret: RandomState,
    made: u64,
}

impl Ids {
    pub(crate) fn new() -> Self {
        Self { secret: RandomState::new(), made: 0 }
    }

    /// 32 hexadecimal digits.
    pub(crate) fn next(&mut self) -> String {
        self.made += 1;
        let mut id = String::with_capacity(32);
        for half in 0..2_u8 {
            let hash = self.secret.hash_one((self.made, half));
            write!(id, "{hash:016x}").expect("a string takes everything");
        }
        id
    }
}
