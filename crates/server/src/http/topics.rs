//! Topics as resources: list, describe, set, remove.

use serde::Deserialize;
use serde_json::Value;
use tidings_access::Action;
use tidings_frame::api::{ForkedFrom, TopicObject, TopicPage};
use tidings_frame::limits::{TOPIC_PAGE_DEFAULT, TOPIC_PAGE_MAX};
use tidings_frame::time::Time;
use tidings_frame::{ErrorCode, Position, TopicName, is_internal};
use tidings_hub::{ForkOf, TopicDescription, TopicPolicy};

use super::{params, topic_page};
use crate::access::Who;
use crate::app::App;
use crate::config::Asks;
use crate::error::ApiError;
use crate::head::Head;
use crate::hook::What;
use crate::hook::judge::By;
use crate::reply::Reply;

fn object(app: &App, topic: TopicDescription) -> TopicObject {
    let at = |sequence| Position { epoch: app.hub.epoch(), sequence };
    TopicObject {
        name: topic.name.to_string(),
        policy: serde_json::to_value(&topic.policy).unwrap_or(Value::Null),
        own_policy: topic.own_policy,
        created: Time(topic.created_ms),
        closed: topic.closed,
        oldest: topic.oldest.map(at),
        newest: (topic.newest > 0).then(|| at(topic.newest)),
        events: topic.events,
        bytes: topic.bytes,
        forked_from: topic
            .forked_from
            .map(|(name, through)| ForkedFrom { topic: name.to_string(), through: at(through) }),
    }
}

fn json(status: u16, value: &impl serde::Serialize) -> Result<Reply, ApiError> {
    let mut body = serde_json::to_vec(value)
        .map_err(|error| ApiError::new(ErrorCode::Internal, error.to_string()))?;
    body.push(b'\n');
    Ok(Reply::new(status, "application/json", body))
}

/// `GET /topics`.
pub(super) async fn list(app: &App, head: &Head<'_>) -> Result<Reply, ApiError> {
    let who = app.who(head)?;
    // Whoever administrates topics may know of them, also without reading them.
    who.may_somewhere(Action::Subscribe)
        .or_else(|error| who.may_somewhere(Action::Admin).map_err(|_| error))?;
    let by = By { caller: who.caller(), peer: head.peer };
    let (mut after, mut name, mut limit) = (None, None, TOPIC_PAGE_DEFAULT);
    for (parameter, value) in head.query()? {
        match &*parameter {
            "after" => after = Some(value.to_string()),
            "next" => after = Some(app.places.open(&value).ok_or_else(not_a_place)?),
            "name" => name = Some(value),
            "limit" => {
                let wanted = params::number("limit", &value, (1, TOPIC_PAGE_MAX as u64))?;
                limit = usize::try_from(wanted).unwrap_or(TOPIC_PAGE_MAX);
            }
            _ => return Err(params::unknown(&parameter, &["after", "limit", "name", "next"])),
        }
    }
    if let Some(name) = name {
        let name = TopicName::new(&name)
            .map_err(|error| ApiError::new(ErrorCode::InvalidTopic, error.to_string()))?;
        let known = is_shown(app, by, &who, name.as_str()) || may_ask(app, by, &who, &name).await?;
        let found = known.then(|| app.hub.describe(&name)).flatten();
        let topics = found.map(|topic| object(app, without_source(app, by, &who, topic)));
        let topics = topics.into_iter().collect();
        return json(200, &TopicPage { topics, more: false, next: None });
    }
    let (topics, last) = topic_page::gather(app, by, &who, after, limit);
    let topics = topics.into_iter().map(|topic| without_source(app, by, &who, topic));
    let topics = topics.map(|topic| object(app, topic)).collect();
    let failed = |_| ApiError::new(ErrorCode::Internal, "the system has no randomness");
    let next = last.map(|last| app.places.seal(&last).map_err(failed)).transpose()?;
    json(200, &TopicPage { topics, more: next.is_some(), next })
}

fn not_a_place() -> ApiError {
    let detail = "`next` is not of this server, or of before it was started; begin again";
    ApiError::new(ErrorCode::InvalidRequest, detail)
}

/// Whether the caller may know that there is a topic of this name: who may administrate it, and who
/// may follow it plainly, unless the application would have to be asked first.
pub(super) fn is_shown(app: &App, by: By<'_>, who: &Who, name: &str) -> bool {
    let allowed = || {
        let open = app.open(Asks::Subscribe, by, std::iter::once(What::Topic(name)));
        who.can_plainly(Action::Subscribe, name) && open.is_ok_and(|open| open.is_none())
    };
    !is_internal(name) && (who.can(Action::Admin, name) || allowed())
}

/// Whether the application, which is asked, lets the caller know.
async fn may_ask(app: &App, by: By<'_>, who: &Who, name: &TopicName) -> Result<bool, ApiError> {
    let name = name.as_str();
    if is_internal(name) || !who.can_plainly(Action::Subscribe, name) {
        return Ok(false);
    }
    match app.ask(Asks::Subscribe, by, std::iter::once(What::Topic(name))).await {
        Ok(()) => Ok(true),
        Err(error) if matches!(error.problem.status, 401 | 403) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The topic as the caller may see it: not with the name of a source that it may not know.
fn without_source(
    app: &App,
    by: By<'_>,
    who: &Who,
    mut topic: TopicDescription,
) -> TopicDescription {
    topic.forked_from = topic.forked_from.filter(|(name, _)| is_shown(app, by, who, name));
    topic
}

/// `HEAD /topics/{topic}`.
pub(super) async fn describe(
    app: &App,
    head: &Head<'_>,
    name: &TopicName,
) -> Result<Reply, ApiError> {
    let who = app.who(head)?;
    who.may(Action::Subscribe, name.as_str())?;
    let by = By { caller: who.caller(), peer: head.peer };
    app.ask(Asks::Subscribe, by, std::iter::once(What::Topic(name.as_str()))).await?;
    let topic = app.hub.describe(name).ok_or_else(not_found)?;
    let topic = object(app, topic);
    let mut reply = Reply::empty(200)
        .with("tidings-events", topic.events.to_string())
        .with("tidings-bytes", topic.bytes.to_string())
        .with("cache-control", "no-store");
    for (name, position) in [("tidings-oldest", topic.oldest), ("tidings-newest", topic.newest)] {
        if let Some(position) = position {
            reply = reply.with(name, position.to_string());
        }
    }
    Ok(match topic.closed {
        Some(end) => reply.with("tidings-end", end.as_str()),
        None => reply,
    })
}

fn not_found() -> ApiError {
    ApiError::new(ErrorCode::TopicNotFound, "there is no such topic")
}

/// The body of `PUT /topics/{topic}`: a policy, and where the topic begins if it is a fork.
#[derive(Deserialize)]
struct TopicBody {
    #[serde(default)]
    fork: Option<ForkBody>,
    #[serde(flatten)]
    policy: serde_json::Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ForkBody {
    topic: String,
    #[serde(default)]
    through: Option<String>,
}

/// `PUT /topics/{topic}`.
pub(super) async fn set(
    app: &App,
    head: &Head<'_>,
    name: &TopicName,
    body: &[u8],
) -> Result<Reply, ApiError> {
    let who = &app.who(head)?;
    let by = By { caller: who.caller(), peer: head.peer };
    who.may(Action::Admin, name.as_str())?;
    let invalid =
        |error: serde_json::Error| ApiError::new(ErrorCode::InvalidJson, error.to_string());
    let body: TopicBody = match body {
        b"" => TopicBody { fork: None, policy: serde_json::Map::new() },
        body => params::object(body)?,
    };
    // What is left out is as the configuration says for this name.
    let mut whole = serde_json::to_value(app.hub.rule(name.as_str())).map_err(invalid)?;
    if let Value::Object(members) = &mut whole {
        members.extend(body.policy);
    }
    let policy: TopicPolicy = super::json::read_value(whole).map_err(invalid)?;
    let fork = body.fork.map(|fork| fork_of(app, &fork)).transpose()?;
    if let Some(fork) = &fork {
        may_fork(app, by, who, &fork.source).await?;
    }
    // Of the operator's topics nobody is the maker.
    if !who.is_named_operator() {
        let party = app.limits.of(head.party, who.caller());
        app.limits.set_topic(&app.hub, party, name.as_str())?;
    }
    let made = app.hub.set_topic(name, &policy, fork.as_ref())?;
    let topic = app.hub.describe(name).ok_or_else(not_found)?;
    // Who has made the fork knows its source.
    let topic = if fork.is_some() { topic } else { without_source(app, by, who, topic) };
    json(if made { 201 } else { 200 }, &object(app, topic))
}

fn fork_of(app: &App, fork: &ForkBody) -> Result<ForkOf, ApiError> {
    let source = TopicName::new(&fork.topic)
        .map_err(|error| ApiError::new(ErrorCode::InvalidTopic, error.to_string()))?;
    if is_internal(source.as_str()) {
        let detail = "names that begin with $ are the server's own";
        return Err(ApiError::new(ErrorCode::Forbidden, detail));
    }
    let through = fork.through.as_deref();
    let through = through.map(|id| params::sequence("fork.through", id, app.hub.epoch()));
    Ok(ForkOf { source, through: through.transpose()? })
}

/// Refuses unless the caller may read all of the source: whoever reads the fork reads it too, its
/// private events included.
async fn may_fork(app: &App, by: By<'_>, who: &Who, source: &TopicName) -> Result<(), ApiError> {
    let source = source.as_str();
    who.may(Action::Subscribe, source)?;
    if !tidings_frame::Pattern::new(source).is_ok_and(|source| who.sees_private(&source)) {
        return Err(app.access.refusal(by.caller, Action::Subscribe, source));
    }
    app.ask(Asks::Subscribe, by, std::iter::once(What::Topic(source))).await
}

/// `DELETE /topics/{topic}`.
pub(super) fn remove(app: &App, who: &Who, name: &TopicName) -> Result<Reply, ApiError> {
    who.may(Action::Admin, name.as_str())?;
    app.hub.remove_topic(name)?;
    Ok(Reply::empty(204))
}
