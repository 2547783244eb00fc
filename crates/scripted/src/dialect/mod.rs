//! The dialects in which an answer can be said. Each is written out by hand from what the
//! providers send, field by field in their order, because what reads it has to cope with that.

mod chat;
mod events;
mod messages;
mod responses;
mod whole;

use std::sync::Arc;

use serde_json::Value;

use crate::framing::Sse;
use crate::script::{Content, Finish, Part, Script};
use crate::seen::Received;

pub(crate) use whole::models;

/// A way of saying an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// OpenAI's chat completions.
    Chat,
    /// OpenAI's Responses.
    Responses,
    /// Anthropic's Messages.
    Messages,
}

impl Dialect {
    /// The dialect of a path, if it has one.
    #[must_use]
    pub fn of(path: &str) -> Option<Self> {
        if path.ends_with("/chat/completions") {
            Some(Self::Chat)
        } else if path.ends_with("/responses") || path.contains("/responses/") {
            Some(Self::Responses)
        } else if path.ends_with("/messages") {
            Some(Self::Messages)
        } else {
            None
        }
    }
}

/// What an answer is made from, besides its parts.
#[derive(Clone)]
pub(crate) struct Facts {
    pub(crate) script: Arc<Script>,
    pub(crate) dialect: Dialect,
    /// The answer's id, complete.
    pub(crate) id: String,
    /// What the ids of its items are made from.
    pub(crate) key: String,
    pub(crate) model: String,
    pub(crate) stream: bool,
    pub(crate) include_usage: bool,
    pub(crate) background: bool,
    pub(crate) prompt_tokens: u64,
    pub(crate) completion_tokens: u64,
    pub(crate) reasoning_tokens: u64,
}

impl Facts {
    pub(crate) fn new(script: Arc<Script>, request: &Received, fresh: &str) -> Self {
        let asked = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
        let dialect =
            script.dialect.or_else(|| Dialect::of(&request.path)).unwrap_or(Dialect::Chat);
        let prefix = match dialect {
            Dialect::Chat => "chatcmpl-",
            Dialect::Responses => "resp_",
            Dialect::Messages => "msg_",
        };
        let id = script.id.clone().unwrap_or_else(|| format!("{prefix}{fresh}"));
        let key = id.strip_prefix(prefix).unwrap_or(&id).to_owned();
        let model = script.model.as_deref().or(asked["model"].as_str()).unwrap_or("scripted");
        let count = |reasoning: bool| -> u64 {
            let parts = script.said().iter();
            let kept = parts.filter(|part| !reasoning || matches!(part, Part::Reasoning(_)));
            kept.map(|part| part.pieces().len() as u64).sum()
        };
        let estimate = request.body.len() as u64 / 4;
        let (prompt_tokens, completion_tokens) = script.usage.unwrap_or((estimate, count(false)));
        Self {
            dialect,
            id,
            key,
            model: model.to_owned(),
            stream: script.streamed || request.wants_stream(),
            include_usage: asked["stream_options"]["include_usage"] == true,
            background: asked["background"] == true,
            prompt_tokens,
            completion_tokens,
            reasoning_tokens: count(true),
            script,
        }
    }

    /// Whether the answer ends with the turn of a tool.
    fn calls_tools(&self) -> bool {
        self.script.said().iter().any(|part| matches!(part, Part::ToolCall { .. }))
    }

    /// Why a chat or a message ends, in the words of its dialect.
    fn finish_reason(&self) -> &'static str {
        let chat = self.dialect == Dialect::Chat;
        match (self.script.finish, chat, self.calls_tools()) {
            (Finish::Natural, true, false) => "stop",
            (Finish::Natural, true, true) => "tool_calls",
            (Finish::Natural, false, false) => "end_turn",
            (Finish::Natural, false, true) => "tool_use",
            (Finish::Length, true, _) => "length",
            (Finish::Length, false, _) => "max_tokens",
            (Finish::ContentFilter, true, _) => "content_filter",
            (Finish::ContentFilter, false, _) => "refusal",
        }
    }

    fn part(&self, index: usize) -> &Part {
        &self.script.said()[index]
    }

    /// The id of the tool call that is part `index`.
    fn call_id(&self, index: usize) -> String {
        let prefix = if self.dialect == Dialect::Messages { "toolu" } else { "call" };
        format!("{prefix}_{index}{}", self.key)
    }
}

impl Script {
    /// The parts of an LLM's answer; none of anything else.
    pub(crate) fn said(&self) -> &[Part] {
        match &self.content {
            Content::Parts(parts) => parts,
            _ => &[],
        }
    }
}

/// Says an answer step by step; called in the order of the functions.
pub(crate) trait Score: Send {
    /// What opens the answer.
    fn open(&mut self, sse: &mut Sse);
    /// What opens a part.
    fn begin(&mut self, sse: &mut Sse, part: usize);
    /// A token of a part; `stamp` is said in its place, if there is one.
    fn token(&mut self, sse: &mut Sse, part: usize, piece: usize, stamp: Option<&str>);
    /// What ends a part.
    fn end(&mut self, sse: &mut Sse, part: usize);
    /// What ends the answer.
    fn close(&mut self, sse: &mut Sse);
    /// An error on the way.
    fn error(&mut self, sse: &mut Sse, kind: &str, message: &str);
    /// The failure of the answer, where the dialect has an end for that; otherwise an error.
    fn fail(&mut self, sse: &mut Sse, message: &str) {
        self.error(sse, "server_error", message);
    }
}

/// A body that is ready to be played.
pub(crate) struct Rendering {
    pub(crate) score: Box<dyn Score>,
    /// How many tokens each part has, in order.
    pub(crate) lengths: Vec<usize>,
}

/// The media type of a body, and whether it streams.
pub(crate) fn content_type(facts: &Facts) -> (&str, bool) {
    match &facts.script.content {
        Content::Parts(_) if !facts.stream => ("application/json", false),
        Content::Refusal { .. } => ("application/json", false),
        Content::Plain { content_type, .. } => (content_type, false),
        Content::Parts(_) | Content::Events(_) => ("text/event-stream", true),
    }
}

/// Makes a body ready.
pub(crate) fn render(facts: Facts) -> Rendering {
    let document = |bytes: Vec<u8>| {
        let score: Box<dyn Score> = Box::new(events::Document(bytes));
        Rendering { score, lengths: Vec::new() }
    };
    match &facts.script.content {
        Content::Plain { body, .. } => document(body.to_vec()),
        Content::Refusal { message } => {
            document(whole::refusal(facts.dialect, facts.script.status, message).into_bytes())
        }
        Content::Events(events) => Rendering {
            lengths: vec![events.len()],
            score: Box::new(events::Events::new(Arc::clone(events))),
        },
        Content::Parts(_) if !facts.stream => document(whole::whole(&facts).into_bytes()),
        Content::Parts(parts) => Rendering {
            lengths: parts.iter().map(|part| part.pieces().len()).collect(),
            score: match facts.dialect {
                Dialect::Chat => Box::new(chat::Chat::new(facts)),
                Dialect::Responses => Box::new(responses::Responses::new(facts)),
                Dialect::Messages => Box::new(messages::Messages::new(facts)),
            },
        },
    }
}
