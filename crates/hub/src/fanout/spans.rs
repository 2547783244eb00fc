//! Spans read from the log, kept for a moment for the next who needs them.
//!
//! When ten thousand clients reconnect at once they want the same events. The first to arrive reads
//! and encodes a span; whoever stands anywhere inside it is served a slice of it. Only spans of one
//! topic that hold nothing that can expire or be superseded are kept, so a kept span is never
//! stale.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use tidings_frame::End;
use tidings_log::TopicId;

use super::frame::View;
use super::tail::Span;

/// Bytes of spans kept at most: what a reconnect storm reads while it lasts.
pub(crate) const KEPT_SPANS_BYTES_MAX: usize = 32 << 20;

/// Bytes of spans kept for each reader at most. A lone reader has little use for what it has read.
pub(crate) const KEPT_SPANS_BYTES_EACH: usize = 128 << 10;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    topic: TopicId,
    view: View,
    /// The position that it was read after.
    after: u64,
}

struct Kept {
    /// The position after it.
    last: u64,
    bytes: Bytes,
    /// Sequence of each frame and where it begins.
    frames: Vec<(u64, u32)>,
    end: Option<End>,
    since_ms: u64,
}

#[derive(Default)]
struct Inner {
    spans: BTreeMap<Key, Arc<Kept>>,
    /// In the order they came, which is the order they go.
    order: VecDeque<Key>,
    bytes: usize,
}

/// The kept spans of a hub.
#[derive(Default)]
pub(crate) struct Spans {
    inner: Mutex<Inner>,
    /// Counts its clones: each reader holds one.
    readers: Reader,
}

/// Somebody who is catching up.
pub(crate) type Reader = Arc<()>;

impl Spans {
    /// Registers a reader for as long as it holds what is returned.
    pub(crate) fn reader(&self) -> Reader {
        self.readers.clone()
    }

    /// Lets go of what is kept for readers that have caught up.
    pub(crate) fn trim(&self) {
        self.shrink(&mut self.inner.lock());
    }

    fn shrink(&self, inner: &mut Inner) {
        let readers = Arc::strong_count(&self.readers) - 1;
        let most = KEPT_SPANS_BYTES_MAX.min(readers.saturating_mul(KEPT_SPANS_BYTES_EACH));
        while inner.bytes > most {
            let Some(oldest) = inner.order.pop_front() else { break };
            if let Some(gone) = inner.spans.remove(&oldest) {
                inner.bytes -= gone.bytes.len();
            }
        }
    }

    /// What is due after `after`, if a kept span covers that position.
    pub(crate) fn find(&self, topic: TopicId, view: View, after: u64) -> Option<Span> {
        let kept = {
            let inner = self.inner.lock();
            let (key, kept) = inner.spans.range(..=Key { topic, view, after }).next_back()?;
            if key.topic != topic || key.view != view || kept.last <= after {
                return None;
            }
            kept.clone()
        };
        let first = kept.frames.partition_point(|&(sequence, _)| sequence <= after);
        let start = kept.frames.get(first).map_or(kept.bytes.len(), |&(_, start)| start as usize);
        Some(Span {
            bytes: kept.bytes.slice(start..),
            after: kept.last,
            events: u32::try_from(kept.frames.len() - first).unwrap_or(u32::MAX),
            end: kept.end,
            since_ms: kept.since_ms,
        })
    }

    /// Keeps a span that was read after `after`.
    pub(crate) fn keep(
        &self,
        topic: TopicId,
        view: View,
        after: u64,
        span: &Span,
        frames: Vec<(u64, u32)>,
    ) {
        let key = Key { topic, view, after };
        let kept = Kept {
            last: span.after,
            bytes: span.bytes.clone(),
            frames,
            end: span.end,
            since_ms: span.since_ms,
        };
        let mut inner = self.inner.lock();
        inner.bytes += kept.bytes.len();
        match inner.spans.insert(key, Arc::new(kept)) {
            Some(old) => inner.bytes -= old.bytes.len(),
            None => inner.order.push_back(key),
        }
        self.shrink(&mut inner);
    }
}

#[cfg(test)]
mod tests {
    use super::super::frame::Framing;
    use super::*;

    const VIEW: View = View { framing: Framing::Plain, private: false, conflate: false };

    fn span(bytes: &'static [u8], after: u64) -> Span {
        Span { bytes: Bytes::from_static(bytes), after, events: 0, end: None, since_ms: 0 }
    }

    #[test]
    fn serves_whoever_stands_inside() {
        let spans = Spans::default();
        let _reader = spans.reader();
        spans.keep(TopicId(1), VIEW, 10, &span(b"aabbcc", 30), vec![(11, 0), (20, 2), (30, 4)]);
        let found = |topic, after| {
            spans
                .find(TopicId(topic), VIEW, after)
                .map(|span| (span.bytes, span.after, span.events))
        };
        assert_eq!(found(1, 10), Some((Bytes::from_static(b"aabbcc"), 30, 3)));
        assert_eq!(found(1, 11), Some((Bytes::from_static(b"bbcc"), 30, 2)));
        assert_eq!(found(1, 29), Some((Bytes::from_static(b"cc"), 30, 1)));
        assert_eq!(found(1, 30), None);
        assert_eq!(found(1, 9), None);
        assert_eq!(found(2, 12), None);
    }

    #[test]
    fn keeps_no_more_than_its_bound() {
        let spans = Spans::default();
        let readers: Vec<Reader> = (0..1_000).map(|_| spans.reader()).collect();
        let big = Bytes::from(vec![0; 1 << 20]);
        for after in 0..100 {
            let span = Span { bytes: big.clone(), ..span(b"", after + 1) };
            spans.keep(TopicId(1), VIEW, after, &span, vec![(after + 1, 0)]);
        }
        assert!(spans.inner.lock().bytes <= KEPT_SPANS_BYTES_MAX);
        assert!(spans.find(TopicId(1), VIEW, 0).is_none());
        assert!(spans.find(TopicId(1), VIEW, 99).is_some());
        drop(readers);
        spans.trim();
        assert_eq!(spans.inner.lock().bytes, 0, "nothing is kept for nobody");
    }
}
