//! From what `useChat` posts to a chat completions request.
//!
//! Messages come as parts. Text passes; images become `image_url`, PDFs and sounds what OpenAI
//! takes them as; an answered tool call becomes a call and a tool message. What a model cannot
//! be sent is left out: reasoning, sources, data parts, calls that nobody has answered (an
//! upstream refuses a call without its result). A file of another kind is an error rather than
//! silently ignored.

use serde_json::{Map, Value, json};

/// Why a body is no chat request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UiRefusal {
    /// Not a JSON object.
    #[error("the body is not a JSON object")]
    NotAnObject,
    /// `id`, the chat's id, is absent or not a string.
    #[error("the body has no chat id (`id`)")]
    NoChatId,
    /// `messages` is absent, not a list, or holds nothing to be sent.
    #[error("the body has no messages (`messages`)")]
    NoMessages,
    /// A message is not an object with a role that is known.
    #[error("message {0} has no role that is known (system, user, assistant)")]
    Role(usize),
    /// A file that chat completions has no form for.
    #[error("message {message} has a file of media type {media_type:?}, which cannot be sent")]
    File {
        /// Which message, from 0.
        message: usize,
        /// The file's media type.
        media_type: String,
    },
}

/// What of the body may go into the upstream's request besides the messages. By default nothing: a
/// browser then cannot choose a dearer model or a longer answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowed {
    /// `model`, instead of the relay's own.
    pub model: bool,
    /// `temperature`.
    pub temperature: bool,
    /// `max_tokens` and `max_completion_tokens`.
    pub max_tokens: bool,
    /// `tools` and `tool_choice`, in the form of chat completions.
    pub tools: bool,
}

/// A chat request made of a UI request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UiRequest {
    /// The chat's id, as the client chose it.
    pub chat_id: String,
    /// The body of the chat completions request; it asks for a stream and for usage.
    pub body: Vec<u8>,
    /// The assistant's message that the answer goes on with (after a tool's result): the answer
    /// must bear its id.
    pub continues: Option<String>,
    /// Whether an earlier answer is to be replaced (`trigger` is `regenerate-message`).
    pub regenerates: bool,
}

/// Makes a chat request of what `useChat` posted, for `model`. Nothing else of the body is taken.
///
/// # Errors
///
/// See [`UiRefusal`].
pub fn chat_request(body: &[u8], model: &str) -> Result<UiRequest, UiRefusal> {
    chat_request_allowing(body, model, Allowed::default())
}

/// Makes a chat request of what `useChat` posted, and takes from the body what is `allowed`.
///
/// # Errors
///
/// See [`UiRefusal`].
pub fn chat_request_allowing(
    body: &[u8],
    model: &str,
    allowed: Allowed,
) -> Result<UiRequest, UiRefusal> {
    let Ok(Value::Object(posted)) = serde_json::from_slice(body) else {
        return Err(UiRefusal::NotAnObject);
    };
    let chat_id = posted.get("id").and_then(Value::as_str).filter(|id| !id.is_empty());
    let chat_id = chat_id.ok_or(UiRefusal::NoChatId)?.to_owned();
    let messages = posted.get("messages").and_then(Value::as_array).ok_or(UiRefusal::NoMessages)?;
    let mut sent = Vec::new();
    for (at, message) in messages.iter().enumerate() {
        match message.get("role").and_then(Value::as_str) {
            Some("system") => sent.push(json!({"role": "system", "content": texts(message)})),
            Some("user") => sent.extend(user(at, message)?),
            Some("assistant") => assistant(message, &mut sent),
            _ => return Err(UiRefusal::Role(at)),
        }
    }
    if sent.is_empty() {
        return Err(UiRefusal::NoMessages);
    }
    let mut request = Map::new();
    request.insert("model".into(), model.into());
    request.insert("messages".into(), sent.into());
    for (name, allowed) in [
        ("model", allowed.model),
        ("temperature", allowed.temperature),
        ("max_tokens", allowed.max_tokens),
        ("max_completion_tokens", allowed.max_tokens),
        ("tools", allowed.tools),
        ("tool_choice", allowed.tools),
    ] {
        if let Some(value) = posted.get(name).filter(|value| allowed && !value.is_null()) {
            request.insert(name.into(), value.clone());
        }
    }
    request.insert("stream".into(), true.into());
    request.insert("stream_options".into(), json!({"include_usage": true}));
    let last = messages.last().filter(|last| is(last, "role", "assistant"));
    let continues = last.and_then(|last| last.get("id")?.as_str()).map(str::to_owned);
    Ok(UiRequest {
        chat_id,
        body: Value::Object(request).to_string().into_bytes(),
        continues,
        regenerates: posted.get("trigger").is_some_and(|it| it == "regenerate-message"),
    })
}

/// Whether the member is this text.
fn is(value: &Value, name: &str, text: &str) -> bool {
    value.get(name).is_some_and(|member| member == text)
}

fn parts(message: &Value) -> impl Iterator<Item = &Value> {
    message.get("parts").and_then(Value::as_array).into_iter().flatten()
}

fn text_of(part: &Value) -> Option<&str> {
    part.get("text")?.as_str().filter(|_| is(part, "type", "text"))
}

/// All text of a message. A message in the form of older versions has `content` instead of parts.
fn texts(message: &Value) -> String {
    let content = message.get("content").and_then(Value::as_str).unwrap_or_default();
    let text: String = parts(message).filter_map(text_of).collect();
    if text.is_empty() { content.to_owned() } else { text }
}

fn user(at: usize, message: &Value) -> Result<Option<Value>, UiRefusal> {
    let mut content = Vec::new();
    for part in parts(message) {
        if let Some(text) = text_of(part) {
            content.push(json!({"type": "text", "text": text}));
        } else if is(part, "type", "file") {
            content.push(file(at, part)?);
        }
    }
    // Servers that know text only want a string.
    let only_text = content.iter().all(|part| is(part, "type", "text"));
    let content = match content.len() {
        0 | 1 if only_text => Value::String(texts(message)),
        _ => Value::Array(content),
    };
    let empty = content.as_str().is_some_and(str::is_empty);
    Ok((!empty).then(|| json!({"role": "user", "content": content})))
}

fn file(message: usize, part: &Value) -> Result<Value, UiRefusal> {
    let media_type = part.get("mediaType").and_then(Value::as_str).unwrap_or_default();
    let refusal = || UiRefusal::File { message, media_type: media_type.to_owned() };
    let url = part.get("url").and_then(Value::as_str).ok_or_else(refusal)?;
    let (kind, _) = media_type.split_once('/').unwrap_or((media_type, ""));
    let inline = url.split_once(";base64,").filter(|(head, _)| head.starts_with("data:"));
    match (kind, media_type, inline) {
        ("image", ..) => Ok(json!({"type": "image_url", "image_url": {"url": url}})),
        ("audio", "audio/wav" | "audio/x-wav", Some((_, data))) => {
            Ok(json!({"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}))
        }
        ("audio", "audio/mpeg" | "audio/mp3", Some((_, data))) => {
            Ok(json!({"type": "input_audio", "input_audio": {"data": data, "format": "mp3"}}))
        }
        (_, "application/pdf", Some(_)) => {
            let name = part.get("filename").and_then(Value::as_str).unwrap_or("file.pdf");
            Ok(json!({"type": "file", "file": {"filename": name, "file_data": url}}))
        }
        _ => Err(refusal()),
    }
}

/// An assistant's message: one for each of its steps, each followed by its tools' results.
fn assistant(message: &Value, sent: &mut Vec<Value>) {
    let mut step = Step::default();
    for part in parts(message) {
        let kind = part.get("type").and_then(Value::as_str).unwrap_or_default();
        if let Some(text) = text_of(part) {
            step.text.push_str(text);
        } else if kind == "step-start" {
            std::mem::take(&mut step).send(sent);
        } else if kind == "dynamic-tool" {
            let name = part.get("toolName").and_then(Value::as_str);
            step.call(name.unwrap_or_default(), part);
        } else if let Some(name) = kind.strip_prefix("tool-") {
            step.call(name, part);
        }
    }
    if parts(message).next().is_none() {
        step.text = texts(message);
    }
    step.send(sent);
}

#[derive(Default)]
struct Step {
    text: String,
    calls: Vec<Value>,
    results: Vec<Value>,
}

impl Step {
    fn call(&mut self, name: &str, part: &Value) {
        let id = part.get("toolCallId").and_then(Value::as_str).unwrap_or_default();
        let result = match part.get("state").and_then(Value::as_str) {
            Some("output-available") => part.get("output").map(|output| match output {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            }),
            Some("output-error") => {
                let text = part.get("errorText").and_then(Value::as_str);
                Some(text.unwrap_or("The tool failed.").to_owned())
            }
            Some("output-denied") => Some("Tool call execution denied.".to_owned()),
            _ => None,
        };
        let (Some(result), false) = (result, id.is_empty() || name.is_empty()) else { return };
        let input = part.get("input").or_else(|| part.get("rawInput"));
        let arguments = input.map_or_else(|| "{}".to_owned(), Value::to_string);
        self.calls.push(json!({
            "id": id,
            "type": "function",
            "function": {"name": name, "arguments": arguments},
        }));
        self.results.push(json!({"role": "tool", "tool_call_id": id, "content": result}));
    }

    fn send(self, sent: &mut Vec<Value>) {
        if self.calls.is_empty() {
            if !self.text.is_empty() {
                sent.push(json!({"role": "assistant", "content": self.text}));
            }
            return;
        }
        let content = if self.text.is_empty() { Value::Null } else { self.text.into() };
        sent.push(json!({"role": "assistant", "content": content, "tool_calls": self.calls}));
        sent.extend(self.results);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(posted: &Value) -> Result<Value, UiRefusal> {
        let body = json!({"id": "c1", "messages": posted, "trigger": "submit-message"});
        let request = chat_request(body.to_string().as_bytes(), "m")?;
        let sent: Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!(sent["stream"], true);
        assert_eq!(sent["stream_options"]["include_usage"], true);
        Ok(sent["messages"].clone())
    }

    #[test]
    fn a_conversation_with_tools_and_files_becomes_chat_messages() {
        let posted = json!([
            {"id": "1", "role": "system", "parts": [{"type": "text", "text": "Be brief."}]},
            {"id": "2", "role": "user", "parts": [{"type": "text", "text": "Weather here?"},
                {"type": "file", "mediaType": "image/png", "url": "data:image/png;base64,AA=="}]},
            {"id": "3", "role": "assistant", "parts": [
                {"type": "step-start"},
                {"type": "reasoning", "text": "hm"},
                {"type": "text", "text": "Let me see."},
                {"type": "tool-weather", "toolCallId": "t1", "state": "output-available",
                    "input": {"city": "Paris"}, "output": {"c": 20}},
                {"type": "dynamic-tool", "toolName": "ask", "toolCallId": "t2",
                    "state": "input-available", "input": {}},
                {"type": "step-start"},
                {"type": "data-note", "data": 1},
                {"type": "tool-weather", "toolCallId": "t3", "state": "output-error",
                    "rawInput": "{", "errorText": "no"},
                {"type": "text", "text": "Sunny."}]},
            {"id": "4", "role": "user", "parts": [{"type": "text", "text": "Thanks"}]},
        ]);
        let call = |id: &str, arguments: &str| {
            json!({"id": id, "type": "function",
                "function": {"name": "weather", "arguments": arguments}})
        };
        let expected = json!([
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "Weather here?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]},
            {"role": "assistant", "content": "Let me see.",
                "tool_calls": [call("t1", "{\"city\":\"Paris\"}")]},
            {"role": "tool", "tool_call_id": "t1", "content": "{\"c\":20}"},
            {"role": "assistant", "content": "Sunny.", "tool_calls": [call("t3", "\"{\"")]},
            {"role": "tool", "tool_call_id": "t3", "content": "no"},
            {"role": "user", "content": "Thanks"},
        ]);
        assert_eq!(messages(&posted).unwrap(), expected);
    }

    #[test]
    fn what_cannot_be_sent_is_refused() {
        let file = json!([{"role": "user", "parts": [
            {"type": "file", "mediaType": "video/mp4", "url": "https://example.org/v"}]}]);
        let refusal = UiRefusal::File { message: 0, media_type: "video/mp4".into() };
        assert_eq!(messages(&file), Err(refusal));
        assert_eq!(messages(&json!([{"role": "tool"}])), Err(UiRefusal::Role(0)));
        assert_eq!(messages(&json!([])), Err(UiRefusal::NoMessages));
        assert_eq!(messages(&json!([{"role": "user", "parts": []}])), Err(UiRefusal::NoMessages));
        assert_eq!(chat_request(b"[]", "m"), Err(UiRefusal::NotAnObject));
        assert_eq!(chat_request(b"{\"messages\":[]}", "m"), Err(UiRefusal::NoChatId));
    }

    #[test]
    fn only_what_is_allowed_is_taken_from_the_body() {
        let body = json!({"id": "c", "model": "dear", "temperature": 2, "max_tokens": 9,
            "tools": [1], "system": "x", "trigger": "regenerate-message",
            "messages": [{"id": "a", "role": "assistant",
                "parts": [{"type": "text", "text": "t"}]}]});
        let body = body.to_string();
        let strict = chat_request(body.as_bytes(), "own").unwrap();
        let sent: Value = serde_json::from_slice(&strict.body).unwrap();
        let mut names: Vec<_> = sent.as_object().unwrap().keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["messages", "model", "stream", "stream_options"]);
        assert_eq!(sent["model"], "own");
        assert_eq!((strict.continues.as_deref(), strict.regenerates), (Some("a"), true));
        let all = Allowed { model: true, temperature: true, max_tokens: true, tools: true };
        let open = chat_request_allowing(body.as_bytes(), "own", all).unwrap();
        let sent: Value = serde_json::from_slice(&open.body).unwrap();
        assert_eq!((&sent["model"], &sent["temperature"]), (&"dear".into(), &2.into()));
        assert_eq!((&sent["max_tokens"], &sent["tools"][0]), (&9.into(), &1.into()));
        assert!(sent.get("system").is_none());
    }
}
