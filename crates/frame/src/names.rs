//! The rules of the small texts that come with an event: its type, its key, its publisher's id.
//!
//! They travel in headers, in SSE fields and in log lines, so none may hold a character that ends
//! one of those.

use crate::limits::{
    EVENT_TYPE_BYTES_MAX, IDEMPOTENCY_KEY_BYTES_MAX, KEY_BYTES_MAX, PUBLISHER_ID_BYTES_MAX,
};
use crate::topic::is_control;

/// Event types that a publisher may not use. `open` and `error` collide with the life cycle of a
/// browser's `EventSource` (WHATWG HTML 9.2); `gap` and `end` are what Tidings itself says.
pub const RESERVED_EVENT_TYPES: [&str; 4] = ["open", "error", "gap", "end"];

/// Why a type, key or id is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// No character at all.
    #[error("it is not empty")]
    Empty,
    /// More bytes than this limit.
    #[error("it has at most {0} bytes")]
    TooLong(usize),
    /// A control character, or U+2028 or U+2029, at this byte.
    #[error("it has no control characters (there is one at byte {0})")]
    Control(usize),
    /// One of [`RESERVED_EVENT_TYPES`].
    #[error("the types open, error, gap and end are reserved")]
    Reserved,
}

fn check(text: &str, bytes_max: usize) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if text.len() > bytes_max {
        return Err(NameError::TooLong(bytes_max));
    }
    match text.char_indices().find(|(_, character)| is_control(*character)) {
        Some((at, _)) => Err(NameError::Control(at)),
        None => Ok(()),
    }
}

/// Checks an event type: 1 to 128 bytes, no control characters, not reserved. `message` is allowed
/// and means the same as no type, which is what [`sent_event_type`] makes of it.
///
/// # Errors
///
/// The first rule that `text` breaks.
pub fn check_event_type(text: &str) -> Result<(), NameError> {
    check(text, EVENT_TYPE_BYTES_MAX)?;
    if RESERVED_EVENT_TYPES.contains(&text) {
        return Err(NameError::Reserved);
    }
    Ok(())
}

/// Checks an event type that another server chose: as [`check_event_type`], but the reserved types
/// are let through, because the readers of that server's stream listen for them already.
///
/// # Errors
///
/// The first rule that `text` breaks.
pub fn check_foreign_event_type(text: &str) -> Result<(), NameError> {
    check(text, EVENT_TYPE_BYTES_MAX)
}

/// The type that is worth sending: none for `message`, which every decoder assumes anyway.
#[must_use]
pub fn sent_event_type(text: &str) -> Option<&str> {
    (text != "message").then_some(text)
}

/// Checks the key of an event: 1 to 256 bytes, no control characters.
///
/// # Errors
///
/// The first rule that `text` breaks.
pub fn check_key(text: &str) -> Result<(), NameError> {
    check(text, KEY_BYTES_MAX)
}

/// Checks an id that a publisher gave an event: 1 to 256 bytes, no control characters.
///
/// # Errors
///
/// The first rule that `text` breaks.
pub fn check_publisher_id(text: &str) -> Result<(), NameError> {
    check(text, PUBLISHER_ID_BYTES_MAX)
}

/// Checks an `Idempotency-Key`: 1 to 256 bytes, no control characters.
///
/// # Errors
///
/// The first rule that `text` breaks.
pub fn check_idempotency_key(text: &str) -> Result<(), NameError> {
    check(text, IDEMPOTENCY_KEY_BYTES_MAX)
}
