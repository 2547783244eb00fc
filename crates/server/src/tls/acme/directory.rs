//! The way to the authority: requests go to the host of the configured directory and nowhere else.
//!
//! In ACME the authority names the URLs that are asked next (RFC 8555, section 7.1). Nothing says
//! that they are on its own host, but those of all authorities are; what names another host is not
//! asked, so that an authority, or who pretends to be one, cannot send the server elsewhere.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, Request, Uri};
use http_body_util::{BodyExt as _, Full};
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use parking_lot::Mutex;
use tidings_relay::fetch::{Bounds, Client};

use super::schedule::ASKED_WAIT_MAX;

/// Time for a request, and bytes of the longest answer.
const BOUNDS: Bounds = Bounds { deadline: Duration::from_secs(30), body_bytes_max: 256 << 10 };

/// What a refusal in the words of ACME is (RFC 8555, section 6.7).
const PROBLEM: &[u8] = b"application/problem+json";

/// How the server calls itself (RFC 8555, section 6.1).
const NAME: HeaderValue =
    HeaderValue::from_static(concat!("tidings/", env!("CARGO_PKG_VERSION"), " instant-acme"));

/// Why a request got no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    /// The authority names a URL of another host.
    #[error("it names {0}, which is not of the directory's own host; nothing is asked there")]
    Elsewhere(String),
    /// The answer is a refusal, and not in the words of ACME: mostly of something in between.
    #[error("the answer has status {status} and is {kind}, not a problem document of an authority")]
    Status {
        /// Its status.
        status: u16,
        /// Its media type.
        kind: String,
    },
    /// There was no answer.
    #[error(transparent)]
    Fetch(#[from] tidings_relay::fetch::FetchError),
}

/// Asks one authority.
#[derive(Clone)]
pub(super) struct Directory {
    client: Client,
    home: Uri,
    /// How long the last refusal asks to wait.
    wait: Arc<Mutex<Option<Duration>>>,
}

impl Directory {
    pub(super) fn new(client: Client, home: Uri) -> Self {
        Self { client, home, wait: Arc::default() }
    }

    /// How long the last refusal asked to wait, once.
    pub(super) fn wait(&self) -> Option<Duration> {
        self.wait.lock().take()
    }

    async fn ask(self, request: Request<BodyWrapper<Bytes>>) -> Result<BytesResponse, AskError> {
        if !same_origin(&self.home, request.uri()) {
            return Err(AskError::Elsewhere(shown(request.uri())));
        }
        // Of what was asked before, whatever comes of this.
        self.wait.lock().take();
        let (mut head, body) = request.into_parts();
        // It cannot fail, and says so.
        let body = body.collect().await.map_or_else(|never| match never {}, |all| all.to_bytes());
        head.headers.insert(USER_AGENT, NAME);
        let request = Request::from_parts(head, body);
        let mut answer = self.client.fetch(request, true, BOUNDS).await?;
        let asked = retry_after(answer.headers(), SystemTime::now());
        // The library adds whatever number it reads to the time, and panics if that is too much.
        match asked {
            Some(asked) => answer.headers_mut().insert(RETRY_AFTER, asked.as_secs().into()),
            None => answer.headers_mut().remove(RETRY_AFTER),
        };
        let status = answer.status();
        if status.is_client_error() || status.is_server_error() {
            *self.wait.lock() = asked;
            let kind = answer.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes);
            if !kind.is_some_and(|kind| kind.starts_with(PROBLEM)) {
                return Err(AskError::Status { status: status.as_u16(), kind: named(kind) });
            }
        }
        Ok(answer.map(Full::new).into())
    }
}

type Answered = Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>>;

impl HttpClient for Directory {
    fn request(&self, request: Request<BodyWrapper<Bytes>>) -> Answered {
        let own = self.clone();
        Box::pin(async move { own.ask(request).await.map_err(|error| Error::Other(error.into())) })
    }
}

/// Whether both have the same scheme, host and port (RFC 6454, section 4).
fn same_origin(one: &Uri, other: &Uri) -> bool {
    let host = |uri: &Uri| uri.host().map(str::to_ascii_lowercase);
    let port = |uri: &Uri| uri.port_u16().unwrap_or(443);
    let plain = |uri: &Uri| uri.authority().is_some_and(|all| !all.as_str().contains('@'));
    other.scheme_str() == Some("https")
        && plain(other)
        && (host(one), port(one)) == (host(other), port(other))
}

/// What is told of a URL that somebody else has chosen.
fn shown(uri: &Uri) -> String {
    uri.host().unwrap_or("no host").chars().take(253).collect()
}

/// What is told of a media type that somebody else has chosen.
fn named(kind: Option<&[u8]>) -> String {
    let kind = kind.unwrap_or(b"of no media type");
    let first = kind.split(|byte| *byte == b';').next().unwrap_or_default();
    first
        .iter()
        .filter(|byte| byte.is_ascii_graphic() || **byte == b' ')
        .take(100)
        .map(|byte| char::from(*byte))
        .collect()
}

/// `Retry-After` (RFC 9110, section 10.2.3), as seconds or as a date, up to a day.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        let seconds = text.parse().unwrap_or(u64::MAX);
        return Some(Duration::from_secs(seconds).min(ASKED_WAIT_MAX));
    }
    let date = jiff::fmt::rfc2822::parse(text).ok()?;
    let wait = SystemTime::from(date.timestamp()).duration_since(now);
    Some(wait.unwrap_or_default().min(ASKED_WAIT_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_directory_s_own_host_is_asked() {
        let home: Uri = "https://ca.example/directory".parse().unwrap();
        for (url, own) in [
            ("https://ca.example/new-order", true),
            ("https://CA.example:443/order/1", true),
            ("http://ca.example/new-order", false),
            ("https://ca.example:8443/new-order", false),
            ("https://ca.example.evil/new-order", false),
            ("https://me@ca.example/new-order", false),
            ("https://169.254.169.254/latest", false),
            ("/new-order", false),
        ] {
            assert_eq!(same_origin(&home, &url.parse().unwrap()), own, "{url}");
        }
    }

    #[test]
    fn what_was_asked_of_an_earlier_question_is_not_asked_of_this_one() {
        let home: Uri = "https://127.0.0.1:1/directory".parse().unwrap();
        let own = Directory::new(Client::new(false).unwrap(), home.clone());
        *own.wait.lock() = Some(ASKED_WAIT_MAX);
        let request = Request::builder().uri(home).body(BodyWrapper::default()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let asked = runtime.block_on(own.clone().ask(request));
        assert!(matches!(asked, Err(AskError::Fetch(_))), "nobody listens there");
        assert_eq!(own.wait(), None);
    }

    #[test]
    fn reads_how_long_to_wait() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        for (text, wait) in [
            ("120", Some(120)),
            (" 7 ", Some(7)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
            ("Sun, 06 Nov 1994 08:48:37 GMT", Some(0)),
            ("Thu, 06 Nov 2994 08:48:37 GMT", Some(86_400)),
            ("18446744073709551615", Some(86_400)),
            ("99999999999999999999999", Some(86_400)),
            ("soon", None),
            ("", None),
            ("-1", None),
            ("+1", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, text.parse().unwrap());
            assert_eq!(retry_after(&headers, now), wait.map(Duration::from_secs), "{text}");
        }
    }
}
