//! One answer being made: the task that asks the upstream, reads it, and stores what it says.
//!
//! It belongs to no client. It ends because the answer is complete, because the upstream breaks or
//! is silent for too long, because somebody stops it, or because nobody reads and the policy says
//! that this is the same; and whichever it is, the topic says so. Dropping the upstream's body
//! closes its connection at once, which is how an upstream learns that it can stop.
//!
//! An event is stored before anybody sees it, and a topic never just falls silent: whatever breaks
//! is told in the words of its dialect, because the official SDKs take a clean end for success.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use http_body_util::{BodyExt as _, Limited};
use hyper::Response;
use hyper::body::{Frame, Incoming};
use tidings_frame::End;
use tidings_frame::sse_decode::{Decoder, Limits};
use tidings_hub::PublishError;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::answer::{Answer, Phase, Plain};
use crate::appender::Line;
use crate::config::{LlmConfig, OnDisconnect};
use crate::dialect::{Asked, Cause, Dialect, Progress, Reader, Record};
use crate::outgoing::{Outgoing, answer_headers};
use crate::readers::Readers;
use crate::relays::Relays;
use crate::store;
use crate::upstream::{UpstreamError, chain};

/// Most bytes of an answer that is no stream.
pub(crate) const PLAIN_BYTES_MAX: usize = 64 << 20;

/// Wait before a request is sent again to the same upstream; doubled each time.
const RETRY_WAIT: Duration = Duration::from_millis(250);

/// Wait before the end of an answer is stored once more, after the log has refused it, and how long
/// that is tried.
const END_RETRY: Duration = Duration::from_secs(1);
const END_RETRIED_MAX: Duration = Duration::from_secs(600);

/// How long the end of an upstream's body is waited for, once its answer is complete, and how many
/// bytes of it are read.
const REST_WAIT: Duration = Duration::from_secs(1);
const REST_BYTES_MAX: usize = 64 << 10;

/// What became of the conversation with the upstream.
enum Outcome {
    /// The upstream answered, but not with a stream.
    Plain(Plain),
    /// The answer is in its topic, to its end.
    Over(End),
    /// It broke off.
    Broken { clean: bool, cause: Cause },
}

/// How reading a body went on.
enum Read {
    Over(End),
    Broken { clean: bool, cause: Cause },
}

/// What the reader of an answer has to know of the request.
#[derive(Clone, Debug)]
pub(crate) struct Asks {
    pub(crate) dialect: Dialect,
    pub(crate) asked: Asked,
    /// The message that the AI SDK is told, if it is the AI SDK.
    pub(crate) message: Option<String>,
}

impl Asks {
    pub(crate) fn reader(&self) -> Reader {
        match &self.message {
            Some(message) => Reader::ui(&self.asked, message),
            None => Reader::new(self.dialect, &self.asked),
        }
    }
}

/// The task's state.
pub(crate) struct Generation {
    pub(crate) relays: Arc<Relays>,
    pub(crate) config: Arc<LlmConfig>,
    pub(crate) answer: Arc<Answer>,
    /// Made anew for each upstream: what one has begun is nothing to the next.
    reader: Reader,
    asks: Asks,
    line: Line,
    /// What is not handed in yet: openings, for another upstream may still take over, and what
    /// waits for what was handed in before.
    held: Vec<Record>,
    /// Whether the client knows that there is a stream, and what the upstream calls the answer.
    entered: bool,
    learnt: bool,
    /// Whether the topic's end was handed in.
    ended: bool,
    bytes: usize,
    begun: Instant,
    /// When the last part of the answer came.
    last_token: Option<Instant>,
}

impl Generation {
    pub(crate) fn new(
        relays: Arc<Relays>,
        config: Arc<LlmConfig>,
        answer: Arc<Answer>,
        asks: Asks,
    ) -> Self {
        let line = relays.appender.line(answer.topic());
        Self {
            relays,
            config,
            answer,
            reader: asks.reader(),
            asks,
            line,
            held: Vec::new(),
            entered: false,
            learnt: false,
            ended: false,
            bytes: 0,
            begun: Instant::now(),
            last_token: None,
        }
    }

    pub(crate) async fn run(mut self, request: Outgoing, policy: OnDisconnect) {
        let (answer, limit) = (self.answer.clone(), self.config.runtime_max);
        let readers = answer.readers.clone();
        let outcome = tokio::select! {
            biased;
            () = answer.told_to_stop() => stopped(Cause::Stopped),
            () = abandoned(&readers, policy) => stopped(Cause::Stopped),
            () = sleep(limit) => {
                stopped(Cause::TimedOut(format!("the answer took longer than {limit:?}")))
            }
            outcome = self.converse(&request) => outcome,
        };
        let end = match outcome {
            Outcome::Over(end) => end,
            Outcome::Plain(plain) => match self.plain(plain).await {
                Some(end) => end,
                None => return,
            },
            Outcome::Broken { clean, cause } => self.break_off(clean, &cause).await,
        };
        self.relays.finished(&self.answer, &self.reader, end, self.last_token.is_some());
    }

    /// Tells an answer that is no stream. `None` if the client was given it as it is.
    async fn plain(&mut self, plain: Plain) -> Option<End> {
        let why = format!("the upstream answered with status {}", plain.status);
        if self.answer.enter(Phase::Plain(Arc::new(plain))) {
            self.relays.came_to_nothing(&self.answer);
            return None;
        }
        // Somebody has been promised a stream.
        Some(self.break_off(false, &Cause::Broken(why)).await)
    }

    /// Stores what tells the readers that the answer is not whole.
    async fn break_off(&mut self, clean: bool, cause: &Cause) -> End {
        self.answer.enter(Phase::Streaming(None));
        let mut records = std::mem::take(&mut self.held);
        let mut lost = None;
        // First what was handed in; nothing may follow what could not be stored, but the error.
        if let Err(error) = self.line.settle() {
            records.clear();
            lost = Some(unstored(&error));
        }
        let end = match &lost {
            Some(cause) => self.reader.finish(false, cause, &mut records),
            None => self.reader.finish(clean, cause, &mut records),
        };
        if self.ended && lost.is_none() {
            return end;
        }
        let topic = self.line.topic();
        // Whoever reads waits for an end: a disk that is full now may not be for ever.
        let begun = Instant::now();
        while let Err(error) = store::append(&self.relays.hub, topic, &records, Some(end)) {
            tracing::error!(%topic, %error, "the end of an answer is not stored");
            if begun.elapsed() > END_RETRIED_MAX {
                break;
            }
            sleep(END_RETRY).await;
        }
        end
    }

    /// Asks one upstream after the other until one gives an answer.
    async fn converse(&mut self, request: &Outgoing) -> Outcome {
        let config = self.config.clone();
        let count = config.upstreams.len();
        let mut last = Outcome::Broken { clean: false, cause: Cause::Broken("no upstream".into()) };
        for place in 0..count {
            for attempt in 0..=config.retries {
                if attempt > 0 {
                    sleep(RETRY_WAIT * 2_u32.saturating_pow(attempt - 1)).await;
                }
                let (outcome, again) = self.attempt(request, place).await;
                last = outcome;
                match again {
                    Again::No => return last,
                    Again::Elsewhere => break,
                    Again::Here => {}
                }
            }
        }
        last
    }

    /// Asks an upstream once.
    async fn attempt(&mut self, request: &Outgoing, place: usize) -> (Outcome, Again) {
        let config = self.config.clone();
        let broken = |cause| Outcome::Broken { clean: false, cause };
        let unanswered = |why: String| (broken(Cause::Broken(why)), Again::Elsewhere);
        let http = match request.to(&config.upstreams[place], Some(self.answer.dialect)) {
            Ok(http) => http,
            Err(error) => return unanswered(error.to_string()),
        };
        // On the heap: the state of a request is larger than all else, and over when tokens come.
        let sent = Box::pin(self.relays.upstreams.send(http, config.allow_private));
        let response = match timeout(config.answer_timeout, sent).await {
            Ok(Ok(response)) => response,
            Ok(Err(error @ UpstreamError::Connect(_))) => {
                return (Outcome::Plain(unreachable(502, &error.to_string())), Again::Here);
            }
            Ok(Err(error)) => {
                return (Outcome::Plain(unreachable(502, &error.to_string())), Again::Elsewhere);
            }
            Err(_) => {
                let why = format!("the upstream did not answer within {:?}", config.answer_timeout);
                return (Outcome::Plain(unreachable(504, &why)), Again::Elsewhere);
            }
        };
        if !is_stream(&response) {
            // Another upstream may do better where this one is overloaded or broken; what it says
            // of the request itself is the answer.
            let again = match response.status().as_u16() {
                429 | 500..=599 if place + 1 < config.upstreams.len() => Again::Elsewhere,
                _ => Again::No,
            };
            return match plain(response).await {
                Ok(plain) => (Outcome::Plain(plain), again),
                Err(why) => (Outcome::Plain(unreachable(502, &why)), again),
            };
        }
        let fallback = place + 1 < config.upstreams.len();
        if !fallback {
            let headers = Arc::new(answer_headers(response.headers()));
            self.answer.enter(Phase::Streaming(Some(headers)));
        }
        match self.read(response.into_body(), fallback).await {
            Read::Over(end) => (Outcome::Over(end), Again::No),
            Read::Broken { cause, .. } if self.last_token.is_none() && fallback => {
                self.held.clear();
                (self.reader, self.learnt) = (self.asks.reader(), false);
                (broken(cause), Again::Elsewhere)
            }
            Read::Broken { clean, cause } => (Outcome::Broken { clean, cause }, Again::No),
        }
    }

    /// Reads the upstream's stream into the topic.
    async fn read(&mut self, mut body: Incoming, hold: bool) -> Read {
        let mut decoder = Decoder::new(Limits::default());
        let mut records = Vec::new();
        let (mut heard, silence) = (Instant::now(), self.config.idle_timeout);
        let mut at_end = false;
        // Set anew when it fires, not with each token.
        let mut alarm = pin!(sleep_until(heard + silence));
        loop {
            let frame = tokio::select! {
                biased;
                frame = body.frame() => frame,
                () = &mut alarm => {
                    if heard + silence > Instant::now() {
                        alarm.as_mut().reset(heard + silence);
                        continue;
                    }
                    let why = format!("the upstream said nothing for {silence:?}");
                    return Read::Broken { clean: false, cause: Cause::TimedOut(why) };
                }
            };
            let frame = match frame {
                // A last event without the blank line after it is none by the standard; the SDKs
                // take it, so it is taken.
                None if !at_end => {
                    at_end = true;
                    Frame::data(Bytes::from_static(b"\n\n"))
                }
                None => return broken(true, "the upstream ended before its answer did".into()),
                Some(Err(error)) => return broken(false, chain(&error)),
                Some(Ok(frame)) => frame,
            };
            let Ok(data) = frame.into_data() else { continue };
            let (mut progress, mut over) = (Progress::Opening, None);
            let (reader, bytes) = (&mut self.reader, &mut self.bytes);
            let fed = decoder.feed(&data, |event| {
                let cut = at_end && !is_whole(event.data);
                if over.is_some() || cut {
                    return;
                }
                *bytes += event.data.len();
                match reader.event(event.event_type, event.data, &mut records) {
                    Progress::Over(end) => over = Some(end),
                    Progress::Token => progress = Progress::Token,
                    Progress::Opening => {}
                }
            });
            if !records.is_empty() || progress == Progress::Token {
                heard = Instant::now();
            }
            if progress == Progress::Token {
                self.token(heard);
            }
            let held = hold && self.last_token.is_none() && over.is_none();
            if !held {
                self.learn();
            }
            if held {
                self.held.append(&mut records);
            } else if let Err(why) = self.store(&mut records, over).await {
                return broken(false, why);
            }
            if let Some(end) = over {
                // What is left is the end of the body: with it read, the connection can be used
                // again.
                let rest = Limited::new(body, REST_BYTES_MAX).collect();
                tokio::spawn(async { timeout(REST_WAIT, rest).await.map(drop) });
                return Read::Over(end);
            }
            if let Err(error) = fed {
                return broken(false, error.to_string());
            }
            if self.bytes > self.config.answer_bytes_max {
                let limit = self.config.answer_bytes_max;
                return broken(false, format!("the answer is longer than {limit} bytes"));
            }
        }
    }

    /// Hands in what was held and `records`; what it returns concerns what was handed in before.
    /// An end is stored when this returns.
    async fn store(&mut self, records: &mut Vec<Record>, end: Option<End>) -> Result<(), String> {
        // Held while it waits: whoever stops the answer then finds them there.
        self.held.append(records);
        if self.held.is_empty() && end.is_none() {
            return Ok(());
        }
        if !self.entered {
            self.answer.enter(Phase::Streaming(None));
            self.entered = true;
        }
        let why = |error: Arc<PublishError>| format!("the answer cannot be stored: {error}");
        self.line.settled().await.map_err(why)?;
        self.line.hand_in(std::mem::take(&mut self.held), end);
        if end.is_some() {
            self.ended = true;
            self.line.settled().await.map_err(why)?;
        }
        Ok(())
    }

    /// Counts a part of the answer.
    fn token(&mut self, now: Instant) {
        let metrics = &self.relays.metrics;
        match self.last_token.replace(now) {
            None => metrics.first_token(now - self.begun),
            Some(last) => metrics.next_token(now - last),
        }
    }

    /// Notes the upstream's name of the answer once it has said it.
    fn learn(&mut self) {
        let Some(response) = self.reader.answer_id().filter(|_| !self.learnt) else { return };
        self.learnt = true;
        let mut known = self.answer.known.lock();
        if known.response.is_none() {
            known.response = Some(response.to_owned());
            known.model = self.reader.model().map(str::to_owned);
            drop(known);
            self.relays.named(&self.answer, response);
        }
    }
}

/// Where a request is sent next.
enum Again {
    No,
    Here,
    Elsewhere,
}

fn broken(clean: bool, why: String) -> Read {
    Read::Broken { clean, cause: Cause::Broken(why) }
}

fn unstored(error: &PublishError) -> Cause {
    Cause::Broken(format!("the answer cannot be stored: {error}"))
}

fn stopped(cause: Cause) -> Outcome {
    Outcome::Broken { clean: false, cause }
}

/// Whether the data of an event that the end of the body may have cut is whole.
fn is_whole(data: &str) -> bool {
    data.trim_ascii() == "[DONE]" || serde_json::from_str::<serde::de::IgnoredAny>(data).is_ok()
}

fn is_stream(response: &Response<Incoming>) -> bool {
    let media = response.headers().get(header::CONTENT_TYPE).and_then(|media| media.to_str().ok());
    response.status().is_success()
        && media.is_some_and(|media| {
            let media = media.split(';').next().unwrap_or_default().trim();
            media.eq_ignore_ascii_case("text/event-stream")
        })
}

/// Returns when nobody reads and the policy says that this ends the answer.
async fn abandoned(readers: &Readers, policy: OnDisconnect) {
    let grace = match policy {
        OnDisconnect::Continue => return std::future::pending().await,
        OnDisconnect::Cancel => Duration::ZERO,
        OnDisconnect::CancelAfter(grace) => grace,
    };
    loop {
        readers.none().await;
        tokio::select! {
            () = sleep(grace) => return,
            () = readers.some() => {}
        }
    }
}

/// An answer that is no stream, whole.
pub(crate) async fn plain(response: Response<Incoming>) -> Result<Plain, String> {
    let (parts, body) = response.into_parts();
    let body = Limited::new(body, PLAIN_BYTES_MAX).collect().await;
    let body = body.map_err(|error| format!("the upstream's answer broke off: {error}"))?;
    let mut headers = answer_headers(&parts.headers);
    if let Some(media) = parts.headers.get(header::CONTENT_TYPE) {
        headers.insert(header::CONTENT_TYPE, media.clone());
    }
    Ok(Plain { status: parts.status.as_u16(), headers, body: body.to_bytes() })
}

/// What a client is told of an upstream that gives no answer, in the form that the SDKs read.
pub(crate) fn unreachable(status: u16, why: &str) -> Plain {
    let error = serde_json::json!({
        "type": "error",
        "error": {
            "message": why, "type": "upstream_error", "param": null, "code": "upstream_unreachable",
        },
    });
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Plain { status, headers, body: Bytes::from(error.to_string()) }
}
