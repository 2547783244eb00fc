//! The client: where the server is, how to speak to it, and the calls.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::Method;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use tidings_frame::TopicName;
use tidings_frame::limits::RETRY_DEFAULT;

use crate::error::{BuildError, RequestError};
use crate::publish::{NewEvent, Publish, PublishAll};
use crate::read::History;
use crate::subscribe::Subscribe;
use crate::transport::{Call, TokenSource, Transport, connector};
use crate::url::{Base, Query};

/// Time for a request and its whole answer, unless set.
const REQUEST_TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);

/// Times that a request which may be repeated is sent, unless set.
const ATTEMPTS_DEFAULT: u32 = 5;

/// Most bytes of an answer: a page of history is at most 4 MiB of data, which as JSON takes up to
/// six times as much.
pub(crate) const ANSWER_BYTES_MAX: usize = 32 << 20;

/// A Tidings server, as a client sees it. Cheap to clone; clones share their connections.
#[derive(Debug, Clone)]
pub struct Client {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) transport: Transport,
    pub(crate) base: Base,
    pub(crate) timeout: Duration,
    pub(crate) attempts: u32,
    pub(crate) retry: Duration,
}

/// Settings of a [`Client`].
#[must_use]
pub struct ClientBuilder {
    base: String,
    headers: Vec<(String, String)>,
    token: Option<TokenSource>,
    timeout: Duration,
    attempts: u32,
    retry: Duration,
    roots: Vec<Vec<u8>>,
}

impl std::fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientBuilder").field("base", &self.base).finish_non_exhaustive()
    }
}

impl ClientBuilder {
    /// Sends `Authorization: Bearer <token>` with every request.
    pub fn token(self, token: impl Into<String>) -> Self {
        let token = token.into();
        self.token_source(move || token.clone())
    }

    /// Asks for the token anew for each request, reconnections included: for tokens that expire.
    pub fn token_source(mut self, source: impl Fn() -> String + Send + Sync + 'static) -> Self {
        self.token = Some(Arc::new(source));
        self
    }

    /// Sends this header with every request. Not to another server that a redirect leads to.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Time for a request and its whole answer (default: 30 s). Subscriptions have their own.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How often a publish is sent at most that may be repeated safely (default: 5; at least 1).
    pub fn publish_attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts.max(1);
        self
    }

    /// Bound of the first wait before something is tried again (default: 1 s); it doubles with
    /// every further failure, up to 30 s. A stream's own `retry:` takes its place.
    pub fn retry(mut self, retry: Duration) -> Self {
        self.retry = retry;
        self
    }

    /// Trusts this root certificate (DER, X.509) besides those of the system.
    pub fn root_certificate(mut self, der: impl Into<Vec<u8>>) -> Self {
        self.roots.push(der.into());
        self
    }

    /// Makes the client. Nothing is connected yet.
    ///
    /// # Errors
    ///
    /// The base URL, a header or a root certificate cannot be used.
    pub fn build(self) -> Result<Client, BuildError> {
        let base = Base::parse(&self.base)?;
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let wrong = || BuildError::Header(name.clone());
            let mut value = HeaderValue::from_str(value).map_err(|_| wrong())?;
            value.set_sensitive(true);
            headers.append(HeaderName::try_from(name).map_err(|_| wrong())?, value);
        }
        let connector = connector(base.scheme.as_str() == "https", &self.roots)?;
        let transport = Transport::new(connector, headers, self.token);
        let inner = Inner {
            transport,
            base,
            timeout: self.timeout,
            attempts: self.attempts,
            retry: self.retry,
        };
        Ok(Client { inner: Arc::new(inner) })
    }
}

impl Client {
    /// A client of the server at `base_url`, such as `http://127.0.0.1:8080`.
    ///
    /// # Errors
    ///
    /// The URL is not one that can be asked.
    pub fn new(base_url: &str) -> Result<Self, BuildError> {
        Self::builder(base_url).build()
    }

    /// Settings for a client of the server at `base_url`.
    pub fn builder(base_url: &str) -> ClientBuilder {
        ClientBuilder {
            base: base_url.to_owned(),
            headers: Vec::new(),
            token: None,
            timeout: REQUEST_TIMEOUT_DEFAULT,
            attempts: ATTEMPTS_DEFAULT,
            retry: RETRY_DEFAULT,
            roots: Vec::new(),
        }
    }

    /// Publishes one event.
    pub fn publish(&self, topic: &str, data: impl Into<Bytes>) -> Publish<'_> {
        Publish::new(self, NewEvent::new(topic, data))
    }

    /// Publishes several events to one topic, all or none of them.
    pub fn publish_batch(
        &self,
        topic: &str,
        events: impl IntoIterator<Item = NewEvent>,
    ) -> PublishAll<'_> {
        PublishAll::batch(self, topic, events.into_iter().collect())
    }

    /// Publishes several events, each to its own topic, all or none of them.
    pub fn publish_many(&self, events: impl IntoIterator<Item = NewEvent>) -> PublishAll<'_> {
        PublishAll::many(self, events.into_iter().collect())
    }

    /// Follows topics.
    pub fn subscribe(&self) -> Subscribe {
        Subscribe::new(self.clone())
    }

    /// Reads what a topic has kept.
    pub fn history(&self, topic: &str) -> History<'_> {
        History::new(self, topic)
    }

    /// The call to `/topics/{topic}` with this query.
    pub(crate) fn topic_call(
        &self,
        method: Method,
        topic: &str,
        query: &Query,
    ) -> Result<Call, RequestError> {
        let name =
            TopicName::new(topic).map_err(|error| RequestError::Request(error.to_string()))?;
        self.path_call(method, &format!("/topics/{}", name.to_path()), query)
    }

    /// The call to `path` with this query.
    pub(crate) fn path_call(
        &self,
        method: Method,
        path: &str,
        query: &Query,
    ) -> Result<Call, RequestError> {
        let uri = self.inner.base.join(path, query).map_err(RequestError::Request)?;
        Ok(Call::new(method, uri))
    }

    /// Sends a call once.
    pub(crate) async fn call(&self, call: &Call) -> Result<(u16, Bytes), RequestError> {
        self.inner.transport.call(call, self.inner.timeout, ANSWER_BYTES_MAX).await
    }
}
