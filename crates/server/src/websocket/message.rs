//! What the server says: one JSON object in each text message, with `op` first.

use serde_json::{Map, Value, json};
use tidings_frame::{End, Position};
use tidings_hub::Gap;

use super::request::Reference;
use crate::error::ApiError;
use crate::http::history::notice;

/// What stands behind the events of a message.
pub(super) const AFTER_EVENTS: &[u8] = b"]}";

/// What stands before the events of a message.
pub(super) fn before_events(sub: &str) -> Vec<u8> {
    let mut out = b"{\"op\":\"events\",\"sub\":".to_vec();
    write_value(&sub.into(), &mut out);
    out.extend_from_slice(b",\"events\":[");
    out
}

/// A message with these members.
pub(super) fn message(op: &str, reference: Option<&Reference>, members: &Value) -> Vec<u8> {
    let mut all = Map::new();
    all.insert("op".to_owned(), op.into());
    if let Some(reference) = reference {
        all.insert("ref".to_owned(), reference.0.clone());
    }
    if let Value::Object(members) = members {
        all.extend(members.clone());
    }
    let mut out = Vec::new();
    write_value(&all.into(), &mut out);
    out
}

/// The refusal of a request.
pub(super) fn error(reference: Option<&Reference>, error: &ApiError) -> Vec<u8> {
    let mut members = json!({"problem": &*error.problem});
    if let Some(("retry-after", seconds)) = &error.header {
        members["problem"]["retry_after"] = json!(seconds.parse::<u64>().unwrap_or(1));
    }
    message("error", reference, &members)
}

/// A receipt; `answer` is the object that the HTTP route answers with.
pub(super) fn receipt(op: &str, reference: Option<&Reference>, answer: &[u8]) -> Vec<u8> {
    let mut out = message(op, reference, &Value::Null);
    out.pop();
    out.push(b',');
    let answer = answer.trim_ascii_end();
    out.extend_from_slice(answer.strip_prefix(b"{").unwrap_or(answer));
    out
}

/// What is missing in a subscription.
pub(super) fn gap(sub: &str, gap: &Gap) -> Vec<u8> {
    let mut members = serde_json::to_value(notice(gap)).unwrap_or_default();
    members["sub"] = sub.into();
    message("gap", None, &members)
}

/// The end of a subscription whose only topic has ended.
pub(super) fn end(sub: &str, id: Position, reason: End) -> Vec<u8> {
    message("end", None, &json!({"sub": sub, "id": id, "reason": reason}))
}

fn write_value(value: &Value, out: &mut Vec<u8>) {
    serde_json::to_writer(out, value).expect("a Vec takes every byte and the keys are text");
}
