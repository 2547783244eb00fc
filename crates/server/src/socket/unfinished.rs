//! Requests that come in pieces wait for those that come whole.
//!
//! Who sends a head byte by byte on 2,000 connections makes 2,000 reads, and they stood before
//! somebody else's publish, and between two slices of its delivery. So a connection whose request
//! has begun and is not whole yet is put off until nobody else has anything to be read or is due
//! an event, and even then a turn takes a few. They come out of it after [`PUT_OFF_MAX_MS`] or, of
//! many, at most [`TURNS_FOR_ALL`] times that, however busy the others keep the shard.

use rustix::event::epoll::EventFlags;
use tidings_hub::{Hub, Round};

use super::requests::Intake;
use super::shard::{Conn, Shard};
use super::slots::Key;

/// Connections that are read in one turn of those that wait, at least.
pub(super) const UNFINISHED_PER_TURN: usize = 16;

/// Turns in which everybody's comes: where more wait, a turn takes more of them.
pub(super) const TURNS_FOR_ALL: usize = 16;

/// Connections that wait at most; further ones are read at once.
const WAITING_MAX: usize = 4_096;

/// The longest time between two turns that take of those that wait, in milliseconds.
pub(super) const PUT_OFF_MAX_MS: u64 = 10;

impl Shard {
    /// Whether there is something to read on the connection that has to wait.
    pub(super) fn puts_off(&mut self, key: Key, flags: EventFlags) -> bool {
        let is_full = self.unfinished.len() >= WAITING_MAX;
        let Some(Conn::Requester(requester)) = self.conns.get_mut(key) else {
            return false;
        };
        if let Some(meanwhile) = &mut requester.put_off {
            *meanwhile |= flags;
            return true;
        }
        // What comes behind a request that waits for its answer is not a piece of one.
        if is_full || requester.input.is_empty() || requester.pending > 0 {
            return false;
        }
        requester.put_off = Some(flags);
        if self.unfinished.is_empty() {
            self.unfinished_since_ms = self.timer_ms;
        }
        self.unfinished.push_back(key);
        true
    }

    /// Reads from the first of those that wait, unless the shard is busy with others.
    pub(super) fn take_unfinished<'h>(
        &mut self,
        hub: &'h Hub,
        intake: &mut Intake,
        round: &mut Option<Round<'h>>,
    ) {
        if self.is_busy && self.timer_ms < self.unfinished_since_ms + PUT_OFF_MAX_MS {
            return;
        }
        self.unfinished_since_ms = self.timer_ms;
        for _ in 0..UNFINISHED_PER_TURN.max(self.unfinished.len() / TURNS_FOR_ALL) {
            let Some(key) = self.unfinished.pop_front() else { return };
            // It may have gone meanwhile.
            let Some(Conn::Requester(requester)) = self.conns.get_mut(key) else { continue };
            let flags = requester.put_off.take().unwrap_or(EventFlags::empty());
            self.read_after(hub, key, flags, intake, round);
        }
    }
}
