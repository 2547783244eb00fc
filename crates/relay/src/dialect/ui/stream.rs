//! Chat chunks in, UI message stream out.
//!
//! `start`, `start-step`, parts, `finish-step`, `finish`, `[DONE]`. Parts of text and reasoning
//! open with their first delta and close when another part or the end comes. A tool call is
//! streamed as it arrives and is available once its arguments are complete. Texts are passed on as
//! they are written, escapes and all. Only the first choice is a message; the deprecated
//! `function_call` is not translated.

use std::fmt::Write as _;

use serde_json::value::RawValue;
use tidings_frame::End;

use crate::dialect::chat::{CUT, Call, Chat, Choice, Chunk, DONE, Step};
use crate::dialect::json::{self, Raw, object};
use crate::dialect::tool_calls::{self, ToolCall};
use crate::dialect::{Asked, Cause, Progress, Record};

object! {
    struct UpstreamError {
        message: Raw<'a> = "message",
    }
    struct Refused {
        error: Raw<'a> = "error",
    }
}

/// The part of the message that is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Text,
    Reasoning,
}

impl Part {
    const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Reasoning => "reasoning",
        }
    }
}

/// The writer of one message.
#[derive(Debug)]
pub(in crate::dialect) struct Ui {
    pub(in crate::dialect) chat: Chat,
    message_id: String,
    started: bool,
    open: Option<Part>,
    /// Parts opened so far: the next one's id.
    parts: u64,
    calls: Vec<ToolCall>,
    finish_reason: Option<&'static str>,
}

impl Ui {
    pub(in crate::dialect) fn new(asked: &Asked, message_id: &str) -> Self {
        Self {
            chat: Chat::new(asked),
            message_id: json::quote(message_id),
            started: false,
            open: None,
            parts: 0,
            calls: Vec::new(),
            finish_reason: None,
        }
    }

    pub(in crate::dialect) fn event(
        &mut self,
        event_type: &str,
        data: &str,
        out: &mut Vec<Record>,
    ) -> Progress {
        let chunk = json::read::<Chunk<'_>>(data);
        match self.chat.take(event_type, data, chunk.as_ref()) {
            Step::Skipped => Progress::Opening,
            Step::Kept(Progress::Over(end)) => {
                self.close(out);
                Progress::Over(end)
            }
            Step::Kept(progress) => {
                let mine = |choice: &&Choice<'_>| json::whole(choice.index).unwrap_or(0) == 0;
                let choices = chunk.as_ref().map(|chunk| chunk.choices.iter());
                for choice in choices.into_iter().flatten().filter(mine) {
                    self.choice(choice, out);
                }
                progress
            }
            Step::Failed { .. } => {
                let said: Refused<'_> = json::read(data).unwrap_or_default();
                let error: UpstreamError<'_> = json::within(said.error);
                let text = json::some_text(error.message).or_else(|| json::some_text(said.error));
                let quoted = text.map(|text| format!("\"{text}\""));
                self.fail(&quoted.unwrap_or_else(|| "\"the upstream failed\"".into()), out);
                Progress::Over(End::Error)
            }
            Step::Cut => {
                self.fail(&json::quote(CUT), out);
                Progress::Over(End::Error)
            }
        }
    }

    pub(in crate::dialect) fn finish(
        &mut self,
        clean_eof: bool,
        cause: &Cause,
        out: &mut Vec<Record>,
    ) -> End {
        if self.chat.is_complete_at(clean_eof, cause) {
            self.close(out);
            return End::Done;
        }
        if matches!(cause, Cause::Stopped) {
            self.end_part(out);
            put(out, r#"{"type":"abort"}"#.into());
            put(out, DONE.into());
        } else {
            self.fail(&json::quote(&cause.failure().message), out);
        }
        cause.end()
    }

    /// The message is complete.
    fn close(&mut self, out: &mut Vec<Record>) {
        self.start(out);
        self.settle(out);
        put(out, r#"{"type":"finish-step"}"#.into());
        let reason = self.finish_reason.unwrap_or("other");
        put(out, format!(r#"{{"type":"finish","finishReason":"{reason}"}}"#));
        put(out, DONE.into());
    }

    /// The message is broken off; `text` is a JSON string.
    fn fail(&mut self, text: &str, out: &mut Vec<Record>) {
        self.end_part(out);
        put(out, format!(r#"{{"type":"error","errorText":{text}}}"#));
        put(out, DONE.into());
    }

    fn start(&mut self, out: &mut Vec<Record>) {
        if !self.started {
            self.started = true;
            put(out, format!(r#"{{"type":"start","messageId":{}}}"#, self.message_id));
            put(out, r#"{"type":"start-step"}"#.into());
        }
    }

    fn choice(&mut self, choice: &Choice<'_>, out: &mut Vec<Record>) {
        self.start(out);
        if let Some(thought) = choice.delta.thought() {
            self.text(Part::Reasoning, thought, out);
        }
        for said in [choice.delta.content, choice.delta.refusal] {
            if let Some(text) = json::some_text(said) {
                self.text(Part::Text, text, out);
            }
        }
        for call in choice.delta.tool_calls.iter() {
            self.call(call, out);
        }
        if let Some(reason) = json::some_text(choice.finish_reason) {
            self.finish_reason = Some(match reason {
                "stop" | "eos" => "stop",
                "length" => "length",
                "content_filter" => "content-filter",
                "tool_calls" | "function_call" => "tool-calls",
                "error" => "error",
                _ => "other",
            });
            self.settle(out);
        }
    }

    fn text(&mut self, part: Part, text: &str, out: &mut Vec<Record>) {
        let name = part.name();
        if self.open != Some(part) {
            self.end_part(out);
            self.open = Some(part);
            self.parts += 1;
            put(out, format!(r#"{{"type":"{name}-start","id":"{}"}}"#, self.parts));
        }
        let mut chunk = String::with_capacity(text.len() + 64);
        // Writing to a String cannot fail.
        let _ =
            write!(chunk, r#"{{"type":"{name}-delta","id":"{}","delta":"{text}"}}"#, self.parts);
        put(out, chunk);
    }

    fn end_part(&mut self, out: &mut Vec<Record>) {
        if let Some(part) = self.open.take() {
            let (name, id) = (part.name(), self.parts);
            put(out, format!(r#"{{"type":"{name}-end","id":"{id}"}}"#));
        }
    }

    fn call(&mut self, part: &Call<'_>, out: &mut Vec<Record>) {
        self.end_part(out);
        let Some((call, more)) = tool_calls::take(&mut self.calls, part) else { return };
        if call.name.is_empty() {
            return;
        }
        let opening = !call.started;
        start(call, out);
        let delta = if opening { call.arguments.as_str() } else { more };
        if !delta.is_empty() {
            let head = format!(r#"{{"type":"tool-input-delta","toolCallId":"{}""#, call.id);
            put(out, format!(r#"{head},"inputTextDelta":"{delta}"}}"#));
        }
    }

    /// Closes what is open: nothing more comes to it.
    fn settle(&mut self, out: &mut Vec<Record>) {
        self.end_part(out);
        for mut call in std::mem::take(&mut self.calls) {
            settle(&mut call, out);
        }
    }
}

fn start(call: &mut ToolCall, out: &mut Vec<Record>) {
    if !call.started {
        call.started = true;
        let (id, name) = (&call.id, &call.name);
        put(
            out,
            format!(r#"{{"type":"tool-input-start","toolCallId":"{id}","toolName":"{name}"}}"#),
        );
    }
}

/// The call is complete: its input as one value, if it is JSON.
fn settle(call: &mut ToolCall, out: &mut Vec<Record>) {
    if call.name.is_empty() {
        "unknown".clone_into(&mut call.name);
    }
    start(call, out);
    let head = format!(r#""toolCallId":"{}","toolName":"{}""#, call.id, call.name);
    let arguments = json::unescape(&call.arguments);
    let input = if arguments.trim_ascii().is_empty() { "{}" } else { arguments.as_ref() };
    let fault = match json::read::<&RawValue>(input) {
        _ if call.overlong => "the tool call's arguments are too long",
        // A line break within a JSON document is white space.
        Some(input) => {
            let input = input.get().replace(['\n', '\r'], " ");
            put(out, format!(r#"{{"type":"tool-input-available",{head},"input":{input}}}"#));
            return;
        }
        None => "the tool call's arguments are not JSON",
    };
    let written = &call.arguments;
    put(
        out,
        format!(
            r#"{{"type":"tool-input-error",{head},"input":"{written}","errorText":"{fault}"}}"#
        ),
    );
}

fn put(out: &mut Vec<Record>, data: String) {
    out.push(Record { event_type: None, data });
}
