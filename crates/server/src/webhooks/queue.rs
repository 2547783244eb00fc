//! What is to be sent to one receiver: in which order, what at the same time, and what again when.
//!
//! A line for each topic or subject that something is told of: the next of a line is not sent
//! before the one in front was accepted or given up. Lines do not wait for each other. No I/O and
//! no clock of its own.
//!
//! How far it has come is two things: everything up to a position was taken in from the log, and of
//! the lines that are not empty the oldest that is left. Since a line is sent in order, that says
//! of every event whether it is done.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// Events held in memory; more wait in the log.
pub(super) const HELD_MAX: usize = 10_000;

/// Lines that are not empty; with more, nothing is taken in from the log.
pub(super) const LINES_MAX: usize = 4_096;

/// The longest wait between two tries.
pub(super) const DELAY_MAX: Duration = Duration::from_secs(15 * 60);

/// How often the wait doubles at most.
const DOUBLINGS_MAX: u32 = 20;

/// Something to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Item {
    /// Its position in the log.
    pub(super) sequence: u64,
    /// When it happened, milliseconds since 1970.
    pub(super) time_ms: u64,
    pub(super) body: Bytes,
}

#[derive(Debug, Default)]
struct Line {
    items: VecDeque<Item>,
    /// Tries of the first that have failed.
    failures: u32,
}

/// How far a receiver has come, as it is noted in the log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Position {
    /// Everything up to here was taken in.
    pub(super) through: u64,
    /// The lines that are not empty, in order, with the oldest of each.
    pub(super) left: Vec<(u64, u64)>,
}

impl Position {
    /// The position after which the log has to be read again.
    pub(super) fn after(&self) -> u64 {
        let oldest = self.left.iter().map(|&(_, sequence)| sequence.saturating_sub(1)).min();
        oldest.unwrap_or(self.through).min(self.through)
    }

    /// Whether something is done.
    pub(super) fn is_done(&self, line: u64, sequence: u64) -> bool {
        let oldest = self.left.binary_search_by_key(&line, |&(name, _)| name);
        sequence <= self.through && oldest.map_or(true, |at| sequence < self.left[at].1)
    }
}

/// What is to be sent.
#[derive(Debug, Default)]
pub(super) struct Queue {
    lines: HashMap<u64, Line>,
    held: usize,
    /// Lines whose first can be sent now.
    ready: VecDeque<u64>,
    /// Lines whose first is sent again, by when.
    again: BTreeMap<(Instant, u64), u64>,
    /// Everything up to here was taken in.
    through: u64,
}

impl Queue {
    /// Whether it takes more in from the log.
    pub(super) fn has_room(&self) -> bool {
        self.held < HELD_MAX && self.lines.len() < LINES_MAX
    }

    /// Takes something in.
    pub(super) fn push(&mut self, line: u64, item: Item) {
        self.held += 1;
        let items = &mut self.lines.entry(line).or_default().items;
        items.push_back(item);
        if items.len() == 1 {
            self.ready.push_back(line);
        }
    }

    /// Everything up to here was taken in.
    pub(super) fn taken_in(&mut self, through: u64) {
        self.through = self.through.max(through);
    }

    /// Something to be sent now, with its line.
    pub(super) fn next(&mut self) -> Option<(u64, Item)> {
        let line = self.ready.pop_front()?;
        let item = self.lines.get(&line)?.items.front()?.clone();
        Some((line, item))
    }

    /// The first of a line is done, by having been accepted or given up.
    pub(super) fn done(&mut self, line: u64) {
        let Some(entry) = self.lines.get_mut(&line) else { return };
        self.held -= usize::from(entry.items.pop_front().is_some());
        entry.failures = 0;
        if entry.items.is_empty() {
            self.lines.remove(&line);
        } else {
            self.ready.push_back(line);
        }
    }

    /// The first of a line was not accepted; returns how often that was so.
    pub(super) fn failed(&mut self, line: u64) -> u32 {
        let Some(entry) = self.lines.get_mut(&line) else { return 0 };
        entry.failures = entry.failures.saturating_add(1);
        entry.failures
    }

    /// Has the first of a line sent again.
    pub(super) fn again(&mut self, line: u64, at: Instant) {
        self.again.insert((at, line), line);
    }

    /// Makes ready what is to be sent again by now; returns when the next is.
    pub(super) fn due(&mut self, now: Instant) -> Option<Instant> {
        while let Some(first) = self.again.first_entry() {
            let at = first.key().0;
            if at > now {
                return Some(at);
            }
            self.ready.push_back(first.remove());
        }
        None
    }

    /// Events held.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// How far it has come.
    pub(super) fn position(&self) -> Position {
        let oldest = |(&line, entry): (&u64, &Line)| Some((line, entry.items.front()?.sequence));
        let mut left: Vec<(u64, u64)> = self.lines.iter().filter_map(oldest).collect();
        left.sort_unstable();
        Position { through: self.through, left }
    }
}

/// The wait after so many failures: doubled each time, and of the whole a random part between a
/// half and all, so that what failed together is not tried again together. `dice` is any number.
pub(super) fn delay(first: Duration, failures: u32, dice: u64) -> Duration {
    let doublings = failures.saturating_sub(1).min(DOUBLINGS_MAX);
    let whole = first.saturating_mul(1 << doublings).min(DELAY_MAX);
    // Below 1,000, so it fits.
    whole / 2 + whole / 2 * u32::try_from(dice % 1_000).unwrap_or(0) / 1_000
}
