//! How long to wait before trying again: exponential, with full jitter.
//!
//! When a server restarts, all of its clients are cut at the same moment. Waits drawn evenly from
//! zero to a growing bound spread them out better than any fixed or slightly varied wait.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::time::{Duration, SystemTime};

use hyper::header::{HeaderMap, RETRY_AFTER};

/// Longest `Retry-After` that is honoured: an hour. Beyond it the server, or something in front of
/// it, is more likely wrong than that far ahead.
pub(crate) const RETRY_AFTER_MAX: Duration = Duration::from_secs(3_600);

/// Random numbers that need not be secret. Seeded once from the system's entropy, by way of the
/// standard library's hasher.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new() -> Self {
        Self::seeded(RandomState::new().build_hasher().finish())
    }

    pub(crate) const fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    /// SplitMix64 (Steele, Lea, Flood 2014).
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }

    /// Evenly from zero to `bound`, both included.
    fn up_to(&mut self, bound: Duration) -> Duration {
        let nanos = u64::try_from(bound.as_nanos()).unwrap_or(u64::MAX - 1);
        Duration::from_nanos(self.next() % (nanos + 1))
    }
}

/// The wait after failure number `failures` (the first is 1): drawn from zero to `base` doubled
/// with each further failure, but not above `cap`; and on top of `at_least`, if the server asked
/// for it.
pub(crate) fn wait(
    random: &mut Random,
    base: Duration,
    cap: Duration,
    failures: u32,
    at_least: Option<Duration>,
) -> Duration {
    let doubled = base.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1)));
    match at_least {
        // Spread over `base` only: the server has said when it will be ready.
        Some(at_least) => at_least + random.up_to(base.min(cap)),
        None => random.up_to(doubled.min(cap)),
    }
}

/// `Retry-After` (RFC 9110, section 10.2.3): seconds or a date.
pub(crate) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let date = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
            SystemTime::from(date).duration_since(now).unwrap_or_default()
        }
    };
    Some(wait.min(RETRY_AFTER_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn waits_fill_the_whole_range_and_the_range_doubles_up_to_the_cap() {
        for (failures, bound) in [(1, 1), (2, 2), (3, 4), (4, 8), (5, 10), (40, 10), (u32::MAX, 10)]
        {
            let mut random = Random::seeded(7);
            let bound = Duration::from_secs(bound);
            let waits: Vec<_> = (0..1_000)
                .map(|_| wait(&mut random, SECOND, 10 * SECOND, failures, None))
                .collect();
            assert!(waits.iter().all(|wait| *wait <= bound));
            assert!(waits.iter().any(|wait| *wait < bound / 20), "no short wait");
            assert!(waits.iter().any(|wait| *wait > bound - bound / 20), "no long wait");
        }
    }

    #[test]
    fn a_wait_that_the_server_asks_for_is_never_cut_short() {
        let mut random = Random::seeded(7);
        for failures in [1, 9] {
            let wait = wait(&mut random, SECOND, 10 * SECOND, failures, Some(20 * SECOND));
            assert!((20 * SECOND..=21 * SECOND).contains(&wait));
        }
    }

    #[test]
    fn two_clients_do_not_draw_the_same_waits() {
        assert_ne!(Random::new().next(), Random::new().next());
    }

    #[test]
    fn retry_after_is_read_as_seconds_and_as_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        for (text, seconds) in [
            ("0", Some(0)),
            (" 120 ", Some(120)),
            ("999999999", Some(3_600)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(0)),
            ("Sat, 05 Nov 1994 08:49:37 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
            ("", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, text.parse().unwrap());
            assert_eq!(retry_after(&headers, now), seconds.map(Duration::from_secs), "{text}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }
}
