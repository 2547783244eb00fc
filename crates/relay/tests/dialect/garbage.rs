//! Whatever an upstream sends, a reader neither panics nor loses it.

use proptest::prelude::*;
use serde_json::{Value, json};
use tidings_relay::dialect::{Cause, Dialect, Progress, Reader};

use crate::support::{Event, cases, tell};

const WORDS: &[&str] = &[
    "response.created",
    "response.output_text.delta",
    "response.output_item.added",
    "response.content_part.added",
    "response.output_item.done",
    "message_start",
    "error",
    "content_block_delta",
    "text_delta",
    "message_delta",
    "ping",
    "stop",
    "x",
    "",
    "\u{1f600}\n",
    "function_call",
    "message",
    "output_text",
    "{\"a\":1}",
    "[DONE]",
];

const KEYS: &[&str] = &[
    "type",
    "id",
    "model",
    "choices",
    "delta",
    "content",
    "finish_reason",
    "index",
    "usage",
    "error",
    "tool_calls",
    "function",
    "name",
    "arguments",
    "item",
    "item_id",
    "output_index",
    "content_index",
    "sequence_number",
    "response",
    "output",
    "part",
    "text",
    "message",
    "content_block",
    "partial_json",
    "thinking",
    "reasoning",
    "output_tokens",
    "call_id",
    "prompt_tokens",
    "completion_tokens",
    "input_tokens",
    "status",
    "summary",
    "refusal",
];

/// Members and values that the dialects know, in any arrangement.
fn document() -> impl Strategy<Value = Value> {
    let word = prop::sample::select(WORDS);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        Just(json!(u64::MAX)),
        (0_u64..3).prop_map(Value::from),
        word.prop_map(Value::from),
    ];
    let key = prop::sample::select(KEYS);
    leaf.prop_recursive(5, 40, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key.clone(), inner), 0..6).prop_map(|members| {
                Value::Object(members.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())
            }),
        ]
    })
}

pub(crate) fn event() -> impl Strategy<Value = Event> {
    let name = prop::sample::select(vec![
        "",
        "message",
        "error",
        "ping",
        "response.created",
        "response.output_text.delta",
        "content_block_delta",
        "odd \" name",
    ]);
    let data = prop_oneof![
        6 => document().prop_map(|document| document.to_string()),
        1 => ".{0,40}",
        1 => prop::sample::select(vec!["[DONE]", "", " ", "{", "{}", "[]", "\"\\ud83d\"", "{}{}"])
            .prop_map(str::to_owned),
    ];
    (name.prop_map(str::to_owned), data)
}

pub(crate) fn config() -> ProptestConfig {
    ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() }
}

fn readers() -> [Reader; 4] {
    let asked = Default::default();
    [
        Reader::new(Dialect::Chat, &asked),
        Reader::new(Dialect::Responses, &asked),
        Reader::new(Dialect::Messages, &asked),
        Reader::ui(&asked, "m\"1"),
    ]
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn nothing_makes_a_reader_panic(events in prop::collection::vec(event(), 0..12)) {
        for (at, mut reader) in readers().into_iter().enumerate() {
            let mut over = None;
            for (name, data) in &events {
                let mut out = Vec::new();
                let progress = reader.event(name, data, &mut out);
                let skipped = over.is_some()
                    || name == "ping"
                    || data.trim().is_empty()
                    || data.contains("\"ping\"")
                    || data.contains("\"usage\"");
                if let Progress::Over(end) = progress {
                    over = Some(end);
                }
                if at == 3 {
                    prop_assert!(out.iter().all(|record| is_ui(&record.data)), "{:?}", out);
                } else if !out.is_empty() {
                    // What came is there with all its bytes, or it was a bare end.
                    let kept = out.iter().any(|record| {
                        let without = data.replacen(",\"usage\":null", "", 1);
                        holds(&record.data, data) || holds(&record.data, &without)
                    });
                    prop_assert!(kept || data == "[DONE]", "{} became {:?}", data, out);
                } else {
                    prop_assert!(skipped, "{} {} was lost", name, data);
                }
            }
            let mut out = Vec::new();
            let end = reader.finish(true, &Cause::Broken("\u{0}\"\n".into()), &mut out);
            prop_assert_eq!(over.unwrap_or(end), end);
            prop_assert!(over.is_some() || !out.is_empty());
            for record in out {
                prop_assert!(is_ui(&record.data), "{:?}", record);
            }
            let _ = (reader.usage(), reader.answer_id(), reader.model());
        }
    }

    /// Conforming answers stay what they are however their texts look.
    #[test]
    fn conforming_answers_are_stored_byte_for_byte(
        texts in prop::collection::vec(".{0,12}", 1..8),
        pretty in any::<bool>(),
    ) {
        for (at, mut reader) in readers().into_iter().take(3).enumerate() {
            let events = answer(at, &texts, pretty);
            let told = tell(&mut reader, &events);
            prop_assert!(told.end().is_some());
            prop_assert_eq!(told.stored(), events);
        }
    }
}

/// Whether all bytes that came are stored, in order; members may have been added before a brace.
fn holds(stored: &str, came: &str) -> bool {
    let mut rest = stored;
    came.split('}').all(|part| {
        let found = rest.find(part).map(|at| rest = &rest[at + part.len()..]);
        found.is_some()
    })
}

/// Whether an AI SDK client can parse the data.
fn is_ui(data: &str) -> bool {
    data == "[DONE]" || serde_json::from_str::<serde::de::IgnoredAny>(data).is_ok()
}

fn written(value: &Value, pretty: bool) -> String {
    if pretty { serde_json::to_string_pretty(value).unwrap() } else { value.to_string() }
}

/// An answer with these deltas in the dialect with this number.
pub(crate) fn answer(dialect: usize, texts: &[String], pretty: bool) -> Vec<Event> {
    let mut events = Vec::new();
    let mut number = 0;
    let mut put = |name: &str, value: Value| {
        let mut value = value;
        if dialect > 0 {
            value["type"] = name.into();
        }
        if dialect == 1 {
            value["sequence_number"] = number.into();
            number += 1;
        }
        let name = if dialect == 0 { "" } else { name };
        events.push((name.to_owned(), written(&value, pretty)));
    };
    match dialect {
        0 => {
            for text in texts {
                put("", json!({"id": "c", "choices": [{"index": 0, "delta": {"content": text}}]}));
            }
            put("", json!({"id": "c", "choices": [{"delta": {}, "finish_reason": "stop"}]}));
            events.push((String::new(), "[DONE]".into()));
        }
        1 => {
            put("response.created", json!({"response": {"id": "r", "status": "in_progress"}}));
            let item = json!({"id": "m", "type": "message", "content": []});
            put("response.output_item.added", json!({"output_index": 0, "item": item}));
            let place = json!({"item_id": "m", "output_index": 0, "content_index": 0});
            let mut part = place.clone();
            part["part"] = json!({"type": "output_text", "text": ""});
            put("response.content_part.added", part);
            for text in texts {
                let mut delta = place.clone();
                delta["delta"] = text.as_str().into();
                put("response.output_text.delta", delta);
            }
            put("response.completed", json!({"response": {"id": "r", "status": "completed"}}));
        }
        _ => {
            put("message_start", json!({"message": {"id": "m", "usage": {"input_tokens": 1}}}));
            let block = json!({"type": "text", "text": ""});
            put("content_block_start", json!({"index": 0, "content_block": block}));
            for text in texts {
                let delta = json!({"type": "text_delta", "text": text});
                put("content_block_delta", json!({"index": 0, "delta": delta}));
            }
            put("content_block_stop", json!({"index": 0}));
            put("message_stop", json!({}));
        }
    }
    events
}

#[test]
fn transcripts_that_conform_are_among_the_cases() {
    for dialect in ["chat", "responses", "messages"] {
        assert!(cases().iter().any(|case| case.dialect == dialect && case.verbatim));
    }
}
