//! Who wants to know of an answer's end.
//!
//! What is to be said elsewhere is stored in one batch with the ledger's last word on the answer,
//! so that neither is there without the other, whenever the process ends.

use std::sync::Arc;

use tidings_frame::End;
use tidings_hub::NewEvent;

use crate::answer::ANSWERS;
use crate::ledger::Entry;

/// An answer that is over.
#[derive(Clone, Copy, Debug)]
pub struct Finished<'a> {
    /// Its relay's name.
    pub relay: &'a str,
    /// Its name.
    pub answer: &'a str,
    /// How it ended.
    pub end: End,
    /// The upstream's own id of it.
    pub response: Option<&'a str>,
    /// The model that answered.
    pub model: Option<&'a str>,
    /// The chat that it belongs to.
    pub chat: Option<&'a str>,
    /// Tokens of the request.
    pub input_tokens: u64,
    /// Tokens of the answer.
    pub output_tokens: u64,
    /// Whether the upstream did not say, and the tokens are those that were seen.
    pub estimated: bool,
    /// Milliseconds since 1970.
    pub began_ms: u64,
    /// Milliseconds since 1970.
    pub ended_ms: u64,
}

impl Finished<'_> {
    /// Its topic.
    #[must_use]
    pub fn topic(&self) -> String {
        format!("{ANSWERS}{}", self.answer)
    }
}

/// Says what is to be stored together with an answer's end.
pub type Announce = Arc<dyn Fn(&Finished<'_>) -> Vec<NewEvent<'static>> + Send + Sync>;

/// What is to be stored with this entry.
pub(crate) fn announced(
    announce: Option<&Announce>,
    relay: &str,
    entry: &Entry,
    now_ms: u64,
) -> Vec<NewEvent<'static>> {
    // What was refused is no answer: it has no topic.
    let Some((announce, end)) = announce.zip(entry.end).filter(|_| !entry.refused) else {
        return Vec::new();
    };
    announce(&Finished {
        relay,
        answer: &entry.answer,
        end,
        response: entry.response.as_deref(),
        model: entry.model.as_deref(),
        chat: entry.chat.as_deref(),
        input_tokens: entry.input_tokens,
        output_tokens: entry.output_tokens,
        estimated: entry.estimated,
        began_ms: entry.began_ms,
        ended_ms: now_ms,
    })
}
