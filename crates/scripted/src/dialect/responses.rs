//! OpenAI's Responses: named events with a running number, items with parts inside them.

use std::fmt;

use super::{Facts, Score};
use crate::framing::Sse;
use crate::script::{Finish, Part};
use crate::text::Quoted;

pub(super) struct Responses {
    facts: Facts,
    sequence_number: u64,
    /// What the part being said has said so far.
    said: String,
    /// The items that are complete, as JSON.
    output: Vec<String>,
}

impl Responses {
    pub(super) fn new(facts: Facts) -> Self {
        Self { facts, sequence_number: 0, said: String::new(), output: Vec::new() }
    }

    /// An event with its number; `place` is the item and, if there is one, the part inside it.
    fn event(
        &mut self,
        sse: &mut Sse,
        name: &str,
        place: Option<(usize, bool)>,
        rest: fmt::Arguments<'_>,
    ) {
        let number = self.sequence_number;
        self.sequence_number += 1;
        if self.facts.script.starting_after.is_some_and(|after| number <= after) {
            return;
        }
        if !self.facts.script.indices {
            return sse.event(Some(name), format_args!(r#"{{"type":"{name}",{rest}}}"#));
        }
        let head = format!(r#""type":"{name}","sequence_number":{number}"#);
        match place {
            None => sse.event(Some(name), format_args!("{{{head},{rest}}}")),
            Some((item, false)) => {
                sse.event(Some(name), format_args!(r#"{{{head},"output_index":{item},{rest}}}"#));
            }
            Some((item, true)) => sse.event(
                Some(name),
                format_args!(r#"{{{head},"output_index":{item},"content_index":0,{rest}}}"#),
            ),
        }
    }

    fn response(&mut self, sse: &mut Sse, name: &str, status: &str) {
        let response = response(&self.facts, status, &self.output, None);
        self.event(sse, name, None, format_args!(r#""response":{response}"#));
    }
}

impl Score for Responses {
    fn open(&mut self, sse: &mut Sse) {
        let status = if self.facts.background { "queued" } else { "in_progress" };
        self.response(sse, "response.created", status);
        if self.facts.background {
            self.response(sse, "response.queued", status);
        }
        self.response(sse, "response.in_progress", "in_progress");
    }

    fn begin(&mut self, sse: &mut Sse, part: usize) {
        self.said.clear();
        let item = item(&self.facts, part, "", false);
        let place = Some((part, false));
        self.event(sse, "response.output_item.added", place, format_args!(r#""item":{item}"#));
        if let Some(content) = content(self.facts.part(part), "") {
            let id = item_id(&self.facts, part);
            let rest = format!(r#""item_id":"{id}","part":{content}"#);
            let place = Some((part, true));
            self.event(sse, "response.content_part.added", place, format_args!("{rest}"));
        }
    }

    fn token(&mut self, sse: &mut Sse, part: usize, piece: usize, stamp: Option<&str>) {
        let said = self.facts.part(part);
        let (name, inside) = match said {
            Part::Text(_) => ("response.output_text.delta", true),
            Part::Reasoning(_) => ("response.reasoning_text.delta", true),
            Part::ToolCall { .. } => ("response.function_call_arguments.delta", false),
        };
        let text = stamp.unwrap_or(&said.pieces()[piece]);
        self.said.push_str(text);
        let id = item_id(&self.facts, part);
        let logprobs = if matches!(said, Part::Text(_)) { r#","logprobs":[]"# } else { "" };
        let delta = Quoted(text).to_string();
        self.event(
            sse,
            name,
            Some((part, inside)),
            format_args!(r#""item_id":"{id}","delta":{delta}{logprobs}"#),
        );
    }

    fn end(&mut self, sse: &mut Sse, part: usize) {
        let id = item_id(&self.facts, part);
        let said = std::mem::take(&mut self.said);
        let text = Quoted(&said);
        let inside = Some((part, true));
        match self.facts.part(part).clone() {
            Part::ToolCall { name, .. } => {
                let rest = format!(r#""item_id":"{id}","name":{},"#, Quoted(&name));
                let event = "response.function_call_arguments.done";
                let place = Some((part, false));
                self.event(sse, event, place, format_args!(r#"{rest}"arguments":{text}"#));
            }
            said @ (Part::Text(_) | Part::Reasoning(_)) => {
                let (event, logprobs) = match said {
                    Part::Text(_) => ("response.output_text.done", r#","logprobs":[]"#),
                    _ => ("response.reasoning_text.done", ""),
                };
                let rest = format!(r#""item_id":"{id}","text":{text}{logprobs}"#);
                self.event(sse, event, inside, format_args!("{rest}"));
            }
        }
        if let Some(content) = content(self.facts.part(part), &said) {
            let rest = format!(r#""item_id":"{id}","part":{content}"#);
            self.event(sse, "response.content_part.done", inside, format_args!("{rest}"));
        }
        let item = item(&self.facts, part, &said, true);
        let place = Some((part, false));
        self.event(sse, "response.output_item.done", place, format_args!(r#""item":{item}"#));
        self.output.push(item);
    }

    fn close(&mut self, sse: &mut Sse) {
        if !self.facts.script.end_marker {
            return;
        }
        match self.facts.script.finish {
            Finish::Natural => self.response(sse, "response.completed", "completed"),
            _ => self.response(sse, "response.incomplete", "incomplete"),
        }
    }

    fn fail(&mut self, sse: &mut Sse, message: &str) {
        let error = format!(r#"{{"code":"server_error","message":{}}}"#, Quoted(message));
        let response = response(&self.facts, "failed", &self.output, Some(&error));
        self.event(sse, "response.failed", None, format_args!(r#""response":{response}"#));
    }

    fn error(&mut self, sse: &mut Sse, kind: &str, message: &str) {
        let rest = format!(r#""code":{},"message":{},"param":null"#, Quoted(kind), Quoted(message));
        self.event(sse, "error", None, format_args!("{rest}"));
    }
}

fn item_id(facts: &Facts, part: usize) -> String {
    let prefix = match facts.part(part) {
        Part::Text(_) => "msg",
        Part::Reasoning(_) => "rs",
        Part::ToolCall { .. } => "fc",
    };
    let id = format!("{prefix}_{part}{}", facts.key);
    id.replace(['"', '\\'], "_")
}

/// The part inside an item, if the item has one.
fn content(part: &Part, text: &str) -> Option<String> {
    let text = Quoted(text);
    match part {
        Part::Text(_) => Some(format!(
            r#"{{"type":"output_text","text":{text},"annotations":[],"logprobs":[]}}"#
        )),
        Part::Reasoning(_) => Some(format!(r#"{{"type":"reasoning_text","text":{text}}}"#)),
        Part::ToolCall { .. } => None,
    }
}

/// An item of the output.
pub(super) fn item(facts: &Facts, index: usize, said: &str, done: bool) -> String {
    let id = item_id(facts, index);
    let part = facts.part(index);
    let status = if done { "completed" } else { "in_progress" };
    let content = content(part, said).filter(|_| done).unwrap_or_default();
    let head = format!(r#""id":"{id}","status":"{status}""#);
    match part {
        Part::Text(_) => {
            format!(r#"{{{head},"type":"message","role":"assistant","content":[{content}]}}"#)
        }
        Part::Reasoning(_) => {
            format!(r#"{{{head},"type":"reasoning","summary":[],"content":[{content}]}}"#)
        }
        Part::ToolCall { name, .. } => {
            let (call, name, arguments) = (facts.call_id(index), Quoted(name), Quoted(said));
            let call = format!(r#""call_id":{},"name":{name}"#, Quoted(&call));
            format!(r#"{{{head},"type":"function_call",{call},"arguments":{arguments}}}"#)
        }
    }
}

/// The response object.
pub(super) fn response(
    facts: &Facts,
    status: &str,
    output: &[String],
    error: Option<&str>,
) -> String {
    let (id, model) = (Quoted(&facts.id), Quoted(&facts.model));
    let created = facts.script.created;
    let state = format!(r#""status":"{status}","background":{}"#, facts.background);
    let head = format!(r#""id":{id},"object":"response","created_at":{created},{state}"#);
    let incomplete = match (status, facts.script.finish) {
        ("incomplete", Finish::ContentFilter) => r#"{"reason":"content_filter"}"#,
        ("incomplete", _) => r#"{"reason":"max_output_tokens"}"#,
        _ => "null",
    };
    let usage = match status {
        "completed" | "incomplete" => usage(facts),
        _ => "null".to_owned(),
    };
    let (output, error) = (output.join(","), error.unwrap_or("null"));
    let middle = format!(r#""error":{error},"incomplete_details":{incomplete},"model":{model}"#);
    let tools = r#""instructions":null,"parallel_tool_calls":true,"tool_choice":"auto","tools":[]"#;
    let rest = r#""temperature":1.0,"top_p":1.0,"metadata":{},"previous_response_id":null"#;
    format!(r#"{{{head},{middle},{tools},{rest},"output":[{output}],"usage":{usage}}}"#)
}

fn usage(facts: &Facts) -> String {
    let (input, output) = (facts.prompt_tokens, facts.completion_tokens);
    let (total, reasoning) = (input + output, facts.reasoning_tokens);
    let cache = r#"{"cached_tokens":0,"cache_write_tokens":0}"#;
    let input = format!(r#""input_tokens":{input},"input_tokens_details":{cache}"#);
    let details = format!(r#""output_tokens_details":{{"reasoning_tokens":{reasoning}}}"#);
    format!(r#"{{{input},"output_tokens":{output},{details},"total_tokens":{total}}}"#)
}
