//! An event stream that is a task: over TLS, and over HTTP/2.
//!
//! Such a connection cannot be a row of a shard's table, because what is written on it has to pass
//! a library first. So the stream is a [`Follower`] and a [`Carrier`], and makes the same promises
//! as a row: the same bytes, a heartbeat when it is silent, one span at a time and the next only
//! when everything before it was taken. A peer that takes nothing pins that one span; its position
//! stays, and when the tail has gone on without it, it catches up from the log.

mod registry;

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tidings_access::Caller;
use tidings_frame::sse_encode::encode_gap;
use tidings_frame::{ErrorCode, Position};
use tidings_hub::{Framing, StoreError};
use tidings_relay::Lease;
use tokio::time::{Instant, Sleep};

pub(crate) use registry::Streams;
use registry::{Control, Place};

use crate::access::expiring::{self, Expiring};
use crate::app::{App, scatter};
use crate::dashboard::standing::Standing;
use crate::dashboard::trace::{Of, Record};
use crate::error::ApiError;
use crate::follower::{Follower, News};
use crate::http::history::notice;
use crate::http::subscribe::Subscribe;
use crate::limits::Admission;
use crate::metrics::ShardCounts;
use crate::peer::Peer;
use crate::reply::Reply;
use crate::socket::mail::{Change, Changed, Listed, Transport};
use crate::webhooks::occupancy::Attending;

/// Spans written to one subscriber before others have a turn.
const SPANS_PER_TURN: usize = 4;

/// The peer cannot be written to any more.
#[derive(Debug)]
pub(crate) struct Gone;

/// What takes a stream's bytes to its client.
pub(crate) trait Carrier {
    /// Writes; ready when all of `rest` is on its way and nothing of it is held here.
    fn poll_write(&mut self, context: &mut Context<'_>, rest: &mut Bytes)
    -> Poll<Result<(), Gone>>;

    /// Ready when the client has left.
    fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<()>;
}

/// How a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Its topic has ended, and everything is written.
    Done,
    /// It was ended from this side: the server stops, or somebody asked. At the end of a block if
    /// `whole`.
    Left { whole: bool },
    /// It cannot go on as promised, and must not look finished.
    Cut,
    /// The client has left.
    Gone,
}

/// What an accepted subscription begins with.
pub(crate) enum Opened {
    /// A stream. Its head is still to be written, with this position; its first bytes are its own.
    Stream(Box<Stream>, Position),
    /// Nothing will ever come: this is the answer.
    Reply(Reply),
}

/// The stream.
pub(crate) struct Stream {
    app: Arc<App>,
    number: u64,
    place: Arc<Place>,
    follower: Follower,
    framing: Framing,
    /// What was not taken yet.
    rest: Bytes,
    /// Nothing comes after `rest`.
    closing: bool,
    blocked: bool,
    last_write: Instant,
    timer: Pin<Box<Sleep>>,
    /// Whether it is time for a heartbeat.
    beats: bool,
    /// When it is to leave, while the server stops.
    leaves: Option<Instant>,
    counts: ShardCounts,
    standing: Standing,
    peer: Peer,
    /// Whose token it stands on.
    caller: Option<Arc<Caller>>,
    /// Ready when that token does not count any more.
    over: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// When it is told that this is near.
    expiring: Expiring,
    /// Counts it among the subscribers of its topics.
    attending: Option<Box<Attending>>,
    _admission: Admission,
    /// Counts it among the readers of a relayed stream.
    _lease: Option<Lease>,
}

impl Stream {
    /// Finds the place that the subscription begins at.
    pub(crate) async fn open(app: &Arc<App>, peer: Peer, asked: &Subscribe) -> Opened {
        let (board, reader) = (app.board.clone(), app.log_reader.clone());
        let (selection, opening) = (asked.selection.clone(), asked.opening.as_deref());
        let merge = opening.and_then(|opening| opening.merge);
        let (start, view) = (asked.start.clone(), asked.view);
        let (attending, kind) = (app.attend(asked), app.subscribed(&selection, &start));
        let mut follower = Follower::new(board, reader, selection.clone(), start, view);
        follower.merges(merge);
        let (gap, over) = match poll_fn(|context| follower.poll_next(context)).await {
            Ok(News::Began { gap, over, .. }) => (gap, over),
            // A follower begins before anything else.
            Ok(News::Span { .. }) => (None, None),
            Err(error) => return Opened::Reply(ApiError::from(error).into()),
        };
        if gap.is_some() && view.framing.is_answer() {
            // An API's own clients would take a gap for a part of the answer.
            let error = ApiError::new(ErrorCode::Gone, "what comes after that id is not kept");
            return Opened::Reply(error.into());
        }
        if over.is_some() {
            // 204 is how a plain EventSource is told not to come again (WHATWG HTML 9.2.3).
            return Opened::Reply(Reply::empty(204));
        }
        let mut first = view.framing.heartbeat().to_vec();
        first.extend_from_slice(opening.map_or(&[], |opening| &opening.first));
        let number = app.next_connection.fetch_add(1, Ordering::Relaxed);
        if let Some(gap) = &gap {
            app.told_gap(&selection, gap, Some(peer), Some(number));
            encode_gap(&notice(gap), &mut first);
        }
        let place = app.streams.insert(listed(app, number, peer, asked, &follower));
        let standing = Standing::new(&app.dashboard.counts, true);
        standing.catching_up(follower.is_catching_up());
        let position = Position { epoch: app.hub.epoch(), sequence: follower.after() };
        let (now, silent) = (Instant::now(), silent(app));
        let mut stream = Self {
            app: app.clone(),
            number,
            place,
            follower,
            framing: view.framing,
            rest: first.into(),
            closing: false,
            blocked: false,
            last_write: now,
            timer: Box::pin(tokio::time::sleep(silent)),
            beats: false,
            leaves: None,
            counts: ShardCounts::default(),
            standing,
            peer,
            over: ended(app, asked.caller.as_ref()),
            caller: asked.caller.clone(),
            expiring: asked.expiring,
            attending,
            _admission: asked.admission.clone(),
            _lease: opening.and_then(|opening| opening.lease.clone()),
        };
        stream.look_again_at(now + silent);
        stream.tell(kind);
        Opened::Stream(Box::new(stream), position)
    }

    /// Tells the traces what becomes of it.
    fn tell(&self, kind: &'static str) {
        if self.app.dashboard.traces.on() {
            let (peer, connection) = (Some(self.peer), Some(self.number));
            let subject = self.caller.as_ref().and_then(|caller| caller.subject.as_deref());
            let record = Record { subject, peer, connection, ..Record::of(kind) };
            let of = Of::Selection(self.follower.selection());
            self.app.dashboard.traces.note(self.app.hub.now_ms(), of, &record);
        }
    }

    /// The name of the connection that only its client is told.
    pub(crate) fn name(&self) -> String {
        self.app.names.own(self.number)
    }

    /// Puts bytes before everything else.
    pub(crate) fn begin_with(&mut self, mut head: Vec<u8>) {
        head.extend_from_slice(&self.rest);
        self.rest = head.into();
    }

    /// Follows until there is an end.
    pub(crate) async fn run(&mut self, carrier: &mut impl Carrier) -> Ended {
        poll_fn(|context| {
            let ended = self.poll(context, carrier);
            self.app.metrics.shard(&mut self.counts);
            ended
        })
        .await
    }

    fn poll(&mut self, context: &mut Context<'_>, carrier: &mut impl Carrier) -> Poll<Ended> {
        if carrier.poll_gone(context).is_ready() {
            return Poll::Ready(Ended::Gone);
        }
        for control in self.place.take(context.waker()) {
            if self.obey(control) {
                return Poll::Ready(self.left());
            }
        }
        let over = self.over.as_mut().is_some_and(|over| over.as_mut().poll(context).is_ready());
        if over || self.is_time_to_leave(context) {
            return Poll::Ready(self.left());
        }
        for _ in 0..SPANS_PER_TURN {
            let before = self.rest.len();
            let wrote = carrier.poll_write(context, &mut self.rest);
            self.note_written(before.saturating_sub(self.rest.len()));
            self.note_blocked(wrote.is_pending());
            if ready!(wrote).is_err() {
                return Poll::Ready(Ended::Gone);
            }
            if self.closing {
                return Poll::Ready(Ended::Done);
            }
            let now_ms = self.app.hub.now_ms();
            if let Some(told) = self.expiring.tell(self.caller.as_deref(), now_ms) {
                self.write(expiring::frame(&told));
                continue;
            }
            match self.follower.poll_next(context) {
                Poll::Ready(news) => {
                    if let Some(ended) = self.take(news) {
                        return Poll::Ready(ended);
                    }
                }
                Poll::Pending if self.beats => {
                    self.write(Bytes::from_static(self.framing.heartbeat()));
                }
                Poll::Pending => return Poll::Pending,
            }
        }
        // Others have their turn first.
        context.waker().wake_by_ref();
        Poll::Pending
    }

    fn write(&mut self, bytes: Bytes) {
        self.rest = bytes;
        self.last_write = Instant::now();
        self.beats = false;
    }

    fn take(&mut self, news: Result<News, StoreError>) -> Option<Ended> {
        let (gap, span, from_log) = match news {
            Ok(News::Span { gap, span, from_log }) => (gap, span, from_log),
            Ok(News::Began { .. }) => return None,
            Err(error) => {
                // The client comes again with its last id; a clean end would be a lie.
                tracing::error!(%error, "the log could not be read for a subscriber");
                return Some(Ended::Cut);
            }
        };
        let mut bytes = span.bytes;
        if let Some(gap) = &gap {
            if self.framing.is_answer() {
                return Some(Ended::Cut);
            }
            // Overtaken by retention while it was behind.
            let (peer, number) = (Some(self.peer), Some(self.number));
            self.app.told_gap(self.follower.selection(), gap, peer, number);
            let mut noticed = Vec::new();
            encode_gap(&notice(gap), &mut noticed);
            noticed.extend_from_slice(&bytes);
            bytes = noticed.into();
        }
        let (events, length) = (u64::from(span.events), bytes.len() as u64);
        if from_log {
            self.app.metrics.caught_up(events, length);
        } else {
            let now_ms = self.app.hub.now_ms();
            self.app.metrics.delivered_after(now_ms.saturating_sub(span.since_ms));
            self.counts.events += events;
            self.counts.bytes += length;
            self.counts.writes += 1;
        }
        self.closing = span.end.is_some() && self.follower.selection().single().is_some();
        self.write(bytes);
        self.note(events);
        None
    }

    /// Notes for the list where it stands, and that it has had so many events more.
    fn note(&self, events: u64) {
        let (after, catching_up) = (self.follower.after(), self.follower.is_catching_up());
        self.standing.catching_up(catching_up);
        self.place.note(|listed| {
            listed.after = after;
            listed.catching_up = catching_up;
            listed.events += events;
        });
    }

    fn note_written(&self, bytes: usize) {
        if bytes > 0 {
            self.place.note(|listed| listed.bytes += bytes as u64);
        }
    }

    fn note_blocked(&mut self, blocked: bool) {
        if blocked != self.blocked {
            self.blocked = blocked;
            if self.standing.blocked(blocked) && blocked {
                self.tell("blocked");
            }
            self.place.note(|listed| listed.blocked = blocked);
        }
    }

    /// Does what is asked for; `true` if it is to end.
    fn obey(&mut self, control: Control) -> bool {
        match control {
            Control::Change { change, done } => {
                let changed = self.change(change);
                // Whoever asked may have gone.
                let _ = done.send(changed);
                false
            }
            Control::Close { done } => {
                let _ = done.send(true);
                true
            }
        }
    }

    /// Makes a change; `None` if it is refused.
    fn change(&mut self, change: Change) -> Option<Changed> {
        let mut view = self.follower.view();
        let next = change.make(self.follower.selection(), &mut view, &mut self.caller)?;
        self.over = ended(&self.app, self.caller.as_ref());
        self.look_again_at(self.timer.deadline());
        self.follower.show_private(view.private);
        let after = self.follower.change(next.clone());
        Attending::changed(&mut self.attending, &next);
        self.place.note(|listed| listed.selection = next.clone());
        self.note(0);
        Some(Changed { selection: next, after })
    }

    fn left(&self) -> Ended {
        Ended::Left { whole: self.rest.is_empty() && !self.framing.is_answer() }
    }

    /// Looks at the clock then, or before, if there is something to be done before.
    fn look_again_at(&mut self, next: Instant) {
        let next = self.leaves.map_or(next, |leaves| leaves.min(next));
        let now_ms = self.app.hub.now_ms();
        // What is due already waits for its turn to be written, not for the clock.
        let told = self.expiring.at_ms(self.caller.as_deref()).filter(|at_ms| *at_ms > now_ms);
        let told = told.map(|at_ms| Instant::now() + Duration::from_millis(at_ms - now_ms));
        self.timer.as_mut().reset(told.map_or(next, |told| told.min(next)));
    }

    /// Looks at the clock: whether it is time for a heartbeat, and whether it is time to go. An
    /// API's own clients cannot come back in the middle of an answer: they may have the rest,
    /// within the grace time.
    fn is_time_to_leave(&mut self, context: &mut Context<'_>) -> bool {
        if self.leaves.is_none() && self.app.is_draining() && !self.framing.is_answer() {
            let leaves = Instant::now() + leaves_after(&self.app, self.number);
            self.leaves = Some(leaves);
            self.look_again_at(self.timer.deadline());
        }
        while self.timer.as_mut().poll(context).is_ready() {
            let now = Instant::now();
            if self.leaves.is_some_and(|leaves| leaves <= now) {
                return true;
            }
            let silent = silent(&self.app);
            let due = self.last_write + silent;
            self.beats = due <= now;
            let next = if self.beats { now + silent } else { due };
            self.look_again_at(next);
        }
        false
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.app.streams.remove(self.number);
        self.tell("unsubscribed");
    }
}

/// Ready when the token of this caller does not count any more.
fn ended(
    app: &Arc<App>,
    caller: Option<&Arc<Caller>>,
) -> Option<Pin<Box<dyn Future<Output = ()> + Send>>> {
    let (app, caller) = (app.clone(), caller?.clone());
    Some(Box::pin(async move { app.access.over(&app.hub, vec![caller]).await }))
}

/// How a stream that begins is listed.
fn listed(app: &App, id: u64, peer: Peer, asked: &Subscribe, follower: &Follower) -> Listed {
    Listed {
        id,
        peer,
        transport: Transport::Sse,
        opened_ms: app.hub.now_ms(),
        selection: asked.selection.clone(),
        after: follower.after(),
        blocked: false,
        catching_up: follower.is_catching_up(),
        events: 0,
        bytes: 0,
        subject: asked.caller.as_ref().and_then(|caller| caller.subject.clone()),
    }
}

/// How long a stream is silent before its heartbeat.
fn silent(app: &App) -> Duration {
    app.config.heartbeat * 2 / 3
}

/// When a stream leaves, after the drain has begun: each at its own moment.
fn leaves_after(app: &App, number: u64) -> Duration {
    let part = u32::try_from(scatter(number) % 1_000).unwrap_or(0);
    app.config.drain.jitter * part / 1_000
}
