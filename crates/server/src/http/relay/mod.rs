//! The routes of the relays: those of the APIs that they stand in front of, the AI SDK's, and the
//! answers themselves.

use std::borrow::Cow;
use std::sync::Arc;

use http::HeaderMap;
use tidings_frame::{Position, TopicName};
use tidings_hub::{Framing, Selection, Start, View};
use tidings_relay::merged::Merge;
use tidings_relay::{Answer, Found, Lease, Plain, Relays, Right};

pub(super) mod answers;
mod chat;
mod json;
mod llm;
mod names;
mod owned;
pub(crate) mod shared;

use super::subscribe::{Opening, Subscribe};
use super::{Outcome, cors, params};
use crate::access::expiring::Expiring;
use crate::app::App;
use crate::error::ApiError;
use crate::head::{Head, Headers};
use crate::limits::Admission;
use crate::reply::Reply;

/// Answers a request that is a relay's; `None` if it is not.
pub(super) async fn answer(
    app: &Arc<App>,
    head: &Head<'_>,
    body: &[u8],
) -> Option<Result<Outcome, ApiError>> {
    if let Some(stream) = shared::at(app, head.path) {
        return Some(shared::answer(app, stream, head).await);
    }
    let relays = app.relays.as_ref()?;
    for (relay, config) in relays.configs().iter().enumerate() {
        let below = |mount: &str| head.path.strip_prefix(mount)?.strip_prefix('/');
        let chat = config.chat.as_ref().and_then(|chat| {
            let rest = if head.path == chat.path { Some("") } else { below(&chat.path) };
            Some((chat, rest?))
        });
        if chat.is_none() && below(&config.path).is_none() {
            continue;
        }
        if head.method == "OPTIONS" {
            return Some(Ok(cors::preflight(app, head, "GET, POST, DELETE, OPTIONS").into()));
        }
        // Where the client brings the key of the API, `Authorization` is not for us.
        let who = match if config.has_own_key() { app.who(head) } else { app.who_besides(head) } {
            Ok(who) => who,
            Err(error) => return Some(Err(error)),
        };
        let asked = llm::Request { app, relays, relay, head, body, who: &who };
        return Some(match (chat, below(&config.path)) {
            (Some((chat, rest)), _) => chat::answer(&asked, chat, rest).await,
            (None, rest) => llm::answer(&asked, rest.unwrap_or_default()).await,
        });
    }
    None
}

/// The header fields as a map; relays are only reached by the general door, which has one.
fn headers(head: &Head<'_>) -> HeaderMap {
    match head.headers {
        Headers::Map(map) => map.clone(),
        Headers::Raw(_) => HeaderMap::new(),
    }
}

/// An answer as a stream in its own dialect, after `start`.
fn stream(
    request: &llm::Request<'_>,
    found: Found,
    start: Start,
    upstream: Option<&HeaderMap>,
) -> Result<Outcome, ApiError> {
    let llm::Request { app, relays, head, who, .. } = *request;
    let Found { answer, lease, attached } = found;
    let mut fields = upstream.map(passed_on).unwrap_or_default();
    fields.extend(own_fields(relays, &answer));
    if answer.ui {
        let (name, value) = chat::PROTOCOL;
        fields.push((name.into(), value.to_owned()));
    }
    if attached {
        fields.push(("tidings-attached".into(), "true".to_owned()));
    }
    let merge = merge(head, &answer)?;
    let opening = Opening { fields, first: Vec::new(), merge, lease: Some(lease) };
    let view = View { framing: Framing::Answer, private: true, conflate: false };
    let mut asked = subscribe(app, head, &answer.topic(), start, view, opening)?;
    asked.caller = who.caller().cloned();
    super::stream(app, head, asked)
}

/// A subscription to one of the server's own topics, by somebody who may.
fn subscribe(
    app: &App,
    head: &Head<'_>,
    topic: &str,
    start: Start,
    view: View,
    opening: Opening,
) -> Result<Subscribe, ApiError> {
    let name = TopicName::new(topic).map_err(tidings_hub::SubscribeError::from)?;
    Ok(Subscribe {
        selection: Arc::new(Selection::one(name)),
        start,
        view,
        origin: cors::allowed(app, head),
        caller: None,
        expiring: Expiring::default(),
        opening: Some(Box::new(opening)),
        admission: Admission::default(),
    })
}

/// After this position.
fn after(app: &App, sequence: u64) -> Start {
    Start::After(Position { epoch: app.hub.epoch(), sequence }.to_string())
}

/// What tells a client where its answer is, and how to come back to it and to stop it.
fn own_fields(relays: &Relays, answer: &Answer) -> Vec<(Cow<'static, str>, String)> {
    let topic = answer.topic();
    let read = relays.capability(answer, Right::Read);
    let stop = relays.capability(answer, Right::Stop);
    let link =
        format!("</topics/{topic}?token={read}>; rel=\"alternate\"; type=\"text/event-stream\"");
    vec![
        ("tidings-topic".into(), topic),
        ("link".into(), link),
        ("tidings-stop".into(), format!("/answers/{}/stop?token={stop}", answer.name)),
    ]
}

/// The fields of an upstream's answer that go with a stream; those that the stream has itself are
/// its own.
fn passed_on(headers: &HeaderMap) -> Vec<(Cow<'static, str>, String)> {
    const OWN: [&str; 6] =
        ["content-type", "cache-control", "x-accel-buffering", "link", "date", "vary"];
    let fields = headers.iter().filter(|(name, _)| !OWN.contains(&name.as_str()));
    fields
        .filter_map(|(name, value)| {
            Some((Cow::Owned(name.as_str().to_owned()), value.to_str().ok()?.to_owned()))
        })
        .collect()
}

/// An upstream's answer that is no stream, as it is.
fn plain(plain: &Plain) -> Reply {
    let mut reply = Reply::new(plain.status, "", plain.body.to_vec());
    for (name, value) in &plain.headers {
        if let Ok(value) = value.to_str() {
            reply = reply.with(name.as_str().to_owned(), value);
        }
    }
    reply
}

/// `Tidings-Deltas: merged` or `?deltas=merged`: what the client is behind comes in fewer events.
fn wants_merged(head: &Head<'_>) -> Result<bool, ApiError> {
    let query = head.query()?;
    let query = query.iter().find(|(name, _)| name == params::DELTAS).map(|(_, value)| &**value);
    match head.text("tidings-deltas")?.or(query) {
        None | Some("raw") => Ok(false),
        Some("merged") => Ok(true),
        Some(_) => Err(ApiError::parameter(params::DELTAS, "merged or raw")),
    }
}

fn merge(head: &Head<'_>, answer: &Answer) -> Result<Option<Merge>, ApiError> {
    let how = if answer.ui { Merge::Ui } else { Merge::Dialect(answer.dialect) };
    Ok(wants_merged(head)?.then_some(how))
}

/// An answer that was found by somebody who may read it.
fn found(answer: Arc<Answer>) -> Found {
    let lease: Lease = answer.readers.lease();
    Found { answer, lease, attached: false }
}
