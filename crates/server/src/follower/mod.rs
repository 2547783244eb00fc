//! A subscription for whoever is a task and not a row of a shard's table: WebSocket connections,
//! and streams over TLS and HTTP/2.
//!
//! The same loop as everywhere (catch up from the log → follow the tail → fell behind? → …) over
//! the same shared frames, asked by polling: a follower hands out one span at a time and holds none
//! of them, so what a peer that stops reading pins is what its connection took last.
//!
//! It joins the [`Board`] first and finds its place afterwards, so nothing slips through between
//! the two: what became visible before it had joined is read from the log or from the tails, what
//! becomes visible later is noted on the board. It stays joined while it reads the log, which
//! happens on the [`LogReader`]'s thread.

mod board;
mod reader;
#[cfg(test)]
mod tests;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tidings_frame::End;
use tidings_hub::{
    Backlog, Gap, Gathered, Hub, Live, Reach, Selection, Span, Start, Started, Step, StoreError,
    View,
};
use tidings_relay::merged::{self, Merge};
use tokio::sync::oneshot;

pub(crate) use board::Board;
pub(crate) use reader::LogReader;

use crate::lanes;
use board::Joined;

/// What a follower tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// Where it begins; told once, before anything else.
    Began {
        after: u64,
        gap: Option<Gap>,
        /// Where and how its only topic has ended, if nothing will come any more.
        over: Option<(u64, End)>,
    },
    /// What comes next, and what is missing before it.
    Span { gap: Option<Gap>, span: Span, from_log: bool },
}

/// A subscription and its position.
pub(crate) struct Follower {
    board: Arc<Board>,
    reader: Arc<LogReader>,
    joined: Joined,
    selection: Arc<Selection>,
    view: View,
    /// It has, or does not want, every event up to here.
    after: u64,
    phase: Phase,
    /// Whether the tails may serve its beginning.
    resumes: bool,
    /// How what it reads from the log is merged, if it is.
    merge: Option<Merge>,
}

enum Phase {
    /// Finds its place.
    Begins(oneshot::Receiver<Beginning>),
    /// Is to read the log.
    Behind(Box<Backlog>),
    /// Has the log read; for what it does not follow any more, if it has `changed` since.
    Reads { read: oneshot::Receiver<(Box<Backlog>, Result<Step, StoreError>)>, changed: bool },
    /// Follows the tails.
    Live,
}

struct Beginning {
    backlog: Box<Backlog>,
    started: Started,
    over: Option<(u64, End)>,
}

impl Follower {
    /// A follower that begins at `start`.
    pub(crate) fn new(
        board: Arc<Board>,
        reader: Arc<LogReader>,
        selection: Arc<Selection>,
        start: Start,
        view: View,
    ) -> Self {
        let joined = board.join(&selection, view.framing);
        // Whoever asks for what is kept gets it as the log tells it: conflated, say.
        let resumes = matches!(start, Start::Live | Start::After(_));
        let of = selection.clone();
        let begins = reader.ask(move |hub| begin(hub, of, &start));
        let phase = Phase::Begins(begins);
        Self { board, reader, joined, selection, view, after: 0, phase, resumes, merge: None }
    }

    /// Says how what it reads from the log is merged: for a reader of an answer who asked for it.
    pub(crate) fn merges(&mut self, merge: Option<Merge>) {
        self.merge = merge;
    }

    pub(crate) fn selection(&self) -> &Arc<Selection> {
        &self.selection
    }

    pub(crate) fn view(&self) -> View {
        self.view
    }

    /// Shows private events from now on, or does not.
    pub(crate) fn show_private(&mut self, private: bool) {
        self.view.private = private;
    }

    /// It has, or does not want, every event up to here.
    pub(crate) fn after(&self) -> u64 {
        self.after
    }

    /// Whether it reads the log.
    pub(crate) fn is_catching_up(&self) -> bool {
        !matches!(self.phase, Phase::Live)
    }

    /// Whether it has said where it begins.
    pub(crate) fn has_begun(&self) -> bool {
        !matches!(self.phase, Phase::Begins(_))
    }

    /// The next news. After an error the position is still right, and it can be polled again.
    pub(crate) fn poll_next(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<News, StoreError>> {
        loop {
            match &mut self.phase {
                Phase::Begins(beginning) => {
                    let Ok(begun) = ready!(Pin::new(beginning).poll(context)) else {
                        return Poll::Pending;
                    };
                    self.after = begun.started.after;
                    // Who resumes after a short cut is served by the tails.
                    let live = self.resumes && self.can_be_live() && self.tails_reach();
                    self.phase = if live { Phase::Live } else { Phase::Behind(begun.backlog) };
                    let (after, gap, over) = (self.after, begun.started.gap, begun.over);
                    return Poll::Ready(Ok(News::Began { after, gap, over }));
                }
                Phase::Behind(_) => self.read_on(),
                Phase::Reads { read, changed } => {
                    // The server has stopped, and this connection is about to.
                    let Ok((mut backlog, step)) = ready!(Pin::new(read).poll(context)) else {
                        return Poll::Pending;
                    };
                    if *changed {
                        backlog.take_back();
                        backlog.change(self.selection.clone());
                        self.phase = Phase::Behind(backlog);
                        continue;
                    }
                    self.phase = Phase::Behind(backlog);
                    let Step { span, caught_up, gap } = step?;
                    self.after = self.after.max(span.after);
                    if caught_up && self.can_be_live() {
                        self.phase = Phase::Live;
                    }
                    if gap.is_some() || !span.bytes.is_empty() {
                        return Poll::Ready(Ok(News::Span { gap, span, from_log: true }));
                    }
                }
                Phase::Live => match ready!(self.poll_live(context)) {
                    Some(span) => {
                        return Poll::Ready(Ok(News::Span { gap: None, span, from_log: false }));
                    }
                    None => self.fall_behind(),
                },
            }
        }
    }

    /// Of topics that a pattern matched before it was followed here, only the log tells. Topics by
    /// name have their tails looked at, and those know what they do not hold.
    fn can_be_live(&self) -> bool {
        self.selection.patterns().is_empty() || self.after >= self.joined.visible
    }

    fn tails_reach(&self) -> bool {
        let (view, now_ms) = (self.view, self.board.hub.now_ms());
        self.all_due(|live| {
            live.reach(self.after, self.joined.visible, view, now_ms) != Reach::Behind
        })
    }

    fn fall_behind(&mut self) {
        self.phase = Phase::Behind(Box::new(Backlog::new(self.selection.clone())));
    }

    fn read_on(&mut self) {
        let (after, view, merge) = (self.after, self.view, self.merge);
        let phase = std::mem::replace(&mut self.phase, Phase::Live);
        if let Phase::Behind(mut backlog) = phase {
            let read = self.reader.ask(move |hub| {
                let step = match merge {
                    Some(how) => merged::step(hub, &mut backlog, after, view.framing, how),
                    None => backlog.step(hub, after, view),
                };
                (backlog, step)
            });
            self.phase = Phase::Reads { read, changed: false };
        }
    }

    /// What is due in the tails; `None` if they do not reach back to its position.
    fn poll_live(&mut self, context: &mut Context<'_>) -> Poll<Option<Span>> {
        let (view, now_ms) = (self.view, self.board.hub.now_ms());
        let mut table = self.board.table();
        let table = &mut *table;
        loop {
            // Both at once: what is noted is complete up to what is visible.
            let through = table.visible.max(self.joined.visible);
            let Some(seat) = table.seats.get_mut(self.joined.key) else { return Poll::Pending };
            if seat.due.is_empty() {
                if !seat.waker.as_ref().is_some_and(|old| old.will_wake(context.waker())) {
                    seat.waker = Some(context.waker().clone());
                    seat.lane = lanes::present();
                }
                return Poll::Pending;
            }
            let due: Vec<u64> = seat.due.iter().copied().collect();
            let span = if let (&[topic], Some(_)) = (&*due, self.selection.single()) {
                match table.reach(topic, self.after, through, view, now_ms) {
                    Reach::Behind => return Poll::Ready(None),
                    Reach::Nothing => None,
                    Reach::Due(span) => Some(span),
                }
            } else {
                let mut gathered = Gathered::default();
                for live in due.iter().filter_map(|&topic| table.live(topic)) {
                    if !live.gather(self.after, through, view, now_ms, &mut gathered) {
                        return Poll::Ready(None);
                    }
                }
                gathered.take(through, view.conflate)
            };
            if span.as_ref().is_none_or(|span| span.after >= through) {
                self.after = self.after.max(through);
                if let Some(seat) = table.seats.get_mut(self.joined.key) {
                    seat.due.clear();
                }
            }
            if let Some(span) = span {
                self.after = self.after.max(span.after);
                if !span.bytes.is_empty() {
                    return Poll::Ready(Some(span));
                }
            }
        }
    }

    /// Changes what it follows; it goes on from its position, by way of the log. Returns the
    /// position from which that holds. Only after it has begun.
    pub(crate) fn change(&mut self, next: Arc<Selection>) -> u64 {
        // All that is visible now is noted, so a position that nothing is due at is moved up to it:
        // of a topic that is added only what comes from now on is wanted.
        let visible = self.board.hub.rung();
        self.board.take_news(&mut self.board.table());
        if matches!(self.phase, Phase::Live) && self.has_everything(visible) {
            self.after = self.after.max(visible);
        }
        self.board.leave(self.joined.key, &self.selection, self.view.framing);
        self.joined = self.board.join(&next, self.view.framing);
        self.selection = next;
        match &mut self.phase {
            Phase::Behind(backlog) => backlog.change(self.selection.clone()),
            Phase::Reads { changed, .. } => *changed = true,
            Phase::Begins(_) | Phase::Live => self.fall_behind(),
        }
        self.after
    }

    fn has_everything(&self, through: u64) -> bool {
        let (view, now_ms) = (self.view, self.board.hub.now_ms());
        self.all_due(|live| live.reach(self.after, through, view, now_ms) == Reach::Nothing)
    }

    fn all_due(&self, is_so: impl Fn(&Live) -> bool) -> bool {
        let table = self.board.table();
        let due = table.seats.get(self.joined.key).into_iter().flat_map(|seat| &seat.due);
        due.into_iter().all(|&topic| table.live(topic).is_some_and(|live| is_so(live)))
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.board.leave(self.joined.key, &self.selection, self.view.framing);
    }
}

fn begin(hub: &Hub, selection: Arc<Selection>, start: &Start) -> Beginning {
    let mut backlog = Box::new(Backlog::new(selection.clone()));
    let started = hub.start(&mut backlog, start);
    let only = selection.single().and_then(|name| hub.describe(name));
    let over = only.filter(|topic| started.gap.is_none() && topic.newest <= started.after);
    let over = over.and_then(|topic| Some((topic.newest, topic.closed?)));
    Beginning { backlog, started, over }
}
