//! What clients ask for, done in the order in which they ask.

use serde_json::{Value, json};
use tidings_frame::ErrorCode;
use tidings_frame::api::ConnectionChange;
use tidings_frame::limits::WEBSOCKET_SUBSCRIPTIONS_MAX;
use tokio::time::Instant;
use tungstenite::protocol::frame::Utf8Bytes;

use super::connection::Connection;
use super::message;
use super::publishing::{Staged, publish};
use super::request::{Operation, Reference, Request};
use super::subscription::Subscription;
use crate::error::ApiError;
use crate::hook::Verdict;
use crate::http::connections::{Next, object_of};
use crate::http::subscribe::Subscribe;
use crate::limits::{Admission, PAUSE, Party};

impl Connection {
    /// Does what is asked for. Publishes that follow each other share a round.
    pub(super) fn operate(&mut self, texts: &[Utf8Bytes]) {
        self.operate_after(None, texts);
    }

    /// The same, where the application has said something about the first of them. Its word counts
    /// for that one alone, whatever comes of it; what it takes of limits was taken before the
    /// application was asked.
    pub(super) fn operate_after(&mut self, mut verdict: Option<Verdict>, texts: &[Utf8Bytes]) {
        let app = self.app.clone();
        let mut staged: Vec<Staged<'_>> = Vec::new();
        let mut place = self.asking.place.take();
        for (at, text) in texts.iter().enumerate() {
            let verdict = verdict.take();
            let Request { reference, operation } = Request::read(&app, &self.who, text.as_str());
            let operation = operation.and_then(|operation| match operation {
                Operation::Publish(request) => {
                    request.judge(&self.who)?;
                    if verdict.is_none() {
                        app.limits.publish(&app.hub, self.party(), &request.events)?;
                    } else {
                        app.limits.goes_on(&app.hub, self.party(), &request.events);
                    }
                    Ok(Operation::Publish(request))
                }
                Operation::Subscribe { sub, mut asked } => {
                    let taken = place.take().filter(|_| verdict.is_some());
                    asked.admission = taken.map_or_else(|| self.place_for(&sub), Ok)?;
                    Ok(Operation::Subscribe { sub, asked })
                }
                other => Ok(other),
            });
            let operation = match operation {
                Ok(operation) => match self.may_do(&operation, verdict) {
                    Ok(true) => Ok(operation),
                    Ok(false) => {
                        if let Operation::Subscribe { asked, .. } = operation {
                            self.asking.place = Some(asked.admission);
                        }
                        self.publish(&mut staged);
                        return self.asking.hold(&texts[at..]);
                    }
                    Err(error) => Err(error),
                },
                refused => refused,
            };
            if let Ok(Operation::Publish(request)) = operation {
                let operator = request.is_operators(&self.who);
                staged.push(Staged { reference, request, operator });
                continue;
            }
            self.publish(&mut staged);
            let done = match operation {
                Ok(operation) => self.do_one(operation, reference.as_ref()),
                Err(error) => Err(error),
            };
            if let Err(error) = done {
                app.refused(None, &error, Some(self.peer));
                let who = self.who.told();
                self.app.audit.message_refused(&self.app, &who, self.peer.address, &error);
                if error.makes_wait() {
                    self.paused = Some(Instant::now() + PAUSE);
                }
                self.output.text(&message::error(reference.as_ref(), &error));
            }
        }
        self.publish(&mut staged);
    }

    fn publish(&mut self, staged: &mut Vec<Staged<'_>>) {
        let output = &mut self.output;
        publish(&self.app, (self.peer, &self.who), staged, &self.receipts, |answer| {
            output.text(&answer)
        });
    }

    fn do_one(
        &mut self,
        operation: Operation<'_>,
        reference: Option<&Reference>,
    ) -> Result<(), ApiError> {
        match operation {
            Operation::Subscribe { sub, asked } => self.subscribe(sub, asked, reference.cloned()),
            Operation::Unsubscribe { sub } => {
                let at = self.find(&sub)?;
                self.unsubscribe(at, reference);
                Ok(())
            }
            Operation::Change { sub, change } => self.change(&sub, change, reference),
            Operation::Token { token } => {
                self.renew(&token)?;
                self.output.text(&message::message("accepted", reference, &Value::Null));
                Ok(())
            }
            Operation::Ping => {
                self.output.text(&message::message("pong", reference, &Value::Null));
                Ok(())
            }
            // Taken together with others.
            Operation::Publish(_) => Ok(()),
        }
    }

    /// What a subscription of this name takes of the limits: before the application is asked, so
    /// that nobody has more that wait than may be.
    fn place_for(&self, sub: &str) -> Result<Admission, ApiError> {
        if self.find(sub).is_ok() {
            return Err(ApiError::parameter("sub", "a subscription has that name already"));
        }
        if self.subscriptions.len() >= WEBSOCKET_SUBSCRIPTIONS_MAX {
            let why = format!("a connection has at most {WEBSOCKET_SUBSCRIPTIONS_MAX}");
            return Err(ApiError::parameter("sub", why));
        }
        Ok(self.app.limits.subscription(self.party())?)
    }

    /// Who asks now, as limits see it.
    fn party(&self) -> Party {
        self.app.limits.of(self.party, self.who.caller())
    }

    pub(super) fn find(&self, sub: &str) -> Result<usize, ApiError> {
        let at = self.subscriptions.iter().position(|one| one.name == sub);
        at.ok_or_else(|| {
            let detail = format!("there is no subscription {sub:?} on this connection");
            ApiError::new(ErrorCode::ConnectionNotFound, detail)
        })
    }

    fn subscribe(
        &mut self,
        sub: String,
        asked: Subscribe,
        reference: Option<Reference>,
    ) -> Result<(), ApiError> {
        if self.app.is_draining() {
            return Err(ApiError::draining());
        }
        let subscription = Subscription::new(&self.app, self.peer, sub, reference, asked);
        self.subscriptions.push(subscription);
        Ok(())
    }

    /// Ends a subscription; nothing of it comes after the answer.
    pub(super) fn unsubscribe(&mut self, at: usize, reference: Option<&Reference>) {
        let subscription = self.subscriptions.remove(at);
        let begun = subscription.follower.has_begun();
        let after = begun.then(|| subscription.position());
        let members = json!({"sub": subscription.name, "after": after});
        self.output.text(&message::message("unsubscribed", reference, &members));
    }

    fn change(
        &mut self,
        sub: &str,
        change: ConnectionChange<'_>,
        reference: Option<&Reference>,
    ) -> Result<(), ApiError> {
        let at = self.find(sub)?;
        let next = Next::read(&self.app, &self.who, change)?;
        let subscription = &mut self.subscriptions[at];
        if !subscription.follower.has_begun() {
            let detail = "the subscription has not begun; wait for its `subscribed`";
            return Err(ApiError::new(ErrorCode::InvalidRequest, detail));
        }
        let next = next.of(&self.app, &self.who, subscription.follower.selection())?;
        // The connection's own token has judged all of it.
        subscription.caller = None;
        subscription.follower.show_private(next.private);
        let changed = subscription.change(next.selection);
        let mut members = object_of(&self.app, &changed);
        members["sub"] = sub.into();
        self.output.text(&message::message("changed", reference, &members));
        Ok(())
    }
}
