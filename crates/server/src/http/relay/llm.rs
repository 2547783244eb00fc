//! The routes of an LLM API, as its own clients call them.
//!
//! A streamed answer becomes a topic; everything else is passed on. What the API itself offers for
//! coming back (`GET responses/{id}?stream=true&starting_after=N`) and for stopping works over any
//! upstream, because the relay has the events.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};
use serde_json::json;
use tidings_access::Action;
use tidings_frame::{End, ErrorCode};
use tidings_hub::Start;
use tidings_relay::allow::NotAllowed;
use tidings_relay::config::OnDisconnect;
use tidings_relay::dialect::{Asked, Dialect, sequence_number};
use tidings_relay::outgoing::Outgoing;
use tidings_relay::{Answer, Ask, Found, Phase, Relays, Right};

use super::{after, found, headers, owned, plain};
use crate::access::{Who, tickets};
use crate::app::App;
use crate::error::{self, ApiError};
use crate::head::Head;
use crate::hook::judge::By;
use crate::http::{Outcome, params};
use crate::reply::Reply;

/// How long a request to stop waits for the end to be stored. The upstream's connection is closed
/// within milliseconds; this is for a disk that hangs.
const STOP_WAIT: Duration = Duration::from_secs(5);

/// What of a query is between the client and this server.
const OURS: [&str; 3] = [params::TOKEN, params::DELTAS, tickets::PARAMETER];

/// A request to a relay.
#[derive(Clone, Copy)]
pub(super) struct Request<'a> {
    pub(super) app: &'a Arc<App>,
    pub(super) relays: &'a Arc<Relays>,
    pub(super) relay: usize,
    pub(super) head: &'a Head<'a>,
    pub(super) body: &'a [u8],
    pub(super) who: &'a Who,
}

impl Request<'_> {
    /// The fingerprint of who asks.
    pub(super) fn owner(&self) -> String {
        self.relays.owner(self.relay, self.who.identity(), &headers(self.head))
    }

    /// The header fields for the upstream: not the token that is this server's.
    pub(super) fn passed_on(&self) -> HeaderMap {
        let mut headers = headers(self.head);
        if self.relays.configs()[self.relay].has_own_key() && self.app.access.has_issuers() {
            headers.remove(http::header::AUTHORIZATION);
        }
        headers
    }
}

/// Answers a request to a path below the relay's mount.
pub(super) async fn answer(request: &Request<'_>, rest: &str) -> Result<Outcome, ApiError> {
    let Request { relays, relay, head, body, .. } = *request;
    let config = &relays.configs()[relay];
    config.allows(head.method, rest).map_err(|why| not_passed(&config.name, why))?;
    let one = |rest: &'_ str| (!rest.is_empty() && !rest.contains('/')).then(|| rest.to_owned());
    if let Some(id) = rest.strip_prefix("responses/") {
        if let Some(id) = one(id).filter(|_| head.method == "GET") {
            if let Some(answer) = readable(request, &id)? {
                return retrieve(request, answer).await;
            }
        }
        let id = id.strip_suffix("/cancel").and_then(one).filter(|_| head.method == "POST");
        if let Some(answer) = id.map(|id| stoppable(request, &id)).transpose()?.flatten() {
            return cancel(relays, &answer).await;
        }
    }
    may_ask(request).await?;
    let named = if config.is_one_account() { owned::check(request, rest).await? } else { None };
    let mut headers = request.passed_on();
    if named.is_some() && !body.is_empty() {
        // As it was judged: there are upstreams that read a form in what is said to be one.
        let json = http::HeaderValue::from_static("application/json");
        headers.insert(http::header::CONTENT_TYPE, json);
    }
    let dialect = Dialect::of_path(rest).filter(|_| head.method == "POST");
    if let Some(dialect) = dialect {
        // What is not a request is the upstream's to refuse.
        if let Ok(asked) = Asked::read(dialect, body) {
            if asked.streams {
                let body = Bytes::copy_from_slice(body);
                let rest = with_query(rest, head)?;
                let on_disconnect = on_disconnect(head)?;
                let caller = request.who.identity().map(str::to_owned);
                let chat = None;
                let ask =
                    Ask { relay, dialect, asked, chat, rest, caller, headers, body, on_disconnect };
                return begin(request, ask).await;
            }
        }
    }
    pass(request, rest, &headers, named).await
}

fn not_passed(relay: &str, why: NotAllowed) -> ApiError {
    let detail = format!("the relay {relay} {why}");
    match why {
        NotAllowed::Path => error::of_api(ErrorCode::NotFound, detail),
        NotAllowed::Method(methods) => {
            let mut error = error::of_api(ErrorCode::MethodNotAllowed, detail);
            error.header = Some(("allow", methods));
            error
        }
    }
}

/// Refuses who may not ask this relay: that takes the right to publish to `relay/` and its name.
pub(super) async fn may_ask(request: &Request<'_>) -> Result<(), ApiError> {
    let Request { app, relays, relay, who, head, .. } = *request;
    let topic = format!("relay/{}", relays.configs()[relay].name);
    who.may(Action::Publish, &topic)?;
    let by = By { caller: who.caller(), peer: head.peer };
    app.ask_to_publish(by, std::iter::once(&*topic)).await
}

/// Passes a request on that is not for a streamed answer.
async fn pass(
    request: &Request<'_>,
    rest: &str,
    headers: &HeaderMap,
    named: Option<Dialect>,
) -> Result<Outcome, ApiError> {
    let Request { app, relays, relay, head, body, who } = *request;
    let method = Method::from_bytes(head.method.as_bytes())
        .map_err(|_| ApiError::new(ErrorCode::MethodNotAllowed, "not a method"))?;
    // A response in the background tells what it has cost when it is asked for.
    let is_response = rest.starts_with("responses/") || named == Some(Dialect::Responses);
    let is_response = method == Method::GET && is_response;
    let is_counted = method == Method::POST || is_response;
    let rest = with_query(rest, head)?;
    let body = Bytes::copy_from_slice(body);
    let outgoing = Outgoing::new(&relays.configs()[relay], method, rest, headers, body);
    let answered = if is_counted {
        let answered = relays.pass_counted(relay, outgoing, who.identity(), headers, named).await;
        answered.map_err(|error| error::ask(&app.hub, error))?
    } else {
        relays.pass(relay, outgoing).await
    };
    Ok(plain(&answered).into())
}

/// The path and the query as the upstream gets them: without what is between the client and this
/// server.
fn with_query(rest: &str, head: &Head<'_>) -> Result<String, ApiError> {
    // Also checks that it can be read at all, before anything is begun.
    let mut pairs = head.query()?;
    let all = pairs.len();
    pairs.retain(|(name, _)| !OURS.contains(&&**name));
    if pairs.len() == all {
        let query = if head.query.is_empty() { "" } else { "?" };
        return Ok(format!("{rest}{query}{}", head.query));
    }
    // By their decoded names: escapes hide nothing.
    let kept: Vec<&str> = (head.query.split('&'))
        .filter(|pair| {
            let mut decoded = form_urlencoded::parse(pair.as_bytes());
            decoded.all(|(name, _)| !OURS.contains(&&*name))
        })
        .collect();
    let query = if kept.is_empty() { "" } else { "?" };
    Ok(format!("{rest}{query}{}", kept.join("&")))
}

/// Begins an answer, or finds it, and streams it.
pub(super) async fn begin(request: &Request<'_>, ask: Ask) -> Result<Outcome, ApiError> {
    let Request { app, relays, relay, head, .. } = *request;
    if app.is_draining() {
        return Err(ApiError::draining());
    }
    // Before anything is begun that somebody pays for.
    super::wants_merged(head)?;
    let patience = relays.configs()[relay].patience;
    let found = relays.ask(ask).map_err(|error| error::ask(&app.hub, error))?;
    let answered = found.answer.reached(|phase| !matches!(phase, Phase::Asking));
    let phase = match tokio::time::timeout(patience, answered).await {
        Ok(phase) => phase,
        Err(_) => {
            // A proxy in between would not wait much longer for a head.
            found.answer.stream_anyway();
            found.answer.phase()
        }
    };
    let upstream = match &phase {
        Phase::Plain(answer) => return Ok(plain(answer).into()),
        Phase::Streaming(headers) if found.attached => headers.clone(),
        _ if found.attached => None,
        _ => found.answer.take_upstream(),
    };
    let start = after(app, found.answer.before);
    super::stream(request, found, start, upstream.as_deref())
}

/// The answer with the upstream's id, for somebody who may read it. `None` if it is not known here;
/// nobody learns whether one is that is not theirs.
fn readable(request: &Request<'_>, id: &str) -> Result<Option<Arc<Answer>>, ApiError> {
    known(request, id, Right::Read)
}

fn stoppable(request: &Request<'_>, id: &str) -> Result<Option<Arc<Answer>>, ApiError> {
    known(request, id, Right::Stop)
}

fn known(request: &Request<'_>, id: &str, right: Right) -> Result<Option<Arc<Answer>>, ApiError> {
    let Request { relays, relay, head, .. } = *request;
    let Some(answer) = relays.by_response(relay, id) else { return Ok(None) };
    let query = head.query()?;
    let token = query.iter().find(|(name, _)| name == "token").map(|(_, token)| token);
    let allowed = answer.owner == request.owner()
        || request.who.is_named_operator()
        || token.is_some_and(|token| relays.allows(token, &answer.name, right));
    Ok(Some(answer).filter(|_| allowed))
}

/// `GET responses/{id}`: the stream after an event, or the response as it is now.
async fn retrieve(request: &Request<'_>, answer: Arc<Answer>) -> Result<Outcome, ApiError> {
    let Request { app, relays, head, .. } = *request;
    may_ask(request).await?;
    let (mut streams, mut starting_after) = (false, None);
    for (name, value) in head.query()? {
        match &*name {
            "stream" => streams = params::flag("stream", &value)?,
            "starting_after" => {
                starting_after = Some(params::number("starting_after", &value, (0, u64::MAX))?);
            }
            // Others are the API's and say what to include.
            _ => {}
        }
    }
    if !streams {
        return as_it_is(relays, &answer);
    }
    let (mut position, mut behind) = (answer.before, 0);
    relays.events(&answer.name, &mut |event| {
        let number = std::str::from_utf8(&event.data).ok().and_then(sequence_number);
        match (number, starting_after) {
            (Some(number), Some(wanted)) if number <= wanted => position = event.id.sequence,
            _ => behind += 1,
        }
    })?;
    relays.metrics.resumed(behind);
    super::stream(request, found(answer), after(app, position), None)
}

/// `POST responses/{id}/cancel`.
async fn cancel(relays: &Arc<Relays>, answer: &Arc<Answer>) -> Result<Outcome, ApiError> {
    stop(answer).await;
    as_it_is(relays, answer)
}

/// The response as far as it has come.
fn as_it_is(relays: &Relays, answer: &Answer) -> Result<Outcome, ApiError> {
    let status = match answer.ended() {
        Some(End::Done) => "completed",
        Some(End::Error) => "failed",
        Some(End::Cancelled) => "cancelled",
        None => "in_progress",
    };
    let (digest, _) = relays.digest(answer)?;
    let response = digest.response_with_status(status).unwrap_or_else(
        || json!({"id": answer.known().response, "object": "response", "status": status}),
    );
    Ok(Reply::json(200, &response).into())
}

/// Stops an answer and waits until its end is stored.
pub(super) async fn stop(answer: &Answer) {
    answer.stop();
    let over = answer.reached(|phase| matches!(phase, Phase::Ended(_) | Phase::Plain(_)));
    // Whatever comes of it, the state that is told is the present one.
    let _ = tokio::time::timeout(STOP_WAIT, over).await;
}

/// `Tidings-On-Disconnect: continue`, `cancel` or `cancel-after=30s`.
pub(super) fn on_disconnect(head: &Head<'_>) -> Result<Option<OnDisconnect>, ApiError> {
    const NAME: &str = "tidings-on-disconnect";
    let Some(text) = head.text(NAME)? else { return Ok(None) };
    let policy = crate::config::on_disconnect(text);
    policy.map(Some).map_err(|why| ApiError::parameter(NAME, why))
}

/// An answer that is running already, for whoever may read it.
pub(super) fn resume(
    request: &Request<'_>,
    answer: Arc<Answer>,
    start: Start,
) -> Result<Outcome, ApiError> {
    let found: Found = found(answer);
    super::stream(request, found, start, None)
}
