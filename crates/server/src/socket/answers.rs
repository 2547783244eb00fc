//! Answers to requests: given when the round that they are in is appended and, where their topics
//! want it, on disk; on each connection in the order of its requests.

use std::collections::VecDeque;

use rustix::io::Errno;
use rustix::net::send;
use tidings_hub::{Hub, Outcome, Round, StoreError};

use super::conn::{FLAGS, Requester};
use super::mail::Mail;
use super::requests::Intake;
use super::shard::{Conn, Shard};
use super::slots::Key;
use crate::dashboard::trace::Traced;
use crate::error::ApiError;
use crate::head::Head;
use crate::http::cors;
use crate::http::publish::{status, write_answer};
use crate::peer::Peer;
use crate::proxy;
use crate::reply::Reply;

/// Output kept in memory for a connection between answers.
const OUTPUT_KEPT_BYTES: usize = 1 << 10;

/// A publish in the round, to be answered when it is appended.
pub(super) struct Asking {
    pub(super) key: Key,
    /// Its place in the round.
    pub(super) place: usize,
    pub(super) events: usize,
    /// Where the answer's topics stand in [`Intake::topics`].
    pub(super) topics: std::ops::Range<usize>,
    pub(super) batch: bool,
    pub(super) origin: Option<String>,
    /// What traces are told of it.
    pub(super) traced: Option<Box<Traced>>,
}

/// An answer that waits for the disk.
pub(super) struct Waiting {
    pub(super) batch: u64,
    pub(super) key: Key,
    pub(super) reply: Reply,
    pub(super) origin: Option<String>,
}

impl Shard {
    /// Appends the round, answers, and takes the subscriptions on.
    pub(super) fn finish(&mut self, hub: &Hub, intake: &mut Intake, round: Option<Round<'_>>) {
        let outcomes = round.map(Round::commit).unwrap_or_default();
        self.in_round.clear();
        let mut wait_for = None;
        let mut answered: Vec<Key> = Vec::new();
        for asking in intake.asking.drain(..) {
            let outcome = outcomes.get(asking.place).cloned();
            wait_for = self.answer(hub, &asking, outcome, &intake.topics).or(wait_for);
            if answered.last() != Some(&asking.key) {
                answered.push(asking.key);
            }
        }
        intake.topics.clear();
        if let Some(batch) = wait_for {
            let mail = self.mail.clone();
            hub.when_synced(
                batch,
                Box::new(move |result| mail.send(Mail::Synced { batch, result })),
            );
        }
        for key in answered {
            self.flush(key);
            self.take_up(key);
        }
        for (key, asked) in intake.subscribing.drain(..) {
            self.subscribe(key, asked);
        }
    }

    /// Looks again at what came behind requests that had to be answered first.
    fn take_up(&mut self, key: Key) {
        let Some(Conn::Requester(requester)) = self.conns.get(key) else {
            return;
        };
        if requester.pending == 0 && !requester.input.is_empty() {
            self.again.push(key);
        }
    }

    /// Answers a publish; returns the batch that the answer waits for.
    fn answer(
        &mut self,
        hub: &Hub,
        asking: &Asking,
        outcome: Option<Outcome>,
        topics: &[String],
    ) -> Option<u64> {
        let accepted = match outcome {
            Some(Ok(accepted)) => accepted,
            Some(Err(error)) => {
                let error = crate::error::publish(hub, error);
                self.refused(asking, &error);
                let reply = Reply::from(error);
                self.reply_in_turn(asking, reply);
                return None;
            }
            None => return None,
        };
        self.app.metrics.published(asking.events);
        if asking.traced.is_some() {
            let (peer, traced) = (self.peer(asking.key), asking.traced.as_deref());
            self.app.dashboard.traces.published(&self.app, traced, &accepted, peer);
        }
        let topics = topics[asking.topics.clone()].iter().map(String::as_str);
        let Some(Conn::Requester(requester)) = self.conns.get_mut(asking.key) else {
            return None;
        };
        // Behind an answer that waits, every answer waits.
        let wait = accepted.wait.or_else(|| {
            if requester.pending > 0 {
                self.waiting.back().map(|waiting| waiting.batch)
            } else {
                None
            }
        });
        match wait {
            None => {
                let mut body = std::mem::take(&mut self.body);
                body.clear();
                write_answer(hub, &accepted, asking.batch, topics, &mut body);
                self.dates.head(
                    status(&accepted),
                    "application/json",
                    body.len(),
                    asking.origin.as_deref(),
                    self.now_ms,
                    &mut requester.output,
                );
                requester.output.extend_from_slice(&body);
                self.body = body;
                None
            }
            Some(batch) => {
                let mut answer = Vec::new();
                write_answer(hub, &accepted, asking.batch, topics, &mut answer);
                let reply = Reply::new(status(&accepted), "application/json", answer);
                self.wait_for(asking, batch, reply);
                Some(batch)
            }
        }
    }

    fn peer(&self, key: Key) -> Option<Peer> {
        match self.conns.get(key) {
            Some(Conn::Requester(requester)) => Some(requester.peer),
            _ => None,
        }
    }

    fn refused(&self, asking: &Asking, error: &ApiError) {
        self.app.metrics.answered(error.problem.status);
        let (peer, traced) = (self.peer(asking.key), asking.traced.as_deref());
        self.app.dashboard.traces.publish_refused(self.now_ms, traced, error, peer);
    }

    /// Answers, or lets the answer wait behind those of the same connection that wait.
    fn reply_in_turn(&mut self, asking: &Asking, reply: Reply) {
        match (self.conns.get(asking.key), self.waiting.back()) {
            (Some(Conn::Requester(requester)), Some(last)) if requester.pending > 0 => {
                let batch = last.batch;
                self.wait_for(asking, batch, reply);
            }
            _ => self.reply(asking.key, &asking.origin, &reply),
        }
    }

    fn wait_for(&mut self, asking: &Asking, batch: u64, reply: Reply) {
        if let Some(Conn::Requester(requester)) = self.conns.get_mut(asking.key) {
            requester.pending += 1;
        }
        self.waiting.push_back(Waiting {
            batch,
            key: asking.key,
            reply,
            origin: asking.origin.clone(),
        });
    }

    /// The disk has a batch, or never will: the answers that waited for it go out.
    pub(super) fn synced(&mut self, batch: u64, result: &Result<(), StoreError>) {
        let mut keys = VecDeque::new();
        while self.waiting.front().is_some_and(|waiting| waiting.batch <= batch) {
            let Some(waiting) = self.waiting.pop_front() else {
                break;
            };
            if let Some(Conn::Requester(requester)) = self.conns.get_mut(waiting.key) {
                requester.pending -= 1;
            }
            let refused = waiting.reply.status >= 400;
            let reply = match result {
                Err(error) if !refused => Reply::from(ApiError::from(error.clone())),
                _ => waiting.reply,
            };
            self.reply(waiting.key, &waiting.origin, &reply);
            keys.push_back(waiting.key);
        }
        for key in keys {
            self.flush(key);
            self.take_up(key);
        }
    }

    pub(super) fn answer_error(&mut self, key: Key, head: &Head<'_>, error: ApiError) {
        // Behind a proxy that is trusted, whoever it names.
        let proxies = &self.app.config.proxy;
        let client = self.peer(key).map(|peer| proxy::client(proxies, peer, head));
        self.app.refused(Some(head), &error, client);
        if let Some(client) = client {
            self.app.audit.refused(&self.app, head, client.address, &error);
        }
        let origin = cors::allowed(&self.app, head);
        self.reply(key, &origin, &Reply::from(error));
        self.flush(key);
    }

    /// Puts an answer into the connection's output.
    pub(super) fn reply(&mut self, key: Key, origin: &Option<String>, reply: &Reply) {
        let now_ms = self.now_ms;
        let Some(Conn::Requester(requester)) = self.conns.get_mut(key) else {
            return;
        };
        self.dates.reply(reply, origin.as_deref(), now_ms, &mut requester.output);
    }

    /// Writes a connection's output.
    pub(super) fn flush(&mut self, key: Key) {
        let timer_ms = self.timer_ms;
        let Some(Conn::Requester(requester)) = self.conns.get_mut(key) else {
            return;
        };
        let before = requester.output.len();
        let written = write_output(requester);
        if requester.output.len() < before && requester.input.is_empty() {
            // It takes its answers, if slowly.
            requester.since_ms = timer_ms;
        }
        if !requester.hold() {
            // Counted; there is no room to say so.
            let _ = self.app.limits.no_memory();
            return self.close(key);
        }
        match written {
            // What it has sent and is not looked at yet may be a request.
            Ok(true) if requester.closing && requester.input.is_empty() => {
                self.close_if_answered(key);
            }
            Ok(_) => {}
            Err(()) => self.close(key),
        }
    }
}

/// Writes what it can. `Ok(true)` when all is out.
fn write_output(requester: &mut Requester) -> Result<bool, ()> {
    let mut sent = 0;
    while sent < requester.output.len() {
        match send(&requester.fd, &requester.output[sent..], FLAGS) {
            Ok(count) => sent += count,
            Err(Errno::AGAIN) => break,
            Err(Errno::INTR) => {}
            Err(_) => return Err(()),
        }
    }
    requester.output.drain(..sent);
    let all = requester.output.is_empty();
    if all && requester.output.capacity() > OUTPUT_KEPT_BYTES {
        requester.output = Vec::new();
    }
    Ok(all)
}
