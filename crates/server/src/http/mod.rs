//! The routes: from the head and body of a request to a reply, whoever brought them.

use std::borrow::Cow;
use std::sync::Arc;

use tidings_frame::{ErrorCode, TopicName, TopicNameError, is_internal};

pub(crate) mod connections;
pub(crate) mod cors;
pub(crate) mod general;
pub(crate) mod history;
mod json;
pub(crate) mod linger;
pub(crate) mod long_polls;
mod meta;
mod openapi;
pub(crate) mod operator;
pub(crate) mod params;
pub(crate) mod publish;
mod push;
pub(crate) mod relay;
pub(crate) mod routes;
pub(crate) mod subscribe;
pub(crate) mod topic_page;
mod topics;
mod web;

use crate::access::{revocations, tickets};
use crate::app::App;
use crate::config::Mode;
use crate::dashboard;
use crate::error::ApiError;
use crate::head::Head;
use crate::hook::judge::By;
use crate::reply::Reply;
use routes::{Action, Found};
use subscribe::{Asked, Subscribe};

use crate::websocket::handshake::{self, Upgrade};

/// The topic that `/stream` is another name of, in `tidings dev`.
const STREAM_TOPIC: &str = "stream";

/// What a request comes to.
pub(crate) enum Outcome {
    Reply(Reply),
    /// The connection becomes a stream.
    Subscribe(Box<Subscribe>),
    /// The connection becomes a WebSocket.
    WebSocket(Upgrade),
}

impl From<Reply> for Outcome {
    fn from(reply: Reply) -> Self {
        Self::Reply(reply)
    }
}

/// What a request for events wants to be answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Stream,
    Page,
    Lines,
}

/// The name behind `/stream`.
pub(crate) fn stream_topic(app: &App) -> Result<&'static str, ApiError> {
    if app.config.mode == Mode::Dev {
        return Ok(STREAM_TOPIC);
    }
    Err(ApiError::new(ErrorCode::NotFound, "/stream is an alias of `tidings dev` only"))
}

/// The topic of a path. Only decoded here: the hub checks a name when it makes the topic.
pub(crate) fn topic_of(path: &str) -> Result<Cow<'_, str>, ApiError> {
    if !path.contains('%') {
        return Ok(Cow::Borrowed(path));
    }
    let escaped = |text: &str| {
        let digits = text.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    if !path.split('%').skip(1).all(escaped) {
        // One name has one path: left as they are, broken escapes would be a second one.
        let detail = TopicNameError::Percent.to_string();
        return Err(ApiError::new(ErrorCode::InvalidTopic, detail));
    }
    percent_encoding::percent_decode_str(path)
        .decode_utf8()
        .map_err(|_| ApiError::new(ErrorCode::InvalidTopic, "the name does not decode to UTF-8"))
}

fn topic_name(path: &str) -> Result<TopicName, ApiError> {
    let name = TopicName::from_path(path)
        .map_err(|error| ApiError::new(ErrorCode::InvalidTopic, error.to_string()))?;
    if is_internal(name.as_str()) {
        let detail = "names that begin with $ are the server's own";
        return Err(ApiError::new(ErrorCode::Forbidden, detail));
    }
    Ok(name)
}

/// Answers a request.
pub(crate) async fn answer(
    app: &Arc<App>,
    head: &Head<'_>,
    body: &[u8],
) -> Result<Outcome, ApiError> {
    if let Some(proof) = meta::proof(app, head) {
        return Ok(proof.into());
    }
    if let Some(answered) = relay::answer(app, head, body).await {
        return answered;
    }
    let dev = app.config.mode == Mode::Dev;
    let found = match routes::find(head.method, head.path, dev) {
        // HEAD is GET without the body, where it is nothing of its own.
        Found::Method(_) if head.method == "HEAD" => routes::find("GET", head.path, dev),
        found => found,
    };
    match found {
        Found::Route(route, rest) => act(app, route.action, head, rest, body).await,
        Found::Method(methods) if head.method == "OPTIONS" => {
            Ok(cors::preflight(app, head, &methods).into())
        }
        Found::Method(methods) => {
            let detail = format!("{} can be asked with {methods}", head.path);
            let mut error = ApiError::new(ErrorCode::MethodNotAllowed, detail);
            error.header = Some(("allow", methods));
            Err(error)
        }
        Found::Nothing => {
            Err(ApiError::new(ErrorCode::NotFound, "nothing is here; see /openapi.json"))
        }
    }
}

async fn act(
    app: &Arc<App>,
    action: Action,
    head: &Head<'_>,
    rest: &str,
    body: &[u8],
) -> Result<Outcome, ApiError> {
    let reply = match action {
        Action::Publish => {
            let request = publish::topic_request(app, head, topic_of(rest)?, body)?;
            publish::publish(app, &app.who(head)?, head.peer, &request).await?
        }
        Action::PublishMany => {
            let who = app.who(head)?;
            let request = publish::many_request(app, head, body)?;
            publish::publish(app, &who, head.peer, &request).await?
        }
        Action::ReadTopic => return read(app, head, Some(topic_of(rest)?)).await,
        Action::StreamAlias => {
            return read(app, head, Some(Cow::Borrowed(stream_topic(app)?))).await;
        }
        Action::ReadSeveral => return read(app, head, None).await,
        Action::SubscribePosted => {
            return ask_and_stream(app, head, subscribe::posted(app, head, body)?).await;
        }
        Action::WebSocket => {
            return Ok(
                handshake::upgrade(app, head).map_or_else(Outcome::Reply, Outcome::WebSocket)
            );
        }
        Action::ListTopics => topics::list(app, head).await?,
        Action::DescribeTopic => topics::describe(app, head, &topic_name(rest)?).await?,
        Action::SetTopic => topics::set(app, head, &topic_name(rest)?, body).await?,
        Action::RemoveTopic => topics::remove(app, &app.who(head)?, &topic_name(rest)?)?,
        Action::ListConnections => connections::list(app, &app.who(head)?, head).await?,
        Action::ChangeConnection => connections::change(app, head, rest, body).await?,
        Action::CloseConnection => connections::close(app, &app.who(head)?, rest).await?,
        Action::Revoke => revocations::revoke(app, &app.who(head)?, body).await?,
        Action::MakeTicket => tickets::make(app, &app.who(head)?)?,
        Action::Unschedule => meta::unschedule(app, &app.who(head)?, rest)?,
        Action::DescribeAnswer => relay::answers::describe(app, head, rest)?,
        Action::StopAnswer => relay::answers::stop(app, head, rest).await?,
        Action::PushKey => push::key(app)?,
        Action::PushSubscribe => push::subscribe(app, head, body).await?,
        Action::PushUnsubscribe => push::unsubscribe(app, rest).await?,
        Action::Health => meta::health(),
        Action::Ready => meta::ready(app)?,
        Action::Metrics => meta::metrics(app, &app.who(head)?)?,
        Action::OpenApi => openapi::document(app.config.mode == Mode::Dev),
        Action::ListAnswers => dashboard::answers::list(app, &app.who(head)?)?,
        Action::BeginTrace => dashboard::trace::begin(app, &app.who(head)?, body)?,
        Action::EndTrace => dashboard::trace::end(app, &app.who(head)?, rest)?,
        Action::ShowConfiguration => dashboard::configuration::show(app, &app.who(head)?)?,
        Action::Dashboard => web::page(head, "dashboard"),
        Action::Demo => web::page(head, "demo"),
        Action::WebFile => web::file(head, rest)?,
    };
    Ok(reply.into())
}

/// A stream, if the application does not object. Its place is taken before the application is
/// asked: whoever may have no further stream causes no further question.
async fn ask_and_stream(
    app: &App,
    head: &Head<'_>,
    mut asked: Subscribe,
) -> Result<Outcome, ApiError> {
    admit(app, head, &mut asked)?;
    let by = By { caller: asked.caller.as_ref(), peer: head.peer };
    app.ask_to_follow(by, &asked.selection).await?;
    if app.is_draining() {
        return Err(ApiError::draining());
    }
    Ok(Outcome::Subscribe(Box::new(asked)))
}

fn stream(app: &App, head: &Head<'_>, mut asked: Subscribe) -> Result<Outcome, ApiError> {
    admit(app, head, &mut asked)?;
    Ok(Outcome::Subscribe(Box::new(asked)))
}

fn admit(app: &App, head: &Head<'_>, asked: &mut Subscribe) -> Result<(), ApiError> {
    if app.is_draining() {
        return Err(ApiError::draining());
    }
    asked.admission = app.limits.stream(app.limits.of(head.party, asked.caller.as_ref()))?;
    Ok(())
}

/// `GET` of events, in the form that is wanted.
async fn read(
    app: &Arc<App>,
    head: &Head<'_>,
    topic: Option<Cow<'_, str>>,
) -> Result<Outcome, ApiError> {
    if let Some(name) = topic.as_deref().and_then(relay::answers::name_of) {
        return relay::answers::read(app, head, name).await;
    }
    let mut asked = Asked::read(app, head)?;
    if let Some(topic) = topic {
        asked.only_topic(Cow::Owned(topic.into_owned()))?;
    }
    let wanted = wanted(head, asked.poll_ms.is_some())?;
    if wanted == Wanted::Stream {
        let asked = asked.subscribe(app)?;
        if head.method == "HEAD" {
            let by = By { caller: asked.caller.as_ref(), peer: head.peer };
            app.ask_to_follow(by, &asked.selection).await?;
            return Ok(Reply::new(200, "text/event-stream", "").into());
        }
        return ask_and_stream(app, head, asked).await;
    }
    Ok(history::read(app, head.peer, asked, wanted == Wanted::Lines).await?.into())
}

/// A stream unless something else is asked for. A browser's address bar (`text/html`) gets a page
/// that ends.
fn wanted(head: &Head<'_>, poll: bool) -> Result<Wanted, ApiError> {
    let accepts = |media| head.accepts(media).unwrap_or(false);
    if accepts("application/x-ndjson") {
        return Ok(Wanted::Lines);
    }
    if poll {
        return Ok(Wanted::Page);
    }
    if accepts("text/event-stream") {
        return Ok(Wanted::Stream);
    }
    if accepts("application/json") || accepts("text/html") {
        return Ok(Wanted::Page);
    }
    if head.bytes("accept").is_none() || accepts("*/*") || accepts("text/*") {
        return Ok(Wanted::Stream);
    }
    let detail = "there is text/event-stream, application/json and application/x-ndjson";
    Err(ApiError::new(ErrorCode::NotAcceptable, detail))
}
