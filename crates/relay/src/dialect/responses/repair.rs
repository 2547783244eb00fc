//! What some servers leave out of a Responses stream beside numbers and places.
//!
//! llama.cpp's server gives its tool calls no `id` and yet names them in `item_id`, and lets
//! reasoning begin without opening a part for it. The JavaScript client's `responses.stream` throws
//! at both. So a call is given the id that its deltas name, wherever it is told of, and a part that
//! was never opened is.

use super::super::Record;
use super::super::json::{self, List, Raw, object};
use super::{Event, Item};

object! {
    struct Output {
        output: List<Raw<'a>> = "output",
    }
}

/// The event with an id in every call that has none but a `call_id`. None if there is no such call.
pub(super) fn identify_calls(data: &str, event: &Event<'_>) -> Option<String> {
    let response: Output<'_> = json::within(event.response);
    let items = response.output.iter().copied().chain([event.item]).flatten();
    let nameless: Vec<_> =
        items.filter_map(|raw| Some((raw.get(), nameless(raw.get())?))).collect();
    let mut whole = None;
    // From the last to the first, so that the places before stay where they are.
    for (item, id) in nameless.into_iter().rev() {
        let place = json::span(data, item)?;
        let named = json::append(item, &format!("\"id\":\"{id}\""))?;
        let so_far = whole.as_deref().unwrap_or(data);
        whole = Some(json::replace(so_far, place, &named)?);
    }
    whole
}

/// The `call_id` of a call without an id.
fn nameless(item: &str) -> Option<&str> {
    let item: Item<'_> = json::read(item)?;
    let call = matches!(json::written(item.kind), Some("function_call" | "custom_tool_call"));
    json::some_text(item.call_id).filter(|_| call && item.id.is_none())
}

/// The event that opens a part for this kind of delta; `place` are its members that say where.
pub(super) fn opening(kind: &str, place: &str) -> Option<Record> {
    let (event, part) = match kind {
        "response.output_text.delta" => {
            ("response.content_part.added", r#"{"type":"output_text","annotations":[],"text":""}"#)
        }
        "response.refusal.delta" => {
            ("response.content_part.added", r#"{"type":"refusal","refusal":""}"#)
        }
        "response.reasoning_text.delta" => {
            ("response.content_part.added", r#"{"type":"reasoning_text","text":""}"#)
        }
        "response.reasoning_summary_text.delta" => {
            ("response.reasoning_summary_part.added", r#"{"type":"summary_text","text":""}"#)
        }
        _ => return None,
    };
    let data = format!(r#"{{"type":"{event}",{place},"part":{part}}}"#);
    Some(Record { event_type: Some(event.to_owned()), data })
}
