//! The limit server's topic: frames once, in one row of bytes, and who receives them.
//!
//! A subscriber is a byte position in that row. Bytes that every subscriber has had are removed;
//! one that falls [`BEHIND_BYTES_MAX`] behind stops being waited for and is cut off.

use memchr::memmem;

use super::connection::{Connection, Connections, Role, push_decimal};
use super::{Manner, socket};

/// Bytes kept for the slowest subscriber.
const BEHIND_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bytes of one send at most.
const SEND_BYTES_MAX: usize = 256 * 1024;
/// Removing what everybody has had waits until there is this much of it, bytes.
const TRIM_BYTES: usize = 4 * 1024;

#[derive(Default)]
pub(super) struct Topic {
    /// Nothing is removed: subscribers may begin anywhere.
    keep: bool,
    log: Vec<u8>,
    /// Position of the first byte of `log`.
    base: u64,
    sequence: u64,
    subscribers: Vec<u32>,
    /// Where the current round over the subscribers stands, and how many are left in it.
    turn: usize,
    left: usize,
    trim_at: usize,
}

/// What one send came to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sent {
    /// There is more to send, and room for it.
    More,
    UpToDate,
    /// The socket takes no more now.
    Full,
    Broken,
}

impl Topic {
    pub(super) fn new(keep: bool) -> Topic {
        Topic { keep, ..Topic::default() }
    }

    /// The position after the frame with the event id `id`; the oldest one if there is none.
    pub(super) fn after(&self, id: &[u8]) -> u64 {
        let line = [b"id: ", id, b"\n"].concat();
        let end = memmem::find(&self.log, &line)
            .and_then(|start| Some(start + memmem::find(&self.log[start..], b"\n\n")? + 2));
        self.base + end.unwrap_or(0) as u64
    }

    /// The position after the last byte.
    pub(super) fn end(&self) -> u64 {
        self.base + self.log.len() as u64
    }

    pub(super) fn join(&mut self, slot: u32) {
        self.subscribers.push(slot);
    }

    pub(super) fn leave(&mut self, slot: u32) {
        self.subscribers.retain(|other| *other != slot);
        self.left = self.left.min(self.subscribers.len());
        self.turn = 0;
        if self.left > 0 {
            self.left = self.subscribers.len();
        }
    }

    /// Appends the frame of one event and returns its sequence number.
    pub(super) fn append(&mut self, body: &[u8], connections: &Connections) -> u64 {
        if self.log.len() > self.trim_at && !self.keep {
            self.trim(connections, body.len());
        }
        self.sequence += 1;
        self.log.extend_from_slice(b"id: limit000-");
        push_decimal(&mut self.log, self.sequence);
        self.log.extend_from_slice(b"\ndata: ");
        self.log.extend_from_slice(body);
        self.log.extend_from_slice(b"\n\n");
        self.sequence
    }

    fn trim(&mut self, connections: &Connections, body: usize) {
        let floor = self.end().saturating_sub(BEHIND_BYTES_MAX as u64);
        let slowest = self.subscribers.iter().filter_map(|slot| {
            match connections.get(*slot as usize)?.role {
                Role::Subscriber { cursor, .. } => Some(cursor),
                Role::Request { .. } => None,
            }
        });
        let keep_from = slowest.min().unwrap_or(self.end()).max(floor);
        self.log.drain(..(keep_from - self.base) as usize);
        self.base = keep_from;
        self.trim_at = 2 * self.log.len() + TRIM_BYTES + 16 * body;
    }

    /// Sends the newest frame to every subscriber that has had all before it.
    pub(super) fn send_each(&self, connections: &mut Connections) {
        for slot in &self.subscribers {
            if let Some(connection) = connections.get_mut(*slot as usize) {
                // One that is behind has a full socket and goes on when that is writable; one
                // that is broken is reported by epoll.
                self.send_one(connection, Manner::Each);
            }
        }
    }

    /// Makes every subscriber due once more; false when the topic is in the queue already.
    pub(super) fn begin_round(&mut self) -> bool {
        let idle = self.left == 0;
        self.left = self.subscribers.len();
        idle && self.left > 0
    }

    /// Goes on with the round for as long as `sends` lasts; true when it is finished.
    pub(super) fn send_due(&mut self, connections: &mut Connections, sends: &mut usize) -> bool {
        while self.left > 0 {
            if *sends == 0 {
                return false;
            }
            self.left -= 1;
            let slot = self.subscribers[self.turn];
            self.turn = (self.turn + 1) % self.subscribers.len();
            if let Some(connection) = connections.get_mut(slot as usize) {
                *sends -= 1;
                self.send_one(connection, Manner::Coalesce);
            }
        }
        true
    }

    /// One send to `connection`: the next frame, or all that is due.
    pub(super) fn send_one(&self, connection: &mut Connection, manner: Manner) -> Sent {
        let Role::Subscriber { cursor, .. } = &mut connection.role else {
            return Sent::Broken;
        };
        let Some(start) = cursor.checked_sub(self.base) else {
            // Too far behind: its bytes are gone. Shutting down makes epoll report it.
            let how = rustix::net::Shutdown::Both;
            let _ = rustix::net::shutdown(&connection.socket, how);
            return Sent::Broken;
        };
        let due = &self.log[start as usize..];
        let length = match manner {
            Manner::Each => memmem::find(due, b"\n\n").map_or(0, |end| end + 2),
            Manner::Coalesce => due.len().min(SEND_BYTES_MAX),
        };
        if length == 0 {
            return Sent::UpToDate;
        }
        match socket::send(&connection.socket, &due[..length]) {
            Ok(sent) => {
                *cursor += sent as u64;
                if sent < length {
                    Sent::Full
                } else if length < due.len() {
                    Sent::More
                } else {
                    Sent::UpToDate
                }
            }
            Err(_) => Sent::Broken,
        }
    }
}
