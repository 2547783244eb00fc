//! Whether what was sent at an even pace came at an even pace: arithmetic on times, no network.
//!
//! Two things give a buffer away. Events come later the earlier they were sent (they wait for
//! each other), and they come together although they were sent apart. One slow moment of a busy
//! machine does neither to most of them.

use std::time::{Duration, Instant};

use super::record::{Came, Piece};

/// Together: closer than this part of the time between two events.
const TOGETHER_DIVISOR: u32 = 4;
/// Late: this many times the time between two events, after the fastest of all.
const LATE_FACTOR: u32 = 2;
/// Parts of the events, in tenths, from which on it is a warning, and broken.
const WARNING_TENTHS: usize = 3;
const BROKEN_TENTHS: usize = 5;

/// How the probe went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pace {
    pub(super) sent: usize,
    pub(super) came: usize,
    /// From the publish to the arrival.
    pub(super) delay_min: Duration,
    pub(super) delay_median: Duration,
    pub(super) delay_max: Duration,
    /// Events that came at the same time as the one before them.
    pub(super) together: usize,
    /// Events that were held for others.
    pub(super) late: usize,
    /// From the first publish to the first arrival.
    pub(super) first: Duration,
}

/// How even it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Evenness {
    Even,
    Uneven,
    Held,
}

impl Pace {
    /// Compares the times at which the events were sent, `gap` apart, with those at which they
    /// came; `None` for one that did not.
    pub(super) fn of(sent: &[Instant], came: &[Option<Instant>], gap: Duration) -> Self {
        let mut delays: Vec<Duration> = Vec::new();
        let mut arrivals: Vec<Instant> = Vec::new();
        for (sent, came) in sent.iter().zip(came) {
            if let Some(came) = came {
                delays.push(came.saturating_duration_since(*sent));
                arrivals.push(*came);
            }
        }
        let delay_min = delays.iter().min().copied().unwrap_or_default();
        let late = delays.iter().filter(|&&d| d >= delay_min + gap * LATE_FACTOR).count();
        let close =
            |pair: &[Instant]| pair[1].saturating_duration_since(pair[0]) < gap / TOGETHER_DIVISOR;
        let together = arrivals.windows(2).filter(|pair| close(pair)).count();
        let first = match (sent.first(), arrivals.iter().min()) {
            (Some(sent), Some(came)) => came.saturating_duration_since(*sent),
            _ => Duration::ZERO,
        };
        delays.sort_unstable();
        Self {
            sent: sent.len(),
            came: arrivals.len(),
            delay_min,
            delay_median: delays.get(delays.len() / 2).copied().unwrap_or_default(),
            delay_max: delays.last().copied().unwrap_or_default(),
            together,
            late,
            first,
        }
    }

    /// How even it was. Events that did not come at all are worse than held.
    pub(super) fn evenness(&self) -> Evenness {
        let worst = self.late.max(self.together) * 10;
        if self.came < self.sent || worst >= self.sent * BROKEN_TENTHS {
            Evenness::Held
        } else if worst >= self.sent * WARNING_TENTHS {
            Evenness::Uneven
        } else {
            Evenness::Even
        }
    }
}

/// When something came after each of these times: what can be said of a stream that is compressed,
/// whose events cannot be seen.
pub(super) fn next_pieces(sent: &[Instant], pieces: &[Piece]) -> Vec<Option<Instant>> {
    sent.iter().map(|sent| pieces.iter().map(|piece| piece.at).find(|at| at >= sent)).collect()
}

/// Pieces that came closer together than this are one burst: below what a person sees.
const BURST: Duration = Duration::from_millis(20);
/// The least size of a block that a buffer hands on, in bytes: half of the smallest in use (4 KiB),
/// because the first block also holds the head.
const BLOCK_BYTES_MIN: usize = 2_048;
/// From this many events in a burst on they are many.
const MANY: usize = 5;
/// From this pause between bursts on a person sees it.
const PAUSE: Duration = Duration::from_millis(500);

/// How a stream came whose sender is not ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bursts {
    /// Times at which something came.
    pub(super) bursts: usize,
    /// Bursts that end in the middle of a line and are as large as a buffer.
    pub(super) cut: usize,
    /// The most events in one burst.
    pub(super) most: usize,
    /// The average time from one burst to the next; none if there was one.
    pub(super) pause: Option<Duration>,
}

impl Bursts {
    pub(super) fn of(pieces: &[Piece], events: &[Came]) -> Self {
        let mut bursts: Vec<(Instant, Instant, usize, bool)> = Vec::new();
        for piece in pieces {
            match bursts.last_mut() {
                Some((_, last, bytes, whole)) if piece.at.duration_since(*last) < BURST => {
                    (*last, *bytes, *whole) = (piece.at, *bytes + piece.bytes, piece.whole);
                }
                _ => bursts.push((piece.at, piece.at, piece.bytes, piece.whole)),
            }
        }
        let within = |from: Instant, to: Instant| {
            events.iter().filter(|event| event.at >= from && event.at <= to).count()
        };
        let cut = bursts.iter().filter(|burst| !burst.3 && burst.2 >= BLOCK_BYTES_MIN).count();
        let most = bursts.iter().map(|burst| within(burst.0, burst.1)).max().unwrap_or(0);
        let pause = match (bursts.first(), bursts.last()) {
            (Some(first), Some(last)) if bursts.len() > 1 => {
                Some(last.0.duration_since(first.0) / (bursts.len() as u32 - 1))
            }
            _ => None,
        };
        Self { bursts: bursts.len(), cut, most, pause }
    }

    /// How even it was, as far as the arrival alone tells.
    pub(super) fn evenness(&self) -> Evenness {
        match self.pause {
            Some(_) if self.cut >= 2 => Evenness::Held,
            Some(pause) if self.most >= MANY && pause >= PAUSE => Evenness::Uneven,
            _ => Evenness::Even,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GAP: Duration = Duration::from_millis(200);

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Ten events, each of which comes at the time that `came` gives in milliseconds.
    fn pace(came: impl Fn(u64) -> Option<u64>) -> Pace {
        let start = Instant::now();
        let sent: Vec<Instant> = (0..10).map(|n| start + GAP * n).collect();
        let came: Vec<_> = (0..10).map(|n| came(n).map(|at| start + ms(at))).collect();
        Pace::of(&sent, &came, GAP)
    }

    #[test]
    fn an_even_pace_is_even_however_far_away() {
        for delay in [0, 1, 300] {
            let pace = pace(|n| Some(n * 200 + delay));
            assert_eq!(pace.evenness(), Evenness::Even);
            assert_eq!((pace.delay_min, pace.delay_max), (ms(delay), ms(delay)));
        }
    }

    #[test]
    fn all_at_the_end_is_held() {
        let pace = pace(|_| Some(1_900));
        assert_eq!(pace.evenness(), Evenness::Held);
        assert_eq!((pace.together, pace.first), (9, ms(1_900)));
    }

    #[test]
    fn pairs_and_lost_events_are_held() {
        assert_eq!(pace(|n| Some((n | 1) * 200)).evenness(), Evenness::Held);
        assert_eq!(pace(|n| (n < 9).then_some(n * 200)).evenness(), Evenness::Held);
    }

    #[test]
    fn one_slow_moment_is_even_and_several_are_uneven() {
        let slow = |n| if n == 3 || n == 4 { 1_001 } else { n * 200 };
        assert_eq!(pace(|n| Some(slow(n))).evenness(), Evenness::Even);
        let slower = |n| if (3..7).contains(&n) { 1_200 } else { n * 200 };
        assert_eq!(pace(|n| Some(slower(n))).evenness(), Evenness::Uneven);
    }

    fn stream(blocks: &[(u64, usize, bool, usize)]) -> Bursts {
        let start = Instant::now();
        let piece = |&(at, bytes, whole, _): &(u64, usize, bool, usize)| Piece {
            at: start + ms(at),
            bytes,
            whole,
        };
        let event =
            |at| Came { at, id: String::new(), event_type: String::new(), data: String::new() };
        let events: Vec<Came> = blocks
            .iter()
            .flat_map(|&(at, _, _, events)| {
                std::iter::repeat_with(move || event(start + ms(at))).take(events)
            })
            .collect();
        Bursts::of(&blocks.iter().map(piece).collect::<Vec<_>>(), &events)
    }

    #[test]
    fn blocks_that_cut_events_are_a_buffer() {
        let held = [(0, 4_096, false, 20), (1_000, 4_096, false, 20), (2_000, 900, true, 5)];
        assert_eq!(stream(&held).evenness(), Evenness::Held);
        let whole = held.map(|(at, bytes, _, events)| (at, bytes, true, events));
        assert_eq!(stream(&whole).evenness(), Evenness::Uneven);
        let one_by_one: Vec<_> = (0..20).map(|n| (n * 50, 200, true, 1)).collect();
        assert_eq!(stream(&one_by_one).evenness(), Evenness::Even);
    }

    #[test]
    fn reads_of_one_burst_are_one() {
        let bursts = stream(&[(0, 4_096, false, 1), (5, 100, true, 1), (900, 50, true, 1)]);
        assert_eq!((bursts.bursts, bursts.cut, bursts.most), (2, 0, 2));
        assert_eq!(bursts.pause, Some(ms(900)));
    }
}
