//! A Responses answer so far, also as the `response` object of the API.

use serde_json::{Map, Value, json};

use super::{Said, State, Whole, spoken, value};
use crate::dialect::json::{self as text, Raw, object};
use crate::dialect::reader::Facts;
use crate::dialect::responses::{Event, ITEMS_MAX, Response};

/// Most parts of one item.
const PARTS_MAX: usize = 1_024;

object! {
    struct Refused {
        code: Raw<'a> = "code",
        message: Raw<'a> = "message",
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct Answer {
    facts: Facts,
    /// The members of the response objects sent, the latest of each.
    response: Map<String, Value>,
    items: Vec<Item>,
    state: State,
    /// Whether the state is the upstream's own word.
    terminal: bool,
    /// What an error event said: `code` and `message`.
    error: Option<Value>,
}

/// An output item so far.
#[derive(Clone, Debug)]
struct Item {
    index: u64,
    /// As it was sent last.
    value: Value,
    done: bool,
    content: Vec<Part>,
    summary: Vec<Part>,
    /// A call's arguments or input, as they are written.
    arguments: String,
}

/// A part of an item's content or summary.
#[derive(Clone, Debug)]
struct Part {
    index: u64,
    value: Value,
    /// As it is written.
    text: String,
}

impl Part {
    fn value(&self) -> Value {
        let mut value = self.value.clone();
        let name = if value["type"] == "refusal" { "refusal" } else { "text" };
        if let Value::Object(members) = &mut value {
            members.insert(name.into(), spoken(&self.text).into());
        }
        value
    }
}

impl Answer {
    pub(super) fn record(&mut self, event_type: &str, data: &str) {
        let Some(event) = text::read::<Event<'_>>(data) else { return };
        let kind = event.named(event_type);
        if kind == "error" || text::truthy(event.error) {
            self.fail(&event, data);
            return;
        }
        let Some(kind) = kind.strip_prefix("response.") else { return };
        match kind {
            "created" | "queued" | "in_progress" => self.learn(&event),
            "completed" => self.close(&event, State::Completed),
            "incomplete" => self.close(&event, State::Incomplete),
            "failed" => self.close(&event, State::Failed),
            "cancelled" => self.close(&event, State::Cancelled),
            "output_item.added" | "output_item.done" => self.item(&event, kind.ends_with("done")),
            "content_part.added"
            | "content_part.done"
            | "reasoning_summary_part.added"
            | "reasoning_summary_part.done" => {
                let part = value(event.part);
                let name = if part["type"] == "refusal" { "refusal" } else { "text" };
                let written = text::escape(part[name].as_str().unwrap_or_default());
                if let Some(known) = self.part(kind, &event) {
                    (known.value, known.text) = (part, written);
                }
            }
            _ => self.say(kind, &event),
        }
    }

    /// More text, or all of it.
    fn say(&mut self, kind: &str, event: &Event<'_>) {
        match kind {
            "output_text.delta"
            | "refusal.delta"
            | "reasoning_text.delta"
            | "reasoning_summary_text.delta" => {
                let more = text::written(event.delta).unwrap_or_default();
                if let Some(part) = self.part(kind, event) {
                    part.text.push_str(more);
                }
            }
            "output_text.done" | "reasoning_text.done" | "reasoning_summary_text.done" => {
                let Some(all) = text::written(event.text) else { return };
                if let Some(part) = self.part(kind, event) {
                    all.clone_into(&mut part.text);
                }
            }
            "function_call_arguments.delta" | "custom_tool_call_input.delta" => {
                let more = text::written(event.delta).unwrap_or_default();
                if let Some(item) = self.find(event) {
                    item.arguments.push_str(more);
                }
            }
            _ => {}
        }
    }

    fn learn(&mut self, event: &Event<'_>) {
        let response: Response<'_> = text::within(event.response);
        self.facts.identify(response.id, response.model);
        if let Value::Object(members) = value(event.response) {
            self.response.extend(members);
        }
    }

    fn close(&mut self, event: &Event<'_>, state: State) {
        self.learn(event);
        (self.state, self.terminal) = (state, true);
    }

    fn fail(&mut self, event: &Event<'_>, data: &str) {
        let within: Refused<'_> = text::within(event.error);
        let around: Refused<'_> = text::read(data).unwrap_or_default();
        let word = |inner: Raw<'_>, outer: Raw<'_>| {
            text::text(inner).or_else(|| text::text(outer)).map(|word| word.into_owned())
        };
        let code = word(within.code, around.code);
        self.state =
            if code.as_deref() == Some("cancelled") { State::Cancelled } else { State::Failed };
        let message = word(within.message, around.message);
        let known = code.unwrap_or_else(|| "server_error".into());
        self.error = Some(json!({"code": known, "message": message.unwrap_or_default()}));
    }

    fn item(&mut self, event: &Event<'_>, done: bool) {
        let sent = value(event.item);
        let index = text::whole(event.output_index);
        let known = self.items.iter().rposition(|item| Some(item.index) == index);
        if let Some(item) = known.and_then(|at| self.items.get_mut(at)) {
            (item.value, item.done) = (sent, done);
        } else if self.items.len() < ITEMS_MAX {
            let index = index.unwrap_or(self.items.len() as u64);
            let (content, summary) = (Vec::new(), Vec::new());
            let arguments = String::new();
            self.items.push(Item { index, value: sent, done, content, summary, arguments });
        }
    }

    fn find(&mut self, event: &Event<'_>) -> Option<&mut Item> {
        let index = text::whole(event.output_index)?;
        self.items.iter_mut().rfind(|item| item.index == index)
    }

    /// The part that an event is about, a new one if need be.
    fn part(&mut self, kind: &str, event: &Event<'_>) -> Option<&mut Part> {
        let summary = kind.starts_with("reasoning_summary");
        let index = if summary { event.summary_index } else { event.content_index };
        let index = text::whole(index).unwrap_or(0);
        let item = self.find(event)?;
        let parts = if summary { &mut item.summary } else { &mut item.content };
        if let Some(at) = parts.iter().rposition(|part| part.index == index) {
            return parts.get_mut(at);
        }
        if parts.len() == PARTS_MAX {
            return None;
        }
        let value = match kind.split_once('.').map_or(kind, |(family, _)| family) {
            "refusal" => json!({"type": "refusal"}),
            "reasoning_text" => json!({"type": "reasoning_text"}),
            "reasoning_summary_text" => json!({"type": "summary_text"}),
            _ => json!({"type": "output_text", "annotations": []}),
        };
        parts.push(Part { index, value, text: String::new() });
        parts.last_mut()
    }

    /// The output so far: items that are done as they were sent, others with what they have.
    fn output(&self) -> Vec<Value> {
        let mut items: Vec<_> = self.items.iter().collect();
        items.sort_by_key(|item| item.index);
        items.into_iter().map(|item| item.value(self.state != State::InProgress)).collect()
    }

    pub(super) fn response(&self, status: Option<&str>) -> Option<Value> {
        if self.response.is_empty() {
            return None;
        }
        let mut response = self.response.clone();
        let sent = response.get("output").and_then(Value::as_array);
        if !self.terminal || sent.is_none_or(Vec::is_empty) {
            response.insert("output".into(), self.output().into());
        }
        if !self.terminal {
            let settled = self.state != State::InProgress;
            let own = if settled { Some(self.state.as_str()) } else { None };
            if let Some(status) = status.or(own) {
                response.insert("status".into(), status.into());
            }
            if let Some(error) = self.error.as_ref().filter(|_| self.state == State::Failed) {
                response.insert("error".into(), error.clone());
            }
        }
        Some(Value::Object(response))
    }

    pub(super) fn whole(&self) -> Whole<'_> {
        let sent = self.response.get("output").and_then(Value::as_array);
        let sent = sent.filter(|sent| self.terminal && !sent.is_empty());
        let mut said = Said::default();
        for item in sent.cloned().unwrap_or_else(|| self.output()) {
            item_said(&item, &mut said);
        }
        let reason = &self.response.get("incomplete_details").unwrap_or(&Value::Null)["reason"];
        said.finish_reason = reason.as_str().map(str::to_owned);
        Whole {
            id: self.facts.id.as_deref(),
            model: self.facts.model.as_deref(),
            state: self.state,
            usage: self.response.get("usage").filter(|usage| !usage.is_null()),
            choices: vec![(0, said)],
        }
    }
}

impl Item {
    /// The item as it is now; `settled` is whether nothing more comes to it.
    fn value(&self, settled: bool) -> Value {
        let mut value = self.value.clone();
        let Value::Object(members) = &mut value else { return value };
        if self.done {
            return value;
        }
        for (name, parts) in [("content", &self.content), ("summary", &self.summary)] {
            if !parts.is_empty() {
                members.insert(name.into(), parts.iter().map(Part::value).collect());
            }
        }
        if !self.arguments.is_empty() {
            let custom = members.get("type").is_some_and(|kind| kind == "custom_tool_call");
            let name = if custom { "input" } else { "arguments" };
            members.insert(name.into(), spoken(&self.arguments).into());
        }
        if settled && members.contains_key("status") {
            members.insert("status".into(), "incomplete".into());
        }
        value
    }
}

/// Adds what an item of the output says.
fn item_said(item: &Value, said: &mut Said) {
    let owned = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    match item["type"].as_str() {
        Some("message") => {
            for part in item["content"].as_array().into_iter().flatten() {
                said.text.push_str(part["text"].as_str().unwrap_or_default());
                said.refusal.push_str(part["refusal"].as_str().unwrap_or_default());
            }
        }
        Some("reasoning") => {
            let texts = |name: &str| -> String {
                let parts = item[name].as_array().into_iter().flatten();
                parts.filter_map(|part| part["text"].as_str()).collect()
            };
            let full = texts("content");
            said.reasoning.push_str(&if full.is_empty() { texts("summary") } else { full });
        }
        Some("function_call") => {
            let call = [&item["call_id"], &item["name"], &item["arguments"]];
            said.tool_calls.push(call.map(owned));
        }
        Some("custom_tool_call") => {
            said.tool_calls.push([&item["call_id"], &item["name"], &item["input"]].map(owned));
        }
        _ => {}
    }
}
