//! Reads one subscription's response: stamps out of SSE blocks.
//!
//! Not the decoder under test and not a full one: it must cost less than what it measures, so it
//! knows only what servers send to it (LF or CRLF, one data line per event). Anything that is not
//! a stamp is counted as foreign and never taken for a delivery.

use super::lines::{Lines, ScanError};
use super::stamp::Stamp;

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
    lines: Lines,
    /// Of the block that is being read.
    data: Option<Found>,
}

impl Scanner {
    /// True once the head has come, with status 200.
    pub(crate) fn opened(&self) -> bool {
        self.lines.opened()
    }

    /// Takes the next bytes and reports each event that they complete.
    pub(crate) fn feed(
        &mut self,
        bytes: &[u8],
        found: &mut impl FnMut(Found),
    ) -> Result<(), ScanError> {
        let data = &mut self.data;
        self.lines.feed(bytes, &mut |line| read(data, line, found))
    }
}

fn read(data: &mut Option<Found>, line: &[u8], found: &mut impl FnMut(Found)) {
    if let Some(value) = line.strip_prefix(b"data:") {
        let value = value.strip_prefix(b" ").unwrap_or(value);
        let stamp = Stamp::parse(value).filter(|_| data.is_none());
        *data = Some(stamp.map_or(Found::Foreign, Found::Stamp));
        return;
    }
    let blank = line.is_empty() || line == b"\r";
    if let Some(event) = data.take_if(|_| blank) {
        found(event);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::http::HeadError;

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
