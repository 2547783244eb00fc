//! A shard: one thread, one epoll loop, a table of sockets.
//!
//! One turn of the loop: take what has come (requests into one round, appended together and
//! answered), take the mail, put topics with news in line, deliver a slice. It sleeps only when
//! there is nothing of all that.

use std::collections::{HashSet, VecDeque};
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{Timespec, epoll};
use rustix::io::Errno;
use tidings_hub::{Hub, Live};

use super::answers::Waiting;
use super::conn::{Requester, Subscriber};
use super::deliver::Many;
use super::follow::FollowTable;
use super::mail::{Listed, Mail, Mailbox};
use super::requests::Intake;
use super::slots::{Key, Slots};
use super::timer::timer_ms;
use super::unfinished::PUT_OFF_MAX_MS;
use crate::app::App;
use crate::dates::Dates;
use crate::error::ApiError;
use crate::limits::{Held, Refused};
use crate::metrics::ShardCounts;
use crate::peer::Peer;
use crate::proxy;
use crate::reply::Reply;

/// Connections accepted before others get a turn, and while others have something to be read or are
/// due an event: what a newcomer sends is read at once, up to 64 KiB of it.
const ACCEPTS_PER_TURN: usize = 32;
const ACCEPTS_BESIDE_OTHERS: usize = 8;

/// Connections refused before others get a turn.
const REFUSALS_PER_TURN: usize = 8;

/// Connections refused in a tick that are told why: what says so costs more than the refusal.
pub(super) const TOLD_PER_TICK: usize = 64;

/// Readiness taken from epoll at a time; also bounds how much one round appends.
pub(super) const READY_PER_TURN: usize = 128;

/// Bytes read from a socket at a time.
pub(super) const READ_BYTES: usize = 64 << 10;

/// How often idle connections are looked after, in milliseconds.
pub(super) const TICK_MS: u64 = 100;

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
    pub(super) fn new(subscriber: Subscriber) -> Self {
        Self { blocked: !subscriber.rest.is_empty(), subscriber, topic: 0, many: None }
    }
}

/// The thread's state.
pub(crate) struct Shard {
    pub(super) app: Arc<App>,
    pub(super) number: usize,
    pub(super) poll: OwnedFd,
    pub(super) listener: Option<Arc<OwnedFd>>,
    pub(super) mail: Arc<Mailbox>,
    pub(super) conns: Slots<Conn>,
    pub(super) follows: FollowTable,
    /// Topics with news, in line.
    pub(super) line: VecDeque<u64>,
    /// Subscribers of several topics with news, in line.
    pub(super) line_of_many: VecDeque<Key>,
    /// Everything up to here is noted in the lines.
    pub(super) visible: u64,
    /// The time of day, as events and tokens have it.
    pub(super) now_ms: u64,
    /// The time in which waiting is counted.
    pub(super) timer_ms: u64,
    pub(super) waiting: VecDeque<Waiting>,
    /// Connections with a publish in the round.
    pub(super) in_round: HashSet<Key>,
    /// Connections whose input is to be looked at again.
    pub(super) again: Vec<Key>,
    /// Connections that are not read from until the next tick.
    pub(super) paused: Vec<Key>,
    /// Connections whose request comes in pieces, in line to be read.
    pub(super) unfinished: VecDeque<Key>,
    /// When the last of those were taken, or the first of them came.
    pub(super) unfinished_since_ms: u64,
    /// Whether others have something to be read or are due an event, so that whoever may have bad
    /// intentions has to wait.
    pub(super) is_busy: bool,
    /// When a connection was last refused.
    pub(super) refused_ms: u64,
    /// Connections refused in this tick that were told why.
    pub(super) told: usize,
    pub(super) scratch: Vec<u8>,
    pub(super) body: Vec<u8>,
    pub(super) dates: Dates,
    pub(super) counts: ShardCounts,
    /// Where the round of idle connections stands.
    pub(super) tended: usize,
    pub(super) next_tick_ms: u64,
    /// When the tokens of live connections are looked at again.
    pub(super) next_judged_ms: u64,
    /// When subscribers have to be gone, while draining: those with smaller numbers first.
    pub(super) drain: Option<Drain>,
}

/// The end of a shard: its subscribers leave one by one over a while.
pub(super) struct Drain {
    pub(super) began_ms: u64,
    pub(super) jitter_ms: u64,
}

impl Shard {
    /// Prepares a shard that accepts from `listener`, if there is one for it.
    pub(crate) fn new(
        app: Arc<App>,
        number: usize,
        listener: Option<Arc<OwnedFd>>,
        mail: Arc<Mailbox>,
    ) -> std::io::Result<Self> {
        let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let wakeup = epoll::EventData::new_u64(WAKEUP);
        epoll::add(&poll, &*mail.wakeup, wakeup, epoll::EventFlags::IN)?;
        // Exclusive: one connection wakes one shard.
        let flags = epoll::EventFlags::IN | epoll::EventFlags::EXCLUSIVE;
        if let Some(listener) = &listener {
            epoll::add(&poll, listener, epoll::EventData::new_u64(LISTENER), flags)?;
        }
        let (now_ms, timer_ms) = (app.hub.now_ms(), timer_ms());
        Ok(Self {
            follows: FollowTable::new(app.hub.clone(), mail.bell.clone()),
            visible: app.hub.visible(),
            counts: ShardCounts::default(),
            app,
            number,
            poll,
            listener,
            mail,
            conns: Slots::new(),
            line: VecDeque::new(),
            line_of_many: VecDeque::new(),
            now_ms,
            timer_ms,
            waiting: VecDeque::new(),
            in_round: HashSet::new(),
            again: Vec::new(),
            paused: Vec::new(),
            unfinished: VecDeque::new(),
            unfinished_since_ms: 0,
            is_busy: false,
            refused_ms: 0,
            told: 0,
            scratch: vec![0; READ_BYTES],
            body: Vec::new(),
            dates: Dates::default(),
            tended: 0,
            next_tick_ms: timer_ms,
            next_judged_ms: 0,
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
            (self.now_ms, self.timer_ms) = (hub.now_ms(), timer_ms());
            self.take_ready(&hub, &ready, &mut intake);
            self.give(&mut topics);
        }
    }

    /// The second half of a turn: what has come was appended and answered, and now whoever is due
    /// something gets it.
    pub(super) fn give(&mut self, topics: &mut Vec<Arc<Live>>) {
        for mail in self.mail.take() {
            self.read_mail(mail);
        }
        self.visible = self.mail.bell.take(topics).max(self.visible);
        self.news(topics);
        self.deliver();
        if self.timer_ms >= self.next_tick_ms {
            self.tick();
        }
        self.app.metrics.shard(&mut self.counts);
    }

    pub(super) fn wait(&mut self, ready: &mut Vec<epoll::Event>) {
        ready.clear();
        let nobody_waits = self.again.is_empty() && self.unfinished.is_empty();
        let idle = !self.has_deliveries() && nobody_waits && self.mail.sleep();
        let ms =
            if idle { self.next_tick_ms.saturating_sub(self.timer_ms).min(TICK_MS) } else { 0 };
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
    pub(super) fn take_ready(&mut self, hub: &Hub, ready: &[epoll::Event], intake: &mut Intake) {
        for event in ready {
            self.take_ready_seat(Key::from_u64(event.data.u64()), event.flags);
        }
        // Of more than fits into a turn the rest is ready now.
        self.is_busy = self.has_deliveries() || ready.len() >= READY_PER_TURN;
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
                    if !self.puts_off(key, flags) {
                        self.read_after(hub, key, flags, intake, &mut round);
                    }
                }
                _ => {}
            }
        }
        self.take_unfinished(hub, intake, &mut round);
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
        // They come in numbers: whoever is let in has its turn between them, and while it has,
        // the rest waits in the kernel.
        if self.is_busy && self.timer_ms < self.refused_ms + PUT_OFF_MAX_MS {
            return;
        }
        let mut refused = 0;
        let most = if self.is_busy { ACCEPTS_BESIDE_OTHERS } else { ACCEPTS_PER_TURN };
        for _ in 0..most {
            if refused >= REFUSALS_PER_TURN {
                return;
            }
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
            let address = peer.and_then(|peer| SocketAddr::try_from(peer).ok());
            let mut peer = Peer::plain(address.unwrap_or(unknown));
            let entry = match self.app.enter(&mut peer) {
                Ok(entry) => entry,
                Err(why) => {
                    refused += 1;
                    self.refused_ms = self.timer_ms;
                    self.refuse(&fd, why);
                    continue;
                }
            };
            let requester = Requester {
                party: self.app.limits.at(peer.address.ip()),
                held: Held::of(&self.app.limits.memory),
                entry,
                paused: false,
                put_off: None,
                fd,
                peer,
                announced: proxy::sends_header(&self.app.config.proxy, peer),
                input: Vec::new(),
                output: Vec::new(),
                pending: 0,
                closing: false,
                since_ms: self.timer_ms,
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
    pub(super) fn register(&self, key: Key) -> rustix::io::Result<()> {
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

    fn refuse(&mut self, fd: &OwnedFd, refused: Refused) {
        self.app.metrics.refused();
        if self.told >= TOLD_PER_TICK {
            // Reset, which costs both sides less than an end in good order.
            let _ = rustix::net::sockopt::set_socket_linger(fd, Some(Duration::ZERO));
            return;
        }
        self.told += 1;
        let mut out = Vec::new();
        let reply = Reply::from(ApiError::from(refused)).with("connection", "close");
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
            Mail::Start(subscriber, _) => self.app.disconnected(subscriber.peer),
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

    /// Ends a connection.
    pub(super) fn close(&mut self, key: Key) {
        let peer = match self.unseat(key) {
            Some(subscriber) => Some(subscriber.peer),
            None => match self.conns.remove(key) {
                Some(Conn::Requester(requester)) => Some(requester.peer),
                // A subscriber would have had a seat.
                _ => None,
            },
        };
        if let Some(peer) = peer {
            self.app.disconnected(peer);
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
