//! Looking after idle connections: heartbeats, requests that do not come, and leaving.

use std::time::Duration;

use bytes::Bytes;
use rustix::event::epoll;

use super::conn::Wrote;
use super::shard::{Conn, Drain, Shard, TICK_MS};
use super::slots::Key;
use crate::error::ApiError;
use crate::limits::Entry;
use crate::reply::Reply;

/// The longest time in which every connection is looked after, in milliseconds: so much later than
/// said may a deadline be kept.
const ROUND_MAX_MS: u64 = 5_000;

/// How long a connection on an operator's place may take to ask, in milliseconds.
const RESERVED_MAX_MS: u64 = 2_000;

/// How often the tokens of live connections are looked at: a revocation takes effect in a second.
pub(super) const JUDGED_EVERY_MS: u64 = 500;

impl Shard {
    /// Looks after idle connections: a portion of the table at each tick.
    pub(super) fn tick(&mut self) {
        self.next_tick_ms = self.timer_ms + TICK_MS;
        self.told = 0;
        let heartbeat_ms = u64::try_from(self.app.config.heartbeat.as_millis()).unwrap_or(u64::MAX);
        // The whole table three times per heartbeat, so that none is late by more than a third.
        let round_ms = (heartbeat_ms / 3).min(ROUND_MAX_MS);
        let portions = usize::try_from((round_ms / TICK_MS).max(1)).unwrap_or(1);
        let places = self.conns.places();
        for _ in 0..places.div_ceil(portions) {
            self.tended = if self.tended + 1 >= places { 0 } else { self.tended + 1 };
            if let Some(key) = self.conns.at(self.tended) {
                self.tend(key, heartbeat_ms / 3 * 2);
            }
        }
        for key in std::mem::take(&mut self.paused) {
            if let Some(Conn::Requester(requester)) = self.conns.get_mut(key) {
                requester.paused = false;
                self.again.push(key);
            }
        }
        self.follows.let_go(self.timer_ms);
        if self.app.access.has_issuers() && self.timer_ms >= self.next_judged_ms {
            self.next_judged_ms = self.timer_ms + JUDGED_EVERY_MS;
            self.end_those_whose_token_is_over();
            self.tell_those_whose_token_ends_soon();
        }
        if self.app.is_draining() {
            self.drain();
        }
    }

    pub(super) fn tend(&mut self, key: Key, silent_ms: u64) {
        let timer_ms = self.timer_ms;
        match self.conns.get_mut(key) {
            Some(Conn::Seat(seat)) => {
                let silent = seat.subscriber.last_write_ms.saturating_add(silent_ms) <= timer_ms;
                if silent && !seat.blocked {
                    let beat = Bytes::from_static(seat.subscriber.view.framing.heartbeat());
                    match seat.subscriber.write(&beat, timer_ms) {
                        Wrote::Gone => self.close(key),
                        wrote => seat.blocked = wrote == Wrote::Part,
                    }
                }
            }
            Some(Conn::Requester(requester)) => {
                let idle_ms = timer_ms.saturating_sub(requester.since_ms);
                let limits = &self.app.config.limits;
                let crowded =
                    self.app.connections().saturating_mul(4) > limits.connections.saturating_mul(3);
                let idle_max = match requester.entry {
                    Entry::Reserved => Duration::from_millis(RESERVED_MAX_MS),
                    _ if !requester.output.is_empty() => limits.stall_timeout,
                    _ if crowded => limits.idle_timeout.min(limits.head_timeout),
                    Entry::Free => limits.idle_timeout,
                };
                let idle_max_ms = u64::try_from(idle_max.as_millis()).unwrap_or(u64::MAX);
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
                    // Less always fits.
                    let _ = requester.hold();
                    self.reply(key, &None, &Reply::from(error).with("connection", "close"));
                    self.flush(key);
                } else if idle_ms > idle_max_ms && requester.pending == 0 {
                    self.close(key);
                }
            }
            None => {}
        }
    }

    fn end_those_whose_token_is_over(&mut self) {
        let over = |conn: &Conn| match conn {
            Conn::Seat(seat) => seat.subscriber.is_over(&self.app, self.now_ms),
            Conn::Requester(_) => false,
        };
        let leaving: Vec<Key> =
            self.conns.iter().filter(|(_, conn)| over(conn)).map(|(key, _)| key).collect();
        for key in leaving {
            self.close(key);
        }
    }

    fn tell_those_whose_token_ends_soon(&mut self) {
        let (now_ms, timer_ms) = (self.now_ms, self.timer_ms);
        let expects = |conn: &Conn| match conn {
            Conn::Seat(seat) => !seat.blocked && seat.subscriber.expects_telling(now_ms),
            Conn::Requester(_) => false,
        };
        let told: Vec<Key> =
            self.conns.iter().filter(|(_, conn)| expects(conn)).map(|(key, _)| key).collect();
        for key in told {
            if let Some(Conn::Seat(seat)) = self.conns.get_mut(key) {
                match seat.subscriber.tell_expiring(now_ms, timer_ms) {
                    Wrote::Gone => self.close(key),
                    wrote => seat.blocked = wrote == Wrote::Part,
                }
            }
        }
    }

    /// Ends subscriptions one by one over the drain's time, then the rest.
    pub(super) fn drain(&mut self) {
        let jitter_ms = u64::try_from(self.app.config.drain.jitter.as_millis()).unwrap_or(u64::MAX);
        let timer_ms = self.timer_ms;
        let drain = self.drain.get_or_insert(Drain { began_ms: timer_ms, jitter_ms });
        let gone_ms = timer_ms.saturating_sub(drain.began_ms);
        let over = gone_ms >= drain.jitter_ms;
        let jitter_ms = drain.jitter_ms.max(1);
        let leaving: Vec<Key> = self
            .conns
            .iter()
            .filter(|(_, conn)| match conn {
                // An API's own clients cannot come back in the middle of an answer: they may have
                // the rest, within the grace time.
                Conn::Seat(seat) if seat.subscriber.view.framing.is_answer() => false,
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
}
