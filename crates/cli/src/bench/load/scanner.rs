//! Reads one subscription's response: head, transfer coding, then stamps out of SSE blocks.
//!
//! Not the decoder under test and not a full one: it must cost less than what it measures, so it
//! knows only what servers send to it (LF or CRLF, one data line per event). Anything that is not
//! a stamp is counted as foreign and never taken for a delivery.

use memchr::memchr;

use super::stamp::Stamp;
use crate::bench::http::{self, HeadError};

/// A line longer than this is an error, bytes.
const LINE_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Why a response cannot be measured.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ScanError {
    #[error(transparent)]
    Head(#[from] HeadError),
    #[error("the subscription was refused with status {0}")]
    Refused(u16),
    #[error("a line of more than {LINE_BYTES_MAX} bytes")]
    LineTooLong,
}

/// What a scanner found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A whole event of the measurement.
    Stamp(Stamp),
    /// A whole event that the measurement did not publish (a gap notice, for one).
    Foreign,
}

/// The state of one response.
#[derive(Debug, Default)]
pub(crate) struct Scanner {
    part: Part,
    /// The unfinished head or line.
    carry: Vec<u8>,
    /// Of the block that is being read.
    data: Option<Found>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Part {
    #[default]
    Head,
    /// A body that ends with the connection.
    Plain,
    /// The hexadecimal size of a chunk so far.
    Size(u64),
    /// The rest of a size line.
    SizeRest(u64),
    /// Bytes left of a chunk.
    Chunk(u64),
    /// The line end after a chunk.
    ChunkEnd,
}

impl Scanner {
    /// True once the head has come, with status 200.
    pub(crate) fn opened(&self) -> bool {
        self.part != Part::Head
    }

    /// Takes the next bytes and reports each event that they complete.
    pub(crate) fn feed(
        &mut self,
        bytes: &[u8],
        found: &mut impl FnMut(Found),
    ) -> Result<(), ScanError> {
        if self.part != Part::Head {
            return self.body(bytes, found);
        }
        self.carry.extend_from_slice(bytes);
        let Some(head) = http::response_head(&self.carry)? else {
            return Ok(());
        };
        if head.status != 200 {
            return Err(ScanError::Refused(head.status));
        }
        self.part = if head.chunked { Part::Size(0) } else { Part::Plain };
        let head_and_more = std::mem::take(&mut self.carry);
        self.body(&head_and_more[head.length..], found)
    }

    fn body(&mut self, mut bytes: &[u8], found: &mut impl FnMut(Found)) -> Result<(), ScanError> {
        while !bytes.is_empty() {
            match self.part {
                Part::Head | Part::Plain => return self.lines(bytes, found),
                Part::Chunk(left) => {
                    let length = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                    self.lines(&bytes[..length], found)?;
                    bytes = &bytes[length..];
                    let left = left - length as u64;
                    self.part = if left == 0 { Part::ChunkEnd } else { Part::Chunk(left) };
                }
                Part::Size(_) | Part::SizeRest(_) | Part::ChunkEnd => {
                    self.part = framing(self.part, bytes[0])?;
                    bytes = &bytes[1..];
                }
            }
        }
        Ok(())
    }

    fn lines(&mut self, mut bytes: &[u8], found: &mut impl FnMut(Found)) -> Result<(), ScanError> {
        if !self.carry.is_empty() {
            let end = memchr(b'\n', bytes);
            self.carry.extend_from_slice(&bytes[..end.unwrap_or(bytes.len())]);
            if self.carry.len() > LINE_BYTES_MAX {
                return Err(ScanError::LineTooLong);
            }
            let Some(end) = end else { return Ok(()) };
            let mut line = std::mem::take(&mut self.carry);
            self.line(&line, found);
            line.clear();
            self.carry = line;
            bytes = &bytes[end + 1..];
        }
        while let Some(end) = memchr(b'\n', bytes) {
            self.line(&bytes[..end], found);
            bytes = &bytes[end + 1..];
        }
        self.carry.extend_from_slice(bytes);
        Ok(())
    }

    fn line(&mut self, line: &[u8], found: &mut impl FnMut(Found)) {
        if let Some(value) = line.strip_prefix(b"data:") {
            let value = value.strip_prefix(b" ").unwrap_or(value);
            let stamp = Stamp::parse(value).filter(|_| self.data.is_none());
            self.data = Some(stamp.map_or(Found::Foreign, Found::Stamp));
            return;
        }
        let blank = line.is_empty() || line == b"\r";
        if let Some(event) = self.data.take_if(|_| blank) {
            found(event);
        }
    }
}

/// One byte of chunk framing.
fn framing(part: Part, byte: u8) -> Result<Part, HeadError> {
    let digit = (byte as char).to_digit(16);
    Ok(match (part, byte, digit) {
        (Part::ChunkEnd, b'\n', _) => Part::Size(0),
        (Part::ChunkEnd, b'\r', _) => Part::ChunkEnd,
        // The last chunk; whatever follows is no event.
        (Part::Size(0) | Part::SizeRest(0), b'\n', _) => Part::ChunkEnd,
        (Part::Size(size) | Part::SizeRest(size), b'\n', _) => Part::Chunk(size),
        (Part::SizeRest(size), ..) => Part::SizeRest(size),
        (Part::Size(size), b'\r' | b';' | b' ', _) => Part::SizeRest(size),
        (Part::Size(size), _, Some(digit)) if size < 1 << 32 => {
            Part::Size(size << 4 | u64::from(digit))
        }
        _ => return Err(HeadError::Malformed),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(sequence: u64) -> Stamp {
        Stamp { sequence, sent_ns: 5 }
    }

    fn block(sequence: u64, end: &str) -> String {
        let mut payload = Vec::new();
        stamp(sequence).write(40, &mut payload);
        let payload = String::from_utf8(payload).unwrap();
        format!("id: x-{sequence}{end}data: {payload}{end}{end}")
    }

    /// Feeds `bytes` in pieces of `size` bytes.
    fn scan(bytes: &[u8], size: usize) -> Result<Vec<Found>, ScanError> {
        let mut scanner = Scanner::default();
        let mut all = Vec::new();
        for piece in bytes.chunks(size) {
            scanner.feed(piece, &mut |found| all.push(found))?;
        }
        Ok(all)
    }

    #[test]
    fn plain_and_chunked_bodies_say_the_same_wherever_they_are_cut() {
        for end in ["\n", "\r\n"] {
            let body = [":\n", &block(1, end), "data: ping\n\n", &block(2, end)];
            let mut plain = String::from("HTTP/1.1 200 OK\r\nx: y\r\n\r\n");
            let mut chunked = String::from("HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n");
            for part in body {
                plain.push_str(part);
                let (one, two) = part.split_at(1);
                let more = format!("1\r\n{one}\r\n{:X};a=b\r\n{two}\r\n", two.len());
                chunked.push_str(&more);
            }
            let expected = vec![Found::Stamp(stamp(1)), Found::Foreign, Found::Stamp(stamp(2))];
            for size in [1, 2, 3, 7, 64, 10_000] {
                // Mixed line ends: a chunk of zero bytes would end the body.
                assert_eq!(scan(plain.as_bytes(), size), Ok(expected.clone()), "{size}");
                assert_eq!(scan(chunked.as_bytes(), size), Ok(expected.clone()), "{size}");
            }
        }
    }

    #[test]
    fn an_event_counts_when_its_block_is_complete() {
        let whole = format!("HTTP/1.1 200 OK\r\n\r\n{}", block(1, "\n"));
        assert_eq!(scan(&whole.as_bytes()[..whole.len() - 1], 1_000), Ok(vec![]));
        assert_eq!(scan(whole.as_bytes(), 1_000).unwrap().len(), 1);
    }

    #[test]
    fn a_refusal_is_an_error() {
        let bytes = b"HTTP/1.1 404 Not Found\r\n\r\n";
        assert_eq!(scan(bytes, 5), Err(ScanError::Refused(404)));
    }

    #[test]
    fn chunk_sizes_are_bounded() {
        let bytes = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nfffffffffffff\r\n";
        assert_eq!(scan(bytes, 9), Err(ScanError::Head(HeadError::Malformed)));
    }
}
