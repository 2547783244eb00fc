//! How long deliveries took, fine enough for percentiles of the last seconds.
//!
//! Exact up to 15 ms, then eight steps to each doubling, so that what is read is at most an eighth
//! above what was noted.

use std::sync::atomic::{AtomicU64, Ordering};

/// Milliseconds that have a place of their own.
const EXACT: u64 = 16;

/// Steps to each doubling, as a power of two.
const STEPS_LOG2: u32 = 3;

/// The longest that is told apart: 2^20 ms, a quarter of an hour.
const DOUBLINGS: u32 = 20;

const PLACES: usize = EXACT as usize + ((DOUBLINGS - 4) << STEPS_LOG2) as usize;

/// How many there were of each length, since the process began.
pub(crate) type Counts = Box<[u64; PLACES]>;

/// The delays.
pub(crate) struct Delays {
    counts: [AtomicU64; PLACES],
}

impl Default for Delays {
    fn default() -> Self {
        Self { counts: [const { AtomicU64::new(0) }; PLACES] }
    }
}

impl Delays {
    pub(crate) fn note(&self, ms: u64) {
        self.counts[place(ms)].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn counts(&self) -> Counts {
        let mut counts = Box::new([0; PLACES]);
        for (count, known) in counts.iter_mut().zip(&self.counts) {
            *count = known.load(Ordering::Relaxed);
        }
        counts
    }

    /// The delay, in milliseconds, that this part of those noted in between did not exceed; none if
    /// there were none.
    pub(crate) fn part(before: &Counts, after: &Counts, part: f64) -> Option<u64> {
        let more = || after.iter().zip(before.iter()).map(|(after, before)| after - before);
        let total: u64 = more().sum();
        if total == 0 {
            return None;
        }
        // Counts of seconds are far below what a float keeps exactly, and not negative.
        let wanted = ((total as f64 * part).ceil() as u64).max(1);
        let mut sum = 0;
        let at = more().position(|count| {
            sum += count;
            sum >= wanted
        });
        at.map(longest)
    }
}

fn place(ms: u64) -> usize {
    if ms < EXACT {
        return ms as usize;
    }
    let doubling = ms.ilog2();
    if doubling >= DOUBLINGS {
        return PLACES - 1;
    }
    let step = (ms >> (doubling - STEPS_LOG2)) & ((1 << STEPS_LOG2) - 1);
    EXACT as usize + (((doubling - 4) << STEPS_LOG2) as u64 + step) as usize
}

/// The longest delay of a place.
fn longest(place: usize) -> u64 {
    let place = place as u64;
    if place < EXACT {
        return place;
    }
    let (doubling, step) =
        (4 + ((place - EXACT) >> STEPS_LOG2), (place - EXACT) & ((1 << STEPS_LOG2) - 1));
    let width = 1 << (doubling - u64::from(STEPS_LOG2));
    (1 << doubling) + (step + 1) * width - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_at_most_an_eighth_above() {
        for ms in (0..20_000).chain([1 << 19, (1 << 20) - 1]) {
            let read = longest(place(ms));
            assert!(read >= ms && read <= ms + ms / 8, "{ms} is read as {read}");
        }
        assert_eq!(place(u64::MAX), PLACES - 1);
    }

    #[test]
    fn percentiles_are_of_what_came_in_between() {
        let delays = Delays::default();
        (0..1_000).for_each(|_| delays.note(500));
        let before = delays.counts();
        assert_eq!(Delays::part(&before, &delays.counts(), 0.5), None);
        (1..=10).for_each(|ms| delays.note(ms));
        let after = delays.counts();
        let part = |part| Delays::part(&before, &after, part);
        assert_eq!((part(0.5), part(0.9), part(0.99)), (Some(5), Some(9), Some(10)));
    }
}
