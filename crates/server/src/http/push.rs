//! Routes of Web Push: the server's key, and browsers' subscriptions.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::json;
use tidings_frame::ErrorCode;

use super::{params, subscribe};
use crate::app::App;
use crate::error::ApiError;
use crate::head::Head;
use crate::hook::judge::By;
use crate::push::{Asked, Push, Urgency};
use crate::reply::Reply;

/// The longest that a push service is asked to keep a message, in seconds: four weeks, as the known
/// ones do.
const TTL_MAX_S: u64 = 28 * 86_400;

/// The body of `POST /push/subscriptions`: what a browser's `PushSubscription.toJSON()` gives, and
/// what is wanted.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body<'a> {
    #[serde(borrow)]
    endpoint: Cow<'a, str>,
    /// Part of what browsers write; a push service says itself when a subscription has ended.
    #[serde(default, rename = "expirationTime")]
    _expires: Option<f64>,
    #[serde(borrow)]
    keys: Keys<'a>,
    #[serde(borrow, default)]
    topics: Vec<Cow<'a, str>>,
    #[serde(borrow, default)]
    patterns: Vec<Cow<'a, str>>,
    #[serde(borrow, default)]
    ttl: Option<Cow<'a, str>>,
    #[serde(default)]
    urgency: Urgency,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys<'a> {
    #[serde(borrow)]
    p256dh: Cow<'a, str>,
    #[serde(borrow)]
    auth: Cow<'a, str>,
}

/// `GET /push/key`.
pub(super) fn key(app: &App) -> Result<Reply, ApiError> {
    let key = on(app)?.public_key();
    Ok(Reply::json(200, &json!({"key": key})).with("cache-control", "no-cache"))
}

/// `POST /push/subscriptions`.
pub(super) async fn subscribe(app: &App, head: &Head<'_>, body: &[u8]) -> Result<Reply, ApiError> {
    let who = app.who(head)?;
    let push = on(app)?;
    let body: Body<'_> = params::object(body)?;
    let selection = subscribe::selection(app, &who, &body.topics, &body.patterns)?;
    let by = By { caller: who.caller(), peer: head.peer };
    app.ask_to_follow(by, &selection).await?;
    let made = push.subscribe(Asked {
        endpoint: &body.endpoint,
        p256dh: &body.keys.p256dh,
        auth: &body.keys.auth,
        selection,
        ttl_s: body.ttl.as_deref().map(ttl).transpose()?,
        urgency: body.urgency,
        by,
    })?;
    if who.caller().is_some_and(|caller| app.access.is_revoked(caller)) {
        // Between the look at the token and now.
        push.end_revoked(&app.access);
    }
    durable(app, made.wait).await?;
    let path = format!("/push/subscriptions/{}", made.id);
    let reply = Reply::json(if made.new { 201 } else { 200 }, &json!({"id": made.id}));
    Ok(reply.with("location", path))
}

/// `DELETE /push/subscriptions/{id}`. Whoever knows the id may: it follows from the endpoint, which
/// only the browser and this server know.
pub(super) async fn unsubscribe(app: &App, id: &str) -> Result<Reply, ApiError> {
    let Some(wait) = on(app)?.unsubscribe(id)? else {
        let detail = "there is no such push subscription";
        return Err(ApiError::new(ErrorCode::PushSubscriptionNotFound, detail));
    };
    durable(app, wait).await?;
    Ok(Reply::empty(204))
}

fn on(app: &App) -> Result<&std::sync::Arc<Push>, ApiError> {
    let detail = "Web Push is off; its operator can set push.enabled";
    app.push.as_ref().ok_or_else(|| ApiError::new(ErrorCode::NotImplemented, detail))
}

fn ttl(text: &str) -> Result<u64, ApiError> {
    match params::duration_ms("ttl", text)? / 1_000 {
        seconds @ 1..=TTL_MAX_S => Ok(seconds),
        _ => Err(ApiError::parameter("ttl", "from 1s to 28d")),
    }
}

/// Waits until a batch is on disk.
async fn durable(app: &App, wait: Option<u64>) -> Result<(), ApiError> {
    if let Some(batch) = wait {
        let (done, synced) = tokio::sync::oneshot::channel();
        // The receiver is gone when the client is; nobody is left to be told.
        app.hub.when_synced(batch, Box::new(move |result| drop(done.send(result))));
        synced.await.map_err(|_| ApiError::draining())??;
    }
    Ok(())
}
