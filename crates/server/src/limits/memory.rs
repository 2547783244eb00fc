//! What unfinished requests, and answers that nobody takes, may hold together.
//!
//! A client decides how much it sends before it is understood, and when it reads; each is bounded
//! (`limits.head_bytes`, `limits.body_bytes`), but there are many clients. So the sum is bounded
//! too: whoever would pass it is refused, and what is in hand goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The sum.
pub(crate) struct RequestMemory {
    held: AtomicUsize,
    most: usize,
}

impl RequestMemory {
    pub(crate) fn new(most: usize) -> Self {
        Self { held: AtomicUsize::new(0), most }
    }

    /// Bytes held now, and how many may be.
    pub(crate) fn held(&self) -> (usize, usize) {
        (self.held.load(Ordering::Relaxed), self.most)
    }
}

/// What one connection holds of it; given back when dropped.
#[derive(Default)]
pub(crate) struct Held {
    of: Option<Arc<RequestMemory>>,
    bytes: usize,
}

impl Held {
    /// Holds nothing yet.
    pub(crate) fn of(memory: &Arc<RequestMemory>) -> Self {
        Self { of: Some(memory.clone()), bytes: 0 }
    }

    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Holds `bytes` from now on, more or less than before. `false` if that is more than there is;
    /// then it holds what it did.
    #[must_use]
    pub(crate) fn set(&mut self, bytes: usize) -> bool {
        let Some(memory) = self.of.as_ref().filter(|_| bytes != self.bytes) else {
            return true;
        };
        if bytes > self.bytes {
            let more = bytes - self.bytes;
            let before = memory.held.fetch_add(more, Ordering::Relaxed);
            if before.saturating_add(more) > memory.most {
                memory.held.fetch_sub(more, Ordering::Relaxed);
                return false;
            }
        } else {
            memory.held.fetch_sub(self.bytes - bytes, Ordering::Relaxed);
        }
        self.bytes = bytes;
        true
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // Less always fits.
        let _ = self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_kept_and_given_back() {
        let memory = Arc::new(RequestMemory::new(100));
        let (mut one, mut other) = (Held::of(&memory), Held::of(&memory));
        assert!(one.set(60) && other.set(40));
        assert!(!one.set(61), "there is no more");
        assert_eq!((one.bytes(), memory.held()), (60, (100, 100)));
        assert!(other.set(10) && one.set(90));
        drop(one);
        assert_eq!(memory.held(), (10, 100));
        drop(other);
        assert_eq!(memory.held(), (0, 100));
    }
}
