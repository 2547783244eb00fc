//! Operations that the application is asked about: the connection reads no further until it has
//! answered, because what follows is to be done after it. Subscriptions get their events meanwhile.

use tungstenite::protocol::frame::Utf8Bytes;

use std::sync::Arc;

use tidings_hub::Selection;

use super::connection::Connection;
use super::request::Operation;
use crate::config::Asks;
use crate::error::ApiError;
use crate::hook::judge::{By, all_of};
use crate::hook::{Verdict, What};
use crate::limits::Admission;

/// What waits for the application.
#[derive(Default)]
pub(super) struct Asking {
    /// Messages that are to be done once it has answered; the question is about the first.
    held: Vec<Utf8Bytes>,
    answer: Option<tokio::sync::oneshot::Receiver<Verdict>>,
    /// What was followed already and was asked about too.
    about: Vec<Arc<Selection>>,
    /// What the first of them has of the limits, if it is a subscription: given back if it is
    /// refused, or the connection ends.
    pub(super) place: Option<Admission>,
}

impl Asking {
    /// Whether there is an answer to wait for.
    pub(super) fn is_under_way(&self) -> bool {
        self.answer.is_some()
    }

    /// The answer, when it is there.
    pub(super) async fn answer(&mut self) -> Verdict {
        match &mut self.answer {
            // Without whoever asks there is none.
            Some(answer) => answer.await.unwrap_or(Verdict::Unanswered),
            None => std::future::pending().await,
        }
    }

    /// Keeps what is to be done afterwards.
    pub(super) fn hold(&mut self, texts: &[Utf8Bytes]) {
        self.held = texts.to_vec();
    }
}

impl Connection {
    /// Goes on with what has waited for this, unless whoever asked does not count any more: that
    /// may come to light in the same moment.
    pub(super) fn go_on(&mut self, verdict: Verdict) {
        self.asking.answer = None;
        self.end_what_is_over();
        if self.is_closing() {
            return;
        }
        let held = std::mem::take(&mut self.asking.held);
        self.operate_after(Some(verdict), &held);
    }

    /// Whether an operation may be done; `false` if the application is asked about it now. What it
    /// has said about this very operation, if it was asked, is `verdict`.
    ///
    /// # Errors
    /// When it may not.
    pub(super) fn may_do(
        &mut self,
        operation: &Operation<'_>,
        verdict: Option<Verdict>,
    ) -> Result<bool, ApiError> {
        if self.app.hook.is_none() {
            return Ok(true);
        }
        let (app, mut who) = (self.app.clone(), self.who.clone());
        let mut present: Vec<Arc<Selection>> = Vec::new();
        let (action, mut what): (Asks, Vec<What<'_>>) = match operation {
            Operation::Subscribe { asked, .. } => {
                (Asks::Subscribe, all_of(&asked.selection).collect())
            }
            Operation::Change { sub, change } => {
                // One that stands on another token stands on the connection's from now on.
                let changed = self.find(sub).ok().map(|at| &self.subscriptions[at]);
                let changed = changed.filter(|one| one.caller.is_some());
                present.extend(changed.map(|one| one.follower.selection().clone()));
                let topics = change.add.iter().flat_map(|add| &add.topics);
                let patterns = change.add.iter().flat_map(|add| &add.patterns);
                let topics = topics.chain(change.topics.iter().flatten());
                let patterns = patterns.chain(change.patterns.iter().flatten());
                let topics = topics.map(|name| What::Topic(name));
                let patterns = patterns.map(|text| What::Pattern(text));
                (Asks::Subscribe, topics.chain(patterns).collect())
            }
            Operation::Publish(request) => {
                (Asks::Publish, request.topics().map(What::Topic).collect())
            }
            // Somebody else may follow all of it from now on.
            Operation::Token { token } if app.access.has_issuers() => {
                who = app.access.bearer(token, app.hub.now_ms())?;
                let all = self.subscriptions.iter();
                present.extend(all.map(|one| one.follower.selection().clone()));
                (Asks::Subscribe, Vec::new())
            }
            _ => return Ok(true),
        };
        what.extend(present.iter().flat_map(|selection| all_of(selection)));
        let by = By { caller: who.caller(), peer: Some(self.peer) };
        let about = std::mem::take(&mut self.asking.about);
        // Meanwhile somebody else may have changed what is followed: that was not asked about.
        let is_same = || about.iter().map(Arc::as_ptr).eq(present.iter().map(Arc::as_ptr));
        match verdict {
            Some(Verdict::Allowed) if is_same() => return Ok(true),
            Some(Verdict::Allowed) => {}
            Some(verdict) => return Err(app.told(action, by, what.into_iter(), verdict)),
            None => {}
        }
        match app.open(action, by, what.into_iter())? {
            None => Ok(true),
            Some(open) => {
                self.asking.answer = Some(app.have_asked(action, by, open));
                self.asking.about = present;
                Ok(false)
            }
        }
    }
}
