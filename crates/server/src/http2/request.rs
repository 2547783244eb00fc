//! One stream: a request, and its answer or the events that it subscribes to.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, header};
use tidings_frame::ErrorCode;
use tidings_hub::Framing;
use tokio::sync::oneshot;

use super::io::Vitals;
use crate::app::App;
use crate::dashboard::standing::OneMore;
use crate::dates::Dates;
use crate::error::ApiError;
use crate::head::{Head, Headers};
use crate::http::general::{check_target, response};
use crate::http::operator::answer_at;
use crate::http::subscribe::Subscribe;
use crate::http::{Outcome, cors};
use crate::limits::{Held, PAUSE, Refused};
use crate::peer::Peer;
use crate::proxy;
use crate::reply::Reply;
use crate::stream::{Carrier, Ended, Gone, Opened, Stream};

/// Bytes of an answer that are handed over at a time.
const WRITE_BYTES: usize = 16 << 10;

/// Fields that HTTP/2 does not have (RFC 9113, section 8.2.2).
const OF_THE_CONNECTION: [HeaderName; 3] =
    [header::CONNECTION, header::TRANSFER_ENCODING, header::UPGRADE];

/// What the streams of a connection share.
pub(super) struct Shared {
    pub(super) app: Arc<App>,
    pub(super) peer: Peer,
    vitals: Arc<Vitals>,
    /// Answers that the client does not have yet.
    answers: AtomicUsize,
}

impl Shared {
    pub(super) fn new(app: Arc<App>, peer: Peer, vitals: Arc<Vitals>) -> Self {
        Self { app, peer, vitals, answers: AtomicUsize::new(0) }
    }

    /// Whether there are answers that the client does not have yet.
    pub(super) fn owes(&self) -> bool {
        self.answers.load(Ordering::Relaxed) > 0
    }
}

/// The body of an answer, which counts among what answers hold for as long as h2 has a part of it.
struct Owed {
    body: Vec<u8>,
    _held: Held,
    shared: Arc<Shared>,
    /// Says that it is gone.
    _gone: oneshot::Sender<()>,
}

impl Owed {
    /// The bytes, and what resolves when nobody has any of them.
    fn bytes(body: Vec<u8>, held: Held, shared: Arc<Shared>) -> (Bytes, oneshot::Receiver<()>) {
        let (gone, taken) = oneshot::channel();
        shared.answers.fetch_add(1, Ordering::Relaxed);
        (Bytes::from_owner(Self { body, _held: held, shared, _gone: gone }), taken)
    }
}

impl AsRef<[u8]> for Owed {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

impl Drop for Owed {
    fn drop(&mut self) {
        self.shared.answers.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What is answered.
enum Answer {
    /// The body is left out for `HEAD`.
    Reply {
        reply: Reply,
        /// Its body, among what answers hold that nobody takes.
        held: Held,
        bodiless: bool,
    },
    Stream {
        stream: Box<Stream>,
        head: Response<()>,
        counted: Counted,
    },
}

/// Counts a subscription among the connections: it holds as much as one.
struct Counted {
    app: Arc<App>,
    _one: OneMore,
}

impl Counted {
    fn new(app: &Arc<App>) -> Result<Self, Refused> {
        app.enter_stream()?;
        let one = OneMore::new(&app.dashboard.counts, |counts| &counts.http2_streams);
        Ok(Self { app: app.clone(), _one: one })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.app.left_stream();
    }
}

/// Serves a stream until it ends.
pub(super) async fn serve(
    shared: Arc<Shared>,
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
) {
    // Boxed, so that a subscription does not hold what its request needed.
    let answered = Box::pin(take(shared.clone(), request));
    let answered = tokio::select! {
        answered = answered => answered,
        _ = poll_fn(|context| respond.poll_reset(context)) => return,
    };
    match answered {
        Answer::Reply { reply, held, bodiless } => {
            reply_with(shared, respond, reply, held, bodiless).await;
        }
        Answer::Stream { mut stream, head, counted } => {
            let Ok(sender) = respond.send_response(head, false) else { return };
            let mut carrier = Sender { stream: sender };
            let ended = stream.run(&mut carrier).await;
            // Gone from the list, before its client can see the end.
            drop((stream, counted));
            carrier.end(ended);
        }
    }
}

/// Takes a request.
async fn take(shared: Arc<Shared>, request: Request<RecvStream>) -> Answer {
    let (app, peer) = (&shared.app, shared.peer);
    app.metrics.request();
    let (mut parts, body) = request.into_parts();
    join_cookies(&mut parts.headers);
    name_host(&mut parts);
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    let head = Head::new(parts.method.as_str(), target, Headers::Map(&parts.headers));
    let peer = proxy::client(&app.config.proxy, peer, &head);
    let head = head.from(peer, &app.limits);
    let bodiless = parts.method == http::Method::HEAD;
    let origin = cors::allowed(app, &head);
    let mut held = Held::of(&app.limits.memory);
    let outcome = match check_target(target) {
        Err(error) => Err(error),
        Ok(()) => match read_body(&shared, &parts.headers, body, &mut held).await {
            Err(error) => Err(error),
            Ok(body) => answer_at(app, peer.door, &head, &body).await,
        },
    };
    app.audit.answered(app, &head, peer.address, &outcome);
    let reply = match outcome {
        Ok(Outcome::Reply(reply)) => reply,
        Ok(Outcome::Subscribe(asked)) => match subscribe(app, peer, asked).await {
            Ok(stream) => return stream,
            Err(reply) => reply,
        },
        Ok(Outcome::WebSocket(_)) => {
            let detail = "over HTTP/2 there is no WebSocket here; ask over HTTP/1.1";
            ApiError::new(ErrorCode::InvalidRequest, detail).into()
        }
        Err(error) => {
            tracing::debug!(%peer, code = %error.problem.code, "a request was refused");
            app.refused(Some(&head), &error, Some(peer));
            if error.makes_wait() {
                // Refusing costs something too.
                tokio::time::sleep(PAUSE).await;
            }
            error.into()
        }
    };
    let reply = if held.set(reply.body.len()) {
        reply
    } else {
        // Less always fits.
        let _ = held.set(0);
        Reply::from(ApiError::from(app.limits.no_memory()))
    };
    Answer::Reply { reply: cors::expose(reply, origin), held, bodiless }
}

async fn subscribe(app: &Arc<App>, peer: Peer, mut asked: Box<Subscribe>) -> Result<Answer, Reply> {
    if asked.view.framing == Framing::Answer {
        // Frames have lengths here, and a stream that is cut is told from one that ends.
        asked.view.framing = Framing::Unchunked;
    }
    let counted = Counted::new(app).map_err(|refused| {
        app.metrics.refused();
        Reply::from(ApiError::from(refused))
    })?;
    let (stream, position) = match Stream::open(app, peer, &asked).await {
        Opened::Stream(stream, position) => (stream, position),
        Opened::Reply(reply) => return Err(reply),
    };
    let mut head = Response::new(());
    let (name, now_ms) = (stream.name(), app.hub.now_ms());
    Dates::default().stream_fields(&name, position, &asked, now_ms, &[], |name, value| {
        append(head.headers_mut(), name, value);
    });
    remove_those_of_the_connection(head.headers_mut());
    Ok(Answer::Stream { stream, head, counted })
}

fn append(headers: &mut HeaderMap, name: &str, value: &str) {
    // A value that is none is left out rather than sent mangled.
    if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_str(value)) {
        headers.append(name, value);
    }
}

fn remove_those_of_the_connection(headers: &mut HeaderMap) {
    for name in &OF_THE_CONNECTION {
        headers.remove(name);
    }
}

/// Cookies may come in several fields, and mean one list (RFC 9113, section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    if headers.get_all(header::COOKIE).iter().nth(1).is_none() {
        return;
    }
    let cookies: Vec<&[u8]> =
        headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if let Ok(joined) = HeaderValue::from_bytes(&cookies.join(&b"; "[..])) {
        headers.insert(header::COOKIE, joined);
    }
}

/// The host that is asked is `:authority` here (RFC 9113, section 8.3.1), whatever a field says
/// that HTTP/2 does not need.
fn name_host(parts: &mut http::request::Parts) {
    let authority =
        parts.uri.authority().map(|authority| HeaderValue::from_str(authority.as_str()));
    if let Some(Ok(authority)) = authority {
        parts.headers.insert(header::HOST, authority);
    }
}

async fn read_body(
    shared: &Shared,
    headers: &HeaderMap,
    mut body: RecvStream,
    held: &mut Held,
) -> Result<Bytes, ApiError> {
    let limits = &shared.app.config.limits;
    let limit = limits.body_bytes;
    let too_large = || {
        let detail = format!("a body has at most {limit} bytes");
        ApiError::new(ErrorCode::BodyTooLarge, detail)
    };
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    let length = length.and_then(|length| length.parse::<u64>().ok()).unwrap_or(0);
    if length > limit as u64 {
        return Err(too_large());
    }
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    let mut hold = |bytes: usize| match held.set(bytes.max(length)) {
        true => Ok(()),
        false => Err(ApiError::from(shared.app.limits.no_memory())),
    };
    hold(0)?;
    let collect = async {
        let mut collected = BytesMut::new();
        while let Some(part) = body.data().await {
            let invalid =
                |error: h2::Error| ApiError::new(ErrorCode::InvalidRequest, error.to_string());
            let part = part.map_err(invalid)?;
            if collected.len() + part.len() > limit {
                return Err(too_large());
            }
            hold(collected.len() + part.len())?;
            body.flow_control().release_capacity(part.len()).map_err(invalid)?;
            collected.extend_from_slice(&part);
        }
        Ok(collected.freeze())
    };
    let late = |_| ApiError::new(ErrorCode::Timeout, "the body did not come in time");
    tokio::time::timeout(limits.body_timeout, collect).await.map_err(late)?
}

/// Answers. A client that takes nothing of its answer for too long has its stream ended.
async fn reply_with(
    shared: Arc<Shared>,
    mut respond: SendResponse<Bytes>,
    mut reply: Reply,
    held: Held,
    bodiless: bool,
) {
    let app = &shared.app;
    let mut body = std::mem::take(&mut reply.body);
    let mut dates = Dates::default();
    let length = (!matches!(reply.status, 204 | 304)).then_some(body.len());
    let (mut head, _) = response(reply).into_parts();
    append(&mut head.headers, "date", dates.date(app.hub.now_ms()));
    if let Some(length) = length {
        head.headers.insert(header::CONTENT_LENGTH, length.into());
    }
    remove_those_of_the_connection(&mut head.headers);
    if bodiless {
        body = Vec::new();
    }
    let head = Response::from_parts(head, ());
    let Ok(sender) = respond.send_response(head, body.is_empty()) else { return };
    if body.is_empty() {
        return;
    }
    let patience = app.config.limits.stall_timeout;
    let (mut body, mut taken) = Owed::bytes(body, held, shared.clone());
    let mut carrier = Sender { stream: sender };
    while !body.is_empty() {
        let mut part = body.split_to(body.len().min(WRITE_BYTES));
        let written = poll_fn(|context| {
            if carrier.poll_gone(context).is_ready() {
                return Poll::Ready(Err(Gone));
            }
            carrier.poll_write(context, &mut part)
        });
        match tokio::time::timeout(patience, written).await {
            Ok(Ok(())) => {}
            Ok(Err(Gone)) => return,
            Err(_) => return carrier.stream.send_reset(Reason::CANCEL),
        }
    }
    drop(body);
    // The stream may have been reset meanwhile.
    let _ = carrier.stream.send_data(Bytes::new(), true);
    while tokio::time::timeout(patience, &mut taken).await.is_err() {
        // A window may have been closed behind what h2 had been handed. Where it is the connection
        // that takes nothing, that is what ends.
        if !shared.vitals.is_blocked() {
            return carrier.stream.send_reset(Reason::CANCEL);
        }
    }
}

/// The sending side of a stream.
struct Sender {
    stream: SendStream<Bytes>,
}

impl Sender {
    fn end(mut self, ended: Ended) {
        match ended {
            Ended::Done | Ended::Left { whole: true } => {
                // The stream may have been reset meanwhile.
                let _ = self.stream.send_data(Bytes::new(), true);
            }
            Ended::Left { whole: false } => self.stream.send_reset(Reason::CANCEL),
            Ended::Cut => self.stream.send_reset(Reason::INTERNAL_ERROR),
            Ended::Gone => {}
        }
    }
}

impl Carrier for Sender {
    fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        rest: &mut Bytes,
    ) -> Poll<Result<(), Gone>> {
        while !rest.is_empty() {
            self.stream.reserve_capacity(rest.len());
            let capacity = self.stream.capacity();
            if capacity == 0 {
                match ready!(self.stream.poll_capacity(context)) {
                    Some(Ok(_)) => continue,
                    _ => return Poll::Ready(Err(Gone)),
                }
            }
            let part = rest.split_to(capacity.min(rest.len()));
            if self.stream.send_data(part, false).is_err() {
                return Poll::Ready(Err(Gone));
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.stream.poll_reset(context).map(drop)
    }
}
