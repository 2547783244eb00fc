//! What of an answer must outlive the process: that it was begun, what it belongs to, how it ended
//! and what it cost.
//!
//! The ledger is a topic of each relay, with the answer's name as key: its newest entry counts.
//! An entry is written before the upstream is asked, so that after a crash nobody pays twice for
//! what was already begun, and once more at the end, so that usage is counted once whoever dies.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use tidings_frame::End;
use tidings_hub::{Hub, NewEvent, PublishError, StoreError};

use crate::dialect::Dialect;
use crate::store;

/// The topics of ledgers: this and the relay's name.
pub(crate) const LEDGERS: &str = "$relay/";

/// One answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) answer: String,
    pub(crate) dialect: Dialect,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) ui: bool,
    pub(crate) owner: String,
    pub(crate) asked: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) chat: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) response: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) model: Option<String>,
    pub(crate) began_ms: u64,
    /// The position before its first event.
    pub(crate) before: u64,
    /// Whether the upstream goes on with it by itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) background: bool,
    /// Whether the upstream answered without a stream: there is no topic, and the same request is
    /// a new one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) refused: bool,
    /// How it ended; none while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) end: Option<End>,
    #[serde(default)]
    pub(crate) input_tokens: u64,
    #[serde(default)]
    pub(crate) output_tokens: u64,
    /// Whether the upstream did not say and the tokens are those that were seen.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) estimated: bool,
}

impl Entry {
    pub(crate) fn tokens(&self) -> u64 {
        self.input_tokens.saturating_add(self.output_tokens)
    }
}

/// Writes an entry, and `said` in the same batch.
pub(crate) fn write(
    hub: &Hub,
    relay: &str,
    entry: &Entry,
    said: Vec<NewEvent<'static>>,
) -> Result<u64, PublishError> {
    let data = serde_json::to_vec(entry).expect("text and numbers can be written as JSON");
    let mut events = vec![NewEvent {
        topic: Cow::Owned(format!("{LEDGERS}{relay}")),
        key: Some(Cow::Borrowed(&entry.answer)),
        data: Cow::Owned(data),
        ..NewEvent::default()
    }];
    events.extend(said);
    store::publish(hub, &events)
}

/// Hands out the entries, oldest answer first.
pub(crate) fn read(hub: &Hub, relay: &str, each: &mut dyn FnMut(Entry)) -> Result<(), StoreError> {
    store::read(hub, &format!("{LEDGERS}{relay}"), 0, &mut |event| match serde_json::from_slice(
        &event.data,
    ) {
        Ok(entry) => each(entry),
        Err(error) => tracing::warn!(%error, id = %event.id, "an entry of the ledger"),
    })?;
    Ok(())
}
