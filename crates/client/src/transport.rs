//! One request and its answer's head, over hyper: headers that every request carries, redirects,
//! and errors sorted by the one thing that matters, whether the server can have seen the request.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderValue, LOCATION, USER_AGENT};
use hyper::{Method, Request, Response, Uri};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tidings_frame::Problem;
use tidings_frame::limits::PROBLEM_BYTES_MAX;

use crate::backoff::retry_after;
use crate::error::{BuildError, Refusal, RequestError, Source};
use crate::url::{redirect, same_origin};

/// Redirects that are followed for one request; a browser follows 20, an honest chain has two.
pub(crate) const REDIRECTS_MAX: usize = 5;

/// Time to make a connection, TLS included, before it counts as refused.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long an idle connection is kept for the next request: below the 60 s (nginx: 75 s) after
/// which servers close it themselves.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Idle connections kept for each server.
const IDLE_MAX: usize = 4;

#[cfg(feature = "tls")]
pub(crate) type Connector = hyper_rustls::HttpsConnector<HttpConnector>;
#[cfg(not(feature = "tls"))]
pub(crate) type Connector = HttpConnector;

/// Where the bearer token of a request comes from.
pub(crate) type TokenSource = Arc<dyn Fn() -> String + Send + Sync>;

/// A request that can be sent more than once.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Whether 307 and 308 are followed although the method is not a safe one.
    pub(crate) follow: bool,
}

impl Call {
    pub(crate) fn new(method: Method, uri: Uri) -> Self {
        Self { method, uri, headers: HeaderMap::new(), body: Bytes::new(), follow: false }
    }

    fn follows(&self, status: u16) -> bool {
        match status {
            301..=303 => self.method.is_safe(),
            307 | 308 => self.follow || self.method.is_safe(),
            _ => false,
        }
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum SendError {
    /// The server has seen nothing.
    Connect(Source),
    /// The server has seen nothing, and what it showed is not accepted.
    Certificate(Source),
    /// The server may have seen it.
    Broken(Source),
    /// The answer is a redirect that leads nowhere.
    Redirect(String),
    /// The request cannot be sent.
    Request(String),
}

/// The connections, and what every request on them carries.
pub(crate) struct Transport {
    pool: Pool<Connector, Full<Bytes>>,
    headers: HeaderMap,
    token: Option<TokenSource>,
}

impl std::fmt::Debug for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Neither headers nor token: both may be secret.
        f.debug_struct("Transport").finish_non_exhaustive()
    }
}

impl Transport {
    pub(crate) fn new(
        connector: Connector,
        headers: HeaderMap,
        token: Option<TokenSource>,
    ) -> Self {
        let pool = Pool::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(IDLE_MAX)
            .build(connector);
        Self { pool, headers, token }
    }

    /// Sends the request and follows its redirects. Every call starts from the original URL, as a
    /// reconnecting `EventSource` does.
    pub(crate) async fn send(&self, call: &Call) -> Result<Response<Incoming>, SendError> {
        let mut uri = call.uri.clone();
        for _ in 0..=REDIRECTS_MAX {
            let answer = self.send_to(call, uri.clone()).await?;
            if !call.follows(answer.status().as_u16()) {
                return Ok(answer);
            }
            let location = answer.headers().get(LOCATION).and_then(|value| value.to_str().ok());
            uri = redirect(&uri, location.unwrap_or_default()).map_err(SendError::Redirect)?;
        }
        Err(SendError::Redirect(format!("there are more than {REDIRECTS_MAX}")))
    }

    async fn send_to(&self, call: &Call, uri: Uri) -> Result<Response<Incoming>, SendError> {
        let mut request = Request::new(Full::new(call.body.clone()));
        *request.method_mut() = call.method.clone();
        let headers = request.headers_mut();
        if same_origin(&call.uri, &uri) {
            // Another server gets neither the token nor the headers, which may be credentials too.
            headers.clone_from(&self.headers);
            if let Some(token) = &self.token {
                let bearer = format!("Bearer {}", token());
                let mut value = HeaderValue::from_str(&bearer).map_err(|_| {
                    SendError::Request("the token has characters that HTTP does not allow".into())
                })?;
                value.set_sensitive(true);
                headers.insert(AUTHORIZATION, value);
            }
        }
        headers.insert(
            USER_AGENT,
            HeaderValue::from_static(concat!("tidings-client/", env!("CARGO_PKG_VERSION"))),
        );
        headers.extend(call.headers.clone());
        *request.uri_mut() = uri;
        self.pool.request(request).await.map_err(|error| {
            if is_about_certificate(&error) {
                SendError::Certificate(error.into())
            } else if error.is_connect() {
                SendError::Connect(error.into())
            } else {
                SendError::Broken(error.into())
            }
        })
    }

    /// Sends the request and reads its answer whole, up to `bytes_max`; both within `timeout`. An
    /// answer that is not a success is an error.
    pub(crate) async fn call(
        &self,
        call: &Call,
        timeout: Duration,
        bytes_max: usize,
    ) -> Result<(u16, Bytes), RequestError> {
        let exchange = async {
            let answer = self.send(call).await.map_err(|error| match error {
                SendError::Connect(source) => RequestError::Connect(source),
                SendError::Certificate(source) => RequestError::Certificate(source),
                SendError::Broken(source) => RequestError::Broken(source),
                SendError::Redirect(why) => RequestError::Answer(format!("redirect: {why}")),
                SendError::Request(why) => RequestError::Request(why),
            })?;
            let status = answer.status();
            if !status.is_success() {
                return Err(RequestError::Refused(Box::new(refusal(answer).await)));
            }
            let body = Limited::new(answer.into_body(), bytes_max).collect().await;
            let body =
                body.map_err(|error| match error.is::<http_body_util::LengthLimitError>() {
                    true => RequestError::Answer(format!("it has more than {bytes_max} bytes")),
                    false => RequestError::Broken(error),
                })?;
            Ok((status.as_u16(), body.to_bytes()))
        };
        tokio::time::timeout(timeout, exchange).await.unwrap_or(Err(RequestError::Timeout(timeout)))
    }
}

/// What an answer that is not a success says. Of its body no more is read than a problem needs.
pub(crate) async fn refusal(answer: Response<Incoming>) -> Refusal {
    let (head, body) = answer.into_parts();
    let body = Limited::new(body, PROBLEM_BYTES_MAX).collect().await;
    Refusal {
        status: head.status.as_u16(),
        problem: body.ok().and_then(|body| Problem::from_json(&body.to_bytes())),
        retry_after: retry_after(&head.headers, SystemTime::now()),
    }
}

/// An error with what is underneath it, on one line.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// Whether the handshake failed because of what the server showed.
#[cfg(feature = "tls")]
fn is_about_certificate(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            return matches!(
                tls,
                rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented
            );
        }
        // An I/O error that is asked for its source passes over what it wraps.
        let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        next = match wrapped {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
    false
}

#[cfg(not(feature = "tls"))]
fn is_about_certificate(_: &(dyn Error + 'static)) -> bool {
    false
}

fn tcp() -> HttpConnector {
    let mut tcp = HttpConnector::new();
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
    tcp.enforce_http(false);
    tcp
}

/// Connects by TCP, or by TLS over it. Roots are the system's and `roots` (DER); a client of an
/// `http://` base has no use for them and does not load them.
#[cfg(feature = "tls")]
pub(crate) fn connector(https: bool, roots: &[Vec<u8>]) -> Result<Connector, BuildError> {
    let mut store = rustls::RootCertStore::empty();
    if https {
        let system = rustls_native_certs::load_native_certs();
        store.add_parsable_certificates(system.certs);
        for root in roots {
            let wrong = |error: rustls::Error| BuildError::Certificate(error.to_string());
            store.add(root.clone().into()).map_err(wrong)?;
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| BuildError::Certificate(error.to_string()))?
        .with_root_certificates(store)
        .with_no_client_auth();
    Ok(hyper_rustls::HttpsConnectorBuilder::new()
        .with_tls_config(config)
        .https_or_http()
        .enable_http1()
        .wrap_connector(tcp()))
}

/// Connects by TCP.
#[cfg(not(feature = "tls"))]
pub(crate) fn connector(https: bool, _roots: &[Vec<u8>]) -> Result<Connector, BuildError> {
    if https { Err(BuildError::NoTls) } else { Ok(tcp()) }
}
