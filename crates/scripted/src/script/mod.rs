//! What an upstream is to say to one request, and how.

use std::sync::Arc;
use std::time::Duration;

use crate::dialect::Dialect;
use crate::fault::Fault;
use crate::framing::{Framing, Writes};
use crate::text::tokens;

mod refine;

/// A part of an LLM's answer, cut into tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// What is said.
    Text(Vec<String>),
    /// What is thought before: `reasoning_content`, reasoning items, thinking blocks.
    Reasoning(Vec<String>),
    /// A call of a tool.
    ToolCall {
        /// The tool.
        name: String,
        /// Its arguments, JSON in pieces.
        arguments: Vec<String>,
    },
}

impl Part {
    /// The tokens.
    #[must_use]
    pub fn pieces(&self) -> &[String] {
        match self {
            Self::Text(pieces) | Self::Reasoning(pieces) => pieces,
            Self::ToolCall { arguments, .. } => arguments,
        }
    }
}

/// An event of a stream that is no LLM's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SseEvent {
    /// Its `event:` line.
    pub name: Option<String>,
    /// Its `id:` line.
    pub id: Option<String>,
    /// Its `retry:` line, in milliseconds.
    pub retry_ms: Option<u64>,
    /// Its data; each line of it becomes a `data:` line.
    pub data: String,
}

/// Why an LLM's answer ends, where nothing breaks it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Finish {
    /// It is complete; after a tool call, the tool's turn.
    #[default]
    Natural,
    /// It is as long as it may be.
    Length,
    /// A filter stopped it.
    ContentFilter,
}

/// How the length of a body is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Coding {
    /// Chunked transfer coding, one chunk for each write or event (RFC 9112, section 7.1).
    #[default]
    Chunked,
    /// `Content-Length`, known before the first byte. With [`Fault::close`] and its like it says
    /// the length that the whole body would have had; with [`Fault::end`] what is really sent.
    Length,
    /// The body ends where the connection does.
    UntilClose,
}

#[derive(Debug, Clone)]
pub(crate) enum Content {
    Parts(Arc<Vec<Part>>),
    Events(Arc<Vec<SseEvent>>),
    Plain { content_type: String, body: Arc<[u8]> },
    Refusal { message: String },
}

/// What is said to one request. Made by one of the first functions, refined by the others; cheap
/// to clone.
#[derive(Debug, Clone)]
pub struct Script {
    pub(crate) content: Content,
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) head_after: Duration,
    pub(crate) first_after: Duration,
    pub(crate) pace: Duration,
    pub(crate) dialect: Option<Dialect>,
    pub(crate) model: Option<String>,
    pub(crate) id: Option<String>,
    pub(crate) created: u64,
    pub(crate) choices: u32,
    pub(crate) finish: Finish,
    pub(crate) usage: Option<(u64, u64)>,
    pub(crate) end_marker: bool,
    pub(crate) indices: bool,
    pub(crate) pings: u64,
    pub(crate) stamped: bool,
    pub(crate) framing: Framing,
    pub(crate) coding: Coding,
    pub(crate) writes: Writes,
    pub(crate) gap: Duration,
    pub(crate) faults: Vec<Fault>,
    pub(crate) streamed: bool,
    pub(crate) starting_after: Option<u64>,
    pub(crate) from_byte: u64,
}

/// The time that answers say they were made at, in seconds of Unix time, unless told otherwise:
/// always the same, so that answers differ by their ids alone.
const CREATED: u64 = 1_750_000_000;

impl Script {
    fn new(content: Content) -> Self {
        Self {
            content,
            status: 200,
            headers: Vec::new(),
            head_after: Duration::ZERO,
            first_after: Duration::ZERO,
            pace: Duration::ZERO,
            dialect: None,
            model: None,
            id: None,
            created: CREATED,
            choices: 1,
            finish: Finish::Natural,
            usage: None,
            end_marker: true,
            indices: true,
            pings: 0,
            stamped: false,
            framing: Framing::default(),
            coding: Coding::Chunked,
            writes: Writes::Together,
            gap: Duration::ZERO,
            faults: Vec::new(),
            streamed: false,
            starting_after: None,
            from_byte: 0,
        }
    }

    /// An LLM's answer: this text, cut into [`tokens`].
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self::parts(vec![Part::Text(tokens(text))])
    }

    /// An LLM's answer: these tokens.
    #[must_use]
    pub fn tokens(tokens: Vec<String>) -> Self {
        Self::parts(vec![Part::Text(tokens)])
    }

    /// An LLM's answer in several parts.
    #[must_use]
    pub fn parts(parts: Vec<Part>) -> Self {
        Self::new(Content::Parts(Arc::new(parts)))
    }

    /// A stream that is no LLM's. Each event counts as a token.
    #[must_use]
    pub fn events(events: Vec<SseEvent>) -> Self {
        Self::new(Content::Events(Arc::new(events)))
    }

    /// One event, `Hello, SSE!`, without an id.
    #[must_use]
    pub fn hello() -> Self {
        Self::events(vec![SseEvent { data: "Hello, SSE!".to_owned(), ..SseEvent::default() }])
    }

    /// Prices with the ids `after + 1` to `after + count`. The same id always has the same price,
    /// so that who resumes sees what it would have seen.
    #[must_use]
    pub fn prices(after: u64, count: u64) -> Self {
        let event = |id: u64| {
            let cents = 10_000 + (id * 7_919) % 5_000;
            let data =
                format!("{{\"symbol\":\"TIDE\",\"price\":{}.{:02}}}", cents / 100, cents % 100);
            SseEvent { id: Some(id.to_string()), data, ..SseEvent::default() }
        };
        Self::events((after + 1..=after + count).map(event).collect())
    }

    /// A body that is no stream, with its length.
    #[must_use]
    pub fn body(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let body = Arc::from(body.into());
        let plain = Content::Plain { content_type: content_type.to_owned(), body };
        Self { status, coding: Coding::Length, ..Self::new(plain) }
    }

    /// A refusal in the form of the dialect, before any stream: 400, 401, 404, 429, 500, 503, 529.
    #[must_use]
    pub fn refuse(status: u16, message: &str) -> Self {
        let refusal = Content::Refusal { message: message.to_owned() };
        Self { status, coding: Coding::Length, ..Self::new(refusal) }
    }

    /// Puts thoughts before everything else.
    #[must_use]
    pub fn reasoning(mut self, text: &str) -> Self {
        if let Content::Parts(parts) = &mut self.content {
            Arc::make_mut(parts).insert(0, Part::Reasoning(tokens(text)));
        }
        self
    }

    /// Adds thoughts after what there is.
    #[must_use]
    pub fn then_reasoning(self, text: &str) -> Self {
        self.then(Part::Reasoning(tokens(text)))
    }

    /// Adds text after what there is.
    #[must_use]
    pub fn then_text(self, text: &str) -> Self {
        self.then(Part::Text(tokens(text)))
    }

    /// Adds a call of a tool, its arguments (JSON) cut like a text.
    #[must_use]
    pub fn then_call(self, name: &str, arguments: &str) -> Self {
        self.then(Part::ToolCall { name: name.to_owned(), arguments: tokens(arguments) })
    }

    /// Adds a part after what there is; without effect on what is no LLM's answer.
    #[must_use]
    pub fn then(mut self, part: Part) -> Self {
        if let Content::Parts(parts) = &mut self.content {
            Arc::make_mut(parts).push(part);
        }
        self
    }
}

impl Script {
    /// The coding of a body that does not stream: its length, unless the script wants otherwise.
    pub(crate) fn whole_coding(&self) -> Coding {
        match self.coding {
            Coding::Chunked if matches!(self.content, Content::Parts(_)) => Coding::Length,
            coding => coding,
        }
    }
}
