//! Merged deltas say what the deltas said.

use proptest::prelude::*;
use serde_json::{Value, json};
use tidings_relay::dialect::{Dialect, Record, merge, merge_ui, sequence_number};

use crate::digest::digest;
use crate::garbage::{answer, config, event};
use crate::support::{Event, cases, dialect, sse};

const NAMES: [&str; 3] = ["chat", "responses", "messages"];

fn records(events: &[Event]) -> impl Iterator<Item = (u64, Option<&str>, &str)> {
    events.iter().enumerate().map(|(at, (name, data))| {
        (at as u64 * 3 + 1, Some(name.as_str()).filter(|name| !name.is_empty()), data.as_str())
    })
}

fn merged(name: &str, events: &[Event]) -> Vec<(u64, Record)> {
    if name == "ui" { merge_ui(records(events)) } else { merge(dialect(name), records(events)) }
}

fn events(merged: &[(u64, Record)]) -> Vec<Event> {
    let event = |(_, record): &(u64, Record)| {
        (record.event_type.clone().unwrap_or_default(), record.data.clone())
    };
    merged.iter().map(event).collect()
}

/// A snapshot without its count of records, and the response where there is one.
fn told(name: &str, events: &[Event]) -> (Value, Option<Value>) {
    let digest = digest(name, events);
    let mut snapshot = digest.snapshot();
    snapshot["events"].take();
    (snapshot, digest.response())
}

/// What holds of any merge.
fn check(name: &str, raw: &[Event]) -> Result<(), TestCaseError> {
    let merged = merged(name, raw);
    let positions: Vec<_> = merged.iter().map(|(position, _)| *position).collect();
    prop_assert!(positions.is_sorted_by(|a, b| a < b));
    prop_assert_eq!(positions.last().copied(), records(raw).last().map(|(at, ..)| at));
    let merged = events(&merged);
    prop_assert_eq!(&events(&self::merged(name, &merged)), &merged, "merging twice");
    if name != "ui" {
        prop_assert_eq!(told(name, &merged), told(name, raw));
    }
    Ok(())
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_digest_of_merged_records_is_that_of_the_records(
        events in prop::collection::vec(event(), 0..12),
    ) {
        for name in ["chat", "responses", "messages", "ui"] {
            check(name, &events)?;
        }
    }

    #[test]
    fn consecutive_deltas_become_one(texts in prop::collection::vec(".{1,12}", 1..8)) {
        for (number, name) in NAMES.into_iter().enumerate() {
            let raw = answer(number, &texts, number == 1);
            check(name, &raw)?;
            let merged = events(&merged(name, &raw));
            prop_assert_eq!(merged.len(), raw.len() - texts.len() + 1);
            let snapshot = told(name, &merged).0;
            prop_assert_eq!(snapshot["text"].as_str().unwrap(), texts.concat());
        }
    }
}

#[test]
fn every_transcript_merges() {
    let mut shorter = 0;
    for case in cases() {
        check(&case.dialect, &case.stored).unwrap();
        shorter += usize::from(merged(&case.dialect, &case.stored).len() < case.stored.len());
    }
    assert!(shorter > 20, "{shorter}");
}

#[test]
fn a_merged_delta_has_the_bytes_of_its_dialect() {
    let pick = |name: &str| cases().into_iter().find(|case| case.name == name).unwrap();
    let case = pick("responses: llama.cpp");
    let merged = self::merged("responses", &case.stored);
    let delta = &merged[4];
    // The number and the position of the last of six.
    assert_eq!((delta.0, sequence_number(&delta.1.data)), (28, Some(9)));
    let said: Value = serde_json::from_str(&delta.1.data).unwrap();
    assert_eq!(said["delta"], "The sea is a vast and");
    assert_eq!(said["item_id"], "msg_lAV3HGtUeAXeF9ZRsJdEy7M4G1RXPbzk");
    assert_eq!(delta.1.event_type.as_deref(), Some("response.output_text.delta"));
    let chat = pick("chat: half of a surrogate pair in each of two deltas");
    let merged = self::merged("chat", &chat.stored);
    let expected = chat.stored[1].1.replace("\"The\"", "\"The sea \\u00e9\\ud83d\\ude00.\"");
    assert_eq!((merged[1].0, merged[1].1.data.as_str()), (10, expected.as_str()));
    let ui = pick("ui: a tool call");
    let merged = self::merged("ui", &ui.stored);
    let expected = concat!(
        r#"{"type":"tool-input-delta","toolCallId":"call_1","#,
        r#""inputTextDelta":"{\"city\":\"Paris\"}"}"#
    );
    assert!(merged.iter().any(|(_, record)| record.data == expected), "{merged:?}");
}

/// What sets two deltas apart: whatever it is, they stay two.
#[test]
fn what_is_not_only_a_delta_is_left_alone() {
    let chat = |value: Value| {
        let mut chunk = json!({"id": "c", "choices": [{"index": 0, "delta": {"content": "x"}}]});
        let Value::Object(members) = value else { panic!() };
        for (path, value) in members {
            *chunk.pointer_mut(path.rsplit_once('/').unwrap().0).unwrap() = {
                let (parent, name) = path.rsplit_once('/').unwrap();
                let mut at = chunk.pointer(parent).unwrap().clone();
                at[name] = value;
                at
            };
        }
        (String::new(), chunk.to_string())
    };
    let plain = chat(json!({}));
    assert_eq!(merged("chat", &[plain.clone(), plain.clone()]).len(), 1);
    for odd in [
        json!({"/usage": {}}),
        json!({"/error": {}}),
        json!({"/id": "d"}),
        json!({"/novelty": 1}),
        json!({"/choices/0/index": 1}),
        json!({"/choices/0/finish_reason": "stop"}),
        json!({"/choices/0/logprobs": {}}),
        json!({"/choices/0/delta/refusal": "y"}),
        json!({"/choices/0/delta/audio": {}}),
        json!({"/choices/0/delta/content": 1}),
        json!({"/choices/0/delta/tool_calls": [{"index": 0, "function": {"arguments": ""}}]}),
    ] {
        let odd = chat(odd);
        let raw = [plain.clone(), odd.clone(), plain.clone()];
        assert_eq!(events(&merged("chat", &raw)), raw, "{}", odd.1);
    }
    let delta = |more: &str| {
        sse(&format!(
            "event: response.output_text.delta\ndata: {{\"type\":\"response.output_text.delta\",\
         \"output_index\":0,\"content_index\":0,\"item_id\":\"m\",\"delta\":\"x\"{more}}}\n\n"
        ))[0]
            .clone()
    };
    let plain = delta(",\"logprobs\":[],\"sequence_number\":1");
    assert_eq!(merged("responses", &[plain.clone(), plain.clone()]).len(), 1);
    for odd in [
        "\"logprobs\":[{}]",
        "\"novelty\":1",
        "\"content_index\":1",
        "\"item_id\":\"n\"",
        "\"type\":\"response.audio.delta\"",
        "\"delta\":1",
    ] {
        let raw = [plain.clone(), delta(&format!(",{odd}")), plain.clone()];
        assert_eq!(events(&merged("responses", &raw)), raw, "{odd}");
    }
}

#[test]
fn a_merged_delta_has_a_limit() {
    let texts = vec!["x".repeat(1_000); 200];
    for (number, name) in NAMES.into_iter().enumerate() {
        let raw = answer(number, &texts, false);
        let merged = events(&merged(name, &raw));
        let deltas = merged.len() - (raw.len() - texts.len());
        assert_eq!(deltas, 4, "{name}");
        assert!(merged.iter().all(|(_, data)| data.len() < (64 << 10) + 200));
        assert_eq!(told(name, &merged), told(name, &raw));
    }
    assert!(merge(Dialect::Chat, std::iter::empty()).is_empty());
}
