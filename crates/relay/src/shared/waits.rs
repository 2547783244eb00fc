//! How long until the upstream is asked again.
//!
//! After a stream that ended, the reconnection time of the stream itself, or three seconds, as in a
//! browser (WHATWG HTML, section 9.2.3). After a failure, on top of what the stream asked for, a
//! time drawn evenly from zero to a bound that doubles with each failure in a row: relays that lost
//! the same upstream do not come back together.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::time::Duration;

/// The reconnection time of a stream that has not said one: 3 s, as Chrome and Safari have it.
const RECONNECTION_TIME: Duration = Duration::from_secs(3);

/// Longest `retry:` that is honoured: an hour.
const RETRY_MAX: Duration = Duration::from_secs(3_600);

/// Shortest time between two requests: 100 ms. `retry: 0` would ask an upstream that ends its
/// stream at once without a pause.
const WAIT_MIN: Duration = Duration::from_millis(100);

/// Largest bound of the drawn part: 30 s, as in the client.
const BOUND_MAX: Duration = Duration::from_secs(30);

/// The waits of one stream.
#[derive(Debug, Default)]
pub(super) struct Waits {
    retry: Option<Duration>,
    /// In a row.
    failures: u32,
    random: RandomState,
    drawn: u64,
}

impl Waits {
    /// The stream asks for this reconnection time.
    pub(super) fn asked_for(&mut self, retry_ms: Option<u64>) {
        self.retry = retry_ms.map(|ms| Duration::from_millis(ms).min(RETRY_MAX)).or(self.retry);
    }

    /// Failures since the last stream.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// A stream began.
    pub(super) fn connected(&mut self) {
        self.failures = 0;
    }

    /// The wait after a stream that ended.
    pub(super) fn after_stream(&self) -> Duration {
        self.retry.unwrap_or(RECONNECTION_TIME).max(WAIT_MIN)
    }

    /// Counts a failure and returns the wait after it: at least `asked`, if the upstream asked for
    /// that.
    pub(super) fn after_failure(&mut self, asked: Option<Duration>) -> Duration {
        self.failures = self.failures.saturating_add(1);
        let base = self.retry.unwrap_or(RECONNECTION_TIME).max(WAIT_MIN);
        let doubled = base.saturating_mul(2_u32.saturating_pow(self.failures - 1));
        let drawn = self.up_to(doubled.min(BOUND_MAX));
        let least = self.retry.max(asked).unwrap_or_default().min(RETRY_MAX);
        (least + drawn).max(WAIT_MIN)
    }

    /// Evenly from zero to `bound`: the standard library's hasher is seeded by the system.
    fn up_to(&mut self, bound: Duration) -> Duration {
        self.drawn = self.drawn.wrapping_add(1);
        let nanos = u64::try_from(bound.as_nanos()).unwrap_or(u64::MAX - 1);
        Duration::from_nanos(self.random.hash_one(self.drawn) % (nanos + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_stream_that_ended_is_asked_for_again_as_a_browser_would() {
        let mut waits = Waits::default();
        assert_eq!(waits.after_stream(), 3 * SECOND);
        waits.asked_for(Some(1_500));
        waits.asked_for(None);
        assert_eq!(waits.after_stream(), Duration::from_millis(1_500));
        waits.asked_for(Some(0));
        assert_eq!(waits.after_stream(), WAIT_MIN);
        waits.asked_for(Some(u64::MAX));
        assert_eq!(waits.after_stream(), RETRY_MAX);
    }

    #[test]
    fn failures_are_spread_over_a_range_that_doubles_up_to_a_bound() {
        for (before, bound) in [(0, 3), (1, 6), (2, 12), (3, 24), (4, 30), (u32::MAX, 30)] {
            let draw = || {
                let mut waits = Waits { failures: before, ..Waits::default() };
                waits.after_failure(None)
            };
            let bound = Duration::from_secs(bound);
            let waits: Vec<Duration> = (0..1_000).map(|_| draw()).collect();
            assert!(waits.iter().all(|wait| (WAIT_MIN..=bound).contains(wait)));
            assert!(waits.iter().any(|wait| *wait < bound / 10), "no short wait");
            assert!(waits.iter().any(|wait| *wait > bound - bound / 20), "no long wait");
        }
    }

    #[test]
    fn what_the_stream_asked_for_is_never_cut_short() {
        let mut waits = Waits::default();
        waits.asked_for(Some(20_000));
        for _ in 0..9 {
            assert!((20 * SECOND..=50 * SECOND).contains(&waits.after_failure(None)));
            let asked = waits.after_failure(Some(60 * SECOND));
            assert!((60 * SECOND..=90 * SECOND).contains(&asked));
        }
        assert!(waits.after_failure(Some(Duration::MAX)) <= RETRY_MAX + BOUND_MAX);
        waits.connected();
        assert_eq!(waits.failures(), 0);
    }
}
