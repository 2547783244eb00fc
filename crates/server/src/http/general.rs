//! The general door: hyper takes every request that the fast door leaves, on any connection.
//!
//! When a request turns out to be a subscription, its socket is taken out of hyper again: the
//! handler leaves what was asked in a cell and never answers; the connection's future sees the
//! cell, is taken apart, and the bare socket goes to a shard. Nothing was written on it by then. A
//! WebSocket takes the same way, into a task of its own.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use tidings_frame::ErrorCode;
use tidings_hub::Framing;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::operator::{answer_at, asked_of_a_full_server};
use super::subscribe::Subscribe;
use super::{Outcome, cors, linger};
use crate::app::{App, Handed};
use crate::dates::EVERY_ANSWER;
use crate::error::ApiError;
use crate::head::{Head, Headers};
use crate::http2;
use crate::lanes::Lanes;
use crate::limits::guarded::{Guarded, Ledger};
use crate::limits::{Entry, PAUSE};
use crate::peer::{Peer, Protocol};
use crate::proxy;
use crate::reply::Reply;
use crate::socket::heads::{FIELDS_MAX, TARGET_BYTES_MAX};
use crate::socket::mail::Mail;
use crate::websocket;
use crate::websocket::handshake::{Taken, Upgrade};
use crate::websocket::wire::Wire;

/// hyper's own floor for its buffer.
const HYPER_BUFFER_MIN: usize = 8 << 10;

/// What a connection becomes when HTTP lets go of it.
pub(crate) enum Becomes {
    Stream(Box<Subscribe>),
    WebSocket(Upgrade),
}

/// Where a handler leaves it.
type Cell = Arc<Mutex<Option<(Becomes, Peer)>>>;

/// A connection that HTTP has let go of.
pub(crate) struct LetGo<S> {
    pub(crate) stream: S,
    /// What was read from it after its request.
    pub(crate) unread: Bytes,
    /// Whom its request came from.
    pub(crate) peer: Peer,
    pub(crate) becomes: Becomes,
}

/// Takes connections until the app has stopped.
pub(crate) async fn serve(app: Arc<App>, mut handed: mpsc::Receiver<Handed>, lanes: Lanes) {
    let mut tasks = JoinSet::new();
    loop {
        tokio::select! {
            Some(handed) = handed.recv() => {
                let app = app.clone();
                tasks.spawn_on(async move { connection(app, handed).await }, lanes.next());
            }
            // Their memory is given back as they end.
            Some(_) = tasks.join_next() => {}
            else => return,
        }
    }
}

async fn connection(app: Arc<App>, handed: Handed) {
    let peer = handed.peer;
    if let Some(answer) = &handed.last_answer {
        let stream = std::net::TcpStream::from(handed.fd);
        if let Ok(stream) = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream))
        {
            linger::answer_and_end(&app, stream, answer).await;
        }
        return app.disconnected(peer);
    }
    let entry = handed.entry;
    let stream = std::net::TcpStream::from(handed.fd);
    let stream = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
    let Ok(stream) = stream else { return app.disconnected(peer) };
    let io = Rewound::new(handed.initial, stream);
    if io.initial.starts_with(http2::PREFACE) {
        // Boxed: what most connections hold is not to grow by what few need.
        let client = Peer { protocol: Protocol::Http2, ..peer };
        Box::pin(http2::serve(&app, io, client, entry)).await;
        return app.disconnected(peer);
    }
    match converse(&app, io, peer, entry).await {
        Ok(Some(LetGo { stream, unread, peer, becomes })) => match becomes {
            // What the client has sent after its request is not looked at.
            Becomes::Stream(asked) => {
                let Ok(stream) = stream.into_std() else { return app.disconnected(peer) };
                let number = u64::from(peer.address.port());
                let shard = crate::app::scatter(number) as usize % app.shards.len();
                app.shards[shard].send(Mail::Adopt { fd: stream.into(), peer, asked });
            }
            Becomes::WebSocket(upgrade) => {
                let stream = Wire::Plain(stream);
                websocket::serve(&app, Taken { stream, unread, peer, upgrade }).await;
                app.disconnected(peer);
            }
        },
        Ok(None) => app.disconnected(peer),
        Err(error) => {
            tracing::debug!(%peer, %error, "a connection ended with an error");
            app.disconnected(peer);
        }
    }
}

/// Serves the connection until it ends or becomes something else.
pub(crate) async fn converse<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    app: &Arc<App>,
    io: Rewound<S>,
    peer: Peer,
    entry: Entry,
) -> Result<Option<LetGo<S>>, Box<dyn std::error::Error + Send + Sync>> {
    let ledger = Ledger::new(&app.limits.memory);
    let io = Guarded::new(io, ledger.clone(), app.config.limits.stall_timeout);
    let cell: Cell = Arc::default();
    let (app_of_service, cell_of_service) = (app.clone(), cell.clone());
    let asked_once = Arc::new(AtomicBool::new(false));
    let body_unread = Arc::new(AtomicBool::new(false));
    let (asks, unread) = (asked_once.clone(), body_unread.clone());
    let service = service_fn(move |request| {
        asks.store(true, Ordering::Relaxed);
        let (app, cell) = (app_of_service.clone(), cell_of_service.clone());
        let (unread, ledger) = (unread.clone(), ledger.clone());
        // Boxed, because a connection can be taken apart only if it can be moved.
        Box::pin(async move {
            let asking = Asking { cell: &cell, body_unread: &unread, ledger: &ledger, peer, entry };
            Ok::<_, Infallible>(respond(&app, request, asking).await)
        })
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(app.config.limits.head_timeout)
        .max_headers(FIELDS_MAX)
        // A place that is kept for operators is free again after one request.
        .keep_alive(entry == Entry::Free)
        .max_buf_size(app.config.limits.head_bytes.max(HYPER_BUFFER_MIN))
        .half_close(true)
        .serve_connection(TokioIo::new(io), service);
    let mut drained = pin!(app.drained());
    let (mut draining, mut told) = (false, false);
    let ended = poll_fn(|context| {
        loop {
            // While a subscription waits in its handler the connection is not done, so this does
            // not shut down a socket that is to live on. `poll_without_shutdown` would also be done
            // before the last answer is out.
            let ended = Pin::new(&mut connection).poll(context);
            if let Some(becomes) = cell.lock().take() {
                return Poll::Ready(Ok(Some(becomes)));
            }
            draining = draining || drained.as_mut().poll(context).is_ready();
            // Not before the first request has come in: hyper would hang up on a load balancer
            // that asks whether we are ready.
            if told || !draining || !asked_once.load(Ordering::Relaxed) {
                return ended.map_ok(|()| None);
            }
            told = true;
            Pin::new(&mut connection).graceful_shutdown();
        }
    })
    .await?;
    let Some((becomes, peer)) = ended else {
        if body_unread.load(Ordering::Relaxed) {
            let io = connection.into_parts().io.into_inner().into_inner();
            if !io.failed {
                linger::answer_and_end(app, io.stream, b"").await;
            }
        }
        return Ok(None);
    };
    let parts = connection.into_parts();
    let Rewound { initial, stream, .. } = parts.io.into_inner().into_inner();
    let unread = [parts.read_buf, initial].concat().into();
    Ok(Some(LetGo { stream, unread, peer, becomes }))
}

/// Where a request comes from.
struct Asking<'c> {
    cell: &'c Cell,
    body_unread: &'c AtomicBool,
    ledger: &'c Ledger,
    peer: Peer,
    entry: Entry,
}

async fn respond(
    app: &Arc<App>,
    request: hyper::Request<Incoming>,
    asking: Asking<'_>,
) -> hyper::Response<Full<Bytes>> {
    let Asking { cell, body_unread, ledger, peer, entry } = asking;
    app.metrics.request();
    let (parts, body) = request.into_parts();
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    let head = Head::new(parts.method.as_str(), target, Headers::Map(&parts.headers));
    let peer = proxy::client(&app.config.proxy, peer, &head);
    let head = head.from(peer, &app.limits);
    let origin = cors::allowed(app, &head);
    let outcome = match checked(&parts, target) {
        Err(error) => Err(error),
        Ok(()) if entry == Entry::Reserved && !asked_of_a_full_server(&head) => {
            Err(app.limits.full().into())
        }
        Ok(()) => match read_body(app, &parts.headers, body, ledger).await {
            Err(error) => {
                body_unread.store(true, Ordering::Relaxed);
                Err(error)
            }
            Ok(body) => answer_at(app, peer.door, &head, &body).await,
        },
    };
    app.audit.answered(app, &head, peer.address, &outcome);
    let reply = match outcome {
        Ok(Outcome::Subscribe(mut asked)) => {
            // A client of HTTP/1.0 reads chunks as data (RFC 9112, section 6.1).
            if asked.view.framing == Framing::Answer && parts.version < http::Version::HTTP_11 {
                asked.view.framing = Framing::Unchunked;
            }
            *cell.lock() = Some((Becomes::Stream(asked), peer));
            // The connection is taken apart at its next poll, before anything is written.
            return std::future::pending().await;
        }
        Ok(Outcome::WebSocket(upgrade)) => {
            *cell.lock() = Some((Becomes::WebSocket(upgrade), peer));
            return std::future::pending().await;
        }
        Ok(Outcome::Reply(reply)) => reply,
        Err(error) => {
            tracing::debug!(%peer, code = %error.problem.code, "a request was refused");
            app.refused(Some(&head), &error, Some(peer));
            if error.makes_wait() {
                // Refusing costs something too.
                tokio::time::sleep(PAUSE).await;
            }
            let reply = Reply::from(error);
            // Where the next request would begin is not known.
            if body_unread.load(Ordering::Relaxed) {
                reply.with("connection", "close")
            } else {
                reply
            }
        }
    };
    if ledger.answer(reply.body.len()) {
        return response(cors::expose(reply, origin));
    }
    response(cors::expose(Reply::from(ApiError::from(app.limits.no_memory())), origin))
}

/// What HTTP/1.1 asks of a request and hyper leaves to its user (RFC 9112, section 3.2).
fn checked(parts: &http::request::Parts, target: &str) -> Result<(), ApiError> {
    check_target(target)?;
    let hosts = parts.headers.get_all(http::header::HOST).iter().count();
    if hosts > 1 || (hosts == 0 && parts.version == http::Version::HTTP_11) {
        return Err(ApiError::new(ErrorCode::InvalidRequest, "a request has one Host header"));
    }
    Ok(())
}

/// Refuses a target that is longer than this server takes.
pub(crate) fn check_target(target: &str) -> Result<(), ApiError> {
    if target.len() > TARGET_BYTES_MAX {
        let detail = format!("a target has at most {TARGET_BYTES_MAX} bytes");
        return Err(ApiError::new(ErrorCode::UriTooLong, detail));
    }
    Ok(())
}

async fn read_body(
    app: &App,
    headers: &http::HeaderMap,
    body: Incoming,
    ledger: &Ledger,
) -> Result<Bytes, ApiError> {
    let limit = app.config.limits.body_bytes;
    let too_large = || {
        let detail = format!("a body has at most {limit} bytes");
        ApiError::new(ErrorCode::BodyTooLarge, detail)
    };
    // Refused before it is sent, if its length was said.
    let length = headers.get(http::header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    let length = length.and_then(|length| length.parse::<u64>().ok()).unwrap_or(0);
    if length > limit as u64 {
        return Err(too_large());
    }
    if !ledger.expect(usize::try_from(length).unwrap_or(usize::MAX)) {
        return Err(app.limits.no_memory().into());
    }
    let collected = Limited::new(body, limit).collect();
    match tokio::time::timeout(app.config.limits.body_timeout, collected).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(error)) => Err(ApiError::new(ErrorCode::InvalidRequest, error.to_string())),
        Err(_) => Err(ApiError::new(ErrorCode::Timeout, "the body did not come in time")),
    }
}

/// An answer in the words of hyper and h2.
pub(crate) fn response(reply: Reply) -> hyper::Response<Full<Bytes>> {
    let mut response = hyper::Response::new(Full::new(Bytes::from(reply.body)));
    *response.status_mut() =
        http::StatusCode::from_u16(reply.status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    let media = Some(("content-type", reply.media)).filter(|(_, media)| !media.is_empty());
    let own = reply.headers.iter().map(|(name, value)| (&**name, value.as_str()));
    for (name, value) in media.into_iter().chain(EVERY_ANSWER).chain(own) {
        // A value that is none (a topic's name in it, say) is left out rather than sent mangled.
        let name = http::HeaderName::try_from(name);
        if let (Ok(name), Ok(value)) = (name, http::HeaderValue::from_str(value)) {
            response.headers_mut().append(name, value);
        }
    }
    response
}

/// A connection, and what was read from it before.
pub(crate) struct Rewound<S> {
    initial: Bytes,
    stream: S,
    /// Whether reading has failed. TLS must not be read from then.
    failed: bool,
}

impl<S> Rewound<S> {
    pub(crate) fn new(initial: impl Into<Bytes>, stream: S) -> Self {
        Self { initial: initial.into(), stream, failed: false }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Rewound<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.initial.is_empty() {
            let read = Pin::new(&mut self.stream).poll_read(context, into);
            self.failed |= matches!(read, Poll::Ready(Err(_)));
            return read;
        }
        let count = self.initial.len().min(into.remaining());
        into.put_slice(&self.initial.split_to(count));
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Rewound<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
