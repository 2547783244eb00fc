//! `text/event-stream` into events: WHATWG HTML, section 9.2.6, complete, and safe to point at a
//! server that is broken or hostile.
//!
//! Promises: the events are the same however the stream is cut into chunks. A blank line that ends
//! in CR dispatches at the CR, not at the byte after it. What is not UTF-8 becomes U+FFFD, as the
//! standard's decoder has it. An event without its blank line is never dispatched and its id does
//! not count. A line or an event above the [`Limits`] is an error and never memory. Each byte is
//! searched once and copied at most once more than a line is cut, so no chunking is quadratic.
//!
//! An event that lies wholly in one chunk, which is nearly all of them, is borrowed from the chunk:
//! such an event costs one search for its line end and one check of its UTF-8, and no copy at all.

use std::borrow::Cow;

use memchr::{memchr, memchr2, memrchr2};

use crate::limits::{DECODED_EVENT_BYTES_DEFAULT, DECODED_LINE_BYTES_DEFAULT};

/// The byte order mark that may lead the stream, once.
const BOM: [u8; 3] = [0xef, 0xbb, 0xbf];

/// Capacity of a buffer that is kept for the next event, in bytes; what one huge event needed
/// beyond it is given back. 512 KiB holds an LLM's longest tool call, twice over.
const KEPT_BYTES_MAX: usize = 512 << 10;

/// What one stream may make the decoder hold. The standard sets no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest line but for comments, which are not held, in bytes without its end.
    pub line_bytes: usize,
    /// Most data of one event, in bytes.
    pub event_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { line_bytes: DECODED_LINE_BYTES_DEFAULT, event_bytes: DECODED_EVENT_BYTES_DEFAULT }
    }
}

/// Why a stream cannot be read on. The decoder answers the same until it is
/// [reset](Decoder::reset).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// A line has more bytes than this limit.
    #[error("a line of the event stream has more than {0} bytes")]
    LineTooLong(usize),
    /// An event has more bytes of data than this limit.
    #[error("an event has more than {0} bytes of data")]
    EventTooLong(usize),
}

/// One dispatched event. What borrows from the chunk or the decoder is valid during the call only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventRef<'a> {
    /// The `event:` field, or `message`.
    pub event_type: &'a str,
    /// The `data:` lines, joined by LF.
    pub data: &'a str,
    /// The last event id string: this event's `id:`, or else the one before. Empty: none.
    pub last_event_id: &'a str,
}

/// Reads one event stream after another, chunk by chunk. The last event id and the reconnection
/// time outlive a stream; everything else begins anew with it.
#[derive(Debug, Default)]
pub struct Decoder {
    limits: Limits,
    /// Bytes of the BOM seen so far; more than three once the question is settled.
    bom: u8,
    /// The last byte was a CR that ended a line: an LF now belongs to it.
    after_cr: bool,
    /// In a comment that began in an earlier chunk.
    in_comment: bool,
    /// A line that began in an earlier chunk.
    line: Vec<u8>,
    /// The data of the event so far, after `data_start`, if `has_data`.
    data: Vec<u8>,
    data_start: usize,
    has_data: bool,
    /// The type of the event so far; empty for `message`.
    event_type: Vec<u8>,
    /// The id of the event so far, if `has_id`: it counts once the event is dispatched.
    id: Vec<u8>,
    has_id: bool,
    last_event_id: String,
    retry_ms: Option<u64>,
    comments: u64,
    failed: Option<DecodeError>,
}

/// The lines of a chunk that are whole, each with its end.
///
/// Their UTF-8 is checked in one go, which takes a third of the time that checking each field
/// takes; only if there is something to repair is it looked at again, field by field.
struct Lines<'c> {
    bytes: &'c [u8],
    text: Option<&'c str>,
}

/// Where a field's value lies in [`Lines`]. Values end at line ends and begin after ASCII, so a
/// span never parts a character.
#[derive(Clone, Copy)]
struct Span {
    from: usize,
    to: usize,
}

impl<'c> Lines<'c> {
    fn new(bytes: &'c [u8]) -> Self {
        Self { bytes, text: std::str::from_utf8(bytes).ok() }
    }

    #[inline]
    fn get(&self, span: Span) -> Cow<'c, str> {
        match self.text.and_then(|text| text.get(span.from..span.to)) {
            Some(text) => Cow::Borrowed(text),
            None => String::from_utf8_lossy(self.raw(span)),
        }
    }

    #[inline]
    fn raw(&self, span: Span) -> &'c [u8] {
        &self.bytes[span.from..span.to]
    }
}

/// The fields of the event so far which lie in the lines at hand. They override the decoder's.
#[derive(Default)]
struct Block {
    data: Option<Span>,
    event_type: Option<Span>,
    id: Option<Span>,
    /// The id of the last event dispatched from these lines.
    last_event_id: Option<Span>,
}

/// A field of the standard, with its value.
enum Field<'a> {
    Data(&'a [u8]),
    Event(&'a [u8]),
    Id(&'a [u8]),
    Retry(&'a [u8]),
    Comment,
    Unknown,
}

impl<'a> Field<'a> {
    /// Splits a line that is not empty. All four names are short, so comparing them is cheaper than
    /// looking for the colon. The value is always the end of the line.
    #[inline]
    fn of(line: &'a [u8]) -> Self {
        let value = |name: &[u8]| match line.strip_prefix(name)? {
            [b':', b' ', value @ ..] | [b':', value @ ..] | value @ [] => Some(value),
            _ => None,
        };
        if let Some(value) = value(b"data") {
            Self::Data(value)
        } else if let Some(value) = value(b"id") {
            Self::Id(value)
        } else if let Some(value) = value(b"event") {
            Self::Event(value)
        } else if line[0] == b':' {
            Self::Comment
        } else if let Some(value) = value(b"retry") {
            Self::Retry(value)
        } else {
            Self::Unknown
        }
    }
}

/// Text as the standard decodes it. Almost all of it is valid, which is much faster to find out
/// than to repair.
fn text(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(bytes),
    }
}

/// The value of `retry:` if it is nothing but ASCII digits. Beyond 2^64 ms it is 2^64 - 1 ms.
fn retry(value: &[u8]) -> Option<u64> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let add = |ms: u64, digit: &u8| ms.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
    Some(value.iter().fold(0, add))
}

impl Decoder {
    /// A decoder at the start of a stream, without a last event id.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// The last event id string, as the events dispatched so far left it. Empty: none.
    #[must_use]
    pub fn last_event_id(&self) -> &str {
        &self.last_event_id
    }

    /// Sets the last event id string, as if an event had brought it.
    pub fn set_last_event_id(&mut self, id: &str) {
        id.clone_into(&mut self.last_event_id);
    }

    /// The newest reconnection time that the stream asked for, in milliseconds.
    #[must_use]
    pub fn retry_ms(&self) -> Option<u64> {
        self.retry_ms
    }

    /// Comments seen, heartbeats among them.
    #[must_use]
    pub fn comments(&self) -> u64 {
        self.comments
    }

    /// Begins a new stream: after a reconnection, or after an error. An unfinished event is gone
    /// and its id with it; the last event id and the reconnection time stay.
    pub fn reset(&mut self) {
        let kept = std::mem::take(self);
        *self = Self {
            limits: kept.limits,
            last_event_id: kept.last_event_id,
            retry_ms: kept.retry_ms,
            comments: kept.comments,
            ..Self::default()
        };
    }

    /// Reads the next bytes of the stream and calls `on_event` for each event that they complete.
    ///
    /// # Errors
    ///
    /// A line or an event is above its limit. Events before it have been dispatched and the last
    /// event id is that of the last of them.
    pub fn feed(
        &mut self,
        chunk: &[u8],
        mut on_event: impl FnMut(EventRef<'_>),
    ) -> Result<(), DecodeError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let result = self.chunk(chunk, &mut on_event);
        self.failed = result.err();
        result
    }

    fn chunk(
        &mut self,
        chunk: &[u8],
        on_event: &mut impl FnMut(EventRef<'_>),
    ) -> Result<(), DecodeError> {
        let rest = self.begin(chunk)?;
        if let Some(&last) = rest.last() {
            self.after_cr = last == b'\r';
        }
        let whole = memrchr2(b'\n', b'\r', rest).map_or(0, |last| last + 1);
        let (lines, tail) = rest.split_at(whole);
        let lines = Lines::new(lines);
        let mut block = Block::default();
        let result = self.lines(&lines, &mut block, on_event);
        self.keep(&lines, &block);
        result?;
        if tail.is_empty() { Ok(()) } else { self.keep_line(tail) }
    }

    fn lines(
        &mut self,
        lines: &Lines<'_>,
        block: &mut Block,
        on_event: &mut impl FnMut(EventRef<'_>),
    ) -> Result<(), DecodeError> {
        let mut at = 0;
        while let Some(&first) = lines.bytes.get(at) {
            // A blank line needs no search: this halves the searches of one-line events.
            let length = match first {
                b'\n' => 0,
                _ => memchr2(b'\n', b'\r', &lines.bytes[at..]).expect("whole lines have an end"),
            };
            let span = Span { from: at, to: at + length };
            at = span.to + 1;
            if lines.bytes[span.to] == b'\r' && lines.bytes.get(at) == Some(&b'\n') {
                at += 1;
            }
            if length == 0 {
                self.dispatch(lines, block, on_event);
            } else {
                self.field(lines, span, block)?;
            }
        }
        Ok(())
    }

    /// What belongs to an earlier chunk: an LF after its CR, the rest of a BOM, the rest of a line.
    #[inline]
    fn begin<'c>(&mut self, chunk: &'c [u8]) -> Result<&'c [u8], DecodeError> {
        let mut rest = chunk;
        if self.after_cr && !rest.is_empty() {
            self.after_cr = false;
            rest = rest.strip_prefix(b"\n").unwrap_or(rest);
        }
        if usize::from(self.bom) <= BOM.len() {
            rest = self.skip_bom(rest);
        }
        if self.in_comment || !self.line.is_empty() {
            rest = self.finish_line(rest)?;
        }
        Ok(rest)
    }

    fn skip_bom<'c>(&mut self, chunk: &'c [u8]) -> &'c [u8] {
        let mut rest = chunk;
        while let Some((&byte, after)) = rest.split_first() {
            let seen = usize::from(self.bom);
            if BOM.get(seen) == Some(&byte) {
                self.bom += 1;
                rest = after;
                continue;
            }
            if seen < BOM.len() {
                // It only began like a BOM, so those bytes are the start of a line.
                self.line.extend_from_slice(&BOM[..seen]);
            }
            self.bom = u8::MAX;
            break;
        }
        rest
    }

    /// Completes the line that an earlier chunk began, or takes all of `chunk` into it.
    fn finish_line<'c>(&mut self, chunk: &'c [u8]) -> Result<&'c [u8], DecodeError> {
        let Some(length) = memchr2(b'\n', b'\r', chunk) else {
            self.keep_line(chunk)?;
            return Ok(&[]);
        };
        if !self.in_comment {
            self.extend_line(&chunk[..length])?;
            self.kept_field()?;
        }
        self.in_comment = false;
        let mut rest = &chunk[length + 1..];
        if chunk[length] == b'\r' {
            self.after_cr = rest.is_empty();
            rest = rest.strip_prefix(b"\n").unwrap_or(rest);
        }
        Ok(rest)
    }

    /// Keeps the start of a line whose end is in a later chunk. A comment is counted, not kept.
    fn keep_line(&mut self, part: &[u8]) -> Result<(), DecodeError> {
        if self.line.is_empty() && !self.in_comment && part.first() == Some(&b':') {
            self.comments += 1;
            self.in_comment = true;
        }
        if self.in_comment { Ok(()) } else { self.extend_line(part) }
    }

    fn extend_line(&mut self, part: &[u8]) -> Result<(), DecodeError> {
        if part.len() > self.limits.line_bytes.saturating_sub(self.line.len()) {
            return Err(DecodeError::LineTooLong(self.limits.line_bytes));
        }
        self.line.extend_from_slice(part);
        Ok(())
    }

    /// Takes the field in the kept line. Data changes its owner instead of being copied.
    fn kept_field(&mut self) -> Result<(), DecodeError> {
        let mut line = std::mem::take(&mut self.line);
        match Field::of(&line) {
            Field::Data(value) if !self.has_data => {
                self.check_event(value.len())?;
                self.data_start = line.len() - value.len();
                self.has_data = true;
                std::mem::swap(&mut self.data, &mut line);
            }
            _ => {
                let lines = Lines { bytes: &line, text: None };
                let mut block = Block::default();
                self.field(&lines, Span { from: 0, to: line.len() }, &mut block)?;
                self.keep(&lines, &block);
            }
        }
        line.clear();
        line.shrink_to(KEPT_BYTES_MAX);
        self.line = line;
        Ok(())
    }

    #[inline]
    fn field(
        &mut self,
        lines: &Lines<'_>,
        span: Span,
        block: &mut Block,
    ) -> Result<(), DecodeError> {
        let line = lines.raw(span);
        let field = Field::of(line);
        if line.len() > self.limits.line_bytes && !matches!(field, Field::Comment) {
            return Err(DecodeError::LineTooLong(self.limits.line_bytes));
        }
        let value_span = |value: &[u8]| Span { from: span.to - value.len(), to: span.to };
        match field {
            Field::Data(value) if block.data.is_none() && !self.has_data => {
                self.check_event(value.len())?;
                block.data = Some(value_span(value));
            }
            Field::Data(value) => {
                if let Some(first) = block.data.take() {
                    self.keep_data(lines.raw(first));
                }
                self.check_event(self.data.len() - self.data_start + 1 + value.len())?;
                self.data.push(b'\n');
                self.data.extend_from_slice(value);
            }
            Field::Event(value) => block.event_type = Some(value_span(value)),
            Field::Id(value) if memchr(0, value).is_none() => block.id = Some(value_span(value)),
            // At once, not at the blank line: so says the standard.
            Field::Retry(value) => self.retry_ms = retry(value).or(self.retry_ms),
            Field::Comment => self.comments += 1,
            Field::Id(_) | Field::Unknown => {}
        }
        Ok(())
    }

    #[inline]
    fn check_event(&self, bytes: usize) -> Result<(), DecodeError> {
        if bytes > self.limits.event_bytes {
            return Err(DecodeError::EventTooLong(self.limits.event_bytes));
        }
        Ok(())
    }

    #[inline]
    fn dispatch(
        &mut self,
        lines: &Lines<'_>,
        block: &mut Block,
        on_event: &mut impl FnMut(EventRef<'_>),
    ) {
        // An id counts even without data: such a block moves the cursor and is not an event.
        if let Some(id) = block.id.take() {
            self.has_id = false;
            block.last_event_id = Some(id);
        } else if self.has_id {
            self.has_id = false;
            self.last_event_id = text(&self.id).into_owned();
        }
        let data = match block.data.take() {
            Some(span) => Some(lines.get(span)),
            None if self.has_data => Some(text(&self.data[self.data_start..])),
            None => None,
        };
        if let Some(data) = data {
            let event_type = match block.event_type {
                Some(span) => lines.get(span),
                None if self.event_type.is_empty() => Cow::Borrowed(""),
                None => text(&self.event_type),
            };
            let id = block.last_event_id.map(|span| lines.get(span));
            on_event(EventRef {
                event_type: if event_type.is_empty() { "message" } else { &event_type },
                data: &data,
                last_event_id: id.as_deref().unwrap_or(&self.last_event_id),
            });
        }
        block.event_type = None;
        self.event_type.clear();
        if self.has_data {
            self.has_data = false;
            self.data.clear();
            self.data.shrink_to(KEPT_BYTES_MAX);
        }
    }

    /// Copies what the rest of the event will need from the lines, which are about to go away.
    fn keep(&mut self, lines: &Lines<'_>, block: &Block) {
        if let Some(id) = block.last_event_id {
            self.last_event_id.clear();
            self.last_event_id.push_str(&lines.get(id));
        }
        if let Some(id) = block.id {
            self.id.clear();
            self.id.extend_from_slice(lines.raw(id));
            self.has_id = true;
        }
        if let Some(event_type) = block.event_type {
            self.event_type.clear();
            self.event_type.extend_from_slice(lines.raw(event_type));
        }
        if let Some(data) = block.data {
            self.keep_data(lines.raw(data));
        }
    }

    fn keep_data(&mut self, value: &[u8]) {
        self.data.clear();
        self.data.extend_from_slice(value);
        self.data_start = 0;
        self.has_data = true;
    }
}
