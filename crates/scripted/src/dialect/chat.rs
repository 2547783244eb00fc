//! OpenAI's chat completions: unnamed events of `chat.completion.chunk`, then `[DONE]`.

use std::fmt;

use super::{Facts, Score};
use crate::framing::Sse;
use crate::script::Part;
use crate::text::Quoted;

pub(super) struct Chat {
    facts: Facts,
    /// Each chunk up to the index of its choice.
    opening: String,
    /// Each chunk from the end of its delta, as long as there is no reason to finish.
    going_on: String,
}

impl Chat {
    pub(super) fn new(facts: Facts) -> Self {
        let opening = format!(
            r#"{{"id":{},"object":"chat.completion.chunk","created":{},"model":{},"#,
            Quoted(&facts.id),
            facts.script.created,
            Quoted(&facts.model)
        );
        let going_on = ending(&facts, "null");
        Self { facts, opening, going_on }
    }

    /// A chunk for each choice that goes on.
    fn chunks(&self, sse: &mut Sse, delta: fmt::Arguments<'_>) {
        self.chunks_until(sse, delta, &self.going_on);
    }

    fn chunks_until(&self, sse: &mut Sse, delta: fmt::Arguments<'_>, ending: &str) {
        let opening = &self.opening;
        for index in 0..self.facts.script.choices {
            sse.event(
                None,
                format_args!(
                    r#"{opening}"choices":[{{"index":{index},"delta":{{{delta}}}{ending}"#
                ),
            );
        }
    }

    /// The place of a part among the tool calls.
    fn call_index(&self, part: usize) -> usize {
        let before = self.facts.script.said()[..part].iter();
        before.filter(|part| matches!(part, Part::ToolCall { .. })).count()
    }
}

impl Score for Chat {
    fn open(&mut self, sse: &mut Sse) {
        self.chunks(sse, format_args!(r#""role":"assistant","content":"""#));
    }

    fn begin(&mut self, sse: &mut Sse, part: usize) {
        let Part::ToolCall { name, .. } = self.facts.part(part) else { return };
        let (index, id) = (self.call_index(part), self.facts.call_id(part));
        let (id, name) = (Quoted(&id), Quoted(name));
        let function = format!(r#""function":{{"name":{name},"arguments":""}}"#);
        let call = format!(r#""index":{index},"id":{id},"type":"function",{function}"#);
        self.chunks(sse, format_args!(r#""tool_calls":[{{{call}}}]"#));
    }

    fn token(&mut self, sse: &mut Sse, part: usize, piece: usize, stamp: Option<&str>) {
        let said = self.facts.part(part);
        let text = Quoted(stamp.unwrap_or(&said.pieces()[piece]));
        match said {
            Part::Text(_) => self.chunks(sse, format_args!(r#""content":{text}"#)),
            Part::Reasoning(_) => {
                self.chunks(sse, format_args!(r#""reasoning_content":{text}"#));
            }
            Part::ToolCall { .. } => {
                let index = self.call_index(part);
                let call = format!(r#""index":{index},"function":{{"arguments":{text}}}"#);
                self.chunks(sse, format_args!(r#""tool_calls":[{{{call}}}]"#));
            }
        }
    }

    fn end(&mut self, _: &mut Sse, _: usize) {}

    fn close(&mut self, sse: &mut Sse) {
        let reason = format!("\"{}\"", self.facts.finish_reason());
        self.chunks_until(sse, format_args!(""), &ending(&self.facts, &reason));
        if self.facts.include_usage {
            let (opening, usage) = (&self.opening, usage(&self.facts));
            sse.event(None, format_args!(r#"{opening}"choices":[],"usage":{usage}}}"#));
        }
        if self.facts.script.end_marker {
            sse.event(None, format_args!("[DONE]"));
        }
    }

    fn error(&mut self, sse: &mut Sse, kind: &str, message: &str) {
        let (message, kind) = (Quoted(message), Quoted(kind));
        let error = format!(r#""message":{message},"type":{kind},"param":null,"code":null"#);
        sse.event(None, format_args!(r#"{{"error":{{{error}}}}}"#));
    }
}

/// A chunk from the end of its delta; `finish` is a JSON value.
fn ending(facts: &Facts, finish: &str) -> String {
    let usage = if facts.include_usage { r#","usage":null"# } else { "" };
    format!(r#","logprobs":null,"finish_reason":{finish}}}]{usage}}}"#)
}

/// The `usage` object.
pub(super) fn usage(facts: &Facts) -> String {
    let (prompt, completion) = (facts.prompt_tokens, facts.completion_tokens);
    let total = prompt + completion;
    let tokens = format!(r#""prompt_tokens":{prompt},"completion_tokens":{completion}"#);
    let details = format!(r#"{{"reasoning_tokens":{}}}"#, facts.reasoning_tokens);
    format!(r#"{{{tokens},"total_tokens":{total},"completion_tokens_details":{details}}}"#)
}
