//! The tool calls of a chat answer, put together from their parts.
//!
//! The first part has the call's id and its function's name, the others more of its arguments. That
//! is the document; in the wild every call has the index 0 and a new id, or no index, or its name
//! comes late.

use super::chat::Call;
use super::json::{self, Raw};

/// Most tool calls of one message; OpenAI allows 128 tools.
const CALLS_MAX: usize = 256;

/// Longest arguments of one tool call, in bytes as they are written. They are repeated whole when
/// complete, and must fit an event then.
const ARGUMENTS_BYTES_MAX: usize = 512 << 10;

/// Longest id or name of a tool call, in bytes as it is written.
const NAME_BYTES_MAX: usize = 1_024;

/// A tool call so far. Its texts are kept as they are written.
#[derive(Clone, Debug)]
pub(super) struct ToolCall {
    index: u64,
    pub(super) id: String,
    /// Empty until it comes.
    pub(super) name: String,
    pub(super) arguments: String,
    /// Whether arguments were left out, because they are longer than may be.
    pub(super) overlong: bool,
    /// Whether a writer has told of it.
    pub(super) started: bool,
}

/// Adds a part to the call it belongs to; gives the call and what was added to its arguments. None
/// if there are too many calls.
pub(super) fn take<'c, 'a>(
    calls: &'c mut Vec<ToolCall>,
    part: &Call<'a>,
) -> Option<(&'c mut ToolCall, &'a str)> {
    let call = find(calls, part)?;
    if call.name.is_empty() {
        named(part.function.name).unwrap_or_default().clone_into(&mut call.name);
    }
    let more = json::some_text(part.function.arguments).unwrap_or_default();
    call.overlong |= call.arguments.len() + more.len() > ARGUMENTS_BYTES_MAX;
    let more = if call.overlong { "" } else { more };
    call.arguments.push_str(more);
    Some((call, more))
}

/// The call that this is a part of, a new one if need be.
fn find<'c>(calls: &'c mut Vec<ToolCall>, part: &Call<'_>) -> Option<&'c mut ToolCall> {
    let id = named(part.id);
    let index = json::whole(part.index);
    let known = calls.iter().rposition(|call| match (index, id) {
        (Some(index), Some(id)) => call.index == index && call.id == id,
        (Some(index), None) => call.index == index,
        (None, Some(id)) => call.id == id,
        (None, None) => true,
    });
    let at = match known {
        Some(at) => at,
        None if calls.len() >= CALLS_MAX => return None,
        None => {
            let count = calls.len();
            calls.push(ToolCall {
                index: index.unwrap_or(count as u64),
                id: id.map_or_else(|| format!("call_{count}"), str::to_owned),
                name: String::new(),
                arguments: String::new(),
                overlong: false,
                started: false,
            });
            count
        }
    };
    calls.get_mut(at)
}

/// The id or name of a call, as it is written.
fn named(raw: Raw<'_>) -> Option<&str> {
    json::some_text(raw).filter(|name| name.len() <= NAME_BYTES_MAX)
}
