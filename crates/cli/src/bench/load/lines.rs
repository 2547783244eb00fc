//! Reads one response: head and transfer coding, cut into lines.

use memchr::memchr;

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
    #[error("a WebSocket frame that a server must not send, or a message that is too long")]
    Frame,
}

/// The state of one response.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    part: Part,
    /// The unfinished head or line.
    carry: Vec<u8>,
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

impl Lines {
    /// True once the head has come, with status 200.
    pub(crate) fn opened(&self) -> bool {
        self.part != Part::Head
    }

    /// Takes the next bytes and reports each line that they complete, without its LF.
    pub(crate) fn feed(
        &mut self,
        bytes: &[u8],
        line: &mut impl FnMut(&[u8]),
    ) -> Result<(), ScanError> {
        if self.part != Part::Head {
            return self.body(bytes, line);
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
        self.body(&head_and_more[head.length..], line)
    }

    fn body(&mut self, mut bytes: &[u8], line: &mut impl FnMut(&[u8])) -> Result<(), ScanError> {
        while !bytes.is_empty() {
            match self.part {
                Part::Head | Part::Plain => return self.lines(bytes, line),
                Part::Chunk(left) => {
                    let length = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                    self.lines(&bytes[..length], line)?;
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

    fn lines(&mut self, mut bytes: &[u8], line: &mut impl FnMut(&[u8])) -> Result<(), ScanError> {
        if !self.carry.is_empty() {
            let end = memchr(b'\n', bytes);
            self.carry.extend_from_slice(&bytes[..end.unwrap_or(bytes.len())]);
            if self.carry.len() > LINE_BYTES_MAX {
                return Err(ScanError::LineTooLong);
            }
            let Some(end) = end else { return Ok(()) };
            line(&self.carry);
            self.carry.clear();
            bytes = &bytes[end + 1..];
        }
        while let Some(end) = memchr(b'\n', bytes) {
            line(&bytes[..end]);
            bytes = &bytes[end + 1..];
        }
        self.carry.extend_from_slice(bytes);
        Ok(())
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
