//! The paths of shared streams: another name of the stream's topic, with a reader counted for each
//! client, so that the upstream is connected while there are any.

use std::borrow::Cow;
use std::sync::Arc;

use tidings_access::Action;
use tidings_frame::{ErrorCode, Position};
use tidings_hub::Start;
use tidings_relay::Shared;

use crate::app::App;
use crate::config::Asks;
use crate::error::ApiError;
use crate::head::Head;
use crate::hook::What;
use crate::hook::judge::By;
use crate::http::subscribe::{Asked, Opening, Subscribe};
use crate::http::{Outcome, Wanted, cors, history, stream, wanted};
use crate::reply::Reply;

/// What the path can be asked with.
const METHODS: &str = "GET, HEAD, OPTIONS";

/// The stream that clients reach at this path, if there is one.
pub(crate) fn at<'a>(app: &'a App, path: &str) -> Option<&'a Arc<Shared>> {
    app.shared.as_ref()?.at(path)
}

/// A subscription to a shared stream, from either door.
pub(crate) fn subscribe(
    app: &App,
    shared: &Shared,
    head: &Head<'_>,
) -> Result<Subscribe, ApiError> {
    opened(app, shared, asked(app, shared, head)?)
}

/// Answers a request on the path.
pub(super) async fn answer(
    app: &App,
    shared: &Shared,
    head: &Head<'_>,
) -> Result<Outcome, ApiError> {
    match head.method {
        "GET" | "HEAD" => {}
        "OPTIONS" => return Ok(cors::preflight(app, head, METHODS).into()),
        _ => {
            let detail = format!(
                "{} can be asked with {METHODS}; publish to /topics/{}",
                head.path, shared.config.topic
            );
            let mut error = ApiError::new(ErrorCode::MethodNotAllowed, detail);
            error.header = Some(("allow", METHODS.to_owned()));
            return Err(error);
        }
    }
    let mut asked = asked(app, shared, head)?;
    let by = By { caller: asked.who.caller(), peer: head.peer };
    let topic = std::iter::once(What::Topic(shared.config.topic.as_str()));
    // Before there is a lease.
    app.ask(Asks::Subscribe, by, topic).await?;
    match wanted(head, asked.poll_ms.is_some())? {
        Wanted::Stream if head.method == "HEAD" => {
            asked.subscribe(app)?;
            Ok(Reply::new(200, "text/event-stream", "").into())
        }
        Wanted::Stream => stream(app, head, opened(app, shared, asked)?),
        wanted => {
            begin_here(app, &mut asked);
            // Whoever waits for an event reads the stream as well.
            let _lease = asked.poll_ms.map(|_| shared.lease());
            Ok(history::read(app, head.peer, asked, wanted == Wanted::Lines).await?.into())
        }
    }
}

fn asked<'a>(app: &App, shared: &Shared, head: &Head<'a>) -> Result<Asked<'a>, ApiError> {
    let mut asked = Asked::read(app, head)?;
    // Before there is a lease: a stranger must not make the upstream be asked.
    asked.who.may(Action::Subscribe, shared.config.topic.as_str())?;
    asked.only_topic(Cow::Owned(shared.config.topic.as_str().to_owned()))?;
    Ok(asked)
}

/// Who waits for an event and does not say after which, waits from here on: the first one may come
/// as soon as the upstream is asked.
fn begin_here(app: &App, asked: &mut Asked<'_>) {
    if asked.poll_ms.is_some() && asked.start.is_none() && asked.after.is_none() {
        let position = Position { epoch: app.hub.epoch(), sequence: app.hub.visible() };
        let empty = position.sequence == 0;
        asked.start =
            Some(if empty { Start::Earliest } else { Start::After(position.to_string()) });
    }
}

/// The subscription; one that does not say where it begins is shown the latest events first, which
/// is what a page that has just been opened wants of a stream of states.
fn opened(app: &App, shared: &Shared, mut asked: Asked<'_>) -> Result<Subscribe, ApiError> {
    let replay = Start::Last(shared.config.replay);
    asked.start.get_or_insert(if shared.config.replay == 0 { Start::Live } else { replay });
    let mut subscribe = asked.subscribe(app)?;
    let lease = Some(shared.lease());
    subscribe.opening = Some(Box::new(Opening { lease, ..Opening::default() }));
    Ok(subscribe)
}
