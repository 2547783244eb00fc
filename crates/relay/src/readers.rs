//! Who reads a relayed stream: a count, and a way to be told when it changes.
//!
//! A [`Lease`] goes with each connection and is dropped with it, on whatever thread that is. So
//! "nobody reads any more" needs no search and no clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tokio::sync::Notify;

/// The readers of one stream.
#[derive(Debug, Default)]
pub struct Readers {
    count: AtomicUsize,
    /// Readers who came when there was nobody.
    firsts: AtomicU64,
    changed: Notify,
}

impl Readers {
    /// Counts a reader, for as long as the lease lives.
    #[must_use]
    pub fn lease(self: &Arc<Self>) -> Lease {
        if self.count.fetch_add(1, Ordering::AcqRel) == 0 {
            self.firsts.fetch_add(1, Ordering::AcqRel);
        }
        self.changed.notify_one();
        Lease(Arc::new(One(self.clone())))
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// How often somebody came when there was nobody.
    #[must_use]
    pub fn firsts(&self) -> u64 {
        self.firsts.load(Ordering::Acquire)
    }

    /// Returns when the count may have changed since this was last called. For one waiting task.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Returns when nobody reads.
    pub async fn none(&self) {
        while self.count() > 0 {
            self.changed().await;
        }
    }

    /// Returns when somebody reads.
    pub async fn some(&self) {
        while self.count() == 0 {
            self.changed().await;
        }
    }
}

/// One reader. A clone is the same one: a request hands it on to the connection that answers.
#[derive(Clone, Debug)]
pub struct Lease(#[expect(dead_code, reason = "counts while it lives")] Arc<One>);

#[derive(Debug)]
struct One(Arc<Readers>);

impl Drop for One {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::AcqRel);
        self.0.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn counts_and_tells() {
        let readers = Arc::new(Readers::default());
        let lease = readers.lease();
        readers.some().await;
        let handed_on = lease.clone();
        assert_eq!((readers.count(), readers.firsts()), (1, 1), "a clone is the same reader");
        drop(lease);
        assert_eq!(readers.count(), 1, "and counts until the last of them has gone");
        let second = readers.lease();
        assert_eq!((readers.count(), readers.firsts()), (2, 1));
        let waiting = tokio::spawn({
            let readers = readers.clone();
            async move { readers.none().await }
        });
        drop((handed_on, second));
        waiting.await.unwrap();
        assert_eq!(readers.count(), 0);
        let _lease = readers.lease();
        assert_eq!(readers.firsts(), 2);
    }
}
