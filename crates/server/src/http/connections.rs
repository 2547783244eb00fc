//! Live subscriptions as resources: who is connected and how far behind, and changes to one.
//!
//! The operator sees and changes them all. Whoever shows a connection's own key, which only its
//! client was told, changes or ends that one with no more than the right to subscribe.

use std::borrow::Cow;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tidings_frame::api::{ConnectionChange, SubscribeRequest};
use tidings_frame::time::Time;
use tidings_frame::{ErrorCode, Pattern, Position, TopicName};
use tidings_hub::Selection;
use tokio::sync::oneshot;

use super::params;
use super::subscribe::{sees_private, selection};
use crate::access::Who;
use crate::app::App;
use crate::config::Asks;
use crate::connection_name::{Shown, connection_name};
use crate::error::ApiError;
use crate::head::Head;
use crate::hook::What;
use crate::hook::judge::{By, all_of};
use crate::reply::Reply;
use crate::socket::mail::{Change, Changed, Listed, Mail, Mailbox, Permitted};

/// Connections in one answer.
const LISTED_MAX: usize = 10_000;

/// Every thread that may hold a subscription. The shards are asked again at the end: one that was
/// on its way back to them from the log would have been missed by both.
fn holders(app: &App) -> impl Iterator<Item = &Arc<Mailbox>> {
    app.shards.iter().chain(&app.backfills).chain(&app.shards)
}

/// `GET /connections`: the first so many, in the order in which they came; those that follow a
/// topic, by name or by pattern, if one is asked for.
pub(super) async fn list(app: &App, who: &Who, head: &Head<'_>) -> Result<Reply, ApiError> {
    who.may_operate()?;
    let (mut topic, mut limit) = (None, LISTED_MAX);
    for (name, value) in head.query()? {
        match &*name {
            "topic" => topic = Some(value),
            "limit" => {
                let wanted = params::number("limit", &value, (1, LISTED_MAX as u64))?;
                limit = usize::try_from(wanted).unwrap_or(LISTED_MAX);
            }
            _ => return Err(params::unknown(&name, &["topic", "limit"])),
        }
    }
    let mut all: Vec<Listed> = Vec::new();
    for mailbox in holders(app) {
        let (reply, list) = oneshot::channel();
        mailbox.send(Mail::List(reply));
        all.extend(list.await.map_err(|_| ApiError::draining())?);
    }
    all.extend(app.websockets.list());
    all.extend(app.long_polls.list());
    all.extend(app.streams.list());
    all.sort_by_key(|listed| listed.id);
    all.dedup_by_key(|listed| listed.id);
    if let Some(topic) = topic {
        all.retain(|listed| follows(&listed.selection, &topic));
    }
    let total = all.len();
    let visible = app.hub.visible();
    let connections: Vec<Value> =
        all.iter().take(limit).map(|listed| object(app, listed, visible)).collect();
    Ok(Reply::json(200, &json!({"connections": connections, "total": total}))
        .with("cache-control", "no-store"))
}

/// Whether a subscription follows the topic of this name.
fn follows(selection: &Selection, topic: &str) -> bool {
    selection.topics().iter().any(|name| name.as_str() == topic)
        || selection.patterns().iter().any(|pattern| pattern.matches(topic))
}

fn object(app: &App, listed: &Listed, visible: u64) -> Value {
    let state = match (listed.catching_up, listed.blocked) {
        (true, _) => "catching-up",
        (false, true) => "blocked",
        (false, false) => "live",
    };
    json!({
        "id": connection_name(listed.id),
        "peer": listed.peer.to_string(),
        "transport": listed.transport.name(),
        "protocol": listed.peer.protocol.name(),
        "tls": listed.peer.tls,
        "since": Time(listed.opened_ms),
        "topics": topics(&listed.selection),
        "patterns": patterns(&listed.selection),
        "state": state,
        "after": Position { epoch: app.hub.epoch(), sequence: listed.after },
        "lag": lag(app, listed, visible),
        "events": listed.events,
        "bytes": listed.bytes,
        "subject": listed.subject,
    })
}

fn topics(selection: &Selection) -> Vec<&str> {
    selection.topics().iter().map(TopicName::as_str).collect()
}

fn patterns(selection: &Selection) -> Vec<&str> {
    selection.patterns().iter().map(Pattern::as_str).collect()
}

/// How many events the subscription has not had: an upper bound, since sequences are the hub's and
/// not the topic's. Nobody who is live and not blocked is behind.
fn lag(app: &App, listed: &Listed, visible: u64) -> u64 {
    if !listed.blocked && !listed.catching_up {
        return 0;
    }
    let single = listed.selection.single().and_then(|name| app.hub.describe(name));
    match single {
        Some(topic) => topic.newest.saturating_sub(listed.after).min(topic.events),
        None => visible.saturating_sub(listed.after),
    }
}

/// `PATCH /connections/{id}`.
pub(super) async fn change(
    app: &Arc<App>,
    head: &Head<'_>,
    id: &str,
    body: &[u8],
) -> Result<Reply, ApiError> {
    let who = &app.who(head)?;
    let (number, shows_key) = may_change(app, who, id)?;
    let next = Next::read(app, who, params::object(body)?)?;
    let by = By { caller: who.caller(), peer: head.peer };
    // What is followed already is asked about too where somebody else may follow it from now on.
    let renews = shows_key && by.caller.is_some() && app.hook.is_some();
    let present = if renews { present(app, number).await? } else { None };
    let kept = present.iter().flat_map(|present| next.kept(present));
    app.ask(Asks::Subscribe, by, next.names().chain(kept)).await?;
    let asked = || asked(app, who, shows_key, &next, present.as_ref());
    let changed = changed(app, number, asked).await?.ok_or_else(not_found)?;
    let mut answer = object_of(app, &changed);
    answer["id"] = connection_name(number).into();
    Ok(Reply::json(200, &answer))
}

/// Has the change made by whoever holds the connection; `None` if nobody does.
async fn changed(
    app: &Arc<App>,
    number: u64,
    asked: impl Fn() -> (Change, oneshot::Receiver<ApiError>),
) -> Result<Option<Changed>, ApiError> {
    let (change, refused) = asked();
    let mut changed = app.websockets.change(number, change).await;
    if let Ok(error) = refused.await {
        return Err(error);
    }
    if changed.is_none() {
        let (change, refused) = asked();
        changed = app.streams.change(number, change).await;
        if let Ok(error) = refused.await {
            return Err(error);
        }
    }
    for mailbox in holders(app) {
        if changed.is_some() {
            break;
        }
        let (done, told) = oneshot::channel();
        let (change, refused) = asked();
        mailbox.send(Mail::Change { id: number, change, done });
        changed = told.await.map_err(|_| ApiError::draining())?;
        if let Ok(error) = refused.await {
            return Err(error);
        }
    }
    Ok(changed)
}

/// What a connection follows now: a change that is never made looks at it.
async fn present(app: &Arc<App>, number: u64) -> Result<Option<Names>, ApiError> {
    let seen = Arc::new(Mutex::new(None));
    let look = || {
        let (refuse, refused) = oneshot::channel();
        let seen = seen.clone();
        let next = move |present: &Selection| {
            *seen.lock() = Some(Names::present(present));
            drop(refuse);
            None
        };
        (Change { next: Box::new(next), renewed: None }, refused)
    };
    changed(app, number, look).await?;
    let seen = seen.lock().take();
    Ok(seen)
}

/// The change as whoever holds the subscription is asked to do it, and why it cannot be done.
fn asked(
    app: &Arc<App>,
    who: &Who,
    shows_key: bool,
    next: &Next,
    known: Option<&Names>,
) -> (Change, oneshot::Receiver<ApiError>) {
    let (refuse, refused) = oneshot::channel();
    let (next, judge, judged) = (next.clone(), app.clone(), who.clone());
    let known = known.cloned();
    let next = move |present: &Selection| {
        let judged = match known {
            Some(known) if known != Names::present(present) => {
                let detail = "the connection was changed at the same time; try again";
                Err(ApiError::new(ErrorCode::Overloaded, detail))
            }
            _ => next.of(&judge, &judged, present),
        };
        // Whoever asked may have gone.
        judged.map_err(|error| refuse.send(error)).ok()
    };
    // An operator's change leaves the connection to its own client's token.
    let renewed = who.caller().filter(|_| shows_key).cloned();
    (Change { next: Box::new(next), renewed }, refused)
}

/// What a subscription follows after a change, and from where on.
pub(crate) fn object_of(app: &App, changed: &Changed) -> Value {
    let (topics, patterns) = (topics(&changed.selection), patterns(&changed.selection));
    let after = Position { epoch: app.hub.epoch(), sequence: changed.after };
    json!({"topics": topics, "patterns": patterns, "after": after})
}

impl Next {
    /// What a client asks for.
    pub(crate) fn read(app: &App, who: &Who, body: ConnectionChange<'_>) -> Result<Self, ApiError> {
        let whole = body.topics.is_some() || body.patterns.is_some();
        if whole == (body.add.is_some() || body.remove.is_some()) {
            let why = "give the whole list (topics, patterns), or what to add and what to remove";
            return Err(ApiError::new(ErrorCode::InvalidRequest, why));
        }
        if whole {
            let topics = body.topics.unwrap_or_default();
            let patterns = body.patterns.unwrap_or_default();
            return Ok(Self::Whole(Arc::new(selection(app, who, &topics, &patterns)?)));
        }
        Ok(Self::Part { add: Names::of(body.add), remove: Names::of(body.remove) })
    }
}

/// Topics and patterns, owned.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Names {
    topics: Vec<String>,
    patterns: Vec<String>,
}

impl Names {
    fn present(selection: &Selection) -> Self {
        let owned = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect();
        Self { topics: owned(topics(selection)), patterns: owned(patterns(selection)) }
    }

    fn of(body: Option<SubscribeRequest<'_>>) -> Self {
        let owned = |names: Vec<Cow<'_, str>>| names.into_iter().map(Cow::into_owned).collect();
        body.map_or_else(Self::default, |body| Self {
            topics: owned(body.topics),
            patterns: owned(body.patterns),
        })
    }
}

/// The next selection, to be made where the present one is known.
#[derive(Clone)]
pub(crate) enum Next {
    Whole(Arc<Selection>),
    Part { add: Names, remove: Names },
}

impl Next {
    /// What it adds, or, of a whole list, all.
    pub(crate) fn names(&self) -> impl Iterator<Item = What<'_>> + Clone {
        let (whole, add) = match self {
            Self::Whole(selection) => (Some(all_of(selection)), None),
            Self::Part { add, .. } => (None, Some(add)),
        };
        let added = add.into_iter().flat_map(|add| {
            let topics = add.topics.iter().map(|name| What::Topic(name));
            topics.chain(add.patterns.iter().map(|text| What::Pattern(text)))
        });
        whole.into_iter().flatten().chain(added)
    }

    /// What stays of what is followed now.
    fn kept<'a>(&'a self, present: &'a Names) -> impl Iterator<Item = What<'a>> + Clone {
        let Names { topics, patterns } = present;
        let part = match self {
            Self::Whole(_) => None,
            Self::Part { remove, .. } => Some(remove),
        };
        part.into_iter().flat_map(move |remove| {
            let topics = topics.iter().filter(|name| !remove.topics.contains(name));
            let patterns = patterns.iter().filter(|text| !remove.patterns.contains(text));
            let topics = topics.map(|name| What::Topic(name));
            topics.chain(patterns.map(|text| What::Pattern(text)))
        })
    }

    /// The next selection, and what of it is shown.
    pub(crate) fn of(
        self,
        app: &App,
        who: &Who,
        present: &Selection,
    ) -> Result<Permitted, ApiError> {
        let selection = match self {
            Self::Whole(selection) => selection,
            Self::Part { add, remove } => {
                let topics = merged(topics(present), add.topics, &remove.topics);
                let patterns = merged(patterns(present), add.patterns, &remove.patterns);
                Arc::new(selection(app, who, &topics, &patterns)?)
            }
        };
        Ok(Permitted { private: sees_private(who, &selection), selection })
    }
}

fn merged(present: Vec<&str>, add: Vec<String>, remove: &[String]) -> Vec<Cow<'static, str>> {
    let kept = present.into_iter().filter(|name| !remove.iter().any(|gone| gone == name));
    kept.map(str::to_owned).chain(add).map(Cow::Owned).collect()
}

/// `DELETE /connections/{id}`.
pub(super) async fn close(app: &App, who: &Who, id: &str) -> Result<Reply, ApiError> {
    let (number, _) = may_change(app, who, id)?;
    let of_tasks = app.websockets.close(number).await || app.streams.close(number).await;
    if of_tasks || app.long_polls.close(number) {
        return Ok(Reply::empty(204));
    }
    for mailbox in holders(app) {
        let (done, closed) = oneshot::channel();
        mailbox.send(Mail::Close { id: number, done });
        if closed.await.map_err(|_| ApiError::draining())? {
            return Ok(Reply::empty(204));
        }
    }
    Err(not_found())
}

/// The number behind a name, if whoever shows it may change that connection, and whether they have
/// shown its key. A key that is wrong and a connection that is not there are told alike.
fn may_change(app: &App, who: &Who, id: &str) -> Result<(u64, bool), ApiError> {
    match app.names.read(id) {
        Some(Shown::Own(number)) => Ok((number, true)),
        Some(Shown::Number(number)) => who.may_operate().map(|()| (number, false)),
        None => Err(not_found()),
    }
}

fn not_found() -> ApiError {
    ApiError::new(ErrorCode::ConnectionNotFound, "there is no such connection")
}
