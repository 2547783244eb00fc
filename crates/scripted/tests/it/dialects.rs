//! The dialects, event by event.

use serde_json::{Value, json};
use tidings_scripted::{Finish, Script, Upstream, demo};

use crate::client::{self, Call, STREAM, body, cut_head, events};

/// An answer with everything in it.
fn rich() -> Script {
    Script::parts(Vec::new())
        .then_reasoning("Hm, tides.")
        .then_text("High \"tide\"\n潮")
        .then_call("tide_at", r#"{"port": "Keelung"}"#)
        .usage(10, 20)
}

/// The data of an answer's events as JSON, `[DONE]` as a string.
fn said(path: &str, request: &str, script: impl Fn() -> Script) -> Vec<(String, Value)> {
    let upstream = Upstream::start().unwrap();
    let script = script();
    upstream.play(move |_| script.clone());
    let (got, complete, _) = body(Call::post(&upstream, path, request));
    assert!(complete);
    let parsed = events(&got).into_iter().map(|(name, data)| {
        let data = if data == "[DONE]" { json!("[DONE]") } else { client::json(data) };
        (name.unwrap_or_default().to_owned(), data)
    });
    parsed.collect()
}

fn whole(path: &str, script: fn() -> Script) -> Value {
    let upstream = Upstream::start().unwrap();
    upstream.play(move |_| script());
    let (wire, _) = Call::post(&upstream, path, r#"{"model":"m"}"#).all();
    client::json(std::str::from_utf8(cut_head(&wire).1).unwrap())
}

#[test]
fn chat() {
    let request = r#"{"model":"m","stream":true,"stream_options":{"include_usage":true}}"#;
    let chunks = said("/v1/chat/completions", request, rich);
    assert!(chunks.iter().all(|(name, _)| name.is_empty()));
    let chunks: Vec<Value> = chunks.into_iter().map(|(_, data)| data).collect();
    let deltas: Vec<&Value> = chunks.iter().map(|chunk| &chunk["choices"][0]["delta"]).collect();
    assert_eq!(deltas[0], &json!({"role": "assistant", "content": ""}));
    assert_eq!(deltas[1], &json!({"reasoning_content": "Hm,"}));
    assert_eq!(deltas[2], &json!({"reasoning_content": " tides."}));
    assert_eq!(deltas[3], &json!({"content": "High"}));
    assert_eq!(deltas[4], &json!({"content": " \"tide\""}));
    assert_eq!(deltas[5], &json!({"content": "\n潮"}));
    let call = &deltas[6]["tool_calls"][0];
    assert_eq!((&call["index"], &call["type"]), (&json!(0), &json!("function")));
    assert_eq!(call["function"], json!({"name": "tide_at", "arguments": ""}));
    assert!(call["id"].as_str().unwrap().starts_with("call_"));
    let piece = |text: &str| json!({"tool_calls": [{"index": 0, "function": {"arguments": text}}]});
    assert_eq!(deltas[7], &piece("{\"port\":"));
    assert_eq!(deltas[8], &piece(" \"Keelung\"}"));
    assert_eq!(deltas[9], &json!({}));
    assert_eq!(chunks[9]["choices"][0]["finish_reason"], "tool_calls");
    assert!(chunks[..9].iter().all(|chunk| chunk["choices"][0]["finish_reason"].is_null()));
    assert!(chunks[..10].iter().all(|chunk| chunk.get("usage") == Some(&Value::Null)));
    assert_eq!(chunks[10]["choices"], json!([]));
    assert_eq!(chunks[10]["usage"]["total_tokens"], 30);
    assert_eq!(chunks[11], "[DONE]");
    assert_eq!(chunks.len(), 12);
    let id = chunks[0]["id"].as_str().unwrap();
    assert!(id.starts_with("chatcmpl-") && id.len() > 30, "{id}");
    assert!(chunks[..11].iter().all(|chunk| chunk["id"] == id && chunk["model"] == "m"));
    assert!(chunks[..11].iter().all(|chunk| chunk["object"] == "chat.completion.chunk"));
}

#[test]
fn chat_without_usage_with_choices_and_another_end() {
    let script = || Script::text("a").choices(2).finish(Finish::Length).without_end_marker();
    let chunks = said("/v1/chat/completions", STREAM, script);
    assert_eq!(chunks.len(), 6);
    for (place, (_, chunk)) in chunks.iter().enumerate() {
        assert_eq!(chunk["choices"][0]["index"], place % 2);
        assert_eq!(chunk.get("usage"), None);
    }
    assert_eq!(chunks[5].1["choices"][0]["finish_reason"], "length");
}

#[test]
fn responses() {
    let events = said("/v1/responses", STREAM, rich);
    let names: Vec<&str> = events.iter().map(|(name, _)| name.as_str()).collect();
    let expected = [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "reasoning_text.delta",
        "reasoning_text.delta",
        "reasoning_text.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ];
    assert_eq!(names, expected.map(|name| format!("response.{name}")));
    for (number, (name, data)) in events.iter().enumerate() {
        assert_eq!(data["type"], name.as_str());
        assert_eq!(data["sequence_number"], number);
    }
    let indices: Vec<&Value> =
        events[2..22].iter().map(|(_, data)| &data["output_index"]).collect();
    let items = [vec![0; 7], vec![1; 8], vec![2; 5]].concat();
    assert!(
        indices.into_iter().eq(items
            .into_iter()
            .map(|item| json!(item))
            .collect::<Vec<_>>()
            .iter())
    );
    assert_eq!(events[11].1["content_index"], 0);
    assert_eq!(events[11].1["delta"], "High");
    assert_eq!(events[11].1["item_id"], events[9].1["item"]["id"]);
    assert_eq!(events[14].1["text"], "High \"tide\"\n潮");
    assert_eq!(events[20].1["arguments"], r#"{"port": "Keelung"}"#);
    let response = &events[22].1["response"];
    assert_eq!(response["status"], "completed");
    assert_eq!(response["usage"]["total_tokens"], 30);
    assert_eq!(response["usage"]["output_tokens_details"]["reasoning_tokens"], 2);
    for (place, item) in [(8, 0), (16, 1), (21, 2)] {
        assert_eq!(response["output"][item], events[place].1["item"]);
    }
    assert!(response["id"].as_str().unwrap().starts_with("resp_"));
    assert_eq!(events[0].1["response"]["id"], response["id"]);
    assert_eq!(events[0].1["response"]["output"], json!([]));
}

#[test]
fn responses_without_indices_as_llama_server_says_them() {
    let events = said("/v1/responses", STREAM, || rich().without_indices());
    for (_, data) in &events {
        for key in ["sequence_number", "output_index", "content_index"] {
            assert_eq!(data.get(key), None);
        }
    }
    assert_eq!(events[11].1["delta"], "High");
}

#[test]
fn responses_in_the_background_can_be_taken_up_again() {
    let request = r#"{"stream":true,"background":true}"#;
    let all = said("/v1/responses", request, || rich().id("resp_1"));
    assert_eq!(all[0].1["response"]["status"], "queued");
    assert_eq!(all[1].0, "response.queued");
    for after in 0..all.len() - 1 {
        let rest = said("/v1/responses/resp_1", request, || {
            rich().id("resp_1").starting_after(after as u64)
        });
        assert_eq!(rest, all[after + 1..]);
    }
}

#[test]
fn responses_that_are_incomplete() {
    let events = said("/v1/responses", STREAM, || Script::text("a").finish(Finish::ContentFilter));
    let (name, data) = events.last().unwrap();
    assert_eq!(name, "response.incomplete");
    assert_eq!(data["response"]["incomplete_details"]["reason"], "content_filter");
}

#[test]
fn messages() {
    let events = said("/v1/messages", STREAM, || rich().pings(5));
    let names: Vec<&str> = events.iter().map(|(name, _)| name.as_str()).collect();
    let (start, delta) = ("content_block_start", "content_block_delta");
    let stop = "content_block_stop";
    let expected = [
        "message_start",
        "ping",
        start,
        delta,
        delta,
        delta,
        stop,
        start,
        delta,
        delta,
        delta,
        "ping",
        stop,
        start,
        delta,
        delta,
        stop,
        "message_delta",
        "message_stop",
    ];
    assert_eq!(names, expected);
    assert!(events.iter().all(|(name, data)| data["type"] == name.as_str()));
    assert_eq!(events[0].1["message"]["usage"]["input_tokens"], 10);
    assert_eq!(events[3].1["delta"], json!({"type": "thinking_delta", "thinking": "Hm,"}));
    assert_eq!(events[5].1["delta"]["type"], "signature_delta");
    assert_eq!(events[7].1["content_block"], json!({"type": "text", "text": ""}));
    assert_eq!(events[10].1["delta"], json!({"type": "text_delta", "text": "\n潮"}));
    assert_eq!(events[13].1["content_block"]["name"], "tide_at");
    let piece = json!({"type": "input_json_delta", "partial_json": " \"Keelung\"}"});
    assert_eq!((&events[15].1["delta"], &events[15].1["index"]), (&piece, &json!(2)));
    assert_eq!(events[17].1["delta"]["stop_reason"], "tool_use");
    assert_eq!(events[17].1["usage"]["output_tokens"], 20);
}

#[test]
fn whole_answers() {
    let chat = whole("/v1/chat/completions", rich);
    let message = &chat["choices"][0]["message"];
    assert_eq!(message["content"], "High \"tide\"\n潮");
    assert_eq!(message["reasoning_content"], "Hm, tides.");
    assert_eq!(message["tool_calls"][0]["function"]["arguments"], r#"{"port": "Keelung"}"#);
    assert_eq!(chat["usage"]["completion_tokens"], 20);
    let response = whole("/v1/responses", rich);
    assert_eq!(response["status"], "completed");
    assert_eq!(response["output"][1]["content"][0]["text"], "High \"tide\"\n潮");
    let message = whole("/v1/messages", rich);
    assert_eq!(message["content"][0]["thinking"], "Hm, tides.");
    assert_eq!(message["content"][2]["input"]["port"], "Keelung");
    assert_eq!(message["stop_reason"], "tool_use");
}

#[test]
fn ids_differ_and_nothing_else_does() {
    let answers = [(); 2].map(|()| said("/v1/chat/completions", STREAM, rich));
    let texts = answers.map(|answer| {
        let id = answer[0].1["id"].as_str().unwrap().to_owned();
        let text = serde_json::to_string(&answer.iter().map(|(_, data)| data).collect::<Vec<_>>());
        let text = text.unwrap().replace(id.trim_start_matches("chatcmpl-"), "ID");
        (id, text)
    });
    assert_ne!(texts[0].0, texts[1].0);
    assert_eq!(texts[0].1, texts[1].1);
}

#[test]
fn no_two_answers_of_an_upstream_have_the_same_id() {
    let upstream = Upstream::start().unwrap();
    let ids = [(); 3].map(|()| {
        let (got, ..) = body(Call::chat(&upstream));
        client::json(events(&got)[0].1)["id"].as_str().unwrap().to_owned()
    });
    assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2], "{ids:?}");
}

#[test]
fn stamps_are_times_of_the_monotonic_clock() {
    let before = tidings_scripted::monotonic_ns();
    let events = said("/v1/chat/completions", STREAM, || Script::text("a b").stamped());
    let after = tidings_scripted::monotonic_ns();
    let stamps: Vec<u64> = events[1..3]
        .iter()
        .map(|(_, data)| data["choices"][0]["delta"]["content"].as_str().unwrap())
        .map(|stamp| {
            assert_eq!(stamp.len(), 20);
            stamp.parse().unwrap()
        })
        .collect();
    assert!(before <= stamps[0] && stamps[0] <= stamps[1] && stamps[1] <= after);
}

#[test]
fn the_demonstration_says_what_it_is() {
    let upstream = Upstream::start().unwrap();
    upstream.play(demo());
    upstream.remember(0);
    let question = r#"{"model":"gpt","messages":[{"role":"user","content":"潮汐?"}]}"#;
    let (wire, _) = Call::post(&upstream, "/v1/chat/completions", question).all();
    let answer = client::json(std::str::from_utf8(cut_head(&wire).1).unwrap());
    assert_eq!(answer["model"], "scripted-demo");
    let text = answer["choices"][0]["message"]["content"].as_str().unwrap();
    assert!(text.contains("沒有任何模型在執行") && text.contains("「潮汐?」"), "{text}");
    let get = "GET /v1/models HTTP/1.1\r\nconnection: close\r\n\r\n";
    let (wire, _) = Call::send(&upstream, get).all();
    let models = client::json(std::str::from_utf8(cut_head(&wire).1).unwrap());
    assert_eq!(models["data"][0]["id"], "scripted-demo");
}
