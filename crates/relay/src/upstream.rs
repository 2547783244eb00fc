//! The way to an upstream: one request and the head of its answer.
//!
//! Redirects are not followed: they could lead to a host that nobody configured. A host *name* that
//! resolves to a private address is refused unless the configuration allows it, so that a name that
//! somebody else controls cannot point the relay at the inside (the check is made on the address
//! that is connected to, so a name cannot change its mind in between).

use std::future::{Future, poll_fn};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Uri};
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use tokio::time::timeout;
use tower_service::Service;

use crate::http1::conn::{self, Body, ExchangeError, Io};
use crate::http1::pool::{Place, Pool};

/// Time to make a connection, TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Silence after which TCP asks whether the other side is still there, and between its questions;
/// after so many without an answer the connection is broken. Streams may be silent for hours.
const KEEPALIVE: (Duration, Duration, u32) = (Duration::from_secs(30), Duration::from_secs(10), 3);

/// Why an upstream gave no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpstreamError {
    /// Nothing was sent: it cannot be reached.
    #[error("the upstream cannot be reached: {0}")]
    Connect(String),
    /// It may have seen the request.
    #[error("the connection to the upstream broke: {0}")]
    Broken(#[from] ExchangeError),
}

/// Why no connections can be made at all.
#[derive(Debug, thiserror::Error)]
#[error("TLS: {0}")]
pub struct TlsError(String);

/// Connections to upstreams.
#[derive(Clone)]
pub(crate) struct Upstreams {
    anywhere: HttpsConnector<HttpConnector<Resolver>>,
    public: HttpsConnector<HttpConnector<Resolver>>,
    idle: Arc<Pool>,
}

impl std::fmt::Debug for Upstreams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upstreams").finish_non_exhaustive()
    }
}

impl Upstreams {
    /// Makes the connectors. The system's certificates are only read if an upstream wants TLS.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub(crate) fn new(tls: bool) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        if tls {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        Self::with(&Arc::new(roots))
    }

    /// Makes connectors that trust these authorities alone.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub(crate) fn trusting(authorities: Vec<CertificateDer<'static>>) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        for authority in authorities {
            roots.add(authority).map_err(|error| TlsError(error.to_string()))?;
        }
        Self::with(&Arc::new(roots))
    }

    fn with(roots: &Arc<RootCertStore>) -> Result<Self, TlsError> {
        let (anywhere, public) = (connector(roots, true)?, connector(roots, false)?);
        Ok(Self { anywhere, public, idle: Arc::default() })
    }

    /// Sends the request and returns the head of the answer; dropping the answer's body closes the
    /// connection unless it was read to its end.
    ///
    /// # Errors
    /// See [`UpstreamError`].
    pub(crate) async fn send(
        &self,
        request: Request<Bytes>,
        allow_private: bool,
    ) -> Result<Response<Body>, UpstreamError> {
        let uri = request.uri();
        let authority = uri.authority().map(|authority| authority.as_str()).unwrap_or_default();
        let origin = format!("{}://{authority}", uri.scheme_str().unwrap_or_default());
        let place = Place { origin, allow_private };
        let io = match self.idle.take(&place) {
            Some(io) => io,
            None => self.connect(uri.clone(), allow_private).await?,
        };
        Ok(conn::exchange(io, request, (self.idle.clone(), place)).await?)
    }

    async fn connect(&self, to: Uri, allow_private: bool) -> Result<Io, UpstreamError> {
        let mut connector = if allow_private { &self.anywhere } else { &self.public }.clone();
        let connected = timeout(CONNECT_TIMEOUT, async {
            poll_fn(|context| connector.poll_ready(context)).await?;
            connector.call(to).await
        });
        match connected.await {
            Ok(Ok(MaybeHttpsStream::Http(tcp))) => Ok(Box::new(tcp.into_inner())),
            Ok(Ok(MaybeHttpsStream::Https(tls))) => Ok(Box::new(tls.into_inner())),
            Ok(Err(error)) => Err(UpstreamError::Connect(chain(&*error))),
            Err(_) => {
                let text = format!("there was no connection within {CONNECT_TIMEOUT:?}");
                Err(UpstreamError::Connect(text))
            }
        }
    }
}

fn connector(
    roots: &Arc<RootCertStore>,
    allow_private: bool,
) -> Result<HttpsConnector<HttpConnector<Resolver>>, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsError(error.to_string()))?
        .with_root_certificates(roots.clone())
        .with_no_client_auth();
    let mut tcp = HttpConnector::new_with_resolver(Resolver { allow_private });
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
    tcp.set_keepalive(Some(KEEPALIVE.0));
    tcp.set_keepalive_interval(Some(KEEPALIVE.1));
    tcp.set_keepalive_retries(Some(KEEPALIVE.2));
    tcp.enforce_http(false);
    Ok(hyper_rustls::HttpsConnectorBuilder::new()
        .with_tls_config(config)
        .https_or_http()
        .enable_http1()
        .wrap_connector(tcp))
}

/// An error and what it came from, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = error.source();
    }
    text
}

/// Looks names up and leaves out addresses that must not be reached by name.
#[derive(Clone, Copy, Debug)]
struct Resolver {
    allow_private: bool,
}

type Lookup = Pin<Box<dyn Future<Output = std::io::Result<std::vec::IntoIter<SocketAddr>>> + Send>>;

impl tower_service::Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = std::io::Error;
    type Future = Lookup;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        // A name of this machine can only be meant.
        let allow_private = self.allow_private || name.as_str() == "localhost";
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let (found, refused): (Vec<_>, Vec<_>) =
                found.partition(|address| allow_private || is_public(address.ip()));
            if found.is_empty() && !refused.is_empty() {
                return Err(std::io::Error::other(format!(
                    "{} resolves to a private address; set allow_private = true beside its URL if \
                     that is meant",
                    name.as_str()
                )));
            }
            Ok(found.into_iter())
        })
    }
}

/// Whether an address is one of the public Internet's (IANA's special-purpose registries).
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            !(v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_unspecified()
                || v4.is_broadcast()
                || v4.is_multicast()
                || v4.is_documentation()
                || a == 0
                || a >= 240
                || (a == 100 && (64..128).contains(&b))
                || (a == 198 && (18..20).contains(&b)))
        }
        IpAddr::V6(v6) => match v6.to_ipv4_mapped().or_else(|| nat64(v6)) {
            Some(v4) => is_public(IpAddr::V4(v4)),
            None => {
                let first = v6.segments()[0];
                !(v6.is_loopback()
                    || v6.is_unspecified()
                    || v6.is_multicast()
                    || first & 0xfe00 == 0xfc00
                    || first & 0xffc0 == 0xfe80)
            }
        },
    }
}

/// The address inside an address of the well-known prefix (RFC 6052).
fn nat64(address: Ipv6Addr) -> Option<std::net::Ipv4Addr> {
    let [0x64, 0xff9b, 0, 0, 0, 0, high, low] = address.segments() else { return None };
    Some((u32::from(high) << 16 | u32::from(low)).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_public_addresses() {
        for (address, public) in [
            ("8.8.8.8", true),
            ("127.0.0.1", false),
            ("10.1.2.3", false),
            ("172.16.0.1", false),
            ("172.32.0.1", true),
            ("192.168.0.1", false),
            ("169.254.169.254", false),
            ("100.64.0.1", false),
            ("0.0.0.0", false),
            ("2606:4700::1", true),
            ("::1", false),
            ("fd00::1", false),
            ("fe80::1", false),
            ("::ffff:10.0.0.1", false),
            ("64:ff9b::a00:1", false),
            ("64:ff9b::808:808", true),
        ] {
            assert_eq!(is_public(address.parse().unwrap()), public, "{address}");
        }
    }
}
