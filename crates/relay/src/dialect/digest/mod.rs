//! An answer so far, in one document: what a late joiner gets instead of every event again.
//!
//! A digest is made of the records that were stored, in order. Its memory is that of the answer:
//! texts are kept once, as they are written, until somebody asks.

mod chat;
mod messages;
mod responses;

use serde_json::{Map, Value};

use super::Dialect;
use super::json::{self, Raw, object};

object! {
    /// An error as chat completions and Messages tell it.
    struct Refused {
        kind: Raw<'a> = "type",
    }
}

/// What the records of an answer come to.
#[derive(Clone, Debug)]
pub struct Digest {
    events: u64,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Chat(Box<chat::Answer>),
    Responses(Box<responses::Answer>),
    Messages(Box<messages::Answer>),
}

/// How far an answer is, in the words of the Responses API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    InProgress,
    Completed,
    Incomplete,
    Failed,
    Cancelled,
}

impl State {
    /// How an answer stands that broke off with this error.
    fn after(error: Raw<'_>) -> Self {
        let refused: Refused<'_> = json::within(error);
        let cancelled = json::written(refused.kind) == Some("cancelled");
        if cancelled { Self::Cancelled } else { Self::Failed }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
            Self::Incomplete => "incomplete",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// What a snapshot says of an answer or of one of its choices.
#[derive(Default)]
struct Said {
    text: String,
    reasoning: String,
    refusal: String,
    /// Id, name and arguments.
    tool_calls: Vec<[String; 3]>,
    finish_reason: Option<String>,
}

impl Said {
    fn into_members(self, members: &mut Map<String, Value>) {
        members.insert("text".into(), self.text.into());
        for (name, text) in [("reasoning", self.reasoning), ("refusal", self.refusal)] {
            if !text.is_empty() {
                members.insert(name.into(), text.into());
            }
        }
        if !self.tool_calls.is_empty() {
            let calls = self.tool_calls.into_iter().map(|[id, name, arguments]| {
                serde_json::json!({"id": id, "name": name, "arguments": arguments})
            });
            members.insert("tool_calls".into(), calls.collect());
        }
        if let Some(reason) = self.finish_reason {
            members.insert("finish_reason".into(), reason.into());
        }
    }
}

/// What is told of an answer as a whole.
struct Whole<'a> {
    id: Option<&'a str>,
    model: Option<&'a str>,
    state: State,
    usage: Option<&'a Value>,
    /// At least one; the first is the answer, the others are told of besides.
    choices: Vec<(u64, Said)>,
}

impl Digest {
    /// The digest of no records yet.
    #[must_use]
    pub fn new(dialect: Dialect) -> Self {
        let kind = match dialect {
            Dialect::Chat => Kind::Chat(Box::default()),
            Dialect::Responses => Kind::Responses(Box::default()),
            Dialect::Messages => Kind::Messages(Box::default()),
        };
        Self { events: 0, kind }
    }

    /// Takes the next record of the answer.
    pub fn record(&mut self, event_type: Option<&str>, data: &str) {
        self.events += 1;
        let event_type = event_type.unwrap_or_default();
        match &mut self.kind {
            Kind::Chat(answer) => answer.record(event_type, data),
            Kind::Responses(answer) => answer.record(event_type, data),
            Kind::Messages(answer) => answer.record(event_type, data),
        }
    }

    /// The answer so far: `dialect`, `id`, `model`, `state` (`in_progress`, `completed`,
    /// `incomplete`, `failed`, `cancelled`), `text`, and where there are any `reasoning`,
    /// `refusal`, `tool_calls` (`id`, `name`, `arguments`), `finish_reason`, `usage` (as the
    /// upstream wrote it); and `events`, the number of records taken. An answer of several choices
    /// is told as its first, with all of them in `choices`, each with its `index`.
    #[must_use]
    pub fn snapshot(&self) -> Value {
        let (dialect, mut whole) = match &self.kind {
            Kind::Chat(answer) => ("chat", answer.whole()),
            Kind::Responses(answer) => ("responses", answer.whole()),
            Kind::Messages(answer) => ("messages", answer.whole()),
        };
        let mut members = Map::new();
        members.insert("dialect".into(), dialect.into());
        members.insert("id".into(), whole.id.into());
        members.insert("model".into(), whole.model.into());
        members.insert("state".into(), whole.state.as_str().into());
        whole.choices.sort_by_key(|(index, _)| *index);
        let several = whole.choices.len() > 1;
        let mut choices = Vec::new();
        for (at, (index, said)) in whole.choices.into_iter().enumerate() {
            let mut choice = Map::new();
            said.into_members(&mut choice);
            if at == 0 {
                members.extend(choice.clone());
            }
            choice.insert("index".into(), index.into());
            choices.push(Value::Object(choice));
        }
        if several {
            members.insert("choices".into(), choices.into());
        }
        if let Some(usage) = whole.usage {
            members.insert("usage".into(), usage.clone());
        }
        members.insert("events".into(), self.events.into());
        Value::Object(members)
    }

    /// Responses only: the `response` object as the API would give it now. It is the upstream's own
    /// once it sent a terminal one, and else the latest it sent with the output so far. None before
    /// the first.
    #[must_use]
    pub fn response(&self) -> Option<Value> {
        match &self.kind {
            Kind::Responses(answer) => answer.response(None),
            Kind::Chat(_) | Kind::Messages(_) => None,
        }
    }

    /// As [`response`](Self::response), with this `status` (`in_progress`, `cancelled`, `failed` …)
    /// unless the upstream itself has sent a terminal object, whose status stays.
    #[must_use]
    pub fn response_with_status(&self, status: &str) -> Option<Value> {
        match &self.kind {
            Kind::Responses(answer) => answer.response(Some(status)),
            Kind::Chat(_) | Kind::Messages(_) => None,
        }
    }
}

/// The string that is written like this.
fn spoken(written: &str) -> String {
    json::unescape(written).into_owned()
}

/// The value, null where it cannot be held (half a surrogate pair, a nesting too deep).
fn value(raw: json::Raw<'_>) -> Value {
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
}
