//! One attempt to open the stream: the request, and what its answer means (WHATWG HTML 9.2.2 and
//! 9.2.3, with the statuses that say "later" tried again).

use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Response};
use tidings_frame::TopicName;
use tidings_frame::api::SubscribeRequest;

use super::Start;
use crate::client::Client;
use crate::error::{Cause, SubscribeError};
use crate::transport::{Call, SendError, chain, refusal};
use crate::url::Query;

/// Longest query of a subscription, in bytes. What is longer goes into the body of a POST: with it,
/// a base path and a host name, a request line stays below the 8 KiB that proxies allow.
const QUERY_BYTES_MAX: usize = 4 << 10;

/// The header with the position, in requests and in answers.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// What an attempt came to.
pub(super) enum Attempt {
    /// The stream.
    Open(Incoming, HeaderMap),
    /// 204: there is nothing more to come.
    Stop,
    /// It may go better later.
    Again(Cause, Option<Duration>),
    /// It will not.
    Final(SubscribeError),
}

/// The request for these topics and patterns after the event `cursor` or, if that is empty, from
/// `start`.
pub(super) fn request(
    client: &Client,
    topics: &[String],
    patterns: &[String],
    start: &Start,
    cursor: &str,
) -> Result<Call, SubscribeError> {
    let wrong = SubscribeError::Request;
    let mut options = Query::default();
    options.add("envelope", "1");
    if cursor.is_empty() {
        start.add_to(&mut options);
    }
    let mut call = match (topics, patterns) {
        ([topic], []) => {
            let name = TopicName::new(topic).map_err(|error| wrong(error.to_string()))?;
            let path = format!("/topics/{}", name.to_path());
            let uri = client.inner.base.join(&path, &options).map_err(wrong)?;
            Call::new(Method::GET, uri)
        }
        _ => several(client, topics, patterns, options)?,
    };
    call.headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
    call.headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if !cursor.is_empty() {
        let value = HeaderValue::from_bytes(cursor.as_bytes());
        let value = value.map_err(|_| wrong("the id to start after cannot be sent".to_owned()))?;
        call.headers.insert(LAST_EVENT_ID, value);
    }
    Ok(call)
}

fn several(
    client: &Client,
    topics: &[String],
    patterns: &[String],
    options: Query,
) -> Result<Call, SubscribeError> {
    let mut query = options.clone();
    for topic in topics {
        query.add("topic", topic);
    }
    for pattern in patterns {
        query.add("pattern", pattern);
    }
    let wrong = SubscribeError::Request;
    if query.len() <= QUERY_BYTES_MAX {
        let uri = client.inner.base.join("/events", &query).map_err(wrong)?;
        return Ok(Call::new(Method::GET, uri));
    }
    let body = SubscribeRequest {
        topics: topics.iter().map(Into::into).collect(),
        patterns: patterns.iter().map(Into::into).collect(),
    };
    let body = serde_json::to_vec(&body).map_err(|error| wrong(error.to_string()))?;
    let uri = client.inner.base.join("/events", &options).map_err(wrong)?;
    let mut call = Call::new(Method::POST, uri);
    call.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    call.body = body.into();
    call.follow = true;
    Ok(call)
}

/// Sends the request and judges the answer. What takes longer than `silence` counts as silence.
pub(super) async fn attempt(client: Client, call: Call, silence: Duration) -> Attempt {
    let exchange = async {
        match client.inner.transport.send(&call).await {
            Ok(answer) => judge(answer).await,
            Err(SendError::Connect(error)) => Attempt::Again(Cause::Connect(chain(&*error)), None),
            Err(SendError::Certificate(error)) => {
                Attempt::Final(SubscribeError::Certificate(chain(&*error)))
            }
            Err(SendError::Broken(error)) => Attempt::Again(Cause::Broken(chain(&*error)), None),
            Err(SendError::Redirect(why)) => Attempt::Final(SubscribeError::Redirect(why)),
            Err(SendError::Request(why)) => Attempt::Final(SubscribeError::Request(why)),
        }
    };
    tokio::time::timeout(silence, exchange)
        .await
        .unwrap_or(Attempt::Again(Cause::Silence(silence), None))
}

async fn judge(answer: Response<Incoming>) -> Attempt {
    match answer.status().as_u16() {
        200 => {
            let kind = answer.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes);
            let kind = String::from_utf8_lossy(kind.unwrap_or_default()).into_owned();
            let essence = kind.split(';').next().unwrap_or_default().trim();
            if !essence.eq_ignore_ascii_case("text/event-stream") {
                return Attempt::Final(SubscribeError::NotAnEventStream(kind));
            }
            let (head, body) = answer.into_parts();
            Attempt::Open(body, head.headers)
        }
        204 => Attempt::Stop,
        status => {
            let refusal = Box::new(refusal(answer).await);
            // 501 says that this server never will.
            if matches!(status, 408 | 425 | 429 | 500 | 502..) {
                let wait = refusal.retry_after;
                Attempt::Again(Cause::Refused(refusal), wait)
            } else {
                Attempt::Final(SubscribeError::Refused(refusal))
            }
        }
    }
}

/// The position from which the server says that it begins, so that a subscription that is cut
/// before its first event does not lose what came meanwhile.
pub(super) fn start_position(headers: &HeaderMap) -> Option<&str> {
    headers.get(LAST_EVENT_ID)?.to_str().ok().filter(|id| !id.is_empty())
}

/// What the server calls the connection, with its key.
pub(super) fn connection_name(headers: &HeaderMap) -> Option<String> {
    headers.get("tidings-connection")?.to_str().ok().map(str::to_owned)
}
