//! What an LLM's answer looks like on the wire of each API, as state machines without I/O.
//!
//! A [`Dialect`] is chosen by the request's path. A [`Reader`] is fed the events of the upstream's
//! stream and says what to store: nearly always the event as it came, byte for byte. It knows when
//! an answer is complete, so that one that merely stops is told apart from one that ended, and
//! it writes the error object that the dialect's clients raise on. What was stored can be read back
//! as one document ([`Digest`]) or with its deltas merged ([`merge()`]).

mod chat;
mod digest;
mod failure;
mod json;
mod merge;
mod messages;
mod reader;
mod request;
mod responses;
mod tool_calls;
pub mod ui;

pub use digest::Digest;
pub use merge::{merge, merge_ui};
pub use reader::{Reader, Usage};
pub use request::{Asked, NotARequest, ask_for_usage};
pub use responses::sequence_number;

use tidings_frame::End;

/// An event to be stored in an answer's topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// The name of the SSE event, none for a plain one.
    pub event_type: Option<String>,
    /// The data, as the upstream sent it unless something had to be added.
    pub data: String,
}

/// The API that a request speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// OpenAI chat completions (`chat/completions`), and the older `completions`, whose chunks have
    /// a text where a chat's have a delta.
    Chat,
    /// OpenAI Responses (`responses`).
    Responses,
    /// Anthropic Messages (`messages`).
    Messages,
}

/// Why an answer ends before it is complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The upstream's body ended, or its connection broke.
    Broken(String),
    /// Nothing came for too long, or it took too long altogether.
    TimedOut(String),
    /// Somebody who may stopped it.
    Stopped,
    /// The relay itself went down while the answer was running.
    Lost,
}

/// What an event of the upstream meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Nothing of the answer itself: a role, a ping, an opening.
    Opening,
    /// A part of the answer: from now on another upstream cannot take over.
    Token,
    /// The answer is over; the upstream need not be read further.
    Over(End),
}
