//! One request and its whole answer: what else the server asks of others goes the same way as the
//! relays' requests, over the same connections.
//!
//! A general client would be a second implementation of all that [`http1`](crate::http1) decides
//! already: where an answer ends, which addresses a name may lead to, and that a redirect leads
//! nowhere.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use rustls::pki_types::CertificateDer;
use tokio::time::timeout;

use crate::http1::conn::ExchangeError;
use crate::upstream::{TlsError, UpstreamError, Upstreams};

/// How long an answer may take and be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// From the first step of connecting to the last byte of the answer.
    pub deadline: Duration,
    /// Bytes of the answer's body.
    pub body_bytes_max: usize,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// Nothing was sent: it cannot be reached.
    #[error("it cannot be reached: {0}")]
    Unreachable(String),
    /// It may have seen the request.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// The answer is longer than it may be.
    #[error("the answer is longer than {0} bytes")]
    TooLong(usize),
    /// The answer was not there in time.
    #[error("there was no answer within {0:?}")]
    Late(Duration),
}

/// Asks, and keeps connections for the next request to the same place.
///
/// The connections belong to the runtime that made them: a client is used on one.
#[derive(Clone, Debug)]
pub struct Client {
    upstreams: Upstreams,
}

impl Client {
    /// A client. The system's certificates are only read if it is to speak TLS.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(tls: bool) -> Result<Self, TlsError> {
        Upstreams::new(tls).map(|upstreams| Self { upstreams })
    }

    /// A client that speaks TLS and trusts these authorities alone.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn trusting(authorities: Vec<CertificateDer<'static>>) -> Result<Self, TlsError> {
        Upstreams::trusting(authorities).map(|upstreams| Self { upstreams })
    }

    /// Sends the request and returns the whole answer, whatever its status. A host name leads to a
    /// private address only if `allow_private`.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn fetch(
        &self,
        request: Request<Bytes>,
        allow_private: bool,
        bounds: Bounds,
    ) -> Result<Response<Bytes>, FetchError> {
        let answered = timeout(bounds.deadline, async {
            let (head, body) = self.upstreams.send(request, allow_private).await?.into_parts();
            let body = body.collect(bounds.body_bytes_max).await?;
            Ok(Response::from_parts(head, body))
        });
        answered.await.unwrap_or(Err(FetchError::Late(bounds.deadline)))
    }
}

impl From<UpstreamError> for FetchError {
    fn from(error: UpstreamError) -> Self {
        match error {
            UpstreamError::Connect(why) => Self::Unreachable(why),
            UpstreamError::Broken(error) => error.into(),
        }
    }
}

impl From<ExchangeError> for FetchError {
    fn from(error: ExchangeError) -> Self {
        match error {
            ExchangeError::TooLong(limit) => Self::TooLong(limit),
            error => Self::Broken(error.to_string()),
        }
    }
}
