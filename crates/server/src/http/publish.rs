//! `POST /topics/{topic}` and `POST /publish`: from a request to a publish of the hub.

use std::borrow::Cow;

use base64::Engine as _;
use tidings_access::Action;
use tidings_frame::api::{EventToPublish, PublishRequest};
use tidings_frame::limits::{EVENT_TOPICS_MAX, SCHEDULE_AHEAD_MAX, TTL_MAX};
use tidings_frame::time::Time;
use tidings_frame::{End, ErrorCode, Position};
use tidings_hub::{Accepted, Hub, NewEvent, Producer, Publish, Published};

use super::params;
use crate::access::{OWN_HEADER, Who, maker};
use crate::app::App;
use crate::error::ApiError;
use crate::head::Head;
use crate::hook::judge::By;
use crate::limits::Party;
use crate::peer::Peer;
use crate::reply::Reply;

/// The options of a publish, as query parameters or, with `Tidings-` before them, as headers.
pub(crate) const OPTIONS: [&str; 13] = [
    "type",
    "key",
    "publisher-id",
    "ttl",
    "at",
    "delay",
    "expect",
    "end",
    "private",
    "alternate",
    "producer-id",
    "producer-epoch",
    "producer-sequence",
];

/// Header prefix of options.
const HEADER_PREFIX: &str = "tidings-";

/// A publish that was read; borrows from the request where it can.
#[derive(Default)]
pub(crate) struct Request<'a> {
    pub(crate) events: Vec<NewEvent<'a>>,
    pub(crate) idempotency_key: Option<Cow<'a, str>>,
    pub(crate) at_ms: Option<u64>,
    /// Answered with a list rather than with one object.
    pub(crate) batch: bool,
    /// Who asks, as limits see it.
    pub(crate) party: Party,
}

impl Request<'_> {
    /// All that it publishes to.
    pub(crate) fn topics(&self) -> impl Iterator<Item = &str> + Clone {
        self.events.iter().flat_map(|event| {
            std::iter::once(&*event.topic).chain(event.alternates.iter().map(|topic| &**topic))
        })
    }

    /// Refuses what the caller may not publish to.
    pub(crate) fn judge(&self, who: &Who) -> Result<(), ApiError> {
        self.events.iter().try_for_each(|event| {
            let alternates = event.alternates.iter().map(|topic| &**topic);
            let mut topics = std::iter::once(&*event.topic).chain(alternates);
            topics.try_for_each(|topic| who.may_write(topic, event))
        })
    }

    /// Whether the caller administrates all that it publishes to.
    pub(crate) fn is_operators(&self, who: &Who) -> bool {
        self.topics().all(|topic| who.can(Action::Admin, topic))
    }

    /// What is kept of the caller with a publish for later, so that it can be revoked.
    pub(crate) fn maker(&self, who: &Who) -> Option<String> {
        self.at_ms.and(who.caller()).and_then(|caller| maker::of(caller))
    }

    /// What the hub is asked.
    pub(crate) fn publish<'a>(&'a self, operator: bool, maker: Option<&'a str>) -> Publish<'a> {
        Publish {
            events: &self.events,
            idempotency_key: self.idempotency_key.as_deref(),
            at_ms: self.at_ms,
            operator,
            relay: false,
            maker,
        }
    }
}

/// The options that apply to every event of a request.
#[derive(Default)]
struct Options<'a> {
    event: NewEvent<'a>,
    at_ms: Option<u64>,
    producer: (Option<Cow<'a, str>>, Option<u64>, Option<u64>),
}

impl<'a> Options<'a> {
    fn set(&mut self, app: &App, name: &str, value: Cow<'a, str>) -> Result<(), ApiError> {
        let now_ms = app.hub.now_ms();
        match name {
            "type" => self.event.event_type = Some(value),
            "key" => self.event.key = Some(value),
            "publisher-id" => self.event.publisher_id = Some(value),
            "ttl" => self.event.ttl_ms = Some(params::duration_up_to(name, &value, TTL_MAX)?),
            "at" | "delay" if self.at_ms.is_some() => {
                return Err(ApiError::parameter(name, "give at or delay, and once"));
            }
            "at" => self.at_ms = Some(params::time_ms(name, &value)?),
            "delay" => {
                let delay = params::duration_up_to(name, &value, SCHEDULE_AHEAD_MAX)?;
                self.at_ms = Some(now_ms.saturating_add(delay));
            }
            "expect" => {
                self.event.expect = Some(params::expect(name, &value, app.hub.epoch())?);
            }
            "end" => {
                let why = "one of done, error, cancelled";
                let end = End::from_text(&value);
                self.event.end = Some(end.ok_or_else(|| ApiError::parameter(name, why))?);
            }
            "private" => self.event.private = params::flag(name, &value)?,
            "alternate" if self.event.alternates.len() + 1 >= EVENT_TOPICS_MAX => {
                let why = format!("an event belongs to at most {EVENT_TOPICS_MAX} topics");
                return Err(ApiError::new(ErrorCode::TooManyTopics, why));
            }
            "alternate" => self.event.alternates.push(value),
            "producer-id" => self.producer.0 = Some(value),
            "producer-epoch" => self.producer.1 = Some(params::number(name, &value, NUMBERS)?),
            "producer-sequence" => self.producer.2 = Some(params::number(name, &value, NUMBERS)?),
            _ => return Err(params::unknown(name, &OPTIONS)),
        }
        Ok(())
    }
}

/// Integers that every JSON reader keeps exact (RFC 8259, section 6).
pub(crate) const NUMBERS: (u64, u64) = (0, (1 << 53) - 1);

/// Reads `POST /topics/{topic}`.
pub(crate) fn topic_request<'a>(
    app: &App,
    head: &Head<'a>,
    topic: Cow<'a, str>,
    body: &'a [u8],
) -> Result<Request<'a>, ApiError> {
    let mut options = Options::default();
    let (mut idempotency_key, mut media) = (None, "");
    for (name, value) in head.fields() {
        let name_len = HEADER_PREFIX.len();
        let text = |value| {
            std::str::from_utf8(value).map_err(|_| {
                ApiError::new(ErrorCode::InvalidUtf8, format!("the header {name} is not UTF-8"))
            })
        };
        if name.eq_ignore_ascii_case(OWN_HEADER) {
            // Read by whoever asked who this is.
        } else if name.len() > name_len && name[..name_len].eq_ignore_ascii_case(HEADER_PREFIX) {
            let option = name[name_len..].to_ascii_lowercase();
            options.set(app, &option, Cow::Borrowed(text(value)?))?;
        } else if name.eq_ignore_ascii_case("idempotency-key") {
            idempotency_key = Some(Cow::Borrowed(text(value)?));
        } else if name.eq_ignore_ascii_case("content-type") {
            media = text(value)?;
        }
    }
    for (name, value) in head.query()? {
        options.set(app, &name.replace('_', "-"), value)?;
    }
    let mut event = options.event;
    event.topic = topic;
    let (mut request, producer) = (
        Request { idempotency_key, at_ms: options.at_ms, party: head.party, ..Request::default() },
        options.producer,
    );
    if is_ndjson(media) {
        request.batch = true;
        request.events = ndjson(&app.hub, &event, body)?;
        check_batch(app, request.events.len())?;
    } else {
        event.data = Cow::Borrowed(body);
        request.events.push(event);
    }
    match producer {
        (None, None, None) => {}
        (Some(id), Some(epoch), Some(sequence)) if request.events.len() == 1 => {
            // The event's producer borrows; a decoded id is rare and small.
            let id: &'a str = match id {
                Cow::Borrowed(id) => id,
                Cow::Owned(_) => {
                    let why = "give it as the header Tidings-Producer-Id";
                    return Err(ApiError::parameter("producer-id", why));
                }
            };
            request.events[0].producer = Some(Producer { id, epoch, sequence });
        }
        _ => {
            let why = "producer-id, producer-epoch and producer-sequence come together, with one \
                event";
            return Err(ApiError::parameter("producer-id", why));
        }
    }
    Ok(request)
}

fn is_ndjson(media: &str) -> bool {
    let essence = media.split(';').next().unwrap_or("").trim();
    essence.eq_ignore_ascii_case("application/x-ndjson")
}

/// One event object per line. Blank lines are nothing. What the request's options say applies to
/// every event that does not say it itself.
fn ndjson<'a>(
    hub: &Hub,
    options: &NewEvent<'a>,
    body: &'a [u8],
) -> Result<Vec<NewEvent<'a>>, ApiError> {
    let mut events = Vec::new();
    for (number, line) in body.split(|&byte| byte == b'\n').enumerate() {
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let at_line = |error: ApiError| {
            let detail = format!("line {}: {}", number + 1, error.problem.detail);
            let mut error = error.with("line", number + 1);
            error.problem.detail = detail;
            error
        };
        let event: EventToPublish<'a> = params::object(line).map_err(at_line)?;
        events.push(new_event(hub, event, options).map_err(at_line)?);
    }
    Ok(events)
}

/// The configured limit, which is at most the hub's own.
pub(crate) fn check_batch(app: &App, events: usize) -> Result<(), ApiError> {
    let limit = app.config.limits.batch_events;
    if events <= limit {
        return Ok(());
    }
    let detail = format!("a batch has at most {limit} events; this one has {events}");
    Err(ApiError::new(ErrorCode::BatchTooLarge, detail))
}

/// Reads `POST /publish`.
pub(crate) fn many_request<'a>(
    app: &App,
    head: &Head<'a>,
    body: &'a [u8],
) -> Result<Request<'a>, ApiError> {
    if let Some((name, _)) = head.query()?.first() {
        return Err(params::unknown(name, &[]));
    }
    let parsed: PublishRequest<'a> = params::object(body)?;
    check_batch(app, parsed.events.len())?;
    let at_ms = match (parsed.at, parsed.delay) {
        (Some(_), Some(_)) => return Err(ApiError::parameter("at", "give at or delay, not both")),
        (Some(at), None) => Some(at.0),
        (None, Some(delay)) => {
            let delay = params::duration_up_to("delay", &delay, SCHEDULE_AHEAD_MAX)?;
            Some(app.hub.now_ms().saturating_add(delay))
        }
        (None, None) => None,
    };
    let options = NewEvent::default();
    let events = parsed.events.into_iter().map(|event| new_event(&app.hub, event, &options));
    Ok(Request {
        events: events.collect::<Result<_, _>>()?,
        idempotency_key: head.text("idempotency-key")?.map(Cow::Borrowed),
        at_ms,
        batch: true,
        party: head.party,
    })
}

/// An event object as an event; `options` fills what it leaves open.
pub(crate) fn new_event<'a>(
    hub: &Hub,
    event: EventToPublish<'a>,
    options: &NewEvent<'a>,
) -> Result<NewEvent<'a>, ApiError> {
    let topic = match event.topic {
        None if options.topic.is_empty() => {
            return Err(ApiError::new(ErrorCode::InvalidTopic, "an event needs a topic"));
        }
        None => options.topic.clone(),
        Some(topic) if options.topic.is_empty() || topic == options.topic => topic,
        Some(_) => return Err(ApiError::parameter("topic", "the path says another topic")),
    };
    let data = match (event.data, event.data_base64) {
        (Some(_), Some(_)) => {
            return Err(ApiError::parameter("data", "give data or data_base64, not both"));
        }
        (Some(Cow::Borrowed(text)), None) => Cow::Borrowed(text.as_bytes()),
        (Some(Cow::Owned(text)), None) => Cow::Owned(text.into_bytes()),
        (None, Some(text)) => base64::engine::general_purpose::STANDARD
            .decode(text.as_bytes())
            .map(Cow::Owned)
            .map_err(|error| ApiError::parameter("data_base64", error))?,
        (None, None) => Cow::Borrowed(&b""[..]),
    };
    let (ttl, expect) = (event.ttl.as_deref(), event.expect.as_deref());
    let ttl_ms = ttl.map(|ttl| params::duration_up_to("ttl", ttl, TTL_MAX)).transpose()?;
    let expect = expect.map(|id| params::expect("expect", id, hub.epoch())).transpose()?;
    Ok(NewEvent {
        topic,
        alternates: [event.alternates, options.alternates.clone()].concat(),
        data,
        event_type: event.event_type.or_else(|| options.event_type.clone()),
        key: event.key.or_else(|| options.key.clone()),
        publisher_id: event.publisher_id.or_else(|| options.publisher_id.clone()),
        ttl_ms: ttl_ms.or(options.ttl_ms),
        private: event.private || options.private,
        end: event.end.or(options.end),
        producer: None,
        expect: expect.or(options.expect),
    })
}

/// Writes the body of a publish's answer: one object, or a list of them for a batch.
pub(crate) fn write_answer<'t>(
    hub: &Hub,
    accepted: &Accepted,
    batch: bool,
    topics: impl Iterator<Item = &'t str>,
    out: &mut Vec<u8>,
) {
    match accepted.result {
        Published::Scheduled { id, at_ms } => {
            let at = Time(at_ms);
            let answer = serde_json::json!({"schedule": id.to_string(), "at": at});
            out.extend_from_slice(answer.to_string().as_bytes());
        }
        Published::Stored { first, duplicate, .. } => {
            if batch {
                out.extend_from_slice(b"{\"events\":[");
            }
            for (sequence, topic) in (first..).zip(topics) {
                if sequence > first {
                    out.push(b',');
                }
                out.extend_from_slice(b"{\"id\":\"");
                Position { epoch: hub.epoch(), sequence }.write_to(out);
                out.extend_from_slice(b"\",\"topic\":");
                write_json_text(topic, out);
                out.extend_from_slice(b",\"duplicate\":");
                out.extend_from_slice(if duplicate { b"true}" } else { b"false}" });
            }
            if batch {
                out.extend_from_slice(b"],\"duplicate\":");
                out.extend_from_slice(if duplicate { b"true}" } else { b"false}" });
            }
        }
    }
    out.push(b'\n');
}

fn write_json_text(text: &str, out: &mut Vec<u8>) {
    if text.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\') {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        serde_json::to_writer(out, text).expect("a Vec takes every byte");
    }
}

/// The status of a publish's answer: 202 for what is yet to happen.
pub(crate) fn status(accepted: &Accepted) -> u16 {
    match accepted.result {
        Published::Stored { .. } => 200,
        Published::Scheduled { .. } => 202,
    }
}

/// Waits until the disk has this batch, if there is one to wait for.
pub(crate) async fn until_synced(app: &App, batch: Option<u64>) -> Result<(), ApiError> {
    let Some(batch) = batch else { return Ok(()) };
    let (done, synced) = tokio::sync::oneshot::channel();
    // The receiver is gone when the client is; nobody is left to be told.
    app.hub.when_synced(batch, Box::new(move |result| drop(done.send(result))));
    Ok(synced.await.map_err(|_| ApiError::draining())??)
}

/// Publishes and waits until it is as durable as its topics ask.
pub(crate) async fn publish(
    app: &App,
    who: &Who,
    peer: Option<Peer>,
    request: &Request<'_>,
) -> Result<Reply, ApiError> {
    request.judge(who)?;
    let party = app.limits.of(request.party, who.caller());
    app.limits.publish(&app.hub, party, &request.events)?;
    app.ask_to_publish(By { caller: who.caller(), peer }, request.topics()).await?;
    app.limits.goes_on(&app.hub, party, &request.events);
    let maker = request.maker(who);
    let outcome = {
        let mut round = app.hub.round();
        round.publish(&request.publish(request.is_operators(who), maker.as_deref()));
        round.commit().pop()
    };
    let accepted = outcome
        .ok_or_else(|| ApiError::new(ErrorCode::Internal, "a round without an outcome"))?
        .map_err(|error| crate::error::publish(&app.hub, error))?;
    until_synced(app, accepted.wait).await?;
    app.metrics.published(request.events.len());
    let traces = &app.dashboard.traces;
    traces.published(app, traces.traced(request, who).as_deref(), &accepted, peer);
    let mut body = Vec::new();
    let topics = request.events.iter().map(|event| &*event.topic);
    write_answer(&app.hub, &accepted, request.batch, topics, &mut body);
    Ok(Reply::new(status(&accepted), "application/json", body))
}
