//! The refinements of a script: status, times, dialect, framing, faults.

use std::time::Duration;

use super::{Coding, Finish, Script};
use crate::dialect::Dialect;
use crate::fault::Fault;
use crate::framing::{Comment, Framing, LineEnd, Writes};

impl Script {
    /// The status code.
    #[must_use]
    pub fn status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    /// Adds a header, such as `retry-after`. `content-type` replaces the script's own.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// How long the head of the response lets itself be waited for.
    #[must_use]
    pub fn head_after(self, delay: Duration) -> Self {
        Self { head_after: delay, ..self }
    }

    /// How long after the head the first token comes (the time a model reads the prompt).
    #[must_use]
    pub fn first_after(self, delay: Duration) -> Self {
        Self { first_after: delay, ..self }
    }

    /// The time from one token to the next; zero, as it is without this, is as fast as the client
    /// reads. Tokens keep to a timetable: they catch up with it after a slow reader. A stall
    /// moves it.
    #[must_use]
    pub fn pace(self, pace: Duration) -> Self {
        Self { pace, ..self }
    }

    /// The dialect, instead of the one that belongs to the path.
    #[must_use]
    pub fn dialect(self, dialect: Dialect) -> Self {
        Self { dialect: Some(dialect), ..self }
    }

    /// The model that the answer names, instead of the one that was asked for.
    #[must_use]
    pub fn model(self, model: &str) -> Self {
        Self { model: Some(model.to_owned()), ..self }
    }

    /// The answer's id, instead of a new one; the ids of its items are made from it.
    #[must_use]
    pub fn id(self, id: &str) -> Self {
        Self { id: Some(id.to_owned()), ..self }
    }

    /// When the answer says it was made, in seconds of Unix time.
    #[must_use]
    pub fn created(self, seconds: u64) -> Self {
        Self { created: seconds, ..self }
    }

    /// How many times a chat answers at once (`choices`), each the same.
    #[must_use]
    pub fn choices(self, choices: u32) -> Self {
        Self { choices, ..self }
    }

    /// Why the answer ends.
    #[must_use]
    pub fn finish(self, finish: Finish) -> Self {
        Self { finish, ..self }
    }

    /// Tokens of the prompt and of the answer that are reported, instead of an estimate (bytes of
    /// the request / 4) and the tokens of the script.
    #[must_use]
    pub fn usage(self, prompt: u64, completion: u64) -> Self {
        Self { usage: Some((prompt, completion)), ..self }
    }

    /// Leaves out what marks a complete answer (`[DONE]`, `response.completed`, `message_stop`).
    #[must_use]
    pub fn without_end_marker(self) -> Self {
        Self { end_marker: false, ..self }
    }

    /// Leaves `sequence_number`, `output_index` and `content_index` out of Responses events, as
    /// llama-server does.
    #[must_use]
    pub fn without_indices(self) -> Self {
        Self { indices: false, ..self }
    }

    /// A `ping` event of the Messages dialect after every so many tokens (0: none besides the one
    /// that every answer begins with).
    #[must_use]
    pub fn pings(self, every: u64) -> Self {
        Self { pings: every, ..self }
    }

    /// Replaces every token of text by the time at which it is handed to the socket: 20 digits,
    /// nanoseconds of the system's monotonic clock ([`monotonic_ns`](crate::monotonic_ns)), which
    /// all processes of a machine share.
    #[must_use]
    pub fn stamped(self) -> Self {
        Self { stamped: true, ..self }
    }

    /// How events become lines.
    #[must_use]
    pub fn framing(self, framing: Framing) -> Self {
        Self { framing, ..self }
    }

    /// What ends a line.
    #[must_use]
    pub fn line_end(mut self, line_end: LineEnd) -> Self {
        self.framing.line_end = line_end;
        self
    }

    /// A comment before every so many events; `block` puts a blank line after it.
    #[must_use]
    pub fn comment(mut self, text: &str, every: u64, block: bool) -> Self {
        self.framing.comment = Some(Comment { text: text.to_owned(), every, block });
        self
    }

    /// How the length of the body is told.
    #[must_use]
    pub fn coding(self, coding: Coding) -> Self {
        Self { coding, ..self }
    }

    /// How the body is cut into writes, and the time between two of them.
    #[must_use]
    pub fn writes(self, writes: Writes, gap: Duration) -> Self {
        Self { writes, gap, ..self }
    }

    /// Adds something that happens on the way.
    #[must_use]
    pub fn fault(mut self, fault: Fault) -> Self {
        self.faults.push(fault);
        self
    }

    /// A stream, also to a request that does not ask for one: as the server of llama.cpp answers
    /// `GET /v1/stream`.
    #[must_use]
    pub fn streamed(self) -> Self {
        Self { streamed: true, ..self }
    }

    /// Leaves out the Responses events up to this sequence number, as when a background answer is
    /// fetched again. Needs [`Script::id`] to be the answer that it was.
    #[must_use]
    pub fn starting_after(self, sequence_number: u64) -> Self {
        Self { starting_after: Some(sequence_number), ..self }
    }

    /// Leaves out the first bytes of the body, as when llama-server's stream is taken up again.
    #[must_use]
    pub fn from_byte(self, byte: u64) -> Self {
        Self { from_byte: byte, ..self }
    }
}
