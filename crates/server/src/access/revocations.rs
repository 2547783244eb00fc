//! `POST /revocations`: somebody is thrown out, within a second and also after a restart.
//!
//! What is revoked is an internal topic like any other: appended and on disk before it is
//! acknowledged, read when the server starts. An entry expires when no token can be meant any more.

use std::borrow::Cow;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::json;
use thiserror::Error;
use tidings_access::revoked::Revocation;
use tidings_access::verifier::LEEWAY_SECONDS;
use tidings_frame::{ErrorCode, Pattern, TopicName};
use tidings_hub::policy::{Durability, PolicyRule, Retain};
use tidings_hub::{Backlog, Hub, NewEvent, Publish, ReadLimit, Selection, StoreError, TopicPolicy};

use super::{Access, Who};
use crate::app::App;
use crate::error::ApiError;
use crate::http::params;
use crate::reply::Reply;

/// Where they are kept.
const TOPIC: &str = "$access/revoked";

/// How long what is revoked is remembered, in seconds, where nothing says when it ends: 400 days,
/// and no token should count for longer. Where tokens may count for ever, so does a revocation.
const SUBJECT_SECONDS: u64 = 400 * 86_400;

/// Entries read from the log at a time.
const READ: ReadLimit = ReadLimit { events: 1_000, bytes: 1 << 20 };

/// The policy of the server's own topic.
pub(crate) fn policy() -> PolicyRule {
    let policy = TopicPolicy {
        durability: Durability::Synced,
        retain: Retain::default(),
        ..TopicPolicy::default()
    };
    PolicyRule { pattern: Pattern::new("$access/**").expect("a pattern"), policy }
}

/// The body: a token by its `jti`, or everything about a subject that was issued up to now.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    token_id: Option<String>,
    /// The token's `exp`, in seconds since 1970; it is remembered until then.
    expires: Option<u64>,
    subject: Option<String>,
    /// The name of the issuer whose token or subject that is; without it, everybody's.
    issuer: Option<String>,
}

/// Answers `POST /revocations`.
pub(crate) async fn revoke(app: &App, who: &Who, body: &[u8]) -> Result<Reply, ApiError> {
    who.may_operate()?;
    let now_ms = app.hub.now_ms();
    let asked: Asked = params::object(body)?;
    let for_ever = app.config.issuers.iter().any(|issuer| issuer.without_expiry);
    let longest = longest(now_ms / 1_000, for_ever);
    let issuer = asked.issuer;
    if let Some(name) = &issuer {
        if !app.config.issuers.iter().any(|known| known.name.as_ref() == Some(name)) {
            let why = format!("no issuer is called `{name}` in the configuration");
            return Err(ApiError::new(ErrorCode::InvalidRequest, why));
        }
    }
    let (revocation, until) = match (asked.token_id, asked.expires, asked.subject) {
        (Some(id), expires, None) => {
            let until = expires.map(|at| at.saturating_add(LEEWAY_SECONDS)).or(longest);
            (Revocation::Token { id, issuer, until: until.unwrap_or(u64::MAX) }, until)
        }
        (None, None, Some(subject)) => {
            let issued_through = now_ms / 1_000;
            (Revocation::Subject { subject, issuer, issued_through }, longest)
        }
        _ => {
            let why = "give token_id (and expires, the token's exp), or subject";
            return Err(ApiError::new(ErrorCode::InvalidRequest, why));
        }
    };
    let ttl_ms = until.map(|until| until.saturating_mul(1_000).saturating_sub(now_ms));
    // In force first: one that does not fit into memory is not in the log either, and what a full
    // disk does not take ends who is there all the same.
    app.access.revoke(&revocation, now_ms)?;
    let kept = keep(app, &revocation, ttl_ms).await;
    enforce(app)?;
    kept?;
    Ok(Reply::json(200, &json!({"revoked": revocation})))
}

/// Ends what there is of whoever is revoked.
fn enforce(app: &App) -> Result<(), ApiError> {
    // It is in force: that the log takes nothing more (a full disk) keeps nobody's push alive.
    if let Some(push) = &app.push {
        push.end_revoked(&app.access);
    }
    // Nothing is added behind this: who asks for something later is judged with the hub's lock.
    app.hub.unschedule_of_revoked()?;
    Ok(())
}

/// Until when a revocation is remembered that does not say so itself, in seconds since 1970;
/// `None` is for ever.
fn longest(now: u64, for_ever: bool) -> Option<u64> {
    (!for_ever).then(|| now.saturating_add(SUBJECT_SECONDS).saturating_add(LEEWAY_SECONDS))
}

async fn keep(app: &App, revocation: &Revocation, ttl_ms: Option<u64>) -> Result<(), ApiError> {
    let data = serde_json::to_vec(revocation).expect("text and numbers can be written as JSON");
    let event = NewEvent {
        topic: Cow::Borrowed(TOPIC),
        data: Cow::Owned(data),
        ttl_ms: ttl_ms.map(|ttl_ms| ttl_ms.max(1)),
        ..NewEvent::default()
    };
    let accepted = {
        let mut round = app.hub.round();
        let events = &[event];
        round.publish(&Publish { events, operator: true, relay: true, ..Publish::default() });
        round.commit().pop()
    };
    let accepted = accepted
        .ok_or_else(|| ApiError::new(ErrorCode::Internal, "a round without an outcome"))?
        .map_err(|error| crate::error::publish(&app.hub, error))?;
    crate::http::publish::until_synced(app, accepted.wait).await
}

/// Why what was revoked is not known.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The log cannot be read.
    #[error("the log: {0}")]
    Log(#[from] StoreError),
    /// Without it somebody who was thrown out would get in again.
    #[error(
        "the revocation {id} in the log cannot be read: {why}; start the version of tidings that \
         wrote it"
    )]
    Unreadable {
        /// The event.
        id: String,
        /// What is the matter with it.
        why: String,
    },
}

/// Reads what was revoked before the server started.
pub(crate) fn load(hub: &Hub, access: &Access) -> Result<(), LoadError> {
    let name = TopicName::new(TOPIC).expect("a topic's name");
    let mut backlog = Backlog::new(Arc::new(Selection::one(name)));
    let (mut after, now_ms) = (0, hub.now_ms());
    let mut unreadable = None;
    loop {
        let range = (after, hub.visible());
        let (read_to, more) = backlog.objects(hub, range, READ, true, &mut |event| {
            let read = serde_json::from_slice(event.data.as_ref()).map_err(|why| why.to_string());
            let told = |error: ApiError| error.problem.detail;
            let done = read.and_then(|one| access.revoke(&one, now_ms).map_err(told));
            if let (Err(why), None) = (done, &unreadable) {
                unreadable = Some(LoadError::Unreadable { id: event.id.to_string(), why });
            }
        })?;
        if let Some(error) = unreadable {
            return Err(error);
        }
        if !more {
            return Ok(());
        }
        after = read_to;
    }
}

#[cfg(test)]
mod tests {
    use tidings_access::revoked::REVOKED_MAX;
    use tidings_access::{Caller, Grants, Verifier};
    use tidings_frame::Position;
    use tidings_hub::policy::PolicyRules;
    use tidings_log::testing::{CrashStorage, Fault};
    use tidings_push::Services;
    use tidings_scripted::push::Browser;

    use super::super::maker;
    use super::*;
    use crate::config::Config;
    use crate::hook::judge::By;
    use crate::push;

    const NOW_MS: u64 = 1_800_000_000_000;

    /// An app on this disk, whose pushes are sent by nobody.
    fn app_on(disk: &CrashStorage, tasks: &tokio::runtime::Handle) -> App {
        let opened =
            tidings_log::open(Arc::new(disk.clone()), tidings_log::Options::default()).unwrap();
        let options = tidings_hub::Options {
            rules: PolicyRules::default(),
            event_bytes_max: 1 << 20,
            topics_max: 100,
            scheduled_bytes_max: 1 << 20,
            clock: Arc::new(|| NOW_MS),
        };
        let hub = Hub::open(opened, options).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::dev();
        config.data_dir = folder.path().to_owned();
        config.push.as_mut().unwrap().services =
            Services::new(&["https://push.example".to_owned()]).unwrap();
        let prepared = push::prepare(&hub, config.push.as_ref(), folder.path(), tasks).unwrap();
        let (hyper, _) = tokio::sync::mpsc::channel(1);
        App::new(hub, config, Verifier::default(), None, None, prepared, hyper).unwrap()
    }

    #[test]
    fn push_ends_also_if_the_log_cannot_take_schedules_back() {
        let tasks = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let disk = CrashStorage::new();
        let app = app_on(&disk, tasks.handle());
        maker::judge(&app.hub, &app.access);
        let ada = Arc::new(Caller {
            identity: "ada".to_owned(),
            issuer: None,
            subject: Some("ada".to_owned()),
            token_id: None,
            tenant: None,
            issued: Some(NOW_MS / 1_000 - 60),
            expires: None,
            grants: Grants::default(),
        });
        let (push, browser) = (app.push.as_ref().unwrap(), Browser::new("hers"));
        let asked = push::Asked {
            endpoint: "https://push.example/hers",
            p256dh: &browser.p256dh(),
            auth: &browser.auth(),
            selection: Selection::one(TopicName::new("a").unwrap()),
            ttl_s: None,
            urgency: push::Urgency::default(),
            by: By { caller: Some(&ada), peer: None },
        };
        let made = push.subscribe(asked).unwrap();
        let events = [NewEvent { topic: Cow::Borrowed("a"), ..NewEvent::default() }];
        let (at_ms, maker) = (Some(NOW_MS + 1_000_000), maker::of(&ada));
        let mut round = app.hub.round();
        round.publish(&Publish {
            events: &events,
            at_ms,
            maker: maker.as_deref(),
            ..Publish::default()
        });
        assert!(round.commit().pop().unwrap().is_ok());
        disk.set_fault(Fault::ReadOnly);
        let who = Who { doors: app.access.doors.clone(), token: None, closed: false };
        let body = br#"{"subject":"ada"}"#;
        let refused = tasks.block_on(revoke(&app, &who, body)).unwrap_err();
        assert_eq!(refused.problem.status, 503, "it is not kept");
        assert!(app.access.revoked.read().covers(ada.as_ref()), "yet in force");
        assert_eq!(app.hub.scheduled(), 1, "it is dropped when it is due");
        assert!(push.unsubscribe(&made.id).unwrap().is_none(), "it has ended");
    }

    #[test]
    fn what_does_not_fit_is_not_kept_either() {
        let tasks = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let app = app_on(&CrashStorage::new(), tasks.handle());
        for number in 0..REVOKED_MAX {
            let (id, until) = (number.to_string(), u64::MAX);
            app.access.revoke(&Revocation::Token { id, issuer: None, until }, NOW_MS).unwrap();
        }
        let who = Who { doors: app.access.doors.clone(), token: None, closed: false };
        let refused = tasks.block_on(revoke(&app, &who, br#"{"token_id":"new"}"#)).unwrap_err();
        assert_eq!(refused.problem.code, ErrorCode::Overloaded.code());
        assert_eq!(app.hub.visible(), 0, "nothing is in the log");
    }

    #[test]
    fn what_cannot_be_read_lets_nobody_in() {
        let tasks = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let app = app_on(&CrashStorage::new(), tasks.handle());
        let publish = |data: &'static [u8]| {
            let (topic, data) = (Cow::Borrowed(TOPIC), Cow::Borrowed(data));
            let events = [NewEvent { topic, data, ..NewEvent::default() }];
            let mut round = app.hub.round();
            round.publish(&Publish {
                events: &events,
                operator: true,
                relay: true,
                ..Publish::default()
            });
            assert!(round.commit().pop().unwrap().is_ok());
        };
        publish(br#"{"token":{"id":"a","until":1900000000}}"#);
        load(&app.hub, &app.access).unwrap();
        // As a version to come might write.
        publish(br#"{"device":{"id":"b","until":1900000000}}"#);
        publish(br#"{"token":{"id":"c","until":1900000000}}"#);
        let error = load(&app.hub, &app.access).unwrap_err();
        let first = Position { epoch: app.hub.epoch(), sequence: 2 }.to_string();
        assert!(matches!(&error, LoadError::Unreadable { id, .. } if *id == first), "{error}");
    }

    #[test]
    fn what_may_count_for_ever_stays_revoked_for_ever() {
        assert_eq!(longest(1_000, true), None);
        assert_eq!(longest(1_000, false), Some(1_000 + SUBJECT_SECONDS + LEEWAY_SECONDS));
        assert_eq!(longest(u64::MAX, false), Some(u64::MAX));
    }
}
