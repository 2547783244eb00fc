//! Who asks, and what they may do: every door asks here, once for each request.
//!
//! What anybody may do (`anonymous`) and what the bearer of a token may do are added up. A right is
//! judged before anything is looked up, so that neither an answer nor the time it takes tells
//! whether a topic exists to somebody who may not know (PROTOCOL.md, section 18).

mod believed;
pub(crate) mod expiring;
pub(crate) mod fetched;
pub(crate) mod keys;
pub(crate) mod maker;
mod presence;
mod present;
pub(crate) mod revocations;
pub(crate) mod tickets;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use tidings_access::revoked::Revocation;
use tidings_access::verifier::LEEWAY_SECONDS;
use tidings_access::{Action, Caller, Grants, KeySet, Revoked, TokenError, Verifier};
use tidings_frame::{ErrorCode, Pattern};
use tidings_hub::{Hub, NewEvent};
use tokio::sync::Notify;

use crate::config::{Config, Mode};
use crate::error::ApiError;
use crate::head::Head;
use believed::Believed;
pub(crate) use present::{Authorization, OWN_HEADER, is_own_page};
use present::{Presented, presented};
use tickets::Tickets;

/// The longest that a live connection's token is not looked at, in milliseconds: the clock may be
/// set meanwhile.
const LOOK_AGAIN_MS: u64 = 60_000;

/// Judges requests.
pub(crate) struct Access {
    doors: Arc<Grants>,
    verifier: Verifier,
    /// The cookie that may hold a token.
    cookie: Option<String>,
    origins: Vec<String>,
    believed: Mutex<Believed>,
    revoked: RwLock<Revoked>,
    tickets: Tickets,
    /// Told when something was revoked.
    changed: Notify,
    /// Told when a token names a key that is not known.
    pub(super) wanted: Notify,
}

/// Who asks.
#[derive(Clone, Debug)]
pub(crate) struct Who {
    doors: Arc<Grants>,
    token: Option<Arc<Caller>>,
    /// Whether there are tokens at all.
    closed: bool,
}

impl Access {
    pub(crate) fn new(config: &Config, verifier: Verifier) -> Self {
        Self {
            doors: Arc::new(config.anonymous.clone()),
            verifier,
            cookie: config.token_cookie.clone(),
            origins: match config.mode {
                Mode::Dev => Vec::new(),
                Mode::Serve => config.cors_origins.clone(),
            },
            believed: Mutex::default(),
            revoked: RwLock::default(),
            tickets: Tickets::default(),
            changed: Notify::new(),
            wanted: Notify::new(),
        }
    }

    /// Who makes this request.
    ///
    /// # Errors
    /// A token that was shown and does not count is refused, also where anybody may come in: its
    /// bearer believes to be somebody.
    pub(crate) fn who(
        &self,
        head: &Head<'_>,
        now_ms: u64,
        authorization: Authorization,
    ) -> Result<Who, ApiError> {
        let nobody =
            Who { doors: self.doors.clone(), token: None, closed: !self.verifier.is_empty() };
        if !nobody.closed {
            return Ok(nobody);
        }
        let token = match presented(head, authorization, self.cookie.as_deref())? {
            None => return self.with_ticket(nobody, head, now_ms),
            Some(Presented::Header(token)) => token,
            Some(Presented::Cookie(token)) => {
                present::check_origin(head, &self.origins)?;
                token
            }
        };
        Ok(Who { token: Some(self.believe(token, now_ms)?), ..nobody })
    }

    /// Who shows a ticket, on a request that only reads.
    fn with_ticket(&self, nobody: Who, head: &Head<'_>, now_ms: u64) -> Result<Who, ApiError> {
        if !head.query.contains(tickets::PARAMETER) || head.method != "GET" {
            return Ok(nobody);
        }
        let query = head.query()?;
        let Some((_, ticket)) = query.iter().find(|(name, _)| name == tickets::PARAMETER) else {
            return Ok(nobody);
        };
        match self.tickets.take(ticket, now_ms).filter(|caller| !self.is_over(caller, now_ms)) {
            Some(caller) => Ok(Who { token: Some(caller), ..nobody }),
            None => {
                let detail = "the ticket was used, or its time is over";
                Err(ApiError::new(ErrorCode::Unauthorized, detail))
            }
        }
    }

    /// The bearer of this token.
    ///
    /// # Errors
    /// When it does not count.
    pub(crate) fn believe(&self, token: &str, now_ms: u64) -> Result<Arc<Caller>, ApiError> {
        let now = now_ms / 1_000;
        // Not in the match itself, which would hold the lock while it verifies.
        let known = {
            let believed = self.believed.lock();
            if let Some(error) = believed.refusal(token, now) {
                return Err(unauthorized(error));
            }
            believed.get(token, now)
        };
        let caller = match known {
            Ok(caller) => caller,
            Err(since) => {
                let caller = self.verifier.verify(token, now).map_err(|error| {
                    if error == TokenError::UnknownKey {
                        self.wanted.notify_waiters();
                    }
                    self.believed.lock().refuse(token, &error, now, since);
                    unauthorized(error)
                })?;
                let caller = Arc::new(caller);
                self.believed.lock().put(token, caller.clone(), since);
                caller
            }
        };
        if self.revoked.read().covers(&*caller) {
            return Err(unauthorized(TokenError::Revoked));
        }
        Ok(caller)
    }

    /// The bearer of this token, besides whatever anybody may do.
    ///
    /// # Errors
    /// When it does not count.
    pub(crate) fn bearer(&self, token: &str, now_ms: u64) -> Result<Who, ApiError> {
        let token = Some(self.believe(token, now_ms)?);
        Ok(Who { doors: self.doors.clone(), token, closed: !self.verifier.is_empty() })
    }

    /// Returns when the token of one of these does not count any more: its time is over, or it was
    /// revoked. For connections that are tasks; rows of a shard are looked through.
    pub(crate) async fn over(&self, hub: &Hub, callers: Vec<Arc<Caller>>) {
        if callers.is_empty() {
            return std::future::pending().await;
        }
        loop {
            let mut changed = pin!(self.changed.notified());
            // Before the look, so that a revocation between the two is not missed.
            changed.as_mut().enable();
            let now_ms = hub.now_ms();
            if callers.iter().any(|caller| self.is_over(caller, now_ms)) {
                return;
            }
            let next = callers.iter().filter_map(|caller| ends_ms(caller)).min();
            let left = next.map_or(LOOK_AGAIN_MS, |at| at.saturating_sub(now_ms));
            let left = Duration::from_millis(left.clamp(1, LOOK_AGAIN_MS));
            // Whichever comes first: it looks again.
            let _ = tokio::time::timeout(left, changed).await;
        }
    }

    /// Whether the token of this caller does not count any more.
    pub(crate) fn is_over(&self, caller: &Caller, now_ms: u64) -> bool {
        ends_ms(caller).is_some_and(|until| until <= now_ms) || self.revoked.read().covers(caller)
    }

    /// Refuses when the token of this caller does not count any more.
    pub(crate) fn still(&self, caller: Option<&Caller>, now_ms: u64) -> Result<(), ApiError> {
        match caller {
            Some(caller) if self.revoked.read().covers(caller) => {
                Err(unauthorized(TokenError::Revoked))
            }
            Some(caller) if self.is_over(caller, now_ms) => Err(unauthorized(TokenError::Expired)),
            _ => Ok(()),
        }
    }

    /// Whether this caller's token, or its subject, was revoked.
    pub(crate) fn is_revoked(&self, caller: &Caller) -> bool {
        self.revoked.read().covers(caller)
    }

    /// Returns at this time, in milliseconds since 1970.
    pub(crate) async fn until(&self, hub: &Hub, at_ms: Option<u64>) {
        let Some(at_ms) = at_ms else { return std::future::pending().await };
        loop {
            let left = at_ms.saturating_sub(hub.now_ms());
            if left == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(left.min(LOOK_AGAIN_MS))).await;
        }
    }

    /// This issuer has these keys from now on. If they are others than before, what was believed
    /// with the old ones is judged again.
    fn rotate(&self, issuer: usize, keys: KeySet) {
        if let Some(issuer) = self.verifier.issuers().get(issuer) {
            let other = !issuer.keys().is_same(&keys);
            // Before it is forgotten what they have verified: nothing is believed by them later.
            issuer.rotate(keys);
            if other {
                self.believed.lock().forget();
            }
        }
    }

    /// Whether there are tokens at all.
    pub(crate) fn has_issuers(&self) -> bool {
        !self.verifier.is_empty()
    }

    /// How a caller is told that it may not do this, whoever has decided so.
    pub(crate) fn refusal(
        &self,
        caller: Option<&Arc<Caller>>,
        action: Action,
        what: &str,
    ) -> ApiError {
        let (doors, token) = (self.doors.clone(), caller.cloned());
        Who { doors, token, closed: self.has_issuers() }.refused(action, what)
    }

    /// From now on these do not count.
    pub(crate) fn revoke(&self, revocation: &Revocation, now_ms: u64) -> Result<(), ApiError> {
        let too_many = |error: tidings_access::revoked::TooMany| {
            ApiError::new(ErrorCode::Overloaded, error.to_string())
        };
        self.revoked.write().add(revocation, now_ms / 1_000).map_err(too_many)?;
        self.changed.notify_waiters();
        Ok(())
    }
}

/// When the token of this caller ends, in milliseconds since 1970, the clocks' leeway included.
pub(crate) fn ends_ms(caller: &Caller) -> Option<u64> {
    caller.expires.map(|at| at.saturating_add(LEEWAY_SECONDS).saturating_mul(1_000))
}

/// How the bearer of a token that does not count is told (RFC 6750, section 3).
pub(crate) fn unauthorized(error: TokenError) -> ApiError {
    let mut told = ApiError::new(ErrorCode::Unauthorized, error.to_string());
    told.header = Some(("www-authenticate", "Bearer error=\"invalid_token\"".to_owned()));
    told
}

impl Who {
    /// Whether this may be done with the topic of this name.
    pub(crate) fn can(&self, action: Action, topic: &str) -> bool {
        self.doors.allow(action, topic)
            || self.token.as_ref().is_some_and(|caller| caller.grants.allow(action, topic))
    }

    /// Whether this may be done with the topic of this name, and not only because its presence is
    /// granted.
    pub(crate) fn can_plainly(&self, action: Action, topic: &str) -> bool {
        self.doors.allow_plainly(action, topic)
            || self.token.as_ref().is_some_and(|caller| caller.grants.allow_plainly(action, topic))
    }

    /// Refuses unless such an event may be published to the topic of this name: who may do so
    /// because its presence is granted writes what presence is made of, in its own name.
    pub(crate) fn may_write(&self, topic: &str, event: &NewEvent<'_>) -> Result<(), ApiError> {
        let by_presence = !self.can_plainly(Action::Publish, topic);
        self.may(Action::Publish, topic)?;
        if by_presence { presence::check(self, topic, event) } else { Ok(()) }
    }

    /// Whether this may be done with everything that the pattern means.
    pub(crate) fn can_all(&self, action: Action, pattern: &Pattern) -> bool {
        self.doors.allow_all(action, pattern)
            || self.token.as_ref().is_some_and(|caller| caller.grants.allow_all(action, pattern))
    }

    /// Whether anybody may publish to the topic of this name.
    fn is_anybodys(&self, topic: &str) -> bool {
        self.doors.allow(Action::Publish, topic)
    }

    /// Refuses unless this may be done with the topic of this name.
    pub(crate) fn may(&self, action: Action, topic: &str) -> Result<(), ApiError> {
        if self.can(action, topic) { Ok(()) } else { Err(self.refused(action, topic)) }
    }

    /// Refuses unless this may be done with everything that the pattern means.
    pub(crate) fn may_all(&self, action: Action, pattern: &Pattern) -> Result<(), ApiError> {
        if self.can_all(action, pattern) {
            Ok(())
        } else {
            Err(self.refused(action, pattern.as_str()))
        }
    }

    /// Refuses unless there is something with which this may be done; for lists, which show only
    /// what may be seen.
    pub(crate) fn may_somewhere(&self, action: Action) -> Result<(), ApiError> {
        let some = |grants: &Grants| !grants.beginnings(action).is_empty();
        if some(&self.doors) || self.token.as_ref().is_some_and(|caller| some(&caller.grants)) {
            Ok(())
        } else {
            Err(self.refused(action, "any topic"))
        }
    }

    /// Refuses unless there is something that the caller may publish to or follow: to be seen, and
    /// to see who is there, is both.
    pub(crate) fn may_take_part(&self) -> Result<(), ApiError> {
        let takes_part = |grants: &Grants| {
            [Action::Publish, Action::Subscribe].iter().any(|action| grants.allow_some(*action))
        };
        let token = self.token.as_ref().map(|caller| &caller.grants);
        if std::iter::once(&*self.doors).chain(token).any(takes_part) {
            Ok(())
        } else {
            Err(self.refused(Action::Subscribe, "any topic"))
        }
    }

    /// How the names begin of topics that the caller may know of: sorted, none of them the
    /// beginning of another.
    pub(crate) fn beginnings(&self) -> Vec<String> {
        let token = self.token.as_ref().map(|caller| &caller.grants);
        let all = std::iter::once(&*self.doors).chain(token);
        let mut beginnings: Vec<String> = all
            .flat_map(|grants| [Action::Subscribe, Action::Admin].map(|it| grants.beginnings(it)))
            .flatten()
            .map(str::to_owned)
            .collect();
        beginnings.sort_unstable();
        beginnings.dedup_by(|next, before| next.starts_with(&**before));
        beginnings
    }

    /// Refuses unless the caller is an operator.
    pub(crate) fn may_operate(&self) -> Result<(), ApiError> {
        if self.is_operator() { Ok(()) } else { Err(self.refused(Action::Admin, "the server")) }
    }

    /// Whether the caller may do everything that an operator may.
    pub(crate) fn is_operator(&self) -> bool {
        self.doors.is_operator()
            || self.token.as_ref().is_some_and(|caller| caller.grants.is_operator())
    }

    /// Whether a token makes the caller an operator: not because anybody is one.
    pub(crate) fn is_named_operator(&self) -> bool {
        self.token.as_ref().is_some_and(|caller| caller.grants.is_operator())
    }

    /// Who the token says that the caller is, as a text for comparison.
    pub(crate) fn identity(&self) -> Option<&str> {
        self.token.as_ref().map(|caller| &*caller.identity)
    }

    /// Whether private events of what the pattern means are shown: to operators, and to whom a
    /// token, not the open door, lets in.
    pub(crate) fn sees_private(&self, pattern: &Pattern) -> bool {
        let token = |caller: &Arc<Caller>| {
            caller.grants.allow_all(Action::Subscribe, pattern)
                || caller.grants.allow_all(Action::Admin, pattern)
        };
        self.doors.allow_all(Action::Admin, pattern) || self.token.as_ref().is_some_and(token)
    }

    /// Who the token says that the caller is, as applications know them.
    pub(crate) fn subject(&self) -> Option<&str> {
        self.token.as_ref().and_then(|caller| caller.subject.as_deref())
    }

    /// The token's bearer, if there is a token.
    pub(crate) fn caller(&self) -> Option<&Arc<Caller>> {
        self.token.as_ref()
    }

    /// Who that is in the audit log: the token's subject and its own name; null for anybody.
    pub(crate) fn told(&self) -> serde_json::Value {
        self.token.as_ref().map_or(
            serde_json::Value::Null,
            |caller| serde_json::json!({"subject": caller.subject, "token_id": caller.token_id}),
        )
    }

    fn refused(&self, action: Action, what: &str) -> ApiError {
        let right = action.name();
        match (&self.token, self.closed) {
            (Some(_), _) => ApiError::new(
                ErrorCode::Forbidden,
                format!("the token does not grant {right:?} for {what}"),
            ),
            (None, true) => {
                let detail = format!(
                    "{right:?} for {what} needs a token: Authorization: Bearer …; see /openapi.json"
                );
                let mut error = ApiError::new(ErrorCode::Unauthorized, detail);
                error.header = Some(("www-authenticate", "Bearer".to_owned()));
                error
            }
            (None, false) => ApiError::new(
                ErrorCode::Forbidden,
                format!(
                    "this server is not open for this; its operator can add {right:?} to the \
                    setting `anonymous`"
                ),
            ),
        }
    }
}
