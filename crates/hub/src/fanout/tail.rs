//! The newest frames of one topic in one framing, in memory, for those who follow it.
//!
//! Frames lie one behind the other in one buffer, so all that is due to a subscriber is one slice
//! and one write. What does not fit is forgotten from the front; a subscriber whose position is
//! older than that reads the log instead, so the bound costs nobody an event.

use std::collections::{HashSet, VecDeque};

use bytes::Bytes;
use tidings_frame::End;

use super::frame::View;

/// Most bytes of frames that one tail keeps, unless a single frame is larger: 64 frames of the
/// largest size that is common for a token or a quote (10 KiB), with room.
pub const TAIL_BYTES_MAX: usize = 1 << 20;

/// Most bytes that one tail keeps while all tails together are over [`TAILS_BYTES_MAX`].
pub const TAIL_BYTES_CROWDED: usize = 16 << 10;

/// Bytes of all tails of a hub from which on each is held to [`TAIL_BYTES_CROWDED`].
pub const TAILS_BYTES_MAX: usize = 64 << 20;

/// Most bytes handed to a subscriber at a time: what a peer that stops reading in the middle of a
/// write can pin.
pub const SPAN_BYTES_MAX: usize = 64 << 10;

/// Entries looked at from the end before the whole tail is searched.
const STEPS_FROM_END: usize = 8;

/// How long a frame stays in a tail, in milliseconds. A subscriber that reads takes it within one;
/// the rest is slack for a thread that was busy. Twice as long, the tails of a thousand LLM answers
/// are what most of their memory goes to.
pub const TAIL_AGE_MS: u64 = 500;

/// What a tail knows of a frame besides its bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FrameInfo {
    pub(crate) sequence: u64,
    /// When it became visible, milliseconds since 1970.
    pub(crate) time_ms: u64,
    /// Hash of the key, 0 for none.
    pub(crate) key: u64,
    /// When it expires, milliseconds since 1970; `u64::MAX` for never.
    pub(crate) expires_ms: u64,
    pub(crate) private: bool,
    pub(crate) end: Option<End>,
}

impl FrameInfo {
    fn is_special(&self) -> bool {
        self.private || self.expires_ms != u64::MAX
    }
}

struct Entry {
    info: FrameInfo,
    /// Where its bytes end, counted from the beginning of time.
    end: u64,
}

/// Consecutive frames for one subscriber, shared by all that stand at the same position.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// The frames. May be empty when all were filtered out.
    pub bytes: Bytes,
    /// The subscriber's position once they are written.
    pub after: u64,
    /// How many frames.
    pub events: u32,
    /// How the last one ends its topic, if it does.
    pub end: Option<End>,
    /// When the oldest of them became visible, milliseconds since 1970.
    pub since_ms: u64,
}

/// Frames of several topics on their way to one subscriber.
#[derive(Default)]
pub struct Gathered {
    frames: Vec<GatheredFrame>,
    bytes: Vec<u8>,
}

struct GatheredFrame {
    sequence: u64,
    time_ms: u64,
    key: u64,
    start: usize,
    end: usize,
}

impl Gathered {
    fn push(&mut self, info: &FrameInfo, frame: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(frame);
        self.frames.push(GatheredFrame {
            sequence: info.sequence,
            time_ms: info.time_ms,
            key: info.key,
            start,
            end: self.bytes.len(),
        });
    }

    /// The oldest of what was gathered, in order, each event once though it may be in several
    /// topics, and as much as fits in a span; the rest is gathered again next time. `None` if there
    /// is nothing. A subscriber that has it all is at `through`.
    ///
    /// Keys are the topics' own, so `conflate` must not merge equal keys of different topics: they
    /// are hashed with the topic.
    pub fn take(&mut self, through: u64, conflate: bool) -> Option<Span> {
        self.frames.sort_by_key(|frame| frame.sequence);
        self.frames.dedup_by_key(|frame| frame.sequence);
        let since_ms = self.frames.first()?.time_ms;
        let (mut fit, mut size) = (0, 0);
        for frame in &self.frames {
            if fit > 0 && size + frame.end - frame.start > SPAN_BYTES_MAX {
                break;
            }
            size += frame.end - frame.start;
            fit += 1;
        }
        let after = if fit == self.frames.len() { through } else { self.frames[fit - 1].sequence };
        self.frames.truncate(fit);
        if conflate && fit > 1 {
            let mut seen = HashSet::new();
            self.frames.reverse();
            self.frames.retain(|frame| frame.key == 0 || seen.insert(frame.key));
            self.frames.reverse();
        }
        let mut bytes = Vec::with_capacity(size);
        for frame in &self.frames {
            bytes.extend_from_slice(&self.bytes[frame.start..frame.end]);
        }
        let events = u32::try_from(self.frames.len()).unwrap_or(u32::MAX);
        self.frames.clear();
        self.bytes.clear();
        Some(Span { bytes: bytes.into(), after, events, end: None, since_ms })
    }
}

/// What a tail can do for a position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The position is older than the tail: read the log.
    Behind,
    /// Nothing is due.
    Nothing,
    /// This is due. There may be more after it.
    Due(Span),
}

/// The newest frames of a topic.
pub struct Tail {
    /// Holds all the topic's visible events with a larger sequence.
    from: u64,
    entries: VecDeque<Entry>,
    bytes: Vec<u8>,
    /// Forgotten bytes at the front of `bytes`.
    dead: usize,
    /// Bytes that have gone before `bytes[0]`.
    base: u64,
    /// How many entries need a look before they are handed out.
    special: usize,
}

impl Tail {
    pub(crate) fn new(from: u64) -> Self {
        Self { from, entries: VecDeque::new(), bytes: Vec::new(), dead: 0, base: 0, special: 0 }
    }

    /// Bytes of frames it holds.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() - self.dead
    }

    /// The newest sequence that is in here or known to be before it.
    pub(crate) fn newest(&self) -> u64 {
        self.entries.back().map_or(self.from, |entry| entry.info.sequence)
    }

    pub(crate) fn push(&mut self, info: FrameInfo, frame: &[u8], bytes_max: usize) {
        if info.sequence <= self.newest() {
            // Encoded for a tail that was given up before this one began behind it.
            return;
        }
        // The keeper comes round too seldom for a thousand topics of fifty frames a second.
        self.drop_before(info.time_ms.saturating_sub(TAIL_AGE_MS));
        self.make_room(frame.len(), bytes_max);
        self.bytes.extend_from_slice(frame);
        self.special += usize::from(info.is_special());
        let end = self.base + self.bytes.len() as u64;
        self.entries.push_back(Entry { info, end });
        while self.len() > bytes_max && self.entries.len() > 1 {
            self.forget_oldest();
        }
        // Each byte is moved at most once on average.
        if self.dead > 0 && self.dead >= self.len() {
            self.compact();
        }
    }

    /// Forgets frames that became visible before `time_ms`.
    pub(crate) fn forget_before(&mut self, time_ms: u64) {
        self.drop_before(time_ms);
        if self.entries.is_empty() {
            self.bytes = Vec::new();
            self.base += self.dead as u64;
            self.dead = 0;
        } else if self.dead > 0 && self.dead >= self.len() {
            self.compact();
        }
    }

    fn drop_before(&mut self, time_ms: u64) {
        while self.entries.front().is_some_and(|entry| entry.info.time_ms < time_ms) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some(entry) = self.entries.pop_front() {
            self.special -= usize::from(entry.info.is_special());
            self.from = entry.info.sequence;
            self.dead = usize::try_from(entry.end - self.base).unwrap_or(self.bytes.len());
        }
    }

    /// Grows the buffer by doubling, but to no more than half above the limit: what is forgotten
    /// makes room for what comes, as long as no byte is moved more than four times on average.
    fn make_room(&mut self, frame: usize, bytes_max: usize) {
        if self.bytes.len() + frame <= self.bytes.capacity() {
            return;
        }
        let most = bytes_max + bytes_max / 2;
        if self.dead > 0 && self.dead >= self.len() / 4 {
            self.compact();
        }
        let wanted = self.bytes.len() + frame;
        if wanted > self.bytes.capacity() {
            let doubled = wanted.max(self.bytes.capacity() * 2).min(most.max(wanted));
            self.bytes.reserve_exact(doubled - self.bytes.len());
        }
    }

    /// Moves the living bytes to the front.
    fn compact(&mut self) {
        self.bytes.copy_within(self.dead.., 0);
        self.bytes.truncate(self.len());
        self.base += self.dead as u64;
        self.dead = 0;
    }

    fn range(&self, first: usize, last: usize) -> (usize, usize) {
        let start = if first == 0 {
            self.dead
        } else {
            usize::try_from(self.entries[first - 1].end - self.base).unwrap_or(0)
        };
        (start, usize::try_from(self.entries[last].end - self.base).unwrap_or(0))
    }

    /// The place of the first entry after a position. Nearly everybody stands near the end, so a
    /// few steps from there find it without touching what is older.
    fn first_after(&self, after: u64) -> usize {
        let len = self.entries.len();
        for back in 0..len.min(STEPS_FROM_END) {
            if self.entries[len - 1 - back].info.sequence <= after {
                return len - back;
            }
        }
        self.entries.partition_point(|entry| entry.info.sequence <= after)
    }

    /// What is due to a subscriber that has everything up to `after`, as far as `through`.
    pub fn reach(&self, after: u64, through: u64, view: View, now_ms: u64) -> Reach {
        if after < self.from {
            return if through > after { Reach::Behind } else { Reach::Nothing };
        }
        let first = self.first_after(after);
        let mut last = first;
        let mut bytes = 0;
        while let Some(entry) = self.entries.get(last) {
            let (start, end) = self.range(last, last);
            if entry.info.sequence > through || (bytes > 0 && bytes + end - start > SPAN_BYTES_MAX)
            {
                break;
            }
            bytes += end - start;
            last += 1;
        }
        if last == first {
            return Reach::Nothing;
        }
        Reach::Due(self.span(first, last, view, now_ms))
    }

    /// See [`Live::gather`](super::Live::gather).
    pub(crate) fn gather(
        &self,
        after: u64,
        through: u64,
        view: View,
        now_ms: u64,
        due: &mut Gathered,
    ) -> bool {
        if after < self.from && through > after {
            return false;
        }
        let first = self.entries.partition_point(|entry| entry.info.sequence <= after);
        for at in first..self.entries.len() {
            let info = &self.entries[at].info;
            if info.sequence > through {
                break;
            }
            if info.expires_ms > now_ms && (view.private || !info.private) {
                let (start, end) = self.range(at, at);
                due.push(info, &self.bytes[start..end]);
            }
        }
        true
    }

    /// Frames `first..last`, which is not empty.
    fn span(&self, first: usize, last: usize, view: View, now_ms: u64) -> Span {
        let newest = &self.entries[last - 1].info;
        let mut span = Span {
            bytes: Bytes::new(),
            after: newest.sequence,
            events: u32::try_from(last - first).unwrap_or(u32::MAX),
            end: newest.end,
            since_ms: self.entries[first].info.time_ms,
        };
        if self.special == 0 && !(view.conflate && last - first > 1) {
            let (start, end) = self.range(first, last - 1);
            span.bytes = Bytes::copy_from_slice(&self.bytes[start..end]);
            return span;
        }
        let mut wanted: Vec<usize> = Vec::with_capacity(last - first);
        let mut seen = HashSet::new();
        for at in (first..last).rev() {
            let info = &self.entries[at].info;
            let superseded = view.conflate && info.key != 0 && !seen.insert(info.key);
            if !superseded && info.expires_ms > now_ms && (view.private || !info.private) {
                wanted.push(at);
            }
        }
        let mut bytes = Vec::new();
        for &at in wanted.iter().rev() {
            let (start, end) = self.range(at, at);
            bytes.extend_from_slice(&self.bytes[start..end]);
        }
        span.events = u32::try_from(wanted.len()).unwrap_or(u32::MAX);
        span.bytes = bytes.into();
        span
    }
}

#[cfg(test)]
mod tests {
    use super::super::frame::Framing;
    use super::*;

    const VIEW: View = View { framing: Framing::Plain, private: false, conflate: false };

    fn info(sequence: u64) -> FrameInfo {
        FrameInfo {
            sequence,
            time_ms: sequence,
            key: 0,
            expires_ms: u64::MAX,
            private: false,
            end: None,
        }
    }

    fn due(tail: &Tail, after: u64, through: u64, view: View) -> (String, u64, u32) {
        match tail.reach(after, through, view, 100) {
            Reach::Due(span) => {
                (String::from_utf8(span.bytes.to_vec()).unwrap(), span.after, span.events)
            }
            other => panic!("nothing due: {other:?}"),
        }
    }

    #[test]
    fn hands_out_exactly_what_is_after_the_position() {
        let mut tail = Tail::new(5);
        for sequence in [7, 9, 12] {
            tail.push(info(sequence), format!("<{sequence}>").as_bytes(), TAIL_BYTES_MAX);
        }
        assert_eq!(tail.reach(4, 12, VIEW, 0), Reach::Behind);
        assert_eq!(due(&tail, 5, 12, VIEW), ("<7><9><12>".into(), 12, 3));
        assert_eq!(due(&tail, 8, 12, VIEW), ("<9><12>".into(), 12, 2));
        assert_eq!(due(&tail, 7, 11, VIEW), ("<9>".into(), 9, 1));
        assert_eq!(tail.reach(9, 11, VIEW, 0), Reach::Nothing);
        assert_eq!(tail.reach(12, 99, VIEW, 0), Reach::Nothing);
        assert_eq!(tail.reach(4, 4, VIEW, 0), Reach::Nothing);
    }

    #[test]
    fn a_steady_stream_keeps_frames_of_its_age_and_little_more() {
        let mut tail = Tail::new(0);
        let kept = usize::try_from(TAIL_AGE_MS / 20).unwrap() + 1;
        for sequence in 1..=1_000 {
            let info = FrameInfo { time_ms: sequence * 20, ..info(sequence) };
            tail.push(info, &[b'x'; 300], TAIL_BYTES_MAX);
            assert!(tail.len() <= kept * 300);
            assert!(tail.bytes.capacity() <= 2 * kept * 300, "{}", tail.bytes.capacity());
        }
        assert_eq!(tail.entries.len(), kept);
        let oldest = 1_000 - kept as u64;
        assert_eq!(tail.reach(oldest - 1, 1_000, VIEW, 0), Reach::Behind);
        assert_eq!(due(&tail, oldest, 1_000, VIEW).2 as usize, kept);
    }

    #[test]
    fn forgets_from_the_front_and_knows_it() {
        let mut tail = Tail::new(0);
        for sequence in 1..=100 {
            tail.push(info(sequence), &[b'x'; 10], 55);
            assert!(tail.len() <= 55);
            assert!(tail.bytes.capacity() <= 2 * 55 + 10);
        }
        assert_eq!(tail.reach(94, 100, VIEW, 0), Reach::Behind);
        assert_eq!(due(&tail, 95, 100, VIEW).2, 5);
        tail.push(info(101), &[b'y'; 500], 55);
        assert_eq!(due(&tail, 100, 101, VIEW).0.len(), 500);
        tail.forget_before(102);
        assert_eq!((tail.len(), tail.newest()), (0, 101));
        tail.push(info(102), b"z", 55);
        assert_eq!(due(&tail, 101, 102, VIEW).0, "z");
    }

    #[test]
    fn a_span_is_bounded() {
        let mut tail = Tail::new(0);
        for sequence in 1..=10 {
            tail.push(info(sequence), &vec![b'x'; 30 << 10], TAIL_BYTES_MAX);
        }
        assert_eq!(due(&tail, 0, 10, VIEW).1, 2);
        assert_eq!(due(&tail, 2, 10, VIEW).1, 4);
    }

    #[test]
    fn filters_private_expired_and_superseded() {
        let mut tail = Tail::new(0);
        tail.push(FrameInfo { private: true, ..info(1) }, b"p", 100);
        tail.push(FrameInfo { expires_ms: 50, ..info(2) }, b"e", 100);
        tail.push(FrameInfo { key: 8, ..info(3) }, b"a", 100);
        tail.push(FrameInfo { key: 9, ..info(4) }, b"b", 100);
        tail.push(FrameInfo { key: 8, ..info(5) }, b"c", 100);
        tail.push(info(6), b"d", 100);
        assert_eq!(due(&tail, 0, 6, VIEW), ("abcd".into(), 6, 4));
        let all = View { private: true, conflate: true, ..VIEW };
        assert_eq!(due(&tail, 0, 6, all), ("pbcd".into(), 6, 4));
        assert_eq!(due(&tail, 0, 2, VIEW), (String::new(), 2, 0));
    }
}
