//! What the server itself asks of others: webhooks, the application's decisions.
//!
//! Requests go where the configuration says and nowhere else: a [`Target`] is made of a configured
//! URL, nothing of a request becomes a part of it, and redirects are not followed. They are made on
//! a thread of their own, so that neither a publish nor a subscriber waits for somebody else's
//! server. The client is the relays' ([`tidings_relay::fetch`]).

pub(crate) mod signature;
mod worker;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response, Uri};
use tidings_relay::fetch::{Bounds, Client, FetchError};

pub(crate) use worker::Outgoing;

/// A URL that the configuration names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    uri: Uri,
    /// Whether its host name may lead to a private address.
    allow_private: bool,
}

impl Target {
    /// The target at a checked URL: `http` or `https`, with a host and without a user.
    pub(crate) fn new(uri: Uri, allow_private: bool) -> Self {
        Self { uri, allow_private }
    }

    /// Whether it speaks TLS.
    pub(crate) fn is_tls(&self) -> bool {
        self.uri.scheme_str() == Some("https")
    }

    /// Where it is, without its path and query, which may hold a secret: for messages.
    pub(crate) fn place(&self) -> String {
        let authority = self.uri.authority().map_or("", |authority| authority.as_str());
        format!("{}://{authority}", self.uri.scheme_str().unwrap_or_default())
    }
}

/// Posts JSON to a target; returns whatever it answers.
///
/// # Errors
/// See [`FetchError`].
pub(crate) async fn post(
    client: &Client,
    target: &Arc<Target>,
    fields: &[(HeaderName, HeaderValue)],
    body: Bytes,
    bounds: Bounds,
) -> Result<Response<Bytes>, FetchError> {
    let mut request = Request::new(body);
    *request.method_mut() = Method::POST;
    *request.uri_mut() = target.uri.clone();
    let headers = request.headers_mut();
    headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(http::header::ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(http::header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
    for (name, value) in fields {
        headers.insert(name, value.clone());
    }
    client.fetch(request, target.allow_private, bounds).await
}

/// How the server calls itself.
const USER_AGENT: &str = concat!("tidings/", env!("CARGO_PKG_VERSION"));
