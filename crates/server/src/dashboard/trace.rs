//! Traces: what happens to some topics, or by some subject, told in a topic of the trace's own for
//! as long as somebody wants to know.
//!
//! While no trace runs, whoever could tell one looks at a flag and does nothing else: no lock, no
//! allocation. While one runs, a record costs its text and a lock, and at most so many records a
//! second are kept of each trace; of the rest there is a count. Records are written by the
//! dashboard's own task, because whoever tells them may hold the hub's lock.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use ring::rand::{SecureRandom as _, SystemRandom};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tidings_frame::time::Time;
use tidings_frame::{End, ErrorCode, Pattern, Position};
use tidings_hub::{Accepted, NewEvent, Published, Selection};
use tokio::sync::Notify;

use crate::access::Who;
use crate::app::App;
use crate::connection_name::connection_name;
use crate::error::ApiError;
use crate::http::{params, publish};
use crate::peer::Peer;
use crate::reply::Reply;

/// Traces at the same time.
const TRACES_MAX: usize = 8;

/// How long a trace runs unless it is ended before.
const LASTS: Duration = Duration::from_secs(600);

/// Records of one trace in one second; also what waits in memory while nobody reads it.
const RECORDS_MAX: usize = 200;

/// Bytes of a trace's name, before they are text.
const NAME_BYTES: usize = 12;

/// Longest detail of a record, in bytes.
const DETAIL_BYTES_MAX: usize = 500;

/// The traces that run.
#[derive(Default)]
pub(crate) struct Traces {
    /// Whether there are any.
    on: AtomicBool,
    all: Mutex<Vec<Trace>>,
    news: Notify,
}

struct Trace {
    id: String,
    topic: Option<Pattern>,
    subject: Option<String>,
    until_ms: u64,
    /// The second, since 1970, that `taken` counts in.
    second: u64,
    taken: usize,
    left_out: u64,
    waiting: VecDeque<(&'static str, String)>,
    /// Whether anything was written.
    wrote: bool,
}

/// What happened, as a record says it. What is not known is not said.
#[derive(Clone, Copy, Default)]
pub(crate) struct Record<'a> {
    pub(crate) kind: &'static str,
    pub(crate) subject: Option<&'a str>,
    pub(crate) peer: Option<Peer>,
    pub(crate) connection: Option<u64>,
    pub(crate) id: Option<&'a str>,
    pub(crate) event_type: Option<&'a str>,
    pub(crate) bytes: Option<usize>,
    pub(crate) status: Option<u16>,
    pub(crate) detail: Option<&'a str>,
}

impl Record<'_> {
    /// One that says nothing yet but what kind of thing happened.
    pub(crate) fn of(kind: &'static str) -> Self {
        Self { kind, ..Self::default() }
    }
}

/// What it happened to.
#[derive(Clone, Copy)]
pub(crate) enum Of<'a> {
    Topic(&'a str),
    Selection(&'a Selection),
    Nothing,
}

/// What a publish is told about once it is known what became of it.
pub(crate) struct Traced {
    subject: Option<String>,
    /// Topic, type and bytes of each.
    events: Vec<(String, Option<String>, usize)>,
}

impl Traces {
    /// Whether any trace runs: what everybody asks before telling anything.
    #[inline]
    pub(crate) fn on(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }

    /// Returns when there is something to write.
    pub(super) async fn news(&self) {
        self.news.notified().await;
    }

    /// Tells the traces that it concerns.
    pub(crate) fn note(&self, now_ms: u64, of: Of<'_>, record: &Record<'_>) {
        if !self.on() {
            return;
        }
        for trace in self.all.lock().iter_mut() {
            let Some(topic) = trace.concerns(of, record.subject) else { continue };
            if !trace.has_room(now_ms) {
                continue;
            }
            let text = text(now_ms, topic, record);
            trace.waiting.push_back((record.kind, text));
            if trace.waiting.len() > RECORDS_MAX {
                trace.waiting.pop_front();
                trace.left_out += 1;
            }
            if trace.waiting.len() == 1 {
                self.news.notify_one();
            }
        }
    }

    /// What a publish is remembered as until its outcome is known; nothing while no trace runs.
    #[inline]
    pub(crate) fn traced(&self, request: &publish::Request<'_>, who: &Who) -> Option<Box<Traced>> {
        if !self.on() {
            return None;
        }
        let events = request.events.iter().map(|event| {
            let event_type = event.event_type.as_deref().map(str::to_owned);
            (event.topic.to_string(), event_type, event.data.len())
        });
        let subject = who.subject().map(str::to_owned);
        Some(Box::new(Traced { subject, events: events.collect() }))
    }

    /// A publish was accepted.
    pub(crate) fn published(
        &self,
        app: &App,
        traced: Option<&Traced>,
        accepted: &Accepted,
        peer: Option<Peer>,
    ) {
        let Some(Traced { subject, events }) = traced else { return };
        let subject = subject.as_deref();
        for (number, (topic, event_type, bytes)) in (0..).zip(events) {
            let (kind, id) = match accepted.result {
                Published::Stored { first, .. } => {
                    let (epoch, sequence) = (app.hub.epoch(), first + number);
                    ("published", Position { epoch, sequence }.to_string())
                }
                Published::Scheduled { id, .. } => ("scheduled", id.to_string()),
            };
            let detail = match accepted.result {
                Published::Stored { duplicate: true, .. } => Some("a duplicate of an earlier one"),
                _ => None,
            };
            let status = Some(publish::status(accepted));
            let (id, event_type, bytes) = (Some(&*id), event_type.as_deref(), Some(*bytes));
            let happened = Record { id, event_type, bytes, status, detail, ..Record::of(kind) };
            let record = Record { subject, peer, ..happened };
            self.note(app.hub.now_ms(), Of::Topic(topic), &record);
        }
    }

    /// A publish was refused.
    pub(crate) fn publish_refused(
        &self,
        now_ms: u64,
        traced: Option<&Traced>,
        error: &ApiError,
        peer: Option<Peer>,
    ) {
        let Some(Traced { subject, events }) = traced else { return };
        let subject = subject.as_deref();
        for (topic, event_type, bytes) in events {
            let (event_type, bytes) = (event_type.as_deref(), Some(*bytes));
            let record = Record { subject, event_type, bytes, ..refusal(error, peer) };
            self.note(now_ms, Of::Topic(topic), &record);
        }
    }

    /// Writes what waits to the topics that somebody reads. The hub is never asked while the
    /// traces are locked: whoever tells them may hold the hub.
    pub(super) fn write(&self, app: &App) {
        if !self.on() {
            return;
        }
        let ids: Vec<String> = self.all.lock().iter().map(|trace| trace.id.clone()).collect();
        for id in ids {
            let topic = topic(&id);
            if app.hub.is_followed(&topic) {
                let records = self.take(&id, app.hub.now_ms(), false);
                write(app, &topic, &records, None);
            }
        }
    }

    /// What waits. How many were left out is said once the second is over that it is the count
    /// of, or at the end.
    fn take(&self, id: &str, now_ms: u64, at_end: bool) -> Vec<(&'static str, String)> {
        let mut all = self.all.lock();
        let Some(trace) = all.iter_mut().find(|trace| trace.id == id) else { return Vec::new() };
        let mut records: Vec<_> = trace.waiting.drain(..).collect();
        if trace.left_out > 0 && (at_end || trace.second != now_ms / 1_000) {
            let records_left = std::mem::take(&mut trace.left_out);
            let text = json!({"at": Time(now_ms), "records": records_left}).to_string();
            records.push(("left-out", text));
        }
        trace.wrote |= !records.is_empty();
        records
    }

    /// Ends the traces whose time is over.
    pub(super) fn end_old(&self, app: &App) {
        if !self.on() {
            return;
        }
        let now_ms = app.hub.now_ms();
        let old: Vec<String> = {
            let all = self.all.lock();
            all.iter().filter(|trace| trace.until_ms <= now_ms).map(|t| t.id.clone()).collect()
        };
        for id in old {
            self.end(app, &id);
        }
    }

    /// Ends a trace: whoever reads it gets what waits, and the end of its topic. Whether it ran.
    fn end(&self, app: &App, id: &str) -> bool {
        let topic = topic(id);
        let followed = app.hub.is_followed(&topic);
        let now_ms = app.hub.now_ms();
        let records = if followed { self.take(id, now_ms, true) } else { Vec::new() };
        let trace = {
            let mut all = self.all.lock();
            let at = all.iter().position(|trace| trace.id == id);
            let trace = at.map(|at| all.swap_remove(at));
            self.on.store(!all.is_empty(), Ordering::Relaxed);
            trace
        };
        let Some(trace) = trace else { return false };
        if followed || trace.wrote {
            write(app, &topic, &records, Some(End::Done));
        }
        true
    }
}

impl Trace {
    /// Whether it is about this; the topic to name then.
    fn concerns<'a>(&self, of: Of<'a>, subject: Option<&str>) -> Option<Option<&'a str>> {
        if self.subject.is_some() && self.subject.as_deref() != subject {
            return None;
        }
        let Some(pattern) = &self.topic else {
            return Some(match of {
                Of::Topic(topic) => Some(topic),
                Of::Selection(all) => all.single().map(tidings_frame::TopicName::as_str),
                Of::Nothing => None,
            });
        };
        match of {
            Of::Topic(topic) => pattern.matches(topic).then_some(Some(topic)),
            Of::Selection(selection) => {
                let topics = selection.topics().iter().map(tidings_frame::TopicName::as_str);
                let named = topics.clone().find(|topic| pattern.matches(topic));
                let by_pattern = selection.patterns().iter().find(|followed| {
                    // The topic itself, or the same wildcards over.
                    pattern.exact().is_some_and(|topic| followed.matches(topic))
                        || pattern.matches(followed.as_str())
                });
                named.or_else(|| by_pattern.map(Pattern::as_str)).map(Some)
            }
            Of::Nothing => None,
        }
    }

    /// Counts a record; `false` if there were as many in this second as there may be.
    fn has_room(&mut self, now_ms: u64) -> bool {
        let second = now_ms / 1_000;
        if self.second != second {
            (self.second, self.taken) = (second, 0);
        }
        let room = self.taken < RECORDS_MAX;
        if room {
            self.taken += 1
        } else {
            self.left_out += 1
        }
        room
    }
}

/// What an error is told as.
pub(crate) fn refusal(error: &ApiError, peer: Option<Peer>) -> Record<'_> {
    let (status, detail) = (Some(error.problem.status), Some(error.problem.detail.as_ref()));
    Record { peer, status, detail, ..Record::of("refused") }
}

fn topic(id: &str) -> String {
    format!("{}trace/{id}", super::OWN)
}

fn text(now_ms: u64, topic: Option<&str>, record: &Record<'_>) -> String {
    let mut members = Map::new();
    let mut say = |name: &str, value: Option<Value>| {
        members.extend(value.map(|value| (name.to_owned(), value)));
    };
    say("at", Some(json!(Time(now_ms))));
    say("topic", topic.map(Into::into));
    say("subject", record.subject.map(Into::into));
    say("peer", record.peer.map(|peer| peer.to_string().into()));
    say("connection", record.connection.map(|number| connection_name(number).into()));
    say("id", record.id.map(Into::into));
    say("type", record.event_type.map(Into::into));
    say("bytes", record.bytes.map(Into::into));
    say("status", record.status.map(Into::into));
    say("detail", record.detail.map(|detail| shortened(detail).into()));
    Value::Object(members).to_string()
}

fn shortened(text: &str) -> &str {
    let mut end = text.len().min(DETAIL_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

fn write(app: &App, topic: &str, records: &[(&'static str, String)], end: Option<End>) {
    let event = |kind: Option<&'static str>, data: &str, end| NewEvent {
        topic: Cow::Owned(topic.to_owned()),
        event_type: kind.map(Cow::Borrowed),
        data: Cow::Owned(data.as_bytes().to_vec()),
        end,
        ..NewEvent::default()
    };
    let mut events: Vec<NewEvent<'_>> =
        records.iter().map(|(kind, data)| event(Some(kind), data, None)).collect();
    events.extend(end.map(|end| event(None, "", Some(end))));
    if !events.is_empty() {
        app.dashboard.write(&app.hub, &events);
    }
}

/// The body of `POST /traces`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    #[serde(default)]
    topic: Option<String>,
    #[serde(default)]
    subject: Option<String>,
}

/// `POST /traces`.
pub(crate) fn begin(app: &App, who: &Who, body: &[u8]) -> Result<Reply, ApiError> {
    who.may_operate()?;
    let Wanted { topic: pattern, subject } = params::object(body)?;
    if pattern.is_none() && subject.is_none() {
        let why = "say of which topic, or of which subject";
        return Err(ApiError::new(ErrorCode::InvalidRequest, why));
    }
    let pattern = pattern.map(|text| Pattern::new(&text)).transpose();
    let pattern = pattern.map_err(tidings_hub::SubscribeError::from)?;
    let mut random = [0; NAME_BYTES];
    SystemRandom::new()
        .fill(&mut random)
        .map_err(|_| ApiError::new(ErrorCode::Internal, "the system has no randomness"))?;
    let id = URL_SAFE_NO_PAD.encode(random);
    let lasts_ms = u64::try_from(LASTS.as_millis()).unwrap_or(u64::MAX);
    let until_ms = app.hub.now_ms().saturating_add(lasts_ms);
    let traces = &app.dashboard.traces;
    {
        let mut all = traces.all.lock();
        if all.len() >= TRACES_MAX {
            let detail = format!("{TRACES_MAX} traces run already; end one of them first");
            return Err(ApiError::new(ErrorCode::RateLimited, detail));
        }
        all.push(Trace {
            id: id.clone(),
            topic: pattern,
            subject,
            until_ms,
            second: 0,
            taken: 0,
            left_out: 0,
            waiting: VecDeque::new(),
            wrote: false,
        });
        traces.on.store(true, Ordering::Relaxed);
    }
    let answer = json!({"id": id, "topic": topic(&id), "until": Time(until_ms)});
    Ok(Reply::json(201, &answer).with("location", format!("/traces/{id}")))
}

/// `DELETE /traces/{id}`.
pub(crate) fn end(app: &App, who: &Who, id: &str) -> Result<Reply, ApiError> {
    who.may_operate()?;
    if app.dashboard.traces.end(app, id) {
        return Ok(Reply::empty(204));
    }
    Err(ApiError::new(ErrorCode::TopicNotFound, "there is no such trace"))
}
