//! The task of one connection: it waits for whatever comes next, does it, and writes.
//!
//! Bounds: nothing is read while answers wait to be written beyond their limit, or while as many
//! publishes as there are places wait for the disk; a span of events is taken from a follower only
//! when everything before it is written.

use std::future::{pending, poll_fn};
use std::io::ErrorKind;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tidings_frame::limits::WEBSOCKET_PUBLISHES_MAX;
use tidings_hub::StoreError;
use tokio::io::Interest;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::asking::Asking;
use super::handshake::Taken;
use super::output::Output;
use super::protocol::{Fault, Incoming, Protocol};
use super::publishing::Receipt;
use super::subscription::Subscription;
use super::wire::Wire;
use super::{CONTROLS_MAX, Control, message};
use crate::access::Who;
use crate::access::expiring::Expiring;
use crate::app::App;
use crate::follower::News;
use crate::hook::Verdict;
use crate::limits::{Admission, Party};
use crate::metrics::ShardCounts;
use crate::peer::Peer;

/// Bytes read from a socket at a time.
const READ_BYTES: usize = 16 << 10;

/// Messages taken before the rest of a turn.
const MESSAGES_PER_TURN: usize = 64;

/// Heartbeat times of silence after which a client is asked whether it is there.
const PING_HEARTBEATS: u32 = 1;

/// Heartbeat times of silence after which it is taken not to be.
const IDLE_HEARTBEATS: u32 = 3;

/// How long a client has for its part of the closing handshake.
const CLOSE_TIME: Duration = Duration::from_secs(5);

/// Why a connection's task ends. The socket is closed with it.
pub(super) struct Gone;

/// The connection.
pub(super) struct Connection {
    pub(super) app: Arc<App>,
    pub(super) peer: Peer,
    /// Who asks.
    pub(super) who: Who,
    /// Whether it is told before its token ends.
    pub(super) expiring: Expiring,
    stream: Wire,
    protocol: Protocol,
    pub(super) output: Output,
    pub(super) subscriptions: Vec<Subscription>,
    /// Whose turn it is to give a span.
    turn: usize,
    pub(super) receipts: mpsc::Sender<Receipt>,
    receipts_to_come: mpsc::Receiver<Receipt>,
    pub(super) controls: mpsc::Sender<Control>,
    controls_to_do: mpsc::Receiver<Control>,
    /// Whether there may be messages in what was read.
    unread: bool,
    /// When something came last.
    heard: Instant,
    /// Whether it was asked for a sign of life since.
    asked: bool,
    /// When it is to leave, while the server stops.
    leaves: Option<Instant>,
    closing: Option<Closing>,
    /// What waits for the application.
    pub(super) asking: Asking,
    counts: ShardCounts,
    /// Nothing is read until then: it has asked more than it may.
    pub(super) paused: Option<Instant>,
    /// Who asks, as limits see it.
    pub(super) party: Party,
    _admission: Admission,
}

/// The end of a connection.
#[derive(Clone, Copy)]
struct Closing {
    /// When it is over, whatever the client does.
    deadline: Instant,
    /// Whether nothing that comes matters any more. Our side is ended then; what still comes is
    /// let pass until the client has ended its own, because closing a socket with bytes that were
    /// not read would take our last words away (RFC 9112, section 9.6, says it of HTTP).
    over: bool,
    /// Whether our side was ended.
    ended: bool,
}

/// Serves the connection until it ends.
pub(crate) async fn serve(app: &Arc<App>, taken: Taken) {
    let Taken { stream, unread, peer, upgrade } = taken;
    let (receipts, receipts_to_come) = mpsc::channel(WEBSOCKET_PUBLISHES_MAX);
    let (controls, controls_to_do) = mpsc::channel(CONTROLS_MAX);
    let mut connection = Connection {
        app: app.clone(),
        peer,
        who: upgrade.who.clone(),
        expiring: upgrade.expiring,
        stream,
        protocol: Protocol::new(app.config.limits.body_bytes),
        output: Output::default(),
        subscriptions: Vec::new(),
        turn: 0,
        receipts,
        receipts_to_come,
        controls,
        controls_to_do,
        unread: !unread.is_empty(),
        heard: Instant::now(),
        asked: false,
        leaves: None,
        closing: None,
        asking: Asking::default(),
        counts: ShardCounts::default(),
        paused: None,
        party: upgrade.party,
        _admission: upgrade.admission.clone(),
    };
    connection.output.raw(&upgrade.head());
    connection.protocol.push(&unread);
    app.metrics.websocket(1);
    while connection.turn().await.is_ok() {}
    app.metrics.websocket(-1);
}

/// What a connection waits for.
enum Event {
    /// Whether it can be read from.
    Socket(std::io::Result<bool>),
    News(usize, Result<News, StoreError>),
    Receipt(Receipt),
    Control(Control),
    Time,
    Drains,
    /// The application has answered.
    Decided(Verdict),
    /// Its token does not count any more.
    Over,
    /// Its token ends soon.
    Expiring,
}

impl Connection {
    async fn turn(&mut self) -> Result<(), Gone> {
        if self.unread && self.may_take() {
            self.take_messages();
        }
        self.write()?;
        if self.unread && self.may_take() {
            // Others have their turn first.
            tokio::task::yield_now().await;
            return Ok(());
        }
        match self.wait().await {
            Event::Socket(ready) => {
                if ready.map_err(|_| Gone)? {
                    self.read()?;
                }
            }
            Event::News(at, news) => self.take_news(at, news),
            Event::Receipt(receipt) => self.output.text(&receipt),
            Event::Control(control) => self.obey(control),
            Event::Time => self.on_time()?,
            Event::Decided(verdict) => self.go_on(verdict),
            Event::Over => self.end_what_is_over(),
            Event::Expiring => self.tell_expiring(),
            Event::Drains => {
                let jitter = self.app.config.drain.jitter;
                let number = u64::from(self.peer.address.port());
                let part = crate::app::scatter(number) % 1_000;
                self.leaves =
                    Some(Instant::now() + jitter * u32::try_from(part).unwrap_or(0) / 1_000);
            }
        }
        Ok(())
    }

    async fn wait(&mut self) -> Event {
        let reads = self.may_take() || self.closing.is_some();
        let interest = match (reads, self.output.is_empty()) {
            (true, true) => Some(Interest::READABLE),
            (true, false) => Some(Interest::READABLE | Interest::WRITABLE),
            (false, false) => Some(Interest::WRITABLE),
            (false, true) => None,
        };
        let deadline = self.deadline();
        let gives = self.output.is_empty() && self.closing.is_none();
        let callers = self.callers();
        let expires = self.expiring.at_ms(self.who.caller().map(|caller| &**caller));
        let (app, stream) = (&self.app, &mut self.stream);
        let (subscriptions, turn) = (&mut self.subscriptions, &mut self.turn);
        let asking = &mut self.asking;
        let stands = self.closing.is_none();
        let drains = self.leaves.is_none() && self.closing.is_none();
        tokio::select! {
            ready = async {
                match interest {
                    Some(interest) => stream.ready(interest).await,
                    None => pending().await,
                }
            } => Event::Socket(ready),
            (at, news) = next_news(subscriptions, turn), if gives => Event::News(at, news),
            Some(receipt) = self.receipts_to_come.recv() => Event::Receipt(receipt),
            Some(control) = self.controls_to_do.recv() => Event::Control(control),
            () = async {
                match deadline {
                    Some(deadline) => tokio::time::sleep_until(deadline).await,
                    None => pending().await,
                }
            } => Event::Time,
            verdict = asking.answer() => Event::Decided(verdict),
            () = app.drained(), if drains => Event::Drains,
            () = app.access.over(&app.hub, callers), if stands => Event::Over,
            () = app.access.until(&app.hub, expires), if stands => Event::Expiring,
        }
    }

    /// Whether there is room for the answers to what is read.
    fn may_take(&self) -> bool {
        self.closing.is_none()
            && self.paused.is_none()
            && self.output.has_room()
            && self.receipts.capacity() > 0
            && !self.asking.is_under_way()
    }

    fn read(&mut self) -> Result<(), Gone> {
        let mut scratch = [0; READ_BYTES];
        match self.stream.try_read(&mut scratch) {
            Ok(0) => Err(Gone),
            Ok(count) => {
                self.heard = Instant::now();
                self.asked = false;
                if self.closing.is_none_or(|closing| !closing.over) {
                    self.protocol.push(&scratch[..count]);
                    self.unread = true;
                }
                if self.closing.is_some() {
                    self.let_pass();
                }
                Ok(())
            }
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) =>
            {
                Ok(())
            }
            Err(_) => Err(Gone),
        }
    }

    /// While it closes, only the client's own close matters.
    fn let_pass(&mut self) {
        while self.unread {
            match self.protocol.next() {
                Ok(Some(Incoming::Closed)) | Err(_) => {
                    self.closing.iter_mut().for_each(|closing| closing.over = true);
                    self.unread = false;
                }
                Ok(Some(_)) => {}
                Ok(None) => self.unread = false,
            }
        }
    }

    fn take_messages(&mut self) {
        let places = self.receipts.capacity().min(MESSAGES_PER_TURN);
        let mut texts = Vec::new();
        let mut end = None;
        while texts.len() < places && end.is_none() {
            match self.protocol.next() {
                Ok(Some(Incoming::Text(text))) => texts.push(text),
                Ok(Some(Incoming::Control)) => {
                    // In the order in which they came.
                    self.operate(&texts);
                    texts.clear();
                    self.say_protocol();
                    if !self.may_take() {
                        return;
                    }
                }
                Ok(Some(Incoming::Binary)) => {
                    let reason = "messages of this subprotocol are text".to_owned();
                    end = Some(Some(Fault { code: 1003, reason }));
                }
                Ok(Some(Incoming::Closed)) => end = Some(None),
                Ok(None) => {
                    self.unread = false;
                    break;
                }
                Err(fault) => end = Some(Some(fault)),
            }
        }
        self.operate(&texts);
        self.say_protocol();
        match end {
            None => {}
            // Our part of the handshake has been said by the protocol.
            Some(None) => self.end(true),
            Some(Some(fault)) => self.close(&fault, true),
        }
    }

    fn say_protocol(&mut self) {
        let said = self.protocol.take_output();
        self.output.raw(&said);
    }

    /// Begins the end. Subscriptions end at once; what was answered before is still written.
    pub(super) fn close(&mut self, fault: &Fault, over: bool) {
        if self.closing.is_some() {
            return;
        }
        tracing::debug!(peer = %self.peer, code = fault.code, reason = %fault.reason, "closing");
        self.protocol.close(fault);
        self.say_protocol();
        self.end(over);
    }

    /// Whether the end has begun.
    pub(super) fn is_closing(&self) -> bool {
        self.closing.is_some()
    }

    fn end(&mut self, over: bool) {
        self.subscriptions.clear();
        self.asking = Asking::default();
        self.unread = false;
        let deadline = Instant::now() + CLOSE_TIME;
        self.closing = Some(Closing { deadline, over, ended: false });
    }

    fn write(&mut self) -> Result<(), Gone> {
        let was_blocked = !self.output.is_empty();
        if was_blocked {
            self.counts.writes += self.output.write_to(&mut self.stream).map_err(|_| Gone)?;
            let blocked = !self.output.is_empty();
            self.subscriptions.iter().for_each(|one| one.note_blocked(blocked));
        }
        self.app.metrics.shard(&mut self.counts);
        if let Some(closing) = self.closing.as_mut().filter(|c| c.over && !c.ended) {
            if self.output.is_empty() {
                closing.ended = true;
                self.stream.end().map_err(|_| Gone)?;
            }
        }
        Ok(())
    }

    fn deadline(&self) -> Option<Instant> {
        if let Some(closing) = self.closing {
            return Some(closing.deadline);
        }
        // Who takes nothing cannot be asked, and who is not read from cannot answer.
        let silent = (self.output.is_empty() && self.may_take()).then(|| {
            let heartbeats = if self.asked { IDLE_HEARTBEATS } else { PING_HEARTBEATS };
            self.heard + self.app.config.heartbeat * heartbeats
        });
        let leaves = self.leaves.filter(|_| self.receipts.capacity() == WEBSOCKET_PUBLISHES_MAX);
        silent.into_iter().chain(leaves).chain(self.paused).min()
    }

    fn on_time(&mut self) -> Result<(), Gone> {
        let now = Instant::now();
        if let Some(closing) = self.closing {
            return if now < closing.deadline { Ok(()) } else { Err(Gone) };
        }
        if self.paused.is_some_and(|paused| paused <= now) {
            self.paused = None;
        } else if self.leaves.is_some_and(|leaves| leaves <= now) {
            let reason = "the server is stopping; connect again, maybe elsewhere".to_owned();
            self.close(&Fault { code: 1012, reason }, false);
        } else if !self.asked {
            self.asked = true;
            self.protocol.ping();
            self.say_protocol();
        } else {
            let reason = "nothing was heard for three heartbeats".to_owned();
            self.close(&Fault { code: 1008, reason }, false);
        }
        Ok(())
    }

    fn take_news(&mut self, at: usize, news: Result<News, StoreError>) {
        let Some(subscription) = self.subscriptions.get_mut(at) else { return };
        let (name, epoch) = (subscription.name.clone(), self.app.hub.epoch());
        let over = match news {
            Err(error) => {
                // The client comes again with its last ids.
                tracing::error!(%error, "the log could not be read for a subscriber");
                let reason = "the log could not be read".to_owned();
                return self.close(&Fault { code: 1011, reason }, false);
            }
            Ok(News::Began { gap, over, .. }) => {
                subscription.register(self.controls.clone());
                let members = serde_json::json!({
                    "sub": name,
                    "connection": self.app.names.own(subscription.number),
                    "after": subscription.position(),
                });
                let reference = subscription.reference.as_ref();
                self.output.text(&message::message("subscribed", reference, &members));
                if let Some(gap) = &gap {
                    let (peer, number) = (Some(self.peer), Some(subscription.number));
                    let selection = subscription.follower.selection();
                    self.app.told_gap(selection, gap, peer, number);
                    self.output.text(&message::gap(&name, gap));
                }
                over
            }
            Ok(News::Span { gap, span, from_log }) => {
                if let Some(gap) = &gap {
                    let (peer, number) = (Some(self.peer), Some(subscription.number));
                    let selection = subscription.follower.selection();
                    self.app.told_gap(selection, gap, peer, number);
                    self.output.text(&message::gap(&name, gap));
                }
                subscription.note(span.events, span.bytes.len());
                let (events, length) = (u64::from(span.events), span.bytes.len());
                if from_log {
                    self.app.metrics.caught_up(events, length as u64);
                } else {
                    let now_ms = self.app.hub.now_ms();
                    self.app.metrics.delivered_after(now_ms.saturating_sub(span.since_ms));
                    self.counts.events += events;
                    self.counts.bytes += length as u64;
                }
                if length > 0 {
                    // Without the last comma.
                    let events = span.bytes.slice(..length - 1);
                    self.output.text_around(&subscription.before, events, message::AFTER_EVENTS);
                }
                let end = span.end.filter(|_| subscription.is_single());
                end.map(|reason| (span.after, reason))
            }
        };
        if let Some((sequence, reason)) = over {
            let id = tidings_frame::Position { epoch, sequence };
            self.output.text(&message::end(&name, id, reason));
            self.subscriptions.remove(at);
        }
    }

    /// Does what an operator, or a client over HTTP, asks for.
    fn obey(&mut self, control: Control) {
        let find = |all: &[Subscription], number| all.iter().position(|one| one.number == number);
        match control {
            Control::Change { number, change, done } => {
                let at = find(&self.subscriptions, number);
                let subscription = at.map(|at| &mut self.subscriptions[at]);
                let _ = done.send(subscription.and_then(|one| one.make(change)));
            }
            Control::Close { number, done } => {
                let at = find(&self.subscriptions, number);
                if let Some(at) = at {
                    self.unsubscribe(at, None);
                }
                let _ = done.send(at.is_some());
            }
        }
    }
}

/// The next news of any subscription, in turn.
pub(super) async fn next_news(
    subscriptions: &mut [Subscription],
    turn: &mut usize,
) -> (usize, Result<News, StoreError>) {
    poll_fn(|context| {
        let count = subscriptions.len();
        for step in 0..count {
            let at = (*turn + step) % count;
            if let Poll::Ready(news) = subscriptions[at].follower.poll_next(context) {
                *turn = at + 1;
                return Poll::Ready((at, news));
            }
        }
        Poll::Pending
    })
    .await
}
