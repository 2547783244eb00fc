//! A shard: one thread, one epoll loop, a table of sockets.
//!
//! One turn of the loop: take what has come (requests into one round, appended together and
//! answered), take the mail, put topics with news in line, deliver a slice. It sleeps only when there
//! is nothing of all that.

use std::collections::{HashSet, VecDeque};
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use bytes::Bytes;
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;
use tidings_frame::Position;
use tidings_hub::{Hub, Reach, Start, View};

use super::conn::{Requester, Subscriber, Wrote};
use super::deliver::Many;
use super::follow::FollowTable;
use super::mail::{Listed, Mail, Mailbox};
use super::requests::{Intake, Waiting};
use super::slots::{Key, Slots};
use crate::app::App;
use crate::dates::Dates;
use crate::error::ApiError;
use crate::http::subscribe::Subscribe;
use crate::metrics::ShardCounts;
use crate::reply::Reply;

/// Connections accepted before others get a turn.
const ACCEPTS_PER_TURN: usize = 128;

/// Readiness taken from epoll at a time; also bounds how much one round appends.
const READY_PER_TURN: usize = 128;

/// Bytes read from a socket at a time.
const READ_BYTES: usize = 64 << 10;

/// How often idle connections are looked after, in milliseconds.
const TICK_MS: u64 = 100;

/// How long a connection may be idle between requests, in milliseconds.
const IDLE_MAX_MS: u64 = 75_000;

/// The loop's own entries in epoll.
const LISTENER: u64 = u64::MAX;
const WAKEUP: u64 = u64::MAX - 1;

/// What is in a place of the table.
pub(super) enum Conn {
    Requester(Requester),
    Seat(Seat),
}

/// A subscriber in the live fan-out.
pub(super) struct Seat {
    pub(super) subscriber: Subscriber,
    /// Whether its socket takes nothing more.
    pub(super) blocked: bool,
    /// Its topic, if it has only one.
    pub(super) topic: u64,
    /// What it has besides, if it has several.
    pub(super) many: Option<Box<Many>>,
}

impl Seat {
    fn new(subscriber: Subscriber) -> Self {
        Self { blocked: !subscriber.rest.is_empty(), subscriber, topic: 0, many: None }
    }
}

/// The thread's state.
pub(crate) struct Shard {
    pub(super) app: Arc<App>,
    number: usize,
    pub(super) poll: OwnedFd,
    listener: Option<Arc<OwnedFd>>,
    pub(super) mail: Arc<Mailbox>,
    pub(super) conns: Slots<Conn>,
    pub(super) follows: FollowTable,
    /// Topics with news, in line.
    pub(super) line: VecDeque<u64>,
    /// Subscribers of several topics with news, in line.
    pub(super) line_of_many: VecDeque<Key>,
    /// Everything up to here is noted in the lines.
    pub(super) visible: u64,
    pub(super) now_ms: u64,
    pub(super) waiting: VecDeque<Waiting>,
    /// Connections with a publish in the round.
    pub(super) in_round: HashSet<Key>,
    /// Connections whose input is to be looked at again.
    pub(super) again: Vec<Key>,
    pub(super) scratch: Vec<u8>,
    pub(super) body: Vec<u8>,
    pub(super) dates: Dates,
    pub(super) counts: ShardCounts,
    /// Where the round of idle connections stands.
    tended: usize,
    next_tick_ms: u64,
    /// When subscribers have to be gone, while draining: those with smaller numbers first.
    drain: Option<Drain>,
}

/// The end of a shard: its subscribers leave one by one over a while.
struct Drain {
    began_ms: u64,
    jitter_ms: u64,
}

impl Shard {
    /// Prepares a shard that accepts from `listener`.
    pub(crate) fn new(
        app: Arc<App>,
        number: usize,
        listener: Arc<OwnedFd>,
        mail: Arc<Mailbox>,
    ) -> std::io::Result<Self> {
        let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let wakeup = epoll::EventData::new_u64(WAKEUP);
        epoll::add(&poll, &*mail.wakeup, wakeup, epoll::EventFlags::IN)?;
        // Exclusive: one connection wakes one shard.
        let flags = epoll::EventFlags::IN | epoll::EventFlags::EXCLUSIVE;
        epoll::add(&poll, &*listener, epoll::EventData::new_u64(LISTENER), flags)?;
        let now_ms = app.hub.now_ms();
        Ok(Self {
            follows: FollowTable::new(app.hub.clone(), mail.bell.clone()),
            visible: app.hub.visible(),
            counts: ShardCounts::default(),
            app,
            number,
            poll,
            listener: Some(listener),
            mail,
            conns: Slots::new(),
            line: VecDeque::new(),
            line_of_many: VecDeque::new(),
            now_ms,
            waiting: VecDeque::new(),
            in_round: HashSet::new(),
            again: Vec::new(),
            scratch: vec![0; READ_BYTES],
            body: Vec::new(),
            dates: Dates::default(),
            tended: 0,
            next_tick_ms: now_ms,
            drain: None,
        })
    }

    /// Runs until the app has stopped.
    pub(crate) fn run(mut self) {
        let hub = self.app.hub.clone();
        let mut ready = Vec::with_capacity(READY_PER_TURN);
        let mut intake = Intake::default();
        let mut topics = Vec::new();
        while !self.app.has_stopped() {
            self.wait(&mut ready);
            self.now_ms = hub.now_ms();
            self.take_ready(&hub, &ready, &mut intake);
            for mail in self.mail.take() {
                self.read_mail(mail);
            }
            self.visible = self.mail.bell.take(&mut topics).max(self.visible);
            self.news(&mut topics);
            self.deliver();
            if self.now_ms >= self.next_tick_ms {
                self.tick();
            }
            self.app.metrics.shard(&mut self.counts);
        }
    }

    fn wait(&mut self, ready: &mut Vec<epoll::Event>) {
        ready.clear();
        let idle = !self.has_deliveries() && self.again.is_empty() && self.mail.sleep();
        let ms = if idle { self.next_tick_ms.saturating_sub(self.now_ms).min(TICK_MS) } else { 0 };
        let timeout = Timespec {
            tv_sec: 0,
            // At most TICK_MS.
            tv_nsec: (ms * 1_000_000) as _,
        };
        let waited = epoll::wait(&self.poll, rustix::buffer::spare_capacity(ready), Some(&timeout));
        self.mail.bell.awake();
        if let Err(error) = waited.map_err(std::io::Error::from) {
            if error.kind() != std::io::ErrorKind::Interrupted {
                tracing::error!(%error, "waiting for connections failed");
            }
        }
    }

    /// Subscribers first, and only then requests: a subscriber that leaves may need the hub, which
    /// the round of the requests holds until it is finished.
    fn take_ready(&mut self, hub: &Hub, ready: &[epoll::Event], intake: &mut Intake) {
        for event in ready {
            self.take_ready_seat(Key::from_u64(event.data.u64()), event.flags);
        }
        let mut round = None;
        for key in std::mem::take(&mut self.again) {
            self.look_again(hub, key, intake, &mut round);
        }
        for event in ready {
            let (flags, data) = (event.flags, event.data.u64());
            let key = Key::from_u64(data);
            match data {
                LISTENER => self.accept(hub, intake, &mut round),
                WAKEUP => self.mail.silence(),
                _ if matches!(self.conns.get(key), Some(Conn::Requester(_))) => {
                    if flags.contains(epoll::EventFlags::OUT) {
                        self.flush(key);
                    }
                    self.read(hub, key, intake, &mut round);
                }
                _ => {}
            }
        }
        self.finish(hub, intake, round);
    }

    fn take_ready_seat(&mut self, key: Key, flags: epoll::EventFlags) {
        let gone = epoll::EventFlags::RDHUP | epoll::EventFlags::HUP | epoll::EventFlags::ERR;
        if !matches!(self.conns.get(key), Some(Conn::Seat(_))) {
            return;
        }
        if flags.intersects(gone) {
            self.close(key);
        } else if flags.contains(epoll::EventFlags::OUT) {
            self.unblocked(key);
        }
    }

    fn accept<'h>(
        &mut self,
        hub: &'h Hub,
        intake: &mut Intake,
        round: &mut Option<tidings_hub::Round<'h>>,
    ) {
        let flags = rustix::net::SocketFlags::NONBLOCK | rustix::net::SocketFlags::CLOEXEC;
        for _ in 0..ACCEPTS_PER_TURN {
            let Some(listener) = &self.listener else {
                return;
            };
            let (fd, peer) = match rustix::net::acceptfrom_with(listener, flags) {
                Ok((fd, peer)) => (fd, peer),
                Err(Errno::AGAIN) => return,
                Err(Errno::INTR | Errno::CONNABORTED) => continue,
                Err(error) => {
                    // Out of file descriptors: those who wait in the backlog wait a little longer.
                    self.app.metrics.refused();
                    tracing::warn!(%error, "a connection could not be accepted");
                    return;
                }
            };
            let unknown = SocketAddr::from(([0, 0, 0, 0], 0));
            let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok()).unwrap_or(unknown);
            if self.app.connections() >= self.app.config.limits.connections {
                self.refuse(&fd);
                continue;
            }
            self.app.connected();
            let requester = Requester {
                fd,
                peer,
                input: Vec::new(),
                output: Vec::new(),
                pending: 0,
                closing: false,
                since_ms: self.now_ms,
            };
            let key = self.conns.insert(Conn::Requester(requester));
            if self.register(key).is_err() {
                self.close(key);
                continue;
            }
            // Most clients have sent their request by now.
            self.read(hub, key, intake, round);
        }
    }

    /// One registration for the life of the connection: edges, so that no call is needed to ask for
    /// writability or not.
    fn register(&self, key: Key) -> rustix::io::Result<()> {
        let fd = match self.conns.get(key) {
            Some(Conn::Requester(requester)) => requester.fd.as_fd(),
            Some(Conn::Seat(seat)) => seat.subscriber.fd.as_fd(),
            None => return Ok(()),
        };
        let flags = epoll::EventFlags::IN
            | epoll::EventFlags::OUT
            | epoll::EventFlags::RDHUP
            | epoll::EventFlags::ET;
        epoll::add(&self.poll, fd, epoll::EventData::new_u64(key.to_u64()), flags)
    }

    fn refuse(&mut self, fd: &OwnedFd) {
        self.app.metrics.refused();
        let error = ApiError::new(
            tidings_frame::ErrorCode::TooManyConnections,
            "the server holds as many connections as it may",
        );
        let mut out = Vec::new();
        let reply = Reply::from(error).with("connection", "close");
        self.dates.reply(&reply, None, self.now_ms, &mut out);
        let _ = rustix::net::send(fd, &out, super::conn::FLAGS);
    }

    fn read_mail(&mut self, mail: Mail) {
        match mail {
            Mail::Adopt { fd, peer, asked } => self.adopt(fd, peer, *asked),
            Mail::Subscriber(subscriber) => {
                if let Some(key) = self.insert(*subscriber) {
                    self.join(key);
                }
            }
            // Only backfill threads are sent these.
            Mail::Start(..) => self.app.disconnected(),
            Mail::Synced { batch, result } => self.synced(batch, &result),
            Mail::List(reply) => {
                let subscribers = self.conns.iter().filter_map(|(_, conn)| match conn {
                    Conn::Seat(seat) => Some(Listed::new(&seat.subscriber, false)),
                    Conn::Requester(_) => None,
                });
                // Whoever asked may have gone.
                let _ = reply.send(subscribers.collect());
            }
            Mail::Change { id, change, done } => {
                let key = self.find(id);
                let _ = done.send(key.and_then(|key| self.change(key, change)));
            }
            Mail::Close { id, done } => {
                let key = self.find(id);
                if let Some(key) = key {
                    self.close(key);
                }
                let _ = done.send(key.is_some());
            }
        }
    }

    fn find(&self, id: u64) -> Option<Key> {
        self.conns.iter().find_map(|(key, conn)| match conn {
            Conn::Seat(seat) if seat.subscriber.id == id => Some(key),
            _ => None,
        })
    }

    /// Makes a requester a subscriber.
    pub(super) fn subscribe(&mut self, key: Key, asked: Subscribe) {
        if self.app.is_draining() {
            let reply = Reply::from(ApiError::draining()).with("connection", "close");
            self.reply(key, &asked.origin, &reply);
            if let Some(Conn::Requester(requester)) = self.conns.get_mut(key) {
                requester.closing = true;
            }
            return self.flush(key);
        }
        let Some(after) = self.starts_here(&asked) else {
            if let Some(Conn::Requester(requester)) = self.conns.remove(key) {
                let _ = epoll::delete(&self.poll, &requester.fd);
                self.start_in_log(requester.fd, requester.peer, asked);
            }
            return;
        };
        let (app, now_ms) = (self.app.clone(), self.now_ms);
        self.conns.replace(key, |conn| match conn {
            Conn::Requester(Requester { fd, peer, .. }) => {
                Conn::Seat(Seat::new(Subscriber::new(&app, fd, peer, &asked, now_ms)))
            }
            seat @ Conn::Seat(_) => seat,
        });
        self.welcome(key, after, asked.origin.as_deref());
    }

    /// Takes a subscriber that came by way of hyper.
    fn adopt(&mut self, fd: OwnedFd, peer: SocketAddr, asked: Subscribe) {
        match self.starts_here(&asked) {
            None => self.start_in_log(fd, peer, asked),
            Some(after) => {
                let subscriber = Subscriber::new(&self.app, fd, peer, &asked, self.now_ms);
                if let Some(key) = self.insert(subscriber) {
                    self.welcome(key, after, asked.origin.as_deref());
                }
            }
        }
    }

    fn start_in_log(&self, fd: OwnedFd, peer: SocketAddr, asked: Subscribe) {
        let subscriber = Subscriber::new(&self.app, fd, peer, &asked, self.now_ms);
        let mail = Mail::Start(Box::new(subscriber), Box::new(asked));
        self.app.backfills[self.number].send(mail);
    }

    fn insert(&mut self, subscriber: Subscriber) -> Option<Key> {
        let key = self.conns.insert(Conn::Seat(Seat::new(subscriber)));
        match self.register(key) {
            Ok(()) => Some(key),
            Err(_) => {
                self.close(key);
                None
            }
        }
    }

    /// Sends the head of the stream, and joins the fan-out.
    fn welcome(&mut self, key: Key, after: u64, origin: Option<&str>) {
        let now_ms = self.now_ms;
        let Some(Conn::Seat(seat)) = self.conns.get_mut(key) else {
            return;
        };
        seat.subscriber.after = after;
        let position = Position { epoch: self.app.hub.epoch(), sequence: after };
        let head = self.dates.stream(seat.subscriber.id, position, origin, now_ms);
        match seat.subscriber.write(&head.into(), now_ms) {
            Wrote::Gone => self.close(key),
            wrote => {
                seat.blocked = wrote == Wrote::Part;
                self.join(key);
            }
        }
    }

    /// Gives a subscriber in the table its place in the live fan-out.
    fn join(&mut self, key: Key) {
        let Some(Conn::Seat(seat)) = self.conns.get(key) else {
            return;
        };
        let mut selection = seat.subscriber.selection.clone();
        let framing = seat.subscriber.view.framing;
        let topic = selection.single().map(|name| self.follows.follow(name.as_str(), framing));
        match topic {
            Some(topic) => {
                self.follows.join_single(topic, key, &mut selection);
                if let Some(Conn::Seat(seat)) = self.conns.get_mut(key) {
                    seat.topic = topic;
                    seat.subscriber.selection = selection;
                }
                self.catch_up_with_tail(key, topic);
            }
            None => {
                self.follows.join_many(key, &selection, framing);
                if let Some(Conn::Seat(seat)) = self.conns.get_mut(key) {
                    seat.many = Some(Box::default());
                }
                self.catch_up_with_tails(key, &selection);
            }
        }
    }

    /// The position of a subscription that can begin without the log.
    fn starts_here(&mut self, asked: &Subscribe) -> Option<u64> {
        let view = asked.view;
        let live = asked.selection.single().map(|name| {
            let topic = self.follows.follow(name.as_str(), view.framing);
            self.follows.get(topic).map(|followed| followed.live.clone())
        });
        let live = live.flatten();
        if live.as_ref().is_some_and(|live| live.has_ended()) {
            return None;
        }
        match &asked.start {
            Start::Live => Some(self.app.hub.visible()),
            Start::After(id) => {
                let position: Position = id.parse().ok()?;
                let after = position.sequence;
                let visible = self.app.hub.visible();
                if position.epoch != self.app.hub.epoch()
                    || after > visible
                    || !self.app.hub.is_of_this_life(after)
                {
                    return None;
                }
                let all = View { private: true, ..view };
                match live?.reach(after, visible, all, self.now_ms) {
                    Reach::Behind => None,
                    Reach::Nothing | Reach::Due(_) => Some(after),
                }
            }
            _ => None,
        }
    }

    /// What became visible between its position and its seat was told to others, not to it.
    fn catch_up_with_tail(&mut self, key: Key, topic: u64) {
        let Some(Conn::Seat(seat)) = self.conns.get(key) else {
            return;
        };
        let (after, view) = (seat.subscriber.after, seat.subscriber.view);
        let Some(followed) = self.follows.get_mut(topic) else {
            return;
        };
        if followed.live.reach(after, self.visible, view, self.now_ms) == Reach::Nothing {
            return;
        }
        if followed.queued {
            followed.again = true;
        } else {
            followed.queued = true;
            followed.next = 0;
            self.line.push_back(topic);
        }
    }

    fn catch_up_with_tails(&mut self, key: Key, selection: &tidings_hub::Selection) {
        let topics = self.follows.matching(selection);
        if let Some(Conn::Seat(Seat { many: Some(many), .. })) = self.conns.get_mut(key) {
            many.due.extend(topics);
            many.queued = true;
            self.line_of_many.push_back(key);
        }
    }

    /// Moves a subscriber to the thread that reads the log.
    pub(super) fn to_backfill(&mut self, key: Key) {
        if let Some(subscriber) = self.unseat(key) {
            let _ = epoll::delete(&self.poll, &subscriber.fd);
            self.app.backfills[self.number].send(Mail::Subscriber(Box::new(subscriber)));
        }
    }

    fn unseat(&mut self, key: Key) -> Option<Subscriber> {
        let Some(Conn::Seat(_)) = self.conns.get(key) else {
            return None;
        };
        let Some(Conn::Seat(seat)) = self.conns.remove(key) else {
            return None;
        };
        if seat.many.is_some() {
            let framing = seat.subscriber.view.framing;
            self.follows.leave_many(key, &seat.subscriber.selection, framing, self.now_ms);
        } else {
            self.follows.leave_single(seat.topic, key, self.now_ms);
        }
        Some(seat.subscriber)
    }

    /// Ends a connection.
    pub(super) fn close(&mut self, key: Key) {
        if self.unseat(key).is_some() || self.conns.remove(key).is_some() {
            self.app.disconnected();
        }
    }

    /// Changes what a connection is subscribed to; it goes on from its position, by way of the log.
    fn change(
        &mut self,
        key: Key,
        change: super::mail::Change,
    ) -> Option<Arc<tidings_hub::Selection>> {
        // All that is visible now is in the lines, also of topics that nobody here follows.
        let visible = self.app.hub.rung();
        let mut topics = Vec::new();
        self.visible = self.mail.bell.take(&mut topics).max(self.visible);
        self.news(&mut topics);
        let Some(Conn::Seat(seat)) = self.conns.get_mut(key) else {
            return None;
        };
        let next = change(&seat.subscriber.selection)?;
        let up_to_date = match (&seat.many, self.follows.get(seat.topic)) {
            (Some(many), _) => many.due.is_empty(),
            (None, Some(followed)) => {
                let subscriber = &seat.subscriber;
                let reach = |live: &tidings_hub::Live| {
                    live.reach(subscriber.after, visible, subscriber.view, self.now_ms)
                };
                reach(&followed.live) == Reach::Nothing
            }
            (None, None) => false,
        };
        if up_to_date && !seat.blocked {
            // It has had everything up to now, so of a topic that it adds it wants what comes now.
            seat.subscriber.after = seat.subscriber.after.max(visible);
        }
        let mut subscriber = self.unseat(key)?;
        let _ = epoll::delete(&self.poll, &subscriber.fd);
        subscriber.selection = next.clone();
        self.app.backfills[self.number].send(Mail::Subscriber(Box::new(subscriber)));
        Some(next)
    }

    /// Looks after idle connections: a portion of the table at each tick.
    fn tick(&mut self) {
        self.next_tick_ms = self.now_ms + TICK_MS;
        let heartbeat_ms = u64::try_from(self.app.config.heartbeat.as_millis()).unwrap_or(u64::MAX);
        // The whole table three times per heartbeat, so that none is late by more than a third.
        let portions = usize::try_from((heartbeat_ms / 3 / TICK_MS).max(1)).unwrap_or(1);
        let places = self.conns.places();
        for _ in 0..places.div_ceil(portions) {
            self.tended = if self.tended + 1 >= places { 0 } else { self.tended + 1 };
            if let Some(key) = self.conns.at(self.tended) {
                self.tend(key, heartbeat_ms / 3 * 2);
            }
        }
        self.follows.let_go(self.now_ms);
        if self.app.is_draining() {
            self.drain();
        }
    }

    fn tend(&mut self, key: Key, silent_ms: u64) {
        let now_ms = self.now_ms;
        match self.conns.get_mut(key) {
            Some(Conn::Seat(seat)) => {
                let silent = seat.subscriber.last_write_ms.saturating_add(silent_ms) <= now_ms;
                if silent && !seat.blocked {
                    let beat = Bytes::from_static(tidings_frame::sse_encode::HEARTBEAT);
                    match seat.subscriber.write(&beat, now_ms) {
                        Wrote::Gone => self.close(key),
                        wrote => seat.blocked = wrote == Wrote::Part,
                    }
                }
            }
            Some(Conn::Requester(requester)) => {
                let idle_ms = now_ms.saturating_sub(requester.since_ms);
                let limits = &self.app.config.limits;
                let begun = !requester.input.is_empty();
                let in_body = requester.input.windows(4).any(|four| four == b"\r\n\r\n");
                let timeout = if in_body {
                    limits.body_timeout.as_millis()
                } else {
                    limits.head_timeout.as_millis()
                };
                if begun && requester.pending == 0 && u128::from(idle_ms) > timeout {
                    let error = ApiError::new(
                        tidings_frame::ErrorCode::Timeout,
                        "the request did not come in time",
                    );
                    requester.closing = true;
                    requester.input = Vec::new();
                    self.reply(key, &None, &Reply::from(error).with("connection", "close"));
                    self.flush(key);
                } else if idle_ms > IDLE_MAX_MS && requester.pending == 0 {
                    self.close(key);
                }
            }
            None => {}
        }
    }

    /// Ends subscriptions one by one over the drain's time, then the rest.
    fn drain(&mut self) {
        let jitter_ms = u64::try_from(self.app.config.drain.jitter.as_millis()).unwrap_or(u64::MAX);
        let now_ms = self.now_ms;
        let drain = self.drain.get_or_insert(Drain { began_ms: now_ms, jitter_ms });
        let gone_ms = now_ms.saturating_sub(drain.began_ms);
        let over = gone_ms >= drain.jitter_ms;
        let jitter_ms = drain.jitter_ms.max(1);
        let leaving: Vec<Key> = self
            .conns
            .iter()
            .filter(|(_, conn)| match conn {
                Conn::Seat(seat) => {
                    over || crate::app::scatter(seat.subscriber.id) % jitter_ms < gone_ms
                }
                Conn::Requester(requester) => {
                    over && requester.pending == 0 && requester.output.is_empty()
                }
            })
            .map(|(key, _)| key)
            .collect();
        for key in leaving {
            self.close(key);
        }
        if over {
            // The port is free for the next process.
            if let Some(listener) = self.listener.take() {
                let _ = epoll::delete(&self.poll, &*listener);
            }
        }
    }

    fn look_again<'h>(
        &mut self,
        hub: &'h Hub,
        key: Key,
        intake: &mut Intake,
        round: &mut Option<tidings_hub::Round<'h>>,
    ) {
        self.take_kept(hub, key, intake, round);
        self.read(hub, key, intake, round);
        self.close_if_answered(key);
    }
}
