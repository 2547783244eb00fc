//! The limit of every relay: a bare epoll loop that copies bytes from one socket to the other.
//!
//! It parses nothing, keeps nothing and knows nothing of HTTP. What it costs is what the kernel
//! costs for taking a token in and giving it out again, so a relay is judged by its distance from
//! it.

use std::net::SocketAddrV4;
use std::os::fd::OwnedFd;

use clap::Args;
use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use rustix::process::{Signal, set_parent_process_death_signal};

use crate::bench::socket::{self, Poll, Received};

/// Connections waiting to be accepted; the kernel lowers it to `net.core.somaxconn`.
const BACKLOG: i32 = 4096;
/// Bytes taken from a socket at once, and the most that wait for a slow one.
const READ_BYTES: usize = 64 * 1024;
const LISTENER: usize = usize::MAX;

/// Arguments of the hidden `proxy` subcommand.
#[derive(Clone, Debug, Args)]
pub(crate) struct ProxyArgs {
    /// Where to listen.
    #[arg(long)]
    pub(crate) listen: SocketAddrV4,
    /// Where everything goes.
    #[arg(long)]
    pub(crate) upstream: SocketAddrV4,
}

/// Serves until its parent ends it.
pub(crate) fn serve(args: &ProxyArgs) -> Result<(), Errno> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let mut proxy = Proxy::new(args)?;
    loop {
        proxy.turn()?;
    }
}

/// One end of a pair: what was read from the other end and has not been taken yet.
struct End {
    socket: OwnedFd,
    waiting: Vec<u8>,
}

/// A client's connection and the one to the upstream that was made for it.
struct Pair([End; 2]);

struct Proxy {
    upstream: SocketAddrV4,
    poll: Poll,
    listener: OwnedFd,
    /// The ends of pair n have the tokens 2n and 2n + 1.
    pairs: Vec<Option<Pair>>,
    free: Vec<usize>,
    buffer: Vec<u8>,
}

impl Proxy {
    fn new(args: &ProxyArgs) -> Result<Proxy, Errno> {
        let poll = Poll::new()?;
        let listener = socket::listen(args.listen, BACKLOG)?;
        poll.add(&listener, LISTENER, EventFlags::IN)?;
        let (pairs, free, buffer) = (Vec::new(), Vec::new(), vec![0; READ_BYTES]);
        Ok(Proxy { upstream: args.upstream, poll, listener, pairs, free, buffer })
    }

    fn turn(&mut self) -> Result<(), Errno> {
        for index in 0..self.poll.wait(None)? {
            match self.poll.event(index) {
                (LISTENER, _) => self.accept()?,
                (token, flags) => self.event(token, flags)?,
            }
        }
        Ok(())
    }

    fn accept(&mut self) -> Result<(), Errno> {
        while let Some(client) = socket::accept(&self.listener)? {
            let upstream = socket::connect(None, self.upstream)?;
            socket::undelayed(&upstream)?;
            let slot = self.free.pop().unwrap_or_else(|| {
                self.pairs.push(None);
                self.pairs.len() - 1
            });
            for (token, socket) in [(2 * slot, &client), (2 * slot + 1, &upstream)] {
                self.poll.add(socket, token, EventFlags::IN)?;
            }
            let end = |socket| End { socket, waiting: Vec::new() };
            self.pairs[slot] = Some(Pair([end(client), end(upstream)]));
        }
        Ok(())
    }

    fn event(&mut self, token: usize, flags: EventFlags) -> Result<(), Errno> {
        let (slot, side) = (token / 2, token % 2);
        // The other end's event may have closed it in the same turn.
        let Some(pair) = self.pairs.get_mut(slot).and_then(Option::as_mut) else {
            return Ok(());
        };
        let mut open = true;
        if flags.contains(EventFlags::OUT) {
            open = pair.flush(side)?;
        }
        if open && flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
            open = pair.copy(side, &mut self.buffer)?;
        }
        if !open {
            self.pairs[slot] = None;
            self.free.push(slot);
            return Ok(());
        }
        // Nothing more is read from an end while what came from it waits for the other.
        for side in 0..2 {
            let [own, other] = [side, 1 - side].map(|side| !pair.0[side].waiting.is_empty());
            if own || other || flags.contains(EventFlags::OUT) {
                let mut wanted = EventFlags::empty();
                wanted.set(EventFlags::OUT, own);
                wanted.set(EventFlags::IN, !other);
                self.poll.modify(&pair.0[side].socket, 2 * slot + side, wanted)?;
            }
        }
        Ok(())
    }
}

impl Pair {
    /// Passes on what has come from `side`; false when it has closed.
    fn copy(&mut self, side: usize, buffer: &mut [u8]) -> Result<bool, Errno> {
        let length = match socket::receive(&self.0[side].socket, buffer)? {
            Received::Bytes(length) => length,
            Received::Nothing => return Ok(true),
            Received::Closed => return Ok(false),
        };
        let other = &mut self.0[1 - side];
        if !other.waiting.is_empty() {
            other.waiting.extend_from_slice(&buffer[..length]);
            return Ok(true);
        }
        let sent = match socket::send(&other.socket, &buffer[..length]) {
            Ok(sent) => sent,
            // The connection to the upstream is still being made.
            Err(Errno::NOTCONN) => 0,
            Err(Errno::PIPE | Errno::CONNRESET) => return Ok(false),
            Err(error) => return Err(error),
        };
        other.waiting.extend_from_slice(&buffer[sent..length]);
        Ok(true)
    }

    /// Sends what waits for `side`; false when it has closed.
    fn flush(&mut self, side: usize) -> Result<bool, Errno> {
        let end = &mut self.0[side];
        match socket::send(&end.socket, &end.waiting) {
            Ok(sent) => drop(end.waiting.drain(..sent)),
            Err(Errno::PIPE | Errno::CONNRESET) => return Ok(false),
            Err(error) => return Err(error),
        }
        Ok(true)
    }
}
