//! What a connection's socket has not taken yet, and no more than that.
//!
//! Events are never queued here: the next span is fetched when everything is written. So a peer
//! that stops reading pins one span, and answers up to their limit, at which nothing more is read
//! from it.

use std::collections::VecDeque;
use std::io::{ErrorKind, IoSlice};

use bytes::{Buf as _, Bytes, BytesMut};

use super::protocol::text_header;
use super::wire::Wire;

/// Bytes of answers that wait, from which on nothing is read from the connection: what a hundred
/// receipts take.
const ANSWERS_BYTES_MAX: usize = 64 << 10;

/// Parts of one write: a message of events has three.
const PARTS_PER_WRITE: usize = 8;

/// Rests up to this size are copied, so that they do not pin the span that they are the end of.
const REST_COPIED_BYTES: usize = 1 << 10;

/// The bytes to write.
#[derive(Default)]
pub(super) struct Output {
    /// Being written.
    writing: VecDeque<Bytes>,
    /// To be written after it.
    answers: Vec<u8>,
    /// Whether what was written still waits for the socket.
    flushing: bool,
}

impl Output {
    /// Whether the socket has taken everything.
    pub(super) fn is_empty(&self) -> bool {
        self.writing.is_empty() && self.answers.is_empty() && !self.flushing
    }

    /// Whether more may be read that is to be answered.
    pub(super) fn has_room(&self) -> bool {
        self.answers.len() < ANSWERS_BYTES_MAX
    }

    /// Bytes that are ready to be sent as they are.
    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.answers.extend_from_slice(bytes);
    }

    /// A text message.
    pub(super) fn text(&mut self, json: &[u8]) {
        text_header(json.len(), &mut self.answers);
        self.answers.extend_from_slice(json);
    }

    /// A text message in three parts, of which the middle one is shared.
    pub(super) fn text_around(&mut self, before: &[u8], shared: Bytes, after: &'static [u8]) {
        text_header(before.len() + shared.len() + after.len(), &mut self.answers);
        self.answers.extend_from_slice(before);
        self.turn();
        self.writing.push_back(shared);
        self.writing.push_back(Bytes::from_static(after));
    }

    fn turn(&mut self) {
        if !self.answers.is_empty() {
            self.writing.push_back(std::mem::take(&mut self.answers).into());
        }
    }

    /// Writes until all is written or the socket is full; returns how many writes it took.
    pub(super) fn write_to(&mut self, stream: &mut Wire) -> std::io::Result<u64> {
        let mut writes = 0;
        loop {
            if self.writing.is_empty() {
                // Not before: answers behind a full socket count until they have their turn.
                self.turn();
            }
            if self.writing.is_empty() {
                self.flushing = match stream.try_flush() {
                    Err(error) if error.kind() == ErrorKind::WouldBlock => true,
                    flushed => flushed.map(|()| false)?,
                };
                return Ok(writes);
            }
            let mut slices = [IoSlice::new(&[]); PARTS_PER_WRITE];
            let mut parts = 0;
            for (slice, bytes) in slices.iter_mut().zip(&self.writing) {
                *slice = IoSlice::new(bytes);
                parts += 1;
            }
            match stream.try_write_vectored(&slices[..parts]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => {
                    writes += 1;
                    self.written(count);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.copy_small_rest();
                    return Ok(writes);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn written(&mut self, mut count: usize) {
        while let Some(first) = self.writing.front_mut() {
            if count < first.len() {
                return first.advance(count);
            }
            count -= first.len();
            self.writing.pop_front();
        }
    }

    fn copy_small_rest(&mut self) {
        let length = self.writing.iter().map(Bytes::len).sum::<usize>();
        if length <= REST_COPIED_BYTES {
            let mut rest = BytesMut::with_capacity(length);
            self.writing.drain(..).for_each(|part| rest.extend_from_slice(&part));
            self.writing.push_back(rest.freeze());
        }
    }
}
