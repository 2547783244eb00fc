//! Whose token a connection stands on: it ends with it, unless a message brings another in time.

use std::sync::Arc;

use tidings_access::Caller;

use super::connection::Connection;
use super::message;
use super::protocol::Fault;
use crate::access::expiring;
use crate::error::ApiError;
use crate::http::subscribe::{may_follow, sees_private};

/// Policy violation (RFC 6455, section 7.4.1).
const NOT_ANY_MORE: u16 = 1008;

impl Connection {
    /// Those on whose tokens it, or a subscription of it, stands.
    pub(super) fn callers(&self) -> Vec<Arc<Caller>> {
        let changed = self.subscriptions.iter().filter_map(|one| one.caller.clone());
        self.who.caller().cloned().into_iter().chain(changed).collect()
    }

    /// Goes on with this token in place of the one it came with. What is followed already is judged
    /// by the new one too; if it does not grant all of it, everything stays as it is.
    pub(super) fn renew(&mut self, token: &str) -> Result<(), ApiError> {
        if !self.app.access.has_issuers() {
            return Ok(());
        }
        let who = self.app.access.bearer(token, self.app.hub.now_ms())?;
        let follows = self.subscriptions.iter().map(|one| one.follower.selection());
        follows.into_iter().try_for_each(|selection| may_follow(&who, selection))?;
        for one in &mut self.subscriptions {
            let private = sees_private(&who, one.follower.selection());
            one.follower.show_private(private);
            one.caller = None;
        }
        self.who = who;
        Ok(())
    }

    /// Its token ends soon.
    pub(super) fn tell_expiring(&mut self) {
        let now_ms = self.app.hub.now_ms();
        let caller = self.who.caller().cloned();
        if let Some(told) = self.expiring.tell(caller.as_deref(), now_ms) {
            self.output.text(&message::message(expiring::NAME, None, &told));
        }
    }

    /// A token does not count any more: what stands on it ends.
    pub(super) fn end_what_is_over(&mut self) {
        let now_ms = self.app.hub.now_ms();
        let app = self.app.clone();
        let is_over = |caller: Option<&Arc<Caller>>| {
            caller.is_some_and(|caller| app.access.is_over(caller, now_ms))
        };
        if is_over(self.who.caller()) {
            let reason = "the token has expired or was revoked; come again with another".to_owned();
            return self.close(&Fault { code: NOT_ANY_MORE, reason }, false);
        }
        while let Some(at) = self.subscriptions.iter().position(|one| is_over(one.caller.as_ref()))
        {
            self.unsubscribe(at, None);
        }
    }
}
