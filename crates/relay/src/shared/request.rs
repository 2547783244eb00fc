//! What the upstream of a shared stream is asked, and which of its answers are a stream: the rules
//! of WHATWG HTML, section 9.2.3, as a browser has them.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use tidings_frame::sse_decode::DecodeError;
use tidings_hub::{PublishError, StoreError};

use crate::config::SharedConfig;
use crate::http1::conn::Body;
use crate::upstream::{UpstreamError, Upstreams};

/// Longest id that is sent back to the upstream, in bytes: half of what servers commonly allow for
/// all of a request's head.
const LAST_EVENT_ID_BYTES_MAX: usize = 4 << 10;

/// Characters of a wrong header field that are told.
const CHARS_SHOWN: usize = 100;

/// The media type of a stream.
const EVENT_STREAM: &str = "text/event-stream";

/// Why nothing, or nothing more, comes from the upstream.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// It says that there is no stream, and not to ask again.
    #[error("the upstream says that there is nothing to follow (204)")]
    NoContent,
    /// Whoever publishes to the topic has ended it.
    #[error("the topic has ended, so there is nothing to read the upstream for")]
    TopicEnded,
    /// The stream ended as streams do: it is to be asked for again.
    #[error("the stream ended")]
    Ended,
    /// It cannot be reached.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// It answered something else, and may have said when to ask again.
    #[error("the upstream answered with status {status}")]
    Status {
        /// What it answered.
        status: StatusCode,
        /// `Retry-After` (RFC 9110, section 10.2.3), if that is a number of seconds.
        again_after: Option<Duration>,
    },
    /// It answered with something else.
    #[error("the upstream answered with `{0}` and not with {EVENT_STREAM}")]
    ContentType(String),
    /// It compresses what it was not asked to compress.
    #[error("the upstream answered with the content encoding `{0}`, which it was not asked for")]
    Encoding(String),
    /// What it sends is above a limit.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// What came cannot be stored.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// What was stored cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Asks for the stream after the event with this id; empty for none.
pub(super) async fn send(
    upstreams: &Upstreams,
    config: &SharedConfig,
    last_event_id: &str,
) -> Result<Body, Trouble> {
    // There is no limit on the time until the answer: a server with one worker that is busy, or a
    // program whose first event is hours away, answers when it can. That the other side is still
    // there is TCP's to find out.
    let answer = upstreams.send(request(config, last_event_id), config.allow_private).await?;
    check(&answer)?;
    Ok(answer.into_body())
}

fn request(config: &SharedConfig, last_event_id: &str) -> Request<Bytes> {
    let mut request = Request::new(Bytes::new());
    *request.uri_mut() = config.upstream.clone();
    let headers: &mut HeaderMap = request.headers_mut();
    headers.insert(header::ACCEPT, HeaderValue::from_static(EVENT_STREAM));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    let agent = concat!("tidings/", env!("CARGO_PKG_VERSION"));
    headers.insert(header::USER_AGENT, HeaderValue::from_static(agent));
    // Kept open afterwards, it would hold the worker of a server that has only one.
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    for (name, value) in &config.add_headers {
        headers.append(name, value.clone());
    }
    // Raw UTF-8, as browsers send it.
    let id = Some(last_event_id).filter(|id| (1..=LAST_EVENT_ID_BYTES_MAX).contains(&id.len()));
    if let Some(id) = id.and_then(|id| HeaderValue::from_bytes(id.as_bytes()).ok()) {
        headers.insert("last-event-id", id);
    }
    request
}

fn check(answer: &Response<Body>) -> Result<(), Trouble> {
    let text = |name| {
        let value = answer.headers().get(name).map(HeaderValue::to_str);
        value.and_then(Result::ok).unwrap_or_default()
    };
    match answer.status() {
        StatusCode::OK => {}
        StatusCode::NO_CONTENT => return Err(Trouble::NoContent),
        status => {
            let seconds = text(header::RETRY_AFTER).trim().parse().ok();
            return Err(Trouble::Status { status, again_after: seconds.map(Duration::from_secs) });
        }
    }
    let shown = |text: &str| text.chars().take(CHARS_SHOWN).collect::<String>();
    let kind = text(header::CONTENT_TYPE);
    let essence = kind.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case(EVENT_STREAM) {
        return Err(Trouble::ContentType(shown(kind)));
    }
    match text(header::CONTENT_ENCODING).trim() {
        "" | "identity" => Ok(()),
        encoding => Err(Trouble::Encoding(shown(encoding))),
    }
}

#[cfg(test)]
mod tests {
    use tidings_frame::TopicName;

    use super::*;

    fn sent(last_event_id: &str) -> HeaderMap {
        let upstream = "http://127.0.0.1:1/stream?x=1".parse().unwrap();
        let mut config = SharedConfig::new("/s", upstream, TopicName::new("s").unwrap());
        config.add_headers =
            vec![("authorization".parse().unwrap(), HeaderValue::from_static("Bearer k"))];
        let request = request(&config, last_event_id);
        assert_eq!(request.uri().path_and_query().unwrap(), "/stream?x=1");
        request.headers().clone()
    }

    #[test]
    fn asks_as_a_browser_does() {
        let headers = sent("");
        assert_eq!(headers["accept"], EVENT_STREAM);
        assert_eq!(headers["authorization"], "Bearer k");
        assert!(!headers.contains_key("last-event-id"));
        assert_eq!(sent("ä 7")["last-event-id"].as_bytes(), "ä 7".as_bytes());
        assert!(!sent("a\u{1}").contains_key("last-event-id"));
        assert!(!sent(&"x".repeat(5_000)).contains_key("last-event-id"));
    }
}
