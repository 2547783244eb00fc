//! Delivery: what is due goes to each socket in one write.
//!
//! Topics with news wait in line. A slice takes the first, writes to so many of its subscribers,
//! and then the loop looks for requests before it goes on; so publishes are taken while a large
//! topic is being delivered, and a subscriber whose turn comes later gets everything up to that
//! moment in one write. A lone event is written at once to everybody.

use std::collections::HashSet;
use std::sync::Arc;

use tidings_hub::{Gathered, Live, Reach, Span, View};

use super::conn::Wrote;
use super::shard::{Conn, Seat, Shard};
use super::slots::Key;

/// Writes in one slice.
const WRITES_PER_SLICE: usize = 64;

/// Subscribers looked at in one slice, most of which have everything already.
const LOOKS_PER_SLICE: usize = 1_024;

/// Spans written to one subscriber before it is another's turn.
const SPANS_PER_TURN: usize = 4;

/// What became of a turn.
#[derive(PartialEq, Eq)]
enum Turn {
    /// It has everything.
    UpToDate,
    /// It has more to get, but others are waiting.
    Again,
    /// Its socket is full, or it has gone elsewhere.
    Off,
}

/// The last span read from a tail: nearly every subscriber of a topic stands at the same position.
struct Kept {
    after: u64,
    view: View,
    span: Span,
}

impl Shard {
    /// Puts topics with news in line.
    pub(super) fn news(&mut self, topics: &mut Vec<Arc<Live>>) {
        for live in topics.drain(..) {
            let Some(topic) = self.follows.news(&live) else { continue };
            let Some(followed) = self.follows.get_mut(topic) else {
                continue;
            };
            if followed.queued {
                followed.again = true;
            } else if !followed.singles.is_empty() {
                followed.queued = true;
                followed.next = 0;
                self.line.push_back(topic);
            }
            for at in 0..followed.many.len() {
                let Some(followed) = self.follows.get(topic) else {
                    break;
                };
                let key = followed.many[at];
                self.due(key, topic);
            }
        }
    }

    /// Notes that a subscriber of several topics has news in one of them.
    fn due(&mut self, key: Key, topic: u64) {
        if let Some(Conn::Seat(Seat { many: Some(many), .. })) = self.conns.get_mut(key) {
            many.due.insert(topic);
            if !many.queued {
                many.queued = true;
                self.line_of_many.push_back(key);
            }
        }
    }

    /// Whether anybody waits for delivery.
    pub(super) fn has_deliveries(&self) -> bool {
        !self.line.is_empty() || !self.line_of_many.is_empty()
    }

    /// Delivers a slice.
    pub(super) fn deliver(&mut self) {
        let mut writes = 0;
        while writes < WRITES_PER_SLICE {
            let Some(topic) = self.line.pop_front() else { break };
            // A topic that takes no write counts too, so that a slice ends.
            writes += self.deliver_topic(topic, WRITES_PER_SLICE - writes).max(1);
        }
        while writes < WRITES_PER_SLICE {
            let Some(key) = self.line_of_many.pop_front() else { break };
            self.deliver_many(key);
            writes += 1;
        }
    }

    /// Goes on with the pass over a topic's subscribers; returns the writes it took.
    fn deliver_topic(&mut self, topic: u64, writes_max: usize) -> usize {
        let Some(followed) = self.follows.get_mut(topic) else { return 0 };
        let live = followed.live.clone();
        let mut next = followed.next;
        let (mut writes, mut looks) = (0, 0);
        let mut kept: Option<Kept> = None;
        let mut again = false;
        let mut newest_ms = None;
        while writes < writes_max && looks < LOOKS_PER_SLICE {
            let Some(&key) = self.follows.get(topic).and_then(|f| f.singles.get(next)) else {
                break;
            };
            looks += 1;
            let events = self.counts.events;
            let turn = self.turn(key, &live, &mut kept);
            if self.counts.events > events {
                writes += 1;
                newest_ms = kept.as_ref().map(|kept| kept.span.since_ms);
            }
            again |= turn == Turn::Again;
            // Whoever left has put another in its place.
            let stays = self.follows.get(topic).and_then(|f| f.singles.get(next)) == Some(&key);
            next += usize::from(stays);
        }
        if let Some(since_ms) = newest_ms {
            self.app.metrics.delivered_after(self.now_ms.saturating_sub(since_ms));
        }
        let Some(followed) = self.follows.get_mut(topic) else {
            return writes;
        };
        followed.again |= again;
        followed.next = next;
        if next >= followed.singles.len() {
            followed.next = 0;
            if !std::mem::take(&mut followed.again) {
                followed.queued = false;
                return writes;
            }
        }
        self.line.push_back(topic);
        writes
    }

    /// A turn of a subscriber of one topic.
    fn turn(&mut self, key: Key, live: &Live, kept: &mut Option<Kept>) -> Turn {
        let (visible, now_ms) = (self.visible, self.now_ms);
        for _ in 0..SPANS_PER_TURN {
            let Some(Conn::Seat(seat)) = self.conns.get_mut(key) else {
                return Turn::Off;
            };
            let subscriber = &mut seat.subscriber;
            if seat.blocked || subscriber.closing || subscriber.after >= visible {
                return if seat.blocked { Turn::Off } else { Turn::UpToDate };
            }
            let (after, view) = (subscriber.after, subscriber.view);
            if kept.as_ref().is_none_or(|kept| kept.after != after || kept.view != view) {
                match live.reach(after, visible, view, now_ms) {
                    Reach::Due(span) => *kept = Some(Kept { after, view, span }),
                    Reach::Nothing => {
                        // Nothing for it up to here: so it stands here.
                        return Turn::UpToDate;
                    }
                    Reach::Behind => {
                        self.send_to_backfill(key);
                        return Turn::Off;
                    }
                }
            }
            let Some(Kept { span, .. }) = kept else {
                return Turn::UpToDate;
            };
            let span = span.clone();
            if !self.write_span(key, &span) {
                return Turn::Off;
            }
        }
        Turn::Again
    }

    /// Writes a span and moves the position. `false` if the socket takes no more.
    fn write_span(&mut self, key: Key, span: &Span) -> bool {
        let timer_ms = self.timer_ms;
        let Some(Conn::Seat(seat)) = self.conns.get_mut(key) else {
            return false;
        };
        let subscriber = &mut seat.subscriber;
        subscriber.after = span.after;
        let single = seat.many.is_none();
        subscriber.closing |= span.end.is_some() && single;
        if span.bytes.is_empty() {
            return true;
        }
        subscriber.events += u64::from(span.events);
        let wrote = subscriber.write(&span.bytes, timer_ms);
        seat.blocked = wrote == Wrote::Part;
        let (blocked, closing) = (seat.blocked, subscriber.closing);
        self.counts.events += u64::from(span.events);
        self.counts.bytes += span.bytes.len() as u64;
        self.counts.writes += 1;
        if wrote == Wrote::Gone || (closing && !blocked) {
            self.close(key);
            return false;
        }
        !blocked
    }

    /// A turn of a subscriber of several topics: what is due in all of them, in one order.
    fn deliver_many(&mut self, key: Key) {
        let (visible, now_ms) = (self.visible, self.now_ms);
        let Some(Conn::Seat(seat)) = self.conns.get_mut(key) else {
            return;
        };
        let Some(many) = &mut seat.many else { return };
        many.queued = false;
        if seat.blocked {
            return;
        }
        let (after, view) = (seat.subscriber.after, seat.subscriber.view);
        let due: Vec<u64> = many.due.iter().copied().collect();
        let mut gathered = Gathered::default();
        for topic in due {
            let Some(followed) = self.follows.get(topic) else {
                continue;
            };
            if !followed.live.gather(after, visible, view, now_ms, &mut gathered) {
                return self.send_to_backfill(key);
            }
        }
        let span = gathered.take(visible, view.conflate);
        let all = span.as_ref().is_none_or(|span| span.after >= visible);
        if let Some(Conn::Seat(Seat { many: Some(many), subscriber, .. })) = self.conns.get_mut(key)
        {
            if all {
                many.due.clear();
                subscriber.after = subscriber.after.max(visible);
            }
            many.queued = !all;
        }
        if let Some(span) = span {
            self.app.metrics.delivered_after(now_ms.saturating_sub(span.since_ms));
            self.write_span(key, &span);
        }
        if !all {
            self.line_of_many.push_back(key);
        }
    }

    /// The socket of a subscriber takes bytes again.
    pub(super) fn unblocked(&mut self, key: Key) {
        let timer_ms = self.timer_ms;
        let Some(Conn::Seat(seat)) = self.conns.get_mut(key) else {
            return;
        };
        if !seat.blocked {
            return;
        }
        match seat.subscriber.write_rest(timer_ms) {
            Wrote::Part => return,
            Wrote::Gone => return self.close(key),
            Wrote::All => seat.blocked = false,
        }
        if seat.subscriber.closing {
            return self.close(key);
        }
        match (&mut seat.many, seat.topic) {
            (Some(many), _) => {
                if !many.queued {
                    many.queued = true;
                    self.line_of_many.push_back(key);
                }
            }
            (None, topic) => {
                let Some(live) = self.follows.get(topic).map(|f| f.live.clone()) else {
                    return;
                };
                while self.turn(key, &live, &mut None) == Turn::Again {}
            }
        }
    }
}

/// What a subscriber of several topics has besides.
#[derive(Default)]
pub(super) struct Many {
    /// Topics with news since its position.
    pub(super) due: HashSet<u64>,
    /// Whether it waits in line.
    pub(super) queued: bool,
}
