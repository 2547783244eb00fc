//! The limit: a bare epoll loop that delivers events and does nothing else.
//!
//! It answers what the measurements send (subscribe, publish, readiness) and has no history, no
//! names beyond a hash map, no access control and no timers. What it costs is what the kernel
//! costs, so a server is judged by its distance from it, measured in the same run.
//!
//! Two manners: [`Manner::Each`] sends every frame to every socket; [`Manner::Coalesce`] keeps
//! the frames of a topic once, a position per subscriber, and lets a send carry all that is due.

mod connection;
pub(crate) mod disk;
mod topic;

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddrV4;
use std::os::fd::OwnedFd;
use std::time::Duration;

use clap::{Args, ValueEnum};
use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use rustix::process::{Signal, set_parent_process_death_signal};

use super::socket::{self, Poll, Received};
use connection::{Connection, Connections, Role};
use topic::{Sent, Topic};

/// Sends between two looks at the publishers, in the coalescing manner.
const SLICE_SENDS: usize = 64;
/// Connections waiting to be accepted; the kernel lowers it to `net.core.somaxconn`.
const BACKLOG: i32 = 4096;
/// Bytes taken from a socket at once.
const READ_BYTES: usize = 256 * 1024;
/// Topics; more are refused.
const TOPICS_MAX: usize = 100_000;
const LISTENER: usize = usize::MAX;

/// How the limit server delivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Manner {
    /// One send for each subscriber and event.
    Each,
    /// One send for all that is due to a subscriber.
    Coalesce,
}

/// Arguments of the hidden `limit` subcommand.
#[derive(Clone, Debug, Args)]
pub(crate) struct LimitArgs {
    /// Where to listen.
    #[arg(long)]
    pub(crate) listen: SocketAddrV4,
    /// How to deliver.
    #[arg(long, value_enum)]
    pub(crate) manner: Manner,
    /// Keep all events, and begin after the `Last-Event-ID` of a subscriber.
    #[arg(long)]
    pub(crate) keep: bool,
}

/// Serves until its parent ends it.
pub(crate) fn serve(args: &LimitArgs) -> Result<(), Errno> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let mut server = Server::new(args)?;
    loop {
        server.turn()?;
    }
}

struct Server {
    manner: Manner,
    keep: bool,
    poll: Poll,
    listener: OwnedFd,
    connections: Connections,
    topics: Vec<Topic>,
    names: HashMap<Box<[u8]>, u32>,
    /// Topics with subscribers that are due something (coalescing manner).
    due: VecDeque<u32>,
    buffer: Vec<u8>,
    answers: Vec<u8>,
}

impl Server {
    fn new(args: &LimitArgs) -> Result<Server, Errno> {
        let poll = Poll::new()?;
        let listener = socket::listen(args.listen, BACKLOG)?;
        poll.add(&listener, LISTENER, EventFlags::IN)?;
        Ok(Server {
            manner: args.manner,
            keep: args.keep,
            poll,
            listener,
            connections: Connections::default(),
            topics: Vec::new(),
            names: HashMap::new(),
            due: VecDeque::new(),
            buffer: vec![0; READ_BYTES],
            answers: Vec::new(),
        })
    }

    /// One look at the sockets, then one slice of sends.
    fn turn(&mut self) -> Result<(), Errno> {
        let timeout = if self.due.is_empty() { None } else { Some(Duration::ZERO) };
        for index in 0..self.poll.wait(timeout)? {
            let (token, flags) = self.poll.event(index);
            if token == LISTENER {
                self.accept()?;
            } else {
                self.event(token, flags);
            }
        }
        self.slice();
        Ok(())
    }

    fn accept(&mut self) -> Result<(), Errno> {
        while let Some(socket) = socket::accept(&self.listener)? {
            let slot = self.connections.vacant();
            // Edge-triggered and for writing too: a socket that was full comes back without a
            // further system call, one that never was costs nothing.
            let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
            self.poll.add(&socket, slot, flags)?;
            self.connections.fill(slot, Connection::new(socket));
        }
        Ok(())
    }

    fn event(&mut self, slot: usize, flags: EventFlags) {
        let gone = EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR;
        let mut alive = true;
        if flags.contains(EventFlags::IN) {
            alive = self.readable(slot);
        }
        if alive && flags.contains(EventFlags::OUT) {
            alive = self.writable(slot);
        }
        if !alive || flags.intersects(gone) {
            self.close(slot);
        }
    }

    fn close(&mut self, slot: usize) {
        let role = self.connections.take(slot).map(|connection| connection.role);
        if let Some(Role::Subscriber { topic, .. }) = role {
            self.topics[topic as usize].leave(slot as u32);
        }
    }

    fn readable(&mut self, slot: usize) -> bool {
        loop {
            let Some(connection) = self.connections.get(slot) else {
                return true;
            };
            let mut buffer = std::mem::take(&mut self.buffer);
            let received = socket::receive(&connection.socket, &mut buffer);
            let more = received == Ok(Received::Bytes(buffer.len()));
            let alive = match received {
                Ok(Received::Bytes(length)) => self.requests(slot, &buffer[..length]),
                Ok(Received::Nothing) => true,
                Ok(Received::Closed) | Err(_) => false,
            };
            self.buffer = buffer;
            // A short read has emptied the socket: no second call to learn the same.
            if !alive || !more {
                return alive;
            }
        }
    }

    /// Takes the requests in `bytes`; what is left of the last one waits in the connection.
    fn requests(&mut self, slot: usize, bytes: &[u8]) -> bool {
        let Some(connection) = self.connections.get_mut(slot) else {
            return true;
        };
        let Role::Request { pending } = &mut connection.role else {
            return true;
        };
        let mut joined = std::mem::take(pending);
        let whole = if joined.is_empty() {
            bytes
        } else {
            joined.extend_from_slice(bytes);
            &joined
        };
        let mut rest = whole;
        let mut alive = true;
        self.answers.clear();
        while alive && !rest.is_empty() {
            match connection::next_request(rest) {
                Ok(Some(request)) => {
                    rest = &rest[request.length..];
                    alive = self.request(slot, &request);
                }
                Ok(None) => break,
                Err(_) => alive = false,
            }
        }
        if alive && !rest.is_empty() {
            let left = rest.to_vec();
            if let Some(Connection { role: Role::Request { pending }, .. }) =
                self.connections.get_mut(slot)
            {
                *pending = left;
            }
        }
        alive && self.answer(slot)
    }

    fn answer(&mut self, slot: usize) -> bool {
        if self.answers.is_empty() {
            return true;
        }
        let Some(connection) = self.connections.get(slot) else {
            return true;
        };
        let sent = socket::send(&connection.socket, &self.answers);
        let whole = sent == Ok(self.answers.len());
        self.answers.clear();
        whole
    }

    fn request(&mut self, slot: usize, request: &connection::Request<'_>) -> bool {
        match (request.method, request.topic) {
            (b"GET", None) => connection::ready(&mut self.answers),
            (b"GET", Some(name)) => return self.subscribe(slot, name, request.resume),
            (b"POST", Some(name)) => return self.publish(slot, name, request.body),
            _ => return false,
        }
        true
    }

    fn topic(&mut self, name: &[u8]) -> Option<u32> {
        if let Some(topic) = self.names.get(name) {
            return Some(*topic);
        }
        if self.topics.len() >= TOPICS_MAX {
            return None;
        }
        let topic = self.topics.len() as u32;
        self.topics.push(Topic::new(self.keep));
        self.names.insert(name.into(), topic);
        Some(topic)
    }

    fn subscribe(&mut self, slot: usize, name: &[u8], resume: Option<&[u8]>) -> bool {
        let Some(topic) = self.topic(name) else {
            return false;
        };
        let log = &mut self.topics[topic as usize];
        let cursor = match resume.filter(|_| self.keep) {
            Some(id) => log.after(id),
            None => log.end(),
        };
        log.join(slot as u32);
        let Some(connection) = self.connections.get_mut(slot) else {
            return true;
        };
        connection.role = Role::Subscriber { topic, cursor };
        let head = connection::SUBSCRIBED;
        socket::send(&connection.socket, head) == Ok(head.len()) && self.writable(slot)
    }

    fn publish(&mut self, slot: usize, name: &[u8], body: &[u8]) -> bool {
        let Some(topic) = self.topic(name) else {
            return false;
        };
        let log = &mut self.topics[topic as usize];
        let sequence = log.append(body, &self.connections);
        connection::published(&mut self.answers, sequence);
        match self.manner {
            Manner::Each => {
                // The answer goes out first: a publisher does not wait for subscribers.
                let alive = self.answer(slot);
                self.topics[topic as usize].send_each(&mut self.connections);
                alive
            }
            Manner::Coalesce => {
                if log.begin_round() {
                    self.due.push_back(topic);
                }
                true
            }
        }
    }

    /// Up to [`SLICE_SENDS`] sends to subscribers that are due something.
    fn slice(&mut self) {
        let mut sends = SLICE_SENDS;
        while sends > 0 {
            let Some(topic) = self.due.pop_front() else {
                return;
            };
            let log = &mut self.topics[topic as usize];
            if !log.send_due(&mut self.connections, &mut sends) {
                self.due.push_front(topic);
            }
        }
    }

    /// Goes on with a subscriber whose socket was full.
    fn writable(&mut self, slot: usize) -> bool {
        let Some(connection) = self.connections.get_mut(slot) else {
            return true;
        };
        let Role::Subscriber { topic, .. } = connection.role else {
            return true;
        };
        let log = &self.topics[topic as usize];
        loop {
            match log.send_one(connection, self.manner) {
                Sent::More => {}
                Sent::UpToDate | Sent::Full => return true,
                Sent::Broken => return false,
            }
        }
    }
}
