//! What clients say: one JSON object in each text message, told apart by `op`.
//!
//! Members that an operation does not know are refused, as everywhere; `ref` is given back with the
//! answer and means nothing here.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use tidings_frame::ErrorCode;
use tidings_frame::api::{ConnectionChange, EventToPublish, SubscribeRequest};
use tidings_frame::limits::{SCHEDULE_AHEAD_MAX, START_LAST_EVENTS_MAX, WEBSOCKET_REF_BYTES_MAX};
use tidings_frame::{End, Time};
use tidings_hub::{NewEvent, Producer, Start};

use crate::access::Who;
use crate::app::App;
use crate::error::ApiError;
use crate::http::params;
use crate::http::publish::{self, new_event};
use crate::http::subscribe::{Asked, Subscribe, after};
use crate::limits::Party;

/// What a client calls its request.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Reference(pub(super) Value);

/// A message that was read.
pub(super) struct Request<'a> {
    pub(super) reference: Option<Reference>,
    pub(super) operation: Result<Operation<'a>, ApiError>,
}

/// What is asked for.
pub(super) enum Operation<'a> {
    Subscribe { sub: String, asked: Subscribe },
    Unsubscribe { sub: String },
    Change { sub: String, change: ConnectionChange<'a> },
    Publish(publish::Request<'a>),
    Token { token: Cow<'a, str> },
    Ping,
}

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    op: Cow<'a, str>,
    #[serde(default, rename = "ref")]
    reference: Option<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ToSubscribe<'a> {
    #[serde(rename = "op")]
    _op: IgnoredAny,
    #[serde(default, rename = "ref")]
    _reference: Option<IgnoredAny>,
    #[serde(borrow)]
    sub: Cow<'a, str>,
    #[serde(borrow, default)]
    topics: Vec<Cow<'a, str>>,
    #[serde(borrow, default)]
    patterns: Vec<Cow<'a, str>>,
    #[serde(borrow, default, rename = "lastEventId", alias = "last_event_id")]
    #[serde(alias = "lastEventID")]
    last_event_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    from: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    since: Option<Cow<'a, str>>,
    #[serde(default)]
    last: Option<u64>,
    #[serde(default)]
    earliest: bool,
    #[serde(default)]
    conflate: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ToUnsubscribe<'a> {
    #[serde(rename = "op")]
    _op: IgnoredAny,
    #[serde(default, rename = "ref")]
    _reference: Option<IgnoredAny>,
    #[serde(borrow)]
    sub: Cow<'a, str>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ToChange<'a> {
    #[serde(rename = "op")]
    _op: IgnoredAny,
    #[serde(default, rename = "ref")]
    _reference: Option<IgnoredAny>,
    #[serde(borrow)]
    sub: Cow<'a, str>,
    #[serde(borrow, default)]
    add: Option<SubscribeRequest<'a>>,
    #[serde(borrow, default)]
    remove: Option<SubscribeRequest<'a>>,
    #[serde(borrow, default)]
    topics: Option<Vec<Cow<'a, str>>>,
    #[serde(borrow, default)]
    patterns: Option<Vec<Cow<'a, str>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ToPublish<'a> {
    #[serde(rename = "op")]
    _op: IgnoredAny,
    #[serde(default, rename = "ref")]
    _reference: Option<IgnoredAny>,
    #[serde(borrow, default)]
    events: Option<Vec<EventToPublish<'a>>>,
    #[serde(borrow, default)]
    topic: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    alternates: Vec<Cow<'a, str>>,
    #[serde(borrow, default)]
    data: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    data_base64: Option<Cow<'a, str>>,
    #[serde(borrow, default, rename = "type")]
    event_type: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    key: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    publisher_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    ttl: Option<Cow<'a, str>>,
    #[serde(default)]
    private: bool,
    #[serde(default)]
    end: Option<End>,
    #[serde(borrow, default)]
    expect: Option<Cow<'a, str>>,
    #[serde(default)]
    at: Option<Time>,
    #[serde(borrow, default)]
    delay: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    idempotency_key: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    producer: Option<ToProduce<'a>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ToProduce<'a> {
    #[serde(borrow)]
    id: &'a str,
    epoch: u64,
    sequence: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ToRenew<'a> {
    #[serde(rename = "op")]
    _op: IgnoredAny,
    #[serde(default, rename = "ref")]
    _reference: Option<IgnoredAny>,
    #[serde(borrow)]
    token: Cow<'a, str>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ToPing {
    #[serde(rename = "op")]
    _op: IgnoredAny,
    #[serde(default, rename = "ref")]
    _reference: Option<IgnoredAny>,
}

/// What can be asked.
const OPERATIONS: &str = "subscribe, unsubscribe, change, publish, token, ping";

impl<'a> Request<'a> {
    /// Reads a message.
    pub(super) fn read(app: &App, who: &Who, text: &'a str) -> Self {
        let head: Head<'a> = match params::object(text.as_bytes()) {
            Ok(head) => head,
            Err(error) => return Self { reference: None, operation: Err(error) },
        };
        let given = head.reference.is_some();
        let reference = head.reference.filter(is_reference).map(Reference);
        let operation = if given && reference.is_none() {
            let why = format!("a text of at most {WEBSOCKET_REF_BYTES_MAX} bytes, or a number");
            Err(ApiError::parameter("ref", why))
        } else {
            operation(app, who, &head.op, text.as_bytes())
        };
        Self { reference, operation }
    }
}

fn is_reference(value: &Value) -> bool {
    match value {
        Value::String(text) => text.len() <= WEBSOCKET_REF_BYTES_MAX,
        Value::Number(_) => true,
        _ => false,
    }
}

fn operation<'a>(
    app: &App,
    who: &Who,
    op: &str,
    json: &'a [u8],
) -> Result<Operation<'a>, ApiError> {
    match op {
        "subscribe" => subscribe(app, who, params::object(json)?),
        "unsubscribe" => {
            let asked: ToUnsubscribe<'a> = params::object(json)?;
            Ok(Operation::Unsubscribe { sub: asked.sub.into_owned() })
        }
        "change" => {
            let ToChange { sub, add, remove, topics, patterns, .. } = params::object(json)?;
            let change = ConnectionChange { add, remove, topics, patterns };
            Ok(Operation::Change { sub: sub.into_owned(), change })
        }
        "publish" => to_publish(app, params::object(json)?),
        "token" => {
            let asked: ToRenew<'a> = params::object(json)?;
            Ok(Operation::Token { token: asked.token })
        }
        "ping" => params::object::<ToPing>(json).map(|_| Operation::Ping),
        _ => {
            let detail = format!("there is no operation {op:?}; there are: {OPERATIONS}");
            Err(ApiError::new(ErrorCode::InvalidRequest, detail))
        }
    }
}

fn subscribe<'a>(app: &App, who: &Who, asked: ToSubscribe<'a>) -> Result<Operation<'a>, ApiError> {
    if asked.sub.is_empty() || asked.sub.len() > WEBSOCKET_REF_BYTES_MAX {
        let why = format!("a subscription's name has 1 to {WEBSOCKET_REF_BYTES_MAX} bytes");
        return Err(ApiError::parameter("sub", why));
    }
    let mut list = Asked::nothing(who.clone());
    list.topics = asked.topics;
    list.patterns = asked.patterns;
    list.conflate = asked.conflate;
    if let Some(from) = &asked.from {
        list.start_at(crate::http::subscribe::from(from)?)?;
    }
    if let Some(since) = &asked.since {
        list.start_at(Start::Since(params::since_ms("since", since, app.hub.now_ms())?))?;
    }
    if let Some(last) = asked.last {
        if last > START_LAST_EVENTS_MAX {
            let why = format!("not a whole number from 0 to {START_LAST_EVENTS_MAX}");
            return Err(ApiError::parameter("last", why));
        }
        list.start_at(Start::Last(last))?;
    }
    if asked.earliest {
        list.start_at(Start::Earliest)?;
    }
    if let Some(id) = asked.last_event_id.as_deref().filter(|id| !id.is_empty()) {
        list.start = Some(if id == "earliest" { Start::Earliest } else { after(id) });
    }
    let mut asked_for = list.subscribe(app)?;
    asked_for.view.framing = tidings_hub::Framing::Objects;
    Ok(Operation::Subscribe { sub: asked.sub.into_owned(), asked: asked_for })
}

fn to_publish<'a>(app: &App, asked: ToPublish<'a>) -> Result<Operation<'a>, ApiError> {
    let at_ms = match (asked.at, &asked.delay) {
        (Some(_), Some(_)) => return Err(ApiError::parameter("at", "give at or delay, not both")),
        (Some(at), None) => Some(at.0),
        (None, Some(delay)) => {
            let delay = params::duration_up_to("delay", delay, SCHEDULE_AHEAD_MAX)?;
            Some(app.hub.now_ms().saturating_add(delay))
        }
        (None, None) => None,
    };
    let mut request = publish::Request {
        // Known to the connection.
        party: Party::default(),
        idempotency_key: asked.idempotency_key,
        at_ms,
        batch: asked.events.is_some(),
        events: Vec::new(),
    };
    let event = EventToPublish {
        topic: asked.topic,
        alternates: asked.alternates,
        data: asked.data,
        data_base64: asked.data_base64,
        event_type: asked.event_type,
        key: asked.key,
        publisher_id: asked.publisher_id,
        ttl: asked.ttl,
        private: asked.private,
        end: asked.end,
        expect: asked.expect,
    };
    let nothing = NewEvent::default();
    match asked.events {
        None => request.events.push(new_event(&app.hub, event, &nothing)?),
        Some(_) if event != EventToPublish::default() || asked.producer.is_some() => {
            let detail = "give one event, or a list of events with what belongs to each in it";
            return Err(ApiError::new(ErrorCode::InvalidRequest, detail));
        }
        Some(events) => {
            publish::check_batch(app, events.len())?;
            let events = events.into_iter().map(|event| new_event(&app.hub, event, &nothing));
            request.events = events.collect::<Result<_, _>>()?;
        }
    }
    if let (Some(event), Some(producer)) = (request.events.first_mut(), asked.producer) {
        let ToProduce { id, epoch, sequence } = producer;
        for (name, number) in [("producer.epoch", epoch), ("producer.sequence", sequence)] {
            if number > publish::NUMBERS.1 {
                let why = format!("not a whole number from 0 to {}", publish::NUMBERS.1);
                return Err(ApiError::parameter(name, why));
            }
        }
        event.producer = Some(Producer { id, epoch, sequence });
    }
    Ok(Operation::Publish(request))
}
