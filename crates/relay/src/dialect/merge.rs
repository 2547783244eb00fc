//! Many deltas into one, for readers that are behind.
//!
//! Consecutive deltas of the same place (a choice, an item's part, a content block, a tool call's
//! arguments) become one delta of the same dialect, whose text is theirs joined as it is written,
//! so that it means the same to the byte. Only events that are nothing but a delta are touched: one
//! that bears anything else (usage, log probabilities, a member not heard of) passes as it is.

use std::ops::Range;

use super::json::{self, List, Raw, object};
use super::{Dialect, Record};

/// Most text in one merged delta, in bytes as it is written; what is more begins another.
const TEXT_BYTES_MAX: usize = 64 << 10;

object! {
    struct Chunk {
        id: Raw<'a> = "id",
        object: Raw<'a> = "object",
        created: Raw<'a> = "created",
        model: Raw<'a> = "model",
        system_fingerprint: Raw<'a> = "system_fingerprint",
        service_tier: Raw<'a> = "service_tier",
        provider: Raw<'a> = "provider",
        obfuscation: Raw<'a> = "obfuscation",
        choices: List<Choice<'a>> = "choices",
    }
    struct Choice {
        index: Raw<'a> = "index",
        delta: Delta<'a> = "delta",
    }
    struct Delta {
        role: Raw<'a> = "role",
        content: Raw<'a> = "content",
        reasoning_content: Raw<'a> = "reasoning_content",
        reasoning: Raw<'a> = "reasoning",
        refusal: Raw<'a> = "refusal",
        tool_calls: List<Call<'a>> = "tool_calls",
    }
    struct Call {
        index: Raw<'a> = "index",
        function: Function<'a> = "function",
    }
    struct Function {
        arguments: Raw<'a> = "arguments",
    }
    struct Event {
        kind: Raw<'a> = "type",
        sequence_number: Raw<'a> = "sequence_number",
        output_index: Raw<'a> = "output_index",
        content_index: Raw<'a> = "content_index",
        summary_index: Raw<'a> = "summary_index",
        item_id: Raw<'a> = "item_id",
        delta: Raw<'a> = "delta",
        logprobs: Raw<'a> = "logprobs",
        obfuscation: Raw<'a> = "obfuscation",
    }
    struct BlockDelta {
        kind: Raw<'a> = "type",
        index: Raw<'a> = "index",
        delta: BlockText<'a> = "delta",
    }
    struct BlockText {
        kind: Raw<'a> = "type",
        text: Raw<'a> = "text",
        thinking: Raw<'a> = "thinking",
        partial_json: Raw<'a> = "partial_json",
    }
    struct UiDelta {
        kind: Raw<'a> = "type",
        id: Raw<'a> = "id",
        tool_call_id: Raw<'a> = "toolCallId",
        delta: Raw<'a> = "delta",
        input_text_delta: Raw<'a> = "inputTextDelta",
    }
}

/// Merges the deltas among an answer's records, which come with their positions and in order. Each
/// record of the result has the position of the last one that went into it. The concatenated text
/// is the same, and so is what a [`Digest`](super::Digest) makes of it.
#[must_use]
pub fn merge<'r>(
    dialect: Dialect,
    records: impl Iterator<Item = (u64, Option<&'r str>, &'r str)>,
) -> Vec<(u64, Record)> {
    let piece = match dialect {
        Dialect::Chat => chat_piece,
        Dialect::Responses => responses_piece,
        Dialect::Messages => messages_piece,
    };
    merge_by(piece, dialect == Dialect::Responses, records)
}

/// Merges the deltas of a UI message stream, as [`merge`] does those of a dialect.
#[must_use]
pub fn merge_ui<'r>(
    records: impl Iterator<Item = (u64, Option<&'r str>, &'r str)>,
) -> Vec<(u64, Record)> {
    merge_by(ui_piece, false, records)
}

/// Which text a delta adds to. Members that are not there are equal to those of others.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Place<'r> {
    event_type: Option<&'r str>,
    kind: &'r str,
    name: Option<&'r str>,
    indices: [Option<u64>; 2],
}

/// A delta: its place, and its text as it is written.
type Piece<'r> = (Place<'r>, &'r str);

/// Deltas that are being merged.
struct Run<'r> {
    place: Place<'r>,
    position: u64,
    /// The event whose bytes the merged one has, and where its text is in them.
    data: &'r str,
    span: Range<usize>,
    /// All text, once there is more than one delta.
    text: Option<String>,
}

impl Run<'_> {
    fn close(self, merged: &mut Vec<(u64, Record)>) {
        let whole = self.text.and_then(|text| json::replace(self.data, self.span, &text));
        let data = whole.unwrap_or_else(|| self.data.to_owned());
        let event_type = self.place.event_type.map(str::to_owned);
        merged.push((self.position, Record { event_type, data }));
    }
}

/// `last` is whether the merged event has the last one's bytes rather than the first's: of
/// Responses events, so that it has the last one's number.
fn merge_by<'r>(
    piece: fn(Option<&'r str>, &'r str) -> Option<Piece<'r>>,
    last: bool,
    records: impl Iterator<Item = (u64, Option<&'r str>, &'r str)>,
) -> Vec<(u64, Record)> {
    let mut merged = Vec::new();
    let mut run: Option<Run<'r>> = None;
    for (position, event_type, data) in records {
        let found = piece(event_type, data);
        let Some((place, text, span)) =
            found.and_then(|(place, text)| Some((place, text, json::span(data, text)?)))
        else {
            if let Some(run) = run.take() {
                run.close(&mut merged);
            }
            let event_type = event_type.map(str::to_owned);
            merged.push((position, Record { event_type, data: data.to_owned() }));
            continue;
        };
        if let Some(run) = run.as_mut().filter(|run| run.place == place) {
            let so_far = run.text.get_or_insert_with(|| run.data[run.span.clone()].to_owned());
            if so_far.len() + text.len() <= TEXT_BYTES_MAX {
                so_far.push_str(text);
                run.position = position;
                if last {
                    (run.data, run.span) = (data, span);
                }
                continue;
            }
        }
        if let Some(full) = run.replace(Run { place, position, data, span, text: None }) {
            full.close(&mut merged);
        }
    }
    if let Some(run) = run {
        run.close(&mut merged);
    }
    merged
}

fn chat_piece<'r>(event_type: Option<&'r str>, data: &'r str) -> Option<Piece<'r>> {
    let chunk: Chunk<'r> = json::read(data)?;
    let choice = chunk.choices.only()?.clone();
    if chunk.others || choice.others || choice.delta.others {
        return None;
    }
    let delta = choice.delta;
    let texts = [
        ("content", delta.content),
        ("reasoning_content", delta.reasoning_content),
        ("reasoning", delta.reasoning),
        ("refusal", delta.refusal),
    ];
    let mut texts = texts.into_iter().filter_map(|(kind, raw)| {
        // What is not a string makes two of them, and so no piece.
        Some((kind, raw?)).filter(|(_, raw)| raw.get() != "\"\"")
    });
    let choice_index = json::whole(choice.index);
    let (kind, text, call_index) = match (texts.next(), texts.next(), delta.tool_calls.only()) {
        (Some((kind, raw)), None, None) => (kind, json::written(Some(raw))?, None),
        (None, None, Some(call)) if !call.others && !call.function.others => {
            let arguments = json::written(call.function.arguments)?;
            ("arguments", arguments, json::whole(call.index))
        }
        _ => return None,
    };
    let several_calls = kind != "arguments" && !delta.tool_calls.is_empty();
    let place = Place {
        event_type,
        kind,
        name: json::written(chunk.id),
        indices: [choice_index, call_index],
    };
    (!several_calls).then_some((place, text))
}

fn responses_piece<'r>(event_type: Option<&'r str>, data: &'r str) -> Option<Piece<'r>> {
    let event: Event<'r> = json::read(data)?;
    let kind = json::written(event.kind).or(event_type)?;
    let mergeable = matches!(
        kind,
        "response.output_text.delta"
            | "response.refusal.delta"
            | "response.reasoning_text.delta"
            | "response.reasoning_summary_text.delta"
            | "response.function_call_arguments.delta"
            | "response.custom_tool_call_input.delta"
    );
    let plain = !event.others && event.logprobs.is_none_or(|raw| raw.get() == "[]");
    let part = event.content_index.or(event.summary_index);
    let indices = [json::whole(event.output_index), json::whole(part)];
    let place = Place { event_type, kind, name: json::written(event.item_id), indices };
    (mergeable && plain).then_some((place, json::written(event.delta)?))
}

fn messages_piece<'r>(event_type: Option<&'r str>, data: &'r str) -> Option<Piece<'r>> {
    let event: BlockDelta<'r> = json::read(data)?;
    let delta = event.delta;
    let is_delta = json::written(event.kind) == Some("content_block_delta");
    if !is_delta || event.others || delta.others {
        return None;
    }
    let kind = json::written(delta.kind)?;
    let text = match (kind, delta.text, delta.thinking, delta.partial_json) {
        ("text_delta", text, None, None) => text,
        ("thinking_delta", None, thinking, None) => thinking,
        ("input_json_delta", None, None, partial_json) => partial_json,
        _ => return None,
    };
    let indices = [json::whole(event.index), None];
    Some((Place { event_type, kind, name: None, indices }, json::written(text)?))
}

fn ui_piece<'r>(event_type: Option<&'r str>, data: &'r str) -> Option<Piece<'r>> {
    let chunk: UiDelta<'r> = json::read(data)?;
    let kind = json::written(chunk.kind)?;
    let (name, text) = match kind {
        "text-delta" | "reasoning-delta" => (chunk.id, chunk.delta),
        "tool-input-delta" => (chunk.tool_call_id, chunk.input_text_delta),
        _ => return None,
    };
    let place = Place { event_type, kind, name: json::written(name), indices: [None, None] };
    (!chunk.others).then_some((place, json::written(text)?))
}
