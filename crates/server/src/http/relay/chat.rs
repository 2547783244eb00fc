//! The AI SDK's routes: where `useChat` posts, comes back and stops.

use http::HeaderMap;
use tidings_frame::ErrorCode;
use tidings_hub::Start;
use tidings_relay::config::ChatRoutes;
use tidings_relay::dialect::ui::chat_request;
use tidings_relay::dialect::{Asked, Dialect};
use tidings_relay::{Ask, Chat};

use super::after;
use super::llm::{self, Request, begin, may_ask, on_disconnect};
use crate::error::ApiError;
use crate::http::{Outcome, topic_of};
use crate::reply::Reply;

/// Tells the client which protocol the stream speaks.
pub(super) const PROTOCOL: (&str, &str) = ("x-vercel-ai-ui-message-stream", "v1");

/// Answers a request to the chat routes; `rest` is the path below them.
pub(super) async fn answer(
    request: &Request<'_>,
    chat: &ChatRoutes,
    rest: &str,
) -> Result<Outcome, ApiError> {
    let Request { app, relays, relay, head, body, .. } = *request;
    let owner = || request.owner();
    match (head.method, rest.rsplit_once('/')) {
        ("POST", None) if rest.is_empty() => {
            may_ask(request)?;
            let model = relays.model(relay, chat).await.ok_or_else(no_model)?;
            let wanted = chat_request(body, &model)
                .map_err(|error| ApiError::new(ErrorCode::InvalidJson, error.to_string()))?;
            let asked = Asked::read(Dialect::Chat, &wanted.body)
                .map_err(|error| ApiError::new(ErrorCode::InvalidJson, error.to_string()))?;
            let ask = Ask {
                relay,
                dialect: Dialect::Chat,
                asked,
                chat: Some(Chat { id: wanted.chat_id, continues: wanted.continues }),
                rest: "chat/completions".to_owned(),
                caller: request.who.identity().map(str::to_owned),
                headers: passed_on(request.passed_on()),
                body: wanted.body.into(),
                on_disconnect: on_disconnect(head)?,
            };
            begin(request, ask).await
        }
        ("GET", Some((id, "stream"))) => {
            may_ask(request)?;
            let answer = relays.by_chat(relay, &owner(), &topic_of(id)?);
            match answer.filter(|answer| answer.is_running()) {
                None => Ok(Reply::empty(204).into()),
                Some(answer) => {
                    let start = match head.text("last-event-id")? {
                        Some(id) if !id.is_empty() => Start::After(id.to_owned()),
                        _ => after(app, answer.before),
                    };
                    if let Start::After(id) = &start {
                        relays.resumed(&answer.name, id);
                    }
                    llm::resume(request, answer, start)
                }
            }
        }
        ("POST", Some((id, "stop"))) | ("DELETE", Some((id, "stream"))) => {
            may_ask(request)?;
            if let Some(answer) = relays.by_chat(relay, &owner(), &topic_of(id)?) {
                llm::stop(&answer).await;
            }
            // Stopping what does not run is no mistake.
            Ok(Reply::empty(204).into())
        }
        _ => Err(ApiError::new(ErrorCode::NotFound, "a chat is posted, resumed and stopped")),
    }
}

/// The client's fields that concern the upstream: what describes the chat's own body does not.
fn passed_on(mut headers: HeaderMap) -> HeaderMap {
    headers.remove("content-type");
    headers.insert("content-type", http::HeaderValue::from_static("application/json"));
    headers.insert("accept", http::HeaderValue::from_static("text/event-stream"));
    headers
}

fn no_model() -> ApiError {
    let detail = "the upstream lists no model; name one in the relay's settings (chat_model)";
    ApiError::new(ErrorCode::NotImplemented, detail)
}
