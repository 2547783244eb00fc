//! An answer as a resource of its own: read, described and stopped by whoever has a capability for
//! it.

use std::sync::Arc;

use http::HeaderMap;
use serde_json::{Value, json};
use tidings_frame::sse_encode::Frame;
use tidings_frame::{ErrorCode, Position};
use tidings_hub::{Framing, Start, View};
use tidings_relay::{Answer, Phase, Relays, Right};

use super::llm;
use super::{Opening, after, subscribe};
use crate::access::Who;
use crate::app::App;
use crate::error::ApiError;
use crate::head::Head;
use crate::http::subscribe::Asked;
use crate::http::{Outcome, params};
use crate::reply::Reply;

/// The event that a late reader gets in place of all that was said before.
const SNAPSHOT: &str = "snapshot";

/// The name of the answer whose topic this is.
pub(crate) fn name_of(topic: &str) -> Option<&str> {
    topic.strip_prefix(tidings_relay::answer::ANSWERS)
}

/// `GET /topics/$answers/{name}`: without a start, a snapshot and then what comes; with one, the
/// events as they are.
pub(crate) async fn read(app: &Arc<App>, head: &Head<'_>, name: &str) -> Result<Outcome, ApiError> {
    let Allowed { relays, who, by_capability } = allowed(app, head, name, Right::Read)?;
    // A capability outlives the token of whoever shows both.
    let caller = who.caller().filter(|_| !by_capability).cloned();
    let asked = Asked::read_as(app, head, who)?;
    let view = View { framing: Framing::Plain, private: true, conflate: false };
    let answer = relays.answer(name);
    let merge = answer.as_ref().map(|answer| super::merge(head, answer)).transpose()?;
    let mut opening = Opening {
        merge: merge.flatten(),
        lease: answer.as_ref().map(|answer| answer.readers.lease()),
        ..Opening::default()
    };
    let start = match (asked.start, &answer) {
        (Some(start), _) => {
            if let Start::After(id) = &start {
                relays.resumed(name, id);
            }
            start
        }
        // Of one that is not remembered, or is told in another protocol, there is no snapshot.
        (None, Some(answer)) if !answer.ui => {
            let (snapshot, position) = snapshot(relays, answer)?;
            let id = Position { epoch: app.hub.epoch(), sequence: position };
            let data = snapshot.to_string();
            let (event, data) = (Some(SNAPSHOT), data.as_bytes());
            Frame { id: Some(id), event, retry_ms: None, data }.encode(&mut opening.first);
            after(app, position)
        }
        (None, _) => Start::Earliest,
    };
    let topic = format!("{}{name}", tidings_relay::answer::ANSWERS);
    let mut asked = subscribe(app, head, &topic, start, view, opening)?;
    asked.caller = caller;
    crate::http::stream(app, head, asked)
}

/// `GET /answers/{id}`.
pub(crate) fn describe(app: &App, head: &Head<'_>, name: &str) -> Result<Reply, ApiError> {
    let relays = allowed(app, head, name, Right::Read)?.relays;
    let answer = relays.answer(name).ok_or_else(not_found)?;
    Ok(Reply::json(200, &object(relays, &answer)?).with("cache-control", "no-store"))
}

/// `POST /answers/{id}/stop`: safe to repeat.
pub(crate) async fn stop(app: &App, head: &Head<'_>, name: &str) -> Result<Reply, ApiError> {
    let relays = allowed(app, head, name, Right::Stop)?.relays;
    let answer = relays.answer(name).ok_or_else(not_found)?;
    llm::stop(&answer).await;
    Ok(Reply::json(200, &object(relays, &answer)?))
}

/// What is known of an answer, what was said included.
fn object(relays: &Relays, answer: &Answer) -> Result<Value, ApiError> {
    let known = answer.known();
    let state = match answer.phase() {
        Phase::Asking => "asking",
        Phase::Streaming(_) => "running",
        Phase::Plain(_) => "refused",
        Phase::Ended(end) => end.as_str(),
    };
    let mut object = json!({
        "answer": answer.name,
        "topic": answer.topic(),
        "dialect": answer.dialect,
        "state": state,
        "response": known.response,
        "model": known.model,
        "readers": answer.readers.count(),
        "usage": {
            "input_tokens": known.usage.input_tokens,
            "output_tokens": known.usage.output_tokens,
            "estimated": known.usage.estimated,
        },
    });
    if !answer.ui {
        object["snapshot"] = relays.digest(answer)?.0.snapshot();
    }
    Ok(object)
}

fn snapshot(relays: &Relays, answer: &Answer) -> Result<(Value, u64), ApiError> {
    let (digest, position) = relays.digest(answer)?;
    Ok((digest.snapshot(), position))
}

/// Somebody who was let in.
struct Allowed<'a> {
    relays: &'a Arc<Relays>,
    who: Who,
    /// Whether it is a capability that lets them in, rather than who they are.
    by_capability: bool,
}

/// The relays, for somebody who has a capability; for the one who asked, where a token says who
/// that is; and for an operator. Whoever else asks learns nothing, not even whether there is such
/// an answer.
fn allowed<'a>(
    app: &'a App,
    head: &Head<'_>,
    name: &str,
    right: Right,
) -> Result<Allowed<'a>, ApiError> {
    let relays = app.relays.as_ref().ok_or_else(not_found)?;
    let query = head.query()?;
    let token = query.iter().find(|(name, _)| name == params::TOKEN).map(|(_, token)| &**token);
    let bearer = head.text("authorization")?.and_then(|value| value.strip_prefix("Bearer "));
    let shown = token.or(bearer);
    if shown.is_some_and(|shown| relays.allows(shown, name, right)) {
        // As the bearer's, the capability is no token of anybody.
        let who = if token.is_some() { app.who(head)? } else { app.who_besides(head)? };
        return Ok(Allowed { relays, who, by_capability: true });
    }
    // What is no capability may be a token.
    let who = app.who(head)?;
    let may_without = app.access.has_issuers() && may_without(relays, &who, name);
    // What runs on the server is its operator's to end; what it says is not theirs to read.
    let may_end = shown.is_none() && right == Right::Stop && who.is_operator();
    if may_without || may_end {
        return Ok(Allowed { relays, who, by_capability: false });
    }
    if shown.is_some() {
        let detail = "the token is not one for this, or its time is over";
        return Err(ApiError::new(ErrorCode::Forbidden, detail));
    }
    let detail = "an answer is read and stopped with the tokens that came with it (the headers \
        Link and Tidings-Stop): ?token=… or Authorization: Bearer …";
    Err(ApiError::new(ErrorCode::Unauthorized, detail))
}

/// Whether the caller needs no capability for the answer of this name.
fn may_without(relays: &Relays, who: &Who, name: &str) -> bool {
    let owner = relays.answer(name).zip(who.identity()).is_some_and(|(answer, identity)| {
        answer.owner == relays.owner(answer.relay, Some(identity), &HeaderMap::new())
    });
    owner || who.is_named_operator()
}

fn not_found() -> ApiError {
    ApiError::new(ErrorCode::TopicNotFound, "there is no such answer")
}
