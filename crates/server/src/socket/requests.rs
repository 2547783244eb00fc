//! Requests on the shard's own connections: read, judged, and taken into the round that appends
//! those of one turn together.

use std::borrow::Cow;
use std::sync::Arc;

use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use tidings_hub::{Hub, Round};

use super::answers::Asking;
use super::door::{FIELDS_MAX, REQUEST_BYTES_MAX, Verdict, judge};
use super::shard::{Conn, Shard};
use super::slots::Key;
use crate::app::Handed;
use crate::config::Asks;
use crate::error::ApiError;
use crate::head::Head;
use crate::hook::What;
use crate::hook::judge::By;
use crate::http::operator::asked_of_a_full_server;
use crate::http::publish::topic_request;
use crate::http::relay::shared;
use crate::http::subscribe::{Asked, Subscribe};
use crate::http::{cors, stream_topic};
use crate::limits::Entry;
use crate::proxy;
use crate::reply::Reply;

/// Bytes of answers that a connection does not take, from which on nothing more is read from it.
const UNTAKEN_BYTES_MAX: usize = 64 << 10;

/// Reads of one connection in a turn. Who sends faster than it is read would never let the turn
/// end: its answers would pile up, and nobody else would be served.
pub(super) const READS_PER_TURN: usize = 2;

/// What one turn of the loop takes in.
#[derive(Default)]
pub(super) struct Intake {
    pub(super) asking: Vec<Asking>,
    pub(super) topics: Vec<String>,
    /// Subscriptions that were asked for; they need the hub, which the round holds.
    pub(super) subscribing: Vec<(Key, Subscribe)>,
}

impl Shard {
    /// Reads what epoll has told of with `flags`.
    pub(super) fn read_after<'h>(
        &mut self,
        hub: &'h Hub,
        key: Key,
        flags: EventFlags,
        intake: &mut Intake,
        round: &mut Option<Round<'h>>,
    ) {
        self.read(hub, key, intake, round);
        if flags.contains(EventFlags::RDHUP) {
            // The end came with the last bytes: there will be no other edge for it.
            self.read(hub, key, intake, round);
        }
    }

    /// Reads what has come on a connection and takes the requests in it.
    pub(super) fn read<'h>(
        &mut self,
        hub: &'h Hub,
        key: Key,
        intake: &mut Intake,
        round: &mut Option<Round<'h>>,
    ) {
        let mut scratch = std::mem::take(&mut self.scratch);
        let mut reads = 0;
        while let Some(Conn::Requester(requester)) = self.conns.get(key) {
            // Who does not take its answers is asked nothing more; their going out is an edge.
            let paused = requester.closing || requester.paused;
            // Of one that has to be answered first there is enough; what follows is taken up then.
            let paused =
                paused || (requester.input.len() > REQUEST_BYTES_MAX && self.is_asking(key));
            if paused || requester.output.len() > UNTAKEN_BYTES_MAX {
                break;
            }
            if reads == READS_PER_TURN {
                // No edge will tell of what is there already.
                if !self.again.contains(&key) {
                    self.again.push(key);
                }
                break;
            }
            reads += 1;
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
            requester.since_ms = self.timer_ms;
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
                requester.since_ms = self.timer_ms;
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
            if !self.has_place(key, &verdict, head.as_mut()) {
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
                            let pause = error.makes_wait();
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
                        Err(error) => {
                            let pause = error.makes_wait();
                            self.answer_error(key, &head, error);
                            if pause {
                                self.pause(key);
                                return (used, true);
                            }
                        }
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

    /// Whether the connection is there and may ask this; says in the head who asks. One that is
    /// here on a place of the operator's is refused everything else.
    fn has_place(
        &mut self,
        key: Key,
        verdict: &Verdict<'_>,
        mut head: Option<&mut Head<'_>>,
    ) -> bool {
        let Some(Conn::Requester(requester)) = self.conns.get(key) else {
            return false;
        };
        let (peer, proxies) = (requester.peer, &self.app.config.proxy);
        if let Some(head) = &mut head {
            let trusted = proxy::is_trusted(proxies, peer);
            let peer = if trusted { proxy::client(proxies, peer, head) } else { peer };
            head.peer = Some(peer);
            head.party =
                if trusted { self.app.limits.at(peer.address.ip()) } else { requester.party };
        }
        let reserved = requester.entry == Entry::Reserved && *verdict != Verdict::More;
        if !reserved || head.is_some_and(|head| asked_of_a_full_server(head)) {
            return true;
        }
        // Nobody waits here until it has hung up: others want the place.
        let error = ApiError::from(self.app.limits.full());
        self.reply(key, &None, &Reply::from(error).with("connection", "close"));
        self.flush(key);
        self.close(key);
        false
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
        let by = By { caller: who.caller(), peer: head.peer };
        if self.app.open(Asks::Publish, by, request.topics().map(What::Topic))?.is_some() {
            return Ok(false);
        }
        let limits = &self.app.limits;
        limits.publish(hub, limits.of(request.party, who.caller()), &request.events)?;
        let maker = request.maker(&who);
        let round = round.get_or_insert_with(|| hub.round());
        let place = round.publish(&request.publish(request.is_operators(&who), maker.as_deref()));
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
