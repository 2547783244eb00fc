//! The AI SDK's routes, as `useChat` uses them. That the SDK itself understands what comes is for
//! the tests with the real one.

use std::time::Duration;

use serde_json::{Value, json};
use tidings_scripted::{At, Fault, Script};

use crate::relay::{Answered, Relay};
use crate::support::until;

fn posted(chat: &str) -> Value {
    json!({"id": chat, "trigger": "submit-message", "messages": [
        {"id": "m1", "role": "user", "parts": [{"type": "text", "text": "hello"}]},
    ]})
}

/// The types of the chunks, without the last line.
fn types(answered: &Answered) -> Vec<String> {
    let chunk = |data: String| serde_json::from_str::<Value>(&data).ok();
    let chunks = answered.data().into_iter().filter_map(chunk);
    chunks.map(|chunk| chunk["type"].as_str().unwrap().to_owned()).collect()
}

fn delta(answered: &Answered) -> String {
    let chunk = |data: String| serde_json::from_str::<Value>(&data).ok();
    let chunks = answered.data().into_iter().filter_map(chunk);
    chunks
        .filter(|chunk| chunk["type"] == "text-delta")
        .map(|chunk| chunk["delta"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_chat_is_answered_in_the_sdks_protocol() {
    let relay = Relay::start();
    relay.play(Script::text("one two three"));
    let answered = Answered::read(relay.ask("/api/chat", "", &posted("c1")), usize::MAX);
    assert_eq!(answered.status, 200, "{answered:?}");
    assert_eq!(answered.header("x-vercel-ai-ui-message-stream"), "v1");
    assert_eq!(delta(&answered), "one two three");
    let types = types(&answered);
    assert_eq!(types[..3], ["start", "start-step", "text-start"]);
    assert_eq!(types[types.len() - 3..], ["text-end", "finish-step", "finish"]);
    assert_eq!(answered.data().last().unwrap(), "[DONE]");
    let request = relay.upstream.received()[0].json();
    assert_eq!(request["messages"], json!([{"role": "user", "content": "hello"}]));
    assert_eq!((&request["model"], &request["stream"]), (&json!("scripted"), &json!(true)));
}

#[test]
fn reasoning_and_tool_calls_are_told() {
    let relay = Relay::start();
    let script = Script::text("let me see").then_call("weather", r#"{"city":"台北"}"#);
    relay.play(script.then_reasoning("hm"));
    let answered = Answered::read(relay.ask("/api/chat", "", &posted("c1")), usize::MAX);
    let types = types(&answered);
    for wanted in ["reasoning-start", "reasoning-delta", "tool-input-start", "tool-input-available"]
    {
        assert!(types.iter().any(|has| has == wanted), "{wanted} in {types:?}");
    }
}

#[test]
fn a_reload_finds_the_chat_and_a_stop_ends_it() {
    let relay = Relay::start();
    relay.play(Script::text("one two three").fault(Fault::hang(At::Token(2))));
    assert_eq!(relay.server.get("/api/chat/c%201/stream").status, 204, "nothing runs");
    let mut first = relay.ask("/api/chat", "", &posted("c 1"));
    first.head().unwrap();
    until("two tokens", || relay.upstream.look(|s| s.answer(0).is_some_and(|a| a.tokens == 2)));
    drop(first);
    let mut again = relay.server.connect();
    again.ask("GET", "/api/chat/c%201/stream", "", b"");
    let head = again.head().unwrap();
    assert!(head.contains("x-vercel-ai-ui-message-stream: v1"), "{head}");
    let mut raw = String::new();
    while !raw.contains("two") {
        assert!(again.read_more(), "{raw}");
        raw.push_str(std::str::from_utf8(&again.take_input()).unwrap());
    }
    assert_eq!(relay.server.request("POST", "/api/chat/c%201/stop", "", b"").status, 204);
    assert_eq!(relay.server.request("POST", "/api/chat/c%201/stop", "", b"").status, 204);
    raw.push_str(&String::from_utf8(again.rest()).unwrap());
    assert!(raw.contains("\"start\"") && raw.contains("one") && raw.contains("abort"), "{raw}");
    assert_eq!(relay.server.get("/api/chat/c%201/stream").status, 204, "over");
    relay.is_left(0);
}

#[test]
fn a_chat_is_its_callers() {
    let relay = Relay::start();
    relay.play(Script::text("one two").fault(Fault::pause(At::Token(1), Duration::from_secs(8))));
    let mine = "Authorization: Bearer mine\r\n";
    let mut conn = relay.ask("/api/chat", mine, &posted("c1"));
    conn.head().unwrap();
    assert_eq!(relay.server.get("/api/chat/c1/stream").status, 204, "not for others");
    let mut again = relay.server.connect();
    again.ask("GET", "/api/chat/c1/stream", mine, b"");
    assert_eq!(delta(&Answered::read(again, usize::MAX)), "one two");
}

#[test]
fn what_is_no_chat_is_refused() {
    let relay = Relay::start();
    for body in [json!([]), json!({}), json!({"id": "c"}), json!({"id": "c", "messages": []})] {
        let refused = Answered::read(relay.ask("/api/chat", "", &body), usize::MAX);
        assert_eq!(refused.status, 400, "{body}: {refused:?}");
    }
    assert_eq!(relay.server.get("/api/chat").status, 404);
    assert_eq!(relay.server.get("/api/chat/c1").status, 404);
    assert_eq!(relay.asked(), 0);
}
