//! The AI SDK's chat protocol on top of chat completions: what `useChat` sends, what it reads.
//!
//! Only chunk types and values are used that versions 5, 6 and 7 of the SDK all know: its clients
//! throw at anything else, and that ends the stream.

mod request;
mod stream;

pub use request::{Allowed, UiRefusal, UiRequest, chat_request, chat_request_allowing};
pub(super) use stream::Ui;
