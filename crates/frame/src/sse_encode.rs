//! Events into `text/event-stream` (WHATWG HTML, section 9.2.5), in the profile that every client
//! known to us reads.
//!
//! Promises: line ends are LF and there is no BOM; fields come as `id`, `event`, `retry`, `data`;
//! every block has data; one `data: ` line per line of data. **Nothing can be injected**: data is
//! cut at CRLF, CR and LF, an event type loses those bytes, and a position has none. That data is
//! UTF-8 is the caller's duty; a decoder replaces what is not.

use memchr::memchr2;

use crate::api::EndNotice;
use crate::event::{End, GapNotice};
use crate::position::{Position, decimal};

/// The heartbeat: a comment of one line. With a second LF several clients dispatch an empty event.
pub const HEARTBEAT: &[u8] = b":\n";

/// One event, borrowed, on its way into a buffer.
#[derive(Debug, Clone, Copy, Default)]
pub struct Frame<'a> {
    /// The position, sent as `id:`.
    pub id: Option<Position>,
    /// The type, sent as `event:`; none is `message`.
    pub event: Option<&'a str>,
    /// How long to wait before reconnecting, in milliseconds, sent as `retry:`.
    pub retry_ms: Option<u64>,
    /// The payload. CRLF and CR arrive as LF.
    pub data: &'a [u8],
}

/// Bytes of a frame besides its data and its type: `id: ` + 29 + `event: ` + `retry: ` + 20 +
/// `data: ` and line ends, rounded up.
const OVERHEAD_BYTES: usize = 96;

impl Frame<'_> {
    /// Appends the block, with the blank line that ends it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.reserve(OVERHEAD_BYTES + self.event.map_or(0, str::len) + self.data.len());
        if let Some(id) = self.id {
            out.extend_from_slice(b"id: ");
            id.write_to(out);
            out.push(b'\n');
        }
        if let Some(event) = self.event {
            out.extend_from_slice(b"event: ");
            write_line(event.as_bytes(), out);
            out.push(b'\n');
        }
        if let Some(retry_ms) = self.retry_ms {
            out.extend_from_slice(b"retry: ");
            out.extend_from_slice(decimal(retry_ms, &mut [0; 20]));
            out.push(b'\n');
        }
        write_data(self.data, out);
        out.push(b'\n');
    }
}

/// Writes `text` without its CR and LF: a name that got past its check must not end its field.
fn write_line(text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    while let Some(at) = memchr2(b'\r', b'\n', rest) {
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
}

/// Writes a `data: ` line for each line of `data`: one even if it is empty, and one more if it ends
/// in a line end, which a decoder turns back into that line end.
fn write_data(data: &[u8], out: &mut Vec<u8>) {
    let mut rest = data;
    loop {
        out.extend_from_slice(b"data: ");
        let Some(at) = memchr2(b'\r', b'\n', rest) else {
            break;
        };
        out.extend_from_slice(&rest[..at]);
        out.push(b'\n');
        let crlf = rest[at] == b'\r' && rest.get(at + 1) == Some(&b'\n');
        rest = &rest[at + if crlf { 2 } else { 1 }..];
    }
    out.extend_from_slice(rest);
    out.push(b'\n');
}

/// Appends the `gap` block: events are missing, and the stream goes on after `notice.resumes`,
/// which is also its id.
pub fn encode_gap(notice: &GapNotice<'_>, out: &mut Vec<u8>) {
    let data = serde_json::to_vec(notice).expect("strings and lists of strings are always JSON");
    Frame { id: Some(notice.resumes), event: Some("gap"), retry_ms: None, data: &data }.encode(out);
}

/// Appends the `end` block: the topic has ended with the event at this position. It follows that
/// event's own block, which the caller leaves out if the event has no data.
pub fn encode_end(id: Position, end: End, out: &mut Vec<u8>) {
    encode_end_notice(id, &EndNotice { reason: end, topic: None }, out);
}

/// Appends the `end` block for a subscription with an envelope: it may follow several topics, so
/// the block says which one has ended.
pub fn encode_end_notice(id: Position, notice: &EndNotice<'_>, out: &mut Vec<u8>) {
    let data = serde_json::to_vec(notice).expect("two strings are always JSON");
    Frame { id: Some(id), event: Some("end"), retry_ms: None, data: &data }.encode(out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::GapReason;

    fn position() -> Position {
        "abcdefgh-41".parse().unwrap()
    }

    fn check(frame: Frame<'_>, expect: &str) {
        let mut out = Vec::new();
        frame.encode(&mut out);
        assert_eq!(String::from_utf8(out).unwrap(), expect);
    }

    #[test]
    fn fields_come_in_their_order() {
        check(
            Frame { id: Some(position()), event: Some("said"), retry_ms: Some(0), data: b"x" },
            "id: abcdefgh-41\nevent: said\nretry: 0\ndata: x\n\n",
        );
        check(Frame::default(), "data: \n\n");
    }

    #[test]
    fn every_line_end_becomes_a_data_line_of_its_own() {
        for (data, expect) in [
            ("a\nb", "data: a\ndata: b\n\n"),
            ("a\r\nb", "data: a\ndata: b\n\n"),
            ("a\rb", "data: a\ndata: b\n\n"),
            ("a\n\rb", "data: a\ndata: \ndata: b\n\n"),
            ("a\n", "data: a\ndata: \n\n"),
            ("\r", "data: \ndata: \n\n"),
            ("a\r\r\n", "data: a\ndata: \ndata: \n\n"),
            ("x\n\nid: 1\n\n", "data: x\ndata: \ndata: id: 1\ndata: \ndata: \n\n"),
        ] {
            check(Frame { data: data.as_bytes(), ..Frame::default() }, expect);
        }
    }

    #[test]
    fn a_type_cannot_end_its_field() {
        check(
            Frame { event: Some("a\r\ndata: b\n\n"), ..Frame::default() },
            "event: adata: b\ndata: \n\n",
        );
    }

    #[test]
    fn the_blocks_of_gap_and_end() {
        let mut out = Vec::new();
        let notice = GapNotice {
            reason: GapReason::UnknownId,
            requested: "x\"\n".into(),
            resumes: position(),
            topics: vec!["a".into(), "b/c".into()],
        };
        encode_gap(&notice, &mut out);
        encode_end(position(), End::Error, &mut out);
        let notice = EndNotice { reason: End::Done, topic: Some("a".into()) };
        encode_end_notice(position(), &notice, &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            concat!(
                "id: abcdefgh-41\nevent: gap\ndata: {\"reason\":\"unknown-id\",",
                "\"requested\":\"x\\\"\\n\",\"resumes\":\"abcdefgh-41\",",
                "\"topics\":[\"a\",\"b/c\"]}\n\n",
                "id: abcdefgh-41\nevent: end\ndata: {\"reason\":\"error\"}\n\n",
                "id: abcdefgh-41\nevent: end\ndata: {\"reason\":\"done\",\"topic\":\"a\"}\n\n"
            )
        );
    }
}
