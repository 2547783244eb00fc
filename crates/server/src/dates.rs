//! Heads of responses, written by hand where hyper does not: with the date, which changes once a
//! second.

use tidings_frame::Position;
use tidings_hub::Framing;

use crate::http::cors::with_credentials;
use crate::http::subscribe::Subscribe;
use crate::reply::Reply;

/// Writes heads of responses; remembers the date.
#[derive(Default)]
pub(crate) struct Dates {
    second: u64,
    date: String,
}

/// Headers that go with every answer of ours.
pub(crate) const EVERY_ANSWER: [(&str, &str); 1] = [("x-content-type-options", "nosniff")];

/// What a script of an allowed origin may read besides the safelisted headers.
pub(crate) const EXPOSED: &str = "last-event-id, tidings-connection, tidings-next, \
    tidings-more, tidings-gap, tidings-topic, tidings-stop, tidings-attached, tidings-oldest, \
    tidings-newest, tidings-events, tidings-bytes, tidings-end, location, retry-after, link, \
    x-request-id";

impl Dates {
    /// The present date as HTTP writes it (RFC 9110, section 5.6.7).
    pub(crate) fn date(&mut self, now_ms: u64) -> &str {
        let second = now_ms / 1_000;
        if second != self.second || self.date.is_empty() {
            self.second = second;
            let time =
                i64::try_from(second).ok().and_then(|s| jiff::Timestamp::from_second(s).ok());
            let time = time.unwrap_or(jiff::Timestamp::UNIX_EPOCH);
            self.date = time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        }
        &self.date
    }

    /// The head of an answer with a body of `length` bytes.
    pub(crate) fn head(
        &mut self,
        status: u16,
        media: &str,
        length: usize,
        origin: Option<&str>,
        now_ms: u64,
        out: &mut Vec<u8>,
    ) {
        start(status, out);
        if !media.is_empty() {
            field("content-type", media, out);
        }
        field("date", self.date(now_ms), out);
        if status != 204 {
            field("content-length", number(length, &mut [0; 20]), out);
        }
        common(origin, |name, value| field(name, value, out));
        out.extend_from_slice(b"\r\n");
    }

    /// A whole answer.
    pub(crate) fn reply(
        &mut self,
        reply: &Reply,
        origin: Option<&str>,
        now_ms: u64,
        out: &mut Vec<u8>,
    ) {
        self.head(reply.status, reply.media, reply.body.len(), origin, now_ms, out);
        if !reply.headers.is_empty() {
            // Before the empty line that ends the head.
            out.truncate(out.len() - 2);
            for (name, value) in &reply.headers {
                field(name, value, out);
            }
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(&reply.body);
    }

    /// The head of an event stream, and a first comment so that proxies and `onopen` react at once.
    ///
    /// The stream ends with its connection, so there is no length and no chunking: a write is the
    /// frames and nothing else. An answer's frames are chunks by themselves.
    ///
    /// `connection` is the name that only its client is told. `after` is the position that it
    /// begins after: a client that is cut before its first event resumes there, if it can read
    /// headers.
    pub(crate) fn stream(
        &mut self,
        connection: &str,
        after: Position,
        asked: &Subscribe,
        now_ms: u64,
    ) -> Vec<u8> {
        let (framing, opening) = (asked.view.framing, asked.opening.as_deref());
        let mut out = self.stream_head(connection, after, asked, now_ms);
        out.extend_from_slice(framing.heartbeat());
        out.extend_from_slice(opening.map_or(&[], |opening| &opening.first));
        out
    }

    /// The head of an event stream alone.
    pub(crate) fn stream_head(
        &mut self,
        connection: &str,
        after: Position,
        asked: &Subscribe,
        now_ms: u64,
    ) -> Vec<u8> {
        let mut out = Vec::with_capacity(384);
        start(200, &mut out);
        let mut of_http1 = vec![("connection", "close")];
        if asked.view.framing == Framing::Answer {
            of_http1.push(("transfer-encoding", "chunked"));
        }
        self.stream_fields(connection, after, asked, now_ms, &of_http1, |name, value| {
            field(name, value, &mut out);
        });
        out.extend_from_slice(b"\r\n");
        out
    }

    /// The fields of an event stream's head, with those that its version of HTTP has besides.
    pub(crate) fn stream_fields(
        &mut self,
        connection: &str,
        after: Position,
        asked: &Subscribe,
        now_ms: u64,
        of_the_version: &[(&str, &str)],
        mut field: impl FnMut(&str, &str),
    ) {
        field("content-type", "text/event-stream");
        field("cache-control", "no-cache, no-transform");
        field("x-accel-buffering", "no");
        of_the_version.iter().for_each(|(name, value)| field(name, value));
        field("date", self.date(now_ms));
        field("tidings-connection", connection);
        field("last-event-id", &after.to_string());
        for (name, value) in asked.opening.iter().flat_map(|opening| &opening.fields) {
            field(name, value);
        }
        common(asked.origin.as_deref(), field);
    }
}

fn common(origin: Option<&str>, mut field: impl FnMut(&str, &str)) {
    for (name, value) in EVERY_ANSWER {
        field(name, value);
    }
    if let Some(origin) = origin {
        field("access-control-allow-origin", origin);
        if with_credentials(origin) {
            field("access-control-allow-credentials", "true");
        }
        field("access-control-expose-headers", EXPOSED);
        field("vary", "origin");
    }
}

fn start(status: u16, out: &mut Vec<u8>) {
    if status == 200 {
        return out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
    }
    let reason = http::StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason())
        .unwrap_or("");
    out.extend_from_slice(format!("HTTP/1.1 {status} {reason}\r\n").as_bytes());
}

fn field(name: &str, value: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    // Values are ours or were checked; a line end in one would be another header.
    out.extend(value.bytes().filter(|byte| !matches!(byte, b'\r' | b'\n' | 0)));
    out.extend_from_slice(b"\r\n");
}

/// Decimal digits without a formatter: this is written for every publish.
fn number(mut number: usize, digits: &mut [u8; 20]) -> &str {
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
        if number == 0 {
            break;
        }
    }
    std::str::from_utf8(&digits[at..]).unwrap_or("0")
}

#[cfg(test)]
mod tests {
    use tidings_frame::TopicName;
    use tidings_hub::{Selection, Start, View};

    use super::*;

    fn text(bytes: &[u8]) -> &str {
        std::str::from_utf8(bytes).unwrap()
    }

    #[test]
    fn writes_a_whole_answer() {
        let mut out = Vec::new();
        let reply = Reply::new(404, "application/json", "{}").with("x", "a\r\nset-cookie: b");
        Dates::default().reply(&reply, None, 0, &mut out);
        assert_eq!(
            text(&out),
            "HTTP/1.1 404 Not Found\r\ncontent-type: application/json\r\n\
             date: Thu, 01 Jan 1970 00:00:00 GMT\r\ncontent-length: 2\r\n\
             x-content-type-options: nosniff\r\nx: aset-cookie: b\r\n\r\n{}"
        );
    }

    #[test]
    fn a_stream_has_no_length_and_begins_with_a_comment() {
        let asked = Subscribe {
            selection: Selection::one(TopicName::new("a").unwrap()).into(),
            start: Start::Live,
            view: View { framing: Framing::Plain, private: false, conflate: false },
            origin: Some("https://a.example".to_owned()),
            caller: None,
            expiring: crate::access::expiring::Expiring::default(),
            opening: None,
            admission: crate::limits::Admission::default(),
        };
        let head = Dates::default().stream("c7.k", "abcdefgh-5".parse().unwrap(), &asked, 0);
        let head = text(&head);
        assert!(head.ends_with("\r\n\r\n:\n"));
        assert!(head.contains("tidings-connection: c7.k\r\nlast-event-id: abcdefgh-5\r\n"));
        assert!(head.contains("access-control-allow-origin: https://a.example\r\n"));
        assert!(!head.contains("content-length") && !head.contains("transfer-encoding"));
    }
}
