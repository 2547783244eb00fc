//! How much of something each has at the same time: connections, subscriptions.
//!
//! As many entries as there are connections, which are limited in all; an entry whose count is 0 is
//! removed.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use parking_lot::Mutex;

/// Parts of the map, each with a lock of its own.
const PARTS: usize = 64;

/// Keys are hashes already.
#[derive(Default)]
struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {}

    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }
}

type Part = Mutex<HashMap<u64, usize, BuildHasherDefault<AsIs>>>;

/// The counts of one thing, each held to the same limit.
pub(crate) struct Counts {
    limit: usize,
    parts: Box<[Part]>,
}

impl Counts {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, parts: (0..PARTS).map(|_| Part::default()).collect() }
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    fn part(&self, key: u64) -> &Part {
        // The low bits choose within the part.
        &self.parts[(key >> 32) as usize % PARTS]
    }

    /// Counts one more; returns how many there are then, or `None` if it may have no more.
    pub(crate) fn take(&self, key: u64) -> Option<usize> {
        let mut part = self.part(key).lock();
        let count = part.entry(key).or_default();
        if *count >= self.limit {
            return None;
        }
        *count += 1;
        Some(*count)
    }

    /// Counts one less.
    pub(crate) fn give_back(&self, key: u64) {
        let mut part = self.part(key).lock();
        let Some(count) = part.get_mut(&key) else {
            return;
        };
        *count = count.saturating_sub(1);
        if *count == 0 {
            part.remove(&key);
            if part.is_empty() {
                // What a crowd has left behind is given back too.
                part.shrink_to_fit();
            }
        }
    }

    /// How many keys have any.
    #[cfg(test)]
    fn keys(&self) -> usize {
        self.parts.iter().map(|part| part.lock().len()).sum()
    }
}

/// Counts until it is dropped.
pub(crate) struct Place {
    counts: Arc<Counts>,
    key: u64,
}

impl Place {
    /// Counts one more; `None` if there may be no more.
    pub(crate) fn take(counts: &Arc<Counts>, key: u64) -> Option<(Self, usize)> {
        let count = counts.take(key)?;
        Some((Self { counts: counts.clone(), key }, count))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.counts.give_back(self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_counts_until_it_is_dropped_and_leaves_nothing() {
        let counts = Arc::new(Counts::new(2));
        let first = Place::take(&counts, 7).unwrap();
        let second = Place::take(&counts, 7).unwrap();
        assert_eq!((first.1, second.1), (1, 2));
        assert!(Place::take(&counts, 7).is_none());
        assert!(Place::take(&counts, 8).is_some(), "another key");
        drop(first);
        assert!(Place::take(&counts, 7).is_some());
        drop(second);
        assert_eq!(counts.keys(), 0);
        counts.give_back(9);
    }
}
