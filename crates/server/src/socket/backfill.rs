//! Catching up from the log, on a thread of its own.
//!
//! A subscriber comes here with a position (or with a start that only the log can turn into one),
//! gets span after span as fast as its socket takes them, and goes back to the live fan-out when it
//! has everything. Each turn is one span for one subscriber, so a hundred replays share the thread
//! fairly, and spans that several want are read once.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use bytes::Bytes;
use rustix::event::{Timespec, epoll};
use tidings_frame::sse_encode::encode_gap;
use tidings_frame::{ErrorCode, Position};
use tidings_hub::Backlog;
use tidings_relay::merged;

use super::conn::{Subscriber, Wrote};
use super::mail::{Changed, Listed, Mail, Mailbox};
use super::slots::{Key, Slots};
use super::timer::timer_ms;
use crate::app::App;
use crate::dates::Dates;
use crate::error::ApiError;
use crate::http::history::notice;
use crate::http::subscribe::Subscribe;
use crate::reply::Reply;
use crate::webhooks::occupancy::Attending;

/// Readiness taken from epoll at a time.
const READY_PER_TURN: usize = 128;

/// Spans written before new mail is looked at.
const TURNS_PER_ROUND: usize = 32;

/// How often those who wait for their sockets are looked after, in milliseconds.
const TICK_MS: u64 = 250;

const WAKEUP: u64 = u64::MAX;

struct Laggard {
    subscriber: Subscriber,
    backlog: Backlog,
    /// Whether it waits in line.
    queued: bool,
}

/// The thread's state.
pub(crate) struct Backfill {
    app: Arc<App>,
    number: usize,
    poll: OwnedFd,
    mail: Arc<Mailbox>,
    laggards: Slots<Laggard>,
    line: VecDeque<Key>,
    dates: Dates,
    now_ms: u64,
    timer_ms: u64,
    next_tick_ms: u64,
    draining_since_ms: Option<u64>,
}

impl Backfill {
    pub(crate) fn new(app: Arc<App>, number: usize, mail: Arc<Mailbox>) -> std::io::Result<Self> {
        let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let data = epoll::EventData::new_u64(WAKEUP);
        epoll::add(&poll, &*mail.wakeup, data, epoll::EventFlags::IN)?;
        Ok(Self {
            app,
            number,
            poll,
            mail,
            laggards: Slots::new(),
            line: VecDeque::new(),
            dates: Dates::default(),
            now_ms: 0,
            timer_ms: 0,
            next_tick_ms: 0,
            draining_since_ms: None,
        })
    }

    /// Runs until the app has stopped.
    pub(crate) fn run(mut self) {
        let mut ready = Vec::with_capacity(READY_PER_TURN);
        while !self.app.has_stopped() {
            self.wait(&mut ready);
            (self.now_ms, self.timer_ms) = (self.app.hub.now_ms(), timer_ms());
            for event in &ready {
                self.take_ready(event.data.u64(), event.flags);
            }
            for mail in self.mail.take() {
                self.read_mail(mail);
            }
            for _ in 0..TURNS_PER_ROUND {
                let Some(key) = self.line.pop_front() else {
                    break;
                };
                self.turn(key);
            }
            if self.timer_ms >= self.next_tick_ms {
                self.tick();
            }
        }
    }

    fn wait(&mut self, ready: &mut Vec<epoll::Event>) {
        ready.clear();
        let idle = self.line.is_empty() && self.mail.sleep();
        let ms = if idle { TICK_MS } else { 0 };
        let timeout = Timespec { tv_sec: 0, tv_nsec: (ms * 1_000_000) as _ };
        let _ = epoll::wait(&self.poll, rustix::buffer::spare_capacity(ready), Some(&timeout));
        self.mail.bell.awake();
    }

    fn take_ready(&mut self, data: u64, flags: epoll::EventFlags) {
        if data == WAKEUP {
            return self.mail.silence();
        }
        let key = Key::from_u64(data);
        let gone = epoll::EventFlags::RDHUP | epoll::EventFlags::HUP | epoll::EventFlags::ERR;
        if flags.intersects(gone) {
            self.end(key);
        } else if flags.contains(epoll::EventFlags::OUT) {
            self.queue(key);
        }
    }

    fn queue(&mut self, key: Key) {
        if let Some(laggard) = self.laggards.get_mut(key) {
            if !std::mem::replace(&mut laggard.queued, true) {
                self.line.push_back(key);
            }
        }
    }

    fn read_mail(&mut self, mail: Mail) {
        match mail {
            Mail::Subscriber(subscriber) => {
                let backlog = Backlog::new(subscriber.selection.clone());
                self.take_in(*subscriber, backlog);
            }
            Mail::Start(subscriber, asked) => self.start(*subscriber, *asked),
            Mail::List(reply) => {
                let all = self.laggards.iter();
                let list = all.map(|(_, laggard)| Listed::new(&laggard.subscriber, true));
                let _ = reply.send(list.collect());
            }
            Mail::Change { id, change, done } => {
                let changed = self.find(id).and_then(|key| {
                    let laggard = self.laggards.get_mut(key)?;
                    let next = laggard.subscriber.change(change)?;
                    Attending::changed(&mut laggard.subscriber.attending, &next);
                    laggard.subscriber.selection = next.clone();
                    laggard.backlog.change(next.clone());
                    Some(Changed { selection: next, after: laggard.subscriber.after })
                });
                let _ = done.send(changed);
            }
            Mail::Close { id, done } => {
                let key = self.find(id);
                if let Some(key) = key {
                    self.end(key);
                }
                let _ = done.send(key.is_some());
            }
            // Only shards are sent these.
            Mail::Adopt { peer, .. } => self.app.disconnected(peer),
            Mail::Synced { .. } => {}
        }
    }

    fn find(&self, id: u64) -> Option<Key> {
        self.laggards.iter().find(|(_, laggard)| laggard.subscriber.id == id).map(|(key, _)| key)
    }

    /// Finds the position of a start, and says the gap if there is one.
    fn start(&mut self, mut subscriber: Subscriber, asked: Subscribe) {
        let hub = &self.app.hub;
        let mut backlog = Backlog::new(asked.selection.clone());
        let started = hub.start(&mut backlog, &asked.start);
        let origin = asked.origin.as_deref();
        let first = if started.gap.is_some() && asked.view.framing.is_answer() {
            // An API's own clients would take a gap for a part of the answer.
            let mut out = Vec::new();
            subscriber.closing = true;
            let error = ApiError::new(ErrorCode::Gone, "what comes after that id is not kept");
            let reply = Reply::from(error).with("connection", "close");
            self.dates.reply(&reply, origin, self.now_ms, &mut out);
            out
        } else if started.gap.is_none() && self.has_nothing_more(&asked, started.after) {
            // 204 is how a plain EventSource is told not to come again (WHATWG HTML 9.2.3).
            let mut out = Vec::new();
            subscriber.closing = true;
            let reply = Reply::empty(204).with("connection", "close");
            self.dates.reply(&reply, origin, self.now_ms, &mut out);
            out
        } else {
            let position = Position { epoch: hub.epoch(), sequence: started.after };
            let name = self.app.names.own(subscriber.id);
            let mut out = self.dates.stream(&name, position, &asked, self.now_ms);
            if let Some(gap) = &started.gap {
                let (peer, number) = (Some(subscriber.peer), Some(subscriber.id));
                self.app.told_gap(&asked.selection, gap, peer, number);
                encode_gap(&notice(gap), &mut out);
            }
            out
        };
        subscriber.after = started.after;
        match subscriber.write(&first.into(), self.timer_ms) {
            Wrote::Gone => self.app.disconnected(subscriber.peer),
            Wrote::All if subscriber.closing => self.app.disconnected(subscriber.peer),
            _ => self.take_in(subscriber, backlog),
        }
    }

    /// Whether the subscription is of one topic that has ended and whose end it has had.
    fn has_nothing_more(&self, asked: &Subscribe, after: u64) -> bool {
        let topic = asked.selection.single().and_then(|name| self.app.hub.describe(name));
        topic.is_some_and(|topic| topic.closed.is_some() && topic.newest <= after)
    }

    fn take_in(&mut self, subscriber: Subscriber, backlog: Backlog) {
        subscriber.standing.catching_up(true);
        let laggard = Laggard { subscriber, backlog, queued: false };
        let key = self.laggards.insert(laggard);
        let flags = epoll::EventFlags::IN
            | epoll::EventFlags::OUT
            | epoll::EventFlags::RDHUP
            | epoll::EventFlags::ET;
        let registered = self.laggards.get(key).map(|laggard| {
            let data = epoll::EventData::new_u64(key.to_u64());
            epoll::add(&self.poll, &laggard.subscriber.fd, data, flags)
        });
        match registered {
            Some(Ok(())) => self.queue(key),
            _ => self.end(key),
        }
    }

    /// One span for one subscriber.
    fn turn(&mut self, key: Key) {
        let timer_ms = self.timer_ms;
        let Some(laggard) = self.laggards.get_mut(key) else {
            return;
        };
        laggard.queued = false;
        let subscriber = &mut laggard.subscriber;
        match subscriber.write_rest(timer_ms) {
            Wrote::Part => return,
            Wrote::Gone => return self.end(key),
            Wrote::All if subscriber.closing => return self.end(key),
            Wrote::All => {}
        }
        let (hub, backlog) = (&self.app.hub, &mut laggard.backlog);
        let (after, view) = (subscriber.after, subscriber.view);
        let step = match subscriber.merge {
            Some(how) => merged::step(hub, backlog, after, view.framing, how),
            None => backlog.step(hub, after, view),
        };
        let step = match step {
            Ok(step) => step,
            Err(error) => {
                // The client comes again with its last id; a clean end would be a lie.
                tracing::error!(%error, "the log could not be read for a subscriber");
                return self.end(key);
            }
        };
        let mut span = step.span;
        if step.gap.is_some() && subscriber.view.framing.is_answer() {
            // Without the last chunk of the body the client knows that it is not whole.
            return self.end(key);
        }
        if let Some(gap) = &step.gap {
            // Overtaken by retention while it was behind.
            let (peer, number) = (Some(subscriber.peer), Some(subscriber.id));
            self.app.told_gap(&subscriber.selection, gap, peer, number);
            let mut bytes = Vec::new();
            encode_gap(&notice(gap), &mut bytes);
            bytes.extend_from_slice(&span.bytes);
            span.bytes = bytes.into();
        }
        subscriber.after = span.after;
        subscriber.events += u64::from(span.events);
        subscriber.closing |= span.end.is_some() && subscriber.selection.single().is_some();
        self.app.metrics.caught_up(u64::from(span.events), span.bytes.len() as u64);
        let wrote = subscriber.write(&span.bytes, timer_ms);
        match wrote {
            Wrote::Gone => self.end(key),
            Wrote::All if subscriber.closing => self.end(key),
            _ if step.caught_up && !subscriber.closing => self.send_to_shard(key),
            Wrote::All => self.queue(key),
            Wrote::Part => {}
        }
    }

    /// It has everything: back to the live fan-out.
    fn send_to_shard(&mut self, key: Key) {
        if let Some(laggard) = self.laggards.remove(key) {
            let subscriber = laggard.subscriber;
            subscriber.standing.catching_up(false);
            let _ = epoll::delete(&self.poll, &subscriber.fd);
            self.app.shards[self.number].send(Mail::Subscriber(Box::new(subscriber)));
        }
    }

    fn end(&mut self, key: Key) {
        if let Some(laggard) = self.laggards.remove(key) {
            self.app.disconnected(laggard.subscriber.peer);
        }
    }

    fn tick(&mut self) {
        self.next_tick_ms = self.timer_ms + TICK_MS;
        let (now_ms, timer_ms) = (self.now_ms, self.timer_ms);
        let silent_ms =
            u64::try_from(self.app.config.heartbeat.as_millis()).unwrap_or(u64::MAX) / 3 * 2;
        let drain_ms = u64::try_from(self.app.config.drain.jitter.as_millis()).unwrap_or(0);
        let gone_ms = if self.app.is_draining() {
            Some(timer_ms.saturating_sub(*self.draining_since_ms.get_or_insert(timer_ms)))
        } else {
            None
        };
        let keys: Vec<Key> = self.laggards.iter().map(|(key, _)| key).collect();
        for key in keys {
            let Some(laggard) = self.laggards.get_mut(key) else {
                continue;
            };
            let subscriber = &mut laggard.subscriber;
            let gone = subscriber.expects_telling(now_ms)
                && subscriber.tell_expiring(now_ms, timer_ms) == Wrote::Gone;
            let over = gone || subscriber.is_over(&self.app, now_ms);
            let leaves = !subscriber.view.framing.is_answer()
                && gone_ms.is_some_and(|gone_ms| {
                    crate::app::scatter(subscriber.id) % drain_ms.max(1) < gone_ms
                });
            let silent = subscriber.last_write_ms.saturating_add(silent_ms) <= timer_ms;
            let beats = silent && subscriber.rest.is_empty();
            let beat = Bytes::from_static(subscriber.view.framing.heartbeat());
            if over || leaves || (beats && subscriber.write(&beat, timer_ms) == Wrote::Gone) {
                self.end(key);
            }
        }
    }
}
