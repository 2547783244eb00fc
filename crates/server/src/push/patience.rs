//! How long to leave a push service alone that does not take a message now.

use std::time::Duration;

/// After the first time.
const FIRST: Duration = Duration::from_secs(1);

/// Doubled each time, up to this.
const MOST: Duration = Duration::from_secs(15 * 60);

/// The longest that a push service's own word is followed.
const ASKED_MOST: Duration = Duration::from_secs(3_600);

/// The waits of one subscription.
#[derive(Debug, Default)]
pub(super) struct Patience {
    times: u32,
}

impl Patience {
    /// A message went through.
    pub(super) fn reset(&mut self) {
        self.times = 0;
    }

    /// The next wait. `asked` is what the push service wants at least; `dice` is any number, so
    /// that those who failed together do not come back together.
    pub(super) fn next(&mut self, asked: Option<Duration>, dice: u64) -> Duration {
        let wait = FIRST.saturating_mul(1_u32.checked_shl(self.times).unwrap_or(u32::MAX));
        self.times = self.times.saturating_add(1).min(u32::BITS - 1);
        let wait = wait.min(MOST);
        // Between half of it and all of it.
        let part = (dice % 1_024) as u32;
        let wait = wait / 2 + wait / 2 * part / 1_023;
        wait.max(asked.unwrap_or_default().min(ASKED_MOST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_limit_and_begin_anew() {
        let mut patience = Patience::default();
        let waits: Vec<u64> = (0..40).map(|_| patience.next(None, 1_023).as_secs()).collect();
        assert_eq!(waits[..5], [1, 2, 4, 8, 16]);
        assert!(waits[10..].iter().all(|wait| *wait == 900), "{waits:?}");
        patience.reset();
        assert_eq!(patience.next(None, 0), Duration::from_millis(500));
    }

    #[test]
    fn what_the_service_asks_for_is_kept_to_within_an_hour() {
        let asked = |seconds| Patience::default().next(Some(Duration::from_secs(seconds)), 1_023);
        assert_eq!(asked(0).as_secs(), 1);
        assert_eq!(asked(77).as_secs(), 77);
        assert_eq!(asked(1 << 40).as_secs(), 3_600);
    }
}
