//! Requests on the shard's own connections: read, appended together, answered.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;

use rustix::io::Errno;
use rustix::net::{RecvFlags, recv, send};
use tidings_hub::{Hub, Outcome, Round, StoreError};

use super::conn::{FLAGS, Requester};
use super::door::{FIELDS_MAX, REQUEST_BYTES_MAX, Verdict, judge};
use super::mail::Mail;
use super::shard::{Conn, Shard};
use super::slots::Key;
use crate::app::Handed;
use crate::config::Asks;
use crate::dashboard::trace::Traced;
use crate::error::ApiError;
use crate::head::Head;
use crate::hook::What;
use crate::hook::judge::By;
use crate::http::operator::asked_of_a_full_server;
use crate::http::publish::{status, topic_request, write_answer};
use crate::http::relay::shared;
use crate::http::subscribe::{Asked, Subscribe};
use crate::http::{cors, stream_topic};
use crate::limits::Entry;
use crate::peer::Peer;
use crate::proxy;
use crate::reply::Reply;

/// Output kept in memory for a connection between answers.
const OUTPUT_KEPT_BYTES: usize = 1 << 10;

/// Bytes of answers that a connection does not take, from which on nothing more is read from it.
const UNTAKEN_BYTES_MAX: usize = 64 << 10;

/// A publish in the round, to be answered when it is appended.
struct Asking {
    key: Key,
    /// Its place in the round.
    place: usize,
    events: usize,
    /// Where the answer's topics stand in [`Intake::topics`].
    topics: std::ops::Range<usize>,
    batch: bool,
    origin: Option<String>,
    /// What traces are told of it.
    traced: Option<Box<Traced>>,
}

/// An answer that waits for the disk.
pub(super) struct Waiting {
    batch: u64,
    key: Key,
    reply: Reply,
    origin: Option<String>,
}

/// What one turn of the loop takes in.
#[derive(Default)]
pub(super) struct Intake {
    asking: Vec<Asking>,
    topics: Vec<String>,
    /// Subscriptions that were asked for; they need the hub, which the round holds.
    subscribing: Vec<(Key, Subscribe)>,
}

impl Shard {
    /// Reads what has come on a connection and takes the requests in it.
    pub(super) fn read<'h>(
        &mut self,
        hub: &'h Hub,
        key: Key,
        intake: &mut Intake,
        round: &mut Option<Round<'h>>,
    ) {
        let mut scratch = std::mem::take(&mut self.scratch);
        while let Some(Conn::Requester(requester)) = self.conns.get(key) {
            // Who does not take its answers is asked nothing more; their going out is an edge.
            let paused = requester.closing || requester.paused;
            // Of one that has to be answered first there is enough; what follows is taken up then.
            let paused =
                paused || (requester.input.len() > REQUEST_BYTES_MAX && self.is_asking(key));
            if paused || requester.output.len() > UNTAKEN_BYTES_MAX {
                break;
            }
            match recv(&requester.fd, &mut scratch[..], RecvFlags::DONTWAIT) {
                Ok((_, 0)) => {
                    self.half_closed(key);
                    break;
                }
                Ok((_, count)) => {
                    let goes_on = self.take_bytes(hub, key, &scratch[..count], intake, round);
                    // A short read has emptied the socket; epoll tells of what comes after it.
                    if !goes_on || count < scratch.len() {
                        break;
                    }
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(_) => {
                    self.close(key);
                    break;
                }
            }
        }
        self.scratch = scratch;
    }

    /// The client will send no more. What it has asked is still answered.
    fn half_closed(&mut self, key: Key) {
        let Some(Conn::Requester(requester)) = self.conns.get_mut(key) else {
            return;
        };
        requester.closing = true;
        self.close_if_answered(key);
    }

    /// Ends a connection that is to be closed, unless an answer is still to come.
    pub(super) fn close_if_answered(&mut self, key: Key) {
        let Some(Conn::Requester(requester)) = self.conns.get(key) else {
            return;
        };
        let answered = requester.pending == 0 && requester.output.is_empty();
        if requester.closing && answered && !self.is_asking(key) && !self.again.contains(&key) {
            self.close(key);
        }
    }

    fn is_asking(&self, key: Key) -> bool {
        self.in_round.contains(&key)
    }

    /// Takes the requests in `bytes` and what was kept of earlier ones. `false` when the connection
    /// is not this loop's to read any more.
    fn take_bytes<'h>(
        &mut self,
        hub: &'h Hub,
        key: Key,
        bytes: &[u8],
        intake: &mut Intake,
        round: &mut Option<Round<'h>>,
    ) -> bool {
        let Some(Conn::Requester(requester)) = self.conns.get_mut(key) else {
            return false;
        };
        let mut input = std::mem::take(&mut requester.input);
        if input.is_empty() {
            // A request begins. Its time is not lengthened by sending it byte by byte.
            requester.since_ms = self.now_ms;
        }
        let pending = requester.pending > 0;
        if !input.is_empty() || pending {
            input.extend_from_slice(bytes);
        }
        if pending {
            // Answers go out in the order of the requests, so what comes later waits.
            requester.input = input;
            if requester.input.len() > REQUEST_BYTES_MAX || !requester.hold() {
                requester.closing = true;
            }
            return !requester.closing;
        }
        let data = if input.is_empty() { bytes } else { &input[..] };
        self.take_data(hub, key, data, intake, round)
    }

    /// Looks again at what was kept.
    pub(super) fn take_kept<'h>(
        &mut self,
        hub: &'h Hub,
        key: Key,
        intake: &mut Intake,
        round: &mut Option<Round<'h>>,
    ) {
        let Some(Conn::Requester(requester)) = self.conns.get_mut(key) else {
            return;
        };
        if requester.pending == 0 && !requester.paused && !requester.input.is_empty() {
            let input = std::mem::take(&mut requester.input);
            self.take_data(hub, key, &input, intake, round);
        }
    }

    /// Takes the whole requests in `data` and keeps the rest.
    fn take_data<'h>(
        &mut self,
        hub: &'h Hub,
        key: Key,
        data: &[u8],
        intake: &mut Intake,
        round: &mut Option<Round<'h>>,
    ) -> bool {
        let Some(data) = self.after_proxy_header(key, data) else { return false };
        let (used, goes_on) = self.take_requests(hub, key, data, intake, round);
        if let Some(Conn::Requester(requester)) = self.conns.get_mut(key) {
            if used > 0 {
                requester.since_ms = self.now_ms;
            }
            if used < data.len() {
                requester.input = data[used..].to_vec();
            }
            if !requester.hold() {
                let error = self.app.limits.no_memory();
                self.end_with(key, error.into());
                return false;
            }
        }
        goes_on
    }

    /// What comes after the header of the proxy that passes the connection on, if it is to begin
    /// with one: nothing, as long as the header is not whole. `None` if there is none, which ends
    /// the connection.
    fn after_proxy_header<'d>(&mut self, key: Key, data: &'d [u8]) -> Option<&'d [u8]> {
        let Some(Conn::Requester(requester)) = self.conns.get_mut(key) else { return None };
        if !requester.announced {
            return Some(data);
        }
        match proxy::header::parse(data) {
            Ok(Some(header)) => {
                requester.announced = false;
                if let Err(refused) = self.app.announced(&mut requester.peer, &header) {
                    self.end_with(key, refused.into());
                    return None;
                }
                requester.party = self.app.limits.at(requester.peer.address.ip());
                Some(&data[header.length..])
            }
            Ok(None) => {
                requester.input = data.to_vec();
                Some(&[])
            }
            Err(proxy::header::Malformed) => {
                tracing::debug!(peer = %requester.peer, "no PROXY header came");
                self.close(key);
                None
            }
        }
    }

    fn take_requests<'h>(
        &mut self,
        hub: &'h Hub,
        key: Key,
        data: &[u8],
        intake: &mut Intake,
        round: &mut Option<Round<'h>>,
    ) -> (usize, bool) {
        let mut used = 0;
        while used < data.len() {
            let rest = &data[used..];
            let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
            let head_bytes_max = self.app.config.limits.head_bytes;
            let shared = self.app.shared.as_deref();
            let (verdict, mut head) = judge(shared, rest, head_bytes_max, &mut fields);
            let Some(Conn::Requester(requester)) = self.conns.get(key) else {
                return (data.len(), false);
            };
            if let Some(head) = &mut head {
                head.party = if proxy::is_trusted(&self.app.config.proxy, requester.peer) {
                    let client = proxy::client(&self.app.config.proxy, requester.peer, head);
                    self.app.limits.at(client.address.ip())
                } else {
                    requester.party
                };
            }
            if requester.entry == Entry::Reserved
                && verdict != Verdict::More
                && !head.as_ref().is_some_and(asked_of_a_full_server)
            {
                // Nobody waits here until it has hung up: others want the place.
                let error = ApiError::from(self.app.limits.full());
                self.reply(key, &None, &Reply::from(error).with("connection", "close"));
                self.flush(key);
                self.close(key);
                return (data.len(), false);
            }
            match (verdict, head) {
                (Verdict::More, _) => break,
                (Verdict::Publish { body, len }, Some(head)) => {
                    match self.publish(hub, key, &head, body, intake, round) {
                        Ok(true) => {}
                        Ok(false) if self.is_asking(key) => break,
                        // The application has to be asked, which is not waited for here.
                        Ok(false) => {
                            self.give_away(key, rest.to_vec(), None);
                            return (data.len(), false);
                        }
                        // Answers go out in the order of the requests.
                        Err(_) if self.is_asking(key) => break,
                        Err(error) => {
                            let pause = error.problem.status == 429;
                            self.answer_error(key, &head, error);
                            if pause {
                                self.pause(key);
                                return (used + len, true);
                            }
                        }
                    }
                    used += len;
                }
                // Its publishes are answered first; then this is looked at again.
                (Verdict::Subscribe { .. } | Verdict::Hyper | Verdict::Refuse { .. }, _)
                    if self.is_asking(key) =>
                {
                    break;
                }
                (Verdict::Subscribe { len }, Some(head))
                    if !self.app.asks_about_following(&head) =>
                {
                    used += len;
                    match subscription(&self.app, &head) {
                        // What follows the request is not looked at: the connection is a stream
                        // now.
                        Ok(asked) => {
                            self.name_client(key, &head);
                            intake.subscribing.push((key, asked));
                            return (data.len(), false);
                        }
                        Err(error) => self.answer_error(key, &head, error),
                    }
                }
                (Verdict::Refuse { code, why }, _) => {
                    self.end_with(key, ApiError::new(code, why));
                    return (data.len(), false);
                }
                _ => {
                    self.give_away(key, rest.to_vec(), None);
                    return (data.len(), false);
                }
            }
        }
        (used, true)
    }

    /// Reads nothing more from a connection until the next tick.
    fn pause(&mut self, key: Key) {
        if let Some(Conn::Requester(requester)) = self.conns.get_mut(key) {
            requester.paused = true;
            self.paused.push(key);
        }
    }

    /// Has the connection, which becomes a stream, stand under the name of its client.
    fn name_client(&mut self, key: Key, head: &Head<'_>) {
        if let Some(Conn::Requester(requester)) = self.conns.get_mut(key) {
            requester.peer = proxy::client(&self.app.config.proxy, requester.peer, head);
        }
    }

    /// Takes a publish into the round; `false` if it has to be asked about first.
    fn publish<'h>(
        &mut self,
        hub: &'h Hub,
        key: Key,
        head: &Head<'_>,
        body: &[u8],
        intake: &mut Intake,
        round: &mut Option<Round<'h>>,
    ) -> Result<bool, ApiError> {
        let topic = crate::http::topic_of(head.after("/topics/").unwrap_or(""))?;
        let request = topic_request(&self.app, head, topic, body)?;
        let who = self.app.who(head)?;
        request.judge(&who)?;
        let by = By { caller: who.caller(), peer: None };
        if self.app.open(Asks::Publish, by, request.topics().map(What::Topic))?.is_some() {
            return Ok(false);
        }
        let limits = &self.app.limits;
        limits.publish(hub, limits.of(request.party, who.caller()), &request.events)?;
        let round = round.get_or_insert_with(|| hub.round());
        let place = round.publish(&request.publish(request.is_operators(&who)));
        let first = intake.topics.len();
        intake.topics.extend(request.events.iter().map(|event| event.topic.to_string()));
        intake.asking.push(Asking {
            key,
            place,
            events: request.events.len(),
            topics: first..intake.topics.len(),
            batch: request.batch,
            origin: cors::allowed(&self.app, head),
            traced: self.app.dashboard.traces.traced(&request, &who),
        });
        self.in_round.insert(key);
        Ok(true)
    }

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
        self.app.refused(Some(head), &error, self.peer(key));
        if let Some(Conn::Requester(requester)) = self.conns.get(key) {
            self.app.audit.refused(&self.app, head, requester.peer.address, &error);
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
        let now_ms = self.now_ms;
        let Some(Conn::Requester(requester)) = self.conns.get_mut(key) else {
            return;
        };
        let before = requester.output.len();
        let written = write_output(requester);
        if requester.output.len() < before && requester.input.is_empty() {
            // It takes its answers, if slowly.
            requester.since_ms = now_ms;
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

    /// Ends a connection with a last answer. Where the next request would begin is not known.
    fn end_with(&mut self, key: Key, error: ApiError) {
        tracing::debug!(code = %error.problem.code, "a request was refused");
        self.reply(key, &None, &Reply::from(error).with("connection", "close"));
        let Some(Conn::Requester(requester)) = self.conns.get_mut(key) else {
            return;
        };
        let answer = std::mem::take(&mut requester.output);
        self.give_away(key, Vec::new(), Some(answer));
    }

    /// Gives a connection to the general door: with what was read of its next request, or with the
    /// last answer on it.
    fn give_away(&mut self, key: Key, initial: Vec<u8>, last_answer: Option<Vec<u8>>) {
        let Some(Conn::Requester(requester)) = self.conns.remove(key) else {
            return;
        };
        let _ = rustix::event::epoll::delete(&self.poll, &requester.fd);
        let (fd, peer, entry) = (requester.fd, requester.peer, requester.entry);
        // When hyper's queue is full the connection ends, which is all that can be said without it.
        if self.app.hand_to_hyper(Handed { fd, peer, entry, initial, last_answer }).is_err() {
            self.app.metrics.refused();
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

/// Reads a subscription that came through the fast door.
fn subscription(app: &Arc<crate::app::App>, head: &Head<'_>) -> Result<Subscribe, ApiError> {
    if let Some(stream) = shared::at(app, head.path) {
        let mut asked = shared::subscribe(app, stream, head)?;
        asked.admission = app.limits.stream(app.limits.of(head.party, asked.caller.as_ref()))?;
        return Ok(asked);
    }
    let mut asked = Asked::read(app, head)?;
    if let Some(topic) = head.after("/topics/") {
        asked.only_topic(crate::http::topic_of(topic)?)?;
    } else if head.path == "/stream" {
        asked.only_topic(Cow::Borrowed(stream_topic(app)?))?;
    }
    let mut asked = asked.subscribe(app)?;
    asked.admission = app.limits.stream(app.limits.of(head.party, asked.caller.as_ref()))?;
    Ok(asked)
}
