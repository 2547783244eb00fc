//! How events become lines: every form that the WHATWG standard allows (section 9.2.5), so that a
//! reader of streams meets them all.

use std::fmt;
use std::io::Write as _;

/// What ends a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LineEnd {
    /// `\n`, as nearly everybody does.
    #[default]
    Lf,
    /// `\r\n`
    CrLf,
    /// `\r`
    Cr,
}

impl LineEnd {
    fn text(self) -> &'static str {
        match self {
            Self::Lf => "\n",
            Self::CrLf => "\r\n",
            Self::Cr => "\r",
        }
    }
}

/// A comment that comes again and again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment {
    /// What stands after the colon.
    pub text: String,
    /// Before every so many events; the first comment comes before the first event.
    pub every: u64,
    /// Whether a blank line follows, which some decoders take for an empty event; otherwise the
    /// comment is glued to the event after it.
    pub block: bool,
}

/// How the body is cut into writes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Writes {
    /// Everything that is due leaves together.
    #[default]
    Together,
    /// Each event in a write of its own.
    Events,
    /// Pieces of these sizes in bytes, over and over, also inside a character; a piece never spans
    /// two tokens, so the last piece of a token may be shorter. A size of 0 counts as 1.
    Sizes(Vec<usize>),
}

/// How events are framed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Framing {
    /// What ends a line.
    pub line_end: LineEnd,
    /// No space between a field's colon and its value.
    pub tight: bool,
    /// A byte order mark before the first event.
    pub bom: bool,
    /// `id:` lines, counting from this number.
    pub ids_from: Option<u64>,
    /// A `retry:` line with this many milliseconds in the first event.
    pub retry_ms: Option<u64>,
    /// Comments between the events.
    pub comment: Option<Comment>,
}

/// Writes events by a [`Framing`], and knows where each ended.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sse {
    framing: Framing,
    /// What has been written and not been taken.
    pub(crate) bytes: Vec<u8>,
    /// Where events end in `bytes`.
    pub(crate) ends: Vec<usize>,
    events: u64,
}

impl Sse {
    pub(crate) fn new(framing: Framing) -> Self {
        Self { framing, ..Self::default() }
    }

    /// Forgets what has been written.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// Bytes that are no event.
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.ends.push(self.bytes.len());
    }

    /// An event of JSON, which has no line ends of its own.
    pub(crate) fn event(&mut self, name: Option<&str>, data: fmt::Arguments<'_>) {
        self.begin(name, None, None);
        self.field_name("data");
        self.bytes.write_fmt(data).expect("a vector takes everything");
        self.line_end();
        self.finish();
    }

    /// An event of text, one `data:` line for each of its lines.
    pub(crate) fn text(
        &mut self,
        name: Option<&str>,
        id: Option<&str>,
        retry: Option<u64>,
        t: &str,
    ) {
        self.begin(name, id, retry);
        for line in t.split('\n') {
            self.field("data", line);
        }
        self.finish();
    }

    fn begin(&mut self, name: Option<&str>, id: Option<&str>, retry: Option<u64>) {
        let first = self.events == 0;
        if first && self.framing.bom {
            self.bytes.extend_from_slice("\u{feff}".as_bytes());
        }
        self.comment();
        if let Some(name) = name {
            self.field("event", name);
        }
        let counted = self.framing.ids_from.map(|from| (from + self.events).to_string());
        if let Some(id) = id.or(counted.as_deref()) {
            self.field("id", id);
        }
        if let Some(retry) = retry.or(self.framing.retry_ms.filter(|_| first)) {
            self.field("retry", &retry.to_string());
        }
    }

    fn comment(&mut self) {
        let Some(comment) = &self.framing.comment else { return };
        if self.events % comment.every.max(1) != 0 {
            return;
        }
        let block = comment.block;
        self.bytes.extend_from_slice(b": ");
        self.bytes.extend_from_slice(comment.text.as_bytes());
        self.line_end();
        if block {
            self.line_end();
        }
    }

    fn finish(&mut self) {
        self.line_end();
        self.events += 1;
        self.ends.push(self.bytes.len());
    }

    fn field(&mut self, name: &str, value: &str) {
        self.field_name(name);
        if self.framing.tight && value.starts_with(' ') {
            // A decoder takes one space away (section 9.2.6).
            self.bytes.push(b' ');
        }
        self.push(value);
        self.line_end();
    }

    fn field_name(&mut self, name: &str) {
        self.push(name);
        self.push(if self.framing.tight { ":" } else { ": " });
    }

    fn line_end(&mut self) {
        self.push(self.framing.line_end.text());
    }

    fn push(&mut self, text: &str) {
        self.bytes.extend_from_slice(text.as_bytes());
    }
}
