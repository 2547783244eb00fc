//! Publishing: one event, a batch for one topic, or several topics at once.
//!
//! A request is repeated on its own in two cases only: if it carries an idempotency key or a
//! producer's number, so that the server recognises the repeat; or if no connection was made, so
//! that the server has seen nothing. Without a key, a broken connection is reported, because the
//! event may have been stored.

use std::borrow::Cow;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hyper::Method;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use tidings_frame::api::{
    EXPECT_NOTHING, EventToPublish, PublishRequest, Published, PublishedAll, Scheduled,
};
use tidings_frame::limits::RETRY_MAX;
use tidings_frame::{End, Position, Time};

use crate::backoff::{Random, wait};
use crate::client::Client;
use crate::error::RequestError;
use crate::transport::Call;
use crate::url::{Query, duration};

/// The status of an answer to what will be published later.
const ACCEPTED: u16 = 202;

/// What a publisher expects to be its topic's newest event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// None: the topic has had no event yet.
    Nothing,
    /// The event with this id.
    Newest(Position),
}

impl Expect {
    fn text(self) -> String {
        match self {
            Self::Nothing => EXPECT_NOTHING.to_owned(),
            Self::Newest(id) => id.to_string(),
        }
    }
}

/// An event to publish.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use = "nothing is published until it is given to a client"]
pub struct NewEvent {
    topic: String,
    data: Bytes,
    alternates: Vec<String>,
    event_type: Option<String>,
    key: Option<String>,
    publisher_id: Option<String>,
    ttl: Option<Duration>,
    private: bool,
    end: Option<End>,
    expect: Option<Expect>,
}

/// The options of an event, for the event itself and for a publish of one.
macro_rules! event_options {
    ($($field:tt)*) => {
        /// Its type: subscribers see it as the SSE `event:`.
        pub fn event_type(mut self, event_type: impl Into<String>) -> Self {
            self.$($field)*event_type = Some(event_type.into());
            self
        }

        /// What it is about, for conflation by key.
        pub fn key(mut self, key: impl Into<String>) -> Self {
            self.$($field)*key = Some(key.into());
            self
        }

        /// An id of the publisher's own, from which a subscription can be resumed too.
        pub fn publisher_id(mut self, id: impl Into<String>) -> Self {
            self.$($field)*publisher_id = Some(id.into());
            self
        }

        /// Another topic that it belongs to.
        pub fn alternate(mut self, topic: impl Into<String>) -> Self {
            self.$($field)*alternates.push(topic.into());
            self
        }

        /// After how long it is not delivered any more.
        pub fn ttl(mut self, ttl: Duration) -> Self {
            self.$($field)*ttl = Some(ttl);
            self
        }

        /// Only those with a right to private events see it.
        pub fn private(mut self) -> Self {
            self.$($field)*private = true;
            self
        }

        /// It ends its topic: nothing can follow.
        pub fn end(mut self, end: End) -> Self {
            self.$($field)*end = Some(end);
            self
        }

        /// It is only published if this is its topic's newest event; otherwise the error's code is
        /// `unexpected-position`.
        pub fn expect(mut self, expect: Expect) -> Self {
            self.$($field)*expect = Some(expect);
            self
        }
    };
}

/// When and how a request is published, the same for one event and for several.
macro_rules! delivery_options {
    () => {
        /// Publishes at this time instead of now. A time that has passed is now.
        pub fn at(mut self, time: SystemTime) -> Self {
            self.delivery.at = Some(time);
            self
        }

        /// Publishes after this time instead of now.
        pub fn delay(mut self, delay: Duration) -> Self {
            self.delivery.delay = Some(delay);
            self
        }

        /// Makes a repeat of this request, by this client or by the caller, return the first one's
        /// result. Choose it once for each thing to be said; a random UUID will do.
        pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
            self.delivery.idempotency_key = Some(key.into());
            self
        }
    };
}

impl NewEvent {
    /// An event with this data. In [`Client::publish_batch`] the topic may be empty.
    pub fn new(topic: impl Into<String>, data: impl Into<Bytes>) -> Self {
        Self { topic: topic.into(), data: data.into(), ..Self::default() }
    }

    event_options!();

    fn to_json(&self, with_topic: bool) -> EventToPublish<'_> {
        let (data, data_base64) = match std::str::from_utf8(&self.data) {
            Ok(text) => (Some(Cow::Borrowed(text)), None),
            Err(_) => (None, Some(Cow::Owned(STANDARD.encode(&self.data)))),
        };
        EventToPublish {
            topic: with_topic.then(|| self.topic.as_str().into()),
            alternates: self.alternates.iter().map(|topic| topic.as_str().into()).collect(),
            data,
            data_base64,
            event_type: self.event_type.as_deref().map(Into::into),
            key: self.key.as_deref().map(Into::into),
            publisher_id: self.publisher_id.as_deref().map(Into::into),
            ttl: self.ttl.map(|ttl| duration(ttl).into()),
            private: self.private,
            end: self.end,
            expect: self.expect.map(|expect| expect.text().into()),
        }
    }

    fn add_to(&self, query: &mut Query) {
        for topic in &self.alternates {
            query.add("alternate", topic);
        }
        query.add_some("type", self.event_type.as_deref());
        query.add_some("key", self.key.as_deref());
        query.add_some("ttl", self.ttl.map(duration).as_deref());
        query.add_some("private", self.private.then_some("true"));
        query.add_some("end", self.end.map(End::as_str));
        query.add_some("expect", self.expect.map(Expect::text).as_deref());
    }
}

/// What became of a publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Receipt<T> {
    /// It is stored, as durably as its topic asks for.
    Stored(T),
    /// It will be published at its time.
    Scheduled(Scheduled),
}

impl<T> Receipt<T> {
    /// The ids, if it is stored.
    pub fn stored(self) -> Option<T> {
        match self {
            Self::Stored(stored) => Some(stored),
            Self::Scheduled(_) => None,
        }
    }
}

#[derive(Debug, Clone, Default)]
struct Delivery {
    at: Option<SystemTime>,
    delay: Option<Duration>,
    idempotency_key: Option<String>,
}

impl Delivery {
    fn at_text(&self) -> Option<Time> {
        let since = self.at?.duration_since(UNIX_EPOCH).unwrap_or_default();
        Some(Time(u64::try_from(since.as_millis()).unwrap_or(u64::MAX)))
    }

    fn add_to(&self, query: &mut Query) {
        query.add_some("at", self.at_text().map(|time| time.to_string()).as_deref());
        query.add_some("delay", self.delay.map(duration).as_deref());
    }

    fn add_key(&self, call: &mut Call) -> Result<(), RequestError> {
        if let Some(key) = &self.idempotency_key {
            let value = HeaderValue::from_bytes(key.as_bytes()).map_err(|_| {
                RequestError::Request("the idempotency key has control characters".to_owned())
            })?;
            call.headers.insert(HeaderName::from_static("idempotency-key"), value);
        }
        Ok(())
    }
}

fn add_header(
    call: &mut Call,
    name: &'static str,
    value: Option<&str>,
) -> Result<(), RequestError> {
    if let Some(value) = value {
        let wrong = |_| RequestError::Request(format!("{name} has control characters"));
        let value = HeaderValue::from_bytes(value.as_bytes()).map_err(wrong)?;
        call.headers.insert(HeaderName::from_static(name), value);
    }
    Ok(())
}

/// A publish of one event, to be given its options and sent.
#[derive(Debug)]
#[must_use = "nothing is published until it is sent"]
pub struct Publish<'c> {
    client: &'c Client,
    event: NewEvent,
    delivery: Delivery,
    producer: Option<Producer>,
}

/// Who publishes, and where in its own count.
#[derive(Debug)]
struct Producer {
    id: String,
    epoch: u64,
    sequence: u64,
}

impl<'c> Publish<'c> {
    pub(crate) fn new(client: &'c Client, event: NewEvent) -> Self {
        Self { client, event, delivery: Delivery::default(), producer: None }
    }

    event_options!(event.);
    delivery_options!();

    /// Publishes as a producer that counts its events of this topic: from 0 in every `epoch`,
    /// without a hole. A repeat is recognised for ever and stores nothing, so this is sent again
    /// when the answer was lost; a larger epoch shuts smaller ones out (codes `producer-fenced` and
    /// `producer-gap`).
    pub fn producer(mut self, id: impl Into<String>, epoch: u64, sequence: u64) -> Self {
        self.producer = Some(Producer { id: id.into(), epoch, sequence });
        self
    }

    /// Publishes the event and waits until it is as durable as its topic asks for.
    ///
    /// # Errors
    ///
    /// The server refuses or cannot be reached, after all the attempts that are safe.
    pub async fn send(self) -> Result<Receipt<Published>, RequestError> {
        let mut query = Query::default();
        self.event.add_to(&mut query);
        self.delivery.add_to(&mut query);
        if let Some(producer) = &self.producer {
            query.add("producer-epoch", &producer.epoch.to_string());
            query.add("producer-sequence", &producer.sequence.to_string());
        }
        let mut call = self.client.topic_call(Method::POST, &self.event.topic, &query)?;
        let text = std::str::from_utf8(&self.event.data).is_ok();
        let kind = if text { "text/plain; charset=utf-8" } else { "application/octet-stream" };
        call.headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        call.body = self.event.data.clone();
        add_header(&mut call, "tidings-publisher-id", self.event.publisher_id.as_deref())?;
        add_header(&mut call, "tidings-producer-id", self.producer.as_ref().map(|p| &*p.id))?;
        self.delivery.add_key(&mut call)?;
        let repeatable = self.delivery.idempotency_key.is_some() || self.producer.is_some();
        receipt(&deliver(self.client, &call, repeatable).await?)
    }
}

/// A publish of several events, all or none, to be given its options and sent.
#[derive(Debug)]
#[must_use = "nothing is published until it is sent"]
pub struct PublishAll<'c> {
    client: &'c Client,
    /// The topic of a batch. None: each event says its own.
    topic: Option<String>,
    events: Vec<NewEvent>,
    delivery: Delivery,
}

impl<'c> PublishAll<'c> {
    pub(crate) fn batch(client: &'c Client, topic: &str, events: Vec<NewEvent>) -> Self {
        Self { client, topic: Some(topic.to_owned()), events, delivery: Delivery::default() }
    }

    pub(crate) fn many(client: &'c Client, events: Vec<NewEvent>) -> Self {
        Self { client, topic: None, events, delivery: Delivery::default() }
    }

    delivery_options!();

    fn to_call(&self) -> Result<Call, RequestError> {
        let written = |error: serde_json::Error| RequestError::Request(error.to_string());
        let mut query = Query::default();
        let mut call;
        if let Some(topic) = &self.topic {
            self.delivery.add_to(&mut query);
            call = self.client.topic_call(Method::POST, topic, &query)?;
            let mut body = Vec::new();
            for event in &self.events {
                serde_json::to_writer(&mut body, &event.to_json(false)).map_err(written)?;
                body.push(b'\n');
            }
            call.body = body.into();
            call.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
        } else {
            call = self.client.path_call(Method::POST, "/publish", &query)?;
            let request = PublishRequest {
                events: self.events.iter().map(|event| event.to_json(true)).collect(),
                at: self.delivery.at_text(),
                delay: self.delivery.delay.map(|delay| duration(delay).into()),
            };
            call.body = serde_json::to_vec(&request).map_err(written)?.into();
            call.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        self.delivery.add_key(&mut call)?;
        Ok(call)
    }

    /// Publishes the events and waits until they are as durable as their topics ask for.
    ///
    /// # Errors
    ///
    /// The server refuses or cannot be reached, after all the attempts that are safe.
    pub async fn send(self) -> Result<Receipt<PublishedAll>, RequestError> {
        let call = self.to_call()?;
        receipt(&deliver(self.client, &call, self.delivery.idempotency_key.is_some()).await?)
    }
}

fn receipt<T: serde::de::DeserializeOwned>(
    (status, body): &(u16, Bytes),
) -> Result<Receipt<T>, RequestError> {
    let wrong = |error: serde_json::Error| RequestError::Answer(error.to_string());
    Ok(if *status == ACCEPTED {
        Receipt::Scheduled(serde_json::from_slice(body).map_err(wrong)?)
    } else {
        Receipt::Stored(serde_json::from_slice(body).map_err(wrong)?)
    })
}

/// Sends the call, and again while that is safe and useful.
async fn deliver(
    client: &Client,
    call: &Call,
    repeatable: bool,
) -> Result<(u16, Bytes), RequestError> {
    let mut random = Random::new();
    let mut failures = 0;
    loop {
        let error = match client.call(call).await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        failures += 1;
        let safe = repeatable || matches!(error, RequestError::Connect(_));
        if !safe || !error.is_retryable() || failures >= client.inner.attempts {
            return Err(error);
        }
        let pause = wait(&mut random, client.inner.retry, RETRY_MAX, failures, error.retry_after());
        tokio::time::sleep(pause).await;
    }
}
