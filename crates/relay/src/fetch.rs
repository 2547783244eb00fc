//! A document from elsewhere that the server itself needs, such as an issuer's keys: one `GET`,
//! with a limit for its size and its time, over the same connections as the relays'.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, HeaderValue, USER_AGENT};
use http::{Request, Uri};

use crate::upstream::{TlsError, Upstreams};

/// Time for the whole of it.
const TIME_MAX: Duration = Duration::from_secs(15);

/// Why there is no document.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// It could not be asked for, or the answer broke off.
    #[error("{0}")]
    Broken(String),
    /// Another status than 200; redirects are not followed.
    #[error("the answer has status {0}")]
    Status(u16),
    /// It took longer than 15 s.
    #[error("there was no answer within {TIME_MAX:?}")]
    Timeout,
}

/// Fetches documents.
#[derive(Debug, Clone)]
pub struct Fetcher(Upstreams);

impl Fetcher {
    /// With the system's certificates.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new() -> Result<Self, TlsError> {
        Upstreams::new(true).map(Self)
    }

    /// The document at `uri`, of at most `bytes_max` bytes. Whoever configured the address has
    /// meant it, also if it is one of a private network.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn get(&self, uri: &Uri, bytes_max: usize) -> Result<Bytes, FetchError> {
        let broken = |error: &dyn std::fmt::Display| FetchError::Broken(error.to_string());
        let mut request = Request::new(Bytes::new());
        *request.uri_mut() = uri.clone();
        let headers = request.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(USER_AGENT, HeaderValue::from_static("tidings"));
        let fetched = tokio::time::timeout(TIME_MAX, async {
            let response = self.0.send(request, true).await.map_err(|error| broken(&error))?;
            let (parts, body) = response.into_parts();
            if parts.status != 200 {
                return Err(FetchError::Status(parts.status.as_u16()));
            }
            body.collect(bytes_max).await.map_err(|error| broken(&error))
        });
        fetched.await.unwrap_or(Err(FetchError::Timeout))
    }
}
