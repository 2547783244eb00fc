//! Anthropic's Messages: named events, content in numbered blocks, `message_stop` at the end.

use super::{Facts, Score};
use crate::framing::Sse;
use crate::script::Part;
use crate::text::Quoted;

pub(super) struct Messages {
    facts: Facts,
    tokens: u64,
}

impl Messages {
    pub(super) fn new(facts: Facts) -> Self {
        Self { facts, tokens: 0 }
    }
}

fn ping(sse: &mut Sse) {
    sse.event(Some("ping"), format_args!(r#"{{"type":"ping"}}"#));
}

fn delta(sse: &mut Sse, index: usize, delta: &str, field: &str, text: &str) {
    let (name, text) = ("content_block_delta", Quoted(text));
    sse.event(
        Some(name),
        format_args!(
            r#"{{"type":"{name}","index":{index},"delta":{{"type":"{delta}","{field}":{text}}}}}"#
        ),
    );
}

impl Score for Messages {
    fn open(&mut self, sse: &mut Sse) {
        let (id, model) = (Quoted(&self.facts.id), Quoted(&self.facts.model));
        let input = self.facts.prompt_tokens;
        let head = format!(r#""id":{id},"type":"message","role":"assistant","model":{model}"#);
        let rest = r#""content":[],"stop_reason":null,"stop_sequence":null"#;
        let usage = format!(r#""usage":{{"input_tokens":{input},"output_tokens":1}}"#);
        sse.event(
            Some("message_start"),
            format_args!(r#"{{"type":"message_start","message":{{{head},{rest},{usage}}}}}"#),
        );
        ping(sse);
    }

    fn begin(&mut self, sse: &mut Sse, part: usize) {
        let block = match self.facts.part(part) {
            Part::Text(_) => r#""type":"text","text":"""#.to_owned(),
            Part::Reasoning(_) => r#""type":"thinking","thinking":"","signature":"""#.to_owned(),
            Part::ToolCall { name, .. } => {
                let (id, name) = (self.facts.call_id(part), Quoted(name));
                let id = Quoted(&id);
                format!(r#""type":"tool_use","id":{id},"name":{name},"input":{{}}"#)
            }
        };
        sse.event(
            Some("content_block_start"),
            format_args!(
                r#"{{"type":"content_block_start","index":{part},"content_block":{{{block}}}}}"#
            ),
        );
    }

    fn token(&mut self, sse: &mut Sse, part: usize, piece: usize, stamp: Option<&str>) {
        let said = self.facts.part(part);
        let (kind, field) = match said {
            Part::Text(_) => ("text_delta", "text"),
            Part::Reasoning(_) => ("thinking_delta", "thinking"),
            Part::ToolCall { .. } => ("input_json_delta", "partial_json"),
        };
        delta(sse, part, kind, field, stamp.unwrap_or(&said.pieces()[piece]));
        self.tokens += 1;
        let every = self.facts.script.pings;
        if every > 0 && self.tokens % every == 0 {
            ping(sse);
        }
    }

    fn end(&mut self, sse: &mut Sse, part: usize) {
        if matches!(self.facts.part(part), Part::Reasoning(_)) {
            delta(sse, part, "signature_delta", "signature", &self.facts.key);
        }
        sse.event(
            Some("content_block_stop"),
            format_args!(r#"{{"type":"content_block_stop","index":{part}}}"#),
        );
    }

    fn close(&mut self, sse: &mut Sse) {
        let (reason, output) = (self.facts.finish_reason(), self.facts.completion_tokens);
        let delta = format!(r#"{{"stop_reason":"{reason}","stop_sequence":null}}"#);
        let usage = format!(r#"{{"output_tokens":{output}}}"#);
        sse.event(
            Some("message_delta"),
            format_args!(r#"{{"type":"message_delta","delta":{delta},"usage":{usage}}}"#),
        );
        if self.facts.script.end_marker {
            sse.event(Some("message_stop"), format_args!(r#"{{"type":"message_stop"}}"#));
        }
    }

    fn error(&mut self, sse: &mut Sse, kind: &str, message: &str) {
        let error = format!(r#""type":{},"message":{}"#, Quoted(kind), Quoted(message));
        sse.event(Some("error"), format_args!(r#"{{"type":"error","error":{{{error}}}}}"#));
    }
}
