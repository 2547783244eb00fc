//! Why a call failed, one enum for each kind of call.
//!
//! The question a caller has is always the same: was anything changed, and is it worth trying
//! again? [`RequestError::is_retryable`] answers it; [`RequestError::code`] says what exactly the
//! server found wrong.

use std::time::Duration;

use tidings_frame::sse_decode::DecodeError;
use tidings_frame::{ErrorCode, Problem};

/// What is underneath: an error of the socket, of TLS or of HTTP.
pub type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why a [`Client`](crate::Client) cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The base URL is not `http://` or `https://` with a host and without a query.
    #[error("the base URL is http:// or https:// with a host and without a query: {0}")]
    Url(String),
    /// `https://` in a build without the feature `tls`.
    #[error("this build has no TLS: enable the feature `tls` of tidings-client")]
    NoTls,
    /// A header's name or value, or the token, cannot be sent.
    #[error("the header {0} cannot be sent: it has characters that HTTP does not allow")]
    Header(String),
    /// A root certificate cannot be read.
    #[error("the root certificate cannot be read: {0}")]
    Certificate(String),
}

/// An answer with a status that is not a success.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// What the server said of it, if it said so in `application/problem+json`.
    pub problem: Option<Problem>,
    /// How long it asked to wait (`Retry-After`).
    pub retry_after: Option<Duration>,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.problem {
            Some(problem) => write!(f, "{problem}"),
            None => write!(f, "status {}", self.status),
        }
    }
}

impl Refusal {
    /// The stable code, if the server gave one that this version knows.
    #[must_use]
    pub fn code(&self) -> Option<ErrorCode> {
        self.problem.as_ref()?.error_code()
    }

    /// Whether the same request can succeed later: the server says so or, if it says nothing, the
    /// status does (408, 425, 429, 5xx).
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match &self.problem {
            Some(problem) if !problem.code.is_empty() => problem.retryable,
            _ => matches!(self.status, 408 | 425 | 429 | 500..),
        }
    }
}

/// Why a request (publish, history, topics) failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The server answered, and the answer is no.
    #[error("the server refused: {0}")]
    Refused(Box<Refusal>),
    /// No connection was made, so the server has seen nothing of the request.
    #[error("the server cannot be reached")]
    Connect(#[source] Source),
    /// The server's certificate is not trusted, has expired or is for another name. It has seen
    /// nothing of the request, and trying again does not help.
    #[error("the server's certificate is not accepted")]
    Certificate(#[source] Source),
    /// The connection broke before the answer was complete. The server may have done it.
    #[error("the connection broke before the answer was complete")]
    Broken(#[source] Source),
    /// There was no answer in time. The server may have done it.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// The answer is a success but not one that this client understands.
    #[error("the answer is not as expected: {0}")]
    Answer(String),
    /// The request itself cannot be sent; nothing was.
    #[error("the request cannot be sent: {0}")]
    Request(String),
}

impl RequestError {
    /// The stable code, if the server gave one that this version knows.
    #[must_use]
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Refused(refusal) => refusal.code(),
            _ => None,
        }
    }

    /// The problem document, if the server gave one.
    #[must_use]
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Refused(refusal) => refusal.problem.as_ref(),
            _ => None,
        }
    }

    /// Whether the same request can succeed later. That it is *safe* to repeat is another question:
    /// it is if the request had an idempotency key, or if this is [`RequestError::Connect`].
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Refused(refusal) => refusal.is_retryable(),
            Self::Connect(_) | Self::Broken(_) | Self::Timeout(_) => true,
            Self::Certificate(_) | Self::Answer(_) | Self::Request(_) => false,
        }
    }

    /// How long the server asked to wait.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused(refusal) => refusal.retry_after,
            _ => None,
        }
    }
}

/// Why a subscription is over. Whatever can be mended by reconnecting is not among these.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SubscribeError {
    /// The server answered, and the answer is a lasting no (WHATWG HTML 9.2.2: a status other than
    /// 200 fails the connection; 408, 425, 429 and 5xx are tried again nevertheless).
    #[error("the server refused: {0}")]
    Refused(Box<Refusal>),
    /// The server's certificate is not trusted, has expired or is for another name.
    #[error("the server's certificate is not accepted: {0}")]
    Certificate(String),
    /// The answer is 200 but not `text/event-stream`.
    #[error("the answer is not an event stream but {0}")]
    NotAnEventStream(String),
    /// A redirect leads nowhere, too far, or to another scheme.
    #[error("the redirect cannot be followed: {0}")]
    Redirect(String),
    /// The stream has a line or an event above the limits.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// An event is not in the form that was asked for, so going on could lose something.
    #[error("an event of the stream is not as expected: {0}")]
    Event(String),
    /// The request itself cannot be sent.
    #[error("the request cannot be sent: {0}")]
    Request(String),
    /// As many attempts in a row as allowed have failed; the last one so.
    #[error("gave up after {attempts} failed attempts: {cause}")]
    GaveUp {
        /// Failed attempts in a row.
        attempts: u32,
        /// What the last one met.
        cause: Cause,
    },
}

/// Why a subscription reconnects.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// No connection was made.
    #[error("the server cannot be reached: {0}")]
    Connect(String),
    /// The server answered that it cannot now.
    #[error("the server refused for now: {0}")]
    Refused(Box<Refusal>),
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// The server ended the response, as it does when it is stopped.
    #[error("the server closed the stream")]
    Closed,
    /// Nothing came for so long, not even a heartbeat, or no answer to the request at all.
    #[error("nothing came for {0:?}")]
    Silence(Duration),
}
