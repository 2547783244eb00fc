//! Reads an answer, event by event, and says what to store and when it is over.
//!
//! What conforms to its dialect is stored byte for byte. The exceptions, each for a client that
//! would stumble otherwise: events without data and pings are left out (heartbeats are the
//! relay's own, and clients parse every data as JSON); a usage chunk that only the relay asked for
//! is left out; members that a Responses client needs are added where the upstream omits them; and
//! an answer that is cut gets its dialect's error object. Data that is not JSON is stored as it
//! came and counts as [`Progress::Opening`]: it is the client's to judge, and no part of an answer.

use serde_json::value::RawValue;
use tidings_frame::End;

use super::chat::Chat;
use super::json;
use super::messages::Messages;
use super::responses::Responses;
use super::ui::Ui;
use super::{Asked, Cause, Dialect, Progress, Record};

/// Longest id or model name that is remembered, in bytes; a longer one is nobody's.
pub(super) const NAME_BYTES_MAX: usize = 512;

/// What an answer cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens read, cached ones included; none if the upstream did not say.
    pub input_tokens: Option<u64>,
    /// Tokens written; none if nothing was.
    pub output_tokens: Option<u64>,
    /// Whether `output_tokens` rests on the deltas seen, because the upstream gave no last figure.
    pub estimated: bool,
    /// Events seen that added text, reasoning or a part of a tool call.
    pub deltas: u64,
}

/// What is learnt of an answer in passing, in every dialect.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    pub(super) id: Option<String>,
    pub(super) model: Option<String>,
    pub(super) deltas: u64,
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    /// Whether `output_tokens` is the last word on it.
    reported: bool,
}

impl Facts {
    /// Remembers the first id and model.
    pub(super) fn identify(&mut self, id: Option<&RawValue>, model: Option<&RawValue>) {
        for (known, said) in [(&mut self.id, id), (&mut self.model, model)] {
            if known.is_none() && said.is_some_and(|raw| raw.get().len() <= NAME_BYTES_MAX) {
                *known = json::text(said).map(Into::into);
            }
        }
    }

    /// Takes the figures of a usage report that holds for the whole answer so far.
    pub(super) fn report(&mut self, input: Option<u64>, output: Option<u64>) {
        self.opening(input, output);
        self.reported |= output.is_some();
    }

    /// Takes the figures of a usage report from before the answer.
    pub(super) fn opening(&mut self, input: Option<u64>, output: Option<u64>) {
        self.input_tokens = input.or(self.input_tokens);
        self.output_tokens = output.or(self.output_tokens);
    }

    fn usage(&self) -> Usage {
        let seen = Some(self.deltas).filter(|deltas| *deltas > 0);
        let output_tokens =
            if self.reported { self.output_tokens } else { self.output_tokens.max(seen) };
        Usage {
            input_tokens: self.input_tokens,
            output_tokens,
            estimated: !self.reported && output_tokens.is_some(),
            deltas: self.deltas,
        }
    }
}

/// Whether the event is a heartbeat, or has no data to be parsed.
pub(super) fn is_nothing(event_type: &str, data: &str) -> bool {
    event_type == "ping" || data.trim_ascii().is_empty()
}

/// The event as it came.
pub(super) fn record(event_type: &str, data: &str) -> Record {
    let named = !matches!(event_type, "" | "message");
    Record { event_type: named.then(|| event_type.to_owned()), data: data.to_owned() }
}

/// The reader of one answer: a state machine without I/O.
#[derive(Debug)]
pub struct Reader {
    kind: Kind,
    end: Option<End>,
}

#[derive(Debug)]
enum Kind {
    Chat(Chat),
    Responses(Responses),
    Messages(Messages),
    Ui(Box<Ui>),
}

impl Reader {
    /// A reader of the answer to this request.
    #[must_use]
    pub fn new(dialect: Dialect, asked: &Asked) -> Self {
        let kind = match dialect {
            Dialect::Chat => Kind::Chat(Chat::new(asked)),
            Dialect::Responses => Kind::Responses(Responses::default()),
            Dialect::Messages => Kind::Messages(Messages::default()),
        };
        Self { kind, end: None }
    }

    /// A reader of a chat answer that stores the AI SDK's UI message stream instead: the message
    /// gets the id `message_id`.
    #[must_use]
    pub fn ui(asked: &Asked, message_id: &str) -> Self {
        Self { kind: Kind::Ui(Box::new(Ui::new(asked, message_id))), end: None }
    }

    /// Reads the upstream's next event and appends what to store to `out`. `event_type` is the
    /// event's name, empty or `message` for none. After [`Progress::Over`] nothing is stored any
    /// more.
    pub fn event(&mut self, event_type: &str, data: &str, out: &mut Vec<Record>) -> Progress {
        if let Some(end) = self.end {
            return Progress::Over(end);
        }
        let event_type = if event_type == "message" { "" } else { event_type };
        let progress = match &mut self.kind {
            Kind::Chat(chat) => chat.event(event_type, data, out),
            Kind::Responses(responses) => responses.event(event_type, data, out),
            Kind::Messages(messages) => messages.event(event_type, data, out),
            Kind::Ui(ui) => ui.event(event_type, data, out),
        };
        if let Progress::Over(end) = progress {
            self.end = Some(end);
        }
        progress
    }

    /// Reads an event that an earlier reader of the same answer stored, so that this one can
    /// [finish](Self::finish) where that one was lost: its id, its usage, its sequence numbers.
    /// Says whether the answer is over. A UI message stream needs none of it and stays as it is.
    pub fn replay(&mut self, event_type: Option<&str>, data: &str) -> Progress {
        match &self.kind {
            Kind::Ui(_) if data == super::chat::DONE => Progress::Over(End::Done),
            Kind::Ui(_) => Progress::Opening,
            _ => self.event(event_type.unwrap_or_default(), data, &mut Vec::new()),
        }
    }

    /// The upstream has nothing more to say, or is not asked any more: appends the closing records
    /// to `out` and says how the topic ends. `clean_eof` is whether the body ended as HTTP wants
    /// it; it counts for [`Cause::Broken`] only. An answer that is over already stays as it is.
    pub fn finish(&mut self, clean_eof: bool, cause: &Cause, out: &mut Vec<Record>) -> End {
        if let Some(end) = self.end {
            return end;
        }
        let end = match &mut self.kind {
            Kind::Chat(chat) => chat.finish(clean_eof, cause, out),
            Kind::Responses(responses) => responses.finish(cause, out),
            Kind::Messages(_) => {
                out.push(cause.failure().messages());
                cause.end()
            }
            Kind::Ui(ui) => ui.finish(clean_eof, cause, out),
        };
        self.end = Some(end);
        end
    }

    fn facts(&self) -> &Facts {
        match &self.kind {
            Kind::Chat(chat) => &chat.facts,
            Kind::Responses(responses) => &responses.facts,
            Kind::Messages(messages) => &messages.facts,
            Kind::Ui(ui) => &ui.chat.facts,
        }
    }

    /// What the answer cost so far.
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.facts().usage()
    }

    /// The answer's id (`chatcmpl-…`, `resp_…`, `msg_…`), once known.
    #[must_use]
    pub fn answer_id(&self) -> Option<&str> {
        self.facts().id.as_deref()
    }

    /// The model that answers, as the upstream calls it, once known.
    #[must_use]
    pub fn model(&self) -> Option<&str> {
        self.facts().model.as_deref()
    }
}
