//! When a certificate is renewed, and how long to wait when that does not work.

use std::time::Duration;

use crate::config::Pace;
use crate::tls::x509::Known;

/// The longest that an authority is let wait for (`Retry-After`).
pub(super) const ASKED_WAIT_MAX: Duration = Duration::from_secs(24 * 3_600);

/// The unix time at which a certificate is renewed: when two thirds of its life are over, and up to
/// a twentieth of it earlier, so that not everybody comes at once. It is the same after a restart.
pub(super) fn renewal(known: &Known) -> i64 {
    let life = life(known);
    known.not_before + life * 2 / 3 - life / 20 * dice(known) / 65_536
}

/// A moment between the two that an authority suggests (RFC 9773, section 4.2), but not in the
/// first tenth of the certificate's life, nor in its first day: an authority that is out of order
/// must not have it renewed without end.
pub(super) fn within((start, end): (i64, i64), known: &Known) -> i64 {
    let length = end.saturating_sub(start).clamp(0, life(known));
    let moment = start.saturating_add(length * dice(known) / 65_536);
    moment.max(known.not_before.saturating_add((life(known) / 10).min(DAY)))
}

/// In seconds.
fn life(known: &Known) -> i64 {
    known.not_after.saturating_sub(known.not_before).max(0)
}

/// A part of 65,536, always the same: serial numbers are random.
fn dice(known: &Known) -> i64 {
    known.serial.iter().rev().take(2).fold(0, |all, byte| all << 8 | i64::from(*byte))
}

/// In seconds.
pub(super) const DAY: i64 = 86_400;

/// In whole seconds, and rather one too many.
pub(super) fn seconds(time: Duration) -> i64 {
    let whole = time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0));
    i64::try_from(whole).unwrap_or(i64::MAX)
}

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failed {
    /// There was no proper answer, or nobody was asked.
    Unreachable,
    /// The authority has refused, or what it gave cannot be used.
    Refused,
    /// It did not accept a name's proof.
    NotProven,
}

/// How long to wait after so many failures in a row, at least one.
pub(super) fn wait(
    failures: u32,
    failed: Failed,
    asked: Option<Duration>,
    pace: &Pace,
    dice: u64,
) -> Duration {
    let first = match failed {
        Failed::Unreachable => pace.unreachable,
        Failed::Refused | Failed::NotProven => pace.refused,
    };
    let doubled = first.saturating_mul(1 << failures.saturating_sub(1).min(20)).min(pace.most);
    // Up to a tenth more, so that those who failed together do not come back together.
    let part = u32::try_from(dice % 1_024).unwrap_or_default();
    let own = doubled + doubled / 10 * part / 1_024;
    own.max(asked.unwrap_or_default().min(ASKED_WAIT_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(days: i64, serial: [u8; 2]) -> Known {
        let (not_before, serial) = (1_000 * DAY, [&[7; 8][..], &serial].concat());
        Known { not_before, not_after: (1_000 + days) * DAY, serial, authority: None }
    }

    #[test]
    fn a_certificate_is_renewed_when_two_thirds_of_its_life_are_over() {
        assert_eq!(renewal(&known(90, [0, 0])), 1_060 * DAY);
        let earliest = renewal(&known(90, [255, 255]));
        assert!((1_055 * DAY..1_056 * DAY).contains(&earliest), "{earliest}");
        assert_ne!(renewal(&known(90, [1, 2])), renewal(&known(90, [3, 4])));
        // Nonsense is due at once.
        assert_eq!(renewal(&known(-90, [0, 0])), 1_000 * DAY);
    }

    #[test]
    fn an_authority_may_want_it_sooner_but_not_without_end() {
        let known = known(90, [0, 128]);
        let day = |number: i64| (1_000 + number) * DAY;
        assert_eq!(within((day(10), day(20)), &known), day(15));
        assert_eq!(within((day(0), day(0)), &known), day(1));
        assert_eq!(within((i64::MIN, i64::MAX), &known), day(1));
        assert_eq!(within((day(20), day(10)), &known), day(20));
    }

    #[test]
    fn waits_grow_to_a_bound_and_honour_what_is_asked() {
        let pace = Pace::default();
        let waits = |failed| (1..40).map(move |n| wait(n, failed, None, &pace, 0).as_secs());
        let refused: Vec<_> = waits(Failed::Refused).collect();
        assert_eq!(refused[..6], [120, 240, 480, 960, 1_920, 3_600]);
        assert_eq!(waits(Failed::Unreachable).take(3).collect::<Vec<_>>(), [10, 20, 40]);
        assert!(refused.iter().all(|seconds| *seconds <= 3_600));
        let asked = |seconds| {
            let asked = Some(Duration::from_secs(seconds));
            wait(1, Failed::Refused, asked, &pace, 0).as_secs()
        };
        assert_eq!((asked(5), asked(7_200), asked(u64::MAX)), (120, 7_200, 86_400));
        let most = wait(9, Failed::Refused, None, &pace, 1_023).as_secs();
        assert!((3_601..=3_960).contains(&most), "{most}");
    }

    #[test]
    fn no_more_than_five_refusals_in_an_hour() {
        let pace = Pace::default();
        let mut at = Duration::ZERO;
        let attempts = (1..)
            .map(|n| {
                at += wait(n, Failed::Refused, None, &pace, 0);
                at
            })
            .take_while(|at| at.as_secs() < 3_600);
        // And the one before the first wait.
        assert!(attempts.count() < 5);
    }
}
