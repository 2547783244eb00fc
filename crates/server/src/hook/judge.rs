//! The doors' side of the hook: what of a request is asked about, and how its client is told.
//!
//! It comes after tokens and open doors have been looked at, and before anything is looked up:
//! neither an answer nor the time it takes tells whether a topic exists. Whoever is refused is told
//! what somebody is told whose token does not grant it.

use std::sync::Arc;

use serde_json::json;
use tidings_access::{Action, Caller};
use tidings_frame::ErrorCode;
use tidings_hub::Selection;

use super::{Asker, ForWhom, Hook, Known, Verdict, What};
use crate::app::App;
use crate::config::Asks;
use crate::error::ApiError;
use crate::head::Head;
use crate::peer::Peer;

/// Who makes a request: whose token, and from where.
#[derive(Clone, Copy)]
pub(crate) struct By<'a> {
    pub(crate) caller: Option<&'a Arc<Caller>>,
    pub(crate) peer: Option<Peer>,
}

impl By<'_> {
    fn for_whom(&self) -> ForWhom<'_> {
        ForWhom {
            identity: self.caller.map(|caller| &*caller.identity),
            tenant: self.caller.and_then(|caller| caller.tenant.as_deref()),
            address: self.peer.map(|peer| peer.address.ip()),
        }
    }

    fn asker(&self) -> Asker {
        let claims = self.caller.map_or_else(
            || json!({}),
            |caller| {
                json!({
                    "jti": caller.token_id,
                    "tenant": caller.tenant,
                    "iat": caller.issued,
                    "exp": caller.expires,
                })
            },
        );
        Asker {
            identity: self.caller.map(|caller| caller.identity.clone()),
            tenant: self.caller.and_then(|caller| caller.tenant.clone()),
            subject: self.caller.and_then(|caller| caller.subject.clone()),
            peer: self.peer.map(|peer| peer.address.ip()),
            claims,
        }
    }
}

/// What the application has to be asked about; nothing if it is known to be allowed.
pub(crate) type Open<'a> = Option<(&'a Arc<Hook>, Vec<What<'a>>)>;

impl App {
    /// Whether a subscription that this request asks for may have to be asked about.
    pub(crate) fn asks_about_following(&self, head: &Head<'_>) -> bool {
        let Some(hook) = &self.hook else { return false };
        let topic = head.after("/topics/").and_then(|path| crate::http::topic_of(path).ok());
        let concerns = |topic| hook.concerns(&What::Topic(topic));
        hook.asks_about(Asks::Subscribe) && topic.as_deref().is_none_or(concerns)
    }

    /// What of this the application has to be asked about.
    ///
    /// # Errors
    /// When it is known to be refused.
    pub(crate) fn open<'a>(
        &'a self,
        action: Asks,
        by: By<'_>,
        what: impl Iterator<Item = What<'a>> + Clone,
    ) -> Result<Open<'a>, ApiError> {
        let Some(hook) = &self.hook else { return Ok(None) };
        match hook.known(action, by.for_whom(), what.clone()) {
            Known::Allowed => Ok(None),
            Known::Refused => Err(self.told(action, by, what, Verdict::Refused)),
            Known::Ask(what) => Ok(Some((hook, what))),
        }
    }

    /// Refuses what the application refuses, or does not answer, and whoever does not count any
    /// more when it has answered.
    pub(crate) async fn ask<'a>(
        &'a self,
        action: Asks,
        by: By<'_>,
        what: impl Iterator<Item = What<'a>> + Clone,
    ) -> Result<(), ApiError> {
        let Some((hook, open)) = self.open(action, by, what)? else { return Ok(()) };
        match hook.ask(action, &by.asker(), &open).await {
            Verdict::Allowed => {
                self.access.still(by.caller.map(|caller| &**caller), self.hub.now_ms())
            }
            verdict => Err(self.told(action, by, open.into_iter(), verdict)),
        }
    }

    /// Asks about a subscription, or about reading.
    pub(crate) async fn ask_to_follow(
        &self,
        by: By<'_>,
        selection: &Selection,
    ) -> Result<(), ApiError> {
        self.ask(Asks::Subscribe, by, all_of(selection)).await
    }

    /// Asks about publishing.
    pub(crate) async fn ask_to_publish<'a>(
        &'a self,
        by: By<'_>,
        topics: impl Iterator<Item = &'a str> + Clone,
    ) -> Result<(), ApiError> {
        self.ask(Asks::Publish, by, topics.map(What::Topic)).await
    }

    /// Has the question asked elsewhere; what is returned gets the verdict.
    pub(crate) fn have_asked(
        &self,
        action: Asks,
        by: By<'_>,
        (hook, what): (&Arc<Hook>, Vec<What<'_>>),
    ) -> tokio::sync::oneshot::Receiver<Verdict> {
        let (tell, verdict) = tokio::sync::oneshot::channel();
        let (hook, asker) = (hook.clone(), by.asker());
        let what: Vec<super::Owned> = what.into_iter().map(Into::into).collect();
        let asks = hook.clone();
        hook.spawn(async move {
            let what: Vec<What<'_>> = what.iter().map(super::Owned::borrow).collect();
            // Whoever asked may have gone.
            let _ = tell.send(asks.ask(action, &asker, &what).await);
        });
        verdict
    }

    /// How the client is told of a verdict that is not in its favour.
    pub(crate) fn told<'a>(
        &self,
        action: Asks,
        by: By<'_>,
        mut what: impl Iterator<Item = What<'a>>,
        verdict: Verdict,
    ) -> ApiError {
        if verdict == Verdict::Unanswered {
            let detail = "what decides about this request does not answer; try again";
            return ApiError::new(ErrorCode::Overloaded, detail);
        }
        let first = match what.next() {
            Some(What::Topic(text) | What::Pattern(text)) => text,
            None => "this",
        };
        let right = match action {
            Asks::Subscribe => Action::Subscribe,
            Asks::Publish => Action::Publish,
        };
        self.access.refusal(by.caller, right, first)
    }
}

/// All that a selection names.
pub(crate) fn all_of(selection: &Selection) -> impl Iterator<Item = What<'_>> + Clone {
    let topics = selection.topics().iter().map(|topic| What::Topic(topic.as_str()));
    topics.chain(selection.patterns().iter().map(|pattern| What::Pattern(pattern.as_str())))
}
