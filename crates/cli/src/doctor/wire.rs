//! One connection and one request at a time, with the clock beside it.
//!
//! A client library hides what is to be found out here: how long each step took, what TLS agreed
//! on, and when which bytes came. So the connections are made by hand, over hyper. Nothing is
//! pooled, nothing is repeated and no redirect is followed.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{HOST, HeaderMap, HeaderValue};
use hyper::http::response::Parts;
use hyper::{Method, Uri};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Time for each step of making a connection: the name, TCP, TLS.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Time for an answer that ends, head and body.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

/// Most bytes read of an answer that ends: Tidings' own description has some 30 KiB.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum WireError {
    /// The name of the host has no address.
    #[error("the name {host} cannot be resolved: {why}")]
    Name { host: String, why: String },
    /// TCP was refused or did not answer.
    #[error("{address} cannot be connected to: {why}")]
    Tcp { address: String, why: String },
    /// TLS failed: a certificate that is not trusted, or no TLS at all.
    #[error("TLS failed: {0}")]
    Tls(String),
    /// What came is not HTTP/1.1, or it broke off.
    #[error("no answer in HTTP/1.1: {0}")]
    Http(String),
    /// There was none in time.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
}

/// Where to connect to.
#[derive(Debug, Clone)]
pub(super) struct Address {
    pub(super) tls: bool,
    /// Without the brackets of an IPv6 address.
    pub(super) host: String,
    pub(super) port: u16,
    /// As it is sent in `Host`.
    authority: String,
}

impl Address {
    /// The address of an absolute `http` or `https` URL.
    pub(super) fn of(uri: &Uri) -> Option<Self> {
        let tls = match uri.scheme_str()? {
            "http" => false,
            "https" => true,
            _ => return None,
        };
        let host = uri.host()?.trim_matches(['[', ']']).to_owned();
        let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
        Some(Self { tls, host, port, authority: uri.authority()?.to_string() })
    }
}

/// How a connection came about.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    pub(super) peer: SocketAddr,
    pub(super) name: Duration,
    pub(super) tcp: Duration,
    pub(super) tls: Option<TlsFacts>,
}

/// What TLS agreed on.
#[derive(Debug, Clone)]
pub(super) struct TlsFacts {
    pub(super) took: Duration,
    /// Such as `TLSv1_3`.
    pub(super) version: String,
    /// The protocol of ALPN (RFC 7301), if the server chose one.
    pub(super) alpn: Option<String>,
}

/// What to ask.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    pub(super) method: Method,
    pub(super) uri: Uri,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Ask {
    pub(super) fn get(uri: Uri, headers: &HeaderMap) -> Self {
        Self { method: Method::GET, uri, headers: headers.clone(), body: Bytes::new() }
    }

    /// With this header in the place of any other of its name.
    pub(super) fn with(mut self, name: &'static str, value: &str) -> Self {
        // An id of somebody else's may be any UTF-8 (WHATWG HTML 9.2.4).
        if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
            self.headers.insert(name, value);
        }
        self
    }
}

/// The head of an answer, with its body to come. The connection lives as long as this does.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) sent: Instant,
    pub(super) head_at: Instant,
    pub(super) head: Parts,
    pub(super) body: Incoming,
    _sender: SendRequest<Full<Bytes>>,
}

/// Makes a connection and asks.
pub(super) async fn ask(ask: Ask) -> Result<Answer, WireError> {
    let address = Address::of(&ask.uri).expect("the URL was checked when it was read");
    let (stream, _) = connect(&address, &[b"http/1.1"]).await?;
    let mut sender = match stream {
        Stream::Plain(tcp) => handshake(TokioIo::new(tcp)).await?,
        Stream::Tls(tls) => handshake(TokioIo::new(*tls)).await?,
    };
    let mut request = hyper::Request::new(Full::new(ask.body));
    *request.method_mut() = ask.method;
    *request.headers_mut() = ask.headers;
    let host = HeaderValue::from_str(&address.authority)
        .map_err(|_| WireError::Http("the host cannot be sent".to_owned()))?;
    request.headers_mut().insert(HOST, host);
    let target = ask.uri.path_and_query().map_or("/", |target| target.as_str());
    *request.uri_mut() = target.parse().map_err(|_| WireError::Http("no path".to_owned()))?;
    let sent = Instant::now();
    let answer = sender.send_request(request).await.map_err(|e| WireError::Http(chain(&e)))?;
    let head_at = Instant::now();
    let (head, body) = answer.into_parts();
    Ok(Answer { sent, head_at, head, body, _sender: sender })
}

/// Asks for an answer that ends, and reads it whole.
pub(super) async fn fetch(request: Ask) -> Result<(Parts, Bytes), WireError> {
    let exchange = async {
        let answer = ask(request).await?;
        let body = Limited::new(answer.body, ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| WireError::Http(chain(&*error)))?;
        Ok((answer.head, body.to_bytes()))
    };
    let late = Err(WireError::Timeout(ANSWER_TIMEOUT));
    tokio::time::timeout(ANSWER_TIMEOUT, exchange).await.unwrap_or(late)
}

/// How a connection comes about when these protocols are offered; it is closed again.
pub(super) async fn try_connect(
    address: &Address,
    protocols: &[&[u8]],
) -> Result<Facts, WireError> {
    Ok(connect(address, protocols).await?.1)
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

async fn connect(address: &Address, protocols: &[&[u8]]) -> Result<(Stream, Facts), WireError> {
    let begun = Instant::now();
    let target = (address.host.as_str(), address.port);
    let addresses: Vec<SocketAddr> = bounded(tokio::net::lookup_host(target))
        .await
        .map_err(|error| WireError::Name { host: address.host.clone(), why: error.to_string() })?
        .collect();
    let name = begun.elapsed();
    let begun = Instant::now();
    let tcp = dial(address, &addresses).await?;
    let took = begun.elapsed();
    let wrong = |error: io::Error| WireError::Tcp {
        address: format!("{}:{}", address.host, address.port),
        why: error.to_string(),
    };
    tcp.set_nodelay(true).map_err(wrong)?;
    let mut facts = Facts { peer: tcp.peer_addr().map_err(wrong)?, name, tcp: took, tls: None };
    if !address.tls {
        return Ok((Stream::Plain(tcp), facts));
    }
    let begun = Instant::now();
    let server = ServerName::try_from(address.host.clone())
        .map_err(|error| WireError::Tls(error.to_string()))?;
    let tls = bounded(connector(protocols)?.connect(server, tcp))
        .await
        .map_err(|error| WireError::Tls(chain(&error)))?;
    let agreed = tls.get_ref().1;
    facts.tls = Some(TlsFacts {
        took: begun.elapsed(),
        version: agreed
            .protocol_version()
            .map_or_else(String::new, |version| format!("{version:?}")),
        alpn: agreed.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned()),
    });
    Ok((Stream::Tls(Box::new(tls)), facts))
}

/// The first of the addresses that answers, in their order.
async fn dial(address: &Address, addresses: &[SocketAddr]) -> Result<TcpStream, WireError> {
    let named = format!("{}:{}", address.host, address.port);
    let mut why = "it has no address".to_owned();
    for candidate in addresses {
        match bounded(TcpStream::connect(candidate)).await {
            Ok(stream) => return Ok(stream),
            Err(error) => why = error.to_string(),
        }
    }
    Err(WireError::Tcp { address: named, why })
}

async fn bounded<T>(step: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let late =
        || io::Error::new(io::ErrorKind::TimedOut, format!("not within {CONNECT_TIMEOUT:?}"));
    tokio::time::timeout(CONNECT_TIMEOUT, step).await.unwrap_or_else(|_| Err(late()))
}

/// TLS with the roots of the system, as the client of Tidings has it.
fn connector(protocols: &[&[u8]]) -> Result<TlsConnector, WireError> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| WireError::Tls(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    Ok(TlsConnector::from(Arc::new(config)))
}

async fn handshake<S>(stream: TokioIo<S>) -> Result<SendRequest<Full<Bytes>>, WireError>
where
    TokioIo<S>: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let (sender, connection) =
        http1::handshake(stream).await.map_err(|error| WireError::Http(chain(&error)))?;
    // It ends with the answer, or when both the sender and the body are dropped; how it ended is
    // told by the body too.
    tokio::spawn(async move {
        let _ = connection.await;
    });
    Ok(sender)
}

/// An error with everything underneath it, on one line.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_from_urls() {
        for (url, tls, host, port) in [
            ("http://a", false, "a", 80),
            ("https://a/b?c", true, "a", 443),
            ("http://[::1]:8080/", false, "::1", 8080),
        ] {
            let address = Address::of(&url.parse().unwrap()).unwrap();
            assert_eq!((address.tls, &*address.host, address.port), (tls, host, port));
        }
        for url in ["ftp://a", "/a", "a"] {
            assert!(Address::of(&url.parse().unwrap()).is_none(), "{url}");
        }
    }
}
