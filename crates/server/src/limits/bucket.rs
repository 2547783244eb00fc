//! A token bucket in one integer.
//!
//! What is kept is the moment at which the bucket will be full again (the *generic cell rate
//! algorithm* of ATM, ITU-T I.371, in its virtual-scheduling form): taking moves it into the
//! future, time passes it by. So a bucket needs no clock of its own, no refilling, and one that is
//! full says nothing that needs to be remembered. Time is counted in sixty-fourths of a nanosecond,
//! so that a byte at a gigabyte a second is still a whole number of them; prices are rounded up, so
//! no rounding ever lets more through than the rate says.

use std::time::Duration;

use crate::config::Rate;

/// Ticks in a nanosecond. 2^64 of them are nine years, and the clock begins with the process.
const TICKS_PER_NS: u128 = 64;

/// A moment, in ticks since the process began.
pub(crate) type Ticks = u64;

/// The moment this long after the beginning.
pub(crate) fn ticks(since: Duration) -> Ticks {
    u64::try_from(since.as_nanos() * TICKS_PER_NS).unwrap_or(u64::MAX)
}

/// What all buckets of one limit have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pace {
    rate: Rate,
    /// The time in which an empty bucket fills.
    window: Ticks,
}

/// A bucket did not hold enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooSoon {
    /// When it will.
    pub(crate) after: Duration,
}

impl Pace {
    /// Buckets that hold `burst` and fill at `rate`.
    pub(crate) fn new(rate: Rate, burst: u64) -> Self {
        let mut pace = Self { rate, window: 0 };
        pace.window = pace.price(burst.max(1));
        pace
    }

    /// The time in which `amount` flows in, rounded up.
    pub(crate) fn price(&self, amount: u64) -> Ticks {
        let per = u128::from(self.rate.per_ms) * 1_000_000 * TICKS_PER_NS;
        let price = (u128::from(amount) * per).div_ceil(u128::from(self.rate.count.max(1)));
        u64::try_from(price).unwrap_or(u64::MAX / 4).min(u64::MAX / 4)
    }

    /// Takes `amount` from a bucket that will be full at `full_at`; returns when it will be full
    /// then. More than a bucket can hold is taken when it is full, and paid for afterwards: a large
    /// request waits for as long as it costs, but not for ever.
    ///
    /// # Errors
    /// It does not hold enough; nothing was taken.
    pub(crate) fn take(&self, full_at: Ticks, now: Ticks, amount: u64) -> Result<Ticks, TooSoon> {
        let price = self.price(amount);
        let from = full_at.max(now);
        let then = from.saturating_add(price);
        // What has to be there: all of the price, or a full bucket if that is less.
        let needed = price.min(self.window);
        let taken = (from - now).saturating_add(needed);
        if taken <= self.window {
            return Ok(then);
        }
        let wait = u128::from(taken - self.window).div_ceil(TICKS_PER_NS);
        Err(TooSoon { after: Duration::from_nanos(u64::try_from(wait).unwrap_or(u64::MAX)) })
    }

    /// How much of a bucket is taken, in thousandths; more than 1,000 is debt.
    pub(crate) fn used(&self, full_at: Ticks, now: Ticks) -> u32 {
        let taken = u128::from(full_at.saturating_sub(now)) * 1_000;
        u32::try_from(taken / u128::from(self.window.max(1))).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The same in exact fractions: tokens, times `rate.per_ms` nanoseconds, so that no division
    /// is needed. It says what may be, given what was taken.
    struct Model {
        tokens: i128,
        scale: i128,
        burst: u64,
        count: i128,
        now_ns: u64,
    }

    impl Model {
        fn new(rate: Rate, burst: u64) -> Self {
            let scale = i128::from(rate.per_ms) * 1_000_000;
            let count = i128::from(rate.count);
            Self { tokens: i128::from(burst) * scale, scale, burst, count, now_ns: 0 }
        }

        fn pass_to(&mut self, now_ns: u64) {
            self.tokens += i128::from(now_ns - self.now_ns) * self.count;
            self.tokens = self.tokens.min(i128::from(self.burst) * self.scale);
            self.now_ns = now_ns;
        }

        /// How far the bucket is from holding what is asked, in scaled tokens; 0 or less: it does.
        fn lacks(&self, amount: u64) -> i128 {
            i128::from(amount.min(self.burst)) * self.scale - self.tokens
        }
    }

    fn step() -> impl Strategy<Value = (u64, u64)> {
        // How long after the one before, nanoseconds, and how much is asked.
        let gap = prop_oneof![Just(0), 0..1_000_u64, 0..50_000_000_u64, 0..10_000_000_000_u64];
        (gap, prop_oneof![Just(1), 1..20_u64, 1..100_000_u64])
    }

    proptest! {
        #[test]
        fn does_what_an_exact_bucket_does(
            count in prop_oneof![1..20_u64, 1..1_000_000_u64, 1..1_000_000_000_u64],
            per_ms in prop_oneof![Just(1_000_u64), Just(60_000), Just(3_600_000)],
            burst in prop_oneof![1..20_u64, 1..1_000_000_u64],
            steps in prop::collection::vec(step(), 1..120),
        ) {
            let rate = Rate { count, per_ms };
            // All of it together takes less than the nine years that there are.
            let per = u128::from(per_ms) * 1_000_000 * TICKS_PER_NS * 256;
            let most = ((1_u128 << 63) * u128::from(count) / per).min(1 << 40) as u64;
            let burst = burst.min(most.max(1));
            let (pace, mut model) = (Pace::new(rate, burst), Model::new(rate, burst));
            let (mut now_ns, mut full_at) = (0_u64, 0);
            // Each price, and the window, is rounded up by less than a tick.
            let slack = i128::from(count) * (steps.len() as i128 + 2);
            for (gap, amount) in steps {
                let amount = amount.min(most.max(1));
                now_ns += gap;
                model.pass_to(now_ns);
                let now = ticks(Duration::from_nanos(now_ns));
                match pace.take(full_at, now, amount) {
                    Ok(then) => {
                        // The window is rounded up too, by less than one tick of tokens.
                        prop_assert!(model.lacks(amount) * 64 <= i128::from(count) * 2);
                        model.tokens -= i128::from(amount) * model.scale;
                        full_at = then;
                    }
                    Err(TooSoon { after }) => {
                        prop_assert!(model.lacks(amount) * 64 > -slack * 64);
                        let later = now + ticks(after);
                        prop_assert!(pace.take(full_at, later, amount).is_ok(), "told too early");
                        let before = later.saturating_sub(ticks(Duration::from_nanos(1)));
                        prop_assert!(
                            before <= now || pace.take(full_at, before, amount).is_err(),
                            "told too late"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn a_burst_and_then_the_rate() {
        let pace = Pace::new(Rate { count: 10, per_ms: 1_000 }, 3);
        let mut full_at = 0;
        for _ in 0..3 {
            full_at = pace.take(full_at, 0, 1).unwrap();
        }
        let refused = pace.take(full_at, 0, 1).unwrap_err();
        assert_eq!(refused.after, Duration::from_millis(100));
        assert_eq!(pace.used(full_at, 0), 1_000);
        assert!(pace.take(full_at, ticks(Duration::from_millis(100)), 1).is_ok());
    }

    #[test]
    fn what_is_larger_than_the_bucket_is_taken_once_it_is_full_and_paid_for() {
        let pace = Pace::new(Rate { count: 10, per_ms: 1_000 }, 5);
        let full_at = pace.take(0, 0, 20).unwrap();
        assert_eq!(pace.used(full_at, 0), 4_000);
        let refused = pace.take(full_at, 0, 1).unwrap_err();
        assert_eq!(refused.after, Duration::from_millis(1_600));
    }
}
