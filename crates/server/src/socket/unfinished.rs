//! Requests that come in pieces wait for those that come whole.
//!
//! Who sends a head byte by byte on 2,000 connections makes 2,000 reads, and they stood before
//! somebody else's publish, and between two slices of its delivery. So a connection whose request
//! has begun and is not whole yet is put off until the others of the turn have been read, and of
//! those that wait a turn takes a few. Nobody is put off for longer than others are worked for.

use tidings_hub::{Hub, Round};

use super::requests::Intake;
use super::shard::{Conn, Shard};
use super::slots::Key;

/// Connections that are read in one turn of those that wait.
pub(super) const UNFINISHED_PER_TURN: usize = 16;

/// Connections that wait at most; further ones are read at once.
const WAITING_MAX: usize = 4_096;

impl Shard {
    /// Whether there is something to read on the connection that has to wait.
    pub(super) fn puts_off(&mut self, key: Key) -> bool {
        let is_full = self.unfinished.len() >= WAITING_MAX;
        let Some(Conn::Requester(requester)) = self.conns.get_mut(key) else {
            return false;
        };
        if requester.put_off {
            return true;
        }
        // What comes behind a request that waits for its answer is not a piece of one.
        if is_full || requester.input.is_empty() || requester.pending > 0 {
            return false;
        }
        requester.put_off = true;
        self.unfinished.push_back(key);
        true
    }

    /// Reads from the first of those that wait.
    pub(super) fn take_unfinished<'h>(
        &mut self,
        hub: &'h Hub,
        intake: &mut Intake,
        round: &mut Option<Round<'h>>,
    ) {
        for _ in 0..UNFINISHED_PER_TURN {
            let Some(key) = self.unfinished.pop_front() else { return };
            // It may have gone meanwhile.
            let Some(Conn::Requester(requester)) = self.conns.get_mut(key) else { continue };
            requester.put_off = false;
            self.read(hub, key, intake, round);
            // Its end may have come with the last bytes, and that edge is over.
            self.read(hub, key, intake, round);
        }
    }
}
