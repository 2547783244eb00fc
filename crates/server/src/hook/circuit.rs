//! When not to ask: an application that does not answer is left alone for a while, and then asked
//! once, so that those who come meanwhile do not pile up behind it.

use std::time::Duration;

use tokio::time::Instant;

/// Failures in a row after which it is left alone.
pub(super) const FAILURES_MAX: u32 = 5;

/// How long it is left alone first; twice as long each time that it fails again.
const PAUSE: Duration = Duration::from_secs(1);

/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(15);

/// Whether the application is asked.
#[derive(Debug, Default)]
pub(super) struct Circuit {
    failures: u32,
    /// Until when it is left alone.
    until: Option<Instant>,
}

impl Circuit {
    /// Whether it is to be asked now. After a pause it is to one, whose `trial` may take this long;
    /// the others go on waiting for what comes of it.
    pub(super) fn may_ask(&mut self, now: Instant, trial: Duration) -> bool {
        match self.until {
            Some(until) if now < until => false,
            Some(_) => {
                self.until = Some(now + trial);
                true
            }
            None => true,
        }
    }

    /// It has answered.
    pub(super) fn answered(&mut self) {
        *self = Self::default();
    }

    /// It has not answered, or nonsense.
    pub(super) fn failed(&mut self, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        if let Some(pauses) = self.failures.checked_sub(FAILURES_MAX) {
            let pause = PAUSE.saturating_mul(1 << pauses.min(10)).min(PAUSE_MAX);
            self.until = Some(now + pause);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_left_alone_and_then_asked_once() {
        let (start, trial) = (Instant::now(), Duration::from_secs(2));
        let mut circuit = Circuit::default();
        for _ in 1..FAILURES_MAX {
            circuit.failed(start);
            assert!(circuit.may_ask(start, trial));
        }
        circuit.failed(start);
        assert!(!circuit.may_ask(start, trial));
        assert!(!circuit.may_ask(start + PAUSE / 2, trial));
        let later = start + PAUSE;
        assert!(circuit.may_ask(later, trial), "one");
        assert!(!circuit.may_ask(later, trial), "only one");
        circuit.failed(later);
        assert!(!circuit.may_ask(later + PAUSE, trial), "the pause is longer now");
        assert!(circuit.may_ask(later + PAUSE * 2, trial));
        circuit.answered();
        assert!(circuit.may_ask(later, trial) && circuit.may_ask(later, trial));
        for _ in 0..60 {
            circuit.failed(later);
        }
        assert!(circuit.may_ask(later + PAUSE_MAX, trial));
        // A trial of which nothing more is heard is not the last.
        assert!(circuit.may_ask(later + PAUSE_MAX + trial, trial));
    }
}
