//! What a late joiner is told is what the records say.

use serde_json::{Value, json};
use tidings_frame::End;
use tidings_relay::dialect::{Cause, Digest};

use crate::support::{Case, Event, cases, dialect, tell};

pub(crate) fn digest(name: &str, records: &[Event]) -> Digest {
    let mut digest = Digest::new(dialect(name));
    for (name, data) in records {
        digest.record(Some(name.as_str()).filter(|name| !name.is_empty()), data);
    }
    digest
}

fn find(name: &str) -> Case {
    cases().into_iter().find(|case| case.name == name).unwrap()
}

const PARIS: &str = "{\"city\":\"Paris\"}";

fn chat_snapshots() -> Vec<(&'static str, Value)> {
    vec![
        (
            "chat: half of a surrogate pair in each of two deltas",
            json!({
                "dialect": "chat", "id": "chatcmpl-9x", "model": "gpt-5-mini", "state": "completed",
                "text": "The sea é😀.", "finish_reason": "stop", "events": 7,
                "usage": {"prompt_tokens": 19, "completion_tokens": 3, "total_tokens": 22,
                    "completion_tokens_details": {"reasoning_tokens": 0}},
            }),
        ),
        (
            "chat: a tool call",
            json!({
                "dialect": "chat", "id": "chatcmpl-9x", "model": "gpt-5-mini", "state": "completed",
                "text": "", "finish_reason": "tool_calls", "events": 6,
                "tool_calls": [{"id": "call_1", "name": "weather", "arguments": PARIS}],
            }),
        ),
        (
            "chat: two choices",
            json!({
                "dialect": "chat", "id": "chatcmpl-9x", "model": "gpt-5-mini", "state": "completed",
                "text": "A", "finish_reason": "stop", "events": 8,
                "choices": [{"index": 0, "text": "A", "finish_reason": "stop"},
                    {"index": 1, "text": "Bb", "finish_reason": "length"}],
            }),
        ),
        (
            "chat: stopped",
            json!({
                "dialect": "chat", "id": "chatcmpl-9x", "model": "gpt-5-mini", "state": "cancelled",
                "text": "The", "events": 3,
            }),
        ),
    ]
}

fn other_snapshots() -> Vec<(&'static str, Value)> {
    vec![
        (
            "messages: thinking and a tool",
            json!({
                "dialect": "messages", "id": "msg_01", "model": "claude-sonnet-5",
                "state": "completed", "text": "", "reasoning": "Hm", "finish_reason": "tool_use",
                "tool_calls": [{"id": "toolu_1", "name": "weather", "arguments": PARIS}],
                "usage": {"input_tokens": 26, "cache_creation_input_tokens": 100,
                    "cache_read_input_tokens": 1000, "output_tokens": 89},
                "events": 12,
            }),
        ),
        (
            "messages: overloaded",
            json!({
                "dialect": "messages", "id": "msg_01", "model": "claude-sonnet-5",
                "state": "failed",
                "text": "The", "events": 4,
                "usage": {"input_tokens": 25, "cache_creation_input_tokens": 100,
                    "cache_read_input_tokens": 1000, "output_tokens": 2},
            }),
        ),
        (
            "responses: two parts",
            json!({
                "dialect": "responses", "id": "resp_1", "model": "gpt-5-mini", "state": "completed",
                "text": "The sea", "refusal": "I", "events": 14,
                "usage": {"input_tokens": 11, "input_tokens_details": {"cached_tokens": 0},
                    "output_tokens": 4, "output_tokens_details": {"reasoning_tokens": 0},
                    "total_tokens": 15},
            }),
        ),
        (
            "responses: numbers go on from the upstream's",
            json!({
                "dialect": "responses", "id": "resp_3", "model": null, "state": "cancelled",
                "text": "", "events": 5,
            }),
        ),
    ]
}

#[test]
fn a_snapshot_says_what_the_answer_says() {
    for (name, expected) in [chat_snapshots(), other_snapshots()].concat() {
        let case = find(name);
        assert_eq!(digest(&case.dialect, &case.stored).snapshot(), expected, "{name}");
    }
}

/// The response after these events, before the last ones.
fn response_before(name: &str, events: usize) -> Digest {
    let case = find(name);
    digest("responses", &case.stored[..events])
}

#[test]
fn a_response_is_rebuilt_from_what_came() {
    let none = response_before("responses: two parts", 0);
    assert_eq!((none.response(), none.response_with_status("failed")), (None, None));
    let early = response_before("responses: two parts", 6);
    let text = json!({"type": "output_text", "annotations": [], "logprobs": [], "text": "The sea"});
    let mut expected = json!({
        "id": "resp_1", "object": "response", "created_at": 1_795_353_343, "model": "gpt-5-mini",
        "status": "in_progress", "usage": null,
        "output": [{"id": "msg_1", "type": "message", "status": "in_progress",
            "role": "assistant", "content": [text]}],
    });
    assert_eq!(early.response().unwrap(), expected);
    expected["status"] = "cancelled".into();
    assert_eq!(early.response_with_status("cancelled").unwrap(), expected);
    // An item that is done is what the upstream says it is.
    let case = find("responses: two parts");
    let sent: Value = serde_json::from_str(&case.stored[12].1).unwrap();
    let done = response_before("responses: two parts", 13).response().unwrap();
    assert_eq!((&done["output"][0], &done["status"]), (&sent["item"], &"in_progress".into()));
    let refusing = response_before("responses: two parts", 10).response().unwrap();
    let content = &refusing["output"][0]["content"];
    assert_eq!(content[1], json!({"type": "refusal", "refusal": "I"}));
    // The upstream's own last word stands.
    let whole = response_before("responses: two parts", 14);
    let sent: Value = serde_json::from_str(&find("responses: two parts").stored[13].1).unwrap();
    assert_eq!(whole.response().unwrap(), sent["response"]);
    assert_eq!(whole.response_with_status("failed").unwrap(), sent["response"]);
}

#[test]
fn a_response_that_broke_says_so() {
    let stopped = find("responses: numbers go on from the upstream's");
    let response = digest("responses", &stopped.stored).response().unwrap();
    assert_eq!(response["status"], "cancelled");
    let slow = find("responses: lost in a restart");
    let response = digest("responses", &slow.stored).response().unwrap();
    assert_eq!(response["status"], "failed");
    assert_eq!(response["error"]["code"], "relay_restarted");
    assert_eq!(response["output"][0]["status"], "incomplete");
    assert_eq!(response["output"][0]["content"][0]["text"], "The");
}

#[test]
fn items_of_every_kind_are_rebuilt_before_they_close() {
    let name = "responses: items of every kind, closed late, without numbers and places";
    let open = response_before(name, 15);
    let snapshot = open.snapshot();
    assert_eq!((&snapshot["text"], &snapshot["reasoning"]), (&"d".into(), &"c".into()));
    assert_eq!(snapshot["tool_calls"][0]["arguments"], "{} ");
    assert_eq!(snapshot["tool_calls"][1]["id"], "fc_2");
    let output = &open.response().unwrap()["output"];
    assert_eq!(output[0]["summary"][1]["text"], "b");
    assert_eq!(output[2]["arguments"], "{} ");
}

#[test]
fn a_snapshot_at_any_cut_has_the_text_that_came() {
    let complete = cases().into_iter().filter(|case| case.cause.is_none() && case.dialect != "ui");
    for case in complete.filter(|case| case.end == End::Done) {
        let full = digest(&case.dialect, &case.stored).snapshot();
        let mut lengths = vec![];
        for cut in 0..=case.upstream.len() {
            let mut reader = case.reader();
            let told = tell(&mut reader, &case.upstream[..cut]);
            let so_far = digest(&case.dialect, &told.stored()).snapshot();
            let text = so_far["text"].as_str().unwrap().trim_end_matches('\u{fffd}').to_owned();
            assert!(full["text"].as_str().unwrap().starts_with(&text), "{}: {text}", case.name);
            lengths.push(text.len());
            let whole = told.end().is_some();
            let ended = matches!(so_far["state"].as_str(), Some("completed" | "incomplete"));
            assert_eq!(ended, whole, "{} after {cut}", case.name);
            if !whole {
                let mut told = told;
                reader.finish(false, &Cause::Broken("x".into()), &mut told.records);
                let broken = digest(&case.dialect, &told.stored()).snapshot();
                assert_eq!(broken["state"], "failed", "{}", case.name);
                assert_eq!(broken["text"], so_far["text"], "{}", case.name);
            }
        }
        assert!(lengths.is_sorted(), "{}: {lengths:?}", case.name);
    }
}

#[test]
fn text_with_quotes_at_its_ends_survives_its_part() {
    let mut events = find("responses: two parts").stored[..4].to_vec();
    events[3].1 = events[3].1.replace("\"text\":\"\"", r#""text":"\"a\"""#);
    assert_eq!(digest("responses", &events).snapshot()["text"], "\"a\"");
}
