//! The subscribers of one generator process: opening them, reading them, checking what they get.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::OwnedFd;

use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::LoadError;
use super::scanner::Found;
use super::wire::{self, Reader, Wire};
use crate::bench::clock::now_ns;
use crate::bench::histogram::Histogram;
use crate::bench::socket::{self, EVENTS_MAX, Poll, Received};

/// Subscriptions that are being opened at once; well below the usual backlog of a listener.
const OPENING_MAX: usize = 256;
/// All subscriptions must be open after this time.
const OPEN_DEADLINE_NS: u64 = 60_000_000_000;
/// Bytes taken from a socket at once.
const READ_BYTES: usize = 256 * 1024;
/// How long one wait for the sockets lasts at most while opening, nanoseconds.
const WAIT_NS: u64 = 100_000_000;
/// Rounds of reading at most, beyond one for each full list of events.
const READ_ROUNDS: usize = 16;
const WATCHED: EventFlags = EventFlags::IN.union(EventFlags::RDHUP);

/// Whom to subscribe to what.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct CrowdPlan {
    pub(crate) target: SocketAddrV4,
    /// The address to connect from, so that several processes do not run out of ports.
    pub(crate) source: Option<Ipv4Addr>,
    pub(crate) subscribers: usize,
    /// Subscriber i follows topic i modulo this.
    pub(crate) topics: usize,
    /// Topic i is called `<prefix><i>`.
    pub(crate) prefix: String,
    /// Where to resume; live only when absent.
    pub(crate) last_event_id: Option<String>,
    /// How they follow.
    #[serde(default)]
    pub(crate) wire: Wire,
}

impl CrowdPlan {
    /// The path of a topic, as published to and subscribed to.
    pub(crate) fn path(&self, topic: usize) -> String {
        format!("/topics/{}", self.topic(topic))
    }

    fn topic(&self, topic: usize) -> String {
        format!("{}{topic}", self.prefix)
    }

    /// The request of a subscriber.
    fn request(&self, topic: usize) -> Vec<u8> {
        let after = self.last_event_id.as_deref();
        self.wire.request(&self.target.to_string(), &self.topic(topic), after)
    }
}

/// What all subscribers together have received.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Tally {
    pub(crate) delivered: u64,
    pub(crate) lost: u64,
    pub(crate) duplicates: u64,
    /// Events that the measurement did not publish.
    pub(crate) foreign: u64,
    /// Connections that the server closed.
    pub(crate) closed: u64,
    /// From publish to receipt, nanoseconds.
    pub(crate) latency: Histogram,
}

impl Tally {
    pub(crate) fn merge(&mut self, other: &Tally) {
        self.delivered += other.delivered;
        self.lost += other.lost;
        self.duplicates += other.duplicates;
        self.foreign += other.foreign;
        self.closed += other.closed;
        self.latency.merge(&other.latency);
    }
}

struct Subscriber {
    /// `None` once the server has closed it.
    socket: Option<OwnedFd>,
    reader: Reader,
    topic: u32,
    /// The connection has not taken the request yet.
    unsent: bool,
    /// The next publish count that is due to this one.
    next: u64,
}

/// All subscribers of this process.
pub(crate) struct Crowd {
    plan: CrowdPlan,
    poll: Poll,
    subscribers: Vec<Subscriber>,
    opened: usize,
    /// The publish count at which a subscriber has finished, and when each one had.
    finish_line: u64,
    finishes: Vec<u64>,
    buffer: Vec<u8>,
    /// The newest request and its topic: one topic is the usual case.
    request: (usize, Vec<u8>),
    /// The first publish count that is due, where it is not the topic's first.
    first: Option<u64>,
    pub(crate) tally: Tally,
}

impl Crowd {
    pub(crate) fn new(plan: CrowdPlan) -> Result<Crowd, Errno> {
        Ok(Crowd {
            poll: Poll::new()?,
            subscribers: Vec::with_capacity(plan.subscribers),
            opened: 0,
            finish_line: u64::MAX,
            finishes: Vec::new(),
            buffer: vec![0; READ_BYTES],
            request: (usize::MAX, Vec::new()),
            first: None,
            tally: Tally::default(),
            plan,
        })
    }

    /// The epoll instance, for a wait that includes the subscribers.
    pub(crate) fn poll(&self) -> &Poll {
        &self.poll
    }

    /// Opens all subscriptions, [`OPENING_MAX`] at a time, and returns when every head is there.
    pub(crate) fn open(&mut self) -> Result<(), LoadError> {
        let deadline = now_ns() + OPEN_DEADLINE_NS;
        while self.open_some()? {
            self.read(now_ns() + WAIT_NS)?;
            if now_ns() > deadline {
                return Err(LoadError::Deadline("opening the subscriptions"));
            }
        }
        Ok(())
    }

    /// Starts as many subscriptions as may be opening now; false when all are open.
    pub(crate) fn open_some(&mut self) -> Result<bool, LoadError> {
        let count = self.plan.subscribers;
        let limit = count.min(self.opened + OPENING_MAX);
        while self.subscribers.len() < limit {
            self.start()?;
        }
        Ok(self.opened < count)
    }

    fn start(&mut self) -> Result<(), LoadError> {
        let index = self.subscribers.len();
        let topic = index % self.plan.topics;
        let connection = socket::connect(self.plan.source, self.plan.target);
        let connection = connection.map_err(|error| LoadError::Socket("connect", error))?;
        if self.request.0 != topic {
            self.request = (topic, self.plan.request(topic));
        }
        let request = &self.request.1;
        // On loopback the handshake is done when connect returns, unless the backlog is full.
        let sent = socket::send(&connection, request);
        let unsent = match sent {
            Ok(sent) if sent == request.len() => false,
            Ok(0) | Err(Errno::NOTCONN) => true,
            Ok(_) => return Err(LoadError::Protocol("a request does not fit a fresh socket")),
            Err(error) => return Err(LoadError::Socket("send", error)),
        };
        let writing = if unsent { EventFlags::OUT } else { EventFlags::empty() };
        let added = self.poll.add(&connection, index, WATCHED | writing);
        added.map_err(|error| LoadError::Socket("epoll_ctl", error))?;
        self.subscribers.push(Subscriber {
            socket: Some(connection),
            reader: Reader::new(self.plan.wire),
            topic: topic as u32,
            unsent,
            next: self.first.unwrap_or(topic as u64 + 1),
        });
        Ok(())
    }

    /// Reads whatever has come, waiting until `until` for something; 0: not at all.
    ///
    /// Goes round the sockets with one read for each, so that a subscriber whose data never ends
    /// cannot keep the others waiting.
    pub(crate) fn read(&mut self, mut until: u64) -> Result<(), LoadError> {
        for _ in 0..self.subscribers.len() / EVENTS_MAX + READ_ROUNDS {
            let events = self.poll.spin(until);
            let events = events.map_err(|error| LoadError::Socket("epoll_wait", error))?;
            let mut more = events == EVENTS_MAX;
            for index in 0..events {
                let (subscriber, _) = self.poll.event(index);
                more |= self.read_one(subscriber)?;
            }
            if !more {
                break;
            }
            until = 0;
        }
        Ok(())
    }

    /// One read; true when the socket may hold more.
    fn read_one(&mut self, index: usize) -> Result<bool, LoadError> {
        let subscriber = &mut self.subscribers[index];
        let Some(connection) = &subscriber.socket else {
            return Ok(false);
        };
        if subscriber.unsent {
            let request = self.plan.request(subscriber.topic as usize);
            let sent = socket::send(connection, &request);
            let sent = sent.map_err(|error| LoadError::Socket("send", error))?;
            subscriber.unsent = sent == 0;
            if !subscriber.unsent {
                let modified = self.poll.modify(connection, index, WATCHED);
                modified.map_err(|error| LoadError::Socket("epoll_ctl", error))?;
            }
        }
        let received = socket::receive(connection, &mut self.buffer);
        let length = match received.map_err(|error| LoadError::Socket("recv", error))? {
            Received::Nothing => return Ok(false),
            Received::Bytes(length) => length,
            Received::Closed => {
                subscriber.socket = None;
                self.tally.closed += 1;
                return Ok(false);
            }
        };
        let now = now_ns();
        let tally = &mut self.tally;
        let (before, opened) = (subscriber.next, subscriber.reader.opened());
        let (next, step) = (&mut subscriber.next, self.plan.topics as u64);
        let (plan, topic) = (&self.plan, subscriber.topic as usize);
        let subscribe = || wire::subscribe(&plan.topic(topic), plan.last_event_id.as_deref());
        let answer = subscriber.reader.feed(&self.buffer[..length], subscribe, &mut |found| {
            count(tally, next, step, now, found);
        })?;
        if !answer.is_empty() {
            let sent = socket::send(connection, &answer);
            if sent.map_err(|error| LoadError::Socket("send", error))? < answer.len() {
                return Err(LoadError::Protocol("a socket that takes no short answer"));
            }
        }
        if before <= self.finish_line && subscriber.next > self.finish_line {
            self.finishes.push(now);
        }
        if !opened && subscriber.reader.opened() {
            self.opened += 1;
        }
        Ok(length == self.buffer.len())
    }

    /// The lowest publish count that some subscriber still waits for.
    pub(crate) fn slowest(&self) -> u64 {
        let open = self.subscribers.iter().filter(|subscriber| subscriber.socket.is_some());
        open.map(|subscriber| subscriber.next).min().unwrap_or(u64::MAX)
    }

    /// True when everyone has had all that is due to it up to the publish count `last`.
    pub(crate) fn caught_up(&self, last: u64) -> bool {
        self.slowest() > last
    }

    /// Counts as lost what has not come up to the publish count `last`.
    pub(crate) fn settle(&mut self, last: u64) {
        let step = self.plan.topics as u64;
        for subscriber in &mut self.subscribers {
            if subscriber.next <= last {
                let missing = (last - subscriber.next) / step + 1;
                self.tally.lost += missing;
                subscriber.next += missing * step;
            }
        }
    }

    /// Lets every subscriber that is opened from now on expect `first` as its first publish
    /// count, and finish with `last`. For a single topic.
    pub(crate) fn expect(&mut self, first: u64, last: u64) {
        self.first = Some(first);
        self.finish_line = last;
    }

    /// Subscribers that have passed the finish line, or whose connection is gone.
    pub(crate) fn finished(&self) -> usize {
        self.finishes.len() + self.tally.closed as usize
    }

    /// How long after `start` each subscriber passed the finish line.
    pub(crate) fn finish_times(&self, start: u64) -> Histogram {
        let mut times = Histogram::default();
        for finish in &self.finishes {
            times.record(finish.saturating_sub(start));
        }
        times
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        // Here and not when connecting, where every system call is part of what is measured.
        for socket in self.subscribers.iter().filter_map(|one| one.socket.as_ref()) {
            let _ = socket::reset_on_close(socket);
        }
    }
}

fn count(tally: &mut Tally, next: &mut u64, step: u64, now: u64, found: Found) {
    let Found::Stamp(stamp) = found else {
        tally.foreign += 1;
        return;
    };
    if stamp.sequence < *next {
        tally.duplicates += 1;
        return;
    }
    tally.lost += (stamp.sequence - *next) / step;
    tally.delivered += 1;
    tally.latency.record(now.saturating_sub(stamp.sent_ns));
    *next = stamp.sequence + step;
}

#[cfg(test)]
mod tests {
    use super::super::stamp::Stamp;
    use super::*;

    fn arrive(tally: &mut Tally, next: &mut u64, sequence: u64) {
        let found = Found::Stamp(Stamp { sequence, sent_ns: 90 });
        count(tally, next, 10, 100, found);
    }

    #[test]
    fn loss_and_repetition_are_told_apart() {
        let (mut tally, mut next) = (Tally::default(), 3);
        for sequence in [3, 13, 13, 43, 53] {
            arrive(&mut tally, &mut next, sequence);
        }
        count(&mut tally, &mut next, 10, 100, Found::Foreign);
        assert_eq!((tally.delivered, tally.lost), (4, 2));
        assert_eq!((tally.duplicates, tally.foreign), (1, 1));
        assert_eq!(next, 63);
        assert_eq!(tally.latency.max(), 10);
    }
}
